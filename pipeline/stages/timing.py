"""Time in raw tables: which columns say when rows are, what may be known of the others, and what became known when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.tables import Notice
from pipeline.tabular.cells import Levels
from pipeline.tabular.columns import read_column
from pipeline.tabular.knowledge import MADE, PAST, column_roles, made_of_target
from pipeline.tabular.origins import find_layout
from pipeline.tabular.past import forecast_origins
from pipeline.tabular.threads import side_by_side
from pipeline.tabular.timelines import known_of, past_numbers, stamp_tables
from pipeline.tabular.values import as_categories
from pipeline.timeline import ColumnRole, Moments, Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Schema
    from pipeline.tables import Booleans, Codes, Floats, Integers, RawTable, RawTables
    from pipeline.tabular.columns import Reading
    from pipeline.tabular.rows import Rows
    from pipeline.tabular.timelines import Stamps
    from pipeline.tabular.values import Dates
    from pipeline.time_settings import Time
    from pipeline.timeline import Stamped

MOST_LEVELS = 12  # of a past-only column, each of which becomes a column of what is known


@dataclass(frozen=True, slots=True)
class Told:
    """What every row of train tells beside its moment."""

    target: Floats
    readings: Sequence[Reading]  # of the columns that rows which are forecast have too


@dataclass(frozen=True, slots=True)
class Timed:
    """Every row of the files in time, before any is left out."""

    stamped: Stamped
    tables: tuple[Stamps, ...]  # of train and, where there is one, of test
    roles: tuple[ColumnRole, ...]
    notices: tuple[Notice, ...]

    @property
    def steps(self) -> Integers:
        """When each row of train is."""
        return self.tables[0].moments.step

    @property
    def features(self) -> list[str]:
        """Columns that may be seen at a row's own time."""
        groups = [column.name for column in self.stamped.groups]
        return [*groups, *(own.name for own in self.roles if own.role not in (PAST, MADE))]

    @property
    def past(self) -> list[str]:
        """Columns of which only earlier values may be seen."""
        return [own.name for own in self.roles if own.role in (PAST, MADE)]

    @property
    def calendar(self) -> Mapping[str, Sequence[Dates]]:
        """The column of wall-clock instants, for each table; none where a column counts steps."""
        local = [table.local for table in self.tables if table.local is not None]
        return {self.stamped.label: local} if local else {}


def read_times(raw: RawTables, roles: Schema, time: Time) -> Timed:
    """Say when each row is and of which series, and which columns are known ahead."""
    tables = [table for table in (raw.train, raw.test) if table is not None]
    stamped, stamps, notices = stamp_tables(tables, roles, time)
    return Timed(stamped, stamps, column_roles(raw, roles, time, stamps[0].moments.series), tuple(notices))


def timeline_of(
    timed: Timed, raw: RawTables, told: Told, rows: Rows, roles: Schema, time: Time
) -> tuple[Timeline, list[Notice]]:
    """The time of the rows that are left, and what was known when.

    Held-out rows become known as time goes on in layout "rolling", and in no other.
    """
    target, past = told.target, _past_columns(timed, raw.train, roles)
    own_roles = {own.name: own for own in made_of_target(target, past)}
    everything = timed.tables[0].moments
    train = _taken(everything, rows.train)
    test = timed.tables[1].moments if rows.test is None else _taken(everything, rows.test)
    layout, evidence = _layout(train, test, time, has_test=rows.test is None)
    if layout == "new_groups":
        evidence += _unmatched(timed.stamped.names, train, test)
    # a row that tells nothing is no news: or test rows that train lists too, blank, would look a step ahead
    shown: Booleans = np.asarray(np.isfinite([target, *past.values()]).any(axis=0))
    if rows.test is not None and layout != "rolling":
        shown[rows.test] = False
    known, doubled = known_of(
        Moments(everything.series[shown], everything.step[shown]),
        {roles.target: target[shown], **{name: column[shown] for name, column in past.items()}},
        {name: codes[shown] for name, codes in _levels(told.readings).items()},
        duplicates=time.duplicates,
        file=raw.train.file,
    )
    timeline = Timeline(
        stamped=timed.stamped,
        layout=layout,
        train=train,
        test=test,
        test_origin=test.step - 1,
        known=known,
        roles=tuple(own_roles.get(own.name, own) for own in timed.roles),
        gap=time.gap,
        horizon=time.horizon,
        embargo=time.embargo,
        only_past=time.train_on == "past",
        seed=time.seed,
    )
    timeline = replace(timeline, test_origin=forecast_origins(timeline, test))
    ages = test.step - timeline.test_origin
    line = Notice(raw.train.file, f"layout {layout}: {evidence}; ages {ages.min()} to {ages.max()} steps", 0)
    return timeline, [line, *_role_notices(timeline), *timed.notices, *doubled, *_unused(timed, past)]


def _unmatched(names: Sequence[str], train: Moments, test: Moments) -> str:
    """Names of both files, which may be one series written in two ways."""
    of_test = [names[code] for code in np.unique(test.series) if code not in set(train.series.tolist())]
    return f" (test has {', '.join(map(repr, of_test[:2]))}; train has {names[int(train.series[0])]!r})"


def _layout(train: Moments, test: Moments, time: Time, *, has_test: bool) -> tuple[str, str]:
    if time.layout != "auto":
        return time.layout, "as [time] layout says"
    if has_test:
        return find_layout(train, test)
    return "rolling", f"there is no test file: forecasts up to {time.horizon} steps ahead, [time] horizon"


def _past_columns(timed: Timed, train: RawTable, roles: Schema) -> dict[str, Floats]:
    past: dict[str, Floats] = {}
    for reading in side_by_side(lambda name: read_column(name, [train], roles), timed.past):
        for name, values in reading.tables[0].items():
            past |= past_numbers(name, values, MOST_LEVELS)
    return past


def _levels(readings: Sequence[Reading]) -> dict[str, Codes]:
    """Codes of every row of train in each column of levels, of the categories that the dataset has."""
    found: dict[str, Codes] = {}
    for reading in readings:
        parts = [values.get(reading.column.name) for values in reading.tables]
        if levels := [part for part in parts if isinstance(part, Levels)]:
            found[reading.column.name] = as_categories(levels)[0].codes.astype(np.int32)
    return found


def _role_notices(timeline: Timeline) -> list[Notice]:
    """The table of roles on one line, so that it is always among what is shown before training."""
    told: dict[tuple[str, str], list[str]] = {}
    for own in timeline.roles:
        told.setdefault((own.role, own.evidence), []).append(own.name)
    parts = [f"{role}: {', '.join(names)} ({evidence})" for (role, evidence), names in told.items()]
    return [Notice("columns", "; ".join(parts), 0)] if parts else []


def _unused(timed: Timed, past: Mapping[str, Floats]) -> list[Notice]:
    """Past-only columns that are left out."""
    out = [name for name in timed.past if not any(made == name or made.startswith(f"{name}_") for made in past)]
    text = f"past only, of dates or more than {MOST_LEVELS} levels: left out"
    return [Notice(name, text, 0) for name in out]


def _taken(moments: Moments, rows: Integers) -> Moments:
    return replace(moments, series=moments.series[rows], step=moments.step[rows])
