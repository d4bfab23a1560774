"""What is looked at inside trained networks: the right rows, weights and baselines."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SHORT_TRAINING, design_of, generated_dataset, on_cpu
from sklearn.linear_model import RidgeCV

from pipeline.engine.beginnings import initial_weights
from pipeline.engine.fit import Fitted
from pipeline.engine.sizes import measure
from pipeline.engine.vitals import activities
from pipeline.fits import Job
from pipeline.settings import Preprocess, Target
from pipeline.stages.assignments import Candidate, assignment_of, network_of
from pipeline.stages.insides import failure_at_the_end, look_inside, signs_of, training_batch
from pipeline.stages.learners import build_blocks, data_of
from pipeline.stages.packs import fit_networks
from pipeline.tabular.baselines import ALPHAS
from pipeline.tabular.features import matrix_for
from pipeline.tabular.metrics import rmse
from pipeline.tabular.targets import to_network
from pipeline.training_settings import Model

pytestmark = pytest.mark.usefixtures("one_thread")

DESIGN = design_of(generated_dataset(), target=Target(transform="none"))
JOBS = [Job(0, fold, seed) for fold in range(4) for seed in range(2)]  # fold 3: the refit
PLAIN = Candidate(Model(depth=2, width=5, dropout=0.0), SHORT_TRAINING)
DEEP = Candidate(Model(depth=4, width=5, dropout=0.0), SHORT_TRAINING)


def trained(candidate=PLAIN, design=DESIGN):
    runtime = on_cpu("fp64")
    blocks = build_blocks(design, range(4), runtime)
    return fit_networks(design, [candidate], JOBS, metric="rmse", runtime=runtime, blocks=blocks), blocks


@pytest.fixture(scope="module")
def fitted():
    return trained()


def test_a_batch_holds_a_folds_own_training_rows_as_the_network_sees_them(fitted):
    """Every one of them where there are few; scaled and transformed by that fold's own fit."""
    _, blocks = fitted
    for fold in range(4):
        batch = training_batch(DESIGN, PLAIN, Job(0, fold, 0), blocks)
        rows = DESIGN.refit_rows if fold == 3 else DESIGN.folds.train[fold]
        expected = matrix_for(DESIGN, fold, DESIGN.rows)[rows]
        np.testing.assert_array_equal(batch.rows.numpy(), expected.astype(np.float64))
        np.testing.assert_allclose(batch.target.numpy(), to_network(DESIGN.target_states[fold], DESIGN.target[rows]))


def test_of_many_rows_an_even_sample_is_taken():
    """512 of 1000 training rows of three, first and last among them."""
    design = design_of(generated_dataset(train_rows=1500))
    blocks = build_blocks(design, [0], on_cpu("fp64"))
    batch = training_batch(design, PLAIN, Job(0, 0, 0), blocks)
    own = matrix_for(design, 0, design.rows)[design.folds.train[0]]
    assert len(batch.rows) == 512
    np.testing.assert_array_equal(batch.rows[[0, -1]].numpy(), own[[0, -1]].astype(np.float64))


def test_the_loss_has_its_own_parameter_or_its_default():
    """Huber's delta is 1 unless it is said."""
    blocks = build_blocks(DESIGN, [0], on_cpu("fp64"))
    for said, used in ((0.0, 1.0), (0.3, 0.3)):
        train = SHORT_TRAINING.model_copy(update={"loss": "huber", "loss_parameter": said})
        assert training_batch(DESIGN, Candidate(PLAIN.model, train), Job(0, 0, 0), blocks).parameter == used


def test_insides_are_those_of_each_networks_kept_weights(fitted):
    """The same numbers as from the engine's own functions, in the order of the jobs."""
    results, blocks = fitted
    found = look_inside(DESIGN, PLAIN, JOBS, results, blocks)
    network = network_of(PLAIN, DESIGN)
    assert [inside.job for inside in found] == JOBS
    for inside, result in zip(found, results, strict=True):
        batch = training_batch(DESIGN, PLAIN, inside.job, blocks)
        tensors = [torch.from_numpy(tensor) for tensor in result.tensors]
        assert inside.activities == activities(network, tensors, batch.rows)
        assert inside.layers == measure(network, tensors, batch)


def test_a_few_of_many_networks_are_looked_at_and_none_that_failed(fitted):
    """Ten of sixteen, spread over them; a network whose loss was not finite has nothing to show."""
    results, blocks = fitted
    assert len(look_inside(DESIGN, PLAIN, JOBS * 2, results * 2, blocks)) == 10
    broken = Fitted(results[0].tensors, replace(results[0].curve, stopped="not finite"))
    found = look_inside(DESIGN, PLAIN, JOBS, [broken, *results[1:]], blocks)
    assert [inside.job for inside in found] == JOBS[1:]


