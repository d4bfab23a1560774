"""Optimizers over a pack, against one torch.optim optimizer per model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.optimizers import PackedOptimizer, Rates, Rule

SHAPES = ((3, 4), (1, 4), (4, 1))
STEPS = 50
RULES = {
    "sgd": [
        Rule("sgd"),
        Rule("sgd", momentum=0.9),
        Rule("sgd", momentum=0.5, nesterov=True, weight_decay=0.1),
        Rule("sgd", momentum=0.9, weight_decay=0.3, decoupled=True),
        Rule("sgd", weight_decay=0.2),
        Rule("sgd", weight_decay=0.2),
    ],
    "adagrad": [
        Rule("adagrad", epsilon=1e-10),
        Rule("adagrad", epsilon=1e-3),
        Rule("adagrad", weight_decay=0.1),
        Rule("adagrad", weight_decay=0.3, decoupled=True),
        Rule("adagrad", weight_decay=0.2),
        Rule("adagrad", weight_decay=0.2),
    ],
    "rmsprop": [
        Rule("rmsprop", beta2=0.99),
        Rule("rmsprop", beta2=0.9, momentum=0.8, epsilon=1e-3),
        Rule("rmsprop", beta2=0.5, weight_decay=0.1),
        Rule("rmsprop", beta2=0.99, weight_decay=0.3, decoupled=True, momentum=0.5),
        Rule("rmsprop", beta2=0.99, weight_decay=0.2),
        Rule("rmsprop", beta2=0.99, weight_decay=0.2),
    ],
    "adam": [
        Rule(decoupled=True, weight_decay=0.1),
        Rule(weight_decay=0.1),
        Rule(beta1=0.0, beta2=0.9, epsilon=1e-3),
        Rule(decoupled=True, beta1=0.5, beta2=0.0, epsilon=1e-6),
        Rule(decoupled=True, weight_decay=1.0, beta1=0.95, beta2=0.99),
        Rule(decoupled=True, weight_decay=1.0, beta1=0.95, beta2=0.99),
    ],
    "adam_then_sgd": [
        Rule("adam_then_sgd", switch_step=10, momentum=0.9, switch_lr=0.1),
        Rule("adam_then_sgd", switch_step=30, momentum=0.8, nesterov=True, weight_decay=0.1),
        Rule("adam_then_sgd", switch_step=0, momentum=0.9),
        Rule("adam_then_sgd", switch_step=1000, decoupled=True, weight_decay=0.2),
        Rule("adam_then_sgd", switch_step=20, decoupled=True, weight_decay=0.3, switch_lr=2.0),
        Rule("adam_then_sgd", switch_step=20, decoupled=True, weight_decay=0.3, switch_lr=2.0),
    ],
}
MODELS = 6
RATES = np.outer([0.1, 0.01, 0.05, 0.03, 0.02, 0.02], np.linspace(1, 0.1, STEPS))
SHARES = np.outer(np.ones(MODELS), np.linspace(1, 0, STEPS)) ** np.array([[1], [2], [1], [3], [2], [2]])
LR_FACTORS, DECAY_FACTORS = (1.0, 0.1, 6.0), (1.0, 0.0, 0.5)
each_kind = pytest.mark.parametrize("kind", RULES)
each_path = pytest.mark.parametrize("fused", [True, False])
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-6)]


def random_tensors(models, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(models, *shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES]


def gradients_at(step, models=MODELS, dtype=torch.float64):
    return random_tensors(models, 100 + step, dtype)


def trained(rules, rates, *, fused, dtype=torch.float64, gradients=gradients_at, **factors):
    tensors = random_tensors(len(rules), 0, dtype)
    optimizer = PackedOptimizer(tensors, rules, rates, fused=fused, **factors)
    for step in range(STEPS):
        optimizer.step(gradients(step, len(rules), dtype))
    return tensors


def torch_optimizer(rule, own, *, as_sgd):
    """The class of that name; decoupled decay, which only AdamW has, is left to the loop."""
    decay = 0.0 if rule.decoupled else rule.weight_decay
    groups = [{"params": [tensor], "weight_decay": decay} for tensor in own]
    if as_sgd:
        return torch.optim.SGD(groups, lr=1.0, momentum=rule.momentum, nesterov=rule.nesterov)
    if rule.kind == "adagrad":
        return torch.optim.Adagrad(groups, lr=1.0, eps=rule.epsilon)
    if rule.kind == "rmsprop":
        return torch.optim.RMSprop(groups, lr=1.0, alpha=rule.beta2, eps=rule.epsilon, momentum=rule.momentum)
    kind = torch.optim.AdamW if rule.decoupled else torch.optim.Adam
    for group in groups:
        group["weight_decay"] = rule.weight_decay
    return kind(groups, lr=1.0, betas=(rule.beta1, rule.beta2), eps=rule.epsilon)


def trained_by_torch(
    m, rule, rates, *, start=0, stop=STEPS, first=None, shares=None, dtype=torch.float64, factors=None
):
    """One torch.optim optimizer on the tensors of model m, one parameter group a tensor.

    first: the step at which this model takes its own first one.
    """
    own = [tensor[m].clone().requires_grad_() for tensor in random_tensors(MODELS, start, dtype)]
    as_sgd = rule.kind == "sgd"
    optimizer = torch_optimizer(rule, own, as_sgd=as_sgd)
    first = first or 0
    for step in range(stop - first):
        if rule.kind == "adam_then_sgd" and step == rule.switch_step:
            optimizer, as_sgd = torch_optimizer(rule, own, as_sgd=True), True
        shown = rule.switch_lr if rule.kind == "adam_then_sgd" and as_sgd else 1.0
        share = 1.0 if shares is None else shares[step]
        by_hand = rule.decoupled and not isinstance(optimizer, torch.optim.AdamW)
        for place, group in enumerate(optimizer.param_groups):
            lr_factor, decay_factor = (LR_FACTORS[place], DECAY_FACTORS[place]) if factors else (1.0, 1.0)
            group["lr"] = float(rates[step]) * shown * lr_factor
            decay = rule.weight_decay * share * decay_factor
            group["weight_decay"] = 0.0 if by_hand else decay
            if by_hand:
                own[place].data.mul_(1 - group["lr"] * decay)
        for tensor, gradient in zip(own, gradients_at(first + step, dtype=dtype), strict=True):
            tensor.grad = gradient[m].clone()
        optimizer.step()
    return [tensor.detach() for tensor in own]


def assert_model(tensors, m, expected, tolerance=1e-12):
    for tensor, oracle in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor[m], oracle, rtol=tolerance, atol=tolerance)


# --- against torch


@each_kind
@each_path
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_a_pack_equals_as_many_torch_optimizers(kind, fused, dtype, tolerance):
    """Six models with their own lr, decay, moments, momentum and switch: 50 steps of six torch.optim optimizers."""
    found = trained(RULES[kind], RATES, fused=fused, dtype=dtype)
    for m, rule in enumerate(RULES[kind]):
        assert_model(found, m, trained_by_torch(m, rule, RATES[m], dtype=dtype), tolerance)


@each_kind
@each_path
def test_factors_and_shares_are_those_of_a_parameter_group(kind, fused):
    """Each tensor's factors on lr and decay, and a decay that fades, as torch's groups with lr and weight_decay set."""
    rates = Rates(RATES, SHARES)
    found = trained(RULES[kind], rates, fused=fused, lr_factors=LR_FACTORS, decay_factors=DECAY_FACTORS)
    for m, rule in enumerate(RULES[kind]):
        expected = trained_by_torch(m, rule, RATES[m], shares=SHARES[m], factors=True)
        assert_model(found, m, expected, 1e-11)


@each_path
def test_a_tensor_whose_decay_factor_is_zero_is_exempt(fused):
    """Without gradients, AdamW with lr 0.5 and decay 0.2 leaves 0.9 of a weight and all of a bias."""
    weight, bias = torch.ones(1, 2, 2, dtype=torch.float64), torch.ones(1, 1, 2, dtype=torch.float64)
    rule = Rule(weight_decay=0.2, decoupled=True)
    optimizer = PackedOptimizer([weight, bias], [rule], np.array([[0.5]]), fused=fused, decay_factors=(1.0, 0.0))
    optimizer.step([torch.zeros_like(weight), torch.zeros_like(bias)])
    torch.testing.assert_close(weight, torch.full_like(weight, 0.9))
    assert torch.equal(bias, torch.ones_like(bias))


rule_strategy = st.fixed_dictionaries({
    "decoupled": st.booleans(),
    "weight_decay": st.sampled_from([0.0, 0.01, 0.5]),
    "beta1": st.sampled_from([0.0, 0.5, 0.9]),
    "beta2": st.sampled_from([0.0, 0.9, 0.999]),
    "epsilon": st.sampled_from([1e-8, 1e-3]),
    "momentum": st.sampled_from([0.0, 0.9]),
    "nesterov": st.booleans(),
    "switch_step": st.sampled_from([0, 1, 7, 99]),
    "switch_lr": st.sampled_from([1.0, 0.1]),
})  # fmt: skip


@each_kind
@settings(max_examples=15)
@given(models=st.lists(st.tuples(rule_strategy, st.sampled_from([0.001, 0.1])), min_size=1, max_size=6))
def test_the_fused_path_equals_the_written_one(kind, models):
    """Any rules in any order, equal neighbours (which share one kernel call) among them."""
    rules = [Rule(kind, **rule) for rule, _ in models]
    rates = np.outer([lr for _, lr in models], np.ones(STEPS))
    for fast, slow in zip(trained(rules, rates, fused=True), trained(rules, rates, fused=False), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-11)


@each_path
def test_the_first_step_is_lr_times_the_sign_by_hand(fused):
    """Without decay and with a small epsilon, bias correction makes Adam's first step lr x sign(gradient)."""
    tensor = torch.zeros(2, 1, 2, dtype=torch.float64)
    rule = Rule(decoupled=True, epsilon=1e-30)
    PackedOptimizer([tensor], [rule, rule], np.array([[0.5], [0.25]]), fused=fused).step(
        [torch.tensor([[[3.0, -7.0]], [[-2.0, 0.1]]], dtype=torch.float64)]
    )
    torch.testing.assert_close(tensor, torch.tensor([[[-0.5, 0.5]], [[0.25, -0.25]]], dtype=torch.float64))


