"""Unpacking zips from strangers."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.reading.archive import Limits, unpack


def archive_of(tmp_path, *entries):
    """A zip of (name or ZipInfo, content); a name is written as it is given."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, content in entries:
            packed.writestr(entry, content)
    return archive


def of_kind(name, kind):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info


def fault_of(archive, folder, limits=None):
    """The sentence of the refusal, the archive written A; nothing was written."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(archive, folder, limits=limits)
    assert sorted(folder.parent.rglob("*")) == before
    return str(caught.value).replace(str(archive), "A")


def test_files_and_subfolders_are_unpacked_as_they_are(tmp_path):
    """In the archive's order; an archive within stays packed, and nothing else is left behind."""
    archive = archive_of(tmp_path, ("b/c.csv", "x\n"), ("b/", ""), ("a.csv", "y\n"), ("./t.csv.zip", "PK"))
    folder = tmp_path / "raw" / "name"
    assert unpack(archive, folder) == [folder / "b/c.csv", folder / "a.csv", folder / "t.csv.zip"]
    assert [path.read_text() for path in (folder / "b/c.csv", folder / "a.csv", folder / "t.csv.zip")] == [
        "x\n",
        "y\n",
        "PK",
    ]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.csv", "a.zip", "b", "c.csv", "name", "raw", "t.csv.zip"]


def test_a_file_that_is_there_with_the_same_bytes_is_left_alone(tmp_path):
    """Unpacking twice is harmless; a file of other bytes is never overwritten, and then nothing is unpacked."""
    archive, folder = archive_of(tmp_path, ("new.csv", "n"), ("a.csv", "y\n")), tmp_path / "raw"
    folder.mkdir()
    (folder / "a.csv").write_text("y\n")
    inode = (folder / "a.csv").stat().st_ino
    assert unpack(archive, folder) == unpack(archive, folder) == [folder / "new.csv", folder / "a.csv"]
    assert (folder / "a.csv").stat().st_ino == inode
    (folder / "new.csv").unlink()
    (folder / "a.csv").write_text("mine")
    assert fault_of(archive, folder) == (
        f"{folder / 'a.csv'}: another file of that name is there; move it away, then unpack A again"
    )
    assert [path.name for path in folder.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.csv", "leaves the folder"),
        ("a/../../evil.csv", "leaves the folder"),
        ("/etc/evil.csv", "is an absolute path"),
        ("C:/evil.csv", "is an absolute path"),
        ("..\\evil.csv", "has a backslash in its name"),
        ("a\nb.csv", "has a control character in its name"),
        (of_kind("link.csv", stat.S_IFLNK), "is a link"),
        (of_kind("pipe.csv", stat.S_IFIFO), "is a device"),
        (of_kind("disk.csv", stat.S_IFBLK), "is a device"),
    ],
)
def test_an_entry_that_is_no_plain_file_within_the_folder_is_refused(tmp_path, name, fault):
    """Wherever it stands in the archive, the good entry before it is not written either."""
    archive = archive_of(tmp_path, ("good.csv", "1"), (name, "/etc/passwd"))
    shown = name if isinstance(name, str) else name.filename
    assert fault_of(archive, tmp_path / "raw") == f"A: entry {shown!r} {fault}; nothing was unpacked"


def test_a_name_cut_by_a_nul_is_refused(tmp_path):
    """Python's zipfile would cut it there and unpack a.csv."""
    archive = archive_of(tmp_path, ("a.csvX.exe", "1"))
    archive.write_bytes(archive.read_bytes().replace(b"a.csvX.exe", b"a.csv\0.exe"))
    assert fault_of(archive, tmp_path / "raw") == (
        "A: entry 'a.csv\\x00.exe' has a control character in its name; nothing was unpacked"
    )


def test_an_encrypted_entry_is_refused(tmp_path):
    """The first bit of the flags of both headers says so."""
    archive = archive_of(tmp_path, ("t.csv", "a\n1\n"))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert fault_of(archive, tmp_path / "raw") == "A: entry 't.csv' is encrypted; nothing was unpacked"


def test_doubled_names_are_refused(tmp_path):
    """Also those that some file systems take for one; and a file that is a folder too."""
    archive = archive_of(tmp_path, ("t.csv", "1"), ("./T.csv", "2"))
    assert fault_of(archive, tmp_path / "raw") == (
        "A: entry './T.csv' stands there twice (as 't.csv'); nothing was unpacked"
    )
    archive = archive_of(tmp_path, ("a/b", "1"), ("a", "2"))
    assert fault_of(archive, tmp_path / "raw") == "A: entry 'a' is a file and a folder; nothing was unpacked"


def test_a_bomb_is_stopped_by_what_comes_out_of_it(tmp_path):
    """Caps on ratio, bytes of an entry, of all entries, and their number; the header's claims are not asked."""
    archive, raw = archive_of(tmp_path, ("a", b"0" * 100_000), ("b", b"1" * 100_000)), tmp_path / "raw"
    size = archive.stat().st_size
    assert fault_of(archive, raw, Limits(ratio=20, ratio_from_bytes=10_000)) == (
        f"A: {size} bytes unpack to more than 20 times as many, as in a zip bomb; if you trust it, unpack it yourself"
    )
    for limits in (Limits(entry_bytes=99_999), Limits(total_bytes=199_999)):
        cap = min(limits.entry_bytes, limits.total_bytes)
        assert fault_of(archive, raw, limits) == (
            f"A: unpacks to more than {cap:,} bytes; if you trust it, unpack it yourself"
        )
    assert fault_of(archive, raw, Limits(entries=1)) == (
        "A: 2 entries, more than 1; if you trust it, unpack it yourself"
    )
    assert len(unpack(archive, raw, limits=Limits(entries=2, entry_bytes=100_000, total_bytes=200_000))) == 2


def test_a_header_that_claims_less_than_comes_out_is_a_damaged_archive(tmp_path):
    """The sum over the bytes does not agree then, and nothing is unpacked."""
    archive = archive_of(tmp_path, ("a", b"0" * 100_000))
    archive.write_bytes(archive.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert fault_of(archive, tmp_path / "raw") == ("A: cannot be unpacked (Bad CRC-32 for file 'a'); download it again")


def test_what_is_no_zip_is_refused(tmp_path):
    """Text under the name of a zip, an archive cut short, and no file at all."""
    archive = tmp_path / "a.zip"
    archive.write_text("<html>")
    assert fault_of(archive, tmp_path / "raw") == "A: cannot be unpacked (File is not a zip file); download it again"
    archive.write_bytes(archive_of(tmp_path, ("a", b"0" * 100)).read_bytes()[:-30])
    assert fault_of(archive, tmp_path / "raw") == "A: cannot be unpacked (File is not a zip file); download it again"
    archive.unlink()
    assert fault_of(archive, tmp_path / "raw") == "A: no such file"


def test_no_link_in_the_folder_is_followed_out_of_it(tmp_path):
    """A folder that is a link elsewhere takes nothing."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/sub").symlink_to(tmp_path / "elsewhere")
    folder = tmp_path / "raw"
    archive = archive_of(tmp_path, ("sub/a.csv", "1"))
    assert fault_of(archive, folder) == (
        f"A: entry 'sub/a.csv' would follow a link out of {folder}; nothing was unpacked"
    )


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    """The temporary folder goes with it."""
    archive = archive_of(tmp_path, ("a.csv", "1"))

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.reading.archive._copy_counted", full)
    assert fault_of(archive, tmp_path / "raw") == "A: cannot be read or unpacked: No space left on device"
    assert [path.name for path in Path(tmp_path).iterdir()] == ["a.zip"]
