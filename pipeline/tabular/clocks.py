"""When rows are: instants become the steps of one clock that all series share, and back.

Steps of at most an hour count time itself: with a timezone they are of UTC, so that 24 steps of an hour are 24 hours in
spring and in autumn too. Longer steps count what the clock on the wall shows: a day is a local one, be it of 23 hours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.errors import ConfigError, DataError
from pipeline.tables import Notice
from pipeline.tabular.zones import Zoned, to_utc, to_wall, zone_named
from pipeline.timeline import UNKNOWN_SERIES, Clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Codes, Integers
    from pipeline.tabular.dates import Instants
    from pipeline.time_settings import Time

MOST_STEPS = 20_000_000
MOST_COUNT = 100_000  # of units in one step
SECOND, MINUTE, HOUR, DAY, WEEK = (seconds * 1_000_000 for seconds in (1, 60, 3600, 86_400, 604_800))  # in us
UNITS = ("day", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND)
LENGTHS = {  # of one unit of a frequency, in the unit of instants that it counts
    "YS": (12, "M"),
    "QS": (3, "M"),
    "MS": (1, "M"),
    "D": (DAY, "us"),
    "h": (HOUR, "us"),
    "min": (MINUTE, "us"),
    "s": (SECOND, "us"),
}


def find_clock(
    tables: Sequence[Instants], series: Sequence[Codes], settings: Time, *, file: str
) -> tuple[Clock, tuple[Notice, ...]]:
    """The clock of all stamps of all tables, in whatever order, and how evenly they lie on it.

    freq "auto": the commonest difference of neighbouring distinct stamps of one series, or the greatest that divides
    all if it is not that of half of them; months where all stamps are of one day of the month, of its last, or of days
    such as the first or last one of business.
    Raises DataError where no freq is found or it makes too many steps, ConfigError for an unknown timezone.
    """
    wall, codes, zone = np.concatenate(tables), np.concatenate(series), settings.timezone
    if not wall.size:
        raise DataError(f"{file}: no row has an instant; expected at least one; check [time] column")
    counted, neighbours = wall, _neighbours(wall, codes)
    freq = _usual_freq(neighbours, file) if settings.freq == "auto" else settings.freq
    size = _size(freq)
    if zone_named(zone) and size.counts_time:
        counted = np.concatenate([to_utc(*own, zone, file).utc for own in zip(tables, series, strict=True)])
        neighbours = _neighbours(counted, codes)
    clock = Clock(freq, _start(counted, size, zone), zone, ())
    steps = int(np.ptp(_steps(np.array([counted.min(), counted.max()]), clock))) + 1
    if steps > MOST_STEPS:
        raise DataError(
            f"{file}: freq {freq} makes {steps:,} steps from {wall.min()} to {wall.max()}; at most {MOST_STEPS:,} are "
            f"possible; set a coarser time.freq, or mend stamps that are out of place"
        )
    seasons = tuple(sorted(set(settings.season))) or _seasons(size, steps)
    notice = Notice(", ".join(settings.column) or file, _evidence(freq, neighbours, settings.freq == "auto"), 0)
    return replace(clock, seasons=seasons), (notice,)


class _Neighbours(NamedTuple):
    """Pairs of distinct stamps of one series with none between them."""

    earlier: Instants
    later: Instants


def _neighbours(instants: Instants, series: Codes) -> _Neighbours:
    """Where no series has two distinct stamps, those of all of them together."""
    assert not np.isnat(instants).any()
    order = np.lexsort((instants, series))
    sorted_stamps, own = instants[order], series[order]
    earlier, later = sorted_stamps[:-1], sorted_stamps[1:]
    is_pair = (own[1:] == own[:-1]) & (own[1:] != UNKNOWN_SERIES) & (later > earlier)
    if is_pair.any():
        return _Neighbours(earlier[is_pair], later[is_pair])
    distinct = np.unique(instants)
    return _Neighbours(distinct[:-1], distinct[1:])


def _usual_freq(wall: _Neighbours, file: str) -> str:
    """How far neighbours are apart by the clock on the wall: its changes are too few to outnumber the others."""
    if not len(wall.later):
        raise DataError(f"{file}: all rows have one instant, which tells no freq; set time.freq, such as 1h or 1D")
    months = MONTH.gaps(wall)
    if (months > 0).all() and (_is_one_day(wall, 0) or _is_one_day(wall, 1) or _is_of_business(wall)):
        return _name(_usual(months), "M")
    usual = _usual(FINEST.gaps(wall))
    if usual % SECOND:
        raise DataError(
            f"{file}: neighbouring instants are {usual / SECOND:g} s apart, or a multiple of it; steps are of whole "
            f"seconds at least; set time.freq, such as 1s or 1min"
        )
    return _name(usual, "us")


def _is_one_day(wall: _Neighbours, later: int) -> bool:
    """Whether so many days after each stamp it is the same day of a month: with 1, also where all are last days."""
    days = np.concatenate(wall).astype("datetime64[D]") + later
    return len(np.unique(days - days.astype("datetime64[M]"))) == 1


def _is_of_business(wall: _Neighbours) -> bool:
    """Whether stamps of half a year and more all lie at the end of a month, or all at its beginning."""
    days = np.unique(np.concatenate(wall).astype("datetime64[D]"))
    months = days.astype("datetime64[M]")
    since = (days - months.astype("datetime64[D]")).astype(int)
    left = ((months + 1).astype("datetime64[D]") - days).astype(int) - 1
    return len(days) > FEWEST_MONTHS and bool((since < AT_AN_END).all() or (left < AT_AN_END).all())


def _usual(gaps: Integers) -> int:
    sizes, counts = np.unique(gaps, return_counts=True)
    is_of_half = 2 * counts.max() >= len(gaps)
    return int(sizes[np.argmax(counts)] if is_of_half else np.gcd.reduce(sizes))


def _evidence(freq: str, neighbours: _Neighbours, is_found: bool) -> str:
    size = _size(freq)
    gaps = size.gaps(neighbours)
    told = f"freq {freq}" if is_found else f"freq {freq}, as set"
    if not len(gaps):
        return f"{told}: no two stamps show whether it is so"
    equal, longest = int((gaps == size.length).sum()), int(gaps.max())
    told += f": {1000 * equal // len(gaps) / 10:g} % of neighbouring stamps are {freq} apart; "
    told += f"longest gap {_in_words(longest, size.unit)}" if longest > size.length else "no gaps"
    is_divisor = is_found and 2 * equal < len(gaps)
    return told + ("; no difference is that of half of them, and this one divides all" if is_divisor else "")


def _in_words(gap: int, unit: str) -> str:
    if unit == "M":
        return f"{gap} month{'s' * (gap != 1)}"
    name, length = next(own for own in UNITS if gap % own[1] == 0 or own[1] == SECOND)
    return f"{gap / length:g} {name}{'s' * (name == 'day' and gap != length)}"


def _seasons(size: _Size, steps: int) -> tuple[int, ...]:
    """Periods in steps that a frequency lets one expect, and so many steps hold twice; days of a year thrice."""
    length = size.length
    if size.unit == "M":
        periods = [12]
    elif length < DAY:
        periods = [DAY, WEEK]
    elif length == DAY:
        periods = [WEEK, 365 * DAY] if steps >= 3 * 365 else [WEEK]
    else:
        periods = [52 * WEEK] if length == WEEK else []
    whole = (period // length for period in periods if period % length == 0)
    return tuple(period for period in whole if 2 <= period <= steps / 2)


# --- frequencies


class _Size(NamedTuple):
    """Of one step: so many months, or microseconds."""

    length: int
    unit: str  # "M" or "us"

    @property
    def counts_time(self) -> bool:
        """Whether steps are of UTC where there is a timezone, and not of the clock on the wall."""
        return self.unit == "us" and self.length <= HOUR

    def ticks(self, instants: Instants) -> Integers:
        """Whole units since 1970."""
        return instants.astype(f"datetime64[{self.unit}]").astype(np.int64)

    def instants(self, ticks: Integers) -> Instants:
        """Where those units begin."""
        return ticks.astype(f"datetime64[{self.unit}]").astype("datetime64[us]")

    def gaps(self, neighbours: _Neighbours) -> Integers:
        """How many units later each is than its earlier neighbour."""
        return self.ticks(neighbours.later) - self.ticks(neighbours.earlier)


FEWEST_MONTHS, AT_AN_END = 6, 4  # stamps that show days of business; days of a month in which the last one may lie
MONTH, FINEST = _Size(1, "M"), _Size(1, "us")


def _size(freq: str) -> _Size:
    count, name = int(freq.rstrip("minhsDMSQY")), freq.lstrip("0123456789")
    if not 1 <= count <= MOST_COUNT:
        raise ConfigError(f"time.freq is {freq!r}: expected a number from 1 to {MOST_COUNT:,} before {name!r}")
    length, unit = LENGTHS[name]
    return _Size(count * length, unit)


def _name(length: int, unit: str) -> str:
    """In the largest unit of which it is a multiple."""
    name, own = next((name, own) for name, (own, kind) in LENGTHS.items() if kind == unit and length % own == 0)
    return f"{length // own}{name}"


# --- instants and steps


def to_steps(
    instants: Instants, clock: Clock, series: Codes | None = None, *, subject: str = "time"
) -> tuple[Integers, tuple[Notice, ...]]:
    """The step in which each instant lies, and how many lay between two, or were skipped or had twice by the timezone.

    series: tells apart which stamps of a repeated hour belong together; None: all are of one. subject: of notices.
    """
    assert not np.isnat(instants).any()
    zoned = Zoned(instants, 0, 0)
    if clock.timezone and _size(clock.freq).counts_time:
        codes = np.zeros(len(instants), dtype=np.int32) if series is None else series
        zoned = to_utc(instants, codes, clock.timezone, subject)
    step = _steps(zoned.utc, clock)
    between = int((_beginnings(step, clock) != zoned.utc).sum())
    counts = {
        f"stamps that {clock.timezone} skips as clocks go forward were moved to the first that exists": zoned.skipped,
        f"stamps that {clock.timezone} has twice as clocks go back are of summer time first, of winter time where "
        f"the series has them again": zoned.repeated,
        f"stamps between two steps of {clock.freq} count as the one before": between,
    }
    return step, tuple(Notice(subject, text, count) for text, count in counts.items() if count)


def to_local(step: Integers, clock: Clock) -> Instants:
    """What the clock on the wall shows as steps begin: of the timezone where there is one, else as files have it."""
    beginnings = _beginnings(step, clock)
    if clock.timezone and _size(clock.freq).counts_time:
        return to_wall(beginnings, clock.timezone)
    return beginnings


def _steps(counted: Instants, clock: Clock) -> Integers:
    size = _size(clock.freq)
    return (size.ticks(counted) - size.ticks(_instant(clock.start))) // size.length


def _beginnings(step: Integers, clock: Clock) -> Instants:
    size = _size(clock.freq)
    return size.instants(size.ticks(_instant(clock.start)) + step * size.length)


def _instant(text: str) -> Instants:
    return np.array([text], dtype="datetime64[us]")


def _start(counted: Instants, size: _Size, zone: str) -> str:
    """Where the step of the earliest stamp begins: a part of a local day or of the year, or else a whole unit."""
    first = counted.min(keepdims=True)
    ticks = size.ticks(to_wall(first, zone) if zone and size.counts_time else first)
    if size.unit == "M":
        # where all stamps are of the same months of their years, such as June and December, the first begins a step
        past = ticks % size.length * (len(np.unique(size.ticks(counted) % size.length)) > 1)
    else:
        past = ticks % (size.length if DAY % size.length == 0 else next(n for _, n in UNITS if size.length % n == 0))
    begin = size.instants(size.ticks(first) - past)
    return str(begin.astype("datetime64[s]")[0])
