"""What had become known of a row's series by the row's origin, as columns. Nothing after the origin is ever looked at.

Axis letters: R rows, P known rows, C columns of what is known, H features, G series, S steps. Lags and windows count
steps and not rows, so a missing row is a missing value and moves no other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.tabular import windows
from pipeline.tabular.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.tables import Floats, Integers
    from pipeline.time_settings import History
    from pipeline.timeline import Clock, Known, Moments

Kind = Literal[
    "last", "season", "difference", "mean", "std", "count", "min", "max", "ewm", "phase_mean", "latest", "since"
]
LEVELS = frozenset({"last", "season", "mean", "min", "max", "ewm", "phase_mean"})  # kinds that move with the target
SCALED = LEVELS | {"latest", "std", "difference"}  # kinds that are in the target's unit
MOMENTS = frozenset({"mean", "std", "count"})  # kinds that one pass makes
MOST_CELLS = 2**18  # series x steps that are dense at a time, to stay in a core's cache; one series may be longer
UNSEASONAL = 7  # steps of windows and half-lives where the clock has no season
MOST_PERIODS = 8  # that a seasonal naive forecast goes back for a value


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: a statistic of column `column` of what is known, at the row's origin.

    last: the value `back` steps before the origin. season: the value of the row's own phase of a period of `span`
    steps, the latest at or before the origin, or `back` periods earlier. difference: the change over `span` steps.
    mean, std, count, min, max: of the last `span`
    steps. ewm: weighted by a half-life of `span` steps. phase_mean: of all
    values of the row's own phase. latest: the latest known value. since: steps since that.
    """

    name: str
    kind: Kind
    column: int
    span: int  # steps: window, half-life, period, or lag of a difference; 0 where there is none
    back: int = 0


# --- which


def features_of(history: History, clock: Clock, columns: Sequence[str]) -> tuple[Feature, ...]:
    """Every kind for the target, the first of the columns; of the others their latest value and rolling means."""
    spans = clock.seasons or (UNSEASONAL,)
    lengths = tuple(dict.fromkeys(history.windows or spans))
    half_lives = tuple(dict.fromkeys(history.half_lives or spans))
    found = [
        *_of_values(history, clock, columns[0]),
        *_of_windows(columns[0], 0, lengths, history.statistics),
        *(Feature(f"{columns[0]}, ewm {h}", "ewm", 0, h) for h in half_lives),
    ]
    for place, name in enumerate(columns[1:], start=1):
        found += [Feature(f"{name}, latest known", "latest", place, 0)]
        found += _of_windows(name, place, lengths, [s for s in history.statistics if s == "mean"])
    return tuple(found)


def _of_values(history: History, clock: Clock, name: str) -> Iterator[Feature]:
    """Of single values of the target, and of their phases."""
    for back in range(history.relative, history.last):  # less the latest one, that at the origin would always be 0
        yield Feature(f"{name}, {f'{back} back' if back else 'at origin'}", "last", 0, 0, back)
    if history.last:
        if not history.relative:
            yield Feature(f"{name}, latest known", "latest", 0, 0)
        yield Feature(f"{name}, steps since known", "since", 0, 0)
    for season in clock.seasons:
        for back in range(history.seasonal):
            yield Feature(f"{name}, season {season}{f', {back} back' if back else ''}", "season", 0, season, back)
        if history.phase_mean:
            yield Feature(f"{name}, mean of phase of {season}", "phase_mean", 0, season)
    if history.differences:
        for lag in dict.fromkeys((1, *clock.seasons)):
            yield Feature(f"{name}, change over {lag}", "difference", 0, lag)


def _of_windows(name: str, place: int, lengths: Sequence[int], kinds: Sequence[Kind]) -> Iterator[Feature]:
    for length in lengths:
        for kind in kinds:
            yield Feature(f"{name}, {kind} of {length}", kind, place, length)


# --- their values


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Series that are dense together, each from its own first known step, so that none depends on the others'."""

    steps: int
    series: int
    cell: Integers  # [known rows of them] step * series + place, as all cells here; beyond all where not needed
    known: Integers | slice  # [those rows] positions among the known rows
    rows: Integers | slice  # positions among the rows asked for
    origin: Integers  # [those rows] cell of the origin; negative before the first known step
    age: Integers  # [those rows] steps from the origin to the row


def history(known: Known, features: Sequence[Feature], moments: Moments, origin: Integers) -> Floats:
    """[R, H] in Fortran order. NaN for rows of a series of which nothing is known, or not yet at their origin.

    An origin may lie after the last known step: its windows then hold less.
    """
    assert bool(np.all(origin < moments.step)), "a row's origin lies before the row"
    found = np.full((len(origin), len(features)), np.nan, order="F")
    groups = _grouped(features)
    for chunk in _chunks(known, moments, origin):
        for column in dict.fromkeys(feature.column for feature in features):
            dense = _dense(chunk, known.values[:, column])

            def fill(group: tuple[int, ...], dense: Floats = dense, chunk: _Chunk = chunk) -> None:
                tables = _tables(features[group[0]], dense)
                for place in group:
                    found[chunk.rows, place] = _gathered(features[place], tables[features[place].kind], chunk)

            side_by_side(fill, [group for group in groups if features[group[0]].column == column])
    return found


