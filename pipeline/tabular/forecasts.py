"""Scores of forecasts: skill over repeating the past, MASE, and errors by age, phase, day of week and series.

Axis letter: P rows that folds score, in the order of `Folds.scored_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.forecast_facts import ErrorGroup, ForecastScores
from pipeline.tabular.clocks import to_local
from pipeline.tabular.metrics import METRICS, score
from pipeline.tabular.timelines import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Codes, Design, Floats, Integers
    from pipeline.tabular.dates import Instants
    from pipeline.timeline import Clock, Moments, Timeline

MOST_GROUPS = 31  # of ages or phases, the days of a month; more are put together
MOST_SERIES = 20
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
REPEATS = {"day": "repeating the last day", "week": "repeating last week", "year": "repeating last year"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows with what was forecast of them by a model and naively."""

    metric: str
    actual: Floats
    predicted: Floats
    naive: Floats

    def by(self, code: Integers | Codes, label: Callable[[int], str]) -> tuple[ErrorGroup, ...]:
        """The error of rows of each code, in ascending order of codes."""
        order = np.argsort(code, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
        return tuple(
            ErrorGroup(
                label=label(int(code[rows[0]])),
                rows=len(rows),
                error=score(self.metric, self.actual[rows], self.predicted[rows]),
                naive=score(self.metric, self.actual[rows], self.naive[rows]),
            )
            for rows in parts
        )


def forecast_scores(
    timeline: Timeline, design: Design, metric: str, oof: Mapping[str, Floats], model: str
) -> ForecastScores:
    """Score rows in time. oof: of the model and of every baseline, the naive ones among them [P]."""
    rows, season = design.folds.scored_rows, max(timeline.clock.seasons, default=0)
    naive = naive_name(timeline)
    compared = Compared(metric, design.target[rows], oof[model], oof[naive])
    step, series = timeline.train.step[rows], timeline.train.series[rows]
    scale = _scales(timeline.train, design, season or 1)
    age_of, phase, code_of = (
        _binned(step - scored_origins(design), min(timeline.clock.seasons, default=0)),
        *_phases(timeline.clock, step),
    )
    of_series = compared.by(series, lambda code: timeline.stamped.names[code])
    worst = sorted(of_series, key=lambda one: -badness(metric, one))
    return ForecastScores(
        naive=naive,
        season=season,
        repeats=_repeats(timeline.clock, season),
        skill=_skill(metric, compared.actual, oof, naive),
        mase={name: _mase(compared.actual - own, scale) for name, own in oof.items()},
        mase_rows=int(np.isfinite(scale).sum()),
        by_age=compared.by(*age_of),
        phase=phase,
        by_phase=compared.by(*code_of) if code_of else (),
        by_weekday=compared.by(*_weekdays(to_local(step, timeline.clock))) if days(timeline.clock, 1) <= 1 else (),
        by_series=tuple(worst[:MOST_SERIES]) if len(of_series) > 1 else (),
        further_series=max(len(of_series) - MOST_SERIES, 0),
    )


def naive_name(timeline: Timeline) -> str:
    """The baseline that repeats the longest season, or without one the last value."""
    season = max(timeline.clock.seasons, default=0)
    return f"seasonal naive {season}" if season else "last value"


def scored_origins(design: Design) -> Integers:
    """The origin of each scored row as the fold that scores it sees it [P]."""
    origins: Integers = np.concatenate(design.valid_origins)
    return origins[np.argsort(np.concatenate(design.folds.valid), kind="stable")]


def badness(metric: str, group: ErrorGroup) -> float:
    """Greater is worse, infinite where the score is no number."""
    if not np.isfinite(group.error):
        return float("inf")
    return -group.error if METRICS[metric].greater_is_better else group.error


def days(clock: Clock, steps: int) -> float:
    """How many days so many steps last; NaN where steps are no time."""
    if clock.freq == STEPS:
        return float("nan")
    first, last = to_local(np.array([0, steps]), replace(clock, timezone=""))
    return float((last - first) / np.timedelta64(1, "D"))


def _period(clock: Clock, season: int) -> str:
    length = days(clock, season)
    return {1.0: "day", 7.0: "week"}.get(length, "year" if 364 <= length <= 366 else "")


def _repeats(clock: Clock, season: int) -> str:
    if not season:
        return "repeating the last value"
    return REPEATS.get(_period(clock, season), f"repeating what was {season} steps earlier")


def _skill(metric: str, actual: Floats, oof: Mapping[str, Floats], naive: str) -> dict[str, float]:
    if METRICS[metric].greater_is_better:
        return {}
    beaten = score(metric, actual, oof[naive])
    return {name: 1 - score(metric, actual, own) / beaten if beaten else float("nan") for name, own in oof.items()}


# --- what groups rows: a code for each, and what codes are called


def _binned(values: Integers, season: int = 0) -> tuple[Integers, Callable[[int], str]]:
    """Each value alone where they are few, else stretches of equal length, of whole seasons if that is not far."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // MOST_GROUPS) if len(np.unique(values)) > MOST_GROUPS else 1
    if width > 1 and season <= 3 * width:  # or hours of day and night would take turns
        width = -(-width // max(season, 1)) * max(season, 1)

    def label(code: int) -> str:
        first = low + code * width
        return str(first) if width == 1 else f"{first} to {min(first + width - 1, high)}"

    return (values - low) // width, label


def _phases(clock: Clock, step: Integers) -> tuple[str, tuple[Integers, Callable[[int], str]] | None]:
    """Of the shortest season, by the clock on the wall where it is a day, a week or a year."""
    if not clock.seasons:
        return "", None
    season = clock.seasons[0]
    period = _period(clock, season)
    if not period:
        return f"step of a season of {season}", _binned(step % season)
    wall = to_local(step, clock)
    if period == "week":
        return "day of week", _weekdays(wall)
    if period == "year":
        return "month", (wall.astype("datetime64[M]").astype(np.int64) % 12, lambda code: MONTHS[code])
    minutes = (wall.astype("datetime64[m]") - wall.astype("datetime64[D]")).astype(np.int64)
    if len(np.unique(minutes)) > MOST_GROUPS:
        minutes = minutes // 60 * 60
    return "time of day", (minutes, lambda code: f"{code // 60:02}:{code % 60:02}")


def _weekdays(wall: Instants) -> tuple[Integers, Callable[[int], str]]:
    # day 0 of 1970 is a Thursday
    return (wall.astype("datetime64[D]").astype(np.int64) + 3) % 7, lambda code: DAYS[code]


# --- MASE


def _mase(errors: Floats, scale: Floats) -> float:
    has_scale = np.isfinite(scale)
    return float(np.mean(np.abs(errors[has_scale]) / scale[has_scale])) if has_scale.any() else float("nan")


def _scales(train: Moments, design: Design, lag: int) -> Floats:
    """The mean change of each scored row's series over `lag` steps of its fold's training rows [P]; NaN: none, or 0."""
    scales = []
    for fitted, valid in zip(design.folds.train, design.folds.valid, strict=True):
        by_series = _mean_change(train.series[fitted], train.step[fitted], design.target[fitted], lag)
        scales.append(by_series[np.minimum(train.series[valid], len(by_series) - 1)])
    order = np.argsort(np.concatenate(design.folds.valid), kind="stable")
    return np.asarray(np.concatenate(scales)[order])


def _mean_change(series: Codes, step: Integers, target: Floats, lag: int) -> Floats:
    """Of each series, and NaN at last, for those that are not there."""
    width = int(np.ptp(step)) + 1 + lag  # so that no cell lies `lag` after one of another series
    cells, cell_of = np.unique(series.astype(np.int64) * width + (step - step.min()), return_inverse=True)
    value = np.bincount(cell_of, target) / np.bincount(cell_of)
    earlier = np.searchsorted(cells, cells - lag)
    rows = np.flatnonzero(cells[earlier] == cells - lag)
    own, count = cells[rows] // width, int(series.max()) + 2
    change = np.bincount(own, np.abs(value[rows] - value[earlier[rows]]), minlength=count)
    pairs = np.bincount(own, minlength=count)
    return np.where(change > 0, change / pairs.clip(min=1), np.nan)
