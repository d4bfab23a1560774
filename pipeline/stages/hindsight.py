"""What time adds to a design: folds that replay the test, and columns of the past as each fold may see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError, DataError
from pipeline.stages.window_baseline import fitted_window
from pipeline.tables import Overlay, Taken
from pipeline.tabular.differences import RIDGE, base_name, base_values
from pipeline.tabular.features import encode, vocabulary_of
from pipeline.tabular.past import (
    ELEMENTWISE,
    in_scale,
    naive_forecasts,
    past_columns,
    past_matrix,
    training_origins,
    without,
)
from pipeline.tabular.replay import replay, replayed
from pipeline.tabular.schema import nearest
from pipeline.tabular.splits import split_rows
from pipeline.tabular.spreads import check_scale, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from pipeline.settings import FoldSettings
    from pipeline.tables import Booleans, Codes, Dataset, Floats, Folds, Integers, Notice
    from pipeline.tabular.replay import Replay
    from pipeline.time_settings import History
    from pipeline.timeline import Known, Moments, Timeline, WindowRidge

REPLAYED = ("auto", "replay")  # kinds of folds that follow the layout of the test


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The past of every row, and how each fold sees it. Without time there are no columns."""

    folds: Folds
    columns: tuple[str, ...] = ()
    train: Floats | None = None  # [N, columns] as the fit on every training row sees it
    test: Floats | None = None  # [T, columns]
    overlays: tuple[Overlay, ...] = ()  # [K] its columns counted from 0
    taken: Taken | None = None  # from the target
    base: Floats | None = None  # [N + T] its values, as the fit on every training row sees them
    spread: Floats | None = None  # [N + T] of each row's series, where the rest of the target is divided by it
    naive: Mapping[str, Floats] | None = None  # [K, N]
    origins: tuple[Integers, ...] = ()  # [K] of the rows that each fold scores
    hidden: tuple[Booleans, ...] = ()  # [K] rows of what is known that each fold may not see
    notices: tuple[Notice, ...] = ()

    @property
    def numbers(self) -> dict[str, Sequence[Floats]]:
        """Each column's values in train and in test."""
        if self.train is None or self.test is None:
            return {}
        return {name: [self.train[:, at], self.test[:, at]] for at, name in enumerate(self.columns)}


def look_back(
    dataset: Dataset,
    folds: FoldSettings,
    options: History,
    transform: str,
    difference: str = "none",
    scale: str = "none",
) -> Hindsight:
    """Split the training rows, and make each row's past as it was known at its origin.

    transform: of the target, in which its history is made where that needs no fit. difference: what of the past is
    taken from it. scale: what the rest is divided by. Raises DataError for a column of the files that is named like one
    of the past, ConfigError where nothing is made that could be taken from the target, for a column to encode that has
    no levels known ahead, and for holidays of nowhere.
    """
    timeline = dataset.timeline
    is_scaled = check_scale(scale, transform, (*ELEMENTWISE, "none"), is_in_time=timeline is not None)
    if timeline is None:
        if difference != "none":
            raise ConfigError(
                f'target.difference = "{difference}" needs [time] column; name it, or set "none" (recipe = "window" is '
                f"for time series alone)"
            )
        return Hindsight(split_rows(dataset.target, folds, dataset.fold_columns.get(folds.column)))
    split = split_in_time(dataset, timeline, folds)
    known, origin = in_scale(timeline.known, transform), training_origins(timeline)
    _check_encoded(options, dataset)
    columns = past_columns(timeline, known, options)
    if taken := [name for name in columns if name in (*dataset.numeric, *dataset.categorical)]:
        raise DataError(f"column {taken[0]!r} is named like one that [history] makes; rename it, or [schema] drop it")
    levels = levels_in(dataset.train, dataset, options.encode)
    train = past_matrix(timeline, known, options, timeline.train, origin, levels)
    of_test = levels_in(dataset.test, dataset, options.encode)
    test = past_matrix(timeline, known, options, timeline.test, timeline.test_origin, of_test)
    name = base_name(timeline, difference, transform)
    taker = _Taker(timeline, known, difference)
    ridge, base = taker.everywhere(origin) if name else (None, None)
    spread = np.concatenate([spreads(known, *rows) for rows in taker.every(origin)]) if is_scaled else None
    overlays, naive = [], []
    for fold in range(split.folds.count):
        own, hidden = _origins(origin, split, fold), split.hidden[fold]
        seen = past_matrix(timeline, without(known, hidden), options, timeline.train, own, levels)
        overlay = _overlay(train, seen)
        if base is not None:
            overlay = replace(overlay, base=taker.by_fold(hidden, split.folds.train[fold], own, base))
        if spread is not None:
            of_train = spreads(without(known, hidden), timeline.train, own)
            overlay = replace(overlay, spread=np.append(of_train, spread[len(own) :]))
        overlays.append(overlay)
        naive.append(naive_forecasts(timeline, without(timeline.known, hidden), timeline.train, own))
    return Hindsight(
        folds=split.folds,
        columns=columns,
        train=train,
        test=test,
        overlays=tuple(overlays),
        taken=Taken(difference, name, ridge) if name else None,
        base=base,
        spread=spread,
        naive={name: np.stack([own[name] for own in naive]) for name in naive[0]},
        origins=split.origins,
        hidden=split.hidden,
        notices=split.notices,
    )


