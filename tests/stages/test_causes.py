"""The table of causes, rule by rule: what is recognised, what is not, and the line that mends it."""

import math

import pytest
from builders import design_of, generated_dataset

from pipeline.config import load_config
from pipeline.engine.diagnosis import Fault, LargeInput
from pipeline.recipes import RECIPES
from pipeline.settings import Preprocess, Target
from pipeline.stages.causes import CAUSES, Cause, cause_of
from tests.stages.failing import AGE, AREA, COLOUR, DESIGN, case, states

DEEP_MODEL = {"depth": 6}
PLAIN_TARGET = design_of(generated_dataset(), target=Target(standardize=False))
UNSCALED = design_of(generated_dataset(), preparation=Preprocess(scaler="none"))
WHITENED = design_of(generated_dataset(), preparation=Preprocess(scaler="pca_whiten"))
GROWING = states(3.0, 9.0, 27.0, 81.0, 243.0, 729.0, 1e25)  # three times a layer

# (a case, part of the cause's name, part of the numbers, the remedy)
KNOWN = {
    "NaN in a column": (
        case("inputs", -1, inputs=(LargeInput(AGE, math.nan),)), "input that is not finite", "'age' holds nan",
        '[schema] drop = ["age"]',
    ),
    "inf in a level's column": (
        case("inputs", -1, inputs=(LargeInput(COLOUR, -math.inf),)), "not finite", "'colour_blue' holds -inf",
        '[schema] drop = ["colour"]',
    ),
    "the logarithm of a negative target": (
        case("target", -1, target_rms=math.nan), "target that its transform does not allow", "logarithm of a negative",
        '[target] transform = "yeojohnson"',
    ),
    "unscaled inputs": (
        case(design=UNSCALED, inputs=(LargeInput(AREA, -5e4),)), "not scaled", "'area' is -5e+04",
        '[preprocess] scaler = "zscore"',
    ),
    "a constant column divided by its rounding": (
        case(inputs=(LargeInput(AGE, 1e9),)), "spread of next to nothing", "'age' hardly varies",
        '[schema] drop = ["age"]',
    ),
    "one value far out": (
        case(inputs=(LargeInput(AREA, 2e4), LargeInput(AGE, 1e3))), "far out", "'area' is 2e+04 after scaling",
        "[preprocess] smooth_clip = 3",
    ),
    "a component far out": (
        case(design=WHITENED, inputs=(LargeInput(0, 2e4),)), "far out", "(mostly '", "[preprocess] smooth_clip = 3",
    ),
    "a target that sgd cannot bear": (
        case(design=PLAIN_TARGET, train={"optimizer": "sgd", "lr": 1e-3}, target_rms=100.0, largest_target=150.0),
        "target that is not scaled", "around 100 and up to 150", "[target] standardize = true",
    ),
    "a target beyond squares": (
        case(design=PLAIN_TARGET, target_rms=1e20, largest_target=1e21), "target that is not scaled", "1e+20",
        "[target] standardize = true",
    ),
    "a standardised target with values far out": (
        case(train={"optimizer": "sgd", "lr": 1e-3}, target_rms=2e3, largest_target=9e3), "target values far out",
        "around 2e+03", '[target] transform = "quantile"',
    ),
    "numbers beyond fp16": (
        case("hidden", 1, train={"precision": "fp16"}, layers=states(10.0, 7e4, 1e5)), "fp16", "1e+05",
        '[train] precision = "fp32"',
    ),
    "a loss that is undefined here": (
        case(train={"loss": "relative"}, layers=states(1.0, 1.0, 2.0)), "loss that does not go with", '"relative"',
        '[train] loss = "mse"',
    ),
    "a slope that is undefined here": (
        case("gradient", 2, layers=states(1.0, 1.0, 2.0)), "loss that does not go with", "outputs around 2",
        '[train] loss = "huber"',
    ),
    "a switch to sgd": (
        case(train={"optimizer": "adam_then_sgd", "epochs": 10, "switch_lr": 20.0}, epoch=7), "too high for sgd",
        "20 times Adam's", "[train] switch_lr = 2",
    ),
    "a learning rate of a million": (
        case(train={"lr": 1e6}, layers=states(1e6, 1e13, 1e25, growth=3e7)), "learning rate that is too high",
        "train.lr is 1e+06, and the weights of layer 1 are 3e+07 times as large", "[train] lr = 0.004",
    ),
    "the same before anything has grown": (
        case(train={"lr": 1e6}, layers=states(1.0, 1.0, 1e25)), "learning rate that is too high", "train.lr is 1e+06",
        "[train] lr = 0.004",
    ),
    "the same with weights that are no numbers": (
        case("weights", 0, train={"lr": 1e6}), "learning rate that is too high", "1e+06", "[train] lr = 0.004",
    ),
    "a learning rate a little too high": (
        case(train={"lr": 0.02}, layers=states(1e3, 1e9, 1e20, growth=40.0)), "learning rate that is too high", "0.02",
        "[train] lr = 0.002",
    ),
    "first weights of standard deviation 1": (
        case(model=DEEP_MODEL | {"init": "normal", "init_scale": 1.0}, begun=GROWING, start=Fault("loss", 6)),
        "begin too wide for the depth", "init_scale 1 makes values grow 3 times from each of 6 hidden layers",
        '[model] init = "kaiming_normal"',
    ),
    "the same under tanh": (
        case(model={"depth": 7, "init": "uniform", "activation": "tanh"}, begun=GROWING, train={"lr": 0.02}),
        "begin too wide for the depth", '"uniform"', '[model] init = "xavier_normal"',
    ),
    "first weights too wide, whatever the learning rate": (
        case(model=DEEP_MODEL | {"init": "normal"}, begun=GROWING, start=Fault("loss", 6), train={"lr": 1e6}),
        "begin too wide for the depth", "3 times", '[model] init = "kaiming_normal"',
    ),
    "the same when the first step has thrown the weights away": (
        case("hidden", 1, model=DEEP_MODEL | {"depth": 7, "init": "normal"}, begun=GROWING, train={"lr": 1.0},
             layers=states(1e26, 1e52, 1e78, growth=1e28)),
        "begin too wide for the depth", "grow 3 times from each of 7 hidden", '[model] init = "kaiming_normal"',
    ),
    "two layers of wide weights at a usual rate": (
        case("weights", 0, model={"init": "normal"}, begun=states(8.0, 64.0, 500.0)), "begin too wide", "8 times",
        '[model] init = "kaiming_normal"',
    ),
    "the same at a rate that is far too high": (
        case("weights", 0, model={"init": "normal"}, begun=states(8.0, 64.0, 500.0), train={"lr": 1e6}),
        "learning rate that is too high", "1e+06", "[train] lr = 0.004",
    ),
    "depth without normalisation": (
        case(model=DEEP_MODEL, layers=GROWING), "depth that makes values explode",
        "in 6 hidden layers without normalisation, values grow 3 times from one to the next, after 4 steps",
        '[model] norm = "layer"',
    ),
    "the same with layers beyond all numbers": (
        case(model=DEEP_MODEL, layers=states(1.0, 1e90, 1e180, math.inf, math.inf, math.inf, math.inf)),
        "depth that makes values explode", "grow 1e+90 times from one to the next, until they overflow, after 4 steps",
        '[model] norm = "layer"',
    ),
    "the same from the first step on": (
        case(model=DEEP_MODEL, layers=states(1e26, 1e52, 1e78), begun=GROWING, start=Fault("loss", 6), train={"lr": 1}),
        "depth that makes values explode", "grow 3 times from one to the next, already before anything is learned",
        '[model] norm = "layer"',
    ),
    "gradients that overflow": (
        case("gradient", 0, layers=states(1.0, 1.0, 1e8)), "gradients that explode", "not a high one",
        "[train] clip_norm = 1",
    ),
    "weights thrown away at an ordinary rate": (
        case("weights", 1), "gradients that explode", "0.004", "[train] clip_norm = 1",
    ),
    "the same with normalisation": (
        case(model=DEEP_MODEL | {"norm": "layer"}, layers=GROWING), "gradients that explode", "0.004",
        "[train] clip_norm = 1",
    ),
    "the same although clipped": (
        case("weights", 1, train={"clip_norm": 0.5}), "gradients that explode", "and clipped", "[train] lr = 0.0004",
    ),
    "nothing that is known": (
        case(layers=states(1.0, 1.0, 1e8)), "none of the causes", "learning rate 0.004, outputs around 1e+08",
        "[train] lr = 0.0004 and clip_norm = 1, and see whether --set model.kind=linear fails too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_each_cause_is_named_with_its_numbers_and_the_line_that_mends_it(name):
    """One case for each rule, and for each of its ways out."""
    failed, called, numbers, remedy = KNOWN[name]
    found = cause_of(failed)
    assert called in found.name
    assert numbers in found.evidence
    assert found.remedy == remedy


def test_every_rule_of_the_table_decides_some_case():
    """No rule is dead: each is the first to recognise one of the cases above."""
    deciding = {next((rule for rule in CAUSES if rule(failed)), None) for failed, *_ in KNOWN.values()}
    assert deciding == {*CAUSES, None}


@pytest.mark.parametrize(
    "failed",
    [
        case(inputs=(LargeInput(AREA, 900.0),)),
        case(inputs=()),
        case(design=PLAIN_TARGET, target_rms=100.0, largest_target=150.0),
        case(design=PLAIN_TARGET, train={"optimizer": "sgd", "loss": "poisson"}, target_rms=100.0),
        case(train={"optimizer": "sgd"}, target_rms=100.0, largest_target=900.0),
        case(model=DEEP_MODEL, layers=states(*(1.5**layer for layer in range(6)), 1e8)),
        case(train={"precision": "bf16"}, layers=states(10.0, 7e4, 1e8)),
        case(train={"optimizer": "adam_then_sgd", "epochs": 10}, epoch=6),
        case(train={"lr": 0.03}),
        case(layers=states(1.0, 1.0, 1e8, growth=5.0), train={"lr": 0.03}),
        case(layers=states(1.0, 3.0, 1e8)),
    ],
    ids=[
        "z of 900",
        "no inputs",
        "adam, raw target",
        "rates",
        "sgd",
        "depth",
        "bf16",
        "before the switch",
        "lr",
        "weights",
        "growth",
    ],
)
def test_what_is_ordinary_is_no_cause(failed):
    """Just inside each limit: honest ignorance instead of a wrong guess."""
    assert "none of the causes" in cause_of(failed).name


def test_the_first_rule_that_matches_is_told():
    """An input of 1e9 explains more than the learning rate that it was met with."""
    failed = case(train={"lr": 1e6}, inputs=(LargeInput(AGE, 1e9),), layers=states(1e9, 1e15, 1e30, growth=1e7))
    assert "next to nothing" in cause_of(failed).name


@pytest.mark.parametrize(
    ("train", "target_rms", "lr"),
    [
        ({"lr": 1e6, "optimizer": "sgd"}, 1.0, "0.05"),
        ({"lr": 1e6, "optimizer": "adam"}, 1.0, "0.004"),
        ({"lr": 1e6, "optimizer": "adam"}, 3.0, "0.004"),
        ({"lr": 1e6, "optimizer": "adam"}, 2e5, "800"),
        ({"lr": 1e6, "lr_for_batch": 4, "batch_size": 8}, 1.0, "0.002"),
        ({"lr": 0.05}, 1.0, "0.004"),
    ],
    ids=str,
)
def test_the_suggested_rate_is_usual_for_optimizer_batch_and_target(train, target_rms, lr):
    """Adam's steps must reach a target of 200,000; a rate that grows with the batch is set for the smaller one."""
    failed = case(train=train, target_rms=target_rms, design=PLAIN_TARGET, layers=states(1e6, 1e13, 1e25, growth=3e7))
    if train.get("optimizer") == "sgd":
        failed = case(train=train, target_rms=target_rms, layers=states(1e6, 1e13, 1e25, growth=3e7))
    assert cause_of(failed) == Cause(cause_of(failed).name, cause_of(failed).evidence, f"[train] lr = {lr}")


@pytest.mark.parametrize(("lr", "is_blamed"), [(RECIPES["classic"]["train.lr"], False), (0.03, True)])
def test_weights_that_ran_away_are_laid_to_a_rate_only_if_no_recipe_has_it(lr, is_blamed):
    """The classic recipe's rate is above the usual one."""
    failed = case(train={"lr": lr}, layers=states(1e6, 1e13, 1e25, growth=3e7))
    assert ("learning rate" in cause_of(failed).name) is is_blamed


@pytest.mark.parametrize("name", KNOWN)
def test_every_remedy_is_accepted_by_the_config(name):
    """The line is pasted into a config as it stands: known section, known key, allowed value."""
    remedy = cause_of(KNOWN[name][0]).remedy.partition(", and see")[0]
    section, _, settings = remedy.partition("] ")
    lines = settings.replace(", or ", "\n").replace(" and ", "\n")
    text = f'metric = "rmse"\n{section}]\n{lines}\n'
    resolved = load_config(text, file="test.toml", environment={}, settings=[], fast=False)
    assert any("test.toml" in str(origin) for origin in resolved.origins.values())


def test_a_refit_is_judged_by_its_own_fit():
    """Fold 3 of three means all rows: its scaling is the last of the design's."""
    assert DESIGN.folds.count == 3
    refit = case(job=KNOWN["unscaled inputs"][0].job.__class__(0, 3, 0), inputs=(LargeInput(AREA, 5e4),))
    assert "far out" in cause_of(refit).name
