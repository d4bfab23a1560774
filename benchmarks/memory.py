"""What the planner foresees of a pack's memory, beside what a training took. Exact, and as the system sees it.

python -m benchmarks.memory

foreseen, counted: bytes at the fullest moment, predicted by `engine.memory` and summed up over every tensor that lived
in a real training (on a CUDA device by its allocator). grown: by how much the process grew at the most, for cases large
enough to be seen beside its other memory; a process of its own each. CUDA rows are absent without a device.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import record
from pipeline.engine.data import Data
from pipeline.engine.fit import Watch, fit
from pipeline.engine.gradients import GradientRule
from pipeline.engine.live import LiveBytes
from pipeline.engine.memory import Circumstances, peak
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Assignment, padded_network
from pipeline.engine.rehearsal import Precision
from pipeline.engine.schedules import Schedule
from pipeline.engine.sources import Resident
from pipeline.fits import Network

FP32, BF16 = Precision(torch.float32), Precision(torch.float32, torch.bfloat16)
ROWS, FEATURES, TRAINING = 1460, 331, 1168
SEEN_FROM = 100 << 20  # bytes of a pack that stands out in a process
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
POINTS = 2  # of the train curve
# freed memory goes back to the system at once, so that what a process holds is what lives
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "2"}
PLAIN = Assignment(
    key=1,
    network=Network(FEATURES, (128, 128), "relu", "pytorch", 0.01),
    train_rows=np.arange(TRAINING),
    valid_rows=np.arange(TRAINING, ROWS),
    rule=Rule(decoupled=True, weight_decay=0.03),
    lr=1e-3,
    schedule=Schedule("constant"),
    loss="mse",
    dropout=0.2,
    epochs=1,
    batch_size=64,
    patience=0,
    restore_best=True,
)


@dataclass(frozen=True, slots=True)
class Case:
    """Jobs of one pack, how many of them side by side, and whether they are scored."""

    jobs: tuple[Assignment, ...]
    slots: int
    precision: Precision = FP32
    is_judged: bool = True


def cases() -> dict[str, Case]:
    """Every kind of program at several sizes."""
    found = {}
    for hidden, batch, M, precision in product(
        ((), (128, 128), (256, 256), (512, 512, 512)), (64, 256), (1, 5, 64), (FP32, BF16)
    ):
        widths = "-".join(map(str, hidden)) or "linear"
        name = f"{widths}, batch {batch}, {M}, {'fp32' if precision is FP32 else 'bf16'}"
        if name.startswith("512-512-512, batch 64, 64"):
            continue  # minutes, and nothing new
        found[name] = _like(M, precision, network=replace(PLAIN.network, hidden=hidden), batch_size=batch)
    for norm, dropout, precision in product(("batch", "layer"), (0.0, 0.2), (FP32, BF16)):
        network = replace(PLAIN.network, norm=norm, hidden=(128,) * 3)
        name = f"{norm} norm, dropout {dropout:g}, {'fp32' if precision is FP32 else 'bf16'}"
        found[name] = _like(8, precision, network=network, dropout=dropout, batch_size=256)
    rules = [Rule(kind) for kind in ("sgd", "adagrad", "rmsprop", "adam")]
    rules += [Rule("sgd", momentum=0.9, nesterov=True), Rule("rmsprop", momentum=0.9, weight_decay=0.1)]
    rules += [Rule("adam_then_sgd", momentum=0.9, switch_step=5)]
    for rule in rules:
        found[f"{rule.kind}, momentum {rule.momentum:g}"] = _like(8, rule=rule, is_judged=False)
    for activation in ("gelu", "leaky_relu", "elu", "silu", "mish", "tanh", "sigmoid"):
        network = replace(PLAIN.network, activation=activation)
        found[activation] = _like(8, network=network, batch_size=512, is_judged=False)
    found["l1, both clips"] = _like(8, gradient=GradientRule(0.1, 1.0, 1.0), is_judged=False)
    found["data-driven"] = _like(8, network=replace(PLAIN.network, init="data_driven"), is_judged=False)
    found["shortcuts"] = _like(8, network=replace(PLAIN.network, hidden=(128,) * 4, skips=("", "", "same", "same")))
    for norm in ("none", "batch", "layer"):
        own = [replace(PLAIN.network, norm=norm, hidden=(128 - 8 * (i % 3), 112 + 8 * (i % 3))) for i in range(9)]
        found[f"unequal widths, {norm}"] = Case(tuple(replace(PLAIN, network=network) for network in own), 9)
    uneven = tuple(replace(PLAIN, train_rows=np.arange(TRAINING - 40 * i)) for i in range(5))
    found["unequal rows"] = Case(uneven, 5)
    leaving = tuple(replace(PLAIN, epochs=1 + i % 3) for i in range(10))
    found["leaving apart"] = Case(leaving, 10, is_judged=False)
    found["leaving apart, refilled"] = Case(leaving, 4)
    return found


def _like(count: int, precision: Precision = FP32, *, is_judged: bool = True, **changes: object) -> Case:
    return Case((replace(PLAIN, **changes),) * count, count, precision, is_judged)  # type: ignore[arg-type]


def main() -> None:
    """Every case on every device, one row each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--grown", help="print by how many bytes this process grows in that case, and nothing else")
    wanted = parser.parse_args().grown
    if wanted:
        print(_grown(cases()[wanted]))
        return
    torch.set_num_threads(2)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = [_row(name, case, torch.device(device)) for device in devices for name, case in cases().items()]
    record("memory", rows)
    for device in devices:
        errors = [abs(float(str(row["error %"]))) for row in rows if row["device"] == device]
        print(f"{device}: {len(errors)} cases, largest error {max(errors):.1f} %")


