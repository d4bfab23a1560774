"""Whitened components: scikit-learn's PCA is the oracle, two columns by hand, poison the proof of no leak."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from pipeline.settings import Preprocess
from pipeline.tables import Design, Encoded, Folds
from pipeline.tabular.features import column_names, fit_features, matrix_for, sources_of, take
from pipeline.tabular.scaling import LARGEST_SCORE, whitened

NAN = np.nan


def rows_of(*columns):
    """Numeric columns alone, as they are encoded."""
    numeric = np.asfortranarray(np.array(columns, dtype=np.float64).T)
    return Encoded(numeric, np.zeros((len(numeric), 0), dtype=np.int32))


def fitted(rows, index=None, **options):
    """The state of a fit on some rows, or on all."""
    index = np.arange(len(rows.numeric)) if index is None else np.asarray(index)
    return fit_features(rows, (), index, Preprocess(scaler="pca_whiten", **options))


def design_of(states, rows, smooth_clip=0.0):
    """Just enough of a design for its matrices; columns are called n0, n1 …."""
    numeric = tuple(f"n{i}" for i in range(rows.numeric.shape[1]))
    return Design(
        rows=rows, target=np.zeros(0), folds=Folds((), ()), refit_rows=np.arange(0), numeric=numeric, categorical=(),
        vocabulary=(), states=tuple(states), target_states=(),
        columns=column_names(states, numeric, (), hashed=(), dummy_na=True), hashed=(), dummy_na=True,
        smooth_clip=smooth_clip, notices=(),
    )  # fmt: skip


def matrix_of(rows, index=None, smooth_clip=0.0, **options):
    """What all rows become under the fit on some."""
    return matrix_for(design_of([fitted(rows, index, **options)], rows, smooth_clip), 0, rows)


def mixed(rows=300, columns=6, seed=0):
    """Correlated columns of several scales, with gaps; one is skewed."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(columns, columns)) @ random.normal(size=(columns, rows))
    values = (values + random.normal(size=(columns, 1))) * 10.0 ** (np.arange(columns) % 6 - 2)[:, None]
    values[0] = np.exp((values[0] - values[0].mean()) / values[0].std())
    values[random.random(values.shape) < 0.1] = NAN
    return rows_of(*values)


def scored(rows, index, *, impute="zero", logged=()):
    """z-scores by pandas: gaps filled before, or with 0 after."""
    frame = pd.DataFrame(rows.numeric.copy())
    fill = {"zero": None, "mean": frame.loc[index].mean(), "median": frame.loc[index].median()}[impute]
    known = frame.loc[index]
    frame = frame if fill is None else frame.fillna(fill)
    for column in logged:
        frame[column], known = np.log1p(frame[column]), known.assign(**{str(column): 0})
        known[column] = np.log1p(known[column])
    own = known[list(frame)]
    return ((frame - own.mean()) / own.std()).fillna(0.0).to_numpy()


def assert_equal_but_for_signs(found, expected, atol):
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, rtol=0, atol=atol)


# --- what components are


def test_two_columns_are_what_one_gets_by_hand():
    """Correlation 0.8: components (1, 1) and (1, -1), variances 1.8 and 0.2; the rows between cancel in the first."""
    rows = rows_of([1, 2, 3, 4], [1, 3, 2, 4])
    state = fitted(rows)
    half = 0.5**0.5
    np.testing.assert_allclose(state.whitening.loadings, [[half, half], [half, -half]], rtol=1e-12)
    np.testing.assert_allclose(state.whitening.variance, [1.8, 0.2], rtol=1e-12)
    z = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(5 / 3)
    sums = np.array([[2 * z[0], 0], [0, z[1] - z[2]], [0, z[2] - z[1]], [2 * z[3], 0]])
    expected = sums * half / np.sqrt([1.8, 0.2])
    np.testing.assert_allclose(matrix_of(rows), expected, atol=1e-7)


