"""Which columns play which role, and whether the files and the config agree about it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.settings import Holdout
from pipeline.tables import Allowance, Notice
from pipeline.tabular.cells import blank, is_text
from pipeline.tabular.metrics import metric_named
from pipeline.tabular.notation import read_numbers
from pipeline.time_settings import Time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pipeline.settings import Schema
    from pipeline.tables import Floats, RawTable, RawTables

NO_HOLDOUT, NO_TIME = Holdout(), Time()
ROLE_LISTS = ("numeric", "categorical", "ordinal", "dates", "text", "drop")


def role_faults(
    raw: RawTables,
    roles: Schema,
    *,
    fold_column: str = "",
    holdout: Holdout = NO_HOLDOUT,
    time: Time = NO_TIME,
) -> Iterator[str]:
    """Say, sentence by sentence, which named columns are not there, and where train and test differ."""
    train, test = raw.train, raw.test
    names = train.names
    if roles.id and roles.id not in names and (test is None or roles.id not in test.names):
        yield f"{train.file}: no column {roles.id!r}, which [schema] id names; {nearest(roles.id, names)}"
    elif roles.id and test is not None and roles.id not in test.names:
        yield f"{test.file}: no column {roles.id!r}, which [schema] id names; {nearest(roles.id, test.names)}"
    if roles.target not in names:
        yield f"{train.file}: no column {roles.target!r}, which [schema] target names; {nearest(roles.target, names)}"
    named = ((fold_column, "[folds] column"), (holdout.by, "[holdout] by"), (holdout.group, "[holdout] group"))
    for name, key in named:
        if name and name not in names:
            yield f"{train.file}: no column {name!r}, which {key} names; {nearest(name, names)}"
    yield from _absent_times(raw, time)
    known = {*names, *(test.names if test is not None else ())}
    for key in (*ROLE_LISTS, "missing_in"):
        for name in getattr(roles, key):
            if name not in known:
                yield f"{train.file}: no column {name!r}, listed in [schema] {key}; {nearest(name, names)}"
    yield from _double_roles(roles)
    yield from _disagreements(raw, roles, fold_column, is_timed=bool(time.column))


def _absent_times(raw: RawTables, time: Time) -> Iterator[str]:
    for table in (raw.train, raw.test):
        for key in ("column", "groups") if table is not None else ():
            for name in getattr(time, key):
                if table is not None and name not in table.names:
                    yield f"{table.file}: no column {name!r}, which [time] {key} names; {nearest(name, table.names)}"


def _double_roles(roles: Schema) -> Iterator[str]:
    listed: dict[str, str] = {}
    for key in ROLE_LISTS:
        for name in getattr(roles, key):
            if listed.setdefault(name, key) != key:
                yield f"column {name!r} is listed under [schema] {listed[name]} and {key}; keep it in one of them"


def _disagreements(raw: RawTables, roles: Schema, fold_column: str, *, is_timed: bool) -> Iterator[str]:
    """is_timed: columns of train alone are known of the past only, and differ from nothing."""
    train, test = raw.train, raw.test
    ignored = {roles.id, roles.target, *roles.drop, fold_column}
    if test is not None:
        only_train = [name for name in train.names if name not in test.names and name not in ignored]
        only_test = [name for name in test.names if name not in train.names and name not in ignored]
        if (only_train and not is_timed) or only_test:
            yield (
                f"{train.file} and {test.file} have different columns: only in train: "
                f"{', '.join(map(repr, only_train)) or 'none'}; only in test: "
                f"{', '.join(map(repr, only_test)) or 'none'}; add the missing ones, or list them under [schema] drop"
            )
        if roles.target in test.names:
            yield (
                f"{test.file}: contains the target {roles.target!r}; a test file has none: remove the column, or name "
                f"the right target under [schema]"
            )
    if not is_timed and not set(train.names) - (ignored - set(roles.dates)):
        yield f"{train.file}: no feature column is left besides id, target and [schema] drop"


def numbers_allowed(roles: Schema, others: Collection[str]) -> Allowance:
    """What a reader may give as numbers at once: columns that no role wants as text. others: keys, a fold column."""
    as_text = (roles.id, *roles.categorical, *roles.ordinal, *roles.dates, *roles.text, *roles.missing_in)
    return Allowance(frozenset({*as_text, *others, ""}), roles.missing)


def feature_names(raw: RawTables, roles: Schema) -> list[str]:
    """The columns that become features, in the order of train; an id that is listed under dates is both."""
    out = {roles.target, *roles.drop} | ({roles.id} - set(roles.dates))
    there = raw.train.names if raw.test is None else raw.test.names
    return [name for name in raw.train.names if name not in out and name in there]


def nearest(name: str, columns: Sequence[str]) -> str:
    """A remedy for a misspelt column: the one that was meant, or what there is."""
    near = difflib.get_close_matches(name, columns, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(map(repr, columns[:8])) + (", …" if len(columns) > 8 else "")
    return f"the file has {shown}"


def parse_target(table: RawTable, roles: Schema) -> tuple[Floats, list[Notice]]:
    """The target as float64, NaN where missing, and how it was written.

    Raises DataError at the first text that is not a finite number.
    """
    column = blank(table.columns[roles.target], roles.missing_in.get(roles.target, roles.missing))
    kind = column.type
    if not (
        is_text(column)
        or pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise DataError(f"{table.file}: target {roles.target!r} is of type {kind}, expected numbers")
    (numbers,), written = read_numbers([column], [table.decimal])
    present = ~column.is_null().to_numpy()
    target: Floats = np.array(numbers.values)
    wrong = present & ~np.isfinite(target)
    if wrong.any():
        row, count = int(np.argmax(wrong)), int(wrong.sum())
        few = "; a target of texts is classification, and Foldpack does regression"
        raise DataError(
            f"{table.file}: line {table.line_of(row)}: target {roles.target!r} is {str(column[row])!r}, expected a "
            f"finite number ({count} such rows){few if count == int(present.sum()) else '; correct or blank it'}"
        )
    return target, [Notice(roles.target, written.text, written.cells)] if written is not None else []


def check_target(target: Floats, table: RawTable, name: str, metric: str) -> None:
    """Raise DataError for a target that is no regression target, or holds values that this metric forbids."""
    kept = np.isfinite(target)
    where = f"{table.file}: target {name!r}"
    if not kept.any():
        raise DataError(f"{where} is missing on all {len(target)} rows; is [schema] target the right column?")
    distinct = np.unique(target[kept])
    if len(distinct) <= 2:
        two = "two values are two classes, and Foldpack does regression, not classification"
        why = two if len(distinct) > 1 else "there is nothing to learn; is [schema] target the right column?"
        raise DataError(f"{where} is always {' or '.join(f'{value:g}' for value in distinct)}: {why}")
    lowest = metric_named(metric).target_above
    wrong = kept & ~(np.where(kept, target, np.inf) > lowest)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.file}: line {table.line_of(row)}: target {name!r} is {target[row]:g} ({int(wrong.sum())} "
            f"such rows), but metric {metric!r} needs values above {lowest:g}; choose another metric, for example rmse"
        )
