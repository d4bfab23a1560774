"""The plain facts of forecasts: how much better than repeating the past, and where in time the errors are.

Axis letters: T steps of one stretch of time, in order and without gaps. Ages are in steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from pipeline.tables import Floats
    from pipeline.timeline import ColumnRole


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Scored rows that have something in common: the headline metric of the model, and of the naive forecast."""

    label: str
    rows: int
    error: float
    naive: float


@dataclass(frozen=True, slots=True)
class ForecastScores:
    """Scores that only rows in time have. Models and baselines go by their names.

    skill: 1 - metric / the naive forecast's; NaN where that makes no error. mase: mean absolute error, in multiples of
    the mean change over one season (without seasons: one step) of the row's own series on its fold's training rows
    (Hyndman and Koehler, 2006); a row counts once.
    """

    naive: str  # the baseline that skill is measured against
    season: int  # that it repeats, in steps; 0: the latest value
    repeats: str  # the same in words
    skill: Mapping[str, float]  # empty for a metric of which greater is better
    mase: Mapping[str, float]
    mase_rows: int  # of series whose training rows change
    by_age: tuple[ErrorGroup, ...]  # by steps from origin to row
    phase: str  # what `by_phase` tells apart; empty without seasons
    by_phase: tuple[ErrorGroup, ...]  # of the shortest season
    by_weekday: tuple[ErrorGroup, ...]  # none where steps are longer than a day
    by_series: tuple[ErrorGroup, ...]  # worst first; none where all rows are of one
    further_series: int  # that are not among them


@dataclass(frozen=True, slots=True)
class Backtest:
    """A stretch of one series that the last fold scores, with some steps before it."""

    series: str  # empty: there is only one
    chosen: str  # why this one
    when: np.ndarray[tuple[int, ...], np.dtype[np.datetime64]] | None  # [T] by the clock on the wall
    step: Floats  # [T] shown where there is no such clock
    actual: Floats  # [T] here and below the mean of rows of one step, NaN where there is none
    predicted: Floats  # [T]
    naive: Floats  # [T]
    origin: int  # position of the last step of which anything was known; -1: rows have origins of their own
    length: int  # steps of the whole stretch, of which some may not be shown


@dataclass(frozen=True, slots=True)
class ForecastFacts:
    """What the report says of forecasts."""

    scores: ForecastScores
    sentences: tuple[str, ...]
    setting: Mapping[str, str]  # how time was read, in words
    backtests: tuple[Backtest, ...]
    roles: tuple[ColumnRole, ...]
