"""Folds that replay how the test rows lie in time: each scores a stretch as far ahead, and as blind, as the test is.

For each fold it is said what must not be known while it is made: nothing of a scored stretch reaches its own rows, nor
the rows behind it on which the fold trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tables import Folds, Notice
from pipeline.tabular.origins import block_origins, block_starts, rolling_ages
from pipeline.timeline import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline.settings import FoldSettings
    from pipeline.tables import Booleans, Integers
    from pipeline.timeline import Timeline

FEWEST_ROWS = 2  # that a fold trains on, and scores
FEWEST_FOLDS = 2
AHEAD = ("future", "rolling")  # layouts in which no fold trains on what comes after an origin of its scored rows
BLOCKS = ("future", "interleaved", "rolling")  # layouts in which whole stretches of time are to be forecast


@dataclass(frozen=True, slots=True)
class Replay:
    """Folds, with what is known in each. One entry a fold, but for notices."""

    folds: Folds
    origins: tuple[Integers, ...]  # of the rows that the fold scores, in their order
    hidden: tuple[Booleans, ...]  # [P] rows of `Timeline.known` that nothing in this fold may see
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Steps that a fold scores, those it must not train on, and those it must not know."""

    scored: Booleans  # [N]
    trained: Booleans  # [N]
    hidden: Booleans  # [P]


def replay(timeline: Timeline, folds: FoldSettings) -> Replay:
    """Folds in the layout of the test, oldest first.

    Guarantees: in every fold each scored row lies after its origin; with layouts future and rolling the fold trains on
    nothing after the origin of its first scored row; nothing hidden has an effect on any row of the fold.
    Raises ConfigError where the training rows do not last for two folds.
    """
    stretches, notices = _LAYOUTS[timeline.layout](timeline, folds)
    usable = [rows for one in stretches if (rows := _rows_of(timeline, one))]
    if len(usable) < min(FEWEST_FOLDS, folds.count):
        remedy = '; or score the end of train instead: [time] layout = "future"' if timeline.layout not in AHEAD else ""
        raise ConfigError(
            f"the training rows make {len(usable)} of {folds.count} folds in the layout of the test "
            f"({timeline.layout}), expected {FEWEST_FOLDS} at least; bring more history{remedy}"
        )
    if len(usable) < folds.count:
        text = f"folds in the layout of the test ({timeline.layout}), fewer than folds.count = {folds.count}"
        notices = (*notices, Notice("folds", text, len(usable)))
    return Replay(
        folds=Folds(train=tuple(own[0] for own in usable), valid=tuple(own[1] for own in usable)),
        origins=tuple(origins for _, _, origins, _ in usable),
        hidden=tuple(hidden for _, _, _, hidden in usable),
        notices=notices,
    )


def _rows_of(timeline: Timeline, one: _Stretch) -> tuple[Integers, Integers, Integers, Booleans] | None:
    """Rows that the fold trains on, those that it scores, their origins, and what is hidden; None of too few."""
    train, valid = np.flatnonzero(one.trained), np.flatnonzero(one.scored)
    if min(len(train), len(valid)) < FEWEST_ROWS:
        return None
    origins = _origins(timeline, valid, one.hidden)
    if timeline.layout in AHEAD:
        train = train[timeline.train.step[train] <= origins.min()]
    return (train, valid, origins, one.hidden) if len(train) >= FEWEST_ROWS else None


def replayed(timeline: Timeline, folds: Folds) -> Replay:
    """Folds of another kind, with what they score hidden from every history: what is known beside it still leaks."""
    width = int(np.ptp(timeline.known.step)) + 1  # steps may be below 0
    keys = timeline.known.series.astype(np.int64) * width + timeline.known.step
    own = timeline.train.series.astype(np.int64) * width + timeline.train.step
    hidden = tuple(np.isin(keys, own[valid]) for valid in folds.valid)
    pairs = zip(folds.valid, hidden, strict=True)
    origins = tuple(_origins(timeline, valid, unknown) for valid, unknown in pairs)
    notices: tuple[Notice, ...] = ()
    if timeline.layout in BLOCKS:
        text = (
            f"rows of all times on both sides, but the test is {timeline.layout}: scores are too good, for the test "
            f'has no rows beside it to learn from; set folds.kind = "replay"'
        )
        notices = (Notice("folds", text, 0),)
    return Replay(folds, origins, hidden, notices)


def _origins(timeline: Timeline, valid: Integers, hidden: Booleans) -> Integers:
    moments = _taken(timeline.train, valid)
    if timeline.layout == "rolling":
        return moments.step - timeline.gap - rolling_ages(moments, timeline.horizon, timeline.seed)
    known = Moments(timeline.known.series[~hidden], timeline.known.step[~hidden])
    return block_origins(moments, known, gap=timeline.gap)


def _taken(moments: Moments, rows: Integers) -> Moments:
    return Moments(moments.series[rows], moments.step[rows])


