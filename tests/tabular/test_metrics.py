"""One table of metrics, against scikit-learn's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from pipeline.errors import ConfigError
from pipeline.tabular.metrics import METRICS, loss, metric_named, score, score_table

ORACLES = {
    "rmsle": sklearn_metrics.root_mean_squared_log_error,
    "rmse": sklearn_metrics.root_mean_squared_error,
    "mse": sklearn_metrics.mean_squared_error,
    "mae": sklearn_metrics.mean_absolute_error,
    "mape": sklearn_metrics.mean_absolute_percentage_error,
    "r2": sklearn_metrics.r2_score,
    "log_rmse": lambda actual, predicted: sklearn_metrics.root_mean_squared_error(np.log(actual), np.log(predicted)),
}
pairs = arrays(np.float64, st.tuples(st.just(2), st.integers(2, 20)), elements=st.floats(1, 1e6))


def test_every_metric_has_an_oracle():
    """A metric that is added without a test is noticed here."""
    assert METRICS.keys() == ORACLES.keys()


@pytest.mark.parametrize("name", METRICS)
@given(pair=pairs)
def test_a_metric_equals_scikit_learns(name, pair):
    """Targets and predictions of 1 and above, where every metric is defined."""
    actual, predicted = pair
    if name == "r2" and np.ptp(actual) <= 1e-9 * actual.max():
        return  # scikit-learn calls a constant target hit exactly 1; ours is 0, see below
    assert score(name, actual, predicted) == pytest.approx(ORACLES[name](actual, predicted), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mse", 2.5), ("rmse", math.sqrt(2.5)), ("mae", 1.5), ("mape", 0.5), ("r2", -1.5)],
)
def test_a_metric_has_its_value_by_hand(name, expected):
    """True 2 and 4, predicted 3 and 2: errors 1 and 2; squares around the mean 3 sum to 2."""
    assert score(name, np.array([2.0, 4.0]), np.array([3.0, 2.0])) == pytest.approx(expected)


def test_log_rmse_clamps_predictions_to_one():
    """A prediction of -5 or 0 counts as 1, as in the textbook: true e and e, so errors of 1 and 0."""
    e = math.e
    assert score("log_rmse", np.array([e, e]), np.array([-5.0, e])) == pytest.approx(math.sqrt(0.5))
    assert score("log_rmse", np.array([e, e]), np.array([0.0, e])) == pytest.approx(math.sqrt(0.5))


def test_log_rmse_of_small_targets_clamps_to_the_smallest_of_them():
    """A target in (0, 1) predicted exactly must score 0."""
    actual = np.array([0.01, 0.5])
    assert score("log_rmse", actual, actual) == 0
    assert score("log_rmse", actual, np.array([-1.0, 0.5])) == 0


def test_rmsle_counts_negative_predictions_as_zero():
    """True 0, predicted -3: no error."""
    assert score("rmsle", np.array([0.0]), np.array([-3.0])) == 0


def test_r2_of_a_constant_target_is_zero():
    """There is no variance to explain; no division by zero."""
    assert score("r2", np.array([2.0, 2.0]), np.array([1.0, 3.0])) == 0


@pytest.mark.parametrize("name", METRICS)
def test_a_better_prediction_has_a_lower_loss(name):
    """Whatever the metric's own direction; the loss is the score, or minus the score."""
    actual, close, far = np.array([2.0, 4.0, 8.0]), np.array([2.1, 4.1, 8.1]), np.array([5.0, 1.0, 3.0])
    assert loss(name, actual, close) < loss(name, actual, far)
    assert abs(loss(name, actual, far)) == abs(score(name, actual, far))
    assert METRICS[name].greater_is_better == (score(name, actual, close) > score(name, actual, far))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_the_loss_of_a_prediction_that_is_not_finite_is_infinite(name, broken):
    """Never NaN, which would compare as neither better nor worse."""
    assert loss(name, np.array([1.0, 2.0]), np.array([1.0, broken])) == np.inf


@pytest.mark.parametrize("name", METRICS)
def test_a_wild_prediction_gives_a_bad_score_and_no_warning(name):
    """1e304 is what a wild early epoch predicts under a log target; its square overflows (warnings are errors here)."""
    value = loss(name, np.array([1.0, 2.0]), np.array([1.0, 1e304]))
    assert value > loss(name, np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    score_table(name, np.array([1.0, 2.0]), np.array([1.0, 1e304]))


def test_an_unknown_metric_is_named_beside_the_known_ones():
    """The exact sentence."""
    with pytest.raises(ConfigError) as raised:
        metric_named("rmsel")
    assert str(raised.value) == ("metric 'rmsel' is not known; choose one of log_rmse, rmsle, rmse, mse, mae, mape, r2")


@pytest.mark.parametrize(
    ("metric", "lowest", "names"),
    [
        ("mae", 1.0, ["log_rmse", "rmse", "mse", "mae", "r2"]),
        ("mae", 0.0, ["rmse", "mse", "mae", "r2"]),
        ("rmsle", -0.5, ["rmse", "mse", "mae", "r2", "rmsle"]),
    ],
)
def test_the_table_leaves_out_what_the_target_does_not_allow(metric, lowest, names):
    """A logarithm needs targets above 0; the competition's own metric is always there."""
    actual = np.array([lowest, 2.0, 3.0])
    table = score_table(metric, actual, actual + 1)
    assert list(table) == names
    assert table == {name: score(name, actual, actual + 1) for name in names}
