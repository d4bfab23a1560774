"""What a network computes, against nn.Sequential."""

import pytest
import torch
from builders import SMALL_NETWORK
from torch import nn

from pipeline.engine.draws import job_key
from pipeline.engine.init import initial_tensors
from pipeline.engine.networks import ACTIVATIONS, ROWS_AT_A_TIME, Pass, forward, predict
from pipeline.fits import Network

KEYS = torch.tensor([job_key(seed, 0) for seed in range(3)])
TORCHS = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
}


def sequential(network, tensors, m):
    """The same network built from torch's modules, with the weights of model m."""
    modules = []
    for layer, (n_in, n_out) in enumerate(network.layer_sizes):
        linear = nn.Linear(n_in, n_out, dtype=torch.float64)
        linear.weight.data = tensors[2 * layer][m].T.clone()
        linear.bias.data = tensors[2 * layer + 1][m, 0].clone()
        modules += [linear, TORCHS[network.activation]]
    return nn.Sequential(*modules[:-1])


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_every_activation_has_an_oracle():
    """An activation that is added without a test is noticed here."""
    assert ACTIVATIONS.keys() == TORCHS.keys()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_equals_torchs_class(name):
    """From -5 to 5, value for value."""
    values = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert torch.equal(ACTIVATIONS[name](values), TORCHS[name](values))


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4), (7, 2, 3)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_pack_of_networks_equals_separate_ones(hidden, activation):
    """Three networks, each on its own rows, at depths 0 to 3."""
    network = Network(3, hidden, activation, "kaiming_normal", 0.01)
    tensors = initial_tensors(network, KEYS, torch.float64)
    batch = rows(3, 6, 3)
    outputs = forward(network, tensors, batch)
    for m in range(3):
        expected = sequential(network, tensors, m)(batch[m]).squeeze(-1)
        torch.testing.assert_close(outputs[m], expected, rtol=1e-13, atol=1e-13)


class Plain(nn.Module):
    """A network with normalisation and shortcuts as everyone writes it, with the weights of model m."""

    def __init__(self, network, tensors, m):
        super().__init__()
        own = {name: tensor[m] for name, tensor in zip(network.tensor_names, tensors, strict=True)}
        self.network, self.activation, self.norms, self.linears = network, TORCHS[network.activation], [], []
        self.skips = {int(n.split(".")[0]): t for n, t in own.items() if n.endswith("skip")}
        for layer, (n_in, n_out) in enumerate(network.layer_sizes):
            linear = nn.Linear(n_in, n_out, bias=f"{layer}.bias" in own, dtype=torch.float64)
            linear.weight.data = own[f"{layer}.weight"].T.clone()
            if linear.bias is not None:
                linear.bias.data = own[f"{layer}.bias"][0].clone()
            self.linears.append(linear)
            if f"{layer}.scale" in own:
                kind = nn.BatchNorm1d if network.norm == "batch" else nn.LayerNorm
                norm = kind(n_out, dtype=torch.float64)
                norm.weight.data, norm.bias.data = own[f"{layer}.scale"][0].clone(), own[f"{layer}.shift"][0].clone()
                self.norms.append(norm)

    def forward(self, hidden):
        block = None
        for layer, linear in enumerate(self.linears[:-1]):
            hidden = linear(hidden)
            hidden = self.activation(self.norms[layer](hidden) if self.norms else hidden)
            skip = self.network.skips[layer] if self.network.skips else ""
            if skip:
                hidden = hidden + (block @ self.skips[layer] if skip == "product" else block)
            if layer == 0 or skip:
                block = hidden
        return self.linears[-1](hidden).squeeze(-1)


SHAPED = [
    Network(3, (5, 4), "relu", "kaiming_normal", 0.01, norm="batch"),
    Network(3, (5, 4), "gelu", "pytorch", 0.01, norm="layer"),
    Network(3, (6, 6, 6, 6), "tanh", "pytorch", 0.01, skips=("", "same", "same", "same")),
    Network(3, (8, 2, 8, 2, 8), "silu", "pytorch", 0.01, norm="layer", skips=("", "", "same", "", "same")),
    Network(3, (8, 4, 2), "relu", "kaiming_normal", 0.01, norm="batch", skips=("", "product", "product")),
]


