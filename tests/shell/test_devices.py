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
