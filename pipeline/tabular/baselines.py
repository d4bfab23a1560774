"""What a model has to beat: the training mean and median, and ridge regression on the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import RidgeCV

from pipeline.tabular.targets import to_network, to_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats, Integers, Singles, TargetState

ALPHAS = np.logspace(-1, 4, 11)


def predict_mean(matrix: Singles, target: Floats, train: Integers, state: TargetState) -> Floats:
    """The mean of the training rows, taken in the transformed scale (a geometric mean under a log target)."""
    return np.full(len(matrix), to_target(state, np.array([np.mean(to_network(state, target[train]))])))


def predict_median(matrix: Singles, target: Floats, train: Integers, state: TargetState) -> Floats:
    """The median of the training rows."""
    del state
    return np.full(len(matrix), np.median(target[train]))


def predict_ridge(matrix: Singles, target: Floats, train: Integers, state: TargetState) -> Floats:
    """Ridge on the transformed target; its penalty is chosen by leave-one-out on the training rows."""
    rows = matrix.astype(np.float64)
    model = RidgeCV(alphas=ALPHAS).fit(rows[train], to_network(state, target[train]))
    return to_target(state, model.predict(rows))


BASELINES: Mapping[str, Callable[[Singles, Floats, Integers, TargetState], Floats]] = {
    "mean": predict_mean,
    "median": predict_median,
    "ridge": predict_ridge,
}
