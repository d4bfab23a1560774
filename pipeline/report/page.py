"""The facts -> one HTML file that needs nothing but itself: no script, no link, no font, no picture from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.report.figures import draw_figures
from pipeline.report.forecast_figures import draw_forecasts
from pipeline.report.forecast_tables import forecast_tables
from pipeline.report.layout import LONGEST_TITLE, filled, is_plain, laid_out
from pipeline.report.tables import (
    error_table,
    fold_table,
    model_table,
    notice_table,
    run_table,
    seed_table,
)
from pipeline.report.text import clean, count, number
from pipeline.report.weight_figures import draw_weights
from pipeline.report.weight_tables import introduce, weight_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.facts import Headline, ReportFacts, Verdict, WeightFacts

BESIDE = ("r2", "rmse", "mae")  # said beside the headline metric


def render_report(facts: ReportFacts, *, competition: str, provenance: Mapping[str, str]) -> bytes:
    """Lay the facts out; the same arguments give the same bytes.

    provenance: further lines of "How it was computed", in their order, such as library versions.
    """
    return laid_out(
        "page.html.j2",
        title=clean(competition, LONGEST_TITLE),
        headline=_headline(facts, competition),
        pictures=draw_figures(facts),
        forecasts=_forecasts(facts),
        tables=filled(fold_table(facts), model_table(facts), seed_table(facts), error_table(facts)),
        weights=_weights(facts.weights),
        records=filled(notice_table(facts), run_table(facts, provenance)),
    )


def _headline(facts: ReportFacts, competition: str) -> dict[str, object]:
    headline, upload = facts.headline, facts.upload
    metric = clean(headline.metric, LONGEST_TITLE)
    spread = f"{number(headline.fold_mean, 4)} ± {number(headline.fold_std, 3)}"
    return {
        "model": clean(headline.model, LONGEST_TITLE),
        "metric": metric,
        "better": "higher is better" if headline.greater_is_better else "lower is better",
        "score": number(headline.score),
        "spread": f"mean of {count(len(facts.folds), 'fold')} {spread}",
        "beside": _beside(headline),
        "baseline": _short(headline.baseline),
        "fit": _short(headline.fit),
        "fit_numbers": f"training {number(headline.train_mean, 4)}, validation {number(headline.fold_mean, 4)}",
        "rows": count(upload.rows, "row"),
        "header": clean(",".join(upload.header), LONGEST_TITLE),
        "sha256": upload.sha256,
        "advice": [replace(advice, command=_for(competition, advice.command)) for advice in headline.advice],
        "honesty": headline.honesty,
    }


def _short(verdict: Verdict) -> Verdict:
    return replace(verdict, claim=clean(verdict.claim, LONGEST_TITLE), detail=clean(verdict.detail))


def _for(competition: str, command: str) -> str:
    return f"{command} NAME={competition}" if command and is_plain(competition) else command


def _beside(headline: Headline) -> str:
    names = [name for name in BESIDE if name in headline.pooled and name != headline.metric]
    labels = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}
    return " · ".join(f"{labels[name]} {number(headline.pooled[name], 4)}" for name in names)


def _forecasts(facts: ReportFacts) -> dict[str, object] | None:
    if (forecasts := facts.forecasts) is None:
        return None
    return {
        "sentences": forecasts.sentences,
        "pictures": draw_forecasts(facts, forecasts),
        "tables": filled(*forecast_tables(facts, forecasts)),
    }


def _weights(weights: WeightFacts | None) -> dict[str, object] | None:
    if weights is None:
        return None
    return {
        "introduction": introduce(weights),
        "tables": filled(*weight_tables(weights)),
        "pictures": draw_weights(weights),
    }
