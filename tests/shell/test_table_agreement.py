"""Tables that do not go together, met through the command line (FAULT: the number in the list of faults).

How a fault is injected, refused and noticed: test_table_faults.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pipeline import outputs
from tests.shell.conftest import Project, read_rows, write_csv
from tests.shell.test_table_faults import (
    RAW,
    SAMPLE,
    TEST,
    TRAIN,
    add_column,
    edit,
    forget,
    noticed,
    put,
    put_everywhere,
    refused,
    submission,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# --- files that disagree


def without(project: Project, file: str, column: str) -> None:
    rows = read_rows(project.raw / file)
    place = rows[0].index(column)
    write_csv(project.raw / file, [[*row[:place], *row[place + 1 :]] for row in rows])


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        ([(TEST, "age")], "only in train: 'age'; only in test: none"),
        ([(TRAIN, "age")], "only in train: none; only in test: 'age'"),
        ([(TEST, "age"), (TRAIN, "area")], "only in train: 'age'; only in test: 'area'"),
    ],
)
def test_columns_of_one_file_only_are_named_on_both_sides(
    project: Project, lost: list[tuple[str, str]], sentence: str
) -> None:
    """FAULT 31: the difference, and both ways to mend it."""
    for file, column in lost:
        without(project, file, column)
    assert refused(project, "submit") == (
        f"{RAW}/{TRAIN} and {RAW}/{TEST} have different columns: {sentence}; add the missing ones, or list them under "
        f"[schema] drop"
    )


def test_role_columns_must_be_where_they_belong(project: Project) -> None:
    """FAULT 31: the id in the test file, the target in the training file and in no other."""
    add_column(project, TEST, "cost", lambda _: "5")
    assert refused(project, "submit") == (
        f"{RAW}/{TEST}: contains the target 'cost'; a test file has none: remove the column, or name the right target "
        f"under [schema]"
    )
    without(project, TEST, "cost")
    without(project, TEST, "key")
    assert refused(project, "submit") == (
        f"{RAW}/{TEST}: no column 'key', which [schema] id names; the file has 'area', 'age', 'district', 'note'"
    )


def test_columns_in_another_order_are_the_same_columns(project: Project) -> None:
    """FAULT 31: names count, not places."""
    plain = submission(project)
    rows = read_rows(project.raw / TEST)
    write_csv(project.raw / TEST, [row[::-1] for row in rows])
    assert submission(project) == plain


def test_levels_that_only_the_test_has_are_counted_and_share_one_prediction(project: Project) -> None:
    """FAULT 32: two names that no training row has mean the same to every network; `predict` counts them too."""
    rows = read_rows(project.raw / TEST)
    for line, level in ((1, "X"), (2, "Y")):
        rows[line] = [rows[line][0], *rows[1][1:]]
        rows[line][3] = level
    write_csv(project.raw / TEST, cast("list[list[object]]", rows))
    assert noticed(project) == ["district: test rows with levels never seen in train ('X', 'Y'): 2"]
    submission(project)
    (_, first), (_, second), *_ = read_rows(project.reports / "submission.csv")[1:]
    assert first == second
    out = project.must("predict", "--input", f"{RAW}/{TEST}", "--output", "out.csv")
    assert "predict     notice: district: rows with a level that training never saw: 2\n" in out
    assert Path("out.csv").read_bytes() == (project.reports / "submission.csv").read_bytes()


CAPPED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30));"
    "from pipeline.__main__ import run; sys.exit(run(sys.argv[1:]))"
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no RLIMIT_AS")
def test_a_hundred_thousand_levels_train_within_four_gigabytes(project: Project) -> None:
    """FAULT 33: 120,000 rows x 100,000 levels one-hot would be 48 GB in float32; hashed they are 64 columns."""
    draw = random.Random(0)
    for file, rows in ((TRAIN, 120_000), (TEST, 2_000)):
        header = ["key", "area", "who", *(["cost"] if file == TRAIN else [])]
        levels = [f"w{row if row < 100_000 else draw.randrange(100_000)}" for row in range(rows)]
        write_csv(
            project.raw / file,
            [
                header,
                *(
                    [f"{file}{n}", draw.randint(30, 200), who, n % 997 + 1][: len(header)]
                    for n, who in enumerate(levels)
                ),
            ],
        )
    (project.raw / SAMPLE).unlink()
    small = ("train.epochs=1", "train.batch_size=4096", "train.seeds=1", "folds.count=2", "preprocess.min_frequency=1")
    words = ["train", "tiny", *(word for setting in small for word in ("--set", setting))]
    done = subprocess.run(
        [sys.executable, "-c", CAPPED, *words], check=False, capture_output=True, text=True, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    assert "  66 columns, 2 folds, 1 notice\n" in done.stdout
    assert (
        "            noticed            who: levels hashed into 64 columns (preprocess.max_levels = 1000): 100000\n"
    ) in done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


# --- targets and ids


def test_rows_without_a_target_are_counted_and_only_all_of_them_are_a_fault(project: Project) -> None:
    """FAULT 34: the rows are gone from oof.csv too."""
    put(project, TRAIN, "cost", {2: "", 3: "NA", 4: " "})
    assert noticed(project) == [f"cost: {RAW}/{TRAIN}: rows without a target were dropped: 3"]
    project.must("evaluate")
    assert len(read_rows(project.models / "oof.csv")) == 1 + 237
    put_everywhere(project, TRAIN, "cost", lambda *_: "NA")
    assert refused(project, "submit") == (
        f"{RAW}/{TRAIN}: target 'cost' is missing on all 240 rows; is [schema] target the right column?"
    )


@pytest.mark.parametrize(
    ("text_of", "sentence"),
    [
        (
            lambda line, _: "cheap" if line % 2 else "dear",
            (
                "line 2: target 'cost' is 'dear', expected a finite number (240 such rows); a target of texts is "
                "classification, and Foldpack does regression"
            ),
        ),
        (
            lambda line, _: str(line % 2 + 1),
            (
                "target 'cost' is always 1 or 2: two values are two classes, and Foldpack does regression, not "
                "classification"
            ),
        ),
        (
            lambda line, text: "cheap" if line == 6 else text,
            "line 6: target 'cost' is 'cheap', expected a finite number (1 such rows); correct or blank it",
        ),
        (
            lambda line, text: "-4" if line > 200 else text,
            (
                "line 201: target 'cost' is -4 (41 such rows), but metric 'log_rmse' needs values above 0; choose "
                "another metric, for example rmse"
            ),
        ),
    ],
    ids=["texts", "two values", "one text", "negative"],
)
def test_a_target_that_is_none_is_refused_before_training(
    project: Project, text_of: Callable[[int, str], str], sentence: str
) -> None:
    """FAULTS 34 and 37: classification is named; under a logarithm a negative target ends the run at once."""
    put_everywhere(project, TRAIN, "cost", text_of)
    assert refused(project, "submit") == f"{RAW}/{TRAIN}: {sentence}"


def test_a_doubled_id_is_a_fault_in_test_and_a_notice_in_train(project: Project) -> None:
    """FAULT 35: Kaggle matches by id; repeated training rows are the user's business."""
    put(project, TRAIN, "key", {4: "00001"})
    assert noticed(project) == [f"key: {RAW}/{TRAIN}: ids that stand there more than once: 1"]
    put(project, TEST, "key", {4: "00241"})
    assert refused(project, "submit") == (
        f"{RAW}/{TEST}: line 4: id '00241' stands there twice (1 doubled ids); Kaggle matches predictions by id, so "
        f"ids must be unique"
    )
    put(project, TEST, "key", {4: " "})
    assert refused(project, "submit") == f"{RAW}/{TEST}: line 4: 'key' is empty; every test row needs an id"