@each_kind
@each_path
def test_a_gradient_means_the_same_in_any_memory_order(kind, fused):
    """The kernels read memory in order whatever the strides are; a transposed gradient must not be scrambled."""

    def transposed(step, models, dtype):
        return [g.transpose(1, 2).contiguous().transpose(1, 2) for g in gradients_at(step, models, dtype)]

    expected = trained(RULES[kind], RATES, fused=fused)
    for tensor, oracle in zip(trained(RULES[kind], RATES, fused=fused, gradients=transposed), expected, strict=True):
        torch.testing.assert_close(tensor, oracle, rtol=1e-13, atol=1e-13)


# --- company


@each_kind
@each_path
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -1e300])
def test_a_poisoned_gradient_changes_no_bit_of_another_model(kind, fused, poison):
    """Model 4's gradients turn NaN, infinite or huge at step 5; models 0-3 and its twin 5 keep every bit."""

    def poisoned(step, models, dtype):
        gradients = gradients_at(step, models, dtype)
        for gradient in gradients:
            gradient[4] = poison if step >= 5 else gradient[4]
        return gradients

    clean = trained(RULES[kind], RATES, fused=fused)
    found = trained(RULES[kind], RATES, fused=fused, gradients=poisoned)
    others = [0, 1, 2, 3, 5]
    for tensor, expected in zip(found, clean, strict=True):
        assert torch.equal(tensor[others], expected[others])
        assert not torch.equal(tensor[4], expected[4])


