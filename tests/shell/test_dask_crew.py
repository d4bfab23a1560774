"""A local Dask cluster of two worker processes: the same bits, one of them killed, work that is given up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from pipeline import dask_crew, digests, usercode
from pipeline.dask_crew import DaskCrew, UntilStopped, differences
from pipeline.devices import Places
from pipeline.errors import ConfigError, TrainingError, WorkerError
from pipeline.runtime import Part, Runtime
from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.spreading import open_spread
from pipeline.stages.packs import PackWork
from pipeline.stages.search import search
from pipeline.stages.setups import Quest, Setup
from pipeline.stages.train import train
from pipeline.tables import Compute
from tests.builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset
from tests.shell.conftest import Project
from tests.stages.studies import InMemory
from tests.works import Failing, KillsItsProcess, Sum, UntilTold

COMPUTE = Compute("cpu", 1, "fp32", shares=2)
NOBODY = "tcp://127.0.0.1:9"  # the discard port


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of one thread each, and their scheduler in this process."""
    from distributed import LocalCluster

    quiet = {"silence_logs": 50, "dashboard_address": ":0"}
    with LocalCluster(n_workers=2, processes=True, threads_per_worker=1, **quiet) as made:
        yield made


@pytest.fixture(scope="module")
def spread(cluster):
    """A spread over that cluster."""
    with open_spread(Places((), cluster.scheduler_address)) as made:
        yield made


def run(spread, *works):
    """The value of each work, in order."""
    parts = [Part(f"part-{number}", work) for number, work in enumerate(works)]
    found = dict(spread(np.arange(10), parts, Runtime(COMPUTE), lambda *_: None))
    return [found[number] for number in range(len(works))]


@pytest.mark.slow
def test_training_on_a_cluster_gives_the_same_bits_as_here(spread, one_thread):
    """Invariant 5: weights, curves and predictions, with the same threads and the same cut."""
    design = design_of(generated_dataset(metric="log_rmse"), metric="log_rmse")

    def trained(**lent):
        return train(
            design, model=SMALL_MODEL, train=SHORT_TRAINING, metric="log_rmse", runtime=Runtime(COMPUTE, **lent)
        )

    here, there = trained(), trained(spread=spread)
    assert here.test_predictions.tobytes() == there.test_predictions.tobytes()
    assert here.seed_oof.tobytes() == there.seed_oof.tobytes()
    assert {n: w.tobytes() for n, w in here.weights.items()} == {n: w.tobytes() for n, w in there.weights.items()}
    assert [c.valid.tobytes() for c in here.curves] == [c.valid.tobytes() for c in there.curves]


@pytest.mark.slow
def test_finalists_of_a_sweep_are_scored_again_on_a_cluster_with_the_same_result(spread, one_thread):
    """Three trials, the best two and the first scored on one fresh split: the same winner, to the bit."""

    def swept(**lent):
        base = Setup(Preprocess(), Target(), SMALL_MODEL, SHORT_TRAINING)
        options = Search(trials=3, parallel=2, finalists=2, repeats=1, space={"train.lr": Range(log=(1e-3, 1e-1))})
        runtime = Runtime(COMPUTE, **lent)
        quest = Quest(generated_dataset(), base, options, FoldSettings(count=3), "rmse", runtime)
        return search(quest, InMemory(3))

    assert swept() == swept(spread=spread)


def test_parts_run_on_the_workers(spread):
    """Six sums of 0 to 9, none of them computed here."""
    found = run(spread, *map(Sum, range(6)))
    assert [value for value, *_ in found] == [0, 45, 90, 135, 180, 225]
    assert os.getpid() not in {process for _, process, _ in found}


def test_an_error_of_a_part_arrives_as_it_was_raised(spread):
    """Type and words of a PipelineError, so that the shell says its sentence; and the cluster can go on."""
    with pytest.raises(TrainingError, match=r"^fold 2, seed 0: no epoch ended with a finite loss$"):
        run(spread, Failing("fold 2, seed 0: no epoch ended with a finite loss"), Sum())
    assert run(spread, Sum(2))[0][0] == 90


