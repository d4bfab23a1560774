"""A design and a study -> better hyperparameters: trials are asked for in batches, each trial's folds in one pack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import TrialState

from pipeline.errors import TrainingError
from pipeline.runtime import compute_always
from pipeline.stages.assignments import Candidate, network_of, with_values
from pipeline.stages.failures import failed, short
from pipeline.stages.learners import build_blocks, outputs_of
from pipeline.stages.packs import fit_networks
from pipeline.stages.starts import check_start
from pipeline.tables import Job, Winner
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import optuna

    from pipeline.engine.fit import Fitted
    from pipeline.runtime import Runtime
    from pipeline.settings import Range, Search
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Design

DIVERGED = "diverged"  # a failed trial that was trained to an end, unlike one that was interrupted
CAUSE = "cause"  # why it diverged


@dataclass(frozen=True, slots=True)
class Session:
    """The study that a search continues, and who hears of each told trial."""

    study: optuna.Study
    on_trial: Callable[[optuna.trial.FrozenTrial], None] = lambda _: None


def search(
    design: Design,
    *,
    base: Candidate,
    search: Search,
    metric: str,
    session: Session,
    runtime: Runtime,
) -> Winner:
    """Continue the study until it holds `search.trials` finished trials; the best is the winner.

    A trial is scored by the pooled out-of-fold loss of one seed. The first trial of a study is the configuration as
    it stands. A trial whose loss is not finite is told as failed and counts. Stopped at any moment, told trials stay.
    Raises ConfigError where weights to begin with do not fit, TrainingError when no trial of the whole study could be
    scored.
    """
    study, seed = session.study, base.train.seed
    folds = list(range(design.folds.count))
    check_start(base.start, design)
    blocks = build_blocks(design, folds, runtime)
    _begin(study, _as_it_stands(base, search.space))
    first = _finished(study)
    while (done := _finished(study)) < search.trials:
        trials = [study.ask() for _ in range(min(search.parallel, search.trials - done))]
        try:
            candidates = [with_values(base, _suggest(trial, search.space)) for trial in trials]
            jobs = [Job(number, fold, seed) for number in range(len(trials)) for fold in folds]
            lent = replace(
                runtime,
                keep=compute_always,
                on_progress=_within(runtime, done - first, len(trials), search.trials - first),
            )
            fitted = fit_networks(design, candidates, jobs, metric=metric, runtime=lent, blocks=blocks)
        except BaseException:
            for trial in trials:
                study.tell(trial, state=TrialState.FAIL)
            raise
        for number, trial in enumerate(trials):
            own = slice(number * len(folds), (number + 1) * len(folds))
            value = _pooled_loss(design, candidates[number], jobs[own], fitted[own], blocks, metric)
            if np.isfinite(value):
                told = study.tell(trial, value)
            else:
                trial.set_user_attr(DIVERGED, value=True)
                trial.set_user_attr(CAUSE, _why(design, candidates[number], jobs[own], fitted[own]))
                told = study.tell(trial, state=TrialState.FAIL)
            session.on_trial(told)
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise TrainingError(_nothing_finite(study))
    best = study.best_trial
    return Winner(dict(best.params), float(study.best_value), best.number, _finished(study))


def examples(base: Candidate, search: Search) -> list[Candidate]:
    """What a first batch of a sweep may be: the configuration as it stands, and draws from the whole space."""
    study = create_study(sampler=RandomSampler(seed=search.seed))
    study.enqueue_trial(_as_it_stands(base, search.space))
    return [with_values(base, _suggest(study.ask(), search.space)) for _ in range(search.parallel)]


def _why(design: Design, candidate: Candidate, jobs: Sequence[Job], fitted: Sequence[Fitted]) -> str:
    """The first failed network's cause; without one the weights of a very last step were not usable."""
    cases = failed(design, candidate, jobs, fitted)
    return short(cases[0][0]) if cases else f"predictions that are not finite; [train] lr below {candidate.train.lr:g}"


def _nothing_finite(study: optuna.Study) -> str:
    causes = Counter(cause for trial in study.get_trials(deepcopy=False) if (cause := trial.user_attrs.get(CAUSE)))
    told = "".join(f"; it looks like {cause}" for cause, _ in causes.most_common(1))
    return f"no trial of the sweep had a finite loss; lower the upper end of search.space train.lr{told}"


def _begin(study: optuna.Study, as_it_stands: Mapping[str, object]) -> None:
    """Bury trials of a killed process, and see to it that the configuration as it stands is among the finished ones."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    known = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL or DIVERGED in t.user_attrs]
    for trial in known:
        values = trial.params or trial.system_attrs.get("fixed_params", {})
        if as_it_stands.items() <= values.items():
            return
    study.enqueue_trial(dict(as_it_stands))


def _finished(study: optuna.Study) -> int:
    """Trials that ran to an end; one that was interrupted is asked for again by other numbers."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(trial.state == TrialState.COMPLETE or DIVERGED in trial.user_attrs for trial in trials)


def _suggest(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, dimension in space.items():
        if dimension.choice is not None:
            values[key] = trial.suggest_categorical(key, dimension.choice)
        elif dimension.integer is not None:
            values[key] = trial.suggest_int(key, *dimension.integer)
        elif dimension.log is not None:
            values[key] = trial.suggest_float(key, *dimension.log, log=True)
        elif dimension.uniform is not None:
            values[key] = trial.suggest_float(key, *dimension.uniform)
    return values


def _as_it_stands(base: Candidate, space: Mapping[str, Range]) -> dict[str, object]:
    """The configuration's own values where the space holds them; the sampler fills in the others."""
    sections = {"model": base.model.model_dump(), "train": base.train.model_dump()}
    values: dict[str, object] = {}
    for key, dimension in space.items():
        section, leaf = key.split(".")
        value = sections[section][leaf]
        bounds = dimension.log or dimension.uniform or dimension.integer
        if (bounds is not None and bounds[0] <= value <= bounds[1]) or value in (dimension.choice or ()):
            values[key] = value
    return values


def _pooled_loss(
    design: Design,
    candidate: Candidate,
    jobs: Sequence[Job],
    fitted: Sequence[Fitted],
    blocks: Blocks,
    metric: str,
) -> float:
    network = network_of(candidate, design)
    oof, scored = np.zeros(len(design.target)), np.zeros(len(design.target), dtype=bool)
    for job, result in zip(jobs, fitted, strict=True):
        if result.curve.best_epoch < 0:
            return float("inf")
        valid = design.folds.valid[job.fold]
        outputs = outputs_of(network, result.tensors, blocks.rows_of(job.fold)[valid], blocks.target.device)
        oof[valid] = to_target(design.target_states[job.fold], outputs)
        scored[valid] = True
    return loss(metric, design.target[scored], oof[scored])


def _within(runtime: Runtime, done: int, batch: int, total: int) -> Callable[[int, int, str], None]:
    """Progress of one batch as progress of the whole sweep, in epochs."""

    def tell(epochs: int, of: int, what: str) -> None:
        per_trial = of / batch
        runtime.on_progress(round(done * per_trial) + epochs, round(total * per_trial), what)

    return tell
