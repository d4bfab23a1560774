"""Processes beside a sweep: how many, what they are told, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from optuna.trial import TrialState

from pipeline import sweep_crew
from pipeline.claims import WORKER
from pipeline.cli import parse
from pipeline.config import load_config
from pipeline.heartbeat import is_alive
from pipeline.sweep_crew import beside, spread_out
from tests.shell.test_sweeps_under_fire import study_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.conftest import Project

QUICK = ("--set", "train.epochs=3", "--set", "search.finalists=0")
LONG = ("--set", "train.epochs=400", "--set", "search.pruner=none", "--set", "search.sampler=random")
SHORT_OR_LONG = '[search.space]\n"train.batch_size" = {choice = [240, 2]}\n'
TWO_CORES = {"available_cores": lambda: 2, "memory_bytes": lambda: 8 << 30}


@pytest.mark.parametrize(
    ("settings", "raw_bytes", "processes"),
    [
        (["search.trials=20"], 0, 2),
        (["search.trials=19"], 0, 0),
        (["search.trials=20", "train.threads=2"], 0, 0),
        (["search.trials=20", "train.workers=1"], 0, 1),
        (["search.trials=2", "train.workers=3"], 0, 3),
        (["search.trials=20"], 300 << 20, 0),
    ],
)
def test_a_cpu_has_a_process_for_each_core_where_a_sweep_is_long_and_memory_allows(
    settings: list[str], raw_bytes: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cores and 8 GB; so many workers as somebody asks for, whatever they think."""
    for name, stub in TWO_CORES.items():
        monkeypatch.setattr(sweep_crew, name, stub)
    config = load_config("", file="c.toml", settings=["train.device=cpu", *settings]).config
    train = spread_out(config, raw_bytes)
    assert train.workers == processes
    assert train.engine == ("processes" if processes > 1 else "local")


def test_a_helper_computes_in_the_precision_of_the_sweep() -> None:
    """Precision is in the study's key: where "auto" is another on the helper's device, it would join another study."""
    compute = SimpleNamespace(threads=1, precision="bf16")
    config = load_config("", file="c.toml", settings=[]).config
    runner = SimpleNamespace(compute=compute, config=config)
    options = parse(["search", "tiny", "--set", "train.precision=auto"])
    words = sweep_crew._command(options, runner, "cuda:1", 2)  # type: ignore[arg-type]
    settings = [setting for flag, setting in pairwise(words) if flag == "--set"]
    found = load_config("", file="c.toml", settings=settings).config.train
    assert (found.device, found.precision) == ("cuda:1", "bf16")


def test_a_process_on_a_gpu_is_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cores there are."""
    monkeypatch.setattr(sweep_crew, "resolve_compute", lambda *_: SimpleNamespace(device="cuda"))
    config = load_config("", file="c.toml", settings=["search.trials=500"]).config
    assert spread_out(config, 0) is config.train


@pytest.mark.slow
def test_a_sweep_of_two_processes_trains_exactly_its_trials_and_tells_each(project: Project) -> None:
    """Both train, every trial has its line, whoever trained it, and the winner is found as ever."""
    out = project.must("search", "--trials", "24", "--workers", "2", *QUICK[2:], "--set", "train.epochs=300")
    assert "2 processes        of 1 thread each" in out
    trials = study_of(project).get_trials()
    assert len(trials) == 24
    assert len({trial.user_attrs[WORKER] for trial in trials}) == 2
    told = sorted(int(line.split()[1]) for line in out.splitlines() if line.startswith("trial "))
    assert told == list(range(24))
    assert "a process less" not in out
    assert "winner: trial" in out


def test_a_helper_that_ends_is_said_and_the_sweep_goes_on_without_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last words stand in the line."""
    last_words = [sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"]
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: last_words)
    out = project.must("search", "--trials", "3", "--workers", "2", *QUICK)
    assert "a process less     the one on cpu ended: out of luck" in out
    assert "winner: trial" in out


