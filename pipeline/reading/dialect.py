"""How a text file is written: separator and decimal mark, found from its first lines, and said."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.settings import Files

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LINES = 1000  # of the head decide about the separator
WITH_COMMA = re.compile(r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+\s*")
WITH_POINT = re.compile(r"\s*[+-]?\d+\.\d+\s*")
EDGE = re.compile(r'^"|"$|[,;\t|]"|"[,;\t|]')
THOUSANDS = re.compile(r"\s*[+-]?\d{1,3},\d{3}\s*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Separator of cells and decimal mark of numbers, with what was noticed about them."""

    separator: str
    decimal: str
    notices: tuple[Notice, ...] = ()


def find_dialect(lines: Sequence[str], files: Files, path: Path) -> Dialect:
    """Find what [files] leaves open. Commas and points are not worth a notice, nor are tabs in a .tsv file.

    The separator is the one that gives line 1 at least two fields and most of a thousand lines as many, quotes
    respected. Raises DataError if two do so on every line.
    """
    notices = []
    separator: str = files.separator
    if separator == "auto":
        separator = _separator(lines, path)
        if separator != "," and not (separator == "\t" and ".tsv" in path.suffixes):
            notices.append(Notice(path.name, f"cells are separated by {SEPARATORS[separator]}s", 1))
    decimal: str = files.decimal
    if decimal == "auto":
        decimal, found = _decimal(lines, separator, path)
        notices += found
    return Dialect(separator, decimal, tuple(notices))


def _separator(lines: Sequence[str], path: Path) -> str:
    shares: dict[str, tuple[float, int]] = {}
    for separator in SEPARATORS:
        rows = rows_of(lines[:LINES], separator) or [[]]
        fields = len(rows[0])
        if fields > 1:
            fitting = sum(len(row) == fields and not any(map(_is_torn, row)) for row in rows)
            shares[separator] = (fitting / len(rows), fields)
    if not shares:
        return ","
    whole = [separator for separator, (share, _) in shares.items() if share == 1]
    if len(whole) > 1:
        ways = " and ".join(f"{shares[each][1]} cells between {SEPARATORS[each]}s" for each in whole)
        raise DataError(f"{path}: every line reads as {ways}; say which with [files] separator")
    return max(shares, key=shares.__getitem__)


def _is_torn(cell: str) -> bool:
    """One quote of a pair, at an edge: the separator that made this cell stands within a quoted text."""
    return cell.count('"') % 2 == 1 and EDGE.search(cell) is not None


def _decimal(lines: Sequence[str], separator: str, path: Path) -> tuple[str, list[Notice]]:
    """A comma only where it separates nothing, and no number of the head has a point."""
    if separator == ",":
        return ".", []
    cells = [cell for row in rows_of(lines, separator)[1:] for cell in row]
    commas = [cell.strip() for cell in cells if WITH_COMMA.fullmatch(cell)]
    points = [cell.strip() for cell in cells if WITH_POINT.fullmatch(cell)]
    if not commas:
        return ".", []
    if points:
        text = f"{commas[0]!r} and {points[0]!r}: the decimal mark was taken to be the point; [files] decimal can tell"
        return ".", [Notice(path.name, text, len(commas))]
    doubt = " (or are they thousands? [files] decimal can tell)" if all(map(THOUSANDS.fullmatch, commas)) else ""
    return ",", [Notice(path.name, f"the decimal mark is a comma, as in {commas[0]!r}{doubt}", len(commas))]


def rows_of(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The rows of the lines, blank ones left out."""
    return [row for row in csv.reader(lines, delimiter=separator) if row]
