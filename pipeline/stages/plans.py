"""The order in which a person tunes: phases of a search, each over a few settings, and what each has found, in words.

How weights start, batch size, epochs, learning rate and its schedule (most
trials), structure, loss, activation; then regularisation, which helps once the network can overfit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.dimensions import holding
from pipeline.errors import ConfigError
from pipeline.search_settings import Range
from pipeline.tabular.metrics import metric_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.outcomes import Standing
    from pipeline.search_settings import Search
    from pipeline.stages.setups import Setup

    Values = Mapping[str, object]
    Space = Mapping[str, Range]

FEWEST = 3  # trials of a phase that a sampler leads: the values so far and two others
TIE = 0.003  # of the best score: within it the cheaper value is taken
OVERFIT = 0.15  # a training loss this much below the validation loss, as a share of it
SHARES = {"learning rate": 0.4, "structure": 0.35, "regularisation": 0.25}  # of the trials that a sampler leads
ODD_SHARE = 0.1  # of another phase whose choices somebody made a range
ROWS_A_STEP = 8  # a batch is at most one such part of the rows: fewer steps an epoch teach little
BATCHES = (16, 32, 64, 128, 256, 512, 1024, 2048)
ZERO_POINTS = 5  # that take the place of a range in the logarithm where 0 is what stands
ONLY_WITH_LAYERS = ("model.width", "model.depth", "model.dropout", "model.activation", "model.norm", "model.residual")


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the plan. `space`: what it varies. `trials`: so many. `is_listed`: each choice is tried once."""

    name: str
    space: Mapping[str, Range]
    trials: int
    is_listed: bool = False
    cheap: Callable[[Values], float] | None = None  # cost of values; the cheapest among ties is taken


def phases_of(search: Search, base: Setup, rows: int) -> tuple[Phase, ...]:
    """The phases that have something to vary, with their trials; together `search.trials`.

    rows: that train a fold. Ranges of `search.space` take the place of the plan's own; what else it names is varied
    with the structure. Raises ConfigError where the trials are too few for all phases.
    """
    spaces = _spaces(search, base, rows)
    tried = {name: points for name, space in spaces.items() if (points := _points(name, space))}
    led = {name: SHARES.get(name, ODD_SHARE) for name in spaces if name not in tried}
    fewest = sum(tried.values()) + FEWEST * len(led)
    if search.trials < fewest:
        raise ConfigError(
            f"search.trials = {search.trials}: the guided plan has {len(spaces)} phases here and wants at least "
            f'{fewest} trials; give --trials {fewest} or more, or take search.plan = "flat"'
        )
    over, whole = search.trials - fewest, sum(led.values())
    more = {name: int(over * share / whole) for name, share in led.items()}
    for name in list(led)[:1]:  # what the divisions left
        more[name] += over - sum(more.values())
    return tuple(
        Phase(name, space, tried[name], is_listed=True, cheap=CHEAP.get(name))
        if name in tried
        else Phase(name, space, FEWEST + more[name], cheap=CHEAP.get(name))
        for name, space in spaces.items()
    )


def found_in(phase: Phase, standings: Sequence[Standing], stands: Standing | None) -> Standing | None:
    """What the next phases begin with: the best of the phase, among ties the cheapest; None where nothing scored.

    stands: the trial of what the phase began with; it stays where nothing is better.
    """
    if not standings:
        return None
    best = min(standings, key=lambda one: (one.score, one.trial))
    if phase.cheap is None:
        return stands if stands is not None and stands.score <= best.score else best
    cost = phase.cheap
    tied = [one for one in standings if one.score <= best.score + TIE * abs(best.score)]
    return min(tied, key=lambda one: (cost(one.values), one.score, one.trial))


def finding(phase: Phase, found: Standing | None, stands: Standing | None, metric: str) -> str:
    """One sentence: what the phase tried, what it keeps, and by how much that is better than what it began with."""
    if found is None:
        return "no trial had a score; the values so far stay"
    kept = ", ".join(f"{key} = {_shown(found.values[key])}" for key in phase.space)
    score = -found.score if metric_named(metric).greater_is_better else found.score
    if stands is not None and all(stands.values[key] == found.values[key] for key in phase.space):
        return f"{kept} stays, {metric} {score:.5f}; nothing was better"
    if stands is None:  # it has no score
        return f"{kept}, {metric} {score:.5f}"
    gain = 100 * (stands.score - found.score) / abs(stands.score) if stands.score else 0.0
    if gain >= 0:
        return f"{kept}, {metric} {score:.5f}, {gain:.2f} % better than before"
    return f"{kept}, {metric} {score:.5f}; {-gain:.2f} % behind the best, which costs more"


