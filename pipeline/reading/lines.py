"""Lines and records of a text: on which line of the file a row stands, however many lines its cells span."""

from __future__ import annotations

import csv
from array import array
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.reading.source import Source

csv.field_size_limit((1 << 31) - 1)  # a long text in a cell is no fault
END = "\x1e"  # a row of these is set behind the last line: a quote left open swallows it


def end_row(fields: int, separator: str) -> str:
    """The row behind the last line, with the line break before it that the file may lack."""
    return "\n" + separator.join([END] * fields) + "\n"


@dataclass(frozen=True, slots=True)
class Record:
    """One row with the lines it spans, counted from 1."""

    cells: Sequence[str]
    line: int
    last_line: int
    is_open: bool  # a quote in its last cell is never closed

    @property
    def open_line(self) -> int:
        """Where the quote of an open record stands: that cell holds all line ends from there on."""
        ends = LineEnds()
        ends.count(self.cells[-1].encode())
        return self.last_line + 1 - ends.total


def records(lines: Iterable[str], separator: str, *, before: int = 0) -> Iterator[Record]:
    """Rows of the lines, blank ones skipped; `before` lines of the file stand above the first.

    A slow look with the csv module, which splits cells exactly as pyarrow does.
    """
    reader = csv.reader(chain(_ended(lines), [END]), delimiter=separator)
    last: Record | None = None
    done = before
    for cells in reader:
        line, done = done + 1, before + reader.line_num
        if last is not None:
            yield last
        last = Record(cells, line, done, is_open=False) if cells else None
    # the last one is the end itself, unless a quote swallowed it
    if last is not None and last.cells != [END]:
        yield Record(last.cells, last.line, last.last_line - 1, is_open=True)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith(("\n", "\r")) else f"{line}\n"


@dataclass(slots=True)
class LineEnds:
    r"""Counts \n, \r and \r\n, a block at a time."""

    total: int = 0
    last: bytes = b""

    def count(self, block: bytes) -> None:
        """Take note of a further block."""
        if not block:
            return
        self.total += block.count(b"\n")
        # most files have no \r, and looking for one byte is fast
        if b"\r" in block:
            self.total += block.count(b"\r") - block.count(b"\r\n")
        if self.last == b"\r" and block.startswith(b"\n"):
            self.total -= 1
        self.last = block[-1:]


class Lines:
    """Row -> line; looks at the file again when it is first asked, not before.

    As many lines as rows: none is blank and none is continued, so row and line go together. Otherwise the rows are
    counted one by one.
    """

    __slots__ = ("_header_lines", "_rows", "_separator", "_source", "_starts")

    def __init__(self, source: Source, separator: str, *, header_lines: int, rows: int) -> None:
        self._source, self._separator = source, separator
        self._header_lines, self._rows = header_lines, rows
        self._starts: Sequence[int] | None = None

    def __call__(self, row: int) -> int:
        """Return the line, counted from 1, on which a zero-based row starts."""
        if self._starts is None:
            self._starts = self._find()
        return self._starts[row]

    def _find(self) -> Sequence[int]:
        first = self._header_lines + 1
        if self._lines() == self._header_lines + self._rows:
            return range(first, first + self._rows)
        with self._source.open_lines(skip=self._header_lines) as lines:
            starts = array("q", (r.line for r in records(lines, self._separator, before=self._header_lines)))
        if len(starts) != self._rows:
            raise DataError(
                f"{self._source.path}: {self._rows} rows were read, and now it has {len(starts)}; run again"
            )
        return starts

    def _lines(self) -> int:
        """Lines of the file without blank ones at its end."""
        ends, last = LineEnds(), b""
        for block in self._source.utf8_blocks():
            ends.count(block)
            last = block or last
        blank = LineEnds()
        blank.count(last[len(last.rstrip(b"\r\n")) :])
        return ends.total - blank.total + 1
