"""Large and small series look alike to networks: what their targets and their past are divided by, as of the origin."""

from dataclasses import replace

import numpy as np
import pytest
from panels import panel

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages import hindsight
from pipeline.stages.assignments import Candidate, check
from pipeline.stages.fold_checks import Settings, fitted_state
from pipeline.stages.hindsight import further_spread
from pipeline.stages.past_checks import DIVISOR, past_checks, past_of
from pipeline.stages.preprocess import preprocess
from pipeline.stages.shrinkage import shares_of
from pipeline.tabular.bases import network_target, predictions, predictions_of, spread_of
from pipeline.tabular.features import overlaid, rows_of
from pipeline.tabular.past import in_scale, past_matrix
from pipeline.tabular.spreads import spreads
from pipeline.tabular.targets import fit_target
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
    """NumPy's own, series by series; below eight values their size; none of nothing."""
    known = sample()
    moments, origin = asked()
    found, lengths = spreads(known, moments, origin), set()
    for row in range(len(origin)):
        seen = known.values[(known.series == moments.series[row]) & (known.step <= origin[row]), 0]
        seen = seen[np.isfinite(seen)]
        lengths.add(min(len(seen), 9))
        few = np.sqrt(np.mean(seen) ** 2 + (np.var(seen, ddof=1) if len(seen) > 1 else 0)) if len(seen) else np.nan
        np.testing.assert_allclose(found[row], few if len(seen) < 8 else np.std(seen, ddof=1), rtol=1e-9)
    assert {0, 1, 5, 9} <= lengths


def one(values):
    """The spread of one series after all of its values."""
    known = Known(np.zeros(len(values), np.int32), np.arange(len(values)), ("y",), np.array(values, float)[:, None])
    moments = Moments(np.zeros(1, np.int32), np.array([len(values) + 3]))
    return spreads(known, moments, np.array([len(values) - 1]))[0]


def test_what_hardly_varies_is_divided_by_a_part_of_its_size():
    """A sensor that has stood still may wake up; zeros have no size."""
    assert one([500.0] * 20) == pytest.approx(5.0)
    assert one([1000.0] * 19 + [1000.01]) == pytest.approx(10.0, rel=1e-4)
    assert np.isnan(one([0.0] * 20))


def test_two_values_that_lie_close_together_make_no_large_targets():
    """Rows at the beginning of 300 series: the largest of what is left is as large as without."""
    draw = np.random.default_rng(0)
    values = draw.normal(100, 10, (300, 30))
    series = np.arange(300, dtype=np.int32)
    known = Known(np.repeat(series, 30), np.tile(np.arange(30), 300), ("y",), values.reshape(-1, 1))
    series, step = np.repeat(series, 29), np.tile(np.arange(1, 30), 300)
    found = spreads(known, Moments(series, step), step - 1)
    change = (values[:, 1:] - values[:, :-1]).ravel() / found
    assert np.abs(change).max() < 8


def test_rows_without_a_spread_do_not_make_the_scale():
    """The first row of a series a thousand times as large as the others is in units of these."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 5000.0])
    state = fit_target(values, transform="none", standardize=True, spread=np.array([1.0, 1, 1, 1, np.nan]))
    assert state.mean == pytest.approx(2.5)
    assert state.scale == pytest.approx(np.std(values[:4]))
    assert state.spread == 1.0


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


def test_a_fold_that_divides_by_what_it_scores_is_found(monkeypatch):
    """Nothing is hidden from it any more: the leak checks name what is divided by."""
    dataset = panel(days=112, layout="interleaved")
    settings = Settings(Preprocess(), CHANGES, FoldSettings(count=2), "mae", ALIKE)
    assert fitted_state(dataset, settings, 4).findings == ()
    seen = []
    monkeypatch.setattr(hindsight, "in_scale", lambda *given: seen.append(in_scale(*given)) or seen[-1])
    monkeypatch.setattr(hindsight, "spreads", lambda _, *rows: spreads(seen[-1], *rows))
    evidence = " ".join(finding.evidence for finding in fitted_state(dataset, settings, 4).findings)
    assert DIVISOR in evidence
