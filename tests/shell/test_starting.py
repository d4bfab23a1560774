"""`init`: from files to a config, without guessing silently."""

from __future__ import annotations

import json
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline.config import load_config
from tests.shell.conftest import read_rows, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.conftest import Project


def drafted(project: Project) -> dict[str, object]:
    return tomllib.loads(project.config.read_text())


@pytest.fixture
def bare(project: Project) -> Project:
    """The files, and no config yet."""
    project.config.unlink()
    return project


def test_init_drafts_a_config_that_runs_as_it_is(bare: Project) -> None:
    """The id, the target and the metric are found, and the whole road follows without an edit."""
    out = bare.must("init")
    config = drafted(bare)
    assert (config["schema"]["id"], config["schema"]["target"]) == ("key", "cost")
    assert load_config(bare.config.read_text(), file="tiny.toml").config.roles.target == "cost"
    assert "key       id           the id" in " ".join(out.split("\n")) or "key" in out
    assert out.splitlines()[-1].endswith("look at it, then: make features train submit NAME=tiny")
    bare.must("submit", "--fast")
    assert len(read_rows(bare.reports / "fast" / "submission.csv")) == 61


def test_init_overwrites_nothing_unless_told(project: Project) -> None:
    """A config may hold an evening's work."""
    before = project.config.read_text()
    code, _, err = project.run("init")
    assert code == 2
    assert err == (
        "error: competitions/tiny.toml is there already; edit it, or overwrite it: `python -m pipeline init tiny "
        "--force`\n"
    )
    assert project.config.read_text() == before
    project.must("init", "--force")
    assert project.config.read_text() != before


def test_init_takes_the_target_it_is_told(bare: Project) -> None:
    """A guess that is wrong costs one option."""
    (bare.raw / "sample_submission.csv").unlink()
    bare.must("init", "--target", "cost")
    assert drafted(bare)["schema"]["target"] == "cost"


