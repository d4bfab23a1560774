"""Why a network's loss became not finite, in one sentence: who, when, where, what it looks like, and what mends it.

`CAUSES` is the table: rules are asked in order and the first that recognises the case is told. A rule sees sizes, not
reasons, so it says what a case looks like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engine.losses import loss_of
from pipeline.stages.assignments import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.engine.diagnosis import Diagnosis, Failure, LargeInput
    from pipeline.settings import Train
    from pipeline.stages.assignments import Candidate
    from pipeline.tables import Design, Job

# learning rates at which these optimizers train most networks on a standardised target
USUAL_LR: Mapping[str, float] = {
    "sgd": 0.05, "adagrad": 0.05, "rmsprop": 4e-3, "adam": 4e-3, "adamw": 4e-3, "adam_then_sgd": 4e-3
}  # fmt: skip
FOLLOWS_GRADIENT = frozenset({"sgd", "adam_then_sgd"})  # their steps grow with the gradient, and so with the target
FAR_OUT = 1e3  # an input beyond this is no scaled one: a z-score needs a million rows to get there
DIVIDED_BY_NOTHING = 1e6  # an input beyond this came from a spread of rounding
LARGE_TARGET = 1e3  # as the network sees it
HUGE = 1e15  # its square, summed, is beyond float32
MODERATE = 1e6  # outputs below this do not make a loss overflow
WEIGHTS_GREW = 10.0  # times
EXPLODES = 2.0  # times from one hidden layer to the next
DEEP = 3  # hidden layers from which growth counts
FAR_TOO_HIGH = 10.0  # learning rate in multiples of the usual one
LARGEST_FP16 = 65504.0


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
    def lr_to_try(self) -> float:
        """A tenth of its learning rate, or the optimizer's usual one where that is less."""
        usual = usual_lr(self.train, self.diagnosis.target_rms)
        return min(self.train.lr / 10, usual)


@dataclass(frozen=True, slots=True)
class Cause:
    """What a case looks like in a few words, by which numbers, and the line of the config that mends it."""

    name: str
    evidence: str
    remedy: str


def usual_lr(train: Train, target_rms: float = 1.0) -> float:
    """The learning rate to begin with; in proportion to a target that is not standardised, where steps are not."""
    for_batch = train.batch_size / train.lr_for_batch if train.lr_for_batch else 1.0
    scale = target_rms if target_rms > 1 and train.optimizer not in FOLLOWS_GRADIENT else 1.0
    return USUAL_LR[train.optimizer] * scale / for_batch


# --- the rules


def _inputs_not_finite(case: Case) -> Cause | None:
    if case.diagnosis.fault.first != "inputs":
        return None
    worst = case.diagnosis.inputs[0]
    name = column_name(case.design, worst)
    return Cause(
        "an input that is not finite", f"column {name!r} holds {worst.value:g}", _dropped(source_of(case.design, name))
    )


def _target_not_finite(case: Case) -> Cause | None:
    if case.diagnosis.fault.first != "target":
        return None
    transform = case.design.target_states[case.job.fold].transform
    return Cause(
        "a target that its transform does not allow",
        f'under target.transform = "{transform}" it is not finite, as the logarithm of a negative number is not',
        '[target] transform = "yeojohnson"',
    )


def _inputs_far_out(case: Case) -> Cause | None:
    """Unscaled columns, a spread of next to nothing, an outlier."""
    worst = case.diagnosis.inputs[0] if case.diagnosis.inputs else None
    if worst is None or not abs(worst.value) >= FAR_OUT:
        return None
    name = column_name(case.design, worst)
    if not _is_scaled(case, name):
        return Cause(
            "inputs that are not scaled", f"column {name!r} is {worst.value:.3g}", '[preprocess] scaler = "zscore"'
        )
    if abs(worst.value) >= DIVIDED_BY_NOTHING:
        return Cause(
            "a column divided by a spread of next to nothing",
            f"column {name!r} hardly varies on the training rows and is {worst.value:.3g} after scaling",
            _dropped(source_of(case.design, name)),
        )
    return Cause(
        "a value far out", f"column {name!r} is {worst.value:.3g} after scaling", "[preprocess] smooth_clip = 3"
    )


