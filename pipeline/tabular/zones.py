"""Timezones: from what a clock on the wall shows to UTC, and back.

Stamps that a timezone has twice, as clocks go back: where those of a series go back once in a file that is in order,
all before are of summer time and all after of winter time; elsewhere the first of two equal ones is of summer time, and
one alone too. In a file that runs backwards it is the other way round. Stamps that a timezone skips, as clocks go
forward, are moved to the first instant that exists.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

from pipeline.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pipeline.tables import Booleans, Codes, Integers
    from pipeline.tabular.dates import Instants

IN_ORDER = 0.9  # of neighbouring rows of a series, less those that are not
EARLIEST, LATEST = np.datetime64("0002", "us"), np.datetime64("9999", "us")  # of which timezones are known


class Zoned(NamedTuple):
    """Instants of UTC; how many a zone skipped, and how many it has twice."""

    utc: Instants
    skipped: int
    repeated: int


def to_utc(wall: Instants, series: Codes, name: str, where: str) -> Zoned:
    """What clocks on the wall showed, as instants of UTC. Raises DataError for years that no timezone knows."""
    zone, local = zone_named(name), pd.DatetimeIndex(wall)
    if len(wall) and not EARLIEST <= wall.min() <= wall.max() < LATEST:
        raise DataError(f"{where}: instants are from {wall.min()} to {wall.max()}; expected years 2 to 9998; mend them")
    known = local.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    rows = np.flatnonzero(known.isna())
    utc = _bare(known.tz_convert("UTC"))
    if len(rows):
        is_summer = _is_summer(wall, series, rows)
        utc[rows] = _bare(local[rows].tz_localize(zone, ambiguous=is_summer).tz_convert("UTC"))
    return Zoned(utc, int((to_wall(utc, name) != wall).sum()), len(rows))


def to_wall(utc: Instants, name: str) -> Instants:
    """What clocks on the wall showed."""
    return _bare(pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(zone_named(name)))


def _bare(index: pd.DatetimeIndex) -> Instants:
    return index.tz_localize(None).to_numpy().astype("datetime64[us]")


def _is_summer(wall: Instants, series: Codes, rows: Integers) -> Booleans:
    """Which of the rows, whose stamps are twice in their timezone, are of the first time."""
    in_file = np.argsort(series, kind="stable")
    moves = np.sign(np.diff(wall[in_file]).astype(np.int64))[np.diff(series[in_file]) == 0]
    trend = moves.sum() / max(np.count_nonzero(moves), 1)
    rows_on = pd.DataFrame({"series": series[rows], "stamp": wall[rows]})[:: -1 if trend < 0 else 1]
    # no clock is put back at noon: a night of some zones begins it before midnight
    nights = rows_on.groupby([rows_on["series"], (rows_on["stamp"] + pd.Timedelta(hours=12)).dt.floor("D")])
    goes_back = (nights["stamp"].diff() < pd.Timedelta(0)).groupby(nights.ngroup())
    is_told = (goes_back.transform("sum") == 1) & (abs(trend) > IN_ORDER)
    equal = rows_on.groupby(["series", "stamp"])
    is_earlier_half = 2 * equal.cumcount() < equal["stamp"].transform("size")
    return is_earlier_half.where(~is_told, goes_back.cumsum() == 0).sort_index().to_numpy(dtype=np.bool_)


def zone_named(name: str) -> ZoneInfo | None:
    """None without a name. Raises ConfigError for one that is no timezone's, with the nearest that is."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        full = {text.casefold(): text for text in sorted(available_timezones())}
        names = {key.rpartition("/")[2]: text for key, text in full.items()} | full
        near = difflib.get_close_matches(name.casefold(), names, n=1)
        remedy = f"did you mean {names[near[0]]!r}?" if near else "expected is a name such as 'Europe/Berlin'"
        raise ConfigError(f"time.timezone is {name!r}, which is no timezone; {remedy}") from None
