"""Large and small series look alike to networks: what their targets and their past are divided by, as of the origin."""

from dataclasses import replace

import numpy as np
import pytest
from panels import panel

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.assignments import Candidate, check
from pipeline.stages.hindsight import further_spread
from pipeline.stages.past_checks import past_checks, past_of
from pipeline.stages.preprocess import preprocess
from pipeline.stages.shrinkage import shares_of
from pipeline.tabular.bases import network_target, predictions, predictions_of, spread_of
from pipeline.tabular.features import overlaid, rows_of
from pipeline.tabular.past import past_matrix
from pipeline.tabular.spreads import spreads
from pipeline.time_settings import History
from pipeline.timeline import Known, Moments
from pipeline.training_settings import Model, Train
from tests.tabular.poison import PoisonContract, asked, sample
from tests.tabular.test_past import of, timeline

ALIKE = History(relative=True, scaled=True, fourier=0)
CHANGES = Target(scale="series", difference="last")


def design_of(dataset=None, target=CHANGES, history=ALIKE):
    return preprocess(
        dataset or panel(days=112, layout="interleaved"),
        preprocess=Preprocess(),
        target=target,
        folds=FoldSettings(count=2),
        metric="mae",
        history=history,
    )


class TestSpreadsKeepTheContract(PoisonContract):
    """Nothing after an origin."""

    def build(self, known, moments, origin):
        return spreads(known, moments, origin)[:, None]


class TestScaledPastKeepsTheContract(PoisonContract):
    """Nor by way of what columns are divided by."""

    def build(self, known, moments, origin):
        own = timeline(sample(), known.moments, of([200]), seasons=(24, 48))
        return past_matrix(own, known, ALIKE, moments, origin)


def test_a_spread_is_the_deviation_of_all_that_is_known_by_the_origin():
    """NumPy's own, series by series; none below two values."""
    known = sample()
    moments, origin = asked()
    found = spreads(known, moments, origin)
    for row in range(0, len(origin), 7):
        seen = known.values[(known.series == moments.series[row]) & (known.step <= origin[row]), 0]
        seen = seen[np.isfinite(seen)]
        expected = np.std(seen, ddof=1) if len(seen) > 1 else np.nan
        np.testing.assert_allclose(found[row], expected, rtol=1e-9)


def test_what_does_not_vary_has_no_spread():
    """A constant, and one that varies by rounding alone."""
    for values in ([5.0] * 6, [1e9, 1e9 + 1e-6, 1e9, 1e9, 1e9, 1e9]):
        known = Known(np.zeros(6, np.int32), np.arange(6), ("y",), np.array(values)[:, None])
        assert np.isnan(spreads(known, Moments(np.zeros(1, np.int32), np.array([9])), np.array([5]))).all()


def thousandfold(dataset):
    """The second series is the first one, a thousand times as large."""
    timeline = dataset.timeline
    target, values = dataset.target.copy(), timeline.known.values.copy()
    first, second = (timeline.train.series == which for which in (0, 1))
    target[second] = 1000 * target[first]
    values[timeline.known.series == 1] = 1000 * values[timeline.known.series == 0]
    return replace(dataset, target=target, timeline=replace(timeline, known=replace(timeline.known, values=values)))


def test_a_series_a_thousand_times_as_large_looks_the_same():
    """Its past and its target, row by row as the networks see them; without the settings neither."""
    dataset = thousandfold(panel(days=70))
    series = dataset.timeline.train.series
    design = design_of(dataset)
    plain = design_of(dataset, Target(difference="last"), History(relative=True, fourier=0))
    past = [design.numeric.index(name) for name in design.numeric if name.startswith("y, ") and "since" not in name]
    for fold in range(design.folds.count + 1):
        rows = rows_of(design, fold, np.arange(len(series))).numeric[:, past]
        np.testing.assert_allclose(rows[series == 0], rows[series == 1], rtol=1e-9)
        left = network_target(design, fold)
        is_known = np.isfinite(spread_of(design, fold, np.arange(len(series))))
        both = is_known[series == 0]
        assert both.sum() > 30
        np.testing.assert_allclose(left[series == 0][both], left[series == 1][both], rtol=1e-9)
        assert not np.allclose(network_target(plain, fold)[series == 0], network_target(plain, fold)[series == 1])


