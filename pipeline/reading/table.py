"""One file of the user -> one table of texts, every cell as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.reading.archive import AGAIN
from pipeline.reading.faults import table_fault
from pipeline.reading.header import check_names, read_header
from pipeline.reading.kind import find_source
from pipeline.reading.lines import END, Lines, end_row
from pipeline.reading.source import BLOCK_BYTES, Utf8Stream
from pipeline.tables import Notice, RawTable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from pipeline.reading.header import Header
    from pipeline.reading.source import Source
    from pipeline.settings import Files
    from pipeline.tables import Allowance

# a row has to fit into one block: larger ones are tried for a few very long cells
BLOCKS = (BLOCK_BYTES, 1 << 26, 1 << 29, (1 << 31) - 1)
PLAIN_NUMBER = re.compile(r"\s*-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
STRADDLES = "straddling object"  # pyarrow's word for a row that does not fit


@dataclass(frozen=True, slots=True)
class Numbers:
    """Columns that are read as numbers at once, and the texts that are missing values in them."""

    names: tuple[str, ...]
    missing: tuple[str, ...]


def read_table(path: Path, files: Files, allowance: Allowance | None = None) -> RawTable:
    """Read a CSV or TSV file, either also as .gz or as the only file of a .zip, or a Parquet file.

    Every cell of a text is text, blanks and "NA" included; a column of a Parquet file keeps its type. A blank line is
    no row, not even in a file of one column, where an empty cell is written "". Text behind a closing quote belongs to
    the cell, as pandas has it. With an `allowance`, columns that it does not keep as text, and that hold nothing but
    numbers, come as float64.
    Raises DataError, naming file and line, for everything else: too few or too many fields (pandas would shift every
    column silently), names that are empty or doubled, a quote left open, bytes that are no text, no rows.
    """
    source, noticed = find_source(path, files.encoding)
    if source.packing == "parquet":
        return _read_parquet(path)
    header = read_header(source, files)
    names, renamed = check_names(header.cells, f"{path}: line {header.line}", path)
    numbers = _columns_of_numbers(header, names, allowance)
    columns, is_quoted = _read_text(source, header, names, numbers)
    if columns.num_rows == 0:
        raise DataError(f"{path}: a header and no rows; was the download cut short?")
    lines = Lines(source, header.dialect.separator, header_lines=header.lines, rows=columns.num_rows)
    notices = [*noticed, *header.dialect.notices, *renamed]
    if not names[-1]:
        columns = _without_unnamed(columns, f"{path}: line {header.line}")
        notices.append(Notice(path.name, "every line ends with a separator: the empty last column was dropped", 1))
    if is_quoted:
        notices += _line_breaks(columns, path)
    again = cache(partial(_read_again, source, header, names)) if numbers.names else None
    return RawTable(str(path), columns, lines, header.dialect.decimal, tuple(notices), again)


def _read_again(source: Source, header: Header, names: Sequence[str]) -> pa.Table:
    """Every cell as text."""
    return _read_text(source, header, names, Numbers((), ()))[0]


def _columns_of_numbers(header: Header, names: Sequence[str], allowance: Allowance | None) -> Numbers:
    """The columns whose first cells are all numbers or missing; one column at least stays text, for the end row."""
    if allowance is None or header.dialect.decimal != "." or "" not in allowance.missing:
        return Numbers((), ())
    missing = set(allowance.missing)
    rows = [row for row in header.first_rows if len(row) == len(names)]
    cells = {name: {row[i] for row in rows} - missing for i, name in enumerate(names) if name not in allowance.never}
    found = [name for name, texts in cells.items() if texts and all(map(PLAIN_NUMBER.fullmatch, texts))]
    return Numbers(tuple(found[: len(names) - 1]), allowance.missing)


def _read_text(source: Source, header: Header, names: Sequence[str], numbers: Numbers) -> tuple[pa.Table, bool]:
    """The cells, and whether any quote stands among them."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    types = {name: pa.float64() if name in numbers.names else pa.string() for name in names}
    convert = arrow_csv.ConvertOptions(
        column_types=types, strings_can_be_null=False, null_values=[*numbers.missing, END]
    )
    plainly = Numbers((), ())
    parse = arrow_csv.ParseOptions(delimiter=header.dialect.separator, newlines_in_values=True)
    tail = end_row(len(names), header.dialect.separator).encode()
    largest = (
        source.path.stat().st_size + len(tail) if not source.packing and source.encoding == "utf-8" else BLOCKS[-1]
    )
    reason = "a quote is left open"
    for block in BLOCKS:
        size = min(block, max(largest, 1))
        stream = Utf8Stream(source, size=size, skip=header.size, tail=tail)
        read = arrow_csv.ReadOptions(block_size=size, column_names=names)
        try:
            table = arrow_csv.read_csv(stream, read_options=read, convert_options=convert, parse_options=parse)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = str(error)
            if numbers.names and "conversion error" in reason:
                return _read_text(source, header, names, plainly)
            if STRADDLES in reason and size == block:
                continue
            break
        last = table.slice(table.num_rows - 1).to_pylist()[0]
        if all(cell == (None if name in numbers.names else END) for name, cell in last.items()):
            if any(pc.any(pc.is_nan(table[name])).as_py() for name in numbers.names):
                return _read_text(source, header, names, plainly)  # the text "nan", where it does not mean missing
            return table.slice(0, table.num_rows - 1), stream.has_quotes
        break
    raise table_fault(source, header, reason)


def _line_breaks(columns: pa.Table, path: Path) -> list[Notice]:
    """Two quotes left open may pair up and swallow the rows between: the table is whole, and only this shows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = {}
    for name, column in zip(columns.column_names, columns.columns, strict=True):
        if not pa.types.is_string(column.type):
            continue
        # looking through the cells' bytes costs a tenth of looking at the cells
        held = any(b"\n" in chunk.buffers()[2].to_pybytes() for chunk in column.chunks if chunk.buffers()[2])
        if held and (count := pc.sum(pc.match_substring(column, "\n")).as_py()):
            counts[name] = count
    text = (
        f"line breaks within cells, first of all in column {next(iter(counts))!r}; is a quote left open?"
        if counts
        else ""
    )
    return [Notice(path.name, text, sum(counts.values()))] if counts else []


def _without_unnamed(columns: pa.Table, where: str) -> pa.Table:
    import pyarrow.compute as pc

    if not pc.all(pc.equal(columns.column(""), "")).as_py():
        count = columns.num_columns
        raise DataError(f"{where}: column {count} of {count} has no name; name it")
    return columns.drop_columns([""])


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = file.read()
        columns.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({_first_line(error)}); {AGAIN}") from None
    if not columns.num_rows or not columns.num_columns:
        shape = f"{columns.num_rows} rows of {columns.num_columns} columns"
        raise DataError(f"{path}: {shape}; was it written whole?")
    names, notices = check_names(columns.column_names, str(path), path)
    if not names[-1]:
        raise DataError(f"{path}: column {len(names)} of {len(names)} has no name; name it")
    for field in columns.schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raise DataError(f"{path}: column {field.name!r} is of type {field.type}; expected one text, number or date")
    return RawTable(str(path), columns.rename_columns(names), _number_of, ".", tuple(notices))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _number_of(row: int) -> int:
    """A Parquet file has no lines; its rows are counted from 1."""
    return row + 1
