"""From a matplotlib figure to markup that can stand in any page: the same figure, the same bytes."""

from __future__ import annotations

import base64
import html
import io
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from pipeline.tables import Floats

# Okabe and Ito's colours, told apart by colour-blind eyes; in grey print they differ in lightness too
BLUE, ORANGE, INK, MUTED, FAINT = "#0072B2", "#D55E00", "#1b1f24", "#5b6470", "#d9dde2"
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
PNG_DOTS = 160  # per inch
FONT = re.compile(r"font-family: [^;\"]*;?")


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn figure: markup that is safe in a page as it stands, and the words around it."""

    title: str
    caption: str
    markup: Markup
    is_wide: bool = False


@contextmanager
def style() -> Iterator[None]:
    """Our look and nothing of the machine's: a matplotlibrc must not change a report's bytes."""
    with mpl.rc_context(), warnings.catch_warnings():
        # a name may be in any script; the browser has the fonts that matplotlib measures without
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rc("font", size=9.5)
        mpl.rc("text", color=INK, parse_math=False)  # a dollar sign in a name is a dollar sign
        mpl.rc("axes", edgecolor=MUTED, labelcolor=INK, linewidth=0.8, grid=True, axisbelow=True)
        mpl.rc("axes.spines", top=False, right=False)
        mpl.rc("grid", color=FAINT, linewidth=0.6)
        mpl.rc("xtick", color=MUTED, labelcolor=INK)
        mpl.rc("ytick", color=MUTED, labelcolor=INK)
        mpl.rc("svg", fonttype="none")
        yield


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of one set of axes, in inches; never pyplot, which keeps global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def new_grid(width: float, height: float, places: int, across: int) -> tuple[Figure, list[Axes]]:
    """An empty figure of `places` small axes, line by line, `across` of them in each; in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(-(-places // across), across, squeeze=False).ravel()
    for unused in axes[places:]:
        unused.remove()
    return figure, list(axes[:places])


def svg(figure: Figure, name: str, alt: str) -> Markup:
    """Inline SVG without namespaces, metadata or ids that another figure could share.

    name: unlike that of any other figure of the page.
    """
    mpl.rc("svg", hashsalt=f"foldpack {name}")
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict(NO_METADATA))
    text = stream.getvalue()
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None
    body = text[text.index(">", box.start()) + 1 :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.DOTALL).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", body)
    body = FONT.sub("", body)
    head = f'<svg viewBox="{box[1]}" role="img" aria-label="{html.escape(alt)}">'
    # every text in it was escaped by matplotlib's own writer
    return Markup(head + re.sub(r"\n\s*", "\n", body).strip())  # noqa: S704


def png(figure: Figure, alt: str) -> Markup:
    """An image of the page's own: a PNG as a data URI."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=PNG_DOTS, metadata={"Software": None})
    data = base64.b64encode(stream.getvalue()).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, data)


def limits(values: Floats, margin: float = 0.05) -> tuple[float, float]:
    """The range of finite values with a margin; never empty, whatever the values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = margin * (high - low) or margin * abs(high) or margin
    return low - room, high + room


def log_ticks(axis_limits: tuple[float, float]) -> list[float]:
    """Round values between two logarithms (base 10), themselves as logarithms: 1, 2, 5 or powers of ten alone."""
    low, high = axis_limits
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    every = max(1, len(powers) // 8)
    ticks = [power + float(np.log10(step)) for power in powers[::every] for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def tick_label(value: float) -> str:
    """A round number as an axis shows it."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.7g}".replace("-", "\u2212")


def number_axis(axis: Axis) -> None:
    """Round numbers, few enough to be read."""
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))


def log_axis(axis: Axis, frame: tuple[float, float]) -> None:
    """Label an axis of logarithms (base 10) with the numbers they stand for."""
    axis.set_major_locator(FixedLocator(log_ticks(frame)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(float(value))))


def _power_label(power: float) -> str:
    # the frame's margin may reach beyond the largest float
    return tick_label(float(f"{10.0**power:.3g}")) if abs(power) < 300 else f"1e{power:.0f}"
