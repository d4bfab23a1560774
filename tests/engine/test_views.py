"""Weights before and after training: what is redrawn is what training began with, and every number follows by hand."""

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target
from torch import nn

from pipeline.engine.draws import job_key
from pipeline.engine.fit import fit
from pipeline.engine.init import SCHEMES, expected_std
from pipeline.engine.views import (
    heat_map,
    heat_maps,
    histograms,
    input_weights,
    redrawn_weights,
    rows_looked_at,
    tensor_facts,
    theory_of,
    unit_facts,
)
from pipeline.facts import Size
from pipeline.fits import Network

pytestmark = pytest.mark.usefixtures("one_thread")

LINEAR = Network(inputs=3, hidden=(), activation="relu", init="pytorch", init_scale=0.01)
EVERYTHING = Network(
    inputs=3, hidden=(5, 4, 5), activation="tanh", init="xavier_normal", init_scale=0.01, norm="layer",
    skips=("", "", "same"),
)  # fmt: skip
NARROWING = replace(EVERYTHING, hidden=(5, 4), norm="batch", skips=("", "product"))


def tensors_of(network, **given):
    """Zeros but for what is given by name, with _ for the dot."""
    shapes = {**network.trained, **network.running}
    named = {name.replace("_", ".", 1).removeprefix("t"): np.array(value, float) for name, value in given.items()}
    assert named.keys() <= shapes.keys()
    return [named.get(name, np.zeros(shape)).reshape(shape) for name, shape in shapes.items()]


# --- before


def untrained(network, *, dtype=torch.float64, product=None, key=0, train_rows=None):
    """The tensors of a job trained at a learning rate of 0, beside two others, and the rows that it trains on."""
    matrix, target = rows_and_target(inputs=network.inputs, dtype=dtype)
    data = resident(matrix if product is None else matrix.to(product), target, product)
    own = np.arange(3, 17) if train_rows is None else train_rows
    mine = job(network=network, key=job_key(key, 1), train_rows=own, lr=0.0, epochs=1)
    others = [job(network=network, key=job_key(9, fold), lr=0.0, epochs=1) for fold in (0, 2)]
    return fit([others[0], mine, others[1]], data)[1].tensors, mine, data


@pytest.mark.parametrize("init", SCHEMES)
@pytest.mark.parametrize("network", [SMALL_NETWORK, EVERYTHING, NARROWING])
def test_the_redrawn_weights_are_those_that_training_began_with(network, init):
    """Bit for bit what a training without a learning rate leaves behind, in company; data-driven ones to rounding."""
    network = replace(network, init=init)
    tensors, mine, data = untrained(network)
    rows = data.source.matrix[torch.from_numpy(rows_looked_at(mine.key, mine.train_rows))]
    redrawn = redrawn_weights(network, mine.key, torch.float64, rows)
    assert len(redrawn) == len(network.tensor_names)
    for name, found, kept in zip(network.trained, redrawn, tensors, strict=False):
        np.testing.assert_allclose(found, kept, rtol=1e-12 if init == "data_driven" else 0, err_msg=name)


def test_rows_that_products_see_in_half_precision_are_looked_at_in_it():
    """Weights in fp32, rows in bf16: unrounded rows would move the data-driven weights by a part in a thousand."""
    network = replace(SMALL_NETWORK, init="data_driven")
    tensors, mine, data = untrained(network, dtype=torch.float32, product=torch.bfloat16, key=4)
    rows = data.source.matrix[torch.from_numpy(rows_looked_at(mine.key, mine.train_rows))]
    assert rows.dtype == torch.bfloat16
    for found, kept in zip(redrawn_weights(network, mine.key, torch.float32, rows), tensors, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, kept, rtol=1e-6)


def test_a_data_driven_start_looks_at_training_rows_alone():
    """256 draws out of five rows: each of them, and no other."""
    assert set(rows_looked_at(job_key(0, 0), np.array([2, 3, 5, 7, 11])).tolist()) == {2, 3, 5, 7, 11}


