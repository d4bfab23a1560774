"""Where in its space a sweep found what: setting by setting, and all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from pipeline.report.drawing import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    Picture,
    limits,
    log_axis,
    log_ticks,
    new_figure,
    new_grid,
    number_axis,
    png,
    svg,
    tick_label,
)
from pipeline.report.score_scale import short_keys
from pipeline.report.text import clean

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.report.score_scale import ScoreScale
    from pipeline.report.sweep_facts import Dimension, SweepFacts
    from pipeline.tables import Floats

WIDTH = 10.2  # inches
ACROSS = 4  # slices in a line
CHOICE_IN_FIGURE, NAME_IN_FIGURE = 10, 18
MOST_MARKS = 6000  # drawn as vectors; more become an image
MOST_SETTINGS = 24  # drawn; the others are left to the tables of a study
MOST_TICKS = 6
MOST_LOG_TICKS = 4  # of a small panel
BEST_SHARE = 0.1  # of the scored trials, drawn in front


def draw_slices(facts: SweepFacts, scale: ScoreScale) -> Picture:
    """A panel a setting: its values and the scores they had."""
    shown = facts.dimensions[:MOST_SETTINGS]
    scored = facts.of("scored")
    places = np.array([trial.places for trial in scored]).reshape(len(scored), -1)
    scores = scale.clipped(np.array([trial.score for trial in scored]))
    given_up = np.array([trial.places for trial in facts.of("given up")]).reshape(-1, len(facts.dimensions))
    lines = -(-len(shown) // ACROSS)
    figure, panels = new_grid(WIDTH, 0.7 + 2.0 * lines, len(shown), min(ACROSS, len(shown)))
    winner = [place for place, trial in enumerate(scored) if facts.winner and trial.number == facts.winner.number]
    for place, (one, name, axes) in enumerate(zip(shown, _names(facts), panels, strict=False)):
        log = one.scale == "log"
        x = np.log10(places[:, place]) if log else places[:, place]
        absent = np.log10(given_up[:, place]) if log else given_up[:, place]
        if len(absent):  # nothing at all outside a frame would have no size, and upset the layout
            edge = np.full(len(absent), scale.worst)
            axes.plot(absent, edge, "|", color=MUTED, alpha=0.5, markersize=6, clip_on=False)
        axes.plot(x, scores, "o", color=BLUE, alpha=0.45, markersize=4, mew=0, clip_on=False)
        if winner:
            axes.plot(x[winner], scores[winner], "o", mfc="none", mec=ORANGE, markersize=8.5, mew=1.7, clip_on=False)
        _frame(axes, one, x)
        scale.apply(axes.yaxis)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        if place % ACROSS:
            axes.tick_params(axis="y", labelleft=False)
        axes.set_xlabel(clean(name, NAME_IN_FIGURE))
    figure.supylabel(scale.label, size=9.5)
    strokes = " Strokes at the edge: trials that were given up." if len(given_up) else ""
    left_out = (
        f" {len(facts.dimensions) - len(shown)} more settings not drawn." if len(facts.dimensions) > len(shown) else ""
    )
    caption = f"Dot: a scored trial. Ring: the winner.{strokes}{scale.caption}{left_out}"
    markup = _markup(figure, "slices", caption, len(facts.trials) * len(shown))
    return Picture("Setting by setting", caption, markup, is_wide=True)


def draw_lines(facts: SweepFacts, scale: ScoreScale) -> Picture | None:
    """Parallel coordinates: a line a trial through its values, to its score."""
    scored = [trial for trial in facts.of("scored") if np.isfinite(trial.places).all()]
    shown = facts.dimensions[:MOST_SETTINGS]
    if len(shown) < 2 or len(scored) < 2:
        return None
    heights = np.array([[_height(one, x) for one, x in zip(shown, t.places, strict=False)] for t in scored])
    scores = np.array([trial.score for trial in scored])
    ends = (scale.clipped(scores) - scale.frame[0]) / (scale.frame[1] - scale.frame[0])
    ends = ends if facts.greater_is_better else 1 - ends  # good ones above
    heights = np.column_stack([heights, ends])
    order = np.argsort(scores if facts.greater_is_better else -scores, kind="stable")
    best = max(1, round(BEST_SHARE * len(scored)))
    figure, axes = new_figure(WIDTH, 3.6)
    paths = np.stack(np.broadcast_arrays(np.arange(len(shown) + 1.0), heights), axis=-1)
    axes.add_collection(
        LineCollection(
            list(paths[order[:-best]]), colors=MUTED, linewidths=0.8, alpha=float(np.clip(20 / len(scored), 0.2, 0.6))
        )
    )
    axes.add_collection(LineCollection(list(paths[order[-best:]]), colors=BLUE, linewidths=1.3, alpha=0.75))
    winner = [place for place, trial in enumerate(scored) if facts.winner and trial.number == facts.winner.number]
    axes.add_collection(LineCollection(list(paths[winner]), colors=ORANGE, linewidths=2.2, zorder=3))
    for place, one in enumerate(shown):
        _scale_beside(axes, place, _ticks(one))
    _scale_beside(axes, len(shown), _score_ticks(facts, scale))
    axes.set_xlim(-0.55, len(shown) + 0.12)
    axes.set_ylim(-0.04, 1.04)
    names = [clean(name, NAME_IN_FIGURE) for name in _names(facts)[: len(shown)]]
    axes.set_xticks(range(len(shown) + 1), _staggered([*names, clean(facts.metric, NAME_IN_FIGURE)]))
    axes.xaxis.tick_top()
    axes.tick_params(axis="both", length=0)
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    of_winner = " Orange: the winner." if winner else ""
    caption = (
        f"A line is a scored trial, from value to value to its score (good ones above). Blue: the best tenth."
        f"{of_winner}{scale.caption}"
    )
    markup = _markup(figure, "lines", caption, len(scored) * len(shown))
    return Picture("All settings at once", caption, markup, is_wide=True)


def _staggered(names: list[str]) -> list[str]:
    """Every other name a line higher where they would touch."""
    if len(names) * max(map(len, names)) * 0.075 < WIDTH - 1:
        return names
    return [name if place % 2 else f"{name}\n" for place, name in enumerate(names)]


def _scale_beside(axes: Axes, x: float, ticks: list[tuple[float, str]]) -> None:
    axes.plot([x, x], [0, 1], color=INK, linewidth=0.9, zorder=4)
    for height, text in ticks:
        axes.plot([x - 0.02, x], [height, height], color=INK, linewidth=0.9, zorder=4)
        axes.annotate(
            text,
            (x, height),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            size=8,
            zorder=5,
            bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )


def _ticks(one: Dimension) -> list[tuple[float, str]]:
    """Heights and words of an axis' ticks, few enough to be read."""
    if one.scale == "choice":
        texts = [_broken(text) for text in one.choices]
        return [(_height(one, place), texts[place]) for place in _some(len(texts), 2 * MOST_TICKS)]
    if one.scale == "log":
        powers = log_ticks((float(np.log10(one.low)), float(np.log10(one.high))))
        values = [float(f"{10**power:.3g}") for power in powers]
    else:
        values = [
            float(value)
            for value in MaxNLocator(nbins=5, integer=one.scale == "integer").tick_values(one.low, one.high)
        ]
    inside = [value for value in values if one.low <= value <= one.high] or [one.low, one.high]
    return [(_height(one, inside[i]), tick_label(inside[i])) for i in _some(len(inside), MOST_TICKS)]


