"""Side tables: pandas' merge is the oracle, rows and their order never change."""

import pandas as pd
import pyarrow as pa
import pytest
from builders import csv_of, raw_tables, typed
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.settings import Join
from pipeline.tables import Notice, RawTables
from pipeline.tabular.joins import join_sides

TRAIN, TEST = "id,shop,y\n1,a,5\n2,b,6\n3,a,7\n", "id,shop\n4,b\n5,z\n"
SHOPS = "shop,size,city\na,10,Oslo\nb,,Rome\nc,30,Bonn\n"


def joined(side=SHOPS, *, train=TRAIN, test=TEST, on=("shop",)):
    return join_sides(raw_tables(train, test, sides={"shops.csv": side}), [Join(file="shops.csv", on=on)])


def fault_of(side=SHOPS, **options):
    with pytest.raises(DataError) as raised:
        joined(side, **options)
    return str(raised.value)


def test_every_row_gets_the_side_tables_cells_of_its_key():
    """By hand: two rows of shop a, none of c; shop z is not there, so its cells are missing, and counted."""
    raw, notices = joined()
    assert raw.train.columns.to_pydict() == {
        "id": ["1", "2", "3"], "shop": ["a", "b", "a"], "y": ["5", "6", "7"],
        "size": ["10", "", "10"], "city": ["Oslo", "Rome", "Oslo"],
    }  # fmt: skip
    assert raw.test.columns.to_pydict() == {
        "id": ["4", "5"], "shop": ["b", "z"], "size": ["", None], "city": ["Rome", None],
    }  # fmt: skip
    assert notices == [Notice("shops.csv", "test.csv: rows whose key (shop) is not in shops.csv", 1)]


def test_a_joined_table_keeps_its_lines_and_its_decimal_mark():
    """Messages about its cells still name the line of the file."""
    raw, _ = joined()
    assert raw.train.line_of(2) == 4
    assert (raw.train.file, raw.test.file) == ("train.csv", "test.csv")


def test_without_a_test_file_only_train_is_joined():
    """Held-out rows are drawn from it later."""
    raw, notices = joined(test=None)
    assert raw.test is None
    assert raw.train.columns["size"].to_pylist() == ["10", "", "10"]
    assert notices == []


def test_a_key_may_have_several_columns():
    """1 and 12 beside 11 and 2: a key's parts do not run into each other."""
    train = "p,q,y\n1,12,5\n11,2,6\n"
    raw, _ = joined("q,p,size\n12,1,A\n2,11,B\n", train=train, test=None, on=("p", "q"))
    assert raw.train.columns["size"].to_pylist() == ["A", "B"]


def test_blanks_around_a_key_do_not_count():
    """As everywhere else in cells."""
    raw, _ = joined("shop,size\na ,10\n b,20\n")
    assert raw.train.columns["size"].to_pylist() == ["10", "20", "10"]


def test_several_side_tables_are_joined_one_after_the_other():
    """The second may use a column that the first added."""
    sides = {"shops.csv": SHOPS, "cities.csv": "city,country\nOslo,NO\nRome,IT\n"}
    joins = [Join(file="shops.csv", on=("shop",)), Join(file="cities.csv", on=("city",))]
    raw, notices = join_sides(raw_tables(TRAIN, TEST, sides=sides), joins)
    assert raw.train.columns["country"].to_pylist() == ["NO", "IT", "NO"]
    assert [notice.subject for notice in notices] == ["shops.csv", "cities.csv"]


def test_typed_keys_agree_with_texts_and_dictionaries():
    """A Parquet side table with numbers as its key, beside a CSV file or a table of dictionaries."""
    side = typed({"shop": [1, 2], "size": [10.5, None]}, "shops.parquet")
    main = typed({"shop": pa.array(["2", "1", "2"]).dictionary_encode(), "y": [1, 2, 3]})
    raw = RawTables(main, None, None, {"shops.parquet": side})
    found, _ = join_sides(raw, [Join(file="shops.parquet", on=("shop",))])
    assert found.train.columns["size"].to_pylist() == [None, 10.5, None]


keys = st.sampled_from(["a", "b", "c", "1", "01"])


@given(st.lists(keys, min_size=1, max_size=8), st.lists(keys, unique=True, min_size=1))
def test_a_join_is_pandas_left_merge(own, known):
    """Any keys on either side: the same rows in the same order, nothing doubled, nothing lost."""
    train = pd.DataFrame({"shop": own, "y": [str(i) for i in range(len(own))]})
    side = pd.DataFrame({"shop": known, "size": [f"s{key}" for key in known]})
    raw, notices = joined(csv_of(side), train=csv_of(train), test=None)
    expected = train.merge(side, how="left", on="shop", validate="many_to_one")
    found = raw.train.columns.to_pandas()
    assert found.astype(object).where(found.notna(), None).equals(expected.astype(object).where(expected.notna(), None))
    assert sum(notice.count for notice in notices) == expected["size"].isna().sum()


# --- faults


def test_a_key_column_that_is_not_there_is_an_error():
    """The exact sentences: missing in the side table, or in the table that it is joined to."""
    assert fault_of("store,size\na,1\n") == (
        "shops.csv: no column 'shop', the key of [[join]] shops.csv; it has 'store', 'size'"
    )
    assert fault_of(test="id,store\n4,b\n") == (
        "test.csv: no column 'shop', the key of [[join]] shops.csv; it has 'id', 'store'"
    )


def test_a_key_that_stands_there_twice_is_an_error():
    """The exact sentences: it would double rows; two keys do, the first is the example."""
    assert fault_of("shop,size\na,1\nb,2\na,3\nb,4\n") == (
        "shops.csv: key 'a' (shop) stands there more than once (2 such keys); a side table needs each key once: "
        "aggregate it first, or name more columns in `on`"
    )
    twice = "shop,id,size\na,1,1\na,1,2\n"
    assert fault_of(twice, on=("shop", "id")).startswith("shops.csv: key 'a, 1' (shop, id) stands there more than once")


def test_a_column_that_is_there_already_is_an_error():
    """The exact sentence: neither would win silently."""
    assert fault_of("shop,y\na,1\n") == (
        "shops.csv: column 'y' is in train.csv already; rename it in one of them, or leave the [[join]] out"
    )


def test_a_join_without_a_key_is_an_error():
    """The exact sentence."""
    assert fault_of(on=()) == "[[join]] shops.csv: `on` names no column; name the key"


def test_a_side_table_that_is_not_there_is_an_error():
    """The exact sentence, should the shell not have found it."""
    with pytest.raises(DataError) as raised:
        join_sides(raw_tables(TRAIN, TEST, sides={"shops.csv": SHOPS}), [Join(file="shop.csv", on=("shop",))])
    assert str(raised.value) == (
        "[[join]] shop.csv: no such side table was read, there is 'shops.csv'; correct its name"
    )


def test_a_missing_key_matches_no_row():
    """A null is no key, not even where the side table has one too."""
    train = typed({"shop": ["a", None], "y": [1, 2]})
    side = typed({"shop": ["a", None], "size": [10, 20]}, "shops.parquet")
    raw, notices = join_sides(
        RawTables(train, None, None, {"shops.parquet": side}), [Join(file="shops.parquet", on=("shop",))]
    )
    assert raw.train.columns["size"].to_pylist() == [10, None]
    assert [notice.count for notice in notices] == [1]
