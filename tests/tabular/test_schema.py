"""Column roles and dtypes."""

import numpy as np
import pandas as pd
import pytest
from builders import raw_tables, table

from pipeline.errors import DataError
from pipeline.settings import Schema
from pipeline.tabular import schema

ROLES = Schema(id="Id", target="y")


def texts(*values):
    return pd.Series(values, dtype="str")


def assigned(train, test, **roles):
    roles = Schema(id="Id", target="y", **roles)
    raw = raw_tables(train, test)
    frames = [schema.blank_missing(frame, roles.missing) for frame in (raw.train, raw.test)]
    numeric, categorical, notices = schema.assign_types(*frames, raw, roles)
    return numeric, categorical, [(notice.subject, notice.text, notice.count) for notice in notices]


def test_the_line_of_a_row_counts_the_header():
    """The first row stands on line 2."""
    assert schema.line_of(0) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), (" -2.5 ", -2.5), ("1e3", 1000), ("+7", 7), (".5", 0.5), ("007", 7), ("9007199254740993", 2.0**53)],
)
def test_a_text_that_is_a_number_becomes_it(text, number):
    """Signs, exponents and blanks around it included."""
    numbers, wrong = schema.as_numbers(texts(text, "0"))
    assert numbers[0] == number
    assert len(wrong) == 0


@pytest.mark.parametrize("text", ["abc", "1,5", "1 000", "12a", "0x1F", "1_000", "True", "nan"])
def test_a_text_that_is_no_finite_number_is_reported(text):
    """It becomes NaN, and is handed back as it stands."""
    numbers, wrong = schema.as_numbers(texts("1", text, None))
    assert np.isnan(numbers).tolist() == [False, True, True]
    assert wrong.tolist() == [text]


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "1e999", "-1e100"])
def test_a_boundless_number_is_missing_and_counted(text):
    """FAULT 27: one such cell must not turn a column of numbers into a column of texts."""
    numbers, wrong = schema.as_numbers(texts("1", text, None))
    assert np.isnan(numbers).tolist() == [False, True, True]
    assert len(wrong) == 0
    assert schema.boundless_cells(texts("1", text, None)) == 1


def test_huge_integers_of_both_signs_are_numbers_too():
    """Beyond int64 on one side and below 0 on the other, which no integer type of pandas holds together."""
    numbers, wrong = schema.as_numbers(texts("-1", "18446744073709551615", "123456789012345678901234567890"))
    assert numbers.tolist() == [-1.0, 18446744073709551615.0, 123456789012345678901234567890.0]
    assert len(wrong) == 0


def test_missing_texts_are_blanked_with_blanks_around_them_and_nothing_else_is():
    """A text "None" is a level of the house-price data; " NA " is missing; other cells keep their bytes."""
    frame = schema.blank_missing(pd.DataFrame({"a": texts("None", " NA ", "", " x ")}), ROLES.missing)
    assert frame["a"].isna().tolist() == [False, True, True, False]
    assert schema.texts_of(frame["a"]).tolist() == ["None", None, None, " x "]


def test_a_column_is_numeric_only_if_train_and_test_hold_nothing_else():
    """One text in the test file alone makes `b` a text column: its numbers become levels."""
    numeric, categorical, notices = assigned("Id,a,b,y\n1,1,1,0\n2,,2,0\n", "Id,a,b\n3,5,x\n")
    assert (numeric, categorical) == (("a",), ("b",))
    assert notices == []


def test_a_column_of_numbers_with_a_rare_text_is_noticed():
    """One text in eleven cells: treated as text, and said."""
    rows = "".join(f"{i},{i},0\n" for i in range(10))
    _, categorical, notices = assigned(f"Id,a,y\n{rows}", "Id,a\n11,?\n")
    assert categorical == ("a",)
    text = "almost all numbers, but '?' in test.csv made it a text column; [schema] missing can tell"
    assert notices == [("a", text, 1)]


def test_a_declared_text_stays_text_although_it_looks_like_numbers():
    """As a class code does."""
    assert assigned("Id,a,y\n1,20,0\n", "Id,a\n2,30\n", categorical=("a",))[:2] == ((), ("a",))


def test_a_text_in_a_declared_number_is_an_error():
    """The exact sentence."""
    with pytest.raises(DataError) as raised:
        assigned("Id,a,y\n1,20,0\n2,n.a.,0\n", "Id,a\n3,-\n", numeric=("a",))
    assert str(raised.value) == (
        "train.csv: column 'a' is listed under [schema] numeric but holds 'n.a.' (2 such cells); correct it, or name "
        "the text under [schema] missing"
    )


def test_a_column_without_a_value_is_dropped_and_noticed():
    """Nothing could be learned from it, even if test rows have values."""
    numeric, categorical, notices = assigned("Id,a,b,y\n1,,1,0\n2,NA,2,0\n", "Id,a,b\n3,5,1\n")
    assert (numeric, categorical) == (("b",), ())
    assert notices == [("a", "no training row has a value: the column was dropped", 2)]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_texts_come_out_as_none(missing):
    """Whatever pandas keeps them as."""
    assert schema.texts_of(pd.Series(["a", missing], dtype=object)).tolist() == ["a", None]
    assert schema.texts_of(texts("a", None)).tolist() == ["a", None]


@pytest.mark.parametrize(
    ("train", "test", "roles", "message"),
    [
        ("id,a,y\n1,1,1\n", "id,a\n2,1\n", {},
         "train.csv: no column 'Id', which [schema] id names; the file has 'id', 'a', 'y'"),
        ("Idx,a,y\n1,1,1\n", "Idx,a\n2,1\n", {},
         "train.csv: no column 'Id', which [schema] id names; did you mean 'Idx'?"),
        ("Id,a,yy\n1,1,1\n", "Id,a\n2,1\n", {},
         "train.csv: no column 'y', which [schema] target names; did you mean 'yy'?"),
        ("Id,area,y\n1,1,1\n", "Id,area\n2,1\n", {"drop": ("aera",)},
         "train.csv: no column 'aera', listed in [schema] drop; did you mean 'area'?"),
        ("Id,a,y\n1,1,1\n", "Id,a,y\n2,1,1\n", {},
         ("test.csv: contains the target 'y'; a test file has none: remove the column, or name the right target under "
         "[schema]")),
        ("Id,a,y\n1,1,1\n", "Id,a\n2,1\n", {"drop": ("a",)},
         "train.csv: no feature column is left besides id, target and [schema] drop"),
    ],
)  # fmt: skip
def test_a_fault_of_the_columns_is_a_sentence(train, test, roles, message):
    """Each fault's exact words: the file, what was found, what was expected."""
    with pytest.raises(DataError) as raised:
        schema.check_columns(raw_tables(train, test), Schema(id="Id", target="y", **roles))
    assert str(raised.value) == message


def test_a_column_only_in_one_file_may_be_dropped_by_name():
    """As the house-price data's other columns would be."""
    schema.check_columns(raw_tables("Id,a,b,y\n1,1,1,1\n", "Id,a\n2,1\n"), Schema(id="Id", target="y", drop=("b",)))


def test_tables_of_the_tests_are_what_the_pipeline_reads(tmp_path):
    """The builders' text frames equal those of `sources.read_csv`, dtypes included."""
    from pipeline.sources import read_csv

    text = "Id,a,b\n1,,NA\n2,x y,3\n"
    (tmp_path / "t.csv").write_text(text)
    pd.testing.assert_frame_equal(table(text), read_csv(tmp_path / "t.csv"))
