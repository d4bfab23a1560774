"""Instants become steps that count time, not rows; Python's zoneinfo, one stamp at a time, is the oracle."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, DataError
from pipeline.tabular.clocks import find_clock, to_local, to_steps
from pipeline.time_settings import Time
from pipeline.timeline import Clock

BERLIN = "Europe/Berlin"
HOURS = ("1s", "90s", "15min", "30min", "1h")
LONGER = ("2h", "6h", "7h", "1D", "7D", "10D", "1MS", "2MS", "1QS", "1YS")


def stamps(*texts):
    return np.array(texts, dtype="datetime64[us]")


def every(number, unit, count, start="2024-01-01"):
    """So many stamps, so far apart."""
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(number, unit)


def one(instants):
    return np.zeros(len(instants), dtype=np.int32)


def clock_of(*tables, series=None, **given):
    """The clock, and what is told of its frequency."""
    own = Time(column="t", **given)
    clock, (notice,) = find_clock(tables, series or [one(table) for table in tables], own, file="train.csv")
    assert (notice.subject, notice.count) == ("t", 0)
    return clock, notice.text


def counts(notices):
    return [(notice.text.split(" ")[2], notice.count) for notice in notices]


def in_berlin(first, last, minutes=60):
    """What clocks in Berlin show every so many minutes of UTC, one at a time."""
    at, end = (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (first, last))
    shown = []
    while at < end:
        shown.append(at.astimezone(ZoneInfo(BERLIN)).replace(tzinfo=None))
        at += dt.timedelta(minutes=minutes)
    return stamps(*shown)


# --- parts of dates


@pytest.mark.parametrize(
    ("instants", "freq", "seasons"),
    [
        (every(30, "s", 9000), "30s", (2880,)),
        (every(15, "m", 2000), "15min", (96, 672)),
        (every(60, "m", 400), "1h", (24, 168)),
        (every(12, "h", 100), "12h", (2, 14)),
        (every(7, "h", 100), "7h", (24,)),
        (every(24, "h", 3 * 365), "1D", (7, 365)),
        (every(1, "D", 3 * 365 - 1), "1D", (7,)),
        (every(7, "D", 104), "7D", (52,)),
        (every(7, "D", 103), "7D", ()),
        (every(10, "D", 100), "10D", ()),
        (every(1, "h", 47), "1h", ()),
        (every(1, "h", 48), "1h", (24,)),
    ],
)
def test_the_frequency_is_the_difference_and_seasons_are_days_weeks_and_years_of_it(instants, freq, seasons):
    """15 minutes: 96 a day, 672 a week. A season is one that the stamps hold twice; a year's days, thrice."""
    clock, text = clock_of(instants)
    assert (clock.freq, clock.seasons) == (freq, seasons)
    assert text == f"freq {freq}: 100 % of neighbouring stamps are {freq} apart; no gaps"


