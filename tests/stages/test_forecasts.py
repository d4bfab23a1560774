"""What the report says of forecasts: sentences from numbers, how time was read, and stretches of series."""

import json
from dataclasses import replace

import numpy as np
import pytest
from builders import generated_dataset
from panels import facts_of, panel, untrained

from pipeline.forecast_facts import ForecastScores
from pipeline.outputs import metrics_json
from pipeline.stages.evaluate import evaluate
from pipeline.stages.forecasts import MOST_BEFORE, MOST_STEPS, backtests, forecast_facts, say_mase, say_skill
from pipeline.words import describe

SCORES = ForecastScores(
    naive="seasonal naive 7", season=7, repeats="repeating last week", skill={"mlp": 0.12, "seasonal naive 7": 0.0},
    mase={"mlp": 0.8}, mase_rows=10, by_age=(), phase="", by_phase=(), by_weekday=(), by_series=(), further_series=0,
)  # fmt: skip
NO_SKILL = "There is no skill over repeating last week (seasonal naive 7): one of the two errors is 0 or no number."


# --- sentences


@pytest.mark.parametrize(
    ("skill", "said"),
    [
        (0.12, "rmse is 12 % below repeating last week (seasonal naive 7): skill 0.120."),
        (-0.034, "rmse is 3.4 % above repeating last week (seasonal naive 7): skill -0.034."),
        (0.004, "rmse is level with repeating last week (seasonal naive 7): skill 0.004."),
        (np.nan, NO_SKILL),
        (-np.inf, NO_SKILL),
    ],
)  # fmt: skip
def test_skill_is_said_in_percent_of_the_error(skill, said):
    """Below, above, level, and where there is none."""
    assert say_skill(replace(SCORES, skill={"mlp": skill, SCORES.naive: 0.0}), "rmse", "mlp") == said


def test_a_better_naive_forecast_is_named():
    """Errors of 100 for last week, 20 for the last value, 21 for the model: 79 % below, and yet 5 % above."""
    scores = replace(SCORES, skill={"mlp": 0.79, "seasonal naive 7": 0.0, "last value": 0.8})
    said = say_skill(scores, "rmse", "mlp", ("last value", "seasonal naive 7"))
    assert said.startswith("rmse is 79 % below repeating last week")
    assert said.endswith("Last value is the best naive forecast: the model is 5.0 % above it.")
    worse = replace(SCORES, skill={"mlp": 0.79, "seasonal naive 7": 0.0, "last value": -0.8})
    assert "best naive" not in say_skill(worse, "rmse", "mlp", ("last value", "seasonal naive 7"))


def test_a_metric_without_skill_says_so():
    """Of r2 there is no percentage."""
    assert say_skill(replace(SCORES, skill={}), "r2", "mlp").startswith("r2 is greater where it is better")


def test_mase_says_its_unit_and_what_it_leaves_out():
    """Ten of twelve rows; the unit is the season, or one step."""
    said = "MASE 0.800: the mean absolute error, in multiples of a series' mean change over 7 steps."
    assert say_mase(SCORES, 10, "mlp") == said
    assert say_mase(SCORES, 12, "mlp") == f"{said} 2 rows of series without such a change left out."
    assert "over one step." in say_mase(replace(SCORES, season=0), 10, "mlp")
    none = replace(SCORES, mase={"mlp": np.nan}, mase_rows=0)
    assert say_mase(none, 10, "mlp").startswith("There is no MASE: no series")


# --- from files to facts


def test_a_panels_scores_are_those_of_its_arithmetic():
    """It climbs 1 a day, so last week's is 7 too low; every prediction is 2 too high: skill 1 - 2 / 7, MASE 2 / 7."""
    facts, scores = facts_of(panel())
    found = scores.forecast
    assert (found.naive, found.season) == ("seasonal naive 7", 7)
    assert found.skill["mlp"] == pytest.approx(1 - 2 / 7)
    assert found.skill["seasonal naive 7"] == 0.0
    assert set(found.skill) == set(found.mase) == {*scores.models, *scores.baselines}
    assert found.mase["mlp"] == pytest.approx(2 / 7)
    assert found.mase["seasonal naive 7"] == pytest.approx(1.0)
    assert [(own.label, own.rows, own.error, own.naive) for own in found.by_age] == [
        (str(age), 4, 2.0, 7.0) for age in range(1, 8)
    ]
    assert [own.label for own in found.by_series] == ["a", "b"]
    assert facts.forecasts.sentences[0].startswith("mae is 71 % below repeating last week (seasonal naive 7)")
    assert facts.forecasts.scores is found
    assert facts.forecasts.roles == panel().timeline.roles


