"""What a sweep prints: a line for each trial, one that lives, and the winner in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.claims import is_claimed
from pipeline.stages.trials import CAUSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from pipeline.progress import Bar
    from pipeline.stages.plans import Phase
    from pipeline.tables import Winner


def winner_lines(winner: Winner, metric: str) -> Iterator[str]:
    """The best trials as they were scored again, the winner, and how much its first score flattered it."""
    if winner.finalists:
        trials = f"{winner.trials} trials scored"
        yield f"{'search':<11} {trials:<18} the best of them again, on folds that did not choose them:"
    for one in sorted(winner.finalists, key=lambda one: one.fresh):
        again = " ".join(f"{score:.5f}" for score in one.again)
        note = "  (the configuration as it stands)" if one.stands else ""
        yield f"{'':<11} {one.name:<18} {metric} {one.fresh:.5f} ({again}), in the search {one.score:.5f}{note}"
    yield f"{'search':<11} {f'winner: {winner.name}':<18} {_score_told(winner, metric)}"
    for setting, value in winner.values.items():
        yield f"{'':<11} {setting} = {value}"


def _score_told(winner: Winner, metric: str) -> str:
    optimism = winner.optimism
    if optimism is None:
        return f"{metric} {winner.score:.5f}; this score chose it, so it flatters it"
    honest = f"{metric} {winner.score + optimism:.5f}"
    if optimism > 0:
        return f"{honest}; the score that chose it, {winner.score:.5f}, flattered it by {optimism:.5f}"
    return f"{honest}; the score that chose it, {winner.score:.5f}, did not flatter it"


class TrialTeller:
    """Tells each trial as it ends, and beside it how many are done, the best so far, and the speed."""

    def __init__(self, bar: Bar, wanted: int) -> None:
        self._bar, self._wanted, self._began = bar, wanted, time.monotonic()
        self._counts = {TrialState.COMPLETE: 0, TrialState.PRUNED: 0, TrialState.FAIL: 0}
        self._best: float | None = None
        self._waiting = ""

    def say(self, line: str) -> None:
        """Something else that happened."""
        self._bar.say(line)

    def opens(self, study: Study, where: str, phase: str) -> None:
        """A study is begun or continued: that of the search, or of a phase of its plan."""
        before = sum(map(is_claimed, study.get_trials(deepcopy=False)))
        self._bar.say(f"{'search':<11} {f'{before} trials so far':<18} {phase.replace('_', ' ') or where}")

    def found(self, phase: Phase, words: str) -> None:
        """What a phase of the plan has found."""
        self._bar.say(f"{'':<11} {phase.name:<18} {words}")

    def told(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        self._waiting = ""
        self._counts[trial.state] += 1
        values = "  ".join(f"{key.partition('.')[2]} {_short(value)}" for key, value in trial.params.items())
        self._bar.say(f"trial {trial.number:>4}  {self._outcome(trial):<14}  {values}")
        done = sum(self._counts.values())
        pruned, failed = self._counts[TrialState.PRUNED], self._counts[TrialState.FAIL]
        best = "" if self._best is None else f", best {self._best:.5f}"
        speed = 60 * done / max(1e-9, time.monotonic() - self._began)
        told = f"{pruned} given up, {failed} failed{best}, {speed:.1f} trials a minute"
        self._bar.update(done, max(self._wanted, done), told)

    def waits(self, what: str) -> None:
        """Something is waited for; said once."""
        if what != self._waiting:
            self._bar.say(f"{'search':<11} {'waiting':<18} {what}")
            self._waiting = what

    def _outcome(self, trial: FrozenTrial) -> str:
        if trial.state == TrialState.PRUNED:
            return f"given up at {trial.last_step}"
        if trial.value is None:
            return f"failed: {trial.user_attrs.get(CAUSE, '')}"
        is_best = self._best is None or trial.value < self._best
        self._best = trial.value if is_best else self._best
        return f"{trial.value:.5f}{' best' if is_best else ''}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
