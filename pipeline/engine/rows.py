"""Which rows each network of a pack sees: its own training rows, in an order of its own, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.draws import permutations, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.engine.packing import Assignment
    from pipeline.tables import Integers

ROW_ORDER = 2  # purpose in a job's stream of draws


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the batch that comes next: as wide as its widest, and whether every network fills it."""

    width: int
    is_full: bool


class BatchPlan:
    """Places of batches in the row orders of M networks.

    steps: taken by each network, kept here and, where the step is to be captured as a CUDA graph, on the device too, so
    that a replay finds its own place.
    """

    def __init__(self, jobs: Sequence[Assignment], steps: Integers, device: torch.device, *, on_device: bool) -> None:
        self.batch_size = jobs[0].batch_size if jobs else 1
        self.lengths = np.array([len(job.train_rows) for job in jobs], dtype=np.int64)
        self.steps_per_epoch = np.array([job.steps_per_epoch for job in jobs], dtype=np.int64)
        self.steps = steps.copy()
        self.on_device = on_device
        numbers = np.stack([self.steps, self.lengths, self.steps_per_epoch])
        self.device_steps, self._lengths, self._steps_per_epoch = torch.as_tensor(numbers, device=device).unbind()

    def shape(self, ahead: int = 0) -> Shape:
        """The coming batch, or one so many steps ahead; known without asking the device."""
        counts = self._counts(ahead)
        return Shape(int(counts.max()), bool((counts == counts[0]).all()))

    def places(self, order: Tensor, shape: Shape, ahead: int = 0) -> Tensor:
        """Row numbers int64 [M, B] of a batch; those beyond a network's rows are of some row or other."""
        if self.on_device:
            starts = (self.device_steps + ahead) % self._steps_per_epoch * self.batch_size
        else:
            known = (self.steps + ahead) % self.steps_per_epoch * self.batch_size
            if (known == known[0]).all():
                return order[:, known[0] : known[0] + shape.width].to(torch.int64)
            starts = torch.as_tensor(known, device=order.device)
        places = starts[:, None] + torch.arange(shape.width, device=order.device)
        return order.gather(1, places.clamp_(max=order.shape[1] - 1)).to(torch.int64)

    def present(self, shape: Shape) -> Tensor | None:
        """Which of them count, bool [M, B]; None for all."""
        if shape.is_full:
            return None
        return torch.arange(shape.width, device=self._lengths.device) < self.counts()[:, None]

    def counts(self) -> Tensor:
        """Rows of each network in the coming batch, [M] on the device."""
        if not self.on_device:
            return torch.as_tensor(self._counts(), device=self._lengths.device)
        starts = self.device_steps % self._steps_per_epoch * self.batch_size
        return (self._lengths - starts).clamp_(max=self.batch_size)

    def advance(self) -> None:
        """One step further, on this side; a captured step counts on the device itself."""
        self.steps = self.steps + 1

    def beginning(self) -> Integers:
        """Networks at the first step of an epoch; right after a step also those that have just ended one."""
        return np.flatnonzero(self.steps % self.steps_per_epoch == 0)

    def rows_of(self, place: int, step: int, order: Tensor) -> Tensor:
        """Row numbers [B] that one network saw at one of its steps in the epoch whose order this is."""
        start = step % int(self.steps_per_epoch[place]) * self.batch_size
        return order[place, start : min(start + self.batch_size, int(self.lengths[place]))].to(torch.int64)

    def next_is_drawn(self) -> bool:
        """Whether the batch after the coming one is of the same epoch for everyone, so that its order is known."""
        return bool(((self.steps + 1) % self.steps_per_epoch).all())

    def _counts(self, ahead: int = 0) -> Integers:
        starts = (self.steps + ahead) % self.steps_per_epoch * self.batch_size
        return np.minimum(self.lengths - starts, self.batch_size)


def draw_order(rows: Tensor, keys: Tensor, epochs: Integers, lengths: Integers) -> Tensor:
    """The rows of some networks [M, width] in the order of these epochs of theirs [M]."""
    streams = stream(keys, ROW_ORDER, torch.as_tensor(epochs, device=rows.device))
    places = permutations(streams, torch.as_tensor(lengths, device=rows.device), rows.shape[1])
    return rows.gather(1, places)


def padded_rows(rows: Sequence[Integers], width: int, device: torch.device) -> Tensor:
    """Row numbers int32 [M, width], zeros behind each job's own."""
    table = np.zeros((len(rows), width), dtype=np.int32)
    for line, own in zip(table, rows, strict=True):
        line[: len(own)] = own
    return torch.as_tensor(table, device=device)
