"""What packs have to fit into: memory that is free, caches, and the rows that lie there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.engine.memory import Circumstances, free_on
from pipeline.engine.packing import Limits
from pipeline.engine.rehearsal import Precision
from pipeline.stages.learners import DTYPES, PRODUCTS, TRAIN_CURVE_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runtime import Runtime
    from pipeline.tables import Design

GPU_RESERVE = 1 << 30  # bytes for what no tensor of ours holds: workspaces of cuBLAS, kernels, capture
SHARE_OF_GPU = 0.9  # of what is free beyond that: the allocator's blocks are not all of use


def limits_of(runtime: Runtime, pack_size: int, *, is_streamed: bool = False, still_to_come: int = 0) -> Limits:
    """Those of each process that trains.

    is_streamed: whether rows come from elsewhere. still_to_come: bytes that its device will hold before packs are
    trained.
    """
    compute = runtime.compute
    device = torch.device(compute.device)
    on_gpu = device.type != "cpu"
    if on_gpu:
        memory = max(1, int(SHARE_OF_GPU * (free_on(device) - still_to_come - GPU_RESERVE)))
    else:
        memory = runtime.memory // compute.shares
    return Limits(
        Circumstances(
            Precision(DTYPES[compute.precision], PRODUCTS.get(compute.precision)),
            on_gpu=on_gpu,
            train_curve_points=TRAIN_CURVE_POINTS,
            is_saved=True,
            is_captured=on_gpu,
            is_streamed=is_streamed,
        ),
        memory=memory,
        cache=(compute.cache << 20) * compute.threads,
        threads=compute.threads,
        pack_size=pack_size,
    )


def matrix_bytes(design: Design, folds: Sequence[int], precision: str) -> int:
    """What the rows of these folds take as batches are made of them, shared by all packs."""
    blocks = len({(id(design.states[fold]), design.target_states[fold]) for fold in folds})
    rows = PRODUCTS.get(precision, DTYPES[precision])
    return blocks * len(design.rows.numeric) * len(design.columns) * rows.itemsize
