"""What the shell lends a stage while it runs: where to compute, how much memory, whom to tell, where to keep parts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.tables import Compute

Progress = Callable[[int, int, str], None]  # (done, total, what)
Finished = Generator[tuple[int, object], None, None]  # (position of a part, its value), in any order


@dataclass(frozen=True, slots=True)
class Flight:
    """How far a trial of a sweep is that is being trained."""

    trial: int
    networks: int  # that have begun to train, or wait for a place
    ended: int  # of these, that have left their place
    epochs: float  # finished, the mean over all networks that it is to have
    of: int


def hear_nothing(flights: Sequence[Flight]) -> None:
    """Tell nobody how far trials are."""
    del flights


class Checkpoint(Protocol):
    """The state of a part that is still being computed, so that a killed run continues within it."""

    def load(self) -> object | None:
        """The last state that was saved, if there is one."""
        ...

    def due(self) -> bool:
        """Whether it is time to save again; asked often, so it must be cheap."""
        ...

    def save(self, state: object) -> None:
        """Keep this state instead of the last one."""
        ...


class NoCheckpoint:
    """Nothing is saved: for tests and for use as a library."""

    def load(self) -> object | None:
        """Nothing."""
        return None

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, state: object) -> None:
        """Forget it."""


class Keep(Protocol):
    """Finished parts of a stage, and the state of an unfinished one, so that a killed run continues."""

    def __call__(self, part: str, compute: Callable[[Checkpoint], object]) -> object:
        """The stored part of that name, else the computed one, which is stored."""
        ...


def compute_always(part: str, compute: Callable[[Checkpoint], object]) -> object:
    """Keep nothing: for tests and for use as a library."""
    del part
    return compute(NoCheckpoint())


class Work(Protocol):
    """How a part is computed: a plain value that pickles, and computes the same in whatever process it is called."""

    @property
    def users_code(self) -> tuple[str, ...]:
        """References of the user's functions that it calls; whoever computes it imports them there."""
        ...

    def __call__(
        self, shared: object, runtime: Runtime, checkpoint: Checkpoint, on_epochs: Callable[[int], None]
    ) -> object:
        """The part's value. shared: what all parts need; runtime: its device and room; on_epochs: told as they end."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stage that needs no other. weight: its cost beside the others', so that long ones begin first."""

    name: str  # under which it is kept
    work: Work
    weight: float = 1.0


class Spread(Protocol):
    """Where the parts of a stage are computed. Values do not depend on it; closing it cancels what is not finished."""

    def __call__(
        self, shared: object, parts: Sequence[Part], runtime: Runtime, on_epochs: Callable[[int, int], None]
    ) -> Finished:
        """Every part's value, kept as it arrives. on_epochs: (position, epochs that ended), where that is known."""
        ...


def in_this_process(
    shared: object, parts: Sequence[Part], runtime: Runtime, on_epochs: Callable[[int, int], None]
) -> Finished:
    """One part after the other, in their order; each goes on from its checkpoint."""
    for position, part in enumerate(parts):
        tell = partial(on_epochs, position)
        yield position, runtime.keep(part.name, partial(part.work, shared, runtime, on_epochs=tell))


def tell_nobody(done: int, total: int, what: str) -> None:
    """Report no progress."""
    del done, total, what


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes the matrix of all folds may take; the rest streams, from host memory or from a file."""

    device: int = sys.maxsize  # on the device; where that is a CPU, of its memory
    host: int = sys.maxsize  # of the host's memory
    folder: str | None = None  # where a file of rows may lie; None: the system's folder for temporary files


ANY_ROOM = Room()


@dataclass(frozen=True, slots=True)
class Runtime:
    """Never part of a result: the same values come out whatever is lent, up to the device's rounding."""

    compute: Compute
    on_progress: Progress = tell_nobody
    keep: Keep = compute_always
    room: Room = ANY_ROOM
    spread: Spread = in_this_process
    memory: int = 0  # bytes of the computer's memory that may be used; 0: not known
