"""A small competition of its own in a temporary folder, for tests of whole commands."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING

import pytest

from pipeline.__main__ import run

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
# a made-up competition
recipe = "classic"
metric = "log_rmse"

[schema]
id = "key"
target = "cost"

[folds]
count = 3

[model]
width = 8
depth = 1

[train]
epochs = 4
seeds = 2
batch_size = 32
pack_size = 3
"""


def write_csv(path: Path, rows: list[list[object]]) -> None:
    """Write rows as CSV with Unix line ends."""
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def read_rows(path: Path) -> list[list[str]]:
    """Every line of a CSV file, the header first."""
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def make_raw(folder: Path, *, train_rows: int = 240, test_rows: int = 60, seed: int = 0) -> None:
    """Areas, ages, districts and notes with gaps; the cost depends on the first three."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    header = ["key", "area", "age", "district", "note", "cost"]
    rows: list[list[object]] = []
    for number in range(train_rows + test_rows):
        area, age, district = draw.uniform(30, 200), draw.randint(0, 90), draw.choice("NESW")
        cost = round(1000 * area * (1.2 if district == "N" else 1.0) * (1 - age / 300) * draw.uniform(0.9, 1.1))
        shown_age = "NA" if draw.random() < 0.1 else age
        rows.append([f"{number:05d}", round(area, 2), shown_age, district, draw.choice(["", "view", "None"]), cost])
    train, test = rows[:train_rows], rows[train_rows:]
    write_csv(folder / "train.csv", [header, *train])
    write_csv(folder / "test.csv", [header[:-1], *(row[:-1] for row in test)])
    write_csv(folder / "sample_submission.csv", [["key", "cost"], *([row[0], 1] for row in test)])


class Project:
    """A root folder with one competition, `tiny`, and the shell in it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        (root / "competitions").mkdir(parents=True)
        self.config = root / "competitions" / "tiny.toml"
        self.config.write_text(CONFIG)
        self.raw = root / "data" / "raw" / "tiny"
        self.models = root / "models" / "tiny"
        self.reports = root / "reports" / "tiny"
        make_raw(self.raw)

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one command."""
        self._capsys.readouterr()
        command, *rest = words
        code = run([command, *rest] if command.startswith("-") else _with_name(command, rest))
        out, err = self._capsys.readouterr()
        return code, out, err

    def must(self, *words: str) -> str:
        """Standard output of a command that has to succeed."""
        code, out, err = self.run(*words)
        assert code == 0, err
        return out


def _with_name(command: str, rest: list[str]) -> list[str]:
    positional = 1 if command in ("config", "explain") else 0
    return [command, *rest[:positional], "tiny", *rest[positional:]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    """The made-up competition, with the current folder in its root."""
    root = tmp_path / "root"
    made = Project(root, capsys)
    monkeypatch.chdir(root)
    return made
