"""A table from its foreign pickle to CSV text. Run alone, in a subprocess: standard library only.

No class of the pickle is ever built: each of the eleven names it may mention stands for an inert record of its
arguments, so reading depends on no version of pandas or numpy, and any other name ends the reading.
Source of the layout: pandas 1.x/2.x `DataFrame.__reduce__` under pickle protocol 5, compressed with xz.
"""

import csv
import io
import lzma
import math
import pickle
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, Self

Columns = dict[str, tuple[object, ...]]


class Record:
    """An inert stand-in: keeps the arguments and the state the pickle gives it, and does nothing with them."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> Self:
        """Keep the arguments, whatever they are."""
        record = super().__new__(cls)
        record.args, record.state = args, None
        return record

    def __setstate__(self, state: object) -> None:
        """Keep the state, instead of letting it overwrite attributes."""
        self.state = state


class BufferArray(Record):
    """A numeric array: args are (bytes, dtype, shape, order)."""


class ObjectArray(Record):
    """An array of objects: state is (version, shape, dtype, is_fortran, values)."""


class Slice(Record):
    """Evenly spaced positions: args are (start, stop, step)."""


ALLOWED: dict[tuple[str, str], type[Record]] = {
    ("pandas.core.frame", "DataFrame"): Record,
    ("pandas.core.internals.managers", "BlockManager"): Record,
    ("pandas._libs.internals", "_unpickle_block"): Record,
    ("pandas.core.indexes.base", "_new_Index"): Record,
    ("pandas.core.indexes.base", "Index"): Record,
    ("pandas.core.indexes.range", "RangeIndex"): Record,
    ("builtins", "slice"): Slice,
    ("numpy", "ndarray"): Record,
    ("numpy", "dtype"): Record,
    ("numpy.core.numeric", "_frombuffer"): BufferArray,
    ("numpy.core.multiarray", "_reconstruct"): ObjectArray,
}


class TableUnpickler(pickle.Unpickler):
    """Reads a pickled table into inert records; raises UnpicklingError at any name outside ALLOWED."""

    def find_class(self, module_name: str, global_name: str, /) -> type[Record]:
        """Look the name up among the eleven allowed ones; nothing is imported."""
        stand_in = ALLOWED.get((module_name, global_name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"the pickle asks for {module_name}.{global_name}, which no table needs")
        return stand_in

    def persistent_load(self, pid: object) -> NoReturn:
        """Refuse: a table has no persistent references."""
        raise pickle.UnpicklingError(f"the pickle asks for the outside object {pid!r}, which no table needs")


def _array_rows(array: Record) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a two-dimensional array (one tuple of a one-dimensional one)."""
    if isinstance(array, BufferArray):
        data, dtype, shape, order = array.args
        code = {"f8": "d", "i8": "q"}[dtype.args[0]]
        assert order == "C", order
        assert dtype.state[1] == "<", dtype.state
        values = struct.unpack(f"<{math.prod(shape)}{code}", data)
    else:
        _, shape, _, is_fortran, values = array.state
        assert not is_fortran, "object arrays are expected row by row"
    width = shape[-1]
    for start in range(0, math.prod(shape), width):
        yield tuple(values[start : start + width])


def _positions(placement: Record) -> Iterable[int]:
    """Tell which of the table's columns a block holds."""
    return range(*placement.args) if isinstance(placement, Slice) else next(_array_rows(placement))


def table_columns(compressed: bytes) -> Columns:
    """Read an xz-compressed pickled DataFrame into column name -> values, in the table's order.

    Raises UnpicklingError if the pickle mentions anything but a table.
    """
    frame = TableUnpickler(io.BytesIO(lzma.decompress(compressed))).load()
    blocks, axes = frame.state["_mgr"].args
    (names,) = _array_rows(axes[0].args[1]["data"])
    columns: Columns = {}
    for block in blocks:
        values, placement, _ = block.args
        pairs = zip(_positions(placement), _array_rows(values), strict=True)
        columns.update((names[place], column) for place, column in pairs)
    return {name: columns[name] for name in names}


def cell_text(value: object) -> str:
    """Write a value as Kaggle's files do: a missing one is NA, 195.0 is 195, no trailing space ("WD " is "WD")."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "NA"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def table_csv(columns: Columns) -> str:
    """Write the table as CSV, columns and rows in the source's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell_text(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


if __name__ == "__main__":
    sys.stdout.buffer.write(table_csv(table_columns(sys.stdin.buffer.read())).encode())
