"""What was first not finite, by poisoning one thing at a time; and what a pack's loop makes of it."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target

from pipeline.engine import diagnosis
from pipeline.engine.diagnosis import Diagnosis, Fault, LargeInput, diagnose
from pipeline.engine.draws import job_key
from pipeline.engine.fit import Watch, fit
from pipeline.engine.init import initial_tensors
from pipeline.engine.losses import LOSSES, Loss
from pipeline.engine.schedules import Schedule
from pipeline.engine.sizes import Batch, LayerState
from pipeline.fits import Network

pytestmark = pytest.mark.usefixtures("one_thread")

NAN, INF = math.nan, math.inf
DEEP = Network(inputs=3, hidden=(64,) * 30, activation="relu", init="normal", init_scale=1.0)


def weights_of(network=SMALL_NETWORK):
    return [tensor[0].clone() for tensor in initial_tensors(network, torch.tensor([job_key(0, 0)]), torch.float32)]


def batch_of(loss=LOSSES["mse"], **changes):
    matrix, target = rows_and_target(12, dtype=torch.float32)
    return replace(Batch(matrix, target, loss, loss.parameter), **changes)


def fault_of(tensors=None, batch=None, network=SMALL_NETWORK, **options):
    return diagnose(network, tensors or weights_of(network), batch or batch_of(), **options).fault


# --- what comes first


def test_a_healthy_network_has_no_fault():
    """Nothing is first, and everything has a size."""
    found = diagnose(SMALL_NETWORK, weights_of(), batch_of(), start=weights_of())
    assert (found.fault, found.start) == (Fault(""), Fault(""))
    assert all(math.isfinite(s.hidden + s.gradient + s.largest_weight + s.weight_growth) for s in found.layers)
    assert found.weight_growth == pytest.approx(1)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_inputs_come_before_all_else(value):
    """Although weights, outputs and loss are not finite either."""
    rows = batch_of().rows.clone()
    rows[4, 1] = value
    assert fault_of([tensor * NAN for tensor in weights_of()], batch_of(rows=rows)) == Fault("inputs")


def test_a_target_comes_before_weights():
    """As the logarithm of a negative number would be."""
    target = torch.log(torch.where(torch.arange(12) == 3, -1.0, 1.0))
    assert fault_of([tensor * NAN for tensor in weights_of()], batch_of(target=target)) == Fault("target")


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_weights_are_named_by_layer_and_tensor(layer, kind):
    """One entry is enough."""
    tensors, name = weights_of(), f"{layer}.{kind}"
    tensors[SMALL_NETWORK.tensor_names.index(name)].view(-1)[0] = NAN
    assert fault_of(tensors) == Fault("weights", layer, name)


@pytest.mark.parametrize(("layer", "first"), [(0, "hidden"), (1, "hidden"), (2, "outputs")])
def test_values_that_overflow_on_the_way_are_named_by_layer(layer, first):
    """Weights of 1e38 are finite, their products with anything above 3.4 are not."""
    tensors = [tensor.clone() for tensor in weights_of()]
    for place, name in enumerate(SMALL_NETWORK.tensor_names):
        if name == f"{layer}.weight":
            tensors[place].fill_(3e38)
        elif name == f"{layer - 1}.bias":
            tensors[place].fill_(10)
    assert fault_of(tensors) == Fault(first, layer)


def test_a_network_that_shows_nothing_of_its_inside_still_has_outputs(monkeypatch):
    """A module of the user's is not looked into: what it hands out is."""
    plain = diagnosis.forward
    monkeypatch.setattr(diagnosis, "forward", lambda network, tensors, rows, how: plain(network, tensors, rows))
    tensors = [*weights_of()[:-2], torch.full((4, 1), 3e38), torch.full((1, 1), 3e38)]
    assert fault_of(tensors) == Fault("outputs", 2)


def test_a_loss_that_overflows_is_the_loss():
    """Outputs of 1e25 are finite in float32, their squares are not."""
    assert fault_of([*weights_of()[:-1], torch.full((1, 1), 1e25)]) == Fault("loss", 2)


def test_a_loss_that_is_undefined_is_the_loss():
    """A logarithm of outputs, some of which are negative."""
    broken = Loss(lambda outputs, targets, _: (outputs.log() - targets).square())
    assert fault_of(batch=batch_of(broken)) == Fault("loss", 2)


