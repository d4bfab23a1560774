"""Networks of the user's: many of one torch module as one program, each as if it trained alone in a plain loop."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target
from torch import nn

from pipeline.engine.draws import job_key, permutations, stream
from pipeline.engine.fit import Watch, fit
from pipeline.engine.init import expected_std, initial_tensors
from pipeline.engine.memory import Circumstances
from pipeline.engine.modules import build
from pipeline.engine.networks import Pass, decay_factors, forward, layer_shapes, padded, predict, true_tensors
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Limits, plan_packs
from pipeline.engine.probes import tensors_of
from pipeline.engine.rehearsal import Precision
from pipeline.engine.schedules import rates
from pipeline.fits import Network
from pipeline.usercode import load

pytestmark = pytest.mark.usefixtures("one_thread")
IDEAS = Path(__file__).resolve().parents[1] / "ideas.py"
MATRIX, TARGET = rows_and_target(rows=60)
OPTIMIZERS = {
    "adamw": (Rule(decoupled=True, weight_decay=0.2), lambda p: torch.optim.AdamW(p, weight_decay=0.2)),
    "adam": (Rule(weight_decay=0.1), lambda p: torch.optim.Adam(p, weight_decay=0.1)),
    "sgd": (Rule(kind="sgd", momentum=0.5, nesterov=True), lambda p: torch.optim.SGD(p, 1, 0.5, nesterov=True)),
}


def network_of(name, inputs=3, **options):
    """A network that a function of tests/ideas.py builds."""
    reference = f"{IDEAS}:{name}"
    bare = Network(inputs, (), "", "", 1.0, custom=reference, custom_options=tuple(options.items()))
    return replace(bare, custom_tensors=tensors_of(bare, load(reference)))


def judge(position, rows, outputs):
    """Mean squared error on the rows it is handed."""
    return float(np.mean((outputs - TARGET.numpy()[rows]) ** 2))


def fit_all(jobs, *, dtype=torch.float64, product=None, **options):
    matrix = MATRIX.to(product or dtype)
    return fit(jobs, resident(matrix, TARGET.to(dtype), product), watch=Watch(judge), **options)


def module_of(network, key):
    """The user's module with the weights that the job of this key begins with, in double precision."""
    module = build(network, load(network.custom), 0).double()
    initial = initial_tensors(network, torch.tensor([key]), torch.float64)
    for parameter, tensor in zip(module.parameters(), initial, strict=True):
        parameter.data = tensor[0].clone()
    return module


def train_slowly(own, make_optimizer):
    """One module as everyone trains it; its weights and score after each epoch."""
    module, key = module_of(own.network, own.key), torch.tensor([own.key])
    optimizer, rows = make_optimizer(module.parameters()), torch.tensor(own.train_rows)
    lrs, step, weights, scores = own.lr * rates(own.schedule, own.steps), 0, [], []
    for epoch in range(own.epochs):
        order = rows[permutations(stream(key, 2, epoch), torch.tensor([len(rows)]), len(rows))[0]]
        for batch in order.split(own.batch_size):
            optimizer.param_groups[0]["lr"] = lrs[step]
            optimizer.zero_grad()
            nn.functional.mse_loss(module(MATRIX[batch])[:, 0], TARGET[batch]).backward()
            optimizer.step()
            step += 1
        weights.append([p.detach().numpy().copy() for p in module.parameters()])
        scores.append(judge(0, own.valid_rows, module(MATRIX[own.valid_rows])[:, 0].detach().numpy()))
    return weights, scores


POOL = [
    {"key": job_key(0, 0), "train_rows": np.arange(10), "epochs": 6},
    {"key": job_key(1, 0), "train_rows": np.arange(5, 18), "epochs": 4, "lr": 0.05, "schedule": "cosine"},
    {"key": job_key(0, 1), "train_rows": np.arange(0, 25, 5), "epochs": 9},
]


