"""What had become known by a row's origin: numbers by hand, pandas as the oracle, and the contract against leaks."""

import numpy as np
import pandas as pd
import pytest

from pipeline.tabular import history as module
from pipeline.tabular.history import Feature, features_of, history, naive
from pipeline.time_settings import History
from pipeline.timeline import UNKNOWN_SERIES, Clock, Known, Moments
from tests.tabular import poison
from tests.tabular.poison import PoisonContract, assert_same_bits

NAN = np.nan
HOURS = Clock("1h", "2024-01-01", "", (24, 168))
UNSEASONAL = Clock("1h", "2024-01-01", "", ())
EVERY_KIND = tuple(
    Feature(f"{column} {kind} {span} {back}", kind, column, span, back)
    for column in (0, 1)
    for kind, span, back in (
        *(("last", 0, 0), ("last", 0, 2), ("season", 24, 0), ("season", 24, 1), ("season", 7, 0)),
        *(("mean", 7, 0), ("mean", 24, 0), ("std", 24, 0), ("std", 7, 0), ("min", 24, 0), ("max", 5, 0)),
        *(("ewm", 24, 0), ("phase_mean", 24, 0), ("difference", 1, 0), ("difference", 24, 0)),
        *(("latest", 0, 0), ("since", 0, 0)),
    )
)


def line(values, first=0, series=0):
    """One series that is known at consecutive steps."""
    values = np.array(values, dtype=float)
    steps = np.arange(first, first + len(values))
    return Known(np.full(len(values), series, np.int32), steps, ("count",), values[:, None])


def at(known, rows, kind, span=0, back=0):
    """The feature at rows of series 0, each (origin, step)."""
    origin, step = np.array(rows, np.int64).T
    moments = Moments(np.zeros(len(rows), np.int32), step)
    return history(known, [Feature("", kind, 0, span, back)], moments, origin)[:, 0].tolist()


# --- the contract


class TestHistoryKeepsTheContract(PoisonContract):
    """All kinds, of both columns."""

    def build(self, known, moments, origin):
        return history(known, EVERY_KIND, moments, origin)


class TestManyChunksKeepTheContract(PoisonContract):
    """Series are dense one or two at a time."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_CELLS", 250)

    def build(self, known, moments, origin):
        return history(known, EVERY_KIND, moments, origin)


class TestNaiveKeepsTheContract(PoisonContract):
    """The latest value, and that of the phase."""

    def build(self, known, moments, origin):
        return np.column_stack([naive(known, moments, origin, season) for season in (0, 24)])


def in_pandas(known, moments, at_step, column_of, column=0):
    """[R, 1]: `column_of` makes of a series, on an even grid of its steps, what is read at the rows' `at_step`."""
    found = np.full(len(at_step), NAN)
    for g in np.unique(known.series):
        rows = known.series == g
        series = pd.Series(known.values[rows, column], known.step[rows])
        series = series.reindex(range(int(series.index[0]), 140))
        of = moments.series == g
        found[of] = column_of(series).reindex(at_step[of])
    return found[:, None]


def a_centred_mean(known, moments, origin):
    return in_pandas(known, moments, origin, lambda y: y.rolling(5, center=True, min_periods=1).mean())


def a_back_fill(known, moments, origin):
    return in_pandas(known, moments, origin, lambda y: y.bfill())


def a_lag_shorter_than_the_age(known, moments, origin):
    return in_pandas(known, moments, moments.step, lambda y: y.shift(1))


def a_mean_of_the_whole_series(known, moments, origin):
    return in_pandas(known, moments, origin, lambda y: y - y.mean())


def a_lag_that_counts_rows(known, moments, origin):
    frame = pd.DataFrame({"g": known.series, "s": known.step, "y": known.values[:, 0]})
    frame["y"] = frame.groupby("g")["y"].shift(24)
    found = frame.set_index(["g", "s"])["y"].reindex(pd.MultiIndex.from_arrays([moments.series, origin]))
    return found.to_numpy()[:, None]


def a_mean_over_all_series(known, moments, origin):
    means = pd.Series(known.values[:, 0]).groupby(known.step).mean().reindex(range(140)).expanding().mean()
    return means.reindex(origin).to_numpy()[:, None]


