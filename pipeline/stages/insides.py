"""What goes on inside trained networks, on a sample of the rows that they were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.beginnings import initial_weights
from pipeline.engine.diagnosis import Failure, LargeInput, diagnose
from pipeline.engine.losses import loss_of
from pipeline.engine.sizes import Batch, measure
from pipeline.engine.vitals import activities
from pipeline.stages.assignments import assignment_of, network_of
from pipeline.stages.causes import far_input
from pipeline.stages.learners import data_of
from pipeline.stages.signs import Signs, may_hurt_by_depth
from pipeline.tabular.baselines import predict_mean, predict_ridge
from pipeline.tabular.bases import network_target
from pipeline.tabular.extremes import outermost
from pipeline.tabular.features import matrix_for, rows_of
from pipeline.tabular.metrics import loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.engine.fit import Fitted
    from pipeline.engine.sizes import LayerState
    from pipeline.engine.vitals import Activity
    from pipeline.fits import Job
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.causes import Cause
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Design, Singles

SAMPLED_ROWS = 512
RIDGE_ROWS = 4096
MOST_NETWORKS = 10  # that are looked at; folds and seeds are alike


@dataclass(frozen=True, slots=True)
class Inside:
    """One network on a sample of its training rows: its hidden layers' units, and sizes forward and back."""

    job: Job
    activities: tuple[Activity, ...]  # hidden layers
    layers: tuple[LayerState, ...]  # all layers


def look_inside(
    design: Design, candidate: Candidate, jobs: Sequence[Job], fitted: Sequence[Fitted], blocks: Blocks
) -> tuple[Inside, ...]:
    """A few networks, spread over the jobs; those without usable weights are left out."""
    usable = [
        i for i, result in enumerate(fitted) if result.curve.best_epoch >= 0 and result.curve.stopped != "not finite"
    ]
    chosen = [usable[i] for i in _spread(len(usable), MOST_NETWORKS)]
    network = network_of(candidate, design)
    found = []
    for i in chosen:
        batch = training_batch(design, candidate, jobs[i], blocks)
        tensors = _on_device(fitted[i].tensors, batch.rows)
        found.append(Inside(jobs[i], activities(network, tensors, batch.rows), measure(network, tensors, batch)))
    return tuple(found)


def signs_of(
    design: Design,
    candidate: Candidate,
    jobs: Sequence[Job],
    fitted: Sequence[Fitted],
    metric: str,
    blocks: Blocks,
) -> Signs:
    """All that `stalls` judges by. Ridge is fitted, on the first fold and a few rows, only where depth may hurt."""
    network, K = network_of(candidate, design), design.folds.count
    scored = [(job, r.curve) for job, r in zip(jobs, fitted, strict=True) if job.fold < K and r.curve.best_epoch >= 0]
    of_mean = [_mean_error(design, fold, metric) for fold in range(K)]
    first = [float(curve.valid[curve.best_epoch]) for job, curve in scored if job.fold == 0]
    return Signs(
        candidate=candidate,
        network=network,
        metric=metric,
        target_rms=float(np.sqrt(np.mean(network_target(design, 0) ** 2))),
        curves=tuple(curve for _, curve in scored),
        mean_errors=tuple(of_mean[job.fold] for job, _ in scored),
        insides=look_inside(design, candidate, jobs, fitted, blocks),
        ridge_error=_ridge_error(design, metric) if may_hurt_by_depth(network) else float("nan"),
        fold_error=float(np.mean(first)) if first else float("nan"),
        far_out=_far_out(design),
        first_outputs=_first_outputs(design, candidate, jobs[0], blocks),
        has_raw_target=(design.target_states[0].mean, design.target_states[0].scale) == (0.0, 1.0),
    )


def _far_out(design: Design) -> Cause | None:
    """The input of the training rows that is furthest out, if it is far; scaled as for a network of all of them."""
    numeric, fold = design.rows.numeric, design.folds.count
    ends = [outermost(design.states[fold], at, numeric[:, at], design.refit_rows) for at in range(numeric.shape[1])]
    row, _ = max(ends, key=lambda end: abs(end[1]), default=(-1, 0.0))
    if row < 0:
        return None
    seen = matrix_for(design, fold, rows_of(design, fold, np.array([row])))[0]
    column = int(np.argmax(np.abs(seen)))
    return far_input(design, fold, LargeInput(column, float(seen[column])))


def _first_outputs(design: Design, candidate: Candidate, job: Job, blocks: Blocks) -> float:
    """How large the outputs of a network are before it learns, where its weights are drawn by a width of the user's."""
    network = network_of(candidate, design)
    if network.init not in ("normal", "uniform") or candidate.start is not None:
        return float("nan")
    assigned = assignment_of(design, candidate, job, blocks.start[job.fold])
    drawn = initial_weights([assigned], network, data_of(blocks, "fp32"))
    batch = training_batch(design, candidate, job, blocks)
    return measure(network, [tensor[0] for tensor in drawn], batch)[-1].hidden


def _mean_error(design: Design, fold: int, metric: str) -> float:
    """Of predicting the training mean, on the training rows."""
    train = design.folds.train[fold]
    predicted = predict_mean(np.zeros((len(train), 0), np.float32), design.target, train, design.target_states[fold])
    return loss(metric, design.target[train], predicted)


def _ridge_error(design: Design, metric: str) -> float:
    """On the first fold's validation rows, fitted on at most 4096 of its training rows."""
    own = design.folds.train[0]
    train, valid = own[_spread(len(own), RIDGE_ROWS)], design.folds.valid[0]
    rows = np.concatenate([train, valid])
    matrix = matrix_for(design, 0, rows_of(design, 0, rows))
    predicted = predict_ridge(matrix, design.target[rows], np.arange(len(train)), design.target_states[0])
    return loss(metric, design.target[valid], predicted[len(train) :])


def failure_at_the_end(
    design: Design, candidate: Candidate, job: Job, tensors: Sequence[Singles], blocks: Blocks
) -> Failure:
    """What is wrong with weights that the very last step threw away: no loss came after it that could have told."""
    batch = training_batch(design, candidate, job, blocks)
    network = network_of(candidate, design)
    train = candidate.train
    steps = train.epochs * -(-len(_training_rows(design, job)) // min(train.batch_size, len(design.target)))
    found = diagnose(network, _on_device(tensors, batch.rows), batch)
    return Failure(train.epochs - 1, steps - 1, found)


def training_batch(design: Design, candidate: Candidate, job: Job, blocks: Blocks) -> Batch:
    """At most 512 of a job's training rows, evenly spread, as the network sees them."""
    rows = _training_rows(design, job)
    rows = rows[_spread(len(rows), SAMPLED_ROWS)]
    places = torch.as_tensor(rows + blocks.start[job.fold])
    device = blocks.target.device
    own = blocks.matrix.index_select(0, places.to(blocks.matrix.device)).to(device)
    by_row = loss_of(candidate.loss)
    parameter = candidate.train.loss_parameter or by_row.parameter
    return Batch(own, blocks.target.index_select(0, places.to(device)), by_row, parameter)


def _training_rows(design: Design, job: Job) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return design.refit_rows if job.fold == design.folds.count else design.folds.train[job.fold]


def _on_device(tensors: Sequence[Singles], like: Tensor) -> list[Tensor]:
    return [torch.from_numpy(tensor).to(like.device, like.dtype) for tensor in tensors]


def _spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places, evenly spread."""
    if count <= most:
        return list(range(count))
    return [int(place) for place in np.unique(np.linspace(0, count - 1, most).round())]
