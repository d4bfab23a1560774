"""What the shell prints: one line a stage, and a bar only where somebody watches."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


def say(line: str) -> None:
    """One finished line on standard output."""
    print(line, flush=True)  # noqa: T201 - the only place that prints


class Bar:
    """A progress bar on a terminal's standard error; silent elsewhere."""

    def __init__(self, what: str) -> None:
        self._bar: tqdm[None] | None = None
        self._what = what

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` epochs are finished."""
        if self._bar is None:
            self._bar = tqdm(
                total=total, desc=self._what, unit="epoch", leave=False, disable=not sys.stderr.isatty(), ncols=100
            )
        self._bar.set_description(f"{self._what}: {what}", refresh=False)
        self._bar.update(done - self._bar.n)
