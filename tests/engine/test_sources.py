"""Batches are the same bits wherever the rows lie, whatever was fetched ahead."""

import gc
import threading
import time

import numpy as np
import pytest
import torch
from builders import job, rows_and_target
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.data import Data
from pipeline.engine.draws import job_key
from pipeline.engine.fit import Watch, fit
from pipeline.engine.mapped import mapped_rows
from pipeline.engine.sources import Resident, Streamed, choose_source
from pipeline.engine.staging import Alternating, SameMemory, Sent

CPU = torch.device("cpu")
R, D = 50, 3
ROWS = torch.randn(R, D, generator=torch.Generator().manual_seed(0))
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use")
indices = st.integers(1, 4).flatmap(
    lambda M: st.integers(1, 6).flatmap(
        lambda B: st.lists(st.lists(st.integers(0, R - 1), min_size=B, max_size=B), min_size=M, max_size=M)
    )
)


class SlowCopies:
    """A device that reads a buffer only some time after its copy was queued, in another thread."""

    def __init__(self, seconds=0.002):
        self.seconds, self.sent = seconds, []

    def pinned(self, size):
        return torch.zeros(size, dtype=torch.uint8)

    def start(self, filled, dtype):
        batch, done = torch.full(filled.shape, torch.nan, dtype=dtype), threading.Event()
        self.sent.append((filled.dtype, len(filled)))

        def copy():
            batch.copy_(filled)
            done.set()

        threading.Timer(self.seconds, copy).start()
        return Sent(batch, done.wait, done.wait)

    def index_on_host(self, index):
        raise AssertionError("indices lie on the host here")


def streamed(host=ROWS, dtype=None, copies=None):
    """A source whose device is slow."""
    return Streamed(host, CPU, dtype, lane=Alternating(copies or SlowCopies()))


def same(batch, rows, index, dtype=torch.float32):
    """Bit for bit what direct indexing gives."""
    expected = rows[torch.as_tensor(index)].to(dtype)
    return batch.dtype == dtype and batch.shape == expected.shape and torch.equal(batch, expected)


# --- the same bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", ["tensor", "array", "read-only memmap", "file", "float64", "slow device"])
def test_a_batch_is_what_direct_indexing_gives(kind, dtype, tmp_path):
    """From memory and from files, in another precision too, with and without a fetch ahead."""
    host = ROWS.double() if kind == "float64" else ROWS
    if kind == "array":
        host = ROWS.numpy()
    elif kind == "read-only memmap":
        ROWS.numpy().tofile(tmp_path / "rows")
        host = np.memmap(tmp_path / "rows", np.float32, "r", shape=(R, D))
    elif kind == "file":
        host = mapped_rows(R, D, torch.float32, str(tmp_path))
        host.copy_(ROWS)
    source = streamed(dtype=dtype) if kind == "slow device" else Streamed(host, CPU, dtype)
    first, second = torch.tensor([[1, 4, 4, 0], [49, 2, 7, 8]]), torch.tensor([[3], [3], [5]])
    source.prefetch(first)
    batches = [source.gather(first), source.gather(second), source.gather(first)]
    rows = ROWS.double() if kind == "float64" else ROWS
    for batch, index in zip(batches, (first, second, first), strict=True):
        assert same(batch, rows, index, dtype)
    assert (source.rows, source.columns, source.device, source.dtype) == (R, D, CPU, dtype)


def test_a_large_batch_is_read_by_several_threads_in_the_order_of_its_index():
    """More rows than a thread takes at a time."""
    rows = torch.randn(3000, 200)
    index = torch.randint(3000, (5, 1111))
    assert same(Streamed(rows, CPU).gather(index), rows, index)
    assert same(Streamed(rows, CPU, torch.bfloat16).gather(index), rows, index, torch.bfloat16)


@given(st.lists(st.tuples(st.booleans(), indices), max_size=8))
def test_any_index_after_any_prefetch(calls):
    """A fetch ahead of other rows is not used; on a device of its own and on the CPU."""
    for source in (streamed(copies=SlowCopies(0)), Streamed(ROWS, CPU), Resident(ROWS)):
        for ahead, wanted in calls:
            index = torch.tensor(wanted)
            if ahead:
                source.prefetch(index)
            else:
                assert same(source.gather(index), ROWS, index)


def test_an_index_that_changed_since_it_was_handed_over_is_fetched_anew():
    """The very same tensor, written into; and the fetch itself does not see the change."""
    source, index = streamed(), torch.tensor([[1, 2, 3]])
    source.prefetch(index)
    index += 1
    assert same(source.gather(index), ROWS, [[2, 3, 4]])


class Elsewhere(SameMemory):
    """A lane whose indices lie on a device, the meta one, which counts writes in place; the test holds the values."""

    def __init__(self, values):
        self.values, self.read = values, 0

    def index_on_host(self, index):
        self.read += 1
        own = torch.tensor(self.values)
        return lambda: own


