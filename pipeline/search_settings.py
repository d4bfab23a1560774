"""The settings of a search: `[search]`, and what each dimension of its space may be."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.sections import DURATION, Choices, Pair, Settings, as_tuple


class Range(Settings):
    """One dimension of the search: exactly one of log, uniform, integer or choice."""

    log: Pair | None = None
    uniform: Pair | None = None
    integer: Annotated[tuple[int, int], BeforeValidator(as_tuple)] | None = None
    choice: Choices | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in ("log", "uniform", "integer", "choice") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of log, uniform, integer, choice; found {given or 'none'}")
        bounds = self.log or self.uniform or self.integer
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"the lower end must be below the upper one, found {list(bounds)}")
        if self.log is not None and self.log[0] <= 0:
            raise ValueError(f"a log range must be above 0, found {list(self.log)}")
        return self


class Search(Settings):
    """What `make sweep` varies, and for how long."""

    trials: int = Field(50, ge=1, description="trials in the study, earlier ones counted in")
    timeout: str = Field(
        "", pattern=DURATION, description="ask for no further trial after this long, such as 90m or 2h"
    )
    parallel: int = Field(
        8, ge=1, description="trials in flight on this machine: as one ends, the next takes its place"
    )
    seeds: int = Field(1, ge=1, le=1000, description="networks a fold, averaged; a trial is scored by the mean of them")
    plan: Literal["flat", "guided"] = Field(
        "flat",
        description="flat: everything at once; guided: as a person tunes, a few settings at a time, each phase fixing "
        "what it found",
    )
    sampler: Literal["tpe", "random", "grid", "qmc", "gp"] = Field(
        "tpe", description="who suggests; grid: every choice and five points of a range"
    )
    pruner: Literal["percentile", "median", "halving", "none"] = Field(
        "percentile",
        description="who gives trials up, by the mean over the folds begun of the best loss so far (of the last, "
        "without train.restore_best); median: percentile 50",
    )
    percentile: float = Field(
        40.0,
        gt=0,
        lt=100,
        description="of pruner percentile: a trial goes on among the best so many per cent of those that came as far",
    )
    startup_trials: int = Field(
        16, ge=1, description="trials before the sampler learns; the pruner needs five at the most"
    )
    ahead: float = Field(
        0.2,
        ge=0.1,
        le=1,
        description="share of a trial's networks that train first, one fold of five; the others follow unless it is "
        "given up; 1: all at once; another share is another study",
    )
    warmup_share: float = Field(
        0.4, ge=0, lt=1, description="share of each network's training before which no trial is given up"
    )
    finalists: int = Field(
        8,
        ge=0,
        le=100,
        description="best trials, half of them unlike the others, that are scored again on fresh folds before one is "
        "the winner; 0: none",
    )
    repeats: int = Field(
        3,
        ge=1,
        le=100,
        description="further splits on which they are scored, or seeds where none are; after each the better half "
        "goes on, down to two",
    )
    kept: int = Field(
        50,
        ge=0,
        description="trials whose predictions are kept for a blend, the best ones (of each phase of a guided plan)",
    )
    storage: str = Field(
        "", description="URL of the study's database, postgresql://… for many machines; empty: a file in models/NAME/"
    )
    patience: str = Field(
        "5m", pattern=DURATION, description="how long a database that does not answer, or is locked, is waited for"
    )
    seed: int = Field(0, ge=0, le=2**31, description="of the sampler")
    space: dict[str, Range] = Field(default_factory=dict, description="dotted key -> range; each recipe has its own")
