"""An honest winner: the best trials scored again on folds, or with seeds, that did not choose them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.fits import Job
from pipeline.outcomes import Finalist, Standing, Winner
from pipeline.runtime import compute_always
from pipeline.stages.hindsight import REPLAYED
from pipeline.stages.packs import fit_networks
from pipeline.stages.setups import Benches
from pipeline.stages.spaces import distance
from pipeline.stages.starts import knows_rows
from pipeline.stages.trials import Trained
from pipeline.tabular.replay import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.search_settings import Search
    from pipeline.settings import FoldSettings
    from pipeline.stages.setups import Quest, Setup
    from pipeline.stages.trials import Session

APART = 0.25  # distance in the space between finalists that are there for being unlike the others
FEWEST_GOING_ON = 2  # finalists from one fresh split to the next
FRESH = 1_000_003  # added to a seed: that of a split, or of the networks, which no search has used


def rescored(quest: Quest, session: Session, standings: Sequence[Standing]) -> Winner:
    """The winner among the best `search.finalists` trials and the configuration as it stands, by fresh splits.

    Half of them are the very best; the others are the best of those that are not much like any before them, for a
    sampler ends among trials that are alike, and flattered alike by the one split. Those that do well on one fresh
    split are scored on the next. Where the kind of folds knows but one split, fresh seeds take the place of fresh
    folds. With no finalists the best trial wins by the score that chose it. Scores are remembered by the session, so
    that none is computed twice.
    """
    search = quest.search
    order = _distinct(quest.base, sorted(standings, key=lambda one: one.score))  # the earlier first among equals
    chosen = _chosen(quest.base, order, search)
    if search.finalists:
        chosen += [one for one in order if one.stands and one not in chosen]
    again = _Again(quest, session).scores(chosen) if search.finalists else []
    finalists = tuple(
        Finalist(one.trial, dict(one.values), one.score, own, phase=one.phase, stands=one.stands)
        for one, own in zip(chosen, again, strict=True)
    )
    best = min(range(len(chosen)), key=lambda place: finalists[place].rank, default=0)
    winner = (chosen or order)[best]
    return Winner(
        values=dict(winner.values),
        score=winner.score,
        trial=winner.trial,
        trials=len(standings),
        finalists=finalists,
        phase=winner.phase,
    )


def _distinct(base: Setup, order: Sequence[Standing]) -> list[Standing]:
    """One for each setup: a plan's phase begins with what the one before it found. The one that stands is kept."""
    found: dict[str, Standing] = {}
    for one in order:
        name = digest_of(base.with_values(one.values))
        if one.stands or name not in found:
            found[name] = one
    return list(found.values())


def _chosen(base: Setup, order: Sequence[Standing], search: Search) -> list[Standing]:
    """So many of them, in their order: half as they come, then whoever is apart from all these, then as they come.

    Only the better half of all is looked through for those apart: being unlike the best is no merit of its own.
    """
    count = min(search.finalists, len(order))
    varied = {key for one in order for key in one.values}
    setups = [{key: base.with_values(one.values).values[key] for key in varied} for one in order]
    places = list(range(-(-count // 2)))
    for place in range(len(places), len(order) // 2):
        if len(places) < count and all(
            distance(setups[place], setups[other], search.space) >= APART for other in places
        ):
            places.append(place)
    places += [place for place in range(len(order)) if place not in places][: count - len(places)]
    return [order[place] for place in sorted(places)]


@dataclass(frozen=True, slots=True)
class _Again:
    """Scores finalists on one further split after the other."""

    quest: Quest
    session: Session

    def scores(self, chosen: Sequence[Standing]) -> list[tuple[float, ...]]:
        """Scores of every finalist on fresh splits: of the same rows, with the same seeds.

        After each split the better half goes on to the next, two of them at the least. The configuration as it stands
        is on all of them; whoever is can win.
        """
        setups = {place: self.quest.base.with_values(one.values) for place, one in enumerate(chosen)}
        again: list[tuple[float, ...]] = [() for _ in chosen]
        for repeat in range(self.quest.search.repeats):
            for place, score in self._on_split(setups, repeat).items():
                again[place] += (score,)
            order = sorted((place for place in setups if not chosen[place].stands), key=lambda place: sum(again[place]))
            going = {*order[: max(FEWEST_GOING_ON, -(-len(order) // 2))]}
            setups = {place: own for place, own in setups.items() if place in going or chosen[place].stands}
        return again

    def _on_split(self, setups: Mapping[int, Setup], repeat: int) -> dict[int, float]:
        names = {
            place: f"again {digest_of(setup)} {repeat} {self.quest.search.seeds}" for place, setup in setups.items()
        }
        known = {place: self.session.recall(name) for place, name in names.items()}
        scores = {place: float(value) for place, value in known.items() if isinstance(value, float)}
        fresh, shift = fresh_folds(self.quest.folds, repeat, keeps_split=self._keeps_split())
        benches = Benches(self.quest, fresh)
        missing: dict[object, dict[int, Setup]] = {}
        for place, setup in setups.items():
            if place not in scores:
                missing.setdefault(benches.key_of(setup), {})[place] = setup
        for own in missing.values():
            for place, score in self._trained(benches, own, shift).items():
                self.session.remember(names[place], score)
                scores[place] = score
        return scores

    def _keeps_split(self) -> bool:
        """Whether other folds are none, or do harm.

        The layout of a test file in time is replayed in but one way; weights to begin with have seen the training rows
        of their own folds, of which other folds would score some.
        """
        timeline, start = self.quest.dataset.timeline, self.quest.base.start
        if timeline is not None and timeline.layout in BLOCKS and self.quest.folds.kind in REPLAYED:
            return True
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


def digest_of(setup: Setup) -> str:
    """A short name for the values of a setup."""
    return hashlib.sha256(json.dumps(setup.values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fresh_folds(folds: FoldSettings, repeat: int, *, keeps_split: bool = False) -> tuple[FoldSettings, int]:
    """Folds that no search has seen, and what is added to the networks' seeds; the same every time."""
    is_drawn = folds.kind in ("auto", "kfold", "stratified", "grouped", "holdout") and folds.shuffle
    if is_drawn and not keeps_split:
        return folds.model_copy(update={"seed": (folds.seed + FRESH + repeat * folds.repeats) % 2**32}), 0
    return folds, FRESH * (repeat + 1)
