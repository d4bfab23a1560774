"""Sweeps whose processes are killed, whose database goes away, whose disk is full: exactly N trials, none lost.

The numbers of faults are those of the list of faults it survives.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from pipeline.claims import WORKER, is_claimed, is_void, values_of
from pipeline.journal import Journal
from pipeline.recipes import RECIPES
from pipeline.stages.trials import CAUSE
from pipeline.trial_lines import TrialTeller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import FrozenTrial

    from tests.postgres import Postgres
    from tests.shell.conftest import Project

QUICK = ("--set", "train.epochs=3", "--set", "search.finalists=1", "--set", "search.repeats=1", "--parallel", "2")
LONGER = (*QUICK[2:], "--set", "train.epochs=60", "--set", "search.pruner=none")
FOR_EVER = (*QUICK[2:], "--set", "train.epochs=100000")
# a child that a non-interactive shell has put into the background ignores Ctrl-C
SHELL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
SMALL_DISK = (
    "import resource, sys; size = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); "
)
RUN = "import sys; from pipeline.__main__ import run; sys.exit(run())"


def begun(*words: str, first: str = SHELL) -> subprocess.Popen[str]:
    """A process of its own that runs such a command."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", first + RUN, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def journal_of(project: Project) -> Path:
    [file] = project.models.glob("study-*.journal")
    return file


def study_of(project: Project, url: str = "") -> optuna.Study:
    """The only study of a project, as anybody sees it who has Optuna."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url:
        storage: object = database_of(url)
    else:
        storage = optuna.storages.JournalStorage(Journal(journal_of(project)))
    [name] = optuna.get_all_study_names(storage)  # type: ignore[arg-type]
    return optuna.load_study(study_name=name, storage=storage)  # type: ignore[arg-type]


def database_of(url: str) -> optuna.storages.RDBStorage:
    """A database, to which no connection is kept."""
    address = url.replace("postgresql:", "postgresql+psycopg:")
    return optuna.storages.RDBStorage(address, engine_kwargs={"poolclass": NullPool})


def wait_until(is_so: Callable[[], bool], *, alive: Sequence[subprocess.Popen[str]] = ()) -> None:
    """Raises AssertionError when a process that is needed for it has ended, or after some minutes."""
    end = time.monotonic() + 600
    while not is_so():
        for process in alive:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it has not come to that"
        time.sleep(0.25)


def counts(study: optuna.Study) -> Counter[TrialState]:
    """How many trials the study was to have are in which state."""
    return Counter(trial.state for trial in study.get_trials(deepcopy=False) if is_claimed(trial))


def told(study: optuna.Study) -> int:
    """Trials with an end."""
    return sum(number for state, number in counts(study).items() if state.is_finished())


def in_flight(study: optuna.Study, process: subprocess.Popen[str]) -> list[FrozenTrial]:
    """Running trials of that process that have all their values."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if trial.user_attrs.get(WORKER, "? 0 ?").split()[1] == str(process.pid)
        and trial.params.keys() >= set(RECIPES["classic"]["search.space"]) - {"train.epochs"}  # which these tests set
    ]


def check(study: optuna.Study, wanted: int) -> None:
    """Exactly so many trials with an end, none of them twice, and no values lost of those that came to nothing."""
    trials = study.get_trials(deepcopy=False)
    counted = [trial for trial in trials if is_claimed(trial)]
    assert len(counted) == wanted
    assert all(trial.state.is_finished() for trial in counted)
    assert all(CAUSE in trial.user_attrs for trial in counted if trial.state == TrialState.FAIL)
    known = [tuple(sorted(values_of(trial).items())) for trial in counted]
    assert len(set(known)) == wanted
    kept = [values_of(trial).items() for trial in trials if is_claimed(trial) or trial.state == TrialState.WAITING]
    lost = [values_of(trial).items() for trial in trials if is_void(trial)]  # some before all its values were drawn
    assert all(any(values <= others for others in kept) for values in lost)


def check_search_afterwards(project: Project, wanted: int, *words: str) -> None:
    """A search that follows finds the winner without training a trial."""
    out = project.must("search", "--trials", str(wanted), *words)
    assert f"{wanted} trials so far" in out
    assert not [line for line in out.splitlines() if line.startswith("trial ")]
    assert "winner: trial" in out


def on_told(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], None]) -> None:
    """Have that done when so many trials have been told."""
    real, heard = TrialTeller.told, list[int]()

    def teller(self: TrialTeller, trial: FrozenTrial) -> None:
        real(self, trial)
        heard.append(trial.number)
        if len(heard) == number:
            do()

    monkeypatch.setattr(TrialTeller, "told", teller)


# --- a database that is restarted, and one that is gone


