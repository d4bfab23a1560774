"""What a sweep prints: a line a trial, one that lives, and a sign of life where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.outcomes import Finalist, Winner
from pipeline.runtime import Flight
from pipeline.stages.trials import CAUSE
from pipeline.trial_lines import QUIET_SECONDS, TrialTeller, winner_lines

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Screen:
    """A bar that remembers."""

    def __init__(self, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        self.said: list[str] = []
        self.lives: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.said.append(line)

    def live(self, text: str) -> None:
        """Keep it, where somebody watches."""
        if self.is_watched:
            self.lives.append(text)


class Sweep:
    """A teller of a study that grows, and a clock that is set by hand."""

    def __init__(self, *before: FrozenTrial, wanted: int = 20, metric: str = "rmse", **given: object) -> None:
        self.screen = Screen(is_watched=bool(given.pop("is_watched", True)))
        self.trials, self.now = list(before), 0.0
        self.teller = TrialTeller(
            self.screen, wanted, metric, lambda: self.trials, clock=lambda: self.now, **given
        )  # fmt: skip

    def tell(self, trial: FrozenTrial) -> str:
        """The line of a trial that ends now."""
        self.trials.append(trial)
        self.teller.told(trial)
        return self.screen.said[-1]


def ended(number: int, state: TrialState = TrialState.COMPLETE, value: float | None = 0.5, **given: str) -> FrozenTrial:
    """A trial that has ended."""
    reports = {7: 0.9} if state == TrialState.PRUNED else {}
    trial = create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params={"train.lr": 0.012345},
        distributions={"train.lr": FloatDistribution(1e-3, 1.0)},
        intermediate_values=reports,
        user_attrs=given,
    )
    trial.number = number
    return trial


def flight(trial: int, epochs: float, *, of: int = 120, gone: int = 0) -> Flight:
    """A trial of five networks."""
    return Flight(trial, 5, gone, epochs, of)


def test_a_trial_is_told_with_its_outcome_and_values() -> None:
    """Scored, best so far, given up, failed."""
    sweep = Sweep()
    assert sweep.tell(ended(0, value=0.5)) == "trial    0  0.50000 best    lr 0.0123"
    assert sweep.tell(ended(1, value=0.75)) == "trial    1  0.75000         lr 0.0123"
    assert sweep.tell(ended(2, TrialState.PRUNED)).startswith("trial    2  given up, 7 %   lr ")
    assert sweep.tell(ended(3, TrialState.FAIL, **{CAUSE: "too high"})).startswith("trial    3  failed: too high")


def test_the_live_line_counts_the_whole_study() -> None:
    """What others trained, and what there was before, counts too; what was interrupted does not."""
    sweep = Sweep(ended(0, value=0.25), ended(1, TrialState.FAIL))
    sweep.trials.append(ended(2, TrialState.PRUNED))  # another process told it
    line = sweep.tell(ended(3, value=0.5))
    assert "best" not in line
    assert sweep.screen.lives[-1] == "3/20, 1 given up, best 0.25000"


def test_where_greater_is_better_scores_are_shown_as_they_are() -> None:
    """A study holds r2 turned round."""
    sweep = Sweep(metric="r2")
    assert "0.90000 best" in sweep.tell(ended(0, value=-0.9))
    assert "0.80000  " in sweep.tell(ended(1, value=-0.8))
    assert "best 0.90000" in sweep.screen.lives[-1]
    values = {"train.lr": 0.1}
    lines = list(winner_lines(Winner(values, -0.9, 1, 2, (Finalist(1, values, -0.9, (-0.8, -0.9)),)), "r2"))
    assert "r2 0.85000 (0.80000 0.90000), in the search 0.90000" in lines[1]
    assert "r2 0.85000; the score that chose it, 0.90000, flattered it by 0.05000" in lines[2]


def test_scores_of_networks_that_are_shrunk_later_are_told_as_such() -> None:
    """A search knows them as they were trained."""
    winner = Winner({"train.lr": 0.1}, 0.9, 1, 2)
    said = [list(winner_lines(winner, "rmse", shrinks=shrinks)) for shrinks in (False, True)]
    assert [sum("train.shrink" in line for line in lines) for lines in said] == [0, 1]


def test_trials_in_flight_show_how_far_they_are_before_any_has_ended() -> None:
    """From the one that waits for a place to the one that is furthest; shares where trainings differ in length."""
    sweep = Sweep()
    sweep.teller.heard([flight(0, 33.8), flight(1, 0)])
    assert sweep.screen.lives == ["0/20, 2 in flight at epoch 0 to 33 of 120"]
    sweep.teller.heard([flight(0, 60), flight(1, 20, of=80)])
    assert sweep.screen.lives[-1] == "0/20, 2 in flight 25 to 50 % trained"
    sweep.teller.heard([flight(0, 60)])
    assert sweep.screen.lives[-1] == "0/20, 1 in flight at epoch 60 of 120"


def test_speed_counts_networks_that_have_ended_and_time_is_left_for_the_missing_trials() -> None:
    """Three trials of five networks in thirty seconds, and two networks of a fourth: 17 / 30; 17 trials take 170 s."""
    sweep = Sweep()
    for number in range(3):
        sweep.teller.heard([flight(number, 50)])
        sweep.now += 10
        sweep.tell(ended(number))
        if number == 1:
            assert "left" not in sweep.screen.lives[-1]
    assert sweep.screen.lives[-1] == "3/20, best 0.50000, 0.5 networks/s, about 3 min left"
    sweep.teller.heard([flight(3, 50, gone=2)])
    sweep.now += 10
    sweep.tell(ended(9))  # told, but never in flight: its settings did not go together
    assert "0.42 networks/s" in sweep.screen.lives[-1]


def test_no_more_time_is_left_than_the_timeout_leaves() -> None:
    """A million trials, and ten minutes; nothing where neither is known."""
    sweep = Sweep(wanted=1_000_000, until=600.0)
    sweep.teller.heard([flight(0, 1)])
    assert sweep.screen.lives[-1].endswith("about 10 min left")
    sweep = Sweep()
    sweep.teller.heard([flight(0, 1)])
    assert "left" not in sweep.screen.lives[-1]


def test_without_a_terminal_a_long_trial_says_once_a_minute_how_far_it_is() -> None:
    """Not before, and not again until another minute is over; any other line is a sign of life too."""
    sweep = Sweep(is_watched=False)
    for second in range(1, 150):
        sweep.now = float(second)
        sweep.teller.heard([flight(0, second / 10)])
    first, second = sweep.screen.said
    assert first == "search      running            0 of 20 trials, 1 in flight at epoch 6 of 120"
    assert "epoch 12" in second
    sweep.now = 3 * QUIET_SECONDS - 1
    sweep.tell(ended(0))
    sweep.now += QUIET_SECONDS - 1
    sweep.teller.heard([flight(1, 1)])
    assert sweep.screen.said[-1].startswith("trial ")
    assert not sweep.screen.lives


def test_on_a_terminal_no_line_is_added_for_life() -> None:
    """The live line is one."""
    sweep = Sweep()
    sweep.now = 1000.0
    sweep.teller.heard([flight(0, 5)])
    assert not sweep.screen.said


@pytest.mark.parametrize("is_watched", [True, False])
def test_scoring_the_best_again_is_said_once_and_then_once_a_minute(is_watched: bool) -> None:
    """On a terminal the live line has the rest."""
    sweep = Sweep(is_watched=is_watched)
    for second in range(100):
        sweep.now = float(second)
        sweep.teller.again(second, 600, "30 networks")
    assert sweep.screen.said[0] == "search      scoring again      the best trials, on folds that did not choose them"
    assert len(sweep.screen.said) == (1 if is_watched else 2)
    if is_watched:
        assert sweep.screen.lives[-1] == "the best trials again, 99 of 600 epochs of networks"
    else:
        assert sweep.screen.said[1].endswith(", 60 of 600 epochs of networks")


def test_what_is_waited_for_is_said_once_until_something_ends() -> None:
    """A database that is away for an hour does not fill the log."""
    sweep = Sweep()
    sweep.teller.waits("the database")
    sweep.teller.waits("the database")
    sweep.tell(ended(0))
    sweep.teller.waits("the database")
    assert [line for line in sweep.screen.said if "waiting" in line] == [
        "search      waiting            the database"
    ] * 2  # fmt: skip
