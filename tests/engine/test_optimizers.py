"""Adam over a pack, against one torch.optim optimizer per model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.optimizers import AdamRule, PackedAdam

SHAPES = ((3, 4), (1, 4), (4, 1))
STEPS = 20
RULES = [
    AdamRule(decoupled=True, weight_decay=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8),
    AdamRule(decoupled=False, weight_decay=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8),
    AdamRule(decoupled=False, weight_decay=0.0, beta1=0.0, beta2=0.9, epsilon=1e-3),
    AdamRule(decoupled=True, weight_decay=0.0, beta1=0.5, beta2=0.0, epsilon=1e-6),
    AdamRule(decoupled=True, weight_decay=1.0, beta1=0.95, beta2=0.99, epsilon=1e-8),
    AdamRule(decoupled=True, weight_decay=1.0, beta1=0.95, beta2=0.99, epsilon=1e-8),
]
MODELS = len(RULES)
RATES = np.outer([0.1, 0.01, 1.0, 0.03, 0.2, 0.2], np.linspace(1, 0.1, STEPS))


def random_tensors(models, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(models, *shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES]


def gradients_at(step, models=MODELS, dtype=torch.float64):
    return random_tensors(models, 100 + step, dtype)


def trained(rules, rates, *, fused, dtype=torch.float64, gradients=gradients_at):
    tensors = random_tensors(len(rules), 0, dtype)
    optimizer = PackedAdam(tensors, rules, rates, fused=fused)
    for step in range(STEPS):
        optimizer.step(gradients(step, len(rules), dtype))
    return tensors


def trained_by_torch(m, rule, rates, dtype=torch.float64, models=MODELS):
    """One torch.optim.Adam or AdamW on the tensors of model m."""
    own = [tensor[m].clone().requires_grad_() for tensor in random_tensors(models, 0, dtype)]
    kind = torch.optim.AdamW if rule.decoupled else torch.optim.Adam
    optimizer = kind(own, lr=1.0, betas=(rule.beta1, rule.beta2), eps=rule.epsilon, weight_decay=rule.weight_decay)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = float(rates[step])
        for tensor, gradient in zip(own, gradients_at(step, models, dtype), strict=True):
            tensor.grad = gradient[m].clone()
        optimizer.step()
    return [tensor.detach() for tensor in own]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("fused", [True, False])
def test_a_pack_equals_as_many_torch_optimizers(fused, dtype, tolerance):
    """Six models with their own lr, decay, betas, epsilon and kind: 20 steps of six torch.optim optimizers."""
    found = trained(RULES, RATES, fused=fused, dtype=dtype)
    for m, rule in enumerate(RULES):
        for tensor, oracle in zip(found, trained_by_torch(m, rule, RATES[m], dtype), strict=True):
            torch.testing.assert_close(tensor[m], oracle, rtol=tolerance, atol=tolerance)


rule_strategy = st.builds(
    AdamRule,
    decoupled=st.booleans(),
    weight_decay=st.sampled_from([0.0, 0.01, 0.5]),
    beta1=st.sampled_from([0.0, 0.5, 0.9]),
    beta2=st.sampled_from([0.0, 0.9, 0.999]),
    epsilon=st.sampled_from([1e-8, 1e-3]),
)


@settings(max_examples=30)
@given(st.lists(st.tuples(rule_strategy, st.sampled_from([0.001, 0.1])), min_size=1, max_size=6))
def test_the_fused_path_equals_the_plain_one(models):
    """Any rules in any order, equal neighbours (which share one kernel call) among them."""
    rules = [rule for rule, _ in models]
    rates = np.outer([lr for _, lr in models], np.ones(STEPS))
    for fast, slow in zip(trained(rules, rates, fused=True), trained(rules, rates, fused=False), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -1e300])
def test_a_poisoned_gradient_changes_no_bit_of_another_model(fused, poison):
    """Model 4's gradients turn NaN, infinite or huge at step 5; models 0-3 and its twin 5 keep every bit."""

    def poisoned(step, models, dtype):
        gradients = gradients_at(step, models, dtype)
        for gradient in gradients:
            gradient[4] = poison if step >= 5 else gradient[4]
        return gradients

    clean, found = trained(RULES, RATES, fused=fused), trained(RULES, RATES, fused=fused, gradients=poisoned)
    others = [0, 1, 2, 3, 5]
    for tensor, expected in zip(found, clean, strict=True):
        assert torch.equal(tensor[others], expected[others])
        assert not torch.equal(tensor[4], expected[4])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kept", [[0], [5], [1, 3, 4], [0, 2, 4, 5]])
def test_models_that_stay_go_on_as_if_nobody_had_left(fused, kept):
    """After 8 of 20 steps only some go on: same moments, same step count, same rates, bit for bit."""
    expected = trained(RULES, RATES, fused=fused)
    tensors = random_tensors(len(RULES), 0)
    optimizer = PackedAdam(tensors, RULES, RATES, fused=fused)
    for step in range(8):
        optimizer.step(gradients_at(step))
    index = np.array(kept)
    tensors = [tensor[index] for tensor in tensors]
    optimizer.keep(index, tensors)
    for step in range(8, STEPS):
        optimizer.step([gradient[index] for gradient in gradients_at(step)])
    for tensor, own in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor, own[index], rtol=1e-15, atol=0)


@pytest.mark.parametrize("fused", [True, False])
def test_the_first_step_is_lr_times_the_sign_by_hand(fused):
    """Without decay and with a small epsilon, bias correction makes Adam's first step lr x sign(gradient)."""
    tensor = torch.zeros(2, 1, 2, dtype=torch.float64)
    rule = AdamRule(decoupled=True, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-30)
    PackedAdam([tensor], [rule, rule], np.array([[0.5], [0.25]]), fused=fused).step(
        [torch.tensor([[[3.0, -7.0]], [[-2.0, 0.1]]], dtype=torch.float64)]
    )
    torch.testing.assert_close(tensor, torch.tensor([[[-0.5, 0.5]], [[0.25, -0.25]]], dtype=torch.float64))
