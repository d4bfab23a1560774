"""What a sweep prints: a line for each trial, one that lives, and the winner in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.claims import is_claimed
from pipeline.pace import Pace, time_left
from pipeline.stages.trials import CAUSE, is_void
from pipeline.tabular.metrics import metric_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optuna.trial import FrozenTrial

    from pipeline.claims import Claims
    from pipeline.outcomes import Winner
    from pipeline.progress import Bar
    from pipeline.runtime import Flight
    from pipeline.stages.plans import Phase

QUIET_SECONDS = 60.0  # without a terminal: after so long without a line, one that says how far it is
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def score_of(metric: str, loss: float) -> float:
    """A study's loss as the metric's own score: where greater is better, studies hold it turned round."""
    return -loss if metric_named(metric).greater_is_better else loss


def winner_lines(winner: Winner, metric: str, *, shrinks: bool = False) -> Iterator[str]:
    """The best trials as they were scored again, the winner, and how much its first score flattered it.

    shrinks: whether what they add to a forecast is shrunk when they are trained for good.
    """
    if winner.finalists:
        trials = f"{winner.trials} trials scored"
        yield (
            f"{'search':<11} {trials:<18} the best of them again, on folds that did not choose them; after each split "
            f"the better half goes on:"
        )
    for one in sorted(winner.finalists, key=lambda one: one.rank):
        again = " ".join(f"{score_of(metric, loss):.5f}" for loss in one.again)
        note = "  (the configuration as it stands)" if one.stands else ""
        fresh, score = score_of(metric, one.fresh), score_of(metric, one.score)
        yield f"{'':<11} {one.name:<18} {metric} {fresh:.5f} ({again}), in the search {score:.5f}{note}"
    yield f"{'search':<11} {f'winner: {winner.name}':<18} {_score_told(winner, metric)}"
    if shrinks:
        yield f"{'':<11} scores are of networks as trained; train.shrink comes after, with `train`"
    for setting, value in winner.values.items():
        yield f"{'':<11} {setting} = {value}"


def _score_told(winner: Winner, metric: str) -> str:
    optimism, score = winner.optimism, score_of(metric, winner.score)
    if optimism is None:
        return f"{metric} {score:.5f}; this score chose it, so it flatters it"
    honest = f"{metric} {score_of(metric, winner.score + optimism):.5f}"
    if optimism > 0:
        return f"{honest}; the score that chose it, {score:.5f}, flattered it by {optimism:.5f}"
    return f"{honest}; the score that chose it, {score:.5f}, did not flatter it"


class TrialTeller:
    """Tells each trial as it ends, and beside it how far the study is, how fast it goes and how long it may take.

    known: all trials of the study, whoever trained them. until: when no further trial is asked for, by the clock.
    """

    def __init__(
        self,
        bar: Bar,
        wanted: int,
        metric: str,
        known: Callable[[], Sequence[FrozenTrial]],
        *,
        until: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bar, self._wanted, self._metric, self._known = bar, wanted, metric, known
        self._until, self._clock = until, clock
        self._waiting, self._left = "", 0
        self._flights: list[Flight] = []
        self._is_again = False
        self._look()
        self._spoken = clock()
        self._pace = Pace(clock(), self._done)

    def say(self, line: str) -> None:
        """Something else that happened."""
        self._say(line)

    def opens(self, claims: Claims, where: str, *, is_all: bool) -> None:
        """A study is begun or continued: that of the whole search, or of a phase of its plan."""
        before = sum(map(is_claimed, claims.study.get_trials(deepcopy=False)))
        self._say(f"{'search':<11} {f'{before} trials so far':<18} {where}")
        self._wanted = claims.wanted if is_all else self._wanted  # a grid may have fewer points
        self._look()
        if before:  # by whomever: it says nothing about the speed from now on
            self._pace, self._left = Pace(self._clock(), self._done), 0

    def found(self, phase: Phase, words: str) -> None:
        """What a phase of the plan has found."""
        self._say(f"{'':<11} {phase.name:<18} {words}")

    def told(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        self._waiting = ""
        self._look()
        gone = [one for one in self._flights if one.trial == trial.number]
        self._left += sum(one.networks for one in gone)
        self._flights = [one for one in self._flights if one.trial != trial.number]
        self._pace.mark(self._clock(), self._done, self._networks, len(self._flights))
        values = "  ".join(f"{key.partition('.')[2]} {_short(value)}" for key, value in trial.params.items())
        self._say(f"trial {trial.number:>4}  {self._outcome(trial):<14}  {values}")
        self._bar.live(", ".join([f"{self._done}/{self._wanted}", *self._state(), *self._speed()]))

    def heard(self, flights: Sequence[Flight]) -> None:
        """How far the trials in flight are."""
        self._flights = list(flights)
        if self._bar.is_watched:
            self._bar.live(", ".join([f"{self._done}/{self._wanted}", *self._state(), *self._speed()]))
        elif self._flights and self._is_long_quiet():
            self._say(
                f"{'search':<11} {'running':<18} "
                + ", ".join([f"{self._done} of {self._wanted} trials", *self._state(), *self._speed()])
            )

    def again(self, done: int, total: int, what: str) -> None:
        """Epochs of networks by which the best trials are scored once more."""
        del what
        if not self._is_again or self._is_long_quiet():
            told = f", {done:,} of {total:,} epochs of networks" if self._is_again else ""
            self._say(f"{'search':<11} {'scoring again':<18} the best trials, on folds that did not choose them{told}")
        self._is_again = True
        self._bar.live(f"the best trials again, {done:,} of {total:,} epochs of networks")

    def waits(self, what: str) -> None:
        """Something is waited for; said once."""
        if what != self._waiting:
            self._say(f"{'search':<11} {'waiting':<18} {what}")
            self._waiting = what

    def _look(self) -> None:
        trials = [trial for trial in self._known() if trial.state in ENDED and not is_void(trial)]
        self._counts = {state: sum(trial.state == state for trial in trials) for state in ENDED}
        self._best = min((t.value for t in trials if t.state == ENDED[0] and t.value is not None), default=None)

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    @property
    def _networks(self) -> int:
        """Whose training has ended in this process."""
        return self._left + sum(one.ended for one in self._flights)

    def _state(self) -> Iterator[str]:
        for state, word in ((TrialState.PRUNED, "given up"), (TrialState.FAIL, "failed")):
            if self._counts[state]:
                yield f"{self._counts[state]} {word}"
        if self._best is not None:
            yield f"best {score_of(self._metric, self._best):.5f}"
        if self._flights:
            yield f"{len(self._flights)} in flight {_reached(self._flights)}"

    def _speed(self) -> Iterator[str]:
        now, in_flight = self._clock(), len(self._flights)
        if speed := self._pace.networks_a_second(now):
            yield f"{speed:.2g} networks/s"
        left = self._pace.seconds_left(now, max(0, self._wanted - self._done), in_flight)
        left = min(left or float("inf"), self._until - now) if self._done < self._wanted else None
        if left is not None and 0 < left < float("inf"):
            yield time_left(left)

    def _is_long_quiet(self) -> bool:
        return not self._bar.is_watched and self._clock() - self._spoken >= QUIET_SECONDS

    def _say(self, line: str) -> None:
        self._bar.say(line)
        self._spoken = self._clock()

    def _outcome(self, trial: FrozenTrial) -> str:
        if trial.state == TrialState.PRUNED:
            return f"given up, {trial.last_step} %"
        if trial.value is None:
            return f"failed: {trial.user_attrs.get(CAUSE, '')}"
        is_best = self._best is None or trial.value <= self._best
        return f"{score_of(self._metric, trial.value):.5f}{' best' if is_best else ''}"


def _reached(flights: Sequence[Flight]) -> str:
    """From the one that is least far to the one that is furthest: in epochs, or in shares of unlike trainings."""
    if len({one.of for one in flights}) == 1:
        least, most = (int(end(one.epochs for one in flights)) for end in (min, max))
        return f"at epoch {least if least == most else f'{least} to {most}'} of {flights[0].of}"
    least, most = (int(100 * end(one.epochs / one.of for one in flights)) for end in (min, max))
    return f"{least if least == most else f'{least} to {most}'} % trained"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