def naive(known: Known, moments: Moments, origin: Integers, season: int) -> Floats:
    """[R] the target's latest known value, or with a season the latest known one of the row's own phase.

    The phase is looked for in the last 8 periods. NaN where there is none.
    """
    if season == 0:
        return history(known, [Feature("latest", "latest", 0, 0)], moments, origin)[:, 0]
    periods = [Feature(f"{back} back", "season", 0, season, back) for back in range(MOST_PERIODS)]
    values = history(known, periods, moments, origin)
    latest: Floats = values[np.arange(len(values)), np.isfinite(values).argmax(axis=1)]
    return latest


def _grouped(features: Sequence[Feature]) -> list[tuple[int, ...]]:
    """Positions of features that one pass over their column makes."""
    groups: dict[tuple[int, str, int, int], list[int]] = {}
    for place, feature in enumerate(features):
        made_by = "moments" if feature.kind in MOMENTS else feature.kind
        groups.setdefault((feature.column, made_by, feature.span, feature.back), []).append(place)
    return [tuple(group) for group in groups.values()]


def _tables(feature: Feature, dense: Floats) -> Mapping[Kind, Floats]:
    """What this feature's kind, and those of its pass, are read from [G, S]."""
    span = feature.span
    window = min(span, dense.shape[1])  # a longer one holds no more
    if feature.kind in MOMENTS:
        moments = windows.rolling_moments(dense, window)
        return {"mean": moments.mean, "std": moments.std, "count": moments.count}
    one: Mapping[Kind, Callable[[], Floats]] = {
        **dict.fromkeys(("last", "season", "difference"), lambda: dense),
        "min": lambda: windows.rolling_min(dense, window),
        "max": lambda: windows.rolling_max(dense, window),
        "ewm": lambda: windows.ewm_mean(dense, span),
        "phase_mean": lambda: windows.phase_mean(dense, span),
        "latest": lambda: windows.latest(dense),
        "since": lambda: windows.since(dense),
    }
    return {feature.kind: one[feature.kind]()}


def _gathered(feature: Feature, table: Floats, chunk: _Chunk) -> Floats:
    """The table's values at the rows of a chunk: where each row's origin says, and its phase."""
    cell = chunk.origin
    if feature.kind == "last":
        cell = cell - feature.back * chunk.series
    elif feature.kind in {"season", "phase_mean"}:
        # from the row back to its phase by whole periods, as far as the origin or further
        periods = (chunk.age + (feature.span - 1)) // feature.span + feature.back
        cell = cell + (chunk.age - periods * feature.span) * chunk.series
    found = _taken(table, cell)
    if feature.kind == "difference":
        found -= _taken(table, cell - feature.span * chunk.series)
    return found


def _taken(table: Floats, cell: Integers) -> Floats:
    """Values at cells, NaN at negative ones."""
    found: Floats = table.T.reshape(-1).take(cell, mode="clip")  # no copy: tables are time-major
    found[cell < 0] = np.nan
    return found


# --- dense, some series at a time


def _dense(chunk: _Chunk, values: Floats) -> Floats:
    """[G, S] time-major."""
    size = chunk.steps * chunk.series
    dense = np.full(size + 1, np.nan)
    dense[np.minimum(chunk.cell, size)] = values[chunk.known]
    return dense[:size].reshape(chunk.steps, chunk.series).T


def _chunks(known: Known, moments: Moments, origin: Integers) -> Iterator[_Chunk]:
    """Series of which something is known by a row's origin, the longest first, in chunks of at most `MOST_CELLS`."""
    count = 1 + max(int(known.series.max(initial=-1)), int(moments.series.max(initial=-1)))
    first, length = _extents(known, moments, origin, count)
    order = np.argsort(-length, kind="stable")[: int((length > 0).sum())]
    chunk_of, place_of = np.full(count + 1, -1), np.zeros(count + 1, np.int64)  # the last: rows of an unknown series
    sizes: list[tuple[int, int]] = []
    at = 0
    while at < len(order):
        steps = int(length[order[at]])
        series = order[at : at + max(1, MOST_CELLS // steps)]
        chunk_of[series], place_of[series] = len(sizes), np.arange(len(series))
        sizes.append((steps, len(series)))
        at += len(series)
    known_by, rows_by = (_parted(chunk_of[of], len(sizes)) for of in (known.series, moments.series))
    for (steps, size), seen, rows in zip(sizes, known_by, rows_by, strict=True):
        cell = (known.step[seen] - first[known.series[seen]]) * size + place_of[known.series[seen]]
        of = moments.series[rows]
        at_origin = (origin[rows] - first[of]) * size + place_of[of]
        yield _Chunk(steps, size, cell, seen, rows, at_origin, moments.step[rows] - origin[rows])


def _extents(known: Known, moments: Moments, origin: Integers, count: int) -> tuple[Integers, Integers]:
    """First known step of each series, and steps from there to the last origin of its rows; 0 or less: none needed."""
    first = np.full(count, np.iinfo(np.int64).max // 2)
    begins = np.flatnonzero(np.diff(known.series, prepend=-1))
    first[known.series[begins]] = known.step[begins]
    last = np.full(count + 1, np.iinfo(np.int64).min // 2)
    np.maximum.at(last, moments.series, origin)
    return first, np.maximum(last[:-1] - first + 1, 0)


def _parted(label: Integers, count: int) -> Iterator[Integers | slice]:
    """Positions of each label 0 .. count - 1, in order, a slice where they are in one piece; -1 is left out."""
    order = np.argsort(label, kind="stable")
    for low, high in pairwise(np.searchsorted(label, np.arange(count + 1), sorter=order)):
        part = order[low:high]
        in_one_piece = high > low and part[-1] - part[0] == high - low - 1
        yield slice(part[0], part[-1] + 1) if in_one_piece else part
