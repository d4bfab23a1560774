"""What networks need not say: a column of the past is taken from the target, and given back to predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tabular.targets import to_network, to_target

if TYPE_CHECKING:
    from pipeline.tables import Design, Encoded, Floats, Integers


def network_target(design: Design, fold: int) -> Floats:
    """What networks of a fold are trained to say of each training row [N]."""
    rows = np.arange(len(design.target))
    return to_network(design.target_states[fold], design.target, base_of(design, fold, rows))


def predictions(design: Design, fold: int, rows: Integers | slice, outputs: Floats) -> Floats:
    """Outputs on rows of the design, in the target's own scale."""
    return to_target(design.target_states[fold], outputs, base_of(design, fold, rows))


def predictions_of(design: Design, fold: int, rows: Encoded, outputs: Floats) -> Floats:
    """Outputs on any rows, in the target's own scale."""
    base = rows.numeric[:, design.numeric.index(design.base)] if design.base else None
    return to_target(design.target_states[fold], outputs, base)


def base_of(design: Design, fold: int, rows: Integers | slice) -> Floats | None:
    """What is taken from the transformed target of rows of the design, as the fold sees them; None where nothing is."""
    if not design.base:
        return None
    position = design.numeric.index(design.base)
    base: Floats = design.rows.numeric[:, position]
    if fold < len(design.overlays):
        overlay = design.overlays[fold]
        base = base.copy()
        base[overlay.rows] = overlay.numeric[:, np.flatnonzero(overlay.columns == position)[0]]
    return base[rows]
