"""The plain facts of a sweep, for its page: scores in the metric's own units, times on the sweep's own clock.

That clock, in seconds, stands still while nobody trains: a study that went on the next morning has no night in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["scored", "given up", "failed", "in flight"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of the search space. low, high: its ends; of choices the first and the last position."""

    key: str  # dotted, as in the config
    scale: Literal["log", "linear", "integer", "choice"]
    low: float
    high: float
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """One trial that counts. begun and ended: on the sweep's clock; one in flight ends when the page was made."""

    number: int
    state: State
    score: float  # NaN where there is none
    places: tuple[float, ...]  # on each dimension: its value, or the position among choices; NaN where not known
    begun: float
    ended: float
    worker: int  # place among the sweep's workers
    cause: str = ""  # why it failed


@dataclass(frozen=True, slots=True)
class FinalistFacts:
    """A trial that was scored again on folds that had not chosen it. flattered: how much better its search score is."""

    number: int
    values: tuple[str, ...]  # on each dimension
    score: float
    fresh: float
    again: tuple[float, ...]
    flattered: float


@dataclass(frozen=True, slots=True)
class WinnerFacts:
    """What the sweep settled on. fresh: NaN where nothing was scored again."""

    number: int
    settings: Mapping[str, object]  # dotted key -> value, all that makes it out
    score: float
    fresh: float
    flattered: float
    finalists: tuple[FinalistFacts, ...]  # best first
    scored: int  # trials that it is the best of; the study may have more by now


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """Everything the page says."""

    metric: str
    greater_is_better: bool
    dimensions: tuple[Dimension, ...]
    trials: tuple[TrialFacts, ...]  # by number; those that were interrupted and tried again are not among them
    interrupted: int
    workers: tuple[str, ...]  # in the order in which they came
    seconds: float
    pauses: tuple[tuple[float, float], ...]  # when on the clock, and how many seconds it stood still
    importances: tuple[tuple[str, float], ...]  # dotted key -> share, largest first; none where too little is known
    winner: WinnerFacts | None
    stands: int | None = 0  # the trial that is the configuration as it stands; None where none is

    def of(self, state: State) -> tuple[TrialFacts, ...]:
        """The trials in one state."""
        return tuple(trial for trial in self.trials if trial.state == state)

    @property
    def best(self) -> TrialFacts | None:
        """The trial with the best score in the search, the earliest of equal ones."""
        sign = -1 if self.greater_is_better else 1
        return min(self.of("scored"), key=lambda trial: (sign * trial.score, trial.number), default=None)

    @property
    def trials_a_minute(self) -> float:
        """How many came to their end, whatever it was."""
        return 60 * (len(self.trials) - len(self.of("in flight"))) / self.seconds if self.seconds > 0 else 0.0
