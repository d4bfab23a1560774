"""From a design to the engine's terms and back: which matrix a fold sees, what a job is told, how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.draws import job_key
from pipeline.engine.fit import Watch, fit
from pipeline.engine.networks import predict
from pipeline.engine.optimizers import Rule
from pipeline.engine.pack import Data
from pipeline.engine.packing import Assignment, plan_packs
from pipeline.engine.schedules import Schedule
from pipeline.tables import Network
from pipeline.tabular.features import matrix_for
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_network, to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.runtime import Checkpoint, Runtime
    from pipeline.settings import Model, Train
    from pipeline.tables import Design, Floats, Integers, Job, Singles, TargetState

DTYPES = {"fp32": torch.float32, "fp64": torch.float64, "bf16": torch.float32}  # of weights, targets, predictions
PRODUCTS = {"bf16": torch.bfloat16}  # of products with hidden weights, where that is another
TRAIN_CURVE_POINTS = 25


@dataclass(frozen=True, slots=True)
class Candidate:
    """One set of hyperparameters."""

    model: Model
    train: Train


def hidden_widths(model: Model) -> tuple[int, ...]:
    """The hidden layers that are built: none for a linear model."""
    if model.kind == "linear":
        return ()
    return model.hidden or (model.width,) * model.depth


def network_of(candidate: Candidate, design: Design) -> Network:
    """The shape that a candidate builds on this design."""
    model = candidate.model
    return Network(len(design.columns), hidden_widths(model), model.activation, model.init, model.init_scale)


def with_values(candidate: Candidate, values: Mapping[str, object]) -> Candidate:
    """Replace dotted keys of [model] and [train]; a searched width or depth overrides an explicit `hidden`."""
    sections = {"model": candidate.model.model_dump(), "train": candidate.train.model_dump()}
    for key, value in values.items():
        section, leaf = key.split(".")
        sections[section][leaf] = value
        if key in ("model.width", "model.depth"):
            sections["model"]["hidden"] = ()
    return Candidate(type(candidate.model)(**sections["model"]), type(candidate.train)(**sections["train"]))


@dataclass(frozen=True, slots=True)
class Blocks:
    """One block of rows per distinct fit, stacked, so that all folds train from one matrix on the device.

    matrix: [blocks * R, D]; target: [blocks * R], NaN on test rows; start: first row of each fold's block.
    """

    matrix: torch.Tensor
    target: torch.Tensor
    start: dict[int, int]
    rows: int  # R

    def rows_of(self, fold: int) -> torch.Tensor:
        """The fold's own block [R, D]."""
        return self.matrix[self.start[fold] : self.start[fold] + self.rows]


def build_blocks(design: Design, folds: Sequence[int], runtime: Runtime) -> Blocks:
    """Materialise the matrices of these folds on the device; folds with an identical fit share one block."""
    matrices: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    start: dict[int, int] = {}
    seen: dict[tuple[int, TargetState], int] = {}
    total = len(design.rows.numeric)
    for fold in folds:
        identity = (id(design.states[fold]), design.target_states[fold])
        if identity not in seen:
            seen[identity] = len(matrices) * total
            matrices.append(torch.from_numpy(matrix_for(design, fold, design.rows)))
            target = np.full(total, np.nan)
            target[: len(design.target)] = to_network(design.target_states[fold], design.target)
            targets.append(torch.from_numpy(target))
        start[fold] = seen[identity]
    dtype = DTYPES[runtime.compute.precision]
    matrix = torch.cat(matrices).to(runtime.compute.device, dtype)
    return Blocks(matrix, torch.cat(targets).to(runtime.compute.device, dtype), start, total)


def fit_networks(
    design: Design,
    candidates: Sequence[Candidate],
    jobs: Sequence[Job],
    *,
    metric: str,
    runtime: Runtime,
    blocks: Blocks,
) -> list[Fitted]:
    """Train every job, packed; results in the order of `jobs`. Finished packs are kept."""
    assignments = [_assignment(design, candidates[job.candidate], job, blocks) for job in jobs]
    device = torch.device(runtime.compute.device)
    torch.set_num_threads(runtime.compute.threads)
    packs = plan_packs(assignments, on_gpu=device.type != "cpu", pack_size=candidates[0].train.pack_size)
    data = _data(blocks, runtime.compute.precision)
    total, done = sum(a.epochs for a in assignments), 0
    fitted: dict[int, Fitted] = {}
    for number, pack in enumerate(packs):
        positions = pack.positions
        what = f"{len(positions)} networks, {pack.slots} side by side, pack {number + 1} of {len(packs)}"

        def advance(epochs: int, what: str = what) -> None:
            nonlocal done
            done += epochs
            runtime.on_progress(done, total, what)

        def run(checkpoint: Checkpoint, positions: Sequence[int] = positions, slots: int = pack.slots) -> list[Fitted]:
            def judge(member: int, rows: Integers, outputs: Floats) -> float:
                fold = jobs[positions[member]].fold
                own = rows - blocks.start[fold]
                return loss(metric, design.target[own], to_target(design.target_states[fold], outputs))

            own = [assignments[p] for p in positions]
            watch = Watch(judge, TRAIN_CURVE_POINTS, advance)
            return fit(own, data, watch=watch, slots=slots, checkpoint=checkpoint)

        results = runtime.keep(f"pack-{number}", run)
        assert isinstance(results, list)
        fitted |= dict(zip(positions, results, strict=True))
        done = sum(assignments[p].epochs for finished in packs[: number + 1] for p in finished.positions)
        runtime.on_progress(done, total, what)
    return [fitted[position] for position in range(len(jobs))]


def _data(blocks: Blocks, precision: str) -> Data:
    """The stacked blocks as the engine wants them: under bf16 a copy of the rows in the precision of the products."""
    product = PRODUCTS.get(precision)
    return Data(blocks.matrix if product is None else blocks.matrix.to(product), blocks.target, product)


def outputs_of(network: Network, tensors: Sequence[Singles], rows: torch.Tensor) -> Floats:
    """Raw outputs [R] of one network on a matrix [R, D], float64."""
    stacked = [torch.from_numpy(tensor).to(rows.device, rows.dtype) for tensor in tensors]
    return predict(network, stacked, rows).cpu().numpy().astype(np.float64)


def _assignment(design: Design, candidate: Candidate, job: Job, blocks: Blocks) -> Assignment:
    train, start = candidate.train, blocks.start[job.fold]
    refit = job.fold == design.folds.count
    return Assignment(
        key=job_key(job.seed, job.fold),
        network=network_of(candidate, design),
        train_rows=(design.refit_rows if refit else design.folds.train[job.fold]) + start,
        valid_rows=(design.refit_rows[:0] if refit else design.folds.valid[job.fold]) + start,
        rule=Rule(
            kind="adam",
            decoupled=train.optimizer == "adamw",
            weight_decay=train.weight_decay,
            beta1=train.beta1,
            beta2=train.beta2,
            epsilon=train.epsilon,
        ),
        lr=train.lr,
        schedule=Schedule(train.schedule),
        loss=train.loss,
        dropout=candidate.model.dropout,
        epochs=train.epochs,
        batch_size=min(train.batch_size, len(design.target)),  # a batch never holds more rows than there are
        patience=0 if refit else train.patience,
        restore_best=train.restore_best and not refit,
    )
