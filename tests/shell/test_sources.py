"""Reading files as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import DataError
from pipeline.sources import find_files, read_csv

if TYPE_CHECKING:
    from pathlib import Path


def write(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "t.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_every_cell_stays_the_text_it_was(tmp_path: Path) -> None:
    """Leading zeros, "NA", "None", blanks, long integers, quoted commas and line breaks; a byte order mark is fine."""
    file = write(tmp_path, '\ufeffid,a\n0012,NA\n007,None\n9,\n1,"x, y"\n2,123456789012345678901234567890\n3,"p\nq"\n')
    frame = read_csv(file)
    assert frame["id"].tolist() == ["0012", "007", "9", "1", "2", "3"]
    assert frame["a"].tolist() == ["NA", "None", "", "x, y", "123456789012345678901234567890", "p\nq"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2,3\n4,5\n", "line 2: 3 fields, the header has 2"),
        ("a,b\n1,2\n3\n", "line 3: 1 fields, the header has 2"),
        ("a,b\n1,2,\n", "line 2: 3 fields, the header has 2"),
        ("", "the file is empty"),
        ("a,b\n", "a header and no rows"),
        ("a,,c\n1,2,3\n", "line 1: column 2 of 3 has no name"),
        ("a,a\n1,2\n", "line 1: two columns are named 'a'"),
        (b"a,b\n1,caf\xe9\n", "not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_a_whole_table_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    """Never shifted, never padded, never guessed."""
    file = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_csv(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv", "gender_submission.csv"])
def test_the_sample_submission_is_found_under_its_usual_names(tmp_path: Path, name: str) -> None:
    """Kaggle spells it in several ways; solution.csv is none of them."""
    for file in ("train.csv", "test.csv", "solution.csv", name):
        (tmp_path / file).write_text("x\n1\n")
    files = find_files(tmp_path)
    assert files.sample == tmp_path / name
    assert set(files.hashes()) == {"train", "test", "sample"}


def test_two_sample_submissions_are_refused(tmp_path: Path) -> None:
    """Which one to follow is the user's decision."""
    for file in ("train.csv", "test.csv", "sample_submission.csv", "sample_submission_v2.csv"):
        (tmp_path / file).write_text("x\n1\n")
    with pytest.raises(DataError, match="more than one sample submission"):
        find_files(tmp_path)


def test_a_very_long_cell_and_a_very_long_header_are_read(tmp_path: Path) -> None:
    """5 MB of text in one cell; 10,000 columns with names of 500 letters in one line."""
    assert read_csv(write(tmp_path, "a,b\n1," + "x" * 5_000_000 + "\n"))["b"].str.len().tolist() == [5_000_000]
    names = ",".join(f"{n:0500d}" for n in range(10_000))
    assert read_csv(write(tmp_path, f"{names}\n{'1,' * 9_999}1\n")).shape == (1, 10_000)


def test_a_quote_left_open_and_a_first_line_without_names_are_refused(tmp_path: Path) -> None:
    """Neither is read as one enormous header, nor called an empty file."""
    with pytest.raises(DataError, match="line 1 is empty"):
        read_csv(write(tmp_path, "\na,b\n1,2\n"))
    with pytest.raises(DataError):
        read_csv(write(tmp_path, 'a,"b\n1,2\n3,4\n'))
