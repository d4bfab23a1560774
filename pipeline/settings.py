"""Every setting, its type, its default and its limits. Defaults live here and in recipes.py, nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.search_settings import Search
from pipeline.sections import (
    DEVICE,
    FOLDER,
    NO_SPACES,
    REFERENCE,
    SLUG,
    Names,
    Pair,
    Settings,
    Widths,
    as_tuple,
)
from pipeline.time_settings import History, Time


class Files(Settings):
    """Which file is which, and how a text file is read. What is found without being told is said."""

    train: str = Field("", description="file in the raw folder; empty: found by its name")
    test: str = Field("", description="file to predict; empty: found by its name, and where there is none, see holdout")
    sample: str = Field("", description="the sample submission; empty: found by its name")
    encoding: str = Field("auto", description="auto: UTF-8, with or without BOM; else for example latin-1 or utf-16")
    separator: Literal["auto", ",", ";", "\t", "|"] = Field("auto", description="between cells; auto: found")
    decimal: Literal["auto", ".", ","] = Field("auto", description="decimal mark; auto: found")


class Join(Settings):
    """One side table: its columns are added to train and test wherever the key agrees."""

    file: str = Field(description="file in the raw folder")
    on: Names = Field(description="columns of the key, which stands there once")


class Schema(Settings):
    """Which columns play which role."""

    id: str = Field("", description="column copied to the submission, no feature; empty: rows are numbered from 0")
    target: str = Field("target", description="column to predict")
    numeric: Names = Field((), description="columns that must be numbers; other texts in them count as missing")
    categorical: Names = Field((), description="columns to treat as levels although they look like numbers")
    ordinal: dict[str, Names] = Field(default_factory=dict, description="column -> its levels, lowest first")
    dates: dict[str, Names] = Field(default_factory=dict, description='column -> its formats, such as ["%Y-%m-%d"]')
    text: Names = Field((), description="columns of free text: their lengths become features")
    drop: Names = Field((), description="columns never used")
    missing: Names = Field(
        ("", "NA", "N/A", "NaN", "nan", "null"), description="texts that mean a missing value; 'None' is a level"
    )
    missing_in: dict[str, Names] = Field(default_factory=dict, description="column -> the texts that mean it there")
    duplicates: Literal["keep", "drop"] = Field("keep", description="drop: equal training rows but the first")
    row_share: float = Field(1.0, gt=0, le=1, description="train on this share of the rows (--fast uses a tenth)")


class Holdout(Settings):
    """Where there is no test file: rows of train that are set aside, predicted like a test and scored once."""

    share: float = Field(0.0, ge=0, lt=1, description="share of the rows; 0: a test file is expected")
    by: str = Field("", description="column to sort by, its largest values are set aside; empty: drawn at random")
    group: str = Field("", description="column whose rows are set aside together: no value is on both sides")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="which draw")


CalendarPart = Literal[
    "year", "quarter", "month", "day", "day_of_week", "day_of_year", "week", "is_weekend", "hour", "minute",
    "elapsed_days", "sin_year", "cos_year", "sin_day", "cos_day",
]  # fmt: skip


class Preprocess(Settings):
    """How columns become a matrix."""

    fit_on: Literal["fold", "all"] = Field(
        "fold", description="fold: statistics from each fold's training rows; all: from train and test features"
    )
    impute: Literal["zero", "mean", "median", "drop"] = Field(
        "zero",
        description="missing numbers: zero after scaling; mean or median before it; drop: training rows with one are "
        "left out, elsewhere the median",
    )
    indicators: bool = Field(False, description="one more column for each numeric one with missing values")
    scaler: Literal["zscore", "minmax", "robust", "quantile_normal", "pca_whiten", "none"] = Field(
        "zscore",
        description="robust: median and quartiles; quantile_normal: ranks to a normal distribution; pca_whiten: "
        "z-scores rotated to principal components of unit variance",
    )
    components: int = Field(0, ge=0, description="most components of pca_whiten; 0: all that carry variance")
    log1p_skew: float = Field(
        0.0, ge=0, description="log(1 + x) of numeric columns >= 0 whose skewness is beyond this; 0: off"
    )
    clip_unseen: bool = Field(
        False,
        description="take numbers beyond those of the rows that statistics come from as the nearest of these: where a "
        "network has seen nothing it goes on in a straight line",
    )
    smooth_clip: float = Field(
        0.0,
        ge=0,
        description="bend z-scores and components z into z / sqrt(1 + (z / c)^2), which stays within -c and c; 0: off",
    )
    min_frequency: int = Field(1, ge=1, description="levels on fewer rows share one column")
    dummy_na: bool = Field(True, description="one more one-hot column for a missing text")
    max_levels: int = Field(1000, ge=2, description="a column with more levels is hashed instead of one-hot")
    hash_buckets: int = Field(64, ge=2, le=65536, description="columns that the levels of such a column share")
    calendar: Annotated[tuple[CalendarPart, ...], BeforeValidator(as_tuple)] = Field(
        ("year", "month", "day", "day_of_week", "day_of_year", "hour", "elapsed_days"),
        description="columns made of each date; those that never vary are left out",
    )

    @model_validator(mode="after")
    def _used_components(self) -> Self:
        if self.components and self.scaler != "pca_whiten":
            raise ValueError(
                f'components = {self.components} is for scaler = "pca_whiten", found "{self.scaler}"; set that, or '
                f"components = 0"
            )
        return self


class Target(Settings):
    """How the target is seen by the network."""

    transform: Literal["auto", "none", "log", "log1p", "boxcox", "yeojohnson", "quantile"] = Field(
        "auto", description="auto: what the metric suggests"
    )
    standardize: bool = Field(True, description="zero mean, unit spread on each fold's training rows")
    difference: Literal["none", "last", "season", "phase_mean", "ridge"] = Field(
        "none",
        description="of time series: taken from the target before: the value last known, that of the same phase of the "
        "shortest season, the mean of all of the same phase of the longest, or what ridge regression on the lag window "
        "forecasts",
    )


FoldKind = Literal["auto", "kfold", "stratified", "grouped", "leave_one_group_out", "holdout", "column", "replay"]


class FoldSettings(Settings):
    """How training rows become folds."""

    kind: FoldKind = Field(
        "auto",
        description="auto: kfold, with [time] replay; replay: as the test file lies in time; stratified: equal shares "
        "of target bins; grouped, leave_one_group_out: no group on both sides; holdout: one fold of `share` rows; "
        "column: a column says which fold scores a row, blank: none",
    )
    count: int = Field(5, ge=2, description="number of folds, K")
    repeats: int = Field(1, ge=1, le=1000, description="further splits with other shuffles; folds are count x repeats")
    shuffle: bool = Field(True, description="false: contiguous blocks (kfold only)")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="which shuffle")
    column: str = Field("", description="column of the group, or, with kind column, of the fold (no feature then)")
    bins: int = Field(10, ge=2, description="target bins of a stratified split")
    share: float = Field(0.2, gt=0, lt=1, description="rows that a holdout split scores")

    @model_validator(mode="after")
    def _used_column(self) -> Self:
        by_column = self.kind in ("grouped", "leave_one_group_out", "column")
        if self.column and not by_column:
            raise ValueError(f'column = "{self.column}" is for kind grouped, leave_one_group_out or column; set one')
        if by_column and not self.column:
            raise ValueError(f'kind = "{self.kind}" needs column, the column of the group or of the fold; name it')
        return self


class Model(Settings):
    """The shape of the network."""

    kind: Literal["linear", "mlp"] = Field("mlp", description="linear has no hidden layer")
    depth: int = Field(2, ge=1, le=32, description="hidden layers, when `hidden` is empty")
    width: int = Field(128, ge=1, le=65536, description="units of each hidden layer, when `hidden` is empty")
    hidden: Widths = Field((), description="widths one by one, for example [256, 128]")
    shape: Literal["constant", "pyramid", "bottleneck"] = Field(
        "constant",
        description="how width goes on, when `hidden` is empty; pyramid: half of it after each layer; bottleneck: a "
        "quarter in every second layer",
    )
    norm: Literal["none", "batch", "layer"] = Field(
        "none", description="normalisation between a hidden layer's product and its activation"
    )
    residual: int = Field(
        0,
        ge=0,
        le=8,
        description="after the first hidden layer, every so many are a block to whose output its input is added; "
        "0: none",
    )
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "mish", "tanh", "sigmoid"] = Field(
        "relu", description="after each hidden layer"
    )
    init: Literal[
        "pytorch",
        "xavier_uniform",
        "xavier_uniform_fan_in",
        "xavier_uniform_fan_out",
        "xavier_normal",
        "xavier_normal_fan_in",
        "xavier_normal_fan_out",
        "kaiming_uniform",
        "kaiming_uniform_fan_out",
        "kaiming_normal",
        "kaiming_normal_fan_out",
        "uniform",
        "normal",
        "data_driven",
    ] = Field(
        "pytorch",
        description="how weights start; pytorch is torch.nn.Linear's own; data_driven: unit variance after each layer, "
        "on the job's own training rows",
    )
    init_scale: float = Field(0.01, gt=0, description="range of `uniform`, standard deviation of `normal`")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of hidden units dropped at each training step")
    custom: str = Field(
        "",
        pattern=REFERENCE,
        description="a function of yours that builds a torch module, as file.py:function or module:function; but for "
        "`options` the other keys of [model] then say nothing",
    )
    options: dict[str, bool | int | float | str] = Field(default_factory=dict, description="keywords handed to it")


ScheduleKind = Literal[
    "constant",
    "step",
    "exponential",
    "inverse_time",
    "natural_exponential",
    "piecewise",
    "linear",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "one_cycle",
    "coslog4",
]
Milestones = Annotated[tuple[Pair, ...], BeforeValidator(as_tuple)]


class Link(Settings):
    """A schedule that takes over from the one before it."""

    at: float = Field(gt=0, lt=1, description="share of the training at which it begins")
    kind: ScheduleKind = Field(description="as train.schedule")
    gamma: float = Field(0.5, gt=0, le=1, description="as train.gamma")
    every: float = Field(0.25, gt=0, le=1, description="as train.every")
    cycles: int = Field(1, ge=1, description="as train.cycles")
    floor: float = Field(0.0, ge=0, lt=1, description="as train.lr_floor")


class Train(Settings):
    """How the network learns."""

    optimizer: Literal["sgd", "adagrad", "rmsprop", "adam", "adamw", "adam_then_sgd"] = Field(
        "adamw", description="weight decay is decoupled in adamw, added to the gradient (L2) in the others"
    )
    lr: float = Field(4e-3, gt=0, description="learning rate, the schedule's peak")
    lr_for_batch: int = Field(0, ge=0, description="batch size that lr is for: lr grows with batch_size; 0: as it is")
    weight_decay: float = Field(0.3, ge=0, description="strength")
    decay_biases: bool = Field(True, description="false: weight decay and l1 leave biases and norms alone")
    l1: float = Field(0.0, ge=0, description="weight of the sum of |w| in the loss")
    clip_norm: float = Field(0.0, ge=0, description="largest Euclidean norm of a network's gradient; 0: any")
    clip_value: float = Field(0.0, ge=0, description="largest magnitude of an entry of the gradient; 0: any")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment, RMSprop's alpha too")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd, rmsprop, and adam_then_sgd after the switch")
    nesterov: bool = Field(False, description="Nesterov's momentum in sgd")
    switch_at: float = Field(0.7, gt=0, lt=1, description="share of the training that adam_then_sgd spends in adam")
    switch_lr: float = Field(10.0, gt=0, description="its learning rate after the switch, as a multiple")
    loss: Literal["mse", "mae", "huber", "log_cosh", "quantile", "relative", "poisson", "tweedie"] = Field(
        "mse",
        description="on the transformed target; poisson and tweedie want target.transform none and standardize false",
    )
    loss_parameter: float = Field(
        0.0, ge=0, description="0: its default (huber: delta, 1; quantile: q, .5; relative: .01; tweedie: power, 1.5)"
    )
    custom_loss: str = Field(
        "",
        pattern=REFERENCE,
        description="a function of yours in place of `loss`, as file.py:function or module:function",
    )
    schedule: ScheduleKind = Field("one_cycle", description="learning rate over steps")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps in which lr rises to the schedule's start")
    gamma: float = Field(0.5, gt=0, le=1, description="decay of step, exponential, inverse_time, natural_exponential …")
    every: float = Field(0.25, gt=0, le=1, description="… in this share of the steps")
    milestones: Milestones = Field((), description="of piecewise: [share of the steps, share of lr from there on], …")
    cycles: int = Field(1, ge=1, description="of cosine_restarts, cyclic")
    lr_floor: float = Field(0.0, ge=0, lt=1, description="the schedule never falls below this share of lr")
    chain: Annotated[tuple[Link, ...], BeforeValidator(as_tuple)] = Field((), description="further schedules, in turn")
    plateau_factor: float = Field(
        0.0, ge=0, lt=1, description="lr falls to this share of it when the score gets no better; 0: never …"
    )
    plateau_patience: int = Field(10, ge=0, description="… for more than so many epochs")
    epochs: int = Field(150, ge=1, le=100_000, description="passes over a fold's training rows")
    batch_size: int = Field(64, ge=1, le=1 << 24, description="rows a step")
    patience: int = Field(0, ge=0, description="stop after this many epochs without a better score; 0: never early")
    restore_best: bool = Field(True, description="keep the weights of the best validation epoch")
    seeds: int = Field(
        1, ge=1, le=10_000, description="networks per fold, averaged; one batched program trains them all"
    )
    seed: int = Field(0, ge=0, le=2**62, description="the first seed")
    warm_start: str = Field(
        "", description="file of `export`: networks begin with its weights, fold by fold; empty: fresh"
    )
    shrink: bool = Field(
        False,
        description="where target.difference takes a forecast: keep as much of what networks add to it as pays on rows "
        "that only other folds score; trials of a search are scored without",
    )
    refit: bool = Field(False, description="predict the test with networks trained on all rows, not with the folds'")
    tuned: bool = Field(False, description="take the winner of `make sweep`")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1", pattern=DEVICE)
    threads: int = Field(0, ge=0, le=512, description="CPU threads; 0: the cores this process may use")
    precision: Literal["auto", "fp32", "fp64", "bf16", "fp16", "tf32"] = Field(
        "fp32",
        description="of weights and products; bf16, and on a GPU fp16 and tf32: of products alone; auto: bf16 where "
        "the device has it natively",
    )
    checkpoint_seconds: float = Field(
        20.0, ge=0, description="a training in progress is saved this often, to continue at exactly that step"
    )
    pack_size: int = Field(0, ge=0, description="networks trained side by side; 0: chosen for the device")
    device_memory: float = Field(
        0.0,
        ge=0,
        description="GB of it that rows may take; more stream, to a GPU from the host's memory, to a CPU from a file; "
        "0: half of what is free",
    )
    engine: Literal["local", "processes", "dask"] = Field(
        "local",
        description="where packs are trained: local: this process, with several GPUs one process each; processes of "
        "this machine; dask: a cluster",
    )
    workers: int = Field(
        0,
        ge=0,
        le=4096,
        description="processes, and at least so many packs; 0: by cores and GPUs (dask: packs as planned)",
    )
    scheduler: str = Field("", description="of dask, such as tcp://10.0.0.5:8786", pattern=NO_SPACES)

    @model_validator(mode="after")
    def _known_scheduler(self) -> Self:
        if self.engine == "dask" and not self.scheduler:
            raise ValueError('engine = "dask" needs scheduler, its address; add --scheduler tcp://HOST:8786')
        if self.scheduler and self.engine != "dask":
            raise ValueError(
                f'scheduler = "{self.scheduler}" is for engine = "dask", found "{self.engine}"; add --engine dask, or '
                f'--scheduler "" to train without it'
            )
        return self


class Config(Settings):
    """One competition, resolved."""

    recipe: Literal["classic", "textbook", "window"] = Field("classic", description="a named set of defaults")
    metric: Literal["log_rmse", "rmsle", "rmse", "mse", "mae", "mape", "r2"] = Field(
        "rmse", description="the competition's score"
    )
    kaggle: str = Field("", description="its slug on kaggle.com, for `submit --kaggle`", pattern=SLUG)
    raw: str = Field("", description="folder below data/raw; empty: the competition's name", pattern=FOLDER)
    files: Files = Field(default_factory=Files)
    join: Annotated[tuple[Join, ...], BeforeValidator(as_tuple)] = Field((), description="side tables to add")
    holdout: Holdout = Field(default_factory=Holdout)
    # `schema` is taken in pydantic, so the TOML section [schema] is this field's alias
    roles: Schema = Field(default_factory=Schema, alias="schema")
    preprocess: Preprocess = Field(default_factory=Preprocess)
    target: Target = Field(default_factory=Target)
    time: Time = Field(default_factory=Time)
    history: History = Field(default_factory=History)
    folds: FoldSettings = Field(default_factory=FoldSettings)
    model: Model = Field(default_factory=Model)
    train: Train = Field(default_factory=Train)
    search: Search = Field(default_factory=Search)
