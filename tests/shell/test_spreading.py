"""Parts spread over a crew: what is kept, what is asked again, what a person reads. The crews here are lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import spreading
from pipeline.devices import Places, resolve_places, room_beside
from pipeline.errors import ConfigError, WorkerError
from pipeline.runtime import NoCheckpoint, Part, Runtime, in_this_process
from pipeline.spreading import CrewLostError, Spreader, open_spread
from pipeline.tables import Compute
from pipeline.training_settings import Train
from tests.works import Sum

if TYPE_CHECKING:
    from tests.shell.conftest import Project

COMPUTE = Compute("cpu", 1, "fp32")
PARTS = [Part(f"part-{number}", Sum(number), weight) for number, weight in enumerate([1.0, 3.0, 2.0, 4.0])]


class Script:
    """A crew that does what its script says: a number arrives, "lost" is workers dying, an error is raised."""

    def __init__(self, *acts: list[object]) -> None:
        self.acts, self.asked, self.closed, self.left = list(acts), [], 0, 0

    def results(self, shared, tasks):
        self.asked.append([task.number for task in tasks])
        try:
            for act in self.acts.pop(0):
                if isinstance(act, BaseException):
                    raise act
                yield act, f"value {act}"
        finally:
            self.left += 1

    def close(self):
        self.closed += 1


def spread_over(crew, keep=None):
    """Everything that comes out, in order."""
    runtime = Runtime(COMPUTE, keep=keep) if keep else Runtime(COMPUTE)
    return list(Spreader(lambda: crew)([1, 2], PARTS, runtime, lambda *_: None))


def test_the_heaviest_part_is_begun_first_and_values_come_as_they_arrive():
    """Weights 1, 3, 2, 4; the crew hands them back in its own order."""
    crew = Script([2, 0, 3, 1])
    assert spread_over(crew) == [(number, f"value {number}") for number in (2, 0, 3, 1)]
    assert crew.asked == [[3, 1, 2, 0]]


def test_what_is_kept_is_not_given_to_a_crew_and_what_arrives_is_kept_at_once():
    """Part 1 is there already; part 3 is kept when the crew fails over part 0."""
    kept = {"part-1": "kept"}

    def keep(part, compute):
        if part not in kept:
            kept[part] = compute(NoCheckpoint())
        return kept[part]

    crew = Script([3, ZeroDivisionError("part 0")])
    with pytest.raises(ZeroDivisionError):
        spread_over(crew, keep)
    assert crew.asked == [[3, 2, 0]]
    assert kept == {"part-1": "kept", "part-3": "value 3"}
    again = Script([0, 2])
    assert dict(spread_over(again, keep)) == {0: "value 0", 1: "kept", 2: "value 2", 3: "value 3"}
    assert again.asked == [[2, 0]]


def test_no_crew_is_hired_where_everything_is_kept():
    """No process and no connection for a run that computes nothing."""
    spreader = Spreader(lambda: pytest.fail("hired"))
    runtime = Runtime(COMPUTE, keep=lambda part, compute: part)
    assert len(list(spreader(None, PARTS, runtime, lambda *_: None))) == 4
    spreader.close()


def test_a_crew_that_lost_workers_is_asked_again_for_what_is_missing():
    """Twice it loses workers, with less to do each time; the third time it finishes."""
    crew = Script([3, CrewLostError("dead")], [CrewLostError("dead")], [1, 2, 0])
    assert [number for number, _ in spread_over(crew)] == [3, 1, 2, 0]
    assert crew.asked == [[3, 1, 2, 0], [1, 2, 0], [1, 2, 0]]


def test_a_crew_that_keeps_dying_is_a_sentence():
    """Three times: how many packs are missing, the likely reason, and what to do."""
    crew = Script([3, CrewLostError("killed")], [CrewLostError("killed")], [CrewLostError("killed")])
    with pytest.raises(WorkerError) as raised:
        spread_over(crew)
    assert str(raised.value) == (
        "workers died 3 times (killed), with 3 of 4 packs to train; mostly they are short of memory: use fewer "
        "(train.workers) or a smaller train.pack_size, and run the same command again: nothing finished is lost"
    )


def test_a_consumer_that_stops_ends_the_work_of_the_crew():
    """Closed after the first value, as by an error or Ctrl-C in what uses it."""
    crew = Script([3, 1, 2, 0])
    values = Spreader(lambda: crew)(None, PARTS, Runtime(COMPUTE), lambda *_: None)
    next(values)
    assert crew.left == 0
    values.close()
    assert crew.left == 1


def test_a_crew_is_let_go_when_the_command_ends(monkeypatch):
    """Also where the command fails."""
    crew = Script([0, 1, 2, 3])
    monkeypatch.setattr(spreading, "_processes", lambda devices, gigabytes: lambda: crew)

    def command():
        with open_spread(Places(("cpu", "cpu"))) as spread:
            list(spread(None, PARTS, Runtime(COMPUTE), lambda *_: None))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()
    assert crew.closed == 1


def test_without_other_places_parts_are_computed_here():
    """The default: in this process, each from its checkpoint, each epoch heard of."""
    heard = []
    with open_spread(Places()) as spread:
        assert spread is in_this_process
        found = list(spread([1, 2], PARTS, Runtime(COMPUTE), lambda *told: heard.append(told)))
    assert [value[0] for _, value in found] == [0, 3, 6, 9]
    assert heard == [(0, 1), (1, 1), (2, 1), (3, 1)]


# --- where that is


def places_of(cores, gpus, monkeypatch, **settings):
    """Resolved on a machine with so many cores and GPUs."""
    monkeypatch.setattr("pipeline.devices.available_cores", lambda: cores)
    monkeypatch.setattr("pipeline.devices.cuda_devices", lambda: gpus)
    compute, places = resolve_places(Train(**settings))
    return compute.device, compute.threads, compute.shares, places.devices, places.scheduler


TWO_GPUS = ("cuda:0", "cuda:1")
TCP = "tcp://10.0.0.5:8786"


@pytest.mark.parametrize(
    ("cores", "gpus", "settings", "expected"),
    [
        (4, 0, {}, ("cpu", 4, 1, (), "")),
        (4, 1, {}, ("cuda", 4, 1, (), "")),
        (4, 2, {}, ("cuda", 2, 2, TWO_GPUS, "")),
        (4, 2, {"device": "cuda"}, ("cuda", 2, 2, TWO_GPUS, "")),
        (4, 2, {"device": "cuda:1"}, ("cuda:1", 4, 1, (), "")),
        (4, 2, {"device": "cpu"}, ("cpu", 4, 1, (), "")),
        (4, 2, {"workers": 1}, ("cuda", 4, 1, (), "")),
        (4, 0, {"workers": 3, "threads": 1}, ("cpu", 1, 3, (), "")),
        (4, 0, {"engine": "processes"}, ("cpu", 1, 4, ("cpu",) * 4, "")),
        (4, 0, {"engine": "processes", "threads": 2}, ("cpu", 2, 2, ("cpu",) * 2, "")),
        (4, 0, {"engine": "processes", "workers": 3}, ("cpu", 1, 3, ("cpu",) * 3, "")),
        (64, 0, {"engine": "processes"}, ("cpu", 8, 8, ("cpu",) * 8, "")),
        (1, 0, {"engine": "processes"}, ("cpu", 1, 1, (), "")),
        (8, 2, {"engine": "processes", "workers": 4}, ("cuda", 2, 4, TWO_GPUS * 2, "")),
        (8, 2, {"engine": "processes", "device": "cuda:1", "workers": 2}, ("cuda:1", 4, 2, ("cuda:1",) * 2, "")),
        (4, 0, {"engine": "dask", "scheduler": TCP}, ("cpu", 1, 1, (), TCP)),
        (4, 0, {"engine": "dask", "scheduler": TCP, "workers": 6, "threads": 3}, ("cpu", 3, 6, (), TCP)),
    ],
)
def test_places_and_threads_follow_from_the_machine_and_the_settings(cores, gpus, settings, expected, monkeypatch):
    """Device, threads of one process, shares, a device for each process, the scheduler. Threads never exceed cores."""
    assert places_of(cores, gpus, monkeypatch, precision="fp32", **settings) == expected


def test_a_gpu_that_is_not_there_is_still_a_sentence(monkeypatch):
    """With any engine."""
    with pytest.raises(ConfigError, match="this machine has 2 CUDA devices"):
        places_of(4, 2, monkeypatch, device="cuda:2", engine="processes")


def test_processes_share_what_memory_there_is(monkeypatch, tmp_path):
    """800 bytes free, half of them for rows: beside three others a quarter of that, in all and of a shared device."""
    monkeypatch.setattr("pipeline.devices._free_memory", lambda: 800)
    rooms = [room_beside(others, "cpu", 0.0, tmp_path) for others in (0, 3)]
    assert [(room.device, room.host, room.folder) for room in rooms] == [
        (400, 400, str(tmp_path)),
        (100, 100, str(tmp_path)),
    ]
    on_gpu = room_beside(3, "cuda:1", 8.0, tmp_path, on_device=1)
    assert (on_gpu.device, on_gpu.host) == (4_000_000_000, 100)


# --- at the command line


def test_dask_that_is_not_installed_is_one_sentence(project: Project, monkeypatch):
    """Exit code 2, and how to get it; nothing is computed."""
    monkeypatch.setattr(spreading, "find_spec", lambda name: None)
    code, out, err = project.run("train", "--engine", "dask", "--scheduler", TCP)
    assert code == 2
    assert err == (
        'error: train.engine = "dask" needs Dask, which is not installed here; run `pip install "foldpack[dask]"`, '
        "in a clone `make setup EXTRAS=dask`\n"
    )
    assert "computed" not in out


def test_dask_without_an_address_is_one_sentence(project: Project):
    """Told before anything is read."""
    code, _, err = project.run("train", "--engine", "dask")
    assert code == 2
    assert 'engine = "dask" needs scheduler, its address; add --scheduler tcp://HOST:8786' in err


def test_options_are_settings(project: Project):
    """--engine, --workers and --scheduler stand for train.engine, train.workers and train.scheduler."""
    shown = project.must("config", "show", "--set", "train.seeds=3").splitlines()
    assert 'train.engine = "local"' in shown
    from pipeline.cli import parse

    typed = parse(["train", "--engine", "dask", "--workers", "3", "--scheduler", TCP, "--device", "cpu"])
    assert set(typed.settings) == {
        'train.engine="dask"', "train.workers=3", f'train.scheduler="{TCP}"', 'train.device="cpu"'
    }  # fmt: skip


def test_the_cut_is_part_of_a_training_on_a_cpu_and_where_it_runs_is_not(project: Project):
    """Company decides the last bits, so `workers` makes a training another one; the engine alone does not."""
    project.must("train", "--set", "train.threads=1", "--workers", "2")
    words = project.must("explain", "train", "--set", "train.threads=1", "--workers", "3")
    assert "  - shares was 2, is 3" in words
    same = ("--set", "train.threads=1", "--workers", "2", "--engine", "dask", "--scheduler", TCP)
    assert "train is fresh" in project.must("explain", "train", *same)
    assert "cached" in project.must("train", *same)  # and no scheduler is asked
