"""A candidate and a job in the engine's terms: its network, optimizer, schedule, bounds and rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.engine.draws import job_key
from pipeline.engine.gradients import GradientRule
from pipeline.engine.losses import loss_of
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Assignment
from pipeline.engine.probes import check_loss, tensors_of
from pipeline.engine.schedules import Plateau, Schedule
from pipeline.errors import ConfigError
from pipeline.fits import Job, Network
from pipeline.stages.refits import refit_of
from pipeline.stages.shrinkage import check_shrinkage
from pipeline.stages.starts import start_of
from pipeline.tabular.bases import network_target
from pipeline.usercode import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.fits import Weights
    from pipeline.tables import Design
    from pipeline.training_settings import Model, Train

# by depth: what the width is divided by, layer by layer
SHAPES: Mapping[str, Callable[[int], list[int]]] = {
    "constant": lambda depth: [1] * depth,
    "pyramid": lambda depth: [2**layer for layer in range(depth)],
    "bottleneck": lambda depth: [4 if layer % 2 else 1 for layer in range(depth)],
}
STARTS_AT_ZERO = ("coslog4", "cyclic")  # schedules whose first rate is 0: a warm-up to it would train nothing
PROBED_ROWS = 5  # of the training rows, on whose targets a loss of the user's is tried
PARAMETER_ENDS = {"huber": (0.0, math.inf), "quantile": (0.0, 1.0), "relative": (0.0, math.inf), "tweedie": (1.0, 2.0)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One set of hyperparameters, and the weights that its networks begin with, if they are not drawn."""

    model: Model
    train: Train
    start: Weights | None = None

    @property
    def name(self) -> str:
        """What the networks are called in scores and reports."""
        return "custom" if self.model.custom else self.model.kind

    @property
    def loss(self) -> str:
        """The loss as the engine knows it: by its name, or by the reference of a function of the user's."""
        return self.train.custom_loss or self.train.loss


