"""The kernel path against the written one, which is tested against torch.optim: by Triton's interpreter on a CPU."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.optimizers import PackedOptimizer, Rates, Rule
from pipeline.engine.optimizers.kernel import missing
from tests.engine import test_optimizers as oracle

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy interprets, and says where a model turns NaN
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="no CUDA device that PyTorch can use")

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

MODELS, STEPS = 4, 9
SHAPES = ((20, 52), (1, 1), (1, 64))  # 1040 weights are two programs, the second one nearly empty
LR_FACTORS, DECAY_FACTORS = (1.0, 0.1, 1.0), (1.0, 0.0, 1.0)
RATES = np.outer([0.1, 0.01, 0.05, 0.03], np.linspace(1, 0.1, STEPS))
SHARES = np.outer([1.0, 0.5, 0.0, 0.9], np.linspace(1, 0.2, STEPS))
RULES = {
    "sgd": [
        Rule("sgd"),
        Rule("sgd", momentum=0.9, weight_decay=0.1),
        Rule("sgd", momentum=0.5, nesterov=True),
        Rule("sgd", momentum=0.9, weight_decay=0.3, decoupled=True),
    ],
    "adagrad": [
        Rule("adagrad", epsilon=1e-10),
        Rule("adagrad", epsilon=1e-3),
        Rule("adagrad", weight_decay=0.1),
        Rule("adagrad", weight_decay=0.3, decoupled=True),
    ],
    "rmsprop": [
        Rule("rmsprop", beta2=0.99),
        Rule("rmsprop", beta2=0.9, momentum=0.8, epsilon=1e-3),
        Rule("rmsprop", beta2=0.3, weight_decay=0.1),
        Rule("rmsprop", beta2=0.99, weight_decay=0.3, decoupled=True, momentum=0.5),
    ],
    "adam": [
        Rule(decoupled=True, weight_decay=0.1),
        Rule(weight_decay=0.1),
        Rule(beta1=0.0, beta2=0.9, epsilon=1e-3),
        Rule(decoupled=True, beta1=0.8, beta2=0.0, epsilon=1e-6),
    ],
    "adam_then_sgd": [
        Rule("adam_then_sgd", switch_step=3, momentum=0.9, switch_lr=0.1),
        Rule("adam_then_sgd", switch_step=5, momentum=0.8, nesterov=True, weight_decay=0.1),
        Rule("adam_then_sgd", switch_step=0, momentum=0.9),
        Rule("adam_then_sgd", switch_step=1000, decoupled=True, weight_decay=0.2, nesterov=True, momentum=0.5),
    ],
}
PLAIN = {"sgd": [Rule("sgd"), *[Rule("sgd", weight_decay=0.1)] * 3], "rmsprop": [Rule("rmsprop")] * 4}
EACH = [(kind, rules) for table in (RULES, PLAIN) for kind, rules in table.items()]
names = [f"{kind} without momentum" if rules is PLAIN.get(kind) else kind for kind, rules in EACH]
each_pack = pytest.mark.parametrize(("kind", "rules"), EACH, ids=names)
each_kind = pytest.mark.parametrize("kind", RULES)
POISON = [float("nan"), float("inf"), -float("inf")]


@pytest.fixture(scope="module", autouse=True)
def _interpreted_on_a_cpu():
    """Triton asks for this while it is imported, which the first kernel does."""
    with pytest.MonkeyPatch.context() as patch:
        if not ON_GPU:
            patch.setenv("TRITON_INTERPRET", "1")
        yield


def random_tensors(seed, dtype=torch.float64, models=MODELS):
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(models, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]
    return [values.to(DEVICE, dtype) for values in drawn]


def gradients_at(step, dtype=torch.float64):
    return random_tensors(100 + step, dtype)


def optimizer_of(tensors, rules, rates, *, kernel, **factors):
    optimizer = PackedOptimizer(tensors, rules, rates, fused=False, kernel=kernel, **factors)
    assert optimizer.path == ("kernel" if kernel else "written")
    return optimizer


def trained(rules, rates, *, kernel, dtype=torch.float64, steps=STEPS, **factors):
    tensors = random_tensors(0, dtype)
    optimizer = optimizer_of(tensors, rules, rates, kernel=kernel, **factors)
    for step in range(steps):
        optimizer.step(gradients_at(step, dtype))
    return tensors, optimizer.state()


def assert_close(ours, theirs, tolerance=1e-12):
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance, equal_nan=True)


# --- the arithmetic


@needs_triton
@each_pack
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_the_kernel_takes_the_written_steps(kind, rules, dtype, tolerance):
    """Nine steps of four unlike models: weights, moments and counts, with factors per tensor and fading decay."""
    rates, factors = Rates(RATES, SHARES), {"lr_factors": LR_FACTORS, "decay_factors": DECAY_FACTORS}
    ours, state = trained(rules, rates, kernel=True, dtype=dtype, **factors)
    theirs, expected = trained(rules, rates, kernel=False, dtype=dtype, **factors)
    assert_close(ours, theirs, tolerance)
    assert state["taken"].tolist() == [STEPS] * MODELS
    assert state.keys() == expected.keys()
    if kind == "sgd":  # the written path leaves a moment alone that it does not need
        return
    assert_close(list(state.values()), list(expected.values()), tolerance)


@needs_triton
@each_kind
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_the_kernel_equals_as_many_torch_optimizers(kind, dtype, tolerance):
    """On a GPU all 50 steps of six torch.optim optimizers; the interpreter takes the first 12."""
    steps = oracle.STEPS if ON_GPU else 12
    rules = oracle.RULES[kind]
    tensors = [tensor.to(DEVICE) for tensor in oracle.random_tensors(len(rules), 0, dtype)]
    optimizer = optimizer_of(tensors, rules, oracle.RATES, kernel=True)
    for step in range(steps):
        optimizer.step([gradient.to(DEVICE) for gradient in oracle.gradients_at(step, dtype=dtype)])
    for m, rule in enumerate(rules):
        expected = oracle.trained_by_torch(m, rule, oracle.RATES[m], stop=steps, dtype=dtype)
        assert_close([tensor[m].cpu() for tensor in tensors], expected, tolerance)


rule_strategy = st.fixed_dictionaries({
    "decoupled": st.booleans(),
    "weight_decay": st.sampled_from([0.0, 0.01, 0.5]),
    "beta1": st.sampled_from([0.0, 0.5, 0.9]),
    "beta2": st.sampled_from([0.0, 0.4, 0.999]),
    "epsilon": st.sampled_from([1e-8, 1e-3]),
    "momentum": st.sampled_from([0.0, 0.9]),
    "nesterov": st.booleans(),
    "switch_step": st.sampled_from([0, 1, 3, 99]),
    "switch_lr": st.sampled_from([1.0, 0.1]),
})  # fmt: skip


@needs_triton
@each_kind
@settings(max_examples=5)
@given(rules=st.lists(rule_strategy, min_size=MODELS, max_size=MODELS))
def test_any_rules_side_by_side(kind, rules):
    """Whatever four models of a kind are told, the kernel and the written step agree."""
    rules = [Rule(kind, **rule) for rule in rules]
    ours, _ = trained(rules, RATES, kernel=True, steps=5)
    theirs, _ = trained(rules, RATES, kernel=False, steps=5)
    assert_close(ours, theirs, 1e-10)


@needs_triton
def test_more_models_than_one_program_of_coefficients_holds():
    """130 models of 2 weights with a learning rate each: the 129th has its own, not the first one's."""
    lr = np.linspace(0.001, 0.3, 130)[:, None] * np.ones((1, 3))
    found = []
    for kernel in (True, False):
        tensors = [torch.ones(130, 1, 2, dtype=torch.float64, device=DEVICE)]
        optimizer = optimizer_of(tensors, [Rule()] * 130, lr, kernel=kernel)
        for _ in range(2):
            optimizer.step([tensors[0] * 3])
        found.append((tensors[0], optimizer.state()["taken"]))
    assert_close(found[0], found[1])
    assert len(found[0][0][:, 0, 0].unique()) == 130


