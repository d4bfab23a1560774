"""The bytes of a table's file, unpacked, and its text as UTF-8 whatever its encoding."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import DataError
from pipeline.reading.archive import AGAIN, ENCRYPTED, Limits, Meter, unpacking
from pipeline.reading.lines import LineEnds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

BLOCK_BYTES = 1 << 22
MARK = codecs.BOM_UTF8
ENCODING = "[files] encoding is that of every file: correct it, or save all of them as UTF-8"
NEAR_BYTES = 1 << 16  # behind a byte that is not UTF-8 tell what it may be


@dataclass(frozen=True, slots=True)
class Source:
    """A text file, perhaps packed, whose encoding is known."""

    path: Path
    packing: Literal["", "gzip", "zip", "parquet"]
    encoding: str = "utf-8"

    @contextmanager
    def open_lines(self, *, skip: int = 0) -> Iterator[Iterable[str]]:
        r"""The lines of the text behind the first `skip`, ends (\n, \r or \r\n) kept."""
        with io.TextIOWrapper(io.BufferedReader(Utf8Stream(self)), encoding="utf-8", newline="") as lines:
            yield itertools.islice(lines, skip, None)

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The unpacked bytes, counted. Raises DataError for a damaged file and for a bomb."""
        with unpacking(self.path):
            meter = Meter(self.path, Limits(), self.path.stat().st_size)
            with self._open() as stream:
                while block := stream.read(size):
                    if self.packing:
                        meter.count(len(block))
                    yield block

    def utf8_blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The text as UTF-8 without its byte order mark. Raises DataError for a NUL and for what cannot be decoded."""
        decoded = self.blocks(size) if self.encoding == "utf-8" else self._decoded(size)
        first = next(decoded, b"").removeprefix(MARK)
        for block in itertools.chain([first], decoded):
            if b"\0" in block:
                raise text_fault(self) or _changed(self.path)
            yield block

    def _decoded(self, size: int) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        try:
            for block in self.blocks(size):
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:
            raise text_fault(self) or _changed(self.path) from None

    def _open(self) -> IO[bytes] | gzip.GzipFile:
        if self.packing == "gzip":
            return gzip.open(self.path)
        if self.packing == "zip":
            # the member keeps the file open
            with zipfile.ZipFile(self.path) as packed:
                return packed.open(_only_entry(packed, self.path))
        return self.path.open("rb")


class Utf8Stream(io.RawIOBase):
    """The text of a source as a stream for pyarrow: the first `skip` bytes left out, `tail` set behind the last."""

    def __init__(self, source: Source, *, size: int = BLOCK_BYTES, skip: int = 0, tail: bytes = b"") -> None:
        super().__init__()
        self._blocks = itertools.chain(source.utf8_blocks(size), [tail])
        self._as_they_come = source.encoding == "utf-8"
        self._skip = skip
        self._rest = memoryview(b"")
        self.has_quotes = False  # in what was read so far

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        r"""A block; only the first and those at the end are shorter than asked for, as rows must fit into blocks.

        None but the last ends with \r: pyarrow would take a \n that begins the next for the same line end and drop it,
        even within quotes.
        """
        block = self._take(size if size >= 0 else sys.maxsize)
        if block.endswith(b"\r") and (self._rest or self._next()):
            self._rest = memoryview(b"\r" + self._rest)
            return block[:-1] or self.read(2)
        return block

    def _take(self, size: int) -> bytes:
        parts: list[memoryview] = []
        missing = size
        while missing and (self._rest or self._next()):
            if self._as_they_come and not parts and len(self._rest) <= missing:
                return self._whole_rest()
            part = self._rest[:missing]
            self._rest = self._rest[len(part) :]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, for Python's text reader."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def _whole_rest(self) -> bytes:
        whole, self._rest = self._rest, memoryview(b"")
        block = whole.obj
        # most blocks are handed on without a copy
        return block if isinstance(block, bytes) and len(block) == len(whole) else bytes(whole)

    def _next(self) -> bool:
        for block in self._blocks:
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            self.has_quotes = self.has_quotes or b'"' in block
            if len(block) > skipped:
                self._rest = memoryview(block)[skipped:]
                return True
        return False


def _only_entry(packed: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    infos = [info for info in packed.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    if any(info.filename.startswith("xl/") or info.filename == "mimetype" for info in infos):
        raise DataError(f"{path}: a spreadsheet (Excel or OpenDocument); save it as CSV")
    if len(infos) != 1:
        names = ", ".join(repr(info.filename) for info in infos[:3])
        raise DataError(
            f"{path}: a zip of {len(infos)} files{f' ({names})' if names else ''}, expected one; unzip it first"
        )
    if infos[0].flag_bits & ENCRYPTED:
        raise DataError(f"{path}: entry {infos[0].filename!r} is encrypted; unzip it first")
    return infos[0]


def text_fault(source: Source) -> DataError | None:
    """The first NUL, or byte that cannot be decoded, with its byte and line; a second look at a broken file."""
    decoder = codecs.getincrementaldecoder(source.encoding)()
    ends, fed = LineEnds(), 0
    for block in itertools.chain(source.blocks(), [b""]):
        try:
            text = decoder.decode(block, final=not block)
            error = None
        except UnicodeDecodeError as caught:
            error = caught
            text = error.object[: error.start].decode(source.encoding, "ignore")
        except UnicodeError as caught:
            return DataError(f"{source.path}: not {source.encoding} text ({caught}); {ENCODING}")
        above, nul, _ = text.partition("\0")
        try:
            ends.count(above.encode())
        except UnicodeError as caught:
            return DataError(f"{source.path}: not {source.encoding} text ({caught}); {ENCODING}")
        if nul:
            return DataError(f"{source.path}: line {ends.total + 1}: a NUL byte, which no text has; {AGAIN}")
        if error is not None:
            return _undecodable(source, error, fed + len(block), ends.total + 1)
        fed += len(block)
    return None


def _undecodable(source: Source, error: UnicodeDecodeError, fed: int, line: int) -> DataError:
    at = f"{source.path}: line {line}"
    byte = f"byte {error.object[error.start]:#04x} at {fed - len(error.object) + error.start:,}"
    if source.encoding != "utf-8":
        return DataError(f"{at}: not {source.encoding}: {byte} ({error.reason}); {ENCODING}")
    if error.reason == "unexpected end of data":
        return DataError(f"{at}: not UTF-8: the last character is cut off ({byte}); {AGAIN}")
    # 0x80 to 0x9f are letters and quotes on Windows, control characters in latin-1
    windows = any(0x80 <= value < 0xA0 for value in error.object[error.start : error.start + NEAR_BYTES])
    guess = "cp1252" if windows else "latin-1"
    return DataError(f'{at}: not UTF-8: {byte}, as in {guess}; set [files] encoding = "{guess}", or save it as UTF-8')


def _changed(path: Path) -> DataError:
    return DataError(f"{path}: changed while it was read; run again")
