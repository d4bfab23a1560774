"""Columns to numbers: the textbook's pandas lines and scikit-learn are the oracles, poison the proof of no leak."""

import subprocess
import sys
import zlib
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm, skew
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from pipeline.settings import Preprocess
from pipeline.tables import Design, Encoded, Folds
from pipeline.tabular.features import (
    MISSING,
    UNKNOWN,
    buckets_of,
    column_names,
    encode,
    fit_features,
    matrix_for,
    take,
    vocabulary_of,
)

LEVELS = ["a", "b", "c", None]
SCALERS = ["zscore", "minmax", "robust", "quantile_normal", "none"]
IMPUTES = ["zero", "mean", "median", "drop"]
NAN = np.nan
PLAIN = Preprocess()
ROOT = Path(__file__).parents[2]


def levels_of(values, vocabulary=None):
    """A text column as ingest leaves it."""
    known = vocabulary or sorted({value for value in values if value is not None})
    return pd.Categorical(values, categories=pd.Index(known, dtype=object))


def frame_of(numbers, texts=()):
    """Numeric columns n0, n1 … and text columns t0, t1 …, typed as ingest leaves them."""
    columns = {f"n{i}": np.array(values, dtype=np.float64) for i, values in enumerate(numbers)}
    return pd.DataFrame(columns | {f"t{i}": levels_of(values) for i, values in enumerate(texts)})


def roles_of(frame):
    return [n for n in frame if n[0] == "n"], [n for n in frame if n[0] == "t"]


def encoded(frame, vocabulary=None):
    """Rows and vocabulary of a frame."""
    numeric, categorical = roles_of(frame)
    vocabulary = vocabulary or vocabulary_of(frame, categorical)
    return encode([frame], {name: [frame[name].to_numpy()] for name in numeric}, categorical, vocabulary), vocabulary


def fitted(frame, index=None, options=PLAIN, vocabulary=None):
    """The state of a fit on some rows, all rows, and the vocabulary."""
    rows, vocabulary = encoded(frame, vocabulary)
    index = np.arange(len(frame)) if index is None else np.asarray(index)
    return fit_features(rows, vocabulary, index, options), rows, vocabulary


def design_of(states, rows, vocabulary, options=PLAIN):
    """Just enough of a design for its matrices; columns are called n0, … and t0, …."""
    numeric = tuple(f"n{i}" for i in range(rows.numeric.shape[1]))
    categorical = tuple(f"t{i}" for i in range(len(vocabulary)))
    hashed = tuple(buckets_of(levels, options) for levels in vocabulary)
    return Design(
        rows=rows, target=np.zeros(0), folds=Folds((), ()), refit_rows=np.arange(0), numeric=numeric,
        categorical=categorical, vocabulary=tuple(vocabulary), states=tuple(states), target_states=(),
        columns=column_names(states, numeric, categorical, hashed=hashed, dummy_na=options.dummy_na),
        hashed=hashed, dummy_na=options.dummy_na, smooth_clip=options.smooth_clip, notices=(),
    )  # fmt: skip


def matrix_of(frame, index=None, options=PLAIN):
    """The matrix of all rows under the state fitted on some, as a frame with the columns' names."""
    state, rows, vocabulary = fitted(frame, index, options)
    design = design_of([state], rows, vocabulary, options)
    return pd.DataFrame(matrix_for(design, 0, rows), columns=list(design.columns))


def column_of(values, index=None, **options):
    """What one column of numbers becomes."""
    return matrix_of(frame_of([values]), index, Preprocess(**options))["n0"].to_numpy()


def textbook(frame, *, dummy_na=True):
    """Dive into Deep Learning, word for word: z-score, 0 for missing, get_dummies."""
    numeric, categorical = roles_of(frame)
    features = frame.copy()
    features[numeric] = features[numeric].apply(lambda x: (x - x.mean()) / (x.std()))
    features[numeric] = features[numeric].fillna(0)
    return pd.get_dummies(features, columns=categorical, dummy_na=dummy_na, dtype=float)


def assert_equal_states(one, other):
    """Value for value, NaN equal to NaN."""
    for field in fields(one):
        mine, others = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(mine):
            assert_equal_states(mine, others)
        elif isinstance(mine, np.ndarray):
            assert np.array_equal(mine, others, equal_nan=True), field.name
        else:
            assert mine == others, field.name


