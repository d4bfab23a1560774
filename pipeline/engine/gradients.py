"""What happens to gradients before the optimizer sees them: an L1 penalty, then clipping by value, then by norm.

Each model has its own strengths and its own norm; a model with a NaN spoils only itself. Nothing waits for the device,
and a pack in which nobody asks for anything gets its own gradients back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Integers

ROOM = 1e-6  # added to a norm before dividing by it, as torch.nn.utils.clip_grad_norm_ does


@dataclass(frozen=True, slots=True)
class GradientRule:
    """One model's penalty and bounds. l1: weight of sum |w| in its loss; inf: not clipped."""

    l1: float = 0.0
    clip_value: float = math.inf  # largest magnitude of any entry
    clip_norm: float = math.inf  # largest Euclidean norm over all tensors of the model


class PackedGradients:
    """Penalty and clipping for M models.

    like: a tensor on the device, in the gradients' precision. l1_factors: one per tensor, 0 exempts it; empty: all 1.
    """

    def __init__(self, rules: Sequence[GradientRule], like: Tensor, l1_factors: Sequence[float] = ()) -> None:
        self._factors = tuple(l1_factors)
        self._bounds = like.new_zeros(3, len(rules))
        self._rules = list(rules)
        self._refresh()

    @property
    def graph(self) -> tuple[object, ...]:
        """What a captured `apply` depends on beyond its arguments' places, as in `PackedOptimizer`."""
        return self._any_l1, self._any_value, self._any_norm, self._bounds.data_ptr(), self._bounds.shape

    def apply(self, gradients: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        """Gradients [M, …] as the optimizer should see them; those handed in are left as they are.

        They are never changed in place: autograd may hand out one tensor as the gradient of two.
        """
        l1, value, norm = self._bounds.unbind()
        found = list(gradients)
        if self._any_l1:
            factors = self._factors or [1.0] * len(found)
            found = [
                torch.addcmul(g, t.detach().sign(), _beside(l1, g), value=factor) if factor else g
                for g, t, factor in zip(found, tensors, factors, strict=True)
            ]
        if self._any_value:
            found = [g.clamp(min=-_beside(value, g), max=_beside(value, g)) for g in found]
        if self._any_norm:
            share = torch.where(norm.isinf(), 1.0, (norm / (norms(found) + ROOM)).clamp(max=1.0))
            found = [g * _beside(share, g) for g in found]
        return found

    def keep(self, index: Integers) -> None:
        """Go on with the models at these positions."""
        self._rules = [self._rules[i] for i in index]
        self._resize()

    def add(self, rules: Sequence[GradientRule]) -> None:
        """Take in further models, behind the others."""
        self._rules += rules
        self._resize()

    def _resize(self) -> None:
        self._bounds = self._bounds.new_zeros(3, len(self._rules))
        self._refresh()

    def _refresh(self) -> None:
        values = [(rule.l1, rule.clip_value, rule.clip_norm) for rule in self._rules]
        self._bounds.copy_(torch.tensor(values, dtype=torch.float64).T)
        self._any_l1 = any(rule.l1 for rule in self._rules)
        self._any_value = any(rule.clip_value < math.inf for rule in self._rules)
        self._any_norm = any(rule.clip_norm < math.inf for rule in self._rules)


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm [M] of each model's gradient, over all its tensors."""
    of_tensors = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    together: Tensor = torch.linalg.vector_norm(torch.stack(of_tensors), dim=0)
    return together


def _beside(values: Tensor, gradient: Tensor) -> Tensor:
    """Numbers of models [M] in the shape in which they meet a gradient [M, …]."""
    return values.view(-1, *[1] * (gradient.ndim - 1))
