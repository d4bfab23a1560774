"""The artifact store: a payload is used only if its manifest vouches for it, and can say why it is stale.

A payload is written to a temporary file, flushed to disk and renamed; its manifest (JSON) comes last, so that a
process killed in between leaves nothing that counts. Loading a pickle runs code, so a payload without a manifest
whose key and sha256 agree is never opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from pipeline.errors import ArtifactError
from pipeline.files import file_sha256, write_atomically
from pipeline.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 1
KEY_SHOWN = 12  # hexadecimal digits of a key in file names and messages
SET_ASIDE = "damaged"
REBUILT = "it will be rebuilt"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the store knows of one artifact. parts: everything the key was made of, in words."""

    stage: str
    key: str
    payload: Path
    size: int
    sha256: str
    seconds: float
    created: str
    parts: Mapping[str, object]
    note: str

    @property
    def file(self) -> Path:
        """The manifest's own file."""
        return self.payload.with_suffix(".json")


class Store:
    """One folder of artifacts of one competition. Every method is safe beside other processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, stage: str, key: str, *, remedy: str = REBUILT) -> Manifest | None:
        """The verified artifact of that key, or None. A damaged one is set aside with a line that says why.

        remedy: what then becomes of it, for that line.
        """
        manifest_file = self._payload(stage, key).with_suffix(".json")
        if not manifest_file.exists():
            return None
        manifest = read_manifest(manifest_file)
        fault = "its manifest is not readable" if manifest is None else _fault_of(manifest, stage, key)
        if fault or manifest is None:
            self.set_aside(stage, key, fault, remedy)
            return None
        return manifest

    def set_aside(self, stage: str, key: str, fault: str, remedy: str = REBUILT) -> None:
        """Take a damaged artifact out of the way, and say so. key: its beginning, as file names show it, is enough."""
        payload = self._payload(stage, key)
        aside = self.folder / SET_ASIDE
        aside.mkdir(exist_ok=True)
        for file in (payload.with_suffix(".json"), payload):
            if file.exists():
                file.replace(aside / f"{time.time_ns()}-{file.name}")
        say(f"{stage:<11} damaged   {payload}: {fault}; set aside in {aside}, {remedy}")

    def load(self, manifest: Manifest) -> object:
        """Unpickle a payload that `find` or `save` returned; its bytes are checked once more."""
        import joblib

        if file_sha256(manifest.payload) != manifest.sha256:
            raise ArtifactError(f"{manifest.payload} changed after it was checked; run the command again")
        return joblib.load(manifest.payload)

    def save(
        self, stage: str, key: str, value: object, *, seconds: float, parts: Mapping[str, object], note: str = ""
    ) -> Manifest:
        """Write payload, then manifest. Raises ArtifactError when the disk refuses; an older artifact stays intact."""
        import joblib

        payload = self._payload(stage, key)
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=f".{payload.stem}.", suffix=".tmp")
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as stream:
                joblib.dump(value, stream)
                stream.flush()
                os.fsync(stream.fileno())
            manifest = Manifest(
                stage=stage,
                key=key,
                payload=payload,
                size=temporary.stat().st_size,
                sha256=file_sha256(temporary),
                seconds=seconds,
                created=datetime.now(UTC).isoformat(timespec="microseconds"),
                parts=parts,
                note=note,
            )
            temporary.chmod(0o644)
            temporary.replace(payload)
            write_atomically(manifest.file, _to_json(manifest))
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise ArtifactError(
                f"cannot write {payload}: {error.strerror or error}; free some space or make the folder writable, and "
                f"run the command again: nothing finished is lost"
            ) from error
        return manifest

    def newest(self, stage: str) -> Manifest | None:
        """The last artifact that was made for a stage, whatever its key: what `explain` compares with."""
        found = [m for m in self.manifests() if m.stage == stage]
        return max(found, key=lambda m: m.created, default=None)

    def files(self, stage: str = "*") -> list[Path]:
        """Files that may be manifests, of one stage or of all."""
        return sorted(self.folder.glob(f"{stage}-*.json")) if self.folder.is_dir() else []

    def manifests(self, stage: str = "*") -> list[Manifest]:
        """Every readable manifest of this folder, of one stage or of all."""
        files = self.files(stage)
        return [manifest for file in files if (manifest := read_manifest(file)) is not None]

    @contextlib.contextmanager
    def lock(self, stage: str, key: str, *, on_wait: str = "") -> Iterator[None]:
        """Hold the key's lock, which the kernel releases when a process dies; says so when it has to wait."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / f".{stage}-{key[:KEY_SHOWN]}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                if on_wait:
                    say(on_wait)
                lock.acquire()
        except OSError as error:
            raise ArtifactError(
                f"cannot write to {self.folder}: {error.strerror or error}; make the folder writable"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def remove(self, manifest: Manifest) -> None:
        """Delete an artifact: manifest first, so that a kill in between leaves nothing that counts."""
        manifest.file.unlink(missing_ok=True)
        manifest.payload.unlink(missing_ok=True)

    def sweep_orphans(self, *, older_than_seconds: float = 3600) -> int:
        """Delete temporary files and payloads that a killed process left without a manifest; their number."""
        removed = 0
        for file in [*self.folder.glob(".*.tmp"), *self.folder.glob("*.joblib")]:
            orphan = file.suffix == ".tmp" or not file.with_suffix(".json").exists()
            if orphan and time.time() - file.stat().st_mtime > older_than_seconds:
                file.unlink(missing_ok=True)
                removed += 1
        return removed

    def _payload(self, stage: str, key: str) -> Path:
        return self.folder / f"{stage}-{key[:KEY_SHOWN]}.joblib"


def read_manifest(file: Path) -> Manifest | None:
    """The manifest in a file, or None if it is not one that this version wrote."""
    try:
        fields = json.loads(file.read_text())
        if fields.pop("schema") != SCHEMA:
            return None
        return Manifest(payload=file.with_suffix(".joblib"), **fields)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return None


def _to_json(manifest: Manifest) -> bytes:
    fields = {
        "schema": SCHEMA,
        "stage": manifest.stage,
        "key": manifest.key,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "seconds": round(manifest.seconds, 3),
        "created": manifest.created,
        "note": manifest.note,
        "parts": manifest.parts,
    }
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()


def _fault_of(manifest: Manifest, stage: str, key: str) -> str:
    if manifest.stage != stage or manifest.key != key:
        return "its manifest belongs to another artifact"
    if not manifest.payload.exists():
        return "its payload is gone"
    size = manifest.payload.stat().st_size
    if size != manifest.size:
        return f"its payload has {size} bytes, the manifest says {manifest.size}"
    if file_sha256(manifest.payload) != manifest.sha256:
        return "its payload's sha256 is not the manifest's"
    return ""
