"""Folds and seeds trained as one program: what comes out belongs to the right fold, seed and row."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu
from torch import nn

from pipeline.engine.mapped import mapped_rows
from pipeline.engine.sources import Resident, Streamed
from pipeline.errors import TrainingError
from pipeline.fits import Bag, Job
from pipeline.runtime import NoCheckpoint, Room
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.assignments import Candidate, network_of
from pipeline.stages.learners import PRODUCTS, build_blocks, outputs_of
from pipeline.stages.predict import predict
from pipeline.stages.preprocess import preprocess
from pipeline.stages.train import train
from pipeline.tabular.features import matrix_for, take
from pipeline.tabular.metrics import score
from pipeline.tabular.targets import to_target
from pipeline.training_settings import Train

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset(metric="log_rmse")
DESIGN = design_of(DATASET, metric="log_rmse")
K, N, T = 3, 30, 8


def trained(design=DESIGN, *, precision="fp64", model=SMALL_MODEL, metric="log_rmse", runtime=None, **changes):
    settings = Train(**(SHORT_TRAINING.model_dump() | changes))
    return train(design, model=model, train=settings, metric=metric, runtime=runtime or on_cpu(precision))


@pytest.fixture(scope="module")
def fits():
    """Three folds x two seeds, no refit."""
    return trained()


@pytest.fixture(scope="module")
def refitted():
    """The same, and one network per seed on all training rows."""
    return trained(refit=True)


def predictions_of(fits, i, design=DESIGN):
    """Predictions of job i on every row, train then test, by nn.Sequential and the target's inverse in plain numpy."""
    fold = fits.jobs[i].fold
    linears = []
    for layer in range(2):
        weight, bias = (torch.from_numpy(fits.weights[f"{layer}.{kind}"][i]) for kind in ("weight", "bias"))
        linear = nn.Linear(*weight.shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = weight.T.to(torch.float64), bias[0].to(torch.float64)
        linears += [linear, nn.ReLU()]
    rows = torch.from_numpy(matrix_for(design, fold, design.rows)).double()
    with torch.no_grad():
        outputs = nn.Sequential(*linears[:-1])(rows).squeeze(1).numpy()
    state = design.target_states[fold]
    return np.exp(outputs * state.scale + state.mean)


# --- which networks there are


def test_every_fold_and_seed_is_trained_once(fits, refitted):
    """Three folds x seeds 0 and 1; with refit, fold 3 means all rows."""
    expected = [Job(0, fold, seed) for fold in range(3) for seed in (0, 1)]
    assert list(fits.jobs) == expected
    assert list(refitted.jobs) == [*expected, Job(0, 3, 0), Job(0, 3, 1)]
    assert len(fits.curves) == 6
    assert all(len(tensor) == 6 for tensor in fits.weights.values())
    assert fits.network == network_of(Candidate(SMALL_MODEL, SHORT_TRAINING), DESIGN)


def test_networks_of_the_folds_do_not_depend_on_the_refit(fits, refitted):
    """Alone equals company at the level of a stage: allclose in fp64."""
    for name, tensor in fits.weights.items():
        np.testing.assert_allclose(refitted.weights[name][:6], tensor, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(refitted.seed_oof, fits.seed_oof, rtol=1e-9)


@pytest.mark.parametrize("pack_size", [1, 2, 4])
def test_the_size_of_packs_changes_nothing(fits, pack_size):
    """One network at a time, or two, or four: the same predictions to 1e-9."""
    other = trained(pack_size=pack_size)
    np.testing.assert_allclose(other.seed_oof, fits.seed_oof, rtol=1e-9)
    np.testing.assert_allclose(other.test_predictions, fits.test_predictions, rtol=1e-9)


def test_the_first_seed_moves_all_seeds(fits):
    """Seeds 1 and 2 share seed 1 with seeds 0 and 1: the same out-of-fold row."""
    np.testing.assert_allclose(trained(seed=1).seed_oof[0], fits.seed_oof[1], rtol=1e-9)


def test_the_same_training_twice_gives_the_same_bits():
    """In fp32, as users run it: weights, curves and predictions."""
    one, two = trained(precision="fp32"), trained(precision="fp32")
    for name, tensor in one.weights.items():
        assert tensor.tobytes() == two.weights[name].tobytes()
    assert one.test_predictions.tobytes() == two.test_predictions.tobytes()
    assert one.fold_predictions.tobytes() == two.fold_predictions.tobytes()
    for a, b in zip(one.curves, two.curves, strict=True):
        assert a.valid.tobytes() == b.valid.tobytes()


# --- what they predict


def test_fold_predictions_are_means_over_seeds_in_the_targets_own_scale(fits):
    """Of every training row, recomputed from the weights with nn.Sequential: exponentials averaged, not logs."""
    for fold in range(K):
        own = [predictions_of(fits, i)[:N] for i, job in enumerate(fits.jobs) if job.fold == fold]
        np.testing.assert_allclose(fits.fold_predictions[fold], np.mean(own, axis=0), rtol=1e-10)


def test_out_of_fold_predictions_come_from_the_fold_that_did_not_train_on_the_row(fits):
    """Row by row and seed by seed; every row has one."""
    assert fits.seed_oof.shape == (2, N)
    for i, job in enumerate(fits.jobs):
        valid = DESIGN.folds.valid[job.fold]
        np.testing.assert_allclose(fits.seed_oof[job.seed, valid], predictions_of(fits, i)[valid], rtol=1e-10)


def test_with_repeated_folds_a_row_has_one_prediction_for_each_repeat():
    """Two repeats of two folds: column by column the row, the fold that did not train on it, and its network."""
    design = preprocess(
        DATASET, preprocess=Preprocess(), target=Target(), folds=FoldSettings(count=2, repeats=2), metric="log_rmse"
    )
    fits = trained(design)
    assert fits.seed_oof.shape == (2, 2 * N)
    assert fits.fold_predictions.shape == (4, N)
    for i, job in enumerate(fits.jobs):
        own = design.folds.scored_folds == job.fold
        rows = design.folds.scored_rows[own]
        expected = predictions_of(fits, i, design)[rows]
        np.testing.assert_allclose(fits.seed_oof[job.seed, own], expected, rtol=1e-10)
        assert not set(rows) & set(design.folds.train[job.fold])


def test_rows_that_are_left_out_of_training_reach_no_weight():
    """With impute = "drop": the rows with a gap may hold any target, the refit included."""
    preparation = Preprocess(impute="drop")
    gaps = np.flatnonzero(DATASET.train["age"].isna())
    target = DATASET.target.copy()
    target[gaps] = 1e9
    clean, poisoned = (
        trained(
            design_of(replace(DATASET, target=values), metric="log_rmse", preparation=preparation),
            refit=True,
            restore_best=False,
        )
        for values in (DATASET.target, target)
    )
    assert len(gaps) > 0
    for name, tensor in clean.weights.items():
        assert tensor.tobytes() == poisoned.weights[name].tobytes()


def test_test_predictions_are_means_over_folds_and_seeds(fits):
    """Six networks, each under its own fold's scaling."""
    own = [predictions_of(fits, i)[N:] for i in range(6)]
    np.testing.assert_allclose(fits.test_predictions, np.mean(own, axis=0), rtol=1e-10)


def test_with_refit_only_the_refits_serve_the_test(refitted):
    """The mean of jobs 6 and 7."""
    own = [predictions_of(refitted, i)[N:] for i in (6, 7)]
    np.testing.assert_allclose(refitted.test_predictions, np.mean(own, axis=0), rtol=1e-10)


def test_a_refit_beside_the_folds_has_half_the_say(fits, refitted):
    """The mean of what the six would say alone and of what the two would; all are trained as they would be alone."""
    beside = trained(refit="beside")
    assert beside.jobs == refitted.jobs
    wanted = (fits.test_predictions + refitted.test_predictions) / 2
    np.testing.assert_allclose(beside.test_predictions, wanted, rtol=1e-9)


def test_a_refit_has_no_validation_score_and_runs_all_epochs():
    """Patience and the best epoch are matters of folds; patience of 1 stops at least one fold early here."""
    fits = trained(refit=True, patience=1, epochs=12, lr=0.2)
    stopped = [curve.stopped for job, curve in zip(fits.jobs, fits.curves, strict=True) if job.fold < K]
    assert "patience" in stopped
    for job, curve in zip(fits.jobs, fits.curves, strict=True):
        if job.fold == K:
            assert (curve.stopped, len(curve.valid), curve.best_epoch) == ("finished", 12, 11)
            assert np.isnan(curve.valid).all()


def test_a_curves_best_score_is_the_metric_of_the_kept_weights(fits):
    """The judge while training and the predictions afterwards agree on each network's validation rows."""
    for i, (job, curve) in enumerate(zip(fits.jobs, fits.curves, strict=True)):
        valid = DESIGN.folds.valid[job.fold]
        expected = score("log_rmse", DESIGN.target[valid], predictions_of(fits, i)[valid])
        assert curve.valid[curve.best_epoch] == pytest.approx(expected, rel=1e-9)
        assert curve.valid[curve.best_epoch] == curve.valid.min()


def test_training_learns_something():
    """A longer training beats the spread of the target by far: the pieces are wired to the right rows."""
    oof = trained(epochs=60, lr=0.05).seed_oof.mean(axis=0)
    assert np.std(oof - DESIGN.target) < 0.5 * np.std(DESIGN.target)


# --- poisoned rows


def test_test_rows_reach_no_weight_and_no_score():
    """Test features turn to 1e9, gaps and a new level: weights and fold predictions keep every bit."""
    levels = [*DATASET.test["colour"].cat.categories, "brandnew"]
    colour = pd.Categorical(["brandnew"] * T, categories=pd.Index(levels, dtype=object))
    test = DATASET.test.assign(area=1e9, age=np.nan, colour=colour)
    clean, poisoned = trained(), trained(design_of(replace(DATASET, test=test), metric="log_rmse"))
    for name, tensor in clean.weights.items():
        assert tensor.tobytes() == poisoned.weights[name].tobytes()
    assert clean.fold_predictions.tobytes() == poisoned.fold_predictions.tobytes()


def test_validation_targets_reach_no_weight_of_their_fold():
    """Without a choice of the best epoch, fold 0's networks keep every bit when its validation targets are 1e9."""
    target = DATASET.target.copy()
    target[DESIGN.folds.valid[0]] = 1e9
    options = {"restore_best": False, "pack_size": 2}
    clean, poisoned = (
        trained(**options),
        trained(design_of(replace(DATASET, target=target), metric="log_rmse"), **options),
    )
    for name, tensor in clean.weights.items():
        assert tensor[:2].tobytes() == poisoned.weights[name][:2].tobytes()


# --- blocks


@pytest.mark.parametrize(
    ("preparation", "target", "blocks"),
    [
        (Preprocess(fit_on="all"), Target(standardize=False), 1),
        (Preprocess(fit_on="all"), Target(), 4),
        (Preprocess(), Target(standardize=False), 4),
    ],
)
def test_folds_share_rows_only_where_both_fits_are_the_same(preparation, target, blocks):
    """One matrix for the textbook; one per fold and one for the refit as soon as features or target differ."""
    design = design_of(DATASET, metric="log_rmse", preparation=preparation, target=target)
    found = build_blocks(design, range(4), on_cpu("fp64"))
    assert len(found.matrix) == len(found.target) == blocks * (N + T)
    for fold in range(4):
        np.testing.assert_array_equal(found.rows_of(fold), matrix_for(design, fold, design.rows))
        state, start = design.target_states[fold], found.start[fold]
        own = found.target[start : start + N].numpy()
        np.testing.assert_allclose(to_target(state, own), DATASET.target, rtol=1e-12)
        assert np.isnan(found.target[start + N : start + N + T].numpy()).all()


@pytest.mark.parametrize("precision", ["fp32", "fp64", "bf16"])
def test_rows_that_do_not_fit_into_memory_give_the_same_bits(precision, tmp_path, monkeypatch):
    """Blocks in a file, made in chunks of 7 rows, instead of in memory at once: rows, targets, weights, predictions."""
    small = on_cpu(precision, room=Room(device=0, host=0, folder=str(tmp_path)))
    expected = build_blocks(DESIGN, range(4), on_cpu(precision))
    fitted = trained(runtime=on_cpu(precision))
    files = []
    monkeypatch.setattr("pipeline.engine.mapped.mapped_rows", lambda *asked: files.append(asked) or mapped_rows(*asked))
    monkeypatch.setattr("pipeline.stages.learners.ROWS_AT_A_TIME", 7)
    found = build_blocks(DESIGN, range(4), small)
    assert (type(expected.source), type(found.source)) == (Resident, Streamed)
    assert expected.source.dtype == found.source.dtype == PRODUCTS.get(precision, found.matrix.dtype)
    assert files == [(len(found.matrix), len(DESIGN.columns), found.matrix.dtype, str(tmp_path))]
    assert torch.equal(found.matrix, expected.matrix)
    assert torch.equal(found.target.nan_to_num(), expected.target.nan_to_num())
    monkeypatch.setattr("pipeline.stages.learners.ROWS_AT_A_TIME", 1024)
    streamed = trained(runtime=small)
    for name, tensor in fitted.weights.items():
        assert streamed.weights[name].tobytes() == tensor.tobytes()
    assert streamed.fold_predictions.tobytes() == fitted.fold_predictions.tobytes()


# --- faults and hyperparameters


def test_a_training_that_diverges_at_once_names_every_network_and_the_cause():
    """Two lines: how many came to nothing, and the first of them in full with the others beside it."""
    with pytest.raises(TrainingError) as raised:
        trained(lr=1e200)
    first, line = str(raised.value).split("\n")
    assert first == "6 of 6 networks came to nothing"
    assert line.startswith("fold 1, seed 0: the loss was not finite in epoch 1, step 2, first seen in ")
    assert "a learning rate that is too high: train.lr is 1e+200" in line
    assert line.endswith(
        "set [train] lr = 0.004 (and so fold 1, seed 1; fold 2, seed 0; fold 2, seed 1; fold 3, seed 0 and 1 more)"
    )


def test_a_training_that_diverges_at_its_very_last_step_is_told_too():
    """One step in all: its loss is still finite, the weights after it are not usable, and no later loss can tell."""
    with pytest.raises(TrainingError) as raised:
        trained(lr=1e200, epochs=1, batch_size=64, schedule="constant", restore_best=False)
    line = str(raised.value).split("\n")[1]
    assert line.startswith("fold 1, seed 0: the loss was not finite in epoch 1, step 1, first seen in ")
    assert "train.lr is 1e+200" in line
    assert "set [train] lr = 0.004" in line


def test_a_healthy_training_has_no_troubles(fits):
    """And nothing to notice."""
    assert (fits.troubles, fits.notices) == ((), ())


def test_progress_reaches_exactly_its_total():
    """Epochs of all networks, in rising order, early leavers included."""
    told = []
    runtime = on_cpu("fp64", on_progress=lambda done, total, what: told.append((done, total)))
    trained(runtime=runtime, patience=1, epochs=12, lr=0.2, pack_size=4)
    done = [value for value, _ in told]
    assert {total for _, total in told} == {6 * 12}
    assert done == sorted(done)
    assert done[-1] == 72


def test_kept_packs_are_not_trained_again(fits):
    """What `keep` hands back is used as it is: a second run with the stored packs gives the same fits, untrained."""
    stored, computed = {}, []

    def keep(part, compute):
        if part not in stored:
            computed.append(part)
            stored[part] = compute(NoCheckpoint())
        return stored[part]

    first = trained(runtime=on_cpu("fp64", keep=keep), pack_size=4)
    second = trained(runtime=on_cpu("fp64", keep=keep), pack_size=4)
    assert computed == ["pack-0"]
    assert first.test_predictions.tobytes() == second.test_predictions.tobytes()
    np.testing.assert_allclose(first.test_predictions, fits.test_predictions, rtol=1e-9)


def test_outputs_of_a_network_are_those_of_the_prediction(fits):
    """`outputs_of`, through the target's inverse, is what `predict` averages: here over a single job."""
    test = take(DESIGN.rows, np.arange(N, N + T))
    network = fits.network
    tensors = [fits.weights[name][0] for name in network.tensor_names]
    rows = torch.from_numpy(matrix_for(DESIGN, 0, test)).double()
    first = Bag(network, fits.jobs[:1], np.ones(1), {name: own[:1] for name, own in fits.weights.items()})
    alone = predict(DESIGN, first, test, fits.compute)
    assert np.array_equal(alone, to_target(DESIGN.target_states[0], outputs_of(network, tensors, rows)))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "lr": 0.01, "nesterov": True}, {"optimizer": "rmsprop", "lr": 0.005, "momentum": 0.5},
        {"optimizer": "adagrad", "lr": 0.1}, {"optimizer": "adam_then_sgd", "switch_lr": 0.5},
        {"loss": "huber", "loss_parameter": 0.5}, {"loss": "log_cosh"}, {"loss": "quantile", "loss_parameter": 0.4},
        {"schedule": "cosine_restarts", "cycles": 2, "warmup": 0.1}, {"clip_norm": 1.0, "l1": 1e-3},
        {"chain": [{"at": 0.5, "kind": "linear"}], "schedule": "constant"}, {"decay_biases": False},
        {"precision": "bf16"},
    ],
    ids=str,
)  # fmt: skip
def test_every_way_to_learn_learns(changes):
    """Far better than the mean of the training rows, whose error is about 20; and folds predict in the own scale."""
    settings = {"epochs": 60, "lr": 0.02, "patience": 0} | changes
    fits = trained(**settings, runtime=on_cpu(changes.get("precision", "fp32")))
    scored = DESIGN.folds.scored_rows
    assert np.sqrt(np.mean((fits.seed_oof[0] - DESIGN.target[scored]) ** 2)) < 0.5 * DESIGN.target.std()


def test_rates_are_learned_under_a_log_link():
    """Poisson: outputs are logarithms, predictions are not; they are as good as those of the squared error."""
    design = design_of(DATASET, target=Target(transform="none", standardize=False))
    fits = trained(design=design, epochs=300, lr=0.02, loss="poisson", patience=0, batch_size=8)
    assert (fits.test_predictions > 0).all()
    scored = design.folds.scored_rows
    assert np.sqrt(np.mean((fits.seed_oof[0] - design.target[scored]) ** 2)) < 0.8 * design.target.std()