def test_how_time_was_read_is_told():
    """A block of 7 days after 63; two series; the folds reach as far ahead as the test does."""
    facts, _ = facts_of(panel())
    assert facts.forecasts.setting == {
        "layout": "future: test rows are one block after all training rows",
        "steps": "1 day",
        "seasons": "7 steps",
        "series": "2, by shop",
        "training rows": "2024-01-01 to 2024-03-03",
        "test rows": "2024-03-04 to 2024-03-10",
        "steps ahead": "1 to 7 in the test, 1 to 7 in the folds",
    }


def test_a_rolling_layout_says_how_far_ahead_and_gaps_are_told_where_there_are():
    """One step ahead is one age; a gap of 2 steps."""
    setting = facts_of(panel(layout="rolling", horizon=1, gap=2))[0].forecasts.setting
    assert setting["layout"] == "rolling: the truth keeps coming in, and test rows are forecast up to 1 step ahead"
    assert setting["steps ahead"] == "3 in the test, 3 in the folds"
    assert setting["gap"] == "2 steps"


@pytest.mark.parametrize("layout", ["future", "rolling", "random", "interleaved"])
def test_every_layout_and_every_metric_has_facts(layout):
    """Nothing but the layout of the test decides what the folds are like; r2 has no skill."""
    for metric in ("mae", "r2"):
        facts, scores = facts_of(panel(layout=layout, metric=metric), metric=metric)
        assert bool(scores.forecast.skill) == (metric == "mae")
        assert len(facts.forecasts.backtests) >= 1
        ours = scores.oof["mlp"] - scores.actual
        assert np.allclose(ours, 2.0)


def test_a_table_without_time_has_no_forecasts():
    """Neither scores nor facts, nor a section of metrics.json or words of a line."""
    dataset = generated_dataset()
    design, fits = untrained(dataset, metric="rmse")
    scores = evaluate(dataset, design, fits, metric="rmse")
    assert scores.forecast is None
    assert forecast_facts(dataset, design, fits, scores) is None
    assert list(json.loads(metrics_json(scores, None, competition="c"))) == [
        "competition", "metric", "models", "baselines", "seeds", "validation_looks", "unscored_rows", "submission",
    ]  # fmt: skip
    assert describe(scores).endswith(")")


# --- files and lines


def test_metrics_json_holds_the_scores_of_forecasts():
    """Numbers by name, groups as lists; what is no number is null, for NaN is no JSON."""
    _, scores = facts_of(panel())
    document = json.loads(metrics_json(scores, None, competition="c"))
    found = document["forecast"]
    assert found["naive"] == "seasonal naive 7"
    assert found["skill"]["mlp"] == pytest.approx(1 - 2 / 7)
    assert found["mase"]["mlp"] == pytest.approx(2 / 7)
    assert (found["mase_rows"], found["further_series"]) == (28, 0)
    assert found["by_steps_ahead"][0] == {"steps_ahead": "1", "rows": 4, "mae": 2.0, "naive": 7.0}
    assert found["phase"] == "day of week"
    assert [own["phase"] for own in found["by_phase"]] == [own["weekday"] for own in found["by_weekday"]]
    assert [own["series"] for own in found["by_series"]] == ["a", "b"]
    broken = replace(scores, forecast=replace(scores.forecast, skill={"mlp": -np.inf}, mase={"mlp": np.nan}))
    text = metrics_json(broken, None, competition="c").decode()
    assert json.loads(text, parse_constant=pytest.fail)["forecast"]["skill"] == {"mlp": None}