def test_a_helper_that_is_killed_is_told_with_its_signal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with its last ordinary line."""
    script = "import os, signal; print('3 trials so far', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: [sys.executable, "-c", script])
    out = project.must("search", "--trials", "3", "--workers", "2", *QUICK)
    assert "a process less     the one on cpu ended: killed (SIGKILL)" in out
    assert "so far" not in next(line for line in out.splitlines() if "a process less" in line)


def test_a_helper_that_does_not_end_is_killed_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the patience for all of them together."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_crew, "PATIENCE", 0.5)
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    begun = time.monotonic()
    with beside(a_runner(), parse(["search"]), ("cpu",) * 3):
        pass
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().out.count("had not ended after 0 s and was killed; the next command tries again") == 2


def test_a_helper_is_handed_the_deadline_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the clock that both have, however long it takes to start; and it asks for nothing once that is past."""
    monkeypatch.chdir(tmp_path)
    script = f"import os; open('until', 'w').write(os.environ['{sweep_crew.BESIDE}'])"
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: [sys.executable, "-c", script])
    begun = time.monotonic()
    with beside(a_runner("search.timeout=2m"), parse(["search"]), ("cpu", "cpu")) as crew:
        crew.wait()
    assert begun + 119 < float((tmp_path / "until").read_text()) < time.monotonic() + 121


def test_a_helper_whose_deadline_is_past_asks_for_no_trial(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its own settings say."""
    monkeypatch.setattr("pipeline.commands.leave_with_parent", lambda: time.monotonic() - 1)
    project.must("worker", "--trials", "3", *QUICK)
    assert study_of(project).get_trials() == [] or not any(t.params for t in study_of(project).get_trials())


def test_there_are_no_more_processes_than_trials_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With search.parallel = 1 one after the other is trained, as asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: pytest.fail("a process was started"))
    with beside(a_runner("search.parallel=1"), parse(["search"]), ("cpu", "cpu")) as crew:
        assert crew.helpers == []


@pytest.mark.slow
def test_a_sweep_whose_time_is_up_waits_for_what_its_helpers_train(project: Project) -> None:
    """No trial is killed or told after the winner was chosen, however unlike the processes' trials are in length."""
    project.config.write_text(project.config.read_text() + SHORT_OR_LONG)
    words = ("--trials", "200", "--workers", "2", "--parallel", "2", "--timeout", "15s", *LONG)
    out = project.must("search", *words, *QUICK[2:])
    trials = study_of(project).get_trials()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.user_attrs[WORKER] for trial in trials}) == 2
    assert "killed" not in out
    assert "a process less" not in out
    lines = out.splitlines()
    winner = next(place for place, line in enumerate(lines) if "winner: trial" in line)
    assert sum(line.startswith("trial ") for line in lines[:winner]) == len(trials) < 200


def a_runner(*settings: str) -> Any:
    """What `beside` looks at of a runner."""
    config = load_config("", file="c.toml", settings=list(settings)).config
    compute = sweep_crew.resolve_compute("cpu", 1, "fp32")
    return SimpleNamespace(config=config, compute=compute, bring=lambda _: None)


def test_helpers_are_told_once_to_end_when_the_sweep_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that takes a moment to give back what it has is waited for."""
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(0.3); open('given back', 'a').write('x'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); time.sleep(60)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_crew, "_command", lambda *_: [sys.executable, "-c", script])

    def interrupted() -> None:
        time.sleep(1.0)  # until it is ready
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), beside(a_runner(), parse(["search"]), ("cpu", "cpu")):
        interrupted()
    assert (tmp_path / "given back").read_text() == "x"


@pytest.mark.slow
def test_helpers_end_with_a_sweep_that_is_killed(project: Project) -> None:
    """SIGKILL of the process that searches: what it started gives back its trials, and the study goes on later."""
    words = ("--trials", "24", "--workers", "2", "--set", "train.epochs=400", "--set", "search.finalists=0")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "search", "tiny", *words], cwd=project.root, stdout=subprocess.DEVNULL
    )
    workers: set[int] = set()
    until = time.monotonic() + 60
    while len(workers) < 2 and time.monotonic() < until:
        time.sleep(0.5)
        if list(project.models.glob("study-*.journal")):
            trials = study_of(project).get_trials()
            workers = {int(t.user_attrs[WORKER].split()[-2]) for t in trials if WORKER in t.user_attrs}
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    [helper] = workers - {process.pid}
    while is_alive(helper) and time.monotonic() < until:
        time.sleep(0.2)
    assert not is_alive(helper)
