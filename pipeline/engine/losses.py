"""Losses row by row: outputs and targets [M, B] -> [M, B]. Who averages, and over which rows, is fit.py's matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda outputs, targets: (outputs - targets).square(),
    "mae": lambda outputs, targets: (outputs - targets).abs(),
    "huber": lambda outputs, targets: functional.huber_loss(outputs, targets, reduction="none"),
}
