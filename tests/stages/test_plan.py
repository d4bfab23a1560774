"""A training's plan, told beforehand."""

from dataclasses import replace

import pytest
import torch
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu

from pipeline.engine.sources import Streamed
from pipeline.fits import Job
from pipeline.runtime import Room, Runtime
from pipeline.search_settings import Range, Search
from pipeline.settings import Preprocess, Target
from pipeline.stages import limits as limits_module
from pipeline.stages import plan
from pipeline.stages.assignments import Candidate, training_jobs
from pipeline.stages.learners import build_blocks
from pipeline.stages.limits import CONTEXT, GPU_RESERVE, SHARE_OF_GPU, limits_of, matrix_bytes
from pipeline.stages.plan import explained, trial_jobs
from pipeline.stages.search import examples
from pipeline.stages.setups import Setup
from pipeline.stages.train import train
from pipeline.tables import Compute
from pipeline.training_settings import Train

DESIGN = design_of(generated_dataset())
BASE = Candidate(SMALL_MODEL, SHORT_TRAINING)
SETUP = Setup(Preprocess(), Target(), SMALL_MODEL, SHORT_TRAINING)


def test_the_plan_that_is_told_is_the_one_that_is_trained():
    """Packs and places as the training itself reports them."""
    settings = SHORT_TRAINING.model_copy(update={"pack_size": 4, "refit": "alone"})
    jobs = training_jobs(DESIGN, settings)
    said: list[str] = []
    runtime = on_cpu("fp64", on_progress=lambda _done, _total, what: said.append(what))
    fits = train(DESIGN, model=SMALL_MODEL, train=settings, metric="rmse", runtime=runtime)
    [pack] = explained(DESIGN, [Candidate(SMALL_MODEL, settings)], jobs, on_cpu("fp64"))
    assert tuple(jobs) == fits.jobs
    assert set(said) == {f"{pack.networks} networks, {pack.slots} side by side, pack 1 of 1"}
    assert (pack.networks, pack.slots) == (8, 4)


def test_training_jobs_are_folds_times_seeds():
    """With a refit on all rows as one fold more."""
    jobs = training_jobs(DESIGN, Train(seed=5, seeds=2, refit=False))
    assert jobs == [Job(0, fold, seed) for fold in range(3) for seed in (5, 6)]
    assert len(training_jobs(DESIGN, Train(seeds=2, refit=True))) == 8
    assert trial_jobs(DESIGN, 2, 5) == [Job(number, fold, 5) for number in (0, 1) for fold in range(3)]


def test_an_example_of_a_batch_begins_with_the_configuration_as_it_stands():
    """The others lie in the space, and the same ones come again."""
    space = {"train.lr": Range(log=(1e-3, 1e-1)), "model.depth": Range(integer=(1, 3))}
    search = Search(parallel=5, space=space)
    found = examples(SETUP, search)
    assert len(found) == 5
    assert (found[0].train.lr, found[0].model.depth) == (SHORT_TRAINING.lr, SMALL_MODEL.depth)
    assert all(1e-3 <= each.train.lr <= 1e-1 and 1 <= each.model.depth <= 3 for each in found)
    assert found == examples(SETUP, search)


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
def test_shared_rows_are_counted_as_they_lie_on_the_device(precision):
    """A block for each fold of statistics, in the precision of products."""
    blocks = build_blocks(DESIGN, [0, 1, 2], on_cpu(precision))
    assert matrix_bytes(DESIGN, [0, 1, 2], precision) == blocks.source.matrix.nbytes


@pytest.mark.parametrize(("room", "streams"), [(10**9, False), (10, True)])
def test_rows_that_find_no_room_stream_in_the_plan_as_in_the_training(room, streams, monkeypatch):
    """Then a batch is on its way while another one is used."""
    planned = []
    monkeypatch.setattr(plan, "explanations", lambda _jobs, _packs, limits, **_: planned.append(limits))
    runtime = on_cpu("fp64", room=Room(room))
    explained(DESIGN, [BASE], trial_jobs(DESIGN, 1, 0), runtime)
    assert planned[0].circumstances.is_streamed == streams
    assert isinstance(build_blocks(DESIGN, [0, 1, 2], runtime).source, Streamed) == streams


def test_limits_of_a_cpu_are_what_is_lent():
    """Cache in MiB for each thread; memory in bytes, shared by all processes; a checkpoint will be made."""
    runtime = on_cpu("bf16", memory=1 << 33)
    limits = limits_of(runtime, 7)
    shared = Runtime(replace(runtime.compute, shares=4, cache=16, threads=2), memory=1 << 33)
    assert (limits_of(shared, 0).memory, limits_of(shared, 0).cache) == (1 << 31, 32 << 20)
    assert (limits.memory, limits.threads, limits.pack_size) == (1 << 33, 1, 7)
    assert limits.circumstances.is_saved
    assert not limits.circumstances.on_gpu
    precision = limits.circumstances.precision
    assert (precision.weights, precision.product) == (torch.float32, torch.bfloat16)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("device", "shares", "devices", "processes"),
    [("cuda", 4, 1, 4), ("cuda:1", 4, 2, 4), ("cuda", 4, 2, 2), ("cuda", 3, 2, 2), ("cuda", 2, 2, 1)],
)
def test_processes_that_share_a_gpu_share_its_memory(monkeypatch, device, shares, devices, processes):
    """80 GiB, 3 of them held here, 2 of those rows: all packs, rows, contexts and reserves fit side by side."""
    monkeypatch.setattr(limits_module, "held_on", lambda _device: (80 * GIB, 2 * GIB, GIB))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    for to_come in (0, 5 * GIB):
        runtime = Runtime(Compute(device, 1, "fp32", shares=shares))
        packs = limits_of(runtime, 0, still_to_come=to_come).memory / SHARE_OF_GPU
        rows = 2 * GIB + to_come
        here = rows + GIB + CONTEXT
        assert here + processes * (packs + GPU_RESERVE + rows + CONTEXT) == pytest.approx(80 * GIB, rel=1e-6)


def test_one_process_takes_what_is_free_of_a_gpu(monkeypatch):
    """It holds its context already; its rows may still come. Something is left to try where nothing is."""
    monkeypatch.setattr(limits_module, "free_on", lambda _device: 70 * GIB)
    runtime = Runtime(Compute("cuda", 1, "fp32"))
    assert limits_of(runtime, 0, still_to_come=5 * GIB).memory == int(SHARE_OF_GPU * (65 * GIB - GPU_RESERVE))
    assert limits_of(runtime, 0, still_to_come=90 * GIB).memory == 1
