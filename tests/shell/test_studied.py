"""A study as facts: what counts, a clock without nights, scores in the metric's units."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline import studied
from pipeline.claims import WORKER
from pipeline.outcomes import Finalist, Winner
from pipeline.search_settings import Range
from pipeline.stages.trials import CAUSE

if TYPE_CHECKING:
    from pipeline.report.sweep_facts import SweepFacts

SPACE = {"train.lr": Range(log=(1e-3, 1.0)), "model.activation": Range(choice=("relu", "gelu"))}
DISTRIBUTIONS = {
    "train.lr": FloatDistribution(1e-3, 1.0, log=True),
    "model.activation": CategoricalDistribution(("relu", "gelu")),
}
NOON = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - as Optuna writes them


def add(study: optuna.Study, state: TrialState, span: tuple[float, float | None], **changes: object) -> None:
    """A trial that began and ended so many seconds after noon."""
    given = {"params": {"train.lr": 0.1, "model.activation": "gelu"}, "worker": "box 17 a1", "value": None, **changes}
    attributes = {WORKER: given["worker"], **({CAUSE: given["cause"]} if "cause" in given else {})}
    trial = create_trial(
        state=state,
        value=given["value"],
        params=given["params"],
        distributions={key: DISTRIBUTIONS[key] for key in given["params"]},
        user_attrs=attributes,
    )
    trial.datetime_start = NOON + timedelta(seconds=span[0])
    trial.datetime_complete = None if span[1] is None else NOON + timedelta(seconds=span[1])
    study.add_trial(trial)


@pytest.fixture
def study() -> optuna.Study:
    """An empty one."""
    return optuna.create_study()


def facts_of(study: optuna.Study, winner: Winner | None = None, metric: str = "rmse") -> SweepFacts:
    """Its facts, with the winner's own values as settings."""
    settings = winner.values if winner else {}
    return studied.facts_of(study, winner, space=SPACE, metric=metric, settings=settings)


def test_what_was_interrupted_or_waits_counts_for_nothing(study: optuna.Study) -> None:
    """A failure without a cause is an interruption; one with a cause is a trial."""
    add(study, TrialState.COMPLETE, (0, 10), value=0.5)
    add(study, TrialState.FAIL, (0, 5))
    add(study, TrialState.FAIL, (1, 5), cause="too high")
    add(study, TrialState.PRUNED, (2, 8))
    study.enqueue_trial({"train.lr": 0.5})
    facts = facts_of(study)
    assert [(one.number, one.state) for one in facts.trials] == [(0, "scored"), (2, "failed"), (3, "given up")]
    assert facts.interrupted == 1
    assert facts.trials[1].cause == "too high"
    assert [math.isnan(one.score) for one in facts.trials] == [False, True, True]


def test_values_are_places_on_their_dimensions(study: optuna.Study) -> None:
    """Choices by their position, in the order of the config; a value that is not known, or of other days, is NaN."""
    add(study, TrialState.COMPLETE, (0, 1), value=0.5)
    add(study, TrialState.COMPLETE, (0, 1), value=0.5, params={"train.lr": 0.25})
    first, second = facts_of(study).trials
    assert first.places == (0.1, 1.0)
    assert second.places[0] == 0.25
    assert math.isnan(second.places[1])


def test_the_clock_stands_still_while_nobody_trains(study: optuna.Study) -> None:
    """Ten seconds, a night of ten hours, then five seconds; a pause of a minute is no pause."""
    add(study, TrialState.COMPLETE, (0, 10), value=0.5)
    add(study, TrialState.COMPLETE, (2, 4), value=0.5)
    add(study, TrialState.COMPLETE, (36_000, 36_002), value=0.5)
    add(study, TrialState.COMPLETE, (36_062, 36_065), value=0.5)
    facts = facts_of(study)
    assert [(one.begun, one.ended) for one in facts.trials] == [(0, 10), (2, 4), (10, 12), (72, 75)]
    assert facts.seconds == 75
    assert facts.pauses == ((10, 35_990),)
    assert facts.trials_a_minute == pytest.approx(4 * 60 / 75)


