"""Columns of numbers, scaled one by one and then, where asked for, rotated together into whitened components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from pipeline.tables import Whitening
from pipeline.tabular.threads import side_by_side

if TYPE_CHECKING:
    from pipeline.settings import Preprocess
    from pipeline.tables import FeatureState, Floats, Integers

LARGEST_SCORE = 1e9  # a z-score beyond this is a fault of the data; its square still fits into float32
FEWEST_QUANTILES, MOST_QUANTILES, ROWS_A_QUANTILE = 10, 1000, 30
PROBABILITY_END = 1e-7  # the outermost probabilities that a normal quantile is taken of
SMALLEST_VARIANCE = 1e-10  # of a component, as a share of the largest: less is rounding, of float32 files too
EQUAL_LOADINGS = 1e-9  # loadings that differ by a smaller share are equal: rounding must not choose a sign
APPLIED_CELLS, SUMMED_CELLS = 1 << 17, 1 << 20  # numbers worked on at a time: 1 MB to apply, 8 MB to fit


@dataclass(frozen=True, slots=True)
class FittedColumn:
    """What a fit learned of one column; the arrays of `FeatureState` hold the same by these names."""

    fill: float
    log1p: bool
    mean: float
    scale: float
    missing: bool
    quantiles: Floats
    lowest: float
    highest: float


def fit_column(column: Floats, rows: int, options: Preprocess) -> FittedColumn:
    """Learn one column from its rows of the fit."""
    absent = np.isnan(column)
    present = column[~absent] if absent.any() else column
    missing = options.indicators and len(present) < rows
    if not len(present):
        nothing = _quantiles(present, rows, options)
        return FittedColumn(np.nan, False, 0.0, 0.0, missing, nothing, -np.inf, np.inf)
    filled = _fill(present, options.impute)
    lowest, highest = (float(present.min()), float(present.max())) if options.clip_unseen else (-np.inf, np.inf)
    logged = options.log1p_skew > 0 and present.min() >= 0 and _skewness(present) > options.log1p_skew
    present = np.log1p(present) if logged else present
    centre, spread = _centre_and_spread(present, options.scaler)
    # a constant column keeps rounding noise as its spread: dividing by it would turn noise into signal
    scale = 1.0 / spread if spread > 1e-12 * max(abs(centre), 1e-290) else 0.0
    return FittedColumn(filled, logged, centre, scale, missing, _quantiles(present, rows, options), lowest, highest)


def _fill(present: Floats, impute: str) -> float:
    if impute == "zero":
        return np.nan
    return float(np.mean(present) if impute == "mean" else np.median(present))


def _centre_and_spread(present: Floats, scaler: str) -> tuple[float, float]:
    if scaler in ("zscore", "pca_whiten"):
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
    if state.highest[position] < np.inf:
        column = np.clip(column, state.lowest[position], state.highest[position])
    if not np.isnan(state.fill[position]):
        column = np.where(np.isnan(column), state.fill[position], column)
    if state.log1p[position]:
        # an unseen number below 0 has no logarithm here: it is taken as 0, the smallest that was seen fit
        column = np.log1p(np.maximum(column, 0.0))
    if len(state.quantiles):
        column = _normal_scores(column, state.quantiles[:, position])
    with np.errstate(over="ignore"):  # beyond the largest score anyway
        scaled = (column - state.mean[position]) * state.scale[position]
    return _bounded(scaled, smooth_clip)


def _bounded(scaled: Floats, smooth_clip: float) -> Floats:
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


def fit_whitening(state: FeatureState, numeric: Floats, index: Integers, most: int) -> Whitening:
    """Principal components of the scaled columns on the rows that `index` names, the one of largest variance first.

    most: largest number of components; 0: all that carry variance. Constant columns, copies and sums of others carry
    none of their own. Equal rows give equal bytes, whatever the number of threads.
    """
    # a pass for the means alone: taken off the summed squares afterwards, they would leave rounding as variance
    means = side_by_side(
        lambda at: float(scaled_column(state, at, numeric[:, at][index], 0.0).sum()) / max(len(index), 1),
        range(numeric.shape[1]),
    )
    centre = np.array(means, dtype=np.float64)
    # one thread: BLAS rounds sums otherwise with two
    with threadpool_limits(1, user_api="blas"):
        variance, loadings = np.linalg.eigh(_covariance(state, numeric, index, centre))
    variance, loadings = variance[::-1], loadings[:, ::-1]
    kept = int((variance > SMALLEST_VARIANCE * variance.max(initial=0.0)).sum())
    kept = min(kept, most) if most else kept
    return Whitening(
        centre=centre,
        loadings=_signed(loadings[:, :kept]),
        variance=variance[:kept].copy(),
        share=float(variance[:kept].sum() / np.maximum(variance, 0.0).sum()) if kept else 0.0,
    )


def _covariance(state: FeatureState, numeric: Floats, index: Integers, centre: Floats) -> Floats:
    columns = numeric.shape[1]
    summed = np.zeros((columns, columns))
    step = max(SUMMED_CELLS // max(columns, 1), 1)
    for start in range(0, len(index), step):
        scores = _centred_scores(state, numeric, index[start : start + step], centre)
        summed += scores @ scores.T
    return summed / max(len(index) - 1, 1)


def _centred_scores(state: FeatureState, numeric: Floats, rows: Integers | slice, centre: Floats) -> Floats:
    """Scaled columns less their means [numeric columns, rows]."""
    scores = np.empty((len(centre), len(numeric[rows, :0])))
    for at, mean in enumerate(centre):
        np.subtract(scaled_column(state, at, numeric[:, at][rows], 0.0), mean, out=scores[at])
    return scores


def _signed(loadings: Floats) -> Floats:
    """Each component turned so that its largest loading, the first of equal ones, is above 0."""
    if not loadings.size:
        return np.zeros(loadings.shape)
    size = np.abs(loadings)
    first = (size >= (1 - EQUAL_LOADINGS) * size.max(axis=0)).argmax(axis=0)
    return np.ascontiguousarray(loadings * np.sign(loadings[first, np.arange(loadings.shape[1])]))


def whitened(state: FeatureState, whitening: Whitening, numeric: Floats, smooth_clip: float) -> Floats:
    """Components [rows, components] of the rows of `numeric`, each of unit variance on the rows of the fit.

    A row's numbers are the same, bit for bit, alone and beside any others. No infinity, no NaN.
    """
    scores = _centred_scores(state, numeric, slice(None), whitening.centre)
    components = np.zeros((len(whitening.variance), len(numeric)))
    term = np.empty_like(components)
    # no matrix product: BLAS adds up a row in an order that depends on how many rows there are
    for column, weights in zip(scores, whitening.loadings / np.sqrt(whitening.variance), strict=True):
        np.multiply(weights[:, None], column, out=term)
        components += term
    return _bounded(components, smooth_clip).T
