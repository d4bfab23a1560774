"""The guided plan: one search after the other, each over a few settings, each fixing what it has found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.errors import TrainingError
from pipeline.stages.finalists import rescored
from pipeline.stages.plans import can_overfit, finding, found_in, overfitting, phases_of, wider, with_own
from pipeline.stages.search import nothing_finite, standings_of, work
from pipeline.stages.setups import Benches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from pipeline.outcomes import Standing, Winner
    from pipeline.stages.plans import Phase
    from pipeline.stages.setups import Quest
    from pipeline.stages.trials import Session

    # a phase, with what the phases before it have fixed -> the study of just that
    Sessions = Callable[[Phase, Mapping[str, object]], AbstractContextManager[Session]]
    Tell = Callable[[Phase, str], None]


def guided(quest: Quest, sessions: Sessions, tell: Tell) -> Winner:
    """Search phase after phase, telling what each has found, then score the best of all of them again.

    Raises ConfigError where there are too few trials for the phases, TrainingError where the first has no score.
    """
    standings, findings = _phases(quest, sessions, tell)
    if not standings:
        raise TrainingError(nothing_finite([]))
    first = _plan(quest)[0]
    with sessions(first, {}) as session:
        return replace(rescored(quest, session, standings), findings=tuple(findings))


def work_guided(quest: Quest, sessions: Sessions, tell: Tell) -> None:
    """Only train the trials of all phases; others may do the same with the same studies."""
    _phases(quest, sessions, tell)


def _plan(quest: Quest) -> tuple[Phase, ...]:
    folds = Benches(quest, quest.folds).design_of(quest.base).folds
    return phases_of(quest.search, quest.base, min(map(len, folds.train)))


def _phases(quest: Quest, sessions: Sessions, tell: Tell) -> tuple[list[Standing], list[str]]:
    standings: list[Standing] = []
    findings: list[str] = []
    fixed: dict[str, object] = {}
    found: Standing | None = None
    for planned in _plan(quest):
        phase = planned
        base = quest.base.with_values(fixed)
        if phase.name == "regularisation" and found is not None:
            phase = phase if can_overfit(found) else wider(phase, base)
            if words := overfitting(found):
                tell(phase, words)
                findings.append(f"{phase.name}: {words}")
        phase = replace(phase, space=with_own(phase.space, base.values))
        own = _searched(phase, fixed, replace(quest, base=base), sessions)
        if own is None:
            break  # the time is up
        stands = next((one for one in own if one.stands), None)
        standings += own if not fixed else [replace(one, stands=False) for one in own]
        best = found_in(phase, own, stands)
        words = finding(phase, best, stands, quest.metric)
        found = best or found
        tell(phase, words)
        findings.append(f"{phase.name}: {words}")
        fixed = {**fixed, **found.values} if found is not None else fixed
    return standings, findings


def _searched(phase: Phase, fixed: Mapping[str, object], quest: Quest, sessions: Sessions) -> list[Standing] | None:
    """The trials of a phase with a score; None where it has no trial at all."""
    settings: dict[str, object] = {"space": phase.space, "trials": phase.trials}
    if phase.is_listed:
        settings |= {"sampler": "grid", "pruner": "none"}
    own = replace(quest, search=quest.search.model_copy(update=settings))
    with sessions(phase, fixed) as session:
        work(own, session)
        complete, failed = session.trials(TrialState.COMPLETE), session.trials(TrialState.FAIL)
        if not complete and not failed:
            return None
        if not complete and not fixed:
            raise TrainingError(nothing_finite(failed))
        return [replace(one, values={**fixed, **one.values}, phase=phase.name) for one in standings_of(complete)]
