"""A table's foreign pickle: read by shape alone, nothing of it executed, written as Kaggle writes."""

import dataclasses
import io
import lzma
import pickle
import struct
from itertools import chain

import pytest

from pipeline import sample_reader


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


def even_positions(places):
    """Positions as pandas pickles them where they are evenly spaced."""
    return Call(Name("builtins", "slice"), (places[0], places[-1] + 1, places[1] - places[0] if places[1:] else 1))


def all_positions(places):
    """Positions as pandas pickles them where they are not."""
    return numeric_array(places, "i8")


def forged_table(columns, *, positions=all_positions):
    """Pickle a table as an old pandas did: a block of integers, one of floats, one of objects."""
    rows = len(next(iter(columns.values())))
    blocks = []
    for kind, code in ((int, "i8"), (float, "f8"), (str, None)):
        places = [place for place, values in enumerate(columns.values()) if type(values[0]) is kind]
        values = [list(columns.values())[place] for place in places]
        array = numeric_array(values, code) if code else object_array(list(chain(*values)), (len(places), rows))
        block = Name("pandas._libs.internals", "_unpickle_block")
        blocks.append(Call(block, (array, positions(places), 2)))
    new_index = Name("pandas.core.indexes.base", "_new_Index")
    names = object_array(list(columns), (len(columns),))
    axes = [
        Call(new_index, (Name("pandas.core.indexes.base", "Index"), {"data": names, "name": None})),
        Call(new_index, (Name("pandas.core.indexes.range", "RangeIndex"), {"start": 0, "stop": rows, "step": 1})),
    ]
    manager = Call(Name("pandas.core.internals.managers", "BlockManager"), (tuple(blocks), axes))
    return lzma.compress(forged(Call(Name("pandas.core.frame", "DataFrame"), (), {"_mgr": manager})))


@pytest.mark.parametrize(
    ("value", "text"),
    [(195.0, "195"), (1.25, "1.25"), (float("nan"), "NA"), (None, "NA"), (0, "0"), ("WD ", "WD"), ("1Fam", "1Fam")],
)
def test_values_are_written_as_kaggle_writes_them(value, text):
    """Whole numbers have no .0, a missing value is NA, and no trailing space survives."""
    assert sample_reader.cell_text(value) == text


@pytest.mark.parametrize("positions", [all_positions, even_positions])
def test_columns_come_out_in_the_tables_order_whatever_the_order_inside(positions):
    """Blocks of integers, floats and objects are put back where their placement says: as a list, or as a slice."""
    columns = {"sold": [2, 3], "lot": [60.0, float("nan")], "zone": ["RL ", None], "year": [7, 8], "area": [1.5, 2.0]}
    text = sample_reader.table_csv(sample_reader.table_columns(forged_table(columns, positions=positions)))
    assert text == "sold,lot,zone,year,area\n2,60,RL,7,1.5\n3,NA,NA,8,2\n"


@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("pandas", "read_pickle"),
        ("numpy", "dtype.__init__"),
        ("numpy.core.numeric", "sys"),
        ("pipeline.sample_reader", "sys"),
    ],
)
def test_only_the_eleven_names_of_a_table_are_allowed(name):
    """Every other name is refused, dotted ones and those of allowed modules included."""
    with pytest.raises(pickle.UnpicklingError, match="which no table needs"):
        sample_reader.TableUnpickler(io.BytesIO(forged(Name(*name)))).load()


def test_allowed_names_build_nothing_of_pandas_or_numpy():
    """What an allowed name stands for keeps arguments and does nothing: reading depends on no library's version."""
    for (module, attribute), stand_in in sample_reader.ALLOWED.items():
        record = sample_reader.TableUnpickler(io.BytesIO(forged(Call(Name(module, attribute), (1,), {"x": 2})))).load()
        assert (type(record), record.args, record.state) == (stand_in, (1,), {"x": 2})
        assert stand_in.__module__ == "pipeline.sample_reader"
