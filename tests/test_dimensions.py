"""What a search may vary: kinds of keys and ranges, and a recipe's space beside whatever else is set."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import check_config, known_keys, load_config, value_at
from pipeline.dimensions import NOT_SEARCHED, faults_of_space
from pipeline.errors import ConfigError
from pipeline.recipes import RECIPES
from pipeline.search_settings import Range
from pipeline.stages.spaces import as_it_stands

KNOWN = list(known_keys())


def space_of(*options, text=""):
    """What holds beside these settings: dotted key -> kind and values."""
    space = load_config(text, file="c.toml", settings=options).config.search.space
    return {key: own.model_dump(exclude_none=True) for key, own in space.items()}


def fault_of(dimension):
    """The only fault of a space of one dimension."""
    with pytest.raises(ConfigError) as raised:
        load_config(f"[search.space]\n{dimension}\n", file="c.toml")
    return str(raised.value).removeprefix("c.toml:1: ")


# --- the recipes' spaces


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_a_space_of_its_own_that_holds_its_values(recipe):
    """So the first trial is the configuration as it stands, wholly; `config show --origin` names the recipe."""
    resolved = load_config(f'recipe = "{recipe}"\n[time]\ncolumn = "date"', file="c.toml")
    space = resolved.config.search.space
    assert resolved.origins["search.space"] == f"recipe {recipe}"
    assert {key: Range.model_validate(own) for key, own in RECIPES[recipe]["search.space"].items()} == space
    assert as_it_stands({key: value_at(resolved.config, key) for key in space}, space).keys() == space.keys()
    assert any(key.startswith("preprocess.") for key in space)


def test_the_textbooks_space_is_one_of_a_linear_model_on_raw_dollars():
    """No hidden layers; rates a thousand times those of a standardised target."""
    space = space_of("recipe=textbook")
    assert not any(key.startswith("model.") for key in space)
    assert space["train.lr"] == {"log": (0.5, 50.0)}
    assert 0.0 in space["train.weight_decay"]["choice"]


def test_what_is_made_of_the_past_is_searched_where_there_is_time():
    """Elsewhere such a dimension would do nothing."""
    key = "history.relative"
    assert key in space_of("recipe=window", text='[time]\ncolumn = "date"\n')
    assert not {key, "target.difference"} & set(space_of("recipe=window"))
    assert fault_of('"history.windows" = {choice = [24]}').startswith("search.space history.windows: is a list")


def test_a_space_of_the_users_replaces_the_recipes_as_a_whole():
    """One key there is all that varies, wherever it was set."""
    text = '[search.space]\n"train.lr" = {log = [0.1, 0.2]}\n'
    assert space_of(text=text) == {"train.lr": {"log": (0.1, 0.2)}}
    assert space_of('search.space={"model.depth" = {integer = [1, 2]}}') == {"model.depth": {"integer": (1, 2)}}


@pytest.mark.parametrize(
    ("options", "key", "expected"),
    [
        (["train.lr=0.1"], "train.lr", {"log": (1e-3, 0.1)}),
        (["train.lr=1e-5"], "train.lr", {"log": (1e-5, 5e-2)}),
        (["model.width=100"], "model.width", {"choice": (100, 64, 128, 256)}),
        (["model.dropout=0.7"], "model.dropout", {"uniform": (0.0, 0.7)}),
        (["preprocess.scaler=minmax"], "preprocess.scaler",
         {"choice": ("minmax", "zscore", "robust", "quantile_normal")}),
        (["train.batch_size=100"], "train.batch_size", {"choice": (100, 64, 128, 256)}),
        (["train.epochs=75"], "train.epochs", {"choice": (75, 150)}),
        (["train.epochs=3"], "train.epochs", None),
        (["recipe=textbook", "train.epochs=3"], "train.epochs", None),
        (["train.weight_decay=0"], "train.weight_decay", None),
        (["preprocess.scaler=pca_whiten", "preprocess.components=5"], "preprocess.scaler", None),
        (["model.hidden=[64, 32]"], "model.width", None),
        (["model.hidden=[64, 32]"], "model.depth", None),
        (["model.kind=linear"], "model.activation", None),
        (["model.kind=linear"], "train.lr", {"log": (1e-3, 5e-2)}),
        (["model.custom=m:f"], "model.dropout", None),
    ],
)  # fmt: skip
def test_a_recipes_space_is_made_to_hold_what_is_set(options, key, expected):
    """Widened, or left out where it does nothing, is forbidden, or could not hold it; never a fault of the user's."""
    assert space_of(*options).get(key) == expected


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {"recipe": st.sampled_from(sorted(RECIPES))},
        optional={
            "model.kind": st.sampled_from(["linear", "mlp"]),
            "model.hidden": st.sampled_from(["[]", "[9, 5]"]),
            "model.width": st.integers(1, 999),
            "model.dropout": st.floats(0, 0.99),
            "train.lr": st.floats(1e-9, 1e9),
            "train.weight_decay": st.floats(0, 10),
            "train.epochs": st.integers(1, 999),
            "preprocess.scaler": st.sampled_from(["minmax", "none", "pca_whiten"]),
        },
    )
)
def test_whatever_is_set_the_first_trial_is_the_configuration_as_it_stands(options):
    """Every dimension that is left holds the value that is set, and only values that are allowed."""
    resolved, faults = check_config("", file="c.toml", settings=[f"{key}={value}" for key, value in options.items()])
    config = resolved.config
    assert faults == []
    assert list(faults_of_space(config, KNOWN)) == []
    space = config.search.space
    assert as_it_stands({key: value_at(config, key) for key in space}, space).keys() == space.keys()
    assert "train.lr" in space


