"""Texts to numbers and levels: Python's float is the oracle, what is no number is handed back."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import Schema
from pipeline.tabular import cells

MISSING = Schema().missing


def column(*values, kind=None):
    """A column in two chunks, as a large file is read."""
    kind = kind or pa.string()
    middle = len(values) // 2
    return pa.chunked_array([pa.array(values[:middle], kind), pa.array(values[middle:], kind)], kind)


# --- missing texts


def test_missing_texts_become_null_and_blanks_around_others_are_taken_off():
    """A text "None" is a level of the house-price data; " NA " is missing; blanks inside a text stay."""
    found = cells.blank(column("None", " NA ", "", " x y ", "\u00a0"), MISSING)
    assert cells.texts_of(found).tolist() == ["None", None, None, "x y", None]


def test_other_texts_may_mean_missing():
    """Named ones replace the usual ones; none at all leave even an empty cell as it is."""
    assert cells.texts_of(cells.blank(column("None", "NA"), ("None",))).tolist() == [None, "NA"]
    assert cells.texts_of(cells.blank(column("", "NA"), ())).tolist() == ["", "NA"]


def test_typed_cells_are_not_blanked():
    """The number 0 of a Parquet file is no text, whatever texts mean missing."""
    for kind in (pa.int64(), pa.float64()):
        numbers = column(0, 7, None, kind=kind)
        assert cells.blank(numbers, ("0",)) is numbers


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_a_typed_nan_is_missing(kind):
    """Also where the column is one of levels: none of them is called nan."""
    blanked = cells.blank(column(1.5, np.nan, None, 2.0, kind=kind), ())
    assert blanked.to_pylist() == [1.5, None, None, 2.0]
    assert cells.levels_of(blanked).texts.tolist() == ["1.5", "2"]


def test_typed_truth_values_are_the_texts_of_csv_files():
    """As Python and pandas write them; a gap is a gap."""
    blanked = cells.blank(column(True, None, False, kind=pa.bool_()), MISSING)
    assert blanked.to_pylist() == ["True", None, "False"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_way_of_storing_texts_is_blanked_alike(kind):
    """Large texts, views and dictionaries, as Parquet files hold them, are texts too."""
    stored = (
        column(" a", "NA", None, "b", "a").cast(kind) if kind != pa.string() else column(" a", "NA", None, "b", "a")
    )
    assert cells.is_text(stored)
    blanked = cells.blank(stored, MISSING)
    assert cells.texts_of(blanked).tolist() == ["a", None, None, "b", "a"]
    levels = cells.levels_of(blanked)
    assert (levels.codes.tolist(), levels.texts.tolist()) == ([0, -1, -1, 1, 0], ["a", "b"])


# --- levels


@given(st.lists(st.sampled_from(["b", "a", "", "ä", None]), max_size=12))
def test_codes_and_texts_give_the_column_back(values):
    """Each distinct text once, in the order of its first appearance; -1 where missing; an empty text is a text."""
    levels = cells.levels_of(column(*values))
    assert [None if code < 0 else levels.texts[code] for code in levels.codes] == values
    assert levels.texts.tolist() == list(dict.fromkeys(value for value in values if value is not None))


def test_typed_values_become_texts():
    """What a person would write: a number without a needless point, a date, a truth value."""
    assert cells.texts_of(column(1, None, kind=pa.int64())).tolist() == ["1", None]
    assert cells.texts_of(column(1.0, 2.5, kind=pa.float64())).tolist() == ["1", "2.5"]
    assert cells.texts_of(column(True, None, kind=pa.bool_())).tolist() == ["true", None]
    assert cells.texts_of(column(dt.date(2024, 2, 29), kind=pa.date32())).tolist() == ["2024-02-29"]
    assert cells.texts_of(column()).tolist() == []


# --- numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("-2.5", -2.5), ("1e3", 1000), ("+7", 7), (".5", 0.5), ("5.", 5), ("007", 7), ("1E-2", 0.01),
     ("9007199254740993", 2.0**53), ("-0", 0)],
)  # fmt: skip
@pytest.mark.parametrize("neighbour", ["0", "?"])
def test_a_text_that_is_a_number_becomes_it(text, number, neighbour):
    """Signs and exponents included, and also where a neighbour is none: that is read on another path."""
    assert cells.numbers_of(column(text, neighbour)).values[0] == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e99, max_value=1e99), st.sampled_from(["0", "?"]))
def test_every_number_that_python_writes_comes_back(number, neighbour):
    """Bit for bit, on both paths."""
    assert cells.numbers_of(column(repr(number), neighbour)).values[0] == number


@given(st.text(alphabet="0123456789.+-eE naif", max_size=8))
def test_a_text_is_a_number_only_if_python_says_so(text):
    """Whatever is read as a number is that number to Python; what Python cannot read is handed back."""
    trimmed = text.strip()
    found = cells.numbers_of(column(trimmed))
    try:
        expected = float(trimmed)
    except ValueError:
        assert found.wrong.tolist() == [trimmed]
        return
    if found.wrong_cells:
        assert math.isnan(expected)
    elif abs(expected) < 1e100:
        assert found.values[0] == expected
    else:
        assert found.boundless == 1


@pytest.mark.parametrize(
    "text", ["abc", "1,5", "1 000", "12a", "0x1F", "1_000", "True", "nan", "NaN(1)", "", "٣", "1e"]
)
def test_a_text_that_is_no_number_is_reported(text):
    """It becomes NaN, and is handed back as it stands, with its row and how many cells hold it."""
    numbers = cells.numbers_of(column("1", None, text, text))
    assert np.isnan(numbers.values).tolist() == [False, True, True, True]
    assert (numbers.wrong.tolist(), numbers.wrong_cells, numbers.first_wrong) == ([text], 2, 2)


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "+INF", "1e999", "-1e100"])
@pytest.mark.parametrize("neighbour", ["1", "?"])
def test_a_boundless_number_is_missing_and_counted(text, neighbour):
    """FAULT 27: one such cell must not turn a column of numbers into a column of texts."""
    numbers = cells.numbers_of(column("1", text, None, neighbour))
    assert np.isnan(numbers.values[:3]).tolist() == [False, True, True]
    assert (numbers.boundless, numbers.first_boundless) == (1, 1)
    assert text not in numbers.wrong.tolist()


def test_huge_integers_of_both_signs_are_numbers_too():
    """FAULT 26: beyond int64 on one side and below 0 on the other, which no integer type holds together."""
    numbers = cells.numbers_of(column("-1", "18446744073709551615", "123456789012345678901234567890"))
    assert numbers.values.tolist() == [-1.0, 18446744073709551615.0, 123456789012345678901234567890.0]
    assert numbers.wrong_cells == 0


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 2**60 + 1], pa.int64(), [1.0, np.nan, 2.0**60]),
        ([True, None, False], pa.bool_(), [1.0, np.nan, 0.0]),
        ([Decimal("1.25"), None], pa.decimal128(5, 2), [1.25, np.nan]),
        ([1.5, np.nan, np.inf], pa.float32(), [1.5, np.nan, np.nan]),
        ([None, None], pa.null(), [np.nan, np.nan]),
    ],
)
def test_typed_numbers_are_taken_as_they_are(values, kind, expected):
    """Integers beyond 2^53 lose their last digits as texts do; null and NaN are missing, infinity is too."""
    np.testing.assert_array_equal(cells.numbers_of(column(*values, kind=kind)).values, expected)


def test_an_empty_column_is_no_fault():
    """A file with a header only ends elsewhere; a selection of no rows ends here."""
    for kind in (pa.string(), pa.float64()):
        numbers = cells.numbers_of(pa.chunked_array([], kind), removed="," if kind == pa.string() else "")
        assert (len(numbers.values), numbers.wrong_cells, numbers.first_wrong) == (0, 0, -1)


# --- decimal commas, thousands, units


@pytest.mark.parametrize(
    ("text", "decimal", "removed", "number"),
    [
        ("1,5", ",", "", 1.5), ("-1,5e3", ",", "", -1500), ("12", ",", "", 12), (",5", ",", "", 0.5),
        ("1,234", ".", ",", 1234), ("-1,234,567.5", ".", ",", -1234567.5), ("999", ".", ",", 999),
        ("1.234,5", ",", ".", 1234.5), ("1 234", ".", " ", 1234), ("1\u00a0234,5", ",", "\u00a0", 1234.5),
        ("1\u202f234", ".", "\u202f", 1234), ("1'234.5", ".", "'", 1234.5),
        ("$5", ".", "$", 5), ("-$5.5", ".", "$", -5.5), ("5 €", ".", "€", 5), ("5%", ".", "%", 5),
        ("1\u202f234,50\u00a0€", ",", "\u202f€", 1234.5), ("$1,234", ".", ",$", 1234),
    ],
)  # fmt: skip
def test_what_groups_thousands_or_names_a_unit_can_be_taken_out(text, decimal, removed, number):
    """By hand, in the way of several countries."""
    numbers = cells.numbers_of(column(text, None), decimal=decimal, removed=removed)
    assert numbers.values[0] == number
    assert numbers.wrong_cells == 0


@pytest.mark.parametrize(
    ("text", "decimal", "removed"),
    [("1.5", ",", ""), ("1,23", ".", ","), ("0,238", ".", ","), ("007,000", ".", ","),
     ("1,2345", ".", ","), ("12,34,567", ".", ","), (",123", ".", ","),
     ("1,234,", ".", ","), ("5$5", ".", "$"), ("$", ".", "$"), ("$5$", ".", "€"), ("1 23", ".", " ")],
)  # fmt: skip
def test_characters_that_group_no_thousands_are_not_taken_out(text, decimal, removed):
    """1,23 is more likely 1.23 than 123, 0,238 less than one: no numbers here rather than wrong ones."""
    numbers = cells.numbers_of(column(text, "7"), decimal=decimal, removed=removed)
    assert numbers.wrong.tolist() == [text]
    assert numbers.values[1] == 7


def test_a_decimal_mark_is_never_taken_out():
    """What groups thousands in a file with commas is the mark of one with points: 1.500 is no 1500 there."""
    for decimal, number in ((".", 1.5), (",", 1500)):
        assert cells.numbers_of(column("1.500"), decimal=decimal, removed=".").values[0] == number


# --- rows spread over a file


@given(st.integers(0, 300), st.integers(2, 40))
def test_spread_rows_are_even_ascending_and_hold_both_ends(rows, most):
    """Never more than asked for, and all rows where there are few."""
    found = cells.spread_rows(rows, most)
    assert len(found) == min(rows, most)
    assert (np.diff(found) > 0).all()
    if rows > most:
        assert (found[0], found[-1]) == (0, rows - 1)
        assert np.ptp(np.diff(found)) <= 1
