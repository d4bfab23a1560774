"""Trained networks -> scores: fold by fold on validation and training rows, pooled, and beside the baselines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from pipeline.fits import FoldScore, ModelScore, Scores
from pipeline.stages.window_baseline import WINDOW, window_forecasts
from pipeline.tabular.baselines import BASELINES
from pipeline.tabular.features import matrix_for, rows_of
from pipeline.tabular.forecasts import forecast_scores
from pipeline.tabular.metrics import score, score_table

if TYPE_CHECKING:
    from pipeline.fits import Fits
    from pipeline.tables import Dataset, Design, Floats


def evaluate(dataset: Dataset, design: Design, fits: Fits, *, metric: str) -> Scores:
    """Score every fold, and all scored rows together; rows that no fold scores are left out and counted.

    With repeated folds a row is scored once in each repeat, by a network that did not train on it. Rows in time are
    scored as forecasts too.
    """
    K, scored = design.folds.count, design.folds.scored_rows
    predictions = {fits.name: (fits.fold_predictions, fits.seconds)} | _baselines(design) | _in_time(dataset, design)
    scores = {name: _score_model(metric, design, by_fold, seconds) for name, (by_fold, seconds) in predictions.items()}
    oof = {name: _pooled(design, by_fold) for name, (by_fold, _) in predictions.items()}
    timeline = dataset.timeline
    looks = sum(len(curve.valid) for job, curve in zip(fits.jobs, fits.curves, strict=True) if job.fold < K)
    return Scores(
        metric=metric,
        models={fits.name: scores.pop(fits.name)},
        baselines=scores,
        seed_oof=tuple(score(metric, design.target[scored], oof) for oof in fits.seed_oof),
        validation_looks=looks,
        ids=dataset.train_ids[scored],
        fold_of_row=design.folds.scored_folds,
        actual=design.target[scored],
        oof=oof,
        unscored_rows=len(design.target) - len(np.unique(scored)),
        forecast=None if timeline is None else forecast_scores(timeline, design, metric, oof, fits.name),
    )


def _baselines(design: Design) -> dict[str, tuple[Floats, float]]:
    """Predictions of all training rows by each baseline fitted on each fold [K, N], and the seconds it took."""
    K, N = design.folds.count, len(design.target)
    predictions = {name: np.zeros((K, N)) for name in BASELINES}
    seconds = dict.fromkeys(BASELINES, 0.0)
    for fold, train in enumerate(design.folds.train):
        matrix = matrix_for(design, fold, rows_of(design, fold, slice(N)))
        for name, fit_and_predict in BASELINES.items():
            started = time.perf_counter()
            predictions[name][fold] = fit_and_predict(matrix, design.target, train, design.target_states[fold])
            seconds[name] += time.perf_counter() - started
    return {name: (predictions[name], seconds[name]) for name in BASELINES}


def _in_time(dataset: Dataset, design: Design) -> dict[str, tuple[Floats, float]]:
    """Forecasts without a model, and by ridge on the lag window; none where rows have no time."""
    if dataset.timeline is None:
        return {}
    found = {name: (by_fold, 0.0) for name, by_fold in design.naive.items()}
    started = time.perf_counter()
    window = window_forecasts(dataset.timeline, design)
    return found if window is None else {**found, WINDOW: (window, time.perf_counter() - started)}


def _pooled(design: Design, by_fold: Floats) -> Floats:
    return by_fold[design.folds.scored_folds, design.folds.scored_rows]


def _score_model(metric: str, design: Design, by_fold: Floats, seconds: float) -> ModelScore:
    y, folds = design.target, design.folds
    pairs = enumerate(zip(folds.train, folds.valid, by_fold, strict=True))
    return ModelScore(
        folds=tuple(
            FoldScore(
                fold=fold,
                rows=len(valid),
                valid=score_table(metric, y[valid], predicted[valid]),
                train=score_table(metric, y[train], predicted[train]),
            )
            for fold, (train, valid, predicted) in pairs
        ),
        oof=score_table(metric, y[folds.scored_rows], _pooled(design, by_fold)),
        train_seconds=seconds,
    )
