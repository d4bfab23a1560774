"""Shapes of networks, and what they compute. Every tensor carries the model axis first: [M, B, D]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.engine import modules
from pipeline.engine.norms import batch_normalised, layer_normalised, settled

if TYPE_CHECKING:
    from pipeline.fits import Network

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
Look = Callable[[int, str, Tensor], None]  # (layer, "reached" before or "hidden" after the activation, [M, B, W])


@dataclass(slots=True)
class Pass:
    """How one forward pass is made.

    product: the precision of hidden layers, whose weights are rounded to it; the last layer keeps the weights' own.
    widths: [M, hidden layers], the true width of each, where some networks are padded. present: bool [M, B] where some
    rows do not count. batch_statistics: (mean, variance) [M, 1, W] that each batch normalisation saw while training.
    """

    product: torch.dtype | None = None
    widths: Tensor | None = None
    look: Look | None = None
    training: bool = False
    dropout: Dropout | None = None
    present: Tensor | None = None
    batch_statistics: list[tuple[Tensor, Tensor]] = field(default_factory=list)


class Layer(NamedTuple):
    """The tensors of one layer, each [M, …]; None where the network has none."""

    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None
    shift: Tensor | None = None
    skip: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None


def forward(network: Network, tensors: Sequence[Tensor], rows: Tensor, how: Pass | None = None) -> Tensor:
    """Outputs [M, B] of M networks, each on its own rows [M, B, D].

    tensors: in the order of `network.tensor_names`; while training the running ones are not read and may be missing.
    """
    how = how or Pass()
    if network.custom:
        return _custom(network, tensors, rows, how)
    layers = layers_of(network, tensors)
    hidden = block = rows
    for number, layer in enumerate(layers[:-1]):
        hidden, block = hidden_layer(network, number, layer, (hidden, block), how)
    last = layers[-1]
    outputs = linear(last.weight, last.bias, hidden.to(last.weight.dtype))
    if how.look is not None:
        how.look(len(layers) - 1, "reached", outputs)
    return outputs.squeeze(-1)


def _custom(network: Network, tensors: Sequence[Tensor], rows: Tensor, how: Pass) -> Tensor:
    outputs = modules.outputs(network, tensors, rows, product=how.product, training=how.training)
    if how.look is not None:
        how.look(0, "reached", outputs)
    return outputs.squeeze(-1)


def hidden_layer(
    network: Network, number: int, layer: Layer, before: tuple[Tensor, Tensor], how: Pass
) -> tuple[Tensor, Tensor]:
    """What one hidden layer says, and where the next shortcut begins.

    before: what the layer before it said, and where its own shortcut began.
    """
    hidden, block = before
    weight, bias = layer.weight, layer.bias
    if how.product is not None:
        hidden, weight = hidden.to(how.product), weight.to(how.product)
        bias = None if bias is None else bias.to(how.product)
    reached = linear(weight, bias, hidden)
    if layer.scale is not None:
        reached = _normalised(network, number, layer, reached, how)
    if how.look is not None:
        how.look(number, "reached", reached)
    hidden = ACTIVATIONS[network.activation](reached)
    if how.dropout is not None:
        hidden = how.dropout(number, hidden)
    ends_block = number == 0
    if network.skips and network.skips[number]:
        ends_block = True
        if layer.skip is not None:
            block = torch.bmm(block.to(hidden.dtype), layer.skip.to(hidden.dtype))
        hidden = hidden + block
    if how.look is not None:
        how.look(number, "hidden", hidden)
    return hidden, hidden if ends_block else block


def _normalised(network: Network, number: int, layer: Layer, reached: Tensor, how: Pass) -> Tensor:
    """In the weights' own precision: sums over rows or units would lose too much in half of it."""
    assert layer.scale is not None
    assert layer.shift is not None
    reached = reached.to(layer.weight.dtype)
    if network.norm == "layer":
        standard = layer_normalised(reached, None if how.widths is None else how.widths[:, number])
    elif how.training:
        standard, mean, variance = batch_normalised(reached, how.present)
        how.batch_statistics.append((mean, variance))
    else:
        assert layer.mean is not None
        assert layer.variance is not None
        standard = settled(reached, layer.mean, layer.variance)
    return torch.addcmul(layer.shift, standard, layer.scale)


def layers_of(network: Network, tensors: Sequence[Tensor]) -> list[Layer]:
    """The tensors by layer."""
    found: list[dict[str, Tensor]] = [{} for _ in network.layer_sizes]
    for (layer, kind), tensor in zip(_places(network), tensors, strict=False):
        found[layer][kind] = tensor
    return [Layer(**kinds) for kinds in found]


@lru_cache(maxsize=256)
def _places(network: Network) -> tuple[tuple[int, str], ...]:
    """The layer and kind of each tensor; asked at every step."""
    split = (name.partition(".") for name in network.tensor_names)
    return tuple((int(layer), kind) for layer, _, kind in split)


def layer_shapes(network: Network) -> list[tuple[int, ...]]:
    """Shape of each tensor without the model axis, in the order of `network.tensor_names`."""
    return [*network.trained.values(), *network.running.values()]


def padded(tensors: Sequence[Tensor], network: Network) -> list[Tensor]:
    """The same networks [M, …] in wider tensors: what is added is 0, and training leaves it so (see KEEPS_ZERO)."""
    return [_padded(tensor, shape) for tensor, shape in zip(tensors, layer_shapes(network), strict=True)]


def _padded(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    missing = [wide - own for wide, own in zip(shape, tensor.shape[1:], strict=True)]
    return functional.pad(tensor, [end for more in reversed(missing) for end in (0, more)]) if any(missing) else tensor


def true_tensors(tensors: Sequence[Tensor], network: Network) -> list[Tensor]:
    """What is left of one network's padded tensors without the padding."""
    shapes = layer_shapes(network)
    return [tensor[tuple(map(slice, shape))] for tensor, shape in zip(tensors, shapes, strict=True)]


def decay_factors(network: Network) -> list[float]:
    """1 for each trained tensor of weights, 0 for biases and norms, which weight decay may leave alone."""
    if network.custom:
        return [float(len(shape) > 1) for shape in network.trained.values()]
    return [float(name.endswith((".weight", ".skip"))) for name in network.trained]


def linear(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """One layer of M networks: weight [M, in, out], bias [M, 1, out], rows [M, B, in] -> [M, B, out]."""
    if bias is None:
        return torch.bmm(rows, weight)
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
