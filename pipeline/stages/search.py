"""Tables and a study -> better hyperparameters: trials in flight side by side, the best of them scored again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import TrialState

from pipeline.errors import ConfigError, TrainingError
from pipeline.outcomes import Standing
from pipeline.stages.finalists import rescored
from pipeline.stages.pool import Pool
from pipeline.stages.spaces import as_it_stands, suggested
from pipeline.stages.trials import CAUSE, TRAIN, VALID, is_void, stands

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from pipeline.outcomes import Winner
    from pipeline.search_settings import Search
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.setups import Quest, Setup
    from pipeline.stages.trials import Session


def search(quest: Quest, session: Session) -> Winner:
    """Continue the study until it holds `search.trials` finished trials, then score the best of them again.

    A trial is scored by the pooled out-of-fold loss; the first of a study is the configuration as it stands. One whose
    loss is not finite is told as failed and counts, as does one that is given up. Stopped at any moment, what was told
    stays. Raises ConfigError where the configuration itself does not fit the rows, TrainingError when no trial of the
    whole study could be scored.
    """
    work(quest, session)
    if not session.trials(TrialState.COMPLETE):
        raise TrainingError(nothing_finite(session.trials(TrialState.FAIL)))
    return rescored(quest, session, standings_of(session.trials(TrialState.COMPLETE)))


def work(quest: Quest, session: Session) -> None:
    """Only train trials, until the study has all that it is to have; others may do the same with the same study."""
    if not quest.search.space:
        raise ConfigError('search.space is empty: name what to vary, such as "train.lr" = {log = [1e-4, 1e-2]}')
    values = as_it_stands(quest.base.values, quest.search.space)
    session.begin(values, is_whole=len(values) == len(quest.search.space))
    Pool(quest, session).run()
    session.settle()


def examples(base: Setup, search: Search) -> list[Candidate]:
    """What a first batch of a sweep may be: the configuration as it stands, and draws from the whole space."""
    study = create_study(sampler=RandomSampler(seed=search.seed))
    study.enqueue_trial(as_it_stands(base.values, search.space))
    asked = [suggested(study.ask(), search.space) for _ in range(search.parallel)]
    return [base.with_values(values).candidate for values in asked]


def standings_of(complete: Sequence[optuna.trial.FrozenTrial]) -> list[Standing]:
    """Trials with a score, as plain values; the configuration as it stands came first, or was tried again later."""
    return [
        Standing(
            trial.number,
            dict(trial.params),
            float(trial.value or 0.0),
            stands=stands(trial),
            train=trial.user_attrs.get(TRAIN),
            valid=trial.user_attrs.get(VALID),
        )
        for trial in complete
    ]


def nothing_finite(failed: Sequence[optuna.trial.FrozenTrial]) -> str:
    """That no trial has a score, and the cause that most had."""
    if all(is_void(trial) for trial in failed):
        return "no trial came to its end; give search.timeout more time, or train with fewer epochs"
    causes = Counter(cause for trial in failed if (cause := trial.user_attrs.get(CAUSE)))
    told = "".join(f"; it looks like {cause}" for cause, _ in causes.most_common(1))
    return f"no trial of the sweep had a finite loss; lower the upper end of search.space train.lr{told}"
