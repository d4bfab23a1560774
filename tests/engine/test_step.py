"""One step: counted here or on the device, frozen where a loss is not finite, safe when memory runs out."""

import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target

from pipeline.engine import step as step_module
from pipeline.engine.data import Data
from pipeline.engine.draws import job_key
from pipeline.engine.fit import Watch, fit
from pipeline.engine.live import LiveBytes
from pipeline.engine.loss_scale import LEAST
from pipeline.engine.losses import LOSSES, Loss
from pipeline.engine.optimizers import Rule
from pipeline.engine.optimizers.fused import FusedPath
from pipeline.engine.optimizers.written import WrittenPath
from pipeline.engine.pack import PackState
from pipeline.engine.sources import Streamed
from pipeline.engine.step import Slowed, Step, signature, train_step
from pipeline.errors import TrainingError

pytestmark = pytest.mark.usefixtures("one_thread")
MATRIX, TARGET = rows_and_target(rows=60)
ADAMW = Rule(decoupled=True, weight_decay=0.2)
NORMED = replace(SMALL_NETWORK, hidden=(5, 5, 5), norm="batch", skips=("", "same", "same"))
UNEQUAL = [
    job(key=job_key(0, 0), train_rows=np.arange(25), epochs=4, dropout=0.3),
    job(key=job_key(0, 1), train_rows=np.arange(5, 18), epochs=7, lr=0.1, rule=ADAMW),
    job(key=job_key(1, 0), train_rows=np.arange(5), epochs=9, dropout=0.1),
]


def judge(position, rows, outputs):
    """Mean squared error on the rows it is handed."""
    return float(np.mean((outputs - TARGET.numpy()[rows]) ** 2))


def taken(pack, steps):
    for _ in range(steps):
        pack.begin_epochs()
        train_step(pack, pack.batches.shape())
        pack.batches.advance()
        for place in pack.batches.beginning():
            pack.records[place].epoch += 1
    return pack


@pytest.mark.parametrize("network", [SMALL_NETWORK, NORMED])
def test_a_step_that_counts_on_the_device_equals_one_that_counts_on_the_host(network):
    """Unequal folds, partial batches, dropout: the same bits after twenty steps, in weights and running statistics."""
    jobs = [replace(own, network=network) for own in UNEQUAL]
    packs = []
    for on_device in (False, True):
        pack = PackState(jobs, network, resident(MATRIX, TARGET), on_device=on_device)
        pack.join(range(3))
        packs.append(taken(pack, 20))
    assert packs[1].batches.device_steps.tolist() == packs[0].batches.steps.tolist() == [20, 20, 20]
    for name, expected in packs[0].held.items():
        assert torch.equal(packs[1].held[name], expected), name


def test_a_signature_changes_with_the_company_and_the_batch_and_with_nothing_else():
    """Two full batches are one program; a partial batch and a pack with one network less are others."""
    pack = PackState(UNEQUAL[:2], SMALL_NETWORK, resident(MATRIX, TARGET), on_device=True)
    pack.join([0, 1])
    first = signature(pack, pack.batches.shape())
    assert signature(taken(pack, 1), pack.batches.shape()) == first
    taken(pack, 2)
    assert signature(pack, pack.batches.shape()) != first
    pack.keep(np.array([0]))
    assert signature(pack, pack.batches.shape())[0] != first[0]


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("network", [SMALL_NETWORK, NORMED])
def test_a_network_freezes_as_it_was_before_the_step_whose_loss_was_not_finite(network, on_device):
    """Row 7 is infinite: the network that meets it stands still from there on, its neighbour moves."""
    matrix = MATRIX.clone()
    matrix[40, 0] = torch.inf
    poisoned = replace(UNEQUAL[0], network=network, train_rows=np.array([*range(24), 40]), dropout=0.0)
    healthy = replace(UNEQUAL[1], network=network)
    pack = PackState([poisoned, healthy], network, resident(matrix, TARGET), on_device=on_device)
    pack.join([0, 1])
    before = []
    for _ in range(7):
        before.append([t.detach().clone() for t in (*pack.tensors, *pack.running)])
        taken(pack, 1)
    at = int(pack.held["frozen_at"][0])
    assert 0 <= at < 7
    assert 40 in pack.batches.rows_of(0, at, pack.held["order"]).tolist()
    assert pack.held["frozen_at"][1] == -1
    for now, then in zip((*pack.tensors, *pack.running), before[at], strict=True):
        assert torch.equal(now[0], then[0])
        assert not torch.equal(now[1], then[1])


