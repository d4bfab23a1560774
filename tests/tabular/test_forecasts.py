"""Scores in time, by hand: what repeating the past would have done, and where in time the errors are."""

from dataclasses import replace

import numpy as np
import pytest
from builders import design_of, generated_dataset

from pipeline.forecast_facts import ErrorGroup
from pipeline.tables import Folds
from pipeline.tabular.forecasts import DAYS, badness, forecast_scores, scored_origins
from pipeline.tabular.metrics import METRICS
from pipeline.timeline import Clock, Known, Moments, Stamped, Timeline

DESIGN = design_of(generated_dataset())
UNSEASONAL = Clock("1D", "2024-01-01", "", ())
TWO_DAYS = Clock("1D", "2024-01-01", "", (2,))  # from a Monday on
HERE = np.zeros(0, dtype=np.int64)


def scored(y, folds, predicted, naive, *, clock=TWO_DAYS, series=None, step=None, names=("",), metric="mae"):
    """Scores of predictions of scored rows in the order of rows; folds: (trained rows, scored rows, their origins)."""
    y = np.array(y, dtype=float)
    series = np.zeros(len(y), np.int32) if series is None else np.array(series, np.int32)
    moments = Moments(series, np.arange(len(y)) if step is None else np.array(step))
    known = Known(moments.series, moments.step, ("y",), y[:, None])
    stamped = Stamped((), (), clock, names, "t", is_utc=False)
    timeline = Timeline(stamped, "future", moments, moments, moments.step - 1, known, ())
    train, valid, origins = (tuple(np.array(own, dtype=np.int64) for own in part) for part in zip(*folds, strict=True))
    design = replace(DESIGN, target=y, folds=Folds(train, valid), valid_origins=origins)
    name = f"seasonal naive {clock.seasons[-1]}" if clock.seasons else "last value"
    oof = {
        "mlp": np.array(predicted, dtype=float),
        "mean": np.zeros(len(predicted)),
        name: np.array(naive, dtype=float),
    }
    return forecast_scores(timeline, design, metric, oof, "mlp")


Y = [1, 2, 3, 5, 2, 4, 6, 9]
FOLDS = [([0, 1, 2, 3], [4, 5], [3, 3]), ([0, 1, 2, 3, 4, 5], [6, 7], [5, 5])]
PREDICTED, NAIVE = [3, 2, 6.5, 9], [3, 5, 2, 4]  # of rows 4 to 7; what was 2 days before


def told(groups):
    return [(one.label, one.rows, one.error, one.naive) for one in groups]


def test_skill_is_the_share_of_the_naive_error_that_is_not_made():
    """Mean errors 3.5 / 4 and 11 / 4: 1 - 3.5 / 11; forecasting 0 has 21 / 4; the naive forecast itself has none."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE)
    assert (found.naive, found.season, found.repeats) == ("seasonal naive 2", 2, "repeating what was 2 steps earlier")
    assert found.skill == pytest.approx({"mlp": 1 - 3.5 / 11, "mean": 1 - 21 / 11, "seasonal naive 2": 0.0})


def test_mase_divides_each_error_by_the_change_on_the_folds_own_training_rows():
    """Changes over 2 days: 2 and 3 in fold 1, then 1 and 1 too: scales 2.5 and 1.75."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE)
    assert found.mase_rows == 4
    assert found.mase["mlp"] == pytest.approx((1 / 2.5 + 2 / 2.5 + 0.5 / 1.75 + 0) / 4)
    assert found.mase["seasonal naive 2"] == pytest.approx((1 / 2.5 + 1 / 2.5 + 4 / 1.75 + 5 / 1.75) / 4)


def test_mase_takes_each_series_by_its_own_scale_and_leaves_out_those_that_never_change():
    """Changes of 1 in series a, of 10 in b, none in c: errors of 1 and 30 are 1 and 3; c's counts nowhere."""
    y = [0, 1, 2, 0, 10, 20, 7, 7, 7]
    found = scored(
        y, [([0, 1, 3, 4, 6, 7], [2, 5, 8], [1, 1, 1])], [3, 50, 9], [1, 10, 7], clock=UNSEASONAL,
        series=[0, 0, 0, 1, 1, 1, 2, 2, 2], step=[0, 1, 2] * 3, names=("a", "b", "c"),
    )  # fmt: skip
    assert (found.naive, found.repeats) == ("last value", "repeating the last value")
    assert found.mase_rows == 2
    assert found.mase["mlp"] == pytest.approx((1 / 1 + 30 / 10) / 2)


