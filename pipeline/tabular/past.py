"""Columns of what was known when a row was forecast: its history, its age, and where it lies in each season."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.tabular.history import features_of, history, naive
from pipeline.tabular.origins import block_origins, drawn_ages, rolling_ages

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tables import Booleans, Floats, Integers
    from pipeline.time_settings import History
    from pipeline.timeline import Known, Moments, Timeline

AGE = "steps ahead"
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
    return replace(known, series=known.series[kept], step=known.step[kept], values=known.values[kept])


def forecast_origins(timeline: Timeline, moments: Moments) -> Integers:
    """The origin of rows that are forecast from all that the training rows tell, as those of the test are."""
    if timeline.layout == "rolling":
        return moments.step - timeline.gap - rolling_ages(moments, timeline.horizon, timeline.seed)
    return block_origins(moments, timeline.known.moments, gap=timeline.gap)


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
    return tuple(names)


def past_matrix(timeline: Timeline, known: Known, options: History, moments: Moments, origin: Integers) -> Floats:
    """What was known of each row at its origin [R, columns], NaN where nothing was."""
    made = [history(known, features_of(options, timeline.clock, known.columns), moments, origin)]
    if options.age:
        made.append(np.log1p((moments.step - origin).astype(np.float64))[:, None])
    for period in timeline.clock.seasons:
        angle = 2 * np.pi * (moments.step % period) / period
        pairs = range(1, min(options.fourier, period // 2) + 1)
        made += [np.stack([np.sin(pair * angle), np.cos(pair * angle)], axis=1) for pair in pairs]
    return np.concatenate(made, axis=1)


def naive_forecasts(timeline: Timeline, known: Known, moments: Moments, origin: Integers) -> dict[str, Floats]:
    """What a person would say without a model [R]: the last value, and that of the same phase of each season.

    Where nothing was known: the mean of all that was known before the earliest origin, or of all.
    """
    found = {"last value": naive(known, moments, origin, 0)}
    found |= {f"seasonal naive {period}": naive(known, moments, origin, period) for period in timeline.clock.seasons}
    seen = known.values[known.step <= origin.min(initial=0), 0]
    target = seen if np.isfinite(seen).any() else known.values[:, 0]
    return {name: np.where(np.isfinite(own), own, np.nanmean(target)) for name, own in found.items()}
