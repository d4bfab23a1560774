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
