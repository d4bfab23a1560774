"""The guided plan's phases: which there are, how many trials each has, what it keeps, and how it says so."""

import pytest

from pipeline.errors import ConfigError
from pipeline.outcomes import Standing
from pipeline.search_settings import Range, Search
from pipeline.settings import Preprocess, Target
from pipeline.stages.plans import FEWEST, can_overfit, finding, found_in, overfitting, phases_of, wider, with_own
from pipeline.stages.setups import Setup
from pipeline.training_settings import Model, Train

BASE = Setup(Preprocess(), Target(), Model(activation="silu"), Train())
ORDER = [
    *("inputs", "initialisation", "batch size", "epochs", "learning rate"),
    *("structure", "loss", "activation", "regularisation"),
]


def phases(trials=60, base=BASE, rows=10_000, **settings):
    return {phase.name: phase for phase in phases_of(Search(trials=trials, **settings), base, rows)}


def test_phases_come_in_the_order_in_which_a_person_tunes_and_share_all_trials():
    """Listed phases have a trial for every choice; of the others the learning rate has most."""
    found = phases()
    assert list(found) == ORDER
    assert sum(phase.trials for phase in found.values()) == 60
    assert all(len(next(iter(p.space.values())).choice) == p.trials for p in found.values() if p.is_listed)
    led = {name: phase.trials for name, phase in found.items() if not phase.is_listed}
    assert list(led) == ["learning rate", "structure", "regularisation"]
    assert led["learning rate"] > led["structure"] > led["regularisation"]


def test_every_phase_holds_what_it_begins_with():
    """A rate, a batch and an activation of the user's own are among what is tried."""
    own = Setup(Preprocess(), Target(), Model(width=77, activation="tanh"), Train(lr=0.7, batch_size=48, epochs=11))
    found = phases(base=own)
    assert 48 in found["batch size"].space["train.batch_size"].choice
    assert set(found["epochs"].space["train.epochs"].choice) == {5, 11, 22}
    assert 77 in found["structure"].space["model.width"].choice
    assert "tanh" in found["activation"].space["model.activation"].choice
    assert found["learning rate"].space["train.lr"].log == pytest.approx((0.07, 7.0))
    ranges = {"train.lr": Range(log=(5e-4, 2e-2))}
    assert phases(base=own, space=ranges)["learning rate"].space["train.lr"].log == (5e-4, 0.7)
    assert with_own({"train.lr": Range(log=(1.0, 2.0))}, own.values)["train.lr"].log == (0.7, 2.0)
    assert with_own({"train.lr": Range(uniform=(0.1, 0.5))}, own.values)["train.lr"].uniform == (0.1, 0.7)
    assert with_own({"train.l1": Range(log=(1e-5, 1e-3))}, own.values)["train.l1"].choice[:2] == (0.0, 1e-5)


def test_a_batch_is_at_most_an_eighth_of_the_rows():
    """Eight steps an epoch, or the batch that the configuration has."""
    assert max(phases(rows=2048)["batch size"].space["train.batch_size"].choice) == 256
    assert max(phases(rows=100)["batch size"].space["train.batch_size"].choice) == 64
    assert "batch size" not in phases(rows=100, base=Setup(Preprocess(), Target(), Model(), Train(batch_size=12)))


def test_ranges_of_the_configuration_take_the_place_of_the_plans_own_and_others_join_the_structure():
    """Or the inputs, where they change the matrix; also where a list becomes a range, which a sampler then leads."""
    space = {
        "train.lr": Range(log=(1e-6, 1.0)),
        "train.batch_size": Range(integer=(16, 64)),
        "train.clip_norm": Range(uniform=(0.5, 2.0)),
        "history.relative": Range(choice=(True, False)),
        "preprocess.min_frequency": Range(integer=(1, 9)),
    }
    found = phases(space=space)
    assert {"history.relative", "preprocess.min_frequency"} < set(found["inputs"].space)
    assert found["learning rate"].space["train.lr"] == space["train.lr"]
    assert not found["batch size"].is_listed
    assert "train.clip_norm" in found["structure"].space
    assert sum(phase.trials for phase in found.values()) == 60


def test_a_linear_model_has_no_phases_about_layers():
    """Nor about their dropout."""
    found = phases(base=Setup(Preprocess(), Target(), Model(kind="linear"), Train()))
    assert list(found) == [name for name in ORDER if name not in ("structure", "activation")]
    assert list(found["regularisation"].space) == ["train.weight_decay"]


