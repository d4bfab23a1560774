"""Dates in parts: columns of years, months, days, hours and minutes become instants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Booleans, Floats, Integers
    from pipeline.tabular.dates import Instants

HOUR, MINUTE = 3_600_000_000, 60_000_000  # in us
PARTS: Mapping[str, tuple[int, int, frozenset[str]]] = {  # lowest, highest, names in small letters
    "year": (1000, 9998, frozenset({"year", "yr", "yyyy"})),
    "month": (1, 12, frozenset({"month", "mnth", "mon", "mo", "mm"})),
    "day of the year": (1, 366, frozenset({"dayofyear", "doy", "yday"})),
    "day": (1, 31, frozenset({"day", "dayofmonth", "mday", "dd"})),
    "hour": (0, 23, frozenset({"hour", "hr", "hh", "hourofday"})),
    "minute": (0, 59, frozenset({"minute", "min"})),
}
ORDERS = ("year", "month", "day", "hour", "minute"), ("year", "day of the year", "hour", "minute")


def joined_parts(parts: Mapping[str, Floats], file: str) -> Instants:
    """Put columns of years, months, days … together to instants; NaT where one of them is missing.

    Columns are known by their names, in any case: year, yr, month, mnth, day, hour, hr, minute, dayofyear, doy, …
    Raises DataError for columns that make no instant, and for one that holds what is no such part.
    """
    columns = _parts_by_name(tuple(parts), file)
    is_missing = np.logical_or.reduce([np.isnan(parts[name]) for name in columns.values()])
    whole = {part: _whole_numbers(part, name, parts[name], is_missing, file) for part, name in columns.items()}
    part, unit = ("day", "M") if "month" in columns else ("day of the year", "Y")
    months = ((whole["year"] - 1970) * 12 + whole.get("month", 1) - 1).astype("datetime64[M]")
    day = whole.get(part, np.ones(len(months), dtype=np.int64))
    days = months.astype("datetime64[D]") + (day - 1)
    is_beyond = days.astype(f"datetime64[{unit}]") != months.astype(f"datetime64[{unit}]")
    if is_beyond.any():
        at = int(np.argmax(is_beyond))
        what = f"day of {months[at].astype(f'datetime64[{unit}]')}"
        raise _no_such_part(columns[part], day[at], what, int(is_beyond.sum()), file)
    since = whole.get("hour", 0) * HOUR + whole.get("minute", 0) * MINUTE
    instants: Instants = (days.astype("datetime64[us]").astype(np.int64) + since).astype("datetime64[us]")
    instants[is_missing] = "NaT"
    return instants


def _parts_by_name(names: Sequence[str], file: str) -> dict[str, str]:
    """The column of each part, largest part first."""
    plain = {name: re.sub(r"[\W_]", "", name.casefold()) for name in names}
    columns = {part: name for part, (_, _, known) in PARTS.items() for name in names if plain[name] in known}
    is_whole = len(names) == len(columns) >= 2 and any(tuple(columns) == order[: len(columns)] for order in ORDERS)
    if not is_whole:
        raise DataError(
            f"{file}: [time] column lists {', '.join(map(repr, names))}, which make no instant; expected are columns "
            f"called {'; or '.join(', '.join(order) for order in ORDERS)}: at least two, from the year on, none left "
            f"out between and none twice; rename them, or name one column of instants"
        )
    return columns


def _whole_numbers(part: str, name: str, values: Floats, is_missing: Booleans, file: str) -> Integers:
    lowest, highest, _ = PARTS[part]
    values = np.where(is_missing, lowest, values)
    is_wrong = ~((values >= lowest) & (values <= highest) & (values == np.floor(values)))
    if is_wrong.any():
        what = f"{part} (a whole number from {lowest} to {highest})"
        raise _no_such_part(name, values[np.argmax(is_wrong)], what, int(is_wrong.sum()), file)
    return values.astype(np.int64)


def _no_such_part(name: str, value: float, what: str, count: int, file: str) -> DataError:
    return DataError(
        f"{file}: column {name!r} is {value:.12g}, which is no {what}; such cells: {count}; mend them, or take "
        f"{name!r} out of [time] column"
    )
