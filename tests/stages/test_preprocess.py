"""Typed tables to one design: the textbook's matrix under "all", no leak under "fold"."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import design_of, generated_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, DataError
from pipeline.settings import Preprocess, Target
from pipeline.tables import Notice
from pipeline.tabular.features import matrix_for
from pipeline.tabular.splits import k_folds
from pipeline.tabular.targets import fit_target

DATASET = generated_dataset()


def equal_states(one, other):
    return (
        np.array_equal(one.mean, other.mean)
        and np.array_equal(one.scale, other.scale)
        and (one.levels, one.grouped) == (other.levels, other.grouped)
    )


def test_fitting_on_all_rows_gives_the_textbooks_matrix():
    """Z-score over train and test, 0 for missing, get_dummies with an indicator: every column and value."""
    design = design_of(DATASET, preparation=Preprocess(fit_on="all"))
    features = pd.concat([DATASET.train, DATASET.test], ignore_index=True)
    numeric = list(DATASET.numeric)
    features[numeric] = features[numeric].apply(lambda x: (x - x.mean()) / (x.std())).fillna(0)
    expected = pd.get_dummies(features, dummy_na=True, dtype=float)
    assert list(design.columns) == list(expected.columns)
    for state in range(design.folds.count + 1):
        matrix = matrix_for(design, state, design.rows)
        np.testing.assert_allclose(matrix, expected.to_numpy(), rtol=1e-5, atol=1e-6)


def test_each_fold_is_scaled_by_its_own_training_rows():
    """Mean and spread of every fold, and of the refit on all training rows, by pandas; the test rows take no part."""
    design = design_of(DATASET)
    assert len(design.states) == len(design.target_states) == design.folds.count + 1
    for state, rows in zip(design.states, [*design.folds.train, np.arange(30)], strict=True):
        own = DATASET.train.loc[rows, list(DATASET.numeric)]
        np.testing.assert_allclose(state.mean, own.mean(), rtol=1e-12)
        np.testing.assert_allclose(1 / state.scale, own.std(), rtol=1e-12)


def test_folds_are_those_of_the_settings():
    """k_folds of the training rows."""
    design = design_of(DATASET, folds=4, shuffle=False)
    expected = k_folds(30, count=4, shuffle=False, seed=0)
    for found, oracle in zip(design.folds.valid, expected.valid, strict=True):
        assert np.array_equal(found, oracle)


@settings(max_examples=25)
@given(
    fold=st.integers(0, 2),
    number=st.sampled_from([1e9, -1e9, np.nan]),
    text=st.sampled_from(["brandnew", "red", None]),
    target=st.sampled_from([1e9, 0.5]),
    frequency=st.integers(1, 4),
)
def test_a_folds_state_ignores_its_validation_rows_and_the_test_rows(fold, number, text, target, frequency):
    """Both turn to 1e9, NaN, missing or a new level: the fold's state and target state stay equal, value for value."""
    clean = design_of(DATASET, preparation=Preprocess(min_frequency=frequency))
    outside = clean.folds.valid[fold]
    train, test, y = DATASET.train.copy(), DATASET.test.copy(), DATASET.target.copy()
    for frame, rows in ((train, outside), (test, np.arange(len(test)))):
        frame.loc[rows, list(DATASET.numeric)] = number
        frame.loc[rows, "colour"] = text
    y[outside] = target
    poisoned = design_of(
        replace(DATASET, train=train, test=test, target=y), preparation=Preprocess(min_frequency=frequency)
    )
    assert equal_states(clean.states[fold], poisoned.states[fold])
    assert clean.target_states[fold] == poisoned.target_states[fold]
    inside = clean.folds.train[fold]
    before = pd.DataFrame(matrix_for(clean, fold, clean.rows)[inside], columns=list(clean.columns))
    after = pd.DataFrame(matrix_for(poisoned, fold, poisoned.rows)[inside], columns=list(poisoned.columns))
    shared = [name for name in before if name in after]
    assert np.array_equal(before[shared], after[shared])
    assert not before.drop(columns=shared).to_numpy().any()
    assert not after.drop(columns=shared).to_numpy().any()


@pytest.mark.parametrize(
    ("metric", "asked", "used"),
    [("log_rmse", "auto", "log"), ("rmsle", "auto", "log1p"), ("rmse", "auto", "none"), ("rmse", "log", "log")],
)
def test_the_targets_transform_follows_the_metric_unless_it_is_said(metric, asked, used):
    """And its centre and spread are those of each fold's training rows."""
    design = design_of(DATASET, metric=metric, target=Target(transform=asked))
    for state, rows in zip(design.target_states[:-1], design.folds.train, strict=True):
        assert state == fit_target(DATASET.target[rows], transform=used, standardize=True)
    assert design.target_states[-1] == fit_target(DATASET.target, transform=used, standardize=True)


@pytest.mark.parametrize(("transform", "value"), [("log", 0.0), ("log", -3.0), ("log1p", -1.0)])
def test_a_target_that_the_transform_forbids_is_a_sentence(transform, value):
    """Log of 0 under metric rmse, which itself allows 0: not a NaN in training and advice about the learning rate."""
    dataset = replace(DATASET, target=np.where(np.arange(30) == 4, value, DATASET.target))
    with pytest.raises((ConfigError, DataError), match=r"target\.transform"):
        design_of(dataset, target=Target(transform=transform))


def test_fewer_rows_than_folds_are_a_sentence():
    """FAULT 38, the exact sentence."""
    with pytest.raises(ConfigError) as raised:
        design_of(generated_dataset(train_rows=7), folds=4)
    assert str(raised.value) == (
        "folds.count = 4 needs at least 8 training rows with a target, found 7; lower folds.count or bring more rows"
    )


def test_what_was_filled_constant_or_grouped_is_noticed():
    """Gaps of age in both tables, a constant area, and the colours that fewer than 12 training rows have."""
    dataset = replace(DATASET, train=DATASET.train.assign(area=1.0), test=DATASET.test.assign(area=1.0))
    notices = design_of(dataset, preparation=Preprocess(min_frequency=12)).notices
    gaps = int(DATASET.train["age"].isna().sum() + DATASET.test["age"].isna().sum())
    assert gaps > 0
    assert Notice("age", "missing numbers filled with 0 after z-scoring, the training mean", gaps) in notices
    assert Notice("area", "constant on the training rows: its column is 0", 30) in notices
    rare = int((DATASET.train["colour"].value_counts() < 12).sum())
    assert rare > 0
    assert Notice("colour", "rare levels share one column", rare) in notices


def test_no_row_of_the_matrix_holds_nan_or_infinity():
    """Of any fold, gaps and unseen levels included."""
    design = design_of(DATASET)
    for state in range(design.folds.count + 1):
        assert np.isfinite(matrix_for(design, state, design.rows)).all()