def _row(name: str, case: Case, device: torch.device) -> dict[str, object]:
    started = time.perf_counter()
    foreseen = _foreseen(case, on_gpu=device.type == "cuda")
    seconds = time.perf_counter() - started
    counted = _counted(case, device)
    grown: object = ""
    if device.type == "cpu" and foreseen >= SEEN_FROM and CLEAR.exists():
        child = [sys.executable, "-m", "benchmarks.memory", "--grown", name]
        grown = int(subprocess.run(child, env={**os.environ, **FRUGAL}, capture_output=True, check=True).stdout)
    return {
        "device": device.type,
        "case": name,
        "side by side": case.slots,
        "foreseen MB": round(foreseen / 1e6, 2),
        "counted MB": round(counted / 1e6, 2),
        "error %": round(100 * (foreseen / counted - 1), 1),
        "grown MB": round(grown / 1e6, 1) if isinstance(grown, int) else "",
        "of grown %": round(100 * (foreseen / grown - 1), 1) if isinstance(grown, int) else "",
        "foreseen in ms": round(1e3 * seconds),
    }


def _foreseen(case: Case, *, on_gpu: bool) -> int:
    at = Circumstances(case.precision, on_gpu=on_gpu, is_judged=case.is_judged, train_curve_points=POINTS)
    network = padded_network([job.network for job in case.jobs])
    return peak(case.jobs, network, case.slots, at).total


def _counted(case: Case, device: torch.device) -> int:
    """Bytes at the peak of a real training."""
    work = _training(case, device)
    if device.type == "cuda":
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with LiveBytes() as live:
        work()
    return live.peak


def _grown(case: Case) -> int:
    """By how many bytes the process grew; a small training first, so that libraries are loaded and threads started."""
    _training(replace(case, jobs=case.jobs[:1], slots=1), torch.device("cpu"))()
    work = _training(case, torch.device("cpu"))
    gc.collect()
    CLEAR.write_text("5")  # the largest size starts anew
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _training(case: Case, device: torch.device):  # noqa: ANN202 - a call without arguments
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(ROWS, FEATURES, generator=generator).to(device, case.precision.rows)
    data = Data(Resident(matrix), torch.randn(ROWS, generator=generator).to(device), case.precision.product)
    judge = (lambda _job, _rows, outputs: float(np.square(outputs).mean())) if case.is_judged else None
    return lambda: fit(case.jobs, data, watch=Watch(judge, POINTS), slots=case.slots)


if __name__ == "__main__":
    main()
