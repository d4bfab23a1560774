"""The state of a pack: who joins does so whole or not at all, who stays does so also where there is no memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target

from pipeline.engine import pack as pack_module
from pipeline.engine import room
from pipeline.engine.draws import job_key
from pipeline.engine.optimizers import Rule
from pipeline.engine.pack import PackState
from pipeline.engine.parked import one_by_one, together
from pipeline.engine.step import train_step

pytestmark = pytest.mark.usefixtures("one_thread")
MATRIX, TARGET = rows_and_target(rows=60)
KINDS = ["adam", "rmsprop"]  # a fused kernel, and written out


def packed(kind, joining=3, taking=2):
    """Five jobs, some of which train and have taken a few steps."""
    network = replace(SMALL_NETWORK, norm="batch")
    rule = Rule(kind, momentum=0.9)
    jobs = [job(key=job_key(0, i), network=network, rule=rule, epochs=9, lr=0.01 * (i + 1)) for i in range(5)]
    pack = PackState(jobs, network, resident(MATRIX, TARGET))
    pack.join(range(joining))
    return taken(pack, taking)


def taken(pack, steps):
    for _ in range(steps):
        pack.begin_epochs()
        train_step(pack, pack.batches.shape())
        pack.batches.advance()
        for place in pack.batches.beginning():
            pack.records[place].epoch += 1
    return pack


def assert_same(pack, other):
    """The same networks, bit for bit."""
    found, expected = pack.state(), other.state()
    assert [r.position for r in found["records"]] == [r.position for r in expected["records"]]
    np.testing.assert_array_equal(found["steps"], expected["steps"])
    assert found["tensors"].keys() == expected["tensors"].keys()
    for name, values in expected["tensors"].items():
        np.testing.assert_array_equal(found["tensors"][name], values, err_msg=name)


class Full:
    """The n-th time that tensors are put behind one another there is no memory."""

    def __init__(self, monkeypatch, at):
        self.left, self.failed, self.real = at, False, torch.cat
        monkeypatch.setattr(torch, "cat", self)

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0:
            self.failed = True
            raise torch.OutOfMemoryError("no more")
        return self.real(*arguments, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_loaded", [False, True])
def test_networks_join_whole_or_not_at_all(monkeypatch, kind, is_loaded):
    """Wherever memory runs out: those who were here go on to the same bits, and the others can join later."""
    undisturbed, late = packed(kind), packed(kind, 5).state(np.array([3, 4]))
    enter = (lambda p: p.load(late)) if is_loaded else (lambda p: p.join([3, 4]))
    expected = taken(packed(kind), 2)
    enter(undisturbed)
    at = 0
    while True:
        at += 1
        pack = packed(kind)
        with monkeypatch.context() as patched:
            full = Full(patched, at)
            try:
                enter(pack)
            except torch.OutOfMemoryError:
                assert full.failed
            else:
                break
        enter(pack)
        assert_same(pack, undisturbed)
        pack.keep(np.arange(3))
        assert_same(taken(pack, 2), expected)
    assert at > 20  # tensors, moments and tables


@pytest.mark.parametrize("kind", KINDS)
def test_those_who_stay_do_so_without_memory(monkeypatch, kind):
    """Where there is none for copies, networks move up in place, and go on to the same bits."""
    pack, oracle, stay = packed(kind, 5), packed(kind, 5), np.array([1, 2, 4])
    oracle.keep(stay)

    def none_left(work):
        return True

    with monkeypatch.context() as patched:
        patched.setattr(room, "runs_out", none_left)
        pack.keep(stay)
    assert_same(pack, oracle)
    assert_same(taken(pack, 4), taken(oracle, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_networks_are_set_aside_one_by_one_and_taken_in_together(monkeypatch, kind):
    """To the same bits; no weights are drawn only to be written over."""
    oracle, pack = packed(kind, 5), packed(kind, 5)
    aside = one_by_one(pack.state(np.array([2, 3, 4])))
    pack.keep(np.array([0, 1]))
    monkeypatch.setattr(pack_module, "begun", None)
    pack.load(together(aside))
    assert_same(pack, oracle)
    assert_same(taken(pack, 4), taken(oracle, 4))


def test_a_state_is_a_copy():
    """A checkpoint is written while training goes on."""
    pack = packed("adam")
    state, again = pack.state(), pack.state()
    taken(pack, 2)
    for name, values in again["tensors"].items():
        np.testing.assert_array_equal(state["tensors"][name], values)
    assert not np.array_equal(pack.state()["tensors"]["optimizer.first.0"], again["tensors"]["optimizer.first.0"])


def test_a_moment_that_one_network_never_needed_is_zero():
    """Two networks set aside at different times, of which only the first has a momentum."""
    first = {"records": [0], "steps": np.array([4]), "tensors": {"w": np.ones((1, 2)), "optimizer.m": np.ones((1, 3))}}
    second = {"records": [1], "steps": np.array([7]), "tensors": {"w": np.full((1, 2), 2.0)}}
    found = together([first, second])
    assert found["records"] == [0, 1]
    assert found["steps"].tolist() == [4, 7]
    assert found["tensors"]["w"].tolist() == [[1, 1], [2, 2]]
    assert found["tensors"]["optimizer.m"].tolist() == [[1, 1, 1], [0, 0, 0]]
