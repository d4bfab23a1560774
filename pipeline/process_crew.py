"""Processes of this machine, through joblib: one for each device, or so many for the CPU.

A design reaches them through files that joblib maps into memory, not copy by copy. They save checkpoints in the store,
for the disk is theirs too, and they stop when the process that started them is gone.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import filelock
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

from pipeline import usercode
from pipeline.devices import room_beside, room_for_rows
from pipeline.errors import WorkerError
from pipeline.runtime import Runtime
from pipeline.spreading import CrewLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runtime import Checkpoint, Finished
    from pipeline.spreading import Task

CLAIM_SECONDS = 60.0
PARENT_GONE = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What every process of a crew is told.

    folder: where devices are claimed; empty: they are all the same. root: the folder in which the command runs.
    gigabytes: of its device for rows, 0: a share.
    """

    devices: tuple[str, ...]
    folder: str
    parent: int
    root: str = "."
    gigabytes: float = 0.0


class ProcessCrew:
    """As many processes as `devices`, which may name one device more than once."""

    def __init__(self, devices: Sequence[str], gigabytes: float = 0.0) -> None:
        self._claims = tempfile.TemporaryDirectory(prefix="foldpack-") if len(set(devices)) > 1 else None
        folder = self._claims.name if self._claims else ""
        self._terms = Terms(tuple(devices), folder, os.getpid(), str(Path.cwd()), gigabytes)
        self._shared: object = None
        self._token = ""
        self._has_begun = False

    def results(self, shared: object, tasks: Sequence[Task]) -> Finished:
        """See `Crew.results`. A single task is computed here: starting processes for it gains nothing.

        Not where there are some: it may be one that has killed them.
        """
        if len(tasks) == 1 and not self._has_begun:
            [task] = tasks
            room = room_for_rows(task.compute.device, self._terms.gigabytes, _folder(task))
            yield task.number, task.work(shared, Runtime(task.compute, room=room), task.checkpoint, _tell_nobody)
            return
        if self._shared is not shared:
            self._shared, self._token = shared, uuid4().hex
        self._has_begun = True
        threads = tasks[0].compute.threads  # read by OpenMP and BLAS as they are loaded, so the environment says it
        with parallel_config(backend="loky", inner_max_num_threads=threads):
            processes = min(len(self._terms.devices), max(len(tasks), 2))  # asked for one, joblib starts none
            pool = Parallel(processes, batch_size=1, return_as="generator_unordered")
            results = pool(delayed(compute_task)(self._terms, self._token, shared, task) for task in tasks)
        try:
            for number, value in results:  # noqa: UP028  `yield from` would close them before `finally` is reached
                yield number, value
        except BrokenExecutor as error:
            raise CrewLostError("a process was killed") from error
        finally:
            with warnings.catch_warnings():  # joblib warns of tasks that are cancelled, which is what is wanted
                warnings.simplefilter("ignore")
                results.close()

    def close(self) -> None:
        """End the processes."""
        if self._has_begun:
            get_reusable_executor(reuse=True).shutdown(wait=True)
        if self._claims is not None:
            self._claims.cleanup()


def compute_task(terms: Terms, token: str, shared: object, task: Task) -> tuple[int, object]:
    """In a process of the crew: the task's number and value. token: names `shared`, so that one copy of it stays."""
    if _HELD.get("token") != token:
        _HELD.update(token=token, shared=shared)
        os.chdir(terms.root)  # joblib may hand us processes of an earlier command, which began elsewhere
        usercode.forget()
    compute = replace(task.compute, device=claim(terms)) if terms.folder else task.compute
    same = terms.devices.count(compute.device) - 1
    room = room_beside(len(terms.devices) - 1, compute.device, terms.gigabytes, _folder(task), on_device=same)
    checkpoint = WhileParentLives(task.checkpoint, terms.parent)
    return task.number, task.work(_HELD["shared"], Runtime(compute, room=room), checkpoint, _tell_nobody)


def _folder(task: Task) -> Path:
    return Path(task.folder or tempfile.gettempdir())


_HELD: dict[str, object] = {}
_CLAIMED: dict[str, tuple[filelock.BaseFileLock, str]] = {}


def claim(terms: Terms) -> str:
    """The device of this process, claimed once: its lock is held to the end, and the kernel releases it with us."""
    if terms.folder not in _CLAIMED:
        deadline = time.monotonic() + CLAIM_SECONDS
        while (found := _free(terms)) is None:  # one that was killed may take a moment to go
            if time.monotonic() > deadline:
                raise WorkerError(f"no device is free among {', '.join(terms.devices)}; run the same command again")
            time.sleep(0.1)
        _CLAIMED[terms.folder] = found
    return _CLAIMED[terms.folder][1]


def _free(terms: Terms) -> tuple[filelock.BaseFileLock, str] | None:
    for number, device in enumerate(terms.devices):
        lock = filelock.FileLock(Path(terms.folder) / f"{number}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            continue
        return lock, device
    return None


class WhileParentLives:
    """A checkpoint that is asked at every step anyway: without the parent nobody waits for the result."""

    def __init__(self, checkpoint: Checkpoint, parent: int) -> None:
        self._checkpoint, self._parent = checkpoint, parent

    def load(self) -> object | None:
        """The last state that was saved."""
        return self._checkpoint.load()

    def due(self) -> bool:
        """Whether it is time to save; ends the process if its parent has ended."""
        if os.getppid() != self._parent:
            os._exit(PARENT_GONE)  # at once: another run may already go on from the last checkpoint
        return self._checkpoint.due()

    def save(self, state: object) -> None:
        """Keep this state instead of the last one."""
        self._checkpoint.save(state)


def _tell_nobody(epochs: int) -> None:
    del epochs
