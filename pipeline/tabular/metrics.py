"""One table of regression metrics, each with its direction and what a target must satisfy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats


def mse(actual: Floats, predicted: Floats) -> float:
    """Mean squared error."""
    return float(np.mean((actual - predicted) ** 2))


def rmse(actual: Floats, predicted: Floats) -> float:
    """Root mean squared error, in the target's unit."""
    return float(np.sqrt(mse(actual, predicted)))


def mae(actual: Floats, predicted: Floats) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(actual - predicted)))


def mape(actual: Floats, predicted: Floats) -> float:
    """Mean absolute error as a share of the actual value."""
    return float(np.mean(np.abs(actual - predicted) / np.maximum(np.abs(actual), np.finfo(np.float64).eps)))


def r2(actual: Floats, predicted: Floats) -> float:
    """Share of the variance explained; 0 for predicting the mean, 0 too where the target does not vary."""
    total = float(np.sum((actual - np.mean(actual)) ** 2))
    return 1.0 - float(np.sum((actual - predicted) ** 2)) / total if total > 0 else 0.0


def log_rmse(actual: Floats, predicted: Floats) -> float:
    """Root mean squared error of logarithms (Dive into Deep Learning, house prices; Kaggle's score there).

    Predictions are clamped to at least 1, or to the smallest actual value where that is below 1.
    """
    floor = min(1.0, float(np.min(actual)))
    return rmse(np.log(actual), np.log(np.maximum(predicted, floor)))


def rmsle(actual: Floats, predicted: Floats) -> float:
    """Root mean squared error of log(1 + y); negative predictions count as 0."""
    return rmse(np.log1p(actual), np.log1p(np.maximum(predicted, 0.0)))


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of predictions: how it is computed, which way is better, which targets it is defined for."""

    compute: Callable[[Floats, Floats], float]
    greater_is_better: bool
    target_above: float  # every target must be greater than this
    suggested_transform: str


METRICS: Mapping[str, Metric] = {
    "log_rmse": Metric(log_rmse, False, 0.0, "log"),
    "rmsle": Metric(rmsle, False, -1.0, "log1p"),
    "rmse": Metric(rmse, False, -np.inf, "none"),
    "mse": Metric(mse, False, -np.inf, "none"),
    "mae": Metric(mae, False, -np.inf, "none"),
    "mape": Metric(mape, False, -np.inf, "none"),
    "r2": Metric(r2, True, -np.inf, "none"),
}
REPORTED = ("log_rmse", "rmse", "mse", "mae", "r2")


def metric_named(name: str) -> Metric:
    """Look a metric up. Raises ConfigError that lists the known names."""
    if name not in METRICS:
        raise ConfigError(f"metric {name!r} is not known; choose one of {', '.join(METRICS)}")
    return METRICS[name]


def score(name: str, actual: Floats, predicted: Floats) -> float:
    """Score `predicted` against `actual`, both [rows] in the target's own scale."""
    with np.errstate(over="ignore"):  # the square of a wild prediction is infinity, and scores as such
        return metric_named(name).compute(actual, predicted)


def loss(name: str, actual: Floats, predicted: Floats) -> float:
    """The score turned so that lower is better; not finite predictions give infinity."""
    if not np.isfinite(predicted).all():
        return float("inf")
    value = score(name, actual, predicted)
    return -value if metric_named(name).greater_is_better else value


def score_table(metric: str, actual: Floats, predicted: Floats) -> dict[str, float]:
    """The reported scores plus the competition's own metric; one that this target does not allow is left out."""
    names = dict.fromkeys((*REPORTED, metric))
    lowest = float(np.min(actual))
    return {name: score(name, actual, predicted) for name in names if lowest > METRICS[name].target_above}