def test_a_row_that_does_not_count_may_be_infinite():
    """The rows behind a short batch are of other jobs, or doubled: their losses are left out, not weighed with 0."""
    losses = torch.tensor([[1.0, 3.0, torch.inf], [1.0, 2.0, 3.0]])
    present = torch.tensor([[True, True, False], [True, True, True]])
    assert step_module._mean(losses, present).tolist() == [2.0, 2.0]


def test_products_in_fp16_skip_a_step_whose_gradient_overflowed():
    """At a loss scale that overflows, weights stand still and the scale halves; once it fits they move."""
    own = job(epochs=50, lr=0.01)
    matrix, target = MATRIX.to(torch.float32), TARGET.to(torch.float32)
    pack = PackState([own, replace(own, key=9)], SMALL_NETWORK, resident(matrix.half(), target, torch.float16))
    pack.join([0, 1])
    pack.held["loss_scale"].copy_(torch.tensor([2.0**24, 2.0**8]))
    before = [t.detach().clone() for t in pack.tensors]
    taken(pack, 1)
    assert pack.held["loss_scale"].tolist() == [2.0**23, 2.0**8]
    assert all(torch.equal(now[0], then[0]) for now, then in zip(pack.tensors, before, strict=True))
    assert not any(torch.equal(now[1], then[1]) for now, then in zip(pack.tensors, before, strict=True))
    taken(pack, 30)
    assert not any(torch.equal(now[0], then[0]) for now, then in zip(pack.tensors, before, strict=True))


# --- batches that stream to a captured step


class Recorder:
    """A CPU that counts as a device which captures: a graph does its step when replayed, and knows its batch's place.

    graphs: those that somebody still holds.
    """

    def __init__(self, monkeypatch):
        self.graphs, self.batches = weakref.WeakSet(), []
        real = step_module.train_step

        def step(pack, shape, batch=None):
            self.batches.append(batch)
            real(pack, shape, batch)

        monkeypatch.setattr(step_module, "train_step", step)
        monkeypatch.setattr(step_module, "backend_for", lambda _device: self)

    def warm(self, function):
        return function()

    def capture(self, function):
        graph = Graph(function, weakref.ref(self.batches[-1].untyped_storage()))
        self.graphs.add(graph)
        return graph, None


class Graph:
    """One recording."""

    def __init__(self, replay, storage):
        self.replay, self.storage = replay, storage


def streaming(monkeypatch, jobs):
    """A pack whose rows stream, counted on the device, its step, and a function that takes one of them."""
    recorder = Recorder(monkeypatch)
    pack = PackState(jobs, SMALL_NETWORK, Data(Streamed(MATRIX, torch.device("cpu")), TARGET), on_device=True)
    pack.join(range(len(jobs)))
    step = Step(torch.device("cpu"))

    def take():
        pack.begin_epochs()
        step.take(pack)
        pack.batches.advance()
        for place in pack.batches.beginning():
            pack.records[place].epoch += 1

    return recorder, pack, step, take


def test_streamed_batches_of_one_company_lie_in_one_place_whatever_their_width(monkeypatch):
    """A captured step finds them there: batches 4 wide and ones 3 wide, all as the rows say."""
    jobs = [job(train_rows=np.arange(rows), key=rows, epochs=9) for rows in (13, 7)]
    recorder, pack, _, take = streaming(monkeypatch, jobs)
    for _ in range(20):
        shape = pack.batches.shape()
        expected = None if len(pack.batches.beginning()) else MATRIX[pack.batches.places(pack.held["order"], shape)]
        take()
        assert expected is None or torch.equal(recorder.batches[-1], expected)
    assert {batch.shape[1] for batch in recorder.batches} == {4, 3}
    assert len({batch.data_ptr() for batch in recorder.batches}) == 1
    assert recorder.batches[0].untyped_storage().nbytes() == 2 * 4 * 3 * 8


def test_a_place_of_streamed_batches_goes_with_its_company_and_only_with_its_graphs(monkeypatch):
    """Networks leave one by one: of all that companies had, the last one's place is left, and after `release` none."""
    jobs = [job(train_rows=np.arange(9 + i), key=i, epochs=20) for i in range(5)]
    recorder, pack, step, take = streaming(monkeypatch, jobs)
    places = []
    while len(pack):
        for _ in range(7):
            take()
            places.append(weakref.ref(recorder.batches[-1].untyped_storage()))
            assert all(graph.storage() is not None for graph in recorder.graphs)
            assert recorder.graphs or len(recorder.batches) < 4
            del recorder.batches[:-1]
        recorder.batches.clear()
        assert len({id(place()) for place in places if place() is not None}) == 1
        pack.keep(np.arange(len(pack) - 1))
    step.release()
    assert not recorder.graphs
    assert not any(place() is not None for place in places)


