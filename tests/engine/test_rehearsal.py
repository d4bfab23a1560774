"""Parts of a training on tensors without memory, against the same parts on real ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import job

from pipeline.engine import rehearsal
from pipeline.engine.beginnings import initial_weights
from pipeline.engine.data import Data
from pipeline.engine.gradients import GradientRule
from pipeline.engine.live import LiveBytes
from pipeline.engine.networks import Pass, forward, layer_shapes
from pipeline.engine.optimizers import PackedOptimizer, Rule
from pipeline.engine.rehearsal import Precision
from pipeline.engine.sources import Resident
from pipeline.fits import Network

FP32 = Precision(torch.float32)
NETWORK = Network(inputs=30, hidden=(20, 10), activation="relu", init="pytorch", init_scale=0.01)
JOB = job(network=NETWORK, train_rows=np.arange(40), batch_size=8)


def real_peak(work):
    """Bytes of real tensors."""
    with LiveBytes() as live:
        work()
    return live.peak


@pytest.mark.parametrize("init", ["pytorch", "kaiming_normal", "data_driven"])
def test_weights_are_drawn_as_in_earnest(init):
    """To the byte: the functions are the same."""
    network = replace(NETWORK, init=init)
    jobs = [replace(JOB, network=network)] * 3
    data = Data(Resident(torch.randn(40, 30)), torch.randn(40))
    found = rehearsal.beginning(jobs, network, FP32)
    assert sum(found.values()) == real_peak(lambda: initial_weights(jobs, network, data))


def test_networks_are_scored_as_in_earnest():
    """To the byte, rows included."""

    def score():
        rows = torch.randn(3, 16, 30)
        tensors = [torch.zeros(3, *shape) for shape in layer_shapes(NETWORK)]
        with torch.no_grad():
            return forward(NETWORK, tensors, rows, Pass())

    weights = 3 * 4 * NETWORK.parameters
    assert sum(rehearsal.scoring(NETWORK, 3, 16, FP32).values()) == real_peak(score) - weights


@pytest.mark.parametrize("rule", [Rule("rmsprop", momentum=0.9), Rule(weight_decay=0.1), Rule("sgd")])
def test_an_update_takes_what_it_takes_in_earnest(rule):
    """Beside weights, moments and gradients."""
    tensors = [torch.zeros(2, *shape) for shape in NETWORK.trained.values()]
    optimizer = PackedOptimizer(tensors, [rule] * 2, np.zeros((2, 1)), fused=False)
    gradients = [torch.zeros_like(tensor) for tensor in tensors]
    found = rehearsal.update([replace(JOB, rule=rule)] * 2, NETWORK, FP32)
    assert found == real_peak(lambda: optimizer.step(gradients))


def test_a_step_says_which_layer_holds_what():
    """A row of 30 numbers and its own number; what relu gives is kept; the last gradient fills the measure."""
    found = rehearsal.step([JOB] * 2, NETWORK, 1, FP32)
    assert found["rows of the batch"] == 2 * (30 * 4 + 8)
    assert found["gradients"] == 2 * 4 * NETWORK.parameters
    later = rehearsal.step([JOB] * 2, NETWORK, 500, FP32)  # so many rows that layers fill it
    assert later["layer 1"] == 2 * 500 * 20 * 4


@pytest.mark.parametrize("scratch", [0, 10**6])
def test_bounds_of_any_job_are_bounds_of_the_pack(scratch):
    """One job's clipping makes a second copy of all gradients, which is there until the update is made."""
    plain = [JOB] * 2
    bounded = [JOB, replace(JOB, gradient=GradientRule(clip_norm=1.0))]
    first, second = (sum(rehearsal.step(jobs, NETWORK, 1, FP32, scratch).values()) for jobs in (plain, bounded))
    assert second - first == pytest.approx(2 * 4 * NETWORK.parameters, rel=0.1)


def test_company_goes_round():
    """As many as asked for, in turn; weights that somebody gave cost no more than others."""
    given = replace(JOB, start=(np.zeros((30, 20)),))
    other = replace(JOB, lr=0.5)
    assert [own.lr for own in rehearsal.company([given, other], 3)] == [JOB.lr, 0.5, JOB.lr]
    assert all(own.start is None for own in rehearsal.company([given, other], 3))
    assert rehearsal.company([given, other], 1)[0].lr == JOB.lr
