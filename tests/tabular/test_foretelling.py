"""Columns that tell the target ahead: planted ones at every shift, and honest ones that only look like it."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.tabular.foretelling import foretelling, shifts_of
from pipeline.timeline import Clock, Known, Moments

SEASON, STEPS = 12, 300


def timeline(series_of_targets, ages=range(1, 25), season=SEASON):
    """Series that are known at every step, and a test of these ages."""
    count, steps = np.shape(series_of_targets)
    series, step = np.repeat(np.arange(count, dtype=np.int32), steps), np.tile(np.arange(steps), count)
    known = Known(series, step, ("y",), np.ravel(series_of_targets)[:, None].astype(float))
    test = Moments(np.zeros(len(ages), np.int32), steps - 1 + np.array(ages))
    return SimpleNamespace(
        train=Moments(series, step),
        test=test,
        test_origin=np.full(len(ages), steps - 1),
        known=known,
        clock=Clock("1h", "2024-01-01", "", (season,) if season else ()),
    )


def noise(count=2, seed=0):
    return np.random.default_rng(seed).normal(50, 10, (count, STEPS))


def shifted(targets, k):
    """Pandas' shift of each series, 0 where nothing comes."""
    moved = np.full(targets.shape, np.nan)
    rows = slice(max(k, 0), STEPS + min(k, 0))
    moved[:, rows] = targets[:, slice(max(-k, 0), STEPS + min(-k, 0))]
    return moved


def told(own, **columns):
    names = np.array([f"r{row}" for row in range(len(own.train.step))], dtype=object)
    return foretelling(own, {name: np.ravel(values) for name, values in columns.items()}, names)


def test_shifts_are_three_steps_and_two_seasons_either_way():
    assert shifts_of(timeline(noise()).clock) == (0, -1, 1, -2, 2, -3, 3, -12, 12, -24, 24)
    assert len(shifts_of(timeline(noise(), season=0).clock)) == 7


@pytest.mark.parametrize("shift", [0, -1, -2, -3, -12, -24])
def test_the_present_and_the_future_target_are_leaks(shift):
    """FAULT 54, of two series, with the shift and the first row."""
    own = timeline(noise())
    [finding] = told(own, planted=shifted(noise(), shift), honest=noise(seed=1))
    assert (finding.columns, finding.severity) == (("planted",), "leak")
    where = "of the same step" if shift == 0 else f"later (shift {shift})"
    assert where in finding.evidence
    assert "equal on 100.0% of the " in finding.evidence
    assert "the first with id 'r0'" in finding.evidence


def test_one_cell_in_two_hundred_that_differs_hides_nothing():
    own, planted = timeline(noise()), shifted(noise(), -1)
    planted[:, ::200] = 0
    assert len(told(own, planted=planted)) == 1


@pytest.mark.parametrize(("shift", "count"), [(1, 1), (12, 1), (24, 0)])
def test_an_earlier_target_is_told_where_test_rows_are_forecast_from_further_back(shift, count):
    """Ages up to 24: the target of 12 steps before is not known to all of them, that of 24 is."""
    findings = told(timeline(noise()), lag=shifted(noise(), shift))
    assert [finding.severity for finding in findings] == ["warning"] * count
    assert all("forecast up to 24 steps ahead" in finding.evidence for finding in findings)


def test_a_lag_is_honest_where_forecasts_are_of_the_next_step():
    own = timeline(noise(), ages=[1])
    assert told(own, lag=shifted(noise(), 1)) == []


@pytest.mark.parametrize("shift", [0, -1, -12])
@pytest.mark.parametrize("factor", [2.5, -1.0])
def test_a_target_in_another_unit_moves_as_it_does(shift, factor):
    """Fahrenheit is no disguise, nor is a little noise."""
    planted = shifted(noise(), shift) * factor + 32 + noise(seed=3) * 0.01
    [finding] = told(timeline(noise()), planted=planted)
    assert finding.severity == "leak"
    assert "moves as the target does" in finding.evidence
    assert f"correlation of changes {np.sign(factor) * 1.0:.3f}" in finding.evidence


def test_a_driver_of_the_target_is_a_question():
    """What moves nearly as the target does may be why it moves, and known ahead."""
    [finding] = told(timeline(noise()), planted=noise() + noise(seed=3) * 0.1)
    assert finding.severity == "warning"
    assert finding.evidence.endswith("keep it if it is truly known when rows are forecast")


def smooth(seed=0):
    """A target whose changes are nearly those of the step before."""
    step = np.arange(STEPS)
    return np.stack([50 + 20 * np.sin(step / 40 + phase) for phase in (0, 1)]) + noise(seed=seed) * 1e-5


STEP = np.tile(np.arange(STEPS), (2, 1))
ALIKE = np.tile(noise()[:, :SEASON], STEPS // SEASON)
RARE = np.repeat(np.random.default_rng(4).normal(50, 10, (2, STEPS // 50)), 50, axis=1)


@pytest.mark.parametrize(
    ("targets", "column"),
    [
        (noise(), np.full((2, STEPS), 50.0)),
        (np.where(noise() > 75, 1.0, 0.0), np.zeros((2, STEPS))),
        (np.full((2, STEPS), 7.0), np.full((2, STEPS), 7.0)),
        (noise(), STEP),
        (noise(), STEP % SEASON),
        (10.0 * STEP + noise(), STEP),
        (smooth(), shifted(smooth(), 1) * 2),
        (smooth(), shifted(smooth(), 3)),
        (RARE, shifted(RARE, 24)),
        (ALIKE, shifted(ALIKE, SEASON)),
        (noise(), noise() + 0.5 * noise(seed=9)),
        (np.where(STEP == 100, 1e9, noise()), np.where(STEP == 100, 1e9, noise(seed=5))),
    ],
    ids=[
        *("constant", "zeros beside rare ones", "both constant", "steps", "a calendar", "a trend beside steps"),
        *("a smooth target's lag", "its lag of 3", "a lag of a target that rarely moves", "a target that repeats"),
        *("a noisy covariate", "one outlier that both have"),
    ],
)
def test_what_only_looks_like_it_is_silent(targets, column):
    """Ages of 1: every earlier target is known. None of these tells a present or a later one."""
    assert told(timeline(targets, ages=[1]), column=column) == []


def test_a_temperature_that_correlates_is_silent():
    """Demand follows it with .9, changes and all."""
    draw = np.random.default_rng(0)
    temperature = np.cumsum(draw.normal(0, 1, (2, STEPS)), axis=1)
    targets = 5 * temperature + draw.normal(0, 1.2, (2, STEPS))
    assert np.corrcoef(np.diff(temperature).ravel(), np.diff(targets).ravel())[0, 1] > 0.9
    assert told(timeline(targets), temperature=temperature) == []


def test_few_rows_say_nothing():
    targets = noise()[:, :12]
    assert told(timeline(targets), planted=targets) == []


def test_rows_of_other_series_are_no_neighbours():
    """The last target of one series beside the first of the next, rows in any order."""
    own = timeline(noise(1))
    order = np.random.default_rng(1).permutation(STEPS)
    own.train = Moments(own.train.series[order], own.train.step[order])
    [finding] = told(own, planted=shifted(noise(1), -1)[0][order])
    assert "shift -1" in finding.evidence
