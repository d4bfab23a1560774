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
KINDS: tuple[Kind, ...] = ("std", "min", "max")
ROUNDING = 1e-9  # of the largest value: what varies by less does not vary


def spreads(known: Known, moments: Moments, origin: Integers) -> Floats:
    """Standard deviation of all that is known of each row's series up to its origin [R], in the target's scale there.

    NaN below two values, and where all are alike: nothing is divided by nothing. (Salinas et al. 2020 divide by a
    series' mean, which asks for values above 0.)
    """
    features = [Feature(kind, kind, 0, EVER) for kind in KINDS]
    found = history(known, features, moments, origin)
    spread, largest = found[:, 0], np.abs(found[:, 1:]).max(axis=1, initial=0.0)
    alike: Floats = np.where(spread > ROUNDING * largest, spread, np.nan)
    return alike


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
