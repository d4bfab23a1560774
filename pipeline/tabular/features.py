"""Columns to numbers: z-score numerics, 0 for missing, one-hot texts with an indicator for missing.

`fit_features(rows) -> state`, `apply_features(state, rows) -> matrix`: fitting looks at the rows it is given and at
nothing else, applying looks at the state and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.tables import Encoded, FeatureState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Design, Integers, Singles

MISSING = -1
UNKNOWN = -2
LARGEST_SCORE = 1e9  # a z-score beyond this is a fault of the data; its square still fits into float32
GROUPED_NAME = "(rare)"
MISSING_NAME = "nan"


def vocabulary_of(frame: pd.DataFrame, categorical: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Every level of each text column, sorted: names for codes, not statistics."""
    return tuple(tuple(sorted(frame[name].dropna().unique())) for name in categorical)


def encode(
    frame: pd.DataFrame, numeric: Sequence[str], categorical: Sequence[str], vocabulary: Sequence[Sequence[str]]
) -> Encoded:
    """Turn a typed frame into numbers and codes; a level outside the vocabulary becomes UNKNOWN."""
    numbers = frame[list(numeric)].to_numpy(dtype=np.float64) if numeric else np.zeros((len(frame), 0))
    codes = np.full((len(frame), len(categorical)), MISSING, dtype=np.int64)
    for position, (name, levels) in enumerate(zip(categorical, vocabulary, strict=True)):
        present = frame[name].notna().to_numpy()
        found = pd.Index(np.array(levels, dtype=object)).get_indexer(np.array(frame[name], dtype=object))
        codes[:, position] = np.where(present, np.where(found < 0, UNKNOWN, found), MISSING)
    return Encoded(numbers, codes)


def take(rows: Encoded, index: Integers) -> Encoded:
    """The chosen rows."""
    return Encoded(rows.numeric[index], rows.codes[index])


def fit_features(rows: Encoded, vocabulary: Sequence[Sequence[str]], *, min_frequency: int) -> FeatureState:
    """Learn means, standard deviations (ddof 1) and which levels get a column.

    A level on fewer than `min_frequency` of these rows joins one column for rare levels.
    """
    present = np.isfinite(rows.numeric)
    counts = present.sum(axis=0)
    mean = np.where(present, rows.numeric, 0.0).sum(axis=0) / np.maximum(counts, 1)
    squares = (np.where(present, rows.numeric - mean, 0.0) ** 2).sum(axis=0)
    spread = np.sqrt(squares / np.maximum(counts - 1, 1))
    # a constant column keeps rounding noise as its spread: dividing by it would turn noise into signal
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    scale = np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)
    kept: list[tuple[str, ...]] = []
    grouped: list[bool] = []
    for position, levels in enumerate(vocabulary):
        codes = rows.codes[:, position]
        occurs = np.bincount(codes[codes >= 0], minlength=len(levels))
        kept.append(tuple(level for level, n in zip(levels, occurs, strict=True) if n >= max(min_frequency, 1)))
        grouped.append(bool(((occurs > 0) & (occurs < min_frequency)).any()))
    return FeatureState(mean, scale, tuple(kept), tuple(grouped))


def column_names(
    states: Sequence[FeatureState], numeric: Sequence[str], categorical: Sequence[str], *, dummy_na: bool
) -> tuple[str, ...]:
    """The union of the states' columns: numerics, then per text column its levels, rare ones, missing."""
    names = list(numeric)
    for position, name in enumerate(categorical):
        names.extend(f"{name}_{level}" for level in _union_levels(states, position))
        if any(state.grouped[position] for state in states):
            names.append(f"{name}_{GROUPED_NAME}")
        if dummy_na:
            names.append(f"{name}_{MISSING_NAME}")
    return tuple(names)


def apply_features(
    state: FeatureState,
    rows: Encoded,
    vocabulary: Sequence[Sequence[str]],
    *,
    states: Sequence[FeatureState],
    dummy_na: bool,
    smooth_clip: float = 0.0,
) -> Singles:
    """Build the matrix [R, D] float32 of `state`, laid out on the union columns of `states`.

    A column that this state did not learn is 0 on every row, so that networks of all folds share one shape.
    smooth_clip: bend z-scores so that they stay within it (Holzmueller et al. 2024); 0 leaves them as they are.
    A level this state never saw goes to the column of rare levels, or nowhere if it has none.
    """
    scaled = (rows.numeric - state.mean) * state.scale
    scaled = np.where(np.isfinite(scaled), np.clip(scaled, -LARGEST_SCORE, LARGEST_SCORE), 0.0)
    if smooth_clip:
        scaled /= np.sqrt(1.0 + (scaled / smooth_clip) ** 2)
    blocks = [scaled.astype(np.float32)]
    for position, levels in enumerate(vocabulary):
        union = _union_levels(states, position)
        has_group_column = any(other.grouped[position] for other in states)
        width = len(union) + has_group_column + dummy_na
        nowhere = width  # one spare column, cut off again below
        rare = len(union) if state.grouped[position] else nowhere
        place = {level: column for column, level in enumerate(union)}
        own = set(state.levels[position])
        column_of_code = np.array([place[level] if level in own else rare for level in levels], dtype=np.int64)
        codes = rows.codes[:, position]
        known = codes >= 0
        column = np.full(len(codes), rare, dtype=np.int64)
        column[known] = column_of_code[codes[known]]
        column[codes == MISSING] = width - 1 if dummy_na else nowhere
        block = np.zeros((len(codes), width + 1), dtype=np.float32)
        block[np.arange(len(codes)), column] = 1.0
        blocks.append(block[:, :width])
    return np.concatenate(blocks, axis=1)


def matrix_for(design: Design, state: int, rows: Encoded) -> Singles:
    """The matrix [R, D] float32 that the given fit (a fold, or K for all training rows) makes of `rows`."""
    return apply_features(
        design.states[state],
        rows,
        design.vocabulary,
        states=design.states,
        dummy_na=design.dummy_na,
        smooth_clip=design.smooth_clip,
    )


def _union_levels(states: Sequence[FeatureState], position: int) -> tuple[str, ...]:
    return tuple(sorted(set().union(*(state.levels[position] for state in states))))