def test_a_trial_in_flight_lasts_until_now_unless_the_study_has_been_silent(study: optuna.Study) -> None:
    """Begun a minute ago: a minute. Left behind on a day in March by a process that died: until the last sign."""
    add(study, TrialState.COMPLETE, (0, 10), value=0.5)
    add(study, TrialState.RUNNING, (4, None))
    assert facts_of(study).seconds == 10
    fresh = optuna.create_study()
    ago = (datetime.now() - NOON).total_seconds() - 60  # noqa: DTZ005
    add(fresh, TrialState.RUNNING, (ago, None))
    assert facts_of(fresh).seconds == pytest.approx(60, abs=20)
    assert facts_of(fresh).trials[0].state == "in flight"


def test_workers_are_named_by_their_processes_and_by_computers_where_there_are_several(study: optuna.Study) -> None:
    """In the order in which they came."""
    add(study, TrialState.COMPLETE, (0, 1), value=0.5, worker="box 18 b2")
    add(study, TrialState.COMPLETE, (0, 1), value=0.5, worker="box 17 a1")
    facts = facts_of(study)
    assert facts.workers == ("process 18", "process 17")
    assert [one.worker for one in facts.trials] == [0, 1]
    add(study, TrialState.COMPLETE, (0, 1), value=0.5, worker="barn 17 c3")
    assert facts_of(study).workers == ("box 18", "box 17", "barn 17")


def test_scores_are_in_the_metrics_own_units(study: optuna.Study) -> None:
    """Of r2 studies hold the negative; the winner's flattery is in losses, positive where it flattered."""
    add(study, TrialState.COMPLETE, (0, 1), value=-0.9)
    again = (-0.85, -0.87)
    values = {"train.lr": 0.1, "model.activation": "gelu"}
    winner = Winner(values, -0.9, 0, 1, (Finalist(0, values, -0.9, again),))
    facts = facts_of(study, winner, metric="r2")
    assert facts.greater_is_better
    assert facts.trials[0].score == 0.9
    assert facts.winner is not None
    assert facts.winner.finalists[0].again == (0.85, 0.87)
    assert facts.winner.fresh == pytest.approx(0.86)
    assert facts.winner.flattered == pytest.approx(0.04)
    assert facts.winner.settings == values
    assert facts.winner.finalists[0].values == ("0.1", "gelu")


def test_a_winner_that_was_not_scored_again_has_no_fresh_score(study: optuna.Study) -> None:
    """Nothing is said of its flattery either."""
    add(study, TrialState.COMPLETE, (0, 1), value=0.5)
    winner = facts_of(study, Winner({"train.lr": 0.1}, 0.5, 0, 1)).winner
    assert winner is not None
    assert math.isnan(winner.fresh)
    assert math.isnan(winner.flattered)


def test_importances_are_told_from_enough_trials_only(study: optuna.Study) -> None:
    """The loss follows lr alone: it matters most; of few trials, or of equal losses, nothing is said."""
    for number in range(40):
        lr = 10 ** (-3 * ((7 * number) % 40) / 40)
        params = {"train.lr": lr, "model.activation": ("relu", "gelu")[number % 2]}
        add(study, TrialState.COMPLETE, (number, number + 1), value=math.log(lr) ** 2, params=params)
        if number == 5:
            assert facts_of(study).importances == ()
    found = facts_of(study).importances
    assert [key for key, _ in found] == ["train.lr", "model.activation"]
    assert found[0][1] > 0.8
    assert sum(share for _, share in found) == pytest.approx(1)


def test_an_empty_study_has_facts(study: optuna.Study) -> None:
    """Nothing happened."""
    facts = facts_of(study)
    assert (facts.trials, facts.seconds, facts.best, facts.trials_a_minute) == ((), 0.0, None, 0.0)
