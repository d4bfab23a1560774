"""Where batches come from: rows that lie on the device, or rows that stream to it while it computes."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.staging import lane_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from pipeline.engine.staging import Lane, Sent

READERS = 16  # threads that fetch rows of a file; more than cores, for they wait for the disk
LEAST_ROWS = 64  # below that a thread costs more than it saves
INLINE_VALUES = 1 << 15  # what PyTorch copies without threads of its own
VALUES_AT_A_TIME = 1 << 24  # rows x columns of a matrix that is moved as a whole


class Source(Protocol):
    """Rows by their numbers. The same index gives the same bits from every source of the same matrix."""

    @property
    def matrix(self) -> Tensor:
        """All rows [R, D], where they lie."""
        ...

    @property
    def device(self) -> torch.device:
        """Where batches are needed."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The precision of a batch."""
        ...

    @property
    def rows(self) -> int:
        """R."""
        ...

    @property
    def columns(self) -> int:
        """D."""
        ...

    def gather(self, index: Tensor) -> Tensor:
        """The rows [M, B, D] of an index int64 [M, B], on the device; the caller's to keep."""
        ...

    def prefetch(self, index: Tensor) -> None:
        """Begin to fetch what the next `gather` will ask for; another index then is right all the same, only later.

        Called before the work that is to go on meanwhile is queued. The index may lie on the host, which is faster, or
        on the device.
        """
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """All rows lie on the device."""

    matrix: Tensor  # [R, D]

    @property
    def device(self) -> torch.device:
        """That of the matrix."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """That of the matrix."""
        return self.matrix.dtype

    @property
    def rows(self) -> int:
        """R."""
        return self.matrix.shape[0]

    @property
    def columns(self) -> int:
        """D."""
        return self.matrix.shape[1]

    def gather(self, index: Tensor) -> Tensor:
        """The rows [M, B, D] of an index [M, B]."""
        return self.matrix.index_select(0, index.reshape(-1)).view(*index.shape, -1)

    def prefetch(self, index: Tensor) -> None:
        """They are there."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    sent: Sent
    lines: int  # different lines of the index, whose rows were sent
    line_of_model: Tensor | None  # [M] on the host; None: each model has its own


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A fetch that has begun."""

    asked: Tensor  # the very index that was handed over, and how often it had been written into by then
    version: int
    on_host: Callable[[], Tensor]
    result: Future[_Fetched]

    def is_of(self, index: Tensor) -> bool:
        """Whether these are the rows of this index; compared by value where that does not keep the host waiting."""
        if index.device.type != "cpu" and index is self.asked:
            return _version(index) == self.version
        return index.shape == self.asked.shape and torch.equal(index.cpu(), self.on_host())


class Streamed:
    """Rows stay on the host, in memory or in a file; a thread fetches the next batch while the device computes.

    host: [R, D], a tensor on the CPU or a numpy array or memmap, never written to. dtype: the precision of batches, by
    default the host's; what is narrower is made on the host, what is wider on the device, so that the bus carries the
    fewer bytes. Models that ask for the same rows (candidates of one fold and seed do) have them sent once; one by one,
    equal rows in unlike orders are too rare to be looked for.
    """

    def __init__(
        self,
        host: Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]],
        device: torch.device,
        dtype: torch.dtype | None = None,
        *,
        lane: Lane | None = None,
    ) -> None:
        self.matrix = host if isinstance(host, Tensor) else _as_tensor(host)
        self.rows, self.columns = self.matrix.shape
        self.device, self.dtype = device, dtype or self.matrix.dtype
        self._on_bus = min(self.matrix.dtype, self.dtype, key=lambda each: each.itemsize)
        self._lane = lane or lane_to(device)
        # one thread keeps fetches in order; under it, a file of rows is read by several
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="rows")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="row") if device.type == "cpu" else None
        self._ahead: _Fetch | None = None

    def gather(self, index: Tensor) -> Tensor:
        """The rows [M, B, D] of an index [M, B]: those fetched ahead if they are the ones.

        Raises what the fetch raised, in whichever thread.
        """
        fetch, self._ahead = self._ahead, None
        if fetch is None or not fetch.is_of(index):
            if fetch is not None:
                fetch.result.cancel()
            fetch = self._begin(index)
        fetched = fetch.result.result()
        fetched.sent.arrived()
        batch = fetched.sent.batch.view(fetched.lines, *index.shape[1:], self.columns)
        if fetched.line_of_model is None:
            return batch
        return batch.index_select(0, fetched.line_of_model.to(self.device))

    def prefetch(self, index: Tensor) -> None:
        """Begin to fetch these rows; one batch ahead, so what was begun before is forgotten."""
        if self._ahead is not None:
            self._ahead.result.cancel()
        self._ahead = self._begin(index)

    def _begin(self, index: Tensor) -> _Fetch:
        on_host = self._lane.index_on_host(index)
        return _Fetch(index, _version(index), on_host, self._fetcher.submit(self._fetch, on_host))

    def _fetch(self, on_host: Callable[[], Tensor]) -> _Fetched:
        index, line_of_model = _different_lines(on_host())
        batch = self._lane.buffer(index.numel(), self.columns, self._on_bus)
        self._read(index.reshape(-1), batch)
        return _Fetched(self._lane.send(batch, self.dtype), len(index), line_of_model)

    def _read(self, index: Tensor, batch: Tensor) -> None:
        size = max(LEAST_ROWS, min(-(-len(index) // READERS), INLINE_VALUES // self.columns))
        if self._readers is None or len(index) <= size:
            self._copy(index, batch)
            return
        parts = zip(torch.split(index, size), torch.split(batch, size), strict=True)
        reads = [self._readers.submit(self._copy, own, place) for own, place in parts]
        wait(reads)  # for all of them, also where one fails: the next batch may be read into the same buffer
        for read in reads:
            read.result()

    def _copy(self, index: Tensor, batch: Tensor) -> None:
        if batch.dtype == self.matrix.dtype:
            torch.index_select(self.matrix, 0, index, out=batch)
        else:
            batch.copy_(self.matrix.index_select(0, index))


def _different_lines(index: Tensor) -> tuple[Tensor, Tensor | None]:
    """The different lines of an index [M, B], and which one each model asks for; None: all are different."""
    if len(index) < 2:
        return index, None
    # a guess by both ends of each line, which is then looked at in full: exact, and cheap where all differ
    ends = index[:, [0, -1]].numpy()
    _, first, line_of_model = np.unique(ends, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(index):
        return index, None
    lines, of_model = index[torch.from_numpy(first)], torch.from_numpy(line_of_model.reshape(-1))
    return (lines, of_model) if torch.equal(lines[of_model], index) else (index, None)


def _version(index: Tensor) -> int:
    return -1 if index.is_inference() else index._version  # noqa: SLF001 - PyTorch's own count of writes in place


def _as_tensor(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    with warnings.catch_warnings():  # a file that may only be read makes PyTorch warn of writes, which never happen
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def choose_source(
    matrix: Tensor, device: torch.device, cap_bytes: int, product: torch.dtype | None = None
) -> Resident | Streamed:
    """Rows on the device if `cap_bytes` hold them in the precision of `product` (None: their own), else streamed ones.

    A matrix that needs neither a move nor another precision is taken as it is.
    """
    dtype = product or matrix.dtype
    fits = matrix.numel() * dtype.itemsize <= cap_bytes
    if matrix.device.type != "cpu" or fits:
        return Resident(_moved(matrix, device, dtype))
    return Streamed(matrix, device, dtype)


def _moved(matrix: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix there and as such, copied in parts: no second copy in another precision beside it."""
    if matrix.device.type == device.type and matrix.dtype == dtype:
        return matrix
    moved = torch.empty(matrix.shape, dtype=dtype, device=device)
    size = max(1, VALUES_AT_A_TIME // matrix.shape[1])
    for part, place in zip(torch.split(matrix, size), torch.split(moved, size), strict=True):
        place.copy_(part)
    return moved
