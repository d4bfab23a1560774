"""The score on rows whose targets nobody trained on: every look at it is counted, for each one makes it worth less."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np

from pipeline.errors import DataError
from pipeline.files import file_sha256, write_atomically
from pipeline.samples import NOTE, SOLUTION
from pipeline.tabular.metrics import score_table


@dataclass(frozen=True, slots=True)
class Solution:
    """What is true of rows that nobody trained on."""

    name: str  # of its file, for messages
    actual: Mapping[str, float]  # id -> target


@dataclass(frozen=True, slots=True)
class HeldoutLook:
    """One look at the held-out score: `number` counts from 1 over all looks, the same file looked at twice included."""

    scores: dict[str, float]
    rows: int
    number: int
    submission_sha256: str
    sentence: str


class _Entry(TypedDict):
    """A look as the looks file keeps it."""

    utc: str
    submission_sha256: str
    rows: int
    scores: dict[str, float]


def sample_solution(raw_folder: Path, *, id_column: str, target: str) -> Solution:
    """The sample's solution.csv.

    Raises DataError if there is none, or if it does not belong to the train.csv and test.csv now there.
    """
    file = _trusted_solution(raw_folder)
    return Solution(SOLUTION, _read_targets(file, file.read_bytes(), id_column, target))


def score_heldout(
    solution: Solution, submission: Path, *, header: tuple[str, str], metric: str, looks_file: Path
) -> HeldoutLook:
    """Score a submission on rows nobody trained on, and append the look to `looks_file` before telling.

    Rows are matched by id, read as text. For log_rmse the metric itself clamps predictions to at least 1.
    Raises DataError if the ids of the two differ, a number is missing or not finite, or the looks file is damaged.
    """
    past = _read_looks(looks_file)
    content = _content(submission)
    predicted_of = _read_targets(submission, content, *header)
    _check_ids(submission, set(predicted_of), solution)
    actual = np.array(list(solution.actual.values()))
    predicted = np.array([predicted_of[row_id] for row_id in solution.actual])
    scores = score_table(metric, actual, predicted)
    look: _Entry = {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "submission_sha256": hashlib.sha256(content).hexdigest(),
        "rows": len(actual),
        "scores": scores,
    }
    looks_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(looks_file, (json.dumps([*past, look], indent=2) + "\n").encode())
    return HeldoutLook(scores, len(actual), len(past) + 1, look["submission_sha256"], _sentence(past, look, metric))


def _trusted_solution(raw_folder: Path) -> Path:
    """Return solution.csv if sample.json vouches for it, for the train.csv and, where it has one, the test.csv."""
    upload = "score this submission by uploading it to Kaggle"
    solution, note = raw_folder / SOLUTION, raw_folder / NOTE
    if not solution.exists():
        raise DataError(
            f"{solution}: there is no such file, so the test rows' targets are unknown; {upload}, "
            "or, for the sample, delete its test.csv and fetch it again"
        )
    try:
        files: dict[str, str] = json.loads(note.read_bytes())["files"]
        tables = ("train.csv", *(files.keys() & {"test.csv"}))
        expected = {**{name: files[name] for name in tables}, SOLUTION: files.get(SOLUTION)}
        wrong = [name for name, sha256 in expected.items() if not _has_hash(raw_folder / name, sha256)]
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{note}: absent or damaged, so nothing says that {SOLUTION} belongs to the files there; {upload}, "
            "or fetch the sample again"
        ) from error
    if wrong:
        stale = ", ".join(dict.fromkeys([*wrong, *tables[1:]]))
        raise DataError(
            f"{raw_folder}: {', '.join(wrong)} not as {NOTE} describes, so {SOLUTION} does not belong to the files "
            f"there; {upload}, or, to go back to the sample, delete {stale} and fetch it again"
        )
    return solution


def _has_hash(path: Path, sha256: str | None) -> bool:
    return path.exists() and file_sha256(path) == sha256


def _content(submission: Path) -> bytes:
    try:
        return submission.read_bytes()
    except OSError as error:
        raise DataError(f"{submission}: cannot be read ({error.strerror}); make the submission first") from error


def _read_targets(path: Path, content: bytes, id_column: str, target: str) -> dict[str, float]:
    """Read id -> number; raises DataError naming the line of a missing column, repeated id or unusable number."""
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        absent = [name for name in (id_column, target) if name not in (rows.fieldnames or ())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}); make the submission again") from error
    if absent:
        found = ", ".join(rows.fieldnames or ()) or "none"
        raise DataError(f"{path}: no column {' and no '.join(absent)}, found {found}; its header must name both")
    values: dict[str, float] = {}
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        row_id = row[id_column]
        if row_id in values:
            raise DataError(f"{where}: {id_column} {row_id!r} comes a second time, expected once; remove one")
        try:
            values[row_id] = float(row[target])
        except (TypeError, ValueError):
            values[row_id] = float("nan")
        if not np.isfinite(values[row_id]):
            raise DataError(f"{where}: {target} is {row[target]!r}, expected a finite number; make the file again")
    return values


def _check_ids(submission: Path, found: set[str], solution: Solution) -> None:
    expected = set(solution.actual)
    if found == expected:
        return
    faults = [
        f"{len(ids)} {kind} ({', '.join(sorted(ids)[:3])}{', …' if len(ids) > 3 else ''})"
        for kind, ids in (("missing", expected - found), ("unknown", found - expected))
        if ids
    ]
    raise DataError(
        f"{submission}: its {len(found)} ids are not the {len(expected)} of {solution.name}: {' and '.join(faults)}; "
        "make the submission again, from the files now there"
    )


def _read_looks(looks_file: Path) -> list[_Entry]:
    if not looks_file.exists():
        return []
    try:
        looks: list[_Entry] = json.loads(looks_file.read_bytes())
        is_readable = isinstance(looks, list) and all("submission_sha256" in look for look in looks)
    except (ValueError, TypeError):
        is_readable = False
    if not is_readable:
        raise DataError(
            f"{looks_file}: not a list of looks, so they can no longer be counted; repair it, or move it away to "
            "start counting from 1"
        )
    return looks


def _sentence(past: list[_Entry], look: _Entry, metric: str) -> str:
    """Say how often the held-out rows have been looked at, and what that does to the score."""
    before = [
        number for number, entry in enumerate(past, start=1) if entry["submission_sha256"] == look["submission_sha256"]
    ]
    distinct = len({entry["submission_sha256"] for entry in [*past, look]})
    sentence = f"{metric} {look['scores'][metric]:.5f} on {look['rows']} held-out rows; look {len(past) + 1}"
    sentence += f", {distinct} distinct submission{'s' if distinct > 1 else ''}"
    if before:
        sentence += f"; the same file as look {before[0]}"
    if distinct > 1:
        sentence += "; each further look makes the best score more optimistic"
    return sentence
