"""Work on a device that is recorded once as a CUDA graph, then replayed: one launch in the place of hundreds.

On a GPU a step of small networks takes as long as its launches take, whatever they compute. A replay repeats them with
the same operands, so that a recording is good as long as everything is where it was: its caller says so by a signature.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import torch

from pipeline.engine.room import is_want_of_memory
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from torch.cuda import _POOL_HANDLE

NO_DEVICE = "no CUDA device"
T = TypeVar("T")


class Graph(Protocol):
    """A recording of work on a device."""

    def replay(self) -> None:
        """Do all of it again, on the current stream."""


class Backend(Protocol):
    """What can record work; in tests a CPU's imitation."""

    def warm(self, function: Callable[[], T]) -> T:
        """Call it where a recording would be made, so that all that is lazy is there."""

    def capture(self, function: Callable[[], T]) -> tuple[Graph, T]:
        """Record the work of one call, which is not done, and what it returned. Raises RuntimeError if it cannot be."""


class Captured(Generic[T]):
    """A function whose work is replayed. Guarantee: each call does the work exactly once, whichever way.

    function: takes nothing and works on tensors that stay where they are. A replay does not call it: nothing of it may
    happen on the host, and what it returns are the same tensors again, written over by the next call.
    keep: how many signatures keep their recordings; a short last batch of an epoch then costs nothing.
    """

    def __init__(self, function: Callable[[], T], backend: Backend | None, *, keep: int = 4) -> None:
        assert keep >= 1, "the recording in use must be kept"
        self._function, self._backend, self._keep = function, backend, keep
        self._recordings: dict[Hashable, tuple[Graph, T] | None] = {}  # None: warm; the last used are last
        self.reason = NO_DEVICE if backend is None else ""  # why calls are plain, "" if they are not
        self._lacks_memory = False  # whether that is the reason

    def __call__(self, signature: Hashable) -> T:
        """Do the work. With a new signature by a plain call, which warms up; then recorded; from then on replayed.

        signature: all that the recording depends on but the values in its operands: shapes, branches taken, places.
        """
        if self._backend is None or self.reason:
            return self._function()
        if signature not in self._recordings:
            result = self._backend.warm(self._function)
            self._remember(signature, None)
            return result
        recording = self._recordings.pop(signature)
        if recording is None:
            try:
                recording = self._backend.capture(self._function)
            # a refusal inside a function of the user's comes as a ConfigError; if that fails anyway, it does so below
            except (RuntimeError, ConfigError) as error:
                self.release()
                kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
                self.reason = f"capture failed: {kind}{error}".splitlines()[0]
                self._lacks_memory = is_want_of_memory(error.__cause__ or error)
                return self._function()
        self._remember(signature, recording)
        graph, result = recording
        graph.replay()
        return result

    def release(self) -> None:
        """Forget all recordings and give their memory back; a later call begins anew, also after a want of memory."""
        self._recordings.clear()
        if self._lacks_memory:
            self.reason, self._lacks_memory = "", False

    def _remember(self, signature: Hashable, recording: tuple[Graph, T] | None) -> None:
        self._recordings[signature] = recording
        while len(self._recordings) > self._keep:
            del self._recordings[next(iter(self._recordings))]


class CudaGraphs:
    """CUDA graphs of one device. All of them share one pool of memory: they must not be replayed side by side."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # warm-up and capture on one stream: autograd and cuBLAS remember the stream on which they began
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._live: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()

    def warm(self, function: Callable[[], T]) -> T:
        """Call it on the stream of recordings, behind all work so far and before all later work."""
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            try:
                with torch.cuda.stream(self._stream):
                    return function()
            finally:
                current.wait_stream(self._stream)

    def capture(self, function: Callable[[], T]) -> tuple[Graph, T]:
        """Record the work of one call. Raises RuntimeError where the work waits for the device, or is out of memory."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), _no_collection():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()  # what the warm-up left behind, which a recording cannot use
            pool = self._pool()
            with torch.cuda.stream(self._stream):
                try:
                    # other threads may go on allocating, copying and asking for events meanwhile
                    graph.capture_begin(pool=pool, capture_error_mode="thread_local")
                    result = function()
                    graph.capture_end()
                except BaseException:
                    _abandon(graph, pool, self._stream.device_index)
                    raise
        self._live.add(graph)
        return graph, result

    def _pool(self) -> _POOL_HANDLE:
        """The pool of the live graphs; one that all its graphs have left cannot be entered again."""
        for graph in self._live:
            return graph.pool()
        return torch.cuda.graph_pool_handle()


def backend_for(device: torch.device) -> Backend | None:
    """What records on this device: CUDA graphs, or None on a CPU, where calls are plain."""
    return CudaGraphs(device) if device.type == "cuda" else None


def _abandon(graph: torch.cuda.CUDAGraph, pool: _POOL_HANDLE, device: int) -> None:
    """End a recording that failed, so that the device and its allocator go on as before."""
    with contextlib.suppress(RuntimeError):
        graph.capture_end()  # raises, since the recording is spoilt
    # until torch 2.12 the allocator then takes it for unfinished, and fails at the next shortage of memory
    with contextlib.suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(device, pool)  # noqa: SLF001 - nothing public ends it


class _Rest:
    """The garbage collector's rest: it ends when the last of those who asked for it has left, in whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._was_on = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """A graph or an event that the collector destroys in the middle would spoil the recording."""
        with self._lock:
            if not self._asked:
                self._was_on = gc.isenabled()
                gc.disable()
            self._asked += 1
        try:
            yield
        finally:
            with self._lock:
                self._asked -= 1
                if not self._asked and self._was_on:
                    gc.enable()


_no_collection = _Rest()
