"""Learning rates over a job's steps, against torch's schedulers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from pipeline.engine.schedules import SCHEDULES, constant, cosine, one_cycle


def rates_of(schedule_of, steps, lr):
    """The learning rate that torch's scheduler uses at each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = schedule_of(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return np.array(rates)


@given(st.integers(1, 300), st.floats(1e-5, 10))
def test_cosine_is_torchs_annealing(steps, lr):
    """CosineAnnealingLR with T_max = steps, at every step (torch works recursively, so to rounding)."""
    expected = rates_of(lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps), steps, lr)
    np.testing.assert_allclose(lr * cosine(steps), expected, rtol=1e-8, atol=1e-14 * lr)


@given(st.integers(1, 300), st.floats(1e-5, 10))
def test_one_cycle_is_torchs(steps, lr):
    """OneCycleLR with its defaults, at every step, very short trainings included."""
    expected = rates_of(lambda optimizer: OneCycleLR(optimizer, max_lr=lr, total_steps=steps), steps, lr)
    np.testing.assert_allclose(lr * one_cycle(steps), expected, rtol=1e-9)


def test_one_cycle_has_its_corners_by_hand():
    """Ten steps: 1/25 first, the peak at step 0.3 x 10 - 1 = 2, 1/250000 last; halfway up is the middle."""
    rates = one_cycle(10)
    assert rates[[0, 1, 2, 9]] == pytest.approx([0.04, 0.52, 1.0, 4e-6])
    assert (np.diff(rates[2:]) < 0).all()


def test_cosine_has_its_corners_by_hand():
    """Four steps: 1, (1 + cos 45°) / 2, 1/2, (1 - cos 45°) / 2; the last step still learns."""
    assert cosine(4) == pytest.approx([1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])


@pytest.mark.parametrize("name", SCHEDULES)
@given(steps=st.integers(1, 400))
def test_every_schedule_is_one_positive_share_a_step(name, steps):
    """The table holds one number a step, above 0 and never above the peak."""
    rates = SCHEDULES[name](steps)
    assert rates.shape == (steps,)
    assert (rates > 0).all()
    assert (rates <= 1 + 1e-12).all()


def test_constant_is_constant():
    """1 at every step."""
    assert constant(3).tolist() == [1, 1, 1]
