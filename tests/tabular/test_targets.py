"""Target transforms: there and back again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import inv_boxcox
from sklearn.preprocessing import PowerTransformer, QuantileTransformer

from pipeline.settings import Target
from pipeline.tables import TargetState
from pipeline.tabular.targets import FORWARD, TARGET_ABOVE, fit_target, to_network, to_target

TRANSFORMS = sorted(TARGET_ABOVE)
positive = arrays(np.float64, st.integers(2, 20), elements=st.floats(1e-3, 1e9))
# the reader refuses numbers beyond 1e100
any_sign = arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e100, 1e100))
above_zero = arrays(np.float64, st.integers(1, 20), elements=st.floats(1e-100, 1e100))


def column(values):
    """One column, as scikit-learn wants it."""
    return np.asarray(values).reshape(-1, 1)


def gammas(rows, *, shift=0.0, sign=1.0):
    """A skewed target."""
    return sign * (np.random.default_rng(0).gamma(2.0, size=rows) + shift)


# --- every transform


def test_every_transform_of_the_settings_is_here():
    """But `auto`, which the metric turns into one of them."""
    choices = Target.model_json_schema()["properties"]["transform"]["enum"]
    assert sorted({*choices} - {"auto"}) == TRANSFORMS


@given(positive, st.sampled_from(sorted(FORWARD)), st.booleans())
def test_the_inverse_undoes_the_transform(values, transform, standardize):
    """From target to network and back, to 1e-9 of the largest value's magnitude."""
    state = fit_target(values, transform=transform, standardize=standardize)
    back = to_target(state, to_network(state, values))
    np.testing.assert_allclose(back, values, rtol=1e-9, atol=1e-9 * (1 if transform != "none" else values.max()))


@pytest.mark.parametrize(("transform", "targets"), [("boxcox", above_zero), ("yeojohnson", any_sign),
                                                    ("quantile", any_sign)])  # fmt: skip
@given(data=st.data(), standardize=st.booleans())
def test_a_fitted_inverse_undoes_any_target(transform, targets, data, standardize):
    """From 1e-100 to 1e100, spread or nearly equal, few or many: at most 0.1 % of the range is lost, and no warning."""
    values = data.draw(targets)
    state = fit_target(values, transform=transform, standardize=standardize)
    outputs = to_network(state, values)
    assert np.isfinite(outputs).all()
    largest = np.abs(values).max()
    np.testing.assert_allclose(to_target(state, outputs), values, rtol=0, atol=1e-3 * np.ptp(values) + 1e-12 * largest)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
def test_an_ordinary_target_comes_back_to_the_last_digits(transform, unit):
    """A skewed target of 500 rows in any unit, to 1e-9."""
    values = gammas(500, shift=0.1) * unit
    state = fit_target(values, transform=transform, standardize=True)
    np.testing.assert_allclose(to_target(state, to_network(state, values)), values, rtol=1e-9)


@given(positive, st.sampled_from(TRANSFORMS))
def test_a_standardised_target_has_mean_zero_and_spread_one(values, transform):
    """On the rows it was fitted on; a constant target is only centred."""
    plain = fit_target(values, transform=transform, standardize=False)
    transformed = to_network(plain, values)
    outputs = to_network(fit_target(values, transform=transform, standardize=True), values)
    spread = np.std(transformed)
    if spread > 1e-6 * max(1.0, np.abs(transformed).max()):
        assert np.mean(outputs) == pytest.approx(0, abs=1e-6)
        assert np.std(outputs) == pytest.approx(1, rel=1e-6)


def test_standardising_by_hand():
    """Logs 0, 1, 2 of 1, e, e²: mean 1, spread (ddof 0) root 2/3."""
    state = fit_target(np.exp([0.0, 1.0, 2.0]), transform="log", standardize=True)
    assert (state.mean, state.scale) == pytest.approx((1.0, math.sqrt(2 / 3)))
    assert to_target(state, np.array([0.0]))[0] == pytest.approx(math.e)


def test_without_standardising_the_target_is_left_alone():
    """The textbook's raw dollars."""
    state = fit_target(np.array([3.0, 5.0]), transform="none", standardize=False)
    assert to_network(state, np.array([3.0, 5.0])).tolist() == [3.0, 5.0]
    assert to_target(state, np.array([7.0])).tolist() == [7.0]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(("value", "rows"), [(5.0, 4), (0.1, 3), (1e100, 2), (1e-100, 7), (3.0, 1)])
