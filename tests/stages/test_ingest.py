"""Text tables to typed ones: what is wrong is a sentence, what is odd is counted."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from builders import csv_of, generated_frames, raw_tables, table, typed

from pipeline.errors import DataError
from pipeline.settings import Holdout, Join, Schema
from pipeline.stages.ingest import ingest
from pipeline.tables import Notice, RawTables

TRAIN = "Id,a,c,y\n1,1.5,x,10\n2,,y,20\n3,3,NA,30\n"
TEST = "Id,a,c\n4,7,x\n5,8,y\n"
SAMPLE = "Id,y\n4,0\n5,0\n"


def ingested(train=TRAIN, test=TEST, sample=SAMPLE, *, metric="rmse", **roles):
    settings = Schema(**({"id": "Id", "target": "y"} | roles))
    return ingest(raw_tables(train, test, sample), roles=settings, metric=metric)


def of_column(train, test, **roles):
    """A competition of one column `a`, whose cells these are, beside one that varies; no sample submission."""
    lines = "".join(f'{i},"{cell}",{i % 7},{i * i % 101}\n' for i, cell in enumerate(train))
    more = "".join(f't{i},"{cell}",1\n' for i, cell in enumerate(test))
    return ingested(f"Id,a,n,y\n{lines}", f"Id,a,n\n{more}", None, **roles)


def held_out(train, *, share=0.4, by="", sample=None, **roles):
    """A competition without a test file."""
    settings = Schema(**({"id": "Id", "target": "y"} | roles))
    return ingest(raw_tables(train, None, sample), roles=settings, metric="rmse", holdout=Holdout(share=share, by=by))


def fault_of(*tables, **options):
    with pytest.raises(DataError) as raised:
        ingested(*tables, **options)
    return str(raised.value)


def about(dataset, subject):
    """What was noticed about a column or a file, with the counts."""
    return [(notice.text, notice.count) for notice in dataset.notices if notice.subject == subject]


def texts(column):
    """A categorical column as a list of texts, None where missing."""
    return [value if isinstance(value, str) else None for value in column.tolist()]


# --- what comes out


def test_a_clean_competition_comes_out_typed_and_without_a_notice():
    """By hand: a is a number with one gap, c a text with one gap, ids and header as in the files."""
    dataset = ingested()
    levels = pd.CategoricalDtype(pd.Index(["x", "y"], dtype=object))
    expected = pd.DataFrame({"a": [1.5, np.nan, 3.0], "c": pd.Series(["x", "y", None], dtype=levels)})
    pd.testing.assert_frame_equal(dataset.train, expected)
    assert dataset.test["a"].tolist() == [7.0, 8.0]
    assert dataset.target.tolist() == [10.0, 20.0, 30.0]
    assert (dataset.numeric, dataset.categorical) == (("a",), ("c",))
    assert (dataset.train_ids.tolist(), dataset.test_ids.tolist()) == (["1", "2", "3"], ["4", "5"])
    assert dataset.submission_header == ("Id", "y")
    assert dataset.submission_ids.tolist() == ["4", "5"]
    assert dataset.notices == ()


def test_columns_keep_the_order_of_the_train_file_in_both_tables():
    """The test file may list them in another order."""
    dataset = ingested("c,Id,y,a\nx,1,10,1\ny,2,20,2\nx,3,30,3\n", "a,c,Id\n7,x,4\n8,y,5\n")
    assert list(dataset.train.columns) == list(dataset.test.columns) == ["c", "a"]
    assert dataset.test["a"].tolist() == [7.0, 8.0]


def test_ids_stay_byte_for_byte():
    """Leading zeros and blanks inside are part of an id."""
    dataset = ingested(TRAIN, "Id,a,c\n007,7,x\nA 5,8,y\n", "Id,y\n007,0\nA 5,0\n")
    assert dataset.test_ids.tolist() == ["007", "A 5"]


def test_an_id_may_read_like_a_missing_value():
    """NA is Namibia in a column of country codes: missing texts are a matter of features, an empty id of ids."""
    dataset = ingested("Id,a,c,y\nNA,1,x,1\nDE,2,y,2\nFR,3,y,3\n", "Id,a,c\nNA,1,x\nnan,2,y\n", "Id,y\nNA,0\nnan,0\n")
    assert dataset.train_ids.tolist() == ["NA", "DE", "FR"]
    assert dataset.test_ids.tolist() == ["NA", "nan"]
    assert dataset.notices == ()


def test_ingest_leaves_the_raw_tables_alone():
    """A stage hands on a new value."""
    raw = raw_tables(TRAIN, TEST, SAMPLE)
    before = raw.train.columns.to_pydict(), raw.test.columns.to_pydict()
    dataset = ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse")
    dataset.train.loc[:, "a"] = 7.0
    assert (raw.train.columns.to_pydict(), raw.test.columns.to_pydict()) == before


@pytest.mark.parametrize(("share", "ids"), [(1.0, "abcdefghijklm"), (0.54, "acegikm"), (0.1, "acfhkm")])
def test_a_share_of_the_rows_is_spread_over_the_file(share, ids):
    """Seven of 13 rows: every other one, the first and the last among them; a tenth still is six rows."""
    train = "Id,a,c,y\n" + "".join(f"{i},{n},x,{10 * n}\n" for n, i in enumerate("abcdefghijklm"))
    assert "".join(ingested(train, row_share=share).train_ids) == ids


def test_a_share_of_the_rows_holds_no_row_without_a_target():
    """The first of 13 rows has none: half of the other twelve, the first and the last of them among these."""
    train = "Id,a,c,y\na,1,x,\n" + "".join(f"{i},{n},x,{10 * n}\n" for n, i in enumerate("bcdefghijklm"))
    assert "".join(ingested(train, row_share=0.54).train_ids) == "bdfikm"


# --- FAULT 31: train and test have different columns


def test_columns_that_differ_are_named_on_both_sides():
    """FAULT 31, the exact sentence."""
    train = "Id,a,b,y\n1,1,1,1\n2,2,2,2\n3,3,3,3\n"
    assert fault_of(train, "Id,a,d,e\n2,1,1,1\n", None) == (
        "train.csv and test.csv have different columns: only in train: 'b'; only in test: 'd', 'e'; "
        "add the missing ones, or list them under [schema] drop"
    )
    assert "only in train: 'b'; only in test: none;" in fault_of(train, "Id,a\n2,1\n", None)


# --- FAULT 32: levels that training never saw


def test_unseen_test_levels_are_counted():
    """FAULT 32: two rows with z, one with w; rows and not levels are counted, a gap is none."""
    dataset = ingested(TRAIN, "Id,a,c\n4,7,z\n5,8,z\n6,8,w\n7,8,x\n8,8,NA\n", None)
    assert Notice("c", "test rows with levels never seen in train ('w', 'z')", 3) in dataset.notices


def test_a_level_of_a_row_without_a_target_is_unseen_too():
    """That row does not train."""
    dataset = ingested(TRAIN + "9,1,only,\n", "Id,a,c\n4,7,only\n5,8,x\n", None)
    assert Notice("c", "test rows with levels never seen in train ('only')", 1) in dataset.notices


# --- FAULT 34: the target


def test_rows_without_a_target_are_dropped_and_counted():
    """FAULT 34: two of five rows; their ids and features go with them."""
    dataset = ingested("Id,a,c,y\n1,1,x,10\n2,2,y,\n3,3,y,30\n4,4,y,NA\n5,5,x,50\n")
    assert dataset.notices == (Notice("y", "train.csv: rows without a target were dropped", 2),)
    assert dataset.train_ids.tolist() == ["1", "3", "5"]
    assert dataset.train["a"].tolist() == [1.0, 3.0, 5.0]
    assert dataset.target.tolist() == [10.0, 30.0, 50.0]


def test_a_target_that_is_missing_everywhere_is_an_error():
    """FAULT 34, the exact sentence."""
    assert fault_of("Id,a,c,y\n1,1,x,\n2,2,y,NA\n") == (
        "train.csv: target 'y' is missing on all 2 rows; is [schema] target the right column?"
    )


def test_a_target_of_texts_is_classification():
    """FAULT 34, the exact sentence."""
    assert fault_of("Id,a,c,y\n1,1,x,cat\n2,2,y,dog\n3,3,y,\n") == (
        "train.csv: line 2: target 'y' is 'cat', expected a finite number (2 such rows); a target of texts is "
        "classification, and Foldpack does regression"
    )


@pytest.mark.parametrize("text", ["?", "inf", "1,5"])
def test_one_text_among_the_targets_is_named_with_its_line(text):
    """FAULT 34: the third line of the file; a comma among points is no decimal mark."""
    assert fault_of(f'Id,a,c,y\n1,1,x,10.5\n2,2,y,"{text}"\n3,3,y,30.5\n') == (
        f"train.csv: line 3: target 'y' is {text!r}, expected a finite number (1 such rows); correct or blank it"
    )


def test_a_target_of_two_values_is_classification():
    """FAULT 34, the exact sentence; three values are fine."""
    assert fault_of("Id,a,c,y\n1,1,x,0\n2,2,y,1\n3,3,y,1\n") == (
        "train.csv: target 'y' is always 0 or 1: two values are two classes, and Foldpack does regression, not "
        "classification"
    )
    assert ingested("Id,a,c,y\n1,1,x,0\n2,2,y,1\n3,3,y,2\n").target.tolist() == [0, 1, 2]


# --- FAULT 35: doubled and missing ids


def test_a_doubled_test_id_is_an_error():
    """FAULT 35, the exact sentence: the second of the two stands on line 4."""
    assert fault_of(TRAIN, "Id,a,c\n4,7,x\n5,8,y\n4,9,y\n", None) == (
        "test.csv: line 4: id '4' stands there twice (1 doubled ids); Kaggle matches predictions by id, so ids must "
        "be unique"
    )


def test_a_missing_test_id_is_an_error():
    """The exact sentence."""
    assert fault_of(TRAIN, "Id,a,c\n4,7,x\n,8,y\n", None) == (
        "test.csv: line 3: 'Id' is empty; every test row needs an id"
    )


def test_a_doubled_train_id_is_a_notice():
    """FAULT 35: it harms nobody, but may mean doubled rows."""
    dataset = ingested("Id,a,c,y\n1,1,x,10\n1,2,y,20\n1,3,x,30\n")
    assert dataset.notices == (Notice("Id", "train.csv: ids that stand there more than once", 2),)


# --- FAULT 36: the sample submission


def test_ids_that_differ_from_the_sample_are_counted_on_both_sides():
    """FAULT 36, the exact sentence."""
    assert fault_of(TRAIN, TEST, "Id,y\n5,0\n6,0\n7,0\n") == (
        "sample.csv and test.csv disagree: 2 ids only in the sample (for example '6', '7'), 1 only in the test file "
        "(for example '4'); download both again, they must come from the same competition"
    )
    assert "0 ids only in the sample, 1 only in the test file" in fault_of(TRAIN, TEST, "Id,y\n4,0\n")


def test_another_order_of_the_sample_is_followed_and_noticed():
    """FAULT 36: both lines moved."""
    dataset = ingested(TRAIN, TEST, "Id,price\n5,0\n4,0\n")
    assert dataset.submission_ids.tolist() == ["5", "4"]
    assert dataset.submission_header == ("Id", "price")
    text = "lists the ids of test.csv in another order; the submission follows the sample"
    assert dataset.notices == (Notice("sample.csv", text, 2),)


def test_an_id_twice_in_the_sample_is_an_error():
    """FAULT 36, the exact sentence."""
    assert fault_of(TRAIN, TEST, "Id,y\n4,0\n5,0\n5,0\n") == (
        "sample.csv: id '5' stands there twice; every test row needs one line"
    )


@pytest.mark.parametrize(("header", "found"), [("key,y", "key, y"), ("Id,a,b", "Id, a, b"), ("Id", "Id")])
def test_a_sample_of_another_shape_is_an_error(header, found):
    """FAULT 36: exactly an id and a prediction."""
    row = ",".join("4" for _ in header.split(","))
    assert fault_of(TRAIN, TEST, f"{header}\n{row}\n") == (
        f"sample.csv: expected two columns, 'Id' and a prediction, found {found}; correct the file or [schema] id"
    )


def test_without_a_sample_the_header_is_id_and_target():
    """Said, as Kaggle may want another header."""
    dataset = ingested(TRAIN, TEST, None)
    assert dataset.submission_header == ("Id", "y")
    assert dataset.submission_ids.tolist() == ["4", "5"]
    text = "no sample submission was found; the header is Id and y"
    assert dataset.notices == (Notice("sample_submission", text, 0),)


# --- FAULT 37: targets that the metric forbids


@pytest.mark.parametrize(("metric", "value", "lowest"), [("log_rmse", 0, 0), ("log_rmse", -5, 0), ("rmsle", -1, -1)])
def test_a_target_that_the_metric_forbids_is_named_with_its_line(metric, value, lowest):
    """FAULT 37, the exact sentence: the first of two such rows stands on line 3."""
    assert fault_of(f"Id,a,c,y\n1,1,x,10\n2,2,y,{value}\n3,3,y,{value}\n4,3,y,5\n", metric=metric) == (
        f"train.csv: line 3: target 'y' is {value} (2 such rows), but metric '{metric}' needs values above {lowest}; "
        f"choose another metric, for example rmse"
    )


def test_a_missing_target_is_no_forbidden_one():
    """Its row is dropped before the metric could mind."""
    assert len(ingested(TRAIN + "9,1,x,\n", metric="log_rmse").target) == 3


# --- FAULT 28: columns that tell nothing


def test_columns_that_tell_nothing_are_dropped_and_listed():
    """FAULT 28: an empty one, a constant one and a copy; each once, although the constant has a copy too."""
    dataset = ingested(
        "Id,a,empty,one,copy,two,y\n1,1,,7,1,7,10\n2,2,NA,7,2,7,20\n3,2,,7,2,7,30\n",
        "Id,a,empty,one,copy,two\n4,7,3,8,7,8\n5,8,4,9,8,9\n",
    )
    assert list(dataset.train.columns) == list(dataset.test.columns) == ["a"]
    assert [column.name for column in dataset.columns] == ["a"]
    assert dataset.notices == (
        Notice("empty", "no training row has a value: the column was dropped", 3),
        Notice("one", "always '7.0' on the training rows: the column was dropped", 3),
        Notice("two", "always '7.0' on the training rows: the column was dropped", 3),
        Notice("copy", "equal to 'a' in every row: the column was dropped", 3),
    )


def test_a_column_that_varies_only_where_there_is_no_target_is_constant():
    """Those rows do not train."""
    dataset = ingested("Id,a,c,y\n1,1,x,10\n2,2,x,20\n3,3,x,30\n4,4,z,\n")
    assert ("always 'x' on the training rows: the column was dropped", 3) in about(dataset, "c")


def test_equal_training_rows_are_kept_unless_they_are_to_be_dropped():
    """Rows 1, 3 and 4 hold the same; row 5 has another target, row 6 another gap. Ids play no part."""
    train = "Id,a,c,y\n1,1,x,10\n2,2,y,20\n3,1,x,10\n4,1,x,10\n5,1,x,30\n6,1,,10\n"
    assert ingested(train).train_ids.tolist() == ["1", "2", "3", "4", "5", "6"]
    dropped = ingested(train, duplicates="drop")
    assert dropped.train_ids.tolist() == ["1", "2", "5", "6"]
    assert dropped.target.tolist() == [10, 20, 30, 10]
    assert dropped.train["a"].tolist() == [1, 2, 1, 1]
    assert about(dropped, "train.csv") == [("training rows equal to an earlier one were dropped", 2)]
    assert ingested(duplicates="drop").notices == ()


def test_a_table_whose_columns_all_lack_values_is_an_error():
    """There is nothing to learn from; a network without inputs must not be built."""
    sentence = "train.csv: no feature column varies on the training rows: all are empty or constant; is the file whole?"
    assert fault_of("Id,a,c,y\n1,,,10\n2,,NA,20\n3,,,30\n") == sentence
    assert fault_of("Id,a,c,y\n1,5,x,10\n2,5,x,20\n3,5,x,30\n") == sentence


def test_the_generated_tables_of_the_tests_are_ingested_as_they_are():
    """Round trip: the frames that the builders make come out value for value."""
    train, test = generated_frames()
    dataset = ingested(csv_of(train), csv_of(test), None)
    np.testing.assert_array_equal(dataset.train["age"], train["age"])
    np.testing.assert_array_equal(dataset.target, train["y"])
    assert texts(dataset.train["colour"]) == texts(train["colour"])
    assert dataset.test_ids.tolist() == test["Id"].tolist()


def test_a_constant_target_is_told_as_such():
    """One value: nothing to learn, and no talk of classes."""
    assert fault_of("Id,a,c,y\n1,1,x,7\n2,2,y,7\n3,3,y,7\n") == (
        "train.csv: target 'y' is always 7: there is nothing to learn; is [schema] target the right column?"
    )


def test_a_column_in_two_roles_is_refused():
    """Neither listing wins silently."""
    with pytest.raises(DataError, match=r"column .a. is listed under .schema. numeric and categorical"):
        ingest(
            raw_tables("Id,a,y\n1,1,1\n2,2,2\n3,3,3\n", "Id,a\n4,1\n"),
            roles=Schema(id="Id", target="y", numeric=("a",), categorical=("a",)),
            metric="rmse",
        )


# --- several faults


def test_every_fault_is_told_at_once_one_a_line():
    """A target, an id, a rank, a date and a number: five lines, each naming file, line and column."""
    train = "Id,a,b,c,y\n1,good,2024-01-01,1,cat\n2,bad,2024-01-02,2,7\n3,good,2024-01-03,3,8\n"
    test = "Id,a,b,c\n4,good,soon,x\n4,good,2024-01-01,x\n"
    told = fault_of(train, test, None, ordinal={"a": ("good",)}, dates={"b": ("%Y-%m-%d",)}, numeric=("c",)).split("\n")
    assert [sentence.split(": ", 2)[:2] for sentence in told] == [
        ["train.csv", "line 2"], ["test.csv", "line 3"], ["train.csv", "line 3"], ["test.csv", "line 2"],
        ["test.csv", "line 2"],
    ]  # fmt: skip
    for sentence, name in zip(told, ("target 'y'", "id '4'", "column 'a'", "column 'b'", "column 'c'"), strict=True):
        assert name in sentence


def test_faults_of_columns_and_of_cells_are_told_together():
    """A target that is not there, a column that test lacks, and a doubled id; nothing is said twice."""
    told = fault_of("Id,a,c\n1,1,x\n", "Id,a\n2,1\n2,1\n").split("\n")
    assert [sentence.split(",")[0] for sentence in told] == [
        "train.csv: no column 'y'",
        "train.csv and test.csv have different columns: only in train: 'c'; only in test: none; add the missing ones",
        "test.csv: line 3: id '2' stands there twice (1 doubled ids); Kaggle matches predictions by id",
    ]


def test_lines_are_those_that_the_table_tells():
    """A cell with line breaks above: the third row starts on line 9 of the file."""
    raw = raw_tables("Id,a,y\n1,1,1\n2,2,2\n3,3,x\n", "Id,a\n4,1\n")
    raw = replace(raw, train=replace(raw.train, line_of=lambda row: 3 + 3 * row))
    with pytest.raises(DataError, match=r"^train\.csv: line 9: target 'y' is 'x'"):
        ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse")


def test_what_reading_noticed_comes_first():
    """Separator and encoding, said by the reader of train, test and side tables, are passed on in that order."""
    raw = raw_tables(TRAIN, TEST, SAMPLE, sides={"side.csv": "c,more\nx,1\ny,2\n"})
    noticed = {name: Notice(name, "semicolons", 1) for name in ("train.csv", "test.csv", "side.csv")}
    raw = replace(
        raw,
        train=replace(raw.train, notices=(noticed["train.csv"],)),
        test=replace(raw.test, notices=(noticed["test.csv"],)),
        sides={"side.csv": replace(raw.sides["side.csv"], notices=(noticed["side.csv"],))},
    )
    dataset = ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse", join=[Join(file="side.csv", on=("c",))])
    assert dataset.notices[:3] == tuple(noticed.values())


# --- how cells are read


def test_a_text_may_be_a_level_in_one_column_and_missing_in_another():
    """FAULT 29: "None" is missing in c alone, "NA" is a level there, and neither changes what a does."""
    train = "Id,a,c,y\n1,None,None,1\n2,NA,NA,2\n3,x,x,3\n"
    dataset = ingested(train, "Id,a,c\n4,x,None\n5,None,x\n", None, missing_in={"c": ("None",)})
    assert texts(dataset.train["a"]) == ["None", None, "x"]
    assert texts(dataset.train["c"]) == [None, "NA", "x"]
    assert texts(dataset.test["c"]) == [None, "x"]


BOUNDLESS = "infinite numbers, or beyond 1e100, taken as missing"


@pytest.mark.parametrize(
    ("train", "test", "expected", "notice"),
    [
        ([" 1", "2 ", "3"], ["4"], [1, 2, 3], []),
        (["1,000", "2", "1,234.5"], ["4"], [1000, 2, 1234.5], [("read as numbers, ',' in them taken out", 2)]),
        (["1 000", "2", ""], ["4"], [1000, 2, np.nan], [("read as numbers, ' ' in them taken out", 1)]),
        (["$1", "-$2", "3"], ["$4"], [1, -2, 3], [("read as numbers, '$' in them taken out", 3)]),
        (["1 %", "2%", ""], ["4%"], [1, 2, np.nan], [("read as numbers, '%' in them taken out", 3)]),
        (["1,5", "0,238", "-3"], ["4"], [1.5, 0.238, -3],
         [("read as numbers, ',' in them as the decimal mark", 2)]),
        (["18446744073709551616", "1", "2"], ["4"], [2.0**64, 1, 2], []),
        (["007", "1", "2"], ["4"], [7, 1, 2], []),
        (["inf", "1", "2"], ["4"], [np.nan, 1, 2],
         [(f'{BOUNDLESS}, the first in train.csv: line 2; or leave the column out: [schema] drop = ["a"]', 1)]),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(train, test, expected, notice):
    """FAULTS 26 and 27: blanks, thousands, units, decimal commas, huge integers and infinity.

    Whatever is taken out is said, with the number of cells that are no plain numbers.
    """
    dataset = of_column(train, test)
    np.testing.assert_array_equal(dataset.train["a"], expected)
    assert (dataset.numeric, dataset.test["a"].tolist()) == (("a", "n"), [4.0])
    assert about(dataset, "a") == notice


def test_decimal_commas_are_read_where_the_file_has_them():
    """FAULT 21: features and target of train with commas, test with points."""
    train = table('Id,a,y\n1,"1,5","0,5"\n2,"2,5",1\n3,3,"1.000,5"\n', decimal=",")
    test = table("Id,a\n4,1.5\n", "test.csv")
    dataset = ingest(RawTables(train, test, None, {}), roles=Schema(id="Id", target="y"), metric="rmse")
    assert dataset.train["a"].tolist() == [1.5, 2.5, 3.0]
    assert dataset.test["a"].tolist() == [1.5]
    assert dataset.target.tolist() == [0.5, 1.0, 1000.5]


def test_a_stray_text_among_a_thousand_numbers_is_missing_and_counted():
    """FAULT 25: late in the file, on line 952; the column stays one of numbers."""
    cells = [str(i) for i in range(1000)]
    cells[950] = "old"
    dataset = of_column(cells, ["7", "old"])
    assert dataset.numeric == ("a", "n")
    assert np.flatnonzero(dataset.train["a"].isna()).tolist() == [950]
    assert dataset.test["a"].isna().tolist() == [False, True]
    text = (
        "texts among numbers, such as 'old' (train.csv: line 952), count as missing; to keep them as levels: [schema] "
        'categorical = ["a"]'
    )
    assert about(dataset, "a") == [(text, 2)]


def test_declared_numbers_with_many_texts_are_an_error():
    """The exact sentence: one cell in five."""
    with pytest.raises(DataError) as raised:
        of_column(["1", "2", "old", "4"], ["5"], numeric=("a",))
    assert str(raised.value) == (
        "train.csv: line 4: column 'a' is listed under [schema] numeric but holds 'old' (1 such cells of 5); take it "
        "out of that list, or name the texts under [schema.missing_in]"
    )


def test_ordinal_levels_become_numbers_in_their_order():
    """Lowest first; a gap stays a gap."""
    dataset = of_column(["good", "poor", ""], ["fair"], ordinal={"a": ("poor", "fair", "good")})
    np.testing.assert_array_equal(dataset.train["a"], [2, 0, np.nan])
    assert (dataset.numeric, dataset.test["a"].tolist()) == (("a", "n"), [1.0])


def test_dates_become_instants():
    """In the formats that are given; a gap stays a gap."""
    dataset = of_column(["2024-01-31", "", "2024-02-01"], ["2024-03-01"], dates={"a": ("%Y-%m-%d",)})
    assert (dataset.dates, dataset.numeric) == (("a",), ("n",))
    expected = np.array(["2024-01-31", "NaT", "2024-02-01"], dtype="datetime64[us]")
    np.testing.assert_array_equal(dataset.train["a"].to_numpy(), expected)


def test_an_id_may_be_a_date_and_a_feature():
    """The id keeps its text, the feature is the instant."""
    train = "Id,y\n1.1.2024,1\n2.1.2024,2\n3.1.2024,3\n"
    dataset = ingested(train, "Id\n4.1.2024\n", "Id,y\n4.1.2024,0\n", dates={"Id": ("%d.%m.%Y",)})
    assert dataset.test_ids.tolist() == dataset.submission_ids.tolist() == ["4.1.2024"]
    assert dataset.dates == ("Id",)
    assert dataset.test["Id"].tolist() == [pd.Timestamp("2024-01-04")]


def test_free_text_becomes_its_lengths():
    """Two numbers, of which one that never varies is dropped; the column is still read for later files."""
    dataset = of_column(["one", "three", ""], ["two"], text=("a",))
    assert dataset.numeric == ("a (characters)", "a (words)", "n")
    assert dataset.train["a (characters)"].tolist() == [3, 5, 0]
    single = of_column(["one", "three", "two"], ["two"], text=("a",))
    assert single.numeric == ("a (characters)", "n")
    assert [column.name for column in single.columns] == ["a", "n"]


def test_free_text_whose_lengths_tell_nothing_is_no_longer_read():
    """Neither of its two numbers is left, although another column's name begins with its own."""
    train = "Id,a,age,y\n1,one,1,1\n2,two,2,2\n3,six,3,3\n"
    dataset = ingested(train, "Id,a,age\n4,one,1\n", None, text=("a",))
    assert [column.name for column in dataset.columns] == ["age"]


