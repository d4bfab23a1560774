"""Pictures of weights: how they spread, where the large ones lie, and which columns the first layer weighs most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.report.drawing import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    Picture,
    limits,
    new_figure,
    new_grid,
    number_axis,
    style,
    svg,
    tick_label,
)
from pipeline.report.text import clean, count, short
from pipeline.report.weight_tables import layer_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pipeline.facts import HeatMap, Histogram, InputWeights, WeightFacts

WIDTH = 10.2  # inches
SIZE = (3.7, 4.4)
ACROSS = 4  # histograms side by side
MOST_HISTOGRAMS = 8
NAMED_ROWS = 12  # of a heat map
NAME_IN_FIGURE = 22
SHADE = 99.0  # percentile of a heat map's cells that gets the darkest shade


def draw_weights(facts: WeightFacts) -> tuple[Picture, ...]:
    """Histograms, heat maps and the columns of the largest weights."""
    with style():
        maps = [draw_heat_map(facts, heat_map) for heat_map in facts.heat_maps]
        return (draw_histograms(facts), *maps, draw_inputs(facts.inputs, is_wide=not maps))


def draw_histograms(facts: WeightFacts) -> Picture:
    """Each matrix of weights before and after training, in the same bins."""
    shown = _ends(facts.histograms)
    across = min(ACROSS, len(shown))
    figure, places = new_grid(WIDTH, 2.2 * -(-len(shown) // across), len(shown), across)
    for axes, histogram in zip(places, shown, strict=True):
        _draw_histogram(axes, histogram)
        kind = ", shortcut" if histogram.kind == "skip" else ""
        axes.set_title(f"{layer_name(facts.network, histogram.layer)}{kind}", loc="left", size=9.5)
    caption = (
        "Line: as they started. Blue: after training. Up: number of weights. Weights beyond an end are counted in the "
        "last bin."
    )
    left_out = len(facts.histograms) - len(shown)
    caption += f" {count(left_out, 'layer')} in the middle left out." if left_out else ""
    title = f"Weights before and after training, fold {facts.fold}, seed {facts.seed}"
    return Picture(title, caption, svg(figure, "weights", caption), is_wide=True)


def _draw_histogram(axes: Axes, histogram: Histogram) -> None:
    axes.stairs(histogram.after, histogram.edges, fill=True, color=BLUE, alpha=0.75)
    axes.stairs(histogram.before, histogram.edges, color=INK, linewidth=1.1, alpha=0.8)
    axes.set_xlim(float(histogram.edges[0]), float(histogram.edges[-1]))
    axes.grid(visible=False, axis="x")
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _ends(histograms: tuple[Histogram, ...]) -> tuple[Histogram, ...]:
    """All of a few; of many the first and the last ones, for the ends of a network differ most."""
    half = MOST_HISTOGRAMS // 2
    return histograms if len(histograms) <= MOST_HISTOGRAMS else (*histograms[:half], *histograms[-half:])


def draw_heat_map(facts: WeightFacts, heat_map: HeatMap) -> Picture:
    """Where a matrix holds large weights."""
    rows = len(heat_map.cells)
    finite = heat_map.cells[np.isfinite(heat_map.cells)]
    darkest = float(np.percentile(finite, SHADE)) if len(finite) else 0.0
    figure, axes = new_figure(*SIZE)
    extent = (0, heat_map.shape[1], heat_map.shape[0], 0)
    shades = axes.imshow(
        heat_map.cells, cmap="Blues", vmin=0, vmax=darkest or 1.0, aspect="auto", interpolation="none", extent=extent
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if heat_map.inputs:
        named = np.unique(np.linspace(0, rows - 1, NAMED_ROWS).round().astype(int))
        places = [(row + 0.5) * heat_map.shape[0] / rows for row in named]
        axes.set_yticks(places, [clean(heat_map.inputs[row], NAME_IN_FIGURE) for row in named], size=8)
    axes.set_xlabel("unit")
    axes.set_title("from input" if heat_map.layer == 0 else "from unit", loc="left", size=9.5)
    bar = figure.colorbar(
        shades, ax=axes, orientation="horizontal", aspect=40, pad=0.02, format=FuncFormatter(lambda v, _: tick_label(v))
    )
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
    names = " The names are of a few columns of the matrix." if heat_map.inputs else ""
    caption = f"Dark: large weights, of either sign. {_say_cells(heat_map)}{names}"
    title = f"Weights of {layer_name(facts.network, heat_map.layer)}"
    return Picture(title, caption, svg(figure, f"map {heat_map.layer}", caption))


def _say_cells(heat_map: HeatMap) -> str:
    if heat_map.cells.shape == heat_map.shape:
        return "A cell is the magnitude of one weight."
    high, wide = (-(-size // cells) for size, cells in zip(heat_map.shape, heat_map.cells.shape, strict=True))
    return f"A cell is the mean magnitude in a block of up to {high:,} x {wide:,} weights."


def draw_inputs(inputs: InputWeights, *, is_wide: bool) -> Picture:
    """The columns with the largest weights: a bar for the mean over networks, a line from the least to the most."""
    width, height = (WIDTH, 0.9 + 0.22 * len(inputs.names)) if is_wide else SIZE
    figure, axes = new_figure(width, height)
    places = np.arange(len(inputs.names))
    colours = [ORANGE if value < 0 else BLUE for value in inputs.mean]
    axes.barh(places, inputs.mean, height=0.7, color=colours, alpha=0.75)
    axes.hlines(places, inputs.low, inputs.high, color=INK, linewidth=1.1)
    axes.axvline(0, color=INK, linewidth=0.9)
    if not inputs.is_signed:
        axes.axvline(inputs.drawn, color=MUTED, linewidth=1.1, linestyle="--")
    axes.set_yticks(places, [clean(name, NAME_IN_FIGURE) for name in inputs.names], size=8)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_xlim(*limits(np.concatenate([inputs.low, inputs.high, [0.0]])))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    number_axis(axes.xaxis)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7 if is_wide else 4, steps=[1, 2, 2.5, 5, 10]))
    of = f"{len(places)} of {count(inputs.of, 'column')}, scaled; a rare level may weigh much on few rows. "
    spread = "Bar: mean over the networks; line: from the least to the most."
    if inputs.is_signed:
        axes.set_xlabel("weight")
        caption = f"{of}Blue raises the prediction, orange lowers it. {spread}"
        return Picture("Columns with the largest weights", caption, svg(figure, "inputs", caption), is_wide=is_wide)
    axes.set_xlabel("norm of its weights to all units")
    caption = f"{of}{spread} Dashed: where a column started, on average ({short(inputs.drawn)})."
    return Picture("Columns the first layer weighs most", caption, svg(figure, "inputs", caption), is_wide=is_wide)
