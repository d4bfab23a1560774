"""What a setting expected where it was given something else: pydantic's words where they are plain, else ours."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from pipeline.sections import DEVICE, DURATION, FOLDER, NO_SPACES, REFERENCE, SLUG
from pipeline.time_settings import FREQUENCY

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = {
    REFERENCE: "file.py:function or package.module:function, such as competitions/ideas.py:build",
    DEVICE: "auto, cpu, cuda, or cuda:1 for the second GPU",
    DURATION: "a number of seconds, minutes or hours, such as 30s, 90m or 1.5h",
    SLUG: "letters, digits and hyphens, as in the competition's address on kaggle.com",
    FOLDER: "the name of one folder: letters, digits, _, . and -",
    FREQUENCY: "auto, or a number of s, min, h, D, MS (months), QS (quarters) or YS (years), such as 15min or 1h",
    NO_SPACES: "an address without spaces, such as tcp://10.0.0.5:8786",
}


def expected(fault: Mapping[str, object]) -> str:
    """What was expected, from one of the `errors()` of a ValidationError; begins with a small letter."""
    kind, found, message = fault["type"], fault["input"], str(fault["msg"])
    if kind == "string_pattern_mismatch":
        context = fault["ctx"]
        assert isinstance(context, dict)
        return f"expected {TEXTS[context['pattern']]}"
    if kind in ("float_type", "int_type"):
        return f"expected a {'whole ' * (kind == 'int_type')}number{_as_number(found, whole=kind == 'int_type')}"
    ours = {
        "tuple_type": f"a list{_as_list(found)}",
        "dict_type": "a table of keys and values",
        "model_type": "a table of keys and values",
        "string_type": f"a text{_in_quotes(found)}",
        "bool_type": "true or false",
    }
    return f"expected {ours[str(kind)]}" if kind in ours else f"{message[0].lower()}{message[1:]}"


def _as_list(found: object) -> str:
    return f", such as [{json.dumps(found)}]" if isinstance(found, str | int | float) else ""


def _in_quotes(found: object) -> str:
    return f', such as "{found}"' if isinstance(found, int | float) and not isinstance(found, bool) else ""


def _as_number(found: object, *, whole: bool) -> str:
    """As TOML writes the number that was meant: it knows no .5, and what stands in quotes is a text."""
    try:
        number = float(found) if isinstance(found, str | float) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number) or (whole and not number.is_integer()):
        return ""
    plain = int(number) if number.is_integer() and abs(number) < 2**53 else number
    return f"; TOML writes it {plain}"
