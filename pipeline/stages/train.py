"""A design -> trained networks of every fold and seed, with their predictions in the target's own scale."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import TrainingError
from pipeline.stages.assignments import Candidate, network_of, with_values
from pipeline.stages.learners import build_blocks, fit_networks, outputs_of
from pipeline.stages.predict import predict
from pipeline.stages.starts import check_start
from pipeline.tables import Fits, Job, Notice
from pipeline.tabular.features import take
from pipeline.tabular.targets import to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.runtime import Runtime
    from pipeline.settings import Model, Train
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Design, Floats, Network, Singles, Weights, Winner


def train(  # noqa: PLR0913 - each is an entry of the table in graph.py
    design: Design,
    *,
    model: Model,
    train: Train,
    metric: str,
    runtime: Runtime,
    winner: Winner | None = None,
    start: Weights | None = None,
) -> Fits:
    """Train K folds x S seeds (and, with `refit`, S networks on all rows) as one batched program.

    winner: a search's best values, which replace those of [model] and [train]. start: weights to begin with.
    Raises ConfigError where these do not fit, or would leak.
    Raises TrainingError, naming fold and seed, where a network never had a finite loss.
    """
    started = time.perf_counter()
    check_start(start, design)
    candidate = with_values(Candidate(model, train, start), winner.values if winner else {})
    K = design.folds.count
    seeds = range(train.seed, train.seed + train.seeds)
    folds = range(K + 1) if train.refit else range(K)
    jobs = [Job(0, fold, seed) for fold in folds for seed in seeds]
    network = network_of(candidate, design)
    blocks = build_blocks(design, list(folds), runtime)
    fitted = fit_networks(design, [candidate], jobs, metric=metric, runtime=runtime, blocks=blocks)
    notices = (*_started(start, jobs), *_not_finite(jobs, fitted, candidate.train, K))
    fold_predictions, seed_oof = _held_out(design, network, jobs, fitted, blocks, candidate.train.lr)
    weights = _stacked(network, fitted)
    N = len(design.target)
    test = take(design.rows, slice(N, None))
    return Fits(
        name=candidate.name,
        jobs=tuple(jobs),
        weights=weights,
        network=network,
        curves=tuple(result.curve for result in fitted),
        metric=metric,
        fold_predictions=fold_predictions,
        seed_oof=seed_oof,
        test_predictions=predict(design, network, jobs, weights, test, runtime.compute),
        seconds=time.perf_counter() - started,
        compute=runtime.compute,
        notices=notices,
    )


def _stacked(network: Network, fitted: Sequence[Fitted]) -> Mapping[str, Singles]:
    return {name: np.stack([f.tensors[i] for f in fitted]) for i, name in enumerate(network.tensor_names)}


def _held_out(
    design: Design, network: Network, jobs: Sequence[Job], fitted: Sequence[Fitted], blocks: Blocks, lr: float
) -> tuple[Floats, Floats]:
    """Each fold's predictions of all training rows, averaged over seeds [K, N], and out-of-fold by seed [S, P]."""
    K, N = design.folds.count, len(design.target)
    seeds = sorted({job.seed for job in jobs})
    folds = design.folds.scored_folds
    by_fold, by_seed = np.zeros((K, N)), np.full((len(seeds), len(folds)), np.nan)
    for job, result in zip(jobs, fitted, strict=True):
        if job.fold == K:
            continue
        outputs = outputs_of(network, result.tensors, blocks.rows_of(job.fold)[:N])
        if not np.isfinite(outputs).all():  # the last step of all threw the weights away, after the last loss
            raise TrainingError(
                f"fold {job.fold + 1}, seed {job.seed}: the trained network's outputs are not finite; lower [train] lr "
                f"(now {lr:g})"
            )
        predicted = to_target(design.target_states[job.fold], outputs)
        by_fold[job.fold] += predicted / len(seeds)
        by_seed[seeds.index(job.seed), folds == job.fold] = predicted[design.folds.valid[job.fold]]
    return by_fold, by_seed


def _started(start: Weights | None, jobs: Sequence[Job]) -> list[Notice]:
    """Say that nothing here began from scratch."""
    return [Notice("training", f"networks that began with weights of {start.file}", len(jobs))] if start else []


def _not_finite(jobs: Sequence[Job], fitted: Sequence[Fitted], train: Train, K: int) -> tuple[Notice, ...]:
    """Say which networks stopped because their loss was not finite; raise where one has nothing to fall back on."""
    notices = []
    for job, result in zip(jobs, fitted, strict=True):
        if result.curve.stopped != "not finite":
            continue
        who = f"fold {job.fold + 1}, seed {job.seed}" if job.fold < K else f"the refit on all rows, seed {job.seed}"
        epoch = len(result.curve.valid)
        if result.curve.best_epoch < 0:
            raise TrainingError(
                f"{who}: no epoch ended with a finite loss; lower [train] lr (now {train.lr:g}), or look for "
                f"huge values with `python -m pipeline evaluate` on a linear model (--set model.kind=linear)"
            )
        text = f"{who}: the loss was not finite in epoch {epoch}; weights of epoch {result.curve.best_epoch + 1} kept"
        notices.append(Notice("training", f"{text}; a lower [train] lr (now {train.lr:g}) mends most such cases", 1))
    return (*notices, *_longer_refit(jobs, fitted, train, K))


def _longer_refit(jobs: Sequence[Job], fitted: Sequence[Fitted], train: Train, K: int) -> list[Notice]:
    """Say so where the refit runs much longer than the networks that the out-of-fold score describes."""
    kept = [result.curve.best_epoch + 1 for job, result in zip(jobs, fitted, strict=True) if job.fold < K]
    median = int(np.median(kept))
    if not train.refit or median > 0.9 * train.epochs:
        return []
    text = (
        f"the refit trains all {train.epochs} epochs, but the folds kept epoch {median} (median): their out-of-fold "
        f"score describes shorter trainings; set train.epochs near {median}, or train.refit = false"
    )
    return [Notice("training", text, len(jobs) - len(kept))]
