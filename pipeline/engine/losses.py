"""Losses row by row: outputs and targets [M, B] -> [M, B]. Who averages, and over which rows, is fit.py's matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda outputs, targets: (outputs - targets).square(),
    "mae": lambda outputs, targets: (outputs - targets).abs(),
    "huber": lambda outputs, targets: functional.huber_loss(outputs, targets, reduction="none"),
}