numbers_strategy = st.one_of(st.just(NAN), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))
frames = st.integers(2, 12).flatmap(
    lambda rows: st.builds(
        frame_of,
        st.lists(st.lists(numbers_strategy, min_size=rows, max_size=rows), min_size=1, max_size=3),
        st.lists(st.lists(st.sampled_from(LEVELS), min_size=rows, max_size=rows), min_size=1, max_size=2),
    )
)
every_option = st.builds(
    Preprocess,
    scaler=st.sampled_from([*SCALERS, "pca_whiten"]),
    impute=st.sampled_from(IMPUTES),
    log1p_skew=st.sampled_from([0.0, 0.5]),
    indicators=st.booleans(),
    min_frequency=st.integers(1, 3),
    smooth_clip=st.sampled_from([0.0, 3.0]),
    clip_unseen=st.booleans(),
    dummy_na=st.booleans(),
    max_levels=st.sampled_from([2, 1000]),
    hash_buckets=st.just(4),
)


# --- the textbook's preprocessing


@given(frames, st.booleans())
def test_preprocessing_on_all_rows_equals_the_textbooks_pandas_lines(frame, dummy_na):
    """Column for column and value for value, whatever is missing, constant or rare."""
    numeric, _ = roles_of(frame)
    # where pandas divides the rounding noise of a constant column by itself, a spread near 1e-16 of the mean
    assume(all(not 0 < frame[n].std() <= 1e-9 * max(frame[n].abs().max(), 1e-290) for n in numeric))
    expected = textbook(frame, dummy_na=dummy_na)
    found = matrix_of(frame, options=Preprocess(dummy_na=dummy_na))
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(dtype=float), rtol=1e-5, atol=1e-6)


def test_a_small_table_is_what_one_gets_by_hand():
    """1, 3, missing: mean 2, sample deviation root 2; a text with its own column for missing."""
    found = matrix_of(frame_of([[1, 3, NAN]], [["x", None, "y"]]))
    assert list(found.columns) == ["n0", "t0_x", "t0_y", "t0_nan"]
    expected = [[-(0.5**0.5), 1, 0, 0], [0.5**0.5, 0, 0, 1], [0, 0, 1, 0]]
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("values", [[5, 5, NAN, 5], [NAN] * 4, [7, NAN, NAN, NAN], [0.1] * 4, [1e15] * 4])
def test_a_constant_column_gives_zeros(scaler, values):
    """Also with gaps, with nothing but gaps, with one value, and where the mean rounds: no NaN, no infinity."""
    assert (column_of(values, scaler=scaler) == 0).all()
    assert (column_of([*values, 9e9], range(4), scaler=scaler) == 0).all()


@given(st.floats(-1e9, 1e9), st.integers(2, 40), st.sampled_from(SCALERS))
def test_rounding_noise_of_a_constant_column_is_not_signal(value, rows, scaler):
    """The mean of equal numbers can miss them by a rounding: their z-scores still are 0."""
    assert (column_of([value] * rows, scaler=scaler) == 0).all()


def test_a_tiny_but_true_spread_is_kept():
    """1e-8 and 3e-8 are as different as 1 and 3."""
    np.testing.assert_allclose(column_of([1e-8, 3e-8]), [-(0.5**0.5), 0.5**0.5], rtol=1e-6)


# --- scalers


def drawn(rows=400, seed=0):
    """Normal numbers with a few gaps; the first 300 rows are those of the fit."""
    random = np.random.default_rng(seed)
    values = random.normal(3, 5, rows)
    values[random.choice(rows, 40, replace=False)] = NAN
    return values, np.arange(300)


@pytest.mark.parametrize(
    ("scaler", "oracle", "tolerance"),
    [
        ("zscore", StandardScaler(), 1e-5),
        ("minmax", MinMaxScaler(), 1e-5),
        ("robust", RobustScaler(), 1e-5),
        ("quantile_normal", QuantileTransformer(n_quantiles=10, output_distribution="normal"), 1e-4),
    ],
)
def test_scalers_are_scikit_learns(scaler, oracle, tolerance):
    """Fitted on 300 rows with gaps, applied to all 400; z-scores have ddof 1 here, 0 there."""
    values, index = drawn()
    expected = oracle.fit(values[index, None]).transform(values[:, None])[:, 0]
    if scaler == "zscore":
        present = np.isfinite(values[index]).sum()
        expected = expected * np.sqrt((present - 1) / present)
    found = column_of(values, index, scaler=scaler)
    np.testing.assert_allclose(found[~np.isnan(values)], expected[~np.isnan(values)], rtol=tolerance, atol=tolerance)
    assert (found[np.isnan(values)] == 0).all()


