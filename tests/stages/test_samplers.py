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


def study_of(name, *, losses=(), steps=(20, 40), **settings):
    """A study with that pruner, and finished trials that had each its loss at those steps."""
    study = optuna.create_study(pruner=pruner_of(Search(pruner=name, **settings)))
    for loss in losses:
        trial = study.ask()
        for step in steps:
            trial.report(loss, step)
        study.tell(trial, loss)
    return study


def is_given_up(study, loss, step=20):
    """Whether one more trial of that loss is, which stays in flight."""
    trial = study.ask()
    trial.report(loss, step)
    return trial.should_prune()


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("percentile", 1.15, 1.25), ("median", 1.35, 1.45), ("none", 9.0, None)]
)
def test_a_pruner_gives_up_what_is_worse_than_its_share(name, good, bad):
    """Of nine finished trials with losses 1.0 to 1.8 the best quarter ends at 1.2, the better half at 1.4."""
    losses = [1.0 + number / 10 for number in range(9)]
    assert not is_given_up(study_of(name, losses=losses, percentile=25), good)
    if bad is not None:
        assert is_given_up(study_of(name, losses=losses, percentile=25), bad)


def test_trials_that_were_given_up_or_are_in_flight_count_too():
    """Three of nine came to their end, the best: a tenth that is beside them, better than the other six, goes on."""
    study = study_of("percentile", losses=[1.0, 1.1, 1.2], percentile=25)
    for number in range(6):
        trial = study.ask()
        trial.report(2.0 + number, 20)
        if number % 2:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert not is_given_up(study, 1.15)
    assert is_given_up(study, 1.25)


def test_nothing_is_given_up_before_enough_trials_have_come_as_far():
    """Four others say nothing yet, five do; two, where the sampler begins to learn after as many."""
    assert not is_given_up(study_of("percentile", losses=[1.0] * 4), 9.0)
    assert is_given_up(study_of("percentile", losses=[1.0] * 5), 9.0)
    assert is_given_up(study_of("percentile", losses=[1.0] * 2, startup_trials=2), 9.0)


def test_one_trial_alone_at_its_step_gives_up_nobody():
    """Twelve trials have finished, one of them with a report at that step: too few to compare with."""
    study = study_of("percentile", losses=[1.0] * 12)
    for step in (8, 8):
        trial = study.ask()
        trial.report(0.1, step)
    assert not trial.should_prune()


def test_steps_of_trials_in_other_legs_are_compared_with_nobody():
    """Trials whose folds all trained at once had their first fifth where another's first fold ends."""
    study = study_of("percentile", losses=[0.5] * 9, steps=(20, 40, 60, 80))
    trial = study.ask()
    for step in (4, 8, 12, 16, 20):
        trial.report(9.0, step)
    assert not trial.should_prune()


def test_a_trial_that_was_interrupted_is_compared_with_nobody():
    """Its values are tried again, by a trial that would stand beside itself."""
    study = study_of("percentile", losses=[1.0] * 4)
    lost = study.ask()
    lost.report(1.0, 20)
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    assert not is_given_up(study, 9.0)


@pytest.mark.parametrize(("ahead", "first"), [(0.2, 8), (1.0, 40)])
def test_successive_halving_lets_one_in_three_go_on_where_a_trial_may_first_be_given_up(ahead, first):
    """Of nine trials in ascending order of loss only the first goes on; no second rung lies at the first look."""
    study = study_of("halving", ahead=ahead)
    ended = []
    for number in range(9):
        trial = study.ask()
        trial.report(float(number), first)
        ended.append(trial.should_prune())
        assert "completed_rung_1" not in study.trials[number].system_attrs
    assert ended == [False] + [True] * 8


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


def test_a_grid_beyond_all_patience_is_refused():
    """Five points of each of nine ranges are two million."""
    space = {f"train.x{n}": Range(uniform=(0.0, 1.0)) for n in range(9)}
    with pytest.raises(ConfigError, match="1,953,125 points"):
        sampler_of(Search(sampler="grid", space=space), 0)
