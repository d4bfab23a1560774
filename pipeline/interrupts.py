"""Ctrl-C and SIGTERM as exceptions that cannot get lost.

Python raises what a signal handler raises wherever the main thread happens to be. Where that is a finaliser or the
callback of a weak reference, which run whenever garbage is collected, the interpreter prints the exception and goes
on as if nothing had been said. Such a signal is sent again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

TERMINATED = 143
AGAIN = 0.05  # seconds until a signal that got lost is sent again: by then the callback has returned


@contextmanager
def interruptible() -> Iterator[None]:
    """A context in which SIGTERM raises SystemExit(143) and Ctrl-C KeyboardInterrupt, each of them for certain.

    The main thread's. SIGTERM keeps its handler afterwards, for what is left to do as the interpreter ends.
    """
    signal.signal(signal.SIGTERM, _terminate)
    before = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        number = _signal_of(lost.exc_value)
        if number is None:
            before(lost)
        else:
            again = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _terminate(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise SystemExit(TERMINATED)


def _signal_of(error: BaseException | None) -> signal.Signals | None:
    """Which signal raised this, if one did."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(error, SystemExit) and error.code == TERMINATED:
        return signal.SIGTERM
    return None
