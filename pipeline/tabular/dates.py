"""Texts that are dates: in which formats they are written, and what instants they mean.

Formats are strptime's. An instant with a zone or an offset becomes UTC; instants without one stay as they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tabular.cells import levels_of, spread_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Booleans, Texts

    Instants = np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]
    Parts: TypeAlias = tuple[tuple[str, str], ...]  # what a text looks like -> what strptime calls it

READABLE_SHARE = 0.99  # of the distinct texts; the others count as missing
LOOKED_AT = 1000
VERIFIED = 20_000
MOST_FORMATS = 12
_LONG = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS = {"%b": f"(?i:{'|'.join(name[:3] for name in _LONG)})", "%B": f"(?i:{'|'.join(_LONG)})"}
_NAMED: Parts = tuple(
    (layout.format(m=pattern), layout.format(m=code).replace(r"\d{1,2}", "%d").replace(r"\d{4}", "%Y"))
    for code, pattern in _MONTHS.items()
    for layout in (
        r"\d{{1,2}}-{m}-\d{{4}}",
        r"\d{{1,2}} {m} \d{{4}}",
        r"{m} \d{{1,2}}, \d{{4}}",
        r"{m} \d{{1,2}} \d{{4}}",
    )
)
# where day and month are both numbers and the year stands last, the format is the month-first one until it is decided
DAYS: Parts = (
    (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "%Y.%m.%d"),
    (r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", "%Y%m%d"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", "%d.%m.%y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
    (r"\d{1,2}/\d{1,2}/\d{2}", "%m/%d/%y"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "%m-%d-%Y"),
    *_NAMED,
    (rf"\d{{1,2}}-{_MONTHS['%b']}-\d{{2}}", "%d-%b-%y"),
    (r"(?:19|20)\d{2}-(?:0?[1-9]|1[0-2])", "%Y-%m"),
)
_CLOCKS: Parts = (
    (r"\d{1,2}:\d{2}", "%H:%M"),
    (r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"\d{1,2}:\d{2}:\d{2}\.\d{1,9}", "%H:%M:%S.%f"),
)
_HALF_DAYS: Parts = tuple(
    (clock + blank + "(?i:[ap]m)", code.replace("%H", "%I") + blank + "%p")
    for (clock, code), blank in product(_CLOCKS[:2], ("", " "))
)
_ZONES: Parts = ((r"(?:Z|[+-]\d{2}:?\d{2})", "%z"), (r" (?:Z|[+-]\d{2}:?\d{2})", " %z"), (" UTC", " UTC"))
TIMES: Parts = (
    ("", ""),
    *((joint + clock, joint + code) for joint in (" ", "T") for clock, code in (*_CLOCKS, *_HALF_DAYS)),
    *((j + clock + zone, j + code + z) for j in (" ", "T") for clock, code in _CLOCKS for zone, z in _ZONES),
)
_READ_DAYS = tuple((re.compile(pattern), pattern, code) for pattern, code in DAYS)
_READ_TIMES = tuple((re.compile(pattern), pattern, code) for pattern, code in TIMES)
UNDECIDED = re.compile(r"%m([/-])%d\1")


@dataclass(frozen=True, slots=True)
class DateGuess:
    """How the dates of a column are written."""

    formats: tuple[str, ...]  # the most frequent first
    ambiguous: bool  # day and month could be the other way round; read month first
    evidence: str


def find_formats(texts: pa.ChunkedArray | pd.Series) -> DateGuess | None:
    """The formats of distinct texts, or None unless at least 99 in 100 of them are dates.

    Whether 3/4/2015 is in March or in April is decided by the parts above 12 of all texts together.
    """
    distinct = _as_texts(texts).drop_null()
    found: dict[str, pa.ChunkedArray] = {}
    unread = distinct
    while len(unread) and len(found) < MOST_FORMATS:
        shape = _first_shape(unread)
        if shape is None:
            break
        pattern, code = shape
        matching = pc.match_substring_regex(unread, f"^(?:{pattern})$")
        found[code] = unread.filter(matching)
        unread = unread.filter(pc.invert(matching))
    if not found or len(unread) > (1 - READABLE_SHARE) * len(distinct):
        return None
    by_count = sorted(found, key=lambda code: -len(found[code]))
    formats, ambiguous, words = _decide_order({code: found[code] for code in by_count})
    looked_at = distinct.take(pa.array(spread_rows(len(distinct), VERIFIED)))
    wrong = int(parse_dates(looked_at, formats)[1].sum())
    if wrong > (1 - READABLE_SHARE) * len(looked_at):
        return None
    evidence = f"{len(distinct) - len(unread)} of {len(distinct)} distinct texts are dates like {distinct[0].as_py()!r}"
    return DateGuess(formats, ambiguous, evidence + (f"; {words}" if words else ""))


def parse_dates(column: pa.ChunkedArray | pd.Series, formats: Sequence[str]) -> tuple[Instants, Booleans]:
    """Instants (NaT where missing or unreadable) and which cells hold a text that no format reads.

    The formats are tried in turn. Blanks around a text do not count; "now" and "today" are no dates.
    """
    levels = levels_of(_as_texts(column))
    instants = np.full(len(levels.texts), np.datetime64("NaT", "us"))
    # pandas reads "now" and "today" as the moment of reading, whatever the format
    unread = np.flatnonzero([any(map(str.isdigit, text)) for text in levels.texts])
    for code in formats:
        instants[unread] = _instants(levels.texts[unread], code)
        unread = unread[np.isnat(instants[unread])]
        if not len(unread):
            break
    wrong = np.append(np.isnat(instants), False)  # the last entry is what a missing cell's code, -1, points to
    return np.append(instants, np.datetime64("NaT", "us"))[levels.codes], wrong[levels.codes]


def _instants(texts: Texts, code: str) -> Instants:
    """Instants of distinct texts in one format, NaT where it does not fit."""
    parsed = pd.to_datetime(pd.Series(texts, dtype=object), format=code, errors="coerce", utc=True)
    instants: Instants = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return instants


def _as_texts(column: pa.ChunkedArray | pd.Series) -> pa.ChunkedArray:
    cells = (
        column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column, pa.string(), from_pandas=True)
    )
    chunked = cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    return pc.utf8_trim_whitespace(chunked.cast(pa.string()))


def _first_shape(texts: pa.ChunkedArray) -> tuple[str, str] | None:
    """The shape of the first text, among a few spread ones, that has one."""
    for text in texts.take(pa.array(spread_rows(len(texts), LOOKED_AT))).to_pylist():
        for day, pattern, code in _READ_DAYS:
            if (hit := day.match(text)) is None:
                continue
            for time, of_time, code_of_time in _READ_TIMES:
                if time.fullmatch(text, hit.end()):
                    return pattern + of_time, code + code_of_time
    return None


def _decide_order(found: dict[str, pa.ChunkedArray]) -> tuple[tuple[str, ...], bool, str]:
    """Formats with day and month in order, one answer for all texts with the same mark; whether in doubt; and why."""
    orders: dict[str, tuple[str, str]] = {}
    for mark in "/-":
        parts = [texts for code, texts in found.items() if (hit := UNDECIDED.search(code)) and hit[1] == mark]
        if parts:
            orders[mark] = _order(pa.chunked_array([chunk for texts in parts for chunk in texts.chunks], pa.string()))
    formats: list[str] = []
    for code in found:
        hit = UNDECIDED.search(code)
        order = orders[hit[1]][0] if hit else "month first"
        day_first = UNDECIDED.sub(r"%d\1%m\1", code)
        formats += {"day first": [day_first], "mixed": [code, day_first]}.get(order, [code])
    ambiguous = any(order in {"mixed", "unknown"} for order, _ in orders.values())
    return tuple(formats), ambiguous, "; ".join(words for _, words in orders.values())


def _order(texts: pa.ChunkedArray) -> tuple[str, str]:
    """Which part is the day, and the numbers that tell."""
    parts = pc.extract_regex(texts, r"^(?P<first>\d{1,2})[/-](?P<second>\d{1,2})")
    first, second = (pc.max(pc.cast(pc.struct_field(parts, name), pa.int64())).as_py() for name in ("first", "second"))
    if first > 12 and second > 12:
        return "mixed", f"day and month stand in both orders: first parts reach {first}, second ones {second}"
    if first > 12:
        return "day first", f"day first: the first parts reach {first}, the second ones {second}"
    if second > 12:
        return "month first", f"month first: the second parts reach {second}, the first ones {first}"
    return "unknown", f"month or day first? no part is above 12 in {len(texts)} texts; read month first"
