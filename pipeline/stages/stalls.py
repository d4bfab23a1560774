"""Trainings that end with a number but learned little, and what holds them back.

Dead or saturated units, gradients that vanish, an error that does not fall, depth that hurts. Each rule looks at what
training left behind and says what it saw, what to do, and what to type.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.engine.schedules import rates
from pipeline.engine.vitals import DIES, SATURATES
from pipeline.stages.assignments import schedule_of
from pipeline.stages.cases import COMMON, one_digit
from pipeline.stages.signs import (
    FEWEST_POINTS,
    LEARNED_NOTHING,
    advice,
    error_size_of,
    may_hurt_by_depth,
    trained_errors,
    worst_layer,
)
from pipeline.stages.stuck import guessed_cause, known_cause, stuck_of
from pipeline.stages.verdicts import OVERFITS, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.facts import Advice
    from pipeline.stages.signs import Signs

DEAD, SATURATED = 0.5, 0.5  # share of a layer's units, of (row, unit) pairs
VANISHES = 1e-3  # gradient of the first layer in multiples of that of the last hidden one
LEARNED_LITTLE = 0.5
STANDS_STILL = 0.99  # best error of the second half of the training in multiples of that of the first
BOUNCES = 0.02  # spread of the error in that half, as a share of it
STILL_HIGH = 0.5  # share of the peak that the learning rate still has at the end
FALLS = 0.98  # last training error in multiples of that at three quarters of the training
FAR_TOO_LOW = 0.1  # learning rate in multiples of the usual one


def stalls(signs: Signs) -> tuple[Advice, ...]:
    """Everything that holds these networks back, what explains most first."""
    inside = _found((_dead, _saturated, _vanishing), signs)
    stuck = stuck_of(signs)
    if stuck is None:
        return (*inside, *_found((_bounces, _creeps, _depth), signs))
    if (known := known_cause(signs, stuck)) is not None:
        return (known, *inside)
    if not inside:
        return (guessed_cause(signs, stuck),)
    because, *rest = inside  # what is wrong inside explains it better than a guess about the learning rate
    return (replace(because, seen=f"{stuck.seen} {because.seen}"), *rest)


def _found(rules: Sequence[Callable[[Signs], Advice | None]], signs: Signs) -> tuple[Advice, ...]:
    return tuple(found for rule in rules if (found := rule(signs)) is not None)


# --- inside


def _dead(signs: Signs) -> Advice | None:
    if signs.network.activation not in DIES:
        return None
    layer, share = worst_layer(signs, lambda inside: [a.dead for a in inside.activities])
    if share < DEAD:
        return None
    seen = f"{percent(share)} of the units of hidden layer {layer + 1} are dead: they say 0 on every row{_of(signs)}."
    train = signs.candidate.train
    if train.lr > COMMON * signs.usual_lr:
        lower = f"{one_digit(min(train.lr / 10, signs.usual_lr))}"
        return advice(seen, f'Set [train] lr = {lower}, or [model] activation = "leaky_relu".', f"train.lr={lower}")
    return advice(seen, 'Set [model] activation = "leaky_relu".', "model.activation=leaky_relu")


def _saturated(signs: Signs) -> Advice | None:
    if signs.network.activation not in SATURATES:
        return None
    layer, share = worst_layer(signs, lambda inside: [a.saturated for a in inside.activities])
    if share < SATURATED:
        return None
    seen = (
        f"Hidden layer {layer + 1} is saturated: at {percent(share)} of what its units reach, "
        f"{signs.network.activation} is flat and lets no gradient through{_of(signs)}."
    )
    if signs.network.norm == "none":
        return advice(seen, 'Set [model] norm = "layer".', "model.norm=layer")
    return advice(seen, 'Set [model] activation = "silu".', "model.activation=silu")


def _vanishing(signs: Signs) -> Advice | None:
    """From the last hidden layer back to the first."""
    if len(signs.network.hidden) < 2:
        return None
    ratios = [i.layers[0].gradient / last for i in signs.insides if (last := i.layers[-2].gradient) > 0]
    ratio = float(np.median(ratios)) if ratios else math.nan
    if not ratio < VANISHES:
        return None
    last = len(signs.network.hidden)
    seen = f"Gradients vanish: that of layer 1 is {ratio:.1g} times that of layer {last}{_of(signs)}."
    if signs.network.norm == "none":
        return advice(seen, 'Set [model] norm = "layer".', "model.norm=layer")
    return advice(seen, "Set [model] residual = 1.", "model.residual=1")


# --- curves


def _bounces(signs: Signs) -> Advice | None:
    """The error goes up and down without falling, and the learning rate is still near its peak."""
    train = signs.candidate.train
    ends_at = float(rates(schedule_of(train), 100)[-1])
    if ends_at < STILL_HIGH or train.plateau_factor:
        return None
    count = 0
    for curve, mean in zip(signs.curves, signs.mean_errors, strict=True):
        own = trained_errors(signs, curve)
        first, second = own[: len(own) // 2], own[len(own) // 2 :]
        if len(own) < FEWEST_POINTS or own.min() >= LEARNED_NOTHING * error_size_of(signs, mean):
            continue
        count += bool(second.min() > STANDS_STILL * first.min() and second.std() > BOUNCES * second.mean())
    if 2 * count <= len(signs.curves):
        return None
    seen = (
        f"The training error of {count} of {len(signs.curves)} networks goes up and down and no longer falls, while "
        f"the learning rate is still at {percent(ends_at)} of its peak."
    )
    return advice(seen, 'Set [train] schedule = "cosine", or plateau_factor = 0.5.', "train.schedule=cosine")


def _creeps(signs: Signs) -> Advice | None:
    """The error still falls at the end and is not far below the mean's, at a low learning rate."""
    train = signs.candidate.train
    if train.lr > FAR_TOO_LOW * signs.usual_lr:
        return None
    count = 0
    for curve, mean in zip(signs.curves, signs.mean_errors, strict=True):
        own = trained_errors(signs, curve)
        if len(own) < FEWEST_POINTS:
            continue
        size = error_size_of(signs, mean)
        learned = LEARNED_LITTLE * size <= own.min() < LEARNED_NOTHING * size
        count += bool(learned and own[-1] < FALLS * own[-(len(own) // 4) - 1])
    if 2 * count <= len(signs.curves):
        return None
    seen = f"The training error of {count} of {len(signs.curves)} networks was still falling at the end, and slowly."
    lr = one_digit(signs.usual_lr)
    return advice(seen, f"The learning rate is too low. Set [train] lr = {lr}.", f"train.lr={lr}")


def _depth(signs: Signs) -> Advice | None:
    """Deep and plain, worse than a straight line through the columns, and not because it learned rows by heart."""
    if not may_hurt_by_depth(signs.network) or math.isnan(signs.ridge_error):
        return None
    ours, ridge = error_size_of(signs, signs.fold_error), error_size_of(signs, signs.ridge_error)
    on_train = [own[-1] for curve in signs.curves if len(own := trained_errors(signs, curve))]
    if not on_train or ours <= ridge or ours >= OVERFITS * float(np.mean(on_train)):
        return None
    seen = (
        f"{len(signs.network.hidden)} hidden layers without normalisation or shortcuts do worse than ridge ({ours:.4g} "
        f"against {ridge:.4g} on fold 1) and do not overfit: the depth hurts."
    )
    return advice(seen, 'Set [model] norm = "layer" or residual = 1, or depth = 2.', "model.norm=layer")


def _of(signs: Signs) -> str:
    count = len(signs.insides)
    return f" ({count} network{'s' * (count != 1)} looked at)"
