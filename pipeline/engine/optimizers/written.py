"""The step written out: every hyperparameter is a tensor (M, 1, 1) on the device, and no step waits for the device.

Rates, counts and bias corrections are computed there too, so that a step can be captured as a CUDA graph.
(Kingma and Ba 2015; Loshchilov and Hutter 2019; Duchi, Hazan and Singer 2011; Sutskever et al. 2013.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engine.optimizers.rules import FIXED, fixed_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.engine.optimizers.rules import State


@dataclass(frozen=True, slots=True)
class Flags:
    """Which parts of the step some model needs; the others are left out."""

    shrink: bool
    penalty: bool
    momentum: bool
    nesterov: bool


@dataclass(frozen=True, slots=True)
class Now:
    """Coefficients of one step for tensors with equal factors, each (M, 1, …)."""

    rate: Tensor  # learning rate, Adam's bias corrections included
    shrink: Tensor  # what decoupled decay multiplies weights by
    penalty: Tensor  # L2
    keep: Tensor  # share of the first moment, or momentum, that stays
    take: Tensor  # share of the gradient that is added to it
    blend: Tensor  # share of the squared gradient in the second moment
    floor: Tensor  # epsilon
    ahead: Tensor  # momentum of Nesterov's look ahead
    after: Tensor  # bool: adam_then_sgd has switched
    nesterov: Tensor  # bool


class WrittenPath:
    """The step as tensor operations over all M models at once."""

    name = "written"

    def __init__(self, state: State) -> None:
        self._state = state
        self._fixed = state.lr.new_zeros(len(FIXED), len(state.rules))
        self.refresh()

    @property
    def graph(self) -> tuple[object, ...]:
        """The parts of the step, and where in memory its operands are."""
        state = self._state
        operands = (*state.tensors, *state.first, *state.second, state.taken, state.lr, state.decay, self._fixed)
        return self._flags, tuple((t.data_ptr(), t.shape) for t in operands)

    def refresh(self) -> None:
        """Read the rules anew, in place."""
        rules = self._state.rules
        self._fixed.copy_(torch.tensor(fixed_values(rules), dtype=torch.float64))
        self._flags = Flags(
            shrink=any(rule.decoupled and rule.weight_decay for rule in rules),
            penalty=any(not rule.decoupled and rule.weight_decay for rule in rules),
            momentum=any(rule.momentum for rule in rules),
            nesterov=any(rule.nesterov for rule in rules),
        )

    def step(self, gradients: Sequence[Tensor], frozen: Tensor | None = None) -> None:
        """One update of every model; those where `frozen` [M] is true stay as they are."""
        state = self._state
        rates = self._rates()
        cache: dict[tuple[tuple[float, float], int], Now] = {}
        for place, (tensor, gradient) in enumerate(zip(state.tensors, gradients, strict=True)):
            kind = state.factors[place], tensor.ndim
            now = cache[kind] if kind in cache else cache.setdefault(kind, self._now(rates, *kind, tensor.dtype))
            if frozen is None:
                self._update(place, gradient, now)
                continue
            moved = [tensor, *(moments[place] for moments in (state.first, state.second) if moments)]
            before = [values.clone() for values in moved]
            self._update(place, gradient, now)
            stays = frozen.view(-1, *[1] * (tensor.ndim - 1))
            for values, old in zip(moved, before, strict=True):
                torch.where(stays, old, values, out=values)  # put back, since NaN times 0 is NaN
        state.taken.add_(1 if frozen is None else ~frozen)

    def _update(self, place: int, gradient: Tensor, now: Now) -> None:
        """One tensor of every model, in place."""
        state = self._state
        tensor = state.tensors[place]
        pull = torch.addcmul(gradient, tensor, now.penalty) if self._flags.penalty else gradient
        if self._flags.shrink:
            tensor.mul_(now.shrink)
        first, second = (moments[place] if moments else tensor for moments in (state.first, state.second))
        update = UPDATES[state.rules[0].kind](pull, first, second, now, self._flags)
        tensor.addcmul_(update, now.rate, value=-1)

    def _rates(self) -> dict[str, Tensor]:
        """Every coefficient of this step [M] in float64, before the factors of a tensor."""
        state = self._state
        fixed = dict(zip(FIXED, self._fixed.unbind(), strict=True))
        at = state.taken.clamp(max=state.lr.shape[1] - 1)[:, None]
        lr, decay = state.lr.gather(1, at)[:, 0], state.decay.gather(1, at)[:, 0]
        kind, one = state.rules[0].kind, torch.ones_like(lr)
        rates = {
            "lr": lr, "correction": one, "keep": fixed["momentum"], "take": one, "blend": 1 - fixed["beta2"],
            "floor": fixed["epsilon"], "ahead": fixed["momentum"], "after": torch.zeros_like(lr),
            "nesterov": fixed["nesterov"], "shrink": fixed["shrink"] * decay, "penalty": fixed["penalty"] * decay,
        }  # fmt: skip
        if kind in {"adam", "adam_then_sgd"}:
            taken = state.taken + 1
            second = torch.sqrt(1 - fixed["beta2"] ** taken)
            rates |= {
                "correction": second / (1 - fixed["beta1"] ** taken), "floor": fixed["epsilon"] * second,
                "keep": fixed["beta1"], "take": 1 - fixed["beta1"],
            }  # fmt: skip
        if kind == "adam_then_sgd":
            after = state.taken >= fixed["switch_step"]
            momentum = fixed["momentum"] * (state.taken > fixed["switch_step"])  # 0 at the switch forgets Adam's moment
            as_sgd = {"lr": lr * fixed["switch_lr"], "correction": one, "keep": momentum, "take": one}
            rates |= {name: torch.where(after, value, rates[name]) for name, value in as_sgd.items()}
            rates |= {"after": after.to(lr.dtype), "nesterov": fixed["nesterov"] * after}
        return rates

    def _now(self, rates: Mapping[str, Tensor], factors: tuple[float, float], ndim: int, dtype: torch.dtype) -> Now:
        lr = rates["lr"] * factors[0]
        values = {name: rates[name] for name in ("keep", "take", "blend", "floor", "ahead", "after", "nesterov")} | {
            "rate": lr * rates["correction"],
            "shrink": 1 - lr * factors[1] * rates["shrink"],
            "penalty": rates["penalty"] * factors[1],
        }
        # one conversion for all of them: on a GPU each is a launch
        stacked = torch.stack(list(values.values())).to(dtype).view(len(values), -1, *[1] * (ndim - 1))
        numbers = dict(zip(values, stacked.unbind(), strict=True))
        masks = {name: numbers.pop(name) != 0 for name in ("after", "nesterov")}
        return Now(**numbers, **masks)


def _sgd(pull: Tensor, first: Tensor, _second: Tensor, now: Now, flags: Flags) -> Tensor:
    if not flags.momentum:
        return pull
    torch.addcmul(pull, first, now.keep, out=first)
    return _ahead(pull, first, now, flags)


def _adagrad(pull: Tensor, _first: Tensor, second: Tensor, now: Now, _flags: Flags) -> Tensor:
    second.addcmul_(pull, pull)
    root = second.sqrt().add_(now.floor)
    return torch.div(pull, root, out=root)


def _rmsprop(pull: Tensor, first: Tensor, second: Tensor, now: Now, flags: Flags) -> Tensor:
    root = _root_of_squares(pull, second, now)
    direction = torch.div(pull, root, out=root)
    return torch.addcmul(direction, first, now.keep, out=first) if flags.momentum else direction


def _adam(pull: Tensor, first: Tensor, second: Tensor, now: Now, _flags: Flags) -> Tensor:
    first.lerp_(pull, now.take)
    root = _root_of_squares(pull, second, now)
    return torch.div(first, root, out=root)


def _adam_then_sgd(pull: Tensor, first: Tensor, second: Tensor, now: Now, flags: Flags) -> Tensor:
    first.mul_(now.keep).addcmul_(pull, now.take)
    root = _root_of_squares(pull, second, now).masked_fill_(now.after, 1.0)
    return torch.div(_ahead(pull, first, now, flags), root, out=root)


def _root_of_squares(pull: Tensor, second: Tensor, now: Now) -> Tensor:
    scratch = pull * pull
    second.lerp_(scratch, now.blend)
    return torch.sqrt(second, out=scratch).add_(now.floor)


def _ahead(pull: Tensor, first: Tensor, now: Now, flags: Flags) -> Tensor:
    """Nesterov's look ahead, for the models that have it."""
    return torch.where(now.nesterov, torch.addcmul(pull, first, now.ahead), first) if flags.nesterov else first


UPDATES: Mapping[str, Callable[[Tensor, Tensor, Tensor, Now, Flags], Tensor]] = {
    "sgd": _sgd,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adam_then_sgd": _adam_then_sgd,
}
