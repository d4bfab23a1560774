"""Columns that are known ahead and tell the target: its values of some steps later, or earlier but after an origin.

A shift k is pandas': a column that is `y.shift(k)` has at step t the target of step t - k, so k <= 0 tells what is to
be forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from pipeline.tabular.findings import FEWEST_ROWS, Finding, correlation, drop_line
from pipeline.timeline import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Booleans, Codes, Floats, Integers, Texts
    from pipeline.timeline import Clock, Timeline

MOST_STEPS, MOST_SEASONS = 3, 2  # that a column is moved either way
EQUAL = 0.99  # share of rows, of all and of those on which the target moved
FOLLOWS, ORDERS = 0.99, 0.9  # correlation of changes, and of their ranks: one far outlier can make the first
SAME_BUT_UNIT = 0.9999  # correlation of changes of the target itself, in another unit
NEAR = 1e-6  # relative: what two writings of a number differ by


@dataclass(frozen=True, slots=True)
class _Match:
    """How far a column is the target at one shift."""

    shift: int
    equal: float  # share of the rows where both are known; 0 where that says nothing
    follows: float  # correlation of changes; 0 where that says nothing
    rows: Booleans  # [N] on which they are equal
    compared: int


def shifts_of(clock: Clock) -> tuple[int, ...]:
    """Every shift that is tried, the nearest first, later before earlier."""
    seasons = {sign * n * season for season in clock.seasons for n in range(1, MOST_SEASONS + 1) for sign in (-1, 1)}
    return tuple(sorted({*range(-MOST_STEPS, MOST_STEPS + 1), *seasons}, key=lambda k: (abs(k), k)))


def foretelling(timeline: Timeline, columns: Mapping[str, Floats], ids: Texts) -> list[Finding]:
    """Findings of columns [N] of the training rows that give the target away, series by series.

    A column that is the target of so long ago that every test row may know it is honest.
    """
    own, oldest = timeline.train, int((timeline.test.step - timeline.test_origin).max(initial=1))
    shifts = shifts_of(timeline.clock)
    target = {k: _known_at(timeline, own, k) for k in sorted({k + back for k in shifts for back in (0, 1)})}
    before = _row_before(own)
    findings = []
    for name, values in columns.items():
        moves = np.where(before >= 0, values - values[before], np.nan)
        matches = [_match(k, values, moves, target[k], target[k] - target[k + 1]) for k in shifts]
        findings += _told(name, matches, oldest, ids)
    return findings


def _match(shift: int, values: Floats, moves: Floats, target: Floats, target_moves: Floats) -> _Match:
    both = np.isfinite(values) & np.isfinite(target)
    rows: Booleans = both & np.isclose(values, target, rtol=NEAR, atol=0.0)
    # a column that is 0 as the target mostly is, or that stays as it does, says nothing: the moves have to agree
    moved = both & np.isfinite(target_moves) & (target_moves != 0)
    is_enough = moved.sum() >= FEWEST_ROWS
    equal = min(float(rows[both].mean()), float(rows[moved].mean())) if is_enough else 0.0
    pairs = np.isfinite(moves) & np.isfinite(target_moves)
    return _Match(shift, equal, _following(moves[pairs], target_moves[pairs]), rows, int(both.sum()))


def _following(moves: Floats, target_moves: Floats) -> float:
    """Correlation of changes, where it is one of ranks too."""
    if len(moves) < FEWEST_ROWS or abs(found := correlation(moves, target_moves)) < FOLLOWS:
        return 0.0
    return found if abs(correlation(stats.rankdata(moves), stats.rankdata(target_moves))) >= ORDERS else 0.0


def _told(name: str, matches: Sequence[_Match], oldest: int, ids: Texts) -> list[Finding]:
    """At most one finding of a column: equal values before values that move alike, honest shifts before others."""
    best = max(matches, key=lambda own: (own.equal, own.shift >= oldest))
    if best.equal >= EQUAL:
        if best.shift >= oldest:
            return []
        first = str(ids[int(np.argmax(best.rows))])
        text = (
            f"column {name!r} is the target {_when(best.shift)}: equal on {best.rows.sum() / best.compared:.1%} of the "
            f"{best.compared:,} rows where both are known, the first with id {first!r}"
        )
        if best.shift > 0:
            text += f"; test rows are forecast up to {oldest} steps ahead, when that is not known yet"
        return [_finding(name, text, is_leak=best.shift <= 0)]
    # of a smooth target the step before moves alike too: what an honest lag explains as well is no leak
    best = max(matches, key=lambda own: (abs(own.follows), own.shift > 0))
    if best.shift > 0 or abs(best.follows) < FOLLOWS:
        return []
    text = (
        f"column {name!r} moves as the target does {_when(best.shift)}: correlation of changes {best.follows:.3f} on "
        f"{best.compared:,} rows"
    )
    if abs(best.follows) >= SAME_BUT_UNIT:
        return [_finding(name, text, is_leak=True)]
    # a true driver of the target does so too: only a person knows whether it is known by then
    return [_finding(name, f"{text}; keep it if it is truly known when rows are forecast", is_leak=False)]


def _finding(name: str, text: str, *, is_leak: bool) -> Finding:
    past_only = f"[time] past_only = {drop_line([name]).partition(' = ')[2]}"
    remedy = f"{drop_line([name])}; or, to use what is known of it by then, {past_only}"
    return Finding("tells the target ahead", (name,), text, remedy, "leak" if is_leak else "warning")


def _when(shift: int) -> str:
    if shift == 0:
        return "of the same step"
    return f"of {abs(shift)} step{'s' * (abs(shift) > 1)} {'earlier' if shift > 0 else 'later'} (shift {shift})"


def _known_at(timeline: Timeline, own: Moments, back: int) -> Floats:
    """The target [N] of each row's series, so many steps before the row; NaN where none is known."""
    known = timeline.known
    place = _place(known.moments, own.series, own.step - back)
    return np.where(place >= 0, known.values[place, 0], np.nan)


def _row_before(own: Moments) -> Integers:
    """For each row the one of its series a step earlier, -1 where there is none."""
    order = np.lexsort((own.step, own.series))
    place = _place(Moments(own.series[order], own.step[order]), own.series, own.step - 1)
    return np.where(place >= 0, order[place], -1)


def _place(rows: Moments, series: Codes, step: Integers) -> Integers:
    """Positions of (series, step) among sorted rows; -1 where they are not."""
    low = min(int(rows.step.min()), int(step.min()))
    width = max(int(rows.step.max()), int(step.max())) - low + 1
    keys = rows.series.astype(np.int64) * width + rows.step - low
    wanted = series.astype(np.int64) * width + step - low
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)
