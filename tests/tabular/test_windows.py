"""Statistics of the past of many series: pandas is the oracle, one series at a time."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tabular import windows
from tests.tabular.poison import assert_same_bits

NAN = np.nan
STATISTICS = {
    "count": lambda x: windows.rolling_moments(x, 5).count,
    "mean": lambda x: windows.rolling_moments(x, 5).mean,
    "std": lambda x: windows.rolling_moments(x, 5).std,
    "min": lambda x: windows.rolling_min(x, 5),
    "max": lambda x: windows.rolling_max(x, 5),
    "ewm": lambda x: windows.ewm_mean(x, 3),
    "phase_mean": lambda x: windows.phase_mean(x, 4),
    "expanding_mean": windows.expanding_mean,
    "latest": windows.latest,
    "since": windows.since,
}


def gappy(series, steps, seed, *, gaps=0.3, centre=0.0):
    draw = np.random.default_rng(seed)
    values = draw.normal(centre, 1, (series, steps))
    values[draw.random((series, steps)) < gaps] = NAN
    return values


shapes = {"series": st.integers(1, 4), "steps": st.integers(1, 40), "seed": st.integers(0, 999)}
pandas_of = {
    "count": lambda x, w: x.rolling(w, min_periods=0).count(),
    "mean": lambda x, w: x.rolling(w, min_periods=1).mean(),
    "std": lambda x, w: x.rolling(w, min_periods=2).std() if w > 1 else x * NAN,
    "min": lambda x, w: x.rolling(w, min_periods=1).min(),
    "max": lambda x, w: x.rolling(w, min_periods=1).max(),
}


def rolled(values, window):
    moments = windows.rolling_moments(values, window)
    extremes = {"min": windows.rolling_min(values, window), "max": windows.rolling_max(values, window)}
    return {"count": moments.count, "mean": moments.mean, "std": moments.std, **extremes}


@given(**shapes, window=st.integers(1, 50), gaps=st.sampled_from([0.0, 0.3, 0.9]))
def test_rolling_windows_are_those_of_pandas(series, steps, seed, window, gaps):
    """Windows shorter and longer than a series, with gaps longer than a window."""
    values = gappy(series, steps, seed, gaps=gaps)
    frame = pd.DataFrame(values.T)
    for name, found in rolled(values, window).items():
        np.testing.assert_allclose(found, pandas_of[name](frame, window).T, rtol=1e-9, atol=1e-9, err_msg=name)


@given(**shapes, half_life=st.integers(1, 20))
def test_the_weighted_mean_is_that_of_pandas(series, steps, seed, half_life):
    """A step without a value counts as time: ignore_na=False."""
    values = gappy(series, steps, seed)
    expected = pd.DataFrame(values.T).ewm(halflife=half_life).mean().T
    np.testing.assert_allclose(windows.ewm_mean(values, half_life), expected, rtol=1e-9, atol=1e-12)


@given(**shapes, period=st.integers(1, 50))
def test_a_phases_mean_is_the_expanding_mean_of_every_p_th_step(series, steps, seed, period):
    """Phase by phase, as pandas' expanding mean has it; with period 1 it is the expanding mean itself."""
    values = gappy(series, steps, seed)
    frame = pd.DataFrame(values.T)
    phases = [frame[phase::period].expanding().mean().ffill() for phase in range(min(period, steps))]
    np.testing.assert_allclose(windows.phase_mean(values, period), pd.concat(phases).sort_index().T, atol=1e-12)
    np.testing.assert_allclose(windows.expanding_mean(values), frame.expanding().mean().T, atol=1e-12)


@given(**shapes)
def test_the_latest_value_is_a_forward_fill(series, steps, seed):
    """And `since` says how far back it lies."""
    values = gappy(series, steps, seed, gaps=0.6)
    latest, since = windows.latest(values), windows.since(values)
    np.testing.assert_array_equal(latest, pd.DataFrame(values.T).ffill().T)
    for g, o in np.argwhere(~np.isnan(latest)):
        assert values[g, o - int(since[g, o])] == latest[g, o]


def test_windows_of_three_steps_by_hand():
    """2, missing, 6, 4: means 2, 2, 4, 5; two values are needed for a spread: sqrt(8), then sqrt(2)."""
    values = np.array([[2.0, NAN, 6.0, 4.0, NAN, NAN, NAN]])
    found = {name: table[0].round(6).tolist() for name, table in rolled(values, 3).items()}
    np.testing.assert_equal(found["count"], [1, 1, 2, 2, 2, 1, 0])
    np.testing.assert_equal(found["mean"], [2, 2, 4, 5, 5, 4, NAN])
    np.testing.assert_equal(found["std"], [NAN, NAN, 2.828427, 1.414214, 1.414214, NAN, NAN])
    np.testing.assert_equal(found["min"], [2, 2, 2, 4, 4, 4, NAN])
    np.testing.assert_equal(found["max"], [2, 2, 6, 6, 6, 4, NAN])


