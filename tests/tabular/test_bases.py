"""A forecast is taken from the target and given back: whoever predicts gives the same."""

from dataclasses import replace

import numpy as np
import pytest
from panels import panel

from pipeline.errors import ConfigError
from pipeline.fits import Bag, Job, Network
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.predict import predict
from pipeline.stages.preprocess import preprocess
from pipeline.tables import Compute
from pipeline.tabular.bases import base_of, network_target, predictions, predictions_of
from pipeline.tabular.differences import base_values
from pipeline.tabular.features import overlaid, rows_of, take
from pipeline.time_settings import History
from pipeline.timeline import Moments

ZERO = Network(inputs=1, hidden=(), activation="relu", init="pytorch", init_scale=0.01)


def design_of(difference, dataset=None, history=None, **options):
    return preprocess(
        dataset or panel(days=70),
        preprocess=Preprocess(),
        target=Target(**({"difference": difference} | options)),
        folds=FoldSettings(count=2),
        metric="mae",
        history=history,
    )


@pytest.mark.parametrize(
    ("difference", "column"),
    [("last", "y, latest known"), ("season", "y, season 7"), ("phase_mean", "y, mean of phase of 7")],
)
def test_each_difference_takes_its_column_as_the_fold_sees_it(difference, column):
    """Not as everybody does: rows behind a stretch that a fold scores know less."""
    design = design_of(difference, panel(days=112, layout="interleaved"))
    assert design.taken.name == column
    at = design.numeric.index(column)
    rows = np.arange(len(design.target))
    for fold in range(design.folds.count + 1):
        seen = rows_of(design, fold, rows)
        np.testing.assert_array_equal(base_of(design, fold, rows), seen.numeric[:, at])
        np.testing.assert_array_equal(base_of(design, fold, rows), seen.base)
    own, everybody = base_of(design, 0, rows), design.rows.base[rows]
    assert not np.array_equal(own, everybody, equal_nan=True)


def test_what_is_taken_need_not_be_a_column():
    """History relative to the latest value has no column of it."""
    history = History(relative=True)
    design = design_of("last", history=history)
    assert "y, latest known" not in design.numeric
    plain = design_of("last")
    np.testing.assert_array_equal(design.rows.base, plain.rows.base)
    at = plain.numeric.index("y, latest known")
    np.testing.assert_array_equal(plain.rows.numeric[:, at], design.rows.base)


@pytest.mark.parametrize("layout", ["future", "interleaved"])
def test_ridge_is_fitted_on_what_each_fold_may_learn_from(layout):
    """Not on what it may not see: other targets there change nothing that it takes, but what the others take."""
    dataset = panel(days=112, layout=layout)
    design = design_of("ridge", dataset)
    assert design.taken.name == "y, ridge on the lag window"
    timeline = dataset.timeline
    values = timeline.known.values.copy()
    values[design.hidden[0]] += np.random.default_rng(0).normal(0, 1000, (design.hidden[0].sum(), 1))
    known = replace(timeline.known, values=values)
    other = design_of("ridge", replace(dataset, timeline=replace(timeline, known=known)))
    rows = np.append(design.folds.train[0], design.folds.valid[0])
    np.testing.assert_array_equal(base_of(other, 0, rows), base_of(design, 0, rows))
    K = design.folds.count
    assert not np.allclose(base_of(other, K, rows), base_of(design, K, rows), equal_nan=True)


def test_rows_of_the_test_are_taken_from_alike_in_every_fold():
    """They are forecast from all that is known, whichever network does it."""
    design = design_of("ridge", panel(days=112, layout="interleaved"))
    N = len(design.target)
    test = np.arange(N, len(design.rows.base))
    for fold, overlay in enumerate(design.overlays):
        np.testing.assert_array_equal(rows_of(design, fold, test).base, design.rows.base[N:])
        np.testing.assert_array_equal(overlaid(design.rows, overlay).base, overlay.base)


def test_beyond_its_horizon_a_map_says_the_last_value():
    """Rows of a further file may be further ahead than any of the test."""
    dataset = panel(days=112)
    design = design_of("ridge", dataset)
    timeline = dataset.timeline
    last = int(timeline.known.step.max())
    rows, origin = Moments(np.zeros(2, np.int32), np.array([last + 1, last + 100])), np.array([last, last])
    near, far = base_values(timeline, timeline.known, "ridge", rows, origin, design.taken.ridge)
    latest = timeline.known.values[timeline.known.series == 0][-1, 0]
    assert far == latest != near


def test_of_several_seasons_the_shortest_and_the_longest_are_taken():
    """The same phase of the day before, the mean of all of the same phase of the week."""
    dataset = panel(season=[7, 14])
    assert design_of("season", dataset).taken.name == "y, season 7"
    assert design_of("phase_mean", dataset).taken.name == "y, mean of phase of 14"
    weeks = design_of("season", dataset)
    at = weeks.numeric.index("y, season 7")
    np.testing.assert_array_equal(weeks.rows.base, weeks.rows.numeric[:, at])


def test_ridge_takes_nearly_all_of_what_repeats():
    """Weeks repeat and climb by 7: hardly anything is left to say of a row whose whole window is known."""
    design = design_of("ridge", panel(days=140), standardize=False)
    left = network_target(design, 0)
    late = np.arange(len(left)) >= 2 * len(left) // 3
    assert np.abs(left[late]).mean() < 0.2 * np.abs(design.target - design.target.mean()).mean()


def test_ridge_on_series_that_are_too_short_is_a_sentence():
    """With what to set instead."""
    with pytest.raises(ConfigError, match=r'target\.difference = "ridge" needs series longer than a window'):
        design_of("ridge", panel(days=20))


def test_a_season_that_is_not_there_is_a_sentence():
    """With a setting that names one."""
    dataset = panel()
    stamped = replace(dataset.timeline.stamped, clock=replace(dataset.timeline.clock, seasons=()))
    dataset = replace(dataset, timeline=replace(dataset.timeline, stamped=stamped))
    with pytest.raises(ConfigError, match=r"needs a season, and these rows have none; name it, such as time\.season"):
        design_of("season", dataset)


def test_networks_are_trained_on_what_is_left():
    """The target climbs by 1 a day and weeks repeat: 7 more a week later, and no row is further ahead than a week."""
    design = design_of("season", standardize=False)
    left = network_target(design, 0)
    is_known = np.isfinite(base_of(design, 0, np.arange(len(left))))
    assert set(left[is_known].round(9)) == {7.0}


@pytest.mark.parametrize("difference", ["none", "last", "ridge"])
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
    found = predict(design, Bag(network, (Job(0, K, 0),), np.ones(1), weights), test, Compute("cpu", 1, "fp32"))
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
