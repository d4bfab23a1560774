"""Small panels of daily series, and networks that never trained, shared by tests of forecasts."""

import numpy as np
import pandas as pd
from builders import csv_of, raw_tables

from pipeline.fits import Bag, Curve, Fits, Job, Network, Submission
from pipeline.settings import FoldSettings, Preprocess, Schema, Target
from pipeline.stages.evaluate import evaluate
from pipeline.stages.ingest import ingest
from pipeline.stages.preprocess import preprocess
from pipeline.stages.report import report
from pipeline.tables import Compute
from pipeline.time_settings import Time

CUSTOM = Network(inputs=1, hidden=(), activation="relu", init="pytorch", init_scale=0.01, custom="mine.py:net")


def panel(names=("a", "b"), *, days=70, ahead=7, metric="mae", **time):
    """Series of one row a day from Monday, 2024-01-01, on; y climbs by 1 a day, and by 5 more on Sundays; as ingested.

    The last `ahead` days are the test; in layout "interleaved" the last 6 days of every 14.
    """
    day, place = (own.ravel() for own in np.meshgrid(np.arange(days), np.arange(len(names)), indexing="ij"))
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")
    frame = pd.DataFrame({
        "Id": [f"r{row}" for row in range(len(day))], "date": stamps.strftime("%Y-%m-%d"),
        "shop": np.array(names, dtype=object)[place], "promo": day % 2,
        "y": 100.0 * (place + 1) + day + 5 * (day % 7 == 6),
    })  # fmt: skip
    is_test = day % 14 >= 8 if time.get("layout") == "interleaved" else day >= days - ahead
    train, test = frame[~is_test], frame[is_test].drop(columns="y")
    settings = Time(**({"column": "date", "groups": ["shop"]} | time))
    return ingest(
        raw_tables(csv_of(train), csv_of(test)), roles=Schema(id="Id", target="y"), metric=metric, time=settings
    )


def untrained(dataset, *, metric="mae", off=2.0, folds=2):
    """The design of a dataset, and fits whose predictions are all so much too high, of single rows where `off` is."""
    design = preprocess(
        dataset, preprocess=Preprocess(max_levels=100), target=Target(), folds=FoldSettings(count=folds), metric=metric
    )
    K, scored = design.folds.count, design.folds.scored_rows
    predictions = np.tile(design.target + off, (K, 1))
    curve = Curve(np.array([np.nan]), np.array([float(np.mean(off))]), 0, "finished")
    fits = Fits(
        name="mlp", bag=Bag(CUSTOM, tuple(Job(0, fold, 0) for fold in range(K)), np.full(K, 1 / K), {}),
        curves=(curve,) * K, metric=metric, fold_predictions=predictions, seed_oof=predictions[:1, scored],
        test_predictions=np.zeros(len(dataset.test)), seconds=1.0, compute=Compute("cpu", 1, "fp32"), notices=(),
    )  # fmt: skip
    return design, fits


def facts_of(dataset, *, metric="mae", **options):
    """Facts of a report of such fits, and the scores that they were drawn from."""
    design, fits = untrained(dataset, metric=metric, **options)
    scores = evaluate(dataset, design, fits, metric=metric)
    return report(dataset, design, fits, scores, Submission(b"", len(dataset.test), "5ha", ())), scores
