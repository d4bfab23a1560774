"""Why a text is no table: a second, slow look that only a broken file pays for."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.reading.archive import AGAIN
from pipeline.reading.dialect import SEPARATORS
from pipeline.reading.lines import records
from pipeline.reading.source import text_fault

if TYPE_CHECKING:
    from pipeline.reading.header import Header
    from pipeline.reading.lines import Record
    from pipeline.reading.source import Source


def table_fault(source: Source, header: Header, reason: str) -> DataError:
    """The first fault of a file that could not be read, with its line."""
    return text_fault(source) or row_fault(source, header) or DataError(f"{source.path}: not a table: {reason}")


def row_fault(source: Source, header: Header) -> DataError | None:
    """The first row with too few or too many fields, or a quote left open; None if every row is whole."""
    fields, separator = len(header.cells), header.dialect.separator
    first = last = None
    rows = wrong = longer = ended = 0
    try:
        with source.open_lines(skip=header.lines) as lines:
            for record in records(lines, separator, before=header.lines):
                rows, last = rows + 1, record
                if record.is_open or len(record.cells) != fields:
                    first = first or record
                    wrong += 1
                    longer += len(record.cells) == fields + 1
                    ended += len(record.cells) == fields + 1 and not record.cells[-1]
    except csv.Error as error:
        return DataError(f"{source.path}: not a table: {error}")
    if first is None:
        return None
    if first.is_open:
        return DataError(
            f"{source.path}: line {first.open_line}: a quote is opened and never closed; close it, or double it if it "
            f"is text"
        )
    at = f"{source.path}: line {first.line}"
    mark = SEPARATORS[separator]
    if rows == ended:
        return DataError(
            f"{at}: every row ends with a {mark} and the header does not ({_fields(fields + 1)}, the header has "
            f"{fields}); remove it from the rows, or add one to the header"
        )
    if rows == longer:
        return DataError(
            f"{at}: {_fields(fields + 1)}, as in every row, the header has {fields}; name the missing column in "
            f"the header"
        )
    return DataError(
        f"{at}: {_fields(len(first.cells))}, the header has {fields}{_extent(first)}; "
        f"{_remedy(first, fields, mark, is_last=first is last)} "
        f"({wrong} such {'row' if wrong == 1 else 'rows'} of {rows})"
    )


def _remedy(record: Record, fields: int, mark: str, *, is_last: bool) -> str:
    if len(record.cells) > fields or record.line != record.last_line:
        return f"correct that line: a {mark} within a text needs quotes around the text"
    complete = f"complete that line: a missing cell still has its {mark}"
    return f"there the file ends: {AGAIN} if it was cut short, or {complete}" if is_last else complete


def _fields(count: int) -> str:
    return f"{count} field" if count == 1 else f"{count} fields"


def _extent(record: Record) -> str:
    return "" if record.line == record.last_line else f" (quotes make it go on to line {record.last_line})"
