"""The search space: what is suggested, what of the configuration it holds, and all of it as a grid."""

import optuna
import pytest

from pipeline.settings import Range
from pipeline.stages.spaces import as_it_stands, grid, grid_size, suggested

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
