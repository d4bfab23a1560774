"""What the shell lends a stage while it runs: where to compute, whom to tell, where to keep finished parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipeline.tables import Compute

Progress = Callable[[int, int, str], None]  # (done, total, what)


class Keep(Protocol):
    """Finished parts of a stage, so that a killed run continues after the last one."""

    def __call__(self, part: str, compute: Callable[[], object]) -> object:
        """The stored part of that name, else the computed one, which is stored."""
        ...


def compute_always(part: str, compute: Callable[[], object]) -> object:
    """Keep nothing: for tests and for use as a library."""
    del part
    return compute()


def tell_nobody(done: int, total: int, what: str) -> None:
    """Report no progress."""
    del done, total, what


@dataclass(frozen=True, slots=True)
class Runtime:
    """Never part of a result: the same values come out whatever is lent, up to the device's rounding."""

    compute: Compute
    on_progress: Progress = tell_nobody
    keep: Keep = compute_always
