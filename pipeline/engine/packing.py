"""Which jobs share a program, and how many fit side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.optimizers import AdamRule
    from pipeline.tables import Integers, Network

CPU_PACK = 10  # networks; beyond that a step's tensors leave the cache (see docs/LOG.md)
GPU_BYTES = 4 << 30  # weights, gradients, moments and best weights of one pack


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that the engine is told about one job; rows index the matrix that is shared by every job.

    key: the job's stream of draws. patience: epochs without a better score, 0 for never stopping early.
    """

    key: int
    network: Network
    train_rows: Integers
    valid_rows: Integers
    rule: AdamRule
    lr: float
    schedule: str
    loss: str
    dropout: float
    epochs: int
    batch_size: int
    patience: int
    restore_best: bool

    @property
    def shape(self) -> tuple[Network, int, str]:
        """What splits packs: tensors, batch and graph."""
        return self.network, self.batch_size, self.loss

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training rows, a last partial one included."""
        return -(-len(self.train_rows) // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch


def plan_packs(assignments: Sequence[Assignment], *, on_gpu: bool, pack_size: int = 0) -> list[list[int]]:
    """Group positions of `assignments` into packs, jobs with equal hyperparameters side by side.

    pack_size: the most networks in a pack; 0 lets the device decide.
    """
    by_shape: dict[tuple[Network, int, str], list[int]] = {}
    for position, assignment in enumerate(assignments):
        by_shape.setdefault(assignment.shape, []).append(position)
    packs = []
    for (network, _, _), positions in by_shape.items():
        positions.sort(key=_first_of_a_kind(assignments, positions).__getitem__)
        limit = pack_size or _fitting(network, on_gpu=on_gpu)
        count = -(-len(positions) // limit)
        size = -(-len(positions) // count)  # even packs: 25 jobs at most 10 a pack make 9 + 9 + 7
        packs += [positions[start : start + size] for start in range(0, len(positions), size)]
    return packs


def _first_of_a_kind(assignments: Sequence[Assignment], positions: Sequence[int]) -> dict[int, int]:
    """Position -> the first position with the same optimizer and learning rates, which is then its neighbour."""
    first: dict[object, int] = {}
    kinds = {p: (a.rule, a.lr, a.schedule, a.steps) for p in positions if (a := assignments[p])}
    return {position: first.setdefault(kind, position) for position, kind in kinds.items()}


def _fitting(network: Network, *, on_gpu: bool) -> int:
    if not on_gpu:
        return CPU_PACK
    copies = 5  # weights, gradients, two moments, best weights
    return max(1, GPU_BYTES // (4 * copies * network.parameters))
