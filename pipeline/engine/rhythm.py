"""Whether networks of a pack end their epochs together, and leave together: what is done for few takes less memory.

And how many of their rows are scored at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.engine.epochs import VALUES_AT_A_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.packing import Assignment
    from pipeline.fits import Network


def leave_apart(jobs: Sequence[Assignment], *, at_any_epoch: bool) -> bool:
    """Whether one network may leave while others stay. at_any_epoch: for want of patience, or pruned."""
    return at_any_epoch or len({job.steps for job in jobs}) > 1


def stay(jobs: Sequence[Assignment], count: int, *, at_any_epoch: bool) -> int:
    """How many of the `count` that train side by side stay, at the most, when the first leaves."""
    if at_any_epoch or count < len(jobs):
        return count - 1
    first = min(job.steps for job in jobs)
    return sum(job.steps > first for job in jobs)


def epoch_ends(jobs: Sequence[Assignment], count: int) -> list[tuple[int, int]]:
    """How many of `count` networks end an epoch at the same step, and how many still train then; the fullest cases.

    (count, count) where all may, or where places are refilled at any step.
    """
    if count < len(jobs) or len({job.steps_per_epoch for job in jobs}) == 1:
        return [(count, count)]
    kinds = Counter((job.steps_per_epoch, job.epochs) for job in jobs)
    ends: Counter[int] = Counter()
    for (steps, epochs), alike in kinds.items():
        for epoch in range(1, epochs + 1):
            ends[epoch * steps] += alike
    fullest: list[tuple[int, int]] = []
    for step in sorted(ends):  # ever fewer train, so that a later end counts only where more come to it
        training = sum(alike for (steps, epochs), alike in kinds.items() if steps * epochs >= step)
        if not fullest or ends[step] > max(ended for ended, _ in fullest):
            fullest.append((ends[step], training))
    return fullest


def are_scored_apart(jobs: Sequence[Assignment], count: int, points: int, *, at_any_epoch: bool) -> bool:
    """Whether some may be scored while others are not. points: of the train curve, spread over each one's epochs."""
    is_refilled = count < len(jobs) and leave_apart(jobs, at_any_epoch=at_any_epoch)
    epochs = {job.epochs for job in jobs}
    points_differ = len(epochs) > 1 and 1 < points < max(epochs)
    return is_refilled or points_differ or len({job.steps_per_epoch for job in jobs}) > 1


def rows_at_a_time(network: Network, together: int, batch_size: int, values: int = VALUES_AT_A_TIME) -> int:
    """Rows of each of so many networks that are scored at once: `values` in the widest layer of all together.

    At least a batch, of which a step has held more, so that many wide networks on a GPU are not scored row by row;
    fewer where `values` were lowered for want of memory.
    """
    widest = max(network.inputs, *(size for shape in network.trained.values() for size in shape))
    return max(values // (together * widest), batch_size * values // VALUES_AT_A_TIME, 1)
