"""How a sweep went: its scores one after the other, which settings told, and who trained what when.

Optuna draws such pictures too, through pyplot and with a style that it sets for the whole process; labels of seven
settings lie on top of each other there. So its importances are computed by it, and all is drawn here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pipeline.report.drawing import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    Picture,
    new_figure,
    number_axis,
    png,
    style,
    svg,
)
from pipeline.report.score_scale import ScoreScale, short_keys
from pipeline.report.space_figures import draw_lines, draw_slices
from pipeline.report.text import clean, duration, percent

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.report.sweep_facts import SweepFacts, TrialFacts
    from pipeline.tables import Floats

WIDTH = 10.2  # inches
NAME_IN_FIGURE = 26
MOST_TRIALS = 2000  # drawn as vectors; more become an image
GIVEN_UP, IN_FLIGHT = "#aab2bb", "#cfe3f1"
COLOURS = {"scored": BLUE, "given up": GIVEN_UP, "failed": ORANGE, "in flight": IN_FLIGHT}
TALLEST = 6.0  # inches, of the timeline


def draw_sweep(facts: SweepFacts) -> tuple[Picture, ...]:
    """Every picture that the facts allow, in the order of the page."""
    with style():
        pictures: list[Picture | None] = []
        if facts.best is not None:
            scale = ScoreScale.of(facts)
            pictures += [_draw_history(facts, scale), _draw_importances(facts), draw_slices(facts, scale)]
            pictures.append(draw_lines(facts, scale))
        pictures.append(_draw_timeline(facts))
    return tuple(picture for picture in pictures if picture is not None)


def _draw_history(facts: SweepFacts, scale: ScoreScale) -> Picture:
    """A dot a trial, the best so far as steps, and at the edge those without a score."""
    scored = facts.of("scored")
    numbers, scores = np.array([t.number for t in scored]), np.array([t.score for t in scored])
    figure, axes = new_figure(WIDTH, 3.1)
    axes.plot(numbers, scale.clipped(scores), "o", color=BLUE, alpha=0.6, markersize=5, mew=0, clip_on=False)
    last = max(trial.number for trial in facts.trials)
    so_far = np.maximum.accumulate(scores) if facts.greater_is_better else np.minimum.accumulate(scores)
    steps = np.append(numbers, max(last, numbers[-1]))
    axes.plot(steps, np.append(so_far, so_far[-1]), drawstyle="steps-post", color=INK, linewidth=1.4)
    for state, colour in (("given up", MUTED), ("failed", ORANGE)):
        if absent := [trial.number for trial in facts.trials if trial.state == state]:
            axes.plot(absent, [scale.worst] * len(absent), "|", color=colour, markersize=8, mew=1.1, clip_on=False)
    first = [trial for trial in scored if trial.number == facts.stands]
    if first:
        stands = float(scale.clipped(np.array([first[0].score]))[0])
        axes.axhline(stands, color=MUTED, linewidth=0.9, linestyle=":")
        _beside(axes, stands, "as it stands", MUTED)
    if facts.winner and (chosen := [trial for trial in scored if trial.number == facts.winner.number]):
        at = float(scale.clipped(np.array([chosen[0].score]))[0])
        axes.plot([facts.winner.number], [at], "o", mfc="none", mec=ORANGE, markersize=10, mew=1.8, clip_on=False)
        _beside(axes, at, "the winner", ORANGE)
    scale.apply(axes.yaxis)
    axes.set_xlim(-0.02 * max(last, 1), 1.02 * max(last, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.set_xlabel("trial")
    axes.set_title(scale.label, loc="left", size=9.5, pad=10)
    strokes = [state for state in ("given up", "failed") if facts.of(state)]
    absent_told = f" Strokes at the edge: trials {' (grey) or '.join(strokes)}." if strokes else ""
    if strokes == ["given up", "failed"]:
        absent_told = " Strokes at the edge: trials given up (grey) or failed (orange)."
    caption = f"Dot: a scored trial. Line: the best so far.{absent_told}{scale.caption}"
    return Picture("Trials one after the other", caption, _markup(figure, "history", caption, facts), is_wide=True)


def _beside(axes: Axes, y: float, text: str, colour: str) -> None:
    """A name to the right of the frame; two of them never on the same spot."""
    taken = [note.xy[1] for note in axes.texts if hasattr(note, "xy")]
    low, high = axes.get_ylim()
    near = [other for other in taken if abs(other - y) < 0.06 * abs(high - low)]
    axes.annotate(
        text,
        (1.0, y),
        xytext=(6, 11 if near and y >= near[0] else -11 if near else 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        size=8.5,
        color=colour,
        annotation_clip=False,
    )


def _draw_importances(facts: SweepFacts) -> Picture | None:
    """How much each setting tells good trials from the others."""
    if len(facts.importances) < 2:
        return None
    names = dict(zip((one.key for one in facts.dimensions), _names(facts), strict=True))
    labels = [clean(names.get(key, key), NAME_IN_FIGURE) for key, _ in facts.importances]
    shares = [share for _, share in facts.importances]
    figure, axes = new_figure(WIDTH, 0.5 + 0.27 * len(labels))
    axes.barh(range(len(labels)), shares, color=BLUE, height=0.62)
    for place, share in enumerate(shares):
        axes.annotate(percent(share), (share, place), xytext=(5, 0), textcoords="offset points", va="center", size=9)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, max(shares) * 1.09)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    caption = (
        "How far each setting alone tells the best of the scored trials from the others (PED-ANOVA, shares of 100 %). "
        "A setting in which all good trials agree counts much; one that was hardly varied counts little."
    )
    return Picture("Which settings mattered", caption, svg(figure, "importances", caption), is_wide=True)


def _draw_timeline(facts: SweepFacts) -> Picture | None:
    """A bar a trial, in lanes, the lanes of one process together."""
    if not facts.trials:
        return None
    lanes, edges = _lanes(facts)
    unit, divisor = _unit(facts.seconds)
    total = int(edges[-1])
    figure, axes = new_figure(WIDTH, min(TALLEST, 0.9 + max(0.12 * total, 0.3)))
    smallest = 0.001 * facts.seconds
    for state, colour in COLOURS.items():
        own = [(lane, trial) for lane, trial in zip(lanes, facts.trials, strict=True) if trial.state == state]
        boxes = [_box(lane, trial, divisor, smallest) for lane, trial in own]
        axes.add_collection(PolyCollection(boxes, facecolors=colour, edgecolors="white", linewidths=0.35))
    for position, pause in facts.pauses:
        axes.axvline(position / divisor, color=INK, linewidth=0.9, linestyle="--")
        axes.annotate(
            f"paused {duration(pause)}",
            (position / divisor, 1.0),
            xytext=(3, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=8,
            color=MUTED,
        )
    for edge in edges[1:-1]:
        axes.axhline(edge, color=FAINT, linewidth=0.8)
    shown = _shown_workers(len(facts.workers), total)
    axes.set_yticks(
        [(edges[i] + edges[i + 1]) / 2 for i in shown], [clean(facts.workers[i], NAME_IN_FIGURE) for i in shown]
    )
    axes.set_ylim(total, 0)
    axes.set_xlim(0, max(facts.seconds / divisor, 1e-9))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    number_axis(axes.xaxis)
    axes.set_xlabel(unit)
    present = [state for state in COLOURS if any(trial.state == state for trial in facts.trials)]
    handles = [Patch(color=COLOURS[state], label=state) for state in present]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=8.5, handlelength=1.2
    )
    caption = (
        "A bar is a trial, from the moment in which it was asked for to its end; those of one process that overlap "
        "were in flight together, and share packs."
    )
    return Picture("Who trained what, when", caption, _markup(figure, "timeline", caption, facts), is_wide=True)


def _lanes(facts: SweepFacts) -> tuple[list[int], Floats]:
    """Each trial's lane, and where each worker's lanes begin (the last number is where all end)."""
    ends: list[list[float]] = [[] for _ in facts.workers]  # worker -> its lanes' last ends
    place: dict[int, int] = {}
    for trial in sorted(facts.trials, key=lambda trial: (trial.begun, trial.number)):
        own = ends[trial.worker]
        free = next((lane for lane, end in enumerate(own) if end <= trial.begun), len(own))
        own[free : free + 1] = [trial.ended]
        place[trial.number] = free
    edges = np.concatenate([[0], np.cumsum([len(own) for own in ends])])
    return [int(edges[trial.worker]) + place[trial.number] for trial in facts.trials], edges


def _box(lane: int, trial: TrialFacts, divisor: float, smallest: float) -> list[tuple[float, float]]:
    left, right = trial.begun / divisor, max(trial.ended, trial.begun + smallest) / divisor
    return [(left, lane + 0.06), (right, lane + 0.06), (right, lane + 0.94), (left, lane + 0.94)]


def _unit(seconds: float) -> tuple[str, float]:
    if seconds < 180:
        return "seconds of training", 1.0
    return ("minutes of training", 60.0) if seconds < 3 * 3600 else ("hours of training", 3600.0)


def _shown_workers(workers: int, lanes: int) -> range:
    """Which workers are named, where there are more than there is room for."""
    height = min(TALLEST, 0.9 + 0.12 * lanes)
    return range(0, workers, max(1, round(workers * 0.17 / max(height - 0.7, 0.17))))


def _names(facts: SweepFacts) -> list[str]:
    return short_keys(tuple(one.key for one in facts.dimensions))


def _markup(figure: Figure, name: str, alt: str, facts: SweepFacts) -> Markup:
    return svg(figure, name, alt) if len(facts.trials) <= MOST_TRIALS else png(figure, alt)
