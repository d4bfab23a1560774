"""Signs of life: a thread that says every few seconds that its process lives, and whether another one does."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


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
        self._thread.join()

    def _run(self) -> None:
        count = 0
        while True:
            count += 1
            with suppress(*self._lost):  # whoever trains meets the same, waits, and says so
                self._beat(count)
            if self._stopped.wait(self._seconds):
                return


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this computer, which may be another one by now."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
