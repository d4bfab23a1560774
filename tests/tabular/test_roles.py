"""What every column is for."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tabular.corpus import CORPUS, table

from pipeline.errors import DataError
from pipeline.tables import RawTable, RawTables
from pipeline.tabular.cells import spread_rows
from pipeline.tabular.roles.guesses import guess_roles
from pipeline.tabular.roles.looks import ROWS_LOOKED_AT


def raw_of(train, test=None, sample=None, **sides):
    return RawTables(
        train=table("train.csv", train),
        test=table("test.csv", test) if test else None,
        sample=table("sample_submission.csv", sample) if sample else None,
        sides={f"{name}.csv": table(f"{name}.csv", text) for name, text in sides.items()},
    )


def typed(**columns):
    frame = pa.table(columns)
    return RawTables(RawTable("train.parquet", frame, line_of=lambda row: row + 1), None, None, {})


def guessed(case):
    return guess_roles(case.raw, folder_name=case.name, target=case.asked)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case.name}-{case.target}")
class TestCorpus:
    """Every table of the corpus: the guesses are what a person who knows the competition would say."""

    def test_every_column_gets_its_role(self, case):
        """One guess a column, in file order."""
        columns = guessed(case).columns
        names = dict.fromkeys([*case.raw.train.names, *(case.raw.test.names if case.raw.test else [])])
        assert [guess.column for guess in columns] == list(names)
        assert {guess.column: guess.role for guess in columns} == dict(zip(names, case.roles.split(), strict=True))

    def test_target_id_and_metric_are_chosen(self, case):
        """Each with its evidence."""
        guesses = guessed(case)
        assert (guesses.target.value, guesses.id.value, guesses.metric.value) == (case.target, case.id, case.metric)
        assert all(choice.evidence for choice in (guesses.target, guesses.id, guesses.metric, *guesses.columns))

    def test_the_rows_to_hold_out_are_chosen_without_a_test_file(self, case):
        """By the only date, or by a number that rises with time, else at random; never beside a test file."""
        holdout = guessed(case).holdout
        assert (None if holdout is None else holdout.value) == case.holdout

    def test_groups_and_side_tables_are_found(self, case):
        """Groups count where test has none of train's; a side table where its key stands there once."""
        guesses = guessed(case)
        assert (guesses.folds and guesses.folds.value) == case.folds
        assert {join.file: join.on for join in guesses.joins} == case.joins

    def test_formats_levels_and_words_for_missing_are_found(self, case):
        """Columns that are not listed have none."""
        columns = guessed(case).columns
        kept = [guess for guess in columns if guess.role != "train_only"]
        assert {guess.column: guess.formats for guess in kept if guess.formats} == case.formats
        assert {guess.column: guess.levels for guess in kept if guess.levels} == case.levels
        assert {guess.column: guess.missing for guess in kept if guess.missing} == case.missing


def test_the_corpus_is_not_small():
    """Thirty tables at least."""
    assert len(CORPUS) >= 30


def roles_of(raw, **options):
    return {guess.column: guess.role for guess in guess_roles(raw, folder_name="data", **options).columns}


def guess_of(raw, column, **options):
    return next(guess for guess in guess_roles(raw, folder_name="data", **options).columns if guess.column == column)


def test_evidence_holds_the_numbers_behind_the_guess():
    """A person can check it by hand."""
    raw = raw_of("Id,kind,y | 1,5,0.5 | 2,6,1.5 | 3,7,2.5 | 4,5,9.5", "Id,kind | 5,6 | 6,7", "Id,y | 5,0 | 6,0")
    guesses = guess_roles(raw, folder_name="data")
    assert guesses.id.evidence == (
        "first column of the sample submission; 4 of 4 distinct in train.csv; 2 of 2 distinct in test.csv"
    )
    assert guesses.columns[1].evidence == "3 distinct whole numbers on 4 rows, and the name of a kind"
    assert guesses.columns[1].overrides == ("numeric",)