def test_the_line_of_the_stage_ends_with_skill_and_mase():
    """After what it has always said; without a number, nothing."""
    _, scores = facts_of(panel())
    assert describe(scores).endswith("); skill over seasonal naive 7 0.71; MASE 0.29")
    nothing = replace(scores.forecast, skill={}, mase={"mlp": np.nan})
    assert describe(replace(scores, forecast=nothing)) == describe(replace(scores, forecast=None))


# --- stretches


def test_a_stretch_is_what_the_last_fold_scores_with_as_much_before_it():
    """Days 56 to 62 of fold 2, the week before, and the origin, day 55, between."""
    [one, _] = facts_of(panel())[0].forecasts.backtests
    assert str(one.when[0].astype("datetime64[D]")) == "2024-02-19"  # day 49
    assert (len(one.when), one.origin, one.length) == (14, 6, 7)
    assert np.isnan(one.predicted[:7]).all()
    assert (one.predicted[7:] - one.actual[7:]).tolist() == [2.0] * 7
    assert (one.actual[7:] - one.naive[7:]).tolist() == [7.0] * 7
    assert one.actual.tolist() == [100.0 + day + 5 * (day % 7 == 6) for day in range(49, 63)]


def test_of_several_blocks_the_last_one_is_shown():
    """Six days of every 14 are the test's, and a fold scores six before some of them."""
    [one, _] = facts_of(panel(layout="interleaved"))[0].forecasts.backtests
    assert one.length == np.isfinite(one.predicted).sum() == 6
    assert one.origin == np.flatnonzero(np.isfinite(one.predicted))[0] - 1


def test_the_series_shown_are_the_largest_the_worst_and_the_median():
    """Five series with errors of 3, 1, 5, 2, 4; the second has all its rows, the others a row less: b, c, a."""
    dataset = panel(tuple("abcde"))
    size = np.array([3.0, 1.0, 5.0, 2.0, 4.0])[dataset.timeline.train.series]
    design, fits = untrained(dataset, off=size)
    last = design.folds.valid[-1]
    is_fuller = dataset.timeline.train.series[last] == 1
    kept = is_fuller | (dataset.timeline.train.step[last] != dataset.timeline.train.step[last].max())
    folds = replace(design.folds, valid=(*design.folds.valid[:-1], last[kept]))
    fewer = replace(design, folds=folds, valid_origins=(*design.valid_origins[:-1], design.valid_origins[-1][kept]))
    found = backtests(dataset.timeline, fewer, "mae", fits.fold_predictions[-1], "seasonal naive 7")
    assert [(one.series, one.chosen) for one in found] == [
        ("b", "most rows"), ("c", "largest error"), ("a", "median error")
    ]  # fmt: skip


def test_a_series_that_is_all_of_them_stands_once():
    """One series has no rivals, and no name to show."""
    [one] = facts_of(panel(("only",), groups=[]))[0].forecasts.backtests
    assert (one.series, one.chosen) == ("", "")
    both = facts_of(panel())[0].forecasts.backtests
    assert [one.chosen for one in both] == ["most rows, largest error", "median error"]


def test_a_long_stretch_is_shown_from_its_origin_on_and_a_rolling_one_at_its_end():
    """A block of 500 days: its first 480, and the week before; in a rolling layout the last ones."""
    ahead = MOST_STEPS + 20
    [one] = facts_of(panel(("a",), days=4 * ahead, ahead=ahead, season=[7]))[0].forecasts.backtests
    assert (one.length, one.origin, len(one.step)) == (ahead, 6, 7 + MOST_STEPS)
    assert np.isfinite(one.predicted).sum() == MOST_STEPS
    [one] = facts_of(panel(("a",), days=4 * ahead, ahead=ahead, season=[7], layout="rolling"))[0].forecasts.backtests
    assert (one.length, one.origin) == (ahead, -1)
    assert one.step[-1] == 3 * ahead - 1


def test_without_a_season_a_stretch_has_as_much_before_it_as_it_is_long():
    """Twelve steps of 3 days that no season is expected of: 4 scored, 4 before; never more than 120."""
    [one] = facts_of(panel(("a",), freq="2D"))[0].forecasts.backtests
    assert one.origin == int(np.isnan(one.predicted).sum()) - 1
    assert len(one.step) == 2 * one.length
    assert one.length < MOST_BEFORE
