"""From a design to the engine's terms and back: which matrix a fold sees, what a job is told, how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.data import Data
from pipeline.engine.fit import Watch, fit
from pipeline.engine.memory import Circumstances, free_on
from pipeline.engine.networks import predict
from pipeline.engine.packing import Limits, plan_packs
from pipeline.engine.rehearsal import Precision
from pipeline.stages.assignments import assignment_of
from pipeline.tabular.features import matrix_for
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_network, to_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.fit import Fitted
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
GPU_RESERVE = 1 << 30  # bytes for what no tensor of ours holds: workspaces of cuBLAS, kernels, capture
SHARE_OF_GPU = 0.9  # of what is free beyond that: the allocator's blocks are not all of use


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
    assignments = [assignment_of(design, candidates[job.candidate], job, blocks.start[job.fold]) for job in jobs]
    torch.set_num_threads(runtime.compute.threads)
    data = _data(blocks, runtime.compute.precision)
    packs = plan_packs(assignments, limits_of(runtime, candidates[0].train.pack_size))
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


def _data(blocks: Blocks, precision: str) -> Data:
    """The stacked blocks as the engine wants them: under bf16 a copy of the rows in the precision of the products."""
    product = PRODUCTS.get(precision)
    return Data(blocks.matrix if product is None else blocks.matrix.to(product), blocks.target, product)


def outputs_of(network: Network, tensors: Sequence[Singles], rows: torch.Tensor) -> Floats:
    """Raw outputs [R] of one network on a matrix [R, D], float64."""
    stacked = [torch.from_numpy(tensor).to(rows.device, rows.dtype) for tensor in tensors]
    return predict(network, stacked, rows).cpu().numpy().astype(np.float64)