@pytest.mark.parametrize("name", ["mlp", "odd"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_pack_of_modules_equals_plain_training_loops(name, optimizer):
    """Three jobs of unequal rows, rates and lengths; parameters of rank 0 to 3, one of them shared by two layers."""
    rule, make = OPTIMIZERS[optimizer]
    network = network_of(name)
    alike = {"lr": 0.02, "valid_rows": np.arange(30, 50), "network": network, "rule": rule}
    jobs = [job(**alike | own) for own in POOL]
    if optimizer == "sgd":
        jobs = [replace(own, lr=own.lr / 10) for own in jobs]
    for own, found in zip(jobs, fit_all(jobs), strict=True):
        weights, scores = train_slowly(own, make)
        chosen = int(np.argmin(scores))
        assert found.curve.best_epoch == chosen
        np.testing.assert_allclose(found.curve.valid, scores, rtol=1e-9)
        for tensor, oracle in zip(found.tensors, weights[chosen], strict=True):
            np.testing.assert_allclose(tensor, oracle, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_trains_the_same_alone_and_in_company(dtype):
    """To rounding, whoever joins or leaves beside it."""
    jobs = [job(network=network_of("odd"), valid_rows=np.arange(30, 50), **own) for own in POOL]
    tolerance = 1e-9 if dtype == torch.float64 else 2e-4
    for slots in (0, 2, 1):
        together = fit_all(jobs, dtype=dtype, slots=slots)
        for own, found in zip(jobs, together, strict=True):
            [alone] = fit_all([own], dtype=dtype)
            for tensor, oracle in zip(found.tensors, alone.tensors, strict=True):
                np.testing.assert_allclose(tensor, oracle, rtol=tolerance, atol=tolerance)


def test_a_module_built_like_ours_trains_like_ours():
    """The same three layers from the same weights, by the two ways through the engine, dropout left out."""
    weights = initial_tensors(SMALL_NETWORK, torch.tensor([job_key(3, 1)]), torch.float64)
    named = zip(SMALL_NETWORK.trained, weights, strict=True)
    theirs = tuple((t[0].T if name.endswith("weight") else t[0, 0]).numpy() for name, t in named)
    options = {"key": job_key(3, 1), "epochs": 8, "valid_rows": np.arange(30, 50)}
    [ours] = fit_all([job(**options)])
    [users] = fit_all([job(**options, network=network_of("plain"), start=theirs)])
    np.testing.assert_allclose(users.curve.valid, ours.curve.valid, rtol=1e-10)


# --- how they begin


def test_weights_are_drawn_per_job_and_do_not_depend_on_company():
    """Alone, first or last of three: the same bits; another key, other weights."""
    network = network_of("odd")
    keys = torch.tensor([job_key(seed, 0) for seed in range(3)])
    together = initial_tensors(network, keys, torch.float32)
    for m in range(3):
        for all_of_them, own in zip(together, initial_tensors(network, keys[m : m + 1], torch.float32), strict=True):
            assert torch.equal(all_of_them[m], own[0])
    assert not torch.equal(together[2][0], together[2][1])


def test_building_a_module_leaves_torchs_generator_alone():
    """Whatever else draws from it is not moved; nor does its state move what is built."""
    network = network_of("mlp")
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = initial_tensors(network, torch.tensor([5]), torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    for one, other in zip(first, initial_tensors(network, torch.tensor([5]), torch.float32), strict=True):
        assert torch.equal(one, other)


def test_nothing_is_said_of_what_their_initialisation_draws():
    """It is the user's own."""
    assert expected_std(network_of("mlp")) == ()


# --- what they compute


def test_names_and_shapes_are_those_of_the_module():
    """In its order, each behind a word that tells it from a layer of ours; a shared parameter once."""
    assert network_of("odd").trained == {
        "module.gain": (), "module.shift": (3,), "module.over.weight": (2, 1, 2), "module.over.bias": (2,),
        "module.first.weight": (4, 8), "module.first.bias": (4,), "module.second.weight": (4, 4),
        "module.last.weight": (1, 4), "module.last.bias": (1,),
    }  # fmt: skip
    assert network_of("odd").parameters == 1 + 3 + 4 + 2 + 32 + 4 + 16 + 4 + 1


def test_options_reach_the_function():
    """A width of 9 instead of 6."""
    assert network_of("mlp", width=9).trained["module.0.weight"] == (9, 3)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_prediction_is_the_modules_own(count):
    """Of no row, one and several."""
    network = network_of("odd")
    module = module_of(network, 4)
    tensors = [p.detach() for p in module.parameters()]
    found = predict(network, tensors, MATRIX[:count])
    assert found.shape == (count,)
    torch.testing.assert_close(found, module(MATRIX)[:count, 0].detach(), rtol=1e-12, atol=1e-12)


def test_a_module_first_built_for_a_prediction_can_be_trained():
    """Its constants were made outside of inference mode."""
    network = network_of("odd", inputs=2)
    tensors = initial_tensors(network, torch.tensor([1]), torch.float64)
    predict(network, [t[0] for t in tensors], MATRIX[:, :2])
    own = [t.requires_grad_() for t in tensors]
    outputs = forward(network, own, MATRIX[None, :, :2], Pass(training=False))
    assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(outputs.sum(), own))


def test_products_in_bf16_are_near_and_the_weights_stay_single():
    """Within the 8 bits of bf16 of the outputs in fp32, and not equal to them."""
    network = network_of("plain")
    tensors = initial_tensors(network, torch.tensor([1, 2]), torch.float32)
    rows = MATRIX.bfloat16().expand(2, -1, -1)
    exact = forward(network, tensors, rows.float())
    found = forward(network, tensors, rows, Pass(product=torch.bfloat16))
    assert found.dtype == torch.float32
    assert 0 < float((found - exact).abs().max()) < 0.03 * float(exact.abs().max())
    [trained] = fit_all([job(network=network, epochs=2)], dtype=torch.float32, product=torch.bfloat16)
    assert {tensor.dtype for tensor in trained.tensors} == {np.dtype(np.float32)}


def test_a_look_inside_sees_the_outputs():
    """Of a module nothing else is known."""
    seen = []
    network = network_of("plain")
    tensors = initial_tensors(network, torch.tensor([1]), torch.float64)
    outputs = forward(network, tensors, MATRIX[None], Pass(look=lambda *of: seen.append(of)))
    [(layer, what, values)] = seen
    assert (layer, what) == (0, "reached")
    assert torch.equal(values[..., 0], outputs)


# --- in a pack


def test_jobs_of_two_functions_or_options_never_share_a_program():
    """They would be trained with the first one's module."""
    networks = [network_of("plain"), network_of("mlp"), network_of("mlp", width=7), network_of("mlp"), SMALL_NETWORK]
    jobs = [job(network=network) for network in networks]
    assert len({own.graph for own in jobs}) == 4
    packs = plan_packs(jobs, Limits(Circumstances(Precision(torch.float32), on_gpu=False)))
    assert sorted(pack.positions for pack in packs) == [(0,), (1, 3), (2,), (4,)]


def test_weight_decay_can_leave_out_all_but_weights():
    """Ranks 0 and 1 are biases, gains and norms, whatever their names; ours go by their names."""
    network = network_of("odd")
    exempt = [name for name, factor in zip(network.trained, decay_factors(network), strict=True) if not factor]
    assert exempt == ["module.gain", "module.shift", "module.over.bias", "module.first.bias", "module.last.bias"]
    normed = network_of("mlp")
    exempt = [name for name, factor in zip(normed.trained, decay_factors(normed), strict=True) if not factor]
    assert exempt == ["module.0.bias", "module.1.weight", "module.1.bias", "module.3.bias"]
    assert decay_factors(SMALL_NETWORK) == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_padding_and_what_is_true_of_it_work_at_any_rank():
    """A custom network's tensors are as they are; ours grow at the ends of their last axes."""
    network = network_of("odd")
    tensors = initial_tensors(network, torch.tensor([1, 2]), torch.float64)
    assert all(torch.equal(a, b) for a, b in zip(padded(tensors, network), tensors, strict=True))
    first = [tensor[0] for tensor in tensors]
    assert all(torch.equal(a, b) for a, b in zip(true_tensors(first, network), first, strict=True))
    wide = replace(SMALL_NETWORK, hidden=(7, 4))
    own = initial_tensors(SMALL_NETWORK, torch.tensor([1]), torch.float64)
    for tensor, shape in zip(grown := padded(own, wide), layer_shapes(wide), strict=True):
        assert tensor.shape[1:] == shape
    for tensor, oracle in zip(true_tensors([t[0] for t in grown], SMALL_NETWORK), own, strict=True):
        assert torch.equal(tensor, oracle[0])
    assert float(sum(t.abs().sum() for t in grown)) == pytest.approx(float(sum(t.abs().sum() for t in own)))


class Notebook:
    """A checkpoint after every step; `stop_after` steps the power fails."""

    def __init__(self, stop_after):
        self.left, self.state = stop_after, None

    def load(self):
        return pickle.loads(self.state) if self.state else None

    def due(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return True

    def save(self, state):
        self.state = pickle.dumps(state)


def test_a_stopped_training_of_modules_goes_on_to_the_same_bits():
    """Tensors of any rank come back from the checkpoint."""
    jobs = [job(network=network_of("odd"), valid_rows=np.arange(30, 50), **own) for own in POOL]
    expected, book = fit_all(jobs, slots=2), Notebook(7)
    with pytest.raises(KeyboardInterrupt):
        fit_all(jobs, slots=2, checkpoint=book)
    book.left = 10**9
    for found, oracle in zip(fit_all(jobs, slots=2, checkpoint=book), expected, strict=True):
        for tensor, other in zip(found.tensors, oracle.tensors, strict=True):
            assert tensor.tobytes() == other.tobytes()


def test_another_process_imports_the_function_itself(tmp_path):
    """From the text alone, if it runs in a folder with the same files: the same outputs."""
    network = replace(network_of("odd"), custom="tests/ideas.py:odd")
    tensors = initial_tensors(network_of("odd"), torch.tensor([1]), torch.float64)
    (tmp_path / "given").write_bytes(pickle.dumps((network, [t.numpy() for t in tensors], MATRIX.numpy())))
    code = (
        "import pickle, sys, torch\n"
        "from pipeline.engine.networks import predict\n"
        "network, tensors, rows = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(float(predict(network, [torch.as_tensor(t[0]) for t in tensors], torch.from_numpy(rows)).sum()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "given"],
        cwd=IDEAS.parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr
    expected = predict(network_of("odd"), [t[0] for t in tensors], MATRIX).sum()
    assert float(done.stdout) == pytest.approx(float(expected), rel=1e-9)


def test_what_is_handed_on_pickles_without_the_function():
    """A network is a name and shapes: another process imports the function itself."""
    own = job(network=network_of("mlp"))
    assert pickle.loads(pickle.dumps(own)).network == own.network
    assert b"ideas.mlp" not in pickle.dumps(own)
