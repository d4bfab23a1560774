"""Ridge on the lag window: ETTh1, 12/4/4 months, all seven columns as series of one target.

python -m benchmarks.window --data DIR    mean squared error on train-standardised values at 96, 192, 336, 720 steps

DIR holds ett/ETTh1.csv. The protocol is the literature's: 336 hours in, every window of which the test months hold what
follows; fitted on the training months, the penalty chosen on their latest fifth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.house_prices import ROOT
from benchmarks.record import record
from pipeline.tabular.window_ridge import fit_window_ridge
from pipeline.timeline import Known

MONTH = 30 * 24
LENGTH = 336
PUBLISHED = {96: 0.370, 192: 0.403, 336: 0.425, 720: 0.421}


def main() -> None:
    """One row for each horizon."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw", help="holds ett/ETTh1.csv")
    values = pd.read_csv(parser.parse_args().data / "ett" / "ETTh1.csv").iloc[:, 1:].to_numpy(np.float64)
    train = values[: 12 * MONTH]
    scaled = (values - train.mean(axis=0)) / train.std(axis=0)
    test = scaled[16 * MONTH - LENGTH : 20 * MONTH]
    rows = []
    for horizon, wanted in PUBLISHED.items():
        began = time.perf_counter()
        model = fit_window_ridge(_known(scaled[: 12 * MONTH]), length=LENGTH, horizon=horizon)
        assert model is not None
        windows = np.lib.stride_tricks.sliding_window_view(test, LENGTH + horizon, axis=0)
        errors = [_error(own - own[:, LENGTH - 1 : LENGTH], model.weights) for own in windows.transpose(1, 0, 2)]
        rows.append(
            {
                "horizon": horizon,
                "MSE": round(float(np.mean(errors)), 4),
                "wanted": f"{wanted} within .003",
                "penalty": round(model.strength),
                "s": round(time.perf_counter() - began, 1),
            }
        )
    record("window_ridge", rows)


def _known(scaled: np.ndarray) -> Known:
    steps, series = scaled.shape
    return Known(
        np.repeat(np.arange(series, dtype=np.int32), steps),
        np.tile(np.arange(steps), series),
        ("value",),
        scaled.T.reshape(-1, 1),
    )


def _error(windows: np.ndarray, weights: np.ndarray) -> float:
    """Mean squared error of one series' windows; the map is linear, so their scale does not matter."""
    return float(((windows[:, :LENGTH] @ weights - windows[:, LENGTH:]) ** 2).mean())


if __name__ == "__main__":
    main()
