"""Columns to numbers: scaled numerics, 0 for missing, one-hot or hashed texts with an indicator for missing.

`fit_features(rows) -> state`, `apply_features(state, rows) -> matrix`: fitting looks at the rows it is given and at
nothing else, applying looks at the state and nothing else.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.tables import Encoded, FeatureState
from pipeline.tabular.scaling import APPLIED_CELLS, fit_column, fit_whitening, scaled_column, whitened
from pipeline.tabular.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Preprocess
    from pipeline.tables import Codes, Design, Floats, Integers, Overlay, Singles, Whitening

MISSING = -1
UNKNOWN = -2
GROUPED_NAME, MISSING_NAME, HASHED_NAME = "(rare)", "nan", "(hash {})"


def vocabulary_of(frame: pd.DataFrame, categorical: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Every level of each text column, sorted: names for codes, not statistics."""
    return tuple(tuple(str(level) for level in frame[name].cat.categories) for name in categorical)


def encode(
    frames: Sequence[pd.DataFrame],
    numbers: Mapping[str, Sequence[Floats]],
    categorical: Sequence[str],
    vocabulary: Sequence[Sequence[str]],
) -> Encoded:
    """Stack frames, one below the other, as numbers and codes; a level outside the vocabulary becomes UNKNOWN.

    numbers: numeric column -> its values in each frame.
    """
    total = sum(len(frame) for frame in frames)
    numeric = np.empty((total, len(numbers)), order="F")
    codes = np.empty((total, len(categorical)), dtype=np.int32, order="F")
    side_by_side(lambda at: np.concatenate(list(at[1]), out=numeric[:, at[0]]), enumerate(numbers.values()))
    for position, (name, levels) in enumerate(zip(categorical, vocabulary, strict=True)):
        np.concatenate([_codes(frame[name], levels) for frame in frames], out=codes[:, position])
    return Encoded(numeric, codes)


def _codes(column: pd.Series[str], levels: Sequence[str]) -> Codes:
    own = column.cat.categories
    codes: Codes = column.cat.codes.to_numpy().astype(np.int32)
    if len(own) == len(levels) and all(a == b for a, b in zip(own, levels, strict=True)):
        return codes
    found = pd.Index(np.array(levels, dtype=object)).get_indexer(np.array(own, dtype=object))
    return np.append(np.where(found < 0, UNKNOWN, found), MISSING).astype(np.int32)[codes]


def take(rows: Encoded, index: Integers | slice) -> Encoded:
    """The chosen rows."""
    base, spread = (None if of is None else of[index] for of in (rows.base, rows.spread))
    return Encoded(rows.numeric[index], rows.codes[index], base, spread)


def overlaid(rows: Encoded, overlay: Overlay) -> Encoded:
    """All rows of a design as one fold sees them."""
    numeric = rows.numeric.copy(order="F")
    numeric[overlay.rows[:, None], overlay.columns] = overlay.numeric
    return Encoded(numeric, rows.codes, overlay.base, overlay.spread)


def rows_of(design: Design, fold: int, index: Integers | slice) -> Encoded:
    """The chosen rows of a design as one fold sees them; as the fit on every training row does, where fold is K."""
    rows = take(design.rows, index)
    if not design.overlays or fold >= len(design.overlays):
        return rows
    overlay, total = design.overlays[fold], len(design.rows.numeric)
    wanted = np.arange(total)[index]
    place = np.searchsorted(overlay.rows, wanted).clip(max=max(len(overlay.rows) - 1, 0))
    seen = np.flatnonzero(overlay.rows[place] == wanted) if len(overlay.rows) else np.zeros(0, dtype=np.int64)
    numeric = rows.numeric.copy(order="F")
    numeric[seen[:, None], overlay.columns] = overlay.numeric[place[seen]]
    base, spread = (None if of is None else of[index] for of in (overlay.base, overlay.spread))
    return Encoded(numeric, rows.codes, base, spread)


