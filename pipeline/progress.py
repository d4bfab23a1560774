"""What the shell prints: one line a stage, and a bar only where somebody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn, Self

from tqdm import tqdm

if TYPE_CHECKING:
    from types import TracebackType


LONGEST_LINE = 2000


def say(line: str) -> None:
    """One finished line on standard output; what a file's names hold sends no command to the terminal."""
    print(shown(line), flush=True)


def shown(text: str) -> str:
    """The text without control characters (they are escaped), cut where it is endless; line breaks stay."""
    lines = [line if line.isprintable() else _escaped(line) for line in text.split("\n")]
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines)


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() or c in "\t\u00a0\u202f" else c.encode("unicode_escape").decode() for c in line)


def interject(line: str) -> None:
    """A finished line that does not tear a bar, whosever it is."""
    tqdm.write(shown(line), file=sys.stdout)
    sys.stdout.flush()


class Bar:
    """A progress bar on a terminal's standard error; elsewhere, with `lines`, one line for each pack."""

    def __init__(self, stage: str, *, lines: bool = True) -> None:
        self._stage, self._lines = stage, lines
        self._bar: tqdm[NoReturn] | None = None
        self._is_text = False
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def is_watched(self) -> bool:
        """Whether there is a terminal."""
        return sys.stderr.isatty()

    def update(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` epochs are finished."""
        if not self.is_watched:
            if self._lines and what != self._shown:
                say(f"{self._stage:<11} {'running':<18} {what}")
            self._shown = what
            return
        if self._bar is None or self._is_text:
            self._close()
            self._bar = tqdm(total=total, desc=self._stage, unit="epoch", leave=False, dynamic_ncols=True)
            self._is_text = False
        self._bar.set_description(f"{self._stage}: {what}", refresh=False)
        self._bar.update(done - self._bar.n)

    def live(self, text: str) -> None:
        """On a terminal: this in place of what was shown before, cut to its width, some times a second at most."""
        if not self.is_watched:
            return
        line = f"{self._stage}: {shown(text)}"
        if self._bar is None or not self._is_text:
            self._close()
            self._bar = tqdm(desc=line, total=1, bar_format="{desc}", miniters=0, leave=False, dynamic_ncols=True)
            self._is_text = True
        self._bar.set_description_str(line, refresh=False)
        self._bar.update(0)

    def say(self, line: str) -> None:
        """A finished line that does not tear the bar."""
        interject(line)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
