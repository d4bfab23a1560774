"""Ridge on the lag window beside every model in time: fitted where networks train, blind for what a fold scores."""

from dataclasses import replace

import numpy as np
import pytest
from panels import panel, untrained

from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.evaluate import evaluate
from pipeline.stages.preprocess import preprocess
from pipeline.stages.window_baseline import WINDOW, fitted_window, window_forecasts
from pipeline.tabular.past import in_scale, without
from pipeline.tabular.window_ridge import ridge_forecasts
from pipeline.timeline import Moments

LAYOUTS = ["future", "interleaved", "rolling"]


def with_targets(dataset, hidden, value):
    """The dataset with another target wherever what is known is hidden."""
    known = dataset.timeline.known
    values = known.values.copy()
    values[hidden, 0] = value
    return replace(dataset, timeline=replace(dataset.timeline, known=replace(known, values=values)))


def test_it_stands_beside_the_model_where_series_are_long_enough():
    """Ten weeks of days are; nine days, of which the first fold learns from three, are not."""
    long, short = panel(days=70), panel(days=12, ahead=3)
    for dataset, is_there in ((long, True), (short, False)):
        design, fits = untrained(dataset)
        assert (WINDOW in evaluate(dataset, design, fits, metric="mae").baselines) == is_there


def test_it_forecasts_a_season_that_repeats():
    """Ten weeks that climb by 1 a day, and by 5 more on Sundays: within 2 on average, where the last value is 3 off."""
    dataset = panel(days=140)
    design, fits = untrained(dataset)
    scores = evaluate(dataset, design, fits, metric="mae")
    assert scores.baselines[WINDOW].oof["mae"] < 2 < scores.baselines["last value"].oof["mae"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_fold_scores_changes_nothing_of_its_forecasts(layout):
    """Targets that the fold may not see, and with truth that comes in those after its training rows, gone wild."""
    dataset = panel(days=112, layout=layout)
    design, _ = untrained(dataset)
    clean = window_forecasts(dataset.timeline, design)
    for fold, valid in enumerate(design.folds.valid):
        known, train = dataset.timeline.known, design.folds.train[fold]
        hidden = design.hidden[fold]
        seen = np.arange(len(design.target))
        if layout == "rolling":
            hidden = known.step > dataset.timeline.train.step[train].max()
            seen = train  # rows that the fold scores see the truth of those before them
        other = window_forecasts(with_targets(dataset, hidden, 1e9).timeline, design)
        assert hidden.any()
        np.testing.assert_array_equal(other[fold][seen], clean[fold][seen])
        assert np.isfinite(clean[fold][valid]).all()


@pytest.mark.parametrize("metric", ["mae", "rmsle"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_it_is_taken_from_the_target_it_is_the_same(layout, metric, monkeypatch):
    """And is not fitted again."""
    dataset = panel(days=112, layout=layout, metric=metric)
    plain, taking = (
        preprocess(
            dataset, preprocess=Preprocess(), target=Target(difference=how), folds=FoldSettings(count=2), metric=metric
        )
        for how in ("none", "ridge")
    )
    wanted = window_forecasts(dataset.timeline, plain)
    monkeypatch.setattr("pipeline.stages.window_baseline.fitted_window", lambda *_: pytest.fail("fitted again"))
    np.testing.assert_array_equal(window_forecasts(dataset.timeline, taking), wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("metric", ["mae", "rmsle"])
def test_rows_that_a_fold_scores_are_forecast_from_where_the_test_is(layout, metric):
    """From the origins that they have in the fold, in the target's own scale, whatever scale history is made in."""
    dataset = panel(days=112, layout=layout, metric=metric)
    design, _ = untrained(dataset, metric=metric)
    found = window_forecasts(dataset.timeline, design)
    timeline, transform = dataset.timeline, design.target_states[-1].transform
    assert transform == ("log1p" if metric == "rmsle" else "none")
    known = in_scale(timeline.known, transform)
    for fold, valid in enumerate(design.folds.valid):
        model = fitted_window(timeline, known, design.hidden[fold], design.folds.train[fold])
        rows = Moments(timeline.train.series[valid], timeline.train.step[valid])
        own = ridge_forecasts(model, without(known, design.hidden[fold]), rows, design.valid_origins[fold])
        assert np.isfinite(own).all()
        np.testing.assert_array_equal(found[fold, valid], np.expm1(own) if metric == "rmsle" else own)