def test_an_index_on_a_device_is_known_by_itself_and_by_how_often_it_was_written_into():
    """Not by value, for which the host would wait: unchanged it is read once, written into it is fetched anew."""
    lane = Elsewhere([[1, 2, 3]])
    source, index = Streamed(ROWS, CPU, lane=lane), torch.zeros(1, 3, dtype=torch.int64, device="meta")
    source.prefetch(index)
    assert same(source.gather(index), ROWS, [[1, 2, 3]])
    assert lane.read == 1
    source.prefetch(index)
    index += 1
    lane.values = [[2, 3, 4]]
    assert same(source.gather(index), ROWS, [[2, 3, 4]])
    assert lane.read == 3


# --- ahead of time


class Gate(SameMemory):
    """A lane whose buffers come only when the test opens it; it counts them."""

    def __init__(self):
        self.opened, self.buffers = threading.Event(), []

    def buffer(self, rows, columns, dtype):
        assert self.opened.wait(10)
        self.buffers.append((rows, dtype))
        return super().buffer(rows, columns, dtype)


def test_prefetch_returns_at_once_and_its_rows_are_fetched_once():
    """The caller goes on while nothing can be fetched; `gather` takes what was fetched ahead, by value."""
    gate = Gate()
    source = Streamed(ROWS, CPU, lane=gate)
    source.prefetch(torch.tensor([[1, 2]]))
    gate.opened.set()
    assert same(source.gather(torch.tensor([[1, 2]])), ROWS, [[1, 2]])
    assert gate.buffers == [(2, torch.float32)]


def test_a_loop_that_is_always_one_step_ahead_keeps_every_batch_whole():
    """30 steps on a device that reads late: buffers alternate, no batch is overwritten, none is fetched twice."""
    copies = SlowCopies()
    source = streamed(copies=copies)
    steps = list(torch.randint(R, (30, 2, 5), generator=torch.Generator().manual_seed(1)))
    source.prefetch(steps[0])
    batches = []
    for step, index in enumerate(steps):
        batches.append(source.gather(index))
        if step + 1 < len(steps):
            source.prefetch(steps[step + 1])
    for batch, index in zip(batches, steps, strict=True):
        assert same(batch, ROWS, index)
    assert len(copies.sent) == 30


def test_forgotten_fetches_leave_the_buffers_in_order():
    """Each fetch ahead is thrown away, so that buffers turn twice a step."""
    source = streamed()
    for step in range(10):
        source.prefetch(torch.tensor([[step, step + 1]]))
        source.prefetch(torch.tensor([[step + 2, step]]))
        assert same(source.gather(torch.tensor([[step, 40]])), ROWS, [[step, 40]])


# --- training from it


def test_networks_train_to_the_same_bits_and_no_batch_is_sent_twice():
    """Unlike lengths, dropout, looks at held-out rows, two places for three jobs; alone, 15 steps are 15 batches."""
    matrix, target = rows_and_target()
    jobs = [job(), job(lr=0.003, dropout=0.3, key=job_key(1, 0)), job(train_rows=np.arange(7), epochs=3)]
    watch = Watch(judge=lambda position, rows, outputs: float(np.abs(outputs).mean()))
    copies = SlowCopies(0)
    source = streamed(matrix, copies=copies)
    resident = fit(jobs, Data(Resident(matrix), target), watch=watch, slots=2)
    for ours, theirs in zip(fit(jobs, Data(source, target), watch=watch, slots=2), resident, strict=True):
        assert [a.tobytes() for a in ours.tensors] == [b.tobytes() for b in theirs.tensors]
        assert ours.curve.valid.tobytes() == theirs.curve.valid.tobytes()
    copies.sent.clear()
    fit([job()], Data(source, target))
    assert len(copies.sent) == 15


# --- few bytes


def test_models_that_ask_for_the_same_rows_have_them_sent_once():
    """Candidates of a fold draw alike: three of four lines are one; equal ends alone are not enough."""
    copies = SlowCopies(0)
    source = streamed(copies=copies)
    for index, rows in (
        ([[1, 2, 3], [1, 2, 3], [4, 5, 6], [1, 2, 3]], 6),
        ([[1, 2, 3], [1, 7, 3]], 6),
        ([[1, 2, 3], [1, 7, 3], [1, 2, 3]], 9),
        ([[8], [8], [8]], 1),
    ):
        assert same(source.gather(torch.tensor(index)), ROWS, index)
        assert copies.sent[-1] == (torch.float32, rows)


@pytest.mark.parametrize(
    ("host", "wanted", "on_the_bus"),
    [
        (torch.float32, torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.float64, torch.float32),
        (torch.float64, torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.bfloat16),
    ],
)
def test_the_bus_carries_the_narrower_precision(host, wanted, on_the_bus):
    """Rounded on the host, widened on the device."""
    copies = SlowCopies(0)
    source = streamed(ROWS.to(host), wanted, copies)
    assert same(source.gather(torch.tensor([[1, 2]])), ROWS.to(host), [[1, 2]], wanted)
    assert copies.sent == [(on_the_bus, 2)]


# --- faults


