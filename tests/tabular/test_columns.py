"""How a column is read: decided on train and test together, applied to a later file the same way, and said."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from builders import table, typed

from pipeline.errors import DataError
from pipeline.settings import Schema
from pipeline.tables import Column, Notice
from pipeline.tabular.cells import Levels
from pipeline.tabular.columns import apply_column, read_column

NAN = np.nan


def one(*cells, file="train.csv", decimal="."):
    """A table of one column `a`."""
    return table("a\n" + "".join(f'"{cell}"\n' for cell in cells), file, decimal)


def read(*tables, **roles):
    return read_column("a", tables, Schema(**roles))


def fault_of(*tables, **roles):
    with pytest.raises(DataError) as raised:
        read(*tables, **roles)
    return str(raised.value)


def plain(values):
    """A table's column as a list, texts and NaN as None."""
    if isinstance(values, Levels):
        return [None if code < 0 else values.texts[code] for code in values.codes]
    return [None if np.isnan(value) else value for value in values.tolist()]


def values_of(reading, place=0):
    return plain(reading.tables[place]["a"])


def numbers(count):
    return [str(i) for i in range(count)]


# --- numbers or levels


def test_a_column_of_numbers_in_train_and_test_is_numeric():
    """Gaps are no texts; the decision is kept for later files."""
    reading = read(one("1", "", "2.5"), one("NA", "7", file="test.csv"))
    assert reading.column == Column("a", "numeric", Schema().missing)
    assert (values_of(reading), values_of(reading, 1)) == ([1.0, None, 2.5], [None, 7.0])
    assert reading.notices == ()


def test_one_text_in_the_test_file_alone_makes_levels_of_a_short_column():
    """Its numbers become levels, and it is said with the place, for it was almost all numbers."""
    reading = read(one(*numbers(10)), one("?", file="test.csv"))
    assert reading.column.role == "categorical"
    assert values_of(reading)[:2] == ["0", "1"]
    text = (
        "almost all numbers, but '?' (test.csv: line 2) made it a text column; to read numbers: [schema] "
        'numeric = ["a"]'
    )
    assert reading.notices == (Notice("a", text, 1),)


def test_a_column_half_of_texts_is_one_of_levels_without_a_word():
    """Nobody would expect numbers there."""
    assert read(one("1", "x", "2", "y")).notices == ()
    assert read(one("1", "x", "2", "y")).column.role == "categorical"


@pytest.mark.parametrize(("count", "role"), [(99, "numeric"), (98, "categorical")])
def test_one_text_in_a_hundred_cells_is_taken_as_missing(count, role):
    """FAULT 25: beside 99 numbers it is one in a hundred; beside 98 it is more. A gap is no cell."""
    reading = read(one(*numbers(count), "old", "", ""))
    assert reading.column.role == role


def test_a_stray_text_late_among_numbers_is_missing_and_counted():
    """FAULT 25: found on line 1002, said with how to keep it, and remembered for later files."""
    reading = read(one(*numbers(1000), "old"), one("3", "old", file="test.csv"))
    assert values_of(reading)[-1] is None
    assert values_of(reading, 1) == [3.0, None]
    text = (
        "texts among numbers, such as 'old' (train.csv: line 1002), count as missing; to keep them as levels: [schema] "
        'categorical = ["a"]'
    )
    assert reading.notices == (Notice("a", text, 2),)
    assert reading.column.missing == (*Schema().missing, "old")
    assert plain(apply_column(reading.column, one("old", "5"))["a"]) == [None, 5.0]


def test_declared_numbers_may_hold_a_tenth_of_texts():
    """One text in ten is missing and counted, as the declaration says; two in ten are an error."""
    reading = read(one(*numbers(9), "n.a."), numeric=("a",))
    assert values_of(reading)[-1] is None
    text = "texts among numbers, such as 'n.a.' (train.csv: line 11), count as missing"
    assert reading.notices == (Notice("a", text, 1),)
    assert fault_of(one(*numbers(8), "n.a.", "-"), numeric=("a",)) == (
        "train.csv: line 10: column 'a' is listed under [schema] numeric but holds 'n.a.' (2 such cells of 10); take "
        "it out of that list, or name the texts under [schema.missing_in]"
    )


def test_a_declared_level_stays_text_although_it_looks_like_a_number():
    """As a class code does, leading zeros included."""
    reading = read(one("020", "20"), categorical=("a",))
    assert (reading.column.role, values_of(reading)) == ("categorical", ["020", "20"])


