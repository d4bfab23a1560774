"""`config check` and `doctor`: everything wrong at once, everything suspicious with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.shell.conftest import read_rows, write_csv

if TYPE_CHECKING:
    from tests.shell.conftest import Project
EXPECTED = "expected a finite number (1 such rows); correct or blank it"


def test_a_sound_competition_is_told_so_and_nothing_is_written(project: Project) -> None:
    """What will be trained on, and the next command."""
    out = project.must("config", "check")
    assert out.startswith("check       nothing wrong      240 + 60 rows, ")
    assert out.endswith("; next: make features train submit NAME=tiny\n")
    assert not project.models.exists()
    assert not (project.root / "data" / "processed").exists()


def test_faults_of_config_and_data_are_told_together(project: Project) -> None:
    """A misspelt key, a value of the wrong type, a column that is not there, and a target that is no number."""
    text = project.config.read_text()
    project.config.write_text(text.replace("epochs = 4", 'epochs = "many"\nweight_dcay = 1').replace(
        'id = "key"', 'id = "key"\ndrop = ["nots"]'
    ))  # fmt: skip
    rows = read_rows(project.raw / "train.csv")
    rows[5][-1] = "expensive"
    write_csv(project.raw / "train.csv", rows)
    code, out, err = project.run("config", "check")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: 4 faults in competitions/tiny.toml and its data:",
        "  tiny.toml:19: unknown key 'train.weight_dcay'; did you mean 'train.weight_decay'?",
        "  tiny.toml:18: train.epochs = 'many': input should be a valid integer",
        "  data/raw/tiny/train.csv: no column 'nots', listed in [schema] drop; did you mean 'note'?",
        f"  data/raw/tiny/train.csv: line 6: target 'cost' is 'expensive', {EXPECTED}",
    ]


def test_faults_of_several_files_are_told_together(project: Project) -> None:
    """A ragged line in train and another in test."""
    for name, line in (("train.csv", 3), ("test.csv", 4)):
        lines = (project.raw / name).read_text().splitlines()
        lines[line - 1] += ",7"
        (project.raw / name).write_text("\n".join(lines) + "\n")
    _, _, err = project.run("config", "check")
    assert "data/raw/tiny/train.csv: line 3: 7 fields" in err
    assert "data/raw/tiny/test.csv: line 4: 6 fields" in err


def test_too_few_rows_for_the_folds_is_found_before_training(project: Project) -> None:
    """FAULT 38."""
    code, _, err = project.run("config", "check", "--set", "folds.count=200")
    assert code == 2
    assert "folds.count = 200 needs at least 400 training rows with a target, found 240" in err


def test_the_doctor_finds_a_planted_copy_of_the_target(project: Project) -> None:
    """FAULT 40: with the column, the evidence and the line that mends it; ingest says it too."""
    for name in ("train.csv", "test.csv"):
        header, *rows = read_rows(project.raw / name)
        cost = {row[0]: float(row[1]) * 3 + 1 for row in rows}
        if name == "train.csv":
            cost = {row[0]: float(row[-1]) * 3 + 1 for row in rows}
        write_csv(project.raw / name, [[*header, "total"], *([*row, cost[row[0]]] for row in rows)])
    assert "total" in project.must("ingest")
    out = project.must("doctor")
    assert 'drop = ["total"]' in out


def test_the_doctor_says_what_it_looked_for_where_it_finds_nothing(project: Project) -> None:
    """No alarm is no proof."""
    out = project.must("doctor")
    assert "leak" in out
    assert "drop = [" not in out