@each_kind
@each_path
@pytest.mark.parametrize("kept", [[0], [1, 3, 4], [5, 0, 2]])
def test_models_that_stay_go_on_as_if_nobody_had_left(kind, fused, kept):
    """After 8 of 50 steps only some go on: same moments, same counts, same rates, in their new order."""
    expected = trained(RULES[kind], Rates(RATES, SHARES), fused=fused)
    tensors = random_tensors(MODELS, 0)
    optimizer = PackedOptimizer(tensors, RULES[kind], Rates(RATES, SHARES), fused=fused)
    for step in range(8):
        optimizer.step(gradients_at(step))
    index = np.array(kept)
    tensors = [tensor[index] for tensor in tensors]
    optimizer.keep(index, tensors)
    for step in range(8, STEPS):
        optimizer.step([gradient[index] for gradient in gradients_at(step)])
    for tensor, own in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor, own[index], rtol=1e-13, atol=1e-13)


@each_kind
@each_path
def test_models_that_take_the_places_of_others_start_at_their_own_step_zero(kind, fused):
    """At step 7 models 1 and 5 leave and two join, who train as from scratch, the others as if nothing happened.

    The first newcomer has the rule and rates of its neighbour, model 4, which is 7 steps ahead. Model 1 was NaN.
    """
    rules, fresh = RULES[kind], random_tensors(MODELS, 1)
    tensors, stay = random_tensors(MODELS, 0), np.array([0, 2, 3, 4])
    optimizer = PackedOptimizer(tensors, rules, RATES, fused=fused)
    order = np.arange(MODELS)
    for step in range(STEPS):
        if step == 7:
            optimizer.keep(stay, [tensor[stay] for tensor in tensors])
            tensors = [torch.cat([old[stay], new[[5, 1]]]) for old, new in zip(tensors, fresh, strict=True)]
            optimizer.add(tensors, [rules[4], rules[3]], RATES[[4, 2]])
            order = np.array([0, 2, 3, 4, 5, 1])
        gradients = [gradient[order] for gradient in gradients_at(step)]
        if step == 6:
            gradients[0][1] = float("nan")
        optimizer.step(gradients)
    found = [tensor[np.argsort(order)] for tensor in tensors]
    for m in stay:
        assert_model(found, m, trained_by_torch(m, rules[m], RATES[m]))
    assert_model(found, 1, trained_by_torch(1, rules[3], RATES[2], start=1, first=7))
    assert_model(found, 5, trained_by_torch(5, rules[4], RATES[4], start=1, first=7))