@pytest.mark.parametrize(
    ("months", "freq", "seasons"),
    [(1, "1MS", (12,)), (2, "2MS", (6,)), (3, "1QS", (4,)), (6, "2QS", (2,)), (12, "1YS", ()), (24, "2YS", ())],
)
@pytest.mark.parametrize("day", ["first", "15th", "last"])
def test_months_quarters_and_years_are_told_by_days_of_months(months, freq, seasons, day):
    """Whether on the first, the fifteenth or the last day of each; one after the other, whatever a month's length."""
    first = (np.datetime64("1999-02") + np.arange(30) * months).astype("datetime64[D]")
    last = (first.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1
    instants = {"first": first, "15th": first + 14, "last": last}[day].astype("datetime64[us]")
    clock, text = clock_of(instants)
    assert (clock.freq, clock.start, clock.seasons) == (freq, "1999-02-01T00:00:00", seasons)
    assert text.endswith("no gaps")
    assert to_steps(instants, clock)[0].tolist() == list(range(30))
    assert to_local(np.arange(30), clock).tolist() == first.astype("datetime64[us]").tolist()


@pytest.mark.parametrize("offset", [pd.offsets.BMonthEnd(), pd.offsets.BMonthBegin(), pd.offsets.BQuarterEnd()])
def test_days_of_business_are_those_of_months(offset):
    """The last one of each month lies up to three days before its end, so no difference in days repeats."""
    instants = pd.date_range("2015-01-01", periods=30, freq=offset).to_numpy().astype("datetime64[us]")
    clock, text = clock_of(instants)
    assert clock.freq == ("1QS" if "Quarter" in type(offset).__name__ else "1MS")
    assert text.endswith("no gaps")
    assert to_steps(instants, clock)[0].tolist() == list(range(30))


def test_a_few_stamps_at_the_ends_of_months_are_not_yet_months():
    """Looked at on the last days of January and April and on the 29th of May; and thirty times every 29 days."""
    assert clock_of(stamps("2024-01-30", "2024-04-30", "2024-05-29"))[0].freq.endswith("D")
    assert clock_of(every(29, "D", 30))[0].freq == "29D"


def test_hours_of_one_day_are_no_months():
    """24 stamps of the first of January."""
    assert clock_of(every(1, "h", 24))[0].freq == "1h"


def test_gaps_are_told():
    """Of 1,000 hours, 155 h are missing in one place: of 844 differences one is 156 h; 99.8 %, not yet 100."""
    instants = every(1, "h", 1000)
    clock, text = clock_of(np.delete(instants, np.arange(100, 255)))
    assert (clock.freq, text) == (
        "1h",
        "freq 1h: 99.8 % of neighbouring stamps are 1h apart; longest gap 156 h",
    )
    assert clock_of(instants[[0, 1, 2, 50]])[1].endswith("longest gap 2 days")
    assert clock_of(stamps("2024-01-01", "2024-02-01", "2024-03-01", "2024-06-01"))[1].endswith("longest gap 3 months")


def test_frequency_is_of_neighbours_within_a_series_over_all_tables():
    """Two shops by turns, half an hour apart, each hourly, each of its rows in one of two files."""
    instants, shops = every(30, "m", 96), np.arange(96, dtype=np.int32) % 2
    halves = [np.arange(96) % 3 == 0, np.arange(96) % 3 != 0]
    clock, text = clock_of(*(instants[own] for own in halves), series=[shops[own] for own in halves])
    assert (clock.freq, clock.start) == ("1h", "2024-01-01T00:00:00")
    assert text.startswith("freq 1h: 100 %")
    pairs = every(1, "h", 48)[[0, 1, 10, 11, 20, 21]]
    assert clock_of(pairs, series=[np.repeat([0, 1, 2], 2)])[1].endswith(
        "100 % of neighbouring stamps are 1h apart; no gaps"
    )


def test_rows_of_unknown_series_tell_no_difference():
    """Series -1 is of many series: its stamps of every 7 minutes are not neighbours, but of the span."""
    tables = every(1, "h", 30), every(7, "m", 300, "2024-01-02")
    series = [one(tables[0]), one(tables[1]) - 1]
    clock, text = clock_of(*tables, series=series)
    assert (clock.freq, clock.seasons, text[:14]) == ("1h", (24,), "freq 1h: 100 %")


def test_series_of_one_stamp_each_are_looked_at_together():
    """A cross-section of ten shops, each on a day of its own."""
    assert clock_of(every(1, "D", 10), series=[np.arange(10, dtype=np.int32)])[0].freq == "1D"


@given(st.randoms(use_true_random=False), st.sampled_from([(15, "m"), (1, "h"), (1, "D"), (7, "D")]))
def test_order_and_duplicates_change_nothing(random, apart):
    """Of the clock, of what is told, and of each row's step."""
    instants = every(*apart, 120)[[n for n in range(120) if n % 17 != 5]]
    rows = [*range(len(instants)), *(random.randrange(len(instants)) for _ in range(40))]
    random.shuffle(rows)
    clock, text = clock_of(instants)
    assert clock_of(instants[rows]) == clock_of(instants[rows[:50]], instants[rows[50:]]) == (clock, text)
    assert to_steps(instants[rows], clock)[0].tolist() == to_steps(instants, clock)[0][rows].tolist()


def test_where_no_difference_is_usual_it_is_the_greatest_that_divides_all():
    """Gaps of 10, 15, 25 and 35 minutes."""
    clock, text = clock_of(every(5, "m", 20)[[0, 2, 5, 10, 17]])
    assert clock.freq == "5min"
    assert text == (
        "freq 5min: 0 % of neighbouring stamps are 5min apart; longest gap 35 min; no difference is that of half of "
        "them, and this one divides all"
    )


@pytest.mark.parametrize(
    ("instants", "given", "message"),
    [
        (every(1, "D", 3)[[0, 0]], {}, "all rows have one instant, which tells no freq; set time.freq"),
        (every(500, "ms", 9), {}, "instants are 0.5 s apart, or a multiple of it; .* set time.freq"),
        (every(0, "D", 0), {}, "no row has an instant"),
        (
            np.append(every(1, "s", 9), stamps("2025-01-01")),
            {},
            "freq 1s makes 31,622,401 steps from 2024-01-01T.* to 2025-01-01T.*set a coarser time.freq",
        ),
        (every(1, "D", 600), {"freq": "2s"}, "freq 2s makes 25,876,801 steps .*set a coarser time.freq"),
        (
            stamps("0001-01-01", "2024-01-01"),
            {"freq": "1h", "timezone": BERLIN},
            "instants are from 0001-01-01.*mend them",
        ),
    ],
)
def test_stamps_of_which_no_clock_can_be_made_are_refused(instants, given, message):
    """With the file, what was found, and which setting mends it."""
    with pytest.raises(DataError, match=rf"^train\.csv: .*{message}"):
        clock_of(instants, **given)


def test_just_as_many_steps_as_are_possible_are():
    """20 million seconds, and not one more."""
    assert clock_of(every(19_999_999, "s", 2), freq="1s")[0].freq == "1s"
    with pytest.raises(DataError, match="makes 20,000,001 steps"):
        clock_of(every(20_000_000, "s", 2), freq="1s")


def test_what_is_set_is_taken_as_it_is():
    """Frequency and seasons; told is how many stamps are of that mind."""
    clock, text = clock_of(every(1, "h", 48), freq="60min", season=[24, 7, 24])
    assert (clock.freq, clock.seasons) == ("60min", (7, 24))
    assert text == "freq 60min, as set: 100 % of neighbouring stamps are 60min apart; no gaps"
    assert clock_of(every(1, "h", 48), freq="1D")[1].startswith("freq 1D, as set: 0 % of")
    assert clock_of(stamps("2024-05-05"), freq="1D")[1] == "freq 1D, as set: no two stamps show whether it is so"


def test_steps_of_no_length_are_refused():
    """The pattern of the setting allows 0h."""
    with pytest.raises(ConfigError, match=r"time\.freq is '0h': expected a number from 1"):
        clock_of(every(1, "h", 3), freq="0h")


@pytest.mark.parametrize(
    ("freq", "earliest", "start"),
    [
        ("15min", "2024-05-17T13:58:09", "2024-05-17T13:45:00"),
        ("6h", "1969-05-17T13:58:09", "1969-05-17T12:00:00"),
        ("7h", "2024-05-17T13:58:09", "2024-05-17T13:00:00"),
        ("7D", "2024-05-17T13:58:09", "2024-05-17T00:00:00"),
        ("1QS", "2024-05-17T13:58:09", "2024-04-01T00:00:00"),
        ("1YS", "1969-05-17T13:58:09", "1969-01-01T00:00:00"),
    ],
)
def test_step_zero_is_that_of_the_earliest_stamp(freq, earliest, start):
    """From midnight on where steps divide a day, from January on where they divide a year, before 1970 too."""
    later = np.datetime64(earliest, "us") + np.array([0, 40, 80]) * np.timedelta64(1, "D")
    clock, _ = clock_of(later[::-1], freq=freq)
    assert clock.start == start
    assert to_steps(later[:1], clock)[0].tolist() == [0]


# --- instants and steps


@given(
    st.sampled_from(HOURS + LONGER),
    st.sampled_from(["", BERLIN, "Asia/Kolkata", "America/St_Johns", "Europe/Dublin"]),
    st.lists(st.integers(0, 5000), min_size=1, max_size=30),
    st.sampled_from(["1969-03-01", "2023-10-29", "2024-03-31", "2040-01-01"]),
)
def test_stamps_on_the_grid_come_back_from_their_steps(freq, zone, steps, start):
    """Local clocks show x at the step of x, for every frequency, with and without a timezone."""
    clock, _ = clock_of(stamps(start), freq=freq, timezone=zone)
    shown = to_local(np.array(steps), clock)
    found, notices = to_steps(shown, clock)
    assert to_local(found, clock).tolist() == shown.tolist()
    assert [kind for kind, _ in counts(notices) if kind != zone] == []
    if not zone or freq in LONGER:
        assert found.tolist() == steps


@given(
    st.sampled_from(["", BERLIN]),
    st.sampled_from(HOURS + LONGER),
    st.lists(
        st.datetimes(dt.datetime.fromisoformat("2024-04-02"), dt.datetime.fromisoformat("2024-09-28")), min_size=1
    ),
)
def test_a_stamp_between_two_steps_is_of_the_one_before(zone, freq, moments):
    """It begins no later than the stamp, the next one does; those that are not on a step are counted."""
    clock, _ = clock_of(stamps("2024-04-01"), freq=freq, timezone=zone)
    step, notices = to_steps(stamps(*moments), clock)
    begin, following = to_local(step, clock), to_local(step + 1, clock)
    assert (begin <= stamps(*moments)).all()
    assert (stamps(*moments) < following).all()
    between = int((begin != stamps(*moments)).sum())
    assert [(notice.text, notice.count) for notice in notices] == [
        (f"stamps between two steps of {freq} count as the one before", between)
    ] * (between > 0)


def test_a_deleted_row_moves_no_other():
    """Without the row of 03:00, that of 04:00 is still four steps after midnight; stamps before step 0 are negative."""
    clock, _ = clock_of(every(1, "h", 24))
    assert to_steps(np.delete(every(1, "h", 6), 3), clock)[0].tolist() == [0, 1, 2, 4, 5]
    assert to_steps(stamps("2023-12-31T22:30"), clock)[0].tolist() == [-2]


# --- timezones


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize("backwards", [False, True])
def test_an_hour_is_an_hour_over_both_clock_changes(minutes, backwards):
    """Berlin 2024, the days of 23 and of 25 hours: stamps an hour of UTC apart are an hour's steps apart throughout."""
    shown = in_berlin("2023-12-31T23:00", "2024-12-31T23:00", minutes)[:: -1 if backwards else 1]
    clock, text = clock_of(shown, timezone=BERLIN)
    assert (clock.freq, clock.start) == ({15: "15min", 60: "1h"}[minutes], "2023-12-31T23:00:00")
    assert text.endswith(": 100 % of neighbouring stamps are " + clock.freq + " apart; no gaps")
    step, notices = to_steps(shown, clock)
    assert step.tolist() == list(range(366 * 24 * 60 // minutes))[:: -1 if backwards else 1]
    assert counts(notices) == [(BERLIN, 2 * 60 // minutes)]
    assert to_local(step, clock).tolist() == shown.tolist()


@pytest.mark.parametrize(
    ("zone", "night"),
    [
        (BERLIN, "2024-10-27"),
        ("Europe/Dublin", "2024-10-27"),
        ("America/Havana", "2024-11-03"),
        ("America/St_Johns", "2010-11-07"),
        ("America/New_York", "2050-11-06"),
    ],
)
def test_the_repeated_hour_is_pythons(zone, night):
    """From noon to noon, once with fold 0 and once with fold 1; without any one of its rows the others stay."""
    noon = dt.datetime.fromisoformat(night).replace(tzinfo=dt.UTC) - dt.timedelta(hours=12)
    instants = [noon + dt.timedelta(minutes=10 * n) for n in range(24 * 6)]
    shown = stamps(*(at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for at in instants))
    clock = Clock("10min", noon.replace(tzinfo=None).isoformat(), zone, ())
    step, (notice,) = to_steps(shown, clock)
    assert step.tolist() == list(range(len(shown)))
    assert notice.count == 12
    for row in range(60, 132):
        assert to_steps(np.delete(shown, row), clock)[0].tolist() == [*range(row), *range(row + 1, len(shown))]


def test_equal_stamps_of_the_repeated_hour_are_summer_time_first():
    """By series, wherever its rows stand: a has both, b one alone; c has four rows, of which two are of each."""
    clock = Clock("1h", "2024-10-27T00:00:00", BERLIN, ())
    series = np.array([ord(name) for name in "caaccbc"], dtype=np.int32)
    found, (notice,) = to_steps(stamps(*["2024-10-27T02:00"] * 7), clock, series, subject="when")
    assert found.tolist() == [0, 0, 1, 0, 1, 0, 1]
    assert (notice.subject, notice.count) == ("when", 7)
    assert notice.text.startswith(f"stamps that {BERLIN} has twice as clocks go back are of summer time first")


def test_a_deleted_row_of_the_repeated_hour_moves_no_other():
    """Quarters of an hour in order, without 02:30 of summer time: where stamps go back winter time begins, if once."""
    shown = np.delete(in_berlin("2024-10-26T12:00", "2024-10-27T12:00", 15), 50)
    clock = Clock("15min", "2024-10-26T12:00:00", BERLIN, ())
    expected = np.delete(np.arange(96), 50)
    assert shown[48:55].tolist() == stamps(*(f"2024-10-27T02:{m:02}" for m in (0, 15, 45, 0, 15, 30, 45))).tolist()
    assert to_steps(shown, clock)[0].tolist() == expected.tolist()
    assert to_steps(shown[::-1], clock)[0].tolist() == expected[::-1].tolist()
    two = np.repeat(np.array([0, 1], dtype=np.int32), len(shown))
    by_turns = np.arange(2 * len(shown)).reshape(2, -1).T.ravel()
    found = to_steps(np.tile(shown, 2)[by_turns], clock, two[by_turns])[0]
    assert found.tolist() == np.repeat(expected, 2).tolist()
    assert to_steps(np.tile(shown, 2), clock, two)[0].tolist() == np.tile(expected, 2).tolist()


def test_rows_in_no_order_tell_no_winter_time():
    """02:30 above 02:00 in a file at random: both are alone, and of summer time."""
    clock = Clock("30min", "2024-10-27T00:00:00", BERLIN, ())
    shown = stamps("2024-10-26T12:00", "2024-10-27T02:30", "2024-10-27T02:00", "2024-10-28T12:00")
    assert to_steps(shown, clock)[0].tolist() == [-28, 1, 0, 70]


def test_skipped_stamps_move_to_the_first_that_exists():
    """Clocks in Berlin show no 02:30 on the 31st of March 2024: it is 03:00, and counted."""
    clock = Clock("30min", "2024-03-31T00:00:00", BERLIN, ())
    found, notices = to_steps(stamps(*(f"2024-03-31T{at}" for at in ("01:30", "02:00", "02:30", "03:00"))), clock)
    assert found.tolist() == [1, 2, 2, 2]
    assert [(notice.text, notice.count) for notice in notices] == [
        (f"stamps that {BERLIN} skips as clocks go forward were moved to the first that exists", 2)
    ]


@pytest.mark.parametrize(("apart", "freq"), [((1, "D"), "1D"), ((6, "h"), "6h"), ((2, "h"), "2h")])
def test_steps_longer_than_an_hour_are_of_the_clock_on_the_wall(apart, freq):
    """Midnights of Athens are a step apart, be the day of 23 or 25 hours; nothing is between, skipped or twice."""
    shown = every(*apart, 1200, "2024-03-01")
    clock, text = clock_of(shown, timezone="Europe/Athens")
    assert (clock.freq, clock.start, text[-7:]) == (freq, "2024-03-01T00:00:00", "no gaps")
    step, notices = to_steps(shown, clock)
    assert (step.tolist(), notices) == (list(range(1200)), ())
    assert to_local(step, clock).tolist() == shown.tolist()


def test_local_days_with_many_gaps_are_days():
    """Gaps of 2, 3 and 5 days: of UTC they are of whole hours only."""
    shown = every(1, "D", 401)[np.cumsum([0, *[2, 3, 5] * 40])]
    assert clock_of(shown, timezone=BERLIN)[0].freq == "1D"


def test_hours_of_a_zone_between_hours_lie_on_the_grid():
    """Kolkata is 5:30 ahead of UTC: local full hours are steps, none is between two."""
    shown = every(1, "h", 100)
    clock, _ = clock_of(shown, timezone="Asia/Kolkata")
    assert (clock.freq, clock.start) == ("1h", "2023-12-31T18:30:00")
    step, notices = to_steps(shown, clock)
    assert (step.tolist(), notices) == (list(range(100)), ())


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("berlin", "did you mean 'Europe/Berlin'"),
        ("Europe", "no timezone"),
        ("../secret", "no timezone"),
        ("&&&&", "expected is a name such as 'Europe/Berlin'"),
    ],
)
@pytest.mark.parametrize("apart", [(1, "h"), (1, "D")])
def test_an_unknown_timezone_is_refused_with_the_nearest(name, remedy, apart):
    """Misspelt, a city alone, a folder of zones, or nothing like a name; of hours and of days."""
    with pytest.raises(ConfigError, match=rf"time\.timezone is '{name}', which is .*{remedy}"):
        clock_of(every(*apart, 3), timezone=name)


def test_missing_instants_are_our_own_bug():
    """They are refused where tables are read."""
    clock = Clock("1h", "2024-01-01T00:00:00", "", ())
    with pytest.raises(AssertionError):
        to_steps(stamps("2024-01-01", "NaT"), clock)
    with pytest.raises(AssertionError):
        clock_of(stamps("2024-01-01", "NaT"))


@pytest.mark.parametrize("zone", ["", BERLIN])
def test_no_rows_have_no_steps(zone):
    """And nothing is noticed."""
    clock = Clock("1h", "2024-01-01T00:00:00", zone, ())
    step, notices = to_steps(stamps(), clock)
    assert (step.tolist(), to_local(step, clock).tolist(), notices) == ([], [], ())
