"""The search space: what is suggested, what of the configuration it holds, and all of it as a grid."""

import optuna
import pytest
from builders import generated_dataset, on_cpu
from optuna.trial import TrialState

from pipeline.errors import ConfigError
from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.preprocess import preprocess
from pipeline.stages.search import work
from pipeline.stages.setups import Quest, Setup
from pipeline.stages.spaces import as_it_stands, distance, grid, grid_size, suggested
from pipeline.stages.train import train
from pipeline.tabular.metrics import rmse
from pipeline.training_settings import Model, Train
from tests.stages.studies import InMemory

SPACE = {
    "train.lr": Range(log=(1e-3, 1e-1)),
    "model.width": Range(choice=(2, 4)),
    "model.depth": Range(integer=(1, 3)),
    "model.dropout": Range(uniform=(0.1, 0.5)),
}


def test_a_suggestion_lies_in_the_space():
    """Forty draws: every value within its ends, and both choices seen."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggested(study.ask(), SPACE) for _ in range(40)]
    assert all(1e-3 <= values["train.lr"] <= 1e-1 and 0.1 <= values["model.dropout"] <= 0.5 for values in drawn)
    assert {values["model.width"] for values in drawn} == {2, 4}
    assert {values["model.depth"] for values in drawn} == {1, 2, 3}
    assert sum(values["train.lr"] < 1e-2 for values in drawn) == pytest.approx(20, abs=8)  # evenly in the logarithm


def test_the_configuration_stands_in_the_space_or_is_left_to_the_sampler():
    """An lr outside of its range and a width that is no choice are not forced upon it."""
    values = {"train.lr": 0.5, "model.width": 3, "model.depth": 3, "model.dropout": 0.1}
    assert as_it_stands(values, SPACE) == {"model.depth": 3, "model.dropout": 0.1}


def test_a_grid_has_every_choice_every_integer_and_the_ends_of_a_range():
    """Five points of a range, the ends as they were given."""
    points = grid(SPACE)
    assert points["model.width"] == [2, 4]
    assert points["model.depth"] == [1, 2, 3]
    assert points["model.dropout"] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert points["train.lr"] == pytest.approx([1e-3, 10**-2.5, 1e-2, 10**-1.5, 1e-1])
    assert (points["train.lr"][0], points["train.lr"][-1]) == (1e-3, 1e-1)


def test_the_size_of_a_grid_counts_the_configuration_where_it_is_no_point():
    """Three widths and five dropouts, one of which is 0.2 or is not."""
    space = {"model.width": Range(choice=(2, 4, 8)), "model.dropout": Range(uniform=(0.0, 0.4))}
    assert grid_size(space, {"model.width": 4, "model.dropout": 0.2}) == 15
    assert grid_size(space, {"model.width": 4, "model.dropout": 0.21}) == 16
    assert grid_size(space, {"model.width": 4}) == 16


# --- every kind of key, searched

DATASET = generated_dataset(60)
FOLDS = FoldSettings(count=3)
BASE = Setup(Preprocess(), Target(), Model(width=4, depth=1), Train(lr=0.02, epochs=3, batch_size=16))


def searched(space, base=BASE, trials=4):
    """The session after so many trials, drawn at random."""
    session = InMemory(trials)
    options = Search(space={key: Range(**own) for key, own in space.items()}, parallel=2, pruner="none")
    work(Quest(DATASET, base, options, FOLDS, "rmse", on_cpu("fp64")), session)
    return session


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "space",
    [
        {"train.batch_size": {"choice": (8, 16, 32)}},
        {"train.batch_size": {"integer": (5, 60)}},
        {"train.epochs": {"integer": (1, 6)}},
        {"train.loss": {"choice": ("mse", "mae", "huber", "log_cosh")}},
        {"train.optimizer": {"choice": ("sgd", "adam")}, "train.nesterov": {"choice": (True, False)}},
        {"train.schedule": {"choice": ("constant", "cosine")}, "train.restore_best": {"choice": (True, False)}},
        {"model.kind": {"choice": ("linear", "mlp")}, "model.norm": {"choice": ("none", "layer")}},
        {"preprocess.indicators": {"choice": (True, False)}, "preprocess.impute": {"choice": ("zero", "drop")}},
        {"target.transform": {"choice": ("none", "log")}, "target.standardize": {"choice": (True, False)}},
    ],
    ids=" ".join,
)
def test_each_kind_of_key_is_searched_and_scores_as_its_configuration_does_alone(space):
    """Batches, epochs, losses, switches, preprocessing, the target: beside trials with other values."""
    session = searched(space)
    complete = session.study.get_trials(states=(TrialState.COMPLETE,))
    assert len(complete) == 4
    assert len({tuple(trial.params.values()) for trial in complete}) > 1
    for trial in complete:
        setup = BASE.with_values(trial.params)
        design = preprocess(DATASET, preprocess=setup.preprocess, target=setup.target, folds=FOLDS, metric="rmse")
        fits = train(design, model=setup.model, train=setup.train, metric="rmse", runtime=on_cpu("fp64"))
        assert trial.value == pytest.approx(rmse(design.target[design.folds.scored_rows], fits.seed_oof[0]), rel=1e-7)


@pytest.mark.usefixtures("one_thread")
def test_values_that_do_not_go_together_end_their_trial_with_the_sentence():
    """Components belong to one scaler: with the other one a trial fails, and the search goes on."""
    space = {
        "preprocess.scaler": {"choice": ("pca_whiten", "zscore")},
        "preprocess.components": {"choice": (0, 1)},
    }
    base = Setup(Preprocess(scaler="pca_whiten"), BASE.target, BASE.model, BASE.train)
    session = searched(space, base, trials=12)
    assert {cause.split(" is for")[0] for _, _, cause in session.of("fail")} == {"components = 1"}
    assert len(session.of("fail")) + len(session.of("complete")) == 12


def test_an_empty_space_is_an_error():
    """With what a space looks like."""
    with pytest.raises(ConfigError, match=r"search\.space is empty"):
        searched({})


def test_distance_is_the_mean_over_settings_of_the_share_of_a_range_or_of_being_another_choice():
    """Half of the logarithm of the rates, a quarter of the dropouts, another activation, the same depth."""
    space = {
        "train.lr": Range(log=(1e-4, 1e-2)),
        "model.dropout": Range(uniform=(0.0, 0.8)),
        "model.depth": Range(integer=(1, 5)),
        "model.activation": Range(choice=("relu", "gelu")),
    }
    one = {"train.lr": 1e-3, "model.dropout": 0.1, "model.depth": 2, "model.activation": "relu"}
    other = {"train.lr": 1e-4, "model.dropout": 0.3, "model.depth": 2, "model.activation": "gelu"}
    assert distance(one, other, space) == pytest.approx((0.5 + 0.25 + 0 + 1) / 4)
    assert distance(other, one, space) == distance(one, other, space)
    assert distance(one, one, space) == 0
    assert distance(one, {**one, "model.norm": "layer"}, space) == pytest.approx(1 / 5)
    assert distance(one, {**one, "train.lr": 1e3}, space) == pytest.approx(1 / 4), "at most all of a range"
    assert distance(one, {**one, "train.lr": 0.0}, space) == pytest.approx(1 / 4), "none at all has no logarithm"
    assert distance({}, {}, space) == 0
