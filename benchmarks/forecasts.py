"""Forecasts by the default network of the shipped configurations, beside trees and what nobody needs to train for.

python -m benchmarks.forecasts beijing --data DIR   RMSE on the held-out fifth, up to 1, 6 and 24 hours ahead
python -m benchmarks.forecasts bike --data DIR      out-of-fold RMSLE: every month from what was known before alone
                                                    (time.train_on = "past"), and the configuration as it is shipped

Beijing's fifth chose the default of `train.refit` (docs/decisions/020): it is no unseen data for that.
DIR holds beijing-pm25/*.csv, or bike-sharing-demand/ with Kaggle's files. Beijing's trees are scikit-learn's, on the
network's own columns and on its own target, and on the target as it is. Bike Sharing's are LightGBM's (`pip install
lightgbm`) on calendar and weather, under the logarithm, fitted on the rows that each fold's networks learn from.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.house_prices import ROOT
from benchmarks.record import record
from benchmarks.staged import staged
from pipeline.config import load_config
from pipeline.reading.table import read_table
from pipeline.stages.train import train
from pipeline.tables import RawTables
from pipeline.tabular.bases import network_target, predictions_of
from pipeline.tabular.features import matrix_for, take
from pipeline.tabular.metrics import score
from pipeline.tabular.past import naive_forecasts

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.fits import Fits
    from pipeline.settings import Config
    from pipeline.tables import Dataset, Design, Floats

HORIZONS = (1, 6, 24)
PAST = "only what was known before"
BIKE = {PAST: ["time.train_on=past", "folds.count=23"], "as shipped": []}  # 23 months have one before them
TREES, RATE = 400, 0.05
WEATHER = ["season", "holiday", "workingday", "weather", "temp", "atemp", "humidity", "windspeed"]


@dataclass(frozen=True, slots=True)
class _Trained:
    """One configuration, trained."""

    config: Config
    dataset: Dataset
    design: Design
    fits: Fits
    seconds: float


def main() -> None:
    """One row for each horizon, or one for Bike Sharing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["beijing", "bike"])
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw", help="holds the competition's folder")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    words = parser.parse_args()
    if words.what == "bike":
        folder = words.data / "bike-sharing-demand"
        rows = [bike(folder, what, [*settings, *words.settings]) for what, settings in BIKE.items()]
        record("forecasts_bike", rows)
        return
    file = next((words.data / "beijing-pm25").glob("*.csv"))
    record("forecasts_beijing", [beijing(file, horizon, words.settings) for horizon in HORIZONS])


def beijing(file: Path, horizon: int, settings: list[str]) -> dict[str, object]:
    """RMSE on the held-out rows."""
    found = trained("beijing-pm25", file, None, [f"time.horizon={horizon}", *settings])
    dataset, design = found.dataset, found.design
    truth, timeline = np.asarray(dataset.held_out, dtype=np.float64), dataset.timeline
    assert timeline is not None
    naive = naive_forecasts(timeline, timeline.known, timeline.test, timeline.test_origin)
    own, plain = trees_beside(design)
    forecasts = {"network": found.fits.test_predictions, "trees, its target": own, "trees": plain, **naive}
    scores = {name: round(score("rmse", truth, said), 2) for name, said in forecasts.items()}
    return {
        "hours ahead": horizon,
        **scores,
        "R2": round(score("r2", truth, found.fits.test_predictions), 4),
        "s": round(found.seconds, 1),
    }


def bike(folder: Path, what: str, settings: list[str]) -> dict[str, object]:
    """Pooled RMSLE of scored rows."""
    found = trained("bike-sharing-demand", folder / "train.csv", folder / "test.csv", settings)
    folds, target = found.design.folds, found.dataset.target
    said = found.fits.fold_predictions[folds.scored_folds, folds.scored_rows]
    trees = lightgbm_beside(found.dataset, found.design)[folds.scored_folds, folds.scored_rows]
    bag, beside = (score("rmsle", target[folds.scored_rows], own) for own in (said, trees))
    return {
        "folds": f"{folds.count}, {what}",
        "bag": round(bag, 4),
        "LightGBM": round(beside, 4),
        "ratio": round(bag / beside, 3),
        "wanted": "<= .97" if what == PAST else "",
        "s": round(found.seconds, 1),
    }


def trained(name: str, train_file: Path, test_file: Path | None, settings: list[str]) -> _Trained:
    """Read, preprocess and train a shipped configuration."""
    file = ROOT / "competitions" / f"{name}.toml"
    config = load_config(file.read_text(), file=str(file), settings=settings).config
    raw = RawTables(
        train=read_table(train_file, config.files),
        test=read_table(test_file, config.files) if test_file else None,
        sample=None,
        sides={},
    )
    dataset, design, runtime = staged(config, raw)
    began = time.perf_counter()
    fits = train(design, model=config.model, train=config.train, metric=config.metric, runtime=runtime)
    return _Trained(config, dataset, design, fits, time.perf_counter() - began)


def trees_beside(design: Design) -> tuple[Floats, Floats]:
    """Of the test rows, by trees that learned the network's target from all rows, and by others the target itself."""
    rows, count, everything = design.rows, len(design.target), design.folds.count
    matrix = matrix_for(design, everything, rows)
    test = take(rows, slice(count, None))
    own, plain = (
        HistGradientBoostingRegressor(max_iter=TREES, learning_rate=RATE, random_state=0)
        .fit(matrix[:count], goals)
        .predict(matrix[count:])
        for goals in (network_target(design, everything), design.target)
    )
    return predictions_of(design, everything, test, own), plain


def lightgbm_beside(dataset: Dataset, design: Design) -> Floats:
    """Predictions of all training rows by trees fitted on each fold [K, N]."""
    from lightgbm import LGBMRegressor  # noqa: PLC0415  an extra of this benchmark alone

    columns = calendar_and_weather(dataset)
    model = LGBMRegressor(n_estimators=TREES, learning_rate=RATE, random_state=0, verbose=-1)
    goals = np.log1p(design.target)
    return np.stack([np.expm1(model.fit(columns.iloc[own], goals[own]).predict(columns)) for own in design.folds.train])


def calendar_and_weather(dataset: Dataset) -> pd.DataFrame:
    """What a person gives trees first."""
    frame = dataset.train
    stamps = frame["datetime"].dt
    found = frame[[name for name in WEATHER if name in frame]].assign(
        hour=stamps.hour, day_of_week=stamps.day_of_week, month=stamps.month, year=stamps.year
    )
    assert len(found.columns) == len(WEATHER) + 4
    return found


if __name__ == "__main__":
    main()
