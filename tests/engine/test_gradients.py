"""Penalty and clipping per model, against torch.nn.utils on one model at a time."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from pipeline.engine.gradients import GradientRule, PackedGradients, norms

SHAPES = ((3, 4), (1, 4), (4, 1))
OFF = GradientRule()
RULES = [
    OFF,
    GradientRule(l1=0.3),
    GradientRule(clip_value=0.2),
    GradientRule(clip_norm=1.0),
    GradientRule(clip_norm=1e6),
    GradientRule(l1=0.1, clip_value=0.5, clip_norm=0.7),
]
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-6)]


def random_tensors(models, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(models, *shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES]


def applied(rules, dtype=torch.float64, poison=None, **options):
    gradients, tensors = random_tensors(len(rules), 1, dtype), random_tensors(len(rules), 0, dtype)
    if poison is not None:
        gradients[0][3, 0, 0] = poison
    return PackedGradients(rules, gradients[0], **options).apply(gradients, tensors)


def applied_by_torch(m, rule, dtype=torch.float64, models=6, factors=(1.0, 1.0, 1.0)):
    """Autograd's gradient of l1 x sum |w| is added, then torch.nn.utils clips what it has to."""
    own = [tensor[m].clone().requires_grad_() for tensor in random_tensors(models, 0, dtype)]
    (rule.l1 * sum(factor * tensor.abs().sum() for factor, tensor in zip(factors, own, strict=True))).backward()
    for tensor, gradient in zip(own, random_tensors(models, 1, dtype), strict=True):
        tensor.grad += gradient[m]
    clip_grad_value_(own, rule.clip_value)
    clip_grad_norm_(own, rule.clip_norm)
    return [tensor.grad for tensor in own]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_each_model_is_penalised_and_clipped_as_torch_does_it_alone(dtype, tolerance):
    """Six models with nothing, one thing, or all of it, in one pack."""
    found = applied(RULES, dtype)
    for m, rule in enumerate(RULES):
        for gradient, oracle in zip(found, applied_by_torch(m, rule, dtype), strict=True):
            torch.testing.assert_close(gradient[m], oracle, rtol=tolerance, atol=tolerance)


@given(
    st.lists(
        st.builds(
            GradientRule,
            l1=st.sampled_from([0.0, 0.01, 2.0]),
            clip_value=st.sampled_from([1e-3, 0.5, math.inf]),
            clip_norm=st.sampled_from([1e-3, 1.0, math.inf]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_rules_side_by_side_are_torchs_one_by_one(rules):
    """Company decides which parts run, never what comes out."""
    found = applied(rules)
    for m, rule in enumerate(rules):
        for gradient, oracle in zip(found, applied_by_torch(m, rule, models=len(rules)), strict=True):
            torch.testing.assert_close(gradient[m], oracle, rtol=1e-12, atol=1e-12)


def test_a_tensor_with_factor_zero_is_exempt_from_the_penalty():
    """Weights bear it, the bias does not, the last tensor bears half."""
    factors = (1.0, 0.0, 0.5)
    found = applied(RULES, l1_factors=factors)
    for m, rule in enumerate(RULES):
        for gradient, oracle in zip(found, applied_by_torch(m, rule, factors=factors), strict=True):
            torch.testing.assert_close(gradient[m], oracle, rtol=1e-12, atol=1e-12)


def test_a_norm_is_taken_over_all_tensors_of_a_model_by_hand():
    """Gradients 3 and 4 have the norm 5, and clipped to 1 become 0.6 and 0.8; the neighbour's 0.3 and 0.4 stay."""
    gradients = [torch.tensor([[[3.0]], [[0.3]]]), torch.tensor([[[4.0]], [[0.4]]])]
    assert norms(gradients).tolist() == pytest.approx([5.0, 0.5])
    rule = GradientRule(clip_norm=1.0)
    weights, biases = PackedGradients([rule, rule], gradients[0]).apply(gradients, gradients)
    assert weights.flatten().tolist() == pytest.approx([0.6, 0.3])
    assert biases.flatten().tolist() == pytest.approx([0.8, 0.4])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_poisoned_gradient_changes_no_bit_of_another_model(poison):
    """One entry of model 3; every other model keeps every bit, and model 3 does not look healthy."""
    clean, found = applied(RULES), applied(RULES, poison=poison)
    others = [0, 1, 2, 4, 5]
    for gradient, expected in zip(found, clean, strict=True):
        assert torch.equal(gradient[others], expected[others])
    assert not all(torch.isfinite(gradient[3]).all() for gradient in found)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_model_that_is_not_clipped_keeps_its_broken_entry_to_itself(poison):
    """Alone it would not be touched at all; a clipped neighbour must not spread its NaN over its other entries."""
    rules = [GradientRule(l1=0.1, clip_value=1.0, clip_norm=1.0)] * 3 + [OFF]
    raw, found = random_tensors(4, 1), applied(rules, poison=poison)
    assert torch.equal(found[0][3, 1:], raw[0][3, 1:])
    assert torch.equal(found[1][3], raw[1][3])


def test_a_pack_that_asks_for_nothing_gets_its_own_gradients_back():
    """No copy, no arithmetic: the same tensors."""
    gradients = random_tensors(4, 1)
    found = PackedGradients([OFF] * 4, gradients[0]).apply(gradients, random_tensors(4, 0))
    assert all(a is b for a, b in zip(found, gradients, strict=True))


def test_gradients_that_share_memory_are_changed_once():
    """Autograd gives two summands of one shape the same tensor as gradient, and an expanded one for a plain sum.

    By hand: 2 + 0.1 is cut to 1.5, 1 + 0.1 stays; the norm of two rows of 1.5, 1.5, 1.1 is then cut to 1.
    """
    shared = torch.full((1, 1, 2), 2.0)
    expanded = torch.ones(1).expand(1, 1, 2)
    rule = GradientRule(clip_value=1.5, l1=0.1, clip_norm=1.0)
    found = PackedGradients([rule], shared).apply([shared, shared, expanded], [shared] * 3)
    norm = math.sqrt(2 * (1.5**2 + 1.5**2 + 1.1**2))
    assert [float(gradient[0, 0, 0]) * norm for gradient in found] == pytest.approx([1.5, 1.5, 1.1], rel=1e-5)
    clipped = PackedGradients([GradientRule(clip_norm=1.0)], shared).apply([shared, shared], [shared] * 2)
    assert [float(gradient[0, 0, 0]) for gradient in clipped] == pytest.approx([0.5, 0.5])
    assert float(shared[0, 0, 0]) == 2.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rules_follow_their_models(dtype):
    """Some leave, one joins: as a pack made of the rules that remain."""
    gradients, tensors = random_tensors(4, 1, dtype), random_tensors(4, 0, dtype)
    moved = PackedGradients(RULES, gradients[0])
    moved.keep(np.array([3, 1, 0]))
    moved.add([RULES[5]])
    expected = PackedGradients([RULES[3], RULES[1], RULES[0], RULES[5]], gradients[0]).apply(gradients, tensors)
    for gradient, oracle in zip(moved.apply(gradients, tensors), expected, strict=True):
        assert torch.equal(gradient, oracle)


def test_clipping_never_waits_for_the_device():
    """On torch's meta device there are no numbers to read: asking for one is an error."""
    meta = [tensor.to("meta") for tensor in random_tensors(len(RULES), 0)]
    assert len(PackedGradients(RULES, meta[0]).apply(meta, meta)) == len(SHAPES)
