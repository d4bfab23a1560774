"""Parts of a stage spread over processes or a Dask cluster: what is kept is not computed again, what arrives is kept.

An existing engine schedules: joblib's processes (`process_crew`) or Dask (`dask_crew`), each a crew here.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import WorkerError
from pipeline.runtime import in_this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.devices import Places
    from pipeline.runtime import Checkpoint, Finished, Keep, Part, Runtime, Spread, Work
    from pipeline.tables import Compute

TRIES = 3  # a worker that was killed may have been unlucky; a pack that kills them all will do so again


@dataclass(frozen=True, slots=True)
class Task:
    """One part as a crew is given it."""

    number: int
    work: Work
    compute: Compute
    checkpoint: Checkpoint
    folder: str | None  # where rows may lie that fit into no memory; None: the system's for temporary files


class CrewLostError(Exception):
    """Workers died with tasks in hand; a crew can be asked again for what is missing."""


class Crew(Protocol):
    """Processes that compute tasks."""

    def results(self, shared: object, tasks: Sequence[Task]) -> Finished:
        """The tasks' values, as they arrive. Raises what a task raised; CrewLostError where workers died."""
        ...

    def close(self) -> None:
        """Let the processes go."""
        ...


class Spreader:
    """A `Spread` over a crew, which is hired when the first part has to be computed."""

    def __init__(self, hire: Callable[[], Crew]) -> None:
        self._hire = hire
        self._crew: Crew | None = None

    def __call__(
        self, shared: object, parts: Sequence[Part], runtime: Runtime, on_epochs: Callable[[int, int], None]
    ) -> Finished:
        """Kept parts first, then the others as they arrive. Raises WorkerError where workers keep dying."""
        del on_epochs  # a worker is heard of when its pack is finished
        missing: dict[int, Task] = {}
        for number, part in enumerate(parts):
            found = _look_up(runtime.keep, part.name)
            if isinstance(found, _Missing):
                missing[number] = Task(number, part.work, runtime.compute, found.checkpoint, runtime.room.folder)
            else:
                yield number, found
        tries = 0
        while missing:
            try:
                heaviest_first = sorted(missing.values(), key=lambda task: -parts[task.number].weight)
                with closing(self._hired().results(shared, heaviest_first)) as results:
                    for number, value in results:
                        del missing[number]
                        yield number, runtime.keep(parts[number].name, _arrived(value))
            except CrewLostError as loss:
                tries += 1
                if tries == TRIES:
                    raise WorkerError(
                        f"workers died {TRIES} times ({loss}), with {len(missing)} of {len(parts)} packs to train; "
                        f"mostly they are short of memory: use fewer (train.workers) or a smaller train.pack_size, and "
                        f"run the same command again: nothing finished is lost"
                    ) from loss

    def _hired(self) -> Crew:
        if self._crew is None:
            self._crew = self._hire()
        return self._crew

    def close(self) -> None:
        """Let the crew go, if there is one."""
        if self._crew is not None:
            self._crew.close()


class _Missing(Exception):  # noqa: N818  an answer, not a fault
    """Nothing is kept under a name; `checkpoint` is that of its part."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint


def _arrived(value: object) -> Callable[[Checkpoint], object]:
    return lambda _: value


def _look_up(keep: Keep, name: str) -> object:
    """What is kept under a name, or _Missing."""

    def refuse(checkpoint: Checkpoint) -> object:
        raise _Missing(checkpoint)

    try:
        return keep(name, refuse)
    except _Missing as missing:
        return missing


@contextmanager
def open_spread(places: Places) -> Iterator[Spread]:
    """How parts are computed at these places. Nothing is started nor connected to before there is a part to compute.

    Raises WorkerError where Dask is asked for and not installed.
    """
    if places.scheduler:
        hire = _dask(places.scheduler, places.gigabytes)
    elif places.devices:
        hire = _processes(places.devices, places.gigabytes)
    else:
        yield in_this_process
        return
    spreader = Spreader(hire)
    try:
        yield spreader
    finally:
        spreader.close()


def _processes(devices: Sequence[str], gigabytes: float) -> Callable[[], Crew]:
    def hire() -> Crew:
        from pipeline.process_crew import ProcessCrew

        return ProcessCrew(devices, gigabytes)

    return hire


def _dask(address: str, gigabytes: float) -> Callable[[], Crew]:
    if find_spec("distributed") is None:
        raise WorkerError(
            'train.engine = "dask" needs Dask, which is not installed here; run `pip install "foldpack[dask]"`, in a '
            "clone `make setup EXTRAS=dask`"
        )

    def hire() -> Crew:
        from pipeline.dask_crew import DaskCrew

        return DaskCrew(address, gigabytes)

    return hire
