"""Loss scaling by model, against torch.amp's rule."""

import torch

from pipeline.engine import loss_scale
from pipeline.engine.loss_scale import BACKOFF, GROWTH, PATIENCE, adjust, unscaled


def test_gradients_come_back_to_their_own_size_and_overflows_are_told_by_model():
    """Model 1 has an infinity in its second tensor, model 2 a NaN in its first."""
    gradients = [torch.ones(3, 2, 2), torch.ones(3, 1, 2)]
    gradients[1][1, 0, 0], gradients[0][2, 0, 0] = torch.inf, torch.nan
    found, overflowed = unscaled(gradients, torch.tensor([2.0, 4.0, 8.0]))
    assert overflowed.tolist() == [False, True, True]
    assert found[0][0].eq(0.5).all()
    assert found[0][1].eq(0.25).all()


def test_a_factor_halves_on_overflow_and_doubles_after_enough_calm_steps():
    """Each model by itself; an overflow starts the count anew."""
    scale, calm = torch.full((2,), 16.0), torch.tensor([PATIENCE - 1, PATIENCE - 1])
    adjust(scale, calm, torch.tensor([False, True]))
    assert scale.tolist() == [16.0 * GROWTH, 16.0 * BACKOFF]
    assert calm.tolist() == [0, 0]


def test_the_rule_is_torchs():
    """The defaults of torch.amp.GradScaler."""
    oracle = torch.amp.GradScaler("cpu")
    assert oracle._init_scale == loss_scale.START  # made on first use, so there is no public way to ask
    assert (oracle.get_growth_factor(), oracle.get_backoff_factor()) == (GROWTH, BACKOFF)
    assert oracle.get_growth_interval() == PATIENCE
