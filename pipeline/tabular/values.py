"""The cells of a column as values, once it is decided how it is read: the same for training and for any later file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.tabular.cells import Levels, is_date, is_text, levels_of, numbers_of
from pipeline.tabular.dates import parse_dates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Column, Floats, RawTable, Texts

    Dates = np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]
    Values = Floats | Dates | Levels

SHOWN = 3
STRAY_SHARE = 0.01  # so many cells among numbers or dates may be something else; they count as missing
CHARACTERS, WORDS = "{} (characters)", "{} (words)"


def made_of(column: Column) -> tuple[str, ...]:
    """Names of what a column becomes: its own, or two numbers for free text."""
    if column.role == "text":
        return CHARACTERS.format(column.name), WORDS.format(column.name)
    return (column.name,)


def values_of(column: Column, table: RawTable, cells: pa.ChunkedArray) -> Mapping[str, Values]:
    """Read blanked cells. Raises DataError, naming a line, for a cell that the role forbids."""
    if column.role == "numeric":
        return {column.name: _numbers(column, table, cells)}
    if column.role == "ordinal":
        return {column.name: _ranks(column, table, cells)}
    if column.role == "date":
        return {column.name: instants(column, table, cells)[0]}
    if column.role == "text":
        return dict(zip(made_of(column), _lengths(cells), strict=True))
    return {column.name: levels_of(cells)}


def instants(column: Column, table: RawTable, cells: pa.ChunkedArray) -> tuple[Dates, int]:
    """Instants, NaT where missing, and how many cells are no date. Raises DataError where those are many."""
    if is_date(cells):
        # unsafe: nanoseconds are cut to microseconds
        exact = cells.cast(pa.timestamp("us"), safe=False)
        return exact.to_numpy(zero_copy_only=False).astype("datetime64[us]"), 0
    values, wrong = parse_dates(cells, column.formats)
    count, present = int(wrong.sum()), len(cells) - cells.null_count
    if count > STRAY_SHARE * present:
        row = int(np.argmax(wrong))
        raise DataError(
            f"{place_of(table, row)}: column {column.name!r} is {str(cells[row])!r}, which none of the formats under "
            f"[schema.dates] reads ({count} such cells of {present}; formats: {shown(column.formats) or 'none'}); add "
            f"its format"
        )
    return values, count


def as_categories(parts: Sequence[Levels]) -> list[pd.Categorical]:
    """Categoricals over one sorted vocabulary of all parts."""
    vocabulary = sorted({str(text) for part in parts for text in part.texts})
    place = {text: code for code, text in enumerate(vocabulary)}
    kind = pd.CategoricalDtype(pd.Index(vocabulary, dtype=object))
    return [
        pd.Categorical.from_codes(
            np.append(np.array([place[str(text)] for text in part.texts], dtype=np.int32), -1)[part.codes], dtype=kind
        )
        for part in parts
    ]


def check_type(name: str, table: RawTable, cells: pa.ChunkedArray) -> None:
    """Raise DataError for a typed column, as a Parquet file may hold, that has no reading here: a list, a duration."""
    kind = cells.type
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    if not (is_text(cells) or is_date(cells) or any(check(kind) for check in numbers)):
        raise DataError(
            f"{table.file}: column {name!r} is of type {kind}, expected numbers, texts, dates or truth values; leave "
            f"it out with [schema] drop, or save it as one of those"
        )


def place_of(table: RawTable, row: int) -> str:
    """File and line of a row, for messages."""
    return f"{table.file}: line {table.line_of(row)}"


def drop_line(name: str) -> str:
    """The line of the config that leaves a column out."""
    return f"[schema] drop = [{json.dumps(name, ensure_ascii=False)}]"


def shown(texts: Sequence[str] | Texts) -> str:
    """The first few texts, quoted."""
    return ", ".join(repr(str(text)) for text in texts[:SHOWN]) + (", …" if len(texts) > SHOWN else "")


def _numbers(column: Column, table: RawTable, cells: pa.ChunkedArray) -> Floats:
    if is_date(cells):
        raise DataError(
            f"{table.file}: column {column.name!r} is of type {cells.type}, but the training rows have numbers there; "
            f"save it as numbers"
        )
    numbers = numbers_of(cells, decimal=column.decimal or table.decimal, removed=column.removed)
    if numbers.wrong_cells:
        row = numbers.first_wrong
        raise DataError(
            f"{place_of(table, row)}: column {column.name!r} is {str(cells[row])!r}, but the training rows have "
            f"numbers there ({numbers.wrong_cells} such cells); correct or blank it"
        )
    return numbers.values  # noqa: PD011


def _ranks(column: Column, table: RawTable, cells: pa.ChunkedArray) -> Floats:
    levels = levels_of(cells)
    rank = {text: float(place) for place, text in enumerate(column.levels)}
    ranks = np.array([rank.get(str(text), np.nan) for text in levels.texts], dtype=np.float64)
    unknown = np.isnan(ranks)
    if unknown.any():
        row = int(np.argmax(np.append(unknown, False)[levels.codes]))
        raise DataError(
            f"{place_of(table, row)}: column {column.name!r} holds {shown(levels.texts[unknown])}, which "
            f"[schema.ordinal] does not list (it has {shown(column.levels)}); add the level in its place, or name it "
            f"under [schema.missing_in]"
        )
    placed: Floats = np.append(ranks, np.nan)[levels.codes]
    return placed


def _lengths(cells: pa.ChunkedArray) -> tuple[Floats, Floats]:
    """Free text as two numbers: how many characters, how many words; 0 where there is none."""
    texts = pc.fill_null(cells.cast(pa.string()), "")
    characters = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.float64)
    words = pc.count_substring_regex(texts, r"\S+").to_numpy(zero_copy_only=False).astype(np.float64)
    return characters, words
