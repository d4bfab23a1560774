"""Everything the stages found -> the plain facts of a report. No markup and no pictures here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.facts import (
    Band,
    Curves,
    FoldRow,
    Headline,
    LargeError,
    ModelRow,
    ReportFacts,
    RowErrors,
    Run,
    StageNotice,
    Upload,
)
from pipeline.stages.forecasts import forecast_facts
from pipeline.stages.verdicts import Evidence, advise, judge_baseline, judge_fit, say_looks
from pipeline.stages.weights import weight_facts
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.fits import Fits, ModelScore, Scores, Submission
    from pipeline.tables import Dataset, Design, Floats

LARGEST = 10  # rows with the largest errors that are listed
IN_LOGS = ("log_rmse", "rmsle")
ABSOLUTE = ("mae", "mape")  # metrics that add up absolute errors; the others add up squares


def report(dataset: Dataset, design: Design, fits: Fits, scores: Scores, submission: Submission) -> ReportFacts:
    """Gather the facts of one finished run; every score is the one that `evaluate` computed."""
    models = model_rows(scores)
    curves = learning_curves(fits, design.folds.count)
    rows = row_errors(scores, fits.name)
    largest = largest_errors(scores, rows)
    notices = tuple(
        StageNotice(stage, notice)
        for stage, value in (("ingest", dataset), ("preprocess", design), ("train", fits), ("submit", submission))
        for notice in value.notices
    )
    return ReportFacts(
        headline=_headline(
            _evidence(fits, scores, models, curves, largest), honesty=say_looks(scores.validation_looks, fits)
        ),
        upload=Upload(dataset.submission_header, submission.rows, submission.sha256),
        folds=fold_rows(scores, fits.name),
        models=models,
        seed_scores=scores.seed_oof,
        curves=curves,
        rows=rows,
        largest=largest,
        weights=None if fits.network.custom else weight_facts(design, fits),
        validation_looks=scores.validation_looks,
        notices=notices,
        run=_run(dataset, design, fits, scores),
        forecasts=forecast_facts(dataset, design, fits, scores),
    )


def model_rows(scores: Scores) -> tuple[ModelRow, ...]:
    """Our models, then the baselines, best first; a score that is not finite comes last."""

    def badness(row: ModelRow) -> tuple[bool, float]:
        value = row.pooled[scores.metric]
        greater = METRICS[scores.metric].greater_is_better
        return row.is_baseline, (-value if greater else value) if np.isfinite(value) else np.inf

    ours = [_model_row(name, model, scores.metric, is_baseline=False) for name, model in scores.models.items()]
    theirs = [_model_row(name, model, scores.metric, is_baseline=True) for name, model in scores.baselines.items()]
    return tuple(sorted(ours + theirs, key=badness))


def fold_rows(scores: Scores, model: str) -> tuple[FoldRow, ...]:
    """Every metric of every fold, and the gap of the headline metric."""
    sign = -1.0 if METRICS[scores.metric].greater_is_better else 1.0
    return tuple(
        FoldRow(
            fold=fold.fold + 1,
            rows=fold.rows,
            valid=dict(fold.valid),
            train=dict(fold.train),
            gap=sign * (fold.valid[scores.metric] - fold.train[scores.metric]),
        )
        for fold in scores.models[model].folds
    )


def learning_curves(fits: Fits, K: int) -> Curves:
    """Mean and spread over the networks of the K folds, in the metric's own direction."""
    sign = -1.0 if METRICS[fits.metric].greater_is_better else 1.0
    curves = [curve for job, curve in zip(fits.jobs, fits.curves, strict=True) if job.fold < K]
    return Curves(
        valid=band([sign * curve.valid for curve in curves]),
        train=band([sign * curve.train for curve in curves]),
        best_epochs=tuple(curve.best_epoch + 1 for curve in curves),
        networks=len(curves),
    )