def test_means_of_all_steps_by_hand():
    """Half-life 1: 8 weighs 1, the 2 before it half; two steps later 2 weighs 1/8, 8 a quarter of 11's 1."""
    values = np.array([[NAN, 2.0, 8.0, NAN, 11.0]])
    np.testing.assert_allclose(windows.ewm_mean(values, 1)[0], [NAN, 2, 6, 6, (11 + 8 / 4 + 2 / 8) / 1.375])
    np.testing.assert_equal(windows.phase_mean(values, 2)[0], [NAN, 2, 8, 2, 9.5])
    np.testing.assert_equal(windows.expanding_mean(values)[0], [NAN, 2, 5, 5, 7])
    np.testing.assert_equal(windows.latest(values)[0], [NAN, 2, 8, 8, 11])
    np.testing.assert_equal(windows.since(values)[0], [NAN, 0, 0, 1, 0])


@pytest.mark.parametrize("name", STATISTICS)
@given(seed=st.integers(0, 999), steps=st.integers(2, 30), data=st.data())
def test_nothing_later_changes_a_bit(name, seed, steps, data):
    """Later steps turn to 1e9, to NaN, or do not exist."""
    values, statistic = gappy(2, steps, seed, centre=100), STATISTICS[name]
    end = data.draw(st.integers(1, steps - 1))
    clean = statistic(values)[:, :end]
    for poison in (1e9, NAN):
        poisoned = values.copy()
        poisoned[:, end:] = poison
        assert_same_bits(statistic(poisoned)[:, :end], clean)
    assert_same_bits(statistic(values[:, :end]), clean)


@pytest.mark.parametrize("name", STATISTICS)
@given(seed=st.integers(0, 999), steps=st.integers(1, 30))
def test_no_other_series_changes_a_bit(name, seed, steps):
    """Beside 1e9, beside nothing, alone, and however the memory lies."""
    values, statistic = gappy(3, steps, seed, centre=100), STATISTICS[name]
    alone = statistic(values[1:2])
    for poison in (1e9, NAN):
        poisoned = np.full_like(values, poison)
        poisoned[1] = values[1]
        assert_same_bits(statistic(poisoned)[1:2], alone)
    assert_same_bits(statistic(np.asfortranarray(values))[1:2], alone)


@pytest.mark.parametrize("window", [2, 7, 24, 500])
def test_far_from_zero_no_digit_is_lost(window):
    """Values near 1e9 with a spread of 1 have the moments of the same values near 0, to 8 units in 1e9's last place."""
    far = gappy(3, 300, 0) + 1e9
    near = far - 1e9  # exactly: the digits that 1e9 left are taken along
    far_found, near_found = rolled(far, window), rolled(near, window)
    np.testing.assert_allclose(far_found["std"], near_found["std"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(far_found["mean"] - 1e9, near_found["mean"], rtol=0, atol=1e-6)
    for statistic in (lambda x: windows.ewm_mean(x, window), lambda x: windows.phase_mean(x, window)):
        np.testing.assert_allclose(statistic(far) - 1e9, statistic(near), rtol=0, atol=1e-6)


def test_one_wild_value_spoils_no_window_that_is_past_it():
    """0, then values near 1e9: once the 0 has left the window, so has what it did to the spread."""
    values = np.append(0.0, 1e9 + np.arange(40.0) % 3)[None]
    exact = np.std([0, 1, 2, 0, 1, 2], ddof=1)
    np.testing.assert_allclose(windows.rolling_moments(values, 6).std[0, 6:], exact, rtol=1e-6)
    assert windows.rolling_moments(values, 6).std[0, 5] > 1e8


def test_a_constant_has_no_spread_and_its_own_mean():
    """0.1 thirty times over: exactly 0.1, exactly 0."""
    values = np.full((1, 30), 0.1)
    assert windows.rolling_moments(values, 7).std[0, 1:].tolist() == [0.0] * 29
    for mean in (windows.rolling_moments(values, 7).mean, windows.ewm_mean(values, 7), windows.phase_mean(values, 7)):
        assert mean[0].tolist() == [0.1] * 30


def test_a_weighted_mean_outlasts_any_gap():
    """5,000 half-lives without a value: the weights are gone, the mean stays, and the next value takes over."""
    values = np.full((1, 5003), NAN)
    values[0, [0, 1, -1]] = 3.0, 6.0, 7.0
    found = windows.ewm_mean(values, 1)[0]
    assert found[[1, 2, -2, -1]].tolist() == [5.0, 5.0, 5.0, 7.0]


def test_an_infinity_is_nothing_known():
    """It is as a missing value is, in every statistic."""
    values = gappy(2, 30, 0)
    infinite = np.where(np.isnan(values), np.inf, values)
    for statistic in STATISTICS.values():
        assert_same_bits(statistic(infinite), statistic(values))