def test_without_a_scaler_numbers_stay_as_they_are():
    """To single precision; a gap is 0."""
    assert column_of([1.5, -7, NAN], scaler="none").tolist() == [1.5, -7, 0]


def test_a_robust_scale_falls_back_to_half_the_range():
    """Three quarters are 0: no distance between quartiles, but 8 is not 0 either."""
    assert column_of([0, 0, 0, 0, 0, 0, 8], scaler="robust").tolist() == [0, 0, 0, 0, 0, 0, 2]


def test_equal_numbers_take_the_middle_of_their_ranks():
    """Half of the rows are 0: their ranks go from 0 to one half, the middle is the normal's first quartile."""
    values = np.concatenate([np.zeros(500), np.arange(1, 501)])
    found = column_of(values, scaler="quantile_normal")
    assert found[0] == pytest.approx(norm.ppf(0.25), abs=0.06)
    assert found[-1] == pytest.approx(norm.ppf(1 - 1e-7), rel=1e-3)
    beyond = column_of([*values, -5.0, 1e9], range(1000), scaler="quantile_normal")[-2:]
    assert np.abs(beyond) == pytest.approx([norm.ppf(1 - 1e-7)] * 2, rel=1e-3)


@pytest.mark.parametrize(("rows", "quantiles"), [(12, 10), (900, 30), (60_000, 1000)])
def test_quantiles_grow_with_the_rows(rows, quantiles):
    """One for 30 rows, 10 at least and 1000 at most."""
    state, *_ = fitted(frame_of([np.arange(rows)]), options=Preprocess(scaler="quantile_normal"))
    assert state.quantiles.shape == (quantiles, 1)


# --- missing numbers


@pytest.mark.parametrize(("impute", "filled"), [("mean", 2.0), ("median", 1.0), ("drop", 1.0)])
@pytest.mark.parametrize("scaler", SCALERS)
def test_a_gap_becomes_what_its_filling_becomes(impute, filled, scaler):
    """Mean 2 and median 1 of 0, 1 and 5: the row with a gap is the row with that number."""
    values = [0.0, 1.0, 5.0, NAN, filled]
    found = column_of(values, range(3), impute=impute, scaler=scaler)
    assert found[3] == found[4]


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_gap_is_0_after_scaling_unless_it_is_filled(scaler):
    """The mean of z-scores, the median of robust ones, the smallest of a range."""
    assert column_of([3.0, 4.0, 8.0, NAN], scaler=scaler)[3] == 0


def test_a_column_without_a_number_in_the_fit_is_0_everywhere():
    """Whatever fills gaps elsewhere; and its rows in other folds may hold numbers."""
    for impute in IMPUTES:
        assert column_of([NAN, NAN, 7.0], [0, 1], impute=impute).tolist() == [0, 0, 0]


def test_indicators_tell_which_numbers_were_missing():
    """One more column for n0 alone, named like that of a text; n1 has no gap in the fit, so it gets none."""
    frame = frame_of([[1, NAN, 3, NAN], [1, 2, 3, NAN]])
    found = matrix_of(frame, range(3), Preprocess(indicators=True, impute="mean"))
    assert list(found.columns) == ["n0", "n1", "n0_nan"]
    assert found["n0_nan"].tolist() == [0, 1, 0, 1]
    assert list(matrix_of(frame).columns) == ["n0", "n1"]


def test_an_indicator_belongs_to_the_folds_that_had_a_gap():
    """A fold without one shares the layout and leaves the column at 0: its networks never trained it."""
    frame, options = frame_of([[1, 2, NAN, 4]]), Preprocess(indicators=True)
    (one, rows, vocabulary), (two, _, _) = (fitted(frame, index, options) for index in ([0, 1], [2, 3]))
    design = design_of([one, two], rows, vocabulary, options)
    assert design.columns == ("n0", "n0_nan")
    assert matrix_for(design, 0, rows)[:, 1].tolist() == [0, 0, 0, 0]
    assert matrix_for(design, 1, rows)[:, 1].tolist() == [0, 0, 1, 0]


