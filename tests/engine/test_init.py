"""How weights start: at the theory's spread or at the data's, drawn per job."""

import math

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import nn

from pipeline.engine.draws import job_key
from pipeline.engine.init import (
    DATA_DRIVEN,
    GAINS,
    SCHEMES,
    Layer,
    expected_std,
    initial_tensors,
    sample_places,
    unit_variance,
)
from pipeline.engine.networks import ACTIVATIONS
from pipeline.fits import Network

N_IN, N_OUT = 300, 200
KEYS = torch.tensor([job_key(seed, fold) for seed in (0, 1) for fold in (0, 1)])
SCALE = 0.07


def kaiming(draw, mode, activation="relu"):
    """What torch does to a weight [out, in]."""
    fill = nn.init.kaiming_uniform_ if draw == "uniform" else nn.init.kaiming_normal_
    return lambda weight: fill(weight, a=0.01, mode=mode, nonlinearity=activation)


# torch.nn's own functions fill a weight [out, in]; "pytorch" is what nn.Linear does by itself
TORCHS = {
    "pytorch": lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5)),
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_uniform_fan_in": kaiming("uniform", "fan_in", "linear"),
    "xavier_uniform_fan_out": kaiming("uniform", "fan_out", "linear"),
    "xavier_normal": nn.init.xavier_normal_,
    "xavier_normal_fan_in": kaiming("normal", "fan_in", "linear"),
    "xavier_normal_fan_out": kaiming("normal", "fan_out", "linear"),
    "kaiming_uniform": kaiming("uniform", "fan_in"),
    "kaiming_uniform_fan_out": kaiming("uniform", "fan_out"),
    "kaiming_normal": kaiming("normal", "fan_in"),
    "kaiming_normal_fan_out": kaiming("normal", "fan_out"),
    "uniform": lambda weight: nn.init.uniform_(weight, -SCALE, SCALE),
    "normal": lambda weight: nn.init.normal_(weight, std=SCALE),
    DATA_DRIVEN: kaiming("normal", "fan_in", "linear"),
}
# standard deviations by hand for a layer from 300 to 200 and ReLU: a uniform draw's is its half range / sqrt(3)
BY_HAND = {
    "pytorch": 1 / math.sqrt(300 * 3),
    "xavier_uniform": math.sqrt(2 / 500),
    "xavier_uniform_fan_in": math.sqrt(1 / 300),
    "xavier_uniform_fan_out": math.sqrt(1 / 200),
    "xavier_normal": math.sqrt(2 / 500),
    "xavier_normal_fan_in": math.sqrt(1 / 300),
    "xavier_normal_fan_out": math.sqrt(1 / 200),
    "kaiming_uniform": math.sqrt(2 / 300),
    "kaiming_uniform_fan_out": math.sqrt(2 / 200),
    "kaiming_normal": math.sqrt(2 / 300),
    "kaiming_normal_fan_out": math.sqrt(2 / 200),
    "uniform": 0.07 / math.sqrt(3),
    "normal": 0.07,
    DATA_DRIVEN: math.sqrt(1 / 300),
}


def one_layer(scheme, activation="relu"):
    return Network(N_IN, (), activation, scheme, SCALE, outputs=N_OUT)


def layer(scheme, keys=KEYS, activation="relu"):
    return initial_tensors(one_layer(scheme, activation), keys, torch.float64)


def test_every_scheme_and_every_activation_has_an_oracle():
    """A scheme, or an activation without a gain, that is added without a test is noticed here."""
    assert SCHEMES.keys() == TORCHS.keys() == BY_HAND.keys()
    assert GAINS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_have_the_theorys_mean_spread_and_bounds(scheme):
    """60 000 weights: mean within 5 standard errors of 0, spread within 2 %, uniform draws inside and near bounds."""
    std = BY_HAND[scheme]
    for weight in layer(scheme)[0]:
        assert abs(float(weight.mean())) < 5 * std / math.sqrt(weight.numel())
        assert float(weight.std()) == pytest.approx(std, rel=0.02)
        if SCHEMES[scheme](Layer(N_IN, N_OUT, GAINS["relu"], SCALE))[0] == "uniform":
            assert 0.999 < float(weight.abs().max()) / (std * math.sqrt(3)) < 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_distributed_as_torchs_own(scheme):
    """Two-sample Kolmogorov-Smirnov against torch.nn.init's function of that name."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        oracle = TORCHS[scheme](torch.empty(N_OUT, N_IN, dtype=torch.float64))
    assert stats.ks_2samp(layer(scheme)[0][0].flatten(), oracle.flatten()).pvalue > 0.01


# --- gains and the theory's spread


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_a_gain_is_torchs_where_torch_has_one(activation):
    """calculate_gain, at the slope of nn.LeakyReLU."""
    parameter = 0.01 if activation == "leaky_relu" else None
    assert GAINS[activation] == pytest.approx(nn.init.calculate_gain(activation, parameter), rel=1e-15)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "mish"])
def test_a_gain_keeps_the_mean_square_of_a_standard_normal(activation):
    """Kaiming's argument by quadrature: gain^2 times the mean square of activation(z) is 1."""

    def weighted(z):
        return float(ACTIVATIONS[activation](torch.tensor(z, dtype=torch.float64))) ** 2 * stats.norm.pdf(z)

    mean_square = integrate.quad(weighted, -12, 0)[0] + integrate.quad(weighted, 0, 12)[0]
    assert GAINS[activation] ** 2 * mean_square == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("scheme", ["kaiming_uniform", "kaiming_normal_fan_out"])
