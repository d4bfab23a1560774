"""The frozen values handed from stage to stage. Plain numpy and pandas, so that an artifact needs no torch to load.

Axis letters: K folds, N training rows, P rows that folds score, T test rows, R any rows, D matrix columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    import pyarrow as pa

    from pipeline.timeline import Timeline, WindowRidge

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Singles = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Codes = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Booleans = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Texts = np.ndarray[tuple[int, ...], np.dtype[np.object_]]


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and how numbers are computed, resolved; part of the key of every stage that trains."""

    device: str
    threads: int  # of each process that trains
    precision: str
    shares: int = 1  # networks are cut into packs for so many workers: company changes the last bits
    cache: int = 0  # MiB of a CPU's caches for each thread: how many networks a step takes; 0: not known


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a stage saw and did not hide: what was dropped, coerced, filled or never seen before."""

    subject: str  # a column or a file
    text: str
    count: int  # 0: nothing was counted, and no number is shown

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{self.subject}: {self.text}: {self.count}" if self.count else f"{self.subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Columns whose cells matter as numbers alone: a reader may give them as such, faster and with equal values."""

    never: frozenset[str]  # every other column may, if it holds nothing but numbers
    missing: tuple[str, ...]  # texts that mean a missing value in all of them


@dataclass(frozen=True, slots=True)
class RawTable:
    """One file of the user, as it stands: nothing is typed, blanked or filled.

    Every column of a text file is `string` without nulls, but for those that an `Allowance` let be float64 with nulls;
    columns of a Parquet file keep their types and nulls.
    """

    file: str  # for messages
    columns: pa.Table
    line_of: Callable[[int], int]  # zero-based row -> the line of the file on which it starts, counted from 1
    decimal: str = "."  # the decimal mark of its numbers, "." or ","
    notices: tuple[Notice, ...] = ()  # what reading noticed: separator, encoding, renamed headers
    read_texts: Callable[[], pa.Table] | None = None  # the file again, all text, where an allowance made numbers

    @property
    def names(self) -> list[str]:
        """Column names, in file order."""
        return list(self.columns.column_names)

    @property
    def rows(self) -> int:
        """Rows without the header."""
        return int(self.columns.num_rows)

    def texts(self, name: str) -> pa.ChunkedArray:
        """The cells of a column as they stand, also where they were read as numbers at once."""
        column = self.columns[name]
        if self.read_texts is None or column.type != "double":  # a whole file is read again only for a column of these
            return column
        again = self.read_texts()
        return again[name] if name in again.column_names else column


@dataclass(frozen=True, slots=True)
class RawTables:
    """The files of a competition. Without a test file, rows of train are held out instead."""

    train: RawTable
    test: RawTable | None
    sample: RawTable | None
    sides: Mapping[str, RawTable]  # file name -> a further table, which [[join]] may name


@dataclass(frozen=True, slots=True)
class Column:
    """How the cells of one column become values: decided once on train and test, then applied to any file."""

    name: str
    role: str  # "numeric", "categorical", "ordinal", "date" or "text"
    missing: tuple[str, ...]  # texts that mean a missing value
    decimal: str = ""  # the decimal mark of its numbers, where it is not the file's
    removed: str = ""  # characters taken out of numbers: thousands separators, blanks, a unit
    levels: tuple[str, ...] = ()  # of an ordinal column, lowest first: they become 0, 1, 2, …
    formats: tuple[str, ...] = ()  # of a date column, tried in turn


@dataclass(frozen=True, slots=True)
class Dataset:
    """Typed tables with roles, features only.

    Numeric columns are float64 with NaN, categorical ones pandas Categoricals over one sorted vocabulary of train and
    test, dates datetime64 with NaT.
    """

    train: pd.DataFrame  # [N]
    test: pd.DataFrame  # [T] the same columns in the same order
    target: Floats  # [N]
    held_out: Floats | None  # [T] what is true of test rows that were held out of train; None with a test file
    train_ids: Texts  # [N] byte for byte as in the file
    test_ids: Texts  # [T]
    columns: tuple[Column, ...]  # how each column was read, for `predict`
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    dates: tuple[str, ...]
    fold_columns: Mapping[str, Texts]  # [N] columns that [folds] names, as text
    submission_header: tuple[str, str]
    submission_ids: Texts  # [T] in the order of the sample submission, or of test
    notices: tuple[Notice, ...]
    timeline: Timeline | None = None  # when rows are, where [time] says so