@pytest.mark.parametrize("target", [CHANGES, Target(scale="series"), Target(scale="series", transform="log")])
def test_outputs_come_back_by_every_way_alike(target):
    """Also of rows of whose series too little is known; of the design, and of rows that are handed in."""
    design = design_of(target=target)
    assert np.isnan(design.rows.spread[: len(design.target)]).any()
    rows, outputs = np.arange(0, 30), np.linspace(-1, 1, 30)
    own = predictions(design, 1, rows, outputs)
    np.testing.assert_array_equal(predictions_of(design, 1, rows_of(design, 1, rows), outputs), own)
    for fold in range(design.folds.count + 1):
        every = slice(len(design.target))
        np.testing.assert_allclose(predictions(design, fold, every, network_target(design, fold)), design.target)


def test_where_no_spread_is_known_the_median_of_the_folds_own_rows_is_taken():
    """Fitted on what the fold trains on."""
    design = design_of(target=Target(scale="series"))
    for fold in range(design.folds.count):
        train = design.folds.train[fold]
        own = np.nanmedian(spread_of(design, fold, np.arange(len(design.target)))[train])
        assert design.target_states[fold].spread == own


def test_a_fold_divides_by_what_it_may_know():
    """Rows behind a stretch that it scores know less than everybody does; the test's are as they are for all."""
    design = design_of()
    N = len(design.target)
    own, everybody = spread_of(design, 0, slice(N)), design.rows.spread[:N]
    assert not np.array_equal(own, everybody, equal_nan=True)
    for overlay in design.overlays:
        np.testing.assert_array_equal(overlay.spread[N:], design.rows.spread[N:])
        np.testing.assert_array_equal(overlaid(design.rows, overlay).spread, overlay.spread)


def test_rows_read_again_are_divided_by_the_same():
    """As `predict` does with a further file."""
    dataset = panel(days=112, layout="interleaved")
    design, timeline = design_of(dataset), dataset.timeline
    found = further_spread(timeline, "none", timeline.test, timeline.test_origin)
    np.testing.assert_array_equal(found, design.rows.spread[len(design.target) :])


def test_the_leak_checks_look_at_what_is_divided_by():
    """And find nothing; its name is among the columns."""
    dataset = panel(days=112)
    past = past_of(dataset, dataset.timeline, ALIKE, "none", "last", "series")
    assert past.names[-1] == "what target.scale divides by"
    found = past.built(dataset.timeline.known)
    np.testing.assert_array_equal(found[:, -1], spreads(dataset.timeline.known, past.moments, past.origin))
    checks = past_checks(past, np.array([60, 80]))
    assert [check.findings for check in checks] == [()] * 3


def test_shares_of_what_networks_add_count_in_the_targets_own_unit():
    """A large series whose network is right, a small one whose is wrong: nearly all of it is kept."""
    dataset = thousandfold(panel(days=70))
    design = design_of(dataset)
    series, N = dataset.timeline.train.series, len(design.target)
    outputs = np.stack([network_target(design, fold) for fold in range(design.folds.count)])
    outputs[:, series == 0] *= -1
    assert shares_of(design, outputs)[-1] > 0.99
    assert len(outputs[0]) == N


def test_a_scale_without_time_is_a_sentence():
    """There is no series to divide by."""
    with pytest.raises(ConfigError, match=r'target\.scale = "series" needs \[time\] column'):
        design_of(replace(panel(), timeline=None), Target(scale="series"), None)


def test_a_scale_after_a_fitted_transform_is_a_sentence():
    """History is not made in its scale."""
    with pytest.raises(ConfigError, match=r"goes with target\.transform none, log or log1p, found 'boxcox'"):
        design_of(target=Target(scale="series", transform="boxcox"))


@pytest.mark.parametrize("target", [{"scale": "series"}, {"difference": "last"}])
def test_a_loss_that_needs_the_target_as_it_is_says_what_to_set(target):
    """Counts that were divided, or less something, are none."""
    design = design_of(target=Target(transform="none", standardize=False, **target))
    with pytest.raises(ConfigError, match=r'target\.difference = "none", target\.scale = "none"'):
        check(Candidate(Model(), Train(loss="poisson")), design)
