"""Wall time of the main job without installing: first run, second run, --help. Median of 3.

python -m benchmarks.main_job        (fetches the sample once, or takes --data DIR with house-prices/)
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.house_prices import ROOT, data_folder
from benchmarks.record import record

RUNS = 3
COMMANDS = ("preprocess", "train", "submit")  # what `make features train submit` calls


def main() -> None:
    """Run the job in a fresh folder each time, then again in the same one."""
    source = data_folder()
    if not source.is_dir():
        subprocess.run([sys.executable, "-m", "pipeline", "sample", "house-prices"], cwd=ROOT, check=True)
    first, second, helped = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            shutil.copytree(ROOT / "competitions", root / "competitions")
            shutil.copytree(source, root / "data" / "raw" / "house-prices")
            first.append(_seconds(root, *COMMANDS))
            second.append(_seconds(root, *COMMANDS))
            helped.append(_seconds(root, "--help"))
    rows: list[dict[str, object]] = [
        {"what": what, "seconds": round(statistics.median(seconds), 2), "wanted": wanted}
        for what, seconds, wanted in (
            ("features train submit, first run", first, "<= 60"),
            ("features train submit, second run", second, "<= 5"),
            ("--help", helped, "<= 0.3"),
        )
    ]
    record("main_job", rows)


def _seconds(root: Path, *commands: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "pipeline", command],
            cwd=root,
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment,
        )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
