"""Rows in time: stamps of any kind become steps, groups become series, doubled rows one row of what is known."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from builders import table, typed
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, DataError
from pipeline.settings import Schema
from pipeline.tabular.cells import Levels
from pipeline.tabular.timelines import known_of, past_numbers, stamp_table, stamp_tables
from pipeline.time_settings import Time
from pipeline.timeline import UNKNOWN_SERIES, Moments

NAN = np.nan


def stamped(train, test=None, *, roles=None, **time):
    """How time is read of CSV texts, and the stamps of each table."""
    tables = [table(text, file) for text, file in ((train, "train.csv"), (test, "test.csv")) if text is not None]
    return stamp_tables(tables, roles or Schema(target="y"), Time(**({"column": "t"} | time)))


def lines(header, *rows):
    return "\n".join([header, *rows]) + "\n"


def refusal(*tables, **options):
    with pytest.raises(DataError) as raised:
        stamped(*tables, **options)
    return str(raised.value)


# --- stamps


def test_text_stamps_are_steps_of_the_clock_and_instants_of_the_wall():
    """Hours 0, 1 and 3 of a day, in any order; the test goes on at 4."""
    train = lines("t,y", "2024-03-01 03:00:00,1", "2024-03-01 00:00:00,2", "2024-03-01 01:00:00,3")
    own, (one, two), _ = stamped(train, lines("t", "2024-03-01 04:00:00"))
    assert (own.clock.freq, own.clock.start) == ("1h", "2024-03-01T00:00:00")
    assert (one.moments.step.tolist(), two.moments.step.tolist()) == ([3, 0, 1], [4])
    assert one.local.astype("datetime64[h]").astype(str).tolist() == ["2024-03-01T03", "2024-03-01T00", "2024-03-01T01"]
    assert own.label == "t"


def test_a_test_before_train_begins_the_clock():
    """Steps are counted from the earliest stamp of both files."""
    _, (one, two), _ = stamped(lines("t,y", "2024-01-05,1", "2024-01-06,2"), lines("t", "2024-01-03", "2024-01-04"))
    assert (one.moments.step.tolist(), two.moments.step.tolist()) == ([2, 3], [0, 1])


def test_parts_in_columns_are_one_instant():
    """Year, month, day, hour over the leap day; the label is no name of a part."""
    train = lines("year,month,day,hour,y", "2024,2,28,23,1", "2024,2,29,0,2", "2024,3,1,0,3")
    own, (one,), _ = stamped(train, column=["year", "month", "day", "hour"])
    assert one.moments.step.tolist() == [0, 1, 25]
    assert (own.clock.freq, own.label) == ("1h", "time")


def test_a_column_that_is_called_time_already_keeps_its_name():
    """Instants of parts are called otherwise then, in every file."""
    train = lines("year,month,time,y", "2024,2,7,1", "2024,3,8,2")
    own, _, _ = stamped(train, column=["year", "month"])
    assert own.label == "time of row"


def test_whole_numbers_are_steps_themselves():
    """From -3 on, with a hole, no calendar, and the seasons that are set, shortest first; it is said."""
    own, (one, two), notices = stamped(
        lines("t,y", "-3,1", "-2,2", "5,3"), lines("t", "6", "1e1"), season=[12, 4]
    )  # fmt: skip
    assert (one.moments.step.tolist(), two.moments.step.tolist()) == ([-3, -2, 5], [6, 10])
    assert own.clock.seasons == (4, 12)
    assert one.local is None
    [notice] = notices
    assert notice.line.startswith("t: whole numbers, taken as steps: no calendar")


def test_typed_whole_numbers_are_steps_too():
    """Integers, and numbers without a fraction, as a Parquet file has them."""
    for kind in (pa.int64(), pa.float64(), pa.int8()):
        _, (one,), _ = stamp_tables([typed({"t": pa.array([4, 5, 7], kind)})], Schema(target="y"), Time(column="t"))
        assert one.moments.step.tolist() == [4, 5, 7]


def test_typed_instants_are_stamps():
    """Nanoseconds of a Parquet file."""
    days = pa.array(np.array(["2024-01-01", "2024-01-02", "2024-01-04"], "datetime64[ns]"))
    _, (one,), _ = stamp_tables([typed({"t": days})], Schema(target="y"), Time(column="t"))
    assert one.moments.step.tolist() == [0, 1, 3]


def test_days_written_without_marks_are_dates_and_no_numbers():
    """20240131 and 20240201 are a day apart."""
    _, (one,), _ = stamped(lines("t,y", "20240131,1", "20240201,2", "20240202,3"))
    assert one.moments.step.tolist() == [0, 1, 2]


def test_a_declared_format_is_used():
    """Month first, whatever one might guess."""
    roles = Schema(target="y", dates={"t": ["%m/%d/%Y"]})
    _, (one,), _ = stamped(lines("t,y", "01/02/2024,1", "01/03/2024,2"), roles=roles, freq="1D")
    assert one.moments.step.tolist() == [0, 1]
    assert str(one.local[0].astype("datetime64[D]")) == "2024-01-02"


# --- zones


BERLIN_SPRING = ["2024-03-31T00:00:00Z", "2024-03-31T01:00:00Z", "2024-03-31T02:00:00Z"]


@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_stamps_with_a_zone_count_time_itself(zone):
    """FAULT 39: three hours of UTC, over the hour that Berlin skips; the wall shows 1, 3, 4 there."""
    own, (one,), _ = stamped(lines("t,y", *(f"{text},1" for text in BERLIN_SPRING)), timezone=zone)
    assert own.is_utc
    assert one.moments.step.tolist() == [0, 1, 2]
    hours = one.local.astype("datetime64[h]").astype(int) % 24
    assert hours.tolist() == ([1, 3, 4] if zone else [0, 1, 2])


def test_typed_stamps_with_a_zone_count_time_itself():
    """A Parquet file knows the zone of its instants: they are UTC, and no hours of Berlin."""
    hours = pd.date_range("2024-03-31", periods=4, freq="h", tz="Europe/Berlin")
    frame = {"t": pa.Array.from_pandas(hours)}
    own, (one,), _ = stamp_tables([typed(frame)], Schema(target="y"), Time(column="t", timezone="Europe/Berlin"))
    assert own.is_utc
    assert one.moments.step.tolist() == [0, 1, 2, 3]
    assert (one.local.astype("datetime64[h]").astype(int) % 24).tolist() == [0, 1, 3, 4]


def test_days_with_a_zone_are_days_of_that_zone():
    """FAULT 39: midnights of Berlin, 23:00 and 22:00 of UTC, are the day that begins there and not the one before."""
    days = ["2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"]
    own, (one,), _ = stamped(lines("t,y", *(f"{day},1" for day in days)), timezone="Europe/Berlin")
    assert (own.clock.freq, one.moments.step.tolist()) == ("1D", [0, 1, 2])
    assert one.local.astype("datetime64[D]").astype(str).tolist() == ["2024-03-30", "2024-03-31", "2024-04-01"]


def test_stamps_without_a_zone_are_of_the_one_that_is_set():
    """FAULT 39: an hour that Berlin has twice is two steps, one that it skips is none."""
    autumn = [f"2024-10-27 0{hour}:00:00" for hour in (1, 2, 2, 3)]
    _, (one,), notices = stamped(lines("t,y", *(f"{text},1" for text in autumn)), timezone="Europe/Berlin")
    assert one.moments.step.tolist() == [0, 1, 2, 3]
    assert any("twice" in notice.text and notice.count == 2 for notice in notices)
    spring = [f"2024-03-31 0{hour}:00:00" for hour in (0, 1, 3, 4)]
    _, (one,), _ = stamped(lines("t,y", *(f"{text},1" for text in spring)), timezone="Europe/Berlin")
    assert one.moments.step.tolist() == [0, 1, 2, 3]


def test_an_unknown_zone_is_told_the_nearest():
    """A fault of the config."""
    with pytest.raises(ConfigError, match=r"Europe/Berln.*did you mean 'Europe/Berlin'"):
        stamped(lines("t,y", "2024-01-01 00:00:00,1", "2024-01-01 01:00:00,2"), timezone="Europe/Berln")


# --- FAULT 39: what is no stamp


def test_a_row_without_an_instant_is_told_with_its_line():
    """FAULT 39: the second of two, in the test file; how many there are."""
    good = lines("t,y", "2024-01-01,1", "2024-01-02,2")
    assert refusal(good, lines("t", "2024-01-03", '""', "NA")) == (
        "test.csv: line 3: column 't', which [time] names, is '', which is no instant (2 such rows); correct them, or "
        "leave these rows out"
    )
    assert refusal(lines("t,y", "2024-01-01,1", ",2"), None).startswith("train.csv: line 3: column 't'")


def test_a_step_without_a_number_is_told_with_its_line():
    """Whole numbers, and a cell that is missing."""
    assert refusal(lines("t,y", "1,1", "NA,2", "3,3")) == (
        "train.csv: line 3: column 't', which [time] names, is 'NA', expected a number (1 such rows); correct them, or "
        "leave these rows out"
    )


def test_a_part_without_a_number_is_told_with_its_line():
    """The month of the second row."""
    told = refusal(lines("year,month,y", "2024,1,1", "2024,x,2"), column=["year", "month"])
    assert told.startswith("train.csv: line 3: column 'month', which [time] names, is 'x', expected a number")


@pytest.mark.parametrize("cells", [("a", "b"), ("1.5", "2.5"), ("1", "soon")])
def test_what_is_neither_date_nor_whole_number_is_refused(cells):
    """Texts, fractions, a mixture; with the remedy."""
    told = refusal(lines("t,y", f"{cells[0]},1", f"{cells[1]},2"))
    assert told.startswith("train.csv: column 't', which [time] names, is not written like dates: ")
    assert told.endswith("name its format under [schema.dates]")


def test_numbers_so_far_apart_that_no_table_holds_their_steps_are_refused():
    """Milliseconds since 1970, an hour apart: 2000 rows would be 7 milliards of steps."""
    cells = [str(1_700_000_000_000 + 3_600_000 * hour) for hour in range(2000)]
    assert refusal(lines("t,y", *(f"{cell},1" for cell in cells))) == (
        "train.csv: column 't', which [time] names, makes 7,196,400,001 steps; at most 20,000,000 are possible; divide "
        "it by the time between two rows, or write it as dates"
    )


# --- series


def test_two_groups_together_name_a_series():
    """Sorted names, codes by name; the same pair in test is the same series."""
    train = lines("shop,item,t,y", "b,1,2024-01-01,1", "a,2,2024-01-01,2", "a,1,2024-01-02,3", "b,1,2024-01-02,4")
    own, (one, two), _ = stamped(train, lines("shop,item,t", "a,2,2024-01-03"), groups=["shop", "item"])
    assert own.names == ("a | 1", "a | 2", "b | 1")
    assert (one.moments.series.tolist(), two.moments.series.tolist()) == ([2, 1, 0, 2], [1])


def test_no_two_pairs_of_groups_have_one_name():
    """`x | y` beside z, and x beside `y | z`."""
    train = lines("a,b,t,y", "x | y,z,2024-01-01,1", "x,y | z,2024-01-01,2", "x,y | z,2024-01-02,2")
    own, (one,), _ = stamped(train, groups=["a", "b"])
    assert own.names == ("x | y || z", "x || y | z")
    assert one.moments.series.tolist() == [1, 0, 0]


def test_one_group_names_its_series_as_it_stands():
    """Also where it holds what stands between two."""
    own, _, _ = stamped(lines("a,t,y", "x | y,2024-01-01,1", "x | y,2024-01-02,2"), groups=["a"])
    assert own.names == ("x | y",)


def test_a_missing_group_cell_is_a_group_of_its_own():
    """Two texts mean missing; the pair of it and 1 is a series, and the pair of it and 2 another."""
    train = lines("a,b,t,y", ",1,2024-01-01,1", "NA,1,2024-01-02,2", ",2,2024-01-01,3", "x,1,2024-01-01,4")
    own, (one,), _ = stamped(train, groups=["a", "b"])
    assert own.names == (" | 1", " | 2", "x | 1")
    assert one.moments.series.tolist() == [0, 0, 1, 2]


def test_a_series_of_the_test_alone_has_a_name_and_one_of_a_further_file_has_none():
    """The test file is there as names are made; of what comes later nothing is known."""
    train, test = lines("a,t,y", "x,2024-01-01,1", "x,2024-01-02,2"), lines("a,t", "w,2024-01-03", "x,2024-01-03")
    own, (_, two), _ = stamped(train, test, groups=["a"])
    assert own.names == ("w", "x")
    assert two.moments.series.tolist() == [0, 1]
    further, notices = stamp_table(table(lines("a,t", "z,2024-01-05", ",2024-01-05", "x,2024-01-04")), own)
    assert further.moments.series.tolist() == [UNKNOWN_SERIES, UNKNOWN_SERIES, 1]
    assert further.moments.step.tolist() == [4, 4, 3]
    assert notices == []


def test_without_groups_there_is_one_series():
    """Its name is empty."""
    own, (one,), _ = stamped(lines("t,y", "2024-01-01,1", "2024-01-02,2"))
    assert own.names == ("",)
    assert one.moments.series.tolist() == [0, 0]


def test_a_further_file_is_read_as_the_first_ones_were():
    """Row by row: the same stamps, whatever stands beside them; a stamp between two steps counts as the earlier."""
    train = lines("t,y", *(f"2024-01-0{day} 12:00:00,1" for day in range(1, 8)))
    own, (one,), _ = stamped(train)
    for row in range(7):
        again, _ = stamp_table(table(lines("t", f"2024-01-0{row + 1} 12:00:00")), own)
        assert again.moments.step.tolist() == [one.moments.step[row]]
        assert again.local.tolist() == one.local[row : row + 1].tolist()
    between, notices = stamp_table(table(lines("t", "2024-01-02 18:00:00")), own)
    assert (between.moments.step.tolist(), len(notices)) == ([1], 1)


# --- what is known


@pytest.mark.parametrize("policy", ["mean", "sum", "first", "last"])
def test_the_first_row_of_a_step_says_its_levels(policy):
    """Whatever becomes of its numbers: rows 3, 1 and 0 of the file."""
    series, step = np.array(DOUBLED).T
    levels = {name: np.arange(6, dtype=np.int32) + more for name, more in (("a", 0), ("b", 10))}
    found, _ = known_of(
        Moments(series.astype(np.int32), step), {"y": np.ones(6)}, levels, duplicates=policy, file="train.csv"
    )
    assert found.level_names == ("a", "b")
    assert found.levels.tolist() == [[3, 13], [1, 11], [0, 10]]


def known(pairs, policy="mean", **columns):
    """Of (series, step) pairs and columns of values."""
    series, step = np.array(pairs, dtype=np.int64).T
    values = {name: np.array(own, dtype=np.float64) for name, own in columns.items()}
    return known_of(Moments(series.astype(np.int32), step), values, duplicates=policy, file="train.csv")


DOUBLED = [(1, 5), (0, 7), (0, 7), (0, 3), (0, 7), (1, 5)]
VALUES = {"y": [1.0, 2.0, NAN, 4.0, 6.0, NAN], "x": [NAN, 1.0, 2.0, 3.0, NAN, NAN]}


@pytest.mark.parametrize(
    ("policy", "y", "x"),
    [
        ("mean", [4, 4, 1], [3, 1.5, NAN]),
        ("sum", [4, 8, 1], [3, 3, NAN]),
        ("first", [4, 2, 1], [3, 1, NAN]),
        ("last", [4, 6, NAN], [3, NAN, NAN]),
    ],
)
def test_rows_of_one_series_and_step_are_known_by_the_policy(policy, y, x):
    """Sorted by series and step; the numbers that are there count, in the order of the file; three are too many."""
    found, (notice,) = known(DOUBLED, policy, **VALUES)
    assert (found.series.tolist(), found.step.tolist()) == ([0, 0, 1], [3, 7, 5])
    assert found.columns == ("y", "x")
    np.testing.assert_array_equal(found.values, np.column_stack([y, x]))
    assert (notice.subject, notice.count) == ("train.csv", 3)
    assert f"known of them: the {policy}" in notice.text


def test_doubled_rows_are_refused_where_they_may_not_be():
    """FAULT 39: with the file, their number and the remedy."""
    with pytest.raises(DataError, match=r"^train\.csv: 3 rows have the series and step of an earlier one; correct"):
        known(DOUBLED, "error", **VALUES)
    assert known([(0, 1), (1, 1)], "error", y=[1, 2])[1] == []


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.sampled_from([NAN, 1.0, 2.0, 5.0])), min_size=1),
    st.sampled_from(["mean", "sum", "first", "last"]),
)
def test_what_is_known_is_what_pandas_groups(rows, policy):
    """Each policy is that of a group by series and step."""
    frame = pd.DataFrame(rows, columns=["series", "step", "y"])
    found, _ = known([row[:2] for row in rows], policy, y=frame["y"])
    groups = frame.groupby(["series", "step"])["y"]
    expected = {
        "mean": groups.mean,
        "sum": lambda: groups.sum(min_count=1),
        "first": lambda: groups.nth(0),
        "last": lambda: groups.nth(-1),
    }[policy]()
    if policy in ("first", "last"):
        keys = frame.loc[expected.index, ["series", "step"]]
        expected = pd.Series(expected.to_numpy(), pd.MultiIndex.from_frame(keys)).sort_index()
    assert list(expected.index) == list(zip(found.series.tolist(), found.step.tolist(), strict=True))
    np.testing.assert_allclose(found.values[:, 0], expected.to_numpy(), rtol=1e-12)


# --- past-only columns


def test_numbers_are_a_column_and_a_few_levels_one_each():
    """0 and 1 for each level, missing where the cell is; dates and many levels make none."""
    numbers = past_numbers("x", np.array([1.0, NAN]), 2)
    assert list(numbers) == ["x"]
    levels = past_numbers("c", Levels(np.array([0, 1, -1], np.int32), np.array(["a", "b"], dtype=object)), 2)
    assert {name: own.tolist()[:2] for name, own in levels.items()} == {"c_a": [1.0, 0.0], "c_b": [0.0, 1.0]}
    assert all(np.isnan(own[2]) for own in levels.values())
    assert past_numbers("c", Levels(np.array([0], np.int32), np.array(["a", "b", "c"], dtype=object)), 2) == {}
    assert past_numbers("d", np.array(["2024-01-01"], "datetime64[us]"), 2) == {}


def test_stamps_with_a_zone_in_one_file_and_without_in_the_other_are_a_sentence():
    """Taken as UTC, all hours of the other file would be off."""
    train = lines("t,y", "2024-03-01T03:00:00+01:00,1", "2024-03-01T04:00:00+01:00,2")
    assert refusal(train, lines("t", "2024-03-01T05:00:00")) == (
        "train.csv: stamps of 't' have a zone or an offset, those of test.csv have none, so hours between them are not "
        "known; write both the same way"
    )


def test_steps_that_are_never_neighbours_are_told():
    """Steps 0, 7 and 21 in train, 28 in the test: lags of fewer than 7 find nothing."""
    *_, notices = stamped(lines("t,y", "0,1", "7,2", "21,3"), lines("t", "28"))
    assert any("neighbours are 7 steps apart" in notice.text for notice in notices)
    *_, notices = stamped(lines("t,y", "0,1", "7,2", "21,3"), lines("t", "29"))
    assert not any("steps apart" in notice.text for notice in notices)
