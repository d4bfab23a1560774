"""Which jobs share a program."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import packing
from pipeline.engine.memory import Circumstances, Moment, peak, working_set
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Limits, Pack, plan_packs
from pipeline.engine.rehearsal import Precision
from pipeline.fits import Network

WIDE = Network(inputs=3, hidden=(50,), activation="relu", init="pytorch", init_scale=0.01)
FP32 = Precision(torch.float32)
CPU, GPU = (Limits(Circumstances(FP32, on_gpu=on_gpu)) for on_gpu in (False, True))
jobs_strategy = st.lists(
    st.builds(
        job,
        network=st.sampled_from([SMALL_NETWORK, WIDE]),
        batch_size=st.sampled_from([4, 8]),
        loss=st.sampled_from(["mse", "mae"]),
        lr=st.sampled_from([0.1, 0.01]),
    ),
    max_size=40,
)


@given(jobs_strategy, st.integers(0, 12), st.sampled_from([CPU, GPU]))
def test_packs_hold_every_job_once_and_only_jobs_of_one_program(jobs, pack_size, limits):
    """No pack is empty, no more train side by side than may, and every network fits into the pack's layers."""
    packs = plan_packs(jobs, replace(limits, pack_size=pack_size))
    assert sorted(position for pack in packs for position in pack.positions) == list(range(len(jobs)))
    for pack in packs:
        assert 1 <= pack.slots <= min(len(pack.positions), pack_size or len(jobs))
        own = [jobs[position] for position in pack.positions]
        assert len({each.graph for each in own}) == 1
        for widths in (each.network.hidden for each in own):
            assert all(width <= widest for width, widest in zip(widths, pack.network.hidden, strict=True))


def test_places_are_as_few_and_as_evenly_used_as_can_be():
    """25 jobs at most 10 at a time: 9 places, three rounds; in the order of the jobs."""
    [pack] = plan_packs([job()] * 25, replace(CPU, pack_size=10))
    assert pack == Pack(SMALL_NETWORK, tuple(range(25)), slots=9, most=10, by="pack_size")
    assert plan_packs([], CPU) == []