def an_honest_lag(known, moments, origin):
    return in_pandas(known, moments, origin, lambda y: y.shift(24))


CHECKS = {
    "later": lambda build: [poison.check_later_values(build, c, p) for c in poison.CUTOFFS for p in poison.POISONS],
    "impulse": lambda build: [poison.check_impulse(build, 0, 70, 0), poison.check_impulse(build, 2, 97, 0)],
    "deleted": lambda build: [poison.check_deleted_row(build, step) for step in (29, 48, 100)],
    "one origin": poison.check_one_origin_at_a_time,
    "other series": lambda build: [poison.check_other_series(build, 2, p) for p in poison.POISONS],
}


@pytest.mark.parametrize(
    ("leak", "seen_by"),
    [
        (a_centred_mean, {"later", "impulse", "one origin"}),
        (a_back_fill, {"later", "impulse", "one origin"}),
        (a_lag_shorter_than_the_age, {"later", "impulse", "one origin"}),
        (a_mean_of_the_whole_series, {"later", "impulse", "one origin"}),
        (a_lag_that_counts_rows, {"deleted"}),
        (a_mean_over_all_series, {"impulse", "other series"}),
        (an_honest_lag, set()),
    ],
)
def test_the_contract_sees_a_planted_leak(leak, seen_by):
    """Each leak fails the checks that are there for it, and no other; a lag that looks back fails none."""
    failed = set()
    for name, check in CHECKS.items():
        try:
            check(leak)
        except AssertionError:
            failed.add(name)
    assert failed == seen_by


def test_a_builder_that_knows_nothing_does_not_pass():
    """All missing has no leak, and no use."""
    with pytest.raises(AssertionError):
        poison.built(lambda known, moments, origin: np.full((len(origin), 1), NAN))


# --- by hand


def test_lags_are_counted_from_the_origin():
    """Known 10 .. 14 at steps 0 .. 4. At origin 3 the latest is 13, two back is 11, whatever the age."""
    known = line([10, 11, 12, 13, 14])
    rows = [(3, 4), (3, 9), (0, 1), (-1, 2), (5, 6)]
    np.testing.assert_equal(at(known, rows, "last"), [13, 13, 10, NAN, NAN])
    np.testing.assert_equal(at(known, rows, "last", back=2), [11, 11, NAN, NAN, 13])
    np.testing.assert_equal(at(known, rows, "latest"), [13, 13, 10, NAN, 14])
    np.testing.assert_equal(at(known, rows, "since"), [0, 0, 0, NAN, 1])
    np.testing.assert_equal(at(known, rows, "difference", 2), [2, 2, NAN, NAN, NAN])


def test_a_season_is_of_the_rows_own_phase():
    """Period 3, values 0 .. 8 are their steps. Rows 9, 10, 11 from origin 8 see 6, 7, 8; row 12 sees 6 again."""
    known = line(range(9))
    rows = [(8, 9), (8, 10), (8, 11), (8, 12), (7, 9), (7, 11), (5, 6)]
    assert at(known, rows, "season", 3) == [6, 7, 8, 6, 6, 5, 3]
    np.testing.assert_equal(at(known, rows, "season", 3, 1), [3, 4, 5, 3, 3, 2, 0])
    np.testing.assert_equal(at(known, rows, "season", 3, 2), [0, 1, 2, 0, 0, NAN, NAN])
    assert at(known, rows, "phase_mean", 3) == [3, 4, 5, 3, 3, 3.5, 1.5]


def test_a_season_over_a_missing_row_is_missing():
    """Hour 24 is gone: 24 hours later there is no y(t - 24), and neither 23's nor 25's is in its place."""
    whole = line(range(72))
    gone = poison.rows_of(whole, whole.step != 24)
    rows = [(47, 48), (48, 49), (46, 47), (71, 72)]
    assert at(whole, rows, "season", 24) == [24, 25, 23, 48]
    np.testing.assert_equal(at(gone, rows, "season", 24), [NAN, 25, 23, 48])
    np.testing.assert_equal(at(gone, rows, "season", 24, 1), [0, 1, NAN, NAN])
    np.testing.assert_equal(at(gone, [(27, 28)], "mean", 4), [(25 + 26 + 27) / 3])


