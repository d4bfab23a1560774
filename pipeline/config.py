"""From TOML text to one frozen tree: defaults < recipe < file < environment < --set, each value with its origin."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from pipeline.dimensions import faults_of_space, fitting_space
from pipeline.errors import ConfigError
from pipeline.expectations import expected
from pipeline.recipes import FAST, RECIPES
from pipeline.settings import Config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENVIRONMENT_PREFIX = "PIPELINE_"
ALIASES = {"schema": "roles"}
# keys that hold a table of their own, whose names are the user's: columns, or dotted keys
TABLES = {"search.space", "schema.ordinal", "schema.dates", "schema.missing_in", "model.options"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A validated configuration and where each value came from."""

    config: Config
    origins: Mapping[str, str]  # dotted key -> "default", "recipe classic", "house-prices.toml:7", …


def load_config(
    text: str,
    *,
    file: str,
    environment: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
    fast: bool = False,
) -> Resolved:
    """Resolve every layer and validate the whole at once.

    text: the TOML; file: its name, for messages. settings: "a.b=value" as given to --set.
    Raises ConfigError that lists every fault, each with its line or option and, for an unknown key, the nearest
    known one.
    """
    resolved, faults = check_config(text, file=file, environment=environment, settings=settings, fast=fast)
    if faults:
        raise ConfigError("\n".join(faults))
    return resolved


def check_config(
    text: str,
    *,
    file: str,
    environment: Mapping[str, str] | None = None,
    settings: Sequence[str] = (),
    fast: bool = False,
) -> tuple[Resolved, list[str]]:
    """What can be resolved, and every fault of what cannot: a faulty key keeps its default.

    Raises ConfigError for a text that is not TOML at all.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    lines = key_lines(text)
    given: dict[str, tuple[object, str]] = {
        key: (value, f"{file}:{lines[key]}" if key in lines else file) for key, value in _leaves(tree)
    }
    if fast:
        given |= {key: (value, "--fast") for key, value in FAST.items()}
    given |= _from_environment(environment or {})
    given |= _from_options(settings)
    recipe = given.get("recipe", (Config.model_fields["recipe"].default, "default"))[0]
    presets = {key: (value, f"recipe {recipe}") for key, value in RECIPES.get(str(recipe), {}).items()}
    return _validated(presets | given)


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key a competition may set."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from known_keys(field.annotation, key + ".")
        else:
            yield key


def value_at(config: Config, key: str) -> object:
    """The value of one dotted key."""
    value: object = config
    for part in key.split("."):
        value = getattr(value, ALIASES.get(part, part))
    return value


def with_values(config: Config, values: Mapping[str, object]) -> Config:
    """The same configuration with some dotted keys replaced; validated again."""
    tree = config.model_dump(by_alias=True)
    for key, value in values.items():
        *sections, leaf = key.split(".")
        branch = tree
        for section in sections:
            branch = branch[section]
        branch[leaf] = value
    return Config.model_validate(tree)


def shown_layers(values: Mapping[str, object]) -> dict[str, object]:
    """The values, and where there is a width or a depth among them, no explicit `hidden`, which would win over it."""
    return dict(values) if {"model.width", "model.depth"}.isdisjoint(values) else {"model.hidden": (), **values}


def seconds_of(duration: str) -> float:
    """Seconds of a duration such as 90m or 2h; 0 for none."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]] if duration else 0.0


def key_lines(text: str) -> dict[str, int]:
    """The 1-based line on which each dotted key stands; keys inside a value's brackets belong to that value."""
    lines: dict[str, int] = {}
    section = ""
    depth = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        # texts lose what looks like TOML, a comment goes as a whole (a quote in it opens no text)
        line = re.sub(
            r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'|#.*', lambda m: re.sub(r"[=#\[\]{}]", " ", m[1] or m[2] or ""), raw
        ).strip()
        if depth == 0 and (header := re.fullmatch(r"\[\[?\s*([^\]]+?)\s*\]\]?", line)):
            section = re.sub(r"\s*\.\s*", ".", header.group(1)) + "."
            lines.setdefault(section[:-1], number)
        elif depth == 0 and "=" in line:
            key = re.sub(r"\s*\.\s*", ".", line.split("=", 1)[0].strip())
            lines.setdefault(section + key, number)
        depth = max(0, depth + sum(line.count(c) for c in "[{") - sum(line.count(c) for c in "]}"))
        if header_closed(line):
            depth = 0
    return lines


