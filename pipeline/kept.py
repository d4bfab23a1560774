"""What sweeps keep of their trials, in the store: whose predictions they are, and all of a study's at once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from pipeline.graph import key_of
from pipeline.outcomes import Kept
from pipeline.store import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store import Manifest, Store
    from pipeline.tables import Folds

KEPT = "kept"  # stage name of these artifacts
LEFT_OUT = "a blend goes without that trial"


def kept_predictions(store: Store, key: str, folds: Folds) -> list[Kept]:
    """What this computer keeps of the study with that search key, best first.

    folds: of any design of the study; predictions that another split scored are left out. Damaged ones are set aside,
    each with a line that says so.
    """
    found: list[Kept] = []
    scored = scored_digest(folds)
    with store.lock(KEPT, key):
        for file in store.files(KEPT):
            manifest = _sound(store, file, key)
            if manifest is not None and manifest.parts["folds"] == scored:
                kept = store.load(manifest)
                assert isinstance(kept, Kept)
                found.append(kept)
    return sorted(found, key=lambda kept: (kept.score, kept.trial))


def parts_of(key: str, trial: tuple[str, int], values: Mapping[str, object], folds: Folds) -> dict[str, object]:
    """All that says whose predictions they are: what the key of a kept trial is made of.

    trial: the phase of the search's plan, "" in a flat one, and the trial's number in it.
    """
    phase, number = trial
    own = {"phase": phase, "trial": number, "values": dict(values)}
    return {"stage": KEPT, "of": key, **own, "folds": scored_digest(folds)}


def scored_digest(folds: Folds) -> str:
    """sha256 of which rows are scored, in order, and which fold scores each."""
    digest = hashlib.sha256()
    for array in (folds.scored_rows, folds.scored_folds):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()


def manifests_of(store: Store, key: str, phase: str) -> list[Manifest]:
    """What is kept of that phase of the search with that key, as far as it can be read."""
    wanted = {"of": key, "phase": phase}
    return [manifest for manifest in store.manifests(KEPT) if wanted.items() <= manifest.parts.items()]


def _sound(store: Store, file: Path, key: str) -> Manifest | None:
    """The manifest in a file, verified, if it belongs to that study. A damaged one is set aside, whosever it is."""
    manifest, named = read_manifest(file), file.stem.removeprefix(f"{KEPT}-")
    if manifest is None or key_of(manifest.parts) != manifest.key or not manifest.key.startswith(named):
        store.set_aside(KEPT, named, "its manifest is not as it was written", LEFT_OUT)
        return None
    return store.find(KEPT, manifest.key, remedy=LEFT_OUT) if manifest.parts.get("of") == key else None
