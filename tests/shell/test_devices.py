"""Where to compute, resolved: what "auto" means on this machine."""

import pytest

from pipeline import devices
from pipeline.devices import resolve_compute, room_for_rows
from pipeline.runtime import Room


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx2 amx_bf16 amx_tile", "bf16"), ("fpu avx512_bf16", "bf16"), ("fpu avx2 avx512f", "fp32"), ("", "fp32")],
)
def test_auto_takes_bf16_where_the_processor_has_it(flags, precision, tmp_path, monkeypatch):
    """From its flags; an emulated bf16 would be slower than fp32."""
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nmodel name : x\nflags : {flags}\n")
    monkeypatch.setattr(devices, "CPU_INFO", info)
    assert resolve_compute("cpu", 1, "auto").precision == precision


def test_a_machine_that_tells_nothing_gets_fp32(tmp_path, monkeypatch):
    """Other systems have no such file."""
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "absent")
    assert resolve_compute("cpu", 1, "auto").precision == "fp32"


def test_a_precision_that_is_named_is_taken(monkeypatch):
    """Whatever the processor has."""
    assert [resolve_compute("cpu", 1, name).precision for name in ("fp32", "fp64", "bf16")] == ["fp32", "fp64", "bf16"]


# --- caches


def _cpus(folder, *, second, third):
    """A folder like the system's, of one processor; sizes as it writes them."""
    for number, (level, kind, size) in enumerate([(1, "Data", "48K"), (2, "Unified", second), (3, "Unified", third)]):
        place = folder / "cpu0" / "cache" / f"index{number}"
        place.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (place / name).write_text(f"{text}\n")
    code = folder / "cpu0" / "cache" / "index9"  # instructions are no place for tensors
    code.mkdir()
    for name, text in (("level", 2), ("type", "Instruction"), ("size", "900M")):
        (code / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("second", "third", "threads", "mib"),
    [
        ("2048K", "491520K", 2, 16),
        ("2048K", "491520K", 240, 8),
        ("1M", "32M", 2, 16),
        ("1M", "32M", 8, 8),
        ("256K", "6144K", 4, 8),
        ("what", "ever", 1, 8),
    ],
)
def test_cache_comes_in_two_classes(second, third, threads, mib, tmp_path, monkeypatch):
    """A core's own and a thread's share of the common one: 16 MiB or more, else 8, whoever else is on the machine."""
    monkeypatch.setattr(devices, "CPUS", _cpus(tmp_path, second=second, third=third))
    assert devices.cache_class(threads) == mib
    assert resolve_compute("cpu", threads, "fp32").cache == mib


def test_a_cache_that_the_system_does_not_show_is_taken_for_a_small_one(tmp_path, monkeypatch):
    """Other systems, and sandboxes."""
    monkeypatch.setattr(devices, "CPUS", tmp_path / "absent")
    assert devices.cache_class(2) == 8


# --- memory


def memory(monkeypatch, tmp_path, available, limit):
    """A machine with so many KiB available, in a container with that limit."""
    info, limits = tmp_path / "meminfo", tmp_path / "memory.max"
    info.write_text(f"MemTotal:       99 kB\nMemAvailable:   {available} kB\n")
    limits.write_text(limit)
    monkeypatch.setattr(devices, "MEMORY_INFO", info)
    monkeypatch.setattr(devices, "MEMORY_LIMITS", (limits, tmp_path / "absent"))


@pytest.mark.parametrize(
    ("available", "limit", "room"),
    [(1000, "max\n", 512_000), (1000, "800000\n", 400_000), (1000, "9223372036854771712", 512_000)],
)
def test_rows_may_take_half_of_what_is_free(available, limit, room, monkeypatch, tmp_path):
    """Of the machine's memory, or of the container's limit where that is lower."""
    memory(monkeypatch, tmp_path, available, limit)
    assert room_for_rows("cpu", 0, tmp_path) == Room(room, room, str(tmp_path))


def test_a_named_number_of_gigabytes_is_taken_as_it_is(monkeypatch, tmp_path):
    """On a CPU it is the host's memory, beside a GPU that stays what is free."""
    memory(monkeypatch, tmp_path, 1000, "max")
    assert room_for_rows("cpu", 0.5, tmp_path) == Room(500_000_000, 500_000_000, str(tmp_path))
    assert room_for_rows("cuda", 2, tmp_path) == Room(2_000_000_000, 512_000, str(tmp_path))


def test_where_free_memory_is_not_known_rows_may_take_any(monkeypatch, tmp_path):
    """Other systems have no such files."""
    monkeypatch.setattr(devices, "MEMORY_INFO", tmp_path / "absent")
    monkeypatch.setattr(devices, "MEMORY_LIMITS", ())
    assert room_for_rows("cpu", 0, tmp_path) == Room(folder=str(tmp_path))


def test_memory_is_what_a_container_leaves(tmp_path, monkeypatch):
    """The smallest of the limits that are numbers; never more than the machine has."""
    machine, limit, none = devices.memory_bytes(), tmp_path / "limit", tmp_path / "max"
    limit.write_text("1000000\n")
    none.write_text("max\n")
    monkeypatch.setattr(devices, "MEMORY_LIMITS", (none, limit, tmp_path / "absent"))
    assert devices.memory_bytes() == 1_000_000
    monkeypatch.setattr(devices, "MEMORY_LIMITS", (none,))
    assert devices.memory_bytes() >= machine > 0
