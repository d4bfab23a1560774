"""What goes on inside a trained network on given rows: how far units reach, which are dead, which are saturated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.engine.networks import Pass, forward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.fits import Network

# slopes of these fade on both sides; beyond this pre-activation less than 2 % of the steepest slope is left
SATURATES: Mapping[str, float] = {"tanh": 2.7, "sigmoid": 5.3}
# units of these can be silent on every row: their slope below 0 is exactly 0
DIES = frozenset({"relu"})


@dataclass(frozen=True, slots=True)
class Activity:
    """One hidden layer of one network on some rows, shares between 0 and 1."""

    layer: int
    mean: float  # of what its units reach before the activation
    std: float
    dead: float  # share of units that say 0 on every row; 0 for activations that cannot die
    saturated: float  # share of (row, unit) where the activation's slope has faded; 0 for those that do not saturate


@torch.no_grad()
def activities(network: Network, tensors: Sequence[Tensor], rows: Tensor) -> tuple[Activity, ...]:
    """Each hidden layer of one network (tensors without the model axis) on rows [R, D]."""
    reached: dict[int, Tensor] = {}

    def look(layer: int, what: str, values: Tensor) -> None:
        if what == "reached" and layer < len(network.hidden):
            reached[layer] = values[0].to(torch.float64)

    forward(network, [tensor[None] for tensor in tensors], rows[None], Pass(look=look))
    return tuple(_activity(network.activation, layer, values) for layer, values in reached.items())


def _activity(activation: str, layer: int, reached: Tensor) -> Activity:
    dead = float((reached <= 0).all(0).double().mean()) if activation in DIES else 0.0
    end = SATURATES.get(activation)
    saturated = 0.0 if end is None else float((reached.abs() > end).double().mean())
    return Activity(layer, float(reached.mean()), float(reached.std(correction=0)), dead, saturated)
