"""One pass over a large table whose rows lie in memory, and over the same rows streamed under a cap of 2 GB.

python -m benchmarks.large_training [ROWS [NETWORKS]]

ROWS x 100 float32, generated; a 256-256 network in batches of 1024; one network, and five side by side, each with its
own row order. On a GPU rows stream from the host's memory, on a CPU from a file: "streamed" has just been written, so
that the system still holds what it has room for; "cold" is a file of the user's that is not in memory when the pass
begins; "pressed" is thrown out of memory again after every 500 steps, as if other programs needed that memory.

Each side is a process of its own. They take turns of 50 steps, so that a busy machine slows all of them alike; ratios
are medians over turns of a side's seconds over the resident side's, by the clock and of the processor. Peak memory:
all of it, and the most at the end of a turn without the pages of files, which the system takes back when it needs them.
The loop is this file's own, over the engine's forward pass and optimizer.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.house_prices import ROOT
from benchmarks.record import record
from pipeline.devices import available_cores, cuda_devices
from pipeline.engine.draws import job_key, permutations, stream
from pipeline.engine.init import initial_tensors
from pipeline.engine.mapped import empty_rows
from pipeline.engine.networks import forward
from pipeline.engine.optimizers import PackedOptimizer, Rule
from pipeline.engine.rows import ROW_ORDER
from pipeline.engine.sources import Streamed, choose_source
from pipeline.fits import Network
from pipeline.runtime import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.engine.sources import Source

ROWS, COLUMNS, BATCH = 10_000_000, 100, 1024
CAP = 2_000_000_000
NETWORK = Network(inputs=COLUMNS, hidden=(256, 256), activation="relu", init="pytorch", init_scale=0.01)
STEPS_A_TURN, TURNS_IN_MEMORY = 50, 10
SIDES = {
    ("cpu", 1): ("resident", "streamed", "cold", "pressed"),
    ("cpu", 5): ("resident", "streamed"),
    ("cuda", 1): ("resident", "streamed"),
    ("cuda", 5): ("resident", "streamed"),
}


def main() -> None:
    """Every case; a side's process is told what it is by its arguments."""
    if len(sys.argv) > 3:
        _one_side(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    networks = {int(sys.argv[2])} if len(sys.argv) > 2 else {1, 5}
    for (device, models), sides in SIDES.items():
        if models in networks and (device == "cpu" or cuda_devices()):
            record("large_training", _case(device, models, rows, sides))


# --- all sides of a case, in turn


def _case(device: str, models: int, rows: int, sides: tuple[str, ...]) -> list[dict[str, object]]:
    processes = {side: _start(device, side, models, rows) for side in sides}
    turns: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rows // BATCH // STEPS_A_TURN):
        for side, process in processes.items():
            turns[side].append(json.loads(_answer(process)))
    found = []
    for side, process in processes.items():
        memory = json.loads(_answer(process))
        process.communicate()
        paired = [(own, base) for own, base in zip(turns[side], turns["resident"], strict=True)]
        wall, processor = (statistics.median(own[i] / base[i] for own, base in paired) for i in (0, 1))
        seconds = [own[0] for own in turns[side]]
        row = {"rows": rows, "device": device, "networks": models, "side": side}
        row["rows a second"] = round(models * BATCH * STEPS_A_TURN / statistics.median(seconds))
        row |= {"pass seconds": round(sum(seconds), 1), "times resident": round(wall, 3)}
        found.append(row | {"processor times resident": round(processor, 3)} | memory)
    return found


def _start(device: str, side: str, models: int, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.large_training", device, side, str(models), str(rows)]
    environment = {"GOMP_SPINCOUNT": "3000", **os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    assert _answer(process) == "ready\n"
    return process


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return process.stdout.readline()


# --- one side, in its process


def _one_side(device_name: str, side: str, models: int, rows: int) -> None:
    device = torch.device(device_name)
    torch.set_num_threads(available_cores())
    with tempfile.TemporaryDirectory() as folder:
        cap = min(CAP, rows * COLUMNS * 2)  # a small trial run streams too
        room = Room(cap, cap if device_name == "cpu" else sys.maxsize, folder) if side != "resident" else Room()
        forget: Callable[[], None] = _nothing
        if side in {"cold", "pressed"}:
            source, target, forget = _cold(rows, Path(folder), device)
        else:
            matrix = empty_rows((rows, COLUMNS), torch.float32, device, room)
            target = _fill(matrix).to(device)
            source = choose_source(matrix, device, room.device)
        turns = _turns(source, target, models)
        next(turns)  # the row order is drawn
        forget()
        _tell(lambda: "ready")
        peak = 0
        for turn in range(rows // BATCH // STEPS_A_TURN):
            _tell(lambda: json.dumps(next(turns)))
            peak = max(peak, _memory_without_files())
            if side == "pressed" and (turn + 1) % TURNS_IN_MEMORY == 0:
                forget()
        on_device = torch.cuda.max_memory_allocated(device) if device_name == "cuda" else 0
        memory = {
            "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "without files GiB": peak / 2**30,
            "on the GPU GiB": on_device / 2**30,
        }
        _tell(lambda: json.dumps({what: round(size, 2) for what, size in memory.items()}))


def _tell(answer: Callable[[], str]) -> None:
    """Wait for this side's turn, then work and answer."""
    sys.stdin.readline()
    print(answer(), flush=True)


def _nothing() -> None:
    """No page is given back."""


def _fill(matrix: torch.Tensor) -> torch.Tensor:
    """Normal rows, and a target that bends along two columns, on the host."""
    target = torch.empty(len(matrix))
    for number, low in enumerate(range(0, len(matrix), 100_000)):
        part = torch.randn(min(100_000, len(matrix) - low), COLUMNS, generator=torch.Generator().manual_seed(number))
        matrix[low : low + len(part)] = part
        target[low : low + len(part)] = part[:, 0] ** 2 - part[:, 1] + part[:, 2] * part[:, 3]
    return target


def _cold(rows: int, folder: Path, device: torch.device) -> tuple[Source, torch.Tensor, Callable[[], None]]:
    """A file that may only be read, its targets, and what throws the file out of memory."""
    file = folder / "rows"
    written = np.memmap(file, np.float32, "w+", shape=(rows, COLUMNS))
    target = _fill(torch.from_numpy(written))
    written.flush()
    del written
    handle = os.open(file, os.O_RDONLY)
    mapping = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    table = np.frombuffer(mapping, np.float32).reshape(rows, COLUMNS)

    def forget() -> None:
        mapping.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    return Streamed(table, device), target, forget


def _turns(source: Source, target: torch.Tensor, models: int) -> Iterator[tuple[float, float]]:
    """Seconds of each turn, by the clock and of the processor; the first one, before any step, once all is ready."""
    device, on_cpu = source.device, source.device.type == "cpu"
    keys = torch.tensor([job_key(seed, 0) for seed in range(models)])
    length = torch.tensor([source.rows])
    order = torch.cat([permutations(stream(key[None], ROW_ORDER, 0), length, source.rows) for key in keys])
    order = order.to(source.matrix.device)  # with rows on the host the index is best there too
    tensors = [tensor.requires_grad_() for tensor in initial_tensors(NETWORK, keys.to(device), torch.float32)]
    rule = Rule(decoupled=True, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8)
    rates = np.full((models, source.rows // BATCH), 1e-3)
    optimizer = PackedOptimizer(tensors, [rule] * models, rates, fused=on_cpu)
    indices = torch.split(order, BATCH, dim=1)
    yield 0.0, 0.0
    started = _now()
    for step, index in enumerate(indices):
        batch = source.gather(index)
        if step + 1 < len(indices):
            source.prefetch(indices[step + 1])
        outputs = forward(NETWORK, tensors, batch)
        losses = (outputs - target.take(index.to(device))).square().mean(1)
        gradients = torch.autograd.grad(losses.sum(), tensors)
        with torch.no_grad():
            optimizer.step(list(gradients))
        if (step + 1) % STEPS_A_TURN == 0:
            if not on_cpu:
                torch.cuda.synchronize(device)
            wall, processor = _now()
            yield wall - started[0], processor - started[1]
            started = _now()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _memory_without_files() -> int:
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024


if __name__ == "__main__":
    main()
