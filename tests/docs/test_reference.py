"""docs/CONFIG.md is what the settings' classes say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.config import known_keys, load_config, value_at
from pipeline.dimensions import NOT_SEARCHED
from pipeline.recipes import FAST, RECIPES
from pipeline.reference import _toml, _words, config_reference
from pipeline.settings import Config, Join
from pipeline.training_settings import Link

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| `(?P<key>[\w.]+)` \| (?P<rest>.+) \|")


def rows() -> dict[str, list[str]]:
    """Each key's cells behind it, unescaped: value, default, recipes, meaning."""
    found: dict[str, list[str]] = {}
    for line in config_reference().splitlines():
        if match := ROW.fullmatch(line):
            cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", match["rest"])]
            assert len(cells) == 4, line
            assert match["key"] not in found, line
            found[match["key"]] = cells
    return found


ROWS = rows()
KEYS = list(known_keys())


def plain(value: object) -> object:
    """As TOML holds it: lists and tables, no empty fields."""
    if isinstance(value, BaseModel):
        return {name: plain(own) for name, own in value.model_dump(exclude_none=True).items()}
    if isinstance(value, dict):
        return {name: plain(own) for name, own in value.items()}
    return [plain(own) for own in value] if isinstance(value, list | tuple) else value


def parsed(cell: str) -> object:
    """The value between back quotes."""
    return tomllib.loads(f"value = {cell.removeprefix('`').removesuffix('`')}")["value"]


def test_the_page_is_up_to_date() -> None:
    """`python -m pipeline.reference` makes it so again."""
    assert (ROOT / "docs" / "CONFIG.md").read_text(encoding="utf-8") == config_reference()


def test_every_known_key_has_one_row_and_no_other_has_one() -> None:
    """The keys of repeated sections, which no single key names, excepted."""
    repeated = {key for key in ROWS if key.startswith(("join.", "train.chain."))}
    assert sorted(set(ROWS) - repeated) == sorted(KEYS)
    own = [f"train.chain.{name}" for name in Link.model_fields] + [f"join.{name}" for name in Join.model_fields]
    assert sorted(repeated) == sorted(own)


@pytest.mark.parametrize("key", KEYS)
def test_a_default_on_the_page_is_the_classes_own(key: str) -> None:
    """Read back as TOML."""
    assert parsed(ROWS[key][1]) == plain(value_at(Config(), key))


@pytest.mark.parametrize("key", KEYS)
def test_what_a_recipe_sets_is_on_the_page(key: str) -> None:
    """Each recipe and --fast, with its value, and nothing where none sets it."""
    layers = {**RECIPES, "`--fast`": FAST}
    found = dict(part.rsplit(" `", 1) for part in ROWS[key][2].split("; ") if part)
    expected = {name: plain(values[key]) for name, values in layers.items() if key in values}
    assert {name: parsed(f"`{value}") for name, value in found.items()} == expected


@pytest.mark.parametrize("key", ROWS)
def test_every_key_says_what_it_means(key: str) -> None:
    """And which values it takes; the key of a side table has no default."""
    value, default, _, meaning = ROWS[key]
    assert value
    assert meaning
    assert default == "required" or not key.startswith("join.")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 32}, "whole number, at least 1, at most 32"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "number, above 0, below 1"),
        ({"type": "boolean"}, "true or false"),
        ({"enum": ["auto", "\t"]}, '`"auto"`, `"\\t"`'),
        ({"type": "string", "pattern": "^a|b$"}, "text, matching `^a|b$`"),
        ({"type": "array", "items": {"type": "string"}}, "list of texts"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}},
         "list of whole numbers, each at least 1, at most 9"),
        ({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
         "table: column -> list of texts"),
    ],
)  # fmt: skip
def test_types_and_limits_are_said_in_words(schema: dict[str, object], words: str) -> None:
    """As a reader would, who knows no JSON schema."""
    assert _words(schema) == words


def test_a_bar_in_a_cell_is_escaped() -> None:
    """The separator | would end its cell."""
    [line] = [line for line in config_reference().splitlines() if line.startswith("| `files.separator`")]
    assert '`"\\|"`' in line
    assert len(re.findall(r"(?<!\\)\|", line)) == 6


@pytest.mark.parametrize(
    "value", [True, 0, 1e-8, 'a "b" | \\ é\t', [1, 2.5, "x"], {"train.lr": {"log": [0.1, 1.0]}}, {}, []]
)
def test_a_value_is_valid_toml(value: object) -> None:
    """Read back, it is the same."""
    assert tomllib.loads(f"value = {_toml(value)}")["value"] == value


def test_the_order_of_layers_on_the_page_is_the_true_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer more each time; the numbered list names them in this order."""
    names = re.findall(r"^\d\. (?:the )?`?(--fast|\w+)", config_reference(), re.MULTILINE)
    assert names == ["default", "recipe", "file", "--fast", "environment", "command"]
    text = 'recipe = "textbook"\n[train]\nepochs = 7\n'
    environment = {"PIPELINE_TRAIN__EPOCHS": "8"}
    epochs = [
        load_config(text, file="c", **options).config.train.epochs
        for options in ({}, {"fast": True}, {"fast": True, "environment": environment},
                        {"fast": True, "environment": environment, "settings": ["train.epochs=9"]})
    ]  # fmt: skip
    assert epochs == [7, FAST["train.epochs"], 8, 9]


def test_the_range_shown_is_valid_and_shows_each_kind() -> None:
    """And the keys said not to be searched are refused."""
    [block] = re.findall(r"^```toml\n(.*?)^```$", config_reference(), re.DOTALL | re.MULTILINE)
    space = load_config(block, file="c").config.search.space
    kinds = [kind for own in space.values() for kind in own.model_dump(exclude_none=True)]
    assert sorted(kinds) == ["choice", "integer", "log", "uniform"]
    last = config_reference().rstrip().splitlines()[-1]
    assert re.findall(r"`([\w.]+)`", last) == sorted(NOT_SEARCHED)


def test_the_command_writes_the_page_and_prints_one_line(tmp_path: Path) -> None:
    """Byte for byte the same from one process to another."""
    page = tmp_path / "CONFIG.md"
    code = f"import pathlib, pipeline.reference as r; r.write_reference(pathlib.Path({str(page)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert page.read_bytes() == config_reference().encode()
    assert done.stdout.count("\n") == 1
    assert not done.stderr
