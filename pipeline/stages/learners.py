"""From a design to the device and back: the matrix that each fold sees, and what a network says of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.networks import predict
from pipeline.engine.pack import Data
from pipeline.tabular.features import matrix_for
from pipeline.tabular.targets import to_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runtime import Runtime
    from pipeline.tables import Design, Floats, Network, Singles, TargetState

DTYPES = {"fp32": torch.float32, "fp64": torch.float64, "bf16": torch.float32}  # of weights, targets, predictions
PRODUCTS = {"bf16": torch.bfloat16}  # of products with hidden weights, where that is another


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


def data_of(blocks: Blocks, precision: str) -> Data:
    """The stacked blocks as the engine wants them: under bf16 a copy of the rows in the precision of the products."""
    product = PRODUCTS.get(precision)
    return Data(blocks.matrix if product is None else blocks.matrix.to(product), blocks.target, product)


def outputs_of(network: Network, tensors: Sequence[Singles], rows: torch.Tensor) -> Floats:
    """Raw outputs [R] of one network on a matrix [R, D], float64."""
    stacked = [torch.from_numpy(tensor).to(rows.device, rows.dtype) for tensor in tensors]
    return predict(network, stacked, rows).cpu().numpy().astype(np.float64)
