"""What packs have to fit into: memory that is free, caches, and the rows that lie there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.engine.memory import Circumstances, free_on, held_on
from pipeline.engine.packing import Limits
from pipeline.engine.rehearsal import Precision
from pipeline.stages.learners import DTYPES, PRODUCTS, TRAIN_CURVE_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runtime import Runtime
    from pipeline.tables import Design

GPU_RESERVE = 1 << 30  # bytes for what no tensor of ours holds: workspaces of cuBLAS, kernels, capture
CONTEXT = 1 << 29  # bytes of a GPU that each process takes by using it
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
        memory = max(1, int(SHARE_OF_GPU * (_free_for_packs(device, compute.shares, still_to_come) - GPU_RESERVE)))
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


def _free_for_packs(device: torch.device, shares: int, still_to_come: int) -> int:
    """Bytes for packs in each process that trains on this device, which so many share with its neighbours.

    still_to_come: as in `limits_of`.
    """
    if shares == 1:
        return free_on(device) - still_to_come
    devices = 1 if device.index is not None else max(torch.cuda.device_count(), 1)
    processes = -(-shares // devices)
    # not of what is free: of that, what other processes of ours still hold from their last packs would be missing
    whole, rows, cached = held_on(device)
    rows += still_to_come
    beside_us = whole - CONTEXT - rows - cached
    return beside_us // processes - CONTEXT - rows  # each builds rows of its own, at the most as many


def matrix_bytes(design: Design, folds: Sequence[int], precision: str) -> int:
    """What the rows of these folds take as batches are made of them, shared by all packs."""
    blocks = len({(id(design.states[fold]), design.target_states[fold]) for fold in folds})
    rows = PRODUCTS.get(precision, DTYPES[precision])
    return blocks * len(design.rows.numeric) * len(design.columns) * rows.itemsize
