"""How each column is read: decided once on train and test together, then applied to any file.

The rule for a column that [schema] says nothing about: numbers if train and test hold nothing else, with the characters
that group thousands or tell a unit taken out; numbers too where at most one cell in a hundred is none (those count as
missing); else levels. Whatever is taken out, filled or left aside is a notice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.tables import Column, Notice
from pipeline.tabular.cells import LOOKED_AT, blank, is_date, is_text, levels_of, numbers_of, spread_rows
from pipeline.tabular.notation import how_written, read_numbers
from pipeline.tabular.values import STRAY_SHARE, check_type, drop_line, instants, place_of, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Schema
    from pipeline.tables import RawTable
    from pipeline.tabular.cells import Numbers
    from pipeline.tabular.values import Values

    Cells = Sequence[pa.ChunkedArray]  # one for each table

ZONED = r"\d:\d.*(Z|[+-]\d\d:?\d\d)$"


@dataclass(frozen=True, slots=True)
class Reading:
    """One column of several tables: how it was read, what came of it in each, and what was noticed."""

    column: Column
    tables: tuple[Mapping[str, Values], ...]  # its values in each table; free text makes two columns
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Strays:
    """Texts among numbers: how many cells, of how many that are not missing, and the first of them."""

    cells: int
    present: int
    where: str
    text: str

    @property
    def are_few(self) -> bool:
        """So few that the column is one of numbers, and they count as missing."""
        return self.cells <= STRAY_SHARE * self.present

    @property
    def are_many(self) -> bool:
        """So many that nobody would call it a column of numbers."""
        return self.cells * 10 > self.present


def read_column(name: str, tables: Sequence[RawTable], roles: Schema) -> Reading:
    """Decide how a column is read, and read it. Raises DataError for cells that the declared role forbids."""
    missing = roles.missing_in.get(name, roles.missing)
    levels = roles.ordinal.get(name, ())
    # a text that is listed as a level is one, whatever it means elsewhere
    missing = tuple(text for text in missing if text not in levels)
    cells = _alike(name, tables, missing)
    for table, own in zip(tables, cells, strict=True):
        check_type(name, table, own)
    if name in roles.ordinal:
        return _declared(Column(name, "ordinal", missing, levels=levels), tables, cells)
    if name in roles.text:
        return _declared(Column(name, "text", missing), tables, cells)
    if name in roles.dates or (any(map(is_date, cells)) and name not in roles.categorical):
        return _dates(Column(name, "date", missing, formats=roles.dates.get(name, ())), tables, cells)
    if name in roles.categorical or (name not in roles.numeric and not _may_be_numbers(tables, cells)):
        return _levels(Column(name, "categorical", missing), tables, cells)
    return _numbers(Column(name, "numeric", missing), tables, cells, is_declared=name in roles.numeric)


def _alike(name: str, tables: Sequence[RawTable], missing: Sequence[str]) -> list[pa.ChunkedArray]:
    """Blanked cells of each table; texts in all of them where one holds texts that are no numbers.

    A file read as numbers at once has lost how they were written, by which levels are told apart.
    """
    cells = [blank(table.columns[name], missing) for table in tables]
    texts = [(table, own) for table, own in zip(tables, cells, strict=True) if is_text(own)]
    if len(texts) in {0, len(cells)} or not any(numbers_of(c, decimal=t.decimal).wrong_cells for t, c in texts):
        return cells
    return [
        own if is_text(own) else blank(table.texts(name), missing) for table, own in zip(tables, cells, strict=True)
    ]


def apply_column(column: Column, table: RawTable) -> Mapping[str, Values]:
    """Read a column of another file the same way. Raises DataError, naming a line, for a cell that cannot be."""
    cells = blank(table.columns[column.name], column.missing)
    check_type(column.name, table, cells)
    return values_of(column, table, cells)


def _declared(column: Column, tables: Sequence[RawTable], cells: Cells) -> Reading:
    return Reading(column, tuple(values_of(column, table, own) for table, own in zip(tables, cells, strict=True)))


def _dates(column: Column, tables: Sequence[RawTable], cells: Cells) -> Reading:
    read = [instants(column, table, own) for table, own in zip(tables, cells, strict=True)]
    stray = sum(count for _, count in read)
    notices = [Notice(column.name, "texts that are no date count as missing", stray)] if stray else []
    zoned = sum(int(pc.sum(pc.match_substring_regex(own, ZONED)).as_py() or 0) for own in cells if is_text(own))
    if zoned:
        bare = _present(cells) - zoned - stray
        mixed = f"; {bare} without one among them are taken as UTC too" if bare else ""
        notices.append(Notice(column.name, f"instants with a zone or an offset became UTC{mixed}", zoned))
    return Reading(column, tuple({column.name: values} for values, _ in read), tuple(notices))


def _levels(column: Column, tables: Sequence[RawTable], cells: Cells) -> Reading:
    whole = [table.texts(column.name) for table in tables]
    trimmed = sum(
        int(pc.sum(pc.not_equal(own, pc.cast(texts, own.type))).as_py() or 0)
        for texts, own in zip(whole, cells, strict=True)
        if is_text(texts)
    )
    notices = (Notice(column.name, "blanks around texts were taken off", trimmed),) if trimmed else ()
    return Reading(column, tuple({column.name: levels_of(own)} for own in cells), notices)


def _numbers(column: Column, tables: Sequence[RawTable], cells: Cells, *, is_declared: bool) -> Reading:
    """Numbers, whole or nearly; otherwise levels."""
    name, notices = column.name, []
    read, written = read_numbers(cells, [table.decimal for table in tables])
    if written is not None:
        column = replace(column, removed=written.removed, decimal=written.decimal)
        notices.append(Notice(name, written.text, written.cells))
    if strays := _strays(tables, cells, read):
        if is_declared and strays.are_many:
            raise DataError(
                f"{strays.where}: column {name!r} is listed under [schema] numeric but holds {strays.text!r} "
                f"({strays.cells} such cells of {strays.present}); take it out of that list, or name the texts under "
                f"[schema.missing_in]"
            )
        if not is_declared and not strays.are_few:
            return _nearly_numbers(_levels(Column(name, "categorical", column.missing), tables, cells), strays)
        text = f"texts among numbers, such as {strays.text!r} ({strays.where}), count as missing"
        remedy = "" if is_declared else f'; to keep them as levels: [schema] categorical = ["{name}"]'
        notices.append(Notice(name, text + remedy, strays.cells))
        texts = (text for numbers in read for text in numbers.wrong.tolist())
        column = replace(column, missing=tuple(dict.fromkeys([*column.missing, *texts])))
    if boundless := sum(numbers.boundless for numbers in read):
        at = next(place_of(t, n.first_boundless) for t, n in zip(tables, read, strict=True) if n.boundless)
        text = f"infinite numbers, or beyond 1e100, taken as missing, the first in {at}"
        notices.append(Notice(name, f"{text}; or leave the column out: {drop_line(name)}", boundless))
    return Reading(column, tuple({name: numbers.values} for numbers in read), tuple(notices))


def _nearly_numbers(reading: Reading, strays: Strays) -> Reading:
    """Levels, and a word about it where a person may have expected numbers."""
    if strays.are_many:
        return reading
    name = reading.column.name
    text = (
        f"almost all numbers, but {strays.text!r} ({strays.where}) made it a text column; to read numbers: [schema] "
        f'numeric = ["{name}"]'
    )
    return replace(reading, notices=(*reading.notices, Notice(name, text, strays.cells)))


def _strays(tables: Sequence[RawTable], cells: Cells, read: Sequence[Numbers]) -> Strays | None:
    for table, own, numbers in zip(tables, cells, read, strict=True):
        if numbers.wrong_cells:
            count = sum(numbers.wrong_cells for numbers in read)
            first = numbers.first_wrong
            return Strays(count, _present(cells), place_of(table, first), str(own[first]))
    return None


def _present(cells: Cells) -> int:
    return sum(len(own) - own.null_count for own in cells)


def _may_be_numbers(tables: Sequence[RawTable], cells: Cells) -> bool:
    """Whether at least half of a few cells are numbers: a column of texts is not tried cell by cell."""
    looked_at, strays, wrong = 0, 0, []
    for table, own in zip(tables, cells, strict=True):
        if not is_text(own):
            continue
        few = own.take(pa.array(spread_rows(len(own), LOOKED_AT))).drop_null()
        few = few if len(few) else own.drop_null()[:LOOKED_AT]
        numbers = numbers_of(few, decimal=table.decimal)
        looked_at += len(few)
        strays += numbers.wrong_cells
        wrong.append(numbers.wrong)
    if strays * 2 <= looked_at:
        return True
    return how_written(np.concatenate(wrong), tables[0].decimal, is_every_cell=True) is not None
