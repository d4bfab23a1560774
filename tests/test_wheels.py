"""Pip as a downloader: which one is asked, and what is told when it fails."""

import subprocess
import sys

from pipeline import wheels


def test_pips_reason_is_short_and_names_no_address():
    """The last error and the system's reason for it, with addresses blanked out."""
    complaint = (
        "WARNING: Retrying: NewConnectionError('<x>: Failed to establish: [Errno -2] Name or service not known')\n"
        "ERROR: Could not find anything\nERROR: HTTP error 503 for https://index.example/simple/x\n[notice] new pip\n"
    )
    line = wheels._last_useful_line(complaint)
    assert line == "HTTP error 503 for …; [Errno -2] Name or service not known"
    assert len(wheels._last_useful_line("ERROR: " + "x" * 1000)) < 130


def test_an_environment_without_pip_asks_the_one_it_was_made_from(tmp_path, monkeypatch):
    """A uv environment has no pip: the base interpreter's is used; only if that has none either is it a fault."""
    asked = []

    def run(command, **options):
        asked.append(command[0])
        has_pip = command[0] == "base" and len(asked) == 2
        return subprocess.CompletedProcess(command, 0 if has_pip else 1, "", "x: No module named pip")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "executable", "env")
    monkeypatch.setattr(sys, "_base_executable", "base", raising=False)
    assert wheels._pip_download("x==1", str(tmp_path)) is None
    assert asked == ["env", "base"]
    assert "has pip" in wheels._pip_download("x==1", str(tmp_path))
