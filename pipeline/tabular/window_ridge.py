"""Ridge regression on a window of a series minus its last value: one map for each step ahead, shared by all series.

As good as published deep models on long-horizon benchmarks (Toner and Darlow 2024, "An Analysis of Linear Time Series
Forecasting Models"); on ETTh1 see benchmarks/window.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.timeline import UNKNOWN_SERIES, WindowRidge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.tables import Floats, Integers
    from pipeline.timeline import Known, Moments

STRENGTHS = np.logspace(0, 5, 11)  # of the penalty, for windows in units of their series' spread
LATE_SHARE = 0.2  # of the windows, the latest, by which the penalty is chosen
MOST_WINDOWS = 200_000
ROWS_AT_A_TIME = 8192
LONGEST_WINDOW = 1024  # steps: a map of it is fitted in a second, one of two weeks of minutes not in a day
LONGEST_SHARE = 3  # of a window: the span of the longest series divided by this


@dataclass(frozen=True, slots=True)
class _Line:
    """One series on an even grid from its first known step to its last, gaps filled with the value before them."""

    first: int
    values: Floats


def window_length(seasons: Sequence[int], known: Known) -> int:
    """Two of the longest seasons, but no more than a third of the longest series, nor than 1,024 steps.

    0 where that leaves no window.
    """
    lines = _lines(known)
    longest = max((len(line.values) for line in lines.values()), default=0)
    length = min(2 * max(seasons, default=12), longest // LONGEST_SHARE, LONGEST_WINDOW)
    return length if length > 1 else 0


def fit_window_ridge(known: Known, *, length: int, horizon: int) -> WindowRidge | None:
    """Fit on every window of `length` steps that `horizon` further ones follow; None where there is none.

    known: its first column, up to whatever may be learned from. At most 200,000 windows, evenly spread. The penalty is
    the best on the latest fifth of the windows, of a map fitted on the others; the map is fitted anew on all.
    """
    lines = _lines(known)
    spread = np.full(int(known.series.max(initial=-1)) + 1, np.nan)
    for series, line in lines.items():
        size = float(np.std(line.values))
        spread[series] = size if size > 0 else np.nan
    used = {series: line for series, line in lines.items() if np.isfinite(spread[series])}
    counts = {series: len(line.values) - length - horizon + 1 for series, line in used.items()}
    total = sum(count for count in counts.values() if count > 0)
    if length < 2 or horizon < 1 or total < 2:
        return None
    every = -(-total // MOST_WINDOWS)
    begins = np.concatenate([used[s].first + np.arange(0, count, every) for s, count in counts.items() if count > 0])
    late = np.quantile(begins, 1 - LATE_SHARE)
    sums = [_Sums(length, horizon), _Sums(length, horizon)]
    for series, line in used.items():
        scaled = line.values / spread[series]
        for begin in _pieces(np.arange(0, max(counts[series], 0), every)):
            is_late = line.first + begin >= late
            for place, own in enumerate((begin[~is_late], begin[is_late])):
                sums[place].add(scaled, own)
    # of equals the strongest: where nothing is early enough to choose by, all are
    strength = min(STRENGTHS[::-1], key=lambda one: sums[1].loss(sums[0].solved(float(one))))
    both = _Sums(length, horizon)
    both.gram, both.cross = sums[0].gram + sums[1].gram, sums[0].cross + sums[1].cross
    return WindowRidge(both.solved(float(strength)), spread, float(strength))


def ridge_forecasts(model: WindowRidge, known: Known, moments: Moments, origin: Integers) -> Floats:
    """Forecasts [R] from the window that ends at each row's origin; NaN beyond the horizon, and where nothing is known.

    A window that begins before its series goes on with the first value, one that ends behind it with the last.
    """
    length, horizon = model.weights.shape
    lines, age = _lines(known), moments.step - origin
    by_step = np.ascontiguousarray(model.weights.T)
    found = np.full(len(origin), np.nan)
    order = np.argsort(moments.series, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(moments.series[order])) + 1):
        series = int(moments.series[own[0]]) if len(own) else UNKNOWN_SERIES
        if series not in lines:
            continue
        line, spread = lines[series], model.spread[series] if series < len(model.spread) else np.nan
        for rows in _pieces(own[(age[own] <= horizon) & (origin[own] >= line.first)]):
            place = (origin[rows, None] - line.first + np.arange(1 - length, 1)).clip(0, len(line.values) - 1)
            windows = line.values[place]
            last = windows[:, -1:]
            # sums over the contiguous axis: a row's bits are the same alone and among others
            ahead = ((windows - last) / spread * by_step[age[rows] - 1]).sum(axis=1)
            # a series that never varied is forecast to stay
            found[rows] = last[:, 0] + np.nan_to_num(ahead * spread)
    return found


class _Sums:
    """What normal equations need of windows [n, L] and what follows them [n, H]."""

    def __init__(self, length: int, horizon: int) -> None:
        self.gram, self.cross = np.zeros((length, length)), np.zeros((length, horizon))
        self.square = 0.0

    def add(self, values: Floats, begins: Integers) -> None:
        length, horizon = self.cross.shape
        if not len(begins):
            return
        windows: Floats = np.lib.stride_tricks.sliding_window_view(values, length + horizon)[begins]
        both = windows - windows[:, length - 1 : length]
        self.gram += both[:, :length].T @ both[:, :length]
        self.cross += both[:, :length].T @ both[:, length:]
        self.square += float((both[:, length:] ** 2).sum())

    def solved(self, strength: float) -> Floats:
        weights = np.linalg.solve(self.gram + strength * np.eye(len(self.gram)), self.cross)
        return np.asarray(weights, dtype=np.float64)

    def loss(self, weights: Floats) -> float:
        """Sum of squared errors of a map on these windows."""
        return float((weights * (self.gram @ weights)).sum() - 2 * (weights * self.cross).sum()) + self.square


def _lines(known: Known) -> dict[int, _Line]:
    """Every series of which something is known."""
    target = known.values[:, 0]
    kept = np.flatnonzero(np.isfinite(target))
    found = {}
    for rows in np.split(kept, np.flatnonzero(np.diff(known.series[kept])) + 1) if len(kept) else ():
        steps = known.step[rows]
        place = np.searchsorted(steps, np.arange(steps[0], steps[-1] + 1), side="right") - 1
        found[int(known.series[rows[0]])] = _Line(int(steps[0]), target[rows][place])
    return found


def _pieces(rows: Integers) -> Iterator[Integers]:
    return (rows[low : low + ROWS_AT_A_TIME] for low in range(0, len(rows), ROWS_AT_A_TIME))
