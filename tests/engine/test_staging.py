"""Buffers in turn: none is filled while what it held is still leaving."""

import contextlib
import threading

import pytest
import torch

from pipeline.engine.staging import Alternating, CudaCopies, SameMemory, Sent, lane_to


class HeldCopies:
    """Copies that begin when the test says so: until then the buffer is read, as a device would read it."""

    def __init__(self):
        self.made = []
        self.sizes = []

    def pinned(self, size):
        self.sizes.append(size)
        return torch.zeros(size, dtype=torch.uint8)

    def start(self, filled, dtype):
        copy = Copy(filled, dtype)
        self.made.append(copy)
        return Sent(copy.batch, copy.done.wait, copy.done.wait)

    def index_on_host(self, index):
        raise AssertionError("a host index needs no device")


class Copy:
    """One copy, not yet made."""

    def __init__(self, filled, dtype):
        self.filled, self.done = filled, threading.Event()
        self.batch = torch.empty(filled.shape, dtype=dtype)

    def let_go(self):
        self.batch.copy_(self.filled)
        self.done.set()


def fill(lane, value, rows=2, dtype=torch.float32):
    buffer = lane.buffer(rows, 3, dtype)
    buffer.fill_(value)
    return lane.send(buffer, dtype)


def test_two_batches_may_be_on_their_way_and_a_third_waits_for_the_first():
    """The third buffer is handed out only after the first copy is done, and the first batch is whole."""
    copies = HeldCopies()
    lane = Alternating(copies)
    first = fill(lane, 1)
    second, third = (threading.Thread(target=fill, args=(lane, value), daemon=True) for value in (2, 3))
    second.start()
    second.join(10)
    assert not second.is_alive()
    third.start()
    third.join(0.05)
    assert third.is_alive()
    copies.made[0].let_go()
    third.join(10)
    assert not third.is_alive()
    for copy in copies.made[1:]:
        copy.let_go()
    assert [copy.batch.unique().tolist() for copy in copies.made] == [[1], [2], [3]]
    assert first.batch is copies.made[0].batch


def test_a_buffer_grows_and_is_used_again():
    """Pinned memory is made once for each of the two, and anew only for a larger batch."""
    copies = HeldCopies()
    lane = Alternating(copies)
    for rows, dtype in ((2, torch.float32), (4, torch.float32), (1, torch.float64), (8, torch.bfloat16)):
        fill(lane, 1, rows, dtype)
        copies.made[-1].let_go()
    assert copies.sizes == [2 * 3 * 4, 4 * 3 * 4]
    fill(lane, 1, 4)
    assert copies.sizes == [24, 48, 48]


def test_a_buffer_that_was_never_sent_is_handed_out_again():
    """After an error between the two calls, nothing waits for ever."""
    lane = Alternating(HeldCopies())
    first = lane.buffer(2, 3, torch.float32)
    assert lane.buffer(2, 3, torch.float32).data_ptr() == first.data_ptr()


@pytest.mark.parametrize("lane", [SameMemory(), Alternating(HeldCopies())])
def test_an_index_is_kept_as_it_was(lane):
    """The caller may write into its own at once."""
    index = torch.arange(6).view(2, 3)
    kept = lane.index_on_host(index)
    index.zero_()
    assert kept().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_cpu_needs_no_copy():
    """A fresh tensor each time, sent as it is; another precision is made of it."""
    lane = lane_to(torch.device("cpu"))
    one, two = lane.buffer(2, 3, torch.float32), lane.buffer(2, 3, torch.float32)
    assert one.data_ptr() != two.data_ptr()
    assert lane.send(one, torch.float32).batch is one
    assert lane.send(one, torch.float64).batch.dtype == torch.float64


# --- copies on streams of their own


class Streams:
    """CUDA's streams and events, drawn up: what each stream has to do, in order, and which events it waits for."""

    def __init__(self, monkeypatch):
        streams = self
        self.trains = self.current = Stream()

        class Event:
            def record(self):
                self.after = tuple(streams.current.work)

            def synchronize(self):
                streams.awaited_by_host = self.after

        @contextlib.contextmanager
        def within(stream):
            before, streams.current = streams.current, stream
            yield
            streams.current = before

        monkeypatch.setattr(torch.cuda, "Stream", lambda _device: Stream())
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", within)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: self.current)


class Stream:
    """A queue of work."""

    def __init__(self):
        self.work, self.sees = [], ()

    def wait_event(self, event):
        self.sees = event.after


class Buffer:
    """A tensor of which only the moves are known."""

    def __init__(self, streams):
        self.streams, self.used_on = streams, []

    def to(self, where, **_how):
        self.streams.current.work.append(where)
        return self

    def record_stream(self, stream):
        self.used_on.append(stream)


def test_the_stream_that_trains_waits_for_the_whole_copy_and_the_host_for_the_bus_alone(monkeypatch):
    """Its wait is for an event after the move and the change of precision; the buffer is free after the move."""
    streams = Streams(monkeypatch)
    device, filled = torch.device("cuda"), Buffer(streams)
    sent = CudaCopies(device).start(filled, torch.float64)
    assert streams.trains.work == []
    assert streams.trains.sees == ()
    sent.left()
    assert streams.awaited_by_host == (device,)
    sent.arrived()
    assert streams.trains.sees == (device, torch.float64)
    assert filled.used_on == [streams.trains]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_work_that_is_queued_after_a_slow_copy_sees_all_of_it(dtype):
    """The copy stands behind a long wait on its own stream, into memory that held other numbers."""
    device = torch.device("cuda", torch.cuda.current_device())
    copies, size = CudaCopies(device), 1 << 20
    with torch.cuda.stream(copies._down):
        for other in (torch.float32, dtype):  # where the copy will lie, and what is made of it
            torch.full((size,), torch.nan, dtype=other, device=device)
    filled = copies.pinned(4 * size).view(torch.float32)
    filled.copy_(torch.arange(size))
    torch.cuda.synchronize()
    with torch.cuda.stream(copies._down):
        torch.cuda._sleep(1_000_000_000)  # cycles, about half a second
    sent = copies.start(filled, dtype)
    sent.arrived()
    seen = sent.batch.clone()  # on the stream that trains
    assert torch.equal(seen.cpu(), torch.arange(size).to(dtype))
