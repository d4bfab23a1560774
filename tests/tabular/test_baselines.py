"""What a model has to beat, fitted on a fold's training rows only."""

import math

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from pipeline.tabular.baselines import ALPHAS, BASELINES, predict_mean, predict_median, predict_ridge
from pipeline.tabular.targets import fit_target

LOG = fit_target(np.array([1.0, math.e]), transform="log", standardize=True)
RAW = fit_target(np.array([1.0, 2.0]), transform="none", standardize=False)
TARGET = np.array([1.0, 4.0, 16.0, 100.0])
TRAIN = np.array([0, 1, 2])
MATRIX = np.arange(8, dtype=np.float32).reshape(4, 2)


def test_the_mean_is_taken_in_the_networks_scale():
    """1, 4 and 16: 7 plain, 4 geometric under a log target; the same for every row."""
    assert predict_mean(MATRIX, TARGET, TRAIN, RAW) == pytest.approx([7.0] * 4)
    assert predict_mean(MATRIX, TARGET, TRAIN, LOG) == pytest.approx([4.0] * 4)


def test_the_median_is_that_of_the_training_rows():
    """1, 4 and 16: 4."""
    assert predict_median(MATRIX, TARGET, TRAIN, LOG).tolist() == [4.0] * 4


def test_ridge_is_scikit_learns_on_the_transformed_target():
    """RidgeCV on the logs of 30 rows, exponentiated."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(40, 5)).astype(np.float32)
    target = np.exp(matrix[:, 0] + random.normal(0, 0.1, 40))
    train = np.arange(30)
    oracle = RidgeCV(alphas=ALPHAS).fit(matrix[:30].astype(float), np.log(target[:30]))
    expected = np.exp(oracle.predict(matrix.astype(float)))
    state = fit_target(target[:30], transform="log", standardize=True)
    np.testing.assert_allclose(predict_ridge(matrix, target, train, state), expected, rtol=0.02)
    unscaled = fit_target(target[:30], transform="log", standardize=False)
    np.testing.assert_allclose(predict_ridge(matrix, target, train, unscaled), expected, rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_ignores_rows_outside_its_fold(name):
    """The last row's target and columns turn to 1e9 and NaN: the other rows' predictions keep every bit."""
    random = np.random.default_rng(1)
    matrix, target = random.normal(size=(12, 3)).astype(np.float32), random.uniform(1, 9, 12)
    clean = BASELINES[name](matrix, target, np.arange(11), LOG)
    target[11], matrix[11] = np.nan, 1e9
    assert np.array_equal(BASELINES[name](matrix, target, np.arange(11), LOG)[:11], clean[:11])
