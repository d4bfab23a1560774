"""Signs of life: a thread that says every few seconds that its process lives, and whether another one does."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_BEAT = 5.0  # seconds that the end of a process waits for a beat on its way to a storage that does not answer


class Heart:
    """Calls `beat` with 1, 2, 3, … every so many seconds until the context is left.

    lost: exceptions of a storage that cannot be reached just now; the next beat may reach it.
    """

    def __init__(self, beat: Callable[[int], None], seconds: float, lost: tuple[type[Exception], ...]) -> None:
        self._beat, self._seconds, self._lost = beat, seconds, lost
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(LAST_BEAT)

    def _run(self) -> None:
        count = 0
        while True:
            count += 1
            with suppress(*self._lost):
                self._beat(count)
            if self._stopped.wait(self._seconds):
                return


@functools.cache
def computer() -> str:
    """This computer, in words without the last two of a worker's name.

    Containers may share a name but not their processes' numbers: the running kernel and its space of numbers go in.
    """
    told = []
    with suppress(OSError):  # not on Linux: the name has to do
        told = [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return f"{socket.gethostname()}-{hashlib.sha256(''.join(told).encode()).hexdigest()[:6]}"


def worker_name() -> str:
    """A name for this process that no other has or will have: computer, process, and something drawn."""
    return f"{computer()} {os.getpid()} {uuid.uuid4().hex[:8]}"


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this computer, which may be another one by now."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # one that has died, and whose parent has not asked, still has its number
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True
