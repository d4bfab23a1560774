"""Columns of what was known when a row was forecast: its history, its age, and where it lies in each season."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tabular.clocks import to_local
from pipeline.tabular.history import LEVELS, SCALED, features_of, history, naive
from pipeline.tabular.level_means import level_mean
from pipeline.tabular.origins import block_origins, drawn_ages, rolling_ages
from pipeline.tabular.public_holidays import COLUMNS, holiday_columns
from pipeline.tabular.spreads import spreads
from pipeline.tabular.timelines import STEPS
from pipeline.timeline import Moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tables import Booleans, Codes, Floats, Integers
    from pipeline.time_settings import History
    from pipeline.timeline import Known, Timeline

AGE = "steps ahead"
LAST_VALUE = "last value"  # a forecast without a model
# of targets that spread over magnitudes: what needs no fit may be taken before history is made of them
ELEMENTWISE: dict[str, Callable[[Floats], Floats]] = {"log": np.log, "log1p": np.log1p}


def in_scale(known: Known, transform: str) -> Known:
    """What is known, the target in the scale that networks see where that needs no fit."""
    if transform not in ELEMENTWISE:
        return known
    values = known.values.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        values[:, 0] = ELEMENTWISE[transform](values[:, 0])
    values[~np.isfinite(values)] = np.nan
    return replace(known, values=values)


def without(known: Known, hidden: Booleans) -> Known:
    """What is known where some of it must not be: as if those rows had never been there."""
    if not hidden.any():
        return known
    kept = ~hidden
    levels = None if known.levels is None else known.levels[kept]
    return replace(known, series=known.series[kept], step=known.step[kept], values=known.values[kept], levels=levels)


def forecast_origins(timeline: Timeline, moments: Moments) -> Integers:
    """The origin of rows that are forecast from all that the training rows tell, as those of the test are."""
    if timeline.layout == "rolling":
        drawn = moments.step - timeline.gap - rolling_ages(moments, timeline.horizon, timeline.seed)
        last, end = int(timeline.known.step.max()), int(timeline.test.step.max())
        # rows of a further file, behind all of which truth came in: they are as far ahead as they are
        return np.where(moments.step > max(last, end), last - timeline.gap, drawn)
    # among the rows of the test: a row of it has the same block, and so the same origin, with and without the others
    everybody = Moments(
        np.concatenate([moments.series, timeline.test.series]), np.concatenate([moments.step, timeline.test.step])
    )
    return block_origins(everybody, timeline.known.moments, gap=timeline.gap)[: len(moments.step)]


def training_origins(timeline: Timeline) -> Integers:
    """An origin for each training row, as far back as those of the rows that are forecast."""
    train = timeline.train
    if timeline.layout == "rolling":
        return train.step - timeline.gap - rolling_ages(train, timeline.horizon, timeline.seed)
    period = max(timeline.clock.seasons, default=1)
    ages = timeline.test.step - timeline.test_origin
    return train.step - drawn_ages(train, ages, timeline.test.step % period, period, timeline.seed)


def past_columns(timeline: Timeline, known: Known, options: History) -> tuple[str, ...]:
    """Names of the columns that `past_matrix` makes."""
    names = [feature.name for feature in features_of(options, timeline.clock, known.columns)]
    names += [AGE] if options.age else []
    for period in timeline.clock.seasons:
        pairs = range(1, min(options.fourier, period // 2) + 1)
        names += [f"{wave} {pair} of season {period}" for pair in pairs for wave in ("sine", "cosine")]
    names += encoded_columns(known, options)
    names += COLUMNS if options.holidays else ()
    return tuple(names)


def encoded_columns(known: Known, options: History) -> tuple[str, ...]:
    """Names of the columns that pool all series: they are made of the rows of one level."""
    return tuple(f"{known.columns[0]}, mean at {name}" for name in options.encode)


def past_matrix(
    timeline: Timeline,
    known: Known,
    options: History,
    moments: Moments,
    origin: Integers,
    levels: Codes | None = None,
) -> Floats:
    """What was known of each row at its origin [R, columns], NaN where nothing was.

    levels: the rows' codes in each column that is encoded [R, columns of levels]; below 0 where unknown.
    Raises ConfigError for holidays where the clock has no dates.
    """
    features = features_of(options, timeline.clock, known.columns)
    made = [history(known, features, moments, origin)]
    latest = naive(known, moments, origin, 0)[:, None] if options.relative else None
    if latest is not None:
        made[0][:, [place for place, one in enumerate(features) if one.column == 0 and one.kind in LEVELS]] -= latest
    spread = spreads(known, moments, origin)[:, None] if options.scaled else None
    if spread is not None:
        made[0][:, [place for place, one in enumerate(features) if one.column == 0 and one.kind in SCALED]] /= spread
    if options.age:
        made.append(np.log1p((moments.step - origin).astype(np.float64))[:, None])
    for period in timeline.clock.seasons:
        angle = 2 * np.pi * (moments.step % period) / period
        pairs = range(1, min(options.fourier, period // 2) + 1)
        made += [np.stack([np.sin(pair * angle), np.cos(pair * angle)], axis=1) for pair in pairs]
    for at, name in enumerate(options.encode):
        assert levels is not None, "rows have the levels that are encoded"
        mean = level_mean(known, name, levels[:, at], origin)[:, None]
        mean = mean if latest is None else mean - latest
        made.append(mean if spread is None else mean / spread)
    if options.holidays:
        made.append(_holidays(timeline, options.holidays, moments))
    return np.concatenate(made, axis=1)


def _holidays(timeline: Timeline, place: str, moments: Moments) -> Floats:
    if timeline.clock.freq == STEPS:
        raise ConfigError(
            f'history.holidays = "{place}" needs dates, but [time] column counts steps; write it as dates, or set ""'
        )
    return holiday_columns(to_local(moments.step, timeline.clock), place)


def naive_forecasts(timeline: Timeline, known: Known, moments: Moments, origin: Integers) -> dict[str, Floats]:
    """What a person would say without a model [R]: the last value, and that of the same phase of each season.

    Where neither is known: the mean of what is known of all series by then; 0 before anything is.
    """
    found = {LAST_VALUE: naive(known, moments, origin, 0)}
    found |= {f"seasonal naive {period}": naive(known, moments, origin, period) for period in timeline.clock.seasons}
    mean = mean_so_far(known, origin)
    return {name: np.where(np.isfinite(own), own, mean) for name, own in found.items()}


def mean_so_far(known: Known, origin: Integers) -> Floats:
    """The mean target of all series up to each origin."""
    order = np.argsort(known.step, kind="stable")
    target = known.values[order, 0]
    is_there = np.isfinite(target)
    sums, counts = np.cumsum(np.where(is_there, target, 0.0)), np.cumsum(is_there)
    place = np.searchsorted(known.step[order], origin, side="right")
    mean: Floats = np.append(0.0, sums)[place] / np.append(0, counts)[place].clip(min=1)
    return mean
