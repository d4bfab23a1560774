"""The search space: a candidate's values suggested by a trial, the configuration as it stands, a grid of it all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

    from pipeline.search_settings import Range

Values = dict[str, object]  # dotted key of the configuration -> what a trial tries there

GRID_POINTS = 5  # of a range of real numbers


def suggested(trial: optuna.Trial, space: Mapping[str, Range]) -> Values:
    """What the study's sampler wants to try."""
    values: Values = {}
    for key, dimension in space.items():
        if dimension.choice is not None:
            values[key] = trial.suggest_categorical(key, dimension.choice)
        elif dimension.integer is not None:
            values[key] = trial.suggest_int(key, *dimension.integer)
        elif dimension.log is not None:
            values[key] = trial.suggest_float(key, *dimension.log, log=True)
        elif dimension.uniform is not None:
            values[key] = trial.suggest_float(key, *dimension.uniform)
    return values


def as_it_stands(values: Mapping[str, object], space: Mapping[str, Range]) -> Values:
    """The configuration's own values where the space holds them; the sampler fills in the others."""
    replaced = ("model.width", "model.depth") if values.get("model.hidden") else ()  # by explicit layers
    return {
        key: values[key] for key, dimension in space.items() if key not in replaced and _holds(dimension, values[key])
    }


def grid(space: Mapping[str, Range]) -> dict[str, list[float | int | str]]:
    """Every choice, every integer, and five points of a range, its ends among them."""
    points: dict[str, list[float | int | str]] = {}
    for key, dimension in space.items():
        if dimension.choice is not None:
            points[key] = list(dimension.choice)
        elif dimension.integer is not None:
            points[key] = list(range(dimension.integer[0], dimension.integer[1] + 1))
        elif dimension.log is not None:
            points[key] = _within(np.geomspace(*dimension.log, GRID_POINTS).tolist(), dimension.log)
        elif dimension.uniform is not None:
            points[key] = _within(np.linspace(*dimension.uniform, GRID_POINTS).tolist(), dimension.uniform)
    return points


def grid_size(space: Mapping[str, Range], stands: Values) -> int:
    """How many trials try all of a grid, and the configuration as it stands where that is none of its points."""
    points = grid(space)
    is_point = all(key in stands and stands[key] in values for key, values in points.items())
    return math.prod(map(len, points.values())) + (not is_point)


def distance(values: Mapping[str, object], others: Mapping[str, object], space: Mapping[str, Range]) -> float:
    """How far apart two candidates are, 0 to 1: the mean over settings (Gower's).

    Of a range the share of it that lies between the two, of a choice, and of what the space does not hold, 0 or 1.
    """
    keys = {*values, *others}
    return sum(_gap(space.get(key), values.get(key), others.get(key)) for key in keys) / max(1, len(keys))


def _gap(dimension: Range | None, value: object, other: object) -> float:
    bounds = None if dimension is None else dimension.log or dimension.uniform or dimension.integer
    if bounds is None or not isinstance(value, (int, float)) or not isinstance(other, (int, float)):
        return float(value != other)
    is_log = dimension is not None and dimension.log is not None
    if is_log and min(value, other) <= 0:  # none at all, which a plan tries beside a range
        return float(value != other)
    scale = math.log if is_log else float
    return min(1.0, abs(scale(value) - scale(other)) / (scale(bounds[1]) - scale(bounds[0])))


def _within(points: list[float], ends: tuple[float, float]) -> list[float | int | str]:
    """The points, the ends of the range exactly as they were given: roundings may lie outside."""
    return [ends[0], *points[1:-1], ends[1]]


def _holds(dimension: Range, value: object) -> bool:
    bounds = dimension.log or dimension.uniform or dimension.integer
    if bounds is None:
        return value in (dimension.choice or ())
    return isinstance(value, (int, float)) and bounds[0] <= value <= bounds[1]
