"""The artifact store alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ArtifactError
from pipeline.store import Store, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def save(store: Store, value: object = 1, key: str = KEY) -> None:
    store.save("train", key, value, seconds=1.5, parts={"config": {"lr": 1}}, note="fine")


def test_what_is_saved_is_found_and_loaded(store: Store) -> None:
    """The value, the note and the parts come back; the file names carry the stage and the key."""
    save(store, {"a": [1, 2]})
    manifest = store.find("train", KEY)
    assert manifest is not None
    assert store.load(manifest) == {"a": [1, 2]}
    assert (manifest.note, manifest.parts) == ("fine", {"config": {"lr": 1}})
    assert manifest.payload.name == "train-abababababab.joblib"


def test_another_key_with_the_same_beginning_is_not_taken_for_it(store: Store) -> None:
    """File names show 12 digits; the manifest decides by all 64."""
    save(store)
    assert store.find("train", KEY[:-1] + "c") is None


def test_a_manifest_of_another_schema_is_not_believed(store: Store) -> None:
    """FAULT 19: an artifact of another version of the store is set aside and rebuilt."""
    save(store)
    file = store.folder / "train-abababababab.json"
    fields = json.loads(file.read_text()) | {"schema": 99}
    file.write_text(json.dumps(fields))
    assert read_manifest(file) is None
    assert store.find("train", KEY) is None
    assert not file.exists()


def test_a_payload_changed_after_the_check_is_not_unpickled(store: Store) -> None:
    """The bytes are hashed again right before they are loaded."""
    save(store)
    manifest = store.find("train", KEY)
    assert manifest is not None
    manifest.payload.write_bytes(b"other")
    with pytest.raises(ArtifactError, match="changed after it was checked"):
        store.load(manifest)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """FAULT 6: said before anything is computed, when the lock is taken."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="make the folder writable"), Store(tmp_path / "file" / "x").lock("s", KEY):
        raise AssertionError("the body must not run")


def test_removing_leaves_nothing_that_counts(store: Store) -> None:
    """Manifest first, then payload."""
    save(store)
    manifest = store.find("train", KEY)
    assert manifest is not None
    store.remove(manifest)
    assert store.find("train", KEY) is None
    assert store.manifests() == []


def test_orphans_are_swept_once_they_are_old(store: Store) -> None:
    """FAULT 3: temporary files and payloads of killed processes; young ones may belong to a living process."""
    save(store)
    (store.folder / ".train-x.abc.tmp").write_bytes(b"half")
    (store.folder / "train-dead.joblib").write_bytes(b"no manifest")
    assert store.sweep_orphans() == 0
    assert store.sweep_orphans(older_than_seconds=-1) == 2
    assert store.find("train", KEY) is not None
