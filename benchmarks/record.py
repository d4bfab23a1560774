"""Where a figure was measured, and the CSV it goes to."""

from __future__ import annotations

import csv
import datetime as dt
import platform
from pathlib import Path

import torch

from pipeline.devices import available_cores

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor, cores and PyTorch, in a few words."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
    return f"{model or platform.processor()}, {available_cores()} cores, torch {torch.__version__}"


def record(benchmark: str, rows: list[dict[str, object]]) -> Path:
    """Append rows to results/BENCHMARK.csv with date and machine, and print them."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{benchmark}.csv"
    stamped = [{"date": dt.datetime.now(dt.UTC).date(), "machine": machine(), **row} for row in rows]
    new = not file.exists()
    with file.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(stamped[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(stamped)
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return file
