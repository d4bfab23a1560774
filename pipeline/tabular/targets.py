"""Target transforms and their inverses; fitted numbers come from a fold's training rows only."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from pipeline.tables import TargetState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats

TARGET_ABOVE: Mapping[str, float] = {  # what each transform is defined for
    "none": -np.inf,
    "log": 0.0,
    "log1p": -1.0,
    "boxcox": 0.0,
    "yeojohnson": -np.inf,
    "quantile": -np.inf,
}
LARGEST_EXPONENT = 700.0  # exp(710) overflows float64; a wild early epoch must not warn or turn inf
MOST_QUANTILES = 1000
WIDEST_EXPONENT = 5.0  # of Box-Cox and Yeo-Johnson, either way
LARGEST_TRANSFORMED = 1e130  # its square, summed over rows, is still finite
NEARLY_LOG = 1e-100  # an exponent so small counts as 0: products with it would lose digits
ROUNDING = 8 * sys.float_info.epsilon  # of a transformed target on its way through the standardised scale
MOST_LOST = 1e-4  # of the target's range, by that rounding, on the way back


def fit_target(
    values: Floats, *, transform: str, standardize: bool, base: Floats | None = None, spread: Floats | None = None
) -> TargetState:
    """Learn what the transform needs, then the centre and spread (ddof 0) of the transformed target.

    boxcox, yeojohnson: the exponent of greatest likelihood, as scipy.stats has it, within -5 and 5 and as far as
    float64 can undo it. quantile: up to 1000 quantiles. Centre 0 and spread 1 where `standardize` is off. base: what is
    taken from each transformed target; where it is NaN, the mean of the transformed targets is. spread: what the rest
    is divided by; where it is NaN, the median of those that are known is.
    """
    values = np.asarray(values, dtype=np.float64)
    exponent = _fit_exponent(transform, values) if transform in POWERS else 0.0
    quantiles = _fit_quantiles(values) if transform == "quantile" else ()
    state = TargetState(transform, 0.0, 1.0, exponent, quantiles)
    if base is not None:
        state = replace(state, fallback=float(np.mean(_forward(state, values))))
    if spread is not None and np.isfinite(spread).any():
        state = replace(state, spread=float(np.nanmedian(spread)))
    if not standardize:
        return state
    transformed = (_forward(state, values) - _taken_away(state, base)) / divisor(state, spread)
    if spread is not None and np.isfinite(spread).any():
        transformed = transformed[np.isfinite(spread)]  # the others are in units of another series, maybe a small one
    # equal numbers can have a spread of one rounding
    scale = float(np.std(transformed)) if np.ptp(transformed) > 0 else 0.0
    return replace(state, mean=float(np.mean(transformed)), scale=scale if scale > 0 else 1.0)


def to_network(state: TargetState, values: Floats, base: Floats | None = None, spread: Floats | None = None) -> Floats:
    """From the target's own scale to what the network is trained on. base, spread: as in `fit_target`."""
    left = (_forward(state, values) - _taken_away(state, base)) / divisor(state, spread)
    return (left - state.mean) / state.scale


