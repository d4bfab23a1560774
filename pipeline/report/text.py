"""Numbers and names as the page shows them. Nothing is escaped here; the template and the drawings do that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_NUMBER = "–"  # noqa: RUF001 - a dash is what a table shows where there is no number
LONGEST_NAME = 48
LONGEST_HINT = 400


def clean(text: str, longest: int = LONGEST_HINT) -> str:
    """Cut to `longest` characters; a control, bidirectional or unpaired character becomes a visible mark."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def number(value: float, digits: int = 5) -> str:
    """A number with about `digits` significant digits and thousands separators; a dash where it is not finite."""
    return column([value], digits)[0]


def column(values: Sequence[float], digits: int = 5) -> list[str]:
    """Numbers of one table column: as many decimals for all as the largest one needs, so that they line up."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    magnitude = math.floor(math.log10(largest)) if largest > 0 else 0
    if not -5 <= magnitude <= 8:
        return [f"{value:.{digits - 1}e}" if math.isfinite(value) else NO_NUMBER for value in values]
    decimals = max(0, digits - 1 - max(magnitude, -1))
    return [f"{value:,.{decimals}f}".replace("-", "\u2212") if math.isfinite(value) else NO_NUMBER for value in values]


def short(value: float, digits: int = 3) -> str:
    """A number that stands alone: `digits` significant digits however small it is; a dash where it is not finite."""
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else NO_NUMBER
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 <= magnitude <= 8:
        return f"{value:.{digits - 1}e}".replace("-", "\u2212")
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}".replace("-", "\u2212")


def count(number_of: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number_of:,} {noun}{'s' * (number_of != 1)}"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
