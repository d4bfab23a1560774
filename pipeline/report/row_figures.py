"""Pictures of single rows: vector graphics for few points, an image of hexagons for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.report.drawing import (
    BLUE,
    INK,
    ORANGE,
    Picture,
    limits,
    log_axis,
    new_figure,
    number_axis,
    png,
    svg,
    tick_label,
)
from pipeline.report.text import count, number

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.facts import RowErrors
    from pipeline.tables import Floats

MOST_POINTS = 2000  # above, SVG markup grows past what it is worth
SIZE = (3.7, 3.5)  # inches


def draw_predictions(rows: RowErrors, metric: str) -> Picture:
    """Out-of-fold predictions over actual values; at least one row must be scored, here and below."""
    del metric
    scored = np.isfinite(rows.errors)
    log = _is_log(rows)
    actual, predicted = _position(rows.actual[scored], log=log), _position(rows.predicted[scored], log=log)
    low, high = limits(actual)
    # a wild prediction is drawn at the edge: the frame belongs to the values that occur
    edge = (low - 0.5 * (high - low), high + 0.5 * (high - low))
    predicted, outside = np.clip(predicted, *edge), int(((predicted < edge[0]) | (predicted > edge[1])).sum())
    frame = limits(np.concatenate([actual, predicted]), 0.04)
    figure, axes = new_figure(*SIZE)
    _draw_points(figure, axes, actual, predicted, (*frame, *frame))
    axes.plot(frame, frame, color=INK, linewidth=0.9, linestyle="--")
    for axis in (axes.xaxis, axes.yaxis):
        log_axis(axis, frame) if log else number_axis(axis)
    axes.set_xlabel("actual")
    axes.set_title("predicted, out-of-fold", loc="left", size=9.5)
    scale = "Logarithmic scales. " if log else ""
    caption = f"{scale}On the dashed line the prediction is exact.{_say_outside(outside)}"
    return Picture("Predicted and actual", caption, _markup(figure, "predictions", caption, len(actual)))


def draw_errors(rows: RowErrors, metric: str) -> Picture:
    """Errors over predictions, with the median of ten equally large groups."""
    scored = np.isfinite(rows.errors)
    log = _is_log(rows)
    predicted, errors = _position(rows.predicted[scored], log=log), rows.errors[scored]
    across, bounds = _bulk(predicted), _bulk(errors)
    outside = int(((errors < bounds[0]) | (errors > bounds[1])).sum())
    figure, axes = new_figure(*SIZE)
    _draw_points(figure, axes, np.clip(predicted, *across), np.clip(errors, *bounds), (*across, *bounds))
    axes.axhline(0, color=INK, linewidth=0.9, linestyle="--")
    groups = np.array_split(np.argsort(predicted, kind="stable"), min(10, len(predicted)))
    middles = [float(np.median(predicted[group])) for group in groups]
    axes.plot(middles, [float(np.median(errors[group])) for group in groups], "-o", color=ORANGE, ms=4, lw=1.6)
    log_axis(axes.xaxis, across) if log else number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.set_xlabel("predicted, out-of-fold")
    axes.set_title(error_label(rows, metric), loc="left", size=9.5)
    caption = f"Above the dashed line the prediction is too high. Orange: median of each tenth.{_say_outside(outside)}"
    return Picture("Errors over predictions", caption, _markup(figure, "errors", caption, len(errors)))


def draw_error_histogram(rows: RowErrors, metric: str) -> Picture:
    """How errors are spread."""
    errors = rows.errors[np.isfinite(rows.errors)]
    bounds = _bulk(errors)
    outside = int(((errors < bounds[0]) | (errors > bounds[1])).sum())
    figure, axes = new_figure(*SIZE)
    axes.hist(np.clip(errors, *bounds), bins=41, range=bounds, color=BLUE, alpha=0.75, edgecolor="white", linewidth=0.4)
    axes.axvline(0, color=INK, linewidth=0.9, linestyle="--")
    axes.axvline(float(np.median(errors)), color=ORANGE, linewidth=1.6)
    axes.set_xlim(*bounds)
    axes.grid(visible=False, axis="x")
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel(error_label(rows, metric))
    axes.set_title("rows", loc="left", size=9.5)
    caption = f"Orange: the median, {number(float(np.median(errors)), 3)}.{_say_outside(outside)}"
    return Picture("Spread of the errors", caption, svg(figure, "histogram", caption))


def error_label(rows: RowErrors, metric: str) -> str:
    """What an error is, in the scale in which the metric adds up."""
    if not rows.in_logs:
        return "error: predicted \u2212 actual"
    return "error: log(predicted / actual)" if metric == "log_rmse" else "error: difference of log(1 + y)"


def _is_log(rows: RowErrors) -> bool:
    scored = np.isfinite(rows.errors)
    return bool(rows.in_logs and (rows.actual[scored] > 0).all() and (rows.predicted[scored] > 0).all())


def _position(values: Floats, *, log: bool) -> Floats:
    return np.log10(values) if log else values


def _bulk(values: Floats) -> tuple[float, float]:
    """All values where they are near each other; far ones are left to the edge."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    reach = 4 * (high - low) or np.inf
    return limits(np.clip(values, middle - reach, middle + reach))


def _say_outside(outside: int) -> str:
    return f" {count(outside, 'row')} further out drawn at the edge." if outside else ""


def _draw_points(figure: Figure, axes: Axes, x: Floats, y: Floats, extent: tuple[float, float, float, float]) -> None:
    """Points where they are few, else hexagons whose shade counts rows."""
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    if len(x) < MOST_POINTS:
        axes.plot(x, y, "o", color=BLUE, alpha=0.4, markersize=3, markeredgewidth=0, clip_on=False)
        return
    cells = axes.hexbin(x, y, gridsize=55, extent=extent, bins="log", mincnt=1, cmap="Blues", linewidths=0.1, vmin=0.5)
    bar = figure.colorbar(cells, ax=axes, aspect=30, pad=0.02, format=FuncFormatter(lambda value, _: tick_label(value)))
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.set_title("rows", size=8.5, loc="left")


def _markup(figure: Figure, name: str, alt: str, points: int) -> Markup:
    return svg(figure, name, alt) if points < MOST_POINTS else png(figure, alt)
