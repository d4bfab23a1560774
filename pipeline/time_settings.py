"""The settings of time series: `[time]` and `[history]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.sections import Names, Settings, as_tuple

FREQUENCY = r"^(auto|\d+(s|min|h|D|MS|QS|YS))$"
AUTO = ("auto",)


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str | int) and not isinstance(value, bool) else as_tuple(value)


NamesOrAuto = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
Steps = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_one_or_more)]


class Time(Settings):
    """When rows are. Naming `column` makes a competition one of time series; each "auto" is told with its evidence."""

    column: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        (), description='column of the instant, or its parts, such as ["year", "month", "day", "hour"]; empty: no time'
    )
    groups: Names = Field((), description="columns that together name a series; empty: one series")
    freq: str = Field("auto", pattern=FREQUENCY, description="time between steps, such as 15min, 1h, 1D, 7D, 1MS")
    timezone: str = Field("", description="zone of stamps without one, such as Europe/Berlin; empty: as written")
    season: Steps = Field((), description="periods in steps, such as [24, 168]; empty: those of the frequency")
    known_future: NamesOrAuto = Field(AUTO, description="columns known ahead; auto: those of the test file")
    past_only: NamesOrAuto = Field(
        AUTO, description="columns known once they happened; auto: those that the test file has not"
    )
    static: NamesOrAuto = Field(AUTO, description="columns that never change in a series; auto: found")
    layout: Literal["auto", "future", "interleaved", "random", "new_groups", "rolling"] = Field(
        "auto",
        description="how test rows lie in time: future: one block after all training rows; interleaved: blocks between "
        "them; rolling: rows are forecast up to `horizon` steps ahead, for the truth comes in meanwhile",
    )
    horizon: int = Field(1, ge=1, description="steps ahead that rolling forecasts reach")
    gap: int = Field(0, ge=0, description="least steps between what is known and a forecast")
    train_on: Literal["all", "past"] = Field(
        "all", description="past: folds of an interleaved layout train on nothing after the block that they score"
    )
    embargo: int = Field(0, ge=0, description="steps after a validation block on whose rows its fold does not train")
    duplicates: Literal["mean", "first", "last", "sum", "error"] = Field(
        "mean", description="what is known of a series at a step that several rows of it have"
    )
    seed: int = Field(0, ge=0, le=2**31, description="of the ages that training rows are given")


HistoryStatistic = Literal["mean", "std", "min", "max"]


class History(Settings):
    """What is made of the past of a row's series, as it was known at the row's origin."""

    last: int = Field(3, ge=0, description="latest values")
    seasonal: int = Field(3, ge=0, description="latest values of the same phase of each season")
    windows: Steps = Field((), description="lengths in steps of rolling windows; empty: one of each season")
    statistics: Annotated[tuple[HistoryStatistic, ...], BeforeValidator(as_tuple)] = Field(
        ("mean", "std", "min", "max"), description="of each window"
    )
    half_lives: Steps = Field((), description="in steps, of exponentially weighted means; empty: one of each season")
    phase_mean: bool = Field(True, description="mean of all earlier values of the same phase of each season")
    differences: bool = Field(True, description="change over one step, and over each season")
    relative: bool = Field(
        False, description="values of the target less the latest known one: networks see changes and no levels"
    )
    scaled: bool = Field(
        False,
        description="values of the target divided by how much its series has varied up to the row's origin: large and "
        "small series look alike",
    )
    encode: Names = Field((), description="columns of levels known ahead: mean of the target so far at each")
    fourier: int = Field(3, ge=0, description="pairs of sine and cosine of each season")
    holidays: str = Field("", description="country, or part of one, such as DE or DE-BY; empty: none")
    age: bool = Field(True, description="how many steps the row lies after its origin")