def test_windows_past_the_last_known_step_hold_less():
    """Known 1, 3, 8 at steps 5 .. 7, windows of 3: at origin 9 only the 8 is left, at 10 nothing."""
    known, rows = line([1, 3, 8], first=5), [(7, 8), (8, 9), (9, 10), (10, 11), (4, 5)]
    np.testing.assert_equal(at(known, rows, "mean", 3), [4, 5.5, 8, NAN, NAN])
    np.testing.assert_equal(at(known, rows, "min", 3), [1, 3, 8, NAN, NAN])
    np.testing.assert_equal(at(known, rows, "max", 3), [8, 8, 8, NAN, NAN])
    np.testing.assert_allclose(at(known, rows, "std", 3), [13**0.5, 12.5**0.5, NAN, NAN, NAN])
    np.testing.assert_allclose(at(known, rows, "ewm", 1), [(8 + 1.5 + 0.25) / 1.75] * 4 + [NAN])


def test_a_naive_forecast_walks_back_to_a_value():
    """Period 2: rows of even phase see 4, or 2 where 4 is missing; the last known 5 is anyone's latest."""
    known = line([0, 1, 2, 3, NAN, 5])
    moments, origin = Moments(np.zeros(3, np.int32), np.array([6, 7, 6])), np.array([5, 5, 4])
    assert naive(known, moments, origin, 0).tolist() == [5, 5, 3]
    assert naive(known, moments, origin, 2).tolist() == [2, 5, 2]


def test_a_naive_forecast_gives_up_after_eight_periods():
    """A value 8 periods before the row is found, one 9 before is not."""
    known, origin = line([7.0]), np.array([7, 8])
    np.testing.assert_equal(naive(known, Moments(np.zeros(2, np.int32), origin + 1), origin, 1), [7, NAN])


def test_rows_of_unknown_series_are_missing():
    """Not of the table of series, or of a series without a known row, before and after others."""
    known = line([1, 2, 3], series=1)
    moments = Moments(np.array([UNKNOWN_SERIES, 0, 1, 2], np.int32), np.full(4, 3))
    np.testing.assert_equal(
        history(known, [Feature("", "last", 0, 0)], moments, np.full(4, 2))[:, 0], [NAN, NAN, 3, NAN]
    )
    np.testing.assert_equal(naive(known, moments, np.full(4, 2), 0), [NAN, NAN, 3, NAN])


def test_nothing_known_or_nothing_asked_is_no_error():
    """No known row, no row, no feature."""
    empty, moments = line([]), Moments(np.zeros(2, np.int32), np.array([1, 2]))
    assert np.isnan(history(empty, EVERY_KIND[:17], moments, np.array([0, 0]))).all()
    nobody = Moments(np.zeros(0, np.int32), np.zeros(0, np.int64))
    assert history(line([1]), EVERY_KIND[:17], nobody, np.zeros(0, np.int64)).shape == (0, 17)
    assert history(line([1]), (), moments, np.array([0, 0])).shape == (2, 0)


def test_an_origin_at_its_row_is_our_own_bug():
    """Nothing of the row's own step may be known."""
    with pytest.raises(AssertionError, match="origin"):
        history(line([1, 2]), (), Moments(np.zeros(1, np.int32), np.array([1])), np.array([1]))


# --- against pandas, and however it is cut


def test_every_statistic_is_that_of_pandas_on_an_even_grid():
    """Four series with gaps, two columns, two spans, all at once; each row reads pandas' column at its origin."""
    known, (moments, origin) = poison.sample(), poison.asked()
    oracle = {
        "mean": lambda y, span: y.rolling(span, min_periods=1).mean(),
        "std": lambda y, span: y.rolling(span, min_periods=2).std(),
        "min": lambda y, span: y.rolling(span, min_periods=1).min(),
        "max": lambda y, span: y.rolling(span, min_periods=1).max(),
        "ewm": lambda y, span: y.ewm(halflife=span).mean(),
        "difference": lambda y, span: y.diff(span),
        "latest": lambda y, span: y.ffill(),
    }
    asked_for = [(kind, column, span) for kind in oracle for span in (7, 24) for column in (0, 1)]
    found = history(known, [Feature("", *each) for each in asked_for], moments, origin)
    assert found.flags.f_contiguous
    for h, (kind, column, span) in enumerate(asked_for):
        expected = in_pandas(known, moments, origin, lambda y, k=kind, p=span: oracle[k](y, p), column)
        np.testing.assert_allclose(found[:, [h]], expected, rtol=1e-10, atol=1e-9)


