"""What is said of a plan."""

from dataclasses import replace

import numpy as np
import torch
from builders import SMALL_NETWORK, job

from pipeline.engine.explanations import Difference, explanations, widths_of
from pipeline.engine.memory import Circumstances, peak, working_set
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Limits, plan_packs
from pipeline.engine.rehearsal import Precision

FP32 = Precision(torch.float32)
CPU = Limits(Circumstances(FP32), memory=8 << 30, cache=16 << 20, threads=2)
GPU = Limits(Circumstances(FP32, on_gpu=True), memory=1 << 30)


def explained(jobs, limits=CPU):
    """Planned and explained."""
    return explanations(jobs, plan_packs(jobs, limits), limits)


def test_a_pack_is_explained_by_its_numbers():
    """Seven jobs three at a time: three rounds. The peak is that of three, the limit half of the computer's memory."""
    limits = replace(CPU, pack_size=3)
    [pack] = explained([job()] * 7, limits)
    assert (pack.network, pack.networks, pack.slots, pack.rounds) == (SMALL_NETWORK, 7, 3, 3)
    assert (pack.most, pack.by, pack.padding, pack.apart) == (3, "pack_size", 1.0, ())
    assert pack.moment == peak([job()] * 7, SMALL_NETWORK, 3, CPU.circumstances)
    assert (pack.memory, pack.cache) == (4 << 30, 16 << 20)
    assert pack.touched == 3 * working_set(job(), SMALL_NETWORK, FP32)


def test_a_gpu_has_no_cache_to_fit_into_and_all_of_its_memory():
    """What is free of it, as the caller says."""
    [pack] = explained([job()], GPU)
    assert (pack.memory, pack.cache) == (1 << 30, 0)


def test_padding_is_what_the_widest_costs_the_others():
    """Networks 100-10-1 (1021 numbers) and 100-8-1 (817) as two of the former: 2042 / 1838."""
    jobs = [job(network=replace(SMALL_NETWORK, inputs=100, hidden=(width,))) for width in (10, 8)]
    [pack] = explained(jobs)
    assert pack.padding == 2042 / 1838


def test_every_setting_that_splits_packs_is_named():
    """One reason for each that differs, from the earlier pack that is most like it."""
    deep = replace(SMALL_NETWORK, hidden=(5, 4, 4))
    jobs = [job(), job(batch_size=5), job(rule=Rule(kind="sgd"), batch_size=5), job(network=deep, loss="mae")]
    reasons = [pack.apart for pack in explained(jobs)]
    assert reasons == [
        (),
        (Difference(0, "train.batch_size 5, not 4"),),
        (Difference(1, "train.optimizer sgd, not adam"),),
        (Difference(0, "depth 3, not 2"), Difference(0, "train.loss mae, not mse")),
    ]


def test_widths_that_would_be_padded_too_far_are_named():
    """Ten times as wide; and a sigmoid, which does not let anything be padded."""
    jobs = [job(network=replace(SMALL_NETWORK, hidden=(width,))) for width in (50, 5)]
    [difference] = explained(jobs)[1].apart
    assert difference.other == 0
    assert difference.reason == (
        "widths 3-5-1, not 3-50-1: padded to one size, the smaller would have 9.7 times its parameters, "
        "at most 1.3 are taken"
    )
    jobs = [job(network=replace(SMALL_NETWORK, hidden=(width,), activation="sigmoid")) for width in (50, 49)]
    [difference] = explained(jobs, GPU)[1].apart
    assert difference.reason == (
        "widths 3-49-1, not 3-50-1: sigmoid does not map 0 to 0, so that no layer can be padded"
    )


def test_jobs_of_one_pack_need_no_reason():
    """Rates, dropout and rows do not split."""
    assert len(explained([job(), job(lr=1.0), job(dropout=0.4), job(train_rows=np.arange(7))])) == 1
    assert explained([]) == []


def test_a_network_is_written_as_its_widths():
    """From the inputs to the output."""
    assert widths_of(SMALL_NETWORK) == "3-5-4-1"
    assert widths_of(replace(SMALL_NETWORK, hidden=())) == "3-1"
