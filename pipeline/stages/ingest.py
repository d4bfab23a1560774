"""Raw tables -> typed tables with roles; train, test and sample submission made to agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.settings import Holdout
from pipeline.stages.timing import Told, read_times, timeline_of
from pipeline.tables import Dataset, Notice
from pipeline.tabular.cells import Levels, blank, texts_of
from pipeline.tabular.columns import read_column
from pipeline.tabular.joins import join_sides
from pipeline.tabular.layout import Layout, check_test_ids, doubled_train_ids, ids_of, submission_layout
from pipeline.tabular.leaks import quick_leaks
from pipeline.tabular.redundant import empty_columns, equal_columns, repeated_rows
from pipeline.tabular.rows import Rows, choose_rows
from pipeline.tabular.schema import check_target, feature_names, parse_target, role_faults
from pipeline.tabular.threads import side_by_side
from pipeline.tabular.values import as_categories, made_of
from pipeline.time_settings import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.settings import Join, Schema
    from pipeline.stages.timing import Timed
    from pipeline.tables import Floats, Integers, RawTable, RawTables, Texts
    from pipeline.tabular.columns import Reading
    from pipeline.tabular.values import Values
    from pipeline.timeline import Moments

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the files hold, each cell read, before any row or column is left out."""

    target: Floats  # of every row of the training file
    layout: Layout | None  # None where rows of train will be held out instead
    readings: Sequence[Reading]
    notices: Sequence[Notice]  # of the target


def ingest(  # noqa: PLR0913 - a section of the configuration each
    raw: RawTables,
    *,
    roles: Schema,
    metric: str,
    join: Sequence[Join] = (),
    holdout: Holdout | None = None,
    fold_column: str = "",
    time: Time | None = None,
) -> Dataset:
    """Give every column a role and a type, and say what was noticed on the way.

    Rows without a target are dropped and counted; without a test file, the rows that [holdout] sets aside take its
    place. Raises DataError that tells every fault at once, each naming file, line and column: missing role columns,
    columns or ids that disagree between the files, cells that a declared role forbids, a target that is no number or
    that the metric forbids.
    """
    holdout = holdout or Holdout()
    raw, notices = join_sides(raw, join)
    if raw.test is not None and holdout.share:
        notices.append(Notice(raw.test.file, "there is a test file: [holdout] sets nothing aside", 0))
    time = time or Time()
    faults = list(role_faults(raw, roles, fold_column=fold_column, holdout=holdout, time=time))
    if raw.test is None and not holdout.share:
        faults.append(f"{raw.train.file}: there is no test file; add one, or hold rows out: [holdout] share = 0.2")
    if time.column:
        _raise(faults)
    timed = read_times(raw, roles, time) if time.column else None
    checked = _read(raw, roles, metric, faults, timed)
    rows, dropped = choose_rows(raw, checked.target, roles, holdout, timed.steps if timed else None)
    train, test = _frames(checked.readings, rows, timed)
    if roles.duplicates == "drop":
        moments = None if timed is None else timed.tables[0].moments
        train, rows, repeated = _without_repeated(train, checked.target, rows, raw.train.file, moments)
        dropped += repeated
    seen = Told(checked.target, checked.readings)
    timeline, told = timeline_of(timed, raw, seen, rows, roles, time) if timed else (None, [])
    all_ids = ids_of(raw.train, roles)
    layout = checked.layout or _held_layout(raw, roles, all_ids, rows)
    train_ids = all_ids[rows.train]
    train, test, useless = _without_useless(train, test, raw.train.file, fold_column, may_be_all=timed is not None)
    kinds = {str(name): _kind(train[name]) for name in train.columns}
    dataset = Dataset(
        train=train,
        test=test,
        target=checked.target[rows.train],
        held_out=checked.target[rows.test] if rows.test is not None else None,
        train_ids=train_ids,
        test_ids=layout.test_ids,
        columns=tuple(r.column for r in checked.readings if any(name in kinds for name in made_of(r.column))),
        numeric=tuple(name for name, kind in kinds.items() if kind == "numeric"),
        categorical=tuple(name for name, kind in kinds.items() if kind == "categorical"),
        dates=tuple(name for name, kind in kinds.items() if kind == "date"),
        fold_columns=_fold_columns(raw.train, roles, fold_column, rows.train),
        submission_header=layout.header,
        submission_ids=layout.submission_ids,
        notices=(
            *_read_notices(raw),
            *notices,
            *checked.notices,
            *told,
            *dropped,
            *doubled_train_ids(train_ids, file=raw.train.file, id_column=roles.id),
            *(notice for reading in checked.readings for notice in reading.notices),
            *useless,
            *_unseen_levels(train, test),
            *layout.notices,
        ),
        timeline=timeline,
    )
    return replace(dataset, notices=(*dataset.notices, *quick_leaks(dataset)))