@pytest.mark.parametrize("make", [Resident, streamed, lambda rows: Streamed(rows, CPU)])
@pytest.mark.parametrize("wrong", [R, -1])
@pytest.mark.parametrize("batch", [2, 500])
def test_a_row_that_is_not_there_is_an_error_of_the_caller(make, wrong, batch):
    """Ahead or not, in one thread or several; the source works on, and a wrong fetch nobody asks for is forgotten."""
    source = make(ROWS)
    index, good = torch.tensor([[0] * (batch - 1) + [wrong]]), torch.tensor([[0, 1]])
    with pytest.raises(IndexError):
        source.gather(index)
    source.prefetch(index)
    with pytest.raises(IndexError):
        source.gather(index)
    source.prefetch(index)
    assert same(source.gather(good), ROWS, good)


def test_an_error_of_the_device_reaches_the_caller():
    """With its own type and words, where the batch is asked for."""

    class Broken(SlowCopies):
        def start(self, filled, dtype):
            raise RuntimeError("the device is gone")

    source = streamed(copies=Broken())
    source.prefetch(torch.tensor([[1]]))
    with pytest.raises(RuntimeError, match="the device is gone"):
        source.gather(torch.tensor([[1]]))


def test_a_source_that_is_gone_leaves_no_thread():
    """Nor does it keep the matrix."""
    before = set(threading.enumerate())
    source = Streamed(ROWS.clone(), CPU)
    source.gather(torch.tensor([[1, 2]]))
    source.prefetch(torch.tensor([[1, 2]]))
    threads = set(threading.enumerate()) - before
    assert threads
    del source
    gc.collect()
    deadline = time.monotonic() + 10
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads)


# --- who decides


def test_rows_are_resident_as_long_as_they_fit():
    """R x D x 4 bytes to the byte; in half of them as bf16; without a copy where none is needed."""
    size = R * D * 4
    resident = choose_source(ROWS, CPU, size)
    assert isinstance(resident, Resident)
    assert resident.matrix.data_ptr() == ROWS.data_ptr()
    halved = choose_source(ROWS, CPU, size // 2, torch.bfloat16)
    assert isinstance(halved, Resident)
    assert torch.equal(halved.matrix, ROWS.to(torch.bfloat16))
    for cap, product in ((size - 1, None), (size // 2 - 1, torch.bfloat16)):
        found = choose_source(ROWS, CPU, cap, product)
        assert isinstance(found, Streamed)
        assert found.matrix.data_ptr() == ROWS.data_ptr()
        assert found.dtype == (product or torch.float32)


# --- on a CUDA device


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_cuda_batches_are_what_direct_indexing_gives(dtype, where):
    """200 steps, always one ahead, every third fetch a wrong one, with work that keeps the training stream behind."""
    device = torch.device("cuda", torch.cuda.current_device())
    rows = torch.randn(10_000, 40)
    source = Streamed(rows, device, dtype)
    steps = [index.to(where) for index in torch.randint(10_000, (200, 3, 64))]
    busy = torch.randn(1024, 1024, device=device)
    batches = []
    for step, index in enumerate(steps):
        batch = source.gather(index)
        source.prefetch(steps[(step + (1 if step % 3 else 2)) % len(steps)])
        busy = (busy @ busy).clamp_(-1, 1)
        batches.append(batch * 1)
        del batch
    for batch, index in zip(batches, steps, strict=True):
        assert batch.device == device
        assert same(batch.cpu(), rows, index.cpu(), dtype)


@pytest.mark.gpu
@CUDA
def test_cuda_an_index_made_by_queued_work_is_awaited():
    """The index is written by a kernel that is still waiting when the fetch begins."""
    device = torch.device("cuda", torch.cuda.current_device())
    source, busy = Streamed(ROWS, device), torch.randn(4096, 4096, device=device)
    for _ in range(20):
        busy = (busy @ busy).clamp_(-1, 1)
    index = (busy[:2, :5].abs() * 0).long() + torch.arange(5, device=device)
    source.prefetch(index)
    assert same(source.gather(index).cpu(), ROWS, index.cpu())


@pytest.mark.gpu
@CUDA
def test_cuda_an_index_changed_in_place_is_fetched_anew():
    """PyTorch counts writes in place, so that the host needs not wait to compare."""
    device = torch.device("cuda", torch.cuda.current_device())
    source, index = Streamed(ROWS, device), torch.tensor([[1, 2, 3]], device=device)
    source.prefetch(index)
    first = source.gather(index)
    source.prefetch(index)
    source._ahead.result.result()  # the rows of the old index are there before it is rewritten
    index.copy_(torch.tensor([[2, 3, 4]], device=device))
    assert same(source.gather(index).cpu(), ROWS, [[2, 3, 4]])
    assert same(first.cpu(), ROWS, [[1, 2, 3]])


@pytest.mark.gpu
@CUDA
def test_cuda_rows_move_to_the_device_if_they_fit():
    """As they are or as bf16; else they stay and stream."""
    device = torch.device("cuda", torch.cuda.current_device())
    assert torch.equal(choose_source(ROWS, device, 600).matrix.cpu(), ROWS)
    assert choose_source(ROWS, device, 300, torch.bfloat16).matrix.device == device
    assert isinstance(choose_source(ROWS, device, 599), Streamed)
