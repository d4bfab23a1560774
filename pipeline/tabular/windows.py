"""Statistics of the past of many series at once. Entry [g, o] is of the steps 0 .. o of series g, and of nothing else.

Axis letters: G series, S steps, B blocks of W steps. NaN (or an infinity) is a step of which nothing is known. Every
result is the same bit for bit whatever comes after o, however many steps follow, and whatever the other series hold.
Series and steps are [G, S]; time-major memory (Fortran order) is read without a copy, and is what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from pipeline.tables import Booleans, Floats, Integers

FADED = 1e-100  # weight of all values so far, below which their mean stays as it was: quotients of nothing are noise


@dataclass(frozen=True, slots=True)
class Rolling:
    """Of the known values of each window."""

    count: Floats  # [G, S]
    mean: Floats  # [G, S] NaN without a value
    std: Floats  # [G, S] with count - 1; NaN below 2 values


@dataclass(frozen=True, slots=True)
class _Running:
    """Count, mean and sum of squares about the mean, of what was added so far. Changed in place."""

    count: Floats
    mean: Floats
    squares: Floats

    @classmethod
    def like(cls, shape: Floats) -> _Running:
        """Of nothing."""
        return cls(*(np.zeros_like(shape) for _ in range(3)))

    def add(self, value: Floats, known: Floats) -> None:
        """One more step (Welford): no sum is ever taken far from the mean. `known` is 1, or 0 where value is 0."""
        count, mean, squares = self.count, self.mean, self.squares
        count += known
        delta = (value - mean) * known
        mean += delta / np.maximum(count, 1)
        squares += delta * (value - mean)

    def join(self, other: _Running) -> None:
        """All steps of another one (Chan, Golub and LeVeque)."""
        count, mean, squares = self.count, self.mean, self.squares
        share = other.count / np.maximum(count + other.count, 1)
        delta = other.mean - mean
        mean += delta * share
        squares += other.squares + delta * delta * (count * share)
        count += other.count

    def become(self, other: _Running) -> None:
        """A copy of another one."""
        self.count[...], self.mean[...], self.squares[...] = other.count, other.mean, other.squares

    def at(self, *place: int | slice) -> _Running:
        """A part of it, which shares its memory."""
        return _Running(self.count[place], self.mean[place], self.squares[place])


# --- over the last W steps: a window is the end of one block of W steps and the beginning of the next


def rolling_moments(values: Floats, window: int) -> Rolling:
    """Count, mean and standard deviation of the last `window` steps, in a time that does not grow with `window`.

    Source: van Herk 1992, Gil and Werman 1993, with Welford's moments in place of a maximum.
    """
    steps = values.shape[1]
    blocks, is_known = _blocks(values, window, fill=0.0)
    known = is_known.astype(np.float64)
    found, beginning, ending = (_Running.like(shape) for shape in (blocks, blocks[:, 0], blocks[1:, 0]))
    for j in range(blocks.shape[1] - 1, 0, -1) if len(blocks) > 1 else ():
        ending.add(blocks[:-1, j], known[:-1, j])
        found.at(slice(1, None), j - 1).become(ending)  # what of the block before is in the window that ends at j - 1
    for j in range(blocks.shape[1]):
        beginning.add(blocks[:, j], known[:, j])
        found.at(slice(None), j).join(beginning)
    count, mean, squares = found.count, found.mean, found.squares
    mean[count == 0] = np.nan
    squares /= np.maximum(count - 1, 1)
    np.sqrt(squares, out=squares)
    squares[count < 2] = np.nan
    return Rolling(_series(count, steps), _series(mean, steps), _series(squares, steps))


def rolling_min(values: Floats, window: int) -> Floats:
    """Least known value of the last `window` steps."""
    return _rolling_extreme(values, window, np.minimum, np.inf)


def rolling_max(values: Floats, window: int) -> Floats:
    """Largest known value of the last `window` steps."""
    return _rolling_extreme(values, window, np.maximum, -np.inf)


def _rolling_extreme(values: Floats, window: int, extreme: np.ufunc, nothing: float) -> Floats:
    """`nothing` is what changes no other value's extreme."""
    blocks, _ = _blocks(values, window, fill=nothing)
    found = np.full_like(blocks, nothing)
    ending, beginning = np.full_like(blocks[1:, 0], nothing), np.full_like(blocks[:, 0], nothing)
    for j in range(blocks.shape[1] - 1, 0, -1) if len(blocks) > 1 else ():
        extreme(ending, blocks[:-1, j], out=ending)
        found[1:, j - 1] = ending
    for j in range(blocks.shape[1]):
        extreme(beginning, blocks[:, j], out=beginning)
        extreme(found[:, j], beginning, out=found[:, j])
    found[np.isinf(found)] = np.nan
    return _series(found, values.shape[1])