def hidden_widths(model: Model) -> tuple[int, ...]:
    """The hidden layers that are built: none for a linear model."""
    if model.kind == "linear":
        return ()
    return model.hidden or tuple(max(1, model.width // share) for share in SHAPES[model.shape](model.depth))


def shortcuts(hidden: Sequence[int], every: int) -> tuple[str, ...]:
    """Where blocks of so many layers end, and whether their input fits as it is; no names where there are no blocks."""
    kinds = [""] * len(hidden)
    for end in range(every, len(hidden), every) if every else ():
        kinds[end] = "same" if hidden[end] == hidden[end - every] else "product"
    return tuple(kinds) if any(kinds) else ()


def network_of(candidate: Candidate, design: Design) -> Network:
    """The shape that a candidate builds on this design. Raises ConfigError for a network of the user's that fails."""
    model, hidden = candidate.model, hidden_widths(candidate.model)
    if model.custom:
        return _users_network(candidate, design)
    return Network(
        inputs=len(design.columns),
        hidden=hidden,
        activation=model.activation,
        init=model.init,
        init_scale=model.init_scale,
        link=loss_of(candidate.loss).link,
        norm=model.norm if hidden else "none",
        skips=shortcuts(hidden, model.residual),
    )


def _users_network(candidate: Candidate, design: Design) -> Network:
    model = candidate.model
    network = Network(
        inputs=len(design.columns),
        hidden=(),
        activation="",
        init="",
        init_scale=1.0,
        link=loss_of(candidate.loss).link,
        custom=model.custom,
        custom_options=tuple(model.options.items()),
    )
    return replace(network, custom_tensors=tensors_of(network, load(model.custom)))


def training_jobs(design: Design, train: Train) -> list[Job]:
    """Every fold, and where there are refits all rows as one more, with every seed."""
    folds = range(design.folds.count + (refit_of(design, train) != "none"))
    return [Job(0, fold, seed) for fold in folds for seed in range(train.seed, train.seed + train.seeds)]


def assignment_of(design: Design, candidate: Candidate, job: Job, start: int) -> Assignment:
    """What the engine is told about a job. start: the first row of its fold's block.

    Raises ConfigError for settings that do not go together.
    """
    train = candidate.train
    check(candidate, design)
    network = network_of(candidate, design)
    refit = job.fold == design.folds.count
    train_rows = (design.refit_rows if refit else design.folds.train[job.fold]) + start
    batch_size = min(train.batch_size, len(design.target))  # a batch never holds more rows than there are
    steps = train.epochs * -(-len(train_rows) // batch_size)
    return Assignment(
        key=job_key(job.seed, job.fold),
        network=network,
        train_rows=train_rows,
        valid_rows=(design.refit_rows[:0] if refit else design.folds.valid[job.fold]) + start,
        rule=rule_of(train, steps),
        gradient=GradientRule(train.l1, train.clip_value or math.inf, train.clip_norm or math.inf),
        decay_biases=train.decay_biases,
        lr=train.lr * (batch_size / train.lr_for_batch if train.lr_for_batch else 1.0),
        schedule=schedule_of(train),
        plateau=plateau_of(train),
        loss=candidate.loss,
        loss_parameter=train.loss_parameter or None,
        dropout=0.0 if network.custom else candidate.model.dropout,
        epochs=train.epochs,
        batch_size=batch_size,
        patience=0 if refit else train.patience,
        restore_best=train.restore_best and not refit,
        start=start_of(candidate.start, network, job, is_refit=refit),
    )


def rule_of(train: Train, steps: int) -> Rule:
    """The optimizer of a job that takes so many steps."""
    has_momentum = train.optimizer in ("sgd", "rmsprop", "adam_then_sgd")
    kind = "adam" if train.optimizer == "adamw" else train.optimizer
    return Rule(
        kind=kind,
        weight_decay=train.weight_decay,
        decoupled=train.optimizer == "adamw",
        beta1=train.beta1,
        beta2=train.beta2,
        epsilon=train.epsilon,
        momentum=train.momentum if has_momentum else 0.0,
        nesterov=train.nesterov and train.optimizer == "sgd" and train.momentum > 0,
        switch_step=round(train.switch_at * steps) if kind == "adam_then_sgd" else 0,
        switch_lr=train.switch_lr if kind == "adam_then_sgd" else 1.0,
    )


def schedule_of(train: Train) -> Schedule:
    """The learning rate's course: the first schedule, and those that take over from it in turn."""
    later: Schedule | None = None
    ends = [*(link.at for link in train.chain), 1.0][1:]
    for link, until in reversed(list(zip(train.chain, ends, strict=True))):
        later = Schedule(
            link.kind, gamma=link.gamma, every=link.every, cycles=link.cycles, floor=link.floor, until=until, then=later
        )
    return Schedule(
        train.schedule,
        warmup=train.warmup,
        gamma=train.gamma,
        every=train.every,
        milestones=train.milestones,
        cycles=train.cycles,
        floor=train.lr_floor,
        until=train.chain[0].at if train.chain else 1.0,
        then=later,
    )


def plateau_of(train: Train) -> Plateau | None:
    """When the learning rate falls for want of a better score."""
    if not train.plateau_factor:
        return None
    return Plateau(train.plateau_factor, train.plateau_patience, floor=train.lr_floor)


def check(candidate: Candidate, design: Design) -> None:
    """Raise ConfigError for a loss, parameter or schedule that does not go with the rest."""
    if candidate.train.custom_loss:
        _check_custom_loss(candidate.train, design)
    else:
        _check_loss(candidate.train, design)
    _check_schedule(candidate.train)
    if candidate.train.shrink and design.taken is not None:
        check_shrinkage(network_of(candidate, design))


def _check_custom_loss(train: Train, design: Design) -> None:
    """Try the user's function on a few of the very targets that it will see."""
    if train.loss_parameter:
        raise ConfigError(
            f"train.loss_parameter = {train.loss_parameter:g} goes with train.loss; a function of your own has its "
            f"parameters in itself, leave it out"
        )
    few = np.linspace(0, len(design.target) - 1, PROBED_ROWS).astype(int)
    targets = network_target(design, design.folds.count)
    seen = np.array([targets.min(), *targets[few], targets.max()])
    check_loss(train.custom_loss, load(train.custom_loss), tuple(seen.tolist()))


def _check_loss(train: Train, design: Design) -> None:
    loss, state = loss_of(train.loss), design.target_states[-1]
    own_scale = state.transform == "none" and (state.mean, state.scale) == (0.0, 1.0)
    is_whole = design.taken is None and design.rows.spread is None
    if loss.needs and not (own_scale and is_whole):
        rest = "" if is_whole else ', target.difference = "none", target.scale = "none"'
        raise ConfigError(
            f'train.loss = "{train.loss}" needs {loss.needs}; set target.transform = "none" and '
            f"target.standardize = false{rest}"
        )
    if loss.link == "log" and design.target.min() < 0:
        raise ConfigError(
            f'train.loss = "{train.loss}" needs {loss.needs}, found {design.target.min():g}; choose mse, mae or huber'
        )
    low, high = PARAMETER_ENDS.get(train.loss, (-math.inf, math.inf))
    if train.loss_parameter and not low < train.loss_parameter < high:
        raise ConfigError(
            f"train.loss_parameter = {train.loss_parameter:g} is none for {train.loss}, expected between {low:g} and "
            f"{high:g}"
        )


def _check_schedule(train: Train) -> None:
    if train.warmup and train.schedule in STARTS_AT_ZERO:
        raise ConfigError(
            f'train.warmup = {train.warmup:g} leads to the first rate of train.schedule = "{train.schedule}", which is '
            f"0; leave it out"
        )
    places = [share for share, _ in train.milestones]
    if places != sorted(places):
        raise ConfigError(f"train.milestones must come in order, found shares {places}")
    later = [link.at for link in train.chain]
    if later != sorted(later):
        raise ConfigError(f"train.chain must come in order, found {later}")
