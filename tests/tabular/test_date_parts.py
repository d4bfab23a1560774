"""Years, months, days in columns of their own become instants; Python's datetime is the oracle."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.tabular.date_parts import joined_parts


def stamps(*texts):
    return np.array(texts, dtype="datetime64[us]")


def columns(**parts):
    return {name: np.array(values, dtype=np.float64) for name, values in parts.items()}


def test_parts_of_dates_are_put_together_whatever_their_case_and_order():
    """A leap day at 23:59; minutes, hours and days that are not there are the first ones."""
    found = joined_parts(columns(Min=[59, 0], HR=[23, 7], day=[29, 1], mnth=[2, 12], Year=[2024, 1969]), "a.csv")
    assert found.dtype == np.dtype("datetime64[us]")
    assert found.tolist() == stamps("2024-02-29T23:59", "1969-12-01T07:00").tolist()
    assert joined_parts(columns(yr=[2024], Month=[3]), "a.csv").tolist() == stamps("2024-03-01").tolist()


@given(st.lists(st.datetimes(dt.datetime.fromisoformat("1600-01-01"), dt.datetime.fromisoformat("2400-12-31"))))
def test_parts_are_pythons(moments):
    """By month and day as by the day of the year; to the minute."""
    shared = {
        "year": [t.year for t in moments],
        "hour": [t.hour for t in moments],
        "minute": [t.minute for t in moments],
    }
    expected = [t.replace(second=0, microsecond=0) for t in moments]
    by_month = columns(**shared, month=[t.month for t in moments], day=[t.day for t in moments])
    by_day = columns(**shared, day_of_year=[t.timetuple().tm_yday for t in moments])
    assert joined_parts(by_month, "a.csv").tolist() == joined_parts(by_day, "a.csv").tolist() == expected


def test_a_missing_part_makes_a_missing_instant():
    """And hides no wrong value of another row."""
    assert np.isnat(joined_parts(columns(year=[2024, np.nan], month=[np.nan, 2]), "a.csv")).all()
    with pytest.raises(DataError, match="'month' is 13"):
        joined_parts(columns(year=[np.nan, 2024], month=[1, 13]), "a.csv")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"year": [2024, 2024, 2024], "month": [1, 13, 0]}, "'month' is 13, which is no month .*such cells: 2;"),
        ({"year": [2023, 2023], "month": [1, 2], "day": [31, 31]}, "'day' is 31, which is no day of 2023-02; .* 1;"),
        ({"year": [2023], "month": [2], "day": [29]}, "'day' is 29, which is no day of 2023-02"),
        ({"year": [2023, 2024], "doy": [366, 366]}, "'doy' is 366, which is no day of 2023; such cells: 1;"),
        ({"year": [2024], "month": [1], "day": [1], "hr": [24]}, "'hr' is 24, which is no hour .*from 0 to 23"),
        ({"year": [2024], "month": [1.5]}, "'month' is 1.5, which is no month"),
        ({"year": [2024], "month": [np.inf]}, "'month' is inf, which is no month"),
        ({"yr": [0, 1], "mnth": [1, 2]}, "'yr' is 0, which is no year .*such cells: 2;"),
    ],
)
def test_what_is_no_part_of_a_date_is_refused(parts, message):
    """With the file, the column, the first such value and how many there are."""
    with pytest.raises(DataError, match=rf"^a\.csv: column {message}"):
        joined_parts(columns(**parts), "a.csv")


@pytest.mark.parametrize(
    "names",
    [
        *("year", "month day", "year day", "year hour", "year month hour", "year month minute"),
        *("year month doy", "year yr month", "year month weekday"),
    ],
)
def test_columns_that_make_no_instant_are_refused(names):
    """Without a year, with a part left out between, twice the same, or unknown."""
    with pytest.raises(DataError, match="make no instant; expected are columns called year, month, day, hour, minute"):
        joined_parts(columns(**{name: [1] for name in names.split()}), "a.csv")


# --- the frequency
