"""Which rows train and which are held out: none does both, and the largest are the largest."""

import datetime as dt

import numpy as np
import pytest
from builders import raw_tables, table, typed
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.settings import Holdout, Schema
from pipeline.tables import Notice, RawTables
from pipeline.tabular.rows import choose_rows


def without_test(cells=("1",) * 10):
    """Rows of one column `a`, and no test file."""
    return RawTables(table("a\n" + "".join(f'"{cell}"\n' for cell in cells)), None, None, {})


def chosen(raw, target=None, *, holdout=None, **roles):
    target = np.arange(raw.train.rows, dtype=float) if target is None else np.array(target, dtype=float)
    return choose_rows(raw, target, Schema(target="y", **roles), holdout or Holdout())


def held_by(cells, share=0.5, **roles):
    """The cells that are held out when sorted by them."""
    raw = cells if isinstance(cells, RawTables) else without_test(cells)
    rows, _ = chosen(raw, holdout=Holdout(share=share, by="a"), **roles)
    return [raw.train.columns["a"][row].as_py() for row in rows.test]


def test_rows_without_a_target_do_not_train_and_are_counted():
    """FAULT 34: two of four."""
    rows, notices = chosen(raw_tables("a\n1\n1\n1\n1\n", "a\n1\n"), [1, np.nan, 3, np.nan])
    assert (rows.train.tolist(), rows.test) == ([0, 2], None)
    assert notices == [Notice("y", "train.csv: rows without a target were dropped", 2)]


@given(
    st.lists(st.sampled_from([1.0, 2.0, np.nan]), min_size=12, max_size=40),
    st.floats(0.01, 0.6),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["", "a"]),
    st.sampled_from([1.0, 0.5]),
)
def test_no_row_both_trains_and_is_held_out(target, share, seed, by, row_share):
    """Every row with a target does one of the two, unless a share of them is asked for; both ascend."""
    known = np.flatnonzero(np.isfinite(target))
    raw = without_test([str(7 * i % 11) for i in range(len(target))])
    holdout = Holdout(share=share, seed=seed, by=by)
    if len(known) - max(1, round(share * len(known))) < 2:
        return
    rows, _ = chosen(raw, target, holdout=holdout, row_share=row_share)
    assert (np.diff(rows.train) > 0).all()
    assert (np.diff(rows.test) > 0).all()
    assert len(rows.test) == max(1, round(share * len(known)))
    both = np.concatenate([rows.train, rows.test])
    assert len(np.unique(both)) == len(both)
    assert set(both.tolist()) <= set(known.tolist())
    if row_share == 1:
        assert sorted(both.tolist()) == known.tolist()


def test_a_random_holdout_is_drawn_by_its_seed():
    """The same seed draws the same rows, another seed others; it is said."""
    draws = [chosen(without_test(), holdout=Holdout(share=0.4, seed=seed)) for seed in (0, 0, 1)]
    tests = [rows.test.tolist() for rows, _ in draws]
    assert tests[0] == tests[1] != tests[2]
    text = "there is no test file: rows held out of training in its place, drawn at random"
    assert draws[0][1] == [Notice("train.csv", text, 4)]


@pytest.mark.parametrize(
    ("cells", "roles", "held"),
    [
        (["9", "10", "8", "100", "", "-1"], {}, ["9", "10", "100"]),
        (["9", "1,000", "800", "700"], {}, ["1,000", "800"]),
        (["Oslo", "Bonn", "Rome", "Aachen"], {}, ["Oslo", "Rome"]),
        (["2024-02-01", "2023-12-31", "", "2024-01-15"], {}, ["2024-02-01", "2024-01-15"]),
        (["1.2.2024", "31.12.2023", "", "15.1.2024"], {"dates": {"a": ("%d.%m.%Y",)}}, ["1.2.2024", "15.1.2024"]),
        (["poor", "best", "good", "poor"], {"ordinal": {"a": ("poor", "good", "best")}}, ["best", "good"]),
        (["zz", "aaaa", "bbb", "y"], {"text": ("a",)}, ["zz", "y"]),
        (["1", "1", "1", "1"], {}, ["1", "1"]),
    ],
)  # fmt: skip
def test_the_largest_of_a_column_are_held_out(cells, roles, held):
    """Numbers and dates by value, texts by the alphabet, ordinal levels by their order; a gap is the smallest."""
    assert held_by(cells, **roles) == held


def test_typed_dates_are_sorted_by_time():
    """Those of a Parquet file need no format."""
    days = [dt.date(2024, 2, 1), dt.date(2023, 12, 31), None, dt.date(2024, 1, 15)]
    assert held_by(RawTables(typed({"a": days}), None, None, {})) == [days[0], days[3]]


def test_equal_rows_are_held_out_from_the_end():
    """Where all are equal the last ones of the file are the largest."""
    rows, notices = chosen(without_test(["1"] * 4), holdout=Holdout(share=0.5, by="a"))
    assert rows.test.tolist() == [2, 3]
    text = "there is no test file: rows held out of training in its place, those with the largest 'a'"
    assert notices == [Notice("train.csv", text, 2)]


def test_a_column_that_cannot_be_sorted_is_an_error():
    """A list has no order that anybody means."""
    raw = RawTables(typed({"a": [[1], [2], [3], [4]]}), None, None, {})
    with pytest.raises(DataError, match=r"^train\.parquet: column 'a' is of type list"):
        held_by(raw)


def test_too_few_rows_to_hold_some_out_are_an_error():
    """The exact sentence: one row would be left."""
    with pytest.raises(DataError) as raised:
        chosen(without_test(["1"] * 4), [1, 2, 3, np.nan], holdout=Holdout(share=0.6))
    assert str(raised.value) == (
        "train.csv: 3 rows with a target are too few to hold out 0.6 of them; bring more rows, or lower [holdout] share"
    )


@pytest.mark.parametrize(("share", "rows"), [(1.0, 13), (0.54, 7), (0.1, 6)])
def test_a_share_of_the_rows_is_spread_over_the_file(share, rows):
    """Seven of 13 rows: every other one, the first and the last among them; a tenth still is six rows."""
    found, _ = chosen(raw_tables("a\n" + "1\n" * 13, "a\n1\n"), row_share=share)
    assert len(found.train) == rows
    assert (found.train[0], found.train[-1]) == (0, 12)
    assert np.ptp(np.diff(found.train)) <= 1