def header_closed(line: str) -> bool:
    """Whether a line is a section header, whose brackets open no value."""
    return bool(re.fullmatch(r"\[[^=]*\]", line))


def _leaves(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        key = prefix + name
        if isinstance(value, dict) and key not in TABLES:
            yield from _leaves(value, key + ".")
        else:
            yield key, value


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Settings among the environment's variables; a build system's own PIPELINE_ID is none and is left alone."""
    known = {key.replace(".", "_") for key in known_keys()}
    values: dict[str, tuple[object, str]] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        meant = "__" in key or difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        if meant:
            values[key.replace("__", ".")] = (_toml_value(text), f"environment {name}")
    return values


def _from_options(settings: Sequence[str]) -> dict[str, tuple[object, str]]:
    values: dict[str, tuple[object, str]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected section.key=value, for example --set train.lr=1e-3")
        values[key.strip()] = (_toml_value(text.strip()), f"--set {key.strip()}")
    return values


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string: --set train.optimizer=adam


def _validated(given: Mapping[str, tuple[object, str]]) -> tuple[Resolved, list[str]]:
    known = list(known_keys())
    faults = [_unknown_key(key, origin, known) for key, (_, origin) in given.items() if key not in known]
    given = {key: value for key, value in given.items() if key in known}
    try:
        config = Config.model_validate(_tree(given))
    except ValidationError as error:
        faults += [_wrong_value(fault, given) for fault in error.errors()]
        wrong = {key for fault in error.errors() for key in _keys_of(fault, given)}
        given = {key: value for key, value in given.items() if key not in wrong}
        config = Config.model_validate(_tree(given))
    origin = given.get("search.space", (None, "default"))[1]
    if origin.startswith("recipe "):
        search = config.search.model_copy(update={"space": fitting_space(config)})
        config = config.model_copy(update={"search": search})
    elif not faults:
        faults += [f"{origin}: {fault}" for fault in faults_of_space(config, known)]
    origins = {key: given[key][1] if key in given else "default" for key in known}
    return Resolved(config, origins), faults


def _tree(given: Mapping[str, tuple[object, str]]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, (value, _) in given.items():
        *sections, leaf = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})  # type: ignore[assignment]  # sections only ever hold dicts
        branch[leaf] = value
    return tree


def _unknown_key(key: str, origin: str, known: Sequence[str]) -> str:
    leaf = key.rsplit(".", 1)[-1]
    by_leaf = {name.rsplit(".", 1)[-1]: name for name in known}
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    near = near or [by_leaf[hit] for hit in difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=0.6)]
    remedy = f"did you mean {near[0]!r}?" if near else "`python -m pipeline config show` lists the known keys"
    return f"{origin}: unknown key {key!r}; {remedy}"


def _wrong_value(fault: Mapping[str, object], given: Mapping[str, tuple[object, str]]) -> str:
    keys, location = _keys_of(fault, given), ".".join(_location(fault))
    origins = [given[key][1] for key in keys]
    if keys and keys[0].startswith(f"{location}."):  # a section whose keys do not go together
        origin = next((origin for origin in origins if not origin.startswith("recipe ")), origins[0])
        return f"{origin}: [{location}] {str(fault['msg']).removeprefix('Value error, ')}"
    origin = origins[0] if keys else "config"
    return f"{origin}: {location} = {fault['input']!r}: {expected(fault)}"


def _keys_of(fault: Mapping[str, object], given: Mapping[str, tuple[object, str]]) -> list[str]:
    """The given keys that a fault is about: one, whose location may lead further in, or all of a section's."""
    parts = _location(fault)
    one = [key for n in range(len(parts), 0, -1) if (key := ".".join(parts[:n])) in given]
    return one[:1] or [key for key in given if key.startswith(".".join([*parts, ""]))]


def _location(fault: Mapping[str, object]) -> list[str]:
    location = fault["loc"]
    return [str(part) for part in location] if isinstance(location, tuple) else []