def test_init_unpacks_the_zip_as_kaggle_serves_it(bare: Project) -> None:
    """One archive and nothing else in the folder."""
    files = sorted(bare.raw.iterdir())
    with zipfile.ZipFile(bare.raw / "tiny.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
            file.unlink()
    out = bare.must("init")
    assert "init        unpacked           tiny.zip: 3 files\n" in out
    assert {path.name for path in bare.raw.iterdir()} == {"tiny.zip", *(file.name for file in files)}


def test_a_zip_that_would_write_elsewhere_is_refused(bare: Project) -> None:
    """FAULT 42: nothing is written, inside or outside."""
    for file in bare.raw.iterdir():
        file.unlink()
    with zipfile.ZipFile(bare.raw / "tiny.zip", "w") as archive:
        archive.writestr("../../escaped.csv", "a\n1\n")
    code, _, err = bare.run("init")
    assert code == 2
    assert "../../escaped.csv" in err
    assert [path.name for path in bare.raw.iterdir()] == ["tiny.zip"]
    assert not (bare.raw.parents[1] / "escaped.csv").exists()


def test_without_a_test_file_rows_are_held_out_and_scored(bare: Project) -> None:
    """The draft sets a fifth aside, the submission predicts it, `heldout` scores it and counts the look."""
    (bare.raw / "test.csv").unlink()
    (bare.raw / "sample_submission.csv").unlink()
    bare.must("init", "--target", "cost")
    assert drafted(bare)["holdout"]["share"] == 0.2
    out = bare.must("submit", "--set", "train.epochs=2", "--set", "train.seeds=1")
    assert "reports/tiny/submission.csv has the held-out rows; score them: make heldout NAME=tiny" in out
    held = {row[0] for row in read_rows(bare.reports / "submission.csv")[1:]}
    trained = {row[0] for row in read_rows(bare.models / "oof.csv")[1:]}
    assert (len(held), len(trained), held & trained) == (48, 192, set())
    assert "on 48 held-out rows; look 1, 1 distinct submission" in bare.must("heldout")
    assert "look 2" in bare.must("heldout")


def test_a_side_table_is_joined_by_its_key(bare: Project) -> None:
    """Its columns become features of the row whose key it has."""
    write_csv(bare.raw / "districts.csv", [["district", "tax"], ["N", 4], ["E", 3], ["S", 2], ["W", 1]])
    bare.must("init")
    assert drafted(bare)["join"] == [{"file": "districts.csv", "on": ["district"]}]
    assert ", 2 numeric and 2 text columns" in bare.must("ingest", "--set", "join=[]")
    assert ", 3 numeric and 2 text columns" in bare.must("ingest")


@pytest.mark.slow
def test_predict_joins_the_side_tables_too(bare: Project) -> None:
    """The test file, predicted as if it were new, gives the submission byte for byte."""
    write_csv(bare.raw / "districts.csv", [["district", "tax"], ["N", 4], ["E", 3], ["S", 2], ["W", 1]])
    bare.must("init")
    bare.must("submit", "--fast")
    bare.must("predict", "--fast", "--input", "data/raw/tiny/test.csv", "--output", "out.csv")
    assert (bare.root / "out.csv").read_bytes() == (bare.reports / "fast" / "submission.csv").read_bytes()


def test_a_side_table_that_changes_makes_ingest_stale(bare: Project) -> None:
    """Its bytes are in the key like those of train."""
    side = bare.raw / "districts.csv"
    write_csv(side, [["district", "tax"], ["N", 4], ["E", 3], ["S", 2], ["W", 1]])
    bare.must("init")
    bare.must("ingest")
    assert "ingest      cached" in bare.must("ingest")
    write_csv(side, [["district", "tax"], ["N", 5], ["E", 3], ["S", 2], ["W", 1]])
    assert "the districts.csv file has other bytes" in bare.must("explain", "ingest")
    assert "ingest      computed" in bare.must("ingest")


def test_the_slug_of_a_download_enters_the_draft(bare: Project) -> None:
    """So that `submit --kaggle` needs no further word."""
    (bare.raw / "competition.json").write_text(json.dumps({"kaggle": "tiny-rents"}))
    bare.must("init")
    assert drafted(bare)["kaggle"] == "tiny-rents"


@pytest.mark.parametrize("name", ["a/../b", "../x", ".hidden", "a b", ""])
def test_a_name_that_is_a_path_is_refused(name: str, project: Project, tmp_path: Path) -> None:
    """FAULT 46: names become folders."""
    from pipeline.__main__ import run

    assert run(["init", name]) == 2
    assert [file.name for file in tmp_path.rglob("*.toml")] == ["tiny.toml"]


def test_a_missing_folder_says_where_files_go(project: Project) -> None:
    """The first thing that goes wrong on a fresh clone."""
    from pipeline.__main__ import run

    assert run(["init", "absent"]) == 2


# --- what a draft says again of how files are read


def test_init_reads_files_as_it_is_told_and_writes_it_down(bare: Project) -> None:
    """Latin-1, semicolons and names that tell nothing; the draft needs no option to run."""
    header, *rows = read_rows(bare.raw / "train.csv")
    rows = [[cell.replace("view", "Südblick") for cell in row] for row in rows]
    text = "".join(";".join(row) + "\n" for row in (header, *rows))
    (bare.raw / "learn.csv").write_bytes(text.encode("latin-1"))
    (bare.raw / "train.csv").unlink()
    for file in ("test.csv", "sample_submission.csv"):
        (bare.raw / file).write_text((bare.raw / file).read_text().replace(",", ";"))
    code, _, err = bare.run("init")
    assert (code, "no train file by its name, found learn.csv" in err) == (2, True)
    code, _, err = bare.run("init", "--set", "files.train=learn.csv")
    assert (code, 'set [files] encoding = "latin-1"' in err) == (2, True)
    bare.must("init", "--set", "files.train=learn.csv", "--set", 'files.encoding="latin-1"')
    assert drafted(bare)["files"] == {"train": "learn.csv", "encoding": "latin-1"}
    assert "240 + 60 rows" in bare.must("ingest")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--set", "train.epochs=3"), "--set train.epochs=3"),
        (("--set", "files.separator=;", "--set", "metric=mae"), "--set metric=mae"),
        (("--fast",), "--fast"),
    ],
)
def test_init_refuses_settings_that_a_draft_would_not_keep(bare: Project, words: tuple[str, ...], found: str) -> None:
    """Rather than to pass them over in silence; nothing is written."""
    code, _, err = bare.run("init", *words)
    assert code == 2
    assert err == (
        "error: init reads files and writes a config: of the settings it takes files.… alone, found "
        f"{found}; set the others in the file that it writes\n"
    )
    assert not bare.config.exists()


