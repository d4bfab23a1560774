"""One network that failed, and what can be read off its settings, its columns and its failing batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.stages.assignments import network_of
from pipeline.tabular.features import sources_of
from pipeline.tabular.values import drop_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.engine.diagnosis import Diagnosis, Failure, LargeInput
    from pipeline.fits import Job
    from pipeline.stages.assignments import Candidate
    from pipeline.tables import Design
    from pipeline.training_settings import Train

# learning rates at which these optimizers train most networks on a standardised target
USUAL_LR: Mapping[str, float] = {
    "sgd": 0.05, "adagrad": 0.05, "rmsprop": 4e-3, "adam": 4e-3, "adamw": 4e-3, "adam_then_sgd": 4e-3
}  # fmt: skip
COMMON = 4.0  # rates up to this multiple of the usual one are common too: one cycle bears them
FOLLOWS_GRADIENT = frozenset({"sgd", "adam_then_sgd"})  # their steps grow with the gradient, and so with the target
UNSCALED_TARGET = 10.0  # root mean square as the network sees it; a standardised one has 1


@dataclass(frozen=True, slots=True)
class Case:
    """One network that failed, with its settings and the design whose columns it saw."""

    job: Job
    failure: Failure
    candidate: Candidate
    design: Design

    @property
    def diagnosis(self) -> Diagnosis:
        """What its failing batch showed."""
        return self.failure.diagnosis

    @property
    def train(self) -> Train:
        """Its settings of [train]."""
        return self.candidate.train

    @property
    def lr_to_try(self) -> str:
        """A tenth of its learning rate, or the optimizer's usual one where that is less."""
        return one_digit(min(self.train.lr / 10, usual_lr(self.train, self.diagnosis.target_rms)))

    @property
    def begins_broken(self) -> bool:
        """Whether the weights that it began with already fail on this batch."""
        return self.diagnosis.start is not None and bool(self.diagnosis.start.first)

    @property
    def hidden_layers(self) -> int:
        """How many its network has."""
        return len(network_of(self.candidate, self.design).hidden)

    @property
    def outputs(self) -> float:
        """How large its outputs were: the root of their mean square."""
        return self.diagnosis.layers[-1].hidden if self.diagnosis.layers else math.nan

    @property
    def grown_weights(self) -> str:
        """The end of a sentence: which weights grew, and how much; empty where none did, or they are not finite."""
        growth = self.diagnosis.weight_growth
        if growth < 2 or self.diagnosis.fault.first == "weights":
            return ""
        known = [state for state in self.diagnosis.layers if not math.isnan(state.weight_growth)]
        layer = max(known, key=lambda state: state.weight_growth).layer
        return f", and the weights of layer {layer + 1} are {growth:.3g} times as large as they began"

    def name_of(self, large: LargeInput) -> str:
        """A column of the matrix in quotes; a component with the column that weighs most in it."""
        return column_name(self.design, self.job.fold, large)


def column_name(design: Design, fold: int, large: LargeInput) -> str:
    """A column of the matrix in quotes; a component with the column that weighs most in it."""
    name, source = design.columns[large.column], _weightiest(design, fold, large)
    return repr(name) if name == source else f"{name!r} (mostly {source!r})"


def drop_column(design: Design, fold: int, large: LargeInput) -> str:
    """The line that leaves out the file's column of which a matrix column was made."""
    return drop_line(_made_of(design, _weightiest(design, fold, large)))


def is_scaled(design: Design, fold: int, large: LargeInput) -> bool:
    """Whether anything was taken off the column's numbers, or they were divided by something."""
    name = design.columns[large.column]
    if name not in design.numeric:
        return True
    state, position = design.states[fold], design.numeric.index(name)
    return bool((state.mean[position], state.scale[position]) != (0.0, 1.0))


def _weightiest(design: Design, fold: int, large: LargeInput) -> str:
    sources = sources_of(design, fold, large.column, 1)
    return sources[0][0] if sources else design.columns[large.column]


def usual_lr(train: Train, target_rms: float = 1.0) -> float:
    """The learning rate to begin with; in proportion to a target that is not standardised, where steps are not."""
    for_batch = train.batch_size / train.lr_for_batch if train.lr_for_batch else 1.0
    scale = target_rms if target_rms > UNSCALED_TARGET and train.optimizer not in FOLLOWS_GRADIENT else 1.0
    return USUAL_LR[train.optimizer] * scale / for_batch


def usual_init(activation: str) -> str:
    """The initialisation that keeps values as large from layer to layer under this activation."""
    return "xavier_normal" if activation in ("tanh", "sigmoid") else "kaiming_normal"


def one_digit(value: float) -> str:
    """A place to begin, not a measurement."""
    return f"{float(f'{value:.1g}'):g}"


def _made_of(design: Design, column: str) -> str:
    """A level's or an indicator's column of the files: the longest name that it begins with."""
    if column in design.numeric:
        return column
    made = [name for name in (*design.numeric, *design.categorical) if column.startswith(f"{name}_")]
    return max(made, key=len, default=column)