# --- no test file


ROWS = "Id,a,day,c,y\n" + "".join(
    f"r{i},{7 * i % 10},2024-01-{10 + 3 * i % 7},{'cab'[i % 3]},{10 * i}\n" for i in range(10)
)


def test_without_a_test_file_rows_are_held_out_with_their_targets():
    """Four of ten; ids, features and targets go together, and no row does both."""
    dataset = held_out(ROWS)
    whole = {f"r{i}": (float(7 * i % 10), 10.0 * i) for i in range(10)}
    assert sorted([*dataset.train_ids, *dataset.test_ids]) == sorted(whole)
    for ids, frame, target in (
        (dataset.train_ids, dataset.train, dataset.target),
        (dataset.test_ids, dataset.test, dataset.held_out),
    ):
        assert [whole[i] for i in ids] == list(zip(frame["a"], target, strict=True))
    assert len(dataset.held_out) == len(dataset.submission_ids) == 4
    text = "there is no test file: rows held out of training in its place, drawn at random"
    assert about(dataset, "train.csv") == [(text, 4)]


@pytest.mark.parametrize(
    ("by", "roles", "largest"),
    [
        ("a", {}, {6, 7, 8, 9}),
        ("day", {"dates": {"day": ("%Y-%m-%d",)}}, {14, 15, 16}),
        ("day", {}, {14, 15, 16}),
        ("c", {}, {"c"}),
    ],
)
def test_rows_may_be_held_out_by_a_column(by, roles, largest):
    """The largest numbers, the latest dates, the last texts of the alphabet; the column may be a feature too."""
    dataset = held_out(ROWS, by=by, **roles)
    cells = {row.split(",")[0]: row.split(",") for row in ROWS.split("\n")[1:-1]}
    place = ROWS.split("\n")[0].split(",").index(by)
    kept = [cells[i][place] for i in dataset.train_ids]
    held = [cells[i][place] for i in dataset.test_ids]
    assert {int(c.split("-")[-1]) if c not in "abc" else c for c in held} == largest
    assert max(kept) <= min(held)
    assert dataset.held_out.tolist() == [10.0 * int(i[1:]) for i in dataset.test_ids]


