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
