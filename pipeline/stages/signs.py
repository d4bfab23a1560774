"""What a training left behind to judge it by, and the measures that rules take of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.facts import Advice
from pipeline.stages.cases import usual_lr
from pipeline.stages.verdicts import error_size
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.fits import Curve, Network
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.causes import Cause
    from pipeline.stages.insides import Inside
    from pipeline.tables import Floats

LEARNED_NOTHING = 0.98  # of the error of predicting the mean: above it nothing worth the name was learned
DEEP = 4  # hidden layers from which depth may hurt a plain network
FEWEST_POINTS = 5  # scored epochs of a training curve: a shorter one is a try


@dataclass(frozen=True, slots=True)
class Signs:
    """What a training left behind to judge it by. Errors are losses of the metric: lower is better."""

    candidate: Candidate
    network: Network
    metric: str
    target_rms: float  # root mean square of the target as the networks see it
    curves: tuple[Curve, ...]  # of the folds' networks
    mean_errors: tuple[float, ...]  # of predicting the training mean on the training rows, for each of them
    insides: tuple[Inside, ...]
    ridge_error: float  # on a fold's validation rows; NaN: not computed
    fold_error: float  # of the networks on the same rows
    far_out: Cause | None = None  # the input that is furthest out on a fold's training rows, if it is far
    first_outputs: float = float("nan")  # root mean square of a network's outputs before it learned; NaN: not computed
    has_raw_target: bool = False  # nothing was taken off it, and it was not divided by anything

    @property
    def usual_lr(self) -> float:
        """The learning rate to begin with."""
        return usual_lr(self.candidate.train, self.target_rms)


def error_size_of(signs: Signs, loss: float) -> float:
    """A loss as an error that grows in proportion to the residuals."""
    return error_size(signs.metric, -loss if METRICS[signs.metric].greater_is_better else loss)


def trained_errors(signs: Signs, curve: Curve) -> Floats:
    """Errors on training rows at the epochs that were scored and finite."""
    found = curve.train[np.isfinite(curve.train)]
    return np.array([error_size_of(signs, float(value)) for value in found])


def worst_layer(signs: Signs, shares: Callable[[Inside], Sequence[float]]) -> tuple[int, float]:
    """The layer with the highest share, averaged over the networks that were looked at."""
    if not signs.insides or not signs.network.hidden:
        return 0, 0.0
    means = np.mean([shares(inside) for inside in signs.insides], axis=0)
    return int(np.argmax(means)), float(np.max(means))


def may_hurt_by_depth(network: Network) -> bool:
    """Deep, with neither normalisation nor shortcuts: worth a comparison with ridge."""
    return len(network.hidden) >= DEEP and network.norm == "none" and not any(network.skips)


def advice(seen: str, action: str, settings: str) -> Advice:
    """With the settings as they are typed; none where there is nothing to type."""
    return Advice(seen, action, f'make train submit report SET="{settings}"' if settings else "")
