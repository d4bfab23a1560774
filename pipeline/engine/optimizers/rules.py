"""What one model's optimizer is told, and what a pack of them remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from pipeline.tables import Floats

Kind = Literal["sgd", "adagrad", "rmsprop", "adam", "adam_then_sgd"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One model's optimizer. Models of a pack share the kind; everything else is their own.

    decoupled: weight decay shrinks the weights (Adam then is AdamW), else it is added to the gradient (L2).
    beta2: decay of the second moment, RMSprop's alpha too. momentum: of SGD and RMSprop.
    switch_step: steps that adam_then_sgd takes as Adam; switch_lr: its learning rate from then on, as a multiple.
    """

    kind: Kind = "adam"
    weight_decay: float = 0.0
    decoupled: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    momentum: float = 0.0
    nesterov: bool = False
    switch_step: int = 0
    switch_lr: float = 1.0

    @property
    def has_first(self) -> bool:
        """Whether it remembers a first moment or a momentum."""
        return self.kind in {"adam", "adam_then_sgd"} or self.momentum != 0

    @property
    def has_second(self) -> bool:
        """Whether it remembers squares of gradients."""
        return self.kind != "sgd"


# what a step on a device needs to know of a rule, as numbers, in the order of `fixed_values`
FIXED: Mapping[str, Callable[[Rule], float]] = {
    "beta1": lambda rule: rule.beta1,
    "beta2": lambda rule: rule.beta2,
    "epsilon": lambda rule: rule.epsilon,
    "momentum": lambda rule: rule.momentum,
    "nesterov": lambda rule: float(rule.nesterov),
    "shrink": lambda rule: rule.weight_decay * rule.decoupled,
    "penalty": lambda rule: rule.weight_decay * (not rule.decoupled),
    "switch_step": lambda rule: float(rule.switch_step),
    "switch_lr": lambda rule: rule.switch_lr,
}


def fixed_values(rules: Sequence[Rule]) -> list[list[float]]:
    """What does not change from step to step: one line for each of FIXED, one column a model."""
    return [[value(rule) for rule in rules] for value in FIXED.values()]


@dataclass(frozen=True, slots=True)
class Rates:
    """What changes from step to step, one line a model: learning rates, and shares of its weight decay."""

    lr: Floats  # [M, steps]
    decay: Floats | None = None  # [M, steps], None for 1 throughout


@dataclass(slots=True)
class State:
    """The pack as an optimizer sees it. Tables end in a column of zeros: a model beyond its last step stands still."""

    rules: list[Rule]
    tensors: list[Tensor]  # each [M, ...]
    first: list[Tensor]  # first moments or momenta; none where no model has one
    second: list[Tensor]
    taken: Tensor  # int64 [M], steps that each model has taken
    lr: Tensor  # float64 [M, steps + 1]
    decay: Tensor  # float64 [M, steps + 1]
    factors: tuple[tuple[float, float], ...]  # of each tensor: on the learning rate, on the weight decay