@dataclass(frozen=True, slots=True)
class _Taker:
    """Takes forecasts from the target of training rows, as each fold may make them."""

    timeline: Timeline
    known: Known  # in the scale of the transformed target
    difference: str

    @property
    def horizon(self) -> int:
        """Steps that the test reaches ahead."""
        return int((self.timeline.test.step - self.timeline.test_origin).max())

    def ridge(self, hidden: Booleans, train: Integers) -> WindowRidge | None:
        """The map of a fold with these training rows, where that is what is taken."""
        if self.difference != RIDGE:
            return None
        found = fitted_window(self.timeline, self.known, hidden, train)
        if found is None:
            raise ConfigError(
                f'target.difference = "ridge" needs series longer than a window with {self.horizon} steps to forecast '
                f"behind it, and some fold has none; set it to {_instead(self.timeline)}"
            )
        return found

    def of(self, hidden: Booleans, rows: tuple[Moments, Integers], ridge: WindowRidge | None) -> Floats:
        """What is taken of rows with these origins [R]."""
        return base_values(self.timeline, without(self.known, hidden), self.difference, *rows, ridge)

    def everywhere(self, origin: Integers) -> tuple[WindowRidge | None, Floats]:
        """The map, and what is taken of all rows [N + T], as the fit on every training row has it."""
        nothing = np.zeros(len(self.known.step), dtype=np.bool_)
        ridge = self.ridge(nothing, np.arange(len(origin)))
        return ridge, np.concatenate([self.of(nothing, rows, ridge) for rows in self.every(origin)])

    def every(self, origin: Integers) -> tuple[tuple[Moments, Integers], ...]:
        """Training rows with these origins, and the rows of the test with theirs."""
        return (self.timeline.train, origin), (self.timeline.test, self.timeline.test_origin)

    def by_fold(self, hidden: Booleans, train: Integers, origin: Integers, base: Floats) -> Floats:
        """[N + T] test rows as everybody sees them, which is how they are forecast."""
        own = self.of(hidden, (self.timeline.train, origin), self.ridge(hidden, train))
        return np.append(own, base[len(own) :])


def taken_everywhere(timeline: Timeline, difference: str, transform: str) -> Taken | None:
    """What is taken from the target by the fit on every training row; None for "none"."""
    name = base_name(timeline, difference, transform)
    if not name:
        return None
    known = in_scale(timeline.known, transform)
    every = np.zeros(len(known.step), dtype=np.bool_), np.arange(len(timeline.train.step))
    return Taken(difference, name, _Taker(timeline, known, difference).ridge(*every))


def further_base(timeline: Timeline, taken: Taken, transform: str, moments: Moments, origin: Integers) -> Floats:
    """What is taken from the target of rows of a further file [R]."""
    known = in_scale(timeline.known, transform)
    return base_values(timeline, known, taken.difference, moments, origin, taken.ridge)


def further_spread(timeline: Timeline, transform: str, moments: Moments, origin: Integers) -> Floats:
    """What the rest of the target of rows of a further file is divided by [R]."""
    return spreads(in_scale(timeline.known, transform), moments, origin)


def _instead(timeline: Timeline) -> str:
    """What can be taken where there is no map."""
    if timeline.layout == "new_groups":
        return '"none": nothing is known of the series that are forecast'
    return '"last" or "season", or take fewer folds' if timeline.clock.seasons else '"last", or take fewer folds'


def split_in_time(dataset: Dataset, timeline: Timeline, folds: FoldSettings) -> Replay:
    """Folds as the test lies in time, or of the kind that is set; and what each of them must not know."""
    if folds.kind in REPLAYED:
        return replay(timeline, folds)
    return replayed(timeline, split_rows(dataset.target, folds, dataset.fold_columns.get(folds.column)))


def levels_in(frame: pd.DataFrame, dataset: Dataset, names: Sequence[str]) -> Codes:
    """Codes of a frame's rows by the dataset's categories [R, names]; below 0 where missing or unknown."""
    return encode([frame], {}, names, vocabulary_of(dataset.train, names)).codes


def further_past(
    timeline: Timeline, options: History, transform: str, moments: Moments, origin: Integers, levels: Codes
) -> dict[str, Sequence[Floats]]:
    """Columns of the past for rows of a further file, each in a list of one.

    levels: of the rows, as `levels_in` gives them for the columns that are encoded.
    """
    known = in_scale(timeline.known, transform)
    matrix = past_matrix(timeline, known, options, moments, origin, levels)
    return {name: [matrix[:, at]] for at, name in enumerate(past_columns(timeline, known, options))}


def _check_encoded(options: History, dataset: Dataset) -> None:
    for at, name in enumerate(options.encode):
        if name in options.encode[:at]:
            raise ConfigError(f"[history] encode lists {name!r} twice; keep one")
        if name not in dataset.categorical:
            remedy = nearest(name, dataset.categorical) if dataset.categorical else "there is none; take it out"
            raise ConfigError(f"[history] encode lists {name!r}, which is no column of levels known ahead; {remedy}")


def _origins(origin: Integers, split: Replay, fold: int) -> Integers:
    """Of all training rows as a fold sees them: those it scores have the origin that they would have in the test."""
    own = origin.copy()
    own[split.folds.valid[fold]] = split.origins[fold]
    return own


def _overlay(everybody: Floats, own: Floats) -> Overlay:
    """Rows that differ in a bit."""
    differs = ~((everybody == own) | (np.isnan(everybody) & np.isnan(own))).all(axis=1)
    rows = np.flatnonzero(differs)
    return Overlay(rows, np.arange(own.shape[1]), own[rows])
