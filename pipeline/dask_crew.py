"""A Dask cluster: workers on any machine that reach one scheduler.

Dask's own client, not joblib's backend for it, which waits for ever once a task's workers keep dying
(docs/decisions/008). A design is sent to every worker once. A worker whose code or libraries are not ours is refused.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed, get_worker
from distributed.comm.registry import backends

from pipeline import usercode
from pipeline.devices import room_beside
from pipeline.digests import code_digest, library_versions, user_code
from pipeline.errors import ConfigError, WorkerError
from pipeline.runtime import NoCheckpoint, Runtime
from pipeline.spreading import CrewLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.runtime import Finished, Work
    from pipeline.spreading import Task
    from pipeline.tables import Compute

CONNECT_SECONDS = 10
WORKER_SECONDS = 30


class _Client(Client):  # type: ignore[misc]  # its class is typed by halves
    """One that could not connect is silent when it is thrown away: whoever asked for it has been told."""

    def __del__(self) -> None:
        with suppress(Exception):
            super().__del__()


class DaskCrew:
    """The workers behind one scheduler; they are found there, not started here."""

    def __init__(self, address: str, gigabytes: float = 0.0) -> None:
        _check_address(address)
        self._address, self._gigabytes = address, gigabytes
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it reports, we raise as one sentence
        try:
            self._client = _Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # TypeError: tls without its certificates
            raise WorkerError(
                f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s ({error}); start one with "
                f"`dask scheduler`, or name the right address with train.scheduler"
            ) from error
        self._shared: object = None
        self._sent: Future | None = None

    def results(self, shared: object, tasks: Sequence[Task]) -> Finished:
        """See `Crew.results`. Closed early, tasks that wait are cancelled and those that run are told to stop."""
        run = uuid4().hex
        sent = self._send(shared)
        waiting: dict[Future, Task] = {}
        try:
            for task in tasks:
                ours = (Terms(run, self._gigabytes), versions_of(task.work))
                # Dask expects of a task what those of its prefix took, and would not hand it to an idle worker if that
                # was short; so each is one of its own kind
                key = f"pack{task.number}_{run}"
                waiting[self._client.submit(compute_task, sent, task.work, task.compute, *ours, key=key)] = task
            for future in as_completed(list(waiting), loop=self._client.loop):
                task = waiting.pop(future)
                yield task.number, self._value(future)
        finally:
            if waiting:
                self._stop(run, list(waiting))

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._client.close()

    def _send(self, shared: object) -> Future:
        if self._sent is None or self._shared is not shared:
            try:
                self._client.wait_for_workers(1, timeout=WORKER_SECONDS)
                self._sent = self._client.scatter(shared, broadcast=True, hash=False)
            except TimeoutError as error:
                raise WorkerError(
                    f"the Dask scheduler at {self._address} has no worker; start some: `dask worker {self._address}`"
                ) from error
            except OSError as error:
                raise self._lost() from error
            self._shared = shared
        return self._sent

    def _value(self, future: Future) -> object:
        if future.status in ("finished", "error"):
            try:
                return future.result()
            except KilledWorker as error:
                raise WorkerError(
                    f"a pack killed several Dask workers in turn ({error}); mostly they are short of memory: give them "
                    f"more, or use a smaller train.pack_size, and run the same command again: nothing finished is lost"
                ) from error
        self._sent = None  # rows that only a dead worker held are lost with it
        if self._client.status != "running":
            raise self._lost()
        raise CrewLostError(f"Dask says {future.status}")

    def _lost(self) -> WorkerError:
        return WorkerError(
            f"the connection to the Dask scheduler at {self._address} was lost; run the same command again when it is "
            f"back: nothing finished is lost"
        )

    def _stop(self, run: str, futures: Sequence[Future]) -> None:
        with suppress(Exception):  # whatever ended the work counts, not that its end could not be told
            self._client.cancel(futures)
            self._client.run(stop, run, on_error="ignore")


def _check_address(address: str) -> None:
    """Raises ConfigError where Dask knows no such kind, or host or port is missing."""
    kind, _, rest = address.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        is_whole = bool(parts.hostname and parts.port) if kind in ("", "tcp", "tls") else kind in backends
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ConfigError(
            f"train.scheduler = {address!r} is no address; expected host and port, such as tcp://10.0.0.5:8786"
        )


class StoppedError(Exception):
    """The run that a pack belongs to was given up."""


class UntilStopped(NoCheckpoint):
    """Saves nothing, for a worker has no store; it is asked at every step, and so can end a pack that nobody wants."""

    def __init__(self, run: str) -> None:
        self._run = run

    def due(self) -> bool:
        """Never; raises StoppedError once the run was given up."""
        if self._run in _STOPPED:
            raise StoppedError(self._run)
        return False


_STOPPED: set[str] = set()


def stop(run: str) -> None:
    """In each worker: end the packs of a run at their next step."""
    _STOPPED.add(run)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker is told. gigabytes: of its device for rows, 0: a share of what is free."""

    run: str
    gigabytes: float


def compute_task(shared: object, work: Work, compute: Compute, terms: Terms, versions: Mapping[str, str]) -> object:
    """In a worker: the work's value. Raises WorkerError where this worker would compute something else."""
    worker = get_worker()
    _check(worker.address, work, versions)
    room = room_beside(worker.state.nthreads - 1, compute.device, terms.gigabytes)
    return work(shared, Runtime(compute, room=room), UntilStopped(terms.run), _tell_nobody)


def _check(address: str, work: Work, versions: Mapping[str, str]) -> None:
    try:
        other = list(differences(versions, versions_of(work)))
    except ConfigError as error:
        raise WorkerError(
            f"the Dask worker at {address} cannot find your function: {error}; start it in a copy of this folder"
        ) from None
    if other:
        raise WorkerError(
            f"the Dask worker at {address} has not the code and libraries of this process ({'; '.join(other[:4])}); "
            f"install the same there and start it again"
        )
    theirs = {name: versions[name] for name in user_code(work.users_code)[0]}
    with _READING:
        if theirs != _LOADED:  # edited since this worker imported them for another run
            usercode.forget()
            _LOADED.clear()
            _LOADED.update(theirs)


def versions_of(work: Work) -> dict[str, str]:
    """Digest or version of everything that the work's module and the user's functions reach: as in its result's key."""
    with _READING:
        users, libraries = user_code(work.users_code)
        module = type(work).__module__
        if not module.startswith("pipeline."):
            return {**users, **libraries}
        return {**users, **libraries, **code_digest(module), **library_versions(module)}


_READING = threading.Lock()
_LOADED: dict[str, str] = {}  # digests of the user's files as this worker imported them


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    """In words, how a worker differs from the process that asks it."""
    for name in sorted({*here, *there}):
        if here.get(name) == there.get(name):
            continue
        if name.startswith("pipeline") or name.endswith(".py"):
            yield f"{name} is another one"
        else:
            yield f"{name} is {there.get(name, 'absent')} there, {here.get(name, 'absent')} here"


def _tell_nobody(epochs: int) -> None:
    del epochs