def test_a_phase_is_that_of_pandas_on_an_even_grid():
    """Every p-th step, from the row back: the latest of them at or before the origin, one more back, and their mean."""
    known, (moments, origin) = poison.sample(), poison.asked()
    for period in (7, 24):
        kinds = [("season", 0), ("season", 1), ("phase_mean", 0)]
        found = history(known, [Feature("", kind, 0, period, back) for kind, back in kinds], moments, origin)
        phase = moments.step - period * np.ceil((moments.step - origin) / period).astype(int)
        assert (phase <= origin).all()
        mean = lambda y, p=period: y.groupby(y.index % p).expanding().mean().droplevel(0).sort_index()  # noqa: E731
        for h, column_of in enumerate((lambda y: y, lambda y, p=period: y.shift(p), mean)):
            np.testing.assert_allclose(found[:, [h]], in_pandas(known, moments, phase, column_of), rtol=1e-12)


@pytest.mark.parametrize("cells", [1, 100, 250, 400])
def test_bits_do_not_depend_on_how_series_are_cut(cells, monkeypatch):
    """One series at a time, or as many as fit."""
    known, (moments, origin) = poison.sample(), poison.asked()
    whole = history(known, EVERY_KIND, moments, origin)
    monkeypatch.setattr(module, "MOST_CELLS", cells)
    assert_same_bits(history(known, EVERY_KIND, moments, origin), whole)


# --- which features


def test_the_defaults_are_every_kind_of_the_target():
    """Seasons give windows, half-lives, phases and differences; the names say what they are."""
    names = [feature.name for feature in features_of(History(last=2, seasonal=2), HOURS, ["count"])]
    assert names == [
        *("count, at origin", "count, 1 back", "count, latest known", "count, steps since known"),
        *("count, season 24", "count, season 24, 1 back", "count, mean of phase of 24"),
        *("count, season 168", "count, season 168, 1 back", "count, mean of phase of 168"),
        *("count, change over 1", "count, change over 24", "count, change over 168"),
        *(f"count, {kind} of {span}" for span in (24, 168) for kind in ("mean", "std", "min", "max")),
        *("count, ewm 24", "count, ewm 168"),
    ]


def test_past_only_columns_have_a_latest_value_and_rolling_means():
    """One window of 6, no season: the second and third column."""
    found = features_of(History(windows=6), UNSEASONAL, ["count", "wind", "rain"])
    assert found[-4:] == (
        *(Feature("wind, latest known", "latest", 1, 0), Feature("wind, mean of 6", "mean", 1, 6)),
        *(Feature("rain, latest known", "latest", 2, 0), Feature("rain, mean of 6", "mean", 2, 6)),
    )


def test_without_a_season_windows_and_half_lives_are_of_seven_steps():
    """And nothing asks for a phase."""
    found = features_of(History(), UNSEASONAL, ["count"])
    spans = {feature.kind: feature.span for feature in found}
    assert (spans["mean"], spans["ewm"], spans["difference"]) == (7, 7, 1)
    assert not {"season", "phase_mean"} & spans.keys()


def test_each_setting_takes_its_columns_away():
    """Nothing of what was switched off is left, and no name stands twice."""
    off = History(last=0, seasonal=0, statistics=(), phase_mean=False, differences=False, half_lives=(5, 5))
    assert [feature.name for feature in features_of(off, HOURS, ["count", "wind"])] == [
        *("count, ewm 5", "wind, latest known"),
    ]
    names = [feature.name for feature in features_of(History(windows=(7, 7, 1)), HOURS, ["count", "wind"])]
    assert len(set(names)) == len(names)