@pytest.mark.parametrize("impute", ["zero", "mean", "median"])
@pytest.mark.parametrize("log1p_skew", [0.0, 1.0])
def test_components_are_scikit_learns_but_for_signs(impute, log1p_skew):
    """PCA(whiten=True) fitted on the z-scores of 200 rows, applied to all 300."""
    rows, index = mixed(), np.arange(200)
    state = fitted(rows, index, impute=impute, log1p_skew=log1p_skew)
    assert state.log1p.tolist() == [log1p_skew > 0] + [False] * 5
    scores = scored(rows, index, impute=impute, logged=np.flatnonzero(state.log1p))
    oracle = PCA(whiten=True).fit(scores[index])
    np.testing.assert_allclose(state.whitening.variance, oracle.explained_variance_, rtol=1e-9)
    found = matrix_for(design_of([state], rows), 0, rows)
    assert_equal_but_for_signs(found, oracle.transform(scores), 2e-6)


def test_with_more_columns_than_rows_there_is_one_component_less_than_rows():
    """20 rows of 50 columns span 19 directions about their mean; scikit-learn's others are rounding."""
    rows = rows_of(*np.random.default_rng(1).normal(size=(50, 30)))
    index = np.arange(20)
    found = matrix_of(rows, index)
    assert found.shape == (30, 19)
    scores = scored(rows, index)
    assert_equal_but_for_signs(found, PCA(19, whiten=True).fit(scores[index]).transform(scores), 1e-5)


@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(1, 6), st.sampled_from(["zero", "mean", "median"]))
def test_components_have_no_mean_unit_variance_and_no_correlation(seed, rows, columns, impute):
    """On the rows of the fit, gaps and all."""
    table = mixed(rows, columns, seed)
    found = matrix_of(table, impute=impute).astype(np.float64)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.T @ found / max(rows - 1, 1), np.eye(found.shape[1]), atol=1e-4)


def test_a_column_with_three_numbers_in_many_rows_is_whitened_exactly():
    """Filled with a median that is not the mean: a variance of a millionth beside a mean of a half."""
    column = np.full(200_000, NAN)
    column[:3] = [0.0, 1.0, 5.0]
    found = matrix_of(rows_of(column), impute="median").astype(np.float64)
    assert found.shape == (200_000, 1)
    assert found.std(ddof=1) == pytest.approx(1.0, rel=1e-6)
    assert found[0] - found[3] == pytest.approx(-(found[2] - found[3]) / 4, rel=1e-5)


# --- signs and bytes


@given(st.integers(0, 10_000), st.integers(3, 30), st.integers(1, 6))
def test_the_largest_loading_of_each_component_is_above_0(seed, rows, columns):
    """And each component has length 1."""
    loadings = fitted(mixed(rows, columns, seed)).whitening.loadings
    assert (np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0) > -1e-9).all()
    assert (loadings.max(axis=0, initial=0) >= (1 - 1e-9) * np.abs(loadings).max(axis=0, initial=0)).all()
    np.testing.assert_allclose((loadings**2).sum(axis=0), 1, rtol=1e-12)


@given(st.integers(0, 10_000))
def test_of_equal_loadings_the_first_is_above_0(seed):
    """Two columns have the components (1, 1) and (1, -1) whatever they hold: rounding chooses no sign."""
    state = fitted(rows_of(*np.random.default_rng(seed).normal(size=(2, 20))))
    assert (state.whitening.loadings[0] > 0.7).all()


def test_equal_rows_give_equal_bytes_whatever_the_number_of_threads():
    """300 columns, enough for BLAS to share the work among threads."""
    rows = mixed(1000, 300)
    states = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads, user_api="blas"):
            states.append(fitted(rows).whitening)
    for state in states[1:]:
        for name in ("centre", "loadings", "variance"):
            assert getattr(state, name).tobytes() == getattr(states[0], name).tobytes(), name


def test_the_number_of_blas_threads_is_put_back():
    """It is the process's, not ours: whoever computes next has as many as before."""
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        fitted(mixed())
        assert threads() == before