@needs_triton
def test_a_gradient_means_the_same_in_any_memory_order():
    """The kernel reads memory in order; a transposed gradient must not be scrambled."""
    tensors, twins = random_tensors(0), random_tensors(0)
    for own, twist in ((tensors, False), (twins, True)):
        gradients = gradients_at(0)
        if twist:
            gradients = [g.transpose(1, 2).contiguous().transpose(1, 2) for g in gradients]
        optimizer_of(own, RULES["adam"], RATES, kernel=True).step(gradients)
    assert all(torch.equal(mine, other) for mine, other in zip(tensors, twins, strict=True))


# --- company


@needs_triton
@each_kind
def test_a_frozen_model_stays_and_goes_on_where_it_stood(kind):
    """Model 1 sleeps at steps 2-4 while its gradients are NaN or infinite: bit for bit as if they had not happened."""
    rules, tensors, alone = RULES[kind], random_tensors(0), random_tensors(0)
    optimizer = optimizer_of(tensors, rules, RATES, kernel=True)
    undisturbed = optimizer_of(alone, rules, RATES, kernel=True)
    frozen = torch.zeros(MODELS, dtype=torch.bool, device=DEVICE)
    expected, _ = trained(rules, RATES, kernel=True)
    for step in range(STEPS):
        frozen[1] = asleep = step in {2, 3, 4}
        gradients = gradients_at(step)
        if asleep:
            before = [values[1].clone() for values in (*tensors, *optimizer.state().values())]
            for gradient in gradients:
                gradient[1] = POISON[step - 2]
        else:
            undisturbed.step(gradients)
        optimizer.step(gradients, frozen)
        if asleep:
            after = [values[1] for values in (*tensors, *optimizer.state().values())]
            assert all(torch.equal(mine, old) for mine, old in zip(after, before, strict=True))
    others = [0, 2, 3]
    for tensor, own, company in zip(tensors, alone, expected, strict=True):
        assert torch.equal(tensor[1], own[1])
        assert torch.equal(tensor[others], company[others])
    assert optimizer.state()["taken"].tolist() == [STEPS, STEPS - 3, STEPS, STEPS]