def _raise(faults: Sequence[str]) -> None:
    if faults:
        raise DataError("\n".join(dict.fromkeys(faults)))


def _attempt(faults: list[str], check: Callable[[], T]) -> T | None:
    """What the check returns; its fault joins the others, so that a person mends them all in one go."""
    try:
        return check()
    except DataError as error:
        faults.append(str(error))
        return None


def _read_notices(raw: RawTables) -> list[Notice]:
    tables = [table for table in (raw.train, raw.test, raw.sample, *raw.sides.values()) if table is not None]
    return [notice for table in tables for notice in table.notices]


def _read(raw: RawTables, roles: Schema, metric: str, faults: list[str], timed: Timed | None) -> Checked:
    """Read target, ids and features. Raises DataError with all that is wrong in them, and the faults found before."""
    is_there = roles.target in raw.train.names
    target = _attempt(faults, lambda: _target(raw.train, roles, metric)) if is_there else None
    has_ids = raw.test is not None and (not roles.id or roles.id in raw.test.names)
    layout = _attempt(faults, lambda: _test_layout(raw, roles)) if has_ids else None
    tables = [table for table in (raw.train, raw.test) if table is not None]
    names = feature_names(raw, roles) if timed is None else timed.features
    tried = side_by_side(lambda name: _attempt_column(name, tables, roles), names)
    faults += [found for found in tried if isinstance(found, str)]
    _raise(faults)
    assert target is not None
    readings = [found for found in tried if not isinstance(found, str)]
    return Checked(target[0], layout, readings, target[1])


def _target(table: RawTable, roles: Schema, metric: str) -> tuple[Floats, list[Notice]]:
    target, notices = parse_target(table, roles)
    check_target(target, table, roles.target, metric)
    return target, notices


def _attempt_column(name: str, tables: Sequence[RawTable], roles: Schema) -> Reading | str:
    try:
        return read_column(name, tables, roles)
    except DataError as error:
        return str(error)


def _test_layout(raw: RawTables, roles: Schema) -> Layout:
    assert raw.test is not None
    ids = ids_of(raw.test, roles)
    check_test_ids(ids, raw.test, roles.id)
    return submission_layout(raw, roles, ids)


def _held_layout(raw: RawTables, roles: Schema, ids: Texts, rows: Rows) -> Layout:
    """The layout of held-out rows, which take the place of a test file: their ids must be as good as its."""
    assert rows.test is not None
    held = ids[rows.test]
    check_test_ids(held, raw.train, roles.id, rows.test)
    return submission_layout(raw, roles, held)


