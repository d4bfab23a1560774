"""Shapes of networks, and what they compute. Every tensor carries the model axis first: [M, B, D]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from pipeline.tables import Network

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
ROWS_AT_A_TIME = 1024  # prediction works in fixed chunks, so that its bits do not depend on how it was called


Dropout = Callable[[int, Tensor], Tensor]  # (hidden layer, [M, B, W]) -> [M, B, W]


def forward(network: Network, tensors: Sequence[Tensor], rows: Tensor, dropout: Dropout | None = None) -> Tensor:
    """Outputs [M, B] of M networks, each on its own rows [M, B, D]."""
    activation = ACTIVATIONS[network.activation]
    hidden = rows
    last = len(network.layer_sizes) - 1
    for layer in range(last + 1):
        hidden = linear(tensors[2 * layer], tensors[2 * layer + 1], hidden)
        if layer < last:
            hidden = activation(hidden)
            if dropout is not None:
                hidden = dropout(layer, hidden)
    return hidden.squeeze(-1)


def linear(weight: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
    """One layer of M networks: weight [M, in, out], bias [M, 1, out], rows [M, B, in] -> [M, B, out]."""
    if weight.shape[2] == 1:
        # a batched product with one column is slow on a CPU, the same product of transposes is not (docs/LOG.md)
        return torch.bmm(weight.transpose(1, 2), rows.transpose(1, 2)).transpose(1, 2) + bias
    return torch.baddbmm(bias, rows, weight)


@torch.inference_mode()
def predict(network: Network, tensors: Sequence[Tensor], rows: Tensor) -> Tensor:
    """Outputs [R] of one network (tensors without the model axis) on a matrix [R, D]."""
    stacked = [tensor[None] for tensor in tensors]
    chunks = [forward(network, stacked, chunk[None])[0] for chunk in torch.split(rows, ROWS_AT_A_TIME)]
    return torch.cat(chunks) if chunks else rows.new_zeros(0)
