"""How far ahead rows are forecast: the layout of test rows in time, the origin of each row, and ages for training.

A row's origin is the last step of which anything may be known for it, its age how many steps it lies after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.tables import Integers
    from pipeline.timeline import Moments

RANDOM_SHARE = 0.7  # of the blocks that rows drawn one by one would make: with more, they were drawn so
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def find_layout(train: Moments, test: Moments) -> tuple[str, str]:
    """How the rows of a test file lie beside those of train, and what tells so."""
    rows, first, last = len(test.step), int(train.step.min()), int(train.step.max())
    fresh = ~np.isin(test.series, train.series)
    if fresh.mean() > 0.5:
        return "new_groups", f"{fresh.sum()} of {rows} test rows are of series that train has not"
    # by series, for they may end on different days, and some go on where others are to be forecast
    ends = np.full(int(max(train.series.max(), test.series.max())) + 1, np.iinfo(np.int64).min)
    np.maximum.at(ends, train.series, train.step)
    if (fresh | (test.step > ends[test.series])).all():
        span = int(test.step.max()) - last
        return "future", f"all {rows} test rows lie after the last training row of their series, up to {span} steps"
    after = int((test.step > last).sum())
    blocks = len(np.unique(np.stack([test.series, block_starts(test, train)]), axis=1).T)
    # a row begins a block if the one before it is in train, whose chance is train's share where rows were drawn alone
    if blocks > RANDOM_SHARE * rows * len(train.step) / (len(train.step) + rows):
        return "random", f"{rows} test rows in {blocks} stretches between training rows (from step {first} to {last})"
    return "interleaved", f"{rows} test rows in {blocks} blocks, of which {after} rows lie after the last training row"


def block_starts(moments: Moments, known: Moments) -> Integers:
    """The first step of each row's block: rows of a series between which no known row of that series lies."""
    before = _latest_before(moments, known)
    order = np.lexsort((moments.step, before, moments.series))
    series, place, step = moments.series[order], before[order], moments.step[order]
    is_first = np.append(True, (np.diff(series) != 0) | (np.diff(place) != 0))
    starts: Integers = np.empty(len(order), dtype=np.int64)
    starts[order] = step[is_first][np.cumsum(is_first) - 1]
    return starts


def block_origins(moments: Moments, known: Moments, *, gap: int = 0) -> Integers:
    """The last step, more than `gap` before each row's block, at which any series has a known row.

    Where none has: the last step that could.
    """
    starts = block_starts(moments, known) - gap
    steps = np.unique(known.step)
    place = np.searchsorted(steps, starts) - 1
    return np.where(place >= 0, steps[place.clip(min=0)], starts - 1)


def rolling_ages(moments: Moments, horizon: int, seed: int) -> Integers:
    """An age from 1 to `horizon` for each row, drawn by series and step, so that every row and age meet."""
    ages: Integers = 1 + (_drawn(moments, seed) % np.uint64(horizon)).astype(np.int64)
    return ages


def drawn_ages(moments: Moments, like: Integers, phases: Integers, period: int, seed: int) -> Integers:
    """An age for each row, drawn from those of forecast rows with the same phase of the season.

    like, phases: age of each forecast row, and its step modulo `period`. A phase that no forecast row has draws from
    all ages. Drawn by series and step, so neither the order of rows nor what else is there has a say.
    """
    order = np.lexsort((like, phases))
    ages, own = like[order], moments.step % period
    low, high = (np.searchsorted(phases[order], own, side) for side in ("left", "right"))
    low, high = np.where(low == high, 0, low), np.where(low == high, len(ages), high)
    drawn: Integers = ages[low + (_drawn(moments, seed) % (high - low).astype(np.uint64)).astype(np.int64)]
    return drawn


def _latest_before(moments: Moments, known: Moments) -> Integers:
    """For each row, how many known rows of its series lie before it."""
    low = min(int(known.step.min()), int(moments.step.min()))
    width = max(int(known.step.max()), int(moments.step.max())) - low + 2
    # series are told apart by 1, for unknown ones are -1
    keys = np.sort((known.series.astype(np.int64) + 1) * width + known.step - low)
    own = (moments.series.astype(np.int64) + 1) * width
    return np.searchsorted(keys, own + moments.step - low) - np.searchsorted(keys, own)


def _drawn(moments: Moments, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """64 random bits for each row, a hash of seed, series and step (splitmix64)."""
    with np.errstate(over="ignore"):
        bits = np.uint64(seed) * _MIX[0] + moments.series.astype(np.int64).view(np.uint64)
        for word in (moments.step.view(np.uint64), _MIX[0]):
            bits = (bits ^ (bits >> np.uint64(30))) * _MIX[1]
            bits = (bits ^ (bits >> np.uint64(27))) * _MIX[2]
            bits = (bits ^ (bits >> np.uint64(31))) + word * _MIX[0]
        bits = (bits ^ (bits >> np.uint64(30))) * _MIX[1]
        return bits ^ (bits >> np.uint64(27))
