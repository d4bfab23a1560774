"""What kind of file it is: told by its first bytes, not by its name."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Literal

from pipeline.errors import DataError
from pipeline.reading.archive import AGAIN
from pipeline.reading.source import MARK, Source
from pipeline.tables import Notice

if TYPE_CHECKING:
    from pathlib import Path

PEEK_BYTES = 1 << 16
# codecs of Python that are no encodings of files
NO_ENCODINGS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an Excel file (.xls); save it as CSV"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file; unpack it first"),
    (b"Rar!", "a rar file; unpack it first"),
    (b"%PDF-", "a PDF; expected a table as CSV or Parquet"),
    (b"version https://git-lfs.github.com/spec", "a git-lfs pointer and not the data; run git lfs pull"),
)
PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml|error)\b", re.IGNORECASE)
JSON = re.compile(rb'\s*(\{|\[\s*\{)\s*"')


def find_source(path: Path, encoding: str) -> tuple[Source, list[Notice]]:
    """Look at the first bytes: how the file is packed and encoded, and what was noticed.

    Raises DataError for what is no file, no table (a web page, a git-lfs pointer, an Excel file, …) or no text.
    """
    packing = _packing(path)
    if packing == "parquet":
        return Source(path, packing), []
    notices = []
    if packing and not path.name.lower().endswith({"gzip": ".gz", "zip": ".zip"}[packing]):
        notices.append(Notice(path.name, f"is a {packing} file and was unpacked", 1))
    codec = _codec(path, encoding)
    head = next(Source(path, packing).blocks(PEEK_BYTES), b"")
    if packing and _packing_of(head):
        raise DataError(f"{path}: a {_packing_of(head)} file inside a {packing} file; unpack it first")
    _refuse(path, head.removeprefix(MARK))
    if head.startswith(MARK):
        # the mark is in the file, and [files] encoding is said for all files at once
        then = "it was left out" if codec == "utf-8" else f"it was read as that and not as {encoding}"
        notices.append(Notice(path.name, f"starts with the byte order mark of UTF-8: {then}", 1))
        codec = "utf-8"
    elif encoding == "auto" and (found := _wide_encoding(head)):
        raise DataError(
            f'{path}: line 1: not UTF-8: byte 0 starts a text in {found.upper()}; set [files] encoding = "{found}", '
            f"or save it as UTF-8"
        )
    return Source(path, packing, codec), notices


def _packing(path: Path) -> Literal["", "gzip", "zip", "parquet"]:
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder, expected a table")
        if not path.is_file():
            raise DataError(f"{path}: {'is not a plain file' if path.exists() else 'no such file'}")
        with path.open("rb") as stream:
            head = stream.read(PEEK_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise DataError(f"{path}: the file is empty; was the download cut short?")
    packing = _packing_of(head)
    if path.suffix.lower() in {".parquet", ".pq"} and packing != "parquet":
        raise DataError(f"{path}: named {path.suffix} but is no Parquet file; rename it, or {AGAIN}")
    return packing


def _packing_of(head: bytes) -> Literal["", "gzip", "zip", "parquet"]:
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "parquet" if head.startswith(b"PAR1") else ""


def _codec(path: Path, encoding: str) -> str:
    if encoding == "auto":
        return "utf-8"
    try:
        info = codecs.lookup(encoding)
        known = info.incrementaldecoder is not None and isinstance(b"a".decode(encoding, "ignore"), str)
    except (LookupError, ValueError):
        known = False
    if not known or info.name in NO_ENCODINGS:
        raise DataError(
            f"{path}: [files] encoding {encoding!r} is no known encoding; expected auto or a name such as utf-8, "
            f"latin-1, cp1252 or utf-16"
        )
    return "utf-8" if info.name == "utf-8-sig" else info.name


def _refuse(path: Path, head: bytes) -> None:
    for start, what in REFUSED:
        if head.startswith(start):
            raise DataError(f"{path}: line 1: {what}")
    if PAGE.match(head):
        raise DataError(f"{path}: line 1: a web page or an error message (HTML or XML), expected a table; {AGAIN}")
    if JSON.match(head):
        raise DataError(f"{path}: line 1: JSON, expected a table; is it an error message? {AGAIN}, or save it as CSV")


def _wide_encoding(head: bytes) -> str:
    """UTF-16 or UTF-32 by its byte order mark, or by a NUL in every other byte; empty for neither."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = (len(head[start::2]) and head[start::2].count(0) / len(head[start::2]) for start in (0, 1))
    if odd > 0.4 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.1 else ""
