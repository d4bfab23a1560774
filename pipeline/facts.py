"""The plain facts of a report: numbers, words and arrays that any renderer can lay out.

Axis letters: N training rows, E epochs shown. Folds are numbered from 1, as in every published file; layers and seeds
from 0, as in the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.fits import Network
    from pipeline.forecast_facts import ForecastFacts
    from pipeline.tables import Compute, Floats, Integers, Notice


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement in words: the claim in a few, the detail in a sentence."""

    claim: str
    detail: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """What was seen and what to try next; `command` is typed as it stands, empty where there is nothing to type."""

    seen: str
    action: str
    command: str


@dataclass(frozen=True, slots=True)
class Headline:
    """What a reader in a hurry takes away. Means and spreads are over folds; the spread has ddof 1."""

    model: str
    metric: str
    greater_is_better: bool
    score: float  # pooled over all out-of-fold rows
    fold_mean: float
    fold_std: float  # NaN for a single fold
    train_mean: float
    pooled: Mapping[str, float]  # every reported metric, out-of-fold
    baseline: Verdict
    fit: Verdict
    advice: tuple[Advice, ...]
    honesty: str  # how often held-out rows were looked at, and what that does to the score


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One fold. `gap` is by how much the metric is worse on validation rows; negative where it is better there."""

    fold: int
    rows: int
    valid: Mapping[str, float]
    train: Mapping[str, float]
    gap: float


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model or baseline, pooled and by fold."""

    name: str
    is_baseline: bool
    pooled: Mapping[str, float]
    by_fold: tuple[float, ...]  # the headline metric
    fold_mean: float
    fold_std: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Band:
    """A score over epochs: the mean over networks and where the middle 80 % of them lie."""

    epochs: Integers  # [E], from 1; only those at which at least half of the networks were scored
    mean: Floats  # [E]
    low: Floats  # [E] 10th percentile
    high: Floats  # [E] 90th percentile


@dataclass(frozen=True, slots=True)
class Curves:
    """How the networks of the folds learned; refits on all rows have no validation rows and are left out."""

    valid: Band
    train: Band
    best_epochs: tuple[int, ...]  # of each network, from 1
    networks: int


@dataclass(frozen=True, slots=True)
class RowErrors:
    """Every training row: what it was, what the network that never saw it said, and by how much it erred.

    errors: log(predicted / actual) under log_rmse, the difference of log(1 + y) under rmsle, else predicted - actual.
    """

    fold: Integers  # [N], 0 where no fold scores
    actual: Floats  # [N]
    predicted: Floats  # [N], NaN where no fold scores
    errors: Floats  # [N], NaN where no fold scores
    in_logs: bool


@dataclass(frozen=True, slots=True)
class LargeError:
    """A row the model is far off on; `share` is its part of the metric's total (squared or absolute) error."""

    id: str
    fold: int
    actual: float
    predicted: float
    error: float
    share: float


@dataclass(frozen=True, slots=True)
class StageNotice:
    """A notice and the stage that gave it."""

    stage: str
    notice: Notice


@dataclass(frozen=True, slots=True)
class Run:
    """What was trained on what, where and how long."""

    compute: Compute
    networks: int
    refits: int
    seeds: int
    folds: int
    train_rows: int
    test_rows: int
    unscored_rows: int
    columns: int  # of the matrix
    seconds: float


@dataclass(frozen=True, slots=True)
class Upload:
    """The submission file, already checked."""

    header: tuple[str, str]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Size:
    """How large the numbers of a tensor are."""

    mean: float
    std: float  # ddof 0
    largest: float  # magnitude


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One tensor before and after training; of several networks, the mean of each number."""

    layer: int
    kind: str  # "weight", "bias", "scale", "shift" or "skip"
    shape: tuple[int, ...]
    before: Size
    after: Size
    theory: float  # the std at which the initialisation draws it; 0 for what starts at a constant
    moved: float  # Euclidean norm of the change, in multiples of the start's; NaN for what starts at 0


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What the units of a hidden layer do on training rows; each pair is before and after training."""

    layer: int
    units: int
    reach: tuple[float, float]  # std of what arrives at the activation
    dead: tuple[float, float]  # share of units that say 0 on every row
    saturated: tuple[float, float]  # share of (row, unit) where the activation's slope has faded


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many numbers of a tensor lie in each bin; those beyond the ends are counted in the end bins."""

    layer: int
    kind: str
    shape: tuple[int, ...]
    edges: Floats  # one more than bins
    before: Integers
    after: Integers


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Mean magnitude of the trained weights in blocks of a matrix [inputs, units]."""

    layer: int
    shape: tuple[int, ...]
    cells: Floats  # [blocks of inputs, blocks of units]
    inputs: tuple[str, ...]  # what stands first in each block of inputs; empty where inputs are units themselves


@dataclass(frozen=True, slots=True)
class InputWeights:
    """The matrix columns that the first layer weighs most, largest first: mean and range over networks.

    A linear model's weights with their signs, else the Euclidean norm of a column's weights to all units.
    """

    names: tuple[str, ...]
    mean: Floats
    low: Floats
    high: Floats
    drawn: float  # the mean over all columns before training, of magnitudes
    of: int  # columns in all
    is_signed: bool


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """What training did to the weights: tables over many networks, pictures of a single one."""

    network: Network
    networks: int  # that the tables are of
    of: int  # all that were trained
    fold: int  # of the network in the pictures
    seed: int
    rows: int  # training rows of each fold on which units were watched
    tensors: tuple[TensorFacts, ...]
    units: tuple[UnitFacts, ...]  # none for a linear model
    inputs: InputWeights
    histograms: tuple[Histogram, ...]  # of matrices
    heat_maps: tuple[HeatMap, ...]  # of the first layer and the largest other one, where they are matrices


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything the report says."""

    headline: Headline
    upload: Upload
    folds: tuple[FoldRow, ...]
    models: tuple[ModelRow, ...]  # ours first, then baselines, best first
    seed_scores: tuple[float, ...]
    curves: Curves
    rows: RowErrors
    largest: tuple[LargeError, ...]
    weights: WeightFacts | None  # None for networks of the user's own, whose tensors have no layers that we know
    validation_looks: int
    notices: tuple[StageNotice, ...]
    run: Run
    forecasts: ForecastFacts | None = None  # of time series