def _score_ticks(facts: SweepFacts, scale: ScoreScale) -> list[tuple[float, str]]:
    low, high = scale.frame
    inside = [float(value) for value in MaxNLocator(nbins=5).tick_values(low, high) if low <= value <= high]
    heights = [(value - low) / (high - low) for value in inside]
    return [
        (height if facts.greater_is_better else 1 - height, tick_label(value))
        for height, value in zip(heights, inside, strict=True)
    ]


def _broken(text: str) -> str:
    """A choice as a tick shows it: a long one on two lines, where it has an underscore to break at."""
    head, underscore, tail = text.partition("_")
    if len(text) <= CHOICE_IN_FIGURE or not underscore or not (head and tail):
        return clean(text, CHOICE_IN_FIGURE)
    return f"{clean(head + underscore, CHOICE_IN_FIGURE)}\n{clean(tail, CHOICE_IN_FIGURE)}"


def _some(number: int, most: int) -> range:
    return range(0, number, max(1, -(-number // most)))


def _height(one: Dimension, value: float) -> float:
    """Between 0 and 1 along the axis, in the middle where there is but one value."""
    low, high = one.low, one.high
    if one.scale == "log":
        low, high, value = np.log10([low, high, value]).tolist()
    return (value - low) / (high - low) if high > low else 0.5


def _frame(axes: Axes, one: Dimension, x: Floats) -> None:
    """The whole range that was searched, and what lies outside: a database may hold trials of other ends."""
    if one.scale == "choice":
        shown = _some(len(one.choices), 8)
        texts = [_broken(one.choices[place]) for place in shown]
        axes.set_xlim(-0.5, len(one.choices) - 0.5)
        axes.xaxis.set_major_locator(FixedLocator(list(shown)))
        axes.xaxis.set_major_formatter(FixedFormatter(texts))
        if sum(max(map(len, text.split("\n"))) for text in texts) > 26:
            axes.tick_params(axis="x", labelrotation=30)
        return
    ends = np.log10([one.low, one.high]) if one.scale == "log" else np.array([one.low, one.high])
    frame = limits(np.concatenate([ends, x]), 0.05)
    axes.set_xlim(*frame)
    if one.scale == "log":
        log_axis(axes.xaxis, frame)
        ticks = log_ticks(frame)
        axes.xaxis.set_major_locator(FixedLocator([ticks[place] for place in _some(len(ticks), MOST_LOG_TICKS)]))
        return
    number_axis(axes.xaxis)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=one.scale == "integer"))


def _names(facts: SweepFacts) -> list[str]:
    return short_keys(tuple(one.key for one in facts.dimensions))


def _markup(figure: Figure, name: str, alt: str, marks: int) -> Markup:
    return svg(figure, name, alt) if marks <= MOST_MARKS else png(figure, alt)
