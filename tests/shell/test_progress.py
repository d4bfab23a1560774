"""The bar: on a terminal one line that changes, elsewhere lines that stay."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from pipeline.progress import Bar

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    """A standard error that somebody watches."""

    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One in the place of standard error; within the test, for pytest puts its own there before."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_a_live_line_is_shown_in_the_place_of_the_last_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it stays when the bar is closed."""
    terminal = watched(monkeypatch)
    with Bar("search") as bar:
        bar.live("1/20, best 0.5")
        bar.live("2/20, best 0.4")
    shown = terminal.getvalue()
    assert "search: 1/20, best 0.5" in shown
    assert "\n" not in shown
    assert shown.endswith("\r")
    assert not shown.rstrip("\r").split("\r")[-1].strip()


def test_what_a_name_holds_sends_no_command_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters are escaped in the live line too."""
    terminal = watched(monkeypatch)
    with Bar("search") as bar:
        bar.live("lr\x1b[2J")
    assert "lr\\x1b[2J" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_epochs_may_follow_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar of its own, with its own total."""
    terminal = watched(monkeypatch)
    with Bar("search") as bar:
        bar.live("20/20")
        bar.update(30, 60, "12 networks")
    assert "search: 20/20" in terminal.getvalue()
    assert "0/60" in terminal.getvalue()


def test_without_a_terminal_nothing_lives(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are for logs."""
    with Bar("search") as bar:
        bar.live("1/20")
        bar.say("trial 0")
    out, err = capsys.readouterr()
    assert out == "trial 0\n"
    assert not err