# --- numbers


def test_a_tensors_numbers_can_be_computed_by_hand():
    """From (3, 0, 4) to (0, 0, 6): means 7/3 and 2, the change (3, 0, 2) has length sqrt(13), the start length 5."""
    before = tensors_of(LINEAR, t0_weight=[3, 0, 4], t0_bias=[0])
    after = tensors_of(LINEAR, t0_weight=[0, 0, -6], t0_bias=[2])
    weight, bias = tensor_facts(LINEAR, before, after)
    assert (weight.layer, weight.kind, weight.shape) == (0, "weight", (3, 1))
    assert (weight.before.mean, weight.before.largest) == pytest.approx((7 / 3, 4))
    assert weight.before.std == pytest.approx(np.std([3, 0, 4], ddof=0))
    assert weight.after == Size(-2.0, pytest.approx(math.sqrt(8)), 6.0)
    assert weight.moved == pytest.approx(math.sqrt(9 + 100) / 5)
    assert (bias.after.mean, bias.after.largest) == (2.0, 2.0)
    assert math.isnan(bias.moved)


def test_every_trained_tensor_is_told_and_running_statistics_are_not():
    """Layer by layer in the order of the names: batch normalisation's mean and variance are no weights."""
    tensors = redrawn_weights(NARROWING, job_key(0, 0), torch.float64)
    found = tensor_facts(NARROWING, tensors, tensors)
    assert [f"{fact.layer}.{fact.kind}" for fact in found] == list(NARROWING.trained)
    assert [fact.shape for fact in found] == list(NARROWING.trained.values())
    assert {fact.kind for fact in found} == {"weight", "bias", "scale", "shift", "skip"}


@pytest.mark.parametrize("init", SCHEMES)
def test_the_theory_is_the_initialisations_own(init):
    """Weights as expected_std says, a bias only under pytorch and as wide as its weights, norms never."""
    network = Network(inputs=300, hidden=(200, 100), activation="gelu", init=init, init_scale=0.3, norm="layer")
    theory = expected_std(network)
    assert [theory_of(network, f"{layer}.weight") for layer in range(3)] == pytest.approx(theory, rel=1e-15)
    assert [theory_of(network, f"{layer}.bias") for layer in range(3)] == (
        pytest.approx(theory, rel=1e-15) if init == "pytorch" else [0, 0, 0]
    )
    assert theory_of(network, "0.scale") == theory_of(network, "1.shift") == 0


def test_a_shortcuts_theory_is_of_its_own_shape():
    """From 300 to 100 past a layer of 200: torch draws nn.Linear(300, 100) within 1 / sqrt(300)."""
    network = Network(300, (300, 200, 100), "relu", "pytorch", 0.01, skips=("", "", "product"))
    assert theory_of(network, "2.skip") == pytest.approx(1 / math.sqrt(300 * 3))
    assert theory_of(network, "2.weight") == pytest.approx(1 / math.sqrt(200 * 3))
    drawn = dict(zip(network.tensor_names, redrawn_weights(network, job_key(0, 0), torch.float64), strict=True))
    assert drawn["2.skip"].std() == pytest.approx(theory_of(network, "2.skip"), rel=0.02)


def test_dead_units_are_counted_before_and_after():
    """Biases of 1 let four units answer to every row; then three of -9 answer to none of the rows between 0 and 1."""
    network = Network(inputs=2, hidden=(4,), activation="relu", init="pytorch", init_scale=0.01)
    before = tensors_of(network, t0_weight=np.ones((2, 4)), t0_bias=[1, 1, 1, 1])
    after = tensors_of(network, t0_weight=np.ones((2, 4)), t0_bias=[-9, 1, -9, -9])
    rows = torch.from_numpy(np.random.default_rng(0).uniform(size=(20, 2)))
    (units,) = unit_facts(network, before, after, rows)
    assert (units.layer, units.units, units.dead, units.saturated) == (0, 4, (0.0, 0.75), (0.0, 0.0))
    assert units.reach[0] == pytest.approx(float(rows.sum(1).std(correction=0)))


