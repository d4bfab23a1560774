"""The search stage on a small design: which trials are asked for, how they are told, who wins."""

import numpy as np
import optuna
import pytest
from builders import design_of, generated_dataset, on_cpu
from optuna.trial import TrialState

from pipeline.errors import TrainingError
from pipeline.settings import Model, Range, Search, Train
from pipeline.stages import search as module
from pipeline.stages.assignments import Candidate, hidden_widths
from pipeline.stages.search import Session, search

DESIGN = design_of(generated_dataset())
BASE = Candidate(Model(width=4, depth=1, dropout=0.0), Train(lr=0.01, weight_decay=0.1, epochs=3, batch_size=16))
SPACE = {
    "train.lr": Range(log=(1e-3, 1e-1)),
    "model.width": Range(choice=(2, 4)),
    "model.depth": Range(integer=(1, 2)),
    "model.dropout": Range(uniform=(0.0, 0.5)),
}


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))


def run(study, trials, base=BASE, space=None, told=None):
    """Continue the study on a small design."""
    settings = Search(trials=trials, parallel=3, space=space or SPACE)
    session = Session(study, (told if told is not None else []).append)
    return search(DESIGN, base=base, search=settings, metric="rmse", session=session, runtime=on_cpu())


def test_the_first_trial_is_the_configuration_as_it_stands(study):
    """So that a sweep can only improve on what the user has."""
    run(study, 1)
    assert study.trials[0].params == {
        "train.lr": 0.01,
        "model.width": 4,
        "model.depth": 1,
        "model.dropout": 0.0,
    }


def test_the_winner_is_the_best_told_trial_and_every_trial_is_told_once(study):
    """Five trials in batches of three: five calls, and the smallest loss wins."""
    told = []
    winner = run(study, 5, told=told)
    assert [trial.number for trial in told] == [0, 1, 2, 3, 4]
    best = min(told, key=lambda trial: trial.value)
    assert (winner.trial, winner.score, winner.values, winner.trials) == (best.number, best.value, best.params, 5)


def test_a_continued_study_asks_only_for_what_is_missing(study):
    """Three trials, then `trials = 4`: one more; and again: none."""
    run(study, 3)
    run(study, 4)
    run(study, 4)
    assert len(study.trials) == 4


def test_a_trial_scores_what_training_its_values_scores(study):
    """The pooled out-of-fold loss of trial 0 is that of `train` with one seed and the same settings."""
    from pipeline.stages.train import train
    from pipeline.tabular.metrics import rmse

    run(study, 1)

    fits = train(DESIGN, model=BASE.model, train=BASE.train, metric="rmse", runtime=on_cpu())
    assert study.trials[0].value == pytest.approx(rmse(DESIGN.target, fits.seed_oof[0]), rel=1e-5)


def test_a_diverged_trial_is_told_as_failed_and_counts(study):
    """It was trained to an end: asking for it again would diverge again."""
    wild = {**SPACE, "train.lr": Range(log=(1e37, 1e38))}
    with pytest.raises(TrainingError, match=r"no trial of the sweep .*a learning rate that is too high"):
        run(study, 3, space=wild)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 3


def test_a_diverged_trial_says_why_and_its_neighbours_are_scored(study):
    """The user's own rate beside one of 1e37 in one pack: only the second has a cause, with network and setting."""
    study.enqueue_trial({"train.lr": 0.01})
    study.enqueue_trial({"train.lr": 1e37})
    run(study, 2, space={"train.lr": Range(choice=(0.01, 1e37))})
    calm, broken = study.trials
    assert (calm.state, module.CAUSE in calm.user_attrs) == (TrialState.COMPLETE, False)
    assert broken.state == TrialState.FAIL
    cause = broken.user_attrs[module.CAUSE]
    assert cause.startswith("a learning rate that is too high (fold 1, seed 0, ")
    assert cause.endswith("; [train] lr = 0.004")


def test_an_interrupted_batch_is_told_as_failed_and_does_not_count(study, monkeypatch):
    """Ctrl-C while three trials train: the study can be continued, and the three are replaced."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    real = module.fit_networks
    monkeypatch.setattr(module, "fit_networks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(study, 3)
    monkeypatch.setattr(module, "fit_networks", real)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 3
    assert run(study, 3).trials == 3
    assert np.isfinite(study.best_value)


def test_a_searched_width_replaces_an_explicit_list_of_layers(study):
    """`hidden` would silently win over width and depth otherwise."""
    base = Candidate(Model(hidden=(7, 5, 3)), BASE.train)
    candidate = module.with_values(base, {"model.width": 2, "model.depth": 2})
    assert hidden_widths(candidate.model) == (2, 2)


def test_the_configuration_as_it_stands_is_tried_even_if_the_first_batch_was_killed(study):
    """SIGKILL leaves trials running for ever: they are buried, and the user's own values come first again."""
    study.enqueue_trial({"train.lr": 0.01, "model.width": 4, "model.depth": 1, "model.dropout": 0.0})
    module._suggest(study.ask(), SPACE)  # asked for by a process that died
    run(study, 1)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[1].params == study.trials[0].params
