"""Learning rate over a job's steps, as one float64 table per job: readable, testable, free at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats

ONE_CYCLE_WARM = 0.3  # share of steps spent rising; torch.optim.lr_scheduler.OneCycleLR's defaults
ONE_CYCLE_START = 25.0  # peak / first lr
ONE_CYCLE_END = 1e4  # first / last lr


def _cosine_between(start: float, end: float, share: Floats) -> Floats:
    return end + (start - end) / 2 * (1 + np.cos(np.pi * share))


def constant(steps: int) -> Floats:
    """1 at every step."""
    return np.ones(steps)


def cosine(steps: int) -> Floats:
    """From 1 to 0 along half a cosine (torch's CosineAnnealingLR with T_max = steps)."""
    return _cosine_between(1.0, 0.0, np.arange(steps) / steps)


def one_cycle(steps: int) -> Floats:
    """Rise from 1/25 to 1 over the first 30 % of steps, then fall to 1/250000 (torch's OneCycleLR, cosine)."""
    peak = ONE_CYCLE_WARM * steps - 1
    step = np.arange(steps, dtype=np.float64)
    start, end = 1.0 / ONE_CYCLE_START, 1.0 / (ONE_CYCLE_START * ONE_CYCLE_END)
    rise = _cosine_between(start, 1.0, step / peak) if peak > 0 else np.full(steps, start)
    fall = _cosine_between(1.0, end, (step - peak) / max(steps - 1 - peak, 1e-12))
    return np.where(step <= peak, rise, fall)


SCHEDULES: Mapping[str, Callable[[int], Floats]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}
