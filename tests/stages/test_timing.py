"""`ingest` with [time]: when rows are, what is known ahead, and what of train is only history."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, raw_tables

from pipeline.errors import DataError
from pipeline.settings import Holdout, Schema
from pipeline.stages.ingest import ingest
from pipeline.time_settings import Time

BIKES = Schema(id="datetime", target="count")


def bikes(months=3):
    """Bike sharing in small: days 1 to 19 of each month train, the rest is the test; four rows a day."""
    at = pd.date_range("2011-01-01", periods=months * 31 * 4, freq="6h")
    at = at[at < pd.Timestamp("2011-01-01") + pd.DateOffset(months=months)]
    day = np.arange(len(at))
    casual, registered = day * 7 % 11, 20 + day * 13 % 29
    frame = pd.DataFrame({
        "datetime": at.strftime("%Y-%m-%d %H:%M:%S"), "season": 1 + at.month % 2, "temp": day * 5 % 17,
        "casual": casual, "registered": registered, "count": casual + registered,
    })  # fmt: skip
    is_train = at.day < 20
    test = frame[~is_train].drop(columns=["casual", "registered", "count"])
    return frame[is_train].reset_index(drop=True), test.reset_index(drop=True)


def ingested(train, test=None, *, roles=BIKES, column="datetime", holdout=None, metric="rmse", **time):
    tables = raw_tables(csv_of(train), None if test is None else csv_of(test))
    return ingest(tables, roles=roles, metric=metric, holdout=holdout, time=Time(column=column, **time))


def told(dataset):
    return [notice.line for notice in dataset.notices]


def days(values, first="2024-01-01", **columns):
    """A frame of one row a day."""
    start = dt.date.fromisoformat(first)
    stamps = [str(start + dt.timedelta(days=at)) for at in range(len(values))]
    return pd.DataFrame({"t": stamps, **columns, "y": values})


DAYS = Schema(target="y")


# --- bike sharing


def test_bike_sharing_is_what_its_page_says():
    """Interleaved, from the 19th at 18:00 on; casual and registered are known of the past only, and are the count."""
    train, test = bikes()
    dataset = ingested(train, test)
    own = dataset.timeline
    assert own.layout == "interleaved"
    assert (dataset.numeric, dataset.dates) == (("season", "temp"), ("datetime",))
    assert list(dataset.train.columns) == list(dataset.test.columns) == ["season", "temp", "datetime"]
    assert {role.name: role.role for role in own.roles} == {
        "season": "known in the future", "temp": "known in the future",
        "casual": "made of the target", "registered": "made of the target",
    }  # fmt: skip
    assert own.known.columns == ("count", "casual", "registered")
    assert own.clock.freq == "6h"
    assert own.test_origin[0] == 19 * 4 - 1
    ages = own.test.step - own.test_origin
    assert (ages.min(), ages.max()) == (1, 12 * 4)
    assert (
        "columns: known in the future: season, temp (test.csv has it); made of the target: casual, registered (the "
        "target is casual + registered on every row)"
    ) in told(dataset)[:3]
    [line] = [line for line in told(dataset) if "layout interleaved" in line]
    assert line.endswith("in 3 blocks, of which 48 rows lie after the last training row; ages 1 to 48 steps")


def test_rows_of_all_files_keep_their_order_beside_the_timeline():
    """The time of row i is that of target i, of id i, of test row i."""
    train, test = bikes()
    order = np.random.default_rng(0).permutation(len(train))
    dataset = ingested(train.iloc[order].reset_index(drop=True), test[::-1].reset_index(drop=True))
    own = dataset.timeline
    start = pd.Timestamp(own.clock.start)
    for ids, moments in ((dataset.train_ids, own.train), (dataset.test_ids, own.test)):
        steps = (pd.to_datetime(pd.Series(ids, dtype=object)) - start) // pd.Timedelta("6h")
        assert np.array_equal(moments.step, steps)
    by_step = dict(zip(own.known.step.tolist(), own.known.values[:, 0], strict=True))
    assert [by_step[step] for step in own.train.step.tolist()] == dataset.target.tolist()


def test_columns_of_train_alone_are_a_fault_without_time():
    """FAULT 31 stays what it was."""
    train, test = bikes()
    with pytest.raises(DataError, match="only in train: 'casual', 'registered'"):
        ingest(raw_tables(csv_of(train), csv_of(test)), roles=BIKES, metric="rmse")


def test_columns_of_the_test_alone_are_a_fault_with_time_too():
    """Nothing could be learnt of them."""
    train, test = bikes()
    with pytest.raises(DataError, match="only in test: 'wind'"):
        ingested(train, test.assign(wind=1))


def test_a_column_that_time_names_has_to_be_in_both_files():
    """The exact sentence, with the nearest name."""
    train, test = bikes()
    with pytest.raises(DataError, match=r"test\.csv: no column 'datetime', which \[time\] column names"):
        ingested(train, test.rename(columns={"datetime": "date_time"}), roles=Schema(target="count"))


# --- past-only columns


def test_a_past_only_column_of_few_levels_is_known_as_zeros_and_ones():
    """Weather of two levels; one of a level a row is left out, and said to be."""
    values = [float(at * 7 % 13) for at in range(40)]
    train = days(values, weather=["wet", "dry"] * 20, note=[f"n{at}" for at in range(40)], x=[1, 2] * 20)
    test = days(values[:5], "2024-02-10", x=[1, 2, 1, 2, 1]).drop(columns="y")
    dataset = ingested(train, test, roles=DAYS, column="t")
    known = dataset.timeline.known
    assert known.columns == ("y", "weather_dry", "weather_wet")
    assert known.values[:2, 1:].tolist() == [[0, 1], [1, 0]]
    assert "note: past only, of dates or more than 12 levels: left out" in told(dataset)
    assert dataset.numeric == ("x",)


def test_the_time_column_is_a_calendar_and_no_feature_of_its_own():
    """Its parts are made later; the id is none."""
    dataset = ingested(*bikes())
    assert dataset.train["datetime"].dtype == np.dtype("datetime64[us]")
    assert str(dataset.train["datetime"][1]) == "2011-01-01 06:00:00"


# --- FAULT 34: rows without a target


def test_rows_without_a_target_stay_as_history():
    """FAULT 34: their past-only cells are known, neither side trains on them; the count is told."""
    values = [float(at * 7 % 13) for at in range(40)]
    sold = [float(at * 5 % 7) for at in range(40)]
    train = days(values, sold=sold, x=[1, 2] * 20)
    train.loc[[10, 11], "y"] = np.nan
    test = days(values[:5], "2024-02-10", x=[1, 2, 1, 2, 1]).drop(columns="y")
    dataset = ingested(train, test, roles=DAYS, column="t")
    own = dataset.timeline
    assert len(dataset.target) == len(own.train.step) == 38
    assert own.known.step.tolist() == list(range(40))
    assert np.isnan(own.known.values[10:12, 0]).all()
    assert own.known.values[10:12, 1].tolist() == sold[10:12]
    assert "y: train.csv: rows without a target are history, and neither trained on nor scored: 2" in told(dataset)


def test_test_rows_that_train_lists_too_without_a_target_are_no_news():
    """Days 41 to 45 stand in train, blank: the test is as far ahead as without them."""
    values = [float(at * 7 % 13) for at in range(45)]
    train = days(values, x=([1, 2] * 23)[:45])
    test = train[40:].drop(columns="y").reset_index(drop=True)
    train.loc[40:, "y"] = np.nan
    own = ingested(train, test, roles=DAYS, column="t").timeline
    assert own.layout == "future"
    assert own.test_origin.tolist() == [39] * 5
    assert own.known.step.max() == 39


# --- held-out rows


def test_held_out_rows_are_the_latest_whatever_their_order():
    """A fifth of 40 days in any order: the last 8."""
    values = [float(at * 7 % 13) for at in range(40)]
    frame = days(values, x=[1, 2] * 20).sample(frac=1, random_state=0).reset_index(drop=True)
    dataset = ingested(frame, roles=DAYS, column="t", holdout=Holdout(share=0.2), known_future=["x"])
    own = dataset.timeline
    assert sorted(own.test.step.tolist()) == list(range(32, 40))
    assert sorted(own.train.step.tolist()) == list(range(32))
    assert dataset.held_out.tolist() == [values[step] for step in own.test.step]
    assert "train.csv: there is no test file: rows held out of training in its place, the latest: 8" in told(dataset)


def test_held_out_series_keep_equal_steps_together():
    """Two series of 10 days; 3 rows of 20 are asked for, and 4 are held, those of the last two days."""
    frame = pd.concat([days([float(at * k % 7) for at in range(10)], shop=k) for k in (3, 5)])
    dataset = ingested(
        frame, roles=DAYS, column="t", holdout=Holdout(share=0.15), groups=["shop"]
    )  # fmt: skip
    assert sorted(dataset.timeline.test.step.tolist()) == [8, 8, 9, 9]


@pytest.mark.parametrize(("layout", "shown"), [("auto", 40), ("rolling", 40), ("future", 32)])
def test_held_out_rows_become_known_only_where_the_truth_comes_in(layout, shown):
    """Rolling is what a file without a test means; as a future block they stay unknown."""
    values = [float(at * 7 % 13) for at in range(40)]
    dataset = ingested(
        days(values, x=[1, 2] * 20), roles=DAYS, column="t", holdout=Holdout(share=0.2), layout=layout, horizon=3,
        known_future=["x"],
    )  # fmt: skip
    own = dataset.timeline
    assert len(own.known.step) == shown
    assert own.layout == ("rolling" if layout == "auto" else layout)
    ages = (own.test.step - own.test_origin).tolist()
    assert set(ages) <= {1, 2, 3} if layout != "future" else ages == list(range(1, 9))


# --- FAULT 39 in a whole file


def test_a_missing_instant_is_told_with_its_line():
    """FAULT 39: no row is dropped in silence."""
    train, test = bikes()
    train.loc[2, "datetime"] = ""
    with pytest.raises(DataError, match=r"^train\.csv: line 4: column 'datetime', which \[time\] names, is ''"):
        ingested(train, test, roles=Schema(target="count"))


def test_doubled_rows_are_known_once_and_trained_on_as_they_are():
    """FAULT 39: unsorted, one day twice: its mean is known, both rows train, the policy is told."""
    values = [float(at * 7 % 13) for at in range(40)]
    train = days(values, x=[1, 2] * 20)
    train = pd.concat([train, train[5:6].assign(y=99.0)])[::-1]
    test = days(values[:5], "2024-02-10", x=[1, 2, 1, 2, 1]).drop(columns="y")
    dataset = ingested(train, test, roles=DAYS, column="t")
    assert len(dataset.target) == 41
    assert dataset.timeline.known.values[5, 0] == (values[5] + 99) / 2
    assert any(
        line.startswith("train.csv: rows of a series and step that an earlier one has") for line in told(dataset)
    )
    with pytest.raises(DataError, match="1 rows have the series and step of an earlier one"):
        ingested(train, test, roles=DAYS, column="t", duplicates="error")


# --- levels of what is known


def test_what_is_known_has_the_levels_of_the_dataset():
    """Codes of its categories, of each row by its day: of rows without a target and held out too, the first of two."""
    kinds = np.array(["b", "a", "", "c"], dtype=object)[np.arange(40) * 7 % 4]
    values = [float(at * 7 % 13) for at in range(40)]
    train = days(values, kind=kinds, told=["x", "y"] * 20, size=values[::-1])
    train.loc[3, "y"] = None
    train = pd.concat([train, train[5:6].assign(kind="0", y=99.0)])[::-1]
    dataset = ingested(
        train, roles=DAYS, column="t", holdout=Holdout(share=0.2), horizon=3, known_future=["kind", "size"]
    )
    known, categories = dataset.timeline.known, dataset.train["kind"].cat.categories
    assert known.level_names == ("kind",)
    assert list(categories) == ["0", "a", "b", "c"]
    found = [categories[code] if code >= 0 else "" for code in known.levels[:, 0]]
    expected = kinds[known.step].tolist()
    expected[5] = "0"
    assert len(found) == len(known.step) == 40
    assert found == expected


def test_levels_that_only_the_test_has_count_in_the_codes():
    """They are sorted among the others: "0" comes before "a" and "b"."""
    values = [float(at * 7 % 13) for at in range(40)]
    train, test = days(values, kind=["a", "b"] * 20), days(values[:2], "2024-02-10", kind=["0", "b"])
    dataset = ingested(train, test.drop(columns="y"), roles=DAYS, column="t")
    assert dataset.timeline.known.levels[:, 0].tolist() == dataset.train["kind"].cat.codes.tolist() == [1, 2] * 20


def test_without_levels_known_ahead_none_are_known():
    """Neither of numbers nor of what is known of the past only."""
    values = [float(at * 7 % 13) for at in range(40)]
    train, test = days(values, x=[1, 2] * 20, told=["x", "y"] * 20), days(values[:5], "2024-02-10", x=[1, 2, 1, 2, 1])
    known = ingested(train, test.drop(columns="y"), roles=DAYS, column="t").timeline.known
    assert (known.level_names, known.levels) == ((), None)


def test_rows_of_other_steps_or_series_repeat_nothing():
    """Equal values at steps 0 to 19 of two series, and one row that stands there twice."""
    train = pd.DataFrame(
        {"t": [*range(20)] * 2 + [19], "shop": ["a"] * 20 + ["b"] * 21, "y": [0, 1, 2, 0, 0] * 8 + [0]}
    )
    test = pd.DataFrame({"t": [20, 20], "shop": ["a", "b"]})
    roles = Schema(target="y", duplicates="drop")
    assert len(ingested(train, test, roles=roles, column="t", groups=["shop"]).target) == 40


def test_series_of_both_files_that_do_not_meet_are_shown():
    """As where one file writes 1.0 and the other 1."""
    train = pd.DataFrame({"t": range(30), "shop": "1.0", "y": np.arange(30.0)})
    test = pd.DataFrame({"t": [30, 31], "shop": ["1", "1"]})
    [line] = [line for line in told(ingested(train, test, roles=DAYS, column="t", groups=["shop"])) if "layout" in line]
    assert "(test has '1'; train has '1.0')" in line
