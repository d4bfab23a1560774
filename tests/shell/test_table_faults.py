"""Faults of tables, injected into the files and met through the command line (FAULT: the number in the list of faults).

A fault that ends a command ends it with one exact sentence, before anything was written; one that does not is said in
one exact line.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import joblib
import pytest

from tests.shell.conftest import Project, read_rows, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tables import Dataset

TRAIN, TEST, SAMPLE = "train.csv", "test.csv", "sample_submission.csv"
RAW = "data/raw/tiny"
LOCKS = ".lock"


def files_of(project: Project) -> dict[Path, bytes]:
    """Every file below the root but locks."""
    return {p: p.read_bytes() for p in project.root.rglob("*") if p.is_file() and p.suffix != LOCKS}


def refused(project: Project, *words: str) -> str:
    """The message of a command that must fail and write nothing: an older submission stays as it is."""
    older = project.reports / "submission.csv"
    if not older.exists():
        older.parent.mkdir(parents=True, exist_ok=True)
        older.write_text("key,cost\nolder,1\n")
    before = files_of(project)
    code, out, err = project.run(*words)
    assert code == 2, out + err
    assert "computed" not in out
    assert files_of(project) == before
    assert err.startswith("error: ")
    return err.removeprefix("error: ").removesuffix("\n")


def dataset_of(project: Project) -> Dataset:
    [file] = project.root.glob("data/processed/tiny/ingest-*.joblib")
    return cast("Dataset", joblib.load(file))


def noticed(project: Project, *words: str) -> list[str]:
    """What ingest noticed, kept in its artifact; the first lines of it are printed."""
    out = project.must("ingest", *words)
    lines = [f"{each.subject}: {each.text}: {each.count}" for each in dataset_of(project).notices]
    assert all(f"            noticed            {line}\n" in out for line in lines[:3])
    return lines


def forget(project: Project) -> None:
    """Remove what was made of the raw files so far."""
    for file in project.root.glob("data/processed/tiny/*"):
        file.unlink()


def submission(project: Project, *words: str) -> bytes:
    project.must("submit", *words)
    return (project.reports / "submission.csv").read_bytes()


def edit(project: Project, file: str, change: Callable[[list[list[str]]], object]) -> None:
    """Change the rows of a raw file; row 0 is its header."""
    rows = read_rows(project.raw / file)
    change(rows)
    write_csv(project.raw / file, cast("list[list[object]]", rows))


def put(project: Project, file: str, column: str, cells: dict[int, str]) -> None:
    """Write cells of one column, each by its line."""
    rows = read_rows(project.raw / file)
    place = rows[0].index(column)
    for line, text in cells.items():
        rows[line - 1][place] = text
    write_csv(project.raw / file, cast("list[list[object]]", rows))


def put_everywhere(project: Project, file: str, column: str, text_of: Callable[[int, str], str]) -> None:
    rows = read_rows(project.raw / file)
    place = rows[0].index(column)
    put(project, file, column, {line: text_of(line, row[place]) for line, row in enumerate(rows[1:], start=2)})


def add_column(project: Project, file: str, name: str, text_of: Callable[[list[str]], str]) -> None:
    """A further feature, behind the id."""
    header, *rows = read_rows(project.raw / file)
    write_csv(project.raw / file, [[header[0], name, *header[1:]], *([r[0], text_of(r), *r[1:]] for r in rows)])


def rewrite(project: Project, file: str, change: Callable[[str], str], encoding: str = "utf-8") -> None:
    path = project.raw / file
    path.write_bytes(change(path.read_text()).encode(encoding))


# --- how a file is written


def with_umlauts(project: Project) -> None:
    for file in (TRAIN, TEST):
        rewrite(project, file, lambda text: text.replace(",N,", ",Nörd,"))


UTF16 = 'line 1: not UTF-8: byte 0 starts a text in {}; set [files] encoding = "{}", or save it as UTF-8'


@pytest.mark.parametrize(
    ("encoding", "files", "sentence"),
    [
        ("utf-16", (TRAIN, TEST, SAMPLE), UTF16.format("UTF-16", "utf-16")),
        pytest.param(
            *("utf-16-be", (TRAIN, TEST, SAMPLE), UTF16.format("UTF-16-BE", "utf-16-be")), marks=pytest.mark.slow
        ),
        (
            "latin-1",
            (TRAIN, TEST),
            'line 2: not UTF-8: byte 0xf6 at 49, as in latin-1; set [files] encoding = "latin-1", or save it as UTF-8',
        ),
    ],
)
def test_an_encoding_is_asked_for_and_then_gives_the_same_submission(
    project: Project, encoding: str, files: tuple[str, ...], sentence: str
) -> None:
    """FAULT 20: not declared, each file is named with the encoding it seems to be in; declared, the bytes agree."""
    with_umlauts(project)
    in_utf8 = submission(project)
    for file in files:
        rewrite(project, file, str, encoding)
    found = refused(project, "submit").splitlines()
    assert found[0] == f"{RAW}/{TRAIN}: {sentence}"
    assert [line.partition(":")[0] for line in found] == [f"{RAW}/{file}" for file in files]
    assert submission(project, "--set", f"files.encoding={encoding}") == in_utf8


def test_a_byte_order_mark_is_said_and_changes_nothing(project: Project) -> None:
    """FAULT 20: without this, the id column would be named \ufeffkey."""
    plain = submission(project)
    for file in (TRAIN, TEST, SAMPLE):
        rewrite(project, file, str, "utf-8-sig")
    assert submission(project) == plain
    forget(project)
    said = "starts with the byte order mark of UTF-8: it was left out: 1"
    assert noticed(project) == [f"{file}: {said}" for file in (TRAIN, TEST, SAMPLE)]


def test_one_encoding_is_that_of_every_file(project: Project) -> None:
    """FAULT 20: a sample that stayed UTF-8 beside UTF-16 tables has no way out but UTF-8 for all, and that is said."""
    for file in (TRAIN, TEST):
        rewrite(project, file, str, "utf-16")
    assert refused(project, "submit", "--set", "files.encoding=utf-16") == (
        f"{RAW}/{SAMPLE}: not utf-16 text (UTF-16 stream does not start with BOM); [files] encoding is that of every "
        f"file: correct it, or save all of them as UTF-8"
    )


@pytest.mark.parametrize(
    ("separator", "decimal", "said"),
    [
        (
            ";",
            ",",
            [
                "train.csv: cells are separated by semicolons: 1",
                "train.csv: the decimal mark is a comma, as in '173,55': 240",
                "test.csv: cells are separated by semicolons: 1",
                "test.csv: the decimal mark is a comma, as in '70,81': 60",
                "sample_submission.csv: cells are separated by semicolons: 1",
            ],
        ),
        pytest.param(
            *("\t", ".", [f"{file}: cells are separated by tabs: 1" for file in (TRAIN, TEST, SAMPLE)]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_another_dialect_is_said_and_gives_the_same_submission(
    project: Project, separator: str, decimal: str, said: list[str]
) -> None:
    """FAULT 21: detected, and the bytes of the submission are those of the file with commas and points."""
    plain = submission(project)
    forget(project)
    for file in (TRAIN, TEST, SAMPLE):
        rewrite(project, file, lambda text: text.replace(",", separator).replace(".", decimal))
    assert noticed(project) == said
    assert submission(project) == plain


# --- rows that are not as long as the header

ONE_TOO_MANY = "correct that line: a comma within a text needs quotes around the text"
ONE_TOO_FEW = "complete that line: a missing cell still has its comma"


@pytest.mark.parametrize(("file", "fields", "rows"), [(TRAIN, 6, 240), (TEST, 5, 60), (SAMPLE, 2, 60)])
def test_a_field_too_many_in_the_first_row_shifts_no_column(
    project: Project, file: str, fields: int, rows: int
) -> None:
    """FAULT 22: pandas would take the first column for an index and read every name one column to the left."""
    edit(project, file, lambda lines: lines[1].append("7"))
    assert refused(project, "submit") == (
        f"{RAW}/{file}: line 2: {fields + 1} fields, the header has {fields}; {ONE_TOO_MANY} (1 such row of {rows})"
    )


def test_a_comma_behind_every_row_is_told_from_an_unnamed_column(project: Project) -> None:
    """FAULT 22: both make every row one field longer than the header; what mends them differs."""
    edit(project, TRAIN, lambda rows: [row.append("") for row in rows[1:]])
    assert refused(project, "submit") == (
        f"{RAW}/{TRAIN}: line 2: every row ends with a comma and the header does not (7 fields, the header has 6); "
        f"remove it from the rows, or add one to the header"
    )
    edit(project, TRAIN, lambda rows: [row.insert(0, row.pop() or "7") for row in rows[1:]])
    assert refused(project, "submit") == (
        f"{RAW}/{TRAIN}: line 2: 7 fields, as in every row, the header has 6; name the missing column in the header"
    )


def test_a_comma_behind_every_line_is_dropped_and_said(project: Project) -> None:
    """FAULT 22: a column without name and without content, the header included."""
    for file in (TRAIN, TEST):
        rewrite(project, file, lambda text: text.replace("\n", ",\n"))
    said = "every line ends with a separator: the empty last column was dropped: 1"
    assert noticed(project) == [f"{TRAIN}: {said}", f"{TEST}: {said}"]


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        (
            TRAIN,
            lambda text: text.replace("\n00098,", "\n00098,7,"),
            f"line 100: 7 fields, the header has 6; {ONE_TOO_MANY} (1 such row of 240)",
        ),
        (
            TEST,
            lambda text: text.replace("\n00256,", "\n00256\n"),
            "line 18: 1 field, the header has 5; " + ONE_TOO_FEW + " (2 such rows of 61)",
        ),
        (
            TRAIN,
            lambda text: text[: text.rindex("\n", 0, -1) + 12],
            (
                f"line 241: 2 fields, the header has 6; there the file ends: download it again if it was cut short, or "
                f"{ONE_TOO_FEW} (1 such row of 240)"
            ),
        ),
        (
            TRAIN,
            lambda text: text.replace(",view,", ',"view,', 1),
            "line 2: a quote is opened and never closed; close it, or double it if it is text",
        ),
    ],
    ids=["too long", "too short", "cut off", "open quote"],
)
def test_a_ragged_row_is_told_with_its_line(
    project: Project, file: str, change: Callable[[str], str], sentence: str
) -> None:
    """FAULT 23: also where the row alone could be read, as a short one by pandas."""
    rewrite(project, file, change)
    assert refused(project, "submit") == f"{RAW}/{file}: {sentence}"


def test_predict_reads_a_file_as_ingest_does(project: Project) -> None:
    """FAULTS 20 to 30 again: the same faults in the file to predict, the same sentences, and no output."""
    project.must("train")
    rows = read_rows(project.raw / TEST)
    rows[3].append("7")
    write_csv(project.root / "new.csv", cast("list[list[object]]", rows))
    words = ("predict", "--input", "new.csv", "--output", "out.csv")
    assert refused(project, *words) == (
        f"new.csv: line 4: 6 fields, the header has 5; {ONE_TOO_MANY} (1 such row of 60)"
    )
    Path("new.csv").write_bytes(b"<html><body>429 Too Many Requests</body></html>")
    assert refused(project, *words) == (
        "new.csv: line 1: a web page or an error message (HTML or XML), expected a table; download it again"
    )


# --- names


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("area", "columns 2 and 3 are both named 'area'; rename one"), ("", "column 3 of 6 has no name; name it")],
)
def test_a_doubled_or_empty_name_is_refused(project: Project, name: str, sentence: str) -> None:
    """FAULT 24: pandas would go on with area.1 and Unnamed: 2."""
    edit(project, TRAIN, lambda rows: rows[0].__setitem__(2, name))
    assert refused(project, "submit") == f"{RAW}/{TRAIN}: line 1: {sentence}"


def test_padded_names_and_names_alike_are_said(project: Project) -> None:
    """FAULT 24: blanks go, so that the files agree; names that differ in case stay two columns."""
    edit(project, TRAIN, lambda rows: rows[0].__setitem__(slice(2, 4), [" age ", "Area"]))
    edit(project, TEST, lambda rows: rows[0].__setitem__(3, "Area"))
    alike = "area and Area are 2 columns, told apart by case only: 2"
    assert noticed(project) == [
        "train.csv: blanks around column names were removed, as in ' age ': 1",
        f"train.csv: {alike}",
        f"test.csv: {alike}",
    ]
    assert list(dataset_of(project).train) == ["area", "age", "Area", "note"]


# --- cells


def test_texts_late_among_numbers_are_counted_whatever_they_make_of_the_column(project: Project) -> None:
    """FAULT 25: 1 of 300 counts as missing, 10 make levels of the column, 40 of a declared column are refused."""
    words = ("--set", 'schema.numeric=["area"]')
    put(project, TRAIN, "area", {241: "n/k"})
    assert noticed(project) == [
        (
            "area: texts among numbers, such as 'n/k' (data/raw/tiny/train.csv: line 241), count as missing; to keep "
            'them as levels: [schema] categorical = ["area"]: 1'
        )
    ]
    assert math.isnan(dataset_of(project).train["area"].iloc[-1])
    put(project, TRAIN, "area", dict.fromkeys(range(232, 242), "n/k"))
    out = project.must("ingest")
    assert (
        "area: almost all numbers, but 'n/k' (data/raw/tiny/train.csv: line 232) made it a text column; to read "
        'numbers: [schema] numeric = ["area"]: 10\n'
    ) in out
    put(project, TRAIN, "area", dict.fromkeys(range(202, 242), "n/k"))
    assert refused(project, "submit", *words) == (
        "data/raw/tiny/train.csv: line 202: column 'area' is listed under [schema] numeric but holds 'n/k' (40 such "
        "cells of 300); take it out of that list, or name the texts under [schema.missing_in]"
    )


def test_ids_keep_their_zeros_and_all_their_digits(project: Project) -> None:
    """FAULT 26: 0012 is not 12, and 2^63 + 1 does not become 2^63."""
    ids = ["0012", "12", *(str(2**63 + n) for n in range(58))]
    for file in (TEST, SAMPLE):
        put(project, file, "key", dict(enumerate(ids, start=2)))
    put(project, TRAIN, "key", {2: "0012", 3: str(2**64 + 1), 4: str(2**64 + 2)})
    project.must("submit")
    assert [row[0] for row in read_rows(project.reports / "submission.csv")] == ["key", *ids]
    oof = {row[0] for row in read_rows(project.models / "oof.csv")}
    assert {"0012", str(2**64 + 1), str(2**64 + 2)} <= oof


def test_huge_whole_numbers_are_numbers_and_codes_stay_texts_where_they_are_listed(project: Project) -> None:
    """FAULT 26: a feature beyond 2^63 is a float; 0012 is the number 12 unless [schema] categorical lists it."""
    for file in (TRAIN, TEST):
        put_everywhere(project, file, "age", lambda line, _: str(2**63 + line * 2**60))
        add_column(project, file, "code", lambda row: f"00{int(row[0]) % 7 + 12}")
    assert noticed(project, "--set", 'schema.categorical=["code"]') == []
    dataset = dataset_of(project)
    assert dataset.train["age"].tolist()[:2] == [float(2**63 + 2 * 2**60), float(2**63 + 3 * 2**60)]
    assert list(dataset.train["code"].cat.categories) == [f"00{n}" for n in range(12, 19)]
    project.must("ingest")
    newest = max(project.root.glob("data/processed/tiny/ingest-*.joblib"), key=lambda p: p.stat().st_mtime_ns)
    assert joblib.load(newest).train["code"].iloc[0] == 12.0


def test_numbers_without_bounds_are_missing_and_counted_and_no_target(project: Project) -> None:
    """FAULT 27: inf, 1e999 and what is no measurement; in a target they end the run."""
    cells = {2: "inf", 3: "1e999", 4: "-Infinity", 5: "1e150", 6: "1e99"}
    for file in (TRAIN, TEST):
        put(project, file, "area", cells)
    assert noticed(project)[0] == (
        "area: infinite numbers, or beyond 1e100, taken as missing, the first in data/raw/tiny/train.csv: line 2; "
        'or leave the column out: [schema] drop = ["area"]: 8'
    )
    dataset = dataset_of(project)
    assert [math.isnan(value) for value in dataset.test["area"].iloc[:5]] == [True, True, True, True, False]
    put(project, TRAIN, "cost", {8: "1e999"})
    assert refused(project, "submit") == (
        "data/raw/tiny/train.csv: line 8: target 'cost' is 'inf', expected a finite number (1 such rows); correct or "
        "blank it"
    )


@pytest.mark.slow
def test_columns_that_tell_nothing_are_listed_and_change_nothing(project: Project) -> None:
    """FAULT 28: empty, constant or doubled: the submission is that without them, byte for byte."""
    plain = submission(project)
    forget(project)
    for file in (TRAIN, TEST):
        add_column(project, file, "void", lambda _: "NA")
        add_column(project, file, "same", lambda _: "x")
        rows = read_rows(project.raw / file)
        rows = [[*row, "again" if row is rows[0] else row[rows[0].index("area")]] for row in rows]
        write_csv(project.raw / file, cast("list[list[object]]", rows))
    assert noticed(project) == [
        "same: always 'x' on the training rows: the column was dropped: 240",
        "void: no training row has a value: the column was dropped: 240",
        "again: equal to 'area' in every row: the column was dropped: 240",
    ]
    assert submission(project) == plain
    for column in ("area", "again"):
        put_everywhere(project, TRAIN, column, lambda *_: "1")
    for column, text in (("age", "1"), ("district", "N"), ("note", "")):
        put_everywhere(project, TRAIN, column, lambda *_, text=text: text)
    assert refused(project, "submit") == (
        "data/raw/tiny/train.csv: no feature column varies on the training rows: all are empty or constant; is the "
        "file whole?"
    )


def test_what_means_missing_is_decided_column_by_column(project: Project) -> None:
    """FAULT 29: NA is a level of one column and a gap in another, None the other way round."""
    for file in (TRAIN, TEST):
        put_everywhere(project, file, "district", lambda _, text: "NA" if text == "N" else text)
    project.config.write_text(
        f'{project.config.read_text()}\n[schema.missing_in]\ndistrict = []\nnote = ["", "None"]\n'
    )
    assert noticed(project) == []
    dataset = dataset_of(project)
    assert list(dataset.train["district"].cat.categories) == ["E", "NA", "S", "W"]
    assert list(dataset.train["note"].cat.categories) == ["view"]
    ages = [row[2] for row in read_rows(project.raw / TRAIN)[1:]]
    assert int(dataset.train["age"].isna().sum()) == ages.count("NA") > 0
    forget(project)
    project.config.write_text(project.config.read_text().partition("\n[schema.missing_in]")[0])
    project.must("ingest")
    assert list(dataset_of(project).train["note"].cat.categories) == ["None", "view"]


# --- what is no table


def cut_off(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)[:-40]


def spreadsheet(_: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


NO_TABLES: dict[str, tuple[bytes | Callable[[bytes], bytes], str]] = {
    "page": (
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "line 1: a web page or an error message (HTML or XML), expected a table; download it again",
    ),
    "answer": (
        b'{"code":403,"message":"Forbidden"}',
        "line 1: JSON, expected a table; is it an error message? download it again, or save it as CSV",
    ),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "line 1: a git-lfs pointer and not the data; run git lfs pull",
    ),
    "header": (
        lambda content: content.partition(b"\n")[0] + b"\n",
        "a header and no rows; was the download cut short?",
    ),
    "nothing": (b"", "the file is empty; was the download cut short?"),
    "blank": (b"\n\r\n\n", "nothing but blank lines, expected a table; was the download cut short?"),
    "NUL": (
        lambda content: content.replace(b"view", b"vi\0w", 1),
        "line {nul}: a NUL byte, which no text has; download it again",
    ),
    "gzip": (
        cut_off,
        "cannot be unpacked (Compressed file ended before the end-of-stream marker was reached); download it again",
    ),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "line 1: an Excel file (.xls); save it as CSV"),
    "xlsx": (spreadsheet, "a spreadsheet (Excel or OpenDocument); save it as CSV"),
}


@pytest.mark.parametrize("file", [TRAIN, TEST])
@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_is_called_by_its_name(project: Project, file: str, kind: str) -> None:
    """FAULT 30: the usual ways in which a download goes wrong; `config check` and `init` say the same."""
    content, sentence = NO_TABLES[kind]
    sound = (project.raw / file).read_bytes()
    view = next(line for line, row in enumerate(sound.splitlines(), start=1) if b"view" in row)
    (project.raw / file).write_bytes(content(sound) if callable(content) else content)
    expected = f"{RAW}/{file}: {sentence.format(nul=view)}"
    assert refused(project, "submit") == expected
    assert refused(project, "init", "--force") == expected
    assert refused(project, "config", "check") == (f"1 fault in competitions/tiny.toml and its data:\n  {expected}")
