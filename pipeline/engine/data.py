"""What all jobs of a training share: rows and targets, on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Data:
    """Rows for every job. product: the precision of matrix products, or None for that of the weights."""

    matrix: Tensor  # [R, D] on the device
    target: Tensor  # [R] as the network should see it
    product: torch.dtype | None = None


def gather(matrix: Tensor, index: Tensor) -> Tensor:
    """Rows of a matrix [R, D] by number [M, B] -> [M, B, D]."""
    return matrix.index_select(0, index.reshape(-1)).view(*index.shape, -1)