def _target_far_out(case: Case) -> Cause | None:
    """A large target that nobody standardised: the gradient is as large."""
    diagnosis, state = case.diagnosis, case.design.target_states[case.job.fold]
    follows = case.train.optimizer in FOLLOWS_GRADIENT and diagnosis.target_rms >= LARGE_TARGET
    if loss_of(case.candidate.loss).needs or not (follows or diagnosis.largest_target >= HUGE):
        return None
    is_plain = (state.mean, state.scale) == (0.0, 1.0)
    return Cause(
        "a target that is not scaled" if is_plain else "target values far out",
        f"as the network sees it, it is around {diagnosis.target_rms:.3g} and up to {diagnosis.largest_target:.3g}",
        "[target] standardize = true" if is_plain else '[target] transform = "quantile"',
    )


def _half_precision(case: Case) -> Cause | None:
    largest = _largest_hidden(case)
    if case.train.precision != "fp16" or not LARGEST_FP16 / 10 <= largest < HUGE:
        return None
    evidence = f"units say {largest:.3g} and more, and fp16 ends at 65504"
    return Cause("numbers too large for fp16", evidence, '[train] precision = "fp32"')


def _loss_undefined(case: Case) -> Cause | None:
    """The loss is not finite although nothing that goes into it is large."""
    diagnosis = case.diagnosis
    at_the_end = diagnosis.fault.first == "loss" or (
        diagnosis.fault.first == "gradient" and diagnosis.fault.layer == len(diagnosis.layers) - 1
    )
    if not at_the_end or not _outputs(diagnosis) < MODERATE or diagnosis.largest_target >= MODERATE:
        return None
    own, is_plain = case.train.custom_loss, case.train.loss == "mse"
    setting = f'train.custom_loss = "{own}"' if own else f'train.loss = "{case.train.loss}"'
    return Cause(
        "a loss that does not go with this target",
        f"{setting} is not finite for outputs around {_outputs(diagnosis):.3g} and targets up "
        f"to {diagnosis.largest_target:.3g}",
        '[train] custom_loss = ""' if own else f'[train] loss = "{"huber" if is_plain else "mse"}"',
    )


def _switch(case: Case) -> Cause | None:
    train = case.train
    if train.optimizer != "adam_then_sgd" or case.failure.epoch < math.floor(train.switch_at * train.epochs):
        return None
    evidence = f"it came after the switch to sgd, whose rate is {train.switch_lr:g} times Adam's"
    return Cause(
        "a learning rate that is too high for sgd", evidence, f"[train] switch_lr = {_number(train.switch_lr / 10)}"
    )


def _learning_rate(case: Case) -> Cause | None:
    """Far above the usual one, or above it with weights that ran away."""
    lr, usual = case.train.lr, usual_lr(case.train, case.diagnosis.target_rms)
    ran_away = case.diagnosis.weight_growth >= WEIGHTS_GREW
    if not (lr >= FAR_TOO_HIGH * usual or (ran_away and lr > usual)):
        return None
    evidence = f"train.lr is {lr:g}{_grown(case.diagnosis)}"
    return Cause("a learning rate that is too high", evidence, f"[train] lr = {_number(case.lr_to_try)}")


def _first_weights(case: Case) -> Cause | None:
    """Weights drawn so wide that values grow from layer to layer before anything is learned."""
    model, growth = case.candidate.model, case.diagnosis.growth
    if model.init not in ("normal", "uniform") or _hidden_layers(case) < 2 or growth < EXPLODES:
        return None
    if not case.diagnosis.at_start and case.diagnosis.weight_growth >= EXPLODES:
        return None
    init = "xavier_normal" if model.activation in ("tanh", "sigmoid") else "kaiming_normal"
    evidence = f'model.init = "{model.init}" with init_scale {model.init_scale:g} makes values grow {growth:.3g} times'
    return Cause("an initialisation that is too wide", f"{evidence} a layer", f'[model] init = "{init}"')


