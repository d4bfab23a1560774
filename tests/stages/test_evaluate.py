"""Scores, recomputed in plain numpy from the predictions they belong to."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from pipeline.outputs import oof_csv
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.evaluate import evaluate
from pipeline.stages.preprocess import preprocess
from pipeline.stages.train import train
from pipeline.tables import Folds
from pipeline.tabular.baselines import ALPHAS
from pipeline.tabular.features import matrix_for

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset(metric="log_rmse")
DESIGN = design_of(DATASET, metric="log_rmse")
Y = DESIGN.target


@pytest.fixture(scope="module")
def fits():
    """Three folds x two seeds and the refits, which no score may look at."""
    settings = SHORT_TRAINING.model_copy(update={"refit": "alone", "patience": 1, "lr": 0.2, "epochs": 9})
    return train(DESIGN, model=SMALL_MODEL, train=settings, metric="log_rmse", runtime=on_cpu("fp64"))


@pytest.fixture(scope="module")
def scores(fits):
    """Of these fits."""
    return evaluate(DATASET, DESIGN, fits, metric="log_rmse")


def by_hand(actual, predicted):
    logs = np.log(actual) - np.log(np.maximum(predicted, 1))
    return pytest.approx({
        "log_rmse": np.sqrt((logs**2).mean()),
        "rmse": np.sqrt(mean_squared_error(actual, predicted)),
        "mse": mean_squared_error(actual, predicted),
        "mae": mean_absolute_error(actual, predicted),
        "r2": r2_score(actual, predicted),
    })  # fmt: skip


def pooled(fold_predictions, folds=DESIGN.folds):
    oof = np.full(len(Y), np.nan)
    for fold, valid in enumerate(folds.valid):
        oof[valid] = fold_predictions[fold, valid]
    return oof


def test_each_folds_scores_are_those_of_its_predictions(fits, scores):
    """On its validation rows and on its own training rows, all five metrics by numpy and scikit-learn."""
    for fold, found in enumerate(scores.models["mlp"].folds):
        train_rows, valid = DESIGN.folds.train[fold], DESIGN.folds.valid[fold]
        predicted = fits.fold_predictions[fold]
        assert (found.fold, found.rows) == (fold, len(valid))
        assert found.valid == by_hand(Y[valid], predicted[valid])
        assert found.train == by_hand(Y[train_rows], predicted[train_rows])


def test_the_pooled_score_is_that_of_all_out_of_fold_rows(fits, scores):
    """Not the mean over folds: one score of 30 rows, and the rows are kept beside it."""
    oof = pooled(fits.fold_predictions)
    assert scores.models["mlp"].oof == by_hand(Y, oof)
    np.testing.assert_array_equal(scores.oof["mlp"], oof)
    np.testing.assert_array_equal(scores.actual, Y)


def test_a_score_can_be_recomputed_from_what_is_kept_beside_it(scores):
    """Ids, folds, truth and predictions suffice for every number, the baselines' too."""
    assert scores.ids.tolist() == DATASET.train_ids.tolist()
    for name, model in (scores.models | scores.baselines).items():
        assert model.oof == by_hand(scores.actual, scores.oof[name])
        for fold, own in enumerate(model.folds):
            rows = scores.fold_of_row == fold
            assert own.valid == by_hand(scores.actual[rows], scores.oof[name][rows])


def test_seeds_alone_are_scored_too(fits, scores):
    """The metric of each seed's out-of-fold row; the mean of predictions is no mean of scores."""
    expected = [by_hand(Y, own).expected["log_rmse"] for own in fits.seed_oof]
    assert scores.seed_oof == pytest.approx(expected)
    np.testing.assert_allclose(fits.seed_oof.mean(axis=0), scores.oof["mlp"], rtol=1e-12)


def test_looks_at_validation_rows_are_counted(fits, scores):
    """One an epoch for each network of a fold; refits look at nothing."""
    expected = sum(len(curve.valid) for job, curve in zip(fits.jobs, fits.curves, strict=True) if job.fold < 3)
    assert scores.validation_looks == expected
    assert expected < 6 * 9


def test_baselines_are_fitted_in_each_fold():
    """Geometric mean, median and ridge on the logs, by numpy and scikit-learn, fold by fold."""
    fits_of = train(DESIGN, model=SMALL_MODEL, train=SHORT_TRAINING, metric="log_rmse", runtime=on_cpu())
    found = evaluate(DATASET, DESIGN, fits_of, metric="log_rmse")
    for fold, (train_rows, valid) in enumerate(zip(DESIGN.folds.train, DESIGN.folds.valid, strict=True)):
        own, state = Y[train_rows], DESIGN.target_states[fold]
        np.testing.assert_allclose(found.oof["mean"][valid], np.exp(np.log(own).mean()), rtol=1e-12)
        np.testing.assert_allclose(found.oof["median"][valid], np.median(own))
        matrix = matrix_for(DESIGN, fold, DESIGN.rows).astype(np.float64)
        ridge = RidgeCV(alphas=ALPHAS).fit(matrix[train_rows], (np.log(own) - state.mean) / state.scale)
        expected = np.exp(ridge.predict(matrix[valid]) * state.scale + state.mean)
        np.testing.assert_allclose(found.oof["ridge"][valid], expected, rtol=1e-9)


