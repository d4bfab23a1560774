"""How fast a sweep goes, by what ended lately: speed, and the time that is left. Nothing before there is evidence."""

from __future__ import annotations

from collections import deque

FEWEST_ENDED = 3  # trials, before anything is said
WINDOW = 30  # of the last trials that ended, or two rounds of those in flight where these are more


class Pace:
    """Told whenever trials have ended; moments and times in seconds."""

    def __init__(self, moment: float, done: int) -> None:
        """done: trials that had ended before anybody looked."""
        self._marks: deque[tuple[float, int, int]] = deque([(moment, done, 0)])
        self._first = done

    def mark(self, moment: float, done: int, networks: int, in_flight: int) -> None:
        """So many trials of the study have ended by now, and so many networks of this process."""
        self._marks.append((moment, done, networks))
        window = max(WINDOW, 2 * in_flight)
        while done - self._marks[1][1] >= window:
            self._marks.popleft()

    def networks_a_second(self, moment: float) -> float | None:
        """Networks whose training has ended, by the way or at its end, per second; None where none has."""
        begun, _, before = self._marks[0]
        ended = self._marks[-1][2] - before
        return ended / (moment - begun) if ended and moment > begun else None

    def seconds_left(self, moment: float, missing: int, in_flight: int) -> float | None:
        """Until so many further trials have ended; None as long as fewer have ended than are in flight."""
        begun, before, _ = self._marks[0]
        done = self._marks[-1][1]
        if done - self._first < max(FEWEST_ENDED, in_flight) or moment <= begun or done <= before:
            return None
        return missing * (moment - begun) / (done - before)


def time_left(seconds: float) -> str:
    """As a person says it, rounded: the evidence is not better than that."""
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min left"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes:02} min left" if hours < 10 else f"about {hours} h left"