# --- skewed columns


def test_logs_are_taken_of_skewed_columns_that_are_not_negative():
    """Skewness by scipy; a column below 0 or below the bound stays as it is."""
    values = np.exp(np.random.default_rng(0).normal(size=200))
    bound = float(skew(values))
    logged = column_of(values, log1p_skew=bound - 0.01)
    np.testing.assert_allclose(logged, column_of(np.log1p(values)), rtol=1e-5)
    plain = column_of(values)
    np.testing.assert_array_equal(column_of(values, log1p_skew=bound + 0.01), plain)
    np.testing.assert_array_equal(column_of([*values, -1e-9], log1p_skew=1.0), column_of([*values, -1e-9]))


def test_a_gap_is_filled_before_the_log_and_a_number_below_0_counts_as_0():
    """The mean of 0, 0 and 9 is 3; log(1 + 3) is what the row with a 3 gets."""
    found = column_of([0.0, 0.0, 9.0, NAN, 3.0, -5.0], range(3), log1p_skew=0.1, impute="mean", scaler="none")
    np.testing.assert_allclose(found, np.log1p([0, 0, 9, 3, 3, 0]), rtol=1e-6)


# --- what was fitted looks at its rows only


@given(frames, every_option, st.data())
def test_fitted_state_ignores_every_other_row(frame, options, data):
    """Rows outside the fit turn to 1e9, NaN, missing and other levels: the state stays equal, value for value."""
    inside = data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1, unique=True))
    outside = np.setdiff1d(np.arange(len(frame)), inside)
    rows, vocabulary = encoded(frame)
    poisoned = Encoded(rows.numeric.copy(), rows.codes.copy())
    poisoned.numeric[outside] = data.draw(st.sampled_from([1e9, -1e99, NAN]))
    for position, levels in enumerate(vocabulary):
        poisoned.codes[outside, position] = data.draw(st.integers(UNKNOWN, len(levels) - 1))
    assert_equal_states(
        fit_features(rows, vocabulary, np.array(inside), options),
        fit_features(poisoned, vocabulary, np.array(inside), options),
    )


@given(frames, every_option, st.data())
def test_applying_looks_at_one_row_and_the_state(frame, options, data):
    """Each row's numbers are the same alone, in any order and beside any other row; and all are finite."""
    state, rows, vocabulary = fitted(frame, options=options)
    index = np.array(data.draw(st.lists(st.integers(0, len(frame) - 1), min_size=1)))
    design = design_of([state], rows, vocabulary, options)
    whole = matrix_for(design, 0, rows)
    assert np.isfinite(whole).all()
    assert np.array_equal(matrix_for(design, 0, take(rows, index)), whole[index])


# --- levels


def test_frames_are_stacked_and_their_levels_coded_by_the_vocabulary():
    """Each frame brings its own levels: by name, not by number; a new one is UNKNOWN, a gap is MISSING."""
    one = pd.DataFrame({"t0": levels_of(["b", "a", None]), "n0": [1.0, 2.0, NAN]})
    two = pd.DataFrame({"t0": levels_of(["b", "new"]), "n0": [4.0, 5.0]})
    numbers = {"n0": [one["n0"].to_numpy(), two["n0"].to_numpy()]}
    rows = encode([one, two], numbers, ["t0"], [("a", "b")])
    assert rows.codes[:, 0].tolist() == [1, 0, MISSING, 1, UNKNOWN]
    np.testing.assert_array_equal(rows.numeric[:, 0], [1, 2, NAN, 4, 5])
    assert encode([one[:0]], {"n0": [np.empty(0)]}, ["t0"], [("a", "b")]).codes.shape == (0, 1)