def test_infinite_numbers_are_missing_and_counted():
    """FAULT 27: three cells of two kinds; the first is named, and the line that leaves the column out."""
    reading = read(one("1", "inf", "1e999"), one("-1e100", file="test.csv"))
    assert values_of(reading) == [1.0, None, None]
    text = (
        "infinite numbers, or beyond 1e100, taken as missing, the first in train.csv: line 3; or leave the column out: "
        '[schema] drop = ["a"]'
    )
    assert reading.notices == (Notice("a", text, 3),)


def test_a_long_column_of_texts_with_numbers_at_its_top_is_one_of_levels():
    """A few rows spread over the file decide whether numbers are tried at all."""
    assert read(one(*numbers(900), *["x"] * 1200)).column.role == "categorical"


# --- thousands, units, decimal commas


def test_thousands_and_units_are_taken_out_and_said():
    """1,234 and $ in one column; a plain number stays; the same characters go at the next file."""
    reading = read(one("$1,234", "$5.5", ""), one("7", file="test.csv"))
    assert (values_of(reading), values_of(reading, 1)) == ([1234.0, 5.5, None], [7.0])
    assert reading.column.removed == ",$"
    assert reading.notices == (Notice("a", "read as numbers, ',' and '$' in them taken out", 2),)
    assert plain(apply_column(reading.column, one("$2,000"))["a"]) == [2000.0]


def test_a_stray_text_does_not_hide_what_groups_thousands():
    """Two hundred numbers with a comma and one "unknown": numbers, and one missing cell."""
    reading = read(one(*(f"{i},000" for i in range(1, 201)), "unknown"))
    assert (reading.column.role, reading.column.removed) == ("numeric", ",")
    assert values_of(reading)[-2:] == [200000.0, None]
    assert [notice.count for notice in reading.notices] == [200, 1]


def test_the_files_decimal_mark_is_followed():
    """1.500 is 1500 in a file of decimal commas, 1.5 in one of points; train and test may differ."""
    reading = read(one("1,5", "2", decimal=","), one("2.5", file="test.csv"))
    assert (values_of(reading), values_of(reading, 1)) == ([1.5, 2.0], [2.5])
    assert values_of(read(one("1.500", "2", decimal=","))) == [1500.0, 2.0]
    assert values_of(read(one("1.500", "2"))) == [1.5, 2.0]


def test_decimal_commas_in_a_file_of_commas_are_said_and_kept_for_later_files():
    """Quoted cells: 0,238 is less than one, and so it is in a file of one row that could be read as thousands."""
    reading = read(one("0,238", "1,58", ""), one("1,500", "7", file="test.csv"))
    assert (values_of(reading), values_of(reading, 1)) == ([0.238, 1.58, None], [1.5, 7.0])
    assert (reading.column.role, reading.column.decimal, reading.column.removed) == ("numeric", ",", "")
    assert reading.notices == (Notice("a", "read as numbers, ',' in them as the decimal mark", 3),)
    assert plain(apply_column(reading.column, one("1,500"))["a"]) == [1.5]
    assert plain(apply_column(reading.column, typed({"a": [1.5]}))["a"]) == [1.5]


def test_per_cent_beside_plain_numbers_are_levels():
    """5% and 0.05 are one number, and neither 5 nor two different ones."""
    reading = read(one("5%", "7%"), one("0.05", "6%", file="test.csv"))
    assert reading.column.role == "categorical"
    assert (values_of(reading), values_of(reading, 1)) == (["5%", "7%"], ["0.05", "6%"])
    assert read(one("5%", "7%"), one("6 %", file="test.csv")).column.removed == "%"


# --- missing texts


def test_what_means_missing_can_be_said_for_one_column():
    """FAULT 29: "None" is missing here, and "NA" a level, whatever they mean elsewhere."""
    reading = read(one("None", "NA", "x"), missing_in={"a": ("None",), "b": ("x",)})
    assert values_of(reading) == [None, "NA", "x"]
    assert values_of(read(one("None", "NA", "x"))) == ["None", None, "x"]


def test_blanks_around_levels_are_taken_off_and_counted():
    """Two cells of three; a gap of blanks is a gap."""
    reading = read(one(" x", "x ", "x", "  "))
    assert values_of(reading) == ["x", "x", "x", None]
    assert reading.notices == (Notice("a", "blanks around texts were taken off", 2),)


# --- ordinals


