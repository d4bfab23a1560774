"""Kaggle: a competition's files down, a submission up, its score back."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.files import file_sha256, write_atomically
from pipeline.kaggle_client import PAGE, again, ask, complaint_of, forget_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ADDRESS = re.compile(r"(?:https?://)?(?:www\.)?kaggle\.com/(?:c|competitions)/([^/?#]+)(?:[/?#].*)?")
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")  # old competitions have capitals: LANL-Earthquake-Prediction
HEADER = re.compile(r"^[\w,]*\bfileName,[\w,]*\bstatus\b[\w,]*\r?$", re.MULTILINE)
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class KaggleScore:
    """What became of a submission; `status` is "complete", or "pending" if the wait ended first."""

    submitted_at: str  # ISO, UTC
    public_score: float | None
    status: str
    description: str  # the message it was sent with
    sha256: str  # of the file that was sent


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    poll_seconds: float = 5.0  # before the first look; each later pause is half as long again, up to a minute
    timeout_seconds: float = 900.0  # in all between looks
    answer_seconds: float = 180.0  # for one answer of the client
    transfer_seconds: float = 3600.0  # for a download or an upload


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class _Upload:
    """A submission on its way: what tells its row in Kaggle's list from all others."""

    slug: str
    name: str
    message: str
    sha256: str
    ref: str  # Kaggle's number for it, where the client says it
    sent_at: str
    known: frozenset[tuple[str, ...]]  # rows that were in the list before


def competition_slug(text: str) -> str:
    """Return a competition's name in Kaggle's addresses, given that or a whole address. Raises ConfigError."""
    address = ADDRESS.fullmatch(text.strip())
    slug = address[1] if address else text.strip()
    if not SLUG.fullmatch(slug):
        raise ConfigError(
            f"{text!r} is no competition of Kaggle's; expected its address, or what stands in it after /competitions/, "
            f"for example house-prices-advanced-regression-techniques"
        )
    return slug


def download(
    slug: str, folder: Path, *, on_progress: Callable[[str], None], patience: Patience = PATIENCE
) -> list[Path]:
    """Bring a competition's files into `folder`, unpacked; the archive itself is not kept.

    Guarantees: a file that is there with the same bytes stays, one with other bytes is a DataError.
    Raises ConfigError without client, credentials or accepted rules, and for an unknown competition; DataError for
    the rest: network, time, disk, an archive that is refused.
    """
    from pipeline.reading.archive import unpack  # noqa: PLC0415  # the commands that fetch nothing do not pay for it

    slug = competition_slug(slug)
    on_progress(f"downloading {slug} with Kaggle's client")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-download-") as temporary:
            words = ask("download", "-c", slug, "-p", temporary, "-q", slug=slug, seconds=patience.transfer_seconds)
            archive = Path(temporary, f"{slug}.zip")
            if not archive.is_file():
                brought = ", ".join(sorted(path.name for path in Path(temporary).iterdir())) or "nothing"
                raise DataError(
                    f"Kaggle's client brought {brought}, expected {archive.name}, and said {complaint_of(words)!r}; "
                    f"download the files by hand from {PAGE}/{slug}/data into {folder}"
                )
            files: list[Path] = unpack(archive, folder)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: {slug} cannot be written ({error.strerror or error}); make room or give "
            f"write permission there, then run it again"
        ) from error
    on_progress(f"{folder}: {len(files)} files of {slug}")
    return files


