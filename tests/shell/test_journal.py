"""The journal of a study: whole lines only, whoever is killed and however full the disk is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ArtifactError
from pipeline.journal import Journal, KernelLock, heal_journal

LINE = {"op_code": 4, "worker_id": "w", "study_id": 0}
HOLDER = """
import sys, time
from pathlib import Path
from pipeline.journal import KernelLock
KernelLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty one."""
    return Journal(tmp_path / "study-0.journal")


def test_lines_are_read_as_they_were_written(journal: Journal) -> None:
    """By whoever opens it, from any line on."""
    journal.append_logs([LINE, {**LINE, "op_code": 5}])
    assert [line["op_code"] for line in Journal(journal.file).read_logs(0)] == [4, 5]
    assert [line["op_code"] for line in Journal(journal.file).read_logs(1)] == [5]


def test_a_line_that_a_living_process_finds_torn_is_cut_before_it_writes_its_own(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """FAULT 13, while others train: a neighbour was killed within its line."""
    journal.append_logs([LINE])
    with journal.file.open("ab") as stream:
        stream.write(b'{"op_code": 6, "wor')
    journal.append_logs([{**LINE, "op_code": 7}])
    assert [line["op_code"] for line in journal.read_logs(0)] == [4, 7]
    assert journal.file.with_suffix(".bak").read_bytes().endswith(b"wor")
    assert "healed" in capsys.readouterr().out
    assert not heal_journal(journal.file)


def test_a_journal_cut_at_any_place_keeps_every_whole_line(journal: Journal) -> None:
    """FAULT 13: two lines, cut after each of their bytes, and a third written after that."""
    journal.append_logs([LINE, {**LINE, "op_code": 5}])
    whole = journal.file.read_bytes()
    for place in range(len(whole) + 1):
        journal.file.write_bytes(whole[:place])
        kept = [4, 5][: whole[:place].count(b"\n")]
        assert heal_journal(journal.file) == (not whole[:place].endswith(b"\n") and place > 0)
        journal.append_logs([{**LINE, "op_code": 7}])
        assert [line["op_code"] for line in journal.read_logs(0)] == [*kept, 7]


def test_a_journal_that_is_all_one_torn_line_becomes_empty(journal: Journal) -> None:
    """Killed within the very first line."""
    journal.file.write_bytes(b'{"op_code": 0')
    assert heal_journal(journal.file)
    assert journal.file.read_bytes() == b""


def test_a_line_that_finds_no_room_on_the_disk_is_taken_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULT 4: the error names the file, which is as it was; the next line is written whole."""
    journal.append_logs([LINE])
    before, real = journal.file.read_bytes(), os.fsync

    def full(descriptor: int) -> None:
        os.write(descriptor, b"half a li")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        journal.append_logs([LINE])
    assert caught.value.filename == str(journal.file)
    assert journal.file.read_bytes() == before
    monkeypatch.setattr(os, "fsync", real)
    journal.append_logs([{**LINE, "op_code": 8}])
    assert [line["op_code"] for line in journal.read_logs(0)] == [4, 8]


def test_a_line_that_is_none_is_a_sentence_and_never_taken_for_the_end_of_a_trial(journal: Journal) -> None:
    """Optuna raises ValueError for both."""
    journal.append_logs([LINE])
    with journal.file.open("ab") as stream:
        stream.write(b"none\nnone\n")
    with pytest.raises(ArtifactError, match=r"study-0\.journal: not a readable journal.*move it away"):
        list(journal.read_logs(0))


def test_a_killed_process_holds_nobody_up(journal: Journal) -> None:
    """SIGKILL while it has the lock: the kernel gives it back, not a timeout of half a minute."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path])}
    words = [sys.executable, "-c", HOLDER, str(journal.file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    KernelLock(journal.file)._lock.acquire(timeout=0)
