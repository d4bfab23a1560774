"""Which jobs share a program."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SMALL_NETWORK, job
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import CPU_PACK, plan_packs
from pipeline.tables import Network

WIDE = Network(inputs=3, hidden=(50,), activation="relu", init="pytorch", init_scale=0.01)
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


@given(jobs_strategy, st.integers(0, 12), st.booleans())
def test_packs_hold_every_job_once_and_only_jobs_of_one_program(jobs, pack_size, on_gpu):
    """No pack is empty, no more train side by side than may, and every network fits into the pack's layers."""
    packs = plan_packs(jobs, on_gpu=on_gpu, pack_size=pack_size)
    assert sorted(position for pack in packs for position in pack.positions) == list(range(len(jobs)))
    for pack in packs:
        assert 1 <= pack.slots <= min(len(pack.positions), pack_size or (len(jobs) if on_gpu else CPU_PACK))
        own = [jobs[position] for position in pack.positions]
        assert len({each.graph for each in own}) == 1
        for widths in (each.network.hidden for each in own):
            assert all(width <= widest for width, widest in zip(widths, pack.network.hidden, strict=True))


def test_places_are_as_few_and_as_evenly_used_as_can_be():
    """25 jobs at most 10 at a time: 9 places, three rounds; in the order of the jobs."""
    [pack] = plan_packs([job()] * 25, on_gpu=False)
    assert (pack.slots, pack.positions) == (9, tuple(range(25)))
    assert plan_packs([], on_gpu=False) == []


def test_like_widths_share_a_pack_and_unlike_ones_do_not():
    """128 beside 120 is padded everywhere, 128 beside 64 on a GPU, which has arithmetic to spare; sigmoid never."""

    def networks(activation):
        return [
            job(network=replace(SMALL_NETWORK, inputs=100, hidden=(width, width), activation=activation))
            for width in (128, 120, 64)
        ]

    def planned(activation, on_gpu):
        return [(pack.network.hidden[0], pack.positions) for pack in plan_packs(networks(activation), on_gpu=on_gpu)]

    assert planned("relu", on_gpu=False) == [(128, (0, 1)), (64, (2,))]
    assert planned("relu", on_gpu=True) == [(128, (0, 1, 2))]
    assert planned("sigmoid", on_gpu=True) == [(128, (0,)), (120, (1,)), (64, (2,))]


def test_hyperparameters_that_leave_the_graph_alone_do_not_split_packs():
    """Rates, dropout, epochs, patience, rows and keys may differ in a pack; width, batch, loss, optimizer may not."""
    alike = [
        job(), job(lr=1.0), job(schedule="cosine"), job(dropout=0.5), job(epochs=9), job(patience=2), job(key=7),
        job(train_rows=np.arange(3)), job(restore_best=False),
    ]  # fmt: skip
    assert len(plan_packs(alike, on_gpu=False)) == 1
    apart = [job(), job(network=WIDE), job(batch_size=5), job(loss="huber"), job(rule=Rule(kind="sgd"))]
    assert len(plan_packs(apart, on_gpu=False)) == 5


def test_a_gpu_takes_as_many_networks_as_its_memory_allows():
    """4 GiB / (4 bytes x 5 copies x 200 000 001 parameters) = 1.07: one at a time; never none."""
    huge = Network(inputs=100_000_000, hidden=(), activation="relu", init="pytorch", init_scale=0.01, outputs=2)
    assert [pack.slots for pack in plan_packs([job(network=huge)] * 3, on_gpu=True)] == [1]
    assert [pack.slots for pack in plan_packs([job()] * 1000, on_gpu=True)] == [1000]


@pytest.mark.parametrize(("rows", "steps_per_epoch"), [(1, 1), (4, 1), (5, 2), (10, 3), (12, 3)])
def test_a_last_partial_batch_is_a_step(rows, steps_per_epoch):
    """Batches of 4, five epochs."""
    own = job(train_rows=np.arange(rows), epochs=5)
    assert own.steps_per_epoch == steps_per_epoch
    assert own.steps == 5 * steps_per_epoch


def test_jobs_with_equal_hyperparameters_become_neighbours():
    """Alternating candidates: the optimizer then needs two calls a step, not four."""
    slow, fast = job(lr=0.1), job(lr=0.2)
    [pack] = plan_packs([slow, fast, slow, fast], on_gpu=False)
    assert pack.positions == (0, 2, 1, 3)
