"""The phases of a guided plan as one study: every trial with all values, numbered through, the winner found again."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.gathered import FIXED, PHASE, gathered
from pipeline.outcomes import Finalist, Winner
from pipeline.stages.trials import stands

BASE = {"train.lr": 0.1, "train.epochs": 10, "model.width": 8}
EPOCHS = {"train.epochs": CategoricalDistribution((5, 10))}
RATES = {"train.lr": FloatDistribution(0.01, 1.0, log=True)}


def phase_of(name: str, fixed: dict[str, object], *trials: optuna.trial.FrozenTrial) -> optuna.Study:
    """A study as a phase leaves it."""
    study = optuna.create_study()
    study.set_user_attr(PHASE, name)
    study.set_user_attr(FIXED, fixed)
    for trial in trials:
        study.add_trial(trial)
    return study


@pytest.fixture
def studies() -> list[optuna.Study]:
    """Two phases, the later one first; the first has a trial that was interrupted."""
    first = phase_of(
        "epochs",
        {},
        create_trial(params={"train.epochs": 10}, distributions=EPOCHS, value=0.5),
        create_trial(params={"train.epochs": 5}, distributions=EPOCHS, state=TrialState.FAIL),
        create_trial(params={"train.epochs": 5}, distributions=EPOCHS, value=0.4),
    )
    second = phase_of(
        "learning rate",
        {"train.epochs": 5},
        create_trial(params={"train.lr": 0.1}, distributions=RATES, value=0.4),
        create_trial(params={"train.lr": 0.3}, distributions=RATES, value=0.3),
    )
    return [second, first]


def test_trials_have_the_values_fixed_before_and_for_later_phases_those_of_the_configuration(studies):
    """In the order in which the phases were trained; what was interrupted counts for nothing."""
    found = gathered(studies, BASE)
    assert [trial.params for trial in found.study.trials] == [
        {"train.epochs": 10, "train.lr": 0.1},
        {"train.epochs": 5, "train.lr": 0.1},
        {"train.epochs": 5, "train.lr": 0.1},
        {"train.epochs": 5, "train.lr": 0.3},
    ]
    assert [trial.value for trial in found.study.trials] == [0.5, 0.4, 0.4, 0.3]
    assert found.space["train.epochs"].choice == (5, 10)
    assert found.space["train.lr"].log == (0.01, 1.0)
    originals = [*studies[1].trials[::2], *studies[0].trials]
    assert [trial.datetime_start for trial in found.study.trials] == [trial.datetime_start for trial in originals]


def test_a_winner_and_its_finalists_are_found_by_their_new_numbers(studies):
    """Phase "learning rate", trial 1, is the last of four."""
    finalists = tuple(Finalist(n, {}, 0.3, (0.3,), phase) for phase, n in (("learning rate", 1), ("epochs", 2)))
    winner = Winner({}, 0.3, 1, 4, finalists, phase="learning rate")
    found = gathered(studies, BASE).renumbered(winner)
    assert (found.trial, found.phase) == (3, "")
    assert [one.trial for one in found.finalists] == [3, 1]
    assert found.optimism == pytest.approx(0.0)


def test_only_the_first_phase_has_the_configuration_as_it_stands(studies):
    """Where its first trial was given up, nobody else is taken for it; and a winner of other phases is not known."""
    found = gathered(studies, BASE)
    assert [stands(trial) for trial in found.study.trials] == [True, False, False, False]
    assert not found.knows(Winner({}, 0.3, 7, 4, phase="learning rate"))
    assert found.knows(Winner({}, 0.3, 1, 4, phase="learning rate"))
