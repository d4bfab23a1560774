"""Shapes of networks, and what they compute. Every tensor carries the model axis first: [M, B, D]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

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


@dataclass(frozen=True, slots=True)
class Network:
    """What decides a network's tensors and graph; jobs share a pack only if these are equal."""

    inputs: int
    hidden: tuple[int, ...]
    activation: str
    init: str
    init_scale: float
    outputs: int = 1

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of each linear layer."""
        return tuple(pairwise((self.inputs, *self.hidden, self.outputs)))

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names of the tensors, in the order in which they are kept: a weight [in, out], then a bias [1, out]."""
        return tuple(f"{layer}.{kind}" for layer in range(len(self.layer_sizes)) for kind in ("weight", "bias"))

    @property
    def parameters(self) -> int:
        """Numbers in one network."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layer_sizes)


Dropout = Callable[[int, Tensor], Tensor]  # (hidden layer, [M, B, W]) -> [M, B, W]


def forward(network: Network, tensors: Sequence[Tensor], rows: Tensor, dropout: Dropout | None = None) -> Tensor:
    """Outputs [M, B] of M networks, each on its own rows [M, B, D]."""
    activation = ACTIVATIONS[network.activation]
    hidden = rows
    last = len(network.layer_sizes) - 1
    for layer in range(last + 1):
        hidden = torch.baddbmm(tensors[2 * layer + 1], hidden, tensors[2 * layer])
        if layer < last:
            hidden = activation(hidden)
            if dropout is not None:
                hidden = dropout(layer, hidden)
    return hidden.squeeze(-1)


@torch.inference_mode()
def predict(network: Network, tensors: Sequence[Tensor], rows: Tensor) -> Tensor:
    """Outputs [R] of one network (tensors without the model axis) on a matrix [R, D]."""
    stacked = [tensor[None] for tensor in tensors]
    chunks = [forward(network, stacked, chunk[None])[0] for chunk in rows.split(ROWS_AT_A_TIME)]
    return torch.cat(chunks) if chunks else rows.new_zeros(0)
