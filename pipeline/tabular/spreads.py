"""How much a row's series had varied by the row's origin: what `target.scale` and `history.scaled` divide by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tabular.history import Feature, history

if TYPE_CHECKING:
    from pipeline.tables import Floats, Integers
    from pipeline.tabular.history import Kind
    from pipeline.timeline import Known, Moments

EVER = 2**62  # steps of a window that holds all of a series
KINDS: tuple[Kind, ...] = ("mean", "std", "count")
FEWEST_VALUES = 8  # of a series, before their deviation says anything: that of two may be next to nothing
LEAST = 0.01  # of a series' size: one that has hardly ever varied may wake up


def spreads(known: Known, moments: Moments, origin: Integers) -> Floats:
    """How far apart the values of each row's series are [R], as of its origin, in the target's scale there.

    The standard deviation of all that is known by then, trend and season included, but at least a hundredth of their
    root mean square; that itself below 8 values. A multiple of a series has that multiple. NaN where nothing is known
    but zeros. (Salinas et al. 2020 divide by a series' mean, which asks for values above 0.)
    """
    mean, std, count = history(known, [Feature(kind, kind, 0, EVER) for kind in KINDS], moments, origin).T
    size = np.sqrt(mean**2 + np.nan_to_num(std) ** 2)
    found = np.where(count < FEWEST_VALUES, size, np.maximum(std, LEAST * size))
    some: Floats = np.where(found > 0, found, np.nan)
    return some


def check_scale(scale: str, transform: str, elementwise: tuple[str, ...], *, is_in_time: bool) -> bool:
    """Whether targets are divided by the spread of their series.

    elementwise: transforms that need no fit. Raises ConfigError without time, and where a series' past is not in the
    scale of its transformed target.
    """
    if scale == "none":
        return False
    if not is_in_time:
        raise ConfigError(f'target.scale = "{scale}" needs [time] column; name it, or set "none"')
    if transform not in elementwise:
        raise ConfigError(
            f'target.scale = "{scale}" goes with target.transform none, log or log1p, found {transform!r}; change one '
            f"of them"
        )
    return True
