"""Adam and AdamW over a pack, each model with its own learning rate, decay, betas and epsilon.

Two paths compute the same step. Neighbouring models with equal hyperparameters form a group, and on a CPU each group
is one call of PyTorch's fused kernel. Elsewhere every hyperparameter is a tensor (M, 1, 1) and the step is written
out; that path also is the fused one's oracle. (Kingma and Ba 2015; Loshchilov and Hutter 2019.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Floats, Integers


@dataclass(frozen=True, slots=True)
class AdamRule:
    """One model's optimizer. decoupled: weight decay as in AdamW, else added to the gradient as in Adam."""

    decoupled: bool
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float


class PackedAdam:
    """Moments and steps of M models.

    tensors: each [M, ...], updated in place. rates: lr of each model at each step, float64 [M, steps].
    """

    def __init__(self, tensors: Sequence[Tensor], rules: Sequence[AdamRule], rates: Floats, *, fused: bool) -> None:
        self.tensors = [tensor.detach() for tensor in tensors]
        self.rules = list(rules)
        self.rates = rates
        self.first = [torch.zeros_like(tensor) for tensor in self.tensors]
        self.second = [torch.zeros_like(tensor) for tensor in self.tensors]
        self.taken = 0
        self._fused = fused
        self._group()

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update of every model; gradients in the order of the tensors."""
        rates = self.rates[:, self.taken]
        self.taken += 1
        if self._fused:
            self._step_fused(gradients, rates)
        else:
            self._step_plain(gradients, rates)

    def keep(self, index: Integers, tensors: Sequence[Tensor]) -> None:
        """Go on with the models at these positions; `tensors` are their weights."""
        chosen = torch.as_tensor(index, device=self.tensors[0].device)
        self.tensors = [tensor.detach() for tensor in tensors]
        self.first = [moment.index_select(0, chosen) for moment in self.first]
        self.second = [moment.index_select(0, chosen) for moment in self.second]
        self.rules = [self.rules[i] for i in index]
        self.rates = self.rates[index]
        self._group()

    def _group(self) -> None:
        starts = [
            m
            for m in range(len(self.rules))
            if m == 0 or self.rules[m] != self.rules[m - 1] or not np.array_equal(self.rates[m], self.rates[m - 1])
        ]
        self._groups = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(self.rules)], strict=True)]
        self._views = [
            [[values[group] for values in values_list] for values_list in (self.tensors, self.first, self.second)]
            for group in self._groups
        ]
        # the fused kernel wants a step count per tensor; all tensors have taken the same number
        self._steps = [torch.tensor(float(self.taken), dtype=torch.float32) for _ in self.tensors]

    def _step_fused(self, gradients: Sequence[Tensor], rates: Floats) -> None:
        for steps in self._steps:
            steps.fill_(self.taken)
        for group, (tensors, first, second) in zip(self._groups, self._views, strict=True):
            rule = self.rules[group.start]
            kernel = torch._fused_adamw_ if rule.decoupled else torch._fused_adam_
            own = list(gradients) if len(self._groups) == 1 else [gradient[group] for gradient in gradients]
            kernel(
                tensors,
                own,
                first,
                second,
                [],
                self._steps,
                lr=float(rates[group.start]),
                beta1=rule.beta1,
                beta2=rule.beta2,
                weight_decay=rule.weight_decay,
                eps=rule.epsilon,
                amsgrad=False,
                maximize=False,
            )

    def _step_plain(self, gradients: Sequence[Tensor], rates: Floats) -> None:
        lr = self._per_model(rates)
        beta1 = self._per_model([rule.beta1 for rule in self.rules])
        beta2 = self._per_model([rule.beta2 for rule in self.rules])
        epsilon = self._per_model([rule.epsilon for rule in self.rules])
        shrink = self._per_model([rule.weight_decay * rule.decoupled for rule in self.rules])
        penalty = self._per_model([rule.weight_decay * (not rule.decoupled) for rule in self.rules])
        correction1 = 1 - beta1**self.taken
        correction2 = torch.sqrt(1 - beta2**self.taken)
        for tensor, gradient, first, second in zip(self.tensors, gradients, self.first, self.second, strict=True):
            pull = gradient + penalty.to(tensor.dtype) * tensor
            first.lerp_(pull, (1 - beta1).to(tensor.dtype))
            second.mul_(beta2.to(tensor.dtype)).add_((1 - beta2).to(tensor.dtype) * pull * pull)
            denominator = second.sqrt() / correction2.to(tensor.dtype) + epsilon.to(tensor.dtype)
            tensor.mul_((1 - lr * shrink).to(tensor.dtype))
            tensor.sub_((lr / correction1).to(tensor.dtype) * first / denominator)

    def _per_model(self, values: Floats | Sequence[float]) -> Tensor:
        device = self.tensors[0].device
        return torch.as_tensor(np.asarray(values, dtype=np.float64), device=device)[:, None, None]
