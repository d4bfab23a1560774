"""Dates to numbers: Python's datetime is the oracle."""

import datetime as dt
import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import CalendarPart, Preprocess
from pipeline.tabular.calendars import CALENDAR, calendar_column

DAY = dt.timedelta(days=1)
ORACLE = {
    "year": lambda t: t.year,
    "quarter": lambda t: (t.month + 2) // 3,
    "month": lambda t: t.month,
    "day": lambda t: t.day,
    "day_of_week": lambda t: t.weekday(),
    "day_of_year": lambda t: t.timetuple().tm_yday,
    "week": lambda t: t.isocalendar().week,
    "is_weekend": lambda t: t.weekday() in (5, 6),
    "hour": lambda t: t.hour,
    "minute": lambda t: t.minute,
    "elapsed_days": lambda t: (t - dt.datetime.fromisoformat("1970-01-01")) / DAY,
    "sin_year": lambda t: math.sin(2 * math.pi * t.timetuple().tm_yday / 365.25),
    "cos_year": lambda t: math.cos(2 * math.pi * t.timetuple().tm_yday / 365.25),
    "sin_day": lambda t: math.sin(2 * math.pi * (t.hour * 60 + t.minute) / 1440),
    "cos_day": lambda t: math.cos(2 * math.pi * (t.hour * 60 + t.minute) / 1440),
}
moments = st.datetimes(dt.datetime.fromisoformat("1600-01-01"), dt.datetime.fromisoformat("2400-12-31"))


def series(*times):
    return pd.Series(np.array([np.datetime64(time, "us") for time in times], dtype="datetime64[us]"))


def test_the_setting_allows_every_column_that_there_is_and_no_other():
    """A misspelt one is refused with the config's own line."""
    assert get_args(CalendarPart) == tuple(CALENDAR)


@pytest.mark.parametrize("part", CALENDAR)
@given(times=st.lists(moments, min_size=1, max_size=5))
def test_every_part_of_the_calendar_is_pythons(part, times):
    """Centuries before and after 1970; a missing date beside them is missing and changes nothing."""
    found = calendar_column(series(*times, "NaT"), part)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [*(float(ORACLE[part](time)) for time in times), np.nan], rtol=1e-12, atol=1e-12)


def test_a_known_moment_is_what_a_calendar_says():
    """Thursday, the 29th of February 2024, noon: day 60 of the year, in week 9, 19782.5 days after 1970."""
    noon = series("2024-02-29T12:00")
    parts = ("day_of_week", "day_of_year", "week", "is_weekend", "elapsed_days")
    assert [calendar_column(noon, part)[0] for part in parts] == [3, 60, 9, 0, 19782.5]


@pytest.mark.parametrize("part", CALENDAR)
def test_dates_that_are_all_missing_give_missing_numbers(part):
    """Of the right kind and length; no dates give no numbers."""
    assert np.isnan(calendar_column(series("NaT", "NaT"), part)).tolist() == [True, True]
    assert calendar_column(series(), part).tolist() == []


def test_the_parts_that_are_made_unasked_are_known():
    """The default of preprocess.calendar."""
    assert set(Preprocess().calendar) <= set(CALENDAR)
