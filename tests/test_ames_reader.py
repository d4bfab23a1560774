"""The foreign pickle of the Ames table: read by shape alone, nothing of it executed, written as Kaggle writes."""

import csv
import dataclasses
import io
import lzma
import pickle
import struct
from itertools import chain

import pytest

from pipeline import ames_reader


@dataclasses.dataclass(frozen=True)
class Name:
    """A global name, pickled without importing it."""

    module: str
    attribute: str

    def __call__(self):
        raise AssertionError("pickle asks that a reduced name be callable; nobody may call it")


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a name, pickled without making it."""

    name: Name
    args: tuple
    state: object = None

    def __reduce__(self):
        return self.name, self.args, self.state


class Forger(pickle._Pickler):
    """Pickles names and calls of things that this Python need not have."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Name):
            super().save(obj.module)
            super().save(obj.attribute)
            self.write(pickle.STACK_GLOBAL)
        else:
            super().save(obj, save_persistent_id)


def forged(value):
    stream = io.BytesIO()
    Forger(stream, protocol=5).dump(value)
    return stream.getvalue()


def numeric_array(rows, code):
    shape = (len(rows), len(rows[0])) if isinstance(rows[0], list) else (len(rows),)
    flat = list(chain(*rows)) if len(shape) == 2 else rows
    dtype = Call(Name("numpy", "dtype"), (code, False, True), (3, "<", None, None, None, -1, -1, 0))
    data = bytearray(struct.pack(f"<{len(flat)}{'d' if code == 'f8' else 'q'}", *flat))
    return Call(Name("numpy.core.numeric", "_frombuffer"), (data, dtype, shape, "C"))


def object_array(flat, shape):
    empty = (Name("numpy", "ndarray"), (0,), b"b")
    return Call(Name("numpy.core.multiarray", "_reconstruct"), empty, (1, shape, None, False, flat))


def forged_table(columns):
    """Pickle a table as an old pandas did: a block of integers, one of floats, one of objects."""
    rows = len(next(iter(columns.values())))
    blocks = []
    for kind, code in ((int, "i8"), (float, "f8"), (str, None)):
        places = [place for place, values in enumerate(columns.values()) if type(values[0]) is kind]
        values = [list(columns.values())[place] for place in places]
        array = numeric_array(values, code) if code else object_array(list(chain(*values)), (len(places), rows))
        block = Name("pandas._libs.internals", "_unpickle_block")
        blocks.append(Call(block, (array, numeric_array(places, "i8"), 2)))
    new_index = Name("pandas.core.indexes.base", "_new_Index")
    names = object_array(list(columns), (len(columns),))
    axes = [
        Call(new_index, (Name("pandas.core.indexes.base", "Index"), {"data": names, "name": None})),
        Call(new_index, (Name("pandas.core.indexes.range", "RangeIndex"), {"start": 0, "stop": rows, "step": 1})),
    ]
    manager = Call(Name("pandas.core.internals.managers", "BlockManager"), (tuple(blocks), axes))
    return lzma.compress(forged(Call(Name("pandas.core.frame", "DataFrame"), (), {"_mgr": manager})))


def small_columns(rows=10):
    """A table of ten rows with every column of the source, in an order of its own."""
    columns = {"PID": list(range(rows)), "Order": list(range(rows)), "rownames": list(range(rows))}
    for name in sorted(ames_reader.KAGGLE_NAMES):
        columns[name] = [f"{name} {row}" for row in range(rows)]
    columns["price"] = [100_000 + 7 * row for row in range(rows)]
    columns["Lot.Frontage"] = [60.0, float("nan")] * (rows // 2)
    columns["Alley"] = ["Pave", float("nan")] * (rows // 2)
    return columns


@pytest.mark.parametrize(
    ("value", "text"),
    [(195.0, "195"), (1.25, "1.25"), (float("nan"), "NA"), (None, "NA"), (0, "0"), ("WD ", "WD"), ("1Fam", "1Fam")],
)
def test_values_are_written_as_kaggle_writes_them(value, text):
    """Whole numbers have no .0, a missing value is NA, and no trailing space survives."""
    assert ames_reader.kaggle_text(value) == text


def test_columns_come_out_renamed_in_kaggles_order_whatever_the_order_inside():
    """Blocks of integers, floats and objects are put back where their placement says, then named and ordered anew."""
    header, first, second, *_ = csv.reader(
        io.StringIO(ames_reader.kaggle_csv(ames_reader.table_columns(forged_table(small_columns()))))
    )
    assert header[:5] == ["MSSubClass", "MSZoning", "LotFrontage", "LotArea", "Street"]
    assert header[45] == "GrLivArea"
    assert header[-3:] == ["SaleType", "SaleCondition", "SalePrice"]
    assert len(header) == 80
    assert first[:6] == ["MS.SubClass 0", "MS.Zoning 0", "60", "Lot.Area 0", "Street 0", "Pave"]
    assert second[2] == second[5] == "NA"
    assert (first[45], first[-1]) == ("area 0", "100000")


@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("pandas", "read_pickle"),
        ("numpy", "dtype.__init__"),
        ("numpy.core.numeric", "sys"),
        ("pipeline.ames_reader", "sys"),
    ],
)
def test_only_the_ten_names_of_a_table_are_allowed(name):
    """Every other name is refused, dotted ones and those of allowed modules included."""
    with pytest.raises(pickle.UnpicklingError, match="which no table needs"):
        ames_reader.TableUnpickler(io.BytesIO(forged(Name(*name)))).load()


def test_allowed_names_build_nothing_of_pandas_or_numpy():
    """What an allowed name stands for keeps arguments and does nothing: reading depends on no library's version."""
    for (module, attribute), stand_in in ames_reader.ALLOWED.items():
        record = ames_reader.TableUnpickler(io.BytesIO(forged(Call(Name(module, attribute), (1,), {"x": 2})))).load()
        assert (type(record), record.args, record.state) == (stand_in, (1,), {"x": 2})
        assert stand_in.__module__ == "pipeline.ames_reader"
