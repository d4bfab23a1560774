"""The course of a trial: a few of its networks go ahead, and the others follow if these are worth it.

One fold of five, trained to its end, foretells a trial's score far better than all five stopped at a fifth of the way,
for the same work (docs/decisions/019).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.tables import Floats

PARTS = 5  # of a leg, equal ones: at the end of each the study hears of the trial


def legs_of(networks: int, ahead: float) -> tuple[range, ...]:
    """Places among a trial's networks that train together, leg after leg. ahead: share of them that goes first."""
    first = max(1, round(ahead * networks))
    return tuple(leg for leg in (range(first), range(first, networks)) if leg)


class Report(NamedTuple):
    """What a study hears of a trial on its way.

    step: per cent of the trial's training that are over. score: mean loss of the networks begun. part: of the leg.
    """

    step: int
    score: float
    part: int


@dataclass(slots=True)
class Course:
    """Losses of a trial's networks, epoch by epoch, from which reports follow.

    epochs: of their training. Networks of a leg may be at different epochs: some wait for a place in the pack. A
    network counts as what it would be worth if it stopped there: where its best epoch's weights are restored, with its
    best loss so far. That says early how it will end; the loss of the moment, at a high learning rate, hardly does
    (docs/LOG.md).
    """

    legs: tuple[range, ...]
    epochs: int
    restore_best: bool = True
    leg: int = 0
    losses: dict[int, dict[int, float]] = field(default_factory=dict)  # epoch -> network of the leg -> loss
    best: dict[int, float] = field(default_factory=dict)  # network -> its best loss so far
    ended: dict[int, float] = field(default_factory=dict)  # network -> what it is worth
    known: int = 0  # epochs of the leg that all of its networks have come to

    @property
    def places(self) -> range:
        """Networks of the leg."""
        return self.legs[self.leg]

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after this leg."""
        return self.leg == len(self.legs) - 1

    @property
    def is_leg_over(self) -> bool:
        """Whether all networks of the leg have ended."""
        return all(network in self.ended for network in self.places)

    def add(self, network: int, epoch: int, value: float) -> None:
        """The loss of a network after so many epochs, which come in order."""
        self.best[network] = float(np.fmin(self.best.get(network, np.inf), value))
        self.losses.setdefault(epoch, {})[network] = self.best[network] if self.restore_best else value

    def end(self, network: int, losses: Floats) -> None:
        """A network that trains no more. losses: of its epochs."""
        self.ended[network] = float(np.nanmin(losses) if self.restore_best else losses[-1])

    def go_on(self) -> None:
        """Begin the next leg."""
        self.leg += 1
        self.known = 0  # and no loss of the last one is left: `reports` has taken them all

    def reports(self) -> Iterator[Report]:
        """What is new since the last call, in order; never of a trial's very end, whose score is told as its own.

        A part is over when all networks of the leg have come to its epoch, or have ended.
        """
        while self.known < self.epochs:
            epoch = self.known + 1
            is_end = epoch == self.epochs
            values = self.ended | ({} if is_end else self.losses.get(epoch, {}))
            if len(values) < self.places.stop or (is_end and self.is_last):
                return
            self.known = epoch
            self.losses.pop(epoch, None)
            if part := _part_of(epoch, self.epochs):
                yield Report(self._step(part), float(np.mean(list(values.values()))), part)

    def _step(self, part: int) -> int:
        done = self.places.start + len(self.places) * part / PARTS
        return round(100 * done / self.legs[-1].stop)


def _part_of(epoch: int, epochs: int) -> int:
    """The part of a leg that is over with this epoch; 0: none. So trainings of other lengths are compared as shares."""
    part = epoch * PARTS // epochs
    return part if part and -(-part * epochs // PARTS) == epoch else 0
