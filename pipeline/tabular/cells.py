"""Cells to values: texts of a column become numbers, levels or dates, and what does not is handed back.

Columns are pyarrow's, whole or in chunks; a missing cell is null. A column with few distinct texts costs what those do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Codes, Floats, Texts

BOUNDLESS = 1e100  # a number whose square overflows is no measurement
LOOKED_AT = 1000
NOTHING = pa.scalar(None, pa.string())
NUMBER = r"(?i)^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^[+-]?inf(inity)?$"
UNITS = "$€£¥₹%"
BLANK = r"[\s\x{a0}\x{202f}]*"  # between a number and its unit
THOUSANDS = ",.' \u00a0\u202f"  # a blank, a no-break blank and a narrow one among them


@dataclass(frozen=True, slots=True)
class Levels:
    """A column as codes into its distinct texts; -1 where missing."""

    codes: Codes  # [R]
    texts: Texts  # [distinct], in the order of their first appearance


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column as numbers, NaN where missing; what was no number, or none that can be used."""

    values: Floats  # [R]
    wrong: Texts  # distinct texts that are no numbers
    wrong_cells: int
    first_wrong: int  # row of the first such cell; -1 if there is none
    boundless: int  # cells that are infinite, or beyond 1e100: taken as missing
    first_boundless: int = -1  # row of the first such cell; -1 if there is none


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether the cells are texts, as all cells of a CSV file are."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_date(column: pa.ChunkedArray) -> bool:
    """Whether the cells are typed as dates or instants, as in a Parquet file."""
    return bool(pa.types.is_timestamp(column.type) or pa.types.is_date(column.type))


def blank(column: pa.ChunkedArray, missing: Sequence[str]) -> pa.ChunkedArray:
    """Null for the texts that mean a missing value, blanks around them not counted; no blanks around the others.

    Of typed cells, NaN becomes null and truth values the texts that CSV files have for them.
    """
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "True", "False")
    if not is_text(column):
        return column
    trimmed = pc.utf8_trim_whitespace(_plain(column))
    absent = pc.is_in(trimmed, value_set=pa.array(list(missing), trimmed.type))
    return pc.if_else(absent, pa.scalar(None, trimmed.type), trimmed) if pc.any(absent).as_py() else trimmed


def texts_of(column: pa.ChunkedArray) -> Texts:
    """The cells as text, byte for byte; None where null."""
    plain = _plain(column) if is_text(column) else column.cast(pa.string())
    texts: Texts = plain.to_numpy(zero_copy_only=False) if len(plain) else np.empty(0, dtype=object)
    return texts.astype(object)


def levels_of(column: pa.ChunkedArray) -> Levels:
    """Distinct texts and a code for each cell."""
    plain = _plain(column) if is_text(column) else column.cast(pa.string())
    encoded = plain.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Levels(codes, encoded.dictionary.to_numpy(zero_copy_only=False).astype(object))


def numbers_of(column: pa.ChunkedArray, *, decimal: str = ".", removed: str = "") -> Numbers:
    """Read a blanked column as numbers.

    decimal: the decimal mark. removed: characters taken out first, but never that mark; a text that they do not group
    by thousands, or that holds a unit in its middle, is no number.
    """
    removed = removed.replace(decimal, "")
    if not is_text(column):
        # unsafe: an integer beyond 2^53 may lose its last digits, as it does in a text
        return _bounded(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if decimal == "." and not removed:
        try:  # nearly every column ends here; a text NaN would pass for a missing cell, so it does not
            values = column.cast(pa.float64())
        except pa.ArrowInvalid:
            pass
        else:
            if not pc.any(pc.is_nan(values)).as_py():
                return _bounded(values.to_numpy(zero_copy_only=False))
    levels = levels_of(column)
    plain = plain_numbers(pa.array(levels.texts, pa.string()), decimal, removed)
    known = plain.cast(pa.float64()).to_numpy(zero_copy_only=False)
    wrong = plain.is_null().to_numpy(zero_copy_only=False)
    cells = np.append(wrong, False)[levels.codes]
    first = int(np.argmax(cells)) if cells.any() else -1
    bounded = _bounded(np.append(known, np.nan)[levels.codes])
    return Numbers(
        bounded.values, levels.texts[wrong], int(cells.sum()), first, bounded.boundless, bounded.first_boundless
    )


def spread_rows(rows: int, most: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """At most `most` rows, evenly spread, always the same."""
    if rows <= most:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, most).round().astype(np.int64))


def _bounded(values: Floats) -> Numbers:
    values = np.asarray(values, dtype=np.float64)
    largest = max(np.nanmax(values, initial=0.0), -np.nanmin(values, initial=0.0))
    if largest < BOUNDLESS:
        return Numbers(values, np.empty(0, dtype=object), 0, -1, 0)
    beyond = np.abs(values) >= BOUNDLESS
    nothing = np.empty(0, dtype=object)
    return Numbers(np.where(beyond, np.nan, values), nothing, 0, -1, int(beyond.sum()), int(np.argmax(beyond)))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Not a dictionary, nor views, which pyarrow cannot trim."""
    kind = column.type
    return column.cast(pa.string()) if pa.types.is_dictionary(kind) or pa.types.is_string_view(kind) else column


def plain_numbers(texts: pa.Array, decimal: str, removed: str) -> pa.Array:
    """The texts as numbers with a point, null where one is no number."""
    for unit in (mark for mark in removed if mark in UNITS):
        texts = pc.replace_substring_regex(texts, rf"^([+-]?){re.escape(unit)}{BLANK}", r"\1")
        texts = pc.replace_substring_regex(texts, rf"{BLANK}{re.escape(unit)}$", "")
    for mark in (mark for mark in removed if mark not in UNITS):
        escaped, point = re.escape(mark), re.escape(decimal)
        grouped = pc.match_substring_regex(texts, rf"^[+-]?[1-9]\d{{0,2}}({escaped}\d{{3}})+({point}\d+)?$")
        kept = pc.or_(grouped, pc.invert(pc.match_substring(texts, mark)))
        texts = pc.replace_substring(pc.if_else(kept, texts, NOTHING), mark, "")
    if decimal != ".":
        texts = pc.if_else(pc.match_substring(texts, "."), NOTHING, pc.replace_substring(texts, decimal, "."))
    texts = pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, NOTHING)
    return pc.replace_substring_regex(texts, r"^\+", "")
