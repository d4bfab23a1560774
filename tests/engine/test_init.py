"""How weights start: at the theory's spread, drawn per job."""

import math

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK
from scipy import stats
from torch import nn

from pipeline.engine.draws import job_key
from pipeline.engine.init import SCHEMES, initial_tensors
from pipeline.tables import Network

N_IN, N_OUT = 300, 200
KEYS = torch.tensor([job_key(seed, fold) for seed in (0, 1) for fold in (0, 1)])
SCALE = 0.07
# torch.nn's own functions fill a weight [out, in]; "pytorch" is what nn.Linear does by itself
TORCHS = {
    "pytorch": lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5)),
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "kaiming_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "uniform": lambda weight: nn.init.uniform_(weight, -SCALE, SCALE),
    "normal": lambda weight: nn.init.normal_(weight, std=SCALE),
}
# standard deviations by hand for a layer from 300 to 200: a uniform draw's is its half range / sqrt(3)
BY_HAND = {
    "pytorch": 1 / math.sqrt(300 * 3),
    "xavier_uniform": math.sqrt(2 / 500),
    "xavier_normal": math.sqrt(2 / 500),
    "kaiming_uniform": math.sqrt(2 / 300),
    "kaiming_normal": math.sqrt(2 / 300),
    "uniform": 0.07 / math.sqrt(3),
    "normal": 0.07,
}


def layer(scheme, keys=KEYS, inputs=N_IN):
    network = Network(inputs, (), "relu", scheme, SCALE, outputs=N_OUT)
    return initial_tensors(network, keys, torch.float64)


def test_every_scheme_has_an_oracle():
    """A scheme that is added without a test is noticed here."""
    assert SCHEMES.keys() == TORCHS.keys() == BY_HAND.keys()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_have_the_theorys_mean_spread_and_bounds(scheme):
    """60 000 weights: mean within 5 standard errors of 0, spread within 2 %, uniform draws inside and near bounds."""
    std = BY_HAND[scheme]
    for weight in layer(scheme)[0]:
        assert abs(float(weight.mean())) < 5 * std / math.sqrt(weight.numel())
        assert float(weight.std()) == pytest.approx(std, rel=0.02)
        if SCHEMES[scheme](N_IN, N_OUT, SCALE)[0] == "uniform":
            assert 0.999 < float(weight.abs().max()) / (std * math.sqrt(3)) < 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_distributed_as_torchs_own(scheme):
    """Two-sample Kolmogorov-Smirnov against torch.nn.init's function of that name."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        oracle = TORCHS[scheme](torch.empty(N_OUT, N_IN, dtype=torch.float64))
    assert stats.ks_2samp(layer(scheme)[0][0].flatten(), oracle.flatten()).pvalue > 0.01


@pytest.mark.parametrize("scheme", SCHEMES)
def test_biases_start_at_zero_except_as_in_torch(scheme):
    """Only "pytorch" draws them, inside nn.Linear's bound 1 / sqrt(fan in) = 1 / sqrt(300)."""
    bias = layer(scheme)[1]
    assert bias.shape == (4, 1, N_OUT)
    if scheme != "pytorch":
        assert not bias.any()
        return
    assert stats.kstest(bias.flatten() * math.sqrt(300), "uniform", args=(-1, 2)).pvalue > 0.01


def test_a_jobs_weights_do_not_depend_on_its_company():
    """Each job alone gets bit for bit what it gets among four."""
    for scheme in SCHEMES:
        together = layer(scheme)
        for m in range(len(KEYS)):
            for tensor, alone in zip(together, layer(scheme, KEYS[m : m + 1]), strict=True):
                assert torch.equal(tensor[m], alone[0])


def test_jobs_and_layers_start_apart():
    """Correlation between two seeds, two folds and two layers of 10 000 weights below 5 standard errors (0.05)."""
    network = Network(100, (100, 100), "relu", "normal", 1.0, outputs=100)
    tensors = initial_tensors(network, KEYS, torch.float64)
    rows = torch.cat([tensors[i].view(4, -1) for i in (0, 2, 4)]).numpy()
    assert np.abs(np.corrcoef(rows) - np.eye(12)).max() < 0.05


def test_tensors_come_in_the_order_and_shape_of_their_names():
    """Weight [M, in, out], then bias [M, 1, out], layer by layer: 3 -> 5 -> 4 -> 1."""
    shapes = [tuple(tensor.shape) for tensor in initial_tensors(SMALL_NETWORK, KEYS, torch.float32)]
    assert shapes == [(4, 3, 5), (4, 1, 5), (4, 5, 4), (4, 1, 4), (4, 4, 1), (4, 1, 1)]
    assert len(shapes) == len(SMALL_NETWORK.tensor_names)
