"""Trainings that learned little: each sign alone is told with its remedy, and what is ordinary is not."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SHORT_TRAINING

from pipeline.engine.sizes import LayerState
from pipeline.engine.vitals import Activity
from pipeline.fits import Curve, Job, Network
from pipeline.recipes import RECIPES
from pipeline.stages.assignments import Candidate
from pipeline.stages.causes import Cause
from pipeline.stages.insides import Inside
from pipeline.stages.signs import Signs, may_hurt_by_depth
from pipeline.stages.stalls import stalls
from pipeline.training_settings import Model

FALLING = np.geomspace(1.0, 0.2, 12)


def inside(*, dead=0.0, saturated=0.0, gradients=(1.0, 1.0, 1.0), layers=2):
    """One network, its last hidden layer with these shares."""
    quiet = [Activity(layer, 0.0, 1.0, 0.1, 0.1) for layer in range(layers - 1)]
    units = (*quiet, Activity(layers - 1, 0.0, 1.0, dead, saturated))
    return Inside(Job(0, 0, 0), units, tuple(LayerState(i, 1.0, g, 1.0, 1.0) for i, g in enumerate(gradients)))


def curve(train, stopped="finished"):
    train = np.asarray(train, dtype=float)
    return Curve(train, train + 0.01, len(train) - 1, stopped)


def signs(train=FALLING, *, mean=1.0, networks=4, model=None, settings=None, network=None, **changes):
    """Networks of two hidden ReLU layers that learn well; the mean's training error is 1."""
    shape = Network(inputs=3, hidden=(8, 8), activation="relu", init="pytorch", init_scale=0.01)
    plain = Signs(
        candidate=Candidate(
            Model(**(model or {})),
            SHORT_TRAINING.model_copy(update={"lr": 0.004, "schedule": "cosine"} | (settings or {})),
        ),
        network=replace(shape, **(network or {})),
        metric="rmse",
        target_rms=1.0,
        curves=tuple(curve(train) for _ in range(networks)),
        mean_errors=(mean,) * networks,
        insides=(inside(), inside()),
        ridge_error=float("nan"),
        fold_error=float("nan"),
    )
    return replace(plain, **changes)


NOISE = 1 + 0.05 * np.array([1, -1] * 6)
BOUNCING = 0.5 * NOISE
CREEPING = np.linspace(0.97, 0.80, 12)
DEEP = {"hidden": (8,) * 6}
BEHIND = {"ridge_error": 0.15, "fold_error": 0.21}
SIGMOID = {"activation": "sigmoid"}

WIDE = {"init": "normal", "init_scale": 100.0}
FAR = Cause("inputs that are not scaled", "column 'k' is 1e+09", '[preprocess] scaler = "zscore"')