def _exploding_depth(case: Case) -> Cause | None:
    growth, layers = case.diagnosis.growth, _hidden_layers(case)
    if layers < DEEP or growth < EXPLODES or case.candidate.model.norm != "none":
        return None
    evidence = f"values grow {growth:.3g} times from each of {layers} hidden layers to the next, without normalisation"
    return Cause("depth that makes values explode", evidence, '[model] norm = "layer"')


def _exploding_gradient(case: Case) -> Cause | None:
    """Gradients that overflow, or a step that threw the weights away at an ordinary learning rate."""
    diagnosis = case.diagnosis
    grew = diagnosis.weight_growth >= WEIGHTS_GREW or (_hidden_layers(case) >= DEEP and diagnosis.growth >= EXPLODES)
    if not (diagnosis.fault.first == "gradient" or grew):
        return None
    evidence = f"at a learning rate of {case.train.lr:g}, not a high one{_grown(diagnosis)}"
    if 0 < case.train.clip_norm <= 1:
        return Cause("gradients that explode", f"{evidence}, and clipped", f"[train] lr = {_number(case.lr_to_try)}")
    return Cause("gradients that explode", evidence, "[train] clip_norm = 1")


def _unknown(case: Case) -> Cause:
    return Cause(
        "none of the causes that Foldpack knows",
        f"sizes are ordinary (learning rate {case.train.lr:g}, outputs around {_outputs(case.diagnosis):.3g})",
        f"[train] lr = {_number(case.lr_to_try)} and clip_norm = 1, and see whether --set model.kind=linear does it too",
    )


CAUSES: tuple[Callable[[Case], Cause | None], ...] = (
    _inputs_not_finite,
    _target_not_finite,
    _inputs_far_out,
    _target_far_out,
    _half_precision,
    _loss_undefined,
    _switch,
    _learning_rate,
    _first_weights,
    _exploding_depth,
    _exploding_gradient,
)


def cause_of(case: Case) -> Cause:
    """The first rule of the table that recognises the case, else that none does."""
    return next((cause for rule in CAUSES if (cause := rule(case)) is not None), _unknown(case))


# --- columns


def column_name(design: Design, large: LargeInput) -> str:
    """The matrix column's name."""
    return design.columns[large.column]


def source_of(design: Design, column: str) -> str:
    """The column of the files that a matrix column was made of: the longest name that it begins with."""
    if column in design.numeric:
        return column
    made = [name for name in (*design.numeric, *design.categorical) if column.startswith(f"{name}_")]
    return max(made, key=len, default=column)


def _is_scaled(case: Case, column: str) -> bool:
    if column not in case.design.numeric:
        return True
    state, position = case.design.states[case.job.fold], case.design.numeric.index(column)
    return bool((state.mean[position], state.scale[position]) != (0.0, 1.0))


def _dropped(column: str) -> str:
    return f'[schema] drop = ["{column}"]'


# --- sizes


def _hidden_layers(case: Case) -> int:
    return len(network_of(case.candidate, case.design).hidden)


def _outputs(diagnosis: Diagnosis) -> float:
    return diagnosis.layers[-1].hidden if diagnosis.layers else math.nan


def _largest_hidden(case: Case) -> float:
    return max((state.hidden for state in case.diagnosis.layers), default=math.nan)


def _grown(diagnosis: Diagnosis) -> str:
    growth = diagnosis.weight_growth
    if growth < 2 or diagnosis.fault.first == "weights":
        return ""
    layer = max(diagnosis.layers, key=lambda s: -math.inf if math.isnan(s.weight_growth) else s.weight_growth).layer
    return f", and the weights of layer {layer + 1} are {growth:.3g} times as large as they began"


def _number(value: float) -> str:
    """One digit: it is a place to begin, not a measurement."""
    return f"{float(f'{value:.1g}'):g}"
