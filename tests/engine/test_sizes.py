"""How large things are in a network: each number is one that plain PyTorch gives."""

import math

import pytest
import torch
from builders import SMALL_NETWORK, rows_and_target
from torch import nn

from pipeline.engine.draws import job_key
from pipeline.engine.init import initial_tensors
from pipeline.engine.losses import LOSSES
from pipeline.engine.sizes import Batch, largest, layer_of, measure, rms
from pipeline.fits import Network

pytestmark = pytest.mark.usefixtures("one_thread")


def weights_of(network, dtype=torch.float64):
    """One network's initial tensors, without the model axis."""
    return [tensor[0] for tensor in initial_tensors(network, torch.tensor([job_key(0, 0)]), dtype)]


def batch_of(loss="mse", parameter=0.0, rows=12):
    matrix, target = rows_and_target(rows)
    return Batch(matrix, target, LOSSES[loss], parameter)


def test_sizes_are_those_of_a_module_with_the_same_weights():
    """Root mean squares of each layer's activations and weight gradients, by nn.Sequential and backward."""
    tensors, batch = weights_of(SMALL_NETWORK), batch_of()
    linears = []
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        linear = nn.Linear(*weight.shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias[0].clone()
        linears.append(linear)
    first = torch.relu(linears[0](batch.rows))
    second = torch.relu(linears[1](first))
    outputs = linears[2](second).squeeze(1)
    (outputs - batch.target).square().mean().backward()
    for state, said, linear in zip(
        measure(SMALL_NETWORK, tensors, batch), (first, second, outputs), linears, strict=True
    ):
        assert state.hidden == pytest.approx(float(said.detach().square().mean().sqrt()))
        assert state.gradient == pytest.approx(float(linear.weight.grad.square().mean().sqrt()))
        greatest = max(float(linear.weight.detach().abs().max()), float(linear.bias.detach().abs().max()))
        assert state.largest_weight == pytest.approx(greatest)


def test_weights_have_grown_by_the_factor_that_they_were_multiplied_with():
    """From the initial ones where these are at hand, else from what the initialisation draws on average."""
    network = Network(inputs=3, hidden=(200, 200), activation="relu", init="kaiming_normal", init_scale=0.01)
    start = weights_of(network)
    grown = [tensor * 7 for tensor in start]
    matrix, target = rows_and_target()
    batch = Batch(matrix, target, LOSSES["mse"], 0.0)
    assert [s.weight_growth for s in measure(network, grown, batch, start)] == pytest.approx([7, 7, 7])
    assert [s.weight_growth for s in measure(network, grown, batch)] == pytest.approx([7, 7, 7], rel=0.2)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_normalisation_sees_the_batch_as_in_training(norm):
    """With running statistics that would overflow, sizes stay finite: they are not read."""
    network = Network(inputs=3, hidden=(6, 6), activation="tanh", init="pytorch", init_scale=0.01, norm=norm)
    tensors = weights_of(network)
    for place, name in enumerate(network.tensor_names):
        if name in network.running:
            tensors[place] = torch.full_like(tensors[place], math.inf)
    assert all(math.isfinite(state.hidden + state.gradient) for state in measure(network, tensors, batch_of()))


def test_what_overflows_in_float32_is_still_measured():
    """Outputs of about 1e25 have no square in float32."""
    tensors = [tensor * 1e9 for tensor in weights_of(SMALL_NETWORK, torch.float32)]
    states = measure(SMALL_NETWORK, tensors, batch_of())
    assert 1e20 < states[-1].hidden < 1e30
    assert math.isfinite(states[0].gradient)


def test_sizes_are_measured_where_gradients_are_switched_off():
    """The end of an epoch is no place for gradients."""
    with torch.no_grad():
        assert measure(SMALL_NETWORK, weights_of(SMALL_NETWORK), batch_of())[0].gradient > 0


@pytest.mark.parametrize(
    ("values", "size", "greatest"),
    [
        ([3.0, -4.0], math.sqrt(12.5), 4.0),
        ([0.0, 0.0], 0.0, 0.0),
        ([1e300, -1e300], 1e300, 1e300),
        ([1.0, math.inf], math.inf, math.inf),
    ],
)
def test_a_size_is_the_root_of_the_mean_square_without_overflow(values, size, greatest):
    """Also where a square is beyond float64."""
    tensor = torch.tensor(values, dtype=torch.float64)
    assert rms(tensor) == pytest.approx(size)
    assert largest(tensor) == greatest


def test_the_size_of_nothing_is_no_number():
    """No tensor, or an empty one; NaN stays NaN."""
    assert math.isnan(rms(None))
    assert math.isnan(rms(torch.zeros(0)))
    assert math.isnan(rms(torch.tensor([1.0, math.nan])))
    assert largest(torch.zeros(0)) == 0


def test_a_name_tells_its_layer():
    """Tensors of foreign modules have names of other kinds."""
    assert [layer_of(name) for name in ("0.weight", "12.skip", "head.weight")] == [0, 12, -1]