@pytest.mark.parametrize(("smooth_clip", "log1p_skew"), [(0.0, 0.0), (3.0, 1.0)])
def test_a_row_alone_equals_the_row_in_a_batch_byte_for_byte(smooth_clip, log1p_skew):
    """Of 9001 rows, more than are worked on at a time: single ones, odd stretches and all in reverse.

    In double precision too: rounding to single would hide a sum taken in another order, on most rows.
    """
    rows = mixed(9001, 37)
    state = fitted(rows, np.arange(5000), log1p_skew=log1p_skew)
    design = design_of([state], rows, smooth_clip)
    whole = matrix_for(design, 0, rows)
    doubles = whitened(state, state.whitening, rows.numeric, smooth_clip)
    choices = [[0], [3542], [9000], range(3), range(7, 30), range(3000, 8191), range(9000, -1, -1)]
    for chosen in choices:
        index = np.array(chosen)
        own = take(rows, index)
        assert matrix_for(design, 0, own).tobytes() == whole[index].tobytes()
        assert whitened(state, state.whitening, own.numeric, smooth_clip).tobytes() == doubles[index].tobytes()
    assert matrix_for(design, 0, take(rows, slice(0, 0))).shape == (0, 37)


# --- no leak


@pytest.mark.parametrize("poison", [1e9, -1e99, NAN, 0.0])
def test_components_ignore_every_row_outside_the_fit(poison):
    """Those rows turn to one number: not a bit of the state changes."""
    rows, inside = mixed(), np.arange(0, 300, 2)
    poisoned = Encoded(rows.numeric.copy(order="F"), rows.codes)
    poisoned.numeric[1::2] = poison
    one, other = (fitted(table, inside).whitening for table in (rows, poisoned))
    for name in ("centre", "loadings", "variance"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.share == other.share


# --- columns that bring nothing of their own


def noise(rows=100, columns=2, seed=3):
    return np.random.default_rng(seed).normal(size=(columns, rows)).round(3)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (lambda a, b: [np.full(100, 7.7)], "constant"),
        (lambda a, b: [np.full(100, NAN)], "nothing but gaps"),
        (lambda a, b: [np.where(np.arange(100) == 5, 3.0, NAN)], "one number"),
        (lambda a, b: [a], "copy"),
        (lambda a, b: [-1e6 * a + 5e7], "copy in another unit"),
        (lambda a, b: [a + b, a - b], "sum and difference"),
        (lambda a, b: [(a + b).astype(np.float32)], "sum rounded to single precision"),
        (lambda a, b: [1000 + (a + 0.5 * b).astype(np.float32)], "far from 0 besides"),
    ],
)
def test_a_column_without_variance_of_its_own_adds_no_component(more, why):
    """Two components, of unit variance; rows that the fit never saw stay of that size too."""
    a, b = noise()
    found = matrix_of(rows_of(a, b, *more(a, b)), np.arange(60))
    assert found.shape == (100, 2), why
    assert np.abs(found).max() < 6


def test_a_small_but_true_difference_is_a_component():
    """Columns that differ by a ten-thousandth of their spread: a hundred times what counts as rounding."""
    a, b = noise()
    assert matrix_of(rows_of(a, a + 1e-4 * b)).shape == (100, 2)


def test_nothing_that_varies_gives_no_component():
    """Constant columns, gaps alone, a single row, no column at all."""
    for rows in (rows_of([1, 1, 1], [NAN] * 3), rows_of([1], [2])):
        assert matrix_of(rows).shape == (len(rows.numeric), 0)
        assert fitted(rows).whitening.share == 0
    assert matrix_of(Encoded(np.zeros((4, 0)), np.zeros((4, 0), dtype=np.int32))).shape == (4, 0)


def test_numbers_in_a_column_that_the_fit_knew_as_gaps_do_not_matter():
    """Other rows may hold some there, or infinity's neighbours."""
    a, b = noise()
    gaps = np.where(np.arange(100) < 60, NAN, 1e300)
    np.testing.assert_array_equal(
        matrix_of(rows_of(a, b, gaps), np.arange(60)),
        matrix_of(rows_of(a, b, np.full(100, NAN)), np.arange(60)),
    )


# --- the matrix


def test_components_can_be_fewer():
    """The first ones, byte for byte as among all; more than there are is all. Their share of the variance is told."""
    rows = mixed()
    whole, some = fitted(rows), fitted(rows, components=2)
    assert len(whole.whitening.variance) == 6
    assert len(fitted(rows, components=100).whitening.variance) == 6
    a, b = noise()
    assert len(fitted(rows_of(a, a, b), components=3).whitening.variance) == 2
    assert matrix_of(rows, components=2).tobytes() == matrix_of(rows)[:, :2].tobytes()
    assert whole.whitening.share == pytest.approx(1.0)
    assert some.whitening.share == pytest.approx(whole.whitening.variance[:2].sum() / whole.whitening.variance.sum())


