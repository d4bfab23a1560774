"""Samplers and pruners by their names: each suggests, is reproducible, and gives up what it should."""

import optuna
import pytest

from pipeline.errors import ConfigError
from pipeline.search_settings import Range, Search
from pipeline.stages.samplers import pruner_of, sampler_of
from pipeline.stages.spaces import suggested

SPACE = {"train.lr": Range(log=(1e-3, 1e-1)), "model.width": Range(choice=(2, 4, 8))}


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def drawn(name, seed, trials=8):
    """What a sampler suggests while each trial's loss is its lr."""
    search = Search(sampler=name, space=SPACE, startup_trials=3, seed=seed)
    study = optuna.create_study(sampler=sampler_of(search, seed))
    found = []
    for _ in range(trials):
        trial = study.ask()
        found.append(suggested(trial, SPACE))
        study.tell(trial, found[-1]["train.lr"])
    return found


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "gp", "grid"])
def test_equal_seeds_suggest_equal_values(name):
    """And all of them lie in the space."""
    first = drawn(name, 3)
    assert first == drawn(name, 3)
    assert all(1e-3 <= values["train.lr"] <= 1e-1 for values in first)


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_another_seed_suggests_other_values(name):
    """Two workers with one seed would train the same networks twice."""
    assert drawn(name, 3) != drawn(name, 4)


def test_random_values_are_those_of_the_trials_number_whoever_asks():
    """Two workers that take turns draw what one alone draws, and no trial repeats another."""
    alone, search = drawn("random", 3), Search(sampler="random", space=SPACE, seed=3)
    study, workers, together = optuna.create_study(), [sampler_of(search, 77), sampler_of(search, 78)], []
    for number in range(8):
        study.sampler = workers[number % 3 == 0]
        together.append(suggested(study.ask(), SPACE))
    assert together == alone
    assert len({values["train.lr"] for values in alone}) == 8


def test_a_grid_is_tried_point_by_point():
    """Fifteen points, each once, asked and told without Optuna's own loop."""
    found = drawn("grid", 0, trials=15)
    assert len({tuple(values.values()) for values in found}) == 15


def given_up(name, worse, better=5, **settings):
    """After how many reports a trial that is `worse` than five finished ones is given up; None for never."""
    search = Search(pruner=name, startup_trials=3, warmup_share=0.25, **settings)
    study = optuna.create_study(pruner=pruner_of(search, epochs=8))
    for number in range(better):
        trial = study.ask()
        for epoch in range(1, 9):
            trial.report(1.0 + number / 10, epoch)
        study.tell(trial, 1.0)
    trial = study.ask()
    for epoch in range(1, 9):
        trial.report(worse, epoch)
        if trial.should_prune():
            return epoch
    return None


@pytest.mark.parametrize(("name", "worse", "epoch"), [("percentile", 1.15, 2), ("median", 1.25, 2), ("none", 9, None)])
def test_a_pruner_gives_up_what_is_worse_than_its_share_once_the_warm_up_is_over(name, worse, epoch):
    """Of five finished trials with losses 1.0 to 1.4 the best quarter ends at 1.1, the better half at 1.2."""
    assert given_up(name, worse) == epoch
    assert given_up(name, 0.9) is None


def test_nothing_is_given_up_before_enough_trials_have_finished():
    """Two finished trials say nothing yet."""
    assert given_up("percentile", 9.0, better=2) is None


@pytest.mark.parametrize("name", ["percentile", "median"])
def test_a_trial_is_looked_at_every_fifth_of_its_training_and_not_between(name):
    """Twenty epochs of one that is worse than five whole ones throughout: it is told so at the fifths only."""
    study = optuna.create_study(pruner=pruner_of(Search(pruner=name, warmup_share=0.2), epochs=20))
    for _ in range(5):
        trial = study.ask()
        for epoch in range(1, 21):
            trial.report(1.0 + epoch / 100, epoch)
        study.tell(trial, 1.0)
    trial, looked = study.ask(), []
    for epoch in range(1, 21):
        trial.report(9.0, epoch)
        if trial.should_prune():
            looked.append(epoch)
    assert looked == [4, 8, 12, 16, 20]


def test_the_pruner_begins_after_five_whole_trials_however_many_the_sampler_draws_first():
    """With sixteen startup trials the sixth may be given up, the fifth may not; with three the fourth may."""
    for startup, allowed in ((16, 5), (3, 3)):
        study = optuna.create_study(
            pruner=pruner_of(Search(pruner="percentile", warmup_share=0.0, startup_trials=startup), epochs=20)
        )
        for number in range(allowed + 1):
            trial = study.ask()
            trial.report(1.0 + number, 4)
            assert trial.should_prune() == (number >= allowed)
            study.tell(trial, 1.0)


def test_successive_halving_lets_one_in_three_go_on():
    """At the first rung: of nine trials in ascending order of loss, only the first goes on."""
    study = optuna.create_study(pruner=pruner_of(Search(pruner="halving", warmup_share=0.25), epochs=8))
    ended = []
    for number in range(9):
        trial = study.ask()
        trial.report(float(number), 2)
        ended.append(trial.should_prune())
    assert ended[0] is False
    assert sum(not over for over in ended) == 1


def test_processes_share_a_grid_whatever_their_seeds_and_whoever_dies():
    """Points in flight, queued and finished are taken; those of a trial that came to no end are free again."""
    search = Search(sampler="grid", space={"model.width": Range(choice=(2, 4, 8, 16))})
    study = optuna.create_study()
    study.enqueue_trial({"model.width": 8})
    found = []
    for seed in range(3):
        study.sampler = sampler_of(search, seed)
        trial = study.ask()
        found.append(suggested(trial, search.space)["model.width"])
        if seed == 1:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)  # without a cause: interrupted
    assert found[0] == 8
    assert found[1] == found[2], "the interrupted point is tried again"
    rest = [suggested(study.ask(), search.space)["model.width"] for _ in range(2)]
    assert sorted([8, found[2], *rest]) == [2, 4, 8, 16]


def test_of_two_processes_that_take_one_point_the_later_trial_takes_another(monkeypatch):
    """Both look before either has written: whoever has the higher number looks again."""
    search = Search(sampler="grid", space={"model.width": Range(choice=(2, 4, 8, 16))})
    study = optuna.create_study(sampler=sampler_of(search, 0))
    first, real, looks = study.ask(), study.get_trials, []

    def late(*arguments, **options):
        looks.append(1)
        return [] if len(looks) == 1 else real(*arguments, **options)

    monkeypatch.setattr(study, "get_trials", late)
    second = study.ask()
    assert suggested(first, search.space) != suggested(second, search.space)


def test_one_trial_alone_at_its_step_gives_up_nobody():
    """Twelve trials have finished, one of them with a report after so many epochs: too few to compare with."""
    study = optuna.create_study(pruner=pruner_of(Search(warmup_share=0.0), epochs=100))
    for number in range(12):
        trial = study.ask()
        trial.report(0.1 if number == 0 else 1.0, 3 if number == 0 else 5)
        study.tell(trial, 0.5)
    trial = study.ask()
    trial.report(0.11, 3)
    assert not trial.should_prune()


def test_a_grid_beyond_all_patience_is_refused():
    """Five points of each of nine ranges are two million."""
    space = {f"train.x{n}": Range(uniform=(0.0, 1.0)) for n in range(9)}
    with pytest.raises(ConfigError, match="1,953,125 points"):
        sampler_of(Search(sampler="grid", space=space), 0)