def test_too_few_trials_are_refused_with_the_number_that_would_do():
    """And that number does."""
    with pytest.raises(ConfigError, match=r"search\.trials = 5: .*; give --trials (\d+) or more") as raised:
        phases(trials=5)
    fewest = int(str(raised.value).partition("--trials ")[2].split()[0])
    assert {p.trials for p in phases(trials=fewest).values() if not p.is_listed} == {FEWEST}
    with pytest.raises(ConfigError):
        phases(trials=fewest - 1)


def standing(trial, score, **values):
    return Standing(trial, {f"train.{key}": value for key, value in values.items()}, score)


def test_a_phase_keeps_the_best_and_what_stood_where_nothing_is_better():
    """Equal is not better."""
    phase = phases()["loss"]
    stands, other = standing(0, 0.2, loss="mse"), standing(1, 0.2, loss="huber")
    assert found_in(phase, [other, stands], stands) is stands
    better = standing(2, 0.19, loss="log_cosh")
    assert found_in(phase, [stands, other, better], stands) is better
    assert found_in(phase, [], None) is None
    assert "stays" in finding(phase, stands, stands, "rmse")
    assert finding(phase, better, stands, "rmse") == "train.loss = log_cosh, rmse 0.19000, 5.00 % better than before"
    assert "no trial had a score" in finding(phase, None, None, "rmse")


def test_among_ties_the_largest_batch_and_the_fewest_epochs_are_kept():
    """Within three in a thousand; what is worse than that is not a tie."""
    batch, epochs = phases()["batch size"], phases()["epochs"]
    sizes = [standing(0, 0.2, batch_size=64), standing(1, 0.2005, batch_size=256), standing(2, 0.21, batch_size=512)]
    assert found_in(batch, sizes, sizes[0]).values == {"train.batch_size": 256}
    assert "0.25 % behind the best" in finding(batch, sizes[1], sizes[0], "rmse")
    lengths = [standing(0, 0.2, epochs=100), standing(1, 0.2003, epochs=50), standing(2, 0.1999, epochs=200)]
    assert found_in(epochs, lengths, lengths[0]).values == {"train.epochs": 50}


def test_a_network_that_cannot_overfit_is_offered_more_width_along_with_regularisation():
    """Told from its loss on the rows that it learns from, beside that on others."""
    phase = phases()["regularisation"]
    weak = Standing(3, {}, 0.2, train=0.19, valid=0.2)
    strong = Standing(3, {}, 0.2, train=0.1, valid=0.2)
    assert (can_overfit(weak), can_overfit(strong), can_overfit(None)) == (False, True, True)
    assert "does not overfit (loss 0.19 on the rows it learns from, 0.2 on others)" in overfitting(weak)
    assert overfitting(strong).startswith("it overfits")
    assert not overfitting(Standing(3, {}, 0.2))
    assert wider(phase, BASE).space["model.width"].choice == (128, 256, 512)
    assert wider(phase, BASE).trials == phase.trials


def test_no_weight_decay_at_all_is_among_what_is_tried():
    """A range in the logarithm cannot hold 0: choices take its place, in a range of the user's too."""
    own = Setup(Preprocess(), Target(), Model(), Train(weight_decay=0.0))
    decay = phases(base=own)["regularisation"].space["train.weight_decay"]
    assert decay.choice[0] == 0.0
    assert len(decay.choice) > 3
    space = {"train.weight_decay": Range(log=(1e-4, 1.0))}
    decay = phases(base=own, space=space)["regularisation"].space["train.weight_decay"]
    assert (decay.choice[0], decay.choice[1], decay.choice[-1]) == (0.0, 1e-4, 1.0)


def test_explicit_layers_stay_as_they_are():
    """A width or a depth would take their place, so the phase would not begin with what stands."""
    found = phases(base=Setup(Preprocess(), Target(), Model(hidden=(30, 20)), Train()))
    assert not {"model.width", "model.depth"} & {key for phase in found.values() for key in phase.space}


def test_another_value_with_an_equal_score_is_no_stay():
    """The fewest epochs were taken: that is said, though the score is that of before."""
    phase = phases()["epochs"]
    stands, found = standing(0, 0.2, epochs=60), standing(1, 0.2, epochs=30)
    assert finding(phase, found, stands, "rmse") == "train.epochs = 30, rmse 0.20000, 0.00 % better than before"
