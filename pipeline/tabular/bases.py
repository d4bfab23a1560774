"""What networks need not say: a forecast is taken from the target, its series' spread divided out; and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tabular.targets import divisor, to_network, to_target

if TYPE_CHECKING:
    from pipeline.tables import Design, Encoded, Floats, Integers


def network_target(design: Design, fold: int) -> Floats:
    """What networks of a fold are trained to say of each training row [N]."""
    rows = np.arange(len(design.target))
    return to_network(
        design.target_states[fold], design.target, base_of(design, fold, rows), spread_of(design, fold, rows)
    )


def predictions(design: Design, fold: int, rows: Integers | slice, outputs: Floats) -> Floats:
    """Outputs on rows of the design, in the target's own scale."""
    return to_target(design.target_states[fold], outputs, base_of(design, fold, rows), spread_of(design, fold, rows))


def predictions_of(design: Design, fold: int, rows: Encoded, outputs: Floats) -> Floats:
    """Outputs on any rows, in the target's own scale."""
    return to_target(design.target_states[fold], outputs, rows.base, rows.spread)


def base_of(design: Design, fold: int, rows: Integers | slice) -> Floats | None:
    """What is taken from the transformed target of rows of the design, as the fold sees them; None where nothing is."""
    base = design.overlays[fold].base if fold < len(design.overlays) else design.rows.base
    return None if base is None else base[rows]


def unit_of(design: Design, fold: int, rows: Integers | slice) -> Floats | float:
    """What an output of 1 more adds to the transformed target."""
    state = design.target_states[fold]
    return state.scale * divisor(state, spread_of(design, fold, rows))


def spread_of(design: Design, fold: int, rows: Integers | slice) -> Floats | None:
    """What the rest is divided by, as the fold sees it; None where it is not."""
    spread = design.overlays[fold].spread if fold < len(design.overlays) else design.rows.spread
    return None if spread is None else spread[rows]