def test_a_file_for_the_test_keeps_its_targets_to_itself():
    """With a test file nothing is held out, and a [holdout] beside it is said to be idle."""
    assert ingested().held_out is None
    dataset = ingest(
        raw_tables(TRAIN, TEST, SAMPLE), roles=Schema(id="Id", target="y"), metric="rmse", holdout=Holdout(share=0.4)
    )
    assert dataset.held_out is None
    assert dataset.notices == (Notice("test.csv", "there is a test file: [holdout] sets nothing aside", 0),)


def test_a_sample_submission_without_a_test_file_is_not_followed():
    """It lists the competition's test rows; the held-out ones are others, and go by their own ids."""
    dataset = held_out(ROWS, sample="Id,price\nq1,0\nq2,0\n")
    assert dataset.submission_header == ("Id", "y")
    assert dataset.submission_ids.tolist() == dataset.test_ids.tolist()
    assert set(dataset.test_ids) <= {f"r{i}" for i in range(10)}
    assert about(dataset, "sample.csv") == []


def test_whole_groups_are_held_out():
    """Three values of c: no row of a held-out one trains."""
    settings = Schema(id="Id", target="y")
    dataset = ingest(raw_tables(ROWS), roles=settings, metric="rmse", holdout=Holdout(share=0.3, group="c"))
    assert set(texts(dataset.train["c"])).isdisjoint(texts(dataset.test["c"]))
    with pytest.raises(DataError, match=r"^train\.csv: no column 'd', which \[holdout\] group names"):
        ingest(raw_tables(ROWS), roles=settings, metric="rmse", holdout=Holdout(share=0.3, group="d"))


