"""Columns of what was known: origins as the layout gives them, ages and seasons by hand, no leak by the contract."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.tabular.history import features_of, history
from pipeline.tabular.past import (
    AGE,
    forecast_origins,
    in_scale,
    naive_forecasts,
    past_columns,
    past_matrix,
    training_origins,
    without,
)
from pipeline.time_settings import History
from pipeline.timeline import Clock, Known, Moments, Stamped, Timeline
from tests.tabular.poison import PoisonContract, asked, assert_same_bits, poisoned, rows_of, sample

NAN = np.nan
NOTHING = History(last=0, seasonal=0, statistics=(), phase_mean=False, differences=False, fourier=0, age=False)


def of(*series):
    """Moments of series 0, 1, …, the steps of each."""
    codes = np.repeat(np.arange(len(series), dtype=np.int32), [len(steps) for steps in series])
    return Moments(codes, np.array([step for steps in series for step in steps], dtype=np.int64))


def line(values, first=0):
    """One series that is known at consecutive steps."""
    values = np.array(values, dtype=float)
    return Known(np.zeros(len(values), np.int32), np.arange(first, first + len(values)), ("y",), values[:, None])


def timeline(known, train, test, layout="future", seasons=(), **options):
    stamped = Stamped((), (), Clock("1h", "2024-01-01", "", seasons), ("a", "b"), "t", is_utc=False)
    bare = Timeline(stamped, layout, train, test, test.step - 1, known, (), **options)
    return Timeline(stamped, layout, train, test, forecast_origins(bare, test), known, (), **options)


class TestPastKeepsTheContract(PoisonContract):
    """Every column that the past has, of two seasons."""

    def build(self, known, moments, origin):
        own = timeline(sample(), known.moments, of([200]), seasons=(24, 48))
        return past_matrix(own, known, History(), moments, origin)


KIND = np.array([0, 1, 0, 1, 1, -1], np.int32)  # of series 0 .. 3, of one that nothing is known of, of an unknown one


class TestEncodingsKeepTheContract(PoisonContract):
    """All columns beside the mean at a level that series 0 and 2 share, and 1 and 3."""

    def build(self, known, moments, origin):
        known = with_kinds(known, KIND[known.series])
        own = timeline(sample(), sample().moments, of([200]), seasons=(24,))
        options = History(encode=("kind",), holidays="DE-BY")
        return past_matrix(own, known, options, moments, origin, KIND[moments.series][:, None])

    def pool_of(self, series):
        return KIND[series]


def with_kinds(known, codes):
    """The same, each row of a kind."""
    return replace(known, level_names=("kind",), levels=np.asarray(codes, np.int32)[:, None])


def test_encodings_do_pool_and_nothing_else_does():
    """Poison in series 2 reaches series 0 by the one column at its kind."""
    known, (moments, origin) = sample(), asked()
    build, own = TestEncodingsKeepTheContract().build, moments.series == 0
    clean, found = build(known, moments, origin), build(poisoned(known, known.series == 2, "huge"), moments, origin)
    changed = ((clean != found) & ~(np.isnan(clean) & np.isnan(found)))[own].any(axis=0)
    names = past_columns(
        timeline(known, known.moments, of([200]), seasons=(24,)), known, History(encode=("kind",), holidays="DE")
    )  # fmt: skip
    assert [name for name, moved in zip(names, changed, strict=True) if moved] == ["count, mean at kind"]


# --- what lies beyond the series


def test_a_mean_at_a_level_by_hand():
    """Shops 0 and 1 of kind 0 and 1 sell 1, 2 and 10, 20 at steps 0, 1: kind 0 is 1 at origin 0, and 1.5 from 1 on."""
    known = Known(
        np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 0, 1]), ("y",), np.array([[1.0], [2.0], [10.0], [20.0]])
    )  # fmt: skip
    own = timeline(known, known.moments, of([5]))
    options = NOTHING.model_copy(update={"encode": ("kind",)})
    rows, origin, kind = of([5] * 6), np.array([0, 1, 4, 1, -1, 1]), np.array([0, 0, 0, 1, 1, -2], np.int32)
    found = past_matrix(own, with_kinds(known, [0, 0, 1, 1]), options, rows, origin, kind[:, None])
    at = past_columns(own, known, options).index("y, mean at kind")
    assert_same_bits(found[:, at], np.array([1, 1.5, 1.5, 15, NAN, NAN]))
    relative = options.model_copy(update={"relative": True})  # less the 1, 2, 2 and 2 that are their latest
    found = past_matrix(own, with_kinds(known, [0, 0, 1, 1]), relative, rows, origin, kind[:, None])
    assert_same_bits(found[:, at], np.array([0, -0.5, -0.5, 13, NAN, NAN]))


def test_encodings_are_in_the_scale_of_history():
    """Of e and e³ the mean of logarithms is 2."""
    known = in_scale(with_kinds(line([np.e, np.e**3]), [0, 0]), "log")
    own = timeline(known, known.moments, of([5]))
    options = NOTHING.model_copy(update={"encode": ("kind",)})
    found = past_matrix(own, known, options, of([5]), np.array([1]), np.zeros((1, 1), np.int32))
    np.testing.assert_allclose(found[0, past_columns(own, known, options).index("y, mean at kind")], 2, rtol=1e-12)


def test_levels_of_hidden_rows_go_with_them():
    """A row keeps its kind."""
    known = with_kinds(sample(), np.arange(len(sample().step)))
    hidden = known.step % 3 == 0
    assert np.array_equal(without(known, hidden).levels[:, 0], np.flatnonzero(~hidden))


def test_holidays_are_of_the_rows_own_date():
    """Hours of 2024 from the last day of April on: an age changes nothing, and midnight does."""
    known = line(range(10))
    own = timeline(known, of(range(10)), of([10]))
    options = NOTHING.model_copy(update={"holidays": "DE"})
    at = past_columns(own, known, options).index("holiday")
    day = np.array([120, 121, 122]) * 24  # of a leap year, 0 on January 1: April 30, May 1, May 2
    rows = of(np.stack([day, day + 23], axis=1).ravel())
    for age in (1, 500):
        found = past_matrix(own, known, options, rows, rows.step - age)[:, at : at + 3]
        assert found.tolist() == [[0, 1, 7]] * 2 + [[1, 0, 0]] * 2 + [[0, 7, 1]] * 2


def test_a_holiday_begins_at_local_midnight():
    """May 1, 2024 in Berlin, from 22:00 of April 30 to 22:00 of May 1 in UTC, of which steps of an hour are."""
    known = line(range(10))
    own = timeline(known, of(range(10)), of([10]))
    own = replace(own, stamped=replace(own.stamped, clock=Clock("1h", "2024-01-01", "Europe/Berlin", ())))
    at = past_columns(own, known, History(holidays="DE")).index("holiday")
    first = 121 * 24 - 2
    rows = of([first - 1, first, first + 23, first + 24])
    found = past_matrix(own, known, History(holidays="DE"), rows, rows.step - 1)
    assert found[:, at].tolist() == [0, 1, 1, 0]


def test_steps_without_dates_have_no_holidays():
    """A sentence that says what to do."""
    known = line(range(10))
    own = timeline(known, of(range(10)), of([10]))
    counted = replace(own, stamped=replace(own.stamped, clock=Clock("step", "", "", ())))
    with pytest.raises(ConfigError, match=r'^history\.holidays = "DE" needs dates, but \[time\] column counts steps; '):
        past_matrix(counted, known, History(holidays="DE"), of([12]), np.array([9]))


# --- scale


@pytest.mark.parametrize(("transform", "expected"), [("log", [NAN, 0, 1]), ("log1p", [0, np.log(2), np.log1p(np.e)])])
def test_history_is_made_in_the_scale_of_the_network(transform, expected):
    """Of the target alone; what has no logarithm is missing, and no warning is given."""
    known = Known(np.zeros(3, np.int32), np.arange(3), ("y", "x"), np.array([[0, 0], [1, 1], [np.e, -5]]))
    found = in_scale(known, transform).values
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)
    assert found[:, 1].tolist() == [0, 1, -5]
    assert known.values[2, 0] == np.e


@pytest.mark.parametrize("transform", ["none", "boxcox", "yeojohnson", "quantile"])
def test_a_scale_that_needs_a_fit_is_left_out(transform):
    """A fit would know of the rows behind an origin."""
    known = sample()
    assert in_scale(known, transform) is known


def test_hidden_rows_are_as_if_they_had_never_been_there():
    """No row, no value, and all others as they were."""
    known = sample()
    hidden = known.step % 3 == 0
    found = without(known, hidden)
    assert_same_bits(found.values, known.values[~hidden])
    assert np.array_equal(found.step, known.step[~hidden])
    assert without(known, hidden & False) is known


# --- origins


def test_training_rows_are_forecast_from_as_far_as_the_test_at_the_same_phase():
    """Test steps 40 to 44 from 39: at phase 0 of 5 the age is 1, at phase 4 it is 5, for train too."""
    own = timeline(line(range(40)), of(range(40)), of(range(40, 45)), seasons=(5,))
    assert (own.train.step - training_origins(own)).tolist() == [1, 2, 3, 4, 5] * 8


def test_the_longest_season_is_the_phase():
    """Two days of 4 steps in a week of 8: the second day of the test is never one step ahead."""
    own = timeline(line(range(80)), of(range(80)), of(range(80, 88)), seasons=(4, 8))
    assert (own.train.step - training_origins(own)).tolist() == [*range(1, 9)] * 10


def test_without_a_season_all_ages_of_the_test_are_drawn():
    """Three of them, about equally often."""
    own = timeline(line(range(300)), of(range(300)), of([300, 301, 302]))
    counts = np.bincount(own.train.step - training_origins(own))
    assert counts[0] == 0
    assert (abs(counts[1:] - 100) < 50).all()


def test_rolling_rows_of_both_sides_have_ages_up_to_the_horizon_after_the_gap():
    """1 to 4 after 2: 3 to 6, and those of the test are drawn alike."""
    own = timeline(line(range(200)), of(range(200)), of(range(200, 300)), "rolling", horizon=4, gap=2)
    for moments, origin in ((own.train, training_origins(own)), (own.test, own.test_origin)):
        assert set((moments.step - origin).tolist()) == {3, 4, 5, 6}
    assert np.array_equal(forecast_origins(own, own.test), own.test_origin)


# --- columns


HISTORIES = st.builds(
    History,
    last=st.integers(0, 3),
    seasonal=st.integers(0, 2),
    windows=st.sampled_from([(), (3,), (3, 5)]),
    statistics=st.sampled_from([(), ("mean",), ("std", "max")]),
    phase_mean=st.booleans(),
    differences=st.booleans(),
    relative=st.booleans(),
    fourier=st.integers(0, 4),
    age=st.booleans(),
)


@given(HISTORIES, st.sampled_from([(), (2,), (3, 7), (24,)]))
def test_every_column_has_one_name(options, seasons):
    """As many as the matrix has columns, none twice."""
    known = sample()
    own = timeline(known, known.moments, of([200]), seasons=seasons)
    names = past_columns(own, known, options)
    moments, origin = asked()
    assert past_matrix(own, known, options, moments, origin).shape == (len(origin), len(names))
    assert len(set(names)) == len(names)


def test_the_past_begins_with_history_column_for_column():
    """Then age and seasons."""
    known, (moments, origin) = sample(), asked()
    own = timeline(known, known.moments, of([200]), seasons=(24,))
    features = features_of(History(), own.clock, known.columns)
    found = past_matrix(own, known, History(), moments, origin)
    assert_same_bits(found[:, : len(features)], history(known, features, moments, origin))
    assert past_columns(own, known, History())[: len(features)] == tuple(feature.name for feature in features)


def test_relative_columns_are_less_the_latest_known_value():
    """Known are 0 to 9 squared: from origin 8, the value before is 49 - 64; spreads and ages stay; no column is 0."""
    own = timeline(line(np.arange(10.0) ** 2), of(range(10)), of([10]), seasons=(4,))
    absolute, relative = History(windows=(2,)), History(windows=(2,), relative=True)
    rows, origin = of([10]), np.array([8])
    names = past_columns(own, own.known, relative)
    found = dict(zip(names, past_matrix(own, own.known, relative, rows, origin)[0], strict=True))
    plain = past_matrix(own, own.known, absolute, rows, origin)[0]
    before = dict(zip(past_columns(own, own.known, absolute), plain, strict=True))
    assert set(before) - set(found) == {"y, at origin", "y, latest known"}
    assert found["y, 1 back"] == 49 - 64
    assert found["y, mean of 2"] == (49 + 64) / 2 - 64
    assert found["y, season 4"] == before["y, season 4"] - 64
    for same in ("y, std of 2", "y, change over 1", "y, steps since known", AGE):
        assert found[same] == before[same]


@given(st.floats(-1e3, 1e3))
def test_relative_columns_do_not_see_levels(level):
    """All values so much higher: not a column moves but by a rounding."""
    known, (moments, origin) = sample(), asked()
    options = History(relative=True)
    own = timeline(known, known.moments, of([200]), seasons=(24,))
    moved = known.values.copy()
    moved[:, 0] += level
    higher = replace(known, values=moved)
    found, clean = (past_matrix(own, one, options, moments, origin) for one in (higher, known))
    np.testing.assert_allclose(found, clean, atol=1e-7)


def test_age_and_seasons_by_hand():
    """Step 2 of a period of 8 is a quarter of the circle, its second wave half of it; an age of 3 is log 4."""
    own = timeline(line(range(8)), of(range(8)), of([8]), seasons=(8,))
    options = NOTHING.model_copy(update={"age": True, "fourier": 2})
    names = past_columns(own, own.known, options)
    row = dict(zip(names, past_matrix(own, own.known, options, of([10]), np.array([7]))[0], strict=True))
    assert row[AGE] == np.log(4)
    waves = [row[f"{wave} {pair} of season 8"] for pair in (1, 2) for wave in ("sine", "cosine")]
    np.testing.assert_allclose(waves, [1, 0, 0, -1], atol=1e-12)


@pytest.mark.parametrize(("period", "pairs"), [(2, 1), (3, 1), (7, 3), (24, 3)])
def test_no_wave_is_shorter_than_two_steps(period, pairs):
    """Of three pairs those that the period can hold."""
    own = timeline(line(range(8)), of(range(8)), of([8]), seasons=(period,))
    names = past_columns(own, own.known, NOTHING.model_copy(update={"fourier": 3}))
    assert sum(name.startswith("sine ") for name in names) == pairs


# --- naive forecasts


def test_naive_forecasts_by_hand():
    """Known are 0 to 9, ten times the step: from origin 9 to step 11 it is 90, or with a season of 4 step 7's 70."""
    own = timeline(line(10.0 * np.arange(10)), of(range(10)), of([11]), seasons=(4,))
    found = naive_forecasts(own, own.known, own.test, own.test_origin)
    assert {name: values.tolist() for name, values in found.items()} == {"last value": [90], "seasonal naive 4": [70]}


