"""What settings are made of: the frozen section, lists as tuples, and what texts look like."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def as_tuple(value: object) -> object:
    """Lists of TOML are tuples here."""
    return tuple(value) if isinstance(value, list) else value


def as_choices(value: object) -> object:
    """The choices of a search, as a tuple."""
    if isinstance(value, list | tuple):
        allowed = [one for one in value if isinstance(one, bool | int | float | str)]
        if not value or len(allowed) < len(value):
            raise ValueError(f"choices are one or more numbers, texts, or true and false, found {list(value)}")
    return as_tuple(value)


def as_refit(value: object) -> object:
    """True and false of `train.refit`, as the words for them."""
    return {True: "alone", False: "none"}[value] if isinstance(value, bool) else value


Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], BeforeValidator(as_tuple)]
Pair = Annotated[tuple[float, float], BeforeValidator(as_tuple)]
Choices = Annotated[tuple[bool | float | int | str, ...], BeforeValidator(as_choices)]


# what texts look like; expectations.TEXTS says the same in words
REFERENCE = r"^(.+:[A-Za-z_]\w*)?$"  # of a function of the user's; empty: none
DURATION = r"^(\d+(\.\d+)?[smh])?$"
DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"
NO_SPACES = r"^\S*$"
SLUG = r"^[A-Za-z0-9-]*$"
FOLDER = r"^[\w.-]*$"


class Settings(BaseModel):
    """A frozen section; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