# (signs, words of what is seen, words of what to do, what to type)
KNOWN = {
    "dead units": (
        signs(insides=(inside(dead=0.9), inside(dead=0.5))), "70 % of the units of hidden layer 2 are dead",
        'activation = "leaky_relu"', "model.activation=leaky_relu",
    ),
    "dead units at a high rate": (
        signs(insides=(inside(dead=0.9),), settings={"lr": 0.1}), "(1 network looked at)", "Set [train] lr = 0.004",
        "train.lr=0.004",
    ),
    "dead units at the classic recipe's rate": (
        signs(insides=(inside(dead=0.9),), settings={"lr": RECIPES["classic"]["train.lr"]}), "(1 network looked at)",
        'activation = "leaky_relu"', "model.activation=leaky_relu",
    ),
    "saturated units": (
        signs(insides=(inside(saturated=0.8),), network=SIGMOID), "hidden layer 2 is saturated: at 80 %",
        '[model] norm = "layer"', "model.norm=layer",
    ),
    "saturated although normalised": (
        signs(insides=(inside(saturated=0.8),), network=SIGMOID | {"norm": "batch"}), "sigmoid is flat",
        'activation = "silu"', "model.activation=silu",
    ),
    "gradients that vanish": (
        signs(insides=(inside(gradients=(1e-5, 1.0, 1.0)),)), "that of layer 1 is 1e-05 times that of layer 2",
        '[model] norm = "layer"', "model.norm=layer",
    ),
    "the same although normalised": (
        signs(insides=(inside(gradients=(1e-5, 1.0, 1.0)),), network={"norm": "layer"}), "Gradients vanish",
        "[model] residual = 1", "model.residual=1",
    ),
    "nothing learned and too slow": (
        signs(np.linspace(1.2, 1.0, 12), settings={"lr": 1e-6}), "4 of 4 networks do no better", "too low",
        "train.lr=0.004",
    ),
    "nothing learned and too fast": (
        signs(np.linspace(1.0, 1.2, 12), settings={"lr": 0.1}), "(training error 1, the mean's 1)", "too high",
        "train.lr=0.004",
    ),
    "nothing learned in too few epochs": (
        signs(np.linspace(1.2, 1.0, 12), settings={"lr": 0.02, "epochs": 30}), "do no better", "It still falls",
        "train.epochs=120",
    ),
    "nothing learned under a penalty": (
        signs(np.full(12, 1.0), settings={"l1": 0.1}), "do no better", "l1 = 0", "train.l1=0",
    ),
    "nothing learned by depth": (
        signs(np.full(12, 1.0), network=DEEP), "do no better", "deep and plain", "model.norm=layer",
    ),
    "nothing learned under AdamW's decay": (
        signs(np.full(12, 1.0), settings={"optimizer": "adamw", "weight_decay": 1000.0, "lr": 4e-4}),
        "A weight decay of 1000 takes 40 % off every weight at each step", "[train] weight_decay = 0",
        '"train.weight_decay=0"',
    ),
    "the same at a rate that is too high as well": (
        signs(np.full(12, 1.0), settings={"optimizer": "adamw", "weight_decay": 10.0, "lr": 0.4}),
        "A weight decay of 10 takes 4.0 %", "[train] weight_decay = 0", '"train.weight_decay=0"',
    ),
    "gradients clipped to nothing": (
        signs(np.full(12, 1.0), settings={"optimizer": "adamw", "clip_norm": 1e-9}), "clipped to a norm of 1e-09",
        "[train] clip_norm = 1.", '"train.clip_norm=1"',
    ),
    "steps clipped to little": (
        signs(np.full(12, 1.0), settings={"optimizer": "sgd", "weight_decay": 0.0, "clip_norm": 1e-3}),
        "clipped to a norm of 0.001", "[train] clip_norm = 1.", '"train.clip_norm=1"',
    ),
    "units dropped nearly always": (
        signs(np.full(12, 1.0), model={"dropout": 0.99}), "Dropout leaves 1.0 % of the hidden units", "dropout = 0.2",
        "model.dropout=0.2",
    ),
    "one unit normalised by layer": (
        signs(np.full(12, 1.0), network={"norm": "layer", "hidden": (8, 1)}), "layer of one unit, normalised by layer",
        'norm = "none", or more width', "model.norm=none",
    ),
    "one row normalised by batch": (
        signs(np.full(12, 1.0), network={"norm": "batch"}, settings={"batch_size": 1}), "batch of one row, normalised",
        "batch_size = 64", "train.batch_size=64",
    ),
    "far worse by an input": (
        signs(np.full(12, 9.0), far_out=FAR),
        "the mean's 1). It looks like inputs that are not scaled: column 'k' is 1e+09.",
        'Set [preprocess] scaler = "zscore".', '"preprocess.scaler=zscore"',
    ),
    "far worse by first weights": (
        signs(np.full(12, 9.0), first_outputs=240.0, model=WIDE), "makes outputs around 240 before anything",
        '[model] init = "kaiming_normal"',
        '"model.init=kaiming_normal"',
    ),
    "far worse by first weights under sigmoid": (
        signs(np.full(12, 9.0), first_outputs=240.0, model=WIDE | SIGMOID), "begin too wide",
        '[model] init = "xavier_normal"', '"model.init=xavier_normal"',
    ),
    "far worse by a raw target": (
        signs(np.full(12, 9.0), has_raw_target=True, target_rms=2e5), "it is around 2e+05", "standardize = true",
        '"target.standardize=true"',
    ),
    "nothing learned by great depth although normalised": (
        signs(np.full(12, 1.0), network={"hidden": (8,) * 8, "norm": "batch"}), "no better than", "no shortcuts",
        '"model.residual=1"',
    ),
    "an error that bounces": (
        signs(BOUNCING, settings={"schedule": "constant"}), "goes up and down", '[train] schedule = "cosine"',
        "train.schedule=cosine",
    ),
    "an error that creeps": (
        signs(CREEPING, settings={"lr": 1e-4}), "still falling at the end, and slowly", "too low", "train.lr=0.004",
    ),
    "depth that hurts": (
        signs(network=DEEP, **BEHIND), "6 hidden layers without normalisation or shortcuts do worse than ridge (0.21 a",
        "or depth = 2", "model.norm=layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_each_sign_alone_is_told_with_its_remedy(name):
    """One piece of advice, with the setting to type."""
    found, seen, action, command = KNOWN[name]
    (advice,) = stalls(found)
    assert seen.lower() in advice.seen.lower()
    assert action in advice.action
    assert command in advice.command


@pytest.mark.parametrize(
    "ordinary",
    [
        signs(),
        signs(insides=(inside(dead=0.4),)),
        signs(insides=(inside(dead=0.9),), network={"activation": "gelu"}),
        signs(insides=(inside(saturated=0.4),), network=SIGMOID),
        signs(insides=(inside(gradients=(1e-2, 1.0, 1.0)),)),
        signs(insides=(inside(gradients=(1.0, 0.0, 0.0)),)),
        signs(insides=(), curves=(), mean_errors=()),
        signs([1.1, 1.0, 1.0, 1.0]),
        signs(np.r_[1.0, 0.5, np.full(10, 1.0)]),
        signs(BOUNCING),
        signs(0.5 + 0.01 * (NOISE - 1), settings={"schedule": "constant"}),
        signs(BOUNCING, settings={"schedule": "constant", "plateau_factor": 0.5}),
        signs(np.r_[np.linspace(1, 0.5, 6), np.full(6, 0.5)], settings={"schedule": "constant"}),
        signs(FALLING * NOISE, settings={"schedule": "constant"}),
        signs(CREEPING),
        signs(np.linspace(0.97, 0.3, 12), settings={"lr": 1e-4}),
        signs(network=DEEP | {"norm": "layer"}, **BEHIND),
        signs(network=DEEP | {"skips": ("", "same") * 3}, **BEHIND),
        signs(network=DEEP, ridge_error=0.3, fold_error=0.21),
        signs(network=DEEP, ridge_error=0.2, fold_error=0.5),
        signs(**BEHIND),
        signs(network={"hidden": ()}, insides=(inside(layers=1, gradients=(1.0,)),)),
    ],
    ids=range(22),
)
def test_what_is_ordinary_is_not_told(ordinary):
    """Just inside each limit, or with the remedy in place already."""
    if not ordinary.network.hidden:
        ordinary = replace(ordinary, insides=(replace(ordinary.insides[0], activities=()),))
    assert stalls(ordinary) == ()


def test_what_is_wrong_inside_explains_why_nothing_was_learned():
    """One piece of advice with both, and no guess about the learning rate."""
    (advice,) = stalls(signs(np.full(12, 1.0), insides=(inside(dead=1.0),)))
    assert advice.seen.startswith("4 of 4 networks do no better than predicting the mean")
    assert "100 % of the units" in advice.seen
    assert "learning rate" not in advice.action


def test_a_network_that_failed_is_not_told_to_have_stalled():
    """Its cause is told elsewhere."""
    broken = curve(np.full(12, 5.0), stopped="not finite")
    found = signs()
    assert stalls(replace(found, curves=(broken, *found.curves[1:]))) == ()


@pytest.mark.parametrize(("stuck", "networks", "told"), [(1, 4, True), (1, 10, False), (4, 250, False), (3, 10, True)])
def test_a_few_stuck_networks_among_many_are_not_told(stuck, networks, told):
    """From a quarter of them on; fewer are bad luck of a draw."""
    found = signs(networks=networks)
    curves = (*[curve(np.full(12, 1.0))] * stuck, *found.curves[stuck:])
    advices = stalls(replace(found, curves=curves))
    assert [one.seen.startswith(f"{stuck} of {networks} networks") for one in advices] == [True] * told


@pytest.mark.parametrize(
    ("error", "words"), [(0.985, "hardly better than"), (1.0, "no better than"), (2.0, "far worse than")]
)
def test_what_is_said_of_a_stuck_network_is_true_of_its_error(error, words):
    """Between 98 and 100 % of the mean's error it did better, if hardly."""
    (advice,) = stalls(signs(np.full(12, error)))
    assert f"do {words} predicting the mean (training error {error:.4g}, the mean's 1)" in advice.seen


@pytest.mark.parametrize(
    ("changes", "of_others"),
    [
        ({"far_out": FAR}, "scaler"),
        ({"first_outputs": 240.0, "model": WIDE}, "init"),
        ({"has_raw_target": True, "target_rms": 2e5}, "standardize"),
    ],
)
def test_a_network_level_with_the_mean_is_not_told_of_something_large(changes, of_others):
    """It has an answer to it already: only an error of twice the mean's is judged so."""
    (advice,) = stalls(signs(np.full(12, 1.9), **changes))
    assert of_others not in advice.action


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"optimizer": "adamw", "weight_decay": 0.3, "lr": 0.4}},
        {"settings": {"optimizer": "adamw", "clip_norm": 1e-3}},
        {"model": {"dropout": 0.8}},
        {"network": {"norm": "layer", "hidden": (8, 2)}},
        {"network": {"norm": "layer", "hidden": (8, 1, 8), "skips": ("", "same", "")}},
        {"network": {"norm": "batch"}, "settings": {"batch_size": 2}},
        {"settings": {"batch_size": 1}},
    ],
    ids=str,
)
def test_settings_just_inside_their_limits_are_not_blamed(changes):
    """A guess at the learning rate remains."""
    (advice,) = stalls(signs(np.full(12, 3.0), first_outputs=80.0, has_raw_target=True, target_rms=9.0, **changes))
    assert "learning rate is too" in advice.action


