"""Faults injected on purpose, from the tables to the end of a training: each is named where it is caught.

In training: fold, seed, epoch, step, layer, columns, cause and the config line, while the others train on.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, design_of, generated_dataset, generated_frames, on_cpu, raw_tables

from pipeline.errors import ConfigError, DataError, TrainingError
from pipeline.settings import Preprocess, Schema, Target
from pipeline.stages.ingest import ingest
from pipeline.stages.train import train
from pipeline.training_settings import Model, Train

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset(60)
DESIGN = design_of(DATASET)


def trained(design=DESIGN, *, model=None, **changes):
    settings = {"epochs": 6, "batch_size": 16, "lr": 0.01, "seeds": 2} | changes
    network = Model(**({"depth": 2, "width": 16, "dropout": 0.1} | (model or {})))
    return train(design, model=network, train=Train(**settings), metric="rmse", runtime=on_cpu())


def refused(design=DESIGN, **options):
    """The lines of the error."""
    with pytest.raises(TrainingError) as raised:
        trained(design, **options)
    return str(raised.value).split("\n")


def ingested(frames, *, metric="rmse", **roles):
    train_frame, test_frame = frames
    raw = raw_tables(csv_of(train_frame), csv_of(test_frame))
    return ingest(raw, roles=Schema(id="Id", target="y", **roles), metric=metric)


# --- while training


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_a_learning_rate_of_a_million_is_named(optimizer):
    """With whom, when, where, the columns, and a rate that trains."""
    first, line = refused(lr=1e6, optimizer=optimizer)
    assert first == "6 of 6 networks came to nothing"
    assert line.startswith("fold 1, seed 0: the loss was not finite in epoch 1, step ")
    assert "layer 2 of 3 says (largest inputs: 'area'" in line or "layer 3 of 3 (largest inputs: 'area'" in line
    assert "it looks like a learning rate that is too high: train.lr is 1e+06" in line
    remedy = line.partition("set [train] lr = ")[2].partition(" ")[0]
    assert line.endswith("fold 3, seed 0 and 1 more)")
    fits = trained(lr=float(remedy), optimizer=optimizer, epochs=20)
    assert {curve.stopped for curve in fits.curves} == {"finished"}


def test_exploding_depth_without_normalisation_is_named_and_mended_by_its_line():
    """Thirty-two layers, and the first forward pass already overflows; under the named initialisation all train."""
    deep = {"depth": 32, "width": 64, "init": "normal", "init_scale": 1.0}
    _, line = refused(model=deep)
    assert "in epoch 1, step 1, first seen in the loss after layer 33 of 33 (largest inputs: 'area'" in line
    assert "weights that begin too wide for the depth" in line
    assert line.partition('set [model] init = "kaiming_normal"')[2].startswith(" (and so ")
    fits = trained(model=deep | {"init": "kaiming_normal"}, lr=0.001)
    assert {curve.stopped for curve in fits.curves} == {"finished"}


@pytest.mark.parametrize("lr", [0.1, 0.01, 1e-3])
def test_wide_first_weights_are_named_at_any_rate_although_the_first_step_threw_them_away(lr):
    """A first loss that is finite, and weights of 1e28 after one step: growth is that of the weights as they began."""
    deep = {"depth": 32, "width": 16, "init": "normal", "init_scale": 1.0, "dropout": 0.0}
    lines = refused(model=deep, optimizer="sgd", lr=lr)
    assert "weights that begin too wide for the depth" in lines[1]
    growth = float(lines[1].partition("makes values grow ")[2].partition(" times")[0])
    assert growth == pytest.approx(np.sqrt(16 / 2), rel=0.3)  # of ReLU layers of 16 units at a spread of 1


def test_values_without_scaling_are_named_with_their_column():
    """Areas of ten million, as they are; z-scored they train."""
    frames = [frame.assign(area=frame["area"] * 1e7) for frame in generated_frames(60)]
    dataset = ingested(frames)
    unscaled = design_of(dataset, preparation=Preprocess(scaler="none"))
    _, line = refused(unscaled, optimizer="sgd")
    assert "inputs that are not scaled: column 'area' is " in line
    assert 'set [preprocess] scaler = "zscore"' in line
    assert not trained(design_of(dataset), optimizer="adamw").troubles


def test_a_raw_target_under_sgd_is_named_and_mended_by_its_line():
    """Dollars by the hundred thousand."""
    dataset = replace(DATASET, target=DATASET.target * 1000)
    fits = trained(design_of(dataset, target=Target(standardize=False)), optimizer="sgd", lr=0.01)
    (notice,) = [notice for notice in fits.notices if "not finite" in notice.text]
    assert "a target that is not scaled: as the network sees it, it is around 1" in notice.text
    assert "set [target] standardize = true" in notice.text
    mended = trained(design_of(dataset, target=Target(standardize=True)), optimizer="sgd", lr=0.01, weight_decay=0)
    assert {curve.stopped for curve in mended.curves} == {"finished"}


def test_networks_that_break_later_keep_their_weights_and_the_others_train_on():
    """At a rate of 1 some of six networks break: they are told in notices, and everybody predicts."""
    fits = trained(lr=1.0, optimizer="sgd", schedule="constant", weight_decay=0.0)
    broken = [curve.stopped == "not finite" for curve in fits.curves]
    assert any(broken)
    assert not all(broken)
    (notice,) = [notice for notice in fits.notices if "not finite" in notice.text]
    assert notice.count == sum(broken)
    assert "it looks like a learning rate that is too high: train.lr is 1, and the weights of layer" in notice.text
    assert notice.text.endswith("; the best weights from before were kept")
    assert fits.troubles[0].action == "Set [train] lr = 0.05."
    assert np.isfinite(fits.seed_oof).all()
    assert np.isfinite(fits.test_predictions).all()


def test_the_folds_beside_one_that_breaks_train_on():
    """Fold 2 alone divides a column by next to nothing: it is named, the others come to their end first."""
    states = list(DESIGN.states)
    states[1] = replace(states[1], scale=np.where(np.arange(2) == 0, 1e12, states[1].scale))
    lines = refused(replace(DESIGN, states=tuple(states)), optimizer="sgd", lr=0.01)
    assert lines[0] == "2 of 6 networks came to nothing; 4 networks trained on"
    assert lines[1].startswith("fold 2, seed 0: the loss was not finite in epoch 1, step 2, first seen in ")
    assert "a column divided by a spread of next to nothing: column 'area'" in lines[1]
    assert 'set [schema] drop = ["area"]' in lines[1]
    assert lines[1].endswith("(and so fold 2, seed 1)")
    assert lines[2:] == [
        (
            "the 4 that trained on are kept for these settings and not trained again with them; whatever mends the "
            "others changes the training, so that all 6 train anew"
        )
    ]


# --- before training


def test_a_constant_column_with_missing_values_is_named_and_divides_by_nothing():
    """A column of 0.1 and gaps: its spread is rounding, its matrix column 0, and training does not see it."""
    frames = [
        frame.assign(flat=np.where(np.arange(len(frame)) % 3 == 0, np.nan, 0.1)) for frame in generated_frames(60)
    ]
    design = design_of(ingested(frames))
    (constant,) = [notice for notice in design.notices if "constant" in notice.text]
    assert constant.subject == "flat"
    assert constant.text.endswith('or leave it out: [schema] drop = ["flat"]')
    assert all(state.scale[design.numeric.index("flat")] == 0 for state in design.states)
    assert not trained(design).troubles


def test_an_infinite_cell_is_named_with_its_line_and_trains_as_missing():
    """Line 4 of train; the column stays one of numbers."""
    train_frame, test_frame = generated_frames(60)
    area = train_frame["area"].copy()
    area[2] = np.inf
    dataset = ingested((train_frame.assign(area=area), test_frame))
    (noticed,) = [notice for notice in dataset.notices if "infinite" in notice.text]
    assert (noticed.subject, noticed.count) == ("area", 1)
    assert "the first in train.csv: line 4" in noticed.text
    assert '[schema] drop = ["area"]' in noticed.text
    assert pd.isna(dataset.train["area"][2])
    assert not trained(design_of(dataset)).troubles


def test_the_logarithm_of_a_negative_target_is_named_with_its_row():
    """By its metric with the line, by its transform with the id; and a transform that bears it is named."""
    train_frame, test_frame = generated_frames(60)
    frames = (train_frame.assign(y=train_frame["y"].where(train_frame.index != 5, -3.5)), test_frame)
    with pytest.raises(DataError, match=r"train.csv: line 7: target 'y' is -3.5 .*choose another metric"):
        ingested(frames, metric="log_rmse")
    with pytest.raises(ConfigError, match=r"found -3.5 for id 'r5' .*\[target\] transform = \"yeojohnson\""):
        design_of(ingested(frames), target=Target(transform="log"))
    assert not trained(design_of(ingested(frames), target=Target(transform="yeojohnson"))).troubles


# --- stalls


@pytest.mark.parametrize(
    ("model", "settings", "seen", "remedy"),
    [
        ({"depth": 8, "activation": "sigmoid"}, {}, "Gradients vanish: that of layer 1 is", '[model] norm = "layer"'),
        ({"activation": "tanh"}, {"lr": 10.0}, "is saturated: at", '[model] norm = "layer"'),
        ({"activation": "relu"}, {"lr": 10.0}, "are dead: they say 0 on every row", "[train] lr = 0.004"),
        ({}, {"lr": 1e-7}, "better than predicting the mean", "too low. Set [train] lr = 0.004"),
        (
            {"depth": 8},
            {"lr": 1e-3, "epochs": 40},
            "better than predicting the mean",
            'deep and plain. Set [model] norm = "layer"',
        ),
    ],
    ids=["vanishing", "saturated", "dead", "plateau", "depth"],
)
def test_a_stall_is_told_in_the_log_and_in_the_report(model, settings, seen, remedy):
    """With what was seen and the setting that mends it; no network failed."""
    fits = trained(model={"dropout": 0.0} | model, **settings)
    assert {curve.stopped for curve in fits.curves} == {"finished"}
    (advice,) = [advice for advice in fits.troubles if seen in advice.seen]
    assert remedy in advice.action
    (line,) = [notice.line for notice in fits.notices if seen in notice.text]
    assert f"{line}.".endswith(advice.action)  # no number behind it that reads like a part of the value