def _blocks(values: Floats, window: int, *, fill: float) -> tuple[Floats, Booleans]:
    """[B, W, G] with `fill` where nothing is known, and what is. A window longer than all steps is one block."""
    series, steps = values.shape
    width = min(window, steps)
    blocks = np.empty((-(-steps // width) * width, series))
    blocks[:steps], blocks[steps:] = values.T, np.nan
    known = np.isfinite(blocks)
    np.copyto(blocks, fill, where=~known)
    return blocks.reshape(-1, width, series), known.reshape(-1, width, series)


def _series(blocks: Floats, steps: int) -> Floats:
    """[G, S] of blocks [B, W, G], without a copy."""
    return blocks.reshape(-1, blocks.shape[2])[:steps].T


# --- over all steps so far


def ewm_mean(values: Floats, half_life: float) -> Floats:
    """Mean of all values so far, each weighing 0.5 ** (steps since / half_life); steps without a value count as time.

    pandas: `ewm(halflife=half_life, adjust=True, ignore_na=False).mean()`. NaN before the first value.
    """
    known = np.isfinite(values.T)
    centre = _first(values)
    recursion = [1.0], [1.0, -(0.5 ** (1.0 / half_life))]
    sums = lfilter(*recursion, np.where(known, values.T - centre, 0.0), axis=0)
    weights = lfilter(*recursion, known.astype(np.float64), axis=0)
    faded = weights < FADED
    weights[faded] = np.nan
    mean: Floats = sums / weights + centre
    return np.where(faded, latest(mean.T).T, mean).T if faded.any() else mean.T


def phase_mean(values: Floats, period: int) -> Floats:
    """Mean of the values at o, o - period, o - 2 * period, …; NaN without one."""
    centre = _first(values)
    sums, is_known = _blocks(values - centre[:, None], period, fill=0.0)
    counts = is_known.astype(np.float64)
    for before, after in pairwise(range(len(sums))):
        counts[after] += counts[before]
        sums[after] += sums[before]
    counts[counts == 0] = np.nan
    sums /= counts
    sums += centre
    return _series(sums, values.shape[1])


def expanding_mean(values: Floats) -> Floats:
    """Mean of all values so far; NaN before the first."""
    return phase_mean(values, 1)


def latest(values: Floats) -> Floats:
    """The latest known value; NaN before the first."""
    place = _latest_step(np.isfinite(values.T))
    found = np.take_along_axis(values.T, np.maximum(place, 0), axis=0)
    found[place < 0] = np.nan
    return found.T


def since(values: Floats) -> Floats:
    """Steps from the latest known value to o, 0 where there is one at o; NaN before the first."""
    place = _latest_step(np.isfinite(values.T))
    steps = (np.arange(len(place))[:, None] - place).astype(np.float64)
    steps[place < 0] = np.nan
    return steps.T


def _latest_step(known: Booleans) -> Integers:
    """[S, G] of [S, G]: the latest known step so far, -1 before the first."""
    steps = np.arange(len(known), dtype=np.int64)[:, None]
    return np.maximum.accumulate(np.where(known, steps, -1), axis=0)


def _first(values: Floats) -> Floats:
    """First known value of each series [G], 0 without one: sums about it keep the digits of values far from 0."""
    known = np.isfinite(values)
    first = values[np.arange(len(values)), known.argmax(axis=1)]
    return np.where(known.any(axis=1), first, 0.0)
