"""Work that is recorded once and replayed: the order of things on an imitation, the rest on a GPU."""

import gc
import threading
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.capture import NO_DEVICE, Captured, CudaGraphs, _no_collection, backend_for
from pipeline.errors import ConfigError
from pipeline.usercode import blamed

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use"),
]


class Imitation:
    """A device on a CPU: `do` works at once, or is written down while a recording is made."""

    def __init__(self, fails=None):
        self.events, self.fails, self.recording = [], fails, None

    def do(self, work):
        if self.recording is None:
            work()
        else:
            self.recording.works.append(work)

    def warm(self, function):
        self.events.append("warm")
        return function()

    def capture(self, function):
        self.events.append("capture")
        self.recording = Recording(self)
        try:
            result = function()
            if self.fails:
                raise self.fails
            return self.recording, result
        finally:
            self.recording = None


class Recording:
    """Works written down, to be done at each replay."""

    def __init__(self, device):
        self.device, self.works = device, []

    def replay(self):
        self.device.events.append("replay")
        for work in self.works:
            work()


class Counter:
    """What is captured in these tests: it counts its work on the device, and its calls on the host."""

    def __init__(self, device):
        self.device, self.work, self.calls = device, 0, 0

    def __call__(self):
        self.calls += 1
        self.device.do(self._count)
        return f"result of call {self.calls}"

    def _count(self):
        self.work += 1


def captured(fails=None, **options):
    device = Imitation(fails)
    counter = Counter(device)
    return Captured(counter, device, **options), counter, device


# --- on an imitation


def test_the_first_call_warms_up_the_second_records_and_all_others_replay():
    """The function is called twice, its work is done five times."""
    step, counter, device = captured()
    for _ in range(5):
        step("a")
    assert device.events == ["warm", "capture", "replay", "replay", "replay", "replay"]
    assert (counter.work, counter.calls) == (5, 2)
    assert step.reason == ""


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(1, 3), st.booleans())
def test_each_call_does_the_work_exactly_once(signatures, keep, fails):
    """Whatever changes between calls, however few recordings are kept, also where recording fails."""
    step, counter, _ = captured(RuntimeError("no") if fails else None, keep=keep)
    for done, signature in enumerate(signatures):
        assert counter.work == done
        step(signature)
    assert counter.work == len(signatures)


def test_another_signature_is_recorded_anew():
    """What was recorded under the old one must not be replayed: it would work on other places."""
    step, _, device = captured()
    for signature in "aaabbb":
        step(signature)
    assert device.events == ["warm", "capture", "replay", "replay"] * 2


def test_signatures_that_alternate_keep_their_recordings():
    """A short last batch after each epoch costs one warm-up and one recording in all."""
    step, _, device = captured(keep=2)
    for signature in "aab" * 4:
        step(signature)
    assert device.events.count("warm") == device.events.count("capture") == 2


def test_the_recording_that_was_not_used_for_longest_is_forgotten():
    """With room for two, a third one takes the place of b, not of a, which was used since."""
    step, _, device = captured(keep=2)
    for signature in "aabba":
        step(signature)
    for signature in "cc":
        step(signature)
    device.events.clear()
    step("a")
    assert device.events == ["replay"]
    step("b")
    assert device.events == ["replay", "warm"]


def test_a_replay_gives_what_the_recording_returned():
    """The same tensors again, written over: never what the warm-up returned."""
    step, _, _ = captured()
    assert [step("a") for _ in range(4)] == ["result of call 1"] + ["result of call 2"] * 3


def test_where_recording_fails_the_reason_is_told_and_calls_are_plain():
    """The call that failed does its work all the same; nothing is tried again, with any signature."""
    step, counter, device = captured(RuntimeError("operation not permitted when stream is capturing\nCompile with …"))
    for signature in "aaaab":
        step(signature)
    assert device.events == ["warm", "capture"]
    assert counter.work == 5
    assert step.reason == "capture failed: RuntimeError: operation not permitted when stream is capturing"


def users_loss(device, *, fails_anyway=False):
    """A loss of the user's that waits for the device: a recording cannot, a plain call can."""
    done = []

    def function():
        with blamed("train.custom_loss = 'ideas.py:mine' failed"):
            if device.recording is not None or (fails_anyway and done):
                raise RuntimeError("operation not permitted when stream is capturing")
        done.append(0)

    return function, done


def test_a_function_of_the_users_that_cannot_be_recorded_is_called_plainly():
    """What waits for the device is a fault in a recording alone; the reason names whose it is."""
    device = Imitation()
    function, done = users_loss(device)
    step = Captured(function, device)
    for _ in range(4):
        step("a")
    assert (device.events, len(done)) == (["warm", "capture"], 4)
    told = "train.custom_loss = 'ideas.py:mine' failed: RuntimeError: operation not permitted when stream is capturing"
    assert step.reason == f"capture failed: {told}"


def test_a_function_of_the_users_that_fails_anyway_is_told_so():
    """The plain call in the place of the recording raises what is really wrong."""
    device = Imitation()
    function, _ = users_loss(device, fails_anyway=True)
    step = Captured(function, device)
    step("a")
    with pytest.raises(ConfigError, match=r"ideas\.py:mine"):
        step("a")


def test_a_failure_gives_earlier_recordings_back():
    """Their memory may be what was missing."""
    step, _, device = captured()
    step("a")
    step("a")
    alive = weakref.ref(step._recordings["a"][0])
    device.fails = torch.OutOfMemoryError("out of memory")
    step("b")
    step("b")
    gc.collect()
    assert alive() is None
    assert step.reason == "capture failed: OutOfMemoryError: out of memory"


