"""The outermost numbers of each column, and those so far out that they are hardly right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.tables import Notice
from pipeline.tabular.scaling import scaled_column
from pipeline.tabular.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.settings import Preprocess
    from pipeline.tables import Dataset, Encoded, FeatureState, Floats, Integers

FAR_OUT = 1e3  # a scaled number beyond this is hardly right: a z-score needs a million rows to get there
FEWEST_ROWS = 10  # of which one can be told from the others
CONSTANT = 1e-12  # spread in multiples of the mean: less is rounding
FURTHEST = 1e9  # as far as scaling lets anything go


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


def far_from_the_others(column: Floats, rows: Integers) -> tuple[int, float]:
    """Of `rows`, the one furthest from the mean, and how many spreads of all others it is away from theirs.

    -1 and 0 where the others do not vary: a rare flag is no number far out. Squares of huge numbers do not overflow.
    """
    rows = rows[~np.isnan(column[rows])]
    if len(rows) < FEWEST_ROWS:
        return -1, 0.0
    own = column[rows]
    size = float(np.abs(own).max()) or 1.0
    at = int(np.argmax(np.abs(own / size - (own / size).mean())))
    others = np.delete(own, at)
    size = float(np.abs(others).max()) or 1.0
    others = others / size
    spread = float(others.std())
    if not spread > CONSTANT * abs(float(others.mean())):
        return -1, 0.0
    with np.errstate(over="ignore"):  # beyond the furthest anyway
        away = abs(own[at] / size - others.mean()) / spread
    return int(rows[at]), float(min(away, FURTHEST))


def furthest_out(
    column: Floats, position: int, states: Sequence[FeatureState], folds: Sequence[Integers], fitted: Integers
) -> tuple[int, float]:
    """The row whose number is furthest out: among all others that train, or scaled by rows that it is none of.

    states: of each fold and, last, of all rows that train (`fitted`); folds: the rows that each fold scores.
    """
    every = np.arange(len(column))
    found = [outermost(state, position, column, rows) for state, rows in zip(states, [*folds, every], strict=True)]
    return max([*found, far_from_the_others(column, fitted)], key=lambda end: abs(end[1]))


def far_out_notices(
    encoded: Encoded,
    dataset: Dataset,
    states: Sequence[FeatureState],
    rows: Sequence[Integers],  # those that each fold scores and, last, those that train
    numeric: Sequence[str],
    options: Preprocess,
) -> Iterator[Notice]:
    """Numbers beyond all others: under their own scaling nothing else of the column is left, under another's they rule.

    Ranks are never far out, and numbers that the user wants unscaled are compared with each other only.
    """
    if options.scaler == "quantile_normal":
        return
    *folds, fitted = rows
    states = [replace(state, highest=np.full_like(state.highest, np.inf)) for state in states]  # as if none were cut
    fitted = np.arange(len(encoded.numeric)) if options.fit_on == "all" else fitted
    is_bent = bool(options.smooth_clip) or options.scaler == "none"
    N = len(dataset.target)

    def furthest(position: int) -> tuple[int, float]:
        column = encoded.numeric[:, position]
        return far_from_the_others(column, fitted) if is_bent else furthest_out(column, position, states, folds, fitted)

    found = side_by_side(furthest, range(len(numeric)))
    for position, (name, (row, away)) in enumerate(zip(numeric, found, strict=True)):
        if abs(away) < FAR_OUT:
            continue
        table, row_id = ("train", dataset.train_ids[row]) if row < N else ("test", dataset.test_ids[row - N])
        remedy = "" if is_bent else ", or set [preprocess] smooth_clip = 3"
        value = encoded.numeric[row, position]
        text = (
            f"{value:.6g} for id {str(row_id)!r} of {table} is far out ({abs(away):.3g} when scaled by other rows): "
            f"correct or blank it{remedy}"
        )
        yield Notice(name, text, 0)
