"""Losses row by row, against torch's own."""

import pytest
import torch
from torch import nn

from pipeline.engine.losses import LOSSES

ORACLES = {
    "mse": nn.MSELoss(reduction="none"),
    "mae": nn.L1Loss(reduction="none"),
    "huber": nn.HuberLoss(reduction="none"),
}


def test_every_loss_has_an_oracle():
    """A loss that is added without a test is noticed here."""
    assert LOSSES.keys() == ORACLES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_equal_torchs(name):
    """Small and large errors of both signs, value and gradient bit for bit."""
    outputs = torch.linspace(-3, 3, 24, dtype=torch.float64).view(4, 6)
    targets = torch.zeros(4, 6, dtype=torch.float64)
    found, expected = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    losses, oracle = LOSSES[name](found, targets), ORACLES[name](expected, targets)
    assert torch.equal(losses, oracle)
    losses.sum().backward()
    oracle.sum().backward()
    assert torch.equal(found.grad, expected.grad)


@pytest.mark.parametrize(("name", "by_hand"), [("mse", [9.0, 0.25]), ("mae", [3.0, 0.5]), ("huber", [2.5, 0.125])])
def test_a_loss_has_its_value_by_hand(name, by_hand):
    """Errors of 3 and 0.5: squares 9 and 1/4; huber 3 - 1/2 and (1/2)^2 / 2."""
    assert LOSSES[name](torch.tensor([[4.0, -0.5]]), torch.tensor([[1.0, 0.0]])).tolist() == [by_hand]