def test_advice_on_the_learning_rate_does_not_go_in_a_circle():
    """Told to divide the usual rate by ten, and still stuck there, nobody is sent back to it."""
    (down,) = stalls(signs(np.full(12, 1.0), settings={"lr": 0.004}))
    assert '"train.lr=0.0004"' in down.command
    (then,) = stalls(signs(np.linspace(1.2, 1.0, 12), settings={"lr": 0.0004}))
    assert "train.epochs" in then.command


def test_a_known_cause_goes_before_what_is_wrong_inside():
    """Weights that begin too wide kill the units: both are told, the cause first."""
    found = signs(np.full(12, 9.0), first_outputs=240.0, model=WIDE, insides=(inside(dead=1.0),))
    first, second = stalls(found)
    assert "init =" in first.action
    assert "dead" in second.seen


def test_a_target_that_is_not_standardised_has_a_larger_usual_rate():
    """Adam on dollars: a rate of 5 is not high for a target of 200,000."""
    unscaled = signs(insides=(inside(dead=0.9),), settings={"lr": 5.0}, target_rms=2e5)
    assert "model.activation" in stalls(unscaled)[0].command


def test_scores_that_grow_are_judged_as_errors():
    """r2 is handed over with its sign turned: -0.9 is good, and the mean's 0 is an error of 1."""
    assert stalls(signs(-np.linspace(0.1, 0.9, 12), mean=0.0, metric="r2")) == ()
    (advice,) = stalls(signs(np.full(12, 0.0), mean=0.0, metric="r2"))
    assert "do no better than" in advice.seen


def test_epochs_that_were_not_scored_do_not_count():
    """NaN between them is no error."""
    gaps = np.full(36, np.nan)
    gaps[::3] = FALLING
    assert stalls(signs(gaps)) == ()
    gaps[::3] = 1.0
    assert "do no better than" in stalls(signs(gaps))[0].seen


def test_only_deep_and_plain_networks_may_hurt_by_depth():
    """Four hidden layers, no normalisation, no shortcut."""
    network = Network(inputs=3, hidden=(8,) * 4, activation="relu", init="pytorch", init_scale=0.01)
    assert may_hurt_by_depth(network)
    for better in ({"hidden": (8,) * 3}, {"norm": "batch"}, {"skips": ("", "same", "", "")}):
        assert not may_hurt_by_depth(replace(network, **better))