def test_units_reach_what_plain_layers_reach():
    """nn.Linear and tanh, two hidden layers, weights four times as large afterwards; answers beyond 2.7 are flat."""
    network = replace(SMALL_NETWORK, activation="tanh")
    before = redrawn_weights(network, job_key(0, 0), torch.float64)
    after = [4 * tensor for tensor in before]
    rows = 3 * rows_and_target()[0]
    found = unit_facts(network, before, after, rows)
    for when, tensors in enumerate((before, after)):
        hidden = rows
        for layer, units in enumerate(found):
            plain = nn.Linear(*tensors[2 * layer].shape, dtype=torch.float64)
            plain.weight.data = torch.from_numpy(tensors[2 * layer]).T
            plain.bias.data = torch.from_numpy(tensors[2 * layer + 1])[0]
            reached = plain(hidden).detach()
            assert units.reach[when] == pytest.approx(float(reached.std(correction=0)), rel=1e-12)
            assert units.saturated[when] == pytest.approx(float((reached.abs() > 2.7).double().mean()), rel=1e-12)
            hidden = torch.tanh(reached)
    assert found[0].saturated[1] > found[0].saturated[0]
    assert unit_facts(LINEAR, tensors_of(LINEAR), tensors_of(LINEAR), rows) == ()


# --- pictures


def test_a_histogram_counts_every_weight_in_bins_that_serve_both():
    """10 000 normal weights, later twice as wide: numpy's own counts, and nothing lost at the ends."""
    network = replace(LINEAR, inputs=10_000)
    before = np.random.default_rng(0).normal(size=(10_000, 1))
    tensors = [tensors_of(network, t0_weight=weight) for weight in (before, 2 * before)]
    (histogram,) = histograms(network, *tensors)
    assert (histogram.layer, histogram.kind, histogram.shape) == (0, "weight", (10_000, 1))
    assert len(histogram.edges) == len(histogram.after) + 1 == 42
    assert histogram.before.sum() == histogram.after.sum() == 10_000
    inner = np.histogram(before, histogram.edges)[0]
    np.testing.assert_array_equal(histogram.before[1:-1], inner[1:-1])
    assert histogram.edges[0] == pytest.approx(np.percentile(np.concatenate([before, 2 * before]), 0.1))


def test_a_single_far_weight_does_not_squeeze_the_others_into_one_bin():
    """One of 10 000 at a million: it is counted in the last bin."""
    weight = np.random.default_rng(0).normal(size=(10_000, 1))
    network = replace(LINEAR, inputs=10_000)
    far = weight.copy()
    far[17] = 1e6
    (histogram,) = histograms(network, tensors_of(network, t0_weight=weight), tensors_of(network, t0_weight=far))
    assert histogram.edges[-1] < 5
    assert histogram.after.sum() == 10_000
    assert (histogram.after > 0).all()


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_weights_that_are_all_alike_or_no_numbers_have_a_histogram(value):
    """One bin holds all of them; what is not finite is in none."""
    tensors = tensors_of(LINEAR, t0_weight=[value] * 3)
    (histogram,) = histograms(LINEAR, tensors, tensors)
    assert histogram.after.max() == histogram.after.sum() == (0 if np.isnan(value) else 3)
    assert (np.diff(histogram.edges) > 0).all()


def test_matrices_have_histograms_and_single_rows_of_numbers_have_none():
    """Three weight matrices and a shortcut; biases and norms are too few."""
    tensors = redrawn_weights(NARROWING, job_key(0, 0), torch.float64)
    found = histograms(NARROWING, tensors, tensors)
    assert [(h.layer, h.kind) for h in found] == [(0, "weight"), (1, "weight"), (1, "skip"), (2, "weight")]