def test_a_slope_that_is_not_finite_is_the_gradient_nearest_to_the_loss():
    """The root of 0 is 0, its slope is infinite: every gradient is spoilt, and it begins at the last layer."""
    broken = Loss(lambda outputs, targets, _: (outputs - outputs.detach()).abs().sqrt())
    found = fault_of(batch=batch_of(broken))
    assert (found.first, found.layer) == ("gradient", 2)


def test_the_precision_of_products_decides_what_overflows():
    """Hidden values of 1e5 are too large for half precision and for no other."""
    tensors = [tensor * (1e6 if place == 0 else 1.0) for place, tensor in enumerate(weights_of())]
    rows = batch_of().rows
    assert fault_of(tensors) == Fault("")
    assert fault_of(tensors, batch_of(rows=rows.bfloat16()), product=torch.bfloat16) == Fault("")
    assert fault_of(tensors, batch_of(rows=rows.half()), product=torch.float16) == Fault("hidden", 0)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_depth_explodes_without_normalisation_and_not_with_it(norm):
    """Thirty layers of 64 standard normal weights: each makes values some 5.7 times larger."""
    network = replace(DEEP, norm=norm)
    found = diagnose(network, weights_of(network), batch_of(), start=weights_of(network))
    assert (found.fault == Fault("loss", 30)) == (norm == "none")
    assert found.start == found.fault
    if norm == "none":
        assert found.growth == pytest.approx(math.sqrt(64 / 2), rel=0.1)
    else:
        assert found.growth == pytest.approx(1, rel=0.1)


# --- what is told beside it


def test_columns_are_ranked_by_their_largest_magnitude_nan_first():
    """NaN, then infinity, then numbers; five at most, each with the entry itself."""
    rows = torch.zeros(4, 7)
    rows[0], rows[2, 1], rows[3, 4] = torch.tensor([1.0, 2, -9, 3, 4, 5, 6]), -INF, NAN
    network = replace(SMALL_NETWORK, inputs=7)
    told = diagnose(network, weights_of(network), batch_of(rows=rows, target=torch.zeros(4))).inputs
    assert [large.column for large in told] == [4, 1, 2, 6, 5]
    assert math.isnan(told[0].value)
    assert [large.value for large in told[1:]] == [-INF, -9, 6, 5]


def test_broken_weights_are_replaced_by_the_first_ones_where_these_are_known():
    """Sizes of NaN would say nothing; without the initial weights that is what there is."""
    broken = [tensor * NAN for tensor in weights_of()]
    known, unknown = (diagnose(SMALL_NETWORK, broken, batch_of(), start=start) for start in (weights_of(), None))
    assert known.at_start
    assert known.layers == diagnose(SMALL_NETWORK, weights_of(), batch_of(), start=weights_of()).layers
    assert (unknown.at_start, unknown.start) == (False, None)
    assert math.isnan(unknown.layers[0].hidden)
    assert known.weight_growth == unknown.weight_growth == INF


def test_growth_is_the_geometric_mean_over_finite_hidden_layers():
    """2, 8 and 32, then an overflow and the outputs: four times a layer."""
    sizes = [2.0, 8.0, 32.0, INF, 5.0]
    layers = tuple(LayerState(i, size, NAN, 1.0, NAN) for i, size in enumerate(sizes))
    found = Diagnosis(Fault("loss"), (LargeInput(0, 1.0),), 1.0, 1.0, layers, at_start=False, start=None)
    assert found.growth == pytest.approx(4)
    assert replace(found, layers=layers[:1]).growth == 1
    assert found.weight_growth == 1


# --- from the loop


def trained(jobs, *, rows=20, **data):
    matrix, target = rows_and_target(rows)
    return fit(jobs, resident(data.get("matrix", matrix), data.get("target", target)), watch=Watch(lambda *_: 1.0))


def test_a_failing_network_is_told_and_its_neighbours_are_not():
    """A rate of 1e200 throws the weights away in the first step; the loss of the second tells."""
    wild, calm = trained([job(lr=1e200), job(key=job_key(1, 0))])
    assert calm.failure is None
    assert calm.curve.stopped == "finished"
    assert (wild.curve.stopped, wild.failure.epoch, wild.failure.step) == ("not finite", 0, 1)
    assert wild.failure.diagnosis.weight_growth > 1e100
    assert wild.failure.diagnosis.start == Fault("")