def overfitting(found: Standing) -> str:
    """Whether the network can overfit, in words; "" where nobody looked at its training rows."""
    if found.train is None or found.valid is None or not found.valid:
        return ""
    gap = (found.valid - found.train) / abs(found.valid)
    figures = f"loss {found.train:.4g} on the rows it learns from, {found.valid:.4g} on others"
    if gap >= OVERFIT:
        return f"it overfits ({figures}), so regularisation has something to do"
    return f"it does not overfit ({figures}), so wider networks are tried along with regularisation"


def can_overfit(found: Standing | None) -> bool:
    """Whether the training loss lies well below the validation loss, or nobody knows."""
    if found is None or found.train is None or found.valid is None or not found.valid:
        return True
    return (found.valid - found.train) / abs(found.valid) >= OVERFIT


def wider(phase: Phase, base: Setup) -> Phase:
    """The same phase, with networks of twice and four times the width."""
    if base.model.kind == "linear" or base.model.hidden:
        return phase
    width = base.model.width
    return Phase(phase.name, {**phase.space, "model.width": Range(choice=(width, 2 * width, 4 * width))}, phase.trials)


def with_own(space: Space, values: Values) -> dict[str, Range]:
    """The space with the values so far in it, so that the first trial of a phase is what stands."""
    return {key: holding(dimension, values[key]) or _with_zero(dimension) for key, dimension in space.items()}


OF_THE_MATRIX = ("preprocess.", "history.", "target.")
CHEAP: Mapping[str, Callable[[Values], float]] = {
    "batch size": lambda values: -float(str(values["train.batch_size"])),
    "epochs": lambda values: float(str(values["train.epochs"])),
}


def _spaces(search: Search, base: Setup, rows: int) -> dict[str, Space]:
    """What each phase varies, in order; phases with nothing to vary are left out."""
    own = _own_spaces(base, rows)
    named = {key for space in own.values() for key in space}
    for key, dimension in search.space.items():
        if key not in named:
            phase = "inputs" if key.startswith(OF_THE_MATRIX) else "structure"
            own[phase] = {**own[phase], key: dimension}
    spaces: dict[str, Space] = {}
    for name, space in own.items():
        kept = {key: search.space.get(key, dimension) for key, dimension in space.items() if _counts(key, base)}
        if kept and _points("", held := with_own(kept, base.values)) != 1:
            spaces[name] = held
    return spaces


def _counts(key: str, base: Setup) -> bool:
    """Whether the setting says anything for this kind of model."""
    if base.model.hidden and key in ("model.width", "model.depth"):
        return False  # explicit layers: these would take their place
    return not (base.model.kind == "linear" and key in ONLY_WITH_LAYERS)


def _own_spaces(base: Setup, rows: int) -> dict[str, Space]:
    train = base.train
    most = max(train.batch_size, rows // ROWS_A_STEP)
    own = (train.batch_size,)
    lr, decay = train.lr, train.weight_decay or 1e-2
    return {
        "inputs": {"preprocess.scaler": Range(choice=("zscore", "robust", "quantile_normal"))},
        "initialisation": {"model.init": Range(choice=("pytorch", "xavier_normal", "kaiming_normal"))},
        "batch size": {"train.batch_size": Range(choice=tuple(size for size in BATCHES if size <= most) or own)},
        "epochs": {"train.epochs": Range(choice=(max(1, train.epochs // 2), train.epochs, 2 * train.epochs))},
        "learning rate": {
            "train.lr": Range(log=(lr / 10, lr * 10)),
            "train.schedule": Range(choice=("one_cycle", "cosine", "constant")),
        },
        "structure": {
            "model.depth": Range(choice=(1, 2, 3)),
            "model.width": Range(choice=(64, 128, 256)),
            "model.norm": Range(choice=("none", "layer")),
        },
        "loss": {"train.loss": Range(choice=("mse", "huber", "log_cosh"))},
        "activation": {"model.activation": Range(choice=("relu", "silu", "gelu", "mish"))},
        "regularisation": {
            "model.dropout": Range(uniform=(0.0, 0.5)),
            "train.weight_decay": Range(log=(decay / 30, decay * 10)),
        },
    }


def _points(name: str, space: Space) -> int:
    """In how many ways the choices of a phase can be made; 0 where a sampler has to lead it."""
    if name in SHARES or any(dimension.choice is None for dimension in space.values()):
        return 0
    return math.prod(len(dimension.choice or ()) for dimension in space.values())


def _with_zero(dimension: Range) -> Range:
    """Choices over a range in the logarithm, and none at all, which it cannot hold."""
    ends = dimension.log or (1e-3, 1e-1)
    return Range.model_validate({"choice": (0.0, *(float(f"{at:.3g}") for at in np.geomspace(*ends, ZERO_POINTS)))})


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