def test_a_misspelt_setting_of_files_is_told(bare: Project) -> None:
    """As everywhere."""
    code, _, err = bare.run("init", "--set", "files.seperator=;")
    assert (code, "did you mean 'files.separator'?" in err) == (2, True)


# --- archives


def packed(project: Project, *, below: str = "", more: tuple[str, ...] = ()) -> list[Path]:
    """Move every raw file into tiny.zip, there in a folder; further entries hold a letter each."""
    files = sorted(project.raw.iterdir())
    with zipfile.ZipFile(project.raw / "tiny.zip", "w") as archive:
        for file in files:
            archive.write(file, f"{below}{file.name}")
            file.unlink()
        for name in more:
            archive.writestr(name, "x")
    return files


def test_files_in_one_folder_of_a_zip_are_moved_up(bare: Project) -> None:
    """As people pack them, macOS with a folder of its own beside; a folder further down stays one."""
    files = packed(bare, below="rents/", more=("rents/more/notes.txt", "__MACOSX/rents/._train.csv"))
    out = bare.must("init")
    assert "init        moved up           4 files out of rents/\n" in out
    assert all(file.is_file() for file in files)
    assert (bare.raw / "more" / "notes.txt").read_text() == "x"
    assert not (bare.raw / "rents").exists()
    assert "240 + 60 rows" in bare.must("ingest")


def test_files_of_a_zip_in_several_folders_stay_where_they_are(bare: Project) -> None:
    """Nobody can tell which belong together."""
    packed(bare, below="rents/", more=("images/1.png",))
    assert bare.run("init")[0] == 2
    assert (bare.raw / "rents" / "train.csv").is_file()


def test_moving_up_neither_overwrites_nor_deletes(bare: Project) -> None:
    """A file of the user's that lay there before stays, in the folder and under the name that is wanted."""
    packed(bare, below="rents/")
    (bare.raw / "rents").mkdir()
    (bare.raw / "rents" / "mine.txt").write_text("notes")
    (bare.raw / "sample_submission.csv").write_text("key,cost\n")
    code, _, err = bare.run("init")
    assert code == 2
    assert err == (
        "error: data/raw/tiny/rents: its files belong into data/raw/tiny, but another sample_submission.csv is there "
        "already; move one of them away\n"
    )
    (bare.raw / "sample_submission.csv").unlink()
    bare.must("init")
    assert [file.name for file in (bare.raw / "rents").iterdir()] == ["mine.txt"]


def test_unpacking_twice_is_unpacking_once(bare: Project) -> None:
    """Where no file's name says that it is train, init cannot see that it was here before."""
    (bare.raw / "train.csv").rename(bare.raw / "learn.csv")
    packed(bare, below="rents/")
    words = ("--set", "files.train=learn.csv", "--force")
    assert "moved up" in bare.must("init", *words)
    (bare.raw / "sample_submission.csv").unlink()
    assert "unpacked" not in bare.must("init", *words)
    bare.run("init", "--force")  # without the name it unpacks again
    assert (bare.raw / "sample_submission.csv").is_file()
    assert not (bare.raw / "rents").exists()


