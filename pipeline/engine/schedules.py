"""Learning rate over a job's steps, as one float64 table per job: readable, testable, free at run time.

A plateau cannot be a table: `after_epoch` lowers the rates of a pack at the end of an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.tables import Booleans, Floats, Integers

ONE_CYCLE_WARM = 0.3  # share of steps spent rising; torch.optim.lr_scheduler.OneCycleLR's defaults
ONE_CYCLE_START = 25.0  # peak / first lr
ONE_CYCLE_END = 1e4  # first / last lr
ROUNDING = 1e-9  # a share that names a whole step names it whatever the last bit of the product says


@dataclass(frozen=True, slots=True)
class Schedule:
    """One link of a learning rate's course. Equal and hashable by value.

    `until` is a place in the whole training; the other shares are of what the link's warm-up leaves of it.
    """

    kind: str = "constant"
    warmup: float = 0.0  # share of the link's steps that rise in a line to the kind's first rate
    gamma: float = 0.5  # of step, exponential, inverse_time, natural_exponential: the decay …
    every: float = 0.25  # … in this share of the steps
    milestones: tuple[tuple[float, float], ...] = ()  # of piecewise: (share of the steps, rate from there on)
    cycles: int = 1  # of cosine_restarts, cyclic
    floor: float = 0.0  # what a rate of 0 becomes; 1 stays 1 and the rest moves along
    until: float = 1.0  # share of the training at which `then` takes over
    then: Schedule | None = None

    def __post_init__(self) -> None:
        assert self.kind in SHAPES, f"no schedule {self.kind!r}"
        assert 0 <= self.warmup < 1, "a warm-up must leave steps"
        assert self.every > 0, "a decay needs a length"
        assert self.cycles >= 1, "there must be a cycle"
        places = [place for place, _ in self.milestones]
        assert places == sorted(places), "milestones must come in order"


def rates(schedule: Schedule, steps: int) -> Floats:
    """The share of lr at each step, [steps]."""
    parts, begin = [], 0
    link: Schedule | None = schedule
    while link is not None:
        end = steps if link.then is None else min(max(round(link.until * steps), begin), steps)
        parts.append(_warmed(link, end - begin))
        begin, link = end, link.then
    return np.concatenate(parts)


def _warmed(link: Schedule, steps: int) -> Floats:
    rising = min(round(link.warmup * steps), max(steps - 1, 0))
    shares = link.floor + (1 - link.floor) * SHAPES[link.kind](link, steps - rising)
    # the first step already learns, the step after the last one is at the kind's first rate
    return np.concatenate([shares[:1] * (np.arange(1, rising + 1) / (rising + 1)), shares])


# --- shapes: (link, steps) -> [steps], from 0 to 1


def _spent(steps: int) -> Floats:
    """Share of the steps taken before each one, 0 at the first."""
    return np.arange(steps) / max(steps, 1)


def _periods(link: Schedule, steps: int) -> Floats:
    """Lengths of `every` gone by before each step; whole where they are to rounding."""
    gone = np.arange(steps) / (link.every * max(steps, 1))
    near = np.round(gone)
    return np.where(np.abs(gone - near) < ROUNDING * np.maximum(near, 1), near, gone)


def _within_cycle(link: Schedule, steps: int) -> Floats:
    """Share of the current cycle taken before each step."""
    return np.arange(steps) * link.cycles % max(steps, 1) / max(steps, 1)


def _cosine_between(start: float, end: float, share: Floats) -> Floats:
    return end + (start - end) / 2 * (1 + np.cos(np.pi * share))


def _constant(_link: Schedule, steps: int) -> Floats:
    """1 at every step."""
    return np.ones(steps)


def _step(link: Schedule, steps: int) -> Floats:
    """Times gamma after every `every` (StepLR)."""
    return link.gamma ** np.floor(_periods(link, steps))


def _exponential(link: Schedule, steps: int) -> Floats:
    """Times gamma in the course of every `every`, a little at each step (ExponentialLR)."""
    return link.gamma ** _periods(link, steps)


def _inverse_time(link: Schedule, steps: int) -> Floats:
    """1 / (1 + gamma x periods gone by)."""
    return 1 / (1 + link.gamma * _periods(link, steps))


def _natural_exponential(link: Schedule, steps: int) -> Floats:
    """Euler's number to the power of -gamma x periods gone by."""
    return np.exp(-link.gamma * _periods(link, steps))


