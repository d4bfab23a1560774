"""Numbers that are written otherwise: what is taken out of them, and when a comma is their decimal mark."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tabular import notation
from pipeline.tabular.notation import Written


def texts(*values):
    return np.array(values, dtype=object)


def column(*values):
    return pa.chunked_array([pa.array(values, pa.string())])


def read(*columns, decimals=None):
    """Values of each column, and how they are written."""
    found, written = notation.read_numbers([column(*own) for own in columns], decimals or ["."] * len(columns))
    return [[None if np.isnan(value) else value for value in numbers.values.tolist()] for numbers in found], written


# --- what is taken out


@pytest.mark.parametrize(
    ("values", "decimal", "removed"),
    [
        (["1,234", "2,000,000"], ".", ","),
        (["1.234"], ",", "."),
        (["$5", "$1,000"], ".", ",$"),
        (["5 %", "7%"], ".", "%"),
        (["1 234"], ",", " "),
        (["1'234"], ".", "'"),
        (["1\u00a0234,5"], ",", "\u00a0"),
        (["1\u202f234,50\u00a0€"], ",", "\u202f€"),
        (["a", "b"], ".", ""),
        (["1,23"], ".", ""),
        (["1,234", "2,000", "unknown"], ".", ","),
        (["1,234", "a", "b"], ".", ""),
        (["0,238", "0,500"], ".", ""),
    ],
)
def test_the_characters_to_take_out_are_those_that_leave_the_fewest_texts(values, decimal, removed):
    """None unless half of the texts become numbers: a single "unknown" must not hide what groups thousands."""
    assert notation.removable(texts(*values), decimal) == removed


def test_plain_numbers_are_written_no_other_way():
    """Nor is a column without any cell."""
    assert read(["1", "2.5", None]) == ([[1.0, 2.5, None]], None)
    assert read([], [None]) == ([[], [None]], None)


def test_what_is_taken_out_counts_the_cells_that_became_numbers_by_it():
    """Two of four in one file and one in the other; a word among them did not, a plain number was one."""
    values, written = read(["$1,234", "$5", "7", "unknown"], ["$6"])
    assert values == [[1234.0, 5.0, 7.0, None], [6.0]]
    assert (written, written.text) == (Written(",$", "", 3), "read as numbers, ',' and '$' in them taken out")


def test_a_per_cent_sign_is_taken_out_only_where_every_number_has_one():
    """5% and 0.05 are one number: beside each other, in one file or in two, neither is read as the other."""
    assert read(["5%", "7 %", None]) == ([[5.0, 7.0, None]], Written("%", "", 2))
    assert read(["5%", "0.05"]) == ([[None, 0.05]], None)
    assert read(["5%", "6%"], ["0.05"]) == ([[None, None], [0.05]], None)


# --- decimal commas


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0,238", "1,58"], [0.238, 1.58]),
        (["0,238", "1,580"], [0.238, 1.58]),
        (["1,580", "12,301", "0,999"], [1.58, 12.301, 0.999]),
        (["-1,5", "+2,25", "7"], [-1.5, 2.25, 7.0]),
        (["1,5", "unknown"], [1.5, None]),
    ],
)
def test_commas_that_group_no_thousands_are_decimal_marks(values, expected):
    """One number that begins with 0 tells it for all, and so do digits that are no group of three."""
    found, written = read(values)
    assert found == [expected]
    assert (written.removed, written.decimal) == ("", ",")
    assert written.text == "read as numbers, ',' in them as the decimal mark"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (["1,580", "12,301"], 0),
        ([*(f"{n},000" for n in range(1, 200)), "1,23"], 1),
        (["1,234.5", "2,000", "1,23"], 1),
    ],
)
def test_commas_that_group_thousands_are_none(values, wrong):
    """A single slip among many does not turn thousands into units; a point behind a comma settles it."""
    found, written = read(values)
    assert (written.removed, written.decimal) == (",", "")
    assert found[0].count(None) == wrong
    assert max(value for value in found[0] if value) >= 2000


def test_a_comma_among_points_is_no_decimal_mark():
    """It would make one cell a number and all others none."""
    assert read(["1.5", "2.5", "3,5"]) == ([[1.5, 2.5, None]], None)


def test_a_file_with_decimal_commas_has_its_own_mark():
    """Its points group thousands; the other file keeps its own."""
    values, written = read(["0,5", "1.000,5"], ["2.5"], decimals=[",", "."])
    assert values == [[0.5, 1000.5], [2.5]]
    assert (written.removed, written.decimal) == (".", "")
    assert not notation.is_decimal_comma(texts("0,5"), ",")


@given(st.lists(st.decimals(-(10**6), 10**6, places=3), min_size=1, max_size=30), st.integers(0, 1))
def test_decimal_commas_are_the_numbers_that_points_would_be(numbers, files):
    """Bit for bit, in one file or two, whenever one of them is below one."""
    plain = [*map(str, numbers), "0.125"]
    values, written = read([text.replace(".", ",") for text in plain], *[["0,125"]] * files)
    assert values == [[float(text) for text in plain], *[[0.125]] * files]
    assert written == Written(decimal=",", cells=len(plain) + files)
