"""The header of a text file: where it ends, and whether its names can be column names."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.reading.dialect import find_dialect
from pipeline.reading.lines import records
from pipeline.reading.source import text_fault
from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.reading.dialect import Dialect
    from pipeline.reading.lines import Record
    from pipeline.reading.source import Source
    from pipeline.settings import Files

HEAD_BYTES = (1 << 20, 1 << 23, 1 << 26)  # the header has to fit; the first decides about the dialect
FIRST_ROWS = 100
MOST_COLUMNS = 100_000
NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Header:
    """Column names in file order, and where the rows begin."""

    dialect: Dialect
    cells: tuple[str, ...]  # as they stand
    line: int  # where it starts
    lines: int  # of the file, up to its end
    size: int  # bytes of these lines as UTF-8
    first_rows: tuple[tuple[str, ...], ...]  # a few, whole, to see what columns hold


def read_header(source: Source, files: Files) -> Header:
    """Find the dialect and the first line that is not blank. Raises DataError if there is none, or it never ends."""
    for size in HEAD_BYTES:
        lines, is_whole = _head(source, size)
        dialect = find_dialect(lines, files, source.path)
        found = records(lines, dialect.separator)
        record = next(found, None)
        if record is not None and not record.is_open:
            ended = lines[: record.last_line]
            cells = tuple(record.cells)
            few = tuple(tuple(row.cells) for row in itertools.islice(found, FIRST_ROWS) if not row.is_open)
            return Header(dialect, cells, record.line, len(ended), sum(len(line.encode()) for line in ended), few)
        if is_whole:
            break
    raise DataError(f"{source.path}: {_no_header(record, is_whole=is_whole)}")


def _no_header(record: Record | None, *, is_whole: bool) -> str:
    if record is None and not is_whole:
        return f"no header ends within the first {HEAD_BYTES[-1]:,} bytes, expected column names; is it a table?"
    if record is None:
        return "nothing but blank lines, expected a table; was the download cut short?"
    return f"line {record.line}: the header has a quote that is never closed; close it, or double it if it is text"


def _head(source: Source, size: int) -> tuple[list[str], bool]:
    """The first complete lines, and whether they are all there are."""
    head = b""
    for block in source.utf8_blocks(size):
        head += block
        if len(head) >= size:
            break
    is_whole = len(head) < size
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        raise text_fault(source) or error from None
    # the last line may be cut off
    lines = list(io.StringIO(text, newline=""))
    return lines if is_whole else lines[:-1], is_whole


def check_names(cells: Sequence[str], where: str, path: Path) -> tuple[list[str], list[Notice]]:
    """The names without the blanks around them; a last one may be empty.

    Raises DataError for a name that is empty or doubled, too many of them, and numbers where names should be.
    """
    names = [cell.strip() for cell in cells]
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{where}: {len(names):,} columns, at most {MOST_COLUMNS:,} are read; is it a table?")
    present = [name for name in names if name]
    if present and all(map(NUMBER.fullmatch, present)):
        shown = ", ".join(present[:3]) + (", …" if len(present) > 3 else "")
        raise DataError(f"{where}: no header line? nothing but numbers ({shown}); add a line with the column names")
    for position, name in enumerate(names, start=1):
        if not name and (position < len(names) or len(names) == 1):
            raise DataError(f"{where}: column {position} of {len(names)} has no name; name it")
    for name, count in Counter(names).items():
        if count > 1:
            first, second = [position for position, each in enumerate(names, start=1) if each == name][:2]
            raise DataError(f"{where}: columns {first} and {second} are both named {name!r}; rename one")
    return names, [*_renamed(cells, names, path), *_alike(names, path)]


def _renamed(cells: Sequence[str], names: Sequence[str], path: Path) -> list[Notice]:
    changed = [cell for cell, name in zip(cells, names, strict=True) if cell != name and name]
    text = f"blanks around column names were removed, as in {changed[0]!r}" if changed else ""
    return [Notice(path.name, text, len(changed))] if changed else []


def _alike(names: Sequence[str], path: Path) -> list[Notice]:
    """Names that differ only in case: allowed, and easily mistaken."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [
        Notice(path.name, f"{' and '.join(group)} are {len(group)} columns, told apart by case only", len(group))
        for group in groups.values()
        if len(group) > 1
    ]
