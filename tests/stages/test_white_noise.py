"""FAULT 56: where there is nothing to forecast, nothing is; a leak of any kind would show here."""

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, raw_tables

from pipeline.runtime import Runtime
from pipeline.settings import FoldSettings, Preprocess, Schema, Target
from pipeline.stages.evaluate import evaluate
from pipeline.stages.ingest import ingest
from pipeline.stages.preprocess import preprocess
from pipeline.stages.train import train
from pipeline.tables import Compute
from pipeline.time_settings import Time
from pipeline.training_settings import Model, Train

SEEDS = range(4)
RUNTIME = Runtime(Compute("cpu", 1, "fp32"))


def explained(seed, layout):
    """R2 out-of-fold of networks on two series of white noise: 300 days, the test as the layout has it."""
    draw = np.random.default_rng(seed)
    day, place = (own.ravel() for own in np.meshgrid(np.arange(300), np.arange(2), indexing="ij"))
    frame = pd.DataFrame({
        "Id": [f"r{row}" for row in range(len(day))], "shop": np.array(["a", "b"], dtype=object)[place],
        "date": (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
        "y": draw.normal(size=len(day)).round(4),
    })  # fmt: skip
    is_test = day % 30 >= 20 if layout == "interleaved" else day >= 280
    dataset = ingest(
        raw_tables(csv_of(frame[~is_test]), csv_of(frame[is_test].drop(columns="y"))),
        roles=Schema(id="Id", target="y"),
        metric="rmse",
        time=Time(column=("date",), groups=("shop",), layout=layout, horizon=2),
    )
    design = preprocess(
        dataset, preprocess=Preprocess(calendar=()), target=Target(), folds=FoldSettings(count=3), metric="rmse"
    )
    options = Train(epochs=25, batch_size=64, lr=3e-3, weight_decay=0.0, restore_best=False)
    fits = train(design, model=Model(kind="linear"), train=options, metric="rmse", runtime=RUNTIME)
    return evaluate(dataset, design, fits, metric="rmse").models[fits.name].oof["r2"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["future", "interleaved", "rolling"])
def test_white_noise_is_not_forecast(layout):
    """On average over seeds linear networks explain no part in thirty, and cost no more than their columns do."""
    found = [explained(seed, layout) for seed in SEEDS]
    assert -0.3 < np.mean(found) < 1 / 30
