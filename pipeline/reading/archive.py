"""Zip archives from strangers: every entry is looked at before the first byte is written, every byte is counted."""

from __future__ import annotations

import filecmp
import lzma
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

CHUNK_BYTES = 1 << 20
ENCRYPTED = 0x1  # a bit of ZipInfo.flag_bits
DRIVE = re.compile(r"[A-Za-z]:")
AGAIN = "download it again"
# what zipfile, gzip and their codecs raise for bytes that somebody made up
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a packed file may unpack to, counted on what comes out and not on what its header claims."""

    entries: int = 10_000
    entry_bytes: int = 32 << 30
    total_bytes: int = 64 << 30
    ratio: float = 200.0  # bytes out for each byte of the packed file
    ratio_from_bytes: int = 64 << 20  # below this any ratio is harmless


@dataclass(slots=True)
class Meter:
    """Counts what comes out of one packed file, and stops a bomb."""

    packed: Path
    limits: Limits
    packed_bytes: int
    entry: int = 0
    total: int = 0

    def start_entry(self) -> None:
        """From here on the bytes are another entry's."""
        self.entry = 0

    def count(self, size: int) -> None:
        """Take note of further unpacked bytes. Raises DataError beyond a limit."""
        self.entry += size
        self.total += size
        limits = self.limits
        if self.entry > limits.entry_bytes or self.total > limits.total_bytes:
            raise DataError(
                f"{self.packed}: unpacks to more than {min(limits.entry_bytes, limits.total_bytes):,} bytes; "
                f"if you trust it, unpack it yourself"
            )
        if self.total > limits.ratio_from_bytes and self.total > limits.ratio * self.packed_bytes:
            raise DataError(
                f"{self.packed}: {self.packed_bytes:,} bytes unpack to more than {limits.ratio:g} times as many, as in "
                f"a zip bomb; if you trust it, unpack it yourself"
            )


def unpack(archive: Path, folder: Path, *, limits: Limits | None = None) -> list[Path]:
    """Unpack a zip into a folder, subfolders kept, and return its files as they stand there, in the archive's order.

    All or nothing but for a crash between two renames: entries are unpacked beside the folder and then moved. A file
    that is there already with the same bytes is left alone. Archives inside the archive stay packed.
    Raises DataError, with nothing written, for a name that leaves the folder, a link or device, an encrypted or
    doubled entry, a bomb, a damaged archive, and a different file that would be overwritten.
    """
    with unpacking(archive), zipfile.ZipFile(archive) as packed:
        entries = _checked(packed.infolist(), archive, limits or Limits())
        meter = Meter(archive, limits or Limits(), archive.stat().st_size)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, entry in entries.items():
                _extract(packed, entry, temporary / name, meter)
            return _move(list(entries), temporary, folder, archive)
        finally:
            shutil.rmtree(temporary)


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Every way in which a packed file can fail, as a DataError."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DAMAGED as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); {AGAIN}") from None
    except OSError as error:
        # gzip's own fault has a text and no strerror
        raise DataError(f"{path}: cannot be read or unpacked: {error.strerror or f'{error}; {AGAIN}'}") from None


def _checked(infos: Sequence[zipfile.ZipInfo], archive: Path, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by their name. Raises DataError for the first entry that must not be unpacked."""
    if len(infos) > limits.entries:
        raise DataError(
            f"{archive}: {len(infos):,} entries, more than {limits.entries:,}; if you trust it, unpack it yourself"
        )
    files: dict[str, zipfile.ZipInfo] = {}
    seen: dict[str, str] = {}
    for info in infos:
        if fault := _fault_of(info):
            raise DataError(f"{archive}: entry {info.orig_filename!r} {fault}; nothing was unpacked")
        name = str(PurePosixPath(info.filename))
        if info.is_dir():
            continue
        # some file systems hold Train.csv and train.csv for one file
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            raise DataError(
                f"{archive}: entry {info.orig_filename!r} stands there twice (as {seen[same]!r}); nothing was unpacked"
            )
        seen[same] = info.orig_filename
        files[name] = info
    for name in files:
        for parent in PurePosixPath(name).parents:
            if str(parent) in files:
                raise DataError(f"{archive}: entry {str(parent)!r} is a file and a folder; nothing was unpacked")
    return files


def _fault_of(info: zipfile.ZipInfo) -> str:
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    path = PurePosixPath(name)
    if "\\" in name:
        return "has a backslash in its name"
    if any(ord(letter) < 32 for letter in name):
        return "has a control character in its name"
    if path.is_absolute() or DRIVE.match(name):
        return "is an absolute path"
    if ".." in path.parts or not path.parts:
        return "leaves the folder"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link" if kind == stat.S_IFLNK else "is a device"
    return "is encrypted" if info.flag_bits & ENCRYPTED else ""


def _extract(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, meter: Meter) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    meter.start_entry()
    with packed.open(entry) as stream, target.open("xb") as file:
        _copy_counted(stream, file, meter)


def _copy_counted(stream: IO[bytes], file: IO[bytes], meter: Meter) -> None:
    """Copy a stream, every byte counted before it is written."""
    while block := stream.read(CHUNK_BYTES):
        meter.count(len(block))
        file.write(block)


def _move(names: Sequence[str], temporary: Path, folder: Path, archive: Path) -> list[Path]:
    """Move each file to its place; first of all see that none overwrites another or follows a link out."""
    root = folder.resolve()
    waiting = []
    for name in names:
        target = folder / name
        if not target.parent.resolve().is_relative_to(root):
            raise DataError(f"{archive}: entry {name!r} would follow a link out of {folder}; nothing was unpacked")
        if not target.exists() and not target.is_symlink():
            waiting.append(name)
        elif not target.is_file() or not filecmp.cmp(target, temporary / name, shallow=False):
            raise DataError(f"{target}: another file of that name is there; move it away, then unpack {archive} again")
    for name in waiting:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).rename(folder / name)
    return [folder / name for name in names]