def band(curves: Sequence[Floats]) -> Band:
    """Summarise curves of any lengths; a value that is not finite counts as not scored."""
    longest = max((len(curve) for curve in curves), default=0)
    values = np.full((len(curves), longest), np.nan)
    for i, curve in enumerate(curves):
        values[i, : len(curve)] = np.where(np.isfinite(curve), curve, np.nan)
    scored = np.isfinite(values).sum(axis=0)
    # where few networks are left the mean would show which ones left, not how they learn
    shown = np.flatnonzero((scored > 0) & (2 * scored >= len(curves)))
    if not len(shown):
        return Band(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
    low, high = np.nanpercentile(values[:, shown], [10, 90], axis=0)
    return Band(shown + 1, np.nanmean(values[:, shown], axis=0), low, high)


def row_errors(scores: Scores, model: str) -> RowErrors:
    """Actual and out-of-fold values of every row, and the error in the scale in which the metric adds up."""
    actual, predicted = scores.actual, scores.oof[model].astype(np.float64)
    scored = (scores.fold_of_row >= 0) & np.isfinite(predicted)
    errors = np.full(len(actual), np.nan)
    errors[scored] = errors_of(scores.metric, actual[scored], predicted[scored])
    return RowErrors(
        fold=scores.fold_of_row + 1,
        actual=actual,
        predicted=np.where(scored, predicted, np.nan),
        errors=errors,
        in_logs=scores.metric in IN_LOGS,
    )


def errors_of(metric: str, actual: Floats, predicted: Floats) -> Floats:
    """Positive where the prediction is too high; clamped exactly as the metric clamps."""
    if metric == "log_rmse":
        floor = min(1.0, float(np.min(actual, initial=1.0)))
        return np.asarray(np.log(np.maximum(predicted, floor)) - np.log(actual))
    if metric == "rmsle":
        return np.asarray(np.log1p(np.maximum(predicted, 0.0)) - np.log1p(actual))
    return predicted - actual


def largest_errors(scores: Scores, rows: RowErrors) -> tuple[LargeError, ...]:
    """The rows furthest off, worst first; rows that no fold scores are not among them."""
    size = np.where(np.isfinite(rows.errors), np.abs(rows.errors), 0.0)
    # by the largest, so that squares of huge errors stay finite
    relative = size / (np.max(size, initial=0.0) or 1.0)
    weight = relative if scores.metric in ABSOLUTE else relative**2
    share = weight / (weight.sum() or 1.0)
    worst = np.argsort(-size, kind="stable")[:LARGEST]
    return tuple(
        LargeError(
            id=str(scores.ids[i]),
            fold=int(rows.fold[i]),
            actual=float(rows.actual[i]),
            predicted=float(rows.predicted[i]),
            error=float(rows.errors[i]),
            share=float(share[i]),
        )
        for i in worst
        if size[i] > 0
    )


def _evidence(
    fits: Fits, scores: Scores, models: Sequence[ModelRow], curves: Curves, largest: tuple[LargeError, ...]
) -> Evidence:
    ours = next(row for row in models if row.name == fits.name and not row.is_baseline)
    return Evidence(
        metric=scores.metric,
        ours=ours,
        baselines=tuple(row for row in models if row.is_baseline),
        train_mean=float(np.mean([fold.train[scores.metric] for fold in scores.models[fits.name].folds])),
        curves=curves,
        largest=largest,
        networks_not_finite=sum(curve.stopped == "not finite" for curve in fits.curves),
        seeds=len(scores.seed_oof),
    )


def _headline(evidence: Evidence, *, honesty: str) -> Headline:
    ours = evidence.ours
    return Headline(
        model=ours.name,
        metric=evidence.metric,
        greater_is_better=METRICS[evidence.metric].greater_is_better,
        score=ours.pooled[evidence.metric],
        fold_mean=ours.fold_mean,
        fold_std=ours.fold_std,
        train_mean=evidence.train_mean,
        pooled=ours.pooled,
        baseline=judge_baseline(evidence),
        fit=judge_fit(evidence),
        advice=advise(evidence),
        honesty=honesty,
    )


def _model_row(name: str, model: ModelScore, metric: str, *, is_baseline: bool) -> ModelRow:
    by_fold = tuple(fold.valid[metric] for fold in model.folds)
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged model may score infinity
        spread = float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else float("nan")
    return ModelRow(
        name=name,
        is_baseline=is_baseline,
        pooled=dict(model.oof),
        by_fold=by_fold,
        fold_mean=float(np.mean(by_fold)),
        fold_std=spread,
        seconds=model.train_seconds,
    )


def _run(dataset: Dataset, design: Design, fits: Fits, scores: Scores) -> Run:
    K = design.folds.count
    return Run(
        compute=fits.compute,
        networks=len(fits.jobs),
        refits=sum(job.fold == K for job in fits.jobs),
        seeds=len({job.seed for job in fits.jobs}),
        folds=K,
        train_rows=len(dataset.train),
        test_rows=len(dataset.test),
        unscored_rows=scores.unscored_rows,
        columns=len(design.columns),
        seconds=fits.seconds,
    )