def fit_features(
    rows: Encoded, vocabulary: Sequence[Sequence[str]], index: Integers, options: Preprocess
) -> FeatureState:
    """Learn, from the rows that `index` names, centres, spreads, fills, quantiles, components and levels with a column.

    A level on fewer than `min_frequency` of these rows joins one column for rare levels; a column with more than
    `max_levels` levels is hashed, and nothing is learned of it.
    """
    numeric = side_by_side(
        lambda position: fit_column(rows.numeric[:, position][index], len(index), options),
        range(rows.numeric.shape[1]),
    )
    kept, grouped = _fit_levels(rows.codes, vocabulary, index, options)
    state = FeatureState(
        fill=np.array([own.fill for own in numeric], dtype=np.float64),
        log1p=np.array([own.log1p for own in numeric], dtype=bool),
        mean=np.array([own.mean for own in numeric], dtype=np.float64),
        scale=np.array([own.scale for own in numeric], dtype=np.float64),
        missing=np.array([own.missing for own in numeric], dtype=bool),
        quantiles=np.array([own.quantiles for own in numeric], dtype=np.float64).T if numeric else np.zeros((0, 0)),
        lowest=np.array([own.lowest for own in numeric], dtype=np.float64),
        highest=np.array([own.highest for own in numeric], dtype=np.float64),
        levels=kept,
        grouped=grouped,
    )
    if options.scaler != "pca_whiten":
        return state
    return replace(state, whitening=fit_whitening(state, rows.numeric, index, options.components))


def _fit_levels(
    codes: Codes, vocabulary: Sequence[Sequence[str]], index: Integers, options: Preprocess
) -> tuple[tuple[tuple[str, ...], ...], tuple[bool, ...]]:
    """Per text column: the levels with a column of their own, and whether rare ones share a further one."""
    counted = side_by_side(
        lambda position: _count_levels(codes[:, position][index], vocabulary[position]), range(len(vocabulary))
    )
    kept: list[tuple[str, ...]] = []
    grouped: list[bool] = []
    for levels, occurs in zip(vocabulary, counted, strict=True):
        hashed = buckets_of(levels, options) > 0
        enough = occurs >= max(options.min_frequency, 1)
        kept.append(() if hashed else tuple(level for level, many in zip(levels, enough, strict=True) if many))
        grouped.append(not hashed and bool(((occurs > 0) & ~enough).any()))
    return tuple(kept), tuple(grouped)


def _count_levels(codes: Codes, levels: Sequence[str]) -> Integers:
    return np.bincount(codes[codes >= 0], minlength=len(levels))


def buckets_of(levels: Sequence[str], options: Preprocess) -> int:
    """Columns that a text column's levels are hashed into; 0 where each level has its own."""
    return options.hash_buckets if len(levels) > options.max_levels else 0


def column_names(
    states: Sequence[FeatureState],
    numeric: Sequence[str],
    categorical: Sequence[str],
    *,
    hashed: Sequence[int],
    dummy_na: bool,
) -> tuple[str, ...]:
    """The union of the states' columns: numerics, their indicators, then each text's levels, rare ones, missing.

    Components stand in place of numerics, as many as the fit with the most has; the last are 0 in a fit with fewer.
    """
    # the least would let one fold's rows, validation rows of another, take that one's components away
    names = list(numeric) if states[0].whitening is None else [f"pca_{at + 1}" for at in range(_components(states))]
    names += [f"{numeric[position]}_{MISSING_NAME}" for position in _indicated(states)]
    for position, name in enumerate(categorical):
        names.extend(f"{name}_{level}" for level in _union_levels(states, position))
        names.extend(f"{name}_{HASHED_NAME.format(bucket)}" for bucket in range(hashed[position]))
        if any(state.grouped[position] for state in states):
            names.append(f"{name}_{GROUPED_NAME}")
        if dummy_na:
            names.append(f"{name}_{MISSING_NAME}")
    return tuple(names)