DISAGREE = f"{RAW}/{SAMPLE} and {RAW}/{TEST} disagree: "
AGAIN = "download both again, they must come from the same competition"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda rows: rows.pop(),
            f"{DISAGREE}0 ids only in the sample, 1 only in the test file (for example '00299'); {AGAIN}",
        ),
        (
            lambda rows: rows.append(["99999", "1"]),
            f"{DISAGREE}1 ids only in the sample (for example '99999'), 0 only in the test file; {AGAIN}",
        ),
        (
            lambda rows: [row.__setitem__(0, row[0][1:]) for row in rows[1:]],
            (
                f"{DISAGREE}60 ids only in the sample (for example '0240', '0241', '0242'), 60 only in the test file "
                f"(for example '00240', '00241', '00242'); {AGAIN}"
            ),
        ),
        (
            lambda rows: rows.append(["00240", "1"]),
            f"{RAW}/{SAMPLE}: id '00240' stands there twice; every test row needs one line",
        ),
        (
            lambda rows: rows[0].__setitem__(0, "Id"),
            (
                f"{RAW}/{SAMPLE}: expected two columns, 'key' and a prediction, found Id, cost; correct the file or "
                f"[schema] id"
            ),
        ),
        (
            lambda rows: [
                row.__setitem__(slice(1, None), ["one", "more"] if row[0] == "key" else ["1", "1"]) for row in rows
            ],
            (
                f"{RAW}/{SAMPLE}: expected two columns, 'key' and a prediction, found key, one, more; correct the "
                f"file or [schema] id"
            ),
        ),
    ],
    ids=["missing", "extra", "other", "doubled", "header", "other targets"],
)
def test_a_sample_that_does_not_go_with_the_test_file_is_refused(
    project: Project, change: Callable[[list[list[str]]], object], sentence: str
) -> None:
    """FAULT 36: counts and examples from both sides, before an hour of training."""
    edit(project, SAMPLE, change)
    assert refused(project, "submit") == sentence