def test_a_change_counts_between_steps_not_between_rows():
    """Steps 0, 1, 5, 6: the pairs are 0 to 1 and 5 to 6, changes of 1 and 3; rows of one step count as their mean."""
    y, step = [0, 1, 50, 52, 54, 9], [0, 1, 5, 6, 6, 7]
    found = scored(y, [([0, 1, 2, 3, 4], [5], [6])], [11], [9], clock=UNSEASONAL, step=step)
    assert found.mase["mlp"] == pytest.approx(2 / 2)


def test_series_whose_training_rows_have_no_pair_have_no_mase():
    """A single training row changes by nothing that is known."""
    found = scored([1, 2], [([0], [1], [0])], [3], [1])
    assert found.mase_rows == 0
    assert np.isnan(found.mase["mlp"])


def test_a_naive_forecast_without_error_leaves_no_skill():
    """Nothing can be below it, and 1 - x / 0 is no number."""
    assert np.isnan(scored(Y, FOLDS, PREDICTED, Y[4:]).skill["mlp"])


def test_a_prediction_that_is_not_finite_spoils_the_scores_and_is_not_left_out():
    """A diverged network shows."""
    found = scored(Y, FOLDS, [np.nan, 2, 6.5, 9], NAIVE)
    assert np.isnan([found.skill["mlp"], found.mase["mlp"], found.by_age[0].error]).all()
    assert found.by_age[1].error == 1.0


@pytest.mark.parametrize("metric", [name for name, own in METRICS.items() if own.greater_is_better])
def test_a_metric_of_which_greater_is_better_has_no_skill(metric):
    """A share of an r2 says nothing; MASE does not ask for the metric."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE, metric=metric)
    assert found.skill == {}
    assert np.isfinite(found.mase["mlp"])


# --- where errors are


def test_errors_by_age_are_those_of_rows_as_many_steps_after_their_origin():
    """Rows 4 and 6 are forecast one day ahead, 5 and 7 two days."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE)
    assert told(found.by_age) == [("1", 2, 0.75, 2.5), ("2", 2, 1.0, 3.0)]


def test_origins_are_those_of_the_fold_that_scores_the_row_in_file_order():
    """Fold 1 scores rows 3 and 0, fold 2 rows 1 and 0: row 0 stands there twice."""
    folds = Folds((HERE, HERE), (np.array([3, 0]), np.array([1, 0])))
    design = replace(DESIGN, folds=folds, valid_origins=(np.array([30, 10]), np.array([21, 20])))
    assert design.folds.scored_rows.tolist() == [0, 0, 1, 3]
    assert scored_origins(design).tolist() == [10, 20, 21, 30]


@pytest.mark.parametrize(
    ("seasons", "labels"),
    [((), ["1 to 3", "79 to 80"]), ((7,), ["1 to 7", "78 to 80"]), ((50,), ["1 to 3", "79 to 80"])],
)  # fmt: skip
def test_many_ages_are_put_together_by_whole_seasons_if_that_is_not_far(seasons, labels):
    """80 ages are 27 stretches of 3, or 12 weeks."""
    y = np.arange(100.0)
    clock = Clock("1D", "2024-01-01", "", seasons)
    found = scored(y, [(range(20), range(20, 100), [19] * 80)], y[20:] + 1, y[20:] + 2, clock=clock)
    assert [found.by_age[0].label, found.by_age[-1].label] == labels
    assert {(own.error, own.naive) for own in found.by_age} == {(1.0, 2.0)}
    assert sum(own.rows for own in found.by_age) == 80


def test_a_month_of_ages_stays_as_it_is():
    """31 ages, 31 groups."""
    y = np.arange(40.0)
    found = scored(y, [(range(9), range(9, 40), [8] * 31)], y[9:], y[9:])
    assert [own.label for own in found.by_age] == [str(age) for age in range(1, 32)]


def test_a_phase_without_a_calendar_is_the_step_of_its_season():
    """Two days are no period that people name: even and odd steps."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE)
    assert found.phase == "step of a season of 2"
    assert told(found.by_phase) == [("0", 2, 0.75, 2.5), ("1", 2, 1.0, 3.0)]


def test_days_of_the_week_are_those_of_the_calendar():
    """Day 4 after a Monday is a Friday; they stand from Monday to Sunday."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE)
    expected = [("Monday", 1, 0.0, 5.0), ("Friday", 1, 1.0, 1.0), ("Saturday", 1, 2.0, 1.0), ("Sunday", 1, 0.5, 4.0)]
    assert told(found.by_weekday) == expected
    weekly = scored(Y, FOLDS, PREDICTED, NAIVE, clock=Clock("1D", "2024-01-01", "", (7,)))
    assert (weekly.phase, weekly.repeats) == ("day of week", "repeating last week")
    assert told(weekly.by_phase) == expected


