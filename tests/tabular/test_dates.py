"""Texts that are dates."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tabular.dates import find_formats, parse_dates


def found(*texts):
    guess = find_formats(pd.Series(texts, dtype="str"))
    return None if guess is None else guess.formats


@pytest.mark.parametrize(
    ("text", "formats", "instant"),
    [
        ("2015-03-04", "%Y-%m-%d", "2015-03-04"),
        ("2015-3-4", "%Y-%m-%d", "2015-03-04"),
        ("2015-03-04 05:06", "%Y-%m-%d %H:%M", "2015-03-04T05:06"),
        ("2015-03-04T05:06:07", "%Y-%m-%dT%H:%M:%S", "2015-03-04T05:06:07"),
        ("2015-03-04 05:06:07.25", "%Y-%m-%d %H:%M:%S.%f", "2015-03-04T05:06:07.25"),
        ("2015-03-04T05:06:07Z", "%Y-%m-%dT%H:%M:%S%z", "2015-03-04T05:06:07"),
        ("2015-03-04T05:06:07+02:00", "%Y-%m-%dT%H:%M:%S%z", "2015-03-04T03:06:07"),
        ("2015-03-04 05:06:07 -0130", "%Y-%m-%d %H:%M:%S %z", "2015-03-04T06:36:07"),
        ("2015-03-04 05:06:07 UTC", "%Y-%m-%d %H:%M:%S UTC", "2015-03-04T05:06:07"),
        ("2015/03/04", "%Y/%m/%d", "2015-03-04"),
        ("20150304", "%Y%m%d", "2015-03-04"),
        ("4.3.2015", "%d.%m.%Y", "2015-03-04"),
        ("14/3/2015", "%d/%m/%Y", "2015-03-14"),
        ("3/14/2015", "%m/%d/%Y", "2015-03-14"),
        ("14-03-2015 23:59", "%d-%m-%Y %H:%M", "2015-03-14T23:59"),
        ("3/14/15 1:05 PM", "%m/%d/%y %I:%M %p", "2015-03-14T13:05"),
        ("3/14/2015 12:05:09AM", "%m/%d/%Y %I:%M:%S%p", "2015-03-14T00:05:09"),
        ("04-Mar-2015", "%d-%b-%Y", "2015-03-04"),
        ("4-MAR-15", "%d-%b-%y", "2015-03-04"),
        ("Mar 4, 2015", "%b %d, %Y", "2015-03-04"),
        ("June 4, 2015", "%B %d, %Y", "2015-06-04"),
        ("2015-03", "%Y-%m", "2015-03-01"),
    ],
)
def test_a_date_is_found_in_its_format_and_read_as_its_instant(text, formats, instant):
    """A zone or an offset makes UTC; without one the clock stays as written."""
    assert found(text) == (formats,)
    instants, wrong = parse_dates(pd.Series([text], dtype="str"), (formats,))
    assert instants.dtype == np.dtype("datetime64[us]")
    assert instants.tolist() == [np.datetime64(instant, "us").astype(datetime)]
    assert not wrong.any()


@pytest.mark.parametrize(
    "texts",
    [
        ("hello",), ("5",), ("2011-45",), ("2015-13-45",), ("99/99/2011",), ("12345678",), ("1-2-3",), ("today",),
        ("", " "), ("2015-03-04", "hello"), ("10.5", "11.25"), ("1990",),
    ],
)  # fmt: skip
def test_what_is_no_date_has_no_format(texts):
    """Numbers, versions, impossible days; and a column that is only half dates."""
    assert found(*texts) is None


def test_no_texts_have_no_format():
    """Nothing is known of a column that is always missing."""
    assert find_formats(pd.Series([None, None], dtype="str")) is None


def test_one_part_above_twelve_decides_for_all_texts():
    """1/2/2015 is the first of February because 25/1/2015 stands 2000 rows below it, whatever the clock beside it."""
    texts = [f"{d}/{m}/2015" for d in range(1, 13) for m in range(1, 13)] * 14 + ["25/1/2015 10:00"]
    guess = find_formats(pd.Series(texts, dtype="str"))
    assert (guess.formats, guess.ambiguous) == (("%d/%m/%Y", "%d/%m/%Y %H:%M"), False)
    assert "day first: the first parts reach 25, the second ones 12" in guess.evidence


def test_where_nothing_decides_the_month_stands_first_and_the_doubt_is_said():
    """Both readings are possible dates."""
    guess = find_formats(pd.Series(["3/4/2015", "12/12/2015"], dtype="str"))
    assert (guess.formats, guess.ambiguous) == (("%m/%d/%Y",), True)
    assert "no part is above 12 in 2 texts" in guess.evidence


def test_both_orders_in_one_column_are_both_listed():
    """The month-first format reads what it can; the day-first one the rest."""
    guess = find_formats(pd.Series(["13/4/2015", "4/13/2015"], dtype="str"))
    assert (guess.formats, guess.ambiguous) == (("%m/%d/%Y", "%d/%m/%Y"), True)
    instants, wrong = parse_dates(pd.Series(["13/4/2015", "4/13/2015"], dtype="str"), guess.formats)
    assert instants.astype("datetime64[D]").astype(str).tolist() == ["2015-04-13", "2015-04-13"]
    assert not wrong.any()


def test_formats_mixed_in_one_column_are_listed_the_most_frequent_first():
    """May is a short and a long name; it counts as short."""
    assert found("2015-03-04", "2015/03/04", "2015/03/05", "May 4, 2015") == ("%Y/%m/%d", "%Y-%m-%d", "%b %d, %Y")


def test_one_unreadable_text_in_a_hundred_is_borne_and_two_are_not():
    """They count as missing later; the evidence counts them."""
    days = pd.date_range("2015-01-01", periods=99).strftime("%Y-%m-%d").tolist()
    assert find_formats(pd.Series([*days, "unknown"], dtype="str")).evidence.startswith("99 of 100 distinct texts")
    assert find_formats(pd.Series([*days[:98], "unknown", "later"], dtype="str")) is None


def test_missing_is_missing_and_unreadable_is_told():
    """None is no fault; a text that no format reads is. "today" is not the day of reading."""
    column = pd.Series(["2015-03-04", None, "2015-02-30", " 2015-03-05 ", "today", "now", ""], dtype="str")
    instants, wrong = parse_dates(column, ("%Y-%m-%d",))
    assert np.isnat(instants).tolist() == [False, True, True, False, True, True, True]
    assert wrong.tolist() == [False, False, True, False, True, True, True]


def test_a_column_may_come_in_chunks_or_coded():
    """As the reader hands it over, and as Parquet stores few texts."""
    chunks = pa.chunked_array([["2015-03-04"], [None, "x"]])
    for column in (chunks, chunks.dictionary_encode()):
        instants, wrong = parse_dates(column, ("%Y-%m-%d",))
        assert np.isnat(instants).tolist() == [False, True, True]
        assert wrong.tolist() == [False, False, True]


def test_an_empty_column_is_read():
    """No row, no fault."""
    instants, wrong = parse_dates(pa.chunked_array([], pa.string()), ("%Y-%m-%d",))
    assert (len(instants), len(wrong)) == (0, 0)


FORMATS = ("%Y-%m-%d", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%b-%Y", "%b %d, %Y %I:%M %p", "%Y-%m-%dT%H:%M:%S")

FIRST, LAST = datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2049-12-31")


@given(
    days=st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=30),
    code=st.sampled_from(FORMATS),
)
def test_every_text_is_read_as_strptime_reads_it(days, code):
    """The standard library is the oracle: what a format writes is found and read back."""
    texts = pd.Series([day.strftime(code) for day in days], dtype="str")
    guess = find_formats(texts)
    assert guess.formats == (code,)
    instants, wrong = parse_dates(texts, guess.formats)
    assert instants.tolist() == [datetime.strptime(text, code) for text in texts]  # noqa: DTZ007
    assert not wrong.any()