def test_kaimings_weights_follow_the_activation_as_torchs_do(scheme, activation):
    """The spread of 60 000 weights within 2 % of torch's own draw for that nonlinearity."""
    _, draw, *out = scheme.split("_", 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        oracle = kaiming(draw, "fan_out" if out else "fan_in", activation)(torch.empty(N_OUT, N_IN))
    found = float(layer(scheme, activation=activation)[0][0].std())
    assert found == pytest.approx(float(oracle.std()), rel=0.02)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_expected_spread_is_the_theorys(scheme):
    """By hand for one layer; for three layers each at its own size, within 3 % of 10 000 or more drawn weights."""
    assert expected_std(one_layer(scheme)) == pytest.approx((BY_HAND[scheme],), rel=1e-15)
    network = Network(100, (150, 120), "gelu", scheme, SCALE, outputs=90)
    drawn = [float(weight[0].std()) for weight in initial_tensors(network, KEYS[:1], torch.float64)[::2]]
    assert expected_std(network) == pytest.approx(drawn, rel=0.03)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_biases_start_at_zero_except_as_in_torch(scheme):
    """Only "pytorch" draws them, inside nn.Linear's bound 1 / sqrt(fan in) = 1 / sqrt(300)."""
    bias = layer(scheme)[1]
    assert bias.shape == (4, 1, N_OUT)
    if scheme != "pytorch":
        assert not bias.any()
        return
    assert stats.kstest(bias.flatten() * math.sqrt(300), "uniform", args=(-1, 2)).pvalue > 0.01


# --- company


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


# --- data-driven

TORCH_ACTIVATIONS = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "silu": nn.SiLU()}