def test_hours_are_those_of_the_clock_on_the_wall_on_both_sides_of_its_change():
    """Step 12 is noon of the 30th of March 2024 in Berlin; a day later 23 steps have passed."""
    clock = Clock("1h", "2024-03-29T23:00", "Europe/Berlin", (24,))
    y, step = np.arange(38.0), np.arange(38)
    found = scored(
        y, [(range(12), [12, 35, 36], [11, 11, 11])], y[[12, 35, 36]] + 1, y[[12, 35, 36]], clock=clock, step=step
    )
    assert found.phase == "time of day"
    assert [(own.label, own.rows) for own in found.by_phase] == [("12:00", 2), ("13:00", 1)]
    assert [(own.label, own.rows) for own in found.by_weekday] == [("Saturday", 1), ("Sunday", 2)]
    assert found.repeats == "repeating the last day"


def test_quarters_of_an_hour_are_told_by_the_hour():
    """96 phases are too many to look at."""
    y = np.arange(300.0)
    clock = Clock("15min", "2024-01-01", "", (96,))
    found = scored(y, [(range(100), range(100, 300), [99] * 200)], y[100:], y[100:], clock=clock)
    assert [own.label for own in found.by_phase] == [f"{hour:02}:00" for hour in range(24)]


@pytest.mark.parametrize(
    ("clock", "labels"),
    [
        (Clock("1MS", "2024-01-01", "", (12,)), ["January", "February", "November", "December"]),
        (Clock("7D", "2024-01-01", "", (52,)), ["January", "February", "March", "April"]),
    ],
)
def test_phases_of_a_year_are_months_and_longer_steps_have_no_day_of_week(clock, labels):
    """Months 10 to 13 after January; weeks 10 to 13 are of March."""
    y = np.arange(14.0)
    found = scored(y, [(range(10), range(10, 14), [9] * 4)], y[10:], y[10:] + 1, clock=clock)
    assert (found.phase, found.repeats) == ("month", "repeating last year")
    assert {own.label for own in found.by_phase} <= set(labels)
    assert sum(own.rows for own in found.by_phase) == 4
    assert found.by_weekday == ()


def test_steps_that_are_no_time_have_ages_and_phases_alone():
    """A column that counts has no days."""
    found = scored(Y, FOLDS, PREDICTED, NAIVE, clock=Clock("step", "", "", (2,)))
    assert found.by_weekday == ()
    assert (found.repeats, [own.label for own in found.by_phase]) == ("repeating what was 2 steps earlier", ["0", "1"])
    assert scored(Y, FOLDS, PREDICTED, NAIVE, clock=Clock("step", "", "", ())).by_phase == ()


def many_series(count, errors):
    """A training row and a scored one of each series, with these errors."""
    series, y = np.repeat(np.arange(count), 2), np.zeros(2 * count)
    valid = np.arange(1, 2 * count, 2)
    names = tuple(f"s{place}" for place in range(count))
    return series, [(valid - 1, valid, np.zeros(count))], np.asarray(errors, dtype=float), y, names


def test_the_worst_series_come_first_and_the_others_are_counted():
    """25 series with errors of 0 to 23 and one that is no number, the worst of all: 20 are told, and 5 more."""
    errors = [*range(24), np.nan]
    series, folds, predicted, y, names = many_series(25, errors)
    found = scored(y, folds, predicted, y[1::2], series=series, step=[0, 1] * 25, names=names)
    assert (len(found.by_series), found.further_series) == (20, 5)
    assert [own.label for own in found.by_series] == ["s24", *(f"s{place}" for place in range(23, 4, -1))]
    assert [own.error for own in found.by_series[1:3]] == [23.0, 22.0]


def test_the_worst_r2_is_the_lowest():
    """0.1 is worse than 0.9, an error of 0.9 than one of 0.1."""
    low, high = (ErrorGroup("", 1, value, 0.0) for value in (0.1, 0.9))
    assert badness("r2", low) > badness("r2", high)
    assert badness("mae", low) < badness("mae", high)


def test_a_single_series_is_no_table():
    """It would say what the headline says."""
    assert scored(Y, FOLDS, PREDICTED, NAIVE).by_series == ()


def test_every_day_has_a_name():
    """Seven of them."""
    assert (len(DAYS), DAYS[0], DAYS[6]) == (7, "Monday", "Sunday")
