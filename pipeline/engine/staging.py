"""Batches on their way to the device: one host buffer is filled while the other one is still leaving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFERS = 2


def nothing() -> None:
    """Nobody has to be waited for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that is on its way."""

    batch: Tensor  # on the device, in the precision asked for
    left: Callable[[], None]  # waits until the host buffer may be overwritten
    arrived: Callable[[], None]  # what the caller queues on the device from now on sees the whole batch


class Lane(Protocol):
    """How batches get to one device. All but `index_on_host` is called by one thread, buffer and send in turn."""

    def buffer(self, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """A host tensor [rows, columns] to fill; waits until nobody needs what it held."""
        ...

    def send(self, filled: Tensor, dtype: torch.dtype) -> Sent:
        """Start the copy of the buffer that was filled last, as dtype."""
        ...

    def index_on_host(self, index: Tensor) -> Callable[[], Tensor]:
        """A copy of an index as it is now; the copy is there once the function that is returned has been called."""
        ...


class SameMemory:
    """The lane of a CPU: a batch is where it belongs as soon as it is filled."""

    def buffer(self, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """A fresh tensor, since the batch is the caller's to keep."""
        return torch.empty(rows, columns, dtype=dtype)

    def send(self, filled: Tensor, dtype: torch.dtype) -> Sent:
        """The tensor itself."""
        return Sent(filled.to(dtype), nothing, nothing)

    def index_on_host(self, index: Tensor) -> Callable[[], Tensor]:
        """A copy, for the caller may write into its own."""
        own = index.clone()
        return lambda: own


class Copies(Protocol):
    """What a device offers: memory that it can read while the host works, and copies that run by themselves."""

    def pinned(self, size: int) -> Tensor:
        """Host memory, uint8 [size]."""
        ...

    def start(self, filled: Tensor, dtype: torch.dtype) -> Sent:
        """Begin to copy a host tensor into a fresh one on the device."""
        ...

    def index_on_host(self, index: Tensor) -> Callable[[], Tensor]:
        """As in Lane."""
        ...


@dataclass(slots=True)
class _Buffer:
    memory: Tensor
    left: Callable[[], None] = nothing


class Alternating:
    """The lane of a device with memory of its own: two pinned buffers in turn, neither overwritten while it leaves."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._buffers = [_Buffer(torch.empty(0, dtype=torch.uint8)) for _ in range(BUFFERS)]
        self._turn = 0

    def buffer(self, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """The buffer whose turn it is, once its last batch has left; larger than before where it must be."""
        own = self._buffers[self._turn]
        own.left()
        size = rows * columns * dtype.itemsize
        if len(own.memory) < size:
            own.memory = self._copies.pinned(size)
        return own.memory[:size].view(dtype).view(rows, columns)

    def send(self, filled: Tensor, dtype: torch.dtype) -> Sent:
        """Start the copy; the other buffer is next."""
        sent = self._copies.start(filled, dtype)
        self._buffers[self._turn].left = sent.left
        self._turn = (self._turn + 1) % BUFFERS
        return sent

    def index_on_host(self, index: Tensor) -> Callable[[], Tensor]:
        """At once from the host, by the device's own means from the device."""
        return SameMemory().index_on_host(index) if index.device.type == "cpu" else self._copies.index_on_host(index)


class CudaCopies:
    """Copies on streams of their own, so that neither the host nor the stream that trains waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._down = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._up = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def pinned(self, size: int) -> Tensor:
        """Page-locked memory."""
        with torch.cuda.device(self._device):
            return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def start(self, filled: Tensor, dtype: torch.dtype) -> Sent:
        """As it is over the bus, then to dtype on the device."""
        with torch.cuda.stream(self._down):
            batch = filled.to(self._device, non_blocking=True)
            left = torch.cuda.Event()  # type: ignore[no-untyped-call]
            left.record()
            batch = batch.to(dtype)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()

        def arrived() -> None:
            trains = torch.cuda.current_stream(self._device)
            trains.wait_event(done)
            batch.record_stream(trains)  # its memory is not given to the next copy before this stream is through

        return Sent(batch, left.synchronize, arrived)

    def index_on_host(self, index: Tensor) -> Callable[[], Tensor]:
        """After whatever was queued before on the stream that trains: part of that may have made the index."""
        self._up.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._up):
            own = torch.empty(index.shape, dtype=index.dtype, pin_memory=True)
            own.copy_(index, non_blocking=True)
            there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            there.record()
        index.record_stream(self._up)

        def copied() -> Tensor:
            there.synchronize()
            return own

        return copied


def lane_to(device: torch.device) -> Lane:
    """How batches get there."""
    return SameMemory() if device.type == "cpu" else Alternating(CudaCopies(device))
