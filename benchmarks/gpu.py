"""Hundreds of networks on one GPU: as one program beside plain PyTorch loops, unlike beside like ones, and scaling.

python -m benchmarks.gpu [MINUTES]

Everything is generated: rows as many and as wide as house prices' (1460 x 331) unless said otherwise. A job is one
network 331-256-256-1 in batches of 256 on the training rows of one of five folds. Seconds are of whole calls of `fit`,
which draws the weights and hands them back: medians of three after one that warms up. A loop trains one network after
another; it is timed over some steps of some jobs, and scaled to all steps of all jobs. Without a GPU everything runs to
the end in small, and nothing is recorded.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.generated import (
    BATCH,
    FOLDS,
    NETWORK,
    PLAIN,
    PRODUCTS,
    fold_jobs,
    generated_data,
    operations_a_row,
    plain_loop,
    unlike,
)
from benchmarks.record import record
from pipeline.engine.data import Data
from pipeline.engine.fit import Watch, fit
from pipeline.engine.gradients import GradientRule
from pipeline.engine.optimizers import PackedOptimizer
from pipeline.engine.sources import Streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.engine.packing import Assignment

MINUTES = 7.0  # after which no further case begins
ROWS = 1460
HEADER = ("case", "precision", "models", "rows", "seconds", "model epochs/s", "TFLOP/s", "peak GiB", "ratio", "note")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is. epochs: of candidates; steps: at least so many of a scaling case."""

    candidates: int = 200
    epochs: int = 20
    models: tuple[int, ...] = (1, 5, 50, 500, 2000)
    rows: tuple[int, ...] = (1_000, 10_000, 100_000)
    steps: int = 40
    loop_jobs: int = 4
    loop_steps: int = 100
    optimizer_steps: int = 20
    runs: int = 3
    wide_rows: int = 1_000_000  # x 100: resident beside streamed


SMALL = Sizes(2, 1, (1, 3), (300,), 2, 1, 3, 2, 1, 5_000)


@dataclass(frozen=True, slots=True)
class Case:
    """A line of the table. beside: seconds to compare with, 0 for none."""

    name: str
    precision: str
    note: str = ""
    beside: float = 0.0


@dataclass(slots=True)
class Bench:
    """Where it runs, until when, and the table of the section under way."""

    device: torch.device
    sizes: Sizes
    deadline: float
    rows: list[dict[str, object]] = field(default_factory=list)

    @property
    def is_late(self) -> bool:
        """Whether no further case should begin."""
        return time.perf_counter() > self.deadline

    def note(self, case: Case, seconds: float, **values: object) -> None:
        """Add a line, and show it."""
        ratio = round(case.beside / seconds, 3) if case.beside else ""
        known = {"case": case.name, "precision": case.precision, "seconds": f"{seconds:.4g}", "ratio": ratio}
        row: dict[str, object] = dict.fromkeys(HEADER, "") | known | {"note": case.note} | values
        self.rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)

    def seconds(self, work: Callable[[], object]) -> float:
        """Median of some runs after one that warms up; of fewer where the time is up."""
        work()
        found: list[float] = []
        while len(found) < self.sizes.runs and not (found and self.is_late):
            self._wait()
            started = time.perf_counter()
            work()
            self._wait()
            found.append(time.perf_counter() - started)
        return statistics.median(found)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Every section in turn; what is done is recorded at once."""
    is_gpu = torch.cuda.is_available()
    deadline = time.perf_counter() + 60 * (float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES)
    bench = Bench(torch.device("cuda" if is_gpu else "cpu"), Sizes() if is_gpu else SMALL, deadline)
    name = torch.cuda.get_device_name() if is_gpu else "no CUDA device: small sizes, nothing is recorded"
    print(f"{name}, torch {torch.__version__}")
    for section in (optimizers, candidates, scaling, streaming):
        bench.rows = []
        section(bench)
        if is_gpu and bench.rows:
            with contextlib.redirect_stdout(io.StringIO()):  # they are on the screen already
                record("gpu", [{"device": name, **row} for row in bench.rows])


# --- sections


def optimizers(bench: Bench) -> None:
    """AdamW alone over all candidates' weights: written out, then our kernel. Seven passes of 4 bytes a weight."""
    models, repeats = bench.sizes.candidates * FOLDS, bench.sizes.optimizer_steps
    written = 0.0
    for kernel in (False, None):
        tensors = [torch.zeros(models, *shape, device=bench.device) for shape in NETWORK.trained.values()]
        gradients = [torch.ones_like(tensor) for tensor in tensors]
        optimizer = PackedOptimizer(tensors, [PLAIN] * models, np.ones((models, 1000)), fused=False, kernel=kernel)
        if kernel is None and optimizer.path != "kernel":
            print("no kernel of our own can be used here")
            return
        seconds = bench.seconds(partial(_repeat, repeats, partial(optimizer.step, gradients))) / repeats
        rate = 7 * 4 * models * NETWORK.parameters / seconds / 1e9
        case = Case(f"a step of AdamW, {optimizer.path}", "fp32", f"{rate:.0f} GB/s", written)
        bench.note(case, seconds, models=models)
        written = seconds