def test_ordinal_levels_become_their_ranks():
    """Lowest first, from 0; a gap is a gap."""
    reading = read(one("good", "", "poor", "fair"), ordinal={"a": ("poor", "fair", "good")})
    assert values_of(reading) == [2.0, None, 0.0, 1.0]
    assert plain(apply_column(reading.column, one("fair"))["a"]) == [1.0]


def test_a_level_that_is_listed_is_one_although_its_text_means_missing_elsewhere():
    """FAULT 29: NA is "no basement" in the house-price data, below every quality."""
    reading = read(one("NA", "", "TA"), ordinal={"a": ("NA", "TA")})
    assert values_of(reading) == [0.0, None, 1.0]


def test_a_level_that_is_not_listed_is_an_error():
    """The exact sentence, with the first such line of the file that holds it."""
    levels = {"a": ("poor", "fair", "good", "best")}
    assert fault_of(one("good"), one("good", "bad", "odd", file="test.csv"), ordinal=levels) == (
        "test.csv: line 3: column 'a' holds 'bad', 'odd', which [schema.ordinal] does not list (it has 'poor', 'fair', "
        "'good', …); add the level in its place, or name it under [schema.missing_in]"
    )


def test_typed_numbers_may_be_ordinal_levels():
    """By the text a person would write."""
    assert values_of(read(typed({"a": [3, None, 1]}), ordinal={"a": ("1", "3")})) == [1.0, None, 0.0]


# --- dates


def test_dates_are_read_in_their_formats():
    """Tried in turn; what later files hold is read the same way."""
    reading = read(one("2024-02-29", "", "1.3.2024"), dates={"a": ("%Y-%m-%d", "%d.%m.%Y")})
    expected = np.array(["2024-02-29", "NaT", "2024-03-01"], dtype="datetime64[us]")
    np.testing.assert_array_equal(reading.tables[0]["a"], expected)
    later = apply_column(reading.column, one("31.12.2024"))["a"]
    np.testing.assert_array_equal(later, np.array(["2024-12-31"], dtype="datetime64[us]"))


def test_many_texts_that_are_no_date_are_an_error():
    """The exact sentence: more than one in a hundred."""
    assert fault_of(one("2024-01-01", "soon", "later"), dates={"a": ("%Y-%m-%d",)}) == (
        "train.csv: line 3: column 'a' is 'soon', which none of the formats under [schema.dates] reads (2 such cells "
        "of 3; formats: '%Y-%m-%d'); add its format"
    )


def test_a_rare_text_that_is_no_date_is_missing_and_counted():
    """One in a hundred."""
    reading = read(one(*["2024-01-01"] * 99, "soon"), dates={"a": ("%Y-%m-%d",)})
    assert np.isnat(reading.tables[0]["a"]).sum() == 1
    assert reading.notices == (Notice("a", "texts that are no date count as missing", 1),)


def test_instants_with_a_zone_are_said_and_those_without_one_among_them_are_counted():
    """Noon in Kathmandu and at Greenwich, and one cell that does not say where: two zones, one bare."""
    formats = {"a": ("%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M")}
    reading = read(one("2024-05-01T12:00+05:45", "2024-05-01T12:00", "", "2024-05-01T12:00Z"), dates=formats)
    assert [str(value)[11:16] for value in reading.tables[0]["a"]] == ["06:15", "12:00", "", "12:00"]
    text = "instants with a zone or an offset became UTC; 1 without one among them are taken as UTC too"
    assert reading.notices == (Notice("a", text, 2),)
    reading = read(one("2024-05-01T12:00-0300"), one("2024-05-01T12:00Z"), dates=formats)
    assert reading.notices == (Notice("a", "instants with a zone or an offset became UTC", 2),)
    assert read(one("2024-05-01T12:00", "2024-05-01T12:30"), dates=formats).notices == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("us"), np.datetime64("2024-05-01T12:00", "us")),
        (pa.timestamp("ms", tz="Europe/Berlin"), dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)),
        (pa.timestamp("ns"), 1714564800_000000001),
    ],
)
def test_typed_dates_need_no_format(kind, value):
    """Of any unit: nanoseconds are cut off, an instant with a zone becomes UTC."""
    reading = read(typed({"a": pa.array([value, None], kind)}))
    assert reading.column.role == "date"
    expected = np.array(["2024-05-01T12:00", "NaT"], dtype="datetime64[us]")
    np.testing.assert_array_equal(reading.tables[0]["a"], expected)


def test_typed_dates_may_be_declared_levels():
    """What is declared goes before what a type suggests."""
    assert read(typed({"a": [dt.date(2024, 5, 1)]}), categorical=("a",)).column.role == "categorical"


