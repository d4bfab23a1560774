"""The frozen values of time series: when a row is, of which series, and what had become known of a series by when.

Axis letters: R rows, P known rows, C columns of what is known, E columns of levels, G series. A step is a whole number:
the place of an instant on an even grid that is shared by all series, so that lags count time and not rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tables import Codes, Column, Floats, Integers

UNKNOWN_SERIES = -1  # of a row whose series nothing is known of


@dataclass(frozen=True, slots=True)
class Clock:
    """How instants become steps.

    freq: "15min", "1h", "1D", "7D", or "1MS", "1QS", "1YS" where steps are months, quarters, years. start: ISO text of
    the instant of step 0: of UTC where there is a timezone and steps are an hour at most, else what the wall showed.
    """

    freq: str
    start: str
    timezone: str  # the zone in which people live by these stamps; empty: stamps are as written
    seasons: tuple[int, ...]  # periods in steps, shortest first; empty: none


@dataclass(frozen=True, slots=True)
class Moments:
    """Of which series rows are, and when."""

    series: Codes  # [R] position among the names of series, or UNKNOWN_SERIES
    step: Integers  # [R]


@dataclass(frozen=True, slots=True)
class Known:
    """What became known of each series at each step, one row for both, sorted by series, then by step."""

    series: Codes  # [P]
    step: Integers  # [P]
    columns: tuple[str, ...]  # [C] the target first, then what is known of the past only
    values: Floats  # [P, C] NaN where nothing is known
    level_names: tuple[str, ...] = ()  # [E] columns of levels known ahead, which rows that are forecast have too
    levels: Codes | None = None  # [P, E] codes of the dataset's categories, -1 where missing; None: E is 0

    @property
    def moments(self) -> Moments:
        """When and of which series its rows are."""
        return Moments(self.series, self.step)


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """What may be known of a column, and how we came to think so."""

    name: str
    role: str  # "time", "group", "target", "known in the future", "past only", "static", "made of the target"
    evidence: str


@dataclass(frozen=True, slots=True)
class Stamped:
    """How columns of time and groups are read: decided once on train and test, then applied to any file."""

    stamps: tuple[Column, ...]
    groups: tuple[Column, ...]
    clock: Clock
    names: tuple[str, ...]  # [G] of the series; one empty name where there are no groups
    label: str  # of the column of local instants, of which calendar columns are made
    is_utc: bool  # whether instants had a zone of their own


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time of a competition's rows. An origin is the last step of which anything may be known for a row."""

    stamped: Stamped
    layout: str  # how test rows lie in time: "future", "interleaved", "random", "new_groups", "rolling"
    train: Moments  # [N]
    test: Moments  # [T]
    test_origin: Integers  # [T]
    known: Known
    roles: tuple[ColumnRole, ...]
    gap: int = 0  # least steps before a block of which nothing is known
    horizon: int = 1  # largest age of rows in layout "rolling"
    embargo: int = 0  # steps after a validation block on which its fold does not train
    only_past: bool = False  # whether a fold trains on nothing after what it scores, where training rows follow it
    seed: int = 0  # of the ages that rows are given

    @property
    def clock(self) -> Clock:
        """How instants become steps."""
        return self.stamped.clock


@dataclass(frozen=True, slots=True)
class WindowRidge:
    """A map from a lag window of L steps to H steps ahead. A series' values are divided by its spread before."""

    weights: Floats  # [L, H]
    spread: Floats  # [G] NaN for a series that does not vary or of which nothing is known
    strength: float  # of the penalty