@each_kind
@each_path
def test_models_that_join_start_at_their_own_step_zero(kind, fused):
    """Four models have rates for 20 steps; at step 7 two join, with longer tables and a momentum that nobody had."""
    rules, plain, short = RULES[kind], Rule(kind), np.where(np.arange(STEPS) < 20, RATES, 0.0)
    tensors, fresh = [tensor[:4] for tensor in random_tensors(MODELS, 0)], random_tensors(MODELS, 1)
    optimizer = PackedOptimizer(tensors, [plain] * 4, RATES[:4, :20], fused=fused)
    for step in range(7):
        optimizer.step([gradient[:4] for gradient in gradients_at(step)])
    tensors = [torch.cat([old, new[4:]]) for old, new in zip(tensors, fresh, strict=True)]
    optimizer.add(tensors, [rules[2], rules[1]], RATES[[2, 1]])
    for step in range(7, STEPS):
        optimizer.step(gradients_at(step))
    for m in range(4):
        assert_model(tensors, m, trained_by_torch(m, plain, short[m]))
    assert_model(tensors, 4, trained_by_torch(4, rules[2], RATES[2], start=1, first=7))
    assert_model(tensors, 5, trained_by_torch(5, rules[1], RATES[1], start=1, first=7))


@each_kind
@each_path
def test_a_model_beyond_its_last_step_stands_still(kind, fused):
    """Slot 0 has no rates after step 3: nothing moves it, decay included, while slot 1 goes on."""
    rules, rates = RULES[kind][2:4], RATES[2:4].copy()
    rates[0, 3:] = 0
    tensors = random_tensors(2, 0)
    optimizer = PackedOptimizer(tensors, rules, rates[:, :20], fused=fused)
    for step in range(3):
        optimizer.step(gradients_at(step, 2))
    before = [tensor.clone() for tensor in tensors]
    for step in range(3, 25):  # the table ends at 20
        optimizer.step(gradients_at(step, 2))
        if step == 19:
            at_the_end = [tensor.clone() for tensor in tensors]
    for tensor, then, end in zip(tensors, before, at_the_end, strict=True):
        assert torch.equal(tensor[0], then[0])
        assert not torch.equal(tensor[1], then[1])
        assert torch.equal(tensor, end)


