"""The report's pictures: how models score and learn; those of single rows are drawn next door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from pipeline.report.drawing import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    Picture,
    limits,
    log_axis,
    new_figure,
    number_axis,
    style,
    svg,
)
from pipeline.report.row_figures import draw_error_histogram, draw_errors, draw_predictions
from pipeline.report.text import clean, count, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pipeline.facts import Band, ReportFacts
    from pipeline.tables import Booleans

MOST_MODELS = 12
NAME_IN_FIGURE = 24
WIDTH = 10.2  # inches


def draw_figures(facts: ReportFacts) -> tuple[Picture, ...]:
    """Every picture that the facts allow, in the order of the page."""
    with style():
        pictures: list[Picture | None] = [_draw_folds(facts), _draw_curves(facts)]
        if np.isfinite(facts.rows.errors).any():
            drawings = (draw_predictions, draw_errors, draw_error_histogram)
            pictures += [draw(facts.rows, facts.headline.metric) for draw in drawings]
    return tuple(picture for picture in pictures if picture is not None)


def _draw_folds(facts: ReportFacts) -> Picture:
    """One line a model: a dot for each fold, a bar for the pooled score."""
    metric, shown = facts.headline.metric, facts.models[:MOST_MODELS]
    values = np.array([[*row.by_fold, row.pooled[metric]] for row in shown])
    figure, axes = new_figure(WIDTH, 0.9 + 0.36 * (len(shown) + 1))
    for place, row in enumerate(shown):
        colour = MUTED if row.is_baseline else BLUE
        axes.plot(row.by_fold, [place] * len(row.by_fold), "o", color=colour, alpha=0.55, markersize=6.5, mew=0)
        pooled = row.pooled[metric]
        axes.plot([pooled], [place], "|", color=colour, markersize=19, markeredgewidth=2.6)
    ours = [fold.train[metric] for fold in facts.folds]
    axes.plot(ours, [0] * len(ours), "o", mfc="none", mec=ORANGE, markersize=6.5, alpha=0.9)
    low, high = limits(np.append(values.ravel(), ours), 0.04)
    axes.set_xlim(low, high)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [clean(row.name, NAME_IN_FIGURE) for row in shown])
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for place, row in enumerate(shown):
        axes.annotate(
            number(row.pooled[metric], 4),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            size=9.5,
            weight="bold" if not row.is_baseline else "normal",
        )
    number_axis(axes.xaxis)
    axes.set_xlabel(_metric_label(facts))
    caption = "Dot: a fold's validation rows. Bar and number: all out-of-fold rows together. Ring: training rows."
    return Picture("Scores by fold, beside the baselines", caption, svg(figure, "folds", caption), is_wide=True)


def _draw_curves(facts: ReportFacts) -> Picture | None:
    """Mean and spread of the training and validation score over epochs."""
    curves = facts.curves
    if not len(curves.valid.mean):
        return None
    figure, axes = new_figure(WIDTH, 2.9)
    log = _frame_curves(axes, curves.valid, curves.train)
    for band, colour, dash, name in ((curves.valid, BLUE, "-", "validation"), (curves.train, ORANGE, "--", "training")):
        _draw_band(axes, band, (colour, dash, name), log=log)
    best = float(np.median(curves.best_epochs))
    axes.axvline(best, color=INK, linewidth=0.9, linestyle=":")
    axes.annotate(
        f" kept epoch (median {best:.0f})", (best, 0.97), xycoords=("data", "axes fraction"), va="top", size=8.5
    )
    last = int(curves.valid.epochs[-1])
    axes.set_xlim(1, max(last, 2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_title(_metric_label(facts), loc="left", size=9.5)
    caption = (
        f"Mean over {count(curves.networks, 'network')} of the folds; the band holds the middle 80 %. Drawn while at "
        f"least half of them were training; the first, steep epochs may lie outside the frame."
    )
    return Picture("Learning curves", caption, svg(figure, "curves", caption), is_wide=True)


def _frame_curves(axes: Axes, *bands: Band) -> bool:
    """Fit the frame to what comes after the first steep epochs; true if the scores are drawn as logarithms."""
    values = np.concatenate([edge[_settled(band)] for band in bands for edge in (band.low, band.high)])
    log = bool(all((band.low > 0).all() for band in bands) and values.max() > 6 * values.min())
    frame = limits(np.log10(values) if log else values)
    axes.set_ylim(*frame)
    log_axis(axes.yaxis, frame) if log else number_axis(axes.yaxis)
    return log


def _draw_band(axes: Axes, band: Band, look: tuple[str, str, str], *, log: bool) -> None:
    if not len(band.mean):
        return
    colour, dash, name = look
    low, mean, high = (np.log10(edge) if log else edge for edge in (band.low, band.mean, band.high))
    axes.fill_between(band.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(band.epochs, mean, dash, color=colour, linewidth=1.8)
    axes.annotate(
        name,
        (1.0, mean[-1]),
        xytext=(5, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        color=colour,
        weight="bold",
    )


def _metric_label(facts: ReportFacts) -> str:
    better = "higher" if facts.headline.greater_is_better else "lower"
    return f"{clean(facts.headline.metric, NAME_IN_FIGURE)}, {better} is better"


def _settled(band: Band) -> Booleans:
    """After the first steep twentieth of the epochs."""
    last = band.epochs[-1] if len(band.epochs) else 0
    return np.asarray(band.epochs > min(0.05 * last, last - 1))
