"""What the report says of weights: the right jobs, their own rows, and means over all networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SHORT_TRAINING as SHORT
from builders import SMALL_MODEL, design_of, generated_dataset, on_cpu

from pipeline.engine.draws import job_key
from pipeline.engine.init import initial_tensors
from pipeline.stages import weights
from pipeline.stages.train import train
from pipeline.stages.weights import weight_facts
from pipeline.tabular.features import matrix_for, take
from pipeline.training_settings import Model, Train

pytestmark = pytest.mark.usefixtures("one_thread")

DESIGN = design_of(generated_dataset(train_rows=60))
UNTRAINED = 1e-300  # a learning rate that moves nothing


def trained(model=SMALL_MODEL, precision="fp64", **changes):
    """Three folds x two seeds; with refit two networks more."""
    settings = Train(**(SHORT.model_dump() | {"weight_decay": 0.0, "epochs": 2} | changes))
    return train(DESIGN, model=model, train=settings, metric="rmse", runtime=on_cpu(precision))


@pytest.fixture(scope="module")
def fits():
    return trained(refit=True)


@pytest.mark.parametrize("init", ["pytorch", "xavier_normal", "data_driven"])
@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
def test_networks_that_were_not_trained_have_not_moved(init, precision):
    """At a learning rate of nothing before is after, in folds and refits, whatever rows the initialisation saw."""
    fits = trained(SMALL_MODEL.model_copy(update={"init": init}), precision, lr=UNTRAINED, refit=True)
    facts = weight_facts(DESIGN, fits)
    assert facts.networks == facts.of == 8
    for tensor in facts.tensors:
        assert tensor.before.std == pytest.approx(tensor.after.std, rel=1e-5)
        assert np.isnan(tensor.moved) or tensor.moved < 1e-5
    for histogram in facts.histograms:
        assert np.abs(histogram.before - histogram.after).sum() <= 2  # a weight at the border of a bin may cross it


def test_the_table_is_the_mean_over_all_networks(fits):
    """Eight networks, refits among them: numpy's own std and change of each, averaged."""
    facts = weight_facts(DESIGN, fits)
    kept = fits.weights["0.weight"].astype(np.float64)
    keys = torch.tensor([job_key(job.seed, job.fold) for job in fits.jobs])
    drawn = initial_tensors(fits.network, keys, torch.float64)[0].numpy()
    tensor = facts.tensors[0]
    assert tensor.before.std == pytest.approx(np.mean([one.std() for one in drawn]))
    assert tensor.after.std == pytest.approx(np.mean([one.std() for one in kept]))
    assert tensor.after.largest == pytest.approx(np.mean(np.abs(kept).max(axis=(1, 2))))
    change = [np.linalg.norm(new - old) / np.linalg.norm(old) for old, new in zip(drawn, kept, strict=True)]
    assert tensor.moved == pytest.approx(np.mean(change))


def test_pictures_are_of_the_first_fold_and_seed(fits):
    """The histogram holds that network's weights, the heat map its magnitudes with the design's names."""
    facts = weight_facts(DESIGN, fits)
    own = fits.weights["0.weight"][0]
    assert (facts.fold, facts.seed) == (1, 0)
    inner = np.histogram(own, facts.histograms[0].edges)[0]
    np.testing.assert_array_equal(facts.histograms[0].after[1:-1], inner[1:-1])
    assert facts.histograms[0].after.sum() == own.size
    np.testing.assert_allclose(facts.heat_maps[0].cells, np.abs(own))
    assert facts.heat_maps[0].inputs == DESIGN.columns


def test_units_are_watched_on_their_own_folds_training_rows(fits, monkeypatch):
    """Six networks of folds, two of all rows: the mean of what each one's units reach on its own rows, by hand."""
    (units,) = weight_facts(DESIGN, fits).units
    reached = []
    for i, job in enumerate(fits.jobs):
        own = DESIGN.refit_rows if job.fold == 3 else DESIGN.folds.train[job.fold]
        rows = matrix_for(DESIGN, job.fold, take(DESIGN.rows, own)).astype(np.float64)
        reached.append(rows @ fits.weights["0.weight"][i] + fits.weights["0.bias"][i])
    assert units.units == 6
    assert units.reach[1] == pytest.approx(np.mean([values.std() for values in reached]))
    assert units.dead[1] == pytest.approx(np.mean([(values <= 0).all(axis=0).mean() for values in reached]))


def test_of_many_rows_a_few_are_watched(fits, monkeypatch):
    """Ten of forty rows of a fold, evenly spread."""
    monkeypatch.setattr(weights, "MOST_ROWS", 10)
    assert weight_facts(DESIGN, fits).rows == 10


def test_of_too_many_networks_some_evenly_spread_are_looked_at(fits, monkeypatch):
    """Weights for three and a half of eight: the first, one in the middle and the last."""
    monkeypatch.setattr(weights, "MOST_WEIGHTS", int(3.5 * fits.network.parameters))
    facts = weight_facts(DESIGN, fits)
    assert (facts.networks, facts.of) == (3, 8)
    kept = fits.weights["0.weight"][[0, 4, 7]]
    assert facts.tensors[0].after.std == pytest.approx(np.mean([one.std() for one in kept]))


def test_columns_come_by_the_weight_they_carry(fits):
    """The norm of a column's row in the first layer: mean over networks, the least and the most of them."""
    inputs = weight_facts(DESIGN, fits).inputs
    norms = np.sqrt(np.square(fits.weights["0.weight"].astype(np.float64)).sum(axis=2))
    order = np.argsort(-norms.mean(axis=0), kind="stable")
    assert inputs.names == tuple(DESIGN.columns[i] for i in order)
    np.testing.assert_allclose(inputs.mean, norms.mean(axis=0)[order])
    np.testing.assert_allclose(inputs.low, norms.min(axis=0)[order])
    np.testing.assert_allclose(inputs.high, norms.max(axis=0)[order])
    assert (inputs.of, inputs.is_signed) == (len(DESIGN.columns), False)


def test_a_linear_model_keeps_its_signs_and_has_no_units():
    """The largest magnitude first, whichever its sign; no heat map of a single column."""
    fits = trained(Model(kind="linear"), lr=0.1)
    facts = weight_facts(DESIGN, fits)
    assert facts.inputs.is_signed
    mean = fits.weights["0.weight"][:, :, 0].mean(axis=0)
    assert (mean < 0).any()
    order = np.argsort(-np.abs(mean), kind="stable")
    np.testing.assert_allclose(facts.inputs.mean, mean[order], rtol=1e-6)
    assert (facts.units, facts.heat_maps) == ((), ())


def test_only_the_largest_columns_are_named(fits, monkeypatch):
    """Two of them, and how many there are."""
    monkeypatch.setattr(weights, "MOST_INPUTS", 2)
    inputs = weight_facts(DESIGN, fits).inputs
    assert (len(inputs.names), len(inputs.mean), inputs.of) == (2, 2, len(DESIGN.columns))


def test_weights_that_are_no_numbers_are_told_and_not_raised(fits):
    """A refit whose last step threw its weights away: its tensor's numbers are no numbers, and there is no warning."""
    broken = {name: values.copy() for name, values in fits.weights.items()}
    broken["0.weight"][6] = np.nan
    facts = weight_facts(DESIGN, replace(fits, bag=replace(fits.bag, weights=broken)))
    assert np.isnan(facts.tensors[0].after.std)
    assert np.isfinite(facts.tensors[1].after.std)
