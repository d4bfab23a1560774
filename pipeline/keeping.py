"""Predictions of a sweep's best trials, kept as they are told so that a blend can pick from the whole sweep.

Each process keeps those of trials that it trained itself, before it tells their scores: a completed trial among the
best is here, or was trained on another computer.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from optuna.trial import TrialState

from pipeline.errors import ArtifactError
from pipeline.graph import key_of
from pipeline.kept import KEPT, manifests_of, parts_of
from pipeline.outcomes import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from optuna.trial import FrozenTrial

    from pipeline.claims import Ears
    from pipeline.search_settings import Search
    from pipeline.stages.trials import Session, Trained
    from pipeline.store import Store
    from pipeline.tables import Compute


@dataclass(slots=True)
class Keeping:
    """Hears of a sweep's trials in this process, and keeps the predictions of the best `search.kept` of the study.

    key: of the search. say: prints a line. phase: of its plan, with the values that earlier ones fixed.
    """

    store: Store
    key: str
    search: Search
    compute: Compute
    say: Callable[[str], None]
    phase: tuple[str, Mapping[str, object]] = ("", {})
    session: Session | None = None  # the study; None: the sweep has not begun
    untidy: bool = False  # something was kept since anything was deleted
    is_over: bool = False  # the disk refused

    def beside(self, ears: Ears) -> Ears:
        """The same ears, and these."""

        def on_complete(number: int, score: float, trained: Trained) -> None:
            self.complete(number, score, trained)
            ears.on_complete(number, score, trained)

        def on_told(trial: FrozenTrial) -> None:
            ears.on_told(trial)
            if trial.state == TrialState.COMPLETE:
                self.tidy()  # of what was kept before, too, if that was never told

        return replace(ears, on_complete=on_complete, on_told=on_told)

    @contextmanager
    def during(self, session: Session) -> Iterator[None]:
        """A context in which trials of that study are kept; before and after it nothing lies here that is not to.

        One that is left by an exception, perhaps with a database out of reach, leaves that to the next.
        """
        self.session, self.untidy = session, True
        self.tidy()
        yield
        self.untidy = True  # others may have told better ones
        self.tidy()

    def complete(self, number: int, score: float, trained: Trained) -> None:
        """Keep a trial's predictions, if it is among the best so far; its score is not lost if the disk refuses."""
        if self.is_over or not self._is_among_best(number, score):
            return
        oof, test = trained.held_out(), trained.test(self.compute)
        if not np.isfinite(test).all():
            self.say(f"{'search':<11} {'not kept':<18} trial {number}: its predictions of test rows are not finite")
            return
        values = {name: trained.setup.values[name] for name in {**self.phase[1], **self.search.space}}
        parts = parts_of(self.key, (self.phase[0], number), values, trained.bench.design.folds)
        kept, note = Kept(number, score, values, oof, test), f"trial {number}, {score:.5f}"
        try:
            self.store.save(KEPT, key_of(parts), kept, seconds=0.0, parts=parts, note=note)
        except ArtifactError as error:
            self._give_up(error, f"those of trial {number} and of later ones")
        else:
            self.untidy = True

    def tidy(self) -> None:
        """Delete what is not, or no more, among the best of the study, and what was kept of trials never told."""
        if not self.untidy:
            return
        self.untidy = False
        found = manifests_of(
            self.store, self.key, self.phase[0]
        )  # listed before the study is asked: one in flight may be told then
        wanted = self._wanted() if found else {}
        try:
            for manifest in found:
                if wanted.get(manifest.parts.get("trial")) != manifest.parts.get("values"):
                    with self.store.lock(KEPT, self.key):  # nobody reads it now
                        self.store.remove(manifest)
        except (ArtifactError, OSError) as error:
            self._give_up(error, "those of further trials")

    def _wanted(self) -> dict[object, Mapping[str, object]]:
        """Values of the trials that may be kept, by number: the best, and those that other processes may just tell."""
        assert self.session is not None
        flying = self.session.trials(TrialState.RUNNING)
        best = sorted(self.session.trials(TrialState.COMPLETE), key=_rank)[: self.search.kept]
        return {trial.number: {**self.phase[1], **trial.params} for trial in [*flying, *best]}

    def _is_among_best(self, number: int, score: float) -> bool:
        if not self.search.kept or self.session is None:
            return False
        better = [t for t in self.session.trials(TrialState.COMPLETE) if _rank(t) < (score, number)]
        return len(better) < self.search.kept

    def _give_up(self, error: ArtifactError | OSError, what: str) -> None:
        """Say it once and keep no more: a sweep is worth more than its blend."""
        if not self.is_over:
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            told = getattr(reason, "strerror", None) or str(reason)
            self.say(
                f"{'search':<11} {'not kept':<18} predictions, {what}: {self.store.folder}: {told}; scores are told as "
                f"ever; free some space or make the folder writable before the next sweep"
            )
        self.is_over = True


def _rank(trial: FrozenTrial) -> tuple[float, int]:
    return float("inf") if trial.value is None else trial.value, trial.number