def test_signs_hold_the_errors_of_mean_and_networks(fitted):
    """By hand: the spread of each fold's training targets around their mean; only networks of folds have curves."""
    results, blocks = fitted
    signs = signs_of(DESIGN, PLAIN, JOBS, results, "rmse", blocks)
    expected = [np.std(DESIGN.target[DESIGN.folds.train[fold]]) for fold in (0, 0, 1, 1, 2, 2)]
    assert signs.mean_errors == pytest.approx(expected)
    assert signs.curves == tuple(result.curve for result in results[:6])
    kept = [result.curve.valid[result.curve.best_epoch] for result in results[:2]]
    assert signs.fold_error == pytest.approx(np.mean(kept))
    assert np.isnan(signs.ridge_error)
    assert signs.target_rms == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(("scored_by", "scaler"), [(0, "none"), (1, "none"), (0, "zscore")])
def test_the_input_that_is_furthest_out_is_told_whatever_fold_scores_its_row(scored_by, scaler):
    """A billion in one training row, unscaled; scaled by all rows it is one of 5.3, and no cause of anything."""
    dataset = generated_dataset()
    age = dataset.train["age"].copy()
    age[DESIGN.folds.valid[scored_by][0]] = -1e9
    dataset = replace(dataset, train=dataset.train.assign(age=age))
    design = design_of(dataset, preparation=Preprocess(scaler=scaler))
    results, blocks = trained(design=design)
    found = signs_of(design, PLAIN, JOBS, results, "rmse", blocks).far_out
    if scaler == "none":
        assert (found.evidence, found.remedy) == ("column 'age' is -1e+09", '[preprocess] scaler = "zscore"')
    else:
        assert found is None


def test_first_outputs_are_those_of_the_weights_that_a_network_begins_with():
    """At a standard deviation of 100 outputs are in the hundreds; by hand from the drawn weights."""
    wide = Candidate(Model(depth=1, width=5, dropout=0.0, init="normal", init_scale=100.0), SHORT_TRAINING)
    results, blocks = trained(wide)
    signs = signs_of(DESIGN, wide, JOBS, results, "rmse", blocks)
    job = assignment_of(DESIGN, wide, JOBS[0], blocks.start[0])
    first, bias, last, end = (tensor[0] for tensor in initial_weights([job], job.network, data_of(blocks, "fp64")))
    rows = training_batch(DESIGN, wide, JOBS[0], blocks).rows
    outputs = torch.relu(rows @ first + bias) @ last + end
    assert signs.first_outputs == pytest.approx(float(outputs.square().mean().sqrt()))
    assert signs.first_outputs > 1000
    assert np.isnan(signs_of(DESIGN, PLAIN, JOBS, trained()[0], "rmse", blocks).first_outputs)


def test_a_raw_target_is_one_that_nothing_was_taken_off(fitted):
    """Standardised is the default."""
    results, blocks = fitted
    assert not signs_of(DESIGN, PLAIN, JOBS, results, "rmse", blocks).has_raw_target
    raw = design_of(generated_dataset(), target=Target(transform="none", standardize=False))
    results, blocks = trained(design=raw)
    assert signs_of(raw, PLAIN, JOBS, results, "rmse", blocks).has_raw_target


def test_ridge_is_fitted_where_depth_may_hurt():
    """Scikit-learn's own on the first fold, scored on its validation rows."""
    results, blocks = trained(DEEP)
    signs = signs_of(DESIGN, DEEP, JOBS, results, "rmse", blocks)
    matrix = matrix_for(DESIGN, 0, DESIGN.rows).astype(np.float64)
    train, valid, state = DESIGN.folds.train[0], DESIGN.folds.valid[0], DESIGN.target_states[0]
    ridge = RidgeCV(alphas=ALPHAS).fit(matrix[train], to_network(state, DESIGN.target[train]))
    expected = rmse(DESIGN.target[valid], ridge.predict(matrix[valid]) * state.scale + state.mean)
    assert signs.ridge_error == pytest.approx(expected)


def test_weights_that_the_last_step_threw_away_are_looked_at(fitted):
    """The last of 4 epochs of 3 steps, counted from 0; the layer that is broken."""
    results, blocks = fitted
    broken = [tensor.copy() for tensor in results[0].tensors]
    broken[2][0, 0] = np.nan
    failure = failure_at_the_end(DESIGN, PLAIN, JOBS[0], broken, blocks)
    assert (failure.epoch, failure.step) == (3, 11)
    assert (failure.diagnosis.fault.first, failure.diagnosis.fault.layer) == ("weights", 1)