@needs_triton
@each_kind
@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_gradient_changes_no_bit_of_another_model(kind, poison):
    """Model 2's gradients turn NaN or infinite at step 3; the others keep every bit."""
    clean, _ = trained(RULES[kind], RATES, kernel=True, steps=6)
    tensors = random_tensors(0)
    optimizer = optimizer_of(tensors, RULES[kind], RATES, kernel=True)
    for step in range(6):
        gradients = gradients_at(step)
        for gradient in gradients:
            gradient[2] = poison if step >= 3 else gradient[2]
        optimizer.step(gradients)
    for tensor, expected in zip(tensors, clean, strict=True):
        assert torch.equal(tensor[[0, 1, 3]], expected[[0, 1, 3]])
        assert not torch.equal(tensor[2], expected[2])


@needs_triton
@each_kind
def test_who_leaves_and_joins_trains_as_on_the_written_path(kind):
    """Model 1 leaves at step 4, a fifth one with longer tables joins at step 6."""
    found = []
    for kernel in (True, False):
        tensors, rules = random_tensors(0), RULES[kind]
        optimizer = optimizer_of(tensors, rules, RATES, kernel=kernel)
        fresh = random_tensors(1)
        for step in range(STEPS + 3):
            gradients = gradients_at(step)
            if step == 4:
                tensors = [tensor[[0, 2, 3]] for tensor in tensors]
                optimizer.keep(np.array([0, 2, 3]), tensors)
            if step == 6:
                tensors = [torch.cat([old, new[:1]]) for old, new in zip(tensors, fresh, strict=True)]
                optimizer.add(tensors, [rules[1]], np.full((1, STEPS + 3), 0.02))
            optimizer.step([gradient[: len(tensors[0])] for gradient in gradients])
        found.append((*tensors, optimizer.state()["taken"]))
    assert_close(found[0], found[1])


@needs_triton
@each_kind
def test_a_model_beyond_its_last_step_stands_still(kind):
    """Its table ends after step 3: nothing moves it, decay included."""
    tensors = random_tensors(0)
    optimizer = optimizer_of(tensors, RULES[kind], RATES[:, :3], kernel=True)
    for step in range(6):
        optimizer.step(gradients_at(step))
        if step == 2:
            before = [tensor.clone() for tensor in tensors]
    assert all(torch.equal(tensor, then) for tensor, then in zip(tensors, before, strict=True))


@needs_triton
@each_kind
def test_each_path_goes_on_from_the_other_ones_state(kind):
    """Four steps on one path, the rest on the other, is as good as all on one."""
    expected, _ = trained(RULES[kind], RATES, kernel=False)
    for first in (True, False):
        tensors = random_tensors(0)
        before = optimizer_of(tensors, RULES[kind], RATES, kernel=first)
        for step in range(4):
            before.step(gradients_at(step))
        after = optimizer_of(tensors, RULES[kind], RATES, kernel=not first)
        after.load(before.state())
        for step in range(4, STEPS):
            after.step(gradients_at(step))
        assert_close(tensors, expected)


# --- captures, and where it is chosen


@needs_triton
def test_a_capture_is_stale_when_an_operand_moves():
    """Other rates move nothing; company does."""
    tensors = random_tensors(0)
    optimizer = optimizer_of(tensors, [Rule("sgd")] * MODELS, RATES, kernel=True)
    graphs = [optimizer.graph]
    optimizer.step(gradients_at(0))
    optimizer.set_rates(np.array([1]), RATES[[0]] / 2)
    assert optimizer.graph == graphs[0]
    tensors = [torch.cat([tensor, tensor[:1]]) for tensor in tensors]
    optimizer.add(tensors, [Rule("sgd", momentum=0.9)], RATES[[0]])
    graphs.append(optimizer.graph)
    optimizer.keep(np.array([0, 1]), [tensor[:2].clone() for tensor in tensors])
    graphs.append(optimizer.graph)
    assert len(set(graphs)) == 3


