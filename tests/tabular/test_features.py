"""Columns to numbers: the textbook's pandas lines are the oracle, poisoned rows the proof that nothing leaks."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.tables import Encoded, FeatureState
from pipeline.tabular.features import (
    MISSING,
    UNKNOWN,
    apply_features,
    column_names,
    encode,
    fit_features,
    take,
    vocabulary_of,
)

LEVELS = ["a", "b", "c", None]


def frame_of(numbers, texts):
    """Numeric columns n0, n1 … and text columns t0, t1 …, typed as ingest leaves them."""
    columns = {f"n{i}": np.array(values, dtype=np.float64) for i, values in enumerate(numbers)}
    columns |= {f"t{i}": pd.Series(values, dtype="str") for i, values in enumerate(texts)}
    return pd.DataFrame(columns)


def roles_of(frame):
    return [n for n in frame if n[0] == "n"], [n for n in frame if n[0] == "t"]


def fitted(frame, index=None, *, min_frequency=1):
    numeric, categorical = roles_of(frame)
    vocabulary = vocabulary_of(frame, categorical)
    rows = encode(frame, numeric, categorical, vocabulary)
    chosen = rows if index is None else take(rows, np.asarray(index))
    return fit_features(chosen, vocabulary, min_frequency=min_frequency), rows, vocabulary


def matrix_of(frame, index=None, *, min_frequency=1, dummy_na=True):
    """The matrix of all rows under the state fitted on some, as a frame with the columns' names."""
    state, rows, vocabulary = fitted(frame, index, min_frequency=min_frequency)
    matrix = apply_features(state, rows, vocabulary, states=[state], dummy_na=dummy_na)
    return pd.DataFrame(matrix, columns=list(column_names([state], *roles_of(frame), dummy_na=dummy_na)))


def textbook(frame, *, dummy_na=True):
    """Dive into Deep Learning, word for word: z-score, 0 for missing, get_dummies."""
    numeric, categorical = roles_of(frame)
    features = frame.copy()
    features[numeric] = features[numeric].apply(lambda x: (x - x.mean()) / (x.std()))
    features[numeric] = features[numeric].fillna(0)
    return pd.get_dummies(features, columns=categorical, dummy_na=dummy_na, dtype=float)


def equal_states(one, other):
    return (
        np.array_equal(one.mean, other.mean)
        and np.array_equal(one.scale, other.scale)
        and one.levels == other.levels
        and one.grouped == other.grouped
    )


numbers_strategy = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))
frames = st.integers(2, 12).flatmap(
    lambda rows: st.builds(
        frame_of,
        st.lists(st.lists(numbers_strategy, min_size=rows, max_size=rows), min_size=1, max_size=3),
        st.lists(st.lists(st.sampled_from(LEVELS), min_size=rows, max_size=rows), min_size=1, max_size=2),
    )
)


# --- the textbook's preprocessing


@given(frames, st.booleans())
def test_preprocessing_on_all_rows_equals_the_textbooks_pandas_lines(frame, dummy_na):
    """Column for column and value for value, whatever is missing, constant or rare."""
    numeric, _ = roles_of(frame)
    # where pandas divides the rounding noise of a constant column by itself, a spread near 1e-16 of the mean
    assume(all(not 0 < frame[n].std() <= 1e-9 * max(frame[n].abs().max(), 1e-300) for n in numeric))
    expected = textbook(frame, dummy_na=dummy_na)
    found = matrix_of(frame, dummy_na=dummy_na)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(dtype=float), rtol=1e-5, atol=1e-6)


def test_a_small_table_is_what_one_gets_by_hand():
    """1, 3, missing: mean 2, sample deviation root 2; a text with its own column for missing."""
    found = matrix_of(frame_of([[1, 3, np.nan]], [["x", None, "y"]]))
    assert list(found.columns) == ["n0", "t0_x", "t0_y", "t0_nan"]
    expected = [[-(0.5**0.5), 1, 0, 0], [0.5**0.5, 0, 0, 1], [0, 0, 1, 0]]
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize(
    "values", [[5, 5, np.nan, 5], [np.nan] * 4, [7, np.nan, np.nan, np.nan], [0.1] * 4, [1e15] * 4]
)
def test_a_constant_column_gives_zeros(values):
    """Also with gaps, with nothing but gaps, with one value, and where the mean rounds: no NaN, no infinity."""
    assert (matrix_of(frame_of([values], []))["n0"] == 0).all()


