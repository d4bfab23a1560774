"""What `target.difference` takes from a target: what a person would say without a network, as of each row's origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tabular.history import Feature, history, naive
from pipeline.tabular.past import ELEMENTWISE
from pipeline.tabular.window_ridge import ridge_forecasts

if TYPE_CHECKING:
    from pipeline.tables import Floats, Integers
    from pipeline.timeline import Known, Moments, Timeline, WindowRidge

RIDGE = "ridge"


def base_name(timeline: Timeline, difference: str, transform: str) -> str:
    """In words, what is taken; empty for "none".

    Raises ConfigError where it would not be in the scale of the target, and for a season where there is none.
    """
    if difference == "none":
        return ""
    if transform not in (*ELEMENTWISE, "none"):
        raise ConfigError(
            f'target.difference = "{difference}" goes with target.transform none, log or log1p, found {transform!r}; '
            f"change one of them"
        )
    if difference in ("season", "phase_mean") and not timeline.clock.seasons:
        raise ConfigError(
            f'target.difference = "{difference}" needs a season, and these rows have none; name it, such as '
            f'time.season = [12], or set "last"'
        )
    target = timeline.known.columns[0]
    return f"{target}, ridge on the lag window" if difference == RIDGE else _feature(timeline, difference).name


def base_values(
    timeline: Timeline, known: Known, difference: str, moments: Moments, origin: Integers, ridge: WindowRidge | None
) -> Floats:
    """What is taken from the transformed target of each row [R], NaN where nothing was known.

    ridge: the map, for "ridge". Beyond its horizon it is the last value.
    """
    if difference != RIDGE:
        return history(known, [_feature(timeline, difference)], moments, origin)[:, 0]
    assert ridge is not None
    found = ridge_forecasts(ridge, known, moments, origin)
    return np.where(np.isfinite(found), found, naive(known, moments, origin, 0))


def _feature(timeline: Timeline, difference: str) -> Feature:
    target, seasons = timeline.known.columns[0], timeline.clock.seasons
    if difference == "last":
        return Feature(f"{target}, latest known", "latest", 0, 0)
    if difference == "season":
        return Feature(f"{target}, season {min(seasons)}", "season", 0, min(seasons))
    return Feature(f"{target}, mean of phase of {max(seasons)}", "phase_mean", 0, max(seasons))