def test_models_of_a_pack_share_their_optimizers_kind():
    """One graph, one kind: the packs are split before."""
    with pytest.raises(AssertionError, match="kind"):
        PackedOptimizer(random_tensors(2, 0), [Rule("sgd"), Rule("adam")], RATES[:2], fused=True)


# --- frozen


@each_kind
@each_path
def test_a_frozen_model_goes_on_where_it_stood(kind, fused):
    """Model 4 sleeps at steps 5-8 and its gradients are NaN meanwhile: then it trains as if it had paused."""
    tensors, frozen = random_tensors(MODELS, 0), torch.zeros(MODELS, dtype=torch.bool)
    expected = trained(RULES[kind], RATES, fused=fused)
    optimizer = PackedOptimizer(tensors, RULES[kind], RATES, fused=fused)
    alone = random_tensors(MODELS, 0)
    undisturbed = PackedOptimizer(alone, RULES[kind], RATES, fused=fused)
    for step in range(STEPS):
        frozen[4] = asleep = 5 <= step < 9
        gradients = gradients_at(step)
        if asleep:
            for gradient in gradients:
                gradient[4] = float("nan")
        else:
            undisturbed.step(gradients)
        optimizer.step(gradients, frozen)
    others = [0, 1, 2, 3, 5]
    for tensor, own, company in zip(tensors, alone, expected, strict=True):
        torch.testing.assert_close(tensor[4], own[4], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(tensor[others], company[others], rtol=1e-13, atol=1e-13)
    assert optimizer.state()["taken"].tolist() == [STEPS] * 4 + [STEPS - 4, STEPS]


@each_kind
@each_path
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1.0])
def test_a_frozen_model_keeps_every_bit(kind, fused, poison):
    """Weights, moments and count, under a gradient that is NaN, infinite or usual, and a NaN among its own weights."""
    tensors = random_tensors(MODELS, 0)
    optimizer = PackedOptimizer(tensors, RULES[kind], RATES, fused=fused)
    optimizer.step(gradients_at(0))
    for m in (1, 3):
        tensors[0][m, 0, 0] = float("nan")
    before = [values[[1, 3]].clone() for values in (*tensors, *optimizer.state().values())]
    gradients = gradients_at(1)
    for gradient in gradients:
        gradient[[1, 3]] = poison
    optimizer.step(gradients, torch.tensor([False, True, False, True, False, False]))
    after = [values[[1, 3]] for values in (*tensors, *optimizer.state().values())]
    for mine, old in zip(after, before, strict=True):
        torch.testing.assert_close(mine, old, rtol=0, atol=0, equal_nan=True)
    assert optimizer.state()["taken"].tolist() == [2, 1, 2, 1, 2, 2]


@each_kind
@each_path
def test_a_mask_of_nobody_changes_no_bit(kind, fused):
    """A step with nobody frozen is the step without a mask."""
    expected, tensors = trained(RULES[kind], RATES, fused=fused), random_tensors(MODELS, 0)
    optimizer = PackedOptimizer(tensors, RULES[kind], RATES, fused=fused)
    for step in range(STEPS):
        optimizer.step(gradients_at(step), torch.zeros(MODELS, dtype=torch.bool))
    assert all(torch.equal(tensor, own) for tensor, own in zip(tensors, expected, strict=True))


@each_path
def test_everybody_may_sleep_and_who_stays_may_leave_a_sleeper_behind(fused):
    """All frozen: nothing moves. Then the positions shift as model 0 leaves, and the mask is that of who is there."""
    rules, tensors = RULES["adam"], random_tensors(MODELS, 0)
    optimizer = PackedOptimizer(tensors, rules, RATES, fused=fused)
    before = [tensor.clone() for tensor in tensors]
    optimizer.step(gradients_at(0), torch.ones(MODELS, dtype=torch.bool))
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before, strict=True))
    tensors = [tensor[1:].clone() for tensor in tensors]
    optimizer.keep(np.arange(1, MODELS), tensors)
    optimizer.step([g[1:] for g in gradients_at(0)], torch.tensor([True, False, False, False, False]))
    expected = random_tensors(MODELS, 0)
    PackedOptimizer(expected, rules, RATES, fused=fused).step(gradients_at(0))
    for tensor, old, moved in zip(tensors, before, expected, strict=True):
        assert torch.equal(tensor[0], old[1])
        torch.testing.assert_close(tensor[1:], moved[2:], rtol=1e-13, atol=1e-13)