def test_neither_a_test_file_nor_a_holdout_is_an_error():
    """The exact sentence."""
    assert fault_of(TRAIN, None, None) == (
        "train.csv: there is no test file; add one, or hold rows out: [holdout] share = 0.2"
    )


def test_held_out_rows_without_a_target_are_none():
    """They could not be scored: four of eight rows with a target, none of the two without."""
    train = ROWS.replace(",70\n", ",\n").replace(",80\n", ",\n")
    dataset = held_out(train, share=0.5)
    assert np.isfinite(dataset.held_out).all()
    assert (len(dataset.train_ids), len(dataset.test_ids)) == (4, 4)


def test_a_share_of_the_rows_leaves_the_held_out_ones_alone():
    """--fast trains on fewer rows and is scored on the same ones."""
    whole, fast = held_out(ROWS), held_out(ROWS, row_share=0.1)
    assert fast.test_ids.tolist() == whole.test_ids.tolist()
    assert set(fast.train_ids) <= set(whole.train_ids)


def test_equal_rows_are_dropped_from_training_alone():
    """Held-out rows are what they are, as a test file's would be."""
    train = "Id,a,y\n" + "".join(f"r{i},{i // 4},{i // 4}\n" for i in range(16))
    whole, dropped = held_out(train), held_out(train, duplicates="drop")
    assert dropped.test_ids.tolist() == whole.test_ids.tolist()
    assert len(dropped.train_ids) == len(set(whole.target)) < len(whole.train_ids)


