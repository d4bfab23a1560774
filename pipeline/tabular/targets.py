"""Target transforms and their inverses; fitted numbers come from a fold's training rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tables import TargetState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats

TARGET_ABOVE: Mapping[str, float] = {"none": -np.inf, "log": 0.0, "log1p": -1.0}  # what each transform is defined for
LARGEST_EXPONENT = 700.0  # exp(710) overflows float64; a wild early epoch must not warn or turn inf

FORWARD: Mapping[str, Callable[[Floats], Floats]] = {
    "none": lambda values: values,
    "log": np.log,
    "log1p": np.log1p,
}
BACKWARD: Mapping[str, Callable[[Floats], Floats]] = {
    "none": lambda values: values,
    "log": lambda values: np.exp(np.minimum(values, LARGEST_EXPONENT)),
    "log1p": lambda values: np.expm1(np.minimum(values, LARGEST_EXPONENT)),
}


def fit_target(values: Floats, *, transform: str, standardize: bool) -> TargetState:
    """Learn the centre and spread (ddof 0) of the transformed target; identity where `standardize` is off."""
    if not standardize:
        return TargetState(transform, 0.0, 1.0)
    transformed = FORWARD[transform](values)
    spread = float(np.std(transformed))
    return TargetState(transform, float(np.mean(transformed)), spread if spread > 0 else 1.0)


def to_network(state: TargetState, values: Floats) -> Floats:
    """From the target's own scale to what the network is trained on."""
    return (FORWARD[state.transform](values) - state.mean) / state.scale


def to_target(state: TargetState, outputs: Floats) -> Floats:
    """From the network's outputs back to the target's own scale, in float64; what is not finite stays so."""
    outputs = np.asarray(outputs, dtype=np.float64)
    return np.where(np.isfinite(outputs), BACKWARD[state.transform](outputs * state.scale + state.mean), np.nan)