def _future(timeline: Timeline, folds: FoldSettings) -> tuple[list[_Stretch], tuple[Notice, ...]]:
    """Rolling origin: the latest block ends with the training rows, each earlier one where that began."""
    step, known = timeline.train.step, timeline.known.step
    first, last = int(step.min()), int(step.max())
    ages = timeline.test.step - timeline.test_origin
    length = int(ages.max())  # series may end on different days: what counts is how far ahead each is forecast
    count = min(folds.count, (last - first + 1) // length - 1)  # the oldest fold trains on as much as it scores
    notices: tuple[Notice, ...] = ()
    if count < FEWEST_FOLDS:
        count = min(folds.count, FEWEST_FOLDS)
        short = max((last - first + 1) // (count + 1), 1)
        text = f"steps that a fold scores, for the training rows span only {last - first + 1}; the test has {length}"
        length, notices = short, (Notice("folds", text, short),)
    origins = [last - length * back for back in range(count, 0, -1)]
    gap = min(int(ages.min()) - 1, length - 1)  # of the settings, or what the files leave open
    return [
        _Stretch((step > origin + gap) & (step <= origin + length), step <= origin, known > origin)
        for origin in origins
    ], notices


def _rolling(timeline: Timeline, folds: FoldSettings) -> tuple[list[_Stretch], tuple[Notice, ...]]:
    """As the future block, but shorter where that makes room, and with its truth coming in as time goes on."""
    step, known = timeline.train.step, timeline.known.step
    first, last = int(step.min()), int(step.max())
    length = int(timeline.test.step.max()) - int(timeline.test.step.min()) + 1
    length = max(min(length, (last - first + 1) // (folds.count + 1)), 1)
    origins = [last - length * back for back in range(folds.count, 0, -1)]
    return [
        _Stretch((step > origin) & (step <= origin + length), step <= origin, np.zeros(len(known), dtype=bool))
        for origin in origins
    ], ()


def _interleaved(timeline: Timeline, folds: FoldSettings) -> tuple[list[_Stretch], tuple[Notice, ...]]:
    """Each test block moved back to end where the training rows before it do; block i is scored by fold i mod K.

    Where only the past may be learned from, each of the latest blocks is a fold of its own.
    """
    step, known = timeline.train.step, timeline.known.step
    blocks = list(_blocks(timeline))
    count = min(folds.count, len(blocks))
    parts = [[block] for block in blocks[-count:]] if timeline.only_past else [blocks[k::count] for k in range(count)]
    stretches = []
    for part in parts:
        scored, blocked = np.zeros(len(step), dtype=bool), np.zeros(len(step), dtype=bool)
        hidden = np.zeros(len(known), dtype=bool)
        for start, end, origin in part:
            shift = end - origin
            scored |= (step >= start - shift) & (step <= origin)
            blocked |= (step > origin - shift) & ((step <= origin + timeline.embargo) | timeline.only_past)
            hidden |= (known > origin - shift) & (known <= origin + timeline.embargo)
        stretches.append(_Stretch(scored, ~blocked, hidden))
    return stretches, ()


def _blocks(timeline: Timeline) -> Iterator[tuple[int, int, int]]:
    """First step, last step and origin of each block of test rows that training rows precede, oldest first."""
    test = timeline.test
    starts = block_starts(test, timeline.known.moments)
    first_known = int(timeline.train.step.min())
    for start in np.unique(starts):
        own = starts == start
        origin = int(timeline.test_origin[own].min())
        if origin >= first_known:
            yield int(start), int(test.step[own].max()), origin


def _random(timeline: Timeline, folds: FoldSettings) -> tuple[list[_Stretch], tuple[Notice, ...]]:
    """Steps drawn at random, each with all series in it."""
    steps = np.unique(timeline.train.step)
    fold_of = np.random.default_rng(folds.seed).permutation(len(steps)) % folds.count
    return [
        _of(np.isin(timeline.train.step, own), np.isin(timeline.known.step, own), timeline)
        for own in (steps[fold_of == fold] for fold in range(folds.count))
    ], ()


def _new_groups(timeline: Timeline, folds: FoldSettings) -> tuple[list[_Stretch], tuple[Notice, ...]]:
    """Whole series, of which nothing is known."""
    series = np.unique(timeline.train.series)
    fold_of = np.random.default_rng(folds.seed).permutation(len(series)) % folds.count
    return [
        _of(np.isin(timeline.train.series, own), np.isin(timeline.known.series, own), timeline)
        for own in (series[fold_of == fold] for fold in range(folds.count))
    ], ()


def _of(scored: Booleans, hidden: Booleans, timeline: Timeline) -> _Stretch:
    """A stretch of single steps or series: the steps of the embargo after each are not trained on."""
    blocked = scored
    if timeline.embargo and timeline.layout == "random":
        steps = np.unique(timeline.train.step[scored])
        place = np.searchsorted(steps, timeline.train.step, side="right") - 1
        blocked = (place >= 0) & (timeline.train.step - steps[place.clip(min=0)] <= timeline.embargo)
    return _Stretch(scored, ~blocked, hidden)


_LAYOUTS: Mapping[str, Callable[[Timeline, FoldSettings], tuple[list[_Stretch], tuple[Notice, ...]]]] = {
    "future": _future,
    "rolling": _rolling,
    "interleaved": _interleaved,
    "random": _random,
    "new_groups": _new_groups,
}
