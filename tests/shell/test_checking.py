"""`config check` and `doctor`: everything wrong at once, everything suspicious with a remedy."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from tests.shell.conftest import read_rows, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable

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
        "  tiny.toml:18: train.epochs = 'many': expected a whole number",
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


def test_faults_of_folds_calendar_joins_and_cells_are_told_together(project: Project) -> None:
    """A kind without its column, a part of no calendar, a side table that is not there, and a target in words."""
    text = project.config.read_text()
    project.config.write_text(
        text.replace("count = 3", 'count = 3\nkind = "grouped"')
        + '\n[preprocess]\ncalendar = ["weekday"]\n\n[[join]]\nfile = "areas.csv"\non = ["district"]\n'
    )
    rows = read_rows(project.raw / "train.csv")
    rows[5][-1] = "expensive"
    write_csv(project.raw / "train.csv", rows)
    code, out, err = project.run("config", "check")
    assert (code, out) == (2, "")
    assert [line.split(";")[0].split(": input")[0] for line in err.splitlines()] == [
        "error: 4 faults in competitions/tiny.toml and its data:",
        "  tiny.toml:24: preprocess.calendar.0 = 'weekday'",
        '  tiny.toml:10: [folds] kind = "grouped" needs column, the column of the group or of the fold',
        "  data/raw/tiny: no 'areas.csv', which [[join]] file names",
        f"  data/raw/tiny/train.csv: line 6: target 'cost' is 'expensive', {EXPECTED.split(';', maxsplit=1)[0]}",
    ]


def test_a_matrix_without_a_column_is_found_before_training(project: Project) -> None:
    """Constant features beside the column of the folds."""
    for file in ("train.csv", "test.csv"):
        header, *rows = read_rows(project.raw / file)
        write_csv(project.raw / file, [header, *([row[0], 7, 7, row[3], "", *row[5:]] for row in rows)])
    words = ("--set", "folds.kind=column", "--set", "folds.column=district")
    code, _, err = project.run("config", "check", *words)
    assert (code, "no feature column is left for the matrix" in err) == (2, True)
    assert err.count("\n") == 2


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


@pytest.mark.slow
def test_the_doctor_tells_how_the_last_training_went(project: Project) -> None:
    """Nothing before there is one; then what it noticed; and it stays the last one when the settings change."""
    assert "last training" not in project.must("doctor")
    tiny = ("--set", "train.lr=1e-7", "--set", "train.epochs=6")
    project.must("train", *tiny)
    for words, which in (
        (tiny, "train    the last training: "),
        ((), "train    the last training, of other settings or data: "),
    ):
        (line,) = [line for line in project.must("doctor", *words).splitlines() if "last training" in line]
        assert line.startswith(which)
        assert "better than predicting the mean" in line
        assert line.endswith("Set [train] lr = 0.004")
    project.must("train", "--set", "train.lr=0.05", "--set", "train.epochs=20")
    assert "the last training, of other settings or data, had no network that failed or stalled" in project.must(
        "doctor"
    )


# --- leaks looked for by poison


def test_without_time_the_doctor_poisons_what_folds_score(project: Project) -> None:
    """One line, after what it says anyway."""
    plain = project.must("doctor").splitlines()
    *before, state, end = project.must("doctor", "--leaks").splitlines()
    assert before[1:] == plain[1:]
    assert state.startswith("ok       what a fold scores: nothing found; the 80 / 80 / 80 rows that 3 folds score made")
    assert end == "poisoned: no leak by these checks"


@pytest.fixture
def hourly(project: Project) -> Project:
    """Three weeks of demand that a temperature drives; the last day is the test; it has the demand of an hour later."""
    draw = random.Random(1)
    demand = [100 + 20 * (hour % 24 > 7) + draw.gauss(0, 5) for hour in range(21 * 24 + 1)]
    rows: list[list[object]] = [
        [
            f"2024-01-{hour // 24 + 1:02d} {hour % 24:02d}:00",
            round(demand[hour] / 5 + draw.gauss(0, 2), 2),
            round(demand[hour + 1], 3),
            round(demand[hour], 3),
        ]
        for hour in range(21 * 24)
    ]
    write_csv(project.raw / "train.csv", [["when", "warmth", "plan", "cost"], *rows[:-24]])
    write_csv(project.raw / "test.csv", [["when", "warmth", "plan"], *(row[:-1] for row in rows[-24:])])
    (project.raw / "sample_submission.csv").unlink()
    text = project.config.read_text().replace('id = "key"', 'id = "when"')
    project.config.write_text(f'{text}\n[time]\ncolumn = "when"\n')
    return project


def test_the_doctor_finds_a_column_that_tells_the_next_hour(hourly: Project) -> None:
    """FAULT 54: exit code 0 as ever, the column, the shift, and the line that mends it; then nothing is left."""
    out = hourly.must("doctor", "--leaks").splitlines()
    [at] = [
        place for place, line in enumerate(out) if line.startswith("leak     column 'plan' is the target of 1 step")
    ]
    assert "(shift -1): equal on 100.0% of the 479 rows where both are known" in out[at]
    assert out[at + 1].startswith('         do: [schema] drop = ["plan"]; or, ')
    assert out[-1] == "poisoned: 1 of 6 leak checks found something"
    mended = hourly.must("doctor", "--leaks", "--set", 'schema.drop=["plan"]').splitlines()
    assert [line.split()[0] for line in mended[-7:]] == ["ok"] * 6 + ["poisoned:"]


def test_the_doctor_finds_random_folds_before_a_future_test(hourly: Project) -> None:
    """With the line that mends them."""
    out = hourly.must("doctor", "--leaks", "--set", "folds.kind=kfold", "--set", 'schema.drop=["plan"]')
    assert "leak     folds of kind 'kfold' flatter, for the test is future: a fold trains on " in out
    assert '\n         do: [folds] kind = "replay"\n' in out


def test_a_time_series_is_checked_as_one(hourly: Project) -> None:
    """Its columns of the past and its folds are made; a column of train alone is seen of the past, and is no fault."""
    rows = read_rows(hourly.raw / "train.csv")
    write_csv(hourly.raw / "train.csv", [[*row, "calls" if at == 0 else at % 7] for at, row in enumerate(rows)])
    plain, made = (hourly.must("config", "check", "--set", f"history.last={last}") for last in (0, 5))
    assert plain.startswith("check       nothing wrong      480 + 24 rows, ")
    columns = [int(re.search(r"(\d+) columns", out)[1]) for out in (plain, made)]  # type: ignore[index]
    assert columns[1] > columns[0]
    code, _, err = hourly.run("config", "check", "--set", 'history.encode=["nobody"]')
    assert code == 2
    assert "[history] encode lists 'nobody', which is no column of levels known ahead" in err


# --- the score of held-out rows


@pytest.fixture
def held(project: Project) -> Project:
    """A competition without a test file, its submission made."""
    (project.raw / "test.csv").unlink()
    (project.raw / "sample_submission.csv").unlink()
    project.config.write_text(f"{project.config.read_text()}\n[holdout]\nshare = 0.2\n")
    project.must("submit")
    return project


def draw_others(project: Project) -> None:
    text = project.config.read_text()
    project.config.write_text(text.replace("share = 0.2\n", "share = 0.2\nseed = 1\n"))


def change_a_target(project: Project) -> None:
    rows = read_rows(project.raw / "train.csv")
    rows[7][-1] = "9"
    write_csv(project.raw / "train.csv", rows)


def change_a_prediction(project: Project) -> None:
    rows = read_rows(project.reports / "submission.csv")
    rows[1][1] = "1.0"
    write_csv(project.reports / "submission.csv", rows)


@pytest.mark.parametrize("change", [draw_others, change_a_target, change_a_prediction])
def test_a_submission_made_from_something_else_is_not_scored(
    held: Project, change: Callable[[Project], object]
) -> None:
    """Rows that were trained on would flatter it; nothing counts as a look, and a new submission is scored."""
    assert "look 1, 1 distinct submission" in held.must("heldout")
    change(held)
    code, out, err = held.run("heldout")
    assert (code, "look" in out) == (2, False)
    assert err == (
        "error: reports/tiny/submission.csv: it was not made from the files and settings there are now, so these "
        "held-out rows are not its own; run `make submit NAME=tiny` first\n"
    )
    held.must("submit")
    assert "look 2, " in held.must("heldout")


def test_settings_that_only_train_make_no_other_rows(held: Project) -> None:
    """The submission is of an older network, and of the rows that are held out now."""
    assert "look 1, " in held.must("heldout", "--set", "train.epochs=2")