def test_a_constant_target_does_not_divide_by_zero(transform, value, rows):
    """Its spread counts as 1, also where the mean of equal numbers misses them by a rounding: 0.1, three times."""
    state = fit_target(np.full(rows, value), transform=transform, standardize=True)
    assert state.scale == 1.0
    np.testing.assert_allclose(to_network(state, np.full(rows, value)), 0.0, atol=1e-12 * max(1.0, value))
    np.testing.assert_allclose(to_target(state, np.zeros(rows)), value, rtol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [1.0, 1.0, 9.0, 9.5, 9.6], [1e-9, 1e9]])
@given(outputs=arrays(np.float32, 5, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_wild_outputs_come_back_without_a_warning(transform, values, outputs):
    """Any finite output of an early epoch gives a finite prediction (warnings are errors here)."""
    state = fit_target(np.array(values), transform=transform, standardize=True)
    assert np.isfinite(to_target(state, outputs)).all()


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("broken", [np.inf, -np.inf, np.nan])
def test_an_output_that_is_not_finite_stays_not_finite(transform, broken):
    """The limit on the exponent must not hide an overflow inside the network: submit and the judge look for it."""
    state = fit_target(np.array([1.0, 2.0, 4.0]), transform=transform, standardize=True)
    assert not np.isfinite(to_target(state, np.array([broken], dtype=np.float32))).any()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_outputs_return_as_float64(transform):
    """Single outputs are widened before they are scaled."""
    state = fit_target(np.array([1e9, 2e9]), transform=transform, standardize=True)
    assert to_target(state, np.array([0.5], dtype=np.float32)).dtype == np.float64


@given(positive, st.data())
def test_fitted_numbers_come_from_the_given_rows_only(values, data):
    """Rows outside the fit turn to 1e9 or 1e-9: the state stays equal, value for value."""
    inside = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, unique=True))
    outside = np.setdiff1d(np.arange(len(values)), inside)
    poisoned = values.copy()
    poisoned[outside] = data.draw(st.sampled_from([1e9, 1e-9]))
    for transform in TRANSFORMS:
        clean, other = (fit_target(rows[inside], transform=transform, standardize=True) for rows in (values, poisoned))
        assert clean == other


