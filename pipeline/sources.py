"""The user's files, read as text and nothing guessed: which file is which, and whether its rows are whole."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.files import file_sha256
from pipeline.tables import RawTables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

TRAIN, TEST = "train.csv", "test.csv"
BLOCK_BYTES, LARGEST_BLOCK = 1 << 22, (1 << 31) - 1
csv.field_size_limit(1 << 30)  # a long text in a cell is no fault
SAMPLE_SUBMISSION = re.compile(r"(sample_?submission.*|.+_submission)\.csv", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The files of a competition, by role; `sample` is the sample submission, where there is one."""

    train: Path
    test: Path
    sample: Path | None

    def hashes(self) -> Mapping[str, str]:
        """sha256 of each file's bytes, by role."""
        named = {"train": self.train, "test": self.test, "sample": self.sample}
        return {role: file_sha256(path) for role, path in named.items() if path is not None}


def find_files(folder: Path) -> RawFiles:
    """Find train, test and sample submission. Raises DataError that says what is missing and where to put it."""
    missing = [name for name in (TRAIN, TEST) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: no {' and no '.join(missing)}; put the competition's files there")
    samples = sorted(p for p in folder.iterdir() if SAMPLE_SUBMISSION.fullmatch(p.name))
    if len(samples) > 1:
        names = ", ".join(path.name for path in samples)
        raise DataError(f"{folder}: more than one sample submission ({names}); keep the one to follow")
    return RawFiles(folder / TRAIN, folder / TEST, samples[0] if samples else None)


def read_tables(files: RawFiles) -> RawTables:
    """Read every file as text. Raises DataError, naming file and line, for a file that is not a whole table."""
    return RawTables(
        train=read_csv(files.train),
        test=read_csv(files.test),
        sample=read_csv(files.sample) if files.sample else None,
        train_file=str(files.train),
        test_file=str(files.test),
        sample_file=str(files.sample) if files.sample else None,
    )


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV file with every cell as text, blanks and "NA" included; column names as they stand.

    Raises DataError for an empty file, a header with empty or doubled names, a row with too few or too many fields
    (pandas would shift every column silently), bytes that are not UTF-8, or no rows.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = _header(path)
    convert = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in header}, strings_can_be_null=False, null_values=[]
    )
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    # a row has to fit into one block: a second try takes the file as one, for a few very long cells
    for block_size in (BLOCK_BYTES, max(BLOCK_BYTES, min(path.stat().st_size + 1, LARGEST_BLOCK))):
        try:
            read = arrow_csv.ReadOptions(block_size=block_size)
            table = arrow_csv.read_csv(path, read_options=read, convert_options=convert, parse_options=parse)
            break
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            fault = str(error)
    else:
        raise DataError(_fault_of(path, header, fault))
    if table.num_rows == 0:
        raise DataError(f"{path}: a header and no rows; was the download cut short?")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream), [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(
            f"{path}: line 1: not a CSV header ({error}); is it a web page, or a quote left open?"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty; was the download cut short?")
    if not header:
        raise DataError(f"{path}: line 1 is empty, expected the column names; delete the empty lines above them")
    seen: set[str] = set()
    for position, name in enumerate(header):
        if not name.strip():
            raise DataError(f"{path}: line 1: column {position + 1} of {len(header)} has no name; name it")
        if name in seen:
            raise DataError(f"{path}: line 1: two columns are named {name!r}; rename one")
        seen.add(name)
    return header


def _fault_of(path: Path, header: list[str], reason: str) -> str:
    """Say which line is broken; a slow second look that only a broken file pays."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            for row in reader:
                if row and len(row) != len(header):
                    return (
                        f"{path}: line {reader.line_num}: {len(row)} fields, the header has {len(header)}; correct "
                        f"that line (a trailing comma, an unquoted comma, a cut line)"
                    )
    except UnicodeDecodeError as error:
        return f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8"
    except csv.Error as error:
        return f"{path}: not a readable CSV file: {error}"
    return f"{path}: not a readable CSV file: {reason}"
