"""Side tables: columns of a further file, added to train and test wherever a key agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.settings import Join
    from pipeline.tables import RawTable, RawTables

SEPARATOR = "\x1f"  # between the parts of a key; no file that people edit holds it


def join_sides(raw: RawTables, joins: Sequence[Join]) -> tuple[RawTables, list[Notice]]:
    """Add every side table's columns to train and test; a row whose key is not there gets missing cells, counted.

    Raises DataError for a key column that is absent, a key that stands in the side table twice, or a column that is
    there already.
    """
    notices: list[Notice] = []
    for join in joins:
        if join.file not in raw.sides:
            known = ", ".join(map(repr, raw.sides)) or "none"
            raise DataError(f"[[join]] {join.file}: no such side table was read, there is {known}; correct its name")
        if not join.on:
            raise DataError(f"[[join]] {join.file}: `on` names no column; name the key")
        side = raw.sides[join.file]
        _check(raw, side, join)
        keys = _keys(side, join.on)
        tables: list[RawTable | None] = []
        for table in (raw.train, raw.test):
            if table is None:
                tables.append(None)
                continue
            found = pc.index_in(_keys(table, join.on), value_set=keys, skip_nulls=True)
            if found.null_count:
                what = f"{table.file}: rows whose key ({', '.join(join.on)}) is not in {side.file}"
                notices.append(Notice(join.file, what, found.null_count))
            added = {name: side.columns[name].take(found) for name in side.names if name not in join.on}
            columns = {name: table.columns[name] for name in table.names} | added
            tables.append(replace(table, columns=pa.table(columns)))
        train, test = tables
        assert train is not None
        raw = replace(raw, train=train, test=test)
    return raw, notices


def _check(raw: RawTables, side: RawTable, join: Join) -> None:
    for table in _present(raw):
        for name in join.on:
            for where in (table, side):
                if name not in where.names:
                    raise DataError(
                        f"{where.file}: no column {name!r}, the key of [[join]] {join.file}; it has "
                        f"{', '.join(map(repr, where.names[:8]))}"
                    )
        for name in side.names:
            if name not in join.on and name in table.names:
                raise DataError(
                    f"{side.file}: column {name!r} is in {table.file} already; rename it in one of them, or leave the "
                    f"[[join]] out"
                )
    keys = _keys(side, join.on)
    counts = pc.value_counts(keys)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        example = ", ".join(str(twice[0]["values"]).split(SEPARATOR))
        raise DataError(
            f"{side.file}: key {example!r} ({', '.join(join.on)}) stands there more than once ({len(twice)} such "
            f"keys); a side table needs each key once: aggregate it first, or name more columns in `on`"
        )


def _keys(table: RawTable, on: Sequence[str]) -> pa.Array:
    texts = [pc.utf8_trim_whitespace(table.columns[name].combine_chunks().cast(pa.string())) for name in on]
    joined = pc.binary_join_element_wise(*texts, SEPARATOR) if len(texts) > 1 else texts[0]
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _present(raw: RawTables) -> Iterator[RawTable]:
    return (table for table in (raw.train, raw.test) if table is not None)