def test_doubled_ids_among_held_out_rows_are_an_error():
    """FAULT 35: they take the place of a test file, and a prediction is known by its id; with their own lines."""
    train = "Id,a,y\n" + "".join(f"r{i % 4},{i},{i}\n" for i in range(8))
    assert held_out(train, share=0.5, by="a").test_ids.tolist() == ["r0", "r1", "r2", "r3"]
    train = train.replace("r3,7", "r2,7")
    with pytest.raises(DataError) as raised:
        held_out(train, share=0.5, by="a")
    assert str(raised.value) == (
        "train.csv: line 9: id 'r2' stands there twice (1 doubled ids); Kaggle matches predictions by id, so ids must "
        "be unique"
    )


# --- no ids


def test_without_ids_rows_are_numbered():
    """From 0, in each file; without a sample the header says row."""
    dataset = ingested("a,c,y\n1,x,10\n2,y,20\n3,x,30\n", "a,c\n7,x\n8,y\n", None, id="")
    assert (dataset.train_ids.tolist(), dataset.test_ids.tolist()) == (["0", "1", "2"], ["0", "1"])
    assert dataset.submission_header == ("row", "y")


def test_without_ids_the_samples_rows_are_those_of_test():
    """Its first column names them; another number of rows is an error."""
    sample = "key,y\nb,0\na,0\n"
    dataset = ingested("a,c,y\n1,x,10\n2,y,20\n3,x,30\n", "a,c\n7,x\n8,y\n", sample, id="")
    assert dataset.test_ids.tolist() == dataset.submission_ids.tolist() == ["b", "a"]
    assert about(dataset, "sample.csv") == [
        ("its rows are those of test.csv in order, for [schema] id names no column", 2)
    ]
    assert fault_of("a,c,y\n1,x,10\n2,y,20\n3,x,30\n", "a,c\n7,x\n", sample, id="") == (
        "sample.csv has 2 rows, test.csv has 1, and [schema] id names no column to match them by; name it, or download "
        "both again"
    )


