"""Speed and time left: from what ended lately, and not before there is evidence."""

from __future__ import annotations

import pytest

from pipeline.pace import Pace, time_left


def test_nothing_is_said_before_as_many_have_ended_as_are_in_flight() -> None:
    """Four in flight: after three it might be luck; after four in eight seconds, six more take twelve."""
    pace = Pace(0.0, done=0)
    for done in (1, 2, 3):
        pace.mark(2.0 * done, done, 5 * done, 4)
        assert pace.seconds_left(2.0 * done, 6, 4) is None
    pace.mark(8.0, 4, 20, 4)
    assert pace.seconds_left(8.0, 6, 4) == pytest.approx(12)


def test_two_trials_are_no_evidence_even_one_at_a_time() -> None:
    """Three are."""
    pace = Pace(0.0, done=0)
    pace.mark(1.0, 2, 2, 1)
    assert pace.seconds_left(1.0, 5, 1) is None
    pace.mark(3.0, 3, 3, 1)
    assert pace.seconds_left(3.0, 5, 1) == pytest.approx(5)


def test_trials_of_an_earlier_day_are_no_evidence() -> None:
    """A hundred had ended before; ten ended in these ten seconds."""
    pace = Pace(50.0, done=100)
    assert pace.seconds_left(51.0, 10, 1) is None
    pace.mark(60.0, 110, 10, 1)
    assert pace.seconds_left(60.0, 10, 1) == pytest.approx(10)


def test_speed_is_that_of_late_not_of_the_beginning() -> None:
    """A hundred trials of ten seconds, then a hundred of one: what is left goes on like the last."""
    pace, now = Pace(0.0, done=0), 0.0
    for done in range(1, 201):
        now += 10 if done <= 100 else 1
        pace.mark(now, done, 5 * done, 8)
    assert pace.seconds_left(now, 50, 8) == pytest.approx(50)
    assert pace.networks_a_second(now) == pytest.approx(5)


def test_a_pace_without_an_end_slows_down_as_time_goes_by() -> None:
    """Nothing has ended since: the estimate grows instead of standing still."""
    pace = Pace(0.0, done=0)
    pace.mark(10.0, 10, 50, 1)
    assert pace.seconds_left(10.0, 10, 1) == pytest.approx(10)
    assert pace.seconds_left(20.0, 10, 1) == pytest.approx(20)
    assert pace.networks_a_second(20.0) == pytest.approx(2.5)


def test_no_network_no_speed() -> None:
    """Nor in no time."""
    pace = Pace(0.0, done=0)
    assert pace.networks_a_second(5.0) is None
    pace.mark(0.0, 3, 3, 1)
    assert pace.networks_a_second(0.0) is None
    assert pace.seconds_left(0.0, 3, 1) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (5, "less than a minute left"),
        (89, "about 1 min left"),
        (3570, "about 1 h 00 min left"),
        (12_000, "about 3 h 20 min left"),
        (100_000, "about 27 h left"),
    ],
)
def test_time_is_rounded_as_the_evidence_deserves(seconds: float, said: str) -> None:
    """Minutes below an hour."""
    assert time_left(seconds) == said