def test_a_streamed_batch_is_copied_into_its_place_without_another_one_beside_it(monkeypatch):
    """Beside the fetched rows a step of the company makes no tensor as large as a batch on the way there."""
    _, pack, step, take = streaming(monkeypatch, [job(epochs=9)])
    take()
    batch = torch.zeros(1, 4, 3, dtype=torch.float64)
    with LiveBytes() as live:
        step._in_place(batch, pack.batches)
    assert live.peak == 0


# --- memory


class Scarce:
    """Memory for so many networks at a time: the step of a larger pack fails, at the call that is asked for."""

    def __init__(self, monkeypatch, room, error=None):
        self.room, self.error, self.calls = room, error or torch.OutOfMemoryError("no more"), 0
        real = step_module.train_step

        def step(pack, shape, batch=None):
            self.calls += 1
            if len(pack) > self.room and self.calls > 5:
                raise self.error
            real(pack, shape, batch)

        monkeypatch.setattr(step_module, "train_step", step)


@pytest.mark.parametrize("network", [SMALL_NETWORK, NORMED])
@pytest.mark.parametrize("room", [1, 2])
def test_a_pack_that_runs_out_of_memory_is_halved_and_loses_no_step(monkeypatch, network, room):
    """Five networks in the middle of their epochs: weights and scores are those of a machine with room for all."""
    jobs = [replace(own, network=network) for own in (*UNEQUAL, *(replace(u, key=u.key + 1) for u in UNEQUAL[:2]))]
    expected = fit(jobs, resident(MATRIX, TARGET), watch=Watch(judge))
    halved = []
    Scarce(monkeypatch, room)
    found = fit(jobs, resident(MATRIX, TARGET), watch=Watch(judge, on_halved=halved.append))
    assert halved == ([3, 2, 1] if room == 1 else [3, 2])
    for own, oracle in zip(found, expected, strict=True):
        assert own.curve.stopped == oracle.curve.stopped
        np.testing.assert_allclose(own.curve.valid, oracle.curve.valid, rtol=1e-9)
        for tensor, other in zip(own.tensors, oracle.tensors, strict=True):
            np.testing.assert_allclose(tensor, other, rtol=1e-9, atol=1e-12)


def test_one_network_that_does_not_fit_ends_in_a_sentence(monkeypatch):
    """There is nothing left to halve: what to lower is named."""
    Scarce(monkeypatch, 0, RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    with pytest.raises(TrainingError, match=re.escape("lower [model] width or depth, or [train] batch_size (now 4)")):
        fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge))


def test_another_error_is_not_taken_for_want_of_memory(monkeypatch):
    """A mistake in the code keeps its name."""
    Scarce(monkeypatch, 0, RuntimeError("shapes do not agree"))
    with pytest.raises(RuntimeError, match="shapes do not agree"):
        fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge))


def test_a_pack_that_cannot_even_begin_begins_smaller(monkeypatch):
    """No room for three fresh networks, room for two."""
    expected = fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge))
    real, halved = PackState.join, []

    def join(pack, positions):
        if len(pack) + len(positions) > 2:
            raise torch.OutOfMemoryError("no more")
        real(pack, positions)

    monkeypatch.setattr(PackState, "join", join)
    found = fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge, on_halved=halved.append))
    assert halved == [2]
    for own, oracle in zip(found, expected, strict=True):
        for tensor, other in zip(own.tensors, oracle.tensors, strict=True):
            np.testing.assert_allclose(tensor, other, rtol=1e-9, atol=1e-12)


def test_scoring_takes_fewer_rows_at_a_time_when_memory_runs_out(monkeypatch):
    """Half as many until it fits; the scores are the same."""
    expected = fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge))
    real, asked = PackState.outputs, []

    def outputs(pack, places, rows, values_at_a_time):
        asked.append(values_at_a_time)
        if values_at_a_time > 1 << 20:
            raise torch.OutOfMemoryError("no more")
        return real(pack, places, rows, values_at_a_time)

    monkeypatch.setattr(PackState, "outputs", outputs)
    found = fit(UNEQUAL, resident(MATRIX, TARGET), watch=Watch(judge))
    assert asked[:3] == [1 << 22, 1 << 21, 1 << 20]
    assert [own.curve.valid.tolist() for own in found] == [own.curve.valid.tolist() for own in expected]