def test_only_a_training_file_keeps_an_archive_packed(bare: Project) -> None:
    """A table that was put beside it does not: the archive holds what is asked for."""
    packed(bare)
    write_csv(bare.raw / "districts.csv", [["district", "tax"], ["N", 4], ["E", 3], ["S", 2], ["W", 1]])
    assert "unpacked" in bare.must("init")
    assert drafted(bare)["join"] == [{"file": "districts.csv", "on": ["district"]}]
    (bare.raw / "test.csv").unlink()
    assert "unpacked" not in bare.must("init", "--force")


# --- drafts that run, and `predict` that gives the submission again


def add(project: Project, name: str, train: list[object], test: list[object]) -> None:
    """A further feature, behind the id."""
    for file, cells in (("train.csv", train), ("test.csv", test)):
        header, *rows = read_rows(project.raw / file)
        write_csv(
            project.raw / file,
            [[header[0], name, *header[1:]], *([r[0], cell, *r[1:]] for r, cell in zip(rows, cells, strict=True))],
        )


def assert_predict_gives_the_submission(project: Project, source: str = "data/raw/tiny/test.csv") -> str:
    """Byte for byte; returns what `predict` said."""
    project.must("submit", "--fast")
    said = project.must("predict", "--fast", "--input", source, "--output", "out.csv")
    assert (project.root / "out.csv").read_bytes() == (project.reports / "fast" / "submission.csv").read_bytes()
    return said


@pytest.mark.slow
def test_levels_that_look_like_numbers_in_train_alone_are_those_of_test(bare: Project) -> None:
    """Grades such as 1.50, and an X on seven of 60 test rows: no other level is new, in training and in `predict`."""
    grades = ["1.50", "2.00", "9.90"]
    test = ["X" if n % 8 == 3 and n < 56 else grades[n % 3] for n in range(60)]
    add(bare, "grade", [grades[n % 3] for n in range(240)], test)
    bare.must("init")
    assert "grade: test rows with levels never seen in train ('X'): 7\n" in bare.must("ingest")
    said = assert_predict_gives_the_submission(bare)
    assert "predict     notice: grade: rows with a level that training never saw: 7\n" in said


@pytest.mark.slow
def test_codes_that_no_number_tells_apart_stay_apart(bare: Project) -> None:
    """Two of nineteen digits, and a text in the test file alone."""
    codes = ["0012345678901234567", "0012345678901234568"]
    add(bare, "lot", [codes[n % 2] for n in range(240)], [*[codes[n % 2] for n in range(50)], *["none given"] * 10])
    bare.must("init")
    out = bare.must("ingest")
    assert "lot: test rows with levels never seen in train ('none given'): 10\n" in out
    assert_predict_gives_the_submission(bare)


@pytest.mark.slow
def test_quoted_decimal_commas_are_said_and_read_alike_by_predict(bare: Project) -> None:
    """A feature and the target; three digits behind the comma are no thousands."""
    for file in ("train.csv", "test.csv"):
        header, *rows = read_rows(bare.raw / file)
        for row in rows:
            row[1] = f"{float(row[1]) / 100:.3f}".replace(".", ",")
            row[5:] = [f"{float(cell) / 1e6:.3f}".replace(".", ",") for cell in row[5:]]
        write_csv(bare.raw / file, [header, *rows])
    out = bare.must("init")
    assert "# numbers from 0.0" in bare.config.read_text()  # the evidence of the metric
    assert "',' in them as the decimal mark" in out
    out = bare.must("ingest")
    assert "cost: read as numbers, ',' in them as the decimal mark: 240\n" in out
    assert "area: read as numbers, ',' in them as the decimal mark: 300\n" in out
    assert_predict_gives_the_submission(bare)
    assert all(float(row[1]) < 1 for row in read_rows(bare.root / "out.csv")[1:])