# --- state


@each_kind
@pytest.mark.parametrize(("before", "after"), [(True, True), (False, False), (True, False), (False, True)])
def test_a_resumed_pack_goes_on_with_the_same_bits(kind, before, after):
    """State at step 13, models of unequal counts among them; across the paths, which round differently, to 1e-12."""
    rules, weights = RULES[kind], random_tensors(MODELS, 0)
    expected = [tensor[:-1].clone() for tensor in weights]
    whole = PackedOptimizer(expected, rules[:-1], RATES[:-1], fused=before)
    for step in range(STEPS):
        if step == 5:
            expected = [torch.cat([own, fresh[-1:]]) for own, fresh in zip(expected, weights, strict=True)]
            whole.add(expected, rules[-1:], RATES[-1:])
        if step == 13:
            kept = {name: tensor.numpy().copy() for name, tensor in whole.state().items()}
            tensors = [tensor.clone() for tensor in expected]
        whole.step([gradient[: len(expected[0])] for gradient in gradients_at(step)])
    resumed = PackedOptimizer(tensors, rules, RATES, fused=after)
    resumed.load({name: torch.from_numpy(values) for name, values in kept.items()})
    for step in range(13, STEPS):
        resumed.step(gradients_at(step))
    tolerance = 0 if before == after else 1e-12
    for tensor, oracle in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor, oracle, rtol=tolerance, atol=tolerance)


def test_the_state_is_a_copy():
    """Further steps leave what was handed out as it was."""
    optimizer = PackedOptimizer(random_tensors(MODELS, 0), RULES["adam"], RATES, fused=True)
    optimizer.step(gradients_at(0))
    state = optimizer.state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    optimizer.step(gradients_at(1))
    assert state["taken"].tolist() == [1] * MODELS
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


# --- on a device


@each_kind
def test_a_written_step_never_waits_for_the_device(kind):
    """On torch's meta device there are no numbers to read: a step that asks for one raises."""
    tensors = [tensor.to("meta") for tensor in random_tensors(MODELS, 0)]
    factors = {"lr_factors": LR_FACTORS, "decay_factors": DECAY_FACTORS}
    optimizer = PackedOptimizer(tensors, RULES[kind], Rates(RATES, SHARES), fused=False, **factors)
    gradients = [torch.empty_like(tensor) for tensor in tensors]
    optimizer.step(gradients)
    optimizer.step(gradients, torch.empty(MODELS, dtype=torch.bool, device="meta"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use")
@each_kind
def test_a_captured_step_replays_on_a_gpu(kind):
    """One CUDA graph, replayed for every step, equals the written step on the CPU; the counts live on the device."""
    expected = trained(RULES[kind], RATES, fused=False)
    tensors = [tensor.cuda() for tensor in random_tensors(MODELS, 0)]
    gradients = [torch.zeros_like(tensor) for tensor in tensors]
    optimizer = PackedOptimizer(tensors, RULES[kind], RATES, fused=False, kernel=False)
    blank, weights = optimizer.state(), [tensor.clone() for tensor in tensors]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        optimizer.step(gradients)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step(gradients)
    optimizer.load(blank)
    torch._foreach_copy_(tensors, weights)
    for step in range(STEPS):
        torch._foreach_copy_(gradients, [gradient.cuda() for gradient in gradients_at(step)])
        graph.replay()
    for tensor, oracle in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor.cpu(), oracle, rtol=1e-10, atol=1e-11)


@each_kind
def test_a_capture_stays_good_while_only_rates_change(kind):
    """A plateau writes them in place; company moves operands."""
    tensors = random_tensors(MODELS, 0)
    optimizer = PackedOptimizer(tensors, RULES[kind], RATES, fused=False)
    captured = optimizer.graph
    optimizer.step(gradients_at(0))
    optimizer.set_rates(np.array([5]), RATES[[0], :20])
    assert optimizer.graph == captured
    optimizer.add([torch.cat([tensor, tensor[:1]]) for tensor in tensors], RULES[kind][:1], RATES[[0]])
    assert optimizer.graph != captured