@pytest.mark.parametrize("network", SHAPED)
@pytest.mark.parametrize("training", [True, False])
def test_norms_and_shortcuts_equal_torchs_modules(network, training):
    """Outputs and gradients of three networks, each on its own rows; in evaluation by the running statistics."""
    tensors = initial_tensors(network, KEYS, torch.float64)
    generator = torch.Generator().manual_seed(3)
    for name, tensor in zip(network.tensor_names, tensors, strict=True):
        if name.split(".")[1] in ("scale", "shift"):  # as if they had been trained
            tensor.add_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64), alpha=0.3)
    trained = [t.requires_grad_() for t in tensors[: len(network.trained)]]
    batch, how = rows(3, 6, 3), Pass(training=training)
    outputs = forward(network, [*trained, *tensors[len(trained) :]], batch, how)
    gradients = torch.autograd.grad(outputs.square().mean(1).sum(), trained)
    for m in range(3):
        oracle = Plain(network, [t.detach() for t in tensors], m)
        for norm in oracle.norms:
            norm.train(training)
        expected = oracle(batch[m])
        torch.testing.assert_close(outputs[m], expected, rtol=1e-12, atol=1e-12)
        expected.square().mean().backward()
        found = dict(zip(network.trained, gradients, strict=True))
        for layer, linear in enumerate(oracle.linears):
            torch.testing.assert_close(found[f"{layer}.weight"][m].T, linear.weight.grad, rtol=1e-9, atol=1e-12)
        for layer, norm in enumerate(oracle.norms):
            torch.testing.assert_close(found[f"{layer}.scale"][m, 0], norm.weight.grad, rtol=1e-9, atol=1e-12)


def test_a_shaped_networks_sizes_are_those_by_hand():
    """3 -> 4 -> 2 -> 1 with batch normalisation and a shortcut: 12 + 8, 8 + 4 + 8, 2 + 1 numbers that are trained."""
    network = Network(3, (4, 2), "relu", "pytorch", 0.01, norm="batch", skips=("", "product"))
    assert network.trained == {
        "0.weight": (3, 4), "0.scale": (1, 4), "0.shift": (1, 4),
        "1.weight": (4, 2), "1.scale": (1, 2), "1.shift": (1, 2), "1.skip": (4, 2),
        "2.weight": (2, 1), "2.bias": (1, 1),
    }  # fmt: skip
    assert list(network.running) == ["0.mean", "0.variance", "1.mean", "1.variance"]
    assert network.parameters == 43


def test_gradients_equal_those_of_separate_networks():
    """The sum over models of a loss leaves each model its own gradient."""
    tensors = [t.requires_grad_() for t in initial_tensors(SMALL_NETWORK, KEYS, torch.float64)]
    batch = rows(3, 6, 3)
    gradients = torch.autograd.grad(forward(SMALL_NETWORK, tensors, batch).square().mean(1).sum(), tensors)
    for m in range(3):
        oracle = sequential(SMALL_NETWORK, [t.detach() for t in tensors], m)
        oracle(batch[m]).square().mean().backward()
        expected = [p.grad.T if p.ndim == 2 else p.grad[None] for p in oracle.parameters()]
        for gradient, own in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient[m], own, rtol=1e-12, atol=1e-13)


def test_dropout_is_asked_once_after_each_hidden_activation():
    """Layers 0 and 1 of a network with two hidden layers, never the output."""
    asked = []

    def note(layer, hidden):
        asked.append((layer, tuple(hidden.shape), bool((hidden >= 0).all())))
        return hidden

    forward(SMALL_NETWORK, initial_tensors(SMALL_NETWORK, KEYS, torch.float64), rows(3, 6, 3), Pass(dropout=note))
    assert asked == [(0, (3, 6, 5), True), (1, (3, 6, 4), True)]


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_A_TIME, ROWS_AT_A_TIME + 1, 2 * ROWS_AT_A_TIME + 5])
def test_prediction_in_chunks_equals_one_pass(count):
    """None, one, and more rows than a chunk holds."""
    tensors = initial_tensors(SMALL_NETWORK, KEYS, torch.float64)
    matrix = rows(count, 3)
    found = predict(SMALL_NETWORK, [t[1] for t in tensors], matrix)
    assert found.shape == (count,)
    torch.testing.assert_close(found, sequential(SMALL_NETWORK, tensors, 1)(matrix).squeeze(-1).detach())


def test_a_networks_sizes_are_those_by_hand():
    """3 -> 5 -> 4 -> 1: 3 x 5 + 5 + 5 x 4 + 4 + 4 + 1 = 49 numbers in six tensors."""
    assert SMALL_NETWORK.layer_sizes == ((3, 5), (5, 4), (4, 1))
    assert SMALL_NETWORK.parameters == 49
    assert SMALL_NETWORK.tensor_names == ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias")