def test_a_level_unseen_in_the_fit_goes_nowhere_or_to_the_rare_ones():
    """FAULT 32, fitted on the first rows only; c is new. Without a column for rare levels its row is 0, with one 1."""
    frame = frame_of([], [["a", "a", "b", "c", None]])
    nowhere = matrix_of(frame, range(3))
    assert list(nowhere.columns) == ["t0_a", "t0_b", "t0_nan"]
    assert nowhere.loc[3].tolist() == [0, 0, 0]
    rare = matrix_of(frame, range(3), Preprocess(min_frequency=2))
    assert list(rare.columns) == ["t0_a", "t0_(rare)", "t0_nan"]
    assert rare.to_numpy().tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("frequency", "expected"), [(1, [[1, 0, 0], [0, 0, 0], [0, 0, 1]]), (2, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])]
)
def test_a_level_outside_the_vocabulary_is_treated_like_one_unseen_in_the_fit(frequency, expected):
    """Rows that come after training: UNKNOWN goes to the rare column, or nowhere; missing is never unknown."""
    options = Preprocess(min_frequency=frequency)
    state, rows, vocabulary = fitted(frame_of([], [["a", "a", "b"]]), options=options)
    new, _ = encoded(frame_of([], [["a", "new", None]]), vocabulary)
    assert matrix_for(design_of([state], rows, vocabulary, options), 0, new).tolist() == expected


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
    found = matrix_of(frame_of([], [[*"aaabbc", None]]), options=Preprocess(min_frequency=frequency))
    assert list(found.columns) == columns
    assert (found.sum(axis=1) == 1).all()


@given(frames, st.integers(1, 3))
def test_with_a_column_for_missing_every_fitted_row_has_one_one_per_text(frame, frequency):
    """One-hot: each text column's block sums to 1 on the rows of the fit."""
    found = matrix_of(frame, options=Preprocess(min_frequency=frequency))
    _, categorical = roles_of(frame)
    for name in categorical:
        assert (found.filter(regex=f"^{name}_").sum(axis=1) == 1).all()


@given(frames, every_option)
def test_folds_share_one_layout_and_leave_what_they_never_learned_at_zero(frame, options):
    """Two folds on their union columns: a fold's own columns as if it were alone, 0 in all others."""
    rows, vocabulary = encoded(frame)
    bounds = [0, len(frame) // 2, len(frame)]
    states = [fit_features(rows, vocabulary, np.arange(a, b), options) for a, b in pairwise(bounds)]
    design = design_of(states, rows, vocabulary, options)
    for fold, state in enumerate(states):
        together = pd.DataFrame(matrix_for(design, fold, rows), columns=list(design.columns))
        alone = design_of([state], rows, vocabulary, options)
        assert np.array_equal(together[list(alone.columns)], matrix_for(alone, 0, rows))
        assert not together.drop(columns=list(alone.columns)).to_numpy().any()


def test_a_column_for_rare_levels_belongs_to_the_folds_that_learned_it():
    """Fold one saw only a's, fold two a single b: in fold one b goes nowhere, for its rare column was never trained."""
    frame, options = frame_of([], [["a", "a", "b", None]]), Preprocess(min_frequency=2)
    (one, rows, vocabulary), (two, _, _) = (fitted(frame, index, options) for index in ([0, 1], [2, 3]))
    design = design_of([one, two], rows, vocabulary, options)
    assert design.columns == ("t0_a", "t0_(rare)", "t0_nan")
    assert matrix_for(design, 0, rows).tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert matrix_for(design, 1, rows).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


# --- many levels


@pytest.mark.parametrize(("most", "columns"), [(3, ["t0_a", "t0_b", "t0_c", "t0_nan"]), (2, None)])
def test_a_column_is_hashed_only_beyond_max_levels(most, columns):
    """Three levels: one-hot with max_levels = 3, hashed with 2."""
    found = matrix_of(frame_of([], [[*"abc"]]), options=Preprocess(max_levels=most, hash_buckets=5))
    assert list(found.columns) == (columns or [*(f"t0_(hash {i})" for i in range(5)), "t0_nan"])


def test_a_hashed_level_goes_to_the_bucket_of_its_checksum():
    """crc32 of the text, which no process and no other level changes; a gap to its own column; UNKNOWN nowhere."""
    options = Preprocess(max_levels=2, hash_buckets=5)
    state, rows, vocabulary = fitted(frame_of([], [["red", "green", "blue", None]]), options=options)
    design = design_of([state], rows, vocabulary, options)
    expected = [zlib.crc32(text) % 5 for text in (b"red", b"green", b"blue")]
    assert np.argmax(matrix_for(design, 0, rows), axis=1).tolist() == [*expected, 5]
    assert (matrix_for(design, 0, rows).sum(axis=1) == 1).all()
    new, _ = encoded(frame_of([], [["violet"]]), vocabulary)
    assert not matrix_for(design, 0, new).any()
    assert (state.levels, state.grouped) == (((),), (False,))


@pytest.mark.slow
def test_hashing_is_the_same_in_every_process():
    """Two interpreters whose own hash() differs give the same matrix, bit for bit."""
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/tabular']\n"
        "from test_features import Preprocess, frame_of, matrix_of\n"
        "options = Preprocess(max_levels=2, hash_buckets=64)\n"
        "print(hash('x'), matrix_of(frame_of([], [['x', 'y', 'z', 'ä', None]]), options=options).to_numpy().nonzero())"
    )
    own, found = zip(
        *(
            subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": seed},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split(" ", 1)
            for seed in ("1", "2")
        ),
        strict=True,
    )
    assert own[0] != own[1]
    assert found[0] == found[1]


