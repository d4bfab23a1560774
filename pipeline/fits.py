"""The frozen values of what was trained and how it scores. Plain numpy, so that an artifact needs no torch to load.

Axis letters: K folds, S seeds, N training rows, P rows that folds score, T test rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.facts import Advice
    from pipeline.forecast_facts import ForecastScores
    from pipeline.tables import Compute, Floats, Integers, Notice, Singles, Texts


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
    """What decides a network's tensors and graph. Layers are numbered from the input; the last has no activation."""

    inputs: int
    hidden: tuple[int, ...]
    activation: str
    init: str
    init_scale: float
    outputs: int = 1
    link: str = "identity"  # "log": outputs are logarithms of what is predicted
    norm: str = "none"  # "batch" or "layer": between a hidden layer's product and its activation
    skips: tuple[str, ...] = ()  # a hidden layer's shortcut from where the last one ended: "", "same" or "product"
    custom: str = ""  # reference of the user's function that builds it; then hidden, activation and init say nothing
    custom_tensors: tuple[tuple[str, tuple[int, ...]], ...] = ()  # its parameters, in the order of the module
    custom_options: tuple[tuple[str, bool | int | float | str], ...] = ()  # keywords of that function

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of each linear layer."""
        return tuple(pairwise((self.inputs, *self.hidden, self.outputs)))

    @property
    def trained(self) -> dict[str, tuple[int, ...]]:
        """Name "layer.kind" and shape of each tensor that is trained, in the order in which they are kept.

        Kinds: weight [in, out] and bias [1, out]; scale and shift [1, out] of a norm; skip [in, out] of a shortcut.
        Before batch normalisation there is no bias, which it would take away again. A network of the user's has names
        and shapes of its own.
        """
        if self.custom:
            return dict(self.custom_tensors)
        shapes: dict[str, tuple[int, ...]] = {}
        source = 0  # where the current block began
        for layer, (n_in, n_out) in enumerate(self.layer_sizes):
            is_last = layer == len(self.hidden)
            shapes[f"{layer}.weight"] = (n_in, n_out)
            if is_last or self.norm != "batch":
                shapes[f"{layer}.bias"] = (1, n_out)
            if is_last:
                break
            if self.norm != "none":
                shapes |= {f"{layer}.scale": (1, n_out), f"{layer}.shift": (1, n_out)}
            skip = self.skips[layer] if self.skips else ""
            if skip == "product":
                shapes[f"{layer}.skip"] = (source, n_out)
            if layer == 0 or skip:
                source = n_out
        return shapes

    @property
    def running(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of what batch normalisation keeps track of: mean and variance of each unit, not trained."""
        layers = range(len(self.hidden)) if self.norm == "batch" else ()
        return {f"{layer}.{kind}": (1, self.hidden[layer]) for layer in layers for kind in ("mean", "variance")}

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Names of all tensors, in the order in which they are kept: the trained ones first."""
        return (*self.trained, *self.running)

    @property
    def parameters(self) -> int:
        """Numbers that are trained in one network."""
        return sum(math.prod(shape) for shape in self.trained.values())


@dataclass(frozen=True, slots=True)
class Bag:
    """Trained networks that predict together."""

    network: Network  # the shape of each
    jobs: tuple[Job, ...]
    votes: Floats  # [jobs] what each counts, 1 in all
    weights: Mapping[str, Singles]  # tensor name -> [jobs, ...]


@dataclass(frozen=True, slots=True)
class Fits:
    """What training leaves behind: weights for `predict`, and predictions in the target's own scale."""

    name: str
    bag: Bag  # every network, with its vote on the test
    curves: tuple[Curve, ...]  # one per job
    metric: str
    fold_predictions: Floats  # [K, N], mean over seeds, of every training row
    seed_oof: Floats  # [S, P] out-of-fold, one row per seed, in the order of `Folds.scored_rows`
    test_predictions: Floats  # [T], mean over the networks that have a vote
    seconds: float
    compute: Compute
    notices: tuple[Notice, ...]
    troubles: tuple[Advice, ...] = ()  # networks that failed, then what held others back; said in the notices too

    @property
    def network(self) -> Network:
        """The shape of every job."""
        return self.bag.network

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job, in the order of `curves`."""
        return self.bag.jobs

    @property
    def weights(self) -> Mapping[str, Singles]:
        """Tensor name -> [jobs, ...]."""
        return self.bag.weights


@dataclass(frozen=True, slots=True)
class Weights:
    """Trained weights read from a file, with which networks may begin.

    data, folds: digests of the training data and of its split, as `stages.starts` makes them. same_file: whether they
    were trained on the very training file that is used now.
    """

    file: str
    network: Network
    columns: tuple[str, ...]  # [D] of the matrix it was trained on
    jobs: tuple[Job, ...]
    refit: int  # the fold number that means every training row
    tensors: Mapping[str, Singles]  # tensor name -> [jobs, ...]
    data: str
    folds: str
    same_file: bool


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
    ids: Texts  # [P] one entry for each time that a fold scores a row; P = N for a plain K-fold split
    fold_of_row: Integers  # [P]
    actual: Floats  # [P]
    oof: Mapping[str, Floats]  # model -> [P]
    unscored_rows: int  # training rows that no fold scores
    forecast: ForecastScores | None = None  # of time series


@dataclass(frozen=True, slots=True)
class Submission:
    """The file to upload, already checked; `csv` is what is written, byte for byte."""

    csv: bytes
    rows: int
    sha256: str
    notices: tuple[Notice, ...]