# --- side tables


def test_side_tables_bring_features():
    """Joined by c before roles are given; a key that is not there is a gap, counted."""
    raw = raw_tables(TRAIN, "Id,a,c\n4,7,x\n5,8,z\n", None, sides={"size.csv": "c,size\nx,10\ny,20\n"})
    dataset = ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse", join=[Join(file="size.csv", on=("c",))])
    np.testing.assert_array_equal(dataset.train["size"], [10, 20, np.nan])
    np.testing.assert_array_equal(dataset.test["size"], [10, np.nan])
    assert dataset.numeric == ("a", "size")
    assert about(dataset, "size.csv") == [
        ("train.csv: rows whose key (c) is not in size.csv", 1),
        ("test.csv: rows whose key (c) is not in size.csv", 1),
    ]


# --- columns of [folds]


def test_a_fold_column_is_kept_as_text_beside_the_features():
    """Rows without a target go from it too; a gap is None; in train alone it is no feature."""
    raw = raw_tables("Id,a,f,y\n1,1,p,10\n2,2,,20\n3,3,q,\n4,4,NA,40\n5,5,q,50\n", "Id,a\n6,1\n")
    dataset = ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse", fold_column="f")
    assert dataset.fold_columns["f"].tolist() == ["p", None, None, "q"]
    assert list(dataset.train.columns) == ["a"]
    assert ingested().fold_columns == {}


