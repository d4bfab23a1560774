"""Where to compute, and in how much memory, resolved before anything heavy is imported."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.runtime import Room
from pipeline.tables import Compute

if TYPE_CHECKING:
    from pipeline.training_settings import Train

GPU_ONLY = ("fp16", "tf32")
CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SHARE = 0.5  # of what is free, for rows; the rest is for networks, their batches, and the table itself
CPUS = Path("/sys/devices/system/cpu")
MIB = 1 << 20
CACHE_CLASSES = (16, 8)  # MiB a thread; the last is also for what cannot be read, and for less
MOST_PROCESSES = 8  # when nobody said how many: more make the packs small, and each holds a copy of the rows


@dataclass(frozen=True, slots=True)
class Places:
    """Where packs are trained. devices: one for each process of this machine; empty: in this process, or by Dask.

    gigabytes: of its device that rows may take in each process; 0: a share of what is free there.
    """

    devices: tuple[str, ...] = ()
    scheduler: str = ""
    gigabytes: float = 0.0


def resolve_places(train: Train) -> tuple[Compute, Places]:
    """What this machine has for `train.device`, `engine`, `workers`, `threads` and `precision`.

    Threads are those of one process that trains, decided here, before they enter a key: the given number, else the
    cores divided among the processes (Dask: 1, for a Dask worker of n threads trains n packs at a time). So equal keys
    mean equal arithmetic wherever packs are trained, and no core has two threads unless somebody asks for it.
    """
    compute = resolve_compute(train.device, train.threads, train.precision)
    if train.engine == "dask":
        compute = replace(compute, threads=train.threads or 1, shares=max(train.workers, 1))
        return compute, Places((), train.scheduler, train.device_memory)
    devices = _every_device(compute.device)
    processes = _processes(train, devices)
    threads = train.threads or max(1, available_cores() // processes)
    compute = replace(compute, threads=threads, shares=max(train.workers, processes))
    placed = tuple(devices[i % len(devices)] for i in range(processes)) if processes > 1 else ()
    return compute, Places(placed, gigabytes=train.device_memory)


def _every_device(device: str) -> list[str]:
    """All GPUs where "cuda" leaves it open which."""
    count = cuda_devices() if device == "cuda" else 1
    return [f"cuda:{number}" for number in range(count)] if count > 1 else [device]


def _processes(train: Train, devices: list[str]) -> int:
    if train.engine == "local":  # one process for each GPU, of several
        return min(train.workers or len(devices), len(devices))
    if train.workers or devices != ["cpu"]:
        return train.workers or len(devices)
    return min(MOST_PROCESSES, max(1, available_cores() // max(train.threads, 1)))


def resolve_compute(device: str, threads: int, precision: str) -> Compute:
    """Turn "auto" and 0 into what this machine has.

    Raises ConfigError for a GPU that is not there; "auto" takes the first GPU, else the CPU.
    """
    count = cuda_devices()
    if device == "auto":
        device = "cuda" if count else "cpu"
    elif device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if number >= count:
            found = f"{count} CUDA device{'s' * (count != 1)}"
            raise ConfigError(
                f"train.device = {device!r}, but this machine has {found} that PyTorch can use; "
                f"use --device auto or --device cpu"
            )
    if precision == "auto":
        precision = "bf16" if _has_native_bf16(device) else "fp32"
    if precision in GPU_ONLY and not device.startswith("cuda"):
        raise ConfigError(
            f"train.precision = {precision!r} is for GPUs and the device is {device}; use auto, bf16 or fp32"
        )
    threads = threads or available_cores()
    return Compute(device, threads, precision, cache=cache_class(threads) if device == "cpu" else 0)


def _has_native_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32 there: AMX or AVX512-BF16 on a CPU, from Ampere on a GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        text = CPU_INFO.read_text()
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return bool({"amx_bf16", "avx512_bf16"} & set(flags))


def cache_class(threads: int) -> int:
    """MiB of cache that each of so many threads may count on, in two coarse classes.

    From the sizes of a core's own cache and of the shared one, not from who shares it: a virtual machine shows its
    processor's sizes but not its neighbours, and the networks of a pack, so the last bits of a training, follow from
    this number. It is in the key of what is trained.
    """
    sizes = _cache_sizes()
    each = (sizes.get(2, 0) + sizes.get(3, 0) / threads) / MIB
    return next((size for size in CACHE_CLASSES if each >= size), CACHE_CLASSES[-1])


def _cache_sizes() -> dict[int, int]:
    """Bytes of the largest data cache of each level."""
    found: dict[int, int] = {}
    for folder in CPUS.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, size = int((folder / "level").read_text()), (folder / "size").read_text().strip()
            kind = (folder / "type").read_text().strip()
            bytes_ = int(size.rstrip("KMG")) * {"K": 1 << 10, "M": MIB, "G": 1 << 30}.get(size[-1:], 1)
        except (OSError, ValueError):
            continue
        if kind != "Instruction":
            found[level] = max(found.get(level, 0), bytes_)
    return found


def memory_bytes() -> int:
    """Memory that this process may use, all of the machine's or its container's limit; 0 where the system is silent.

    Unlike what is free, it is the same at every run, for it may decide how many networks train side by side.
    """
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
    return min([machine, *_memory_limits()])


def available_cores() -> int:
    """Cores this process may use: what a container or `taskset` leaves it, not what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room_for_rows(device: str, gigabytes: float, folder: Path) -> Room:
    """What rows may take there: so many GB (10^9 bytes) of the device, 0 for a share of what is free now.

    folder: where rows lie that fit into no memory.
    """
    host = _share(_free_memory())
    if gigabytes:
        on_device = int(gigabytes * 1e9)
        return Room(on_device, host if device != "cpu" else on_device, str(folder))
    if device == "cpu":
        return Room(host, host, str(folder))
    import torch

    return Room(_share(torch.cuda.mem_get_info(device)[0]), host, str(folder))


def room_beside(
    others: int, device: str, gigabytes: float, folder: Path | None = None, *, on_device: int | None = None
) -> Room:
    """What rows may take in one of several processes of this machine: an equal part of it.

    others: processes beside this one. on_device: those of them that use the same device; None: all.
    """
    room = room_for_rows(device, gigabytes, folder or Path(tempfile.gettempdir()))
    beside = others if on_device is None else on_device
    return Room(room.device // (beside + 1), room.host // (others + 1), room.folder)


def _share(free: int) -> int:
    return int(SHARE * free) if free < sys.maxsize else free


def _free_memory() -> int:
    """Bytes of memory that this process could still take, what files occupy counted in; without end where unknown."""
    try:
        lines = dict(line.split(":") for line in MEMORY_INFO.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = sys.maxsize
    return min([free, *_memory_limits()])


def _memory_limits() -> list[int]:
    return [int(text) for file in MEMORY_LIMITS if (text := _text(file)).isdigit()]  # "max": none


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def cuda_devices() -> int:
    """How many CUDA devices PyTorch can use; PyTorch is only imported where the driver reports one."""
    if not _driver_devices():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _driver_devices() -> int:
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0
