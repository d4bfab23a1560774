"""A look at every column: how many cells, which texts, which of them are numbers.

Tables of more than 200,000 rows are looked at in as many rows, evenly spread; few texts, and numbers, in all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.settings import Schema
from pipeline.tabular.cells import blank, is_date, is_text, numbers_of, spread_rows
from pipeline.tabular.notation import how_written

if TYPE_CHECKING:
    from pipeline.tables import Booleans, Floats, Integers, RawTable, RawTables
    from pipeline.tabular.notation import Written

ROWS_LOOKED_AT = 200_000
FEW_TEXTS = 1000
USUAL_MISSING: tuple[str, ...] = Schema.model_fields["missing"].default
# said for "not known" in a column of numbers; a text without letters and digits is taken for one too
MISSING_WORDS = frozenset(
    {
        "none",
        "unknown",
        "missing",
        "nil",
        "n.a.",
        "na",
        "n/a",
        "#n/a",
        "not available",
        "undefined",
        "<na>",
        "nat",
        "null",
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """One column of train and test, as far as it was looked at. Texts that usually mean a missing value are gone."""

    name: str
    kind: str  # "text", "number", "boolean" or "date": how the file types it
    in_train: bool
    in_test: bool
    rows: int  # train rows looked at
    missing: int  # how many of them have no value
    distinct: int  # texts that differ, in train
    texts: pa.Array  # every text in train and test, once
    counts: Integers  # how often each stands there
    numbers: Floats  # each as a number, NaN if it is none
    written: Written | None  # how numbers are written, where that is not plainly

    @property
    def wrong(self) -> Booleans:
        """Which texts are no numbers."""
        return np.isnan(self.numbers)

    @property
    def number_share(self) -> float:
        """The share of present cells that are numbers."""
        present = int(self.counts.sum())
        return float(self.counts[~self.wrong].sum() / present) if present and self.kind != "date" else 0.0

    @property
    def missing_words(self) -> tuple[str, ...]:
        """The texts that stand for a missing number, if no other text stands among the numbers; else nothing."""
        wrong = self.texts.filter(pa.array(self.wrong))
        if not 0 < len(wrong) <= 3 or len(wrong) == len(self.texts):
            return ()
        words = tuple(sorted(wrong.to_pylist()))
        return words if all(means_missing(word) for word in words) else ()

    @property
    def is_numbers(self) -> bool:
        """Whether every present cell is a number, or a text that says there is none."""
        return bool(len(self.texts)) and (not self.wrong.any() or bool(self.missing_words)) and self.kind != "date"

    @property
    def distinct_numbers(self) -> int:
        """How many different numbers there are, train and test together: 1 and 1.0 are the same."""
        return len(np.unique(self.numbers[~self.wrong]))

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        known = self.numbers[~self.wrong]
        return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)

    @property
    def is_whole(self) -> bool:
        """Whether all are numbers, and whole ones."""
        known = self.numbers[~self.wrong]
        return self.is_numbers and bool((known == np.floor(known)).all())

    def shown(self, most: int = 3) -> str:
        """A few texts, the most frequent first."""
        order = np.argsort(-self.counts, kind="stable")[:most]
        return ", ".join(repr(text[:40]) for text in self.texts.take(pa.array(order)).to_pylist())


def means_missing(text: str) -> bool:
    """Whether a text among numbers or dates says that there is none."""
    return text.lower() in MISSING_WORDS or not any(map(str.isalnum, text)) or text.startswith("0000-00-00")


def look_at(raw: RawTables) -> dict[str, Look]:
    """Look at every column of train, then at those of test alone. Raises DataError for cells that are no values."""
    names = dict.fromkeys([*raw.train.names, *(raw.test.names if raw.test is not None else [])])
    return {name: _look(name, raw) for name in names}


def present_cells(table: RawTable, name: str, most: int = 0) -> pa.ChunkedArray:
    """Present cells of a column as texts, from `most` spread rows; 0: from all."""
    column = table.columns[name]
    if most and table.rows > most:
        column = column.take(_spread(table.rows, most))
    return _as_texts(column, table, name).drop_null()


@lru_cache(maxsize=4)
def _spread(rows: int, most: int) -> pa.Array:
    """The rows looked at, made once for all columns."""
    return pa.array(spread_rows(rows, most))


def is_unique(table: RawTable, name: str) -> bool:
    """Whether all rows of a table have a value and no two the same; looks at all of them."""
    column = _as_texts(table.columns[name], table, name)
    return not column.null_count and pc.count_distinct(column).as_py() == table.rows


def _look(name: str, raw: RawTables) -> Look:
    tables = [table for table in (raw.train, raw.test) if table is not None and name in table.names]
    parts = [present_cells(table, name, ROWS_LOOKED_AT) for table in tables]
    counted = pc.value_counts(pa.chunked_array([c for part in parts for c in part.chunks], pa.string()))
    cut = any(table.rows > ROWS_LOOKED_AT for table in tables)
    if cut and len(counted) <= FEW_TEXTS:
        parts, cut = [present_cells(table, name) for table in tables], False
        counted = pc.value_counts(pa.chunked_array([c for part in parts for c in part.chunks], pa.string()))
    texts, counts = counted.field("values"), counted.field("counts")
    if cut and not numbers_of(pa.chunked_array([texts]), decimal=tables[0].decimal).wrong_cells:
        texts, counts = _with_late_texts(name, tables, texts, counts)
    in_train, whole = name in raw.train.names, not cut and len(counted) <= FEW_TEXTS
    rows = raw.train.rows if whole else min(raw.train.rows, ROWS_LOOKED_AT)
    counts = counts.to_numpy(zero_copy_only=False)
    numbers, written = _numbers(texts, counts, tables[0].decimal)
    return Look(
        name=name,
        kind=_kind(tables[0].columns[name]),
        in_train=in_train,
        in_test=raw.test is not None and name in raw.test.names,
        rows=rows if in_train else 0,
        missing=rows - len(parts[0]) if in_train else 0,
        distinct=pc.count_distinct(parts[0]).as_py() if in_train else 0,
        texts=texts,
        counts=counts,
        numbers=numbers,
        written=written,
    )


def _with_late_texts(name: str, tables: list[RawTable], texts: pa.Array, counts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts among numbers that stand in rows not looked at, each counted once."""
    late = [
        text
        for table in tables
        for text in numbers_of(blank(table.columns[name], USUAL_MISSING), decimal=table.decimal).wrong.tolist()
    ]
    late = list(dict.fromkeys(late))[:FEW_TEXTS]
    return pa.concat_arrays([texts, pa.array(late, pa.string())]), pa.concat_arrays(
        [counts, pa.array([1] * len(late), counts.type)]
    )


