"""The state of a training in its middle, kept on disk so that a killed run goes on from there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.graph import key_of

if TYPE_CHECKING:
    from pipeline.store import Manifest, Store

PARTS = "part"  # stage name of a finished part of an unfinished stage, and of a state in its middle
SLOTS = 2  # written in turn: while one is written, the other stays whole


class StoredCheckpoint:
    """Two artifacts that take turns; what is loaded is the newest that the store vouches for."""

    def __init__(self, store: Store, key: str, part: str, *, seconds: float) -> None:
        self._store, self._of, self._seconds = store, key, seconds
        self._keys = [key_of({"stage": key, "part": part, "slot": slot}) for slot in range(SLOTS)]
        self._saved = 0
        self._last = time.monotonic()

    def load(self) -> object | None:
        """The newest whole state, or None."""
        newest = self._newest()
        if newest is None:
            return None
        manifest, slot = newest
        self._saved = slot + 1  # the other one is written next
        return self._store.load(manifest)

    def words(self) -> str:
        """That a run goes on from here, and in which epoch; empty where nothing was saved."""
        newest = self._newest()
        return f"goes on from a checkpoint{newest[0].note}" if newest else ""

    def _newest(self) -> tuple[Manifest, int] | None:
        found = [(manifest, slot) for slot in range(SLOTS) if (manifest := self._store.find(PARTS, self._keys[slot]))]
        return max(found, key=lambda pair: pair[0].created, default=None)

    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: object) -> None:
        """Write the state into the older slot; its manifest goes first, so that a kill leaves no half-written one."""
        key = self._keys[self._saved % SLOTS]
        old = self._store.find(PARTS, key)
        if old is not None:
            self._store.remove(old)
        self._store.save(PARTS, key, state, seconds=0.0, parts={"of": self._of}, note=_how_far(state))
        self._saved += 1
        self._last = time.monotonic()

    def forget(self) -> None:
        """Delete what was saved: the part is finished."""
        for key in self._keys:
            manifest = self._store.find(PARTS, key)
            if manifest is not None:
                self._store.remove(manifest)


def _how_far(state: object) -> str:
    """The epochs that networks of a training are in, counted from 1; nothing of any other state."""
    pack = state.get("pack") if isinstance(state, dict) else None
    records = pack.get("records", []) if isinstance(pack, dict) else []
    epochs = sorted({record.epoch + 1 for record in records})
    if len(epochs) < 2:
        return "".join(f", in epoch {epoch}" for epoch in epochs)
    return f", in epochs {epochs[0]} to {epochs[-1]}"
