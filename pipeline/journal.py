"""A study's journal on disk: whole lines only, whoever is killed and however full the disk is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import filelock
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from pipeline.errors import ArtifactError
from pipeline.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOKS = 0.005  # seconds between two looks whether the lock is free


class KernelLock(BaseJournalFileLock):
    """A lock that the kernel releases when its process dies; Optuna's own then holds all others up for 30 seconds."""

    def __init__(self, journal: Path) -> None:
        self._lock = filelock.FileLock(journal.with_name(f".{journal.stem}.lock"), poll_interval=LOOKS)

    def acquire(self) -> bool:
        """Wait for the lock; whoever holds it may take it again."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    def free(self) -> None:
        """Give it back however often it was taken: an interruption may have come between taking and giving back."""
        self._lock.release(force=True)


class Journal(JournalFileBackend):
    """Optuna's journal, which begins every line on a line of its own, and takes back one that it could not finish."""

    def __init__(self, file: Path) -> None:
        self.file, self._kernel_lock = file, KernelLock(file)
        super().__init__(str(file), self._kernel_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines whole or not at all. Raises OSError where the disk is full, and leaves the file as it was."""
        try:
            self._kernel_lock.acquire()
            _heal(self.file)  # left by a process that was killed while this one lives
            size = self.file.stat().st_size
            try:
                super().append_logs(logs)
            except OSError as error:
                os.truncate(self.file, size)
                error.filename = error.filename or str(self.file)
                raise
        finally:
            self._kernel_lock.free()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Every line from that one on. Raises ArtifactError for one that is none."""
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:  # to Optuna also a trial that has ended already: not to be mistaken for it
            raise not_readable(self.file, error) from None


def not_readable(file: Path, error: Exception) -> ArtifactError:
    """What to say of a file that holds no study."""
    return ArtifactError(
        f"{file}: not a readable journal ({type(error).__name__}: {error}); move it away to start the study anew"
    )


def heal_journal(file: Path) -> bool:
    """Cut a half-written last line (power cut, SIGKILL), after which one more would make the study unreadable for ever.

    The torn file is kept as `.bak`. True if there was something to heal, which is said.
    """
    if not file.exists():
        return False
    lock = KernelLock(file)
    try:
        lock.acquire()
        return _heal(file)
    finally:
        lock.free()


def _heal(file: Path) -> bool:
    """The same, by whoever holds the lock."""
    whole = _whole(file)
    if whole == file.stat().st_size:
        return False
    kept = file.with_suffix(".bak")
    shutil.copyfile(file, kept)
    os.truncate(file, whole)
    say(f"{'search':<11} {'healed':<18} {file.name} ended within a line, which is cut; the torn file is {kept.name}")
    return True


def _whole(file: Path) -> int:
    """Bytes up to the end of the last whole line."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        stream.seek(size - 1)
        if stream.read(1) == b"\n":
            return size
        stream.seek(0)
        return stream.read().rfind(b"\n") + 1
