"""Packs as values: how they are cut, what travels, and that another process would compute the same."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import step
from pipeline.engine.packing import Pack
from pipeline.fits import Job, Network
from pipeline.runtime import NoCheckpoint, in_this_process
from pipeline.stages import packs as module
from pipeline.stages.assignments import Candidate
from pipeline.stages.learners import build_blocks, products_in
from pipeline.stages.packs import Judge, PackWork, cut, fit_networks, weight_of
from pipeline.stages.train import train
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_target
from pipeline.training_settings import Model, Train

pytestmark = pytest.mark.usefixtures("one_thread")

DESIGN = design_of(generated_dataset())
JOBS = [Job(0, fold, seed) for fold in range(3) for seed in (0, 1)]
CANDIDATE = Candidate(SMALL_MODEL, SHORT_TRAINING)


def pack(networks, *, width=4, slots=0, first=0):
    """A pack of so many networks at consecutive positions."""
    network = Network(inputs=3, hidden=(width,), activation="relu", init="pytorch", init_scale=0.01)
    return Pack(network, tuple(range(first, first + networks)), slots or networks)


def fitted(jobs=JOBS, candidates=(CANDIDATE,), spread=in_this_process, shares=1, **lent):
    """Networks of these jobs."""
    runtime = on_cpu("fp64", spread=spread, **lent)
    runtime = replace(runtime, compute=replace(runtime.compute, shares=shares))
    blocks = build_blocks(DESIGN, range(3), runtime)
    return fit_networks(DESIGN, list(candidates), jobs, metric="rmse", runtime=runtime, blocks=blocks)


def as_if_far_away(shared, parts, runtime, on_epochs):
    """A spread that treats work and design as another process would get them: pickled, and in another order."""
    shared, works = pickle.loads(pickle.dumps((shared, [part.work for part in parts])))
    for number in reversed(range(len(parts))):
        yield number, works[number](shared, runtime, NoCheckpoint(), lambda _: None)


# --- how packs are cut


@pytest.mark.parametrize(
    ("networks", "shares", "expected"),
    [
        ([10], 1, [(10, 10)]),
        ([10], 2, [(5, 5), (5, 5)]),
        ([10], 3, [(3, 3), (4, 4), (3, 3)]),
        ([3], 8, [(1, 1), (1, 1), (1, 1)]),
        ([20, 2], 2, [(10, 10), (10, 10), (2, 2)]),
        ([4, 4], 2, [(4, 4), (4, 4)]),
        ([7, 7, 7], 2, [(7, 7), (7, 7), (7, 7)]),
    ],
)
def test_no_pack_is_more_than_its_share_of_the_work(networks, shares, expected):
    """Counted by hand: (networks, slots) of each piece."""
    found = cut([pack(count) for count in networks], shares)
    assert [(len(piece.positions), piece.slots) for piece in found] == expected


def test_a_wide_network_weighs_more_than_a_narrow_one():
    """One pack of 4 wide networks (4 x 161 parameters) and one of 4 narrow ones (4 x 11): only the wide one is cut."""
    wide, narrow = pack(4, width=32), pack(4, width=2, first=4)
    assert weight_of(wide) == 4 * (3 * 32 + 32 + 32 + 1)
    assert [len(piece.positions) for piece in cut([wide, narrow], 2)] == [2, 2, 4]


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([2, 8, 64])), min_size=1, max_size=5), st.integers(1, 12))
def test_a_cut_loses_no_network_and_gives_every_worker_a_pack(sizes, shares):
    """Positions in their order; as many packs as workers where there are as many networks; slots never above."""
    starts = np.cumsum([0, *(count for count, _ in sizes)])
    whole = [
        pack(count, width=width, first=int(first), slots=min(count, 10))
        for (count, width), first in zip(sizes, starts, strict=False)
    ]
    pieces = cut(whole, shares)
    assert [p for piece in pieces for p in piece.positions] == list(range(int(starts[-1])))
    assert all(1 <= piece.slots <= 10 and len(piece.positions) for piece in pieces)
    total = sum(map(weight_of, whole))
    assert all(len(piece.positions) == 1 or weight_of(piece) < total / shares + weight_of(piece) / len(piece.positions)
               for piece in pieces)  # fmt: skip
    if len({width for _, width in sizes}) == 1:
        assert len(pieces) >= min(shares, int(starts[-1]))


def test_refilled_packs_keep_their_number_side_by_side():
    """25 networks, 9 side by side, cut in two: rounds of at most 9, evenly."""
    assert [(len(p.positions), p.slots) for p in cut([pack(25, slots=9)], 2)] == [(12, 6), (13, 7)]


# --- what travels


def test_work_that_travels_leaves_the_rows_behind():
    """A pickled pack holds no matrix: hyperparameters and jobs alone, whatever the size of the table."""
    seen = []

    def spy(shared, parts, runtime, on_epochs):
        seen.extend(part.work for part in parts)
        return in_this_process(shared, parts, runtime, on_epochs)

    fitted(spread=spy)
    [work] = seen
    again = pickle.loads(pickle.dumps(work))
    assert work.at_hand is not None
    assert again.at_hand is None
    assert (again.candidates, again.jobs, again.slots, again.metric) == (
        work.candidates,
        work.jobs,
        work.slots,
        work.metric,
    )


def test_a_pack_names_the_functions_of_the_users_that_it_calls():
    """Each once, whichever candidate names it: another process has to find and check them."""
    losses = ["ideas.py:loss", "ideas.py:loss", ""]
    candidates = tuple(Candidate(SMALL_MODEL, SHORT_TRAINING.model_copy(update={"custom_loss": x})) for x in losses)
    net = Candidate(SMALL_MODEL.model_copy(update={"custom": "nets.py:build"}), SHORT_TRAINING)
    assert PackWork((*candidates, net), (), 1, "rmse").users_code == ("ideas.py:loss", "nets.py:build")


@pytest.mark.parametrize("shares", [1, 4])
def test_a_pack_that_travelled_gives_the_same_bits(shares):
    """Blocks of only the folds that it needs, so other row numbers, and yet the same weights and curves."""
    here, there = fitted(shares=shares), fitted(spread=as_if_far_away, shares=shares)
    for one, other in zip(here, there, strict=True):
        assert [a.tobytes() for a in one.tensors] == [b.tobytes() for b in other.tensors]
        assert one.curve.valid.tobytes() == other.curve.valid.tobytes()
        assert one.curve.train.tobytes() == other.curve.train.tobytes()


def test_results_come_in_the_order_of_the_jobs_whatever_arrives_first():
    """Two depths make two packs, which arrive in reverse: each result has its own job's shape."""
    deep = Candidate(Model(depth=2, width=5), SHORT_TRAINING)
    jobs = [Job(number % 2, 0, number) for number in range(4)]
    found = fitted(jobs, (CANDIDATE, deep), spread=as_if_far_away)
    assert [len(result.tensors) for result in found] == [4, 6, 4, 6]


