"""From a design to the engine's terms and back: which matrix a fold sees, what a job is told, how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.data import Data
from pipeline.engine.fit import Watch, fit
from pipeline.engine.mapped import empty_rows
from pipeline.engine.memory import Circumstances, free_on
from pipeline.engine.networks import predict
from pipeline.engine.packing import Limits, plan_packs
from pipeline.engine.rehearsal import Precision
from pipeline.engine.sources import choose_source
from pipeline.stages.assignments import assignment_of
from pipeline.tabular.features import matrix_for, take
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_network, to_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.engine.sources import Resident, Streamed
    from pipeline.runtime import Checkpoint, Runtime
    from pipeline.stages.assignments import Candidate
    from pipeline.tables import Design, Floats, Integers, Job, Network, Singles, TargetState

# of weights, targets, predictions
DTYPES = {
    "fp32": torch.float32,
    "fp64": torch.float64,
    "bf16": torch.float32,
    "fp16": torch.float32,
    "tf32": torch.float32,
}
PRODUCTS = {"bf16": torch.bfloat16, "fp16": torch.float16}  # of products with hidden weights, where that is another
TRAIN_CURVE_POINTS = 25
ROWS_AT_A_TIME = 1 << 16  # made, or sent to the device to be predicted: 26 MB at 100 columns
GPU_RESERVE = 1 << 30  # bytes for what no tensor of ours holds: workspaces of cuBLAS, kernels, capture
SHARE_OF_GPU = 0.9  # of what is free beyond that: the allocator's blocks are not all of use


@dataclass(frozen=True, slots=True)
class Blocks:
    """One block of rows per distinct fit, stacked, so that all folds train from one matrix.

    matrix: [blocks * R, D], on the device if that has room; target: [blocks * R] on the device, NaN on test rows;
    start: first row of each fold's block; source: where training takes its batches from.
    """

    matrix: torch.Tensor
    target: torch.Tensor
    start: dict[int, int]
    rows: int  # R
    source: Resident | Streamed

    def rows_of(self, fold: int) -> torch.Tensor:
        """The fold's own block [R, D]."""
        return self.matrix[self.start[fold] : self.start[fold] + self.rows]


def build_blocks(design: Design, folds: Sequence[int], runtime: Runtime) -> Blocks:
    """Materialise the matrices of these folds where there is room; folds with an identical fit share one block.

    Peak memory: the result and one chunk of rows, on a bf16 device a second copy in half its bytes.
    """
    total = len(design.rows.numeric)
    begin: dict[tuple[int, TargetState], int] = {}  # fit -> first row of its block
    start = {f: begin.setdefault((id(design.states[f]), design.target_states[f]), len(begin) * total) for f in folds}
    device, dtype = torch.device(runtime.compute.device), DTYPES[runtime.compute.precision]
    product = PRODUCTS.get(runtime.compute.precision)
    shape = (len(begin) * total, len(design.columns))
    matrix = empty_rows(shape, dtype, device, runtime.room, product=product)
    target = torch.full((len(matrix),), torch.nan, dtype=dtype, device=device)
    for first, fold in {first: fold for fold, first in start.items()}.items():
        for low in range(0, total, ROWS_AT_A_TIME):
            part = matrix_for(design, fold, take(design.rows, slice(low, low + ROWS_AT_A_TIME)))
            matrix[first + low : first + low + len(part)] = torch.from_numpy(part)
        own = to_network(design.target_states[fold], design.target)
        target[first : first + len(own)] = torch.from_numpy(own)
    return Blocks(matrix, target, start, total, choose_source(matrix, device, runtime.room.device, product))


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
    assignments = [assignment_of(design, candidates[job.candidate], job, blocks.start[job.fold]) for job in jobs]
    torch.set_num_threads(runtime.compute.threads)
    packs = plan_packs(assignments, limits_of(runtime, candidates[0].train.pack_size))
    data = Data(blocks.source.matrix, blocks.target, PRODUCTS.get(runtime.compute.precision))
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


def limits_of(runtime: Runtime, pack_size: int, *, still_to_come: int = 0) -> Limits:
    """What packs have to fit into here. still_to_come: bytes that the device will hold before they are trained."""
    compute = runtime.compute
    device = torch.device(compute.device)
    on_gpu = device.type != "cpu"
    precision = Precision(DTYPES[compute.precision], PRODUCTS.get(compute.precision))
    memory = max(1, int(SHARE_OF_GPU * (free_on(device) - still_to_come - GPU_RESERVE))) if on_gpu else runtime.memory
    return Limits(
        Circumstances(
            precision, on_gpu=on_gpu, train_curve_points=TRAIN_CURVE_POINTS, is_saved=True, is_captured=on_gpu
        ),
        memory=memory,
        cache=(compute.cache << 20) * compute.threads,
        threads=compute.threads,
        pack_size=pack_size,
    )


def matrix_bytes(design: Design, folds: Sequence[int], precision: str) -> int:
    """What the rows of these folds take on the device, shared by all packs."""
    blocks = len({(id(design.states[fold]), design.target_states[fold]) for fold in folds})
    weights, product = DTYPES[precision], PRODUCTS.get(precision)
    size = weights.itemsize + (0 if product is None else product.itemsize)
    return blocks * len(design.rows.numeric) * (len(design.columns) * size + weights.itemsize)


def outputs_of(
    network: Network, tensors: Sequence[Singles], rows: torch.Tensor, device: torch.device | None = None
) -> Floats:
    """Raw outputs [R] of one network on a matrix [R, D], float64. device: where to compute; None: where they lie."""
    device = device or rows.device
    stacked = [torch.from_numpy(tensor).to(device, rows.dtype) for tensor in tensors]
    # a multiple of what `predict` works in at a time: the same bits as of one call
    parts = [predict(network, stacked, part.to(device)).cpu() for part in torch.split(rows, ROWS_AT_A_TIME)]
    return torch.cat(parts).numpy().astype(np.float64)