def _numbers(texts: pa.Array, counts: Integers, decimal: str) -> tuple[Floats, Written | None]:
    """Each text as a number, and how the numbers are written where that is not plainly."""
    cells = pa.chunked_array([texts])
    read = numbers_of(cells, decimal=decimal)
    is_wrong = pc.is_in(texts, value_set=pa.array(read.wrong, pa.string())).to_numpy(zero_copy_only=False)
    is_every_cell = bool(counts[is_wrong].sum() == counts.sum())
    written = None
    for wrong in (read.wrong[:FEW_TEXTS], read.wrong):  # a few texts tell in most columns that there is nothing to find
        meant = np.array([text for text in wrong.tolist() if not means_missing(text)], dtype=object)
        written = how_written(meant, decimal, is_every_cell=is_every_cell)
        if written is None:
            break
    if written is not None:
        again = numbers_of(cells, decimal=written.decimal or decimal, removed=written.removed)
        read, written = (again, written) if len(again.wrong) < len(read.wrong) else (read, None)
        is_wrong = pc.is_in(texts, value_set=pa.array(read.wrong, pa.string())).to_numpy(zero_copy_only=False)
    # an infinite number is read as missing, but it is no text among numbers
    return np.where(np.isnan(read.values) & ~is_wrong, np.inf, read.values), written


def _kind(column: pa.ChunkedArray) -> str:
    if is_date(column):
        return "date"
    if pa.types.is_boolean(column.type):
        return "boolean"
    return "text" if is_text(column) or pa.types.is_null(column.type) else "number"


def _as_texts(column: pa.ChunkedArray, table: RawTable, name: str) -> pa.ChunkedArray:
    blanked = blank(column, USUAL_MISSING)
    try:
        return blanked.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise DataError(
            f"{table.file}: column {name!r} is of type {column.type}, expected numbers, texts, dates or truth values; "
            f"leave it out of the file, or save it as one of those"
        ) from None
