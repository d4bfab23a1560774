"""An honest winner: the best trials scored again on folds, or with seeds, that did not choose them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.runtime import compute_always
from pipeline.stages.packs import fit_networks
from pipeline.stages.setups import Benches
from pipeline.stages.starts import knows_rows
from pipeline.stages.trials import STANDS, Trained
from pipeline.tables import Finalist, Job, Winner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import FrozenTrial

    from pipeline.settings import FoldSettings
    from pipeline.stages.setups import Quest, Setup
    from pipeline.stages.trials import Session

FRESH = 1_000_003  # added to a seed: that of a split, or of the networks, which no search has used


def rescored(quest: Quest, session: Session) -> Winner:
    """The winner among the best `search.finalists` trials and the first, by its score on fresh splits.

    Where the kind of folds knows but one split, fresh seeds take the place of fresh folds. With no finalists the best
    trial wins by the score that chose it.
    """
    search = quest.search
    complete = session.trials(TrialState.COMPLETE)
    order = sorted(complete, key=lambda trial: (trial.value, trial.number))
    chosen = order[: search.finalists]
    if search.finalists and (stands := [trial for trial in complete if _stands(trial)]) and stands[0] not in chosen:
        chosen = [*chosen, *stands]
    again = _Again(quest, session).scores(chosen)
    finalists = tuple(
        Finalist(trial.number, dict(trial.params), float(trial.value or 0.0), own)
        for trial, own in zip(chosen, again, strict=True)
    )
    best = min(finalists, key=lambda one: (one.fresh, one.trial), default=None)
    winner = next(trial for trial in order if best is None or trial.number == best.trial)
    return Winner(
        values=dict(winner.params),
        score=float(winner.value or 0.0),
        trial=winner.number,
        trials=len(complete),
        finalists=finalists,
    )


@dataclass(frozen=True, slots=True)
class _Again:
    """Scores finalists on one further split after the other."""

    quest: Quest
    session: Session

    def scores(self, chosen: Sequence[FrozenTrial]) -> list[tuple[float, ...]]:
        """A score for every repeat of every finalist: all on the same rows, with the same seeds."""
        by_repeat = [self._on_split(chosen, repeat) for repeat in range(self.quest.search.repeats)]
        return [tuple(scores[trial.number] for scores in by_repeat) for trial in chosen]

    def _on_split(self, chosen: Sequence[FrozenTrial], repeat: int) -> dict[int, float]:
        names = {trial.number: f"again {trial.number} {repeat} {self.quest.search.seeds}" for trial in chosen}
        known = {number: self.session.recall(name) for number, name in names.items()}
        scores = {number: float(value) for number, value in known.items() if isinstance(value, float)}
        fresh, shift = fresh_folds(self.quest.folds, repeat, keeps_split=self._keeps_split())
        benches = Benches(self.quest, fresh)
        missing: dict[object, dict[int, Setup]] = {}
        for trial in chosen:
            if trial.number not in scores:
                setup = self.quest.base.with_values(trial.params)
                missing.setdefault(benches.key_of(setup), {})[trial.number] = setup
        for setups in missing.values():
            for number, score in self._trained(benches, setups, shift).items():
                self.session.remember(names[number], score)
                scores[number] = score
        return scores

    def _keeps_split(self) -> bool:
        """Weights to begin with have seen the training rows of their own folds: other folds would hold rows of both."""
        start = self.quest.base.start
        return start is not None and knows_rows(start, Benches(self.quest, self.quest.folds).design_of(self.quest.base))

    def _trained(self, benches: Benches, setups: Mapping[int, Setup], shift: int) -> dict[int, float]:
        """Scores of setups that share a design, trained as one program."""
        own = list(setups.values())
        bench = benches.of(own[0])
        jobs = [
            Job(number, fold, setup.train.seed + shift + seed)
            for number, setup in enumerate(own)
            for seed in range(self.quest.search.seeds)
            for fold in range(bench.design.folds.count)
        ]
        fitted = fit_networks(
            bench.design,
            [setup.candidate for setup in own],
            jobs,
            metric=self.quest.metric,
            runtime=replace(self.quest.runtime, keep=compute_always),
            blocks=bench.blocks,
        )
        each = len(jobs) // len(own)
        return {
            number: Trained(setup, bench, jobs[i : i + each], fitted[i : i + each]).score(self.quest.metric)
            for i, (number, setup) in zip(range(0, len(jobs), each), setups.items(), strict=True)
        }


def _stands(trial: FrozenTrial) -> bool:
    """Whether a trial is the configuration as it stands: the first one, or where that was interrupted, its next try."""
    return trial.number == 0 or STANDS in trial.user_attrs


def fresh_folds(folds: FoldSettings, repeat: int, *, keeps_split: bool = False) -> tuple[FoldSettings, int]:
    """Folds that no search has seen, and what is added to the networks' seeds; the same every time."""
    is_drawn = folds.kind in ("kfold", "stratified", "grouped", "holdout") and folds.shuffle
    if is_drawn and not keeps_split:
        return folds.model_copy(update={"seed": (folds.seed + FRESH + repeat) % 2**32}), 0
    return folds, FRESH * (repeat + 1)
