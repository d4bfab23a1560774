"""Rows in time: stamps become steps, groups become series, and the past becomes one table of what is known."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.tables import Column, Notice
from pipeline.tabular.cells import LOOKED_AT, Levels, blank, is_date, is_text, levels_of, numbers_of
from pipeline.tabular.clocks import MOST_STEPS, find_clock, to_local, to_steps
from pipeline.tabular.date_parts import joined_parts
from pipeline.tabular.dates import find_formats
from pipeline.tabular.values import instants, place_of
from pipeline.tabular.zones import to_wall
from pipeline.timeline import UNKNOWN_SERIES, Clock, Known, Moments, Stamped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from pipeline.settings import Schema
    from pipeline.tables import Codes, Floats, Integers, RawTable, Texts
    from pipeline.tabular.values import Dates, Values
    from pipeline.time_settings import Time

STEPS = "step"  # the frequency of a column that counts steps itself
JOINT = " | "  # between the groups of a series, in its name
ZONES = ("%z", " UTC")
HAS_ZONE = re.compile(r"\d:\d.*(Z|UTC|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class Stamps:
    """The rows of one table in time."""

    moments: Moments
    local: Dates | None  # wall-clock instants; None where the column counts steps


def stamp_tables(
    tables: Sequence[RawTable], roles: Schema, time: Time
) -> tuple[Stamped, tuple[Stamps, ...], list[Notice]]:
    """Read time and groups of train and test. Raises DataError, naming file and line, for a row without an instant."""
    columns, notices = _stamp_columns(tables, roles, time)
    groups = tuple(Column(name, "categorical", roles.missing_in.get(name, roles.missing)) for name in time.groups)
    labels = [_labels(table, groups) for table in tables]
    names = tuple(sorted({str(name) for own in labels for name in own.texts}))
    series = [_positions(own, names) for own in labels]
    is_utc = any(zone in code for column in columns for code in column.formats for zone in ZONES)
    is_utc |= any(getattr(table.columns[name].type, "tz", None) for table in tables for name in time.column)
    label = time.column[0] if len(time.column) == 1 else _free_label(tables)
    if columns[0].role == "numeric" and len(columns) == 1:
        clock = Clock(STEPS, "", "", tuple(sorted(time.season)))
        notices += _stride(columns[0], tables)
    else:
        read = [_instants(table, columns) for table in tables]
        read = [to_wall(own, time.timezone) if is_utc and time.timezone else own for own in read]
        clock, found = find_clock(read, series, time, file=tables[0].file)
        notices += found
    stamped = Stamped(columns, groups, clock, names, label, is_utc)
    stamps = []
    for table, own in zip(tables, series, strict=True):
        one, told = _stamps(table, stamped, own)
        stamps.append(one)
        notices += told
    span = int(np.ptp(np.concatenate([own.moments.step for own in stamps]))) + 1
    if clock.freq == STEPS and span > MOST_STEPS:
        raise DataError(
            f"{tables[0].file}: column {label!r}, which [time] names, makes {span:,} steps; at most {MOST_STEPS:,} are "
            f"possible; divide it by the time between two rows, or write it as dates"
        )
    return stamped, tuple(stamps), notices


def _free_label(tables: Sequence[RawTable]) -> str:
    taken = {name for table in tables for name in table.names}
    label = "time"
    while label in taken:
        label += " of row"
    return label


def stamp_table(table: RawTable, stamped: Stamped) -> tuple[Stamps, list[Notice]]:
    """The rows of a further file; a series that train has not is UNKNOWN_SERIES."""
    return _stamps(table, stamped, _positions(_labels(table, stamped.groups), stamped.names))


def known_of(
    moments: Moments,
    columns: Mapping[str, Floats],
    levels: Mapping[str, Codes] | None = None,
    *,
    duplicates: str,
    file: str,
) -> tuple[Known, list[Notice]]:
    """One row for each series and step, by the policy for duplicates; NaN where no row of it has a number.

    levels: codes of each column of levels, of which the first row of a step counts. Raises DataError for the policy
    "error".
    """
    order = np.lexsort((moments.step, moments.series))  # stable: rows of one step stay in the order of the file
    series, step = moments.series[order], moments.step[order]
    is_first = np.append(True, (np.diff(series) != 0) | (np.diff(step) != 0))
    values = np.stack([column[order] for column in columns.values()], axis=1)
    known = Known(series, step, tuple(columns), values)
    if levels:
        codes = np.stack([column[order] for column in levels.values()], axis=1)
        known = replace(known, level_names=tuple(levels), levels=codes)
    doubled = int((~is_first).sum())
    if not doubled:
        return known, []
    if duplicates == "error":
        raise DataError(
            f"{file}: {doubled} rows have the series and step of an earlier one; correct them, or say what they mean: "
            f'[time] duplicates = "mean", "first", "last" or "sum"'
        )
    starts = np.flatnonzero(is_first)
    text = f"rows of a series and step that an earlier one has; known of them: the {duplicates} (see [time] duplicates)"
    combined = _combined(values, starts, duplicates)
    kept = None if known.levels is None else known.levels[starts]
    known = replace(known, series=series[starts], step=step[starts], values=combined, levels=kept)
    return known, [Notice(file, text, doubled)]


def _combined(values: Floats, starts: Integers, policy: str) -> Floats:
    if policy == "first":
        return np.take(values, starts, axis=0)
    if policy == "last":
        return np.take(values, np.append(starts[1:], len(values)) - 1, axis=0)
    sums = np.add.reduceat(np.nan_to_num(values), starts, axis=0)
    counts = np.add.reduceat(np.isfinite(values).astype(np.int64), starts, axis=0)
    sums[counts == 0] = np.nan
    return sums / counts.clip(min=1) if policy == "mean" else sums


def _stamp_columns(tables: Sequence[RawTable], roles: Schema, time: Time) -> tuple[tuple[Column, ...], list[Notice]]:
    missing = {name: roles.missing_in.get(name, roles.missing) for name in time.column}
    if len(time.column) > 1:
        return tuple(Column(name, "numeric", missing[name]) for name in time.column), []
    [name] = time.column
    cells = [blank(table.columns[name], missing[name]) for table in tables]
    if any(map(is_date, cells)) or name in roles.dates:
        return (Column(name, "date", missing[name], formats=roles.dates.get(name, ())),), []
    texts = [table.texts(name) if not is_text(own) else own for table, own in zip(tables, cells, strict=True)]
    by_table = [levels_of(own).texts.astype(str) for own in texts]
    _check_zones(name, tables, by_table)
    distinct = np.concatenate(by_table)
    guess = find_formats(pd.Series(np.unique(distinct.astype(str)), dtype=object))
    if guess is None:
        if all(_counts(own, table) for own, table in zip(cells, tables, strict=True)):
            text = "whole numbers, taken as steps: no calendar; seasons are those of [time] season"
            return (Column(name, "numeric", missing[name]),), [Notice(name, text, 0)]
        raise DataError(
            f"{tables[0].file}: column {name!r}, which [time] names, is not written like dates: "
            f"{', '.join(map(repr, distinct[:3].tolist()))}; name its format under [schema.dates]"
        )
    notices = [Notice(name, f"read as instants: {guess.evidence}", 0)] if guess.ambiguous else []
    return (Column(name, "date", missing[name], formats=guess.formats),), notices


def _check_zones(name: str, tables: Sequence[RawTable], texts: Sequence[Texts]) -> None:
    """Raise DataError where stamps of one file have a zone and those of another have none: hours would be off."""
    zoned = [any(HAS_ZONE.search(text) for text in own[:LOOKED_AT]) for own in texts]
    if len(set(zoned)) > 1:
        with_zone, without = (tables[zoned.index(kind)].file for kind in (True, False))
        raise DataError(
            f"{with_zone}: stamps of {name!r} have a zone or an offset, those of {without} have none, so hours between "
            f"them are not known; write both the same way"
        )


def _stride(column: Column, tables: Sequence[RawTable]) -> list[Notice]:
    """Say so where steps are never next to each other: lags count steps, so that short ones find nothing."""
    steps = np.unique(np.concatenate([_numbers(table, column) for table in tables]).astype(np.int64))
    stride = int(np.gcd.reduce(np.diff(steps))) if len(steps) > 1 else 1
    text = f"neighbours are {stride} steps apart, so lags and windows of fewer are empty; divide the column by {stride}"
    return [Notice(column.name, text, 0)] if stride > 1 else []


def _counts(cells: pa.ChunkedArray, table: RawTable) -> bool:
    numbers = numbers_of(cells, decimal=table.decimal)
    values = numbers.values  # noqa: PD011 - a field of ours
    whole = values[np.isfinite(values)]
    return not numbers.wrong_cells and bool((whole == np.round(whole)).all())


def _numbers(table: RawTable, column: Column) -> Floats:
    numbers = numbers_of(blank(table.columns[column.name], column.missing), decimal=table.decimal)
    values: Floats = numbers.values  # noqa: PD011 - a field of ours
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        found = table.texts(column.name)[row].as_py()
        raise DataError(
            f"{place_of(table, row)}: column {column.name!r}, which [time] names, is {found!r}, expected a number "
            f"({int(bad.sum())} such rows); correct them, or leave these rows out"
        )
    return values


def _instants(table: RawTable, columns: Sequence[Column]) -> Dates:
    if len(columns) > 1:
        return joined_parts({column.name: _numbers(table, column) for column in columns}, table.file)
    [column] = columns
    found, _ = instants(column, table, blank(table.columns[column.name], column.missing))
    bad = np.isnat(found)
    if bad.any():
        row = int(np.argmax(bad))
        cell = table.texts(column.name)[row].as_py()
        raise DataError(
            f"{place_of(table, row)}: column {column.name!r}, which [time] names, is {cell!r}, which is no instant "
            f"({int(bad.sum())} such rows); correct them, or leave these rows out"
        )
    return found


def _stamps(table: RawTable, stamped: Stamped, series: Codes) -> tuple[Stamps, list[Notice]]:
    if stamped.clock.freq == STEPS:
        return Stamps(Moments(series, _numbers(table, stamped.stamps[0]).astype(np.int64)), None), []
    read, clock = _instants(table, stamped.stamps), stamped.clock
    if stamped.is_utc and clock.timezone:  # they had a zone of their own
        read = to_wall(read, clock.timezone)
    steps, notices = to_steps(read, clock, series, subject=stamped.label)
    return Stamps(Moments(series, steps), to_local(steps, clock)), list(notices)


def _labels(table: RawTable, groups: Sequence[Column]) -> Levels:
    """The name of each row's series, as levels."""
    if not groups:
        return Levels(np.zeros(table.rows, dtype=np.int32), np.array([""], dtype=object))
    levels = [levels_of(blank(table.texts(column.name), column.missing)) for column in groups]
    joined = np.zeros(table.rows, dtype=np.int64)
    for own in levels:
        joined = joined * (len(own.texts) + 1) + own.codes + 1
    distinct, codes = np.unique(joined, return_inverse=True)
    names = [_name(place, levels) for place in distinct.tolist()]
    return Levels(codes.astype(np.int32), np.array(names, dtype=object))