def test_a_hundred_thousand_levels_fit_into_memory():
    """FAULT 33: 64 columns and one for gaps, where one-hot would take 40 GB; every row has its one."""
    rows = 100_000
    codes = np.arange(rows, dtype=np.int32)
    texts = np.array([f"user-{i}" for i in range(rows)], dtype=object)
    frame = pd.DataFrame({"t0": pd.Categorical.from_codes(codes, categories=pd.Index(texts))})
    found = matrix_of(frame)
    assert found.shape == (rows, 65)
    assert (found.to_numpy().sum(axis=1) == 1).all()
    # each bucket within six deviations of its share, as if drawn
    assert np.abs(found.to_numpy()[:, :64].sum(axis=0) - rows / 64).max() < 6 * np.sqrt(rows / 64)


# --- wild numbers


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("wild", [1e60, -1e99])
def test_a_number_too_large_for_a_single_is_not_turned_into_infinity(scaler, wild):
    """A typing error in one test cell, beside values around 1, must not reach the network as infinity."""
    found = column_of([1.0, 2.0, 3.0, wild], range(3), scaler=scaler)[3]
    assert np.isfinite(found)
    assert np.sign(found) == np.sign(wild)


def test_smooth_clipping_bends_large_scores_and_hardly_touches_small_ones():
    """With z / sqrt(1 + (z / 3)^2), 0 stays, 4 becomes 2.4 and nothing passes 3; without it scores are as they were."""
    values = [0.0, 4.0, 1e12]
    np.testing.assert_allclose(column_of(values, scaler="none", smooth_clip=3.0), [0.0, 2.4, 3.0], rtol=1e-6)
    np.testing.assert_allclose(column_of(values, scaler="none"), [0.0, 4.0, 1e9])


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("log1p_skew", [0.0, 0.1])
def test_numbers_beyond_those_of_the_fit_are_taken_as_the_nearest_of_these(scaler, log1p_skew):
    """Fitted on 1, 2 and 9: 1e6 becomes what 9 becomes and -5 what 1 does; without it a straight line goes on."""
    values, own = [1.0, 2.0, 9.0, 1e6, -5.0, 3.0], {"scaler": scaler, "log1p_skew": log1p_skew}
    found = column_of(values, range(3), clip_unseen=True, **own)
    free = column_of(values, range(3), **own)
    assert (found[3], found[4]) == (found[2], found[0])
    np.testing.assert_array_equal(found[[0, 1, 2, 5]], free[[0, 1, 2, 5]])
    if scaler != "quantile_normal":  # whose ends are ends in any case
        assert free[3] > free[2]


@pytest.mark.parametrize("impute", IMPUTES)
def test_a_missing_number_stays_what_it_is_made_of_beside_numbers_that_are_cut(impute):
    """The fill lies within what was seen; without one it is 0 after scaling; a column of none has no ends."""
    values, own = [1.0, 2.0, 9.0, np.nan, 50.0], {"impute": impute}
    assert column_of(values, range(3), clip_unseen=True, **own)[3] == column_of(values, range(3), **own)[3]
    assert not column_of([np.nan, np.nan, 7.0], range(2), clip_unseen=True, **own).any()
