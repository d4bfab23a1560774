"""One million rows of 1,000 series x 20 features of their past, beside the same features in plain pandas.

python -m benchmarks.history [SERIES] [--dry]        (--dry: prints, and appends to no CSV)

Every row is forecast from the step before it; one value in twenty is missing. pandas has the even grid that we do not
ask for, as its lags count rows, and walks over the shifted values in two ways: "grouped" is its own grouped rolling,
ewm and expanding, "each group" a function of each series by `transform`, as notebooks have it. Three times in turn,
medians; the columns of all sides are compared first.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.record import record
from pipeline.tabular.history import Feature, history
from pipeline.timeline import Known, Moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tables import Floats

RUNS, SERIES, STEPS, GAPS = 3, 1000, 1000, 0.05
DAY, WEEK = 24, 168
FEATURES = (
    *(Feature(f"{back} back", "last", 0, 0, back) for back in range(3)),
    *(Feature(f"season, {back} back", "season", 0, DAY, back) for back in range(3)),
    *(Feature(f"change over {lag}", "difference", 0, lag) for lag in (1, DAY)),
    Feature("mean of phase", "phase_mean", 0, DAY),
    Feature("latest known", "latest", 0, 0),
    *(Feature(f"{kind} of {w}", kind, 0, w) for w in (DAY, WEEK) for kind in ("mean", "std", "min", "max", "ewm")),
)


def main() -> None:
    """Both sides in turn; the ratio is pandas' seconds over ours."""
    counts = [int(word) for word in sys.argv[1:] if word.isdigit()]
    known = drawn(counts[0] if counts else SERIES)
    sides: dict[str, Callable[[Known], Floats]] = {
        "foldpack": _foldpack,
        "grouped": _grouped,
        "each group": _each_group,
    }
    expected = _foldpack(known)
    for work in sides.values():
        np.testing.assert_allclose(work(known), expected, rtol=1e-6, atol=1e-6)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(RUNS):
        for side, work in sides.items():
            started = time.perf_counter()
            work(known)
            seconds[side].append(time.perf_counter() - started)
    medians = {side: statistics.median(found) for side, found in seconds.items()}
    rows: list[dict[str, object]] = [
        {
            "what": f"{len(known.step)} rows x {len(FEATURES)} features, beside pandas, {side}: seconds",
            "foldpack": round(medians["foldpack"], 2),
            "pandas": round(medians[side], 2),
            "ratio": round(medians[side] / medians["foldpack"], 1),
        }
        for side in ("grouped", "each group")
    ]
    if "--dry" in sys.argv:
        print(*rows, sep="\n")
    else:
        record("history", rows)


def drawn(series: int) -> Known:
    """Random walks on an even grid, with values missing."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(series, STEPS)).cumsum(axis=1)
    values[draw.random(values.shape) < GAPS] = np.nan
    of, step = (place.ravel() for place in np.indices(values.shape))
    return Known(of.astype(np.int32), step, ("y",), values.reshape(-1, 1))


def _foldpack(known: Known) -> Floats:
    return history(known, FEATURES, Moments(known.series, known.step), known.step - 1)


def _grouped(known: Known) -> Floats:
    of, past, found = _lags_in_pandas(known)
    phases = found[3].groupby([of, pd.Series(known.step % DAY)])
    found += [phases.expanding().mean().droplevel([0, 1]).sort_index(), past.groupby(of).ffill()]
    for window in (DAY, WEEK):
        rolling = past.groupby(of).rolling(window, min_periods=1)
        found += [rolling.mean(), rolling.std(), rolling.min(), rolling.max()]
        found += [past.groupby(of).ewm(halflife=window).mean()]
    return np.column_stack([column.to_numpy() for column in found])


def _each_group(known: Known) -> Floats:
    of, past, found = _lags_in_pandas(known)
    groups, phases = past.groupby(of), found[3].groupby([of, pd.Series(known.step % DAY)])
    found += [phases.transform(lambda y: y.expanding().mean()), groups.transform(lambda y: y.ffill())]
    for window in (DAY, WEEK):
        for kind in ("mean", "std", "min", "max"):
            found += [groups.transform(lambda y, w=window, k=kind: getattr(y.rolling(w, min_periods=1), k)())]
        found += [groups.transform(lambda y, w=window: y.ewm(halflife=w).mean())]
    return np.column_stack([column.to_numpy() for column in found])


def _lags_in_pandas(known: Known) -> tuple[pd.Series, pd.Series, list[pd.Series]]:
    """The series of each row, its past, and the columns that are no more than shifts."""
    y, of = pd.Series(known.values[:, 0]), pd.Series(known.series)  # noqa: PD011 - no frame
    groups = y.groupby(of)
    past = groups.shift(1)
    found = [past, *(groups.shift(lag) for lag in (2, 3, DAY, 2 * DAY, 3 * DAY))]
    return of, past, found + [past - groups.shift(1 + lag) for lag in (1, DAY)]


if __name__ == "__main__":
    main()