def test_an_id_that_is_a_date_keeps_both():
    """The date rule comes too late for the role, and its formats are kept."""
    raw = raw_of(
        "when,y | 2015-01-01,0.5 | 2015-01-02,1.5 | 2015-01-03,2.5", "when | 2015-02-01", "when,y | 2015-02-01,0"
    )
    guess = guess_of(raw, "when")
    assert (guess.role, guess.formats, guess.overrides) == ("id", ("%Y-%m-%d",), ("date",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,kind_of | 1.5,cat | 2.5,dog | 3.5,cow", "target 'kind_of' holds texts such as 'cat', 'dog', 'cow'"),
        ("a,kind_of | 1.5,0 | 2.5,1 | 3.5,0", "target 'kind_of' is always '0' or '1': two values are two classes"),
        ("a,kind_of | 1.5,7 | 2.5,7 | 3.5,7", "target 'kind_of' is always '7': there is nothing to learn"),
        ("a,kind_of | 1.5,NA | 2.5, | 3.5,NA", "target 'kind_of' has no value on any row"),
        ("a,kindof | 1.5,1 | 2.5,2 | 3.5,3", "no column 'kind_of', which --target names; did you mean 'kindof'?"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(text, sentence):
    """Texts and two values are classes, and the message says so."""
    with pytest.raises(DataError) as caught:
        guess_roles(raw_of(text), folder_name="data", target="kind_of")
    assert str(caught.value).startswith(f"train.csv: {sentence}")


def test_a_table_without_numbers_has_no_target():
    """The remedy is --target."""
    with pytest.raises(DataError, match=r"no column could be the target.*name it with --target"):
        guess_roles(raw_of("id,word | 1,a | 2,b | 3,c"), folder_name="data")


def test_a_target_called_label_is_classes_even_if_numbers_stand_beside_it():
    """The usual name goes before the last column of numbers, so that classification is refused, not bent."""
    with pytest.raises(DataError, match=r"'label' holds texts.*classification"):
        guess_roles(raw_of("size,label | 1.5,cat | 2.5,dog | 3.5,cat"), folder_name="data")


@pytest.mark.parametrize(
    ("name", "values", "metric"),
    [
        ("count", [0, 1, 2, 3, 900], "rmsle"),
        ("num_sold", [1, 1, 2, 3, 900], "rmsle"),
        ("count", [0.5, 1, 2, 3, 4], "rmse"),
        ("count", [-1, 1, 2, 3, 4], "rmse"),
        ("discount", [1, 1, 2, 3, 4], "rmse"),
        ("price", [1, 10, 100, 1000, 10000], "log_rmse"),
        ("price", [0, 10, 100, 1000, 10000], "rmse"),
        ("price", [1, 2, 3, 4, 5], "rmse"),
    ],
)
def test_the_metric_follows_name_and_spread(name, values, metric):
    """Counts are scored by logarithms of 1 + x, skewed positive numbers by logarithms, all else plainly."""
    raw = raw_of(f"a,{name} | " + " | ".join(f"{place / 7:.2f},{value}" for place, value in enumerate(values)))
    assert guess_roles(raw, folder_name="data", target=name).metric.value == metric


@pytest.mark.parametrize(
    ("test", "target"),
    [
        ("id,a", "b"),  # the only column that test has not
        ("id,b", "a"),
    ],
)
def test_without_a_sample_the_column_that_test_has_not_is_the_target(test, target):
    """Whatever its name and place."""
    raw = raw_of("id,a,b | 1,0.5,2.5 | 2,1.5,3.5 | 3,2.5,7.5", f"{test} | 4,1.5 | 5,2.5")
    assert guess_roles(raw, folder_name="data").target.value == target


def test_of_several_columns_that_test_has_not_the_likeliest_name_is_the_target():
    """Then the last one with numbers; texts never."""
    train = "id,a,{},c,d | 1,1.5,0.5,2.5,x | 2,1.5,1.5,3.5,y | 3,1.7,2.5,7.5,z"
    test = "id,a | 4,1.5 | 5,2.5"
    assert guess_roles(raw_of(train.format("cost"), test), folder_name="data").target.value == "cost"
    assert guess_roles(raw_of(train.format("b"), test), folder_name="data").target.value == "c"


@pytest.mark.parametrize(
    ("folder", "target"),
    [
        ("mean-humidity", "humidity"),
        ("humidities", "z"),
        ("dew_point", "DewPoint"),
        ("x-and-y", "y"),
    ],
)
def test_the_folder_names_the_target_in_whole_words(folder, target):
    """Letters and digits only; a word inside another does not count."""
    raw = raw_of("humidity,DewPoint,y,z | 1.5,2.5,3.5,4.5 | 2.5,3.5,4.5,5.5 | 3.5,4.5,5.5,1.5 | 4.5,5.5,6.5,3.5")
    assert guess_roles(raw, folder_name=folder).target.value == (target if target != "z" else "y")


@pytest.mark.parametrize("last", ["month", "store_nbr", "no", "visit_id", "flag", "word", "when"])
def test_what_is_no_measurement_is_no_target_though_it_stands_last(last):
    """Parts of time, things, ids, flags, words and dates are passed over."""
    cells = {"flag": "0 1 0 1 0", "word": "a b c d a", "when": "2015-01-01 2015-01-02 2015-01-03 2015-01-04 2015-01-05"}
    texts = cells.get(last, "1 2 3 5 1").split()
    raw = raw_of(f"v,{last} | " + " | ".join(f"{place / 4},{text}" for place, text in enumerate(texts)))
    assert guess_roles(raw, folder_name="data").target.value == "v"


def test_y_beside_an_x_is_a_coordinate():
    """And the target alone."""
    assert guess_roles(raw_of("x,y,w | 1.5,2.5,3 | 2.5,3.5,1 | 3.5,4.5,2"), folder_name="data").target.value == "w"
    assert guess_roles(raw_of("u,y,w | 1.5,2.5,3 | 2.5,3.5,1 | 3.5,4.5,2"), folder_name="data").target.value == "y"


def test_a_copy_of_the_target_is_told_even_before_it():
    """It would be the answer itself."""
    raw = raw_of("copy,a,target | 1.5,2.5,1.5 | 2.5,3.5,2.5 | 4.5,4.5,4.5")
    assert guess_of(raw, "copy").evidence == "every cell equals that of 'target'"


def test_columns_equal_in_train_and_not_in_test_are_no_copies():
    """All files count."""
    raw = raw_of("id,a,b,y | 1,5.5,5.5,1.5 | 2,6.5,6.5,2.5 | 3,7.5,7.5,9.5", "id,a,b | 4,1.5,1.5 | 5,2.5,3.5")
    assert roles_of(raw)["b"] == "numeric"


def test_a_second_unique_column_named_like_an_id_is_dropped():
    """The first is the id; the other would be noise."""
    raw = raw_of("id,uuid,a,y | 1,p7,5.5,1.5 | 2,q8,6.5,2.5 | 3,r9,7.5,9.5")
    assert (guess_of(raw, "uuid").role, guess_of(raw, "uuid").listed) == ("id", True)
    assert not guess_of(raw, "id").listed


def test_a_doubled_id_is_no_id():
    """Unique in train and in test, or not at all."""
    once = raw_of("id,a,y | 1,5.5,1.5 | 2,6.5,2.5 | 3,7.5,9.5", "id,a | 4,1.5 | 4,2.5")
    assert guess_roles(once, folder_name="data").id.value == ""


def test_groups_in_both_files_ask_for_no_grouped_folds():
    """One common patient is enough."""
    rows = " | ".join(f"{row},{row // 2},{row / 3:.2f}" for row in range(20))
    apart = raw_of(f"id,patient,y | {rows}", "id,patient | 20,10 | 21,11")
    shared = raw_of(f"id,patient,y | {rows}", "id,patient | 20,10 | 21,9")
    assert (
        guess_roles(apart, folder_name="data").folds.evidence == "none of the 2 values in test is among the 10 in train"
    )
    assert guess_roles(shared, folder_name="data").folds is None


def test_a_test_that_lies_after_train_is_told():
    """A shuffled split looks into the future."""
    train = "when,a,y | 2015-01-01,1.5,1.5 | 2015-01-02,1.7,2.5 | 2015-01-03,1.2,9.5"
    after, among = (raw_of(train, f"when,a | {day},1.5") for day in ("2015-02-01", "2015-01-02"))
    (remark,) = guess_roles(after, folder_name="data").remarks
    assert remark.startswith("time stands in 'when': train 2015-01-01 to 2015-01-03, test 2015-02-01 to 2015-02-01")
    assert remark.endswith("test lies after train, which shuffled folds flatter")
    assert "lies after" not in guess_roles(among, folder_name="data").remarks[0]


def test_row_numbers_that_do_not_rise_with_time_sort_no_holdout():
    """Two swapped rows, and the rows are drawn at random."""
    rows = ["1,2010,1,5.5", "2,2010,2,6.5", "3,2010,3,4.5", "4,2011,1,3.5"]
    rising, swapped = (raw_of(" | ".join(["No,year,month,v", *order])) for order in (rows, [rows[0], *rows[:0:-1]]))
    assert guess_roles(rising, folder_name="data").holdout.value == "No"
    assert guess_roles(swapped, folder_name="data").holdout.value == "No"  # the number counts, not the place
    back = raw_of(" | ".join(["No,year,month,v", *rows]).replace("2011", "2009"))
    assert guess_roles(back, folder_name="data").holdout.value == ""


def test_a_side_table_whose_key_repeats_or_misses_most_rows_is_only_mentioned():
    """It would double rows, or fill them with nothing."""
    train = "id,shop,y | 1,a,1.5 | 2,b,2.5 | 3,c,9.5 | 4,a,3.5"
    raw = raw_of(train, twice="shop,v | a,1 | a,2 | b,3 | c,4", few="shop,v | a,1 | x,2")
    guesses = guess_roles(raw, folder_name="data")
    assert guesses.joins == ()
    assert guesses.remarks == (
        "twice.csv is not joined: it shares 'shop', but the key stands there more than once; aggregate it first",
        "few.csv is not joined by 'shop': each key once on 2 rows, 33% of train's 3 keys are there",
    )


def test_files_whose_names_do_not_tell_are_named():
    """A table that stands alone needs no name, and a folder in front of it does not count."""
    case = raw_of("id,a,y | 1,5.5,1.5 | 2,6.5,2.5 | 3,7.5,9.5", "id,a | 4,1.5")
    odd = RawTables(
        RawTable("data/learn.csv", case.train.columns, case.train.line_of),
        RawTable("data/test_v2.csv", case.test.columns, case.test.line_of),
        None,
        {},
    )
    assert dict(guess_roles(odd, folder_name="data").files) == {"train": "learn.csv"}
    assert dict(guess_roles(RawTables(odd.train, None, None, {}), folder_name="data").files) == {}


def test_the_columns_of_a_parquet_file_keep_what_they_are_typed_as():
    """Whole and broken numbers, truths, instants, coded texts, decimals, and a column of nulls."""
    raw = typed(
        n=pa.array([1, 5, 9, 2, None]),
        f=pa.array([0.5, float("nan"), 1.5, 2.5, 0.25]),
        b=pa.array([True, False, None, True, False]),
        t=pa.array(pd.date_range("2015-01-01", periods=5)),
        c=pa.array(["x", "y", "x", None, "y"]).dictionary_encode(),
        e=pa.nulls(5),
        d8=pa.array([20150101, 20150102, 20150103, 20150104, 20150105]),
        target=pa.array([1, 2, 4, 8, 16]).cast(pa.decimal128(25, 2)),
    )
    assert roles_of(raw) == {
        "n": "numeric", "f": "numeric", "b": "boolean", "t": "date", "c": "categorical", "e": "empty", "d8": "date",
        "target": "target",
    }  # fmt: skip
    assert guess_of(raw, "t").formats == ()


def test_a_parquet_column_of_lists_is_refused():
    """It is no value."""
    raw = typed(a=pa.array([[1], [2], [3]]), target=pa.array([1, 2, 4]))
    with pytest.raises(DataError, match=r"train.parquet: column 'a' is of type list<.*>, expected numbers"):
        guess_roles(raw, folder_name="data")


def test_a_decimal_comma_makes_numbers():
    """As the reader found it."""
    train = table("train.csv", 'a,target | "1,5","2,25" | "2,5","3,5" | "3,5","9,5"', decimal=",")
    assert roles_of(RawTables(train, None, None, {})) == {"a": "numeric", "target": "target"}


def test_stray_texts_among_numbers_are_told_and_many_make_levels():
    """One in twenty: numbers, by a line in [schema]; one in two: levels."""
    rows = [f"{place / 7:.2f},{place},{'oops' if place % 2 else place * 1.5}" for place in range(100)]
    few = [row if place % 20 else f"oops,{place},1" for place, row in enumerate(rows)]
    raw = raw_of("a,target,b | " + " | ".join(few))
    guess = guess_of(raw, "a")
    assert (guess.role, guess.listed) == ("numeric", True)
    assert guess.evidence == "numbers but for 5 of 100 cells, such as 'oops'"
    assert roles_of(raw)["b"] == "categorical"


def test_many_levels_are_told():
    """Sixty levels on 120 rows: each is on two."""
    rows = [f"w{place % 60},{place / 7:.2f}" for place in range(120)]
    guess = guess_of(raw_of("word,target | " + " | ".join(rows)), "word")
    assert (guess.role, guess.evidence) == ("high_cardinality", "60 distinct texts on 120 rows: one column each")


@pytest.mark.parametrize("number", ["inf", "1e999", "-1e300"])
def test_a_boundless_number_makes_no_texts(number):
    """FAULT 27: it is read as missing later, but the column stays numbers."""
    assert roles_of(raw_of(f"a,target | 1.5,1 | {number},2 | 2.5,3 | 3.5,4"))["a"] == "numeric"


def large(rows, **cells):
    """A table of many rows, with some cells changed: column -> (row, text)."""
    numbers = np.arange(rows)
    days = pd.date_range("2001-01-01", "2010-12-31")
    early = days[days.day <= 12]  # 1440 of them: more than are counted in all rows
    columns = {
        "key": numbers.astype(str),
        "a": (numbers * 7919 % rows / 8).astype(str),
        "day": early.strftime("%d/%m/%Y").to_numpy(dtype=object)[numbers % len(early)],
        "same": np.full(rows, "x", dtype=object),
        "target": (numbers % 977).astype(str),
    }
    for name, (row, text) in cells.items():
        columns[name] = columns[name].astype(object)
        columns[name][row] = text
    frame = pa.table({name: pa.array(texts.tolist(), pa.string()) for name, texts in columns.items()})
    return RawTables(RawTable("train.csv", frame, line_of=lambda row: row + 2), None, None, {})


def test_of_many_rows_a_sample_is_looked_at_and_what_one_row_decides_in_all():
    """A doubled id, a word among numbers, a second value and a 13th day, each on one row of 250,000."""
    rows = 250_000
    late = int(np.setdiff1d(np.arange(rows), spread_rows(rows, ROWS_LOOKED_AT))[0])
    plain = guess_roles(large(rows), folder_name="data")
    assert [guess.role for guess in plain.columns] == ["id", "numeric", "date", "constant", "target"]
    changed = guess_roles(
        large(rows, key=(late, "7"), a=(late, "?"), day=(late, "13/01/2001"), same=(late, "y")), folder_name="data"
    )
    assert changed.id.value == ""
    a, day, same = changed.columns[1:4]
    assert a.missing == ("?",)
    assert day.formats == ("%d/%m/%Y",)
    assert same.role == "categorical"


def test_truth_values_are_guessed_alike_in_a_parquet_and_in_a_csv_file():
    """Where both hold the same cells the draft is the same."""
    texts = raw_of("b,target | True,0.5 | False,1.5 | ,2.5 | True,8.5")
    truths = typed(b=pa.array([True, False, None, True]), target=pa.array([0.5, 1.5, 2.5, 8.5]))
    assert guess_of(texts, "b").role == guess_of(truths, "b").role == "boolean"
    assert guess_of(truths, "b").evidence == guess_of(texts, "b").evidence == "only 'True', 'False'"


def test_numbers_with_a_decimal_comma_are_numbers_whatever_the_files_own_mark():
    """Not codes, not texts, not thousands; per cent beside plain numbers are none."""
    raw = raw_of('a,b,y | "0,238",5%,0.5 | "1,580",0.05,1.5 | "12,5",7%,2.5')
    assert guess_of(raw, "a").role == "numeric"
    assert guess_of(raw, "a").evidence == "numbers from 0.238 to 12.5, ',' in them as the decimal mark"
    assert guess_of(raw, "b").role == "categorical"


@pytest.mark.parametrize("cell", ["${:,.2f}", "{:.2f} €", "{:,.2f}"])
def test_the_metric_of_prices_is_that_of_their_numbers(cell):
    """A mark in front, behind or between the digits changes no distribution: skewed prices are log_rmse."""
    prices = np.exp(np.linspace(3, 12, 60))

    def metric(texts):
        frame = pa.table({"a": [str(n % 7) for n in range(60)], "price": texts})
        raw = RawTables(RawTable("train.csv", frame, line_of=lambda row: row + 2), None, None, {})
        return guess_roles(raw, folder_name="data").metric

    assert metric([cell.format(price) for price in prices]) == metric([f"{price:.2f}" for price in prices])
    assert metric([cell.format(price) for price in prices]).value == "log_rmse"


def test_the_metric_of_decimal_commas_is_not_that_of_thousands():
    """Shares between 0 and 1 with three digits behind the comma are no counts."""
    rows = " | ".join(f'"0,{100 + 7 * n}"' for n in range(20))
    metric = guess_roles(raw_of(f"y | {rows}"), folder_name="data", target="y").metric
    assert (metric.value, metric.evidence.split(",")[0]) == ("rmse", "numbers from 0.1 to 0.233")


def test_a_column_that_is_nearly_all_numbers_and_drafted_as_levels_is_listed():
    """If the config said nothing it would be read as numbers; where one text in ten stands it would not."""
    few, many = (
        RawTables(
            RawTable("train.csv", pa.table({"a": cells, "y": [f"{n}.5" for n in range(200)]}), lambda row: row + 2),
            None, None, {},
        )
        for cells in (["1", "2"] * 99 + ["1", "x"], ["1", "2"] * 90 + ["x"] * 20)
    )  # fmt: skip
    assert (guess_of(few, "a").role, guess_of(few, "a").listed) == ("categorical", True)
    assert (guess_of(many, "a").role, guess_of(many, "a").listed) == ("categorical", False)
