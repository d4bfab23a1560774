"""Networks that do hardly better than predicting the mean, and what holds them there.

What columns and settings show for certain is asked first; only where they show nothing is the learning rate guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.stages.cases import FOLLOWS_GRADIENT, UNSCALED_TARGET, one_digit, usual_init
from pipeline.stages.signs import (
    FEWEST_POINTS,
    LEARNED_NOTHING,
    advice,
    error_size_of,
    may_hurt_by_depth,
    trained_errors,
)
from pipeline.stages.verdicts import percent

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.facts import Advice
    from pipeline.stages.signs import Signs
    from pipeline.tables import Floats

MANY = 0.25  # share of the networks: fewer are bad luck of a draw
FAR_WORSE = 2.0  # training error in multiples of the mean's
WIDE_OUTPUTS = 10.0  # first outputs in multiples of the target
STRONG_PENALTY = 0.01
STRONG_SHRINKING = 0.01  # share of a weight that AdamW's decay takes at each step
TIGHT_CLIP = 0.01  # norm of the gradient where steps follow it
TIGHTEST_CLIP = 100.0  # in multiples of epsilon, where steps are divided by the gradient's own size
VERY_DEEP = 8  # hidden layers from which normalisation alone does not help
LOW = 0.099  # learning rate in multiples of the usual one
STRONG_DROPOUT = 0.9


@dataclass(frozen=True, slots=True)
class Stuck:
    """Networks that are no better than the mean, and the middle one of them."""

    seen: str
    own: Floats  # its errors on training rows
    ratio: float  # the least of them in multiples of the mean's


def stuck_of(signs: Signs) -> Stuck | None:
    """None where only a few networks are stuck."""
    found = []
    for curve, mean in zip(signs.curves, signs.mean_errors, strict=True):
        own, size = trained_errors(signs, curve), error_size_of(signs, mean)
        # the cause of a loss that is not finite is told elsewhere
        is_whole = curve.stopped != "not finite" and len(own) >= FEWEST_POINTS
        if is_whole and own.min() >= LEARNED_NOTHING * size:
            found.append((float(own.min() / size) if size > 0 else 1.0, own, size))
    if not found or len(found) < MANY * len(signs.curves):
        return None
    ratio, own, size = sorted(found, key=lambda one: one[0])[len(found) // 2]
    how = "far worse than" if ratio >= FAR_WORSE else "no better than" if ratio >= 1 else "hardly better than"
    seen = (
        f"{len(found)} of {len(signs.curves)} networks do {how} predicting the mean (training error {own.min():.4g}, "
        f"the mean's {size:.4g})."
    )
    return Stuck(seen, own, ratio)


def known_cause(signs: Signs, stuck: Stuck) -> Advice | None:
    """What columns and settings show for certain."""
    far_worse = (_far_out, _first_weights, _raw_target) if stuck.ratio >= FAR_WORSE else ()
    rules: tuple[Callable[[Signs, str], Advice | None], ...] = (*far_worse, _penalty, _clipped, _dropped, _one_unit)
    return next((found for rule in rules if (found := rule(signs, stuck.seen)) is not None), None)


def guessed_cause(signs: Signs, stuck: Stuck) -> Advice:
    """Depth, or the learning rate, or too few epochs."""
    train, seen = signs.candidate.train, stuck.seen
    if may_hurt_by_depth(signs.network):
        return advice(seen, 'It is deep and plain. Set [model] norm = "layer" or residual = 1.', "model.norm=layer")
    if len(signs.network.hidden) >= VERY_DEEP and not any(signs.network.skips):
        return advice(seen, "It is deep and has no shortcuts. Set [model] residual = 1.", "model.residual=1")
    if stuck.own[-1] >= stuck.own[0]:
        lr = one_digit(min(train.lr / 10, signs.usual_lr))
        return advice(seen, f"The learning rate is too high. Set [train] lr = {lr}.", f"train.lr={lr}")
    # not from the usual rate on: the rule above divides that one by ten, and this one must not undo it
    if train.lr >= LOW * signs.usual_lr:
        epochs = 4 * train.epochs
        return advice(seen, f"It still falls. Set [train] epochs = {epochs}.", f"train.epochs={epochs}")
    lr = one_digit(signs.usual_lr)
    return advice(seen, f"It still falls: the learning rate is too low. Set [train] lr = {lr}.", f"train.lr={lr}")


# --- far worse than the mean: something large goes in, or comes out before anything is learned


def _far_out(signs: Signs, seen: str) -> Advice | None:
    cause = signs.far_out
    if cause is None:
        return None
    section, _, setting = cause.remedy.removeprefix("[").partition("] ")
    typed = "" if section == "schema" else f"{section}.{setting}".replace(" = ", "=").replace('"', "")
    return advice(f"{seen} It looks like {cause.name}: {cause.evidence}.", f"Set {cause.remedy}.", typed)


def _first_weights(signs: Signs, seen: str) -> Advice | None:
    model, size = signs.candidate.model, max(signs.target_rms, 1e-30)
    if not signs.first_outputs >= WIDE_OUTPUTS * size:
        return None
    evidence = (
        f'Weights begin too wide: model.init = "{model.init}" with init_scale {model.init_scale:g} makes outputs '
        f"around {signs.first_outputs:.3g} before anything is learned, and the target is around {size:.3g}."
    )
    init = usual_init(model.activation)
    return advice(f"{seen} {evidence}", f'Set [model] init = "{init}".', f"model.init={init}")


def _raw_target(signs: Signs, seen: str) -> Advice | None:
    if not signs.has_raw_target or signs.target_rms < UNSCALED_TARGET:
        return None
    evidence = f"The target is not scaled: it is around {signs.target_rms:.3g}, and networks begin near 0."
    return advice(f"{seen} {evidence}", "Set [target] standardize = true.", "target.standardize=true")


# --- settings that stop any network


def _penalty(signs: Signs, seen: str) -> Advice | None:
    train = signs.candidate.train
    if train.l1 >= STRONG_PENALTY or (train.optimizer != "adamw" and train.weight_decay >= STRONG_PENALTY):
        return advice(seen, "Set [train] l1 = 0 and weight_decay = 0.", "train.l1=0 train.weight_decay=0")
    # a rate above the usual one is a fault of its own, and no evidence against the decay
    shrinks = min(train.lr, signs.usual_lr) * train.weight_decay
    if train.optimizer != "adamw" or shrinks < STRONG_SHRINKING:
        return None
    evidence = f"A weight decay of {train.weight_decay:g} takes {percent(shrinks)} off every weight at each step."
    return advice(f"{seen} {evidence}", "Set [train] weight_decay = 0.", "train.weight_decay=0")


def _clipped(signs: Signs, seen: str) -> Advice | None:
    train = signs.candidate.train
    tight = TIGHT_CLIP if train.optimizer in FOLLOWS_GRADIENT else TIGHTEST_CLIP * train.epsilon
    if not 0 < train.clip_norm <= tight:
        return None
    evidence = f"Gradients are clipped to a norm of {train.clip_norm:g}, too short to move anything."
    return advice(f"{seen} {evidence}", "Set [train] clip_norm = 1.", "train.clip_norm=1")


def _dropped(signs: Signs, seen: str) -> Advice | None:
    share = signs.candidate.model.dropout
    if share < STRONG_DROPOUT or not signs.network.hidden:
        return None
    evidence = f"Dropout leaves {percent(1 - share)} of the hidden units at each step."
    return advice(f"{seen} {evidence}", "Set [model] dropout = 0.2.", "model.dropout=0.2")


def _one_unit(signs: Signs, seen: str) -> Advice | None:
    """Normalised over a single value, a layer says the same on every row."""
    network, same = signs.network, "says the same whatever goes in."
    if network.norm == "layer" and 1 in network.hidden and not any(network.skips):
        evidence = f"A hidden layer of one unit, normalised by layer, {same}"
        return advice(f"{seen} {evidence}", 'Set [model] norm = "none", or more width.', "model.norm=none")
    if network.norm == "batch" and signs.candidate.train.batch_size == 1:
        evidence = f"A batch of one row, normalised by batch, {same}"
        return advice(
            f"{seen} {evidence}", 'Set [train] batch_size = 64, or [model] norm = "layer".', "train.batch_size=64"
        )
    return None