def matrix_for(design: Design, state: int, rows: Encoded) -> Singles:
    """The matrix [R, D] float32 that the given fit (a fold, or K for all training rows) makes of `rows`.

    A column that this fit did not learn is 0 on every row, so that networks of all folds share one shape. A level it
    never saw goes to the column of rare levels, or nowhere if it has none.
    """
    own = design.states[state]
    matrix = np.zeros((len(rows.numeric), len(design.columns)), dtype=np.float32)
    if own.whitening is None:
        at = rows.numeric.shape[1]
        for position in range(at):
            matrix[:, position] = scaled_column(own, position, rows.numeric[:, position], design.smooth_clip)
    else:
        at = _components(design.states)
        _put_components(own, own.whitening, rows.numeric, design.smooth_clip, matrix)
    for position in _indicated(design.states):
        matrix[:, at] = np.isnan(rows.numeric[:, position]) if own.missing[position] else 0.0
        at += 1
    for position, levels in enumerate(design.vocabulary):
        width, column_of_code = _text_columns(design, own, position, levels)
        column = column_of_code[rows.codes[:, position]]
        known = np.flatnonzero(column >= 0)
        matrix[known, at + column[known]] = 1.0
        at += width
    return matrix


def _put_components(
    state: FeatureState, whitening: Whitening, numeric: Floats, smooth_clip: float, matrix: Singles
) -> None:
    """Write the fit's components into the first columns of a matrix, a few rows at a time: no second one in memory."""
    step = max(APPLIED_CELLS // max(numeric.shape[1], 1), 1)

    def put(start: int) -> None:
        block = whitened(state, whitening, numeric[start : start + step], smooth_clip)
        matrix[start : start + step, : block.shape[1]] = block

    side_by_side(put, range(0, len(numeric), step))


def sources_of(design: Design, state: int, column: int, count: int = 3) -> tuple[tuple[str, float], ...]:
    """Which numeric columns weigh most in a column of the matrix under one fit, with their loadings, largest first.

    column: its position in `Design.columns`. One that is no component is its own source, with a loading of 1; a
    component that this fit does not have is 0 and has none.
    """
    whitening = design.states[state].whitening
    if whitening is None or column >= _components(design.states):
        return ((design.columns[column], 1.0),)
    if column >= len(whitening.variance):
        return ()
    loadings = whitening.loadings[:, column]
    largest = np.argsort(-np.abs(loadings), kind="stable")[:count]
    return tuple((design.numeric[position], float(loadings[position])) for position in largest)


def _components(states: Sequence[FeatureState]) -> int:
    return max(0 if state.whitening is None else len(state.whitening.variance) for state in states)


def _text_columns(design: Design, state: FeatureState, position: int, levels: Sequence[str]) -> tuple[int, Integers]:
    """How many columns a text has, and the one of each code: the levels, then UNKNOWN, then MISSING; -1: none."""
    buckets = design.hashed[position]
    union = _union_levels(design.states, position)
    has_group = any(other.grouped[position] for other in design.states)
    width = len(union) + buckets + has_group + design.dummy_na
    rare = len(union) if state.grouped[position] else -1
    if buckets:
        columns = [zlib.crc32(level.encode()) % buckets for level in levels]
    else:
        place = {level: column for column, level in enumerate(union)}
        own = set(state.levels[position])
        columns = [place[level] if level in own else rare for level in levels]
    # codes count from the end: -1 is missing, -2 unknown
    return width, np.array([*columns, rare, width - 1 if design.dummy_na else -1], dtype=np.int64)


def _indicated(states: Sequence[FeatureState]) -> list[int]:
    return [int(p) for p in np.flatnonzero(np.logical_or.reduce([state.missing for state in states]))]


def _union_levels(states: Sequence[FeatureState], position: int) -> tuple[str, ...]:
    return tuple(sorted(set().union(*(state.levels[position] for state in states))))