def assert_same(found, expected):
    for own, oracle in zip(found, expected, strict=True):
        for tensor, other in zip(own.tensors, oracle.tensors, strict=True):
            np.testing.assert_allclose(tensor, other, rtol=1e-9, atol=1e-12)


FIVE = [job(key=job_key(0, i), epochs=2 + i, network=NORMED) for i in range(5)]


@pytest.mark.parametrize("room", [1, 2])
def test_where_a_place_cannot_be_filled_again_those_who_train_go_on(monkeypatch, room):
    """Three networks fit at first, then only so many: one fewer side by side, and the same results."""
    expected = fit(FIVE, resident(MATRIX, TARGET), slots=3)
    real, halved = PackState._take_in, []

    def take_in(pack, records, *rest):
        if len(pack) and len(pack) + len(records) > room:
            raise torch.OutOfMemoryError("no more")
        real(pack, records, *rest)

    monkeypatch.setattr(PackState, "_take_in", take_in)
    found = fit(FIVE, resident(MATRIX, TARGET), watch=Watch(on_halved=halved.append), slots=3)
    assert halved == [2, 1][: 3 - room]
    assert_same(found, expected)


def test_a_network_that_was_set_aside_waits_until_there_is_room(monkeypatch):
    """Taking it in again fails twice; it is not lost."""
    expected = fit(FIVE, resident(MATRIX, TARGET))
    real, failures = PackState.load, []

    def load(pack, state):
        if len(failures) < 2:
            failures.append(len(state["records"]))
            raise torch.OutOfMemoryError("no more")
        real(pack, state)

    monkeypatch.setattr(PackState, "load", load)
    Scarce(monkeypatch, 3)
    found = fit(FIVE, resident(MATRIX, TARGET))
    assert len(failures) == 2
    assert_same(found, expected)


def test_what_a_captured_step_holds_is_given_back_before_networks_are_copied(monkeypatch):
    """Copies are made in the memory that has just become free."""
    told = []
    for kind, name in ((step_module.Step, "release"), (PackState, "state"), (PackState, "keep")):
        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *given, real=real, name=name: [told.append(name), real(*given)][1])
    Scarce(monkeypatch, 3)
    fit(FIVE, resident(MATRIX, TARGET))
    assert told[:3] == ["release", "state", "keep"]


class Fails:
    """A function for which memory runs out at one of its calls."""

    def __init__(self, monkeypatch, owner, name, at):
        real, self.calls = getattr(owner, name), 0

        def function(*arguments):
            self.calls += 1
            if self.calls == at:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
            return real(*arguments)

        monkeypatch.setattr(owner, name, function)


def test_a_step_that_fails_before_its_update_has_moved_nothing(monkeypatch):
    """Neither weights nor running statistics nor sums of losses: it is taken again with the same results."""
    expected = fit(FIVE, resident(MATRIX, TARGET), watch=Watch(judge))
    Fails(monkeypatch, FusedPath, "step", 8)
    assert_same(fit(FIVE, resident(MATRIX, TARGET), watch=Watch(judge)), expected)


@pytest.mark.parametrize(
    ("kind", "owner", "name"),
    [
        ("rmsprop", WrittenPath, "_update"),
        ("rmsprop", step_module, "update_running"),
        ("adam", step_module, "update_running"),
    ],
)
def test_a_step_that_fails_within_its_update_is_not_taken_again(monkeypatch, kind, owner, name):
    """Some tensors have moved and others have not: better no results than wrong ones."""
    jobs = [replace(own, rule=Rule(kind)) for own in FIVE]
    Fails(monkeypatch, owner, name, 8)
    with pytest.raises(TrainingError, match="it goes on from its last checkpoint"):
        fit(jobs, resident(MATRIX, TARGET))


@pytest.mark.parametrize(("kind", "times"), [("rmsprop", 2), ("adam", 0)])
def test_room_for_an_update_is_tried_once_for_each_company(monkeypatch, kind, times):
    """On a CPU, where the update is written out; before anything has moved."""
    real, tried = torch.empty_like, []
    jobs = [replace(own, rule=Rule(kind)) for own in FIVE[:3]]
    pack = PackState(jobs, NORMED, resident(MATRIX, TARGET))
    pack.join(range(3))
    monkeypatch.setattr(torch, "empty_like", lambda t: [tried.append(len(pack)), real(t)][1])
    taken(pack, 4)
    pack.keep(np.array([0, 1]))
    taken(pack, 4)
    assert tried == ([3] * times + [2] * times)


