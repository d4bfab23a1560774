"""A design -> trained networks of every fold and seed, with their predictions in the target's own scale."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import TrainingError
from pipeline.fits import Bag, Fits
from pipeline.stages.assignments import Candidate, network_of, training_jobs
from pipeline.stages.cases import Case
from pipeline.stages.failures import advice_of_kind, failed, kinds_of, report_of, sentence_of_kind
from pipeline.stages.idle import batches_of_one, idle_settings
from pipeline.stages.insides import failure_at_the_end, signs_of
from pipeline.stages.learners import build_blocks, outputs_of
from pipeline.stages.packs import fit_networks, slowed
from pipeline.stages.predict import predict
from pipeline.stages.refits import apart_notices, refit_notices, refit_of, votes_of
from pipeline.stages.shrinkage import shares_of, shrunk, shrunk_notice
from pipeline.stages.stalls import stalls
from pipeline.stages.starts import check_start
from pipeline.tables import Notice
from pipeline.tabular.bases import predictions
from pipeline.tabular.features import take

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.facts import Advice
    from pipeline.fits import Job, Network, Weights
    from pipeline.runtime import Runtime
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Design, Floats, Singles
    from pipeline.training_settings import Model, Train


def train(
    design: Design,
    *,
    model: Model,
    train: Train,
    metric: str,
    runtime: Runtime,
    start: Weights | None = None,
) -> Fits:
    """Train K folds x S seeds (and, with refits, S networks on all rows) as one batched program.

    start: weights to begin with.
    Raises ConfigError where these do not fit, or would leak; TrainingError, naming fold, seed and cause, where networks
    never had a finite loss; the others train to their end before, and are kept.
    """
    started = time.perf_counter()
    check_start(start, design)
    candidate = Candidate(model, train, start)
    K = design.folds.count
    jobs, refit = training_jobs(design, train), refit_of(design, train)
    network = network_of(candidate, design)
    blocks = build_blocks(design, sorted({job.fold for job in jobs}), runtime)
    fitted = fit_networks(design, [candidate], jobs, metric=metric, runtime=runtime, blocks=blocks)
    kinds = _failed(design, candidate, jobs, fitted)
    fold_predictions, seed_oof, fold_outputs = _held_out(design, candidate, jobs, fitted, blocks)
    held_back = stalls(signs_of(design, candidate, jobs, fitted, metric, blocks))
    kept = []
    if train.shrink and design.taken is not None:
        shares = shares_of(design, fold_outputs)
        fitted = shrunk(design, network, jobs, fitted, shares)
        fold_predictions, seed_oof, _ = _held_out(design, candidate, jobs, fitted, blocks)
        kept.append(shrunk_notice(design, shares, refit))
    bag = Bag(network, tuple(jobs), votes_of(jobs, refit, K), _stacked(network, fitted))
    N = len(design.target)
    test = take(design.rows, slice(N, None))
    said = predict(design, bag, test, runtime.compute)
    folds_say = said
    if refit != "none":
        folds_say = predict(design, replace(bag, votes=votes_of(jobs, "none", K)), test, runtime.compute)
    error = math.sqrt(np.mean(np.square(seed_oof.mean(axis=0) - design.target[design.folds.scored_rows])))
    curves = tuple(result.curve for result in fitted)
    return Fits(
        name=candidate.name,
        bag=bag,
        curves=curves,
        metric=metric,
        fold_predictions=fold_predictions,
        seed_oof=seed_oof,
        test_predictions=said,
        seconds=time.perf_counter() - started,
        compute=runtime.compute,
        notices=(
            *_notices(kinds, held_back),
            *batches_of_one(candidate, network, design, jobs),
            *idle_settings(candidate, network, jobs),
            *_started(start, jobs),
            *_narrowed(fitted),
            *slowed(fitted),
            *refit_notices(design, jobs, curves, candidate.train),
            *kept,
            *apart_notices(refit, said, folds_say, error),
        ),
        troubles=(*map(advice_of_kind, kinds), *held_back),
    )


def _stacked(network: Network, fitted: Sequence[Fitted]) -> Mapping[str, Singles]:
    return {name: np.stack([f.tensors[i] for f in fitted]) for i, name in enumerate(network.tensor_names)}


def _held_out(
    design: Design, candidate: Candidate, jobs: Sequence[Job], fitted: Sequence[Fitted], blocks: Blocks
) -> tuple[Floats, Floats, Floats]:
    """Each fold's predictions of all training rows [K, N], out-of-fold ones by seed [S, P], and its outputs [K, N].

    Those of a fold are averaged over seeds.
    """
    K, N = design.folds.count, len(design.target)
    network = network_of(candidate, design)
    seeds = sorted({job.seed for job in jobs})
    folds = design.folds.scored_folds
    by_fold, said, by_seed = np.zeros((K, N)), np.zeros((K, N)), np.full((len(seeds), len(folds)), np.nan)
    useless = []
    for job, result in zip(jobs, fitted, strict=True):
        outputs = outputs_of(network, result.tensors, blocks.rows_of(job.fold)[:N], blocks.target.device)
        if not np.isfinite(outputs).all():  # the last step of all threw the weights away, after the last loss
            failure = failure_at_the_end(design, candidate, job, result.tensors, blocks)
            useless.append(Case(job, failure, candidate, design))
            continue
        if job.fold == K:  # nothing is held out from it
            continue
        predicted = predictions(design, job.fold, slice(N), outputs)
        by_fold[job.fold] += predicted / len(seeds)
        said[job.fold] += outputs / len(seeds)
        by_seed[seeds.index(job.seed), folds == job.fold] = predicted[design.folds.valid[job.fold]]
    if useless:
        raise _came_to_nothing(useless, len(jobs))
    return by_fold, by_seed, said


def _started(start: Weights | None, jobs: Sequence[Job]) -> list[Notice]:
    """Say that nothing here began from scratch."""
    return [Notice("training", f"networks that began with weights of {start.file}", len(jobs))] if start else []


def _failed(design: Design, candidate: Candidate, jobs: Sequence[Job], fitted: Sequence[Fitted]) -> list[list[Case]]:
    """Networks whose loss was not finite, by cause; raises where some have nothing to fall back on."""
    cases = failed(design, candidate, jobs, fitted)
    useless = [case for case, best_epoch in cases if best_epoch < 0]
    if useless:
        raise _came_to_nothing(useless, len(jobs))
    return kinds_of([case for case, _ in cases])


def _came_to_nothing(useless: Sequence[Case], networks: int) -> TrainingError:
    """Who failed and why, and what becomes of the others: their packs are kept under the key of these very settings."""
    report, others = report_of(useless, networks), networks - len(useless)
    if not others:
        return TrainingError(report)
    kept = "the one that trained on is" if others == 1 else f"the {others} that trained on are"
    return TrainingError(
        f"{report}\n{kept} kept for these settings and not trained again with them; whatever mends the others changes "
        f"the training, so that all {networks} train anew"
    )


def _notices(kinds: Sequence[Sequence[Case]], held_back: Sequence[Advice]) -> Iterator[Notice]:
    for alike in kinds:
        text = f"{sentence_of_kind(alike)}; the best weights from before were kept"
        yield Notice("training", text, len(alike))
    for advice in held_back:
        yield Notice("training", f"{advice.seen} {advice.action}".removesuffix("."), 0)


def _narrowed(fitted: Sequence[Fitted]) -> list[Notice]:
    """Say that memory ran out, and how to have it so from the beginning."""
    found = [result.narrowed_to for result in fitted if result.narrowed_to]
    if not found:
        return []
    text = (
        f"memory ran out, so at most {min(found)} networks trained side by side from then on, with the same results; "
        f"train.pack_size = {min(found)} begins so"
    )
    return [Notice("training", text, len(found))]
