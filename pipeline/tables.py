"""The frozen values handed from stage to stage. Plain numpy and pandas, so that an artifact needs no torch to load.

Axis letters: K folds, S seeds, N training rows, T test rows, R any rows, D matrix columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Singles = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Booleans = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Texts = np.ndarray[tuple[int, ...], np.dtype[np.object_]]


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and how numbers are computed, resolved; part of the key of every stage that trains."""

    device: str
    threads: int
    precision: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a stage saw and did not hide: what was dropped, coerced, filled or never seen before."""

    subject: str  # a column or a file
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class RawTables:
    """The user's files as they stand: every cell is text, nothing is typed or filled."""

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    train_file: str
    test_file: str
    sample_file: str | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Typed tables with roles. Numeric columns are float64 with NaN, categorical ones text with None."""

    train: pd.DataFrame  # [N] features only
    test: pd.DataFrame  # [T] the same columns in the same order
    target: Floats  # [N]
    train_ids: Texts  # [N] byte for byte as in the file
    test_ids: Texts  # [T]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    submission_header: tuple[str, str]
    submission_ids: Texts  # [T] in the order of the sample submission, or of test
    missing: tuple[str, ...]  # the texts that meant a missing value
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Folds:
    """K pairs of row indices into the training table; folds may be unequal."""

    train: tuple[Integers, ...]
    valid: tuple[Integers, ...]

    @property
    def count(self) -> int:
        """K."""
        return len(self.train)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows ready for any fold's scaling: numbers as they are, texts as codes into one vocabulary."""

    numeric: Floats  # [R, numeric columns], NaN where missing
    codes: Integers  # [R, categorical columns]; -1 missing, -2 a level outside the vocabulary


@dataclass(frozen=True, slots=True)
class FeatureState:
    """What one fit learned: the only numbers that may come from rows."""

    mean: Floats  # [numeric columns]
    scale: Floats  # [numeric columns], 1 / sample standard deviation, 0 for a constant column
    levels: tuple[tuple[str, ...], ...]  # per categorical column: the levels with a column of their own, sorted
    grouped: tuple[bool, ...]  # per categorical column: rare levels share one further column


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target enters the network and comes back: transform, then (value - mean) / scale."""

    transform: str
    mean: float
    scale: float


@dataclass(frozen=True, slots=True)
class Design:
    """All rows stored once (training rows first, then test), and each fit's state as small buffers.

    `states` and `target_states` hold one entry per fold and, last, the fit on every training row.
    """

    rows: Encoded  # [N + T]
    target: Floats  # [N], in the target's own scale
    folds: Folds
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    vocabulary: tuple[tuple[str, ...], ...]
    states: tuple[FeatureState, ...]  # [K + 1]
    target_states: tuple[TargetState, ...]  # [K + 1]
    columns: tuple[str, ...]  # [D] the union over states, in matrix order
    dummy_na: bool
    smooth_clip: float  # z-scores stay within this; 0: as they are
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """One network to train: a candidate's hyperparameters on one fold with one seed.

    `fold` equal to K means every training row (the refit for the test).
    """

    candidate: int
    fold: int
    seed: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores of one job after each epoch; lower is better. `train` is NaN at epochs that were not evaluated."""

    train: Floats  # [epochs run]
    valid: Floats  # [epochs run], NaN for a job without validation rows
    best_epoch: int  # zero-based epoch whose weights were kept; -1 if no epoch ended with a finite loss
    stopped: str  # "finished", "patience" or "not finite"


@dataclass(frozen=True, slots=True)
class Network:
    """What decides a network's tensors and graph; jobs share a pack only if these are equal."""

    inputs: int
    hidden: tuple[int, ...]
    activation: str
    init: str
    init_scale: float
    outputs: int = 1

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of each linear layer."""
        return tuple(pairwise((self.inputs, *self.hidden, self.outputs)))

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names of the tensors, in the order in which they are kept: a weight [in, out], then a bias [1, out]."""
        return tuple(f"{layer}.{kind}" for layer in range(len(self.layer_sizes)) for kind in ("weight", "bias"))

    @property
    def parameters(self) -> int:
        """Numbers in one network."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layer_sizes)


@dataclass(frozen=True, slots=True)
class Fits:
    """What training leaves behind: weights for `predict`, and predictions in the target's own scale."""

    name: str
    jobs: tuple[Job, ...]
    weights: Mapping[str, Singles]  # tensor name -> [jobs, ...]
    network: Network  # the shape of every job
    curves: tuple[Curve, ...]  # one per job
    metric: str
    fold_predictions: Floats  # [K, N], mean over seeds, of every training row
    seed_oof: Floats  # [S, N] out-of-fold, one row per seed, NaN where no fold scores
    test_predictions: Floats  # [T], mean over folds (or refits) and seeds
    seconds: float
    compute: Compute
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class FoldScore:
    """One fold's scores: on its validation rows and on its own training rows."""

    fold: int
    rows: int
    valid: Mapping[str, float]
    train: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModelScore:
    """A model's scores fold by fold and pooled over all out-of-fold rows."""

    folds: tuple[FoldScore, ...]
    oof: Mapping[str, float]
    train_seconds: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything `metrics.json`, `oof.csv` and the report say about quality."""

    metric: str
    models: Mapping[str, ModelScore]
    baselines: Mapping[str, ModelScore]
    seed_oof: tuple[float, ...]  # the metric of each seed alone
    validation_looks: int  # how often a held-out fold was scored while training
    ids: Texts  # [N]
    fold_of_row: Integers  # [N], -1 where no fold scores
    actual: Floats  # [N]
    oof: Mapping[str, Floats]  # model -> [N]
    unscored_rows: int


@dataclass(frozen=True, slots=True)
class Submission:
    """The file to upload, already checked; `csv` is what is written, byte for byte."""

    csv: bytes
    rows: int
    sha256: str
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Winner:
    """The best candidate of a search: dotted config keys and their values."""

    values: Mapping[str, object]
    score: float
    trial: int
    trials: int