def test_networks_that_cannot_be_set_aside_end_in_a_sentence(monkeypatch):
    """There is no memory beside the device either."""
    Scarce(monkeypatch, 3)
    Fails(monkeypatch, PackState, "state", 1)
    with pytest.raises(TrainingError, match="can neither go on nor be set aside"):
        fit(FIVE, resident(MATRIX, TARGET))


# --- what made steps slower than they can be


class Refusing:
    """A device that takes calls and records none of them."""

    def __init__(self, failure):
        self.failure = failure

    def warm(self, function):
        return function()

    def capture(self, function):
        raise self.failure


@pytest.mark.parametrize("failure", [RuntimeError("not permitted"), torch.OutOfMemoryError("not permitted")])
def test_a_fit_tells_why_its_steps_were_not_captured(monkeypatch, failure):
    """Also where the end of the training makes it forget a want of memory; on a CPU there is nothing to tell."""
    data = resident(MATRIX, TARGET)
    assert [own.slowed for own in fit(UNEQUAL[:2], data)] == [Slowed(), Slowed()]
    monkeypatch.setattr(step_module, "backend_for", lambda _: Refusing(failure))
    told = Slowed(capture=f"capture failed: {type(failure).__name__}: not permitted")
    assert [own.slowed for own in fit(UNEQUAL[:2], data)] == [told, told]


def test_a_step_tells_why_there_is_no_kernel_for_its_device(monkeypatch):
    """A CUDA device is asked; a CPU has kernels of PyTorch's."""
    monkeypatch.setattr(step_module, "backend_for", lambda _: Refusing(RuntimeError()))
    monkeypatch.setattr(step_module, "missing", lambda device: f"no Triton for {device}")
    assert Step(torch.device("cuda")).slowed == Slowed(kernel="no Triton for cuda")
    assert Step(torch.device("cpu")).slowed == Slowed()


# --- fp16: a gradient that no factor makes finite


@pytest.fixture
def rooted(monkeypatch):
    """A finite loss whose gradient is NaN where its parameter is 0: the root's slope there is infinite."""

    def loss(outputs, target, parameter):
        return torch.sqrt((outputs * 0) ** 2 + parameter) + (outputs - target).square()

    monkeypatch.setitem(LOSSES, "rooted", Loss(loss, 1.0))
    matrix, target = rows_and_target(rows=60, dtype=torch.float32)
    return resident(matrix.half(), target, torch.float16)


def rooted_jobs(epochs):
    """The middle one has the gradient that is NaN; 5 steps an epoch."""
    rows = np.arange(20)
    return [
        job(key=job_key(m, 0), train_rows=rows, epochs=epochs, loss="rooted", loss_parameter=float(m != 1))
        for m in range(3)
    ]


@pytest.mark.parametrize("on_device", [False, True])
def test_a_network_whose_gradient_is_never_finite_freezes_when_its_factor_has_run_out(rooted, on_device):
    """From 2^16 the 41st halving comes below 2^-24, at step 40; its neighbours go on and its weights stay."""
    pack = PackState(rooted_jobs(20), SMALL_NETWORK, rooted, on_device=on_device)
    pack.join(range(3))
    before = [tensor.detach().clone() for tensor in pack.tensors]
    taken(pack, 40)
    assert pack.held["frozen_at"].tolist() == [-1, -1, -1]
    assert pack.held["loss_scale"][1] == LEAST
    taken(pack, 5)
    assert pack.held["frozen_at"].tolist() == [-1, 40, -1]
    assert pack.any_frozen != on_device
    assert pack.held["loss_sum"].isfinite().tolist() == [True, False, True]
    for tensor, start in zip(pack.tensors, before, strict=True):
        assert [torch.equal(tensor[m], start[m]) for m in range(3)] == [False, True, False]


def test_a_gradient_that_is_never_finite_is_told_as_a_fault(rooted):
    """As without loss scaling: the training ends as not finite, with the step and the tensor; neighbours finish."""
    watch = Watch(lambda _, rows, outputs: float(np.mean((outputs - rooted.target.numpy()[rows]) ** 2)))
    first, middle, last = fit(rooted_jobs(20), rooted, watch=watch)
    assert [own.curve.stopped for own in (first, middle, last)] == ["finished", "not finite", "finished"]
    assert (middle.failure.epoch, middle.failure.step) == (8, 40)
    assert middle.failure.diagnosis.fault.first == "gradient"
    assert first.curve.valid[-1] < first.curve.valid[0]