def test_the_step_is_the_one_whose_loss_was_first_not_finite():
    """A rate that jumps to 1e200 at step 6 of 15 shows at step 7: the second of the third epoch."""
    tame = 1e-202  # 1e200 times this is 0.01
    jumping = Schedule("piecewise", milestones=((0.0, tame), (0.4, 1.0)))
    (failed,) = trained([job(lr=1e200, schedule=jumping, restore_best=False)])
    assert (failed.failure.epoch, failed.failure.step, failed.curve.best_epoch) == (2, 7, 1)


def test_the_batch_that_failed_is_the_one_that_is_looked_at():
    """Row 3 alone holds NaN: whatever the order, it is in the batch that is told, and its column is named."""
    matrix, _ = rows_and_target(20)
    matrix[3, 2] = NAN
    for seed in range(4):
        (failed,) = trained([job(key=job_key(seed, 0))], matrix=matrix)
        assert failed.failure.diagnosis.fault == Fault("inputs")
        assert failed.failure.diagnosis.inputs[0].column == 2


def test_a_narrow_network_is_looked_at_without_its_padding():
    """Beside a wider one, it says of itself what it says alone."""
    wide = replace(SMALL_NETWORK, hidden=(9, 8))
    alone = trained([job(lr=1e200)])[0].failure
    beside = trained([job(lr=1e200), job(network=wide, key=job_key(1, 0))])[0].failure
    assert len(alone.diagnosis.layers) == 3
    for one, other in zip(alone.diagnosis.layers, beside.diagnosis.layers, strict=True):
        assert one.weight_growth == pytest.approx(other.weight_growth, rel=1e-9)
        assert one.largest_weight == pytest.approx(other.largest_weight, rel=1e-9)


def test_losses_whose_sum_alone_overflows_are_looked_at_too():
    """Ten batches of one row lose 1e308 each, which is finite, but two together are not; the last one is told."""
    target = torch.full((20,), 1e154, dtype=torch.float64)
    (failed,) = trained([job(lr=1e-9, batch_size=1)], target=target)
    assert (failed.curve.stopped, failed.failure.epoch, failed.failure.step) == ("not finite", 0, 9)
    assert failed.failure.diagnosis.largest_target == 1e154


def test_a_failure_can_be_stored_without_torch():
    """Pickled and read back it is equal, and no tensor is in it."""
    (failed,) = trained([job(lr=1e200)])
    stored = pickle.dumps(failed.failure)
    assert b"torch" not in stored
    assert repr(pickle.loads(stored)) == repr(failed.failure)
    assert isinstance(failed.failure.diagnosis.target_rms, float)
    assert np.isfinite(failed.failure.diagnosis.target_rms)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use")
def test_a_failure_on_a_gpu_is_told_as_on_a_cpu():
    """The same step, place and sizes, to rounding."""
    matrix, target = rows_and_target(20)
    (on_cpu,) = trained([job(lr=1e200)])
    (on_gpu,) = trained([job(lr=1e200)], matrix=matrix.cuda(), target=target.cuda())
    assert (on_gpu.failure.epoch, on_gpu.failure.step) == (on_cpu.failure.epoch, on_cpu.failure.step)
    assert on_gpu.failure.diagnosis.fault == on_cpu.failure.diagnosis.fault
    for ours, theirs in zip(on_gpu.failure.diagnosis.layers, on_cpu.failure.diagnosis.layers, strict=True):
        assert ours.weight_growth == pytest.approx(theirs.weight_growth, rel=1e-6)


def test_growth_under_the_initial_weights_is_told_apart_from_that_of_the_failing_ones():
    """Weights of the second hidden layer three times as large as they began; without the beginning it is not known."""
    network = replace(SMALL_NETWORK, hidden=(8, 8))
    start = weights_of(network)
    now = [tensor * 3 if i == 2 else tensor for i, tensor in enumerate(start)]
    found = diagnose(network, now, batch_of(), start=start)
    begun = diagnose(network, start, batch_of(), start=start)
    assert found.begun == begun.layers
    assert found.first_growth == begun.growth != found.growth
    unknown = diagnose(network, now, batch_of())
    assert (unknown.begun, unknown.first_growth) == ((), 1.0)
