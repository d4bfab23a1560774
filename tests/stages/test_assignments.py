"""From settings to the engine: every option reaches it, and what does not go together is a sentence."""

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import design_of, generated_dataset

from pipeline.engine.losses import LOSSES
from pipeline.engine.optimizers import Rule
from pipeline.engine.schedules import Schedule, rates
from pipeline.errors import ConfigError
from pipeline.fits import Job
from pipeline.settings import Target
from pipeline.stages.assignments import Candidate, assignment_of, rule_of, schedule_of
from pipeline.training_settings import Model, Train

DESIGN = design_of(generated_dataset())
OWN_SCALE = design_of(generated_dataset(), target=Target(transform="none", standardize=False))
OWN = 'set target.transform = "none" and target.standardize = false'
FIRST = Job(0, 0, 0)


def assigned(design=DESIGN, *, model=None, **train):
    return assignment_of(design, Candidate(model or Model(), Train(**train)), FIRST, 0)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"optimizer": "adamw", "weight_decay": 0.1}, Rule(kind="adam", decoupled=True, weight_decay=0.1)),
        ({"optimizer": "adam", "beta1": 0.8}, Rule(kind="adam", weight_decay=0.3, beta1=0.8)),
        ({"optimizer": "sgd", "nesterov": True}, Rule(kind="sgd", weight_decay=0.3, momentum=0.9, nesterov=True)),
        ({"optimizer": "sgd", "momentum": 0.0, "nesterov": True}, Rule(kind="sgd", weight_decay=0.3)),
        ({"optimizer": "rmsprop", "beta2": 0.9}, Rule(kind="rmsprop", weight_decay=0.3, beta2=0.9, momentum=0.9)),
        ({"optimizer": "adagrad"}, Rule(kind="adagrad", weight_decay=0.3)),
        ({"optimizer": "adam_then_sgd", "switch_at": 0.25, "switch_lr": 3.0},
         Rule(kind="adam_then_sgd", weight_decay=0.3, momentum=0.9, switch_step=25, switch_lr=3.0)),
    ],
)  # fmt: skip
def test_an_optimizers_settings_reach_its_rule(settings, rule):
    """A hundred steps; momentum only where the optimizer has one."""
    assert rule_of(Train(**settings), 100) == rule


def test_a_chain_of_schedules_runs_in_turn():
    """Half constant, a quarter cosine, a quarter linear: each from where it takes over."""
    train = Train(schedule="constant", chain=[{"at": 0.5, "kind": "cosine"}, {"at": 0.75, "kind": "linear"}])
    shares = rates(schedule_of(train), 8)
    np.testing.assert_allclose(shares[:4], 1.0)
    np.testing.assert_allclose(shares[4:6], rates(Schedule("cosine"), 2))
    np.testing.assert_allclose(shares[6:], rates(Schedule("linear"), 2))


def test_a_schedule_alone_has_its_own_numbers():
    """Warm-up, floor and decay."""
    train = Train(schedule="step", warmup=0.2, gamma=0.1, every=0.5, lr_floor=0.05)
    assert schedule_of(train) == Schedule("step", warmup=0.2, gamma=0.1, every=0.5, floor=0.05)


def test_bounds_and_penalties_of_0_are_none():
    """0 turns clipping off; other numbers are passed on."""
    assert (assigned().gradient.clip_norm, assigned().gradient.clip_value) == (math.inf, math.inf)
    own = assigned(clip_norm=2.0, clip_value=3.0, l1=0.5, decay_biases=False)
    assert (own.gradient.clip_norm, own.gradient.clip_value, own.gradient.l1) == (2.0, 3.0, 0.5)
    assert not own.decay_biases


def test_a_learning_rate_for_one_batch_size_grows_with_the_batch():
    """Twice the batch, twice the rate."""
    assert assigned(lr=0.1, batch_size=8).lr == 0.1
    assert assigned(lr=0.1, batch_size=8, lr_for_batch=4).lr == pytest.approx(0.2)


def test_a_loss_with_a_log_link_makes_a_network_of_logarithms():
    """So that judges and predictions take the exponential."""
    assert assigned(OWN_SCALE, loss="poisson").network.link == "log"
    assert assigned(loss="mse").network.link == "identity"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "poisson"}, f'train.loss = "poisson" needs {LOSSES["poisson"].needs}; {OWN}'),
        ({"loss": "quantile", "loss_parameter": 1.0},
         "train.loss_parameter = 1 is none for quantile, expected between 0 and 1"),
        ({"schedule": "coslog4", "warmup": 0.1},
         'train.warmup = 0.1 leads to the first rate of train.schedule = "coslog4", which is 0; leave it out'),
        ({"schedule": "piecewise", "milestones": [[0.5, 0.1], [0.2, 0.5]]},
         "train.milestones must come in order, found shares [0.5, 0.2]"),
        ({"chain": [{"at": 0.5, "kind": "cosine"}, {"at": 0.2, "kind": "cosine"}]},
         "train.chain must come in order, found [0.5, 0.2]"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said(settings, message):
    """Before anything is trained."""
    with pytest.raises(ConfigError) as raised:
        assigned(**settings)
    assert str(raised.value) == message


def test_negative_targets_have_no_logarithm_of_a_rate():
    """Poisson and Tweedie are of counts and amounts."""
    design = replace(OWN_SCALE, target=OWN_SCALE.target - 1000)
    with pytest.raises(ConfigError, match="needs values of at least 0"):
        assigned(design, loss="tweedie")
