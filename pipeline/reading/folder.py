"""The raw folder of a competition: which file is train, which is test, which is the sample submission."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from pipeline.errors import DataError
from pipeline.files import file_sha256
from pipeline.reading.table import read_table
from pipeline.tables import RawTables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.settings import Files
    from pipeline.tables import Allowance, RawTable

TABLE = re.compile(r"(?P<stem>.+?)\.((csv|tsv)(\.gz|\.zip)?|parquet|pq)", re.IGNORECASE | re.DOTALL)
WORDS = r"([_ -]?(data|set|dataset))?"
ROLES = {
    "train": re.compile(rf"train(ing)?{WORDS}", re.IGNORECASE),
    "test": re.compile(rf"test(ing)?{WORDS}", re.IGNORECASE),
    "sample": re.compile(r"sample[_ -]?submission.*|.+_submission", re.IGNORECASE | re.DOTALL),
}
NEVER = re.compile(r"solution", re.IGNORECASE)
PUT_THERE = "put the competition's files there"


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The files of a competition by role; `sides` are the further tables that [[join]] names, by file name."""

    train: Path
    test: Path | None
    sample: Path | None
    sides: Mapping[str, Path]

    def hashes(self) -> Mapping[str, str]:
        """sha256 of each file's bytes, by role or, for a side table, by file name."""
        return {role: file_sha256(path) for role, path in self._named().items()}

    def stamps(self) -> Mapping[str, tuple[int, ...]]:
        """What the file system says of each file: equal stamps before and after mean that nobody wrote to it."""
        stats = {role: path.stat() for role, path in self._named().items()}
        return {role: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for role, s in stats.items()}

    def _named(self) -> dict[str, Path]:
        named = {"train": self.train, "test": self.test, "sample": self.sample, **self.sides}
        return {role: path for role, path in named.items() if path is not None}


def tables_in(folder: Path) -> list[Path]:
    """Every file there whose name says that it is a table, by name; subfolders and hidden files are not looked at."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; make it and {PUT_THERE} (train.csv and test.csv)")
    try:
        return sorted(p for p in folder.iterdir() if TABLE.fullmatch(p.name) and p.name[0] != "." and p.is_file())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def is_train(path: Path) -> bool:
    """Whether a file's name says that it is the training file."""
    return bool(ROLES["train"].fullmatch(_stem(path)))


def find_files(folder: Path, files: Files, joins: Sequence[str] = (), *, holdout: bool = False) -> RawFiles:
    """Find each role's file: the one that [files] names, else the one whose name says so.

    A table that is alone in the folder is train. Without a test file, `holdout` must be set.
    Raises DataError that says what is missing or ambiguous, and which key of [files] decides.
    """
    tables = tables_in(folder)
    sides = {name: _named(folder, name, "[[join]] file") for name in joins}
    given = {role: _named(folder, name, f"[files] {role}") for role in ROLES if (name := str(getattr(files, role)))}
    free = [
        path for path in tables if path not in {*sides.values(), *given.values()} and not NEVER.fullmatch(_stem(path))
    ]
    found = {role: given.get(role) or _by_name(folder, free, role) for role in ROLES}
    train, test, sample = found["train"], found["test"], found["sample"]
    if train is None:
        others = [path for path in free if path not in {test, sample}]
        if len(others) != 1 or test is not None:
            raise DataError(_no_train(folder, others))
        train = others[0]
    if test is None and not holdout:
        raise DataError(
            f"{folder}: no test file ({_content(folder)}); {PUT_THERE}, name it with [files] test, or set [holdout] "
            f"share = 0.2 to set rows of {train.name} aside instead"
        )
    return RawFiles(train, test, sample, sides)


def read_tables(found: RawFiles, files: Files, allowance: Allowance | None = None) -> RawTables:
    """Read every file; train and test may give numbers at once.

    Raises DataError, naming file and line, for those that are not whole tables: one line each.
    """
    named = {"train": found.train, "test": found.test, "sample": found.sample, **found.sides}
    tables: dict[str, RawTable] = {}
    faults: list[str] = []
    for role, path in named.items():
        try:
            if path is not None:
                tables[role] = read_table(path, files, allowance if role in ("train", "test") else None)
        except DataError as error:
            faults.append(str(error))
    if faults:
        raise DataError("\n".join(faults))
    sides = {name: tables[name] for name in found.sides}
    return RawTables(tables["train"], tables.get("test"), tables.get("sample"), sides)


def _stem(path: Path) -> str:
    matched = TABLE.fullmatch(path.name)
    return matched["stem"] if matched else path.name


def _named(folder: Path, name: str, key: str) -> Path:
    """The file that the config names. Raises DataError if it is not there, or not inside the folder."""
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise DataError(f"{key} names {name!r}, expected a file inside {folder}; move it there and name it without ..")
    path = folder / name
    if not path.is_file():
        raise DataError(f"{folder}: no {name!r}, which {key} names; found {_content(folder)}")
    return path


def _by_name(folder: Path, tables: Sequence[Path], role: str) -> Path | None:
    fitting = [path for path in tables if ROLES[role].fullmatch(_stem(path))]
    if len(fitting) > 1:
        what = {"sample": "sample submission"}.get(role, role)
        names = " and ".join(path.name for path in fitting)
        raise DataError(f"{folder}: {names} could each be the {what} file; say which with [files] {role}")
    return fitting[0] if fitting else None


def _no_train(folder: Path, others: Sequence[Path]) -> str:
    packed = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".zip")
    if packed and not others:
        return f"{folder}: only {', '.join(packed)}; unzip it: `python -m pipeline init {folder.name}` does"
    if others:
        names = ", ".join(path.name for path in others)
        return f"{folder}: no train file by its name, found {names}; name it with [files] train"
    return f"{folder}: no train file ({_content(folder)}); {PUT_THERE}, or name it with [files] train"


def _content(folder: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    shown = ", ".join(names[:8]) + (f", … ({len(names)} files)" if len(names) > 8 else "")
    return shown or "nothing"