def sample(seed=0, *, models=4, rows=50, inputs=6):
    """Rows [M, S, D] of a column each near 0, far from 0, tiny, huge, skewed and mostly 0."""
    drawn = torch.randn(models, rows, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    drawn[:, :, 1] += 100
    drawn[:, :, 2] *= 1e-3
    drawn[:, :, 3] *= 1e3
    drawn[:, :, 4] = drawn[:, :, 4].exp()
    drawn[:, :, 5] = (drawn[:, :, 5] > 1).double()
    return drawn


def settled(rows, scheme=DATA_DRIVEN, activation="silu", keys=KEYS):
    network = Network(rows.shape[2], (8, 5), activation, scheme, 0.3)
    drawn = initial_tensors(network, keys, rows.dtype)
    return network, drawn, unit_variance(network, drawn, rows)


def pre_activations(tensors, m, rows, activation):
    """What nn.Linear layers with the tensors of model m hand to their activations, layer by layer."""
    reached = []
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        linear = nn.Linear(*weight.shape[1:], dtype=rows.dtype)
        linear.weight.data, linear.bias.data = weight[m].T, bias[m, 0]
        reached.append(linear(rows).detach())
        rows = TORCH_ACTIVATIONS[activation](reached[-1])
    return reached


@pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
@pytest.mark.parametrize("scheme", [DATA_DRIVEN, "pytorch", "kaiming_normal", "uniform"])
def test_every_units_pre_activations_have_mean_0_and_variance_1_on_the_sample(scheme, activation):
    """Whatever the scheme and the columns' sizes: in a plain nn.Linear network of each model, layer by layer."""
    rows = sample()
    _, _, tensors = settled(rows, scheme, activation)
    for m in range(4):
        for reached in pre_activations(tensors, m, rows[m], activation):
            torch.testing.assert_close(reached.mean(0), torch.zeros_like(reached[0]), rtol=0, atol=1e-9)
            torch.testing.assert_close(reached.var(0, correction=0), torch.ones_like(reached[0]), rtol=1e-9, atol=0)


def test_rows_far_from_0_are_no_noise():
    """Columns of 1000 and more with a spread of 1, such as years, in float32: to one part in a thousand."""
    rows = (1000 + torch.randn(4, 50, 6, generator=torch.Generator().manual_seed(1))).to(torch.float32)
    _, _, tensors = settled(rows)
    for m in range(4):
        reached = pre_activations([t.double() for t in tensors], m, rows[m].double(), "silu")[0]
        torch.testing.assert_close(reached.var(0, correction=0), torch.ones(8, dtype=torch.float64), rtol=1e-3, atol=0)
        torch.testing.assert_close(reached.mean(0), torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-3)


def test_only_scales_and_biases_come_from_the_data():
    """Each unit's weights stay in proportion to the draw, with their signs."""
    rows = sample()
    _, drawn, tensors = settled(rows)
    for before, after in zip(drawn[::2], tensors[::2], strict=True):
        ratio = after / before
        assert (ratio > 0).all()
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_data_driven_tensors_do_not_depend_on_the_company(dtype, tolerance):
    """Each model alone, on its own rows, gets what it gets among four, in the rows' precision."""
    rows = sample().to(dtype)
    network, drawn, together = settled(rows)
    assert {tensor.dtype for tensor in together} == {dtype}
    for m in range(4):
        alone = unit_variance(network, [tensor[m : m + 1] for tensor in drawn], rows[m : m + 1])
        for tensor, own in zip(together, alone, strict=True):
            torch.testing.assert_close(tensor[m], own[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_poisoned_rows_of_one_model_change_no_other_models_bits(poison):
    """One cell of model 2's sample; models 0, 1 and 3 start as they would have."""
    rows = sample()
    _, _, clean = settled(rows)
    rows[2, 7, 3] = poison
    _, _, dirty = settled(rows)
    assert dirty[0][2].isnan().any()
    for before, after in zip(clean, dirty, strict=True):
        assert torch.equal(before[[0, 1, 3]], after[[0, 1, 3]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_unit_that_does_not_vary_keeps_its_weights(dtype):
    """The same row fifty times, and a single row: nothing is divided by a spread of 0 or of rounding."""
    for rows in (sample()[:, :1].expand(4, 50, 6), sample()[:, :1]):
        _, drawn, tensors = settled(rows.to(dtype))
        for before, after in zip(drawn[::2], tensors[::2], strict=True):
            assert torch.equal(before, after)
        assert all(tensor.isfinite().all() for tensor in tensors)


@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_rounding_is_not_taken_for_a_spread_behind_units_that_do_not_vary(activation):
    """Rows alike but for the ninth digit: what is left of it two layers on is not blown up to a variance of 1."""
    rows = 1 + 1e-9 * sample()[:, :, :1].expand(4, 50, 6)
    _, drawn, tensors = settled(rows, activation=activation)
    for before, after in zip(drawn[::2], tensors[::2], strict=True):
        assert torch.equal(before, after)


def test_rescaling_leaves_the_drawn_tensors_alone():
    """New tensors, without a graph, even if the drawn ones wanted gradients."""
    rows = sample()
    network, drawn, _ = settled(rows)
    copies = [tensor.clone() for tensor in drawn]
    found = unit_variance(network, [tensor.requires_grad_() for tensor in drawn], rows)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(drawn, copies, strict=True))
    assert not any(tensor.requires_grad for tensor in found)


@given(st.lists(st.integers(1, 1000), min_size=4, max_size=4), st.integers(1, 60), st.integers(0, 3))
def test_sampled_places_are_a_jobs_own(lengths, count, m):
    """Inside each job's rows, and the same for the job alone, beside jobs of other lengths."""
    places = sample_places(KEYS, torch.tensor(lengths), count)
    assert places.shape == (4, count)
    assert (places >= 0).all()
    assert (places < torch.tensor(lengths)[:, None]).all()
    alone = sample_places(KEYS[m : m + 1], torch.tensor(lengths[m : m + 1]), count)
    assert torch.equal(places[m], alone[0])


def test_every_row_is_as_likely_to_be_sampled():
    """Chi-square over 20 rows, 4 jobs x 2000 places; jobs sample apart."""
    places = sample_places(KEYS, torch.tensor([20] * 4), 2000)
    assert stats.chisquare(torch.bincount(places.flatten(), minlength=20)).pvalue > 0.01
    assert not torch.equal(places[0], places[1])
