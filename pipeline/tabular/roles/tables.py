"""What concerns whole tables: the id, copies of columns, side tables, groups, rows to hold out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tabular.cells import numbers_of, spread_rows
from pipeline.tabular.dates import parse_dates
from pipeline.tabular.roles.looks import is_unique, present_cells
from pipeline.tabular.roles.names import (
    CLOCK,
    FIRST_COMPACT_DATE,
    LAST_COMPACT_DATE,
    base_name,
    is_id_name,
    time_part,
)
from pipeline.tabular.roles.values import Claim, SideGuess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Floats, RawTable, RawTables
    from pipeline.tabular.roles.looks import Look
    from pipeline.tabular.roles.values import Guess

FEWEST_ROW_NUMBERS = 5  # 1, 2, 3 may be anything
COMPARED = 256
COVERED_SHARE = 0.5
FEWEST_GROUPS = 5  # the default number of folds
NO_ID = Claim("", "none", "no column is unique and named like an id; rows are numbered from 0")


def find_id(raw: RawTables, looks: Mapping[str, Look], never: Sequence[str]) -> Claim:
    """The column that tells rows apart; value "" if there is none. never: columns that are targets."""
    tables = [table for table in (raw.train, raw.test) if table is not None]
    if raw.sample is not None and raw.sample.names and raw.test is not None:
        first = raw.sample.names[0]
        if first in raw.test.names:
            evidence = "; ".join(
                ["first column of the sample submission", *(_distinct(t, first) for t in tables if first in t.names)]
            )
            return Claim(first, "first column of the sample submission", evidence)
    known = [name for name in raw.train.names if name not in never and all(name in table.names for table in tables)]
    for name in known:
        if is_id_name(name) and all(is_unique(table, name) for table in tables):
            evidence = f"{raw.train.rows} distinct values on {raw.train.rows} rows, named like an id"
            return Claim(name, "unique and named like an id", evidence)
    for name in known:
        if (
            raw.train.rows >= FEWEST_ROW_NUMBERS
            and time_part(name) is None
            and all(_counts_rows(table, name, looks[name]) for table in tables)
        ):
            return Claim(name, "consecutive numbers", f"whole numbers that count the {raw.train.rows} rows one by one")
    return NO_ID


def find_copies(raw: RawTables, target: str) -> dict[str, str]:
    """Columns with the same cells as an earlier one, or as the target, in train and test."""
    rows = pa.array(spread_rows(raw.train.rows, COMPARED))
    first: dict[object, list[str]] = {}
    copies: dict[str, str] = {}
    for name in dict.fromkeys([target, *raw.train.names]):
        column = raw.train.columns[name]
        if pa.types.is_nested(column.type):
            continue
        earlier = first.setdefault((str(column.type), tuple(column.take(rows).to_pylist())), [])
        same = [other for other in earlier if _same_cells(raw, name, other)]
        if same:
            copies[name] = same[0]
        else:
            earlier.append(name)
    return copies


def find_joins(raw: RawTables, target: str) -> tuple[tuple[SideGuess, ...], tuple[str, ...]]:
    """Side tables that can be joined, and remarks about those that cannot."""
    joins, remarks = [], []
    for file, side in raw.sides.items():
        shared = [name for name in side.names if all(name in table.names for table in _both(raw)) and name != target]
        if not shared or target in side.names:
            continue
        keys = _keys(side, shared)
        if not keys.null_count and pc.count_distinct(keys).as_py() == side.rows:
            known = pc.unique(_keys(raw.train, shared))
            covered = pc.sum(pc.is_in(known, value_set=keys)).as_py() / max(len(known), 1)
            evidence = f"each key once on {side.rows} rows, {covered:.0%} of train's {len(known)} keys are there"
            if covered >= COVERED_SHARE:
                joins.append(SideGuess(file, tuple(shared), evidence))
            else:
                remarks.append(f"{file} is not joined by {', '.join(map(repr, shared))}: {evidence}")
        else:
            remarks.append(
                f"{file} is not joined: it shares {', '.join(map(repr, shared))}, but the key stands there more than "
                f"once; aggregate it first"
            )
    return tuple(joins), tuple(remarks)


def find_groups(raw: RawTables, columns: Sequence[Guess]) -> Claim | None:
    """The group column whose values in test are none of train's: new groups have to be predicted."""
    if raw.test is None:
        return None
    apart = []
    for guess in columns:
        if guess.role == "group":
            train, test = (pc.unique(present_cells(table, guess.column)) for table in (raw.train, raw.test))
            if len(test) and len(train) >= FEWEST_GROUPS and not pc.any(pc.is_in(test, value_set=train)).as_py():
                apart.append((len(train), len(test), guess.column))
    if not apart:
        return None
    train_groups, test_groups, name = min(apart)
    evidence = f"none of the {test_groups} values in test is among the {train_groups} in train"
    return Claim(name, "groups apart", evidence)


