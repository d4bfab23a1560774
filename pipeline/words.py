"""What a stage's line says about its result, and why an artifact is stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.fits import Fits, Scores, Submission
from pipeline.tables import Dataset, Design

NOTICES_SHOWN = 3


def describe(value: object) -> str:
    """The result of a stage in a few words; kept in its manifest, so that a cached stage says it too."""
    match value:
        case Dataset():
            return (
                f"{len(value.train)} + {len(value.test)} rows, {len(value.numeric)} numeric and "
                f"{len(value.categorical)} text columns, {_count(len(value.notices), 'notice')}"
            )
        case Design():
            return f"{len(value.columns)} columns, {value.folds.count} folds, {_count(len(value.notices), 'notice')}"
        case Fits():
            return _describe_fits(value)
        case Scores():
            return _describe_scores(value)
        case Submission():
            return f"{value.rows} rows, sha256 {value.sha256[:12]}"
    return ""


def notice_lines(value: object) -> Iterator[str]:
    """The first things a stage noticed; the report has them all."""
    notices = getattr(value, "notices", ())
    for notice in notices[:NOTICES_SHOWN]:
        yield notice.line
    if len(notices) > NOTICES_SHOWN:
        yield f"… and {len(notices) - NOTICES_SHOWN} more, all in the report"


def _describe_fits(fits: Fits) -> str:
    kept = [abs(float(curve.valid[curve.best_epoch])) for curve in fits.curves if np.isfinite(curve.valid).any()]
    return f"{len(fits.jobs)} networks on {fits.compute.device}, each alone {fits.metric} {_mean_and_spread(kept)}" + (
        f", {_count(len(fits.notices), 'notice')}" if fits.notices else ""
    )


def _describe_scores(scores: Scores) -> str:
    model = next(iter(scores.models.values()))
    by_fold = [fold.valid[scores.metric] for fold in model.folds]
    baselines = ", ".join(f"{name} {score.oof[scores.metric]:.4f}" for name, score in scores.baselines.items())
    return (
        f"{scores.metric} {model.oof[scores.metric]:.4f} out-of-fold, folds {_mean_and_spread(by_fold)} ({baselines})"
        f"{_skill_in_words(scores)}"
    )


def _skill_in_words(scores: Scores) -> str:
    """Of forecasts: nothing without time."""
    if scores.forecast is None:
        return ""
    forecast, model = scores.forecast, next(iter(scores.models))
    told = {f"skill over {forecast.naive}": forecast.skill.get(model, np.nan), "MASE": forecast.mase[model]}
    return "".join(f"; {name} {value:.2f}" for name, value in told.items() if np.isfinite(value))


def _mean_and_spread(values: Sequence[float]) -> str:
    if len(values) > 1:
        return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    return f"{values[0]:.4f}" if values else "not finite"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Each way in which two sets of key parts differ, as a sentence."""
    for kind, sentence in (
        ("config", "config {name} was {old}, is {new}"),
        ("inputs", "its input {name} is another one"),
        ("code", "code {name} changed"),
        ("libraries", "library {name} was {old}, is {new}"),
        ("compute", "{name} was {old}, is {new}"),
    ):
        old, new = _mapping(before.get(kind)), _mapping(now.get(kind))
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            if kind == "inputs" and isinstance(new.get(name), Mapping):
                yield from _file_differences(_mapping(old.get(name)), _mapping(new.get(name)))
            elif kind == "code" and name not in old:
                yield f"code {name} is reached now"
            elif kind == "code" and name not in new:
                yield f"code {name} is no longer reached"
            else:
                yield sentence.format(name=name, old=old.get(name, "absent"), new=new.get(name, "absent"))


def _file_differences(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for role in sorted({*old, *new}):
        if old.get(role) != new.get(role):
            change = "is new" if role not in old else "is gone" if role not in new else "has other bytes"
            yield f"the {role} file {change}"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