def test_typed_dates_beside_texts_without_a_format_are_an_error():
    """A Parquet test file beside a CSV train file: a sentence, not a fault of pyarrow's."""
    test = typed({"a": [dt.date(2024, 5, 1)]}, "test.parquet")
    assert fault_of(one("2024-05-01"), test) == (
        "train.csv: line 2: column 'a' is '2024-05-01', which none of the formats under [schema.dates] reads (1 such "
        "cells of 1; formats: none); add its format"
    )


# --- free text


def test_free_text_becomes_two_numbers():
    """Characters and words; no text has none of either."""
    reading = read(one("two words", "", "Größe  4 x"), text=("a",))
    assert reading.column.role == "text"
    assert {name: plain(own) for name, own in reading.tables[0].items()} == {
        "a (characters)": [9.0, 0.0, 10.0],
        "a (words)": [2.0, 0.0, 3.0],
    }


# --- typed columns


@pytest.mark.parametrize(
    ("cells", "role", "expected"),
    [
        (pa.array([1, None, 3]), "numeric", [1.0, None, 3.0]),
        (pa.array([True, False, None]), "categorical", ["True", "False", None]),
        (pa.array([1.5, np.nan, None]), "numeric", [1.5, None, None]),
        (pa.array(["x", None, "x"]).dictionary_encode(), "categorical", ["x", None, "x"]),
        (pa.array(["1", None, "2"]).dictionary_encode(), "numeric", [1.0, None, 2.0]),
        (pa.array([None, None, None]), "numeric", [None, None, None]),
    ],
)
def test_typed_columns_keep_their_values(cells, role, expected):
    """As a Parquet file gives them."""
    reading = read(typed({"a": cells}))
    assert (reading.column.role, values_of(reading)) == (role, expected)


@pytest.mark.parametrize("cells", [pa.array([[1]]), pa.array([{"x": 1}]), pa.array([dt.timedelta(1)])])
def test_a_type_that_has_no_reading_is_an_error(cells):
    """The exact sentence, in training and for a later file."""
    message = (
        f"test.parquet: column 'a' is of type {cells.type}, expected numbers, texts, dates or truth values; leave it "
        f"out with [schema] drop, or save it as one of those"
    )
    later = typed({"a": cells}, "test.parquet")
    assert fault_of(one("1"), later) == message
    with pytest.raises(DataError) as raised:
        apply_column(Column("a", "numeric", ()), later)
    assert str(raised.value) == message


def test_truth_values_are_the_same_levels_in_a_typed_file_and_in_one_of_texts():
    """A Parquet file beside a CSV file, whichever trains; and a CSV file later on."""
    truths, words = typed({"a": [True, False, None]}), one("True", "False", "")
    for first, second in ((truths, words), (words, truths)):
        reading = read(first, second)
        assert values_of(reading) == values_of(reading, 1) == ["True", "False", None]
        assert reading.notices == ()
    assert plain(apply_column(read(truths).column, one("False"))["a"]) == ["False"]


def test_a_typed_nan_is_missing_among_levels_too():
    """No level is called nan."""
    reading = read(typed({"a": [1.5, NAN, None]}), categorical=("a",))
    assert values_of(reading) == ["1.5", None, None]


# --- later files


def test_a_text_that_training_never_saw_among_numbers_is_an_error_later():
    """The exact sentence, with its line."""
    with pytest.raises(DataError) as raised:
        apply_column(Column("a", "numeric", ("",)), one("1", "", "old", "old", file="new.csv"))
    assert str(raised.value) == (
        "new.csv: line 4: column 'a' is 'old', but the training rows have numbers there (2 such cells); correct or "
        "blank it"
    )


def test_typed_dates_where_training_had_numbers_are_an_error_later():
    """The exact sentence."""
    with pytest.raises(DataError) as raised:
        apply_column(Column("a", "numeric", ()), typed({"a": [dt.date(2024, 5, 1)]}, "new.parquet"))
    assert str(raised.value) == (
        "new.parquet: column 'a' is of type date32[day], but the training rows have numbers there; save it as numbers"
    )


def test_lines_are_those_that_the_table_tells():
    """A row may start further down than its number, behind a cell with line breaks."""
    from dataclasses import replace

    later = replace(one("1", "old", file="new.csv"), line_of=lambda row: 10 * row + 7)
    with pytest.raises(DataError, match=r"^new\.csv: line 17: column 'a' is 'old'"):
        apply_column(Column("a", "numeric", ()), later)