def _name(place: int, levels: Sequence[Levels]) -> str:
    """Of a series, from the place of each group's level, the last one counted fastest."""
    parts = []
    for own in reversed(levels):
        place, code = divmod(place, len(own.texts) + 1)
        text = str(own.texts[code - 1]) if code else ""
        # doubled, or "a | b" beside "c" would be the series of "a" beside "b | c"
        parts.append(text.replace("|", "||") if len(levels) > 1 else text)
    return JOINT.join(reversed(parts))


def _positions(labels: Levels, names: Sequence[str]) -> Codes:
    place = {name: position for position, name in enumerate(names)}
    own: Texts = labels.texts
    return np.array([place.get(str(name), UNKNOWN_SERIES) for name in own], dtype=np.int32)[labels.codes]


def past_numbers(name: str, values: Values, most_levels: int) -> dict[str, Floats]:
    """A past-only column as columns of numbers: itself, or 0 and 1 for each of a few levels; none for many levels."""
    if not isinstance(values, Levels):
        return {name: values.astype(np.float64)} if values.dtype.kind == "f" else {}
    if len(values.texts) > most_levels:
        return {}
    missing = values.codes < 0
    codes = {str(text): code for code, text in enumerate(values.texts)}  # in the order of the file, which has no say
    return {f"{name}_{text}": np.where(missing, np.nan, values.codes == codes[text]) for text in sorted(codes)}
