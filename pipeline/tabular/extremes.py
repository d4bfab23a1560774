"""The outermost numbers of each column, and those so far out that they are hardly right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tabular.scaling import scaled_column

if TYPE_CHECKING:
    from pipeline.tables import FeatureState, Floats, Integers


def outermost(state: FeatureState, position: int, column: Floats, rows: Integers) -> tuple[int, float]:
    """Of `rows`, the one whose number is furthest from 0 after scaling, and that number; -1 and 0 of nothing.

    column: all rows of the numeric column at `position`. Scaling keeps order, so that only both ends are scaled.
    """
    own = column[rows]
    if not len(own) or np.isnan(own).all():
        return -1, 0.0
    ends = rows[[int(np.nanargmin(own)), int(np.nanargmax(own))]]
    scaled = scaled_column(state, position, column[ends], 0.0)
    at = int(np.argmax(np.abs(scaled)))
    return int(ends[at]), float(scaled[at])
