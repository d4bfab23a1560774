"""The frozen values of a search: trials with a score, those scored again, the winner, and what is kept for a blend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tables import Floats


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial with a score. values: dotted config keys, those that earlier phases have fixed among them.

    train, valid: mean losses of its networks on the rows they learned from and on others; None where nobody looked.
    """

    trial: int
    values: Mapping[str, object]
    score: float
    phase: str = ""
    stands: bool = False  # whether it is the configuration as it stands
    train: float | None = None
    valid: float | None = None


def trial_name(trial: int, phase: str) -> str:
    """A trial's number, with the phase of the plan that counted it."""
    return f"{phase} {trial}" if phase else f"trial {trial}"


@dataclass(frozen=True, slots=True)
class Finalist:
    """One of a search's best trials: the score that chose it, and those on folds that did not. Lower is better."""

    trial: int
    values: Mapping[str, object]
    score: float
    again: tuple[float, ...]  # on one fresh split after the other, as far as it went on
    phase: str = ""  # of the plan, whose trial it was; a flat plan has none
    stands: bool = False  # whether it is the configuration as it stands

    @property
    def name(self) -> str:
        """Of its trial, for people."""
        return trial_name(self.trial, self.phase)

    @property
    def fresh(self) -> float:
        """The mean of those on fresh splits."""
        return sum(self.again) / len(self.again)

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts the best first: whoever went on is before those that did not."""
        return -len(self.again), self.fresh


@dataclass(frozen=True, slots=True)
class Winner:
    """The best candidate of a search: dotted config keys and their values."""

    values: Mapping[str, object]
    score: float  # that chose it
    trial: int
    trials: int
    finalists: tuple[Finalist, ...] = ()  # best first by the score that chose them, the winner among them
    phase: str = ""  # of the plan, whose trial it was
    findings: tuple[str, ...] = ()  # of the plan's phases, in words
    study: str = ""  # key of the search that found it

    @property
    def name(self) -> str:
        """Of its trial, for people."""
        return trial_name(self.trial, self.phase)

    @property
    def optimism(self) -> float | None:
        """How much worse the winner is on fresh folds than the score that chose it; None where nothing was."""
        own = [one for one in self.finalists if (one.phase, one.trial) == (self.phase, self.trial)]
        return own[0].fresh - own[0].score if own else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A completed trial of a search and its predictions, all finite, in the target's own scale, for a blend."""

    trial: int
    score: float  # of `oof`; lower is better
    values: Mapping[str, object]  # dotted config key -> what was tried
    oof: Floats  # [P] out-of-fold, mean over seeds, in the order of `Folds.scored_rows`
    test: Floats  # [T] mean over folds and seeds