def to_target(state: TargetState, outputs: Floats, base: Floats | None = None, spread: Floats | None = None) -> Floats:
    """From the network's outputs back to the target's own scale, in float64; what is not finite stays so.

    An output that no target has, beyond the edge of the inverse, becomes that edge.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    left = outputs * state.scale + state.mean
    transformed = left * divisor(state, spread) + _taken_away(state, base)
    return np.where(np.isfinite(outputs), _backward(state, transformed), np.nan)


def _taken_away(state: TargetState, base: Floats | None) -> Floats | float:
    return 0.0 if base is None else np.where(np.isnan(base), state.fallback, base)


def divisor(state: TargetState, spread: Floats | None) -> Floats | float:
    """What is divided by, where some of the spreads are not known."""
    return 1.0 if spread is None else np.where(np.isnan(spread), state.spread, spread)


def _forward(state: TargetState, values: Floats) -> Floats:
    if state.transform in POWERS:
        return POWERS[state.transform][0](values, state.exponent)
    if state.transform == "quantile":
        return _to_normal(values, np.array(state.quantiles))
    return FORWARD[state.transform](values)


def _backward(state: TargetState, values: Floats) -> Floats:
    if state.transform in POWERS:
        return POWERS[state.transform][1](values, state.exponent)
    if state.transform == "quantile":
        return _from_normal(values, np.array(state.quantiles))
    return BACKWARD[state.transform](values)


# --- Box-Cox (1964) and Yeo-Johnson (2000): a power of the target, or of its distance from 0


def _power(logs: Floats, exponent: float) -> Floats:
    """(exp(logs)^exponent - 1) / exponent, which turns into the logs themselves at 0."""
    if abs(exponent) < NEARLY_LOG:
        return logs
    grown: Floats = np.expm1(np.minimum(logs * exponent, LARGEST_EXPONENT)) / exponent
    return grown


def _logs(powers: Floats, exponent: float) -> Floats:
    """What `_power` was made of; a power that no number has becomes the edge, exp(±LARGEST_EXPONENT)."""
    if abs(exponent) < NEARLY_LOG:
        logs = powers
    else:
        grown = powers * exponent
        inside = grown > -1
        edge = -np.sign(exponent) * LARGEST_EXPONENT
        logs = np.where(inside, np.log1p(np.where(inside, grown, 0.0)) / exponent, edge)
    return np.clip(logs, -LARGEST_EXPONENT, LARGEST_EXPONENT)


def _boxcox(values: Floats, exponent: float) -> Floats:
    return _power(np.log(values), exponent)


def _undo_boxcox(powers: Floats, exponent: float) -> Floats:
    values: Floats = np.exp(_logs(powers, exponent))
    return values


def _yeojohnson(values: Floats, exponent: float) -> Floats:
    logs = np.log1p(np.abs(values))
    return np.where(values < 0, -_power(logs, 2 - exponent), _power(logs, exponent))


def _undo_yeojohnson(powers: Floats, exponent: float) -> Floats:
    below = np.expm1(_logs(-powers, 2 - exponent))
    above = np.expm1(_logs(powers, exponent))
    return np.where(powers < 0, -below, above)


def _fit_exponent(transform: str, values: Floats) -> float:
    """The exponent under which the values are most likely normal, among those that float64 can undo."""
    forward = POWERS[transform][0]
    ends = np.array([np.min(values), np.max(values)])
    # 1 leaves the target as it is but loses one far below 1 in Box-Cox, whose logarithm (0) does not
    start = 1.0 if transform == "yeojohnson" or _is_undone(transform, ends, 1.0) else 0.0
    low, high = (_furthest(transform, ends, start, end) for end in (-WIDEST_EXPONENT, WIDEST_EXPONENT))
    logs = np.log(values) if transform == "boxcox" else np.sign(values) * np.log1p(np.abs(values))
    slope = float(np.mean(logs))  # of the Jacobian, which keeps a shrinking power from looking likely

    def surprise(exponent: float) -> float:
        variance = float(np.var(forward(values, exponent)))
        return 0.5 * math.log(max(variance, sys.float_info.min)) - (exponent - 1) * slope

    return float(minimize_scalar(surprise, bounds=(low, high), method="bounded").x)


def _is_undone(transform: str, ends: Floats, exponent: float) -> bool:
    """Whether the smallest and the largest value come back although the transformed ones are rounded."""
    forward, backward = POWERS[transform]
    powers = forward(ends, exponent)
    largest = float(np.max(np.abs(powers)))
    if largest > LARGEST_TRANSFORMED:
        return False
    back = [backward(powers + noise, exponent) for noise in (-ROUNDING * largest, ROUNDING * largest)]
    return bool(np.max(np.abs(np.array(back) - ends)) <= MOST_LOST * np.ptp(ends))


def _furthest(transform: str, ends: Floats, start: float, end: float) -> float:
    """The exponent from `start` towards `end` up to which values come back, by bisection."""
    if _is_undone(transform, ends, end):
        return end
    inside, outside = start, end
    for _ in range(30):
        middle = (inside + outside) / 2
        if _is_undone(transform, ends, middle):
            inside = middle
        else:
            outside = middle
    return inside


# --- ranks to a normal distribution


def _fit_quantiles(values: Floats) -> tuple[float, ...]:
    ranked = np.sort(values)
    if len(ranked) > MOST_QUANTILES:
        ranked = np.quantile(ranked, np.linspace(0, 1, MOST_QUANTILES))
    return tuple(ranked.tolist())


def _steps(count: int) -> Floats:
    """The share of rows below each quantile; half a step off 0 and 1, whose normal values are infinite."""
    return (np.arange(count) + 0.5) / count


def _to_normal(values: Floats, quantiles: Floats) -> Floats:
    steps = _steps(len(quantiles))
    # from below and from above: a value on many rows becomes the middle of its ranks
    upper = np.interp(values, quantiles, steps)
    lower = -np.interp(-np.asarray(values), -quantiles[::-1], -steps[::-1])
    normal: Floats = ndtri((lower + upper) / 2)
    return normal


def _from_normal(normal: Floats, quantiles: Floats) -> Floats:
    values: Floats = np.interp(ndtr(normal), _steps(len(quantiles)), quantiles)
    return values


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
# transform -> there and back again, each with the exponent
POWERS: Mapping[str, tuple[Callable[[Floats, float], Floats], Callable[[Floats, float], Floats]]] = {
    "boxcox": (_boxcox, _undo_boxcox),
    "yeojohnson": (_yeojohnson, _undo_yeojohnson),
}