def test_the_submission_follows_the_sample_in_order_and_header(project: Project) -> None:
    """FAULT 36: a reversed sample gives the reversed file, under the sample's own header."""
    plain = read_rows_of(submission(project))
    forget(project)
    edit(project, SAMPLE, lambda rows: rows.__setitem__(slice(0, None), [["key", "Price"], *rows[:0:-1]]))
    assert noticed(project) == [
        f"{RAW}/{SAMPLE}: lists the ids of {RAW}/{TEST} in another order; the submission follows the sample: 60"
    ]
    assert read_rows_of(submission(project)) == [["key", "Price"], *plain[:0:-1]]


def read_rows_of(content: bytes) -> list[list[str]]:
    return [line.split(",") for line in content.decode().splitlines()]


def test_a_submission_that_the_disk_gives_back_changed_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 36: the written file is read back; a byte that is another one ends the command."""
    real = outputs.write_atomically

    def flipping(path: Path, content: bytes) -> None:
        real(path, content.replace(b"00240", b"0024O") if path.name == "submission.csv" else content)

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_atomically", flipping)
        code, _, err = project.run("submit")
    assert (code, err) == (
        2,
        "error: reports/tiny/submission.csv: the disk gave back other bytes than were written; do not upload it\n",
    )
    assert "submission.csv" not in (project.reports / ".published.json").read_text()
    assert submission(project).count(b"00240") == 1


# --- folds and leaks


@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        (
            6,
            (),
            (
                "folds.count = 3 needs at least 6 training rows with a target, found 5; lower folds.count or bring "
                "more rows"
            ),
        ),
        (
            241,
            ("folds.kind=grouped", "folds.column=district", "folds.count=5"),
            (
                "folds.count = 5 needs at least 5 groups, found 4 in column 'district'; lower folds.count or name "
                "another column"
            ),
        ),
    ],
)
def test_fewer_rows_or_groups_than_folds_are_told_before_training(
    project: Project, rows: int, settings: tuple[str, ...], sentence: str
) -> None:
    """FAULT 38: what was found and which two ways lead out."""
    edit(project, TRAIN, lambda lines: lines.__delitem__(slice(rows, None)))
    words = [word for setting in settings for word in ("--set", setting)]
    project.must("ingest", *words)
    assert refused(project, "submit", *words) == sentence


def test_a_copy_of_the_target_is_said_on_every_run_and_by_the_doctor(project: Project) -> None:
    """FAULT 40: the column, the evidence and the line that mends it; with that line nothing is left to say."""
    add_column(project, TRAIN, "total", lambda row: str(float(row[-1]) * 3 + 1))
    add_column(project, TEST, "total", lambda row: row[1])
    evidence = "but for a factor and an offset (Spearman 1.0000, 240 of 240 rows looked at)"
    remedy = 'do: [schema] drop = ["total"]'
    assert noticed(project) == [
        f"total: column 'total' is the target {evidence}; {remedy}; rows looked at: 240",
    ]
    assert f"leak     column 'total' is 'cost' {evidence}\n         {remedy}\n" in project.must("doctor")
    forget(project)
    assert noticed(project, "--set", 'schema.drop=["total"]') == []


def test_ids_that_order_the_target_are_said(project: Project) -> None:
    """FAULT 40: an id given after sorting by the target tells it, were it ever a feature."""
    edit(project, TRAIN, lambda rows: rows.__setitem__(slice(1, None), sorted(rows[1:], key=lambda r: float(r[-1]))))
    put_everywhere(project, TRAIN, "key", lambda line, _: f"{line:05d}")
    assert noticed(project) == [
        (
            "key: the order of the rows, and of their ids, gives the target away (Spearman 1.000, 240 rows looked at); "
            "do: make no feature of ids or row numbers, and keep [folds] shuffle = true: no fold is a stretch of it; "
            "rows looked at: 240"
        )
    ]
