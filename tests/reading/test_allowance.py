"""Numbers read at once: faster, and never another value than the cells as text would give."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.reading.table import read_table
from pipeline.settings import Files, Holdout, Schema
from pipeline.stages.ingest import ingest
from pipeline.tables import Allowance, RawTables
from pipeline.tabular.schema import numbers_allowed

ROLES = Schema(id="id", target="y", categorical=("code",), missing=("", "NA"))
ALLOWED = numbers_allowed(ROLES, [])


def written(folder, text):
    file = folder / "train.csv"
    file.write_text(text)
    return file


def types(folder, text, allowance=ALLOWED):
    columns = read_table(written(folder, text), Files(), allowance).columns
    return {name: str(columns.schema.field(name).type) for name in columns.column_names}


def test_columns_of_numbers_come_as_numbers_and_those_that_roles_want_as_text_do_not(tmp_path):
    """An id keeps its zeros, a code stays text, a column of texts too."""
    text = "id,code,a,b,y\n007,1,1.5,x,1\n008,2,NA,y,2\n"
    assert types(tmp_path, text) == {"id": "string", "code": "string", "a": "double", "b": "string", "y": "double"}
    columns = read_table(tmp_path / "train.csv", Files(), ALLOWED).columns
    assert columns["a"].to_pylist() == [1.5, None]
    assert columns["id"].to_pylist() == ["007", "008"]


def test_without_an_allowance_everything_is_text(tmp_path):
    """A reader does not guess on its own."""
    assert set(types(tmp_path, "id,a\n1,2\n", None).values()) == {"string"}


@pytest.mark.parametrize("late", ["x", "nan", "1,5", "+", " NA ", "0x1F", "1_000", "\x1f"])
def test_a_late_cell_that_is_no_number_makes_the_file_text_again(tmp_path, late):
    """Beyond the rows that were looked at; nothing is lost, not even the text "nan" where that is no missing value."""
    rows = "".join(f"{n},{n}.5,{n}\n" for n in range(300))
    text = f'id,a,y\n{rows}300,"{late}",1\n'
    assert set(types(tmp_path, text).values()) == {"string"}
    assert read_table(tmp_path / "train.csv", Files(), ALLOWED).columns["a"].to_pylist()[-1] == late


def test_a_file_of_nothing_but_numbers_keeps_one_column_as_text(tmp_path):
    """By which an open quote at the end of the file is still found."""
    allowance = Allowance(frozenset(), ("",))
    assert types(tmp_path, "a,b\n1,2\n3,4\n", allowance) == {"a": "double", "b": "string"}
    with pytest.raises(DataError, match="quote"):
        read_table(written(tmp_path, 'a,b\n1,2\n3,"4\n'), Files(), allowance)


def test_a_ragged_row_is_named_with_its_line_all_the_same(tmp_path):
    """FAULT 23."""
    with pytest.raises(DataError, match="line 3: 3 fields"):
        read_table(written(tmp_path, "id,y\n1,2\n3,4,5\n"), Files(), ALLOWED)


NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers().map(str),
    st.sampled_from(["1", "1.0", "1.50", "1.5", "2.00", "01", "1e0", "-0", "0"]),
    st.sampled_from(["", "NA", "1e999", "-inf", "007", ".5", "5.", "+3", "1 000", "nan", " 4 ", "x", "1e-320", "1,5"]),
)
PLAIN = st.sampled_from(["1", "1.0", "1.50", "1.5", "2.00", "9.90", "01", "", "NA", "1e3"])
WORDS = st.sampled_from(["x", "1", "1.5", "1.50", "2.0", ""])


def rows_of(fewest, most):
    """Rows of two columns, each of numbers written plainly, of anything, or of words and a few numbers."""
    kind = st.sampled_from([PLAIN, NUMBERS, WORDS])
    return st.tuples(kind, kind).flatmap(lambda kinds: st.lists(st.tuples(*kinds), min_size=fewest, max_size=most))


def table_of(folder, rows, *, file, with_target, crlf):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n" if crlf else "\n")
    writer.writerow(["id", "a", "b", "c", *(["y"] if with_target else [])])
    writer.writerows(
        [f"{file}{n:03d}", a, b, n % 3, *([n * 1.5] if with_target else [])] for n, (a, b) in enumerate(rows)
    )
    path = folder / f"{file}.csv"
    path.write_text(text.getvalue())
    return path


def assert_same(plain, fast):
    """Bit for bit."""
    pd.testing.assert_frame_equal(plain.train, fast.train, check_exact=True)
    pd.testing.assert_frame_equal(plain.test, fast.test, check_exact=True)
    assert np.array_equal(plain.target, fast.target)
    assert plain.train_ids.tolist() == fast.train_ids.tolist()
    assert (plain.numeric, plain.categorical) == (fast.numeric, fast.categorical)
    assert plain.notices == fast.notices
    assert plain.columns == fast.columns


@given(rows_of(8, 12), st.one_of(st.none(), rows_of(1, 8)), st.booleans())
def test_ingest_gives_the_same_values_whether_or_not_numbers_were_read_at_once(tmp_path_factory, train, test, crlf):
    """Bit for bit, and the same columns, levels and notices (but for lines, which both count the same way).

    One file may hold nothing but numbers in a column where the other has texts.
    """
    folder = tmp_path_factory.mktemp("raw")
    files = [table_of(folder, train, file="train", with_target=True, crlf=crlf)]
    files += [] if test is None else [table_of(folder, test, file="test", with_target=False, crlf=crlf)]
    roles, holdout = ROLES.model_copy(update={"categorical": ()}), Holdout(share=0.2 if test is None else 0.0)
    both = []
    for allowance in (None, ALLOWED):
        tables = [read_table(file, Files(), allowance) for file in files]
        raw = RawTables(tables[0], tables[1] if len(tables) > 1 else None, None, {})
        both.append(ingest(raw, roles=roles, metric="rmse", holdout=holdout))
    assert_same(*both)


def levels_of(folder, train, test):
    """Column `a` of both files as texts, read as an allowance lets it; and what was said of it."""
    files = [
        table_of(
            folder, [(cell, n) for n, cell in enumerate(cells)], file=file, with_target=file == "train", crlf=False
        )
        for file, cells in (("train", train), ("test", test))
    ]
    tables = [read_table(file, Files(), ALLOWED) for file in files]
    assert str(tables[0].columns["a"].type) == "double"
    dataset = ingest(RawTables(*tables, None, {}), roles=ROLES.model_copy(update={"categorical": ()}), metric="rmse")
    assert dataset.categorical == ("a",)
    return [frame["a"].tolist() for frame in (dataset.train, dataset.test)], [
        notice.text for notice in dataset.notices if notice.subject == "a"
    ]


def test_levels_of_a_file_of_numbers_are_those_of_the_file_with_texts(tmp_path):
    """1.50 is the level 1.50, not another one called 1.5; no test row has a level that train has not but X."""
    train, test = ["1.50", "2.00", "9.90"] * 5, [*["1.50", "2.00", "9.90"] * 7, "X", "X", "X"]
    levels, said = levels_of(tmp_path, train, test)
    assert levels == [train, test]
    assert said[-1] == "test rows with levels never seen in train ('X')"
    assert not any("blanks" in text for text in said)


def test_long_codes_that_are_one_number_stay_two_levels(tmp_path):
    """Beyond 2^53 a number has lost its last digits; leading zeros are lost in every one."""
    codes = ["0012345678901234567", "0012345678901234568"] * 4
    levels, _ = levels_of(tmp_path, codes, [*codes[:4], "X"])
    assert levels == [codes, [*codes[:4], "X"]]


def test_the_file_is_read_again_only_where_its_texts_are_wanted(tmp_path):
    """A column that came as text costs no second reading."""
    read = read_table(written(tmp_path, "id,a,b,y\n007,1.50,x,1\n008,2,y,2\n"), Files(), ALLOWED)
    again = []
    table = replace(read, read_texts=lambda: again.append(1) or read.read_texts())
    assert table.texts("b").to_pylist() == ["x", "y"]
    assert not again
    assert table.texts("a").to_pylist() == ["1.50", "2"]
    assert again == [1]


def test_numbers_read_at_once_are_the_very_floats_of_their_texts(tmp_path):
    """A thousand of them, written with 17 digits."""
    values = np.random.default_rng(0).lognormal(0, 30, 1000)
    text = "id,a\n" + "".join(f"{n},{value!r}\n" for n, value in enumerate(values.tolist()))
    column = read_table(written(tmp_path, text), Files(), ALLOWED).columns["a"]
    assert column.type == pa.float64()
    assert np.array_equal(column.to_numpy(), values)
