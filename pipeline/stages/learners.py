"""From a design to the device and back: the matrix that each fold sees, and what a network says of its rows."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.data import Data
from pipeline.engine.mapped import empty_rows
from pipeline.engine.networks import predict
from pipeline.engine.sources import choose_source
from pipeline.tabular.bases import network_target
from pipeline.tabular.features import matrix_for, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.engine.sources import Resident, Streamed
    from pipeline.fits import Network
    from pipeline.runtime import Runtime
    from pipeline.tables import Design, Floats, Singles, TargetState

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
    start = block_starts(design, folds)
    device, dtype = torch.device(runtime.compute.device), DTYPES[runtime.compute.precision]
    product = PRODUCTS.get(runtime.compute.precision)
    shape = (len(set(start.values())) * total, len(design.columns))
    matrix = empty_rows(shape, dtype, device, runtime.room, product=product)
    target = torch.full((len(matrix),), torch.nan, dtype=dtype, device=device)
    for first, fold in {first: fold for fold, first in start.items()}.items():
        for low in range(0, total, ROWS_AT_A_TIME):
            part = matrix_for(design, fold, rows_of(design, fold, slice(low, low + ROWS_AT_A_TIME)))
            matrix[first + low : first + low + len(part)] = torch.from_numpy(part)
        own = network_target(design, fold)
        target[first : first + len(own)] = torch.from_numpy(own)
    return Blocks(matrix, target, start, total, choose_source(matrix, device, runtime.room.device, product))


def block_starts(design: Design, folds: Sequence[int]) -> dict[int, int]:
    """The first row of each fold's block; folds with an identical fit share one."""
    total = len(design.rows.numeric)
    begin: dict[tuple[int, TargetState, int], int] = {}  # fit, and what it sees of rows -> first row of its block
    seen = {fold: fold for fold in range(len(design.overlays))}
    return {
        fold: begin.setdefault(
            (id(design.states[fold]), design.target_states[fold], seen.get(fold, -1)), len(begin) * total
        )
        for fold in folds
    }


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """While networks train: whether a GPU may round the operands of fp32 products to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def data_of(blocks: Blocks, precision: str) -> Data:
    """The stacked blocks as the engine wants them."""
    return Data(blocks.source, blocks.target, PRODUCTS.get(precision))


def outputs_of(
    network: Network, tensors: Sequence[Singles], rows: torch.Tensor, device: torch.device | None = None
) -> Floats:
    """Raw outputs [R] of one network on a matrix [R, D], float64. device: where to compute; None: where they lie."""
    device = device or rows.device
    stacked = [torch.from_numpy(tensor).to(device, rows.dtype) for tensor in tensors]
    # a multiple of what `predict` works in at a time: the same bits as of one call
    parts = [predict(network, stacked, part.to(device)).cpu() for part in torch.split(rows, ROWS_AT_A_TIME)]
    return torch.cat(parts).numpy().astype(np.float64)