def test_a_feature_equal_to_the_column_of_the_folds_is_kept():
    """The folds may take theirs away; another feature that repeats an earlier one still goes."""
    train = "Id,f,a,b,y\n" + "".join(f"{i},{i % 3},{i % 3},{i % 3},{i}\n" for i in range(9))
    roles = Schema(id="Id", target="y")
    raw = raw_tables(train, "Id,f,a,b\n9,1,1,1\n")
    assert list(ingest(raw, roles=roles, metric="rmse").train.columns) == ["f"]
    dataset = ingest(raw, roles=roles, metric="rmse", fold_column="f")
    assert list(dataset.train.columns) == ["f", "a"]
    assert about(dataset, "b") == [("equal to 'a' in every row: the column was dropped", 9)]


def test_a_typed_fold_column_names_its_gaps_as_gaps():
    """A NaN of a Parquet file is no fold called nan."""
    train = typed({"a": [1, 2, 3, 4], "f": [1.0, np.nan, 2.0, None], "y": [1, 2, 3, 5]})
    raw = RawTables(train, typed({"a": [1]}, "test.parquet"), None, {})
    dataset = ingest(raw, roles=Schema(target="y"), metric="rmse", fold_column="f")
    assert dataset.fold_columns["f"].tolist() == ["1", None, "2", None]


