"""One column of numbers: what is learned of it, and what it becomes under that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

if TYPE_CHECKING:
    from pipeline.settings import Preprocess
    from pipeline.tables import FeatureState, Floats

LARGEST_SCORE = 1e9  # a z-score beyond this is a fault of the data; its square still fits into float32
FEWEST_QUANTILES, MOST_QUANTILES, ROWS_A_QUANTILE = 10, 1000, 30
PROBABILITY_END = 1e-7  # the outermost probabilities that a normal quantile is taken of


def fit_column(column: Floats, rows: int, options: Preprocess) -> tuple[float, bool, float, float, bool, Floats]:
    """Fill, whether to take logs, centre, 1 / spread, whether values are missing, and quantiles of one column."""
    absent = np.isnan(column)
    present = column[~absent] if absent.any() else column
    missing = options.indicators and len(present) < rows
    if not len(present):
        return np.nan, False, 0.0, 0.0, missing, _quantiles(present, rows, options)
    filled = _fill(present, options.impute)
    logged = options.log1p_skew > 0 and present.min() >= 0 and _skewness(present) > options.log1p_skew
    present = np.log1p(present) if logged else present
    centre, spread = _centre_and_spread(present, options.scaler)
    # a constant column keeps rounding noise as its spread: dividing by it would turn noise into signal
    varies = spread > 1e-12 * max(abs(centre), 1e-290)
    return filled, logged, centre, 1.0 / spread if varies else 0.0, missing, _quantiles(present, rows, options)


def _fill(present: Floats, impute: str) -> float:
    if impute == "zero":
        return np.nan
    return float(np.mean(present) if impute == "mean" else np.median(present))


def _centre_and_spread(present: Floats, scaler: str) -> tuple[float, float]:
    if scaler == "zscore":
        mean = float(present.mean())
        centred = present - mean
        # no dot product: BLAS would start threads of its own within each of ours
        return mean, float(np.sqrt(np.square(centred, out=centred).sum() / max(len(present) - 1, 1)))
    lowest, highest = float(present.min()), float(present.max())
    if scaler in ("none", "quantile_normal"):
        return 0.0, 1.0 if highest > lowest else 0.0
    if scaler == "minmax":
        return lowest, highest - lowest
    low, median, high = np.quantile(present, [0.25, 0.5, 0.75])
    return float(median), float(high - low) or (highest - lowest) / 2


def _skewness(present: Floats) -> float:
    centred = present - present.mean()
    spread = np.sqrt(np.mean(centred**2))
    return float(np.mean(centred**3) / spread**3) if spread > 0 else 0.0


def _quantiles(present: Floats, rows: int, options: Preprocess) -> Floats:
    if options.scaler != "quantile_normal":
        return np.empty(0)
    count = int(np.clip(rows // ROWS_A_QUANTILE, FEWEST_QUANTILES, MOST_QUANTILES))
    if not len(present):
        return np.zeros(count)
    # interpolation can fall by one rounding
    return np.maximum.accumulate(np.quantile(present, np.linspace(0, 1, count)))


def scaled_column(state: FeatureState, position: int, column: Floats, smooth_clip: float) -> Floats:
    """The column under what was learned of it; 0 where a missing value was not filled. No infinity, no NaN."""
    if not np.isnan(state.fill[position]):
        column = np.where(np.isnan(column), state.fill[position], column)
    if state.log1p[position]:
        # an unseen number below 0 has no logarithm here: it is taken as 0, the smallest that was seen fit
        column = np.log1p(np.maximum(column, 0.0))
    if len(state.quantiles):
        column = _normal_scores(column, state.quantiles[:, position])
    with np.errstate(over="ignore"):  # beyond the largest score anyway
        scaled = (column - state.mean[position]) * state.scale[position]
    scaled = np.where(np.isnan(scaled), 0.0, np.clip(scaled, -LARGEST_SCORE, LARGEST_SCORE))
    if smooth_clip:
        scaled /= np.sqrt(1.0 + (scaled / smooth_clip) ** 2)
    return scaled


def _normal_scores(column: Floats, quantiles: Floats) -> Floats:
    """Ranks among the quantiles, as quantiles of a normal distribution; ties take the middle (scikit-learn's way)."""
    steps = np.linspace(0, 1, len(quantiles))
    upper = np.interp(column, quantiles, steps)
    lower = -np.interp(-column, -quantiles[::-1], -steps[::-1])
    scores: Floats = norm.ppf(np.clip((upper + lower) / 2, PROBABILITY_END, 1 - PROBABILITY_END))
    return scores
