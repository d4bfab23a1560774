"""Which rows train and which are held out: none does both, and the largest are the largest."""

import datetime as dt
import json

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
    st.sampled_from([("", ""), ("a", ""), ("", "a"), ("a", "a")]),
    st.sampled_from([1.0, 0.5]),
)
def test_no_row_both_trains_and_is_held_out(target, share, seed, columns, row_share):
    """Every row with a target does one of the two, unless a share of them is asked for; both ascend.

    At least the share is held out, and exactly it where rows are drawn one by one.
    """
    known = np.flatnonzero(np.isfinite(target))
    raw = without_test([str(7 * i % 11) for i in range(len(target))])
    by, group = columns
    count = max(1, round(share * len(known)))
    if len(known) - count < 2:
        return
    try:
        rows, _ = chosen(raw, target, holdout=Holdout(share=share, seed=seed, by=by, group=group), row_share=row_share)
    except DataError:
        return  # every row would be held out: told by a test of its own
    assert (np.diff(rows.train) > 0).all()
    assert (np.diff(rows.test) > 0).all()
    assert len(rows.test) == count if columns == ("", "") else len(rows.test) >= count
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
        (["1", "2", "2", "2"], {}, ["2", "2", "2"]),
    ],
)  # fmt: skip
def test_the_largest_of_a_column_are_held_out(cells, roles, held):
    """Numbers and dates by value, texts by the alphabet, ordinal levels by their order; a gap is the smallest."""
    assert held_by(cells, **roles) == held


def test_typed_dates_are_sorted_by_time():
    """Those of a Parquet file need no format."""
    days = [dt.date(2024, 2, 1), dt.date(2023, 12, 31), None, dt.date(2024, 1, 15)]
    assert held_by(RawTables(typed({"a": days}), None, None, {})) == [days[0], days[3]]


def test_rows_with_equal_values_stay_together():
    """Else two rows of one day would stand on both sides: half of six is three, and the third has a twin."""
    rows, notices = chosen(without_test(["3", "1", "2", "2", "3", "1"]), holdout=Holdout(share=0.5, by="a"))
    assert rows.test.tolist() == [0, 2, 3, 4]
    text = "there is no test file: rows held out of training in its place, those with the largest 'a'"
    assert notices == [Notice("train.csv", text, 4)]


@pytest.mark.parametrize("column", ["by", "group"])
def test_a_column_that_would_hold_out_every_row_is_refused(column):
    """The exact sentence: one value on all rows."""
    with pytest.raises(DataError) as raised:
        chosen(without_test(["1"] * 4), holdout=Holdout(**{"share": 0.5, column: "a"}))
    assert str(raised.value) == (
        "train.csv: every row would be held out: 'a' has too few distinct values; lower [holdout] share, or name "
        "another column"
    )


# --- dates that are texts


def test_iso_dates_sort_as_texts_without_a_word():
    """So do months, and instants to the second."""
    assert held_by(["2023-12-31", "2024-01-05", "2024-01-15", "2023-02-01"]) == ["2024-01-05", "2024-01-15"]
    assert held_by(["2023-12", "2024-01", "2024-02", "2023-02"]) == ["2024-01", "2024-02"]
    assert held_by(["2024-01-01 09:30:00", "2024-01-01 10:00:00"] * 2) == ["2024-01-01 10:00:00"] * 2


@pytest.mark.parametrize(
    ("cells", "formats", "latest"),
    [
        (["31.12.2023", "1.2.2024", "2.2.2024", "30.11.2023"], ["%d.%m.%Y"], [1, 2]),
        (["Dec 31, 2023", "Jan 2, 2024", "Nov 1, 2023", "Mar 5, 2024"], ["%b %d, %Y"], [1, 3]),
        (["2024-9-30", "2024-10-01", "2024-11-02", "2024-8-01"], ["%Y-%m-%d"], [1, 2]),
        (["2024-01-01 09:30 AM", "2024-01-01 01:00 PM"] * 2, ["%Y-%m-%d %I:%M %p"], [1, 3]),
    ],
)
def test_dates_that_do_not_sort_as_texts_are_refused_with_the_line_to_add(cells, formats, latest):
    """The exact sentence; with that line the latest are held out."""
    with pytest.raises(DataError) as raised:
        held_by(cells)
    assert str(raised.value) == (
        f"train.csv: column 'a', which [holdout] by names, holds dates such as {cells[0]!r}, which do not sort as "
        f'texts; name their format: under [schema.dates] "a" = {json.dumps(formats)}'
    )
    assert held_by(cells, dates={"a": tuple(formats)}) == [cells[row] for row in latest]


# --- groups


def grouped(cells, *, share, by="", seed=0, numbers=None):
    """The group of each held-out row, and of each that trains."""
    lines = "".join(f'"{cell}",{number}\n' for cell, number in zip(cells, numbers or range(len(cells)), strict=True))
    raw = RawTables(table("g,n\n" + lines), None, None, {})
    rows, _ = chosen(raw, holdout=Holdout(share=share, group="g", by=by, seed=seed))
    names = np.array([cell.strip() for cell in cells])
    return names[rows.test].tolist(), names[rows.train].tolist()


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", " a", "", "NA"]), min_size=8, max_size=30),
    st.sampled_from(["", "n"]),
    st.integers(0, 9),
)
def test_no_group_is_on_both_sides(cells, by, seed):
    """Whether drawn or sorted; blanks around a name make no other group, and rows without one stay together."""
    try:
        held, kept = grouped(cells, share=0.3, by=by, seed=seed)
    except DataError:
        return  # every row would be held out
    held, kept = ({"" if name == "NA" else name for name in side} for side in (held, kept))
    assert held
    assert not held & kept


def test_groups_are_drawn_until_the_share_is_held():
    """Ten groups of two: a fifth is two groups, whichever the seed; the notice names the column."""
    cells = [name for name in "abcdefghij" for _ in range(2)]
    draws = [grouped(cells, share=0.2, seed=seed)[0] for seed in range(8)]
    assert {len(held) for held in draws} == {4}
    assert len({tuple(held) for held in draws}) > 1
    raw = RawTables(table("a,g\n" + "".join(f"1,{cell}\n" for cell in cells)), None, None, {})
    _, notices = chosen(raw, holdout=Holdout(share=0.2, group="g"))
    text = "there is no test file: rows held out of training in its place, drawn at random, whole values of 'g'"
    assert notices == [Notice("train.csv", text, 4)]


def test_with_a_column_to_sort_by_the_groups_of_the_latest_rows_are_held():
    """The four largest numbers are those of c and of one row of b: c goes first, then b, whole."""
    held, kept = grouped("aaabbbccc", share=0.44, by="n")
    assert (held, kept) == (list("bbbccc"), list("aaa"))
    assert grouped("aaabbbccc", share=0.33, by="n")[0] == list("ccc")
    assert grouped("cbacbacba", share=0.33, by="n", numbers=[9, 1, 2, 8, 3, 4, 7, 5, 6])[0] == list("ccc")


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