def test_what_is_taken_out_of_a_target_is_noticed():
    """As it is of a feature."""
    dataset = ingested('Id,a,c,y\n1,1,x,"$1,234"\n2,5,y,"$5,000"\n3,3,x,$30\n')
    assert dataset.target.tolist() == [1234.0, 5000.0, 30.0]
    assert about(dataset, "y") == [("read as numbers, ',' and '$' in them taken out", 3)]


# --- typed tables


def test_typed_columns_are_taken_as_they_are():
    """A Parquet file: integers with nulls, truth values, instants, dictionaries, decimals, texts; ids become texts."""
    days = [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)]
    columns = {
        "Id": pa.array([7, 8, 9]),
        "whole": pa.array([1, None, 3]),
        "truth": pa.array([True, False, None]),
        "day": pa.array(days).cast(pa.timestamp("ms")),
        "colour": pa.array(["red", None, "blue"]).dictionary_encode(),
        "price": pa.array([Decimal("1.25"), Decimal("2.5"), None]),
        "word": pa.array(["x", "NA", " y"]),
        "huge": pa.array([2**60, 1, 2]),
    }
    train, test = typed(columns | {"y": pa.array([1, 2, 3])}), typed(columns, "test.parquet")
    dataset = ingest(RawTables(train, test, None, {}), roles=Schema(id="Id", target="y"), metric="rmse")
    assert (dataset.numeric, dataset.categorical, dataset.dates) == (
        ("whole", "price", "huge"), ("truth", "colour", "word"), ("day",)
    )  # fmt: skip
    np.testing.assert_array_equal(dataset.train["whole"], [1, np.nan, 3])
    assert texts(dataset.train["truth"]) == ["True", "False", None]
    np.testing.assert_array_equal(dataset.train["price"], [1.25, 2.5, np.nan])
    assert dataset.train["huge"][0] == 2.0**60
    assert dataset.train["day"].tolist() == [pd.Timestamp("2024-01-01"), pd.NaT, pd.Timestamp("2024-01-03")]
    assert (texts(dataset.train["colour"]), texts(dataset.train["word"])) == (["red", None, "blue"], ["x", None, "y"])
    assert dataset.test_ids.tolist() == ["7", "8", "9"]


def test_a_list_in_a_typed_column_is_an_error():
    """The exact sentence; dropped, it harms nobody."""
    train = typed({"a": pa.array([1, 2, 3]), "tags": pa.array([["x"], [], None]), "y": [1, 2, 3]})
    test = typed({"a": pa.array([1]), "tags": pa.array([["x"]])}, "test.parquet")
    raw = RawTables(train, test, None, {})
    with pytest.raises(DataError) as raised:
        ingest(raw, roles=Schema(target="y"), metric="rmse")
    assert str(raised.value) == (
        f"train.parquet: column 'tags' is of type {train.columns['tags'].type}, expected numbers, texts, dates or "
        f"truth values; leave it out with [schema] drop, or save it as one of those"
    )
    assert ingest(raw, roles=Schema(target="y", drop=("tags",)), metric="rmse").numeric == ("a",)


# --- FAULT 40: leaks


def test_a_copy_of_the_target_and_an_id_that_orders_it_are_noticed():
    """FAULT 40: the quick checks of `doctor` run on every dataset; features that only look like it are none."""
    random = np.random.default_rng(0)
    target = np.sort(random.normal(size=400)).round(6)
    noise = random.permutation(400)
    rows = "".join(f"{i},{7 * y},{n},{y}\n" for i, (y, n) in enumerate(zip(target, noise, strict=True)))
    dataset = ingested(f"Id,copy,n,y\n{rows}", "Id,copy,n\n900,1,1\n", None)
    warned = [notice for notice in dataset.notices if "rows looked at" in notice.text]
    assert [notice.subject for notice in warned] == ["copy", "Id"]
    shuffled = "".join(f"{i},{n},{y}\n" for i, n, y in zip(range(400), noise, random.permutation(target), strict=True))
    assert about(ingested(f"Id,n,y\n{shuffled}", "Id,n\n900,1\n", None), "Id") == []