def test_cut_networks_are_those_of_the_whole_pack_to_rounding():
    """Invariant 1: cutting changes company, not what is learned."""
    for one, other in zip(fitted(), fitted(shares=4), strict=True):
        for a, b in zip(one.tensors, other.tensors, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_blocks_that_a_process_built_last_serve_its_next_pack(monkeypatch):
    """Built once for two packs of the same folds; again for other folds, and for another design."""
    built = []
    monkeypatch.setattr(module, "build_blocks", lambda *told: built.append(told[1]) or build_blocks(*told))
    monkeypatch.setattr(module, "_BUILT", module._Built())
    other = pickle.loads(pickle.dumps(DESIGN))

    def train(design, *folds):
        work = PackWork((CANDIDATE,), tuple(Job(0, fold, 0) for fold in folds), len(folds), "rmse")
        work(design, on_cpu("fp64"), NoCheckpoint(), lambda _: None)

    for design, folds in ((DESIGN, (1, 0)), (DESIGN, (0, 1)), (DESIGN, (2,)), (other, (2,))):
        train(design, *folds)
    assert built == [(0, 1), (2,), (2,)]


# --- how networks are judged, and progress


def test_the_judge_scores_in_the_targets_own_scale():
    """By hand: outputs on fold 1's rows, back through that fold's target state, against the raw target."""
    rows = np.array([3, 7, 11])
    outputs = np.array([0.1, -0.4, 2.0])
    judge = Judge(DESIGN, "rmse", [Job(0, 0, 0), Job(0, 1, 0)], {0: 0, 1: 1000})
    state = DESIGN.target_states[1]
    expected = np.sqrt(np.mean((DESIGN.target[rows] - (outputs * state.scale + state.mean)) ** 2))
    assert judge(1, rows + 1000, outputs) == pytest.approx(expected, rel=1e-12)
    assert judge(1, rows + 1000, outputs) == loss("rmse", DESIGN.target[rows], to_target(state, outputs))


def test_progress_counts_whole_packs_where_epochs_are_not_heard_of():
    """Three packs of 2 networks and 4 epochs that arrive from elsewhere: 8, 16, 24 of 24, each said with its number."""
    told = []
    fitted(spread=as_if_far_away, shares=3, on_progress=lambda *values: told.append(values))
    assert [(done, total) for done, total, _ in told] == [(8, 24), (16, 24), (24, 24)]
    assert told[0][2] == "2 networks, 2 side by side, pack 3 of 3"


def test_early_leavers_count_in_full_once_their_pack_is_finished():
    """Patience 1: fewer epochs end than are planned, and the last report is the total all the same."""
    told = []
    candidate = Candidate(
        SMALL_MODEL, Train(**(SHORT_TRAINING.model_dump() | {"patience": 1, "epochs": 12, "lr": 0.2}))
    )
    fitted(candidates=(candidate,), on_progress=lambda *values: told.append(values))
    assert told[-1][:2] == (72, 72)


def test_want_of_memory_is_told_with_the_setting_that_begins_so(monkeypatch):
    """Six networks where there is room for two: the same weights, and a notice that names train.pack_size."""
    real, expected = step.train_step, fitted()

    def scarce(pack, *rest):
        if len(pack) > 2:
            raise torch.OutOfMemoryError("no more")
        real(pack, *rest)

    monkeypatch.setattr(step, "train_step", scarce)
    found = fitted()
    assert {result.narrowed_to for result in found} == {2}
    for ours, theirs in zip(found, expected, strict=True):
        for tensor, oracle in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_allclose(tensor, oracle, rtol=1e-4, atol=1e-5)
    fits = train(DESIGN, model=SMALL_MODEL, train=SHORT_TRAINING, metric="rmse", runtime=on_cpu())
    assert [n.text for n in fits.notices if "memory ran out" in n.text] == [
        (
            "memory ran out, so at most 2 networks trained side by side from then on, with the same results; "
            "train.pack_size = 2 begins so"
        )
    ]


SLOW = "steps were slower than they can be on a GPU, for "
PLAIN, NO_KERNEL = "they were not captured: capture failed: ", "weights had no kernel of their own: "
GUIDE = "docs/guides/your-own-ideas.md says what can be captured"


@pytest.mark.parametrize(
    ("slowed", "expected"),
    [
        (step.Slowed(), []),
        (step.Slowed(kernel="triton is not installed"), [f"{NO_KERNEL}triton is not installed; pip install triton"]),
        (
            step.Slowed(kernel="Triton cannot build for this device: no cc"),
            [f"{NO_KERNEL}Triton cannot build for this device: no cc; it needs a C compiler and Python's headers"],
        ),
        (
            step.Slowed("capture failed: OutOfMemoryError: full", "triton is not installed"),
            [
                f"{PLAIN}OutOfMemoryError: full; a smaller train.pack_size leaves memory for it",
                f"{NO_KERNEL}triton is not installed; pip install triton",
            ],
        ),
        (
            step.Slowed("capture failed: train.custom_loss = 'a.py:b' failed: a.py:3: no"),
            [f"{PLAIN}train.custom_loss = 'a.py:b' failed: a.py:3: no; {GUIDE}"],
        ),
        (step.Slowed("capture failed: odd"), [f"{PLAIN}odd; the results are the same; please report it"]),
    ],
)
def test_what_made_steps_slow_is_told_once_a_run_with_what_to_do(monkeypatch, slowed, expected):
    """Three packs of two networks, all slowed alike: one notice of each thing, of six networks."""
    monkeypatch.setattr(step.Step, "slowed", slowed)
    runtime = on_cpu()
    runtime = replace(runtime, compute=replace(runtime.compute, shares=3))
    fits = train(DESIGN, model=SMALL_MODEL, train=SHORT_TRAINING, metric="rmse", runtime=runtime)
    found = [notice for notice in fits.notices if notice.text.startswith(SLOW)]
    assert [notice.text.removeprefix(SLOW) for notice in found] == expected
    assert {notice.count for notice in found} <= {6}


@pytest.mark.parametrize(("precision", "expected"), [("tf32", "high"), ("fp32", "highest"), ("bf16", "highest")])
def test_only_tf32_lets_products_be_rounded_and_only_while_networks_train(precision, expected):
    """Predictions afterwards are in full precision again."""
    with products_in(precision):
        assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == "highest"
