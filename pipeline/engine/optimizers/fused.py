"""PyTorch's fused CPU kernels on slices of a pack.

A kernel takes one learning rate and one set of hyperparameters, so the pack is cut into groups: neighbouring models
that agree about all of them and about their count of steps, times the tensors with equal factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.optimizers.rules import Rule, State
    from pipeline.tables import Floats


@dataclass(slots=True)
class Group:
    """Neighbouring models and some of their tensors, for which one call of a kernel will do."""

    rule: Rule
    place: int  # among the slices of models
    frozen: bool
    tensors: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    gradients: list[int]  # positions of the tensors, and so of their gradients
    factors: tuple[float, float]
    lr: Floats  # [steps + 1]
    decay: Floats  # [steps + 1]
    last: int
    taken: int
    counter: Tensor  # `taken` as the kernels want it


class FusedPath:
    """The step as calls of fused kernels, one per group."""

    name = "fused"

    def __init__(self, state: State) -> None:
        self._state = state
        self._frozen: frozenset[int] = frozenset()
        self.refresh()

    @property
    def graph(self) -> tuple[object, ...]:
        """Nothing: a CPU captures no graphs."""
        return ()

    def refresh(self) -> None:
        """Cut the pack into groups anew: rules, rates or counts have changed, or who is frozen."""
        state = self._state
        assert all(t.is_contiguous() for t in state.tensors), "the kernels read memory in order, whatever the strides"
        models = range(len(state.rules))
        starts = [m for m in models if m == 0 or not self._alike(m, m - 1)]
        ends = [*starts[1:], len(models)]
        self._sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        self._groups = [
            _group(state, place, slice(start, end), factors, frozen=start in self._frozen)
            for place, (start, end) in enumerate(zip(starts, ends, strict=True))
            for factors in dict.fromkeys(state.factors)
        ]

    def step(self, gradients: Sequence[Tensor], frozen: Tensor | None = None) -> None:
        """One update of every model; those where `frozen` [M] is true stay as they are."""
        asleep = frozenset() if frozen is None else frozenset(frozen.nonzero().flatten().tolist())
        if asleep != self._frozen:
            self._frozen = asleep
            self.refresh()
        # a kernel takes a gradient with other strides for one in order, and says nothing
        ordered = [gradient.contiguous() for gradient in gradients]
        whole = len(self._sizes) == 1  # views cost more than a small network's update
        split = [] if whole else [gradient.split_with_sizes(self._sizes) for gradient in ordered]
        for group in self._groups:
            if group.frozen:
                continue
            own = [ordered[place] if whole else split[place][group.place] for place in group.gradients]
            at = min(group.taken, group.last)
            lr, decay = group.lr.item(at) * group.factors[0], group.decay.item(at) * group.factors[1]
            KERNELS[group.rule.kind](group, own, lr, decay)
            group.taken += 1
        self._state.taken.add_(1 if frozen is None else ~frozen)

    def _alike(self, a: int, b: int) -> bool:
        state = self._state
        same = state.rules[a] == state.rules[b] and (a in self._frozen) == (b in self._frozen)
        return same and all(torch.equal(values[a], values[b]) for values in (state.taken, state.lr, state.decay))


def _group(state: State, place: int, models: slice, factors: tuple[float, float], *, frozen: bool) -> Group:
    chosen = [position for position, own in enumerate(state.factors) if own == factors]
    return Group(
        rule=state.rules[models.start],
        place=place,
        frozen=frozen,
        tensors=[state.tensors[position][models] for position in chosen],
        first=[state.first[position][models] for position in chosen if state.first],
        second=[state.second[position][models] for position in chosen if state.second],
        gradients=chosen,
        factors=factors,
        lr=state.lr[models.start].numpy(),
        decay=state.decay[models.start].numpy(),
        last=state.lr.shape[1] - 1,
        taken=int(state.taken[models.start]),
        counter=torch.zeros((), dtype=torch.float32),
    )


def _adam(group: Group, gradients: list[Tensor], lr: float, decay: float) -> None:
    rule = group.rule
    kernel = torch._fused_adamw_ if rule.decoupled else torch._fused_adam_
    kernel(
        group.tensors,
        gradients,
        group.first,
        group.second,
        [],
        _counters(group),
        lr=lr,
        beta1=rule.beta1,
        beta2=rule.beta2,
        weight_decay=rule.weight_decay * decay,
        eps=rule.epsilon,
        amsgrad=False,
        maximize=False,
    )


def _sgd(group: Group, gradients: list[Tensor], lr: float, decay: float) -> None:
    rule = group.rule
    torch._fused_sgd_(
        group.tensors,
        gradients,
        group.first if rule.momentum else [],
        weight_decay=_shrink(group, lr, decay),
        momentum=rule.momentum,
        lr=lr,
        dampening=0.0,
        nesterov=rule.nesterov,
        maximize=False,
        is_first_step=False,  # momenta start at 0, which comes to the same
    )


def _adagrad(group: Group, gradients: list[Tensor], lr: float, decay: float) -> None:
    torch._fused_adagrad_(
        group.tensors,
        gradients,
        group.second,
        _counters(group),
        lr=lr,
        lr_decay=0.0,
        weight_decay=_shrink(group, lr, decay),
        eps=group.rule.epsilon,
        maximize=False,
    )


def _adam_then_sgd(group: Group, gradients: list[Tensor], lr: float, decay: float) -> None:
    if group.taken < group.rule.switch_step:
        _adam(group, gradients, lr, decay)
        return
    if group.taken == group.rule.switch_step:
        torch._foreach_zero_(group.first)  # Adam's first moment makes room for a momentum
    _sgd(group, gradients, lr * group.rule.switch_lr, decay)


def _counters(group: Group) -> list[Tensor]:
    group.counter.fill_(group.taken + 1)
    return [group.counter] * len(group.tensors)


def _shrink(group: Group, lr: float, decay: float) -> float:
    """Weight decay that is left to the kernel, which only knows the L2 kind."""
    strength = group.rule.weight_decay * decay
    if not group.rule.decoupled:
        return strength
    if strength:
        torch._foreach_mul_(group.tensors, 1 - lr * strength)
    return 0.0


KERNELS: Mapping[str, Callable[[Group, list[Tensor], float, float], None]] = {
    "sgd": _sgd,
    "adagrad": _adagrad,
    "adam": _adam,
    "adam_then_sgd": _adam_then_sgd,
}
