"""Every setting, its type, its default and its limits: here, in the modules of larger sections, and in recipes.py."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.search_settings import Search
from pipeline.sections import (
    FOLDER,
    SLUG,
    Names,
    Settings,
    as_tuple,
)
from pipeline.time_settings import History, Time
from pipeline.training_settings import Model, Train


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
    scale: Literal["none", "series"] = Field(
        "none",
        description="of time series: what is left of the target is divided by how much its series has varied up to the "
        "row's origin, so that small series count as much as large ones",
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