@pytest.mark.slow
def test_without_an_id_column_predict_gives_the_submission_too(bare: Project) -> None:
    """The sample's ids name the test rows in order."""
    for file in ("train.csv", "test.csv"):
        write_csv(bare.raw / file, [row[1:] for row in read_rows(bare.raw / file)])
    bare.must("init", "--target", "cost")
    assert "id" not in drafted(bare)["schema"]
    said = assert_predict_gives_the_submission(bare)
    assert "data/raw/tiny/test.csv: no id column is named: its rows go by the ids of the test rows: 60\n" in said
    assert [row[0] for row in read_rows(bare.root / "out.csv")[1:3]] == ["00240", "00241"]


@pytest.mark.slow
def test_a_config_for_parquet_files_predicts_a_csv_file(bare: Project) -> None:
    """Truth values are the same levels in both, NaN is missing in both, and init drafts the same roles."""
    import pandas as pd

    add(bare, "lift", [n % 3 == 0 for n in range(240)], [n % 2 == 0 for n in range(60)])
    bare.must("init")
    of_texts = drafted(bare)["schema"]
    options = {"dtype": {"key": str}, "keep_default_na": False, "na_values": ["", "NA"]}
    frames = {file: pd.read_csv(bare.raw / f"{file}.csv", **options) for file in ("train", "test")}
    for file, frame in frames.items():
        assert frame["lift"].dtype == bool
        assert frame["age"].isna().any()
        frame.to_parquet(bare.raw / f"{file}.parquet")
        (bare.raw / f"{file}.csv").rename(bare.root / f"{file}.csv")
    bare.must("init", "--force")
    assert drafted(bare)["schema"] == of_texts
    assert_predict_gives_the_submission(bare, source="test.csv")
    typed = (bare.root / "out.csv").read_bytes()
    assert_predict_gives_the_submission(bare, source="data/raw/tiny/test.parquet")
    assert (bare.root / "out.csv").read_bytes() == typed


@pytest.mark.slow
def test_groups_of_which_test_has_others_are_dropped_and_keep_the_folds_apart(bare: Project) -> None:
    """The draft runs as it is: the column tells the folds and is no feature, in test it may be absent."""
    add(bare, "tenant_id", [f"t{n % 40}" for n in range(240)], [f"u{n % 9}" for n in range(60)])
    bare.must("init")
    config = drafted(bare)
    assert config["schema"]["drop"] == ["tenant_id"]
    assert config["folds"] == {"kind": "grouped", "column": "tenant_id"}
    bare.must("evaluate", "--set", "train.epochs=1", "--set", "train.seeds=1")
    folds: dict[str, set[str]] = {}
    tenants = {row[0]: row[1] for row in read_rows(bare.raw / "train.csv")[1:]}
    for row in read_rows(bare.models / "oof.csv")[1:]:
        folds.setdefault(tenants[row[0]], set()).add(row[1])
    assert len(folds) == 40
    assert all(len(scored_by) == 1 for scored_by in folds.values())
    write_csv(bare.raw / "test.csv", [[row[0], *row[2:]] for row in read_rows(bare.raw / "test.csv")])
    assert_predict_gives_the_submission(bare)


@pytest.mark.slow
def test_two_targets_run_to_a_submission_of_one_of_them(bare: Project) -> None:
    """The draft drops the other; what the sample wants besides is said."""
    header, *rows = read_rows(bare.raw / "train.csv")
    write_csv(bare.raw / "train.csv", [[*header, "tax"], *([*row, int(row[-1]) // 50] for row in rows)])
    sample = read_rows(bare.raw / "sample_submission.csv")
    write_csv(bare.raw / "sample_submission.csv", [[*row, "tax" if row[0] == "key" else 1] for row in sample])
    bare.must("init")
    assert drafted(bare)["schema"]["drop"] == ["tax"]
    out = bare.must("ingest")
    assert "sample_submission.csv: wants 2 predictions a row; this submission holds 'cost' alone: train each" in out
    assert_predict_gives_the_submission(bare)
    assert read_rows(bare.root / "out.csv")[0] == ["key", "cost"]
