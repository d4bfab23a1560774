"""Pictures of forecasts: stretches of time as they were forecast, and where in time the errors are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from pipeline.report.drawing import (
    BLUE,
    INK,
    Picture,
    limits,
    new_figure,
    new_grid,
    number_axis,
    png,
    style,
    svg,
)
from pipeline.report.row_figures import MOST_POINTS
from pipeline.report.text import clean, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pipeline.facts import ReportFacts
    from pipeline.forecast_facts import Backtest, ErrorGroup, ForecastFacts
    from pipeline.tables import Floats

WIDTH, HEIGHT = 10.2, 2.3  # inches, the height of one stretch
SIZE = (3.7, 3.0)
LONGEST_LABEL = 40
MOST_TICKS = 8
ROOM = 30  # letters below a small picture
GREY = "#98a2ad"  # of a line that others are seen before
FIRST_YEAR, LAST_YEAR = np.datetime64("1000"), np.datetime64("9000")  # between which axes of dates are drawn


def draw_forecasts(facts: ReportFacts, forecasts: ForecastFacts) -> tuple[Picture, ...]:
    """Every picture that tells something, in the order of the page."""
    scores, metric = forecasts.scores, clean(facts.headline.metric, LONGEST_LABEL)
    # of days of a week the two last are the same
    groups = {"steps ahead": scores.by_age, scores.phase: scores.by_phase} | {"day of week": scores.by_weekday}
    with style():
        pictures = [_draw_backtests(forecasts)] if forecasts.backtests else []
        pictures += [_draw_groups(kind, own, metric, scores.naive) for kind, own in groups.items() if len(own) > 1]
    return tuple(pictures)


def _draw_backtests(forecasts: ForecastFacts) -> Picture:
    shown = forecasts.backtests
    figure, places = new_grid(WIDTH, HEIGHT * len(shown) + 0.3, len(shown), 1)
    outside = sum(_draw_backtest(axes, one) for axes, one in zip(places, shown, strict=True))
    _name_lines(places[0], forecasts.scores.naive)
    caption = (
        "What the last fold scores last, and what was true before. Blue: out-of-fold predictions; "
        f"grey: {forecasts.scores.naive}.{_say_origin(shown)}{_say_length(shown)}"
    )
    caption += f" {count(outside, 'value')} further out drawn at the edge." if outside else ""
    points = sum(int(np.isfinite(line).sum()) for one in shown for line in (one.actual, one.predicted, one.naive))
    markup = svg(figure, "backtest", caption) if points < MOST_POINTS else png(figure, caption)
    return Picture("Actual values and forecasts", caption, markup, is_wide=True)


def _draw_backtest(axes: Axes, one: Backtest) -> int:
    """Three lines over time; returns how many values lie outside the frame, which belongs to the actual ones."""
    low, high = limits(one.actual)
    frame = (low - 0.5 * (high - low), high + 0.5 * (high - low))
    across = _across(axes, one)
    outside = 0
    looks = {
        "naive": (one.naive, GREY, 1.0),
        "actual": (one.actual, INK, 1.1),
        "predicted": (one.predicted, BLUE, 1.5),
    }
    everything = []
    for name, (values, colour, width) in looks.items():
        clipped = np.clip(values, *frame)
        outside += int((np.isfinite(values) & (clipped != values)).sum()) if name != "actual" else 0
        alone = _alone(clipped)
        axes.plot(across, clipped, "-", color=colour, linewidth=width, label=name)
        axes.plot(across[alone], clipped[alone], "o", color=colour, markersize=2.5, markeredgewidth=0)
        everything.append(clipped)
    if one.origin >= 0:
        axes.axvline(across[one.origin], color=INK, linewidth=0.9, linestyle=":")
        axes.annotate(" origin", (across[one.origin], 0.98), xycoords=("data", "axes fraction"), va="top", size=8.5)
    axes.set_xlim(across[0], across[-1] if len(across) > 1 else None)
    axes.set_ylim(*limits(np.concatenate(everything)))
    number_axis(axes.yaxis)
    title = " \u2013 ".join(text for text in (clean(one.series, LONGEST_LABEL), one.chosen) if text)
    axes.set_title(title, loc="left", size=9.5)
    return outside


def _across(axes: Axes, one: Backtest) -> Floats | np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]:
    """Positions on the axis of time, which is labelled."""
    if one.when is None or not FIRST_YEAR <= one.when.min() <= one.when.max() < LAST_YEAR:
        number_axis(axes.xaxis)
        axes.set_xlabel("step")
        return one.step
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=4, maxticks=MOST_TICKS)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return one.when


def _alone(values: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Values without a neighbour, of which a line shows nothing."""
    there = np.pad(np.isfinite(values), 1)
    return np.asarray(there[1:-1] & ~there[:-2] & ~there[2:])


def _name_lines(axes: Axes, naive: str) -> None:
    handles, names = axes.get_legend_handles_labels()
    named = {"naive": naive, "predicted": "out-of-fold"}
    axes.legend(handles, [named.get(name, name) for name in names], loc="lower right", bbox_to_anchor=(1, 1),
                ncols=3, frameon=False, borderaxespad=0, fontsize=9)  # fmt: skip


def _say_origin(shown: Sequence[Backtest]) -> str:
    if any(one.origin >= 0 for one in shown):
        return " Dotted: the origin, after which nothing was known."
    return " Each row has an origin of its own."


def _say_length(shown: Sequence[Backtest]) -> str:
    longest = max(shown, key=lambda one: one.length)
    if longest.length <= len(longest.step):
        return ""
    return f" Of stretches of up to {count(longest.length, 'step')} a part is shown."


def _draw_groups(kind: str, groups: Sequence[ErrorGroup], metric: str, naive: str) -> Picture:
    """The model's error and the naive one's, group by group."""
    errors, theirs = (np.array([getattr(group, name) for group in groups]) for name in ("error", "naive"))
    figure, axes = new_figure(*SIZE)
    for values, colour, width in ((theirs, GREY, 1.4), (errors, BLUE, 1.8)):
        axes.plot(np.where(np.isfinite(values), values, np.nan), "-o", color=colour, lw=width, ms=3.5)
    labels = [group.label[:3] if kind in ("day of week", "month") else group.label for group in groups]
    most = min(MOST_TICKS, max(ROOM // max(map(len, labels)), 2))
    ticks = range(0, len(groups), -(-len(groups) // most))
    axes.set_xticks(list(ticks), [labels[place] for place in ticks])
    number_axis(axes.yaxis)
    axes.set_xlabel(kind)
    axes.set_title(metric, loc="left", size=9.5)
    low, high = min(group.rows for group in groups), max(group.rows for group in groups)
    rows = f"{low:,} to {count(high, 'row')}" if low < high else count(high, "row")
    caption = f"Blue: out-of-fold; grey: {naive}. {rows} each."
    return Picture(f"Error by {kind}", caption, svg(figure, f"error by {kind}", caption))
