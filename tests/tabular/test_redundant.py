"""Columns and rows that tell nothing: pandas' own duplicates are the oracle."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables import Notice
from pipeline.tabular.redundant import empty_columns, equal_columns, repeated_rows, row_keys

NAN = np.nan


def levels(*texts, of=None):
    return pd.Categorical(list(texts), categories=pd.Index(of or sorted({t for t in texts if t}), dtype=object))


def dates(*texts):
    return np.array(texts, dtype="datetime64[us]")


def dropped(notices):
    return [notice.subject for notice in notices]


# --- empty and constant columns


def test_columns_without_a_value_or_with_one_are_found():
    """FAULT 28: all missing, always the same number, level or date; each said with its value."""
    frame = pd.DataFrame({
        "empty": [NAN, NAN], "blank": levels(None, None, of=["x"]), "never": dates("NaT", "NaT"),
        "five": [5.0, 5.0], "red": levels("red", "red"), "day": dates("2024-05-01", "2024-05-01"),
        "varies": [1.0, 2.0],
    })  # fmt: skip
    nothing = "no training row has a value: the column was dropped"
    assert empty_columns(frame) == [
        Notice("empty", nothing, 2), Notice("blank", nothing, 2), Notice("never", nothing, 2),
        Notice("five", "always '5.0' on the training rows: the column was dropped", 2),
        Notice("red", "always 'red' on the training rows: the column was dropped", 2),
        Notice("day", "always '2024-05-01 00:00:00' on the training rows: the column was dropped", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [[5.0, NAN, 5.0], levels("red", None, "red"), dates("2024-05-01", "NaT", "2024-05-01"), [0.0, 1e-300, 0.0]],
)
def test_a_column_with_gaps_is_not_constant(values):
    """That a value is missing may tell something; so may the smallest difference."""
    assert empty_columns(pd.DataFrame({"a": values})) == []


def test_a_column_that_varies_only_at_its_end_is_not_constant():
    """Beyond the rows that a first look takes."""
    assert empty_columns(pd.DataFrame({"a": np.append(np.zeros(3000), 1.0)})) == []


def test_zero_is_constant_whatever_its_sign():
    """-0 and 0 are one number; NaN of any bits is one gap."""
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    assert dropped(empty_columns(pd.DataFrame({"zero": [0.0, -0.0], "gap": odd}))) == ["zero", "gap"]


# --- equal columns


def test_a_column_that_repeats_an_earlier_one_is_found():
    """FAULT 28: the first stays; gaps must be in the same places."""
    train = pd.DataFrame({
        "a": [1.0, 2.0, NAN], "b": [1.0, 2.0, 3.0], "c": [1.0, 2.0, NAN],
        "d": levels("x", "y", None), "e": levels("x", "y", None), "f": levels("x", "z", None),
        "g": dates("2024-05-01", "NaT", "2024-05-02"), "h": dates("2024-05-01", "NaT", "2024-05-02"),
    })  # fmt: skip
    assert equal_columns(train, train[:1]) == [
        Notice("c", "equal to 'a' in every row: the column was dropped", 3),
        Notice("e", "equal to 'd' in every row: the column was dropped", 3),
        Notice("h", "equal to 'g' in every row: the column was dropped", 3),
    ]


def test_columns_that_differ_in_test_alone_both_stay():
    """There the second may tell more."""
    train = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    assert equal_columns(train, pd.DataFrame({"a": [3.0], "b": [4.0]})) == []
    assert dropped(equal_columns(train, pd.DataFrame({"a": [3.0], "b": [3.0]}))) == ["b"]


def test_levels_are_compared_by_their_texts():
    """The same codes for other texts are no copy; other codes for the same texts are one."""
    train = pd.DataFrame({"a": levels("x", "y"), "b": levels("u", "v")})
    assert equal_columns(train, train) == []
    wide = pd.DataFrame({"a": levels("x", "y"), "b": levels("x", "y", of=["x", "y", "z"])})
    assert dropped(equal_columns(wide, wide)) == ["b"]


def test_numbers_and_levels_are_never_equal():
    """Codes 0 and 1 are no numbers 0 and 1."""
    train = pd.DataFrame({"a": [0.0, 5e-324], "b": levels("0", "1")})
    assert equal_columns(train, train) == []


def test_columns_that_differ_late_are_told_apart():
    """Beyond the rows that a first look takes, by values whose sum is the same."""
    one, other = np.arange(3000.0), np.arange(3000.0)
    other[[2000, 2500]] = other[[2500, 2000]]
    train = pd.DataFrame({"a": one, "b": other})
    assert equal_columns(train, train) == []


cells = st.sampled_from([0.0, 1.0, -1.0, NAN])


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6))
def test_equal_columns_are_pandas_duplicates_of_the_transposed_table(columns):
    """Any few columns of any few numbers."""
    frame = pd.DataFrame({f"c{i}": values for i, values in enumerate(columns)})
    expected = [name for name, twice in zip(frame, frame.T.duplicated(), strict=True) if twice]
    assert dropped(equal_columns(frame, frame)) == expected


# --- equal rows


@given(
    st.lists(st.tuples(cells, st.sampled_from(["x", "y", None]), st.sampled_from([1.0, 2.0])), min_size=1, max_size=12)
)
def test_repeated_rows_are_pandas_duplicates_of_features_and_target(rows):
    """All but the first of each; a gap equals a gap; another target makes another row."""
    frame = pd.DataFrame({"n": [n for n, _, _ in rows], "t": levels(*(t for _, t, _ in rows), of=["x", "y"])})
    target = np.array([y for _, _, y in rows])
    expected = frame.assign(target=target).duplicated()
    np.testing.assert_array_equal(repeated_rows(frame, target), expected)


def test_a_row_is_known_by_which_column_holds_what():
    """1 and 2 are not 2 and 1; of 40,000 different rows no two share a hash."""
    swapped = row_keys(pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}))
    assert swapped[0] != swapped[1]
    grid = pd.DataFrame({"a": np.repeat(np.arange(200.0), 200), "b": np.tile(np.arange(200.0), 200)})
    assert len(np.unique(row_keys(grid))) == 40_000
