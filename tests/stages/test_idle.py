"""Settings that do nothing are said, and so are batches that batch normalisation empties."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.fits import Job
from pipeline.runtime import Runtime
from pipeline.stages.assignments import Candidate, network_of
from pipeline.stages.idle import batches_of_one, idle_settings
from pipeline.stages.train import train
from pipeline.tables import Compute
from tests.builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset

DESIGN = design_of(generated_dataset())
JOBS = [Job(0, fold, seed) for fold in range(DESIGN.folds.count) for seed in (0, 1)]


def candidate_of(model=None, train=None):
    return Candidate(SMALL_MODEL.model_copy(update=model or {}), SHORT_TRAINING.model_copy(update=train or {}))


def idle(model=None, train=None):
    candidate = candidate_of(model, train)
    return [(n.text, n.count) for n in idle_settings(candidate, network_of(candidate, DESIGN), JOBS)]


@pytest.mark.parametrize(
    ("model", "train", "text"),
    [
        ({"kind": "linear", "norm": "batch"}, {}, 'model.norm = "batch" does nothing: a linear model has no hidden'),
        (
            {"hidden": (), "depth": 2, "residual": 8},
            {},
            "model.residual = 8 does nothing: the first block ends after hidden layer 9, and there are 2",
        ),
        ({}, {"loss_parameter": 0.5}, 'train.loss_parameter = 0.5 does nothing: train.loss = "mse" has none'),
        ({"options": {"width": 3}}, {}, "[model.options] do nothing without model.custom, whose keywords they are"),
    ],
)
def test_a_setting_that_does_nothing_is_said(model, train, text):
    """With the reason, once for all networks."""
    [(said, count)] = idle(model, train)
    assert said.startswith(text)
    assert count == len(JOBS)


@pytest.mark.parametrize(
    ("model", "train"),
    [
        ({}, {}),
        ({"kind": "linear"}, {}),
        ({"norm": "batch"}, {}),
        ({"hidden": (), "depth": 3, "residual": 2}, {}),
        ({}, {"loss": "huber", "loss_parameter": 0.5}),
        ({"custom": "tests/ideas.py:mlp", "options": {"width": 3}, "norm": "layer", "residual": 2}, {}),
    ],
)
def test_a_setting_that_does_something_is_not_said(model, train):
    """Nor one whose description says that another takes its place."""
    assert idle(model, train) == []


def alone(rows, size, **model):
    """The notice on training sets of so many rows."""
    folds = replace(DESIGN.folds, train=tuple(np.arange(count) for count in rows))
    candidate = candidate_of({"norm": "batch", **model}, {"batch_size": size})
    design = replace(DESIGN, folds=folds)
    jobs = [Job(0, fold, 0) for fold in range(len(rows))]
    return [(n.text, n.count) for n in batches_of_one(candidate, network_of(candidate, design), design, jobs)]


def test_a_last_batch_of_a_single_row_is_said_where_batches_are_normalised():
    """41 = 2 x 20 + 1, and 43 = 2 x 21 + 1, so that 22 is the next size: 41 = 22 + 19, 43 = 22 + 21."""
    [(text, count)] = alone([41, 40, 43], 20)
    assert count == 1
    assert "of 41 rows in batches of 20 the last is a single row" in text
    assert "train.batch_size = 22 leaves no such batch" in text
    assert alone([41, 40, 43], 22) == []
    assert alone([41, 40, 43], 20, norm="layer") == []
    assert alone([41, 40, 43], 20, kind="linear") == []


def test_batches_that_are_all_single_rows_are_said():
    """41 is odd, 40 = 3 x 13 + 1, and 4 leaves 1 of 41; 5 leaves 1 of 41; 6 leaves 5 and 4."""
    [(text, count)] = alone([41, 40], 1)
    assert count == 2
    assert "every batch is a single row" in text
    assert "train.batch_size = 6 leaves" in text


def test_a_training_carries_what_it_was_told_in_vain():
    """To the line of the command and to the report."""
    model = SMALL_MODEL.model_copy(update={"norm": "batch"})
    settings = SHORT_TRAINING.model_copy(update={"loss_parameter": 0.5, "batch_size": 1, "epochs": 1})
    fits = train(DESIGN, model=model, train=settings, metric="rmse", runtime=Runtime(Compute("cpu", 1, "fp32")))
    said = " ".join(notice.text for notice in fits.notices)
    assert "train.loss_parameter = 0.5 does nothing" in said
    assert "every batch is a single row" in said
