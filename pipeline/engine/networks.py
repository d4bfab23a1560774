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
# f(0) = 0: a padded unit says nothing, so no gradient reaches its weights, and they stay exactly 0
KEEPS_ZERO = frozenset({"relu", "leaky_relu", "elu", "gelu", "silu", "mish", "tanh"})
ROWS_AT_A_TIME = 1024  # prediction works in fixed chunks, so that its bits do not depend on how it was called


Dropout = Callable[[int, Tensor], Tensor]  # (hidden layer, [M, B, W]) -> [M, B, W]


def forward(
    network: Network,
    tensors: Sequence[Tensor],
    rows: Tensor,
    dropout: Dropout | None = None,
    *,
    product: torch.dtype | None = None,
) -> Tensor:
    """Outputs [M, B] of M networks, each on its own rows [M, B, D].

    product: the precision of hidden layers, whose weights are rounded to it; the last layer keeps the weights' own.
    """
    activation = ACTIVATIONS[network.activation]
    hidden = rows
    last = len(network.layer_sizes) - 1
    for layer in range(last):
        weight, bias = tensors[2 * layer : 2 * layer + 2]
        if product is not None:
            hidden, weight, bias = hidden.to(product), weight.to(product), bias.to(product)
        hidden = activation(linear(weight, bias, hidden))
        if dropout is not None:
            hidden = dropout(layer, hidden)
    return linear(tensors[2 * last], tensors[2 * last + 1], hidden.to(tensors[-1].dtype)).squeeze(-1)


def layer_shapes(network: Network) -> list[tuple[int, int]]:
    """Shape of each tensor without the model axis, in the order of `network.tensor_names`."""
    return [shape for n_in, n_out in network.layer_sizes for shape in ((n_in, n_out), (1, n_out))]


def padded(tensors: Sequence[Tensor], network: Network) -> list[Tensor]:
    """The same networks in wider tensors: what is added is 0, and training leaves it so (see KEEPS_ZERO)."""
    return [
        functional.pad(tensor, (0, n_out - tensor.shape[2], 0, n_in - tensor.shape[1]))
        for tensor, (n_in, n_out) in zip(tensors, layer_shapes(network), strict=True)
    ]


def true_tensors(tensors: Sequence[Tensor], network: Network) -> list[Tensor]:
    """What is left of one network's padded tensors without the padding."""
    return [tensor[:n_in, :n_out] for tensor, (n_in, n_out) in zip(tensors, layer_shapes(network), strict=True)]


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
    return answers(network, torch.cat(chunks) if chunks else rows.new_zeros(0))


def answers(network: Network, outputs: Tensor) -> Tensor:
    """What outputs say of the target: themselves, or their exponential under a log link."""
    return torch.exp(outputs) if network.link == "log" else outputs