@given(st.floats(-1e9, 1e9), st.integers(2, 40))
def test_rounding_noise_of_a_constant_column_is_not_signal(value, rows):
    """The mean of equal numbers can miss them by a rounding: their z-scores still are 0."""
    assert (matrix_of(frame_of([[value] * rows], []))["n0"] == 0).all()


def test_a_tiny_but_true_spread_is_kept():
    """1e-8 and 3e-8 are as different as 1 and 3."""
    np.testing.assert_allclose(matrix_of(frame_of([[1e-8, 3e-8]], []))["n0"], [-(0.5**0.5), 0.5**0.5], rtol=1e-6)


# --- what was fitted looks at its rows only


@given(frames, st.data())
def test_fitted_state_ignores_every_other_row(frame, data):
    """Rows outside the fit turn to 1e9, NaN, missing and new levels: the state stays equal, value for value."""
    inside = data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, unique=True))
    outside = np.setdiff1d(np.arange(len(frame)), inside)
    numeric, categorical = roles_of(frame)
    poisoned = frame.copy()
    for name in numeric:
        poisoned.loc[outside, name] = data.draw(st.sampled_from([1e9, -1e300, np.nan]))
    for name in categorical:
        poisoned.loc[outside, name] = data.draw(st.sampled_from(["AAA", "b", "zzz", None]))
    frequency = data.draw(st.integers(1, 3))
    clean_state, _, _ = fitted(frame, inside, min_frequency=frequency)
    poisoned_state, _, _ = fitted(poisoned, inside, min_frequency=frequency)
    assert equal_states(clean_state, poisoned_state)


@given(frames, st.data())
def test_applying_looks_at_one_row_and_the_state(frame, data):
    """Each row's numbers are the same alone, in any order and beside any other row."""
    state, rows, vocabulary = fitted(frame)
    index = np.array(data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1)))
    whole = apply_features(state, rows, vocabulary, states=[state], dummy_na=True)
    some = apply_features(state, take(rows, index), vocabulary, states=[state], dummy_na=True)
    assert np.array_equal(some, whole[index])


# --- levels


def test_a_level_unseen_in_the_fit_goes_nowhere_or_to_the_rare_ones():
    """Fitted on the first rows only; c is new. Without a column for rare levels its row is all 0, with one it is 1."""
    frame = frame_of([], [["a", "a", "b", "c", None]])
    nowhere = matrix_of(frame, range(3))
    assert list(nowhere.columns) == ["t0_a", "t0_b", "t0_nan"]
    assert nowhere.loc[3].tolist() == [0, 0, 0]
    rare = matrix_of(frame, range(3), min_frequency=2)
    assert list(rare.columns) == ["t0_a", "t0_(rare)", "t0_nan"]
    assert rare.to_numpy().tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_a_level_outside_the_vocabulary_is_treated_like_one_unseen_in_the_fit():
    """Rows that come after training: UNKNOWN goes to the rare column, or nowhere; missing is never unknown."""
    vocabulary = [("a", "b")]
    rows = encode(pd.DataFrame({"t0": pd.Series(["a", "new", None], dtype="str")}), [], ["t0"], vocabulary)
    assert rows.codes[:, 0].tolist() == [0, UNKNOWN, MISSING]
    codes = np.array([[0], [0], [1]])
    for frequency, expected in ((1, [[1, 0, 0], [0, 0, 0], [0, 0, 1]]), (2, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])):
        state = fit_features(Encoded(np.zeros((3, 0)), codes), vocabulary, min_frequency=frequency)
        assert apply_features(state, rows, vocabulary, states=[state], dummy_na=True).tolist() == expected


