"""A column of the past is taken from the target and given back: whoever predicts gives the same."""

from dataclasses import replace

import numpy as np
import pytest
from panels import panel

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.predict import predict
from pipeline.stages.preprocess import preprocess
from pipeline.tables import Compute, Job, Network
from pipeline.tabular.bases import base_of, network_target, predictions, predictions_of
from pipeline.tabular.features import rows_of, take

ZERO = Network(inputs=1, hidden=(), activation="relu", init="pytorch", init_scale=0.01)


def design_of(difference, dataset=None, **options):
    return preprocess(
        dataset or panel(days=70),
        preprocess=Preprocess(),
        target=Target(**({"difference": difference} | options)),
        folds=FoldSettings(count=2),
        metric="mae",
    )


@pytest.mark.parametrize(
    ("difference", "column"),
    [("last", "y, latest known"), ("season", "y, season 7"), ("phase_mean", "y, mean of phase of 7")],
)
def test_each_difference_takes_its_column_as_the_fold_sees_it(difference, column):
    """Not as everybody does: rows behind a stretch that a fold scores know less."""
    design = design_of(difference, panel(days=112, layout="interleaved"))
    assert design.base == column
    at = design.numeric.index(column)
    rows = np.arange(len(design.target))
    for fold in range(design.folds.count + 1):
        seen = rows_of(design, fold, rows).numeric[:, at]
        np.testing.assert_array_equal(base_of(design, fold, rows), seen)
    own, everybody = base_of(design, 0, rows), design.rows.numeric[rows, at]
    assert not np.array_equal(own, everybody, equal_nan=True)


def test_networks_are_trained_on_what_is_left():
    """The target climbs by 1 a day and weeks repeat: 7 more a week later, and no row is further ahead than a week."""
    design = design_of("season", standardize=False)
    left = network_target(design, 0)
    is_known = np.isfinite(base_of(design, 0, np.arange(len(left))))
    assert set(left[is_known].round(9)) == {7.0}


@pytest.mark.parametrize("difference", ["none", "last"])
def test_outputs_come_back_by_every_way_alike(difference):
    """Of rows of the design, and of rows that are handed in."""
    design = design_of(difference)
    rows, outputs = np.arange(5, 30), np.linspace(-1, 1, 25)
    own = predictions(design, 1, rows, outputs)
    np.testing.assert_array_equal(predictions_of(design, 1, rows_of(design, 1, rows), outputs), own)
    np.testing.assert_allclose(
        predictions(design, 1, slice(len(design.target)), network_target(design, 1)), design.target
    )


def test_a_network_that_says_nothing_forecasts_the_last_value_and_the_mean_change():
    """Weights of 0: each test row is its last known value and what training rows changed on average."""
    design = design_of("last")
    width, K = len(design.columns), design.folds.count
    network = replace(ZERO, inputs=width)
    weights = {"0.weight": np.zeros((1, width, 1), np.float32), "0.bias": np.zeros((1, 1, 1), np.float32)}
    test = take(design.rows, slice(len(design.target), None))
    found = predict(design, network, [Job(0, K, 0)], weights, test, Compute("cpu", 1, "fp32"))
    last = test.numeric[:, design.numeric.index("y, latest known")]
    np.testing.assert_allclose(found, last + design.target_states[K].mean)


def test_a_difference_without_time_is_a_sentence():
    """There is no past to take it from."""
    with pytest.raises(ConfigError, match=r'target\.difference = "last" needs \[time\] column'):
        preprocess(
            replace(panel(), timeline=None),
            preprocess=Preprocess(),
            target=Target(difference="last"),
            folds=FoldSettings(count=2),
            metric="mae",
        )


def test_a_difference_in_another_scale_is_a_sentence():
    """History is not made in the scale of a transform that is fitted."""
    with pytest.raises(ConfigError, match=r"goes with target\.transform none, log or log1p, found 'boxcox'"):
        design_of("last", transform="boxcox")
