"""What a loss that is not finite looks like, and the line of the config that mends it.

`CAUSES` is the table: rules are asked in order and the first that recognises the case is told. A rule sees sizes, not
reasons, so it says what a case looks like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engine.losses import loss_of
from pipeline.stages.cases import (
    COMMON,
    FOLLOWS_GRADIENT,
    UNSCALED_TARGET,
    column_name,
    drop_column,
    is_scaled,
    one_digit,
    usual_init,
    usual_lr,
)
from pipeline.tabular.extremes import FAR_OUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.engine.diagnosis import LargeInput
    from pipeline.stages.cases import Case
    from pipeline.tables import Design

DIVIDED_BY_NOTHING = 1e6  # an input beyond this came from a spread of rounding
FAR_TARGET = 1e3  # root mean square of a batch of a standardised target with values far out
HUGE = 1e15  # its square, summed, is beyond float32
MODERATE = 1e6  # outputs below this do not make a loss overflow
WEIGHTS_GREW = 10.0  # times
EXPLODES = 2.0  # times from one hidden layer to the next
BEGINS_HUGE = 1e3  # times over all hidden layers, before anything is learned
DEEP = 3  # hidden layers from which growth counts
FAR_TOO_HIGH = 10.0  # learning rate in multiples of the usual one
LARGEST_FP16 = 65504.0


@dataclass(frozen=True, slots=True)
class Cause:
    """What a case looks like in a few words, by which numbers, and the line of the config that mends it."""

    name: str
    evidence: str
    remedy: str


# --- the rules


def _inputs_not_finite(case: Case) -> Cause | None:
    if case.diagnosis.fault.first != "inputs":
        return None
    worst = case.diagnosis.inputs[0]
    name, remedy = case.name_of(worst), drop_column(case.design, case.job.fold, worst)
    return Cause("an input that is not finite", f"column {name} holds {worst.value:g}", remedy)


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
    return far_input(case.design, case.job.fold, case.diagnosis.inputs[0]) if case.diagnosis.inputs else None


def far_input(design: Design, fold: int, worst: LargeInput) -> Cause | None:
    """Unscaled columns, a spread of next to nothing, an outlier; None for an ordinary input."""
    if not abs(worst.value) >= FAR_OUT:
        return None
    name = column_name(design, fold, worst)
    if not is_scaled(design, fold, worst):
        return Cause(
            "inputs that are not scaled", f"column {name} is {worst.value:.3g}", '[preprocess] scaler = "zscore"'
        )
    if abs(worst.value) >= DIVIDED_BY_NOTHING:
        return Cause(
            "a column divided by a spread of next to nothing",
            f"column {name} hardly varies on the training rows and is {worst.value:.3g} after scaling",
            drop_column(design, fold, worst),
        )
    return Cause("a value far out", f"column {name} is {worst.value:.3g} after scaling", "[preprocess] smooth_clip = 3")


def _target_far_out(case: Case) -> Cause | None:
    """A large target that nobody standardised: the gradient is as large."""
    diagnosis, state = case.diagnosis, case.design.target_states[case.job.fold]
    is_plain = (state.mean, state.scale) == (0.0, 1.0)
    is_large = diagnosis.target_rms >= (UNSCALED_TARGET if is_plain else FAR_TARGET)
    follows = case.train.optimizer in FOLLOWS_GRADIENT and is_large
    if loss_of(case.candidate.loss).needs or not (follows or diagnosis.largest_target >= HUGE):
        return None
    return Cause(
        "a target that is not scaled" if is_plain else "target values far out",
        f"as the network sees it, it is around {diagnosis.target_rms:.3g} and up to {diagnosis.largest_target:.3g}",
        "[target] standardize = true" if is_plain else '[target] transform = "quantile"',
    )


def _half_precision(case: Case) -> Cause | None:
    largest = max((state.hidden for state in case.diagnosis.layers), default=math.nan)
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
    if not at_the_end or not case.outputs < MODERATE or diagnosis.largest_target >= MODERATE:
        return None
    own, is_plain = case.train.custom_loss, case.train.loss == "mse"
    setting = f'train.custom_loss = "{own}"' if own else f'train.loss = "{case.train.loss}"'
    return Cause(
        "a loss that does not go with this target",
        f"{setting} is not finite for outputs around {case.outputs:.3g} and targets up "
        f"to {diagnosis.largest_target:.3g}",
        '[train] custom_loss = ""' if own else f'[train] loss = "{"huber" if is_plain else "mse"}"',
    )


def _switch(case: Case) -> Cause | None:
    train = case.train
    if train.optimizer != "adam_then_sgd" or case.failure.epoch < math.floor(train.switch_at * train.epochs):
        return None
    evidence = f"it came after the switch to sgd, whose rate is {train.switch_lr:g} times Adam's"
    return Cause(
        "a learning rate that is too high for sgd", evidence, f"[train] switch_lr = {one_digit(train.switch_lr / 10)}"
    )


def _learning_rate(case: Case) -> Cause | None:
    """Far above the usual one, or above what is common with weights that ran away."""
    lr, usual = case.train.lr, usual_lr(case.train, case.diagnosis.target_rms)
    ran_away = case.diagnosis.weight_growth >= WEIGHTS_GREW
    if case.begins_broken or not (lr >= FAR_TOO_HIGH * usual or (ran_away and lr > COMMON * usual)):
        return None
    evidence = f"train.lr is {lr:g}{case.grown_weights}"
    return Cause("a learning rate that is too high", evidence, f"[train] lr = {case.lr_to_try}")


def _first_weights(case: Case) -> Cause | None:
    """Weights drawn so wide that values grow from layer to layer before anything is learned."""
    model, growth, layers = case.candidate.model, case.diagnosis.first_growth, case.hidden_layers
    if model.init not in ("normal", "uniform") or layers < 2 or growth < EXPLODES:
        return None
    # a rate above what is common breaks a shallow network by itself
    rate_is_common = case.train.lr <= COMMON * usual_lr(case.train, case.diagnosis.target_rms)
    if not (case.begins_broken or growth**layers >= BEGINS_HUGE or rate_is_common):
        return None
    return Cause(
        "weights that begin too wide for the depth",
        f'model.init = "{model.init}" with init_scale {model.init_scale:g} makes values grow {growth:.3g} times '
        f"from each of {layers} hidden layers to the next, before anything is learned",
        f'[model] init = "{usual_init(model.activation)}"',
    )


def _exploding_depth(case: Case) -> Cause | None:
    diagnosis, layers = case.diagnosis, case.hidden_layers
    explodes_at_once = diagnosis.first_growth >= EXPLODES
    growth = diagnosis.first_growth if explodes_at_once else diagnosis.growth
    if layers < DEEP or growth < EXPLODES or case.candidate.model.norm != "none":
        return None
    evidence = f"in {layers} hidden layers without normalisation, values grow {growth:.3g} times from one to the next"
    when = "already before anything is learned" if explodes_at_once else f"after {case.failure.step} steps"
    shown = diagnosis.begun if explodes_at_once else diagnosis.layers
    until = "" if all(math.isfinite(state.hidden) for state in shown) else ", until they overflow"
    return Cause("depth that makes values explode", f"{evidence}{until}, {when}", '[model] norm = "layer"')


def _exploding_gradient(case: Case) -> Cause | None:
    """Gradients that overflow, or a step that threw the weights away at an ordinary learning rate."""
    diagnosis = case.diagnosis
    grew = diagnosis.weight_growth >= WEIGHTS_GREW or (case.hidden_layers >= DEEP and diagnosis.growth >= EXPLODES)
    if not (diagnosis.fault.first == "gradient" or grew):
        return None
    evidence = f"at a learning rate of {case.train.lr:g}, not a high one{case.grown_weights}"
    if 0 < case.train.clip_norm <= 1:
        return Cause("gradients that explode", f"{evidence}, and clipped", f"[train] lr = {case.lr_to_try}")
    return Cause("gradients that explode", evidence, "[train] clip_norm = 1")


def _unknown(case: Case) -> Cause:
    return Cause(
        "none of the causes that Foldpack knows",
        f"sizes are ordinary (learning rate {case.train.lr:g}, outputs around {case.outputs:.3g})",
        f"[train] lr = {case.lr_to_try} and clip_norm = 1, and see whether --set model.kind=linear fails too",
    )


CAUSES: tuple[Callable[[Case], Cause | None], ...] = (
    _inputs_not_finite,
    _target_not_finite,
    _inputs_far_out,
    _target_far_out,
    _half_precision,
    _loss_undefined,
    _switch,
    _first_weights,
    _learning_rate,
    _exploding_depth,
    _exploding_gradient,
)


def cause_of(case: Case) -> Cause:
    """The first rule of the table that recognises the case, else that none does."""
    return next((cause for rule in CAUSES if (cause := rule(case)) is not None), _unknown(case))