def candidates(bench: Bench) -> None:
    """All candidates x folds as one program and in loops; then with dropout and clipping, like values and unlike."""
    sizes = bench.sizes
    for precision in PRODUCTS:
        data = generated_data(ROWS, bench.device, precision)
        jobs = fold_jobs(ROWS, sizes.epochs) * sizes.candidates
        packed = trained(bench, Case("plain candidates", precision), jobs, data)
        for fused in (False, True):
            seconds = loop_seconds(bench, data, fused=fused) * sum(job.steps for job in jobs)
            name = f"one after another, {'fused' if fused else 'default'} AdamW"
            note = f"scaled from {sizes.loop_jobs} jobs x {sizes.loop_steps} steps; the program is so many times faster"
            bench.note(Case(name, precision, note), seconds, models=len(jobs), ratio=round(seconds / packed, 1))
        like = [replace(job, dropout=0.1, gradient=GradientRule(clip_norm=1.0)) for job in jobs]
        alike = trained(bench, Case("like candidates", precision, "dropout and clipping"), like, data)
        what = "lr, decay, betas, dropout, clip, schedule of their own; throughput as a share of like ones'"
        trained(bench, Case("unlike candidates", precision, what, alike), unlike(like), data)


def scaling(bench: Bench) -> None:
    """How many networks at a time, and on how many rows."""
    for precision in PRODUCTS:
        for rows in bench.sizes.rows:
            data = generated_data(rows, bench.device, precision)
            epochs = max(1, -(-bench.sizes.steps // -(-rows // BATCH)))
            job = replace(fold_jobs(rows, epochs)[0], train_rows=np.arange(rows))
            for models in bench.sizes.models:
                if bench.is_late:
                    print(f"time is up: {models} networks on {rows} rows in {precision} and what follows are left out")
                    return
                jobs = [replace(job, key=key) for key in range(models)]
                trained(bench, Case("scaling", precision), jobs, data)


def streaming(bench: Bench) -> None:
    """Five networks on a long table that lies on the device, and on the same one streamed to it from the host."""
    rows, columns = bench.sizes.wide_rows, 100
    job = replace(fold_jobs(rows, 1)[0], train_rows=np.arange(rows), batch_size=1024)
    jobs = [replace(job, key=key, network=replace(NETWORK, inputs=columns)) for key in range(5)]
    resident = 0.0
    for side, data in _sides(rows, columns, bench.device):
        if bench.is_late:
            return
        what = "throughput as a share of the resident one's" if resident else ""
        found = trained(bench, Case(f"{rows} x {columns}, {side}", "fp32", what, resident), jobs, data)
        resident = resident or found


def _sides(rows: int, columns: int, device: torch.device) -> Iterator[tuple[str, Data]]:
    data = generated_data(rows, device, "fp32", columns)
    host, target = data.source.matrix.cpu(), data.target
    yield "resident", data
    del data  # else the peak of the streamed side would hold the resident rows
    yield "streamed", Data(Streamed(host, device), target)


# --- measured


def loop_seconds(bench: Bench, data: Data, *, fused: bool) -> float:
    """Seconds a step of a plain loop, median over some jobs."""
    sizes = bench.sizes
    jobs = (fold_jobs(ROWS, 1) * sizes.loop_jobs)[: sizes.loop_jobs]
    found = [bench.seconds(plain_loop(job, data, sizes.loop_steps, fused=fused)) for job in jobs]
    return statistics.median(found) / sizes.loop_steps


def trained(bench: Bench, case: Case, jobs: Sequence[Assignment], data: Data) -> float:
    """Train the jobs as one program, and note how that went; seconds."""
    halved: list[int] = []
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = bench.seconds(lambda: fit(jobs, data, watch=Watch(on_halved=halved.append)))
    epochs = sum(job.epochs for job in jobs)
    operations = operations_a_row(jobs[0]) * sum(len(job.train_rows) * job.epochs for job in jobs)
    values: dict[str, object] = {
        "models": len(jobs),
        "rows": len(jobs[0].train_rows),
        "model epochs/s": round(epochs / seconds, 1),
        "TFLOP/s": round(operations / seconds / 1e12, 3),
    }
    if bench.device.type == "cuda":
        values["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if halved:
        values["note"] = f"{case.note} out of memory, {min(halved)} at a time".strip()
    bench.note(case, seconds, **values)
    return seconds


def _repeat(times: int, work: Callable[[], object]) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    main()
