"""Losses row by row: outputs and targets [M, B] -> [M, B]. Who averages, and over which rows, is fit.py's matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.errors import ConfigError
from pipeline.usercode import blamed, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Given = Callable[..., object]  # a function of the user's
    Rows = Callable[[Tensor, Tensor, Tensor], Tensor]  # (outputs [M, B], targets [M, B], parameter [M, 1]) -> [M, B]

HIGHEST_LOG = 30.0  # above e^30 the exponential goes on along its tangent, so that no rate overflows


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss with at most one parameter, which each model of a pack may have for itself.

    link: "log" where outputs are logarithms of what is predicted, else "identity". needs: of the target as the network
    sees it; empty: any number will do.
    """

    rows: Rows
    parameter: float = 0.0  # its default
    needs: str = ""
    link: str = "identity"

    def __call__(self, outputs: Tensor, targets: Tensor, parameter: Tensor | None = None) -> Tensor:
        """Loss of each row [M, B]; parameter: [M, 1], by default the same for all models."""
        if parameter is None:
            parameter = outputs.new_full((1, 1), self.parameter)
        return self.rows(outputs, targets, parameter.to(outputs.dtype))


def _mse(outputs: Tensor, targets: Tensor, _parameter: Tensor) -> Tensor:
    return (outputs - targets).square()


def _mae(outputs: Tensor, targets: Tensor, _parameter: Tensor) -> Tensor:
    return (outputs - targets).abs()


def _huber(outputs: Tensor, targets: Tensor, delta: Tensor) -> Tensor:
    """Half the square up to delta, a line of that slope beyond (torch.nn.HuberLoss)."""
    error = (outputs - targets).abs()
    bent = torch.minimum(error, delta)
    return bent * (error - 0.5 * bent)


def _log_cosh(outputs: Tensor, targets: Tensor, _parameter: Tensor) -> Tensor:
    """log(cosh(error)); its gradient is tanh(error)."""
    error = outputs - targets
    # near 0 the form for large errors cancels, far from it this one overflows
    near = torch.log1p(2 * torch.sinh(error.clamp(-1, 1) / 2).square())
    far = error.abs() + torch.log1p(torch.exp(-2 * error.abs())) - math.log(2)
    return torch.where(error.abs() < 1, near, far)


def _quantile(outputs: Tensor, targets: Tensor, q: Tensor) -> Tensor:
    """Pinball: an output below the target costs q times the error, one above it 1 - q times."""
    error = targets - outputs
    return torch.maximum(q * error, (q - 1) * error)


def _relative(outputs: Tensor, targets: Tensor, nearest: Tensor) -> Tensor:
    """Error as a share of the target; a target nearer to 0 than `nearest` counts as that far."""
    return (outputs - targets).abs() / torch.maximum(targets.abs(), nearest)


def _exponential(logs: Tensor) -> Tensor:
    bounded = logs.clamp(max=HIGHEST_LOG)
    return torch.exp(bounded) * (1 + (logs - bounded))


def _poisson(outputs: Tensor, targets: Tensor, _parameter: Tensor) -> Tensor:
    """Outputs are logarithms of rates (torch.nn.PoissonNLLLoss with log_input)."""
    return _exponential(outputs) - targets * outputs


def _tweedie(outputs: Tensor, targets: Tensor, power: Tensor) -> Tensor:
    """Half the deviance at a variance of mean^power, power in (1, 2), less what is constant in the outputs."""
    below, above = power - 1, 2 - power
    return targets * _exponential(-below * outputs) / below + _exponential(above * outputs) / above


LOSSES: Mapping[str, Loss] = {
    "mse": Loss(_mse),
    "mae": Loss(_mae),
    "huber": Loss(_huber, 1.0),
    "log_cosh": Loss(_log_cosh),
    "quantile": Loss(_quantile, 0.5),
    "relative": Loss(_relative, 0.01, needs="values away from 0, in the target's own scale"),
    "poisson": Loss(_poisson, needs="counts or rates of at least 0, in the target's own scale", link="log"),
    "tweedie": Loss(_tweedie, 1.5, needs="values of at least 0, in the target's own scale", link="log"),
}


def loss_of(name: str) -> Loss:
    """The loss of that name, or the function of the user's that a reference with a colon names."""
    return _users(name, load(name)) if ":" in name else LOSSES[name]


def _users(name: str, function: Given) -> Loss:
    """Their function on standardised targets; where it fails, computing it raises ConfigError."""

    def rows(outputs: Tensor, targets: Tensor, _parameter: Tensor) -> Tensor:
        with blamed(f"train.custom_loss = {name!r} failed"):
            losses = function(outputs, targets)
        if not isinstance(losses, torch.Tensor):
            found = type(losses).__name__
            raise ConfigError(f"train.custom_loss = {name!r}: expected a torch tensor [M, B], found {found}")
        return losses

    return Loss(rows)
