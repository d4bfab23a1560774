"""Public holidays by hand: on one, before it, behind it, in parts of a country, and of nowhere."""

import subprocess
import sys

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.tabular.public_holidays import COLUMNS, holiday_columns

NAN = np.nan


def at(*stamps, place="DE"):
    return holiday_columns(np.array(stamps, dtype="datetime64[us]"), place).tolist()


def test_days_around_a_holiday():
    """May 1, 2024 is one, and so is May 9; before it Easter Monday, April 1; more than 7 days are 7."""
    assert COLUMNS == ("holiday", "days to holiday", "days since holiday")
    assert at("2024-05-01") == [[1, 0, 0]]
    assert at("2024-04-30", "2024-05-02", "2024-05-05") == [[0, 1, 7], [0, 7, 1], [0, 4, 4]]
    assert at("2024-04-23", "2024-04-24", "2024-04-25") == [[0, 7, 7], [0, 7, 7], [0, 6, 7]]


def test_the_hour_has_no_say():
    assert at("2024-05-01T00:00", "2024-05-01T23:59:59.999999", "2024-05-02T00:00") == [[1, 0, 0]] * 2 + [[0, 7, 1]]


def test_holidays_of_the_year_before_and_after_count():
    """December 26 and January 1 of a year that no row is of."""
    assert at("2023-12-30", "2024-01-02") == [[0, 2, 4], [0, 7, 1]]
    assert at("2023-12-30") + at("2024-01-02") == at("2023-12-30", "2024-01-02")


def test_a_row_alone_is_what_it_is_in_company():
    """FAULT 51: in whatever order, and beside whatever years."""
    dates = np.arange("1999-06", "2003-06", dtype="datetime64[D]").astype("datetime64[us]")
    for place in ("DE", "US", "JP", "SA"):
        whole = holiday_columns(dates, place)
        order = np.random.default_rng(0).permutation(len(dates))
        assert np.array_equal(holiday_columns(dates[order], place), whole[order])
        for row in range(0, len(dates), 101):
            assert np.array_equal(holiday_columns(dates[row : row + 1], place)[0], whole[row])


def test_parts_of_a_country_have_holidays_of_their_own():
    """Epiphany in Bavaria, and July 4 in the United States."""
    assert at("2024-01-06", place="DE-BY")[0][0] == 1
    assert at("2024-01-06", place="DE")[0][0] == 0
    assert at("2024-07-04", place="US")[0][0] == 1


def test_years_of_which_nothing_is_known_are_missing():
    """Before the country, after the calendar, and where the package tells that it knows a part only; no warning."""
    unknown = [NAN] * 3
    np.testing.assert_array_equal(at("1500-01-01", "1850-05-01", "2300-05-01"), [unknown] * 3)
    np.testing.assert_array_equal(at("1995-08-15", "2020-08-15", place="IN"), [unknown, [1, 0, 0]])


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("Germany", "'Germany' is no country whose holidays are known; did you mean 'DE'?"),
        ("de", "'de' is no country whose holidays are known; did you mean 'DE'?"),
        ("U5", "'U5' is no country whose holidays are known; did you mean 'U"),
        ("qqqqqqq", "expected is a code such as 'DE', 'US' or 'DE-BY'"),
        ("DE-BX", "'BX' is no subdivision of 'DE' with holidays of its own; did you mean 'DE-BY'?"),
        ("DE-by", "'by' is no subdivision of 'DE' with holidays of its own; did you mean 'DE-BY'?"),
        ("DE-qq", "expected is one of BB, BE, BW, BY, "),
        ("AF-X", "'X' is no subdivision of 'AF' with holidays of its own; its holidays are those of 'AF'"),
    ],
)
def test_a_place_that_is_none_is_told_with_the_nearest(place, remedy):
    """Country or subdivision; a list where none is near."""
    with pytest.raises(ConfigError) as error:
        at("2024-01-01", place=place)
    assert str(error.value).startswith(f"history.holidays is {place!r}, and ")
    assert remedy in str(error.value)


@pytest.mark.slow
def test_the_package_is_imported_where_holidays_are_asked_for_and_nowhere_else():
    """In a fresh process: the modules of all stages are there, and it is not."""
    code = (
        "import sys, numpy as np; import pipeline.stages.predict, pipeline.stages.preprocess;"
        "from pipeline.tabular.public_holidays import holiday_columns; before = 'holidays' in sys.modules;"
        "holiday_columns(np.array(['2024-01-01'], dtype='datetime64[us]'), 'DE');"
        "print(before, 'holidays' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
