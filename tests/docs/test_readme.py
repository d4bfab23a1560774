"""README is true: marked blocks run, the others parse, and every command and key in them exists."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import _parser
from pipeline.config import known_keys, load_config
from tests.shell.conftest import write_csv

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- (?P<run>run|prints) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(page, match) for page in PAGES for match in BLOCK.finditer(page.read_text())]
GUIDES = [page for page in PAGES if page.parent.name == "guides"]
pytestmark = pytest.mark.docs


def blocks(kind: str, *, run: bool | None = None) -> list[object]:
    """Blocks of one language, each named by page and line."""
    return [
        pytest.param(match["text"], id=f"{page.name}:{page.read_text()[: match.start()].count(chr(10)) + 1}")
        for page, match in BLOCKS
        if match["kind"] == kind and (run is None or (match["run"] == "run" and page not in GUIDES) == run)
    ]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A root with our competitions and a small made-up table in place of the sample, so that no network is needed."""
    shutil.copytree(ROOT / "competitions", tmp_path / "competitions")
    raw = tmp_path / "data" / "raw" / "house-prices"
    raw.mkdir(parents=True)
    draw = random.Random(0)
    header = ["Id", "Area", "Zone", "SalePrice"]
    rows = [[n, draw.randint(50, 300), draw.choice("AB"), draw.randint(50_000, 500_000)] for n in range(1, 161)]
    write_csv(raw / "train.csv", [header, *rows[:120]])
    write_csv(raw / "test.csv", [header[:-1], *(row[:-1] for row in rows[120:])])
    write_csv(raw / "sample_submission.csv", [["Id", "SalePrice"], *([row[0], 1] for row in rows[120:])])
    return tmp_path


@pytest.mark.parametrize("text", blocks("sh", run=True))
def test_a_marked_block_runs_as_written(text: str, house: Path) -> None:
    """Line by line, stopping at the first failure, in a root of its own."""
    run_block(text, house)


def run_block(text: str, root: Path) -> str:
    """What the block printed."""
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-c", text], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("guide", [pytest.param(page, id=page.name) for page in GUIDES])
def test_a_guide_runs_from_top_to_bottom_and_prints_what_it_shows(guide: Path, tmp_path: Path) -> None:
    """Its blocks share one root; every line of a shown output was printed, "…" standing for anything."""
    printed = ""
    for page, match in BLOCKS:
        if page == guide and match["run"] == "run":
            printed = run_block(match["text"], tmp_path)
        elif page == guide and match["run"] == "prints":
            for line in match["text"].splitlines():
                pattern = r"\s+".join(re.escape(word).replace("…", ".*") for word in line.split())
                assert re.search(pattern, printed), f"{line}\nwas not printed; this was:\n{printed}"


COMMAND = re.compile(r"(?:^|`)((?:make|python -m pipeline|foldpack) [^`\n#]+)", re.MULTILINE)


def commands() -> list[object]:
    """Every `make …` and `python -m pipeline …` in a block or between back quotes."""
    found = [(page.name, line.strip()) for page in PAGES for line in COMMAND.findall(page.read_text())]
    return [pytest.param(line, id=f"{name}: {line[:60]}") for name, line in found]


@pytest.mark.parametrize("line", commands())
def test_a_command_on_a_page_exists(line: str) -> None:
    """Targets are in the Makefile, variables are defined there, subcommands and settings are known."""
    makefile = (ROOT / "Makefile").read_text()
    words = shlex.split(line)
    if words[0] == "make":
        for word in words[1:]:
            name, equals, value = word.partition("=")
            assert re.search(rf"^{name} :=" if equals else rf"^{name}:", makefile, re.MULTILINE), word
            for setting in value.split() if name == "SET" else ():
                assert setting.partition("=")[0] in set(known_keys()), setting
        return
    arguments = words[3:] if words[0] == "python" else words[1:]
    if arguments and not any(re.fullmatch(r"[A-Z…]+", word) for word in arguments):
        options = _parser().parse_args(arguments)
        assert all(setting.partition("=")[0] in set(known_keys()) for setting in options.settings)


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_toml_block_is_a_valid_configuration(text: str) -> None:
    """Every key is known and every value has its type."""
    load_config(text, file="README.md")


@pytest.mark.parametrize("text", blocks("json"))
def test_a_json_block_parses(text: str) -> None:
    """It is JSON."""
    json.loads(text)


def test_every_link_to_a_file_leads_somewhere() -> None:
    """Relative links and pictures of all pages."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
