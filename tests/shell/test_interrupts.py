"""Signals that arrive where Python swallows exceptions."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from pipeline.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterator


class Referent:
    """Something that a weak reference can point to."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A test in the background of a shell has Ctrl-C ignored; and nobody's SIGTERM is ours afterwards."""
    known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in known.items():
        signal.signal(number, handler)


def collect_and_be_sent(number: signal.Signals) -> None:
    """Let a weak reference's callback run in which that signal arrives; what it raises is not seen here."""
    referent = Referent()
    watcher = weakref.ref(referent, lambda _: os.kill(os.getpid(), number))
    del referent
    assert watcher() is None


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_that_arrives_as_garbage_is_collected_is_not_lost(
    number: signal.Signals, error: type[BaseException]
) -> None:
    """Ctrl-C and SIGTERM in the callback of a weak reference: raised again a moment later, once."""
    with interruptible():
        collect_and_be_sent(number)
        with pytest.raises(error):
            time.sleep(10)
        time.sleep(0.2)


def test_other_exceptions_of_finalisers_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listened before hears of them, and of everything once the context is left."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: heard.append(lost.exc_type))
    listener = sys.unraisablehook

    class Sloppy:
        def __del__(self) -> None:
            raise LookupError

    with interruptible():
        Sloppy()
    assert heard == [LookupError]
    assert sys.unraisablehook is listener
