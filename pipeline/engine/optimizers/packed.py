"""The optimizer of a pack: who is in it, what it remembers of each model, and which path computes the step.

Three paths compute the same step. On a CPU, neighbours with equal hyperparameters and equal counts of steps are one
call of PyTorch's fused kernel (`fused`). On a CUDA device it is a kernel of our own, if Triton is there (`kernel`).
Elsewhere, and for kinds without a fused kernel, it is written out (`written`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.engine.optimizers.fused import KERNELS, FusedPath
from pipeline.engine.optimizers.kernel import KernelPath, missing
from pipeline.engine.optimizers.rules import Rates, Rule, State
from pipeline.engine.optimizers.written import WrittenPath
from pipeline.engine.room import chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Floats, Integers


class PackedOptimizer:
    """Moments and steps of M models.

    tensors: each [M, ...], updated in place. rates: lr of each model at each of its own steps, float64 [M, steps].
    lr_factors, decay_factors: one per tensor, on every model's learning rate and weight decay; 0 exempts a tensor.
    fused: use PyTorch's kernels, which are a CPU's here. kernel: else our own; None: where they can be used.
    """

    def __init__(  # noqa: PLR0913 - one of them is for tests and benchmarks alone
        self,
        tensors: Sequence[Tensor],
        rules: Sequence[Rule],
        rates: Rates | Floats,
        *,
        fused: bool,
        kernel: bool | None = None,
        lr_factors: Sequence[float] = (),
        decay_factors: Sequence[float] = (),
    ) -> None:
        device = tensors[0].device
        lr, decay = _tables(rates, device)
        ones = [1.0] * len(tensors)
        self._state = State(
            rules=list(rules),
            tensors=_detached(tensors),
            first=[],
            second=[],
            taken=torch.zeros(len(rules), dtype=torch.int64, device=device),
            lr=lr,
            decay=decay,
            factors=tuple(zip(lr_factors or ones, decay_factors or ones, strict=True)),
        )
        assert len(self._state.factors) == len(tensors), "one factor per tensor"
        self._remember_more()
        if fused and rules[0].kind in KERNELS:
            self._way: type[FusedPath | KernelPath | WrittenPath] = FusedPath
        else:
            self._way = KernelPath if kernel or (kernel is None and not missing(device)) else WrittenPath
        self._path = self._new_path()

    @property
    def path(self) -> str:
        """Which path computes the step: "fused", "kernel" or "written"."""
        return self._way.name

    @property
    def graph(self) -> tuple[object, ...]:
        """What a captured `step` depends on beyond the gradients' places: while it is equal, the capture stays good."""
        return self._path.graph

    def step(self, gradients: Sequence[Tensor], frozen: Tensor | None = None) -> None:
        """One update of every model; gradients in the order of the tensors.

        frozen: bool [M] on the device. Where it is true, weights, moments and count stay, whatever the gradient is.
        """
        self._path.step(gradients, frozen)

    def keep(self, index: Integers, tensors: Sequence[Tensor]) -> None:
        """Go on with the models at these positions, which ascend; `tensors` are their weights.

        Also after an `add` that failed half-way.
        """
        state = self._state
        places = torch.as_tensor(index, device=state.taken.device)
        state.tensors = _detached(tensors)
        for moments in (state.first, state.second):
            for place, moment in enumerate(moments):
                moments[place] = chosen(moment, places)  # one by one: each makes room for the next
        for name in ("taken", "lr", "decay"):
            setattr(state, name, chosen(getattr(state, name), places))
        state.rules = [state.rules[i] for i in index]
        self._path = self._new_path()

    def add(self, tensors: Sequence[Tensor], rules: Sequence[Rule], rates: Rates | Floats) -> None:
        """Take in fresh models; `tensors` are the weights of all, theirs last, `rules` and `rates` theirs alone."""
        state = self._state
        state.tensors = _detached(tensors)
        state.rules += rules
        state.first = [_longer(moment, len(rules)) for moment in state.first]
        state.second = [_longer(moment, len(rules)) for moment in state.second]
        state.taken = _longer(state.taken, len(rules))
        lr, decay = _tables(rates, state.taken.device)
        self._widen(lr.shape[1])
        state.lr = torch.cat([state.lr, _wider(lr, state.lr.shape[1])])
        state.decay = torch.cat([state.decay, _wider(decay, state.lr.shape[1])])
        self._remember_more()
        self._path = self._new_path()

    def set_rates(self, positions: Integers, rates: Rates | Floats) -> None:
        """Other rates for the models at these positions, from their first step on; in place."""
        lr, decay = _tables(rates, self._state.taken.device)
        chosen = torch.as_tensor(positions, device=lr.device)
        self._state.lr.index_copy_(0, chosen, _wider(lr, self._state.lr.shape[1]))
        self._state.decay.index_copy_(0, chosen, _wider(decay, self._state.lr.shape[1]))
        self._path.refresh()

    def state(self) -> dict[str, Tensor]:
        """Copies of all that a resumed training needs beside weights, rules and rates."""
        return {name: tensor.clone() for name, tensor in self.named().items()}

    def load(self, state: Mapping[str, Tensor], place: int = 0) -> None:
        """The models from `place` on go on from a `state()` of the same models; every path reads what any wrote.

        A moment that is not in the state is of no use to its models, nor is one that none of these here needs.
        """
        for name, tensor in self.named().items():
            if name in state:
                assert tensor.shape[1:] == state[name].shape[1:], "a state goes on in a pack of the same models"
                tensor[place : place + len(state[name])].copy_(state[name])
        self._path.refresh()

    def named(self) -> dict[str, Tensor]:
        """What `state` copies, where it is."""
        state = self._state
        moments = {"first": state.first, "second": state.second}
        named = {f"{name}.{place}": m for name, found in moments.items() for place, m in enumerate(found)}
        return {"taken": state.taken, **named}

    def _new_path(self) -> FusedPath | KernelPath | WrittenPath:
        assert len({rule.kind for rule in self._state.rules}) <= 1, "models of a pack share their optimizer's kind"
        return self._way(self._state)

    def _remember_more(self) -> None:
        """Make the moments that some model needs and none had until now."""
        state = self._state
        if not state.first and any(rule.has_first for rule in state.rules):
            state.first = [torch.zeros_like(t, memory_format=torch.contiguous_format) for t in state.tensors]
        if not state.second and any(rule.has_second for rule in state.rules):
            state.second = [torch.zeros_like(t, memory_format=torch.contiguous_format) for t in state.tensors]

    def _widen(self, width: int) -> None:
        if width > self._state.lr.shape[1]:
            self._state.lr, self._state.decay = _wider(self._state.lr, width), _wider(self._state.decay, width)


def _tables(rates: Rates | Floats, device: torch.device) -> tuple[Tensor, Tensor]:
    known = rates if isinstance(rates, Rates) else Rates(rates)
    decay = np.ones_like(known.lr) if known.decay is None else known.decay
    lr, shares = (torch.as_tensor(table, dtype=torch.float64, device=device) for table in (known.lr, decay))
    return _wider(lr, lr.shape[1] + 1), _wider(shares, lr.shape[1] + 1)


def _wider(table: Tensor, width: int) -> Tensor:
    return functional.pad(table, (0, width - table.shape[1]))


def _longer(values: Tensor, models: int) -> Tensor:
    return torch.cat([values, values.new_zeros(models, *values.shape[1:])])


def _detached(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach() for tensor in tensors]