@pytest.mark.parametrize(
    ("frequency", "columns"),
    [
        (1, ["t0_a", "t0_b", "t0_c", "t0_nan"]),
        (2, ["t0_a", "t0_b", "t0_(rare)", "t0_nan"]),
        (3, ["t0_a", "t0_(rare)", "t0_nan"]),
        (4, ["t0_(rare)", "t0_nan"]),
    ],
)
def test_levels_on_fewer_rows_than_min_frequency_share_one_column(frequency, columns):
    """Three a, two b, one c and a gap: a threshold of 2 groups c, of 3 b too, of 4 all; each row has one 1."""
    found = matrix_of(frame_of([], [["a", "a", "a", "b", "b", "c", None]]), min_frequency=frequency)
    assert list(found.columns) == columns
    assert (found.sum(axis=1) == 1).all()


@given(frames, st.integers(1, 3))
def test_with_a_column_for_missing_every_fitted_row_has_one_one_per_text(frame, frequency):
    """One-hot: each text column's block sums to 1 on the rows of the fit."""
    found = matrix_of(frame, min_frequency=frequency)
    _, categorical = roles_of(frame)
    for name in categorical:
        assert (found.filter(regex=f"^{name}_").sum(axis=1) == 1).all()


@given(frames, st.integers(1, 3), st.booleans())
def test_folds_share_one_layout_and_leave_what_they_never_learned_at_zero(frame, frequency, dummy_na):
    """Two folds on their union columns: a fold's own columns as if it were alone, 0 in all others."""
    numeric, categorical = roles_of(frame)
    vocabulary = vocabulary_of(frame, categorical)
    rows = encode(frame, numeric, categorical, vocabulary)
    half = len(frame) // 2
    bounds = [0, half, len(frame)]
    states = [
        fit_features(take(rows, np.arange(a, b)), vocabulary, min_frequency=frequency) for a, b in pairwise(bounds)
    ]
    union = column_names(states, numeric, categorical, dummy_na=dummy_na)
    for state in states:
        matrix = apply_features(state, rows, vocabulary, states=states, dummy_na=dummy_na)
        assert matrix.shape == (len(frame), len(union))
        together = pd.DataFrame(matrix, columns=list(union))
        own = list(column_names([state], numeric, categorical, dummy_na=dummy_na))
        alone = apply_features(state, rows, vocabulary, states=[state], dummy_na=dummy_na)
        assert np.array_equal(together[own].to_numpy(), alone)
        assert not together.drop(columns=own).to_numpy().any()


def test_a_column_for_rare_levels_belongs_to_the_folds_that_learned_it():
    """Fold one saw only a's, fold two a single b: in fold one b goes nowhere, for its rare column was never trained."""
    frame = frame_of([], [["a", "a", "b", None]])
    (one, rows, vocabulary), (two, _, _) = (fitted(frame, index, min_frequency=2) for index in ([0, 1], [2, 3]))
    assert column_names([one, two], [], ["t0"], dummy_na=True) == ("t0_a", "t0_(rare)", "t0_nan")
    in_one = apply_features(one, rows, vocabulary, states=[one, two], dummy_na=True)
    in_two = apply_features(two, rows, vocabulary, states=[one, two], dummy_na=True)
    assert in_one.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert in_two.tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_a_number_too_large_for_a_single_is_not_turned_into_infinity():
    """A typing error in one test cell (1e60 beside values around 1) must not reach the network as infinity."""
    state, _, vocabulary = fitted(frame_of([[1.0, 2.0, 3.0]], []))
    matrix = apply_features(
        state, Encoded(np.array([[1e60]]), np.zeros((1, 0), int)), vocabulary, states=[state], dummy_na=True
    )
    assert np.isfinite(matrix).all()


def test_smooth_clipping_bends_large_scores_and_hardly_touches_small_ones():
    """With z / sqrt(1 + (z / 3)^2), 0 stays, 4 becomes 2.4 and nothing passes 3; without it scores are as they were."""
    rows = Encoded(np.array([[0.0], [4.0], [1e12]]), np.zeros((3, 0), dtype=np.int64))
    state = FeatureState(np.zeros(1), np.ones(1), (), ())
    matrix = apply_features(state, rows, (), states=[state], dummy_na=False, smooth_clip=3.0)
    np.testing.assert_allclose(matrix[:, 0], [0.0, 2.4, 3.0], rtol=1e-6)
    plain = apply_features(state, rows, (), states=[state], dummy_na=False)
    np.testing.assert_allclose(plain[:, 0], [0.0, 4.0, 1e9])
