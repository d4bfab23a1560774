"""Batch and layer normalisation of a pack, against torch.nn's of each model."""

import pytest
import torch
from torch import nn

from pipeline.engine.norms import batch_normalised, layer_normalised, settled, update_running


def values(*shape, seed=0):
    """Normal numbers around 3 with a spread of 2."""
    return 3 + 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_batch_normalisation_equals_torchs_class_while_training():
    """Three models of four units, and gradients with respect to the values."""
    batch = values(3, 7, 4).requires_grad_()
    weight = values(3, 7, 4, seed=1)
    found = batch_normalised(batch)[0]
    (found * weight).sum().backward()
    for m in range(3):
        own = batch[m].detach().clone().requires_grad_()
        expected = nn.BatchNorm1d(4, affine=False, dtype=torch.float64)(own)
        (expected * weight[m]).sum().backward()
        torch.testing.assert_close(found[m], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(batch.grad[m], own.grad, rtol=1e-9, atol=1e-12)


def test_rows_that_do_not_count_change_no_statistic():
    """Model 0 has five rows and model 1 two; what stands behind them, even NaN, leaves the others' values alone."""
    batch = values(2, 5, 3)
    batch[1, 2:] = 1e6
    present = torch.tensor([[True] * 5, [True, True, False, False, False]])
    found, mean, variance = batch_normalised(batch, present)
    for m, count in enumerate((5, 2)):
        expected = nn.BatchNorm1d(3, affine=False, dtype=torch.float64)(batch[m, :count])
        torch.testing.assert_close(found[m, :count], expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(mean[m, 0], batch[m, :count].mean(0))
        torch.testing.assert_close(variance[m, 0], batch[m, :count].var(0, correction=0))


def test_running_statistics_equal_torchs_after_several_batches():
    """Their values, and what evaluation makes of new rows."""
    mean, variance = torch.zeros(2, 1, 3, dtype=torch.float64), torch.ones(2, 1, 3, dtype=torch.float64)
    oracles = [nn.BatchNorm1d(3, affine=False, dtype=torch.float64) for _ in range(2)]
    for step in range(4):
        batch = values(2, 6, 3, seed=step)
        update_running(mean, variance, batch_normalised(batch)[1:], torch.tensor([6, 6]))
        for m, oracle in enumerate(oracles):
            oracle(batch[m])
    new = values(2, 5, 3, seed=9)
    for m, oracle in enumerate(oracles):
        torch.testing.assert_close(mean[m, 0], oracle.running_mean)
        torch.testing.assert_close(variance[m, 0], oracle.running_var)
        torch.testing.assert_close(settled(new, mean, variance)[m], oracle.eval()(new[m]))


def test_a_batch_of_one_row_and_a_frozen_model_leave_running_statistics_alone():
    """Model 0 saw one row, model 1 is frozen and saw NaN, model 2 moves."""
    mean, variance = torch.zeros(3, 1, 2), torch.ones(3, 1, 2)
    seen = (torch.full((3, 1, 2), 5.0), torch.full((3, 1, 2), 4.0))
    seen[0][1] = torch.nan
    update_running(mean, variance, seen, torch.tensor([1, 9, 9]), torch.tensor([False, True, False]))
    assert mean[:2].eq(0).all()
    assert variance[:2].eq(1).all()
    torch.testing.assert_close(mean[2], torch.full((1, 2), 0.5))
    torch.testing.assert_close(variance[2], torch.full((1, 2), 0.9 + 0.1 * 4 * 9 / 8))


@pytest.mark.parametrize("width", [None, 4])
def test_layer_normalisation_equals_torchs_class(width):
    """With its own width said and without."""
    batch = values(2, 5, 4)
    found = layer_normalised(batch, None if width is None else torch.tensor([width, width]))
    torch.testing.assert_close(found, nn.LayerNorm(4, elementwise_affine=False, dtype=torch.float64)(batch))


def test_padded_units_do_not_count_in_layer_normalisation():
    """Three true units of five: their values are those of three alone, also far from 0, and 0 gets no gradient."""
    batch = torch.cat([values(1, 6, 3) + 1000, torch.zeros(1, 6, 2, dtype=torch.float64)], dim=2).requires_grad_()
    found = layer_normalised(batch, torch.tensor([3]))
    expected = nn.LayerNorm(3, elementwise_affine=False, dtype=torch.float64)(batch[..., :3])
    torch.testing.assert_close(found[..., :3], expected, rtol=1e-7, atol=1e-7)
    [gradient] = torch.autograd.grad((found[..., :3] * values(1, 6, 3)).sum(), batch)
    assert found[..., 3:].eq(0).all()
    assert gradient[..., 3:].eq(0).all()
    assert gradient[..., :3].ne(0).any()