def test_a_cpu_takes_its_own_paths():
    """Unasked, no kernel is built there, and the reason can be told."""
    assert missing(torch.device("cpu")) == "the kernels need a CUDA device"
    tensors = [torch.zeros(1, 1, 2)]
    assert PackedOptimizer(tensors, [Rule()], np.ones((1, 2)), fused=True).path == "fused"
    assert PackedOptimizer(tensors, [Rule()], np.ones((1, 2)), fused=False).path == "written"
    assert PackedOptimizer(tensors, [Rule("rmsprop")], np.ones((1, 2)), fused=True).path == "written"


@pytest.mark.parametrize("absent", [True, False])
def test_where_triton_is_absent_or_fails_the_reason_is_told(monkeypatch, absent):
    """A device on which nothing can be built is served by the written path: `missing` is what decides."""
    from pipeline.engine.optimizers import kernel, packed

    def fails(device):
        if absent:
            raise ModuleNotFoundError("No module named 'triton'", name="triton")
        raise OSError("no C compiler\nin PATH")

    monkeypatch.setattr(kernel, "_trial", fails)
    missing.cache_clear()
    reason = kernel.missing(torch.device("cuda"))
    missing.cache_clear()
    told = "triton is not installed" if absent else "Triton cannot build for this device: OSError: no C compiler"
    assert reason == told
    monkeypatch.setattr(packed, "missing", lambda device: reason)
    assert PackedOptimizer([torch.zeros(1, 1, 2)], [Rule()], np.ones((1, 2)), fused=False).path == "written"


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pipeline.engine.optimizers import triton_step

def built(kernel, operands, capability, **constants):
    signature = operands | {name: "constexpr" for name in constants}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs={})
    return triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]

for capability in (75, 90):
    for kind in ("sgd", "adagrad", "rmsprop", "adam", "adam_then_sgd"):
        for real in ("fp32", "fp64"):
            values = {name: f"*{real}" for name in ("weights", "gradients", "first", "second", "now")}
            for first in {kind.startswith("adam"), True}:
                operands = values | {"frozen": "*i1", "n": "i32"}
                assert built(triton_step.update, operands, capability, KIND=kind, FIRST=first, BLOCK=1024)
            tables = {name: "*fp64" for name in ("lr_table", "decay_table", "fixed", "factors")}
            operands = {"taken": "*i64", **tables, "frozen": "*i1", "now": f"*{real}", "models": "i32", "width": "i32"}
            assert built(triton_step.coefficients, operands, capability, KIND=kind, FACTORS=2, BLOCK=128)
print("built")
"""


@pytest.mark.slow
@needs_triton
def test_the_kernels_build_for_gpus_that_are_not_here():
    """Every kind and precision becomes machine code of a T4 and of an H100; that needs no device."""
    command = [sys.executable, "-c", COMPILE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TRITON_INTERPRET": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.strip() == "built", done.stderr


@pytest.mark.gpu
@needs_gpu
@needs_triton
@each_kind
def test_a_gpu_takes_the_kernel_unasked(kind):
    """Where Triton works, nobody has to say so."""
    tensors = random_tensors(0)
    assert PackedOptimizer(tensors, RULES[kind], RATES, fused=False).path == "kernel"


@pytest.mark.gpu
@needs_gpu
@needs_triton
@each_pack
def test_a_captured_step_replays_with_the_masks_and_counts_of_the_moment(kind, rules):
    """One CUDA graph for every step equals the written steps, while a mask that is written in place freezes model 1."""
    frozen = torch.zeros(MODELS, dtype=torch.bool, device=DEVICE)
    expected, tensors = random_tensors(0), random_tensors(0)
    written = optimizer_of(expected, rules, RATES, kernel=False)
    optimizer = optimizer_of(tensors, rules, RATES, kernel=True)
    gradients = [torch.zeros_like(tensor) for tensor in tensors]
    blank, weights = optimizer.state(), [tensor.clone() for tensor in tensors]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        optimizer.step(gradients, frozen)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step(gradients, frozen)
    optimizer.load(blank)
    torch._foreach_copy_(tensors, weights)
    for step in range(STEPS):
        frozen[1] = step in {2, 3}
        torch._foreach_copy_(gradients, gradients_at(step))
        graph.replay()
        written.step(gradients_at(step), frozen)
    assert_close(tensors, expected)
    assert torch.equal(optimizer.state()["taken"], written.state()["taken"])
