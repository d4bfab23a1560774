"""Where to compute, resolved: what "auto" means on this machine."""

import pytest

from pipeline import devices
from pipeline.devices import resolve_compute


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


def test_memory_is_what_a_container_leaves(tmp_path, monkeypatch):
    """The smallest of the limits that are numbers; never more than the machine has."""
    machine, limit, none = devices.memory_bytes(), tmp_path / "limit", tmp_path / "max"
    limit.write_text("1000000\n")
    none.write_text("max\n")
    monkeypatch.setattr(devices, "CGROUP_LIMITS", (none, limit, tmp_path / "absent"))
    assert devices.memory_bytes() == 1_000_000
    monkeypatch.setattr(devices, "CGROUP_LIMITS", (none,))
    assert devices.memory_bytes() >= machine > 0