@given(positive, st.data())
def test_applying_looks_at_one_row_and_the_state(values, data):
    """Each row's number is the same alone, in any order and beside any other row, there and back."""
    index = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1)))
    for transform in TRANSFORMS:
        state = fit_target(values, transform=transform, standardize=True)
        outputs = to_network(state, values)
        np.testing.assert_allclose(to_network(state, values[index]), outputs[index], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(to_target(state, outputs[index]), to_target(state, outputs)[index], rtol=1e-12)


# --- Box-Cox and Yeo-Johnson


@pytest.mark.parametrize(
    ("transform", "method", "values"),
    [
        ("boxcox", "box-cox", gammas(300, shift=0.1)),
        ("boxcox", "box-cox", np.exp(gammas(300))),
        ("yeojohnson", "yeo-johnson", gammas(300)),
        ("yeojohnson", "yeo-johnson", gammas(300, sign=-1.0)),
        ("yeojohnson", "yeo-johnson", gammas(300, shift=-2.0)),
    ],
)
def test_power_transforms_are_scikit_learns(transform, method, values):
    """The exponent to 1e-4, and the standardised target, before and after; also of rows outside the fit."""
    oracle = PowerTransformer(method=method).fit(column(values[:200]))
    state = fit_target(values[:200], transform=transform, standardize=True)
    assert state.exponent == pytest.approx(oracle.lambdas_[0], abs=1e-4)
    np.testing.assert_allclose(to_network(state, values), oracle.transform(column(values))[:, 0], atol=1e-3)
    outputs = np.linspace(-2, 2, 9)
    expected = oracle.inverse_transform(column(outputs))[:, 0]
    np.testing.assert_allclose(to_target(state, outputs), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("exponent", [-2.0, -0.3, 0.0, 1e-12, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("transform", ["boxcox", "yeojohnson"])
def test_powers_are_scipys(transform, exponent):
    """scipy.stats with the same exponent, inverses included, to 1e-9; Yeo-Johnson on both sides of 0 and of 2."""
    values = np.array([0.01, 0.5, 1.0, 2.0, 7.0])
    values = values if transform == "boxcox" else np.concatenate([-values, [0.0], values])
    state = TargetState(transform, 0.0, 1.0, exponent)
    powers = to_network(state, values)
    np.testing.assert_allclose(powers, getattr(stats, transform)(values, lmbda=exponent), rtol=1e-9)
    np.testing.assert_allclose(to_target(state, powers), values, rtol=1e-9)
    if transform == "boxcox":
        np.testing.assert_allclose(to_target(state, powers), inv_boxcox(powers, exponent), rtol=1e-9)


def test_powers_by_hand():
    """Exponent 2 of 3: (9 - 1) / 2. Yeo-Johnson: ((3 + 1)² - 1) / 2, and below 0 the exponent is 2 - 2: -log(1 + 3)."""
    assert to_network(TargetState("boxcox", 0.0, 1.0, 2.0), np.array([3.0]))[0] == pytest.approx(4.0)
    both = to_network(TargetState("yeojohnson", 0.0, 1.0, 2.0), np.array([3.0, -3.0]))
    assert both.tolist() == pytest.approx([7.5, -math.log(4)])


@pytest.mark.parametrize(("power", "expected"), [(0.5, 2.0), (2.0, 0.5), (-1.0, -1.0), (None, 0.0)])
def test_boxcox_finds_the_power_that_made_a_target(power, expected):
    """Normal numbers around 10, squared, rooted, inverted or exponentiated; to 0.3 from 1000 rows."""
    normal = np.random.default_rng(1).normal(10, 1, size=1000)
    values = np.exp(normal) if power is None else normal**power
    assert fit_target(values, transform="boxcox", standardize=False).exponent == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(
    ("transform", "exponent", "output", "edge"),
    [
        ("boxcox", 2.0, -1.0, 0.0),  # (x² - 1) / 2 is at least -1/2, at x = 0
        ("boxcox", -1.0, 2.0, math.inf),  # 1 - 1 / x stays below 1
        ("yeojohnson", -1.0, 2.0, math.inf),
        ("yeojohnson", 3.0, -2.0, -math.inf),
    ],
)
def test_an_output_beyond_what_any_target_gives_becomes_the_edge(transform, exponent, output, edge):
    """Never NaN; infinity is exp(700), 1e304."""
    value = to_target(TargetState(transform, 0.0, 1.0, exponent), np.array([output, 1e30 * output]))
    assert value.tolist() == pytest.approx([max(-math.exp(700), min(edge, math.exp(700)))] * 2, rel=1e-9, abs=1e-300)


@given(above_zero)
def test_exponents_stay_within_five(values):
    """However few or strange the rows."""
    for transform in ("boxcox", "yeojohnson"):
        assert -5 <= fit_target(values, transform=transform, standardize=False).exponent <= 5


def test_a_target_that_asks_for_more_than_five_gets_five():
    """The thirtieth root of a normal number wants 30."""
    values = np.random.default_rng(2).normal(10, 1, size=1000) ** (1 / 30)
    assert fit_target(values, transform="boxcox", standardize=True).exponent == pytest.approx(5, abs=1e-3)


def test_an_exponent_that_float64_cannot_undo_is_not_taken():
    """Exponent -3 made this target, but (1 - x^-3) / 3 is the same number on every row: it would be a constant."""
    values = np.random.default_rng(3).normal(10, 1, size=500) ** (-1 / 3) * 1e8
    assert np.ptp(stats.boxcox(values, lmbda=-3.0)) == 0
    state = fit_target(values, transform="boxcox", standardize=True)
    assert -2 < state.exponent < -0.5
    back = to_target(state, to_network(state, values))
    np.testing.assert_allclose(back, values, rtol=0, atol=1e-4 * np.ptp(values))


# --- quantiles


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=60, unique=True), st.data())
def test_quantiles_are_scikit_learns_but_for_half_a_step_at_the_ends(values, data):
    """QuantileTransformer's rank p, which is 0 and 1 at the ends, becomes p (1 - 1/n) + 1/(2n); between rows too."""
    count = len(values)
    oracle = QuantileTransformer(n_quantiles=count, subsample=None).fit(column(np.array(values, dtype=np.float64)))
    state = fit_target(np.array(values, dtype=np.float64), transform="quantile", standardize=False)
    np.testing.assert_allclose(state.quantiles, oracle.quantiles_[:, 0], rtol=1e-12, atol=1e-9)
    others = np.array(values + data.draw(st.lists(st.floats(-1e6, 1e6), max_size=9)))
    ranks = oracle.transform(column(others))[:, 0] * (1 - 1 / count) + 1 / (2 * count)
    np.testing.assert_allclose(stats.norm.cdf(to_network(state, others)), ranks, atol=1e-9)


def test_equal_targets_stand_in_the_middle_of_their_ranks():
    """Of 1, 5, 5, 5, 9 the fives are half-way; of 0, 0, 1, 2 the zeros stand at 1/4; they come back as they were."""
    for values, share in (([1.0, 5.0, 5.0, 5.0, 9.0], {5.0: 1 / 2}), ([0.0, 0.0, 1.0, 2.0], {0.0: 1 / 4, 2.0: 7 / 8})):
        state = fit_target(np.array(values), transform="quantile", standardize=False)
        outputs = to_network(state, np.array([*share]))
        np.testing.assert_allclose(stats.norm.cdf(outputs), [*share.values()])
        assert to_target(state, outputs).tolist() == [*share]


def test_four_quantiles_by_hand():
    """1, 2, 4, 8 stand at 1/8, 3/8, 5/8, 7/8; 3 is half-way between 2 and 4, at 1/2, which is 0 of a normal."""
    state = fit_target(np.array([8.0, 1.0, 4.0, 2.0]), transform="quantile", standardize=False)
    assert state.quantiles == (1.0, 2.0, 4.0, 8.0)
    outputs = to_network(state, np.array([1.0, 3.0, 8.0]))
    np.testing.assert_allclose(outputs, stats.norm.ppf([1 / 8, 1 / 2, 7 / 8]), atol=1e-12)
    np.testing.assert_allclose(to_target(state, stats.norm.ppf([3 / 8, 6 / 8])), [2.0, 6.0])


def test_the_tails_map_back_to_the_smallest_and_largest_training_target():
    """Whatever the network says, and a target beyond them counts as they do."""
    values = gammas(50)
    state = fit_target(values, transform="quantile", standardize=True)
    assert to_target(state, np.array([-99.0, 99.0])).tolist() == [values.min(), values.max()]
    ends = np.array([values.min(), values.max()])
    assert np.array_equal(to_network(state, ends + np.array([-1, 1])), to_network(state, ends))


def test_at_most_a_thousand_quantiles_make_a_target_normal():
    """5000 skewed rows: 1000 numbers are kept; skewness and excess kurtosis of the outputs are those of a normal."""
    values = gammas(5000)
    state = fit_target(values, transform="quantile", standardize=True)
    assert len(state.quantiles) == 1000
    outputs = to_network(state, values)
    assert stats.skew(values) > 1
    assert abs(stats.skew(outputs)) < 0.02
    assert abs(stats.kurtosis(outputs)) < 0.1


@given(any_sign)
def test_quantiles_rise_and_the_transform_with_them(values):
    """A larger target never gets a smaller output, nor a larger output a smaller target."""
    state = fit_target(values, transform="quantile", standardize=True)
    assert (np.diff(state.quantiles) >= 0).all()
    assert (np.diff(to_network(state, np.sort(values))) >= -1e-12).all()
    assert (np.diff(to_target(state, np.linspace(-6, 6, 50))) >= 0).all()


# --- a base, which is taken from the target


def test_a_base_is_taken_from_the_transformed_target():
    """Logs 0, 1, 2, 3 less 0, 0, 2, 2 are 0, 1, 0, 1: mean and spread one half; so networks say -1, 1, -1, 1."""
    values, base = np.exp([0.0, 1, 2, 3]), np.array([0.0, 0, 2, 2])
    state = fit_target(values, transform="log", standardize=True, base=base)
    np.testing.assert_allclose([state.mean, state.scale, state.fallback], [0.5, 0.5, 1.5])
    np.testing.assert_allclose(to_network(state, values, base), [-1, 1, -1, 1])
    np.testing.assert_allclose(to_target(state, np.array([-1.0, 1, -1, 1]), base), values)


def test_where_nothing_is_known_the_mean_is_taken():
    """Targets 2, 4, 6, the last of which has no base: 4 is taken from it."""
    values, base = np.array([2.0, 4, 6]), np.array([1.0, 3, np.nan])
    state = fit_target(values, transform="none", standardize=False, base=base)
    assert to_network(state, values, base).tolist() == [1, 1, 2]
    assert to_target(state, np.array([1.0, 1, 2]), base).tolist() == [2, 4, 6]


@given(any_sign, st.sampled_from(["none", "yeojohnson"]), st.booleans())
def test_without_a_base_nothing_is_taken(values, transform, standardize):
    """A base of zeros changes no bit, and none is none."""
    plain = fit_target(values, transform=transform, standardize=standardize)
    based = fit_target(values, transform=transform, standardize=standardize, base=np.zeros(len(values)))
    assert (plain.mean, plain.scale, plain.fallback) == (based.mean, based.scale, 0.0)
    np.testing.assert_array_equal(to_network(plain, values), to_network(based, values, np.zeros(len(values))))