def find_holdout(raw: RawTables, columns: Sequence[Guess], id_column: str) -> tuple[Claim | None, tuple[str, ...]]:
    """Which rows to set aside where there is no test file, and remarks about time."""
    dates = [guess for guess in columns if guess.role == "date" or (guess.role == "id" and guess.formats)]
    parts = _clock(columns)
    if raw.test is not None:
        return None, _time_remark(raw, dates, parts)
    if len(dates) == 1:
        name = dates[0].column
        return Claim(name, "by date", f"no test file; {name!r} is the only date, so the latest rows are set aside"), ()
    if parts and id_column and _rises_with(raw.train, parts, id_column):
        evidence = f"no test file; it rises with ({', '.join(parts)}), so the latest rows are set aside"
        return Claim(id_column, "by row number", evidence), ()
    if parts:
        remark = f"time stands in ({', '.join(parts)}); [holdout] sorts by one column, so rows are drawn at random"
        return Claim("", "random", "no test file"), (remark,)
    some = f" ({len(dates)} date columns: name one in `by` to set the latest aside)" if dates else ""
    return Claim("", "random", f"no test file; rows drawn at random{some}"), ()


def _time_remark(raw: RawTables, dates: Sequence[Guess], parts: Sequence[str]) -> tuple[str, ...]:
    if parts and not dates:
        return (f"time stands in ({', '.join(parts)})",)
    if len(dates) != 1 or raw.test is None or dates[0].column not in raw.test.names:
        return ()
    name = dates[0].column
    spans = []
    for table in (raw.train, raw.test):
        instants = parse_dates(pc.unique(present_cells(table, name)), dates[0].formats or ("%Y-%m-%d",))[0]
        instants = instants[~np.isnat(instants)]
        if not len(instants):
            return ()
        spans.append((instants.min(), instants.max()))
    (_, last), (first, end) = spans
    days = [str(instant.astype("datetime64[D]")) for instant in (spans[0][0], last, first, end)]
    words = f"time stands in {name!r}: train {days[0]} to {days[1]}, test {days[2]} to {days[3]}"
    return (f"{words}: test lies after train, which shuffled folds flatter" if first > last else words,)


def _clock(columns: Sequence[Guess]) -> tuple[str, ...]:
    """Columns that together are an instant, coarse to fine: a year at least, and a month or a day."""
    found: dict[str, str] = {}
    for guess in columns:
        part = time_part(guess.column)
        if guess.role == "time_part" and part is not None:
            found.setdefault(part[0], guess.column)
    names = tuple(found[part] for part in CLOCK if part in found)
    return names if "year" in found and len(names) > 1 else ()


def _rises_with(table: RawTable, parts: Sequence[str], id_column: str) -> bool:
    """Whether a column of numbers puts all rows into the order of their time."""
    order = _numbers(table, id_column)
    columns = [_numbers(table, name) for name in parts]
    if any(np.isnan(values).any() for values in (order, *columns)):
        return False
    by_id = np.argsort(order, kind="stable")
    by_time = np.lexsort([np.arange(len(order)), *(values[by_id] for values in reversed(columns))])
    return bool((by_time == np.arange(len(order))).all())


def _counts_rows(table: RawTable, name: str, look: Look) -> bool:
    low, high = look.limits
    if not look.is_whole or FIRST_COMPACT_DATE <= low <= high <= LAST_COMPACT_DATE:
        return False
    return bool((np.diff(_numbers(table, name)) == 1).all())


def _numbers(table: RawTable, name: str) -> Floats:
    return numbers_of(table.columns[name], decimal=table.decimal).values


def _distinct(table: RawTable, name: str) -> str:
    return f"{pc.count_distinct(table.columns[name]).as_py()} of {table.rows} distinct in {base_name(table.file)}"


def _both(raw: RawTables) -> list[RawTable]:
    return [table for table in (raw.train, raw.test) if table is not None]


def _same_cells(raw: RawTables, name: str, other: str) -> bool:
    tables = [table for table in _both(raw) if name in table.names and other in table.names]
    if len(tables) < len(_both(raw)) and raw.test is not None and (name in raw.test.names) != (other in raw.test.names):
        tables = [raw.train]
    return all(table.columns[name].equals(table.columns[other]) for table in tables)


def _keys(table: RawTable, on: Sequence[str]) -> pa.ChunkedArray:
    parts = [pc.utf8_trim_whitespace(table.columns[name].cast(pa.string())) for name in on]
    return pc.binary_join_element_wise(*parts, "\x1f") if len(parts) > 1 else parts[0]
