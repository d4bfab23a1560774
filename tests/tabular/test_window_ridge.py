"""Ridge on the lag window: scikit-learn on the same windows is the oracle; nothing after an origin is looked at."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipeline.tabular import window_ridge
from pipeline.tabular.window_ridge import STRENGTHS, fit_window_ridge, ridge_forecasts, window_length
from pipeline.timeline import Known, Moments, WindowRidge


def known_of(*series, first=0):
    """Series of values, each from step `first` on; NaN where nothing is known."""
    return Known(
        np.repeat(np.arange(len(series), dtype=np.int32), [len(own) for own in series]),
        np.concatenate([first + np.arange(len(own)) for own in series]),
        ("y",),
        np.concatenate([np.asarray(own, dtype=np.float64) for own in series])[:, None],
    )


def rows_of(*rows):
    """(series, step, origin) -> moments and origins."""
    series, step, origin = (np.array(own) for own in zip(*rows, strict=True))
    return Moments(series.astype(np.int32), step.astype(np.int64)), origin.astype(np.int64)


def walks(count, steps, seed=0):
    draw = np.random.default_rng(seed)
    return [np.cumsum(draw.normal(size=steps)) + 5 * np.sin(np.arange(steps) / 3) for _ in range(count)]


def test_the_map_is_scikit_learns_ridge_on_windows_minus_their_last_value():
    """Two series of different spread, each divided by its own; no intercept."""
    length, horizon, series = 6, 3, walks(2, 90)
    series[1] *= 100
    model = fit_window_ridge(known_of(*series), length=length, horizon=horizon)
    windows = np.concatenate(
        [np.lib.stride_tricks.sliding_window_view(own / own.std(), length + horizon) for own in series]
    )
    windows = windows - windows[:, length - 1 : length]
    oracle = Ridge(model.strength, fit_intercept=False).fit(windows[:, :length], windows[:, length:])
    np.testing.assert_allclose(model.weights, oracle.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.spread, [own.std() for own in series])


def test_the_penalty_is_the_best_on_the_latest_fifth():
    """Fitted on the windows before, by scikit-learn, for each penalty in turn."""
    length, horizon, [own] = 8, 2, walks(1, 200, seed=3)
    model = fit_window_ridge(known_of(own), length=length, horizon=horizon)
    windows = np.lib.stride_tricks.sliding_window_view(own / own.std(), length + horizon)
    windows = windows - windows[:, length - 1 : length]
    late = np.arange(len(windows)) >= np.quantile(np.arange(len(windows)), 0.8)
    x, y = windows[:, :length], windows[:, length:]
    losses = [
        ((Ridge(one, fit_intercept=False).fit(x[~late], y[~late]).predict(x[late]) - y[late]) ** 2).sum()
        for one in STRENGTHS
    ]
    assert model.strength == STRENGTHS[int(np.argmin(losses))]


def test_a_wave_is_forecast_as_it_goes_on():
    """A sine of 12 steps: hardly shrunk, one to six steps ahead from anywhere."""
    wave = 10 + 3 * np.sin(2 * np.pi * np.arange(240) / 12)
    known = known_of(wave)
    model = fit_window_ridge(known, length=24, horizon=6)
    moments, origin = rows_of(*[(0, at + ahead, at) for at in (100, 170, 230) for ahead in (1, 3, 6)])
    np.testing.assert_allclose(ridge_forecasts(model, known, moments, origin), wave[moments.step], atol=0.05)


def test_a_forecast_is_the_last_value_and_what_the_map_makes_of_the_window():
    """Weight 2 on the step before the last, spread 4: 10 + 2 * (7 - 10) one step ahead, half of that two ahead."""
    model = WindowRidge(np.array([[2.0, 1.0], [0.0, 0.0]]), np.array([4.0]), 1.0)
    moments, origin = rows_of((0, 3, 2), (0, 4, 2))
    assert ridge_forecasts(model, known_of([1, 7, 10, 99, 99]), moments, origin).tolist() == [4.0, 7.0]


def test_windows_reach_beyond_a_series_with_its_first_and_its_last_value():
    """Before its beginning it was as it began, after its end it is as it ended, and gaps go on with what was."""
    model = WindowRidge(np.array([[2.0], [0.0]]), np.array([1.0]), 1.0)
    moments, origin = rows_of((0, 1, 0), (0, 9, 8), (0, 3, 2))
    known = known_of([5.0, 8.0, np.nan, 6.0])
    assert ridge_forecasts(model, known, moments, origin).tolist() == [5.0, 6.0, 8.0]


@pytest.mark.parametrize(
    "row", [(0, 4, 1), (1, 3, 2), (-1, 3, 2), (0, 1, -1)], ids=["too far", "no such series", "unknown", "too early"]
)
def test_what_the_map_does_not_reach_is_not_forecast(row):
    """Horizon 2, one series from step 0."""
    model = WindowRidge(np.ones((2, 2)), np.array([1.0]), 1.0)
    assert np.isnan(ridge_forecasts(model, known_of([1.0, 2, 3, 4]), *rows_of(row))).all()


def test_nothing_after_an_origin_changes_a_forecast():
    """Later values gone wild, or not there."""
    series = walks(2, 120)
    model = fit_window_ridge(known_of(*series), length=10, horizon=4)
    moments, origin = rows_of(*[(s, at + 2, at) for s in (0, 1) for at in range(5, 80)])
    clean = ridge_forecasts(model, known_of(*series), moments, origin)
    wild = [np.where(np.arange(120) > 79, 1e9, own) for own in series]
    np.testing.assert_array_equal(ridge_forecasts(model, known_of(*wild), moments, origin), clean)
    np.testing.assert_array_equal(
        ridge_forecasts(model, known_of(*(own[:80] for own in series)), moments, origin), clean
    )


def test_a_series_that_never_varies_is_forecast_to_stay():
    """And takes no part in the fit."""
    [walk] = walks(1, 60)
    model = fit_window_ridge(known_of(walk, np.full(60, 7.0)), length=5, horizon=2)
    alone = fit_window_ridge(known_of(walk), length=5, horizon=2)
    np.testing.assert_array_equal(model.weights, alone.weights)
    known = known_of(walk, np.full(60, 7.0))
    assert ridge_forecasts(model, known, *rows_of((1, 40, 39))).tolist() == [7.0]


def test_without_room_for_a_window_there_is_no_map():
    """Ten steps hold no window of 8 with 3 behind it, which are 11; with 2 behind it there is but one."""
    assert fit_window_ridge(known_of(np.arange(10.0) ** 2), length=8, horizon=3) is None
    assert fit_window_ridge(known_of(np.arange(10.0) ** 2), length=8, horizon=2) is None
    assert fit_window_ridge(known_of(np.arange(10.0) ** 2), length=7, horizon=2) is not None


def test_of_very_many_windows_some_are_taken_evenly(monkeypatch):
    """Every fourth of 397, so that there are at most 100."""
    [walk] = walks(1, 400, seed=1)
    monkeypatch.setattr(window_ridge, "MOST_WINDOWS", 100)
    model = fit_window_ridge(known_of(walk), length=3, horizon=1)
    windows = np.lib.stride_tricks.sliding_window_view(walk / walk.std(), 4)[::4]
    windows = windows - windows[:, 2:3]
    oracle = Ridge(model.strength, fit_intercept=False).fit(windows[:, :3], windows[:, 3:])
    np.testing.assert_allclose(model.weights, oracle.coef_.reshape(1, 3).T, rtol=1e-7, atol=1e-10)


def test_a_window_is_two_of_the_longest_seasons_and_a_third_of_the_longest_series_at_most():
    """Hours of 100 days: 336; of ten days: 80."""
    assert window_length((24, 168), known_of(np.arange(2400.0))) == 336
    assert window_length((24, 168), known_of(np.arange(240.0), np.arange(10.0))) == 80
    assert window_length((), known_of(np.arange(240.0))) == 24
