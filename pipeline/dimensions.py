"""What a search may vary: which keys, by which kinds of range, and a recipe's space beside what else is set."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from pipeline.expectations import expected
from pipeline.search_settings import Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.settings import Config

SEARCHED = ("model.", "train.", "preprocess.", "history.", "target.")
# where and how often a candidate is trained, not what it is
NOT_SEARCHED = {
    f"train.{key}"
    for key in (
        *("tuned", "device", "threads", "precision", "pack_size", "seeds", "seed", "refit"),
        *("checkpoint_seconds", "engine", "workers", "scheduler", "device_memory"),
        *("custom_loss", "warm_start", "shrink"),
    )
} | {"model.custom", "model.options"}
HIDDEN_LAYERS = {f"model.{key}" for key in ("depth", "width", "shape", "norm", "residual", "activation", "dropout")}
LISTS = "is a list, and a search varies single numbers, texts, and true or false"


def faults_of_space(config: Config, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with `search.space`. known: every dotted key that there is."""
    searchable = [key for key in known if key.startswith(SEARCHED) and key not in NOT_SEARCHED]
    for key, dimension in config.search.space.items():
        if key not in known:
            near = difflib.get_close_matches(key, searchable, n=1, cutoff=0.5)
            remedy = (
                f"did you mean {near[0]!r}?"
                if near
                else "a search varies keys of [model], [train], [preprocess], [history] and [target]"
            )
            yield f"search.space has an unknown key {key!r}; {remedy}"
        elif key not in searchable:
            yield (
                f"search.space has {key!r}, which is never searched: a search varies what a network is and learns by, "
                f"in [model], [train], [preprocess], [history] and [target], not where, how often or on which rows it "
                f"is trained"
            )
        elif fault := _wrong_kind(key, _value(config, key), dimension):
            yield f"search.space {key}: {fault}"
        else:
            yield from (f"search.space {key}: {fault}" for fault in _forbidden_values(config, key, dimension))


def fitting_space(config: Config) -> dict[str, Range]:
    """A recipe's space as it suits the other settings, which the recipe does not know.

    It holds the configuration as it stands, which is the first trial: ranges are widened, choices added. Dimensions
    that would do nothing, or that these settings forbid, are left out; so is how long to train, where somebody has
    said so: three epochs, to see whether it runs at all, are not to become a hundred.
    """
    fitting: dict[str, Range] = {}
    for key, dimension in config.search.space.items():
        value = _value(config, key)
        is_settled = key == "train.epochs" and value not in (dimension.choice or (value,))
        widened = None if is_settled or _is_idle(key, config) else holding(dimension, value)
        if widened is not None and not list(_forbidden_values(config, key, widened)):
            fitting[key] = widened
    return fitting


def _is_idle(key: str, config: Config) -> bool:
    model = config.model
    if key.startswith("history.") or key in ("target.difference", "target.scale"):
        return not config.time.column
    if model.custom:
        return key.startswith("model.")
    # explicit layers would be no trial at all: a width or a depth takes their place
    return (
        key in HIDDEN_LAYERS if model.kind == "linear" else key in ("model.width", "model.depth") and bool(model.hidden)
    )


def holding(dimension: Range, value: object) -> Range | None:
    """The dimension with that value in it; None where it cannot be."""
    if dimension.choice is not None:
        choices = dimension.choice if value in dimension.choice else (value, *dimension.choice)
        return Range.model_validate({"choice": choices})
    kind, ends = next((kind, ends) for kind, ends in dimension if ends is not None)
    if not isinstance(value, int | float) or (kind == "log" and value <= 0):
        return None
    return Range.model_validate({kind: (min(value, ends[0]), max(value, ends[1]))})


def _wrong_kind(key: str, value: object, dimension: Range) -> str:
    """Why a range of this kind gives no value of that setting; empty where it does. value: any one of its values."""
    if isinstance(value, tuple | dict):
        remedy = "; vary model.width, model.depth and model.shape" if key == "model.hidden" else ""
        return f"{LISTS}{remedy}"
    is_real = dimension.log is not None or dimension.uniform is not None
    if isinstance(value, bool | str) and dimension.choice is None:
        return f"expected choice, for it is {'true or false' if isinstance(value, bool) else 'a text'}"
    if isinstance(value, int) and is_real and not isinstance(value, bool):
        return "expected integer or choice, for it is a whole number"
    return ""


def _forbidden_values(config: Config, key: str, dimension: Range) -> Iterator[str]:
    """Ends of a range, or choices, that the setting itself would refuse."""
    section, leaf = key.split(".")
    own: BaseModel = getattr(config, section)
    for value in dimension.choice or dimension.integer or dimension.uniform or dimension.log or ():
        try:
            type(own).model_validate(own.model_dump() | {leaf: value})
        except ValidationError as error:
            yield f"{value!r}: {expected(error.errors()[0])}"


def _value(config: Config, key: str) -> object:
    section, leaf = key.split(".")
    return getattr(getattr(config, section), leaf)