@dataclass(frozen=True, slots=True)
class Folds:
    """K pairs of row indices into the training table; folds may be unequal."""

    train: tuple[Integers, ...]
    valid: tuple[Integers, ...]

    @property
    def count(self) -> int:
        """K."""
        return len(self.train)

    @property
    def scored_rows(self) -> Integers:
        """The rows that are scored, in file order [P]; with repeats a row stands there once for each."""
        return np.sort(np.concatenate(self.valid), kind="stable")

    @property
    def scored_folds(self) -> Integers:
        """The fold that scores each of them [P]."""
        folds = np.repeat(np.arange(self.count), [len(valid) for valid in self.valid])
        return folds[np.argsort(np.concatenate(self.valid), kind="stable")]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows ready for any fold's scaling: numbers as they are, texts as codes into one vocabulary."""

    numeric: Floats  # [R, numeric columns] column by column (Fortran order), NaN where missing
    codes: Codes  # [R, categorical columns] int32; -1 missing, -2 a level outside the vocabulary
    base: Floats | None = None  # [R] what is taken from their transformed targets, NaN where nothing is known of it
    spread: Floats | None = None  # [R] what is left of these is divided by, NaN where nothing is known of it


@dataclass(frozen=True, slots=True)
class Overlay:
    """What one fold sees of rows otherwise than all others do: history without what this fold scores."""

    rows: Integers  # [changed] ascending
    columns: Integers  # [history columns] positions among the numeric ones
    numeric: Floats  # [changed, history columns]
    base: Floats | None = None  # [N + T] what the fold takes from transformed targets, of all rows
    spread: Floats | None = None  # [N + T] what it divides the rest by


@dataclass(frozen=True, slots=True)
class Taken:
    """Which forecast is taken from transformed targets, and given back to predictions."""

    difference: str  # as target.difference
    name: str
    ridge: WindowRidge | None = None  # fitted on all that is known


@dataclass(frozen=True, slots=True)
class Whitening:
    """Principal components of the scaled numeric columns, those of largest variance first."""

    centre: Floats  # [numeric columns] mean of each scaled column, its gaps filled
    loadings: Floats  # [numeric columns, components] each component of length 1, its largest loading above 0
    variance: Floats  # [components] all of them more than rounding
    share: float  # of the columns' variance that these components carry


@dataclass(frozen=True, slots=True)
class FeatureState:
    """What one fit learned: the only numbers that may come from rows."""

    fill: Floats  # [numeric columns] what a missing number becomes before scaling; NaN: 0 after scaling
    log1p: Booleans  # [numeric columns] log(1 + x) first, for it is skewed
    mean: Floats  # [numeric columns] the centre: mean, median or minimum
    scale: Floats  # [numeric columns] 1 / spread, 0 for a constant column
    quantiles: Floats  # [Q, numeric columns] of a quantile transform; Q = 0 without one
    missing: Booleans  # [numeric columns] gets an indicator of missing values
    lowest: Floats  # [numeric columns] what lies below it is taken as it; -inf: nothing is
    highest: Floats  # [numeric columns] the same for what lies above
    levels: tuple[tuple[str, ...], ...]  # per categorical column: the levels with a column of their own, sorted
    grouped: tuple[bool, ...]  # per categorical column: rare levels share one further column
    whitening: Whitening | None = None  # components take the place of the numeric columns; None: they stay


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target enters the network and comes back: transform, then (value - mean) / scale."""

    transform: str
    mean: float
    scale: float
    exponent: float = 0.0  # lambda of Box-Cox and Yeo-Johnson
    quantiles: tuple[float, ...] = ()  # of the quantile transform: target values at equal steps of probability
    fallback: float = 0.0  # what is taken from a transformed target where nothing is known to take from it
    spread: float = 1.0  # what the rest is divided by where no spread is known


@dataclass(frozen=True, slots=True)
class Design:
    """All rows stored once (training rows first, then test), and each fit's state as small buffers.

    `states` and `target_states` hold one entry per fold and, last, the fit on every training row.
    """

    rows: Encoded  # [N + T]
    target: Floats  # [N], in the target's own scale
    folds: Folds
    refit_rows: Integers  # what a network for the test alone trains on: every row, or those without a missing number
    numeric: tuple[str, ...]  # those of the calendar among them
    categorical: tuple[str, ...]
    vocabulary: tuple[tuple[str, ...], ...]
    states: tuple[FeatureState, ...]  # [K + 1]
    target_states: tuple[TargetState, ...]  # [K + 1]
    columns: tuple[str, ...]  # [D] the union over states, in matrix order
    hashed: tuple[int, ...]  # per categorical column: buckets that its levels are hashed into, 0 where one-hot
    dummy_na: bool
    smooth_clip: float  # z-scores stay within this; 0: as they are
    notices: tuple[Notice, ...]
    overlays: tuple[Overlay, ...] = ()  # [K] of time series; else none
    taken: Taken | None = None  # from the transformed target; None: nothing
    naive: Mapping[str, Floats] = field(default_factory=dict)  # forecast without a model -> [K, N] of training rows
    hidden: tuple[Booleans, ...] = ()  # [K] rows of `Timeline.known` that each fold may not see
    valid_origins: tuple[Integers, ...] = ()  # [K] of time series: of the rows that each fold scores; else none