def _frames(readings: Sequence[Reading], rows: Rows, timed: Timed | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test, one column after the other; with time, a column of wall-clock instants is the last."""
    train: dict[str, object] = {}
    test: dict[str, object] = {}
    for reading in readings:
        for name in made_of(reading.column):
            columns = _as_series([values[name] for values in reading.tables])
            train[name] = _taken(columns[0], rows.train)
            test[name] = columns[1] if rows.test is None else _taken(columns[0], rows.test)
    for name, instants in timed.calendar.items() if timed else ():
        columns = _as_series(instants)
        train[name] = _taken(columns[0], rows.train)
        test[name] = columns[1] if rows.test is None else _taken(columns[0], rows.test)
    held = timed.tables[-1].moments.step if timed and rows.test is None else rows.test
    sizes = (len(rows.train), None if held is None else len(held)) if timed else (None, None)
    # a series may have no column but its target
    train_frame, test_frame = (
        pd.DataFrame(own, index=None if own or size is None else pd.RangeIndex(size), copy=False)
        for own, size in zip((train, test), sizes, strict=True)
    )
    return train_frame, test_frame


def _as_series(parts: Sequence[Values]) -> list[pd.Series[float]]:
    levels = [part for part in parts if isinstance(part, Levels)]
    typed: Sequence[object] = as_categories(levels) if levels else parts
    return [pd.Series(part, copy=False) for part in typed]  # type: ignore[call-overload]


def _taken(values: pd.Series[float], rows: Integers) -> pd.Series[float]:
    return values if len(rows) == len(values) else values.take(rows).reset_index(drop=True)


def _without_repeated(
    train: pd.DataFrame, target: Floats, rows: Rows, file: str, moments: Moments | None = None
) -> tuple[pd.DataFrame, Rows, list[Notice]]:
    """Without training rows whose features and target, and time and series, equal those of an earlier one."""
    whole = train
    if moments is not None:
        own = pd.DataFrame(
            {" step": moments.step[rows.train], " series": moments.series[rows.train]}, index=train.index
        )
        whole = pd.concat([train, own], axis=1)
    repeated = repeated_rows(whole, target[rows.train])
    if not repeated.any():
        return train, rows, []
    notice = Notice(file, "training rows equal to an earlier one were dropped", int(repeated.sum()))
    return train[~repeated].reset_index(drop=True), Rows(rows.train[~repeated], rows.test), [notice]


def _without_useless(
    train: pd.DataFrame, test: pd.DataFrame, file: str, fold_column: str, *, may_be_all: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame, list[Notice]]:
    """Without columns that are empty, constant or equal to an earlier one; each is listed once.

    The fold column may leave the features later on, so nothing else is dropped for being equal to it. may_be_all: with
    time, a row's past is feature enough. Raises DataError where no column is left otherwise.
    """
    empty = empty_columns(train)
    train, test = (frame.drop(columns=[notice.subject for notice in empty]) for frame in (train, test))
    if not len(train.columns) and not may_be_all:
        raise DataError(
            f"{file}: no feature column varies on the training rows: all are empty or constant; is the file whole?"
        )
    beside = [name for name in train.columns if name != fold_column]
    equal = equal_columns(train[beside], test[beside])
    train, test = (frame.drop(columns=[notice.subject for notice in equal]) for frame in (train, test))
    return train, test, [*empty, *equal]


def _kind(values: pd.Series[float]) -> str:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "categorical"
    return "date" if pd.api.types.is_datetime64_any_dtype(values.dtype) else "numeric"


def _fold_columns(table: RawTable, roles: Schema, name: str, rows: Integers) -> Mapping[str, Texts]:
    if not name:
        return {}
    cells = blank(table.columns[name], roles.missing_in.get(name, roles.missing))
    return {name: texts_of(cells)[rows]}


def _unseen_levels(train: pd.DataFrame, test: pd.DataFrame) -> list[Notice]:
    """Say which test levels no training row has: they go to the column of rare levels, or to none."""
    notices = []
    for name in map(str, train.columns):
        if _kind(train[name]) != "categorical":
            continue
        levels, codes = train[name].cat.categories, test[name].cat.codes.to_numpy()
        known = np.zeros(len(levels) + 1, dtype=bool)
        known[train[name].cat.codes.to_numpy()] = known[-1] = True
        unseen = ~known[codes]
        if unseen.any():
            examples = ", ".join(repr(str(text)) for text in levels[np.unique(codes[unseen])][:3])
            notices.append(Notice(name, f"test rows with levels never seen in train ({examples})", int(unseen.sum())))
    return notices