@pytest.mark.slow
def test_a_sweep_outlives_a_restart_of_its_database(
    project: Project, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 15: PostgreSQL stops without a word and is back a second later: said once, and nothing is lost."""

    def restart() -> None:
        postgres.stop()
        threading.Timer(1.0, postgres.start).start()

    on_told(monkeypatch, 2, restart)
    everybody = ("--set", "search.pruner=none")
    out = project.must("search", "--trials", "6", "--storage", postgres_url, *everybody, *QUICK)
    assert out.count("does not answer") == out.count("answers again") == 1
    assert "winner: trial" in out
    check(study_of(project, postgres_url), 6)
    assert "6 scored" in project.must("runs", "--storage", postgres_url, *QUICK[:-2])


@pytest.mark.slow
def test_a_database_that_is_gone_for_good_ends_the_sweep_and_a_later_one_goes_on(
    project: Project, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 15: waited for, said once, then exit code 2 and one sentence; what was told is there."""
    words = ("--storage", postgres_url, "--set", "search.patience=1s", *QUICK)
    with monkeypatch.context() as patch:
        on_told(patch, 2, postgres.stop)
        code, out, err = project.run("search", "--trials", "6", *words)
    assert code == 2
    assert out.count("does not answer") == 1
    assert "has not answered for 1 s" in err
    assert len(err.splitlines()) == 1
    postgres.start()
    study = study_of(project, postgres_url)
    assert told(study) >= 2
    before = {t.number: t.value for t in study.get_trials() if t.state == TrialState.COMPLETE}
    # trials in flight were this process's, which lives: to the next one it has to look like another
    monkeypatch.setattr("pipeline.claims.is_alive", lambda _: False)
    project.must("search", "--trials", "6", *words)
    check(study, 6)
    assert {t.number: t.value for t in study.get_trials()}.items() >= before.items()


def test_an_address_that_is_wrong_is_refused_at_once(project: Project, postgres: Postgres) -> None:
    """No such database: in PostgreSQL's own words, without the password."""
    url = f"postgresql://studies:s3cret@127.0.0.1:{postgres.port}/nothing"
    code, _, err = project.run("search", "--storage", url, *QUICK)
    assert code == 2
    assert 'database "nothing" does not exist' in err
    assert "s3cret" not in err


@pytest.mark.slow
def test_four_workers_one_is_killed_and_the_database_restarts(
    project: Project, postgres: Postgres, postgres_url: str
) -> None:
    """24 trials: exactly so many told, none lost, none twice; all but the killed one exit with 0."""
    project.must("ingest")
    words = ("--trials", "24", "--storage", postgres_url, *LONGER)
    workers = [begun("worker", "tiny", *words) for _ in range(4)]
    wait_until(lambda: _has_study(postgres_url), alive=workers)
    study = study_of(project, postgres_url)
    wait_until(lambda: told(study) >= 4, alive=workers)
    wait_until(lambda: any(in_flight(study, worker) for worker in workers), alive=workers)
    killed = next(worker for worker in workers if in_flight(study, worker))
    killed.kill()
    rest = [worker for worker in workers if worker is not killed]
    wait_until(lambda: told(study) >= 9, alive=rest)
    postgres.stop()
    time.sleep(2)
    postgres.start()
    ends = [worker.communicate(timeout=600) for worker in workers]
    for worker, (_, err) in zip(workers, ends, strict=True):
        assert worker.returncode == (-signal.SIGKILL if worker is killed else 0), err
    check(study, 24)
    assert any(is_void(trial) for trial in study.get_trials())
    lines = [line.split()[1] for out, _ in ends for line in out.splitlines() if line.startswith("trial ")]
    assert len(lines) == len(set(lines))
    check_search_afterwards(project, 24, "--storage", postgres_url, *LONGER)


def _has_study(url: str) -> bool:
    """Asked without Optuna, which would make the tables itself."""
    import psycopg

    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(url) as connection:
        return connection.execute("SELECT 1 FROM studies").fetchone() is not None
    return False


# --- the default storage


@pytest.mark.slow
def test_sixteen_workers_on_the_file_that_is_the_default(project: Project) -> None:
    """None dies, everything asked for is told, exactly 48 trials."""
    project.must("ingest")
    words = ("worker", "tiny", "--trials", "48", *QUICK[2:], "--set", "train.epochs=40")
    workers = [begun(*words) for _ in range(16)]
    ends = [worker.communicate(timeout=600) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 16, [err for _, err in ends if err]
    study = study_of(project)
    check(study, 48)
    lines = [line.split()[1] for out, _ in ends for line in out.splitlines() if line.startswith("trial ")]
    assert sorted(map(int, lines)) == sorted(t.number for t in study.get_trials() if is_claimed(t))
    check_search_afterwards(project, 48, *words[4:])


def test_a_torn_journal_is_healed_and_said_and_the_sweep_goes_on(project: Project) -> None:
    """FAULT 13: a line without its end; no told trial is lost, the torn file is kept (test_journal cuts everywhere)."""
    project.must("worker", "--trials", "2", *QUICK)
    file = journal_of(project)
    file.write_bytes(file.read_bytes() + b'{"op_code":6,"worker_id":"0000","trial_')
    out = project.must("search", "--trials", "3", *QUICK)
    assert out.count("healed") == 1
    assert f"the torn file is {file.stem}.bak" in out
    assert "2 trials so far" in out
    assert file.with_suffix(".bak").read_bytes().endswith(b"trial_")
    check(study_of(project), 3)


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_the_journal_stays_whole(project: Project) -> None:
    """FAULT 4: no room for the journal's next lines; with room again the study goes on to exactly N."""
    project.must("worker", "--trials", "2", *QUICK)
    file = journal_of(project)
    room = str(file.stat().st_size + 1500)
    process = begun(room, "worker", "tiny", "--trials", "6", *QUICK, first=SMALL_DISK)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1
    assert f"{file.name}: File too large; make room" in err
    assert file.read_bytes().endswith(b"\n")
    out = project.must("worker", "--trials", "6", *QUICK)
    assert "healed" not in out
    check(study_of(project), 6)


@pytest.mark.slow
def test_sqlite_that_somebody_else_writes_to_is_waited_for_and_then_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 14: exit code 2 and the way out, PostgreSQL; when the lock is gone the study goes on."""
    holder = sqlite3.connect(project.root / "studies.db", isolation_level=None, check_same_thread=False)
    words = ("--storage", "sqlite:///studies.db", "--set", "search.patience=1s", *QUICK)
    with monkeypatch.context() as patch:
        on_told(patch, 2, lambda: holder.execute("BEGIN IMMEDIATE"))
        code, out, err = project.run("worker", "--trials", "5", *words)
    assert code == 2
    assert "take PostgreSQL" in err
    assert len(err.splitlines()) == 1
    assert out.count("does not answer") <= 1
    holder.execute("ROLLBACK")
    monkeypatch.setattr("pipeline.claims.is_alive", lambda _: False)
    project.must("worker", "--trials", "5", *words)
    check(study_of(project, "sqlite:///studies.db"), 5)


# --- processes that are stopped or killed


def test_a_sweep_that_is_interrupted_gives_back_what_is_in_flight(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 11: Ctrl-C as the second trial is told; the next run tries the same values."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        on_told(patch, 2, interrupt)
        code, _, err = project.run("worker", "--trials", "6", *QUICK)
    assert code == 130
    assert "the same command continues" in err
    study = study_of(project)
    assert counts(study).total() == told(study) == 2
    assert [t.state for t in study.get_trials() if not is_claimed(t)].count(TrialState.WAITING) >= 1
    project.must("worker", "--trials", "6", *QUICK)
    check(study_of(project), 6)


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kind", ["file", "PostgreSQL"])
def test_a_sweep_that_is_stopped_goes_on_to_exactly_as_many_trials(
    project: Project, request: pytest.FixtureRequest, kind: str, kill: signal.Signals, code: int
) -> None:
    """FAULT 11: a signal in the middle of training, twice; trials in flight are failed and queued again."""
    url = request.getfixturevalue("postgres_url") if kind == "PostgreSQL" else ""
    words = ("worker", "tiny", "--trials", "10", *LONGER, *(["--storage", url] if url else []))
    for number in range(2):
        process = begun(*words)
        assert process.stdout is not None
        assert next(line for line in process.stdout if line.startswith("trial "))
        study = study_of(project, url)
        wait_until(lambda study=study, process=process: bool(in_flight(study, process)), alive=[process])  # type: ignore[misc]
        process.send_signal(kill)
        _, err = process.communicate(timeout=300)
        assert process.returncode == code, (number, err)
        assert counts(study)[TrialState.RUNNING] == 0
        assert any(t.state == TrialState.WAITING for t in study.get_trials())
    process = begun(*words)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    check(study_of(project, url), 10)


@pytest.mark.slow
def test_a_trial_whose_process_is_killed_is_tried_three_times_and_then_has_a_cause(project: Project) -> None:
    """FAULT 12: with the same values each time; the study counts it, and goes on with others."""
    values = []
    for _ in range(3):
        process = begun("worker", "tiny", "--trials", "1", *FOR_EVER, "--parallel", "1")
        wait_until(lambda: bool(list(project.models.glob("study-*.journal"))), alive=[process])
        study = study_of(project)
        wait_until(lambda study=study, process=process: bool(in_flight(study, process)), alive=[process])  # type: ignore[misc]
        values.append(values_of(in_flight(study, process)[0]))
        process.kill()
        process.communicate()
    assert values[0] == values[1] == values[2]
    process = begun("worker", "tiny", "--trials", "1", *FOR_EVER, "--parallel", "1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    check(study, 1)
    [failed] = [trial for trial in study.get_trials() if is_claimed(trial)]
    assert failed.user_attrs[CAUSE].startswith("its process died 3 times")
