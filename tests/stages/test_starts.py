"""Weights to begin with: the right ones for each job, none that do not fit, none that have seen what scores them."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu

from pipeline.errors import ConfigError
from pipeline.fits import Job, Weights
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.assignments import Candidate, assignment_of, network_of
from pipeline.stages.preprocess import preprocess
from pipeline.stages.starts import check_start, data_digest, folds_digest, start_of
from pipeline.stages.train import train
from pipeline.training_settings import Model, Train

pytestmark = pytest.mark.usefixtures("one_thread")
DATASET = generated_dataset()
DESIGN = design_of(DATASET)
OTHER_DATA = design_of(generated_dataset(seed=1))
SETTINGS = SHORT_TRAINING.model_copy(update={"seeds": 2, "refit": "alone"})


def trained(design=DESIGN, *, start=None, model=SMALL_MODEL, **changes):
    settings = Train(**(SETTINGS.model_dump() | changes))
    return train(design, model=model, train=settings, metric="rmse", runtime=on_cpu("fp64"), start=start)


def weights_of(fits, design=DESIGN, **changes):
    """A training as `export` writes it and the shell reads it."""
    weights = Weights(
        file="old.npz",
        network=fits.network,
        columns=design.columns,
        jobs=fits.jobs,
        refit=design.folds.count,
        tensors=fits.weights,
        data=data_digest(design),
        folds=folds_digest(design),
        same_file=False,
    )
    return replace(weights, **changes)


@pytest.fixture(scope="module")
def fits():
    """Three folds and a refit, seeds 0 and 1."""
    return trained()


def message(call):
    with pytest.raises(ConfigError) as raised:
        call()
    return str(raised.value).removeprefix("train.warm_start = 'old.npz': ")


# --- which weights


def test_each_job_begins_with_the_weights_of_its_own_fold_and_seed(fits):
    """And with those of the refit, if it is one; in the order of the network's tensors."""
    weights = weights_of(fits)
    for place, job in enumerate(fits.jobs):
        found = start_of(weights, fits.network, job, is_refit=job.fold == 3)
        assert len(found) == 4
        for name, tensor in zip(fits.network.tensor_names, found, strict=True):
            np.testing.assert_array_equal(tensor, fits.weights[name][place])


def test_seeds_beyond_those_in_the_file_take_them_in_turn(fits):
    """Two seeds in the file: 2 begins as 0 did, 5 as 1."""
    weights = weights_of(fits)
    for seed, own in ((2, 0), (5, 1)):
        found, expected = (start_of(weights, fits.network, Job(0, 1, s), is_refit=False) for s in (seed, own))
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_fold_that_is_not_in_the_file_is_said(fits):
    """Fold 4 of four is not the file's refit; nor is a refit its fold 4."""
    weights = weights_of(fits)
    assert message(lambda: start_of(weights, fits.network, Job(0, 3, 0), is_refit=False)) == (
        "there are none of fold 4, the file has fold 1, fold 2, fold 3, the refit; set [folds] so that every network "
        "finds its own"
    )
    without = weights_of(trained(refit=False))
    assert message(lambda: start_of(without, fits.network, Job(0, 3, 0), is_refit=True)) == (
        'there are none of a refit on all rows, the file has fold 1, fold 2, fold 3; set train.refit = "none"'
    )


def test_no_weights_mean_drawn_ones(fits):
    """Nothing is checked and nothing is given."""
    check_start(None, DESIGN)
    assert start_of(None, fits.network, Job(0, 0, 0), is_refit=False) is None
    assert assignment_of(DESIGN, Candidate(SMALL_MODEL, SETTINGS), Job(0, 0, 0), 0).start is None


# --- what they do to a training


def test_a_training_begins_where_the_file_ended(fits):
    """At a learning rate of next to nothing the weights stay those of the file, fold by fold, and it is noticed."""
    again = trained(start=weights_of(fits), lr=1e-12, weight_decay=0.0, epochs=1)
    for name, tensor in fits.weights.items():
        np.testing.assert_allclose(again.weights[name], tensor, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(again.test_predictions, fits.test_predictions, rtol=1e-9)
    assert [notice.text for notice in again.notices if "began" in notice.text] == [
        "networks that began with weights of old.npz"
    ]


def test_more_seeds_than_in_the_file_still_train_apart(fits):
    """Seed 2 begins as seed 0 but sees its rows in another order."""
    again = trained(start=weights_of(fits), seeds=3, epochs=2)
    weights = again.weights["0.weight"]
    by_job = dict(zip(again.jobs, weights, strict=True))
    assert not np.allclose(by_job[Job(0, 0, 0)], by_job[Job(0, 0, 2)])


# --- what does not fit


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Model(depth=1, width=7, dropout=0.1), "they do not fit, hidden is [6] in the file and [7] here"),
        (Model(depth=1, width=6, activation="tanh"),
         "they do not fit, activation is 'relu' in the file and 'tanh' here"),
        (Model(depth=2, width=6, norm="layer"),
         "they do not fit, hidden is [6] in the file and [6, 6] here; norm is 'none' in the file and 'layer' here"),
    ],
)  # fmt: skip
def test_another_network_is_refused_with_what_differs(fits, model, said):
    """Everything that differs, at once."""
    assert message(lambda: trained(start=weights_of(fits), model=model)) == said


