"""Forecasts of ETTh1 from a lag window: 12/4/4 months, all seven columns as series of one target.

python -m benchmarks.window ridge --data DIR     ridge on the lag window at 96, 192, 336, 720 steps
python -m benchmarks.window recipe --data DIR    recipe = "window" beside the map that it begins from

DIR holds ett/ETTh1.csv. Mean squared errors on train-standardised values. ridge has the literature's protocol: 336
hours in, every window of which the test months hold what follows; fitted on the training months, the penalty chosen on
their latest fifth. recipe learns from the first 16 months, map and networks alike, with folds of its own, and is scored
on windows of the same kind, every so many hours.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.house_prices import ROOT
from benchmarks.record import record
from benchmarks.staged import staged
from pipeline.config import load_config
from pipeline.reading.table import read_table
from pipeline.stages.predict import predict
from pipeline.stages.train import train
from pipeline.tables import Encoded, RawTables
from pipeline.tabular.differences import base_values
from pipeline.tabular.past import past_columns, past_matrix
from pipeline.tabular.window_ridge import fit_window_ridge
from pipeline.timeline import Known, Moments

if TYPE_CHECKING:
    from pipeline.config import Resolved

MONTH = 30 * 24
LENGTH = 336
PUBLISHED = {96: 0.370, 192: 0.403, 336: 0.425, 720: 0.421}


SCORED_ROWS = 400_000  # of the recipe, about: origins are so far apart
ROWS_AT_A_TIME = 50_000
CONFIG = """
recipe = "window"
metric = "rmse"
[schema]
target = "value"
[time]
column = "date"
groups = ["series"]
[holdout]
share = 0.2
[preprocess]
calendar = []
"""


def main() -> None:
    """One row for each horizon."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["ridge", "recipe"])
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw", help="holds ett/ETTh1.csv")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="of the recipe"
    )
    words = parser.parse_args()
    table = pd.read_csv(words.data / "ett" / "ETTh1.csv").iloc[: 20 * MONTH]
    values = table.iloc[:, 1:].to_numpy(np.float64)
    train = values[: 12 * MONTH]
    scaled = (values - train.mean(axis=0)) / train.std(axis=0)
    if words.what == "ridge":
        record("window_ridge", [_ridge(scaled, horizon, wanted) for horizon, wanted in PUBLISHED.items()])
    else:
        record("window_recipe", [_recipe(table["date"], scaled, horizon, words.settings) for horizon in PUBLISHED])


def _ridge(scaled: np.ndarray, horizon: int, wanted: float) -> dict[str, object]:
    began, test = time.perf_counter(), scaled[16 * MONTH - LENGTH :]
    model = fit_window_ridge(_known(scaled[: 12 * MONTH]), length=LENGTH, horizon=horizon)
    assert model is not None
    windows = np.lib.stride_tricks.sliding_window_view(test, LENGTH + horizon, axis=0)
    errors = [_error(own - own[:, LENGTH - 1 : LENGTH], model.weights) for own in windows.transpose(1, 0, 2)]
    return {
        "horizon": horizon,
        "MSE": round(float(np.mean(errors)), 4),
        "wanted": f"{wanted} within .003",
        "penalty": round(model.strength),
        "s": round(time.perf_counter() - began, 1),
    }


def _recipe(dates: pd.Series, scaled: np.ndarray, horizon: int, settings: list[str]) -> dict[str, object]:
    resolved = load_config(CONFIG, file="window.toml", settings=[f"time.horizon={horizon}", *settings])
    began = time.perf_counter()
    series = pd.DataFrame(scaled, columns=[f"s{place}" for place in range(scaled.shape[1])]).assign(date=dates)
    text = series.melt("date", var_name="series").to_csv(index=False)
    maps, networks = _errors(resolved, text, scaled, horizon)
    return {
        "horizon": horizon,
        "ridge MSE": round(maps, 4),
        "recipe MSE": round(networks, 4),
        "s": round(time.perf_counter() - began, 1),
    }


def _errors(resolved: Resolved, text: str, scaled: np.ndarray, horizon: int) -> tuple[float, float]:
    """Of the map and of the networks, on windows of the test months."""
    config = resolved.config
    raw = RawTables(read_table(_written(text), config.files), None, None, {})
    dataset, design, runtime = staged(config, raw)
    fits = train(design, model=config.model, train=config.train, metric=config.metric, runtime=runtime)
    timeline, count = dataset.timeline, scaled.shape[1]
    assert timeline is not None
    assert design.taken is not None
    assert design.numeric == past_columns(timeline, timeline.known, config.history)
    origins = np.arange(16 * MONTH - 1, 20 * MONTH - horizon)
    origins = origins[:: max(1, len(origins) * horizon * count // SCORED_ROWS)]
    together = max(1, ROWS_AT_A_TIME // (horizon * count))
    errors = np.zeros(2)
    for begin in range(0, len(origins), together):
        grid = np.meshgrid(origins[begin : begin + together], 1 + np.arange(horizon), np.arange(count))
        at, ahead, place = (own.ravel() for own in grid)
        moments = Moments(place.astype(np.int32), at + ahead)
        past = past_matrix(timeline, timeline.known, config.history, moments, at)
        base = base_values(timeline, timeline.known, design.taken.difference, moments, at, design.taken.ridge)
        rows = Encoded(np.asfortranarray(past), place[:, None].astype(np.int32), base)
        said = predict(design, fits.bag, rows, runtime.compute)
        errors += [np.sum((own - scaled[moments.step, place]) ** 2) for own in (base, said)]
    maps, networks = errors / (len(origins) * horizon * count)
    return float(maps), float(networks)


def _written(text: str) -> Path:
    file = Path(tempfile.mkdtemp(prefix="window-")) / "train.csv"
    file.write_text(text)
    return file


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