def test_a_small_matrix_is_its_own_heat_map():
    """Magnitudes, cell by cell, with every input's name."""
    found = heat_map(0, np.array([[1.0, -2.0], [-3.0, 4.0], [0.0, 5.0]]), ("a", "b", "c"))
    np.testing.assert_array_equal(found.cells, [[1, 2], [3, 4], [0, 5]])
    assert (found.layer, found.shape, found.inputs) == (0, (3, 2), ("a", "b", "c"))


def test_a_large_matrix_comes_in_means_over_blocks():
    """130 x 100 weights in 64 x 64 cells: each the mean magnitude of its own block, by a slow loop."""
    weight = np.random.default_rng(0).normal(size=(130, 100))
    found = heat_map(0, weight, tuple(f"c{i}" for i in range(130)))
    rows, columns = ([n * cell // 64 for cell in range(65)] for n in (130, 100))
    slow = [
        [np.abs(weight[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]).mean() for j in range(64)]
        for i in range(64)
    ]
    np.testing.assert_allclose(found.cells, slow, rtol=1e-12)
    assert (found.inputs[0], found.inputs[1], found.inputs[63]) == ("c0", "c2", f"c{rows[63]}")


def test_heat_maps_are_of_the_first_layer_and_the_largest_other():
    """30, then 12, 20 and 5 weights: layers 0 and 2; inputs have names in the first alone."""
    network = Network(inputs=10, hidden=(3, 4, 5), activation="relu", init="pytorch", init_scale=0.01)
    tensors = redrawn_weights(network, job_key(0, 0), torch.float64)
    names = tuple(f"c{i}" for i in range(10))
    first, other = heat_maps(network, tensors, names)
    assert (first.layer, first.shape, first.inputs) == (0, (10, 3), names)
    assert (other.layer, other.shape, other.inputs) == (2, (4, 5), ())
    np.testing.assert_array_equal(other.cells, np.abs(tensors[4]))


def test_a_single_column_of_weights_is_no_heat_map():
    """A linear model has none; one hidden layer has its own alone."""
    assert heat_maps(LINEAR, tensors_of(LINEAR), ("a", "b", "c")) == ()
    one = replace(LINEAR, hidden=(2,))
    assert [found.layer for found in heat_maps(one, tensors_of(one), ("a", "b", "c"))] == [0]


def test_an_input_weighs_its_weight_or_the_norm_of_its_row():
    """A linear model's -2 keeps its sign; weights of 3 and -4 to two units have length 5."""
    assert input_weights(LINEAR, tensors_of(LINEAR, t0_weight=[1, -2, 0])).tolist() == [1, -2, 0]
    network = replace(LINEAR, hidden=(2,))
    weight = [[3, -4], [0, 0], [1, 0]]
    assert input_weights(network, tensors_of(network, t0_weight=weight)).tolist() == [5, 0, 1]


def test_the_values_need_no_torch():
    """Pickled here, read where torch is not loaded."""
    code = """
import pickle, sys
from pipeline import facts
import numpy
for value in pickle.load(sys.stdin.buffer):
    assert type(value).__module__ == "pipeline.facts", type(value)
print("torch" in sys.modules)
"""
    tensors = redrawn_weights(SMALL_NETWORK, job_key(0, 0), torch.float32)
    values = [
        *tensor_facts(SMALL_NETWORK, tensors, tensors),
        *unit_facts(SMALL_NETWORK, tensors, tensors, rows_and_target(dtype=torch.float32)[0]),
        *histograms(SMALL_NETWORK, tensors, tensors),
        *heat_maps(SMALL_NETWORK, tensors, ("a", "b", "c")),
    ]
    found = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(values), capture_output=True, check=True)
    assert found.stdout.strip() == b"False"