def test_after_a_want_of_memory_a_release_begins_anew_after_another_failure_it_does_not():
    """Whoever makes room, with fewer networks say, releases first; what cannot be recorded never will."""
    for failure, expected in (
        (torch.OutOfMemoryError("full"), ["warm", "capture", "replay"]),
        (RuntimeError("CUDA error: out of memory"), ["warm", "capture", "replay"]),
        (RuntimeError("no"), []),
    ):
        step, counter, device = captured(failure)
        step("a")
        step("a")
        device.fails = None
        device.events.clear()
        step("a")
        assert device.events == []
        step.release()
        step("b")
        step("b")
        assert device.events == expected
        assert bool(step.reason) == (not expected)
        assert counter.work == 5


def test_a_fault_of_our_own_is_not_taken_for_a_failed_recording():
    """Only what a device can refuse makes calls plain."""
    step, _, _ = captured(TypeError("ours"))
    step("a")
    with pytest.raises(TypeError, match="ours"):
        step("a")
    assert step.reason == ""


def test_an_error_in_the_warm_up_arrives_and_is_not_taken_for_a_warm_up():
    """The next call warms up again."""
    device, shots = Imitation(), []

    def function():
        shots.append(0)
        if len(shots) == 1:
            raise RuntimeError("out of memory")

    step = Captured(function, device)
    with pytest.raises(RuntimeError, match="out of memory"):
        step("a")
    step("a")
    assert device.events == ["warm", "warm"]
    assert step.reason == ""


def test_without_a_device_calls_are_plain_and_say_so():
    """On a CPU there is nothing to record."""
    counter = Counter(Imitation())
    step = Captured(counter, backend_for(torch.device("cpu")))
    assert [step("a") for _ in range(3)] == [f"result of call {n}" for n in (1, 2, 3)]
    assert counter.work == 3
    assert step.reason == NO_DEVICE


def test_release_forgets_the_recordings_and_a_later_call_begins_anew():
    """Nothing of them stays alive, though the function holds what holds them."""
    step, counter, device = captured()
    step("a")
    step("a")
    alive = weakref.ref(step._recordings["a"][0])
    step.release()
    gc.collect()
    assert alive() is None
    device.events.clear()
    step("a")
    assert device.events == ["warm"]
    assert counter.work == 3


def test_the_collector_rests_until_the_last_of_several_threads_has_recorded():
    """Two threads of a worker record side by side: the first to leave must not wake it while the other records."""
    inside, leave = threading.Event(), threading.Event()

    def first():
        with _no_collection():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with _no_collection():
        leave.set()
        thread.join(10)
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with _no_collection():
            pass
        assert not gc.isenabled(), "whoever had turned it off still wants it so"
    finally:
        gc.enable()


# --- on a GPU


class Descent:
    """Gradient descent on |x - target|², with autograd inside; a width of rows that may change."""

    def __init__(self, *, waits=False):
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(8, 1, generator=generator, dtype=torch.float64).cuda().requires_grad_()
        self.rows = torch.randn(64, 8, generator=generator, dtype=torch.float64).cuda()
        self.loss = torch.zeros((), dtype=torch.float64, device="cuda")
        self.width, self.waits = 64, waits

    def step(self):
        rows = self.rows[: self.width]
        loss = ((rows @ self.weights - rows.sum(1, keepdim=True)) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, [self.weights])
        with torch.no_grad():
            self.weights -= 0.05 * gradient
            self.loss.copy_(loss)
        if self.waits:
            self.loss.item()
        return self.loss


def descended(step_of, widths):
    descent = Descent()
    step = step_of(descent)
    losses = []
    for width in widths:
        descent.width = width
        losses.append(float(step(width)))
    return descent.weights.detach().clone(), losses


class TestOnGpu:
    """The real thing, with streams, pools and autograd."""

    pytestmark = on_gpu

    def test_replays_train_as_plain_calls_do(self):
        """Two widths in turn, autograd inside: the same weights and losses, bit for bit."""
        widths = [64, 64, 17] * 5
        backend = backend_for(torch.device("cuda"))
        steps = []

        def recorded(descent):
            steps.append(Captured(descent.step, backend))
            return steps[-1]

        ours, losses = descended(recorded, widths)
        theirs, expected = descended(lambda descent: lambda _: descent.step(), widths)
        assert steps[0].reason == ""
        assert len(backend._live) == 2
        assert torch.equal(ours, theirs)
        assert losses == expected

    def test_all_recordings_of_a_backend_share_their_memory(self):
        """Two functions, one pool; when all graphs are gone, a later one gets a pool of its own."""
        backend = CudaGraphs(torch.device("cuda"))
        first, second = (Captured(Descent().step, backend) for _ in range(2))
        for step in (first, second):
            step("a")
            step("a")
        assert len({graph.pool() for graph in backend._live}) == 1
        first.release()
        second.release()
        gc.collect()
        assert not backend._live
        loss = float(first("a"))
        assert float(first("a")) < loss
        assert first.reason == ""

    def test_what_waits_for_the_device_is_not_recorded_and_does_no_harm(self):
        """The reason is told, the work is done, the stream is the one it was, and memory can be had and given back."""
        before = torch.cuda.current_stream()
        waiting, plain = Descent(waits=True), Descent()
        step = Captured(waiting.step, backend_for(torch.device("cuda")))
        for _ in range(4):
            step("a")
            plain.step()
        assert step.reason.startswith("capture failed: ")
        assert torch.cuda.current_stream() == before
        assert torch.equal(waiting.weights, plain.weights)
        torch.cuda.empty_cache()
        assert float(torch.ones(1 << 20, device="cuda").sum()) == 1 << 20
        healthy = Captured(plain.step, backend_for(torch.device("cuda")))
        for _ in range(3):
            healthy("a")
        assert healthy.reason == ""
