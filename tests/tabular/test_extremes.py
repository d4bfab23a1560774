"""Numbers far out: which row holds them, and that what only looks like one is left alone."""

import numpy as np
import pytest

from pipeline.settings import Preprocess
from pipeline.tables import Encoded
from pipeline.tabular.extremes import far_from_the_others, furthest_out, outermost
from pipeline.tabular.features import fit_features
from pipeline.tabular.scaling import scaled_column

COLUMN = np.random.default_rng(3).normal(5, 2, 60)
ROWS = np.arange(60)


def with_value(value, row=17, column=COLUMN):
    return np.where(np.arange(len(column)) == row, value, column)


def state_of(column, rows=ROWS, scaler="zscore"):
    encoded = Encoded(column[:, None], np.zeros((len(column), 0), np.int32))
    return fit_features(encoded, (), rows, Preprocess(scaler=scaler))


@pytest.mark.parametrize("scaler", ["zscore", "minmax", "robust", "none", "quantile_normal"])
def test_the_outermost_row_is_the_one_with_the_largest_scaled_number(scaler):
    """As by scaling every row; gaps and other rows take no part."""
    column = with_value(np.nan, 3)
    state, rows = state_of(column, scaler=scaler), np.arange(0, 60, 2)
    scaled = scaled_column(state, 0, column, 0.0)
    row, value = outermost(state, 0, column, rows)
    assert row in rows
    assert value == scaled[row]
    assert abs(value) == np.abs(scaled[rows]).max()


def test_no_row_is_outermost_of_nothing():
    """No rows, or gaps only."""
    state = state_of(COLUMN)
    assert outermost(state, 0, COLUMN, ROWS[:0]) == (-1, 0.0)
    assert outermost(state, 0, np.full(60, np.nan), ROWS) == (-1, 0.0)


@pytest.mark.parametrize("value", [1e5, -1e5, 1e60, -1e60, 1e99, 1e300])
def test_one_number_is_measured_in_spreads_of_all_others(value):
    """By hand: its distance from their mean; at most a billion of them."""
    row, away = far_from_the_others(with_value(value), ROWS)
    others = np.delete(COLUMN, 17)
    assert row == 17
    assert away == pytest.approx(min(abs(value - others.mean()) / others.std(), 1e9))


@pytest.mark.parametrize(
    "column",
    [
        np.where(ROWS == 5, 1.0, 0.0),
        np.where(ROWS == 5, 1e60, 7.0),
        np.where(ROWS == 5, 1e60, np.where(ROWS % 2, 0.3, 0.1 + 0.2)),
        np.full(60, np.nan),
        np.full(60, 3.0),
        np.where(ROWS < 9, COLUMN * np.where(ROWS == 1, 1e9, 1), np.nan),
    ],
    ids=["a rare flag", "among equal ones", "whose spread is rounding", "gaps", "a constant", "too few rows to tell"],
)
def test_what_is_alone_is_not_far_out(column):
    """Its others do not vary: where it is missing the column is constant, and 0 after scaling."""
    assert far_from_the_others(column, ROWS) == (-1, 0.0)


def test_heavy_tails_are_not_far_out():
    """A thousand lognormal incomes."""
    column = np.exp(np.random.default_rng(0).normal(10, 2, 1000))
    assert far_from_the_others(column, np.arange(1000))[1] < 1e3


@pytest.mark.parametrize(("row", "expected"), [(17, 17), (55, 55), (45, 45)])
def test_a_number_far_out_is_found_wherever_it_lies(row, expected):
    """Rows 0 to 39 train, 40 to 49 are scored by the fold, 50 to 59 are the test."""
    column = with_value(1e20, row)
    train, valid = ROWS[:40], ROWS[40:50]
    states = (state_of(column, train), state_of(column, ROWS[:50]))
    found, away = furthest_out(column, 0, states, (valid,), ROWS[:50])
    assert (found, abs(away)) == (expected, pytest.approx(1e9))


def test_two_numbers_far_out_in_one_fold_are_found_by_it():
    """Neither is far from the other, but both from the rows that scale them."""
    column = with_value(1e20, 41, with_value(1e20, 42))
    train, valid = ROWS[:40], ROWS[40:50]
    states = (state_of(column, train), state_of(column, ROWS[:50]))
    assert far_from_the_others(column, ROWS[:50])[1] < 1e3
    assert abs(furthest_out(column, 0, states, (valid,), ROWS[:50])[1]) == pytest.approx(1e9)