def test_a_step_of_a_pack_stays_in_the_cache():
    """Room for five and a half networks takes five; of networks too large for it, four for each thread."""
    each = working_set(job(), SMALL_NETWORK, FP32)
    [pack] = plan_packs([job()] * 40, replace(CPU, cache=int(5.5 * each)))
    assert (pack.slots, pack.most, pack.by) == (5, 5, "cache")
    [pack] = plan_packs([job()] * 40, replace(CPU, cache=each // 2, threads=3))
    assert (pack.most, pack.by) == (12, "cache")


def test_a_cache_of_unknown_size_is_taken_for_a_small_one():
    """8 MiB a thread."""
    [unknown] = plan_packs([job()] * 4, replace(CPU, threads=2))
    [known] = plan_packs([job()] * 4, replace(CPU, threads=2, cache=16 << 20))
    assert unknown == known


def test_no_pack_is_larger_than_memory():
    """On a CPU half of the computer's; one network is tried whatever there is."""
    at, jobs = CPU.circumstances, [job()] * 40
    room = peak(jobs, SMALL_NETWORK, 7, at).total
    roomy = replace(CPU, cache=1 << 30)
    [pack] = plan_packs(jobs, replace(roomy, memory=2 * room + 100))
    assert (pack.most, pack.by) == (7, "memory")
    assert plan_packs(jobs, replace(roomy, memory=200 * room))[0].by == "cache"
    assert plan_packs(jobs, replace(roomy, memory=100))[0].slots == 1


@pytest.mark.parametrize(
    "own",
    [
        job(network=replace(WIDE, inputs=20), train_rows=np.arange(1_000_000), batch_size=1024, epochs=3),
        job(network=replace(WIDE, inputs=1, hidden=()), valid_rows=range(60_000_000)),
        job(network=replace(WIDE, inputs=300, hidden=(300,)), batch_size=1),
        job(network=replace(WIDE, hidden=(100, 100)), train_rows=np.arange(1000), batch_size=1000, dropout=0.1),
    ],
    ids=["row orders", "outputs", "weights", "layers"],
)
def test_what_a_step_does_not_touch_is_not_forgotten(own):
    """Row orders, outputs and the like, whatever the cache would allow: the peak is within half of the memory."""
    at, jobs = replace(CPU.circumstances, is_saved=True), [own] * 8
    for fitting in (3, 7):
        memory = 2 * peak(jobs, own.network, fitting, at).total + 2
        [pack] = plan_packs(jobs, Limits(at, memory=memory, cache=1 << 40))
        assert (pack.most, pack.by) == (fitting, "memory")


def test_a_network_of_the_users_is_rehearsed(monkeypatch):
    """No bound is known of what it makes inside."""
    asked = []

    def counted(jobs, network, count, at):
        asked.append(count)
        return Moment("a step", {"all": 100 * count})

    monkeypatch.setattr(packing, "peak", counted)
    own = job(network=replace(SMALL_NETWORK, custom="mine.py:build", custom_tensors=(("weight", (3, 1)),)))
    [pack] = plan_packs([own] * 8, replace(CPU, memory=1000))
    assert (pack.most, pack.by) == (5, "memory")
    assert asked


@pytest.mark.slow
def test_memory_decides_on_a_gpu():
    """As many as fit by the prediction and not one more; a step's graph keeps its memory."""
    patient = [job(network=WIDE, patience=2)] * 50  # one may leave: from two networks on there are copies
    for jobs, at in (
        ([job(network=WIDE, dropout=0.1)] * 50, GPU.circumstances),
        (patient, replace(GPU.circumstances, is_captured=True, is_saved=True)),
    ):
        for count in (1, 2, 9, 40):
            room = peak(jobs, WIDE, count, at).total
            [pack] = plan_packs(jobs, Limits(at, memory=room))
            assert (pack.most, pack.by) == (count, "memory")
            [pack] = plan_packs(jobs, Limits(at, memory=room - 1))
            assert pack.most == max(1, count - 1)


def test_a_size_that_somebody_set_is_taken_as_it_is():
    """train.pack_size overrides cache and memory; running out of it halves the pack later."""
    for limits in (CPU, GPU):
        [pack] = plan_packs([job()] * 10, replace(limits, cache=1, memory=1, pack_size=5))
        assert (pack.slots, pack.by) == (5, "pack_size")


def test_a_plan_for_a_cpu_does_not_rehearse(monkeypatch):
    """Neither memory nor cache near: no work but arithmetic, so that small trainings start at once."""
    monkeypatch.setattr(packing, "peak", None)
    assert len(plan_packs([job()] * 30, replace(CPU, memory=8 << 30, cache=16 << 20))) == 1


def test_like_widths_share_a_pack_and_unlike_ones_do_not():
    """128 beside 120 is padded everywhere, 128 beside 64 on a GPU, which has arithmetic to spare; sigmoid never."""

    def networks(activation):
        return [
            job(network=replace(SMALL_NETWORK, inputs=100, hidden=(width, width), activation=activation))
            for width in (128, 120, 64)
        ]

    def planned(activation, limits):
        return [(pack.network.hidden[0], pack.positions) for pack in plan_packs(networks(activation), limits)]

    assert planned("relu", CPU) == [(128, (0, 1)), (64, (2,))]
    assert planned("relu", GPU) == [(128, (0, 1, 2))]
    assert planned("sigmoid", GPU) == [(128, (0,)), (120, (1,)), (64, (2,))]


def test_hyperparameters_that_leave_the_graph_alone_do_not_split_packs():
    """Rates, dropout, epochs, patience, rows and keys may differ in a pack; width, batch, loss, optimizer may not."""
    alike = [
        job(), job(lr=1.0), job(schedule="cosine"), job(dropout=0.5), job(epochs=9), job(patience=2), job(key=7),
        job(train_rows=np.arange(3)), job(restore_best=False),
    ]  # fmt: skip
    assert len(plan_packs(alike, CPU)) == 1
    apart = [job(), job(network=WIDE), job(batch_size=5), job(loss="huber"), job(rule=Rule(kind="sgd"))]
    assert len(plan_packs(apart, CPU)) == 5


@pytest.mark.parametrize(("rows", "steps_per_epoch"), [(1, 1), (4, 1), (5, 2), (10, 3), (12, 3)])
def test_a_last_partial_batch_is_a_step(rows, steps_per_epoch):
    """Batches of 4, five epochs."""
    own = job(train_rows=np.arange(rows), epochs=5)
    assert own.steps_per_epoch == steps_per_epoch
    assert own.steps == 5 * steps_per_epoch


def test_jobs_with_equal_hyperparameters_become_neighbours():
    """Alternating candidates: the optimizer then needs two calls a step, not four."""
    slow, fast = job(lr=0.1), job(lr=0.2)
    [pack] = plan_packs([slow, fast, slow, fast], CPU)
    assert pack.positions == (0, 2, 1, 3)
