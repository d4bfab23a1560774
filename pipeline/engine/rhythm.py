"""Whether networks of a pack end their epochs together, and leave together: what is done for few takes less memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.packing import Assignment


def leave_apart(jobs: Sequence[Assignment], *, at_any_epoch: bool) -> bool:
    """Whether one network may leave while others stay. at_any_epoch: for want of patience, or pruned."""
    return at_any_epoch or len({job.steps for job in jobs}) > 1


def stay(jobs: Sequence[Assignment], count: int, *, at_any_epoch: bool) -> int:
    """How many of the `count` that train side by side stay, at the most, when the first leaves."""
    if at_any_epoch or count < len(jobs):
        return count - 1
    first = min(job.steps for job in jobs)
    return sum(job.steps > first for job in jobs)


def end_together(jobs: Sequence[Assignment], count: int) -> int:
    """How many of `count` networks end an epoch at the same step, at the most; all, where places are refilled."""
    if count < len(jobs) or len({job.steps_per_epoch for job in jobs}) == 1:
        return count
    ends: Counter[int] = Counter()
    for (steps, epochs), alike in Counter((job.steps_per_epoch, job.epochs) for job in jobs).items():
        for epoch in range(1, epochs + 1):
            ends[epoch * steps] += alike
    return max(ends.values())


def are_scored_apart(jobs: Sequence[Assignment], count: int, points: int, *, at_any_epoch: bool) -> bool:
    """Whether some may be scored while others are not. points: of the train curve, spread over each one's epochs."""
    is_refilled = count < len(jobs) and leave_apart(jobs, at_any_epoch=at_any_epoch)
    epochs = {job.epochs for job in jobs}
    points_differ = len(epochs) > 1 and 1 < points < max(epochs)
    return is_refilled or points_differ or len({job.steps_per_epoch for job in jobs}) > 1