def _piecewise(link: Schedule, steps: int) -> Floats:
    """1, then at each milestone the rate that stands there (MultiStepLR with free factors)."""
    levels = np.array([1.0, *(rate for _, rate in link.milestones)])
    places = [place * steps for place, _ in link.milestones]
    return levels[np.searchsorted(places, np.arange(steps) + ROUNDING * steps)]


def _linear(_link: Schedule, steps: int) -> Floats:
    """From 1 towards 0 in a line (LinearLR, PolynomialLR of power 1)."""
    return 1 - _spent(steps)


def _cosine(_link: Schedule, steps: int) -> Floats:
    """From 1 towards 0 along half a cosine (CosineAnnealingLR with T_max = steps)."""
    return _cosine_between(1.0, 0.0, _spent(steps))


def _cosine_restarts(link: Schedule, steps: int) -> Floats:
    """Half a cosine in each of equally long cycles (CosineAnnealingWarmRestarts)."""
    return _cosine_between(1.0, 0.0, _within_cycle(link, steps))


def _cyclic(link: Schedule, steps: int) -> Floats:
    """From 0 up to 1 and back in lines, once a cycle (CyclicLR, triangular)."""
    return 1 - np.abs(2 * _within_cycle(link, steps) - 1)


def _one_cycle(_link: Schedule, steps: int) -> Floats:
    """Rise from 1/25 to 1 over the first 30 % of steps, then fall to 1/250000 (torch's OneCycleLR, cosine)."""
    peak = ONE_CYCLE_WARM * steps - 1
    step = np.arange(steps, dtype=np.float64)
    start, end = 1.0 / ONE_CYCLE_START, 1.0 / (ONE_CYCLE_START * ONE_CYCLE_END)
    rise = _cosine_between(start, 1.0, step / peak) if peak > 0 else np.full(steps, start)
    fall = _cosine_between(1.0, end, (step - peak) / max(steps - 1 - peak, 1e-12))
    return np.where(step <= peak, rise, fall)


def _coslog4(_link: Schedule, steps: int) -> Floats:
    """Four waves from 0 to 1 and back, each about twice as long as the one before (Holzmüller et al. 2024)."""
    return (1 - np.cos(2 * np.pi * np.log2(1 + 15 * _spent(steps)))) / 2


SHAPES: Mapping[str, Callable[[Schedule, int], Floats]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "inverse_time": _inverse_time,
    "natural_exponential": _natural_exponential,
    "piecewise": _piecewise,
    "linear": _linear,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "cyclic": _cyclic,
    "one_cycle": _one_cycle,
    "coslog4": _coslog4,
}
# each kind with its defaults: steps -> [steps]
SCHEDULES: Mapping[str, Callable[[int], Floats]] = {kind: partial(rates, Schedule(kind)) for kind in SHAPES}


# --- plateau


@dataclass(frozen=True, slots=True)
class Plateau:
    """Multiply a job's rates by `factor` once more than `patience` epochs brought no better loss. A factor of 1: never.

    threshold: share of the best loss by which a better one must be below it. floor: the smallest share of lr.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class PlateauState:
    """Where the M jobs of a pack stand: best loss, epochs without a better one, share of lr now."""

    best: Floats
    waited: Integers
    shares: Floats

    def keep(self, index: Integers) -> PlateauState:
        """The jobs at these positions."""
        return PlateauState(self.best[index], self.waited[index], self.shares[index])


def after_epoch(rules: Sequence[Plateau], state: PlateauState, losses: Floats, ended: Booleans) -> PlateauState:
    """The state after an epoch of the jobs in `ended`, each with its loss; the others stay as they are.

    As torch's ReduceLROnPlateau in mode "min", but a loss below 0 must fall too; NaN is never better.
    """
    factor = np.array([rule.factor for rule in rules])
    patience = np.array([rule.patience for rule in rules])
    threshold = np.array([rule.threshold for rule in rules])
    floor = np.array([rule.floor for rule in rules])
    margin = threshold * np.abs(np.where(np.isfinite(state.best), state.best, 0.0))
    better = ended & (losses < state.best - margin)
    waited = np.where(better, 0, state.waited + ended)
    lowered = waited > patience
    shares = np.where(lowered, np.maximum(state.shares * factor, floor), state.shares)
    return PlateauState(np.where(better, losses, state.best), np.where(lowered, 0, waited), shares)
