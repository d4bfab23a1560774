"""Processes of this machine: the same bits, one device each, and none left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.devices import Places
from pipeline.errors import TrainingError, WorkerError
from pipeline.process_crew import Terms, WhileParentLives, _free, claim
from pipeline.runtime import NoCheckpoint, Part, Runtime
from pipeline.spreading import open_spread
from pipeline.stages.train import train
from pipeline.tables import Compute
from tests.builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset
from tests.works import Environment, Failing, KillsItsProcess, Sum, UntilTold

if TYPE_CHECKING:
    from tests.shell.conftest import Project

COMPUTE = Compute("cpu", 1, "fp32", shares=2)
NUMBERS = np.arange(300_000, dtype=np.float64)  # beyond the size from which joblib maps arrays into memory
TOTAL = int(NUMBERS.sum())
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.fixture(scope="module")
def two_processes():
    """A spread over two processes, started once for the whole file."""
    with open_spread(Places(("cpu", "cpu"))) as spread:
        yield spread


def run(spread, *works, shared=NUMBERS):
    """The value of each work, in order."""
    parts = [Part(f"part-{number}", work) for number, work in enumerate(works)]
    found = dict(spread(shared, parts, Runtime(COMPUTE), lambda *_: None))
    return [found[number] for number in range(len(works))]


def test_training_in_processes_gives_the_same_bits_as_here(two_processes, one_thread):
    """Invariant 5: weights, curves and predictions, with the same threads and the same cut."""
    design = design_of(generated_dataset(metric="log_rmse"), metric="log_rmse")

    def trained(**lent):
        return train(
            design, model=SMALL_MODEL, train=SHORT_TRAINING, metric="log_rmse", runtime=Runtime(COMPUTE, **lent)
        )

    here, there = trained(), trained(spread=two_processes)
    assert here.test_predictions.tobytes() == there.test_predictions.tobytes()
    assert here.seed_oof.tobytes() == there.seed_oof.tobytes()
    assert {n: w.tobytes() for n, w in here.weights.items()} == {n: w.tobytes() for n, w in there.weights.items()}
    assert [c.valid.tobytes() for c in here.curves] == [c.valid.tobytes() for c in there.curves]


@pytest.mark.slow
def test_a_users_loss_trains_in_processes_as_it_does_here(project: Project) -> None:
    """A reference travels as text and is imported where it is needed: the same submission."""
    (project.root / "competitions" / "ideas.py").write_text(
        "def absolute(outputs, target):\n    return (outputs - target).abs()\n"
    )
    words = ("--set", "train.custom_loss=competitions/ideas.py:absolute", "--set", "train.threads=1", "--workers", "2")
    found = []
    for engine in ("local", "processes"):
        project.must("submit", *words, "--engine", engine)
        found.append((project.reports / "submission.csv").read_bytes())
        for file in project.models.glob("train-*"):
            file.unlink()
    assert found[0] == found[1]


def test_parts_run_in_other_processes_and_every_value_has_its_place(two_processes):
    """Six sums: each its own, computed by at most two processes, neither of them this one."""
    found = run(two_processes, *map(Sum, range(6)))
    assert [value for value, *_ in found] == [number * TOTAL for number in range(6)]
    processes = {process for _, process, _ in found}
    assert len(processes) <= 2
    assert os.getpid() not in processes


def test_a_single_part_starts_no_process():
    """Nothing to do side by side: this process computes it."""
    with open_spread(Places(("cpu", "cpu"))) as spread:
        [(value, process, _)] = run(spread, Sum())
    assert (value, process) == (TOTAL, os.getpid())


def test_a_large_shared_value_stays_in_a_process_and_is_mapped_not_copied(two_processes):
    """The same object for all parts of two calls, backed by a file; threads are limited before libraries load."""
    told = run(two_processes, *[Environment()] * 6) + run(two_processes, *[Environment()] * 6)
    kept = {process: {identity for p, _, identity, _ in told if p == process} for process, *_ in told}
    assert all(len(identities) == 1 for identities in kept.values())
    assert {threads for _, threads, *_ in told} == {"1"}
    assert {kind for *_, kind in told} == {np.memmap}


def test_an_error_of_a_part_arrives_as_it_was_raised(two_processes):
    """Type and words of a PipelineError, so that the shell says its sentence; and the crew can go on."""
    with pytest.raises(TrainingError, match=r"^fold 2, seed 0: no epoch ended with a finite loss$"):
        run(two_processes, Sum(), Failing("fold 2, seed 0: no epoch ended with a finite loss"), Sum())
    assert run(two_processes, Sum(2), Sum(3))[1][0] == 3 * TOTAL


def test_a_process_that_is_killed_costs_its_parts_a_second_try(two_processes, tmp_path):
    """SIGKILL twice, as for want of memory: every value comes all the same, and none from this process."""
    assert run(two_processes, KillsItsProcess(str(tmp_path), 2), Sum(5))[0] == TOTAL
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_part_that_kills_every_process_is_a_sentence(two_processes, tmp_path):
    """Three times and no more."""
    with pytest.raises(WorkerError, match="workers died 3 times"):
        run(two_processes, KillsItsProcess(str(tmp_path), 99), KillsItsProcess(str(tmp_path), 99))


def test_closing_early_ends_the_processes(two_processes, tmp_path):
    """As Ctrl-C does: nobody trains on for a result that nobody waits for."""
    parts = [Part("quick", Sum(), 9.0), *(Part(name, UntilTold(str(tmp_path), name)) for name in "ab")]
    values = two_processes(NUMBERS, parts, Runtime(COMPUTE), lambda *_: None)
    assert next(values)[0] == 0
    wait_for(lambda: list(tmp_path.glob("* began")))
    values.close()
    for file in tmp_path.glob("* began"):
        wait_for(partial(is_gone, int(file.read_text())))


def test_each_process_claims_a_device_of_its_own_and_a_dead_one_leaves_its_own(tmp_path):
    """Here cpu and cpu:0 stand for two GPUs. A third process finds none free until one of the two is gone."""
    terms = Terms(("cpu", "cpu:0"), str(tmp_path), os.getpid())
    code = f"import time; from pipeline.process_crew import *; print(claim({terms!r}), flush=True); time.sleep(300)"
    words = [sys.executable, "-c", code]
    holders = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(2)]
    try:
        told = [holder.stdout.readline().strip() for holder in holders]
        assert set(told) == {"cpu", "cpu:0"}
        assert _free(terms) is None
        holders[1].kill()
        holders[1].wait()
        assert claim(terms) == told[1]
        assert claim(terms) == told[1]
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_parts_are_spread_over_different_devices():
    """Two devices: what a part is told is the device of its process, and each process has one."""
    with open_spread(Places(("cpu", "cpu:0"), gigabytes=1.0)) as spread:
        found = run(spread, *map(Sum, range(8)))
    device_of = {process: {d for _, p, d in found if p == process} for _, process, _ in found}
    assert all(len(devices) == 1 for devices in device_of.values())
    assert set().union(*device_of.values()) <= {"cpu", "cpu:0"}
    if len(device_of) == 2:  # a quick process may have taken all
        assert set().union(*device_of.values()) == {"cpu", "cpu:0"}


def test_a_process_whose_parent_is_gone_ends_at_its_next_step():
    """Else it would write checkpoints beside the run that continues. The last parent named is not its own."""
    code = (
        "import os; from pipeline.process_crew import WhileParentLives; from pipeline.runtime import NoCheckpoint\n"
        "assert not WhileParentLives(NoCheckpoint(), os.getppid()).due()\n"
        "WhileParentLives(NoCheckpoint(), 1 << 30).due()\nprint('went on')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr


def test_the_checkpoint_behind_it_is_asked_and_told():
    """Loading, asking and saving reach the store's own."""

    class Spy(NoCheckpoint):
        def __init__(self):
            self.saved = []

        def load(self):
            return "state"

        def due(self):
            return True

        def save(self, state):
            self.saved.append(state)

    spy = Spy()
    watched = WhileParentLives(spy, os.getppid())
    watched.save(3)
    assert (watched.load(), watched.due(), spy.saved) == ("state", True, [3])


def is_gone(process):
    """Whether no process of that number runs; a zombie does not."""
    try:
        return "State:\tZ" in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True


def wait_for(condition, seconds=30.0):
    """Until it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