def test_a_worker_killed_in_its_work_changes_no_value(spread, tmp_path):
    """SIGKILL in the middle of a part: another worker computes it, and everything else is as it would have been."""
    found = run(spread, KillsItsProcess(str(tmp_path), 1), *map(Sum, range(1, 4)))
    assert len(list(tmp_path.iterdir())) == 1
    assert [found[0], *(value for value, *_ in found[1:])] == [45, 45, 90, 135]


def test_closing_early_ends_the_parts_that_run(spread, tmp_path):
    """As Ctrl-C does: a worker is told, and ends the part at its next step; the one that waited is never begun."""
    parts = [Part("quick", Sum(), 9.0), *(Part(name, UntilTold(str(tmp_path), name)) for name in "abc")]
    values = spread(np.arange(10), parts, Runtime(COMPUTE), lambda *_: None)
    assert next(values)[0] == 0
    wait_for(lambda: len(list(tmp_path.glob("* began"))) == 2)
    values.close()
    wait_for(lambda: len(list(tmp_path.glob("* ended"))) == 2)
    assert run(spread, Sum(2))[0][0] == 90
    assert len(list(tmp_path.glob("* began"))) == 2


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_submission(
    project: Project, cluster, tmp_path, monkeypatch, capsys
) -> None:
    """The whole command, a worker killed while it trains: the bytes of a run in this process."""
    words = ("--set", "train.threads=1", "--workers", "2", "--set", "train.epochs=600")
    monkeypatch.setattr(dask_crew, "as_completed", killing_a_worker(cluster, dask_crew.as_completed))
    project.must("submit", *words, "--engine", "dask", "--scheduler", cluster.scheduler_address)
    found = (project.reports / "submission.csv").read_bytes()
    in_peace = Project(tmp_path / "in-peace", capsys)
    monkeypatch.chdir(in_peace.root)
    in_peace.must("submit", *words)
    assert found == (in_peace.reports / "submission.csv").read_bytes()


def killing_a_worker(cluster, real):
    """`as_completed` that kills the first worker to have work in hand before it waits."""

    def waiting(futures, loop):
        busy = []
        wait_for(lambda: busy.extend(w for w in cluster.scheduler.workers.values() if w.processing) or busy)
        time.sleep(0.5)
        [pid] = [nanny.pid for nanny in cluster.workers.values() if nanny.worker_address == busy[0].address]
        os.kill(pid, signal.SIGKILL)
        return real(futures, loop=loop)

    return waiting


# --- clusters that are not as they should be


def test_a_scheduler_that_does_not_answer_is_a_sentence_with_its_address(project: Project, monkeypatch) -> None:
    """Exit code 2 after a moment; nothing is trained."""
    monkeypatch.setattr(dask_crew, "CONNECT_SECONDS", 0.5)
    code, out, err = project.run("train", "--engine", "dask", "--scheduler", NOBODY)
    assert code == 2
    assert err.startswith(f"error: no Dask scheduler answers at {NOBODY} within 0.5 s (")
    assert err.endswith("start one with `dask scheduler`, or name the right address with train.scheduler\n")
    assert "train       computed" not in out


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp://nonsense", "tcp://:8786", "tls://h:port", "h:99999", "tcp://", "tpc://h:1"]
)
def test_an_address_that_is_none_is_a_sentence_at_once(address) -> None:
    """No host, no port, a typing error in its kind: nobody is asked, and what an address looks like is said."""
    with pytest.raises(ConfigError) as raised:
        DaskCrew(address)
    assert str(raised.value) == (
        f"train.scheduler = {address!r} is no address; expected host and port, such as tcp://10.0.0.5:8786"
    )


@pytest.mark.parametrize("address", [NOBODY, "tls://127.0.0.1:9", "no-such-host.invalid:8786"])
def test_a_scheduler_that_does_not_answer_leaves_nothing_but_the_sentence(address) -> None:
    """The client that could not be made is silent when it is thrown away; as a process of its own."""
    code = (
        "from pipeline import dask_crew\n"
        "dask_crew.CONNECT_SECONDS = 0.3\n"
        "try:\n"
        f"    dask_crew.DaskCrew({address!r})\n"
        "except dask_crew.WorkerError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"no Dask scheduler answers at {address}")
    assert not done.stderr


def test_a_cluster_without_workers_is_a_sentence(monkeypatch) -> None:
    """The scheduler answers, and nobody would ever compute."""
    from distributed import LocalCluster

    monkeypatch.setattr(dask_crew, "WORKER_SECONDS", 0.2)
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50) as empty:
        address = empty.scheduler_address
        with open_spread(Places((), address)) as spread, pytest.raises(WorkerError) as raised:
            run(spread, Sum(), Sum())
    assert str(raised.value) == f"the Dask scheduler at {address} has no worker; start some: `dask worker {address}`"