def test_folds_have_as_many_columns_as_the_richest_fit():
    """Fold 0 saw b as a copy of a: its second component is 0 on every row, and fold 1 keeps its own two.

    With the fewest instead, what fold 0 trains on, fold 1's validation rows among it, would take a column from fold 1.
    """
    a, b = noise()
    rows = rows_of(a, np.where(np.arange(100) < 50, a, b))
    states = [fitted(rows, np.arange(50)), fitted(rows, np.arange(50, 100))]
    design = design_of(states, rows)
    assert design.columns == ("pca_1", "pca_2")
    poor, rich = (matrix_for(design, fold, rows) for fold in (0, 1))
    assert not poor[:, 1].any()
    assert poor[:, :1].tobytes() == matrix_of(rows, np.arange(50)).tobytes()
    assert rich.tobytes() == matrix_of(rows, np.arange(50, 100)).tobytes()


def test_indicators_stay_as_they_are():
    """Behind the components: 1 where a number was missing."""
    rows = rows_of([1, NAN, 3, 5], [4, 4, NAN, 1])
    design = design_of([fitted(rows, indicators=True)], rows)
    assert design.columns == ("pca_1", "pca_2", "n0_nan", "n1_nan")
    assert matrix_for(design, 0, rows)[:, 2:].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("wild", [1e60, -1e99, 1e308])
def test_a_wild_number_reaches_the_network_finite(wild):
    """In a row that the fit never saw; bent, it stays within the bound, and small components hardly change."""
    a, b = noise()
    rows = rows_of(np.append(a, wild), np.append(b, 1.0))
    found = matrix_of(rows, np.arange(100))
    assert np.isfinite(found).all()
    assert np.abs(found[-1]).max() <= np.float32(LARGEST_SCORE)
    bent = matrix_of(rows, np.arange(100), smooth_clip=4.0)
    np.testing.assert_allclose(bent[:-1], found[:-1] / np.sqrt(1 + (found[:-1] / 4) ** 2), rtol=1e-5)
    np.testing.assert_allclose(np.abs(bent[-1]), 4.0)


def test_a_component_leads_back_to_its_largest_loadings():
    """n1 and n2 go together, n0 alone; an indicator is its own source; what a fold has not has none."""
    a, b = noise(400)
    rows = rows_of(np.where(np.arange(400) == 7, NAN, a), b + 0.1 * a, -b)
    state, poor = fitted(rows, indicators=True), fitted(rows, components=1)
    design = design_of([state, poor], rows)
    assert design.columns == ("pca_1", "pca_2", "pca_3", "n0_nan")
    (first, weight), (second, other) = sources_of(design, 0, 0, 2)
    assert {first, second} == {"n1", "n2"}
    assert weight == pytest.approx(-other, rel=0.01)
    assert weight * state.whitening.loadings[1, 0] * (1 if first == "n1" else -1) > 0
    assert sources_of(design, 0, 1)[0] == ("n0", state.whitening.loadings[0, 1])
    assert [name for name, _ in sources_of(design, 0, 1)] == ["n0", "n1", "n2"]
    assert sources_of(design, 0, 3) == (("n0_nan", 1.0),)
    assert sources_of(design, 1, 2) == ()
    plain = design_of([fit_features(rows, (), np.arange(400), Preprocess())], rows)
    assert sources_of(plain, 0, 1) == (("n1", 1.0),)


def test_a_large_table_is_not_copied():
    """400,000 x 20: three quarters of the table at most to fit, half of it beside the matrix to apply."""
    rows = rows_of(*np.random.default_rng(0).normal(size=(20, 400_000)))
    tracemalloc.start()
    try:
        state = fitted(rows)
        fit_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        design = design_of([state], rows)
        matrix = matrix_for(design, 0, rows)
        apply_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fit_peak < 0.75 * rows.numeric.nbytes
    assert apply_peak < matrix.nbytes + 0.5 * rows.numeric.nbytes