def test_how_weights_would_have_been_drawn_does_not_matter(fits):
    """They are not drawn."""
    model = SMALL_MODEL.model_copy(update={"init": "normal", "init_scale": 0.5})
    trained(start=weights_of(fits), model=model, epochs=1)


def test_other_columns_are_refused_by_name(fits):
    """Those that are missing on either side, or another order."""
    ours = DESIGN.columns
    weights = weights_of(fits, columns=("rooms", *ours[1:]))
    assert message(lambda: check_start(weights, DESIGN)) == (
        f"they do not fit, 1 columns are not in the file: {ours[0]}; 1 columns are only in the file: rooms"
    )
    turned = weights_of(fits, columns=(*ours[1:], ours[0]))
    assert message(lambda: check_start(turned, DESIGN)) == "they do not fit, the columns are in another order"
    many = weights_of(fits, columns=tuple(f"c{i}" for i in range(9)))
    assert "c0, c1, c2, c3, c4, …" in message(lambda: check_start(many, DESIGN))


# --- leaks

LEAK = "they were trained on this training data with other folds"


def split(**folds):
    """The same data under other folds."""
    return preprocess(
        DATASET,
        preprocess=Preprocess(),
        target=Target(),
        folds=FoldSettings(**{"count": 3} | folds),
        metric="rmse",
    )


def test_the_same_rows_in_the_same_folds_are_fine(fits):
    """No row that scores a fold has trained it, now or before; other features or another target transform or not."""
    check_start(weights_of(fits), DESIGN)
    check_start(weights_of(fits, same_file=True), DESIGN)
    check_start(weights_of(fits), design_of(DATASET, target=Target(transform="log")))


@pytest.mark.parametrize("folds", [{"seed": 1}, {"shuffle": False}, {"count": 4}, {"kind": "holdout", "seed": 2}])
def test_the_same_rows_in_other_folds_are_refused(fits, folds):
    """Weights of fold 1 have then been trained on rows that score fold 1."""
    design = split(**folds)
    both = zip(DESIGN.folds.train, design.folds.valid, strict=False)
    assert any(set(trained_on) & set(scored) for trained_on, scored in both)
    assert message(lambda: check_start(weights_of(fits), design)).startswith(LEAK)
    assert message(lambda: trained(design, start=weights_of(fits))).startswith(LEAK)


def test_other_rows_of_the_same_file_are_refused(fits):
    """A tenth of the rows, or rows held out: the digests differ, but the file says it."""
    assert message(lambda: check_start(weights_of(fits, same_file=True), OTHER_DATA)).startswith(LEAK)


def test_rows_that_the_refit_may_use_belong_to_the_folds(fits):
    """A refit on fewer rows is another split."""
    fewer = replace(DESIGN, refit_rows=DESIGN.refit_rows[:-1])
    assert message(lambda: check_start(weights_of(fits), fewer)).startswith(LEAK)


def test_weights_of_other_data_are_fine_whatever_the_folds(fits):
    """What was learned elsewhere has seen no row of ours; its refit serves a refit though K differs."""
    check_start(weights_of(fits), OTHER_DATA)
    other = design_of(generated_dataset(seed=1), folds=2)
    found = trained(other, start=weights_of(fits), lr=1e-12, weight_decay=0.0, epochs=1)
    assert found.network == network_of(Candidate(SMALL_MODEL, SETTINGS), other)
    own, theirs = found.jobs.index(Job(0, 2, 1)), fits.jobs.index(Job(0, 3, 1))
    np.testing.assert_allclose(found.weights["0.weight"][own], fits.weights["0.weight"][theirs], rtol=1e-9)


def test_digests_tell_rows_and_splits_apart_and_nothing_else():
    """Data by the target, whatever is made of the features; folds by which rows train and score."""
    assert data_digest(DESIGN) == data_digest(design_of(DATASET, preparation=Preprocess(scaler="minmax")))
    assert data_digest(DESIGN) != data_digest(OTHER_DATA)
    assert folds_digest(DESIGN) == folds_digest(OTHER_DATA)
    assert folds_digest(DESIGN) != folds_digest(split(seed=1))
    turned = replace(DESIGN.folds, train=DESIGN.folds.train[::-1], valid=DESIGN.folds.valid[::-1])
    assert folds_digest(DESIGN) != folds_digest(replace(DESIGN, folds=turned))