def submit(
    slug: str,
    file: Path,
    message: str,
    *,
    on_progress: Callable[[str], None],
    patience: Patience = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> KaggleScore:
    """Upload a submission and wait for its score.

    If scoring outlasts `patience.timeout_seconds`, says how to look later and returns status "pending".
    Raises as `download` does; also ConfigError for a blank message or one that holds a secret, DataError if Kaggle
    refuses the file, cannot score it, or confirms the upload and never lists it.
    """
    slug, message = competition_slug(slug), " ".join(message.split())
    if not message or forget_secrets(message) != message:
        found = "holds one of your Kaggle secrets" if message else "is blank"
        raise ConfigError(
            f"the message of a submission {found}; say in a few words what it is, for example -m 'MLP, 5 seeds'"
        )
    if not file.is_file():
        raise DataError(f"{file}: no such file, expected the submission to upload; make submit writes it")
    # the list first: it tells our row from older ones whatever the clocks say, and a refusal here costs no upload
    known = frozenset(_identity(row) for row in _submissions(slug, patience))
    on_progress(f"uploading {file} to {slug}")
    upload = _Upload(slug, file.name, message, file_sha256(file), "", _now(), known)
    words = ask(
        "submit", "-c", slug, "-f", str(file.absolute()), f"--message={message}", "-q",
        slug=slug, seconds=patience.transfer_seconds,
    )  # fmt: skip
    return _await_score(_confirmed(upload, words), on_progress=on_progress, patience=patience, sleep=sleep)


def record(score: KaggleScore, file: Path) -> None:
    """Append a score to a JSON list of submissions, written whole. Raises DataError if it is no such list."""
    entry = {
        "submitted_at": score.submitted_at,
        "message": forget_secrets(score.description),
        "sha256": score.sha256,
        "public_score": score.public_score,
        "status": score.status,
    }
    try:
        entries = json.loads(file.read_bytes()) if file.exists() else []
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise DataError(
            f"{file}: not a list of submissions, so that of {score.submitted_at} was not added; move it away"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, (json.dumps([*entries, entry], indent=2) + "\n").encode())
    except OSError as error:
        raise DataError(
            f"{file}: the submission of {score.submitted_at} was not added ({error.strerror or error}); make room or "
            f"give write permission there"
        ) from error


# --- waiting for the score


def _confirmed(upload: _Upload, words: str) -> _Upload:
    """Read in the client's words whether the upload succeeded, for its exit code is 0 either way."""
    ref = re.search(r"Submission ref: (\d+)", words)
    if ref is None and "Successfully submitted" not in words:
        raise DataError(
            f"{upload.name} was not submitted to {upload.slug}, Kaggle's client says "
            f"{complaint_of(words)!r}; {again('submit', upload.slug)}"
        )
    return replace(upload, ref=ref[1] if ref else "")


def _await_score(
    upload: _Upload, *, on_progress: Callable[[str], None], patience: Patience, sleep: Callable[[float], None]
) -> KaggleScore:
    waited, pause = 0.0, max(patience.poll_seconds, 0.1)
    row: Mapping[str, str] | None = None
    is_doubtful = False
    while waited < patience.timeout_seconds:
        pause = min(pause, patience.timeout_seconds - waited)
        sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, LONGEST_PAUSE)
        try:
            row = next((row for row in _submissions(upload.slug, patience) if _is_ours(row, upload)), None)
            is_doubtful = False
        except PipelineError as error:  # it is uploaded: a network that fails for a minute must not hide its score
            is_doubtful = True
            on_progress(f"after {waited:.0f} s: {error}")
            continue
        status = _status(row) if row else "not in Kaggle's list yet"
        on_progress(f"after {waited:.0f} s: {status}")
        if row and status == "complete":
            return KaggleScore(_utc(row, upload), _score(row), status, upload.message, upload.sha256)
        if row and status == "error":
            raise DataError(
                f"{upload.name}: Kaggle could not score it: {_reason(row, upload.slug, patience)}; mend the file and "
                f"submit it again ({PAGE}/{upload.slug}/submissions)"
            )
    look = f"look later with `kaggle competitions submissions -c {upload.slug}` or at {PAGE}/{upload.slug}/submissions"
    if row is None and not is_doubtful:
        raise DataError(
            f"{upload.name}: Kaggle confirmed the upload to {upload.slug} but has not listed it after {waited:.0f} s; "
            f"the daily limit may be used up: {look}, before submitting again"
        )
    on_progress(f"{upload.name} was uploaded to {upload.slug} and has no score after {waited:.0f} s; {look}")
    return KaggleScore(_utc(row, upload), None, "pending", upload.message, upload.sha256)


def _submissions(slug: str, patience: Patience) -> list[dict[str, str]]:
    """Read Kaggle's list of submissions, newest first; lines that the client prints before its header are skipped."""
    words = ask("submissions", "-c", slug, "-v", slug=slug, seconds=patience.answer_seconds)
    header = HEADER.search(words)
    if header is None:
        if "No submissions found" in words:
            return []
        raise DataError(
            f"Kaggle's client says {complaint_of(words)!r}, expected its list of submissions to {slug}; "
            f"pip install --upgrade kaggle, then run it again"
        )
    rows = csv.DictReader(io.StringIO(words[header.start() :], newline=""))
    return [{name: cell for name, cell in row.items() if isinstance(name, str) and cell} for row in rows]


def _identity(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row.get(name, "") for name in ("ref", "fileName", "date", "description"))


def _is_ours(row: Mapping[str, str], upload: _Upload) -> bool:
    if upload.ref and row.get("ref"):
        return row["ref"] == upload.ref
    named = (row.get("fileName"), " ".join(row.get("description", "").split()))
    return named == (upload.name, upload.message) and _identity(row) not in upload.known


def _status(row: Mapping[str, str]) -> str:
    """Lower case, whether the client says "complete" (1.6) or "SubmissionStatus.COMPLETE" (2.2)."""
    return row.get("status", "").rpartition(".")[2].lower()


def _score(row: Mapping[str, str]) -> float | None:
    try:
        score = float(row.get("publicScore", ""))
    except ValueError:  # empty or "None": a competition without public scores
        return None
    return score if math.isfinite(score) else None


def _utc(row: Mapping[str, str] | None, upload: _Upload) -> str:
    """Kaggle's own time of the submission, which has no zone and is UTC; ours where it says none."""
    try:
        moment = datetime.fromisoformat((row or {}).get("date", ""))
    except ValueError:
        return upload.sent_at
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat(timespec="seconds")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason(row: Mapping[str, str], slug: str, patience: Patience) -> str:
    """Kaggle's words for a scoring error; the list has none, and only clients from 2.2.5 on can be asked for them."""
    said = row.get("errorDescription", "")
    if not said and row.get("ref"):
        try:
            block = ask("submission", row["ref"], slug=slug, seconds=patience.answer_seconds)
        except PipelineError:
            block = ""
        found = re.search(r"^Error:(.*?)^Public Score:", block, re.DOTALL | re.MULTILINE)
        said = found[1] if found else ""
    return " ".join(said.split()) or "its client does not say why, the page does"
