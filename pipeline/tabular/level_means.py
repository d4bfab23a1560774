"""The mean of the target so far at a level, whatever series its rows are of: encodings that look at nothing later."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.tables import Codes, Floats, Integers
    from pipeline.timeline import Known


def level_mean(known: Known, name: str, levels: Codes, origin: Integers) -> Floats:
    """[R] mean of all known targets whose row has the level in column `name`, up to each origin; NaN before any.

    levels: of each row that is asked for [R]; NaN where it is below 0, missing or unknown.
    Guarantees: no later value and no value at another level changes a bit.
    """
    assert known.levels is not None, "levels are known where a column of them is encoded"
    codes, target = known.levels[:, known.level_names.index(name)], known.values[:, 0]
    order = np.lexsort((known.step, codes))  # stable: rows of one step stay in the order of their series
    order = order[(codes[order] >= 0) & np.isfinite(target[order])]
    if not len(order):
        return np.full(len(origin), np.nan)
    code, step = codes[order].astype(np.int64), known.step[order]
    begins = np.flatnonzero(np.diff(code, prepend=-1))
    mean = _running_means(target[order], begins)
    low, width = int(step.min()), int(np.ptp(step)) + 2
    # 0 is left for origins before any step, so that they fall behind the level before theirs
    keys, own = code * width + step - low + 1, levels.astype(np.int64) * width + (origin - low + 1).clip(0, width - 1)
    place = np.searchsorted(keys, own, side="right") - 1
    is_there = (levels >= 0) & (place >= 0) & (code[place] == levels)
    return np.where(is_there, mean[place], np.nan)


def _running_means(target: Floats, begins: Integers) -> Floats:
    """Mean of each row and those before it of its level."""
    sums = np.empty(len(target))
    # anew at each level, or its sums would carry the rounding of those before
    for start, end in pairwise([*begins.tolist(), len(target)]):
        np.cumsum(target[start:end], out=sums[start:end])
    counts = np.arange(len(target)) - np.repeat(begins, np.diff(begins, append=len(target))) + 1
    mean: Floats = sums / counts
    return mean
