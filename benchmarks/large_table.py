"""One million rows x 50 columns: reading, ingest and preprocess, beside pandas' read_csv and get_dummies.

python -m benchmarks.large_table [ROWS]

Each side runs in a process of its own, five times, in turn; medians. "work" is the calls alone: ours reads, types,
checks, splits into five folds and learns each fold's statistics, pandas' reads and makes dummies of texts. "command" is
`python -m pipeline preprocess`, which also imports, hashes the files, and writes and verifies both artifacts, beside a
script that imports pandas and does the same work as before.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from benchmarks.house_prices import ROOT
from benchmarks.record import record
from pipeline.config import load_config

RUNS = 5
ROWS = 1_000_000
NUMBERS, COUNTS, TEXTS, LEVELS = 24, 15, 9, 100  # with id and target: 50 columns
CONFIG = 'metric = "rmse"\n[schema]\nid = "id"\ntarget = "y"\n'


def main() -> None:
    """Both sides in turn; the ratio is pandas' seconds over ours."""
    if len(sys.argv) > 2:
        _one_side(sys.argv[1], Path(sys.argv[2]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    sides: dict[str, list[tuple[float, float, float]]] = {"foldpack": [], "pandas": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = write_table(root, rows)
        for _ in range(RUNS):
            for side, found in sides.items():
                found.append(_measured(side, root))
    medians = {
        side: [statistics.median(column) for column in zip(*found, strict=True)] for side, found in sides.items()
    }
    record(
        "large_table",
        [
            {
                "what": f"{rows} rows x 50 columns, {size / 1e6:.0f} MB: {what}",
                "foldpack": round(medians["foldpack"][i], 2),
                "pandas": round(medians["pandas"][i], 2),
                "ratio": round(medians["pandas"][i] / medians["foldpack"][i], 2),
            }
            for i, what in enumerate(("work, seconds", "command, seconds", "command, peak GiB"))
        ],
    )


def write_table(root: Path, rows: int) -> int:
    """Write competitions/large.toml, train.csv and a small test.csv; bytes of train.csv."""
    draw = np.random.default_rng(0)
    columns: dict[str, object] = {"id": np.arange(rows)}
    for i in range(NUMBERS):
        values = draw.normal(size=rows)
        values[draw.random(rows) < 0.05] = np.nan
        columns[f"number{i}"] = pa.array(values, from_pandas=True)
    columns |= {f"count{i}": draw.integers(0, 10_000, rows) for i in range(COUNTS)}
    levels = np.array([f"level {i}" for i in range(LEVELS)])
    columns |= {f"text{i}": levels[draw.integers(0, LEVELS, rows)] for i in range(TEXTS)}
    table = pa.table(columns)
    raw = root / "data" / "raw" / "large"
    raw.mkdir(parents=True)
    arrow_csv.write_csv(table.append_column("y", pa.array(draw.normal(size=rows))), raw / "train.csv")
    arrow_csv.write_csv(table.slice(0, 1000), raw / "test.csv")
    (root / "competitions").mkdir()
    (root / "competitions" / "large.toml").write_text(CONFIG)
    return (raw / "train.csv").stat().st_size


def _measured(side: str, root: Path) -> tuple[float, float, float]:
    """Seconds of the work alone, and seconds and peak GiB of the command, each in a fresh process."""
    work = float(_run(f"{side} work", root)[-1])
    for artifacts in root.glob("data/processed/large/*"):
        artifacts.unlink()
    started = time.perf_counter()
    peak = float(_run(f"{side} command", root)[-1])
    return work, time.perf_counter() - started, peak


def _run(what: str, root: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.large_table", what, str(root)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return done.stdout.split()


def _one_side(what: str, root: Path) -> None:
    side, part = what.split()
    os.chdir(root)
    if part == "command" and side == "foldpack":
        from pipeline.__main__ import run  # noqa: PLC0415 - in the process that is measured

        assert run(["preprocess", "large"]) == 0
    work = _foldpack if side == "foldpack" else _pandas
    if part == "work":
        print(work())
        return
    if side == "pandas":
        work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _pandas() -> float:
    started = time.perf_counter()
    frame = pd.read_csv("data/raw/large/train.csv")
    pd.get_dummies(frame.drop(columns=["id", "y"]), dummy_na=True)
    return time.perf_counter() - started


def _foldpack() -> float:
    from pipeline.reading.folder import find_files, read_tables  # noqa: PLC0415 - in the process that is measured
    from pipeline.stages.ingest import ingest  # noqa: PLC0415
    from pipeline.stages.preprocess import preprocess  # noqa: PLC0415
    from pipeline.tabular.schema import numbers_allowed  # noqa: PLC0415

    config = load_config(CONFIG, file="large.toml").config
    started = time.perf_counter()
    files = find_files(Path("data/raw/large"), config.files)
    raw = read_tables(files, config.files, numbers_allowed(config.roles, []))
    dataset = ingest(raw, roles=config.roles, metric=config.metric)
    del raw
    preprocess(dataset, preprocess=config.preprocess, target=config.target, folds=config.folds, metric=config.metric)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