# --- kinds of keys


@pytest.mark.parametrize(
    "dimension",
    [
        '"train.batch_size" = {choice = [16, 32]}',
        '"train.epochs" = {integer = [50, 200]}',
        '"train.loss" = {choice = ["mse", "huber"]}',
        '"train.nesterov" = {choice = [true, false]}',
        '"train.beta2" = {uniform = [0.9, 0.999]}',
        '"train.lr" = {integer = [1, 5]}',
        '"model.kind" = {choice = ["linear", "mlp"]}',
        '"target.standardize" = {choice = [true, false]}',
        '"preprocess.smooth_clip" = {choice = [0, 3.0]}',
    ],
)
def test_numbers_texts_and_switches_may_be_searched(dimension):
    """In every section that a search may vary."""
    load_config(f"[search.space]\n{dimension}\n", file="c.toml")


def test_true_and_false_stay_what_they_are():
    """Not the numbers 1 and 0, which a switch would refuse."""
    space = space_of('search.space={"train.nesterov" = {choice = [true, false]}}')
    assert [type(one) for one in space["train.nesterov"]["choice"]] == [bool, bool]


@pytest.mark.parametrize(
    ("dimension", "sentence"),
    [
        ('"train.epochs" = {log = [50, 200]}',
         "search.space train.epochs: expected integer or choice, for it is a whole number"),
        ('"train.loss" = {uniform = [0, 1]}', "search.space train.loss: expected choice, for it is a text"),
        ('"train.nesterov" = {integer = [0, 1]}',
         "search.space train.nesterov: expected choice, for it is true or false"),
        ('"train.loss" = {choice = ["mse", "mean"]}',
         ("search.space train.loss: 'mean': input should be 'mse', 'mae', 'huber', 'log_cosh', 'quantile', 'relative', "
         "'poisson' or 'tweedie'")),
        ('"train.batch_size" = {choice = [32.0]}',
         "search.space train.batch_size: 32.0: expected a whole number; TOML writes it 32"),
        ('"model.hidden" = {choice = ["[64]"]}',
         ("search.space model.hidden: is a list, and a search varies single numbers, texts, and true or false; vary "
         "model.width, model.depth and model.shape")),
        ('"preprocess.calendar" = {choice = ["year"]}',
         "search.space preprocess.calendar: is a list, and a search varies single numbers, texts, and true or false"),
        ('"model.hidden" = {choice = [[64], [32]]}',
         ("search.space.model.hidden.choice = [[64], [32]]: value error, choices are one or more numbers, texts, or "
         "true and false, found [[64], [32]]")),
        ('"model.width" = {choice = []}',
         ("search.space.model.width.choice = []: value error, choices are one or more numbers, texts, or true and "
         "false, found []")),
        ('"train.seeds" = {integer = [1, 3]}',
         ("search.space has 'train.seeds', which is never searched: a search varies what a network is and learns by, "
             "in [model], [train], [preprocess], [history] and [target], not where, how often or on which rows it is "
             "trained")),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_a_sentence(dimension, sentence):
    """When the file is read; with the kind of range that would do, or what to vary instead."""
    assert fault_of(dimension) == sentence


@pytest.mark.parametrize("key", [*sorted(NOT_SEARCHED), "folds.count", "schema.row_share", "search.trials"])
def test_keys_that_are_never_searched_are_refused(key):
    """Whatever the range."""
    assert f"'{key}', which is never searched" in fault_of(f'"{key}" = {{integer = [1, 3]}}')