@pytest.mark.slow
def test_a_scheduler_that_is_lost_in_the_middle_is_a_sentence(tmp_path) -> None:
    """Stopped while two parts run: no waiting for ever, and what to do."""
    import dask
    from distributed import LocalCluster

    parts = [Part(name, UntilTold(str(tmp_path), name)) for name in "ab"]
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0", silence_logs=50) as cluster,
        open_spread(Places((), cluster.scheduler_address)) as spread,
    ):
        values = spread(np.arange(10), parts, Runtime(COMPUTE), lambda *_: None)
        losing = threading.Thread(target=lose, args=(cluster, tmp_path))
        losing.start()
        with pytest.raises(WorkerError, match=r"the connection to the Dask scheduler at .* was lost; run the same"):
            next(values)
        losing.join()


def lose(cluster, folder):
    """Close a cluster as soon as two parts run on it."""
    wait_for(lambda: len(list(folder.glob("* began"))) == 2)
    with suppress(Exception):
        cluster.close()


def test_a_part_that_kills_every_worker_is_a_sentence(cluster, spread, tmp_path, monkeypatch) -> None:
    """Dask gives up after a few deaths, here after the first; so do we, where joblib's backend would wait for ever."""
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(WorkerError, match="a pack killed several Dask workers in turn"):
        run(spread, KillsItsProcess(str(tmp_path), 99), Sum())


def test_a_worker_with_other_code_is_refused(spread, monkeypatch) -> None:
    """It would compute something else under our key: which module or library differs is said."""
    monkeypatch.setattr(
        dask_crew, "code_digest", lambda module: {**digests.code_digest(module), "pipeline.engine.fit": "x"}
    )
    work = PackWork((), (), 1, "rmse")
    with pytest.raises(
        WorkerError, match=r"has not the code and libraries of this process \(pipeline.engine.fit is an"
    ):
        run(spread, work, work)


def test_a_users_function_is_imported_anew_where_its_file_was_edited(tmp_path, monkeypatch) -> None:
    """A worker outlives commands: it must not compute an old function under the key of the new one."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "ideas.py"
    work = Sum()
    monkeypatch.setattr(Sum, "users_code", ("ideas.py:loss",))
    for value in (1, 2):
        file.write_text(f"def loss():\n    return {value}\n")
        dask_crew._check("here", work, dask_crew.versions_of(work))
        assert usercode.load("ideas.py:loss")() == value
    wanted = dask_crew.versions_of(work)
    file.write_text("def loss():\n    return 3\n")
    with pytest.raises(WorkerError, match=r"\(ideas\.py is another one\)"):
        dask_crew._check("here", work, wanted)
    file.unlink()
    with pytest.raises(WorkerError, match=r"the Dask worker at here cannot find your function: .*no file ideas\.py"):
        dask_crew._check("here", work, wanted)
    usercode.forget()


def test_differences_are_said_in_words() -> None:
    """A module by its name, a library with both versions; equal ones not at all."""
    here = {"pipeline.engine.fit": "1", "torch": "2.13.0", "numpy": "2.4.6"}
    there = {"pipeline.engine.fit": "2", "torch": "2.12.0", "numpy": "2.4.6", "optuna": "5.0.0"}
    assert list(differences(here, there)) == [
        "optuna is 5.0.0 there, absent here",
        "pipeline.engine.fit is another one",
        "torch is 2.12.0 there, 2.13.0 here",
    ]


def test_only_the_packs_of_a_run_that_was_given_up_are_ended() -> None:
    """Another run on the same worker goes on."""
    given_up, other = UntilStopped("one"), UntilStopped("other")
    assert not given_up.due()
    dask_crew.stop("one")
    assert not other.due()
    with pytest.raises(dask_crew.StoppedError):
        given_up.due()


def wait_for(condition, seconds=30.0):
    """Until it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