def test_rows_that_no_fold_scores_are_left_out_and_counted(fits):
    """Fold 2 never scored: its rows are not there, not zero, and the pooled score is that of the others."""
    folds = Folds(train=DESIGN.folds.train[:2], valid=DESIGN.folds.valid[:2])
    design = replace(DESIGN, folds=folds, states=DESIGN.states[:2] + DESIGN.states[3:],
                     target_states=DESIGN.target_states[:2] + DESIGN.target_states[3:])  # fmt: skip
    jobs = tuple(job for job in fits.jobs if job.fold < 2)
    scored = np.setdiff1d(np.arange(30), DESIGN.folds.valid[2])
    partial = replace(
        fits,
        bag=replace(fits.bag, jobs=jobs),
        curves=fits.curves[:4],
        fold_predictions=fits.fold_predictions[:2],
        seed_oof=fits.seed_oof[:, scored],
    )
    found = evaluate(DATASET, design, partial, metric="log_rmse")
    assert found.unscored_rows == 10
    assert found.ids.tolist() == DATASET.train_ids[scored].tolist()
    np.testing.assert_array_equal(found.actual, Y[scored])
    assert found.models["mlp"].oof == by_hand(Y[scored], pooled(fits.fold_predictions)[scored])
    assert found.seed_oof == pytest.approx(
        [by_hand(Y[scored], own[scored]).expected["log_rmse"] for own in fits.seed_oof]
    )
    for name in ("mlp", "mean", "ridge"):
        assert np.isfinite(found.oof[name]).all()
        assert found.oof[name].shape == (20,)


# --- other folds than a plain split


def scored_by(**folds):
    """Dataset, design, fits and scores under these fold settings."""
    design = preprocess(
        DATASET, preprocess=Preprocess(), target=Target(), folds=FoldSettings(**folds), metric="log_rmse"
    )
    fits = train(design, model=SMALL_MODEL, train=SHORT_TRAINING, metric="log_rmse", runtime=on_cpu("fp64"))
    return design, fits, evaluate(DATASET, design, fits, metric="log_rmse")


def test_with_repeated_folds_each_row_is_scored_once_in_every_repeat():
    """Two repeats of three folds: sixty pairs in file order, each by a fold that did not train on the row."""
    design, fits, scores = scored_by(kind="kfold", count=3, repeats=2)
    assert scores.ids.tolist() == np.repeat(DATASET.train_ids, 2).tolist()
    assert scores.unscored_rows == 0
    row_of = {name: row for row, name in enumerate(DATASET.train_ids)}
    for i, (name, fold) in enumerate(zip(scores.ids, scores.fold_of_row, strict=True)):
        row = row_of[name]
        assert row not in design.folds.train[fold]
        assert scores.oof["mlp"][i] == fits.fold_predictions[fold, row]
        assert scores.actual[i] == Y[row]
    for repeat in range(2):
        own = scores.fold_of_row // 3 == repeat
        assert scores.ids[own].tolist() == DATASET.train_ids.tolist()


def test_the_pooled_score_of_repeated_folds_is_that_of_all_pairs():
    """One score over sixty pairs, not a mean of two; the baselines' and each seed's too."""
    _, fits, scores = scored_by(kind="kfold", count=3, repeats=2)
    for name, model in (scores.models | scores.baselines).items():
        assert model.oof == by_hand(scores.actual, scores.oof[name])
        assert len(model.folds) == 6
    np.testing.assert_allclose(fits.seed_oof.mean(axis=0), scores.oof["mlp"], rtol=1e-12)
    assert scores.seed_oof == pytest.approx([by_hand(scores.actual, own).expected["log_rmse"] for own in fits.seed_oof])


def test_a_holdout_split_leaves_rows_unscored_and_counts_them():
    """One fold scores six rows of thirty; the others are in no list."""
    design, fits, scores = scored_by(kind="holdout", share=0.2)
    assert scores.unscored_rows == 24
    assert scores.ids.tolist() == DATASET.train_ids[design.folds.valid[0]].tolist()
    assert scores.fold_of_row.tolist() == [0] * 6
    assert fits.seed_oof.shape == (2, 6)
    assert len(scores.models["mlp"].folds) == 1
    assert scores.models["mlp"].oof == scores.models["mlp"].folds[0].valid


def test_scored_pairs_are_written_one_a_line_in_file_order():
    """`oof.csv` of repeated folds: the id twice, folds from 1, actual and predictions that read back exactly."""
    _, _, scores = scored_by(kind="kfold", count=3, repeats=2)
    header, *lines = oof_csv(scores).decode().splitlines()
    assert header == "id,fold,actual,mlp,mean,median,ridge"
    cells = [line.split(",") for line in lines]
    assert [row[0] for row in cells] == scores.ids.tolist()
    assert [int(row[1]) for row in cells] == (scores.fold_of_row + 1).tolist()
    assert [float(row[3]) for row in cells] == scores.oof["mlp"].tolist()


def test_rows_left_out_of_training_are_scored():
    """With impute = "drop": every row has a finite prediction; the training score is of the rows that trained."""
    preparation = Preprocess(impute="drop")
    design = design_of(DATASET, metric="log_rmse", preparation=preparation)
    fits = train(design, model=SMALL_MODEL, train=SHORT_TRAINING, metric="log_rmse", runtime=on_cpu("fp64"))
    scores = evaluate(DATASET, design, fits, metric="log_rmse")
    assert (len(scores.ids), scores.unscored_rows) == (30, 0)
    assert np.isfinite(scores.oof["mlp"]).all()
    for fold, own in enumerate(scores.models["mlp"].folds):
        rows = design.folds.train[fold]
        assert len(rows) < 20
        assert own.train == by_hand(Y[rows], fits.fold_predictions[fold, rows])