def test_where_nothing_was_known_a_naive_forecast_is_a_mean():
    """From origin 4 of 0 to 9: the mean of the first five, 2, for a series of which nothing is known."""
    own = timeline(line(np.arange(10.0)), of(range(10)), of([10]))
    rows = Moments(np.array([0, 1], np.int32), np.array([5, 5]))
    assert naive_forecasts(own, own.known, rows, np.array([4, 4]))["last value"].tolist() == [4.0, 2.0]


def test_naive_forecasts_look_at_nothing_after_an_origin():
    """Where something was known at the earliest origin, no later value has a say."""
    known, (moments, origin) = sample(), asked()
    rows = Moments(moments.series[origin >= 31], moments.step[origin >= 31])
    early = origin[origin >= 31] <= 90
    own = timeline(known, known.moments, of([200]), seasons=(24,))
    clean = naive_forecasts(own, known, rows, origin[origin >= 31])
    for poison in ("nothing", "huge", "shuffled", "deleted"):
        found = naive_forecasts(own, poisoned(known, known.step > 90, poison), rows, origin[origin >= 31])
        for name, values in found.items():
            assert_same_bits(values[early], clean[name][early])
    assert len(rows_of(known, known.step <= 31).step) > 0


def test_with_truth_coming_in_rows_behind_its_end_are_as_far_ahead_as_they_are():
    """Known to step 9: rows 10 to 12 are 1 to 3 ahead, whatever is drawn for rows before."""
    own = replace(timeline(line(np.arange(10.0)), of(range(8)), of([8, 9])), layout="rolling", horizon=5)
    rows = Moments(np.zeros(5, np.int32), np.array([8, 9, 10, 11, 12]))
    found = forecast_origins(own, rows)
    assert found[2:].tolist() == [9, 9, 9]
    assert (found[:2] < rows.step[:2]).all()
