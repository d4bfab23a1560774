"""What every forecast has to beat that costs next to nothing: ridge regression on the lag window, fold by fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tabular.bases import base_of
from pipeline.tabular.differences import RIDGE
from pipeline.tabular.past import ELEMENTWISE, LAST_VALUE, in_scale, naive_forecasts, training_origins, without
from pipeline.tabular.replay import AHEAD
from pipeline.tabular.targets import BACKWARD
from pipeline.tabular.window_ridge import fit_window_ridge, ridge_forecasts, window_length

if TYPE_CHECKING:
    from pipeline.tables import Booleans, Design, Floats, Integers
    from pipeline.timeline import Known, Timeline, WindowRidge

WINDOW = "ridge window"


def window_forecasts(timeline: Timeline, design: Design) -> Floats | None:
    """Forecasts of all training rows by each fold [K, N]; None where the series are too short for a window.

    Fitted as networks are: on what a fold may see, and in layouts that train on the past alone, up to where it trains.
    """
    transform = design.target_states[-1].transform
    known, origin = in_scale(timeline.known, transform), training_origins(timeline)
    forecasts = np.full((design.folds.count, len(design.target)), np.nan)
    is_taken = design.taken is not None and design.taken.difference == RIDGE
    for fold, (train, valid) in enumerate(zip(design.folds.train, design.folds.valid, strict=True)):
        own = origin.copy()
        own[valid] = design.valid_origins[fold]
        found = base_of(design, fold, np.arange(len(own))) if is_taken else None
        if found is None:
            model = fitted_window(timeline, known, design.hidden[fold], train)
            if model is None:
                return None
            found = ridge_forecasts(model, without(known, design.hidden[fold]), timeline.train, own)
        found = BACKWARD[transform](found) if transform in ELEMENTWISE else found
        naive = naive_forecasts(timeline, without(timeline.known, design.hidden[fold]), timeline.train, own)
        forecasts[fold] = np.where(np.isfinite(found), found, naive[LAST_VALUE])
    return forecasts


def fitted_window(timeline: Timeline, known: Known, hidden: Booleans, train: Integers) -> WindowRidge | None:
    """The map that networks on these training rows may begin from; None where the series are too short for a window.

    known: in the scale of the transformed target; hidden: what of it they may not see.
    """
    is_ahead = timeline.layout in AHEAD or timeline.only_past
    until = timeline.train.step[train].max() if is_ahead else known.step.max()
    learned = without(known, hidden | (known.step > until))
    horizon = int((timeline.test.step - timeline.test_origin).max())
    return fit_window_ridge(learned, length=window_length(timeline.clock.seasons, learned), horizon=horizon)
