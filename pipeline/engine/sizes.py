"""How large things are in each layer of one network on a batch, forward and back. Measured in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.engine.init import expected_std
from pipeline.engine.networks import Pass, forward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.engine.losses import Loss
    from pipeline.fits import Network

NO_LAYER = -1


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows [B, D], their target [B] as the network sees it, and the loss that joins the two."""

    rows: Tensor
    target: Tensor
    loss: Loss
    parameter: float

    def mean_loss(self, outputs: Tensor) -> Tensor:
        """Of outputs [1, B], in their precision."""
        parameter = torch.full((1, 1), self.parameter, dtype=outputs.dtype, device=outputs.device)
        return self.loss(outputs, self.target[None].to(outputs.dtype), parameter).mean()


@dataclass(frozen=True, slots=True)
class LayerState:
    """One layer on a batch. Sizes are roots of mean squares; not finite where the values are not."""

    layer: int  # from 0; the last one gives the outputs
    hidden: float  # of what its units say
    gradient: float  # of the loss's gradient with respect to its weights
    largest_weight: float  # magnitude
    weight_growth: float  # size of its weights in multiples of that at which they started


@torch.enable_grad()
def measure(
    network: Network, tensors: Sequence[Tensor], batch: Batch, start: Sequence[Tensor] | None = None
) -> tuple[LayerState, ...]:
    """How large things are in each layer, forward and back, in float64.

    start: the initial tensors, from which weights have grown; without them, what the initialisation draws on average.
    """
    trained = {
        name: tensor[None].detach().to(torch.float64).requires_grad_()
        for name, tensor in zip(network.trained, tensors, strict=False)
    }
    hidden = [math.nan] * (len(network.hidden) + 1)

    def look(layer: int, what: str, values: Tensor) -> None:
        if what == "hidden" or layer == len(network.hidden):
            hidden[layer] = rms(values)

    outputs = forward(
        network, list(trained.values()), batch.rows[None].to(torch.float64), Pass(look=look, training=True)
    )
    total = batch.mean_loss(outputs)
    gradients = dict(zip(trained, torch.autograd.grad(total, list(trained.values()), allow_unused=True), strict=True))
    drawn = _drawn(network, start)
    return tuple(
        LayerState(
            layer=layer,
            hidden=size,
            gradient=rms(gradients.get(f"{layer}.weight")),
            largest_weight=max(
                (largest(t) for name, t in trained.items() if layer_of(name) == layer), default=math.nan
            ),
            weight_growth=rms(trained.get(f"{layer}.weight")) / drawn.get(f"{layer}.weight", math.nan),
        )
        for layer, size in enumerate(hidden)
    )


def _drawn(network: Network, start: Sequence[Tensor] | None) -> dict[str, float]:
    """At which size each layer's weights began; only where that is known and not 0."""
    if start is not None:
        sizes = {name: rms(tensor) for name, tensor in zip(network.trained, start, strict=False)}
    else:
        sizes = {f"{layer}.weight": std for layer, std in enumerate(expected_std(network))}
    return {name: size for name, size in sizes.items() if size > 0}


def layer_of(name: str) -> int:
    """The layer of a tensor's name, from 0; -1 where it names none."""
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else NO_LAYER


def largest(values: Tensor) -> float:
    """Magnitude of the largest entry; 0 of nothing."""
    return float(values.detach().abs().max()) if values.numel() else 0.0


def rms(values: Tensor | None) -> float:
    """The root of the mean square, NaN of nothing; squares of huge values do not overflow."""
    if values is None or not values.numel():
        return math.nan
    own = values.detach().to(torch.float64)
    size = float(own.abs().max())
    if size == 0 or not math.isfinite(size):
        return size
    return size * float((own / size).square().mean().sqrt())
