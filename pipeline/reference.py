"""`python -m pipeline.reference` writes docs/CONFIG.md: every setting, as its class has it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

from pipeline.dimensions import NOT_SEARCHED
from pipeline.files import write_atomically
from pipeline.recipes import FAST, RECIPES
from pipeline.settings import Config

PAGE = Path(__file__).resolve().parents[1] / "docs" / "CONFIG.md"
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
TABLE_OF = {"Chain": "train.chain"}  # lists of tables below the top
NOUNS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

HEAD = """\
# Every setting

Made by `python -m pipeline.reference` from `pipeline/settings.py`, the `*_settings.py` beside it and
`pipeline/recipes.py`: change those instead.
A competition is a file `competitions/NAME.toml`, which holds only what differs from the defaults.

## Which value wins

Later ones override earlier ones:

1. the default, in the tables below
2. the recipe, in the column "recipes": `recipe = "classic"` or another one
3. the file `competitions/NAME.toml`
4. `--fast`, in the column "recipes" too: does it run at all?
5. the environment: `PIPELINE_TRAIN__LR=1e-3` is `train.lr`, two underscores for the dot
6. the command line: `--set train.lr=1e-3`, as often as needed

The right side of 5 and 6 is TOML (`[64, 32]`, `true`, `1e-3`); a bare word is a text. An unknown key or a wrong value
is an error with its line, never ignored. `config show NAME --origin` says what holds and where each value comes from.
"""

RANGES = """\
## A search range

`[search.space]` maps a dotted key of `[model]`, `[train]`, `[preprocess]` or `[target]` to exactly one of `log`,
`uniform`, `integer` and `choice`. A space of yours replaces the recipe's as a whole, also if it names but one key. The
recipe's own is made to hold your configuration, which is the first trial: ranges are widened and choices added, and
what does nothing beside your other settings, or is forbidden by them, is left out.
`config show NAME --origin` says what holds.

```toml
[search.space]
"train.lr" = {log = [1e-4, 1e-2]}                # evenly in the logarithm; both ends above 0
"model.dropout" = {uniform = [0.0, 0.5]}         # evenly between the ends
"model.depth" = {integer = [1, 4]}               # whole numbers, both ends included
"model.activation" = {choice = ["relu", "silu"]} # one of these
```

Ends and choices have to be values that the key itself takes: whole numbers want `integer` or `choice`, texts and true
or false want `choice`, lists are not searched. Never searched, for they say where and how often a network
is trained and not what it is, or lead to files of yours:
"""


def config_reference() -> str:
    """The page, in Markdown: one table a section, then how layers override each other and how a range is written."""
    parts = [HEAD, *_sections(Config, ""), RANGES + ", ".join(f"`{key}`" for key in sorted(NOT_SEARCHED)) + ".\n"]
    return "\n".join(parts)


def _sections(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A section's own table, then those of the sections inside it."""
    yield _section(model, prefix)
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = [kind for kind in get_args(field.annotation) if _is_section(kind)]
        if _is_section(field.annotation):
            yield from _sections(field.annotation, f"{key}.")
        elif inner and get_origin(field.annotation) is tuple:
            yield _section(inner[0], f"{key}.", heading=f"`[[{key}]]`, as often as needed")


def _section(model: type[BaseModel], prefix: str, *, heading: str = "") -> str:
    heading = heading or (f"`[{prefix[:-1]}]`" if prefix else "At the top, before any section")
    properties = model.model_json_schema(by_alias=True)["properties"]
    lines = [f"## {heading}", "", (model.__doc__ or "").strip(), ""]
    lines += ["| key | value | default | recipes | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            continue
        own = field.alias or name
        default = "required" if field.is_required() else _code(field.get_default(call_default_factory=True))
        cells = [f"`{prefix}{own}`", _words(properties[own]), default, _presets(prefix + own), field.description or ""]
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _is_section(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _presets(key: str) -> str:
    layers = {**RECIPES, "`--fast`": FAST}
    return "; ".join(f"{name} {_code(values[key])}" for name, values in layers.items() if key in values)


def _words(schema: Mapping[str, Any], *, noun: str = "") -> str:
    """Type and limits of a JSON schema, in words."""
    if "enum" in schema:
        return ", ".join(_code(choice) for choice in schema["enum"])
    if schema.get("type") == "array":
        return _list_words(schema)
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties", {})
        if "anyOf" in inner:
            return f"table: keyword -> {', '.join(map(_words, inner['anyOf']))}"
        return "table of ranges, see the end" if "$ref" in inner else f"table: column -> {_words(inner)}"
    limits = [f"{words} {_toml(schema[limit])}" for limit, words in LIMITS.items() if limit in schema]
    if "pattern" in schema:
        limits.append(f"matching `{schema['pattern']}`")
    return ", ".join([noun or NOUNS[schema["type"]], *limits])


def _list_words(schema: Mapping[str, Any]) -> str:
    items = schema["items"]
    if "$ref" in items:
        return f"`[[{TABLE_OF.get(schema['title'], schema['title'].lower())}]]` sections, see there"
    if "prefixItems" in items:
        return f"list of pairs of {NOUNS[items['prefixItems'][0]['type']]}s"
    return "list of " + _words(items, noun=f"{NOUNS[items['type']]}s").replace(", ", ", each ", 1)


def _code(value: object) -> str:
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    """One value as TOML writes it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        pairs = [f"{name if BARE_KEY.fullmatch(name) else _toml(name)} = {_toml(own)}" for name, own in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def write_reference(page: Path = PAGE) -> None:
    """Write the page, whole or not at all."""
    write_atomically(page, config_reference().encode())
    sys.stdout.write(f"{page.name} written: {len(page.read_text(encoding='utf-8').splitlines())} lines\n")


if __name__ == "__main__":
    write_reference()
