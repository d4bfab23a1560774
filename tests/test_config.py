"""One typed tree from TOML, recipe, environment and options; every fault at once, each with its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config import key_lines, known_keys, load_config, value_at, with_values
from pipeline.errors import ConfigError
from pipeline.expectations import TEXTS
from pipeline.recipes import FAST, RECIPES
from pipeline.search_settings import Range, Search
from pipeline.settings import Config, FoldSettings, Preprocess, Schema, Target
from pipeline.time_settings import Time
from pipeline.training_settings import Model, Train

COMPETITIONS = Path(__file__).parent.parent / "competitions"


def faults_of(text, **options):
    with pytest.raises(ConfigError) as raised:
        load_config(text, file="c.toml", **options)
    return str(raised.value).splitlines()


# --- precedence and origins


def test_a_later_layer_overrides_an_earlier_one():
    """Default < recipe < file < environment < --set, one layer more each time, with the origin of the value."""
    default = Config().train.epochs
    assert default != RECIPES["textbook"]["train.epochs"]
    recipe = 'recipe = "textbook"\n'
    in_file = recipe + "[train]\nepochs = 7\n"
    environment = {"PIPELINE_TRAIN__EPOCHS": "8", "HOME": "/root"}
    for text, options, expected, origin in (
        ("", {}, default, "default"),
        (recipe, {}, 100, "recipe textbook"),
        (in_file, {}, 7, "c.toml:3"),
        (in_file, {"environment": environment}, 8, "environment PIPELINE_TRAIN__EPOCHS"),
        (in_file, {"environment": environment, "settings": ["train.epochs=9"]}, 9, "--set train.epochs"),
    ):
        resolved = load_config(text, file="c.toml", **options)
        assert (resolved.config.train.epochs, resolved.origins["train.epochs"]) == (expected, origin)


def test_fast_overrides_the_file_and_yields_to_the_environment_and_to_options():
    """A quick look at another setting must stay possible."""
    text = "[train]\nepochs = 7\n"
    fast = load_config(text, file="c.toml", fast=True)
    assert {key: value_at(fast.config, key) for key in FAST} == dict(FAST)
    assert fast.origins["train.epochs"] == "--fast"
    assert load_config(text, file="c.toml", fast=True, settings=["train.epochs=9"]).config.train.epochs == 9
    environment = {"PIPELINE_TRAIN__EPOCHS": "8"}
    assert load_config(text, file="c.toml", fast=True, environment=environment).config.train.epochs == 8


def test_an_option_may_choose_the_recipe():
    """Its presets then come in below the file's values."""
    resolved = load_config("[train]\nlr = 0.5\n", file="c.toml", settings=["recipe=textbook"])
    assert (resolved.config.model.kind, resolved.config.train.lr) == ("linear", 0.5)
    assert resolved.origins["recipe"] == "--set recipe"
    assert resolved.origins["model.kind"] == "recipe textbook"


def test_every_key_has_an_origin():
    """No key is left out of `config show --origin`."""
    assert set(load_config("", file="c.toml").origins) == set(known_keys())


@pytest.mark.parametrize(
    ("text", "value"),
    [("adam", "adam"), ('"adam"', "adam"), ("'adam'", "adam"), (" adam ", "adam")],
)
def test_a_bare_word_is_a_string(text, value):
    """Nobody quotes twice on a command line."""
    assert load_config("", file="c.toml", settings=[f"train.optimizer={text}"]).config.train.optimizer == value


def test_options_hold_lists_numbers_booleans_and_equal_signs():
    """The right side is TOML where it can be; only the first = separates."""
    settings = ["model.hidden=[64, 32]", "train.lr=1e-3", "train.refit=true", "schema.target=a=b", "train.epochs = 5"]
    config = load_config("", file="c.toml", settings=settings).config
    assert config.model.hidden == (64, 32)
    assert (config.train.lr, config.train.refit, config.roles.target) == (1e-3, "alone", "a=b")
    assert config.train.epochs == 5


@pytest.mark.parametrize(("written", "refit"), [("true", "alone"), ("false", "none"), ('"beside"', "beside")])
def test_true_and_false_are_words_for_refits(written, refit):
    """As of old; by themselves they are "auto"."""
    assert load_config("", file="c.toml", settings=[f"train.refit={written}"]).config.train.refit == refit
    assert load_config("", file="c.toml").config.train.refit == "auto"


def test_an_option_without_an_equal_sign_is_a_fault():
    """The exact sentence."""
    assert faults_of("", settings=["train.lr"]) == [
        "--set train.lr: expected section.key=value, for example --set train.lr=1e-3"
    ]


def test_a_later_option_wins_over_an_earlier_one():
    """As everywhere on a command line."""
    assert load_config("", file="c.toml", settings=["train.lr=1", "train.lr=2"]).config.train.lr == 2


# --- faults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n[train]\nlearnrate = 1\nepoch = 3\n", "c.toml:4: unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("[trian]\nlr = 1\n", "c.toml:2: unknown key 'trian.lr'; did you mean 'train.lr'?"),
        ("[train]\n\n\nwieght_decay = 1\n",
         "c.toml:4: unknown key 'train.wieght_decay'; did you mean 'train.weight_decay'?"),
        ("metrics = 'rmse'\n", "c.toml:1: unknown key 'metrics'; did you mean 'metric'?"),
        ("lr = 1\n", "c.toml:1: unknown key 'lr'; did you mean 'train.lr'?"),
        ("[xyzzy]\nq = 1\n",
         "c.toml:2: unknown key 'xyzzy.q'; `python -m pipeline config show` lists the known keys"),
        ("[train]\nepochs.x = 1\n", "c.toml:2: unknown key 'train.epochs.x'; did you mean 'train.epochs'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest_one_and_its_line(text, message):
    """Misspelt, in the wrong section, in no section, and like nothing at all."""
    assert message in faults_of(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nlr = 0\n", "c.toml:2: train.lr = 0: input should be greater than 0"),
        ("[train]\nlr = nan\n", "c.toml:2: train.lr = nan: input should be a finite number"),
        ('[train]\nepochs = "5"\n', "c.toml:2: train.epochs = '5': expected a whole number; TOML writes it 5"),
        ("[train]\nepochs = 5.0\n", "c.toml:2: train.epochs = 5.0: expected a whole number; TOML writes it 5"),
        ("[train]\nrefit = 1\n", "c.toml:2: train.refit = 1: input should be 'auto', 'none', 'alone' or 'beside'"),
        ("[train]\nshrink = 1\n", "c.toml:2: train.shrink = 1: expected true or false"),
        ('recipe = "clasic"\n', "c.toml:1: recipe = 'clasic': input should be 'classic', 'textbook' or 'window'"),
        ("[model]\nhidden = [8,\n  0]\n", "c.toml:2: model.hidden.1 = 0: input should be greater than or equal to 1"),
        ('[schema]\nid = "k"\ndrop = "a"\n', "c.toml:3: schema.drop = 'a': expected a list, such as [\"a\"]"),
        ('[preprocess]\ncalendar = ["year", "weekday"]\n',
         ("c.toml:2: preprocess.calendar.1 = 'weekday': input should be 'year', 'quarter', 'month', 'day', "
         "'day_of_week', 'day_of_year', 'week', 'is_weekend', 'hour', 'minute', 'elapsed_days', 'sin_year', "
         "'cos_year', 'sin_day' or 'cos_day'")),
        ("\n[preprocess]\ncomponents = 5\n",
         ('c.toml:3: [preprocess] components = 5 is for scaler = "pca_whiten", found "zscore"; set that, or '
          "components = 0")),
        ('[folds]\nkind = "grouped"\n',
         'c.toml:2: [folds] kind = "grouped" needs column, the column of the group or of the fold; name it'),
        ('recipe = "textbook"\n[folds]\ncolumn = "g"\n',
         'c.toml:3: [folds] column = "g" is for kind grouped, leave_one_group_out or column; set one'),
        ('[train]\nengine = "dask"\n',
         'c.toml:2: [train] engine = "dask" needs scheduler, its address; add --scheduler tcp://HOST:8786'),
        ('[train]\nscheduler = "tcp://h:1"\n',
         ('c.toml:2: [train] scheduler = "tcp://h:1" is for engine = "dask", found "local"; add --engine dask, or '
         '--scheduler "" to train without it')),
        ('[search.space]\n"train.lr" = {log = [1, 0.5]}\n',
         ("c.toml:1: search.space.train.lr = {'log': [1, 0.5]}: value error, the lower end must be below the upper "
         "one, found [1.0, 0.5]")),
        ('[search.space]\n"train.lrr" = {log = [0.1, 0.5]}\n',
         "c.toml:1: search.space has an unknown key 'train.lrr'; did you mean 'train.lr'?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_sentence_with_its_line(text, message):
    """The value found and what was expected; nothing is coerced."""
    assert faults_of(text) == [message]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.device=tpu", "'tpu': expected auto, cpu, cuda, or cuda:1 for the second GPU"),
        ("model.custom=competitions/my.py",
         ("'competitions/my.py': expected file.py:function or package.module:function, such as "
         "competitions/ideas.py:build")),
        ("model.hidden=16", "16: expected a list, such as [16]"),
        ("model.dropout=.99", "'.99': expected a number; TOML writes it 0.99"),
        ("train.lr=1.e-3", "'1.e-3': expected a number; TOML writes it 0.001"),
        ("train.lr=fast", "'fast': expected a number"),
        ("train.lr=-inf", "-inf: input should be a finite number"),
        ("train.epochs=2.5", "2.5: expected a whole number"),
        ("train.epochs='-inf'", "'-inf': expected a whole number"),
        ("schema.id=7", '7: expected a text, such as "7"'),
        ("schema.ordinal=7", "7: expected a table of keys and values"),
        ("search.space=7", "7: expected a table of keys and values"),
        ("kaggle=a b", "'a b': expected letters, digits and hyphens, as in the competition's address on kaggle.com"),
        ("raw=a/b", "'a/b': expected the name of one folder: letters, digits, _, . and -"),
        ("train.scheduler=a b", "'a b': expected an address without spaces, such as tcp://10.0.0.5:8786"),
    ],
)  # fmt: skip
def test_what_was_expected_is_said_in_words_for_people(setting, message):
    """No regular expression, no word of Python's; a number as TOML writes it."""
    key = setting.partition("=")[0]
    assert faults_of("", settings=[setting]) == [f"--set {key}: {key} = {message}"]


def test_every_pattern_has_words():
    """A text that does not look as it should is never answered with a regular expression."""
    fields = [field for model in (Config, Model, Train, Schema, Search, Time) for field in model.model_fields.values()]
    patterns = {p for field in fields for own in field.metadata if (p := getattr(own, "pattern", None))}
    assert patterns == set(TEXTS)


def test_all_faults_are_listed_at_once_each_with_its_own_origin():
    """Two in the file, one in the environment, two options."""
    found = faults_of(
        "[train]\nlr = -1\nepoch = 5\n",
        environment={"PIPELINE_FOLDS__COUNT": "1"},
        settings=["model.dropout=1", "model.dept=3"],
    )
    assert sorted(found) == [
        "--set model.dept: unknown key 'model.dept'; did you mean 'model.depth'?",
        "--set model.dropout: model.dropout = 1: input should be less than 1",
        "c.toml:2: train.lr = -1: input should be greater than 0",
        "c.toml:3: unknown key 'train.epoch'; did you mean 'train.epochs'?",
        "environment PIPELINE_FOLDS__COUNT: folds.count = 1: input should be greater than or equal to 2",
    ]


def test_text_that_is_no_toml_is_a_sentence():
    """With the parser's own line and column."""
    [message] = faults_of("[train\n")
    assert message.startswith("c.toml: not valid TOML: ")
    assert "line 1" in message


@pytest.mark.parametrize("seed", ["folds.seed=4294967296", "train.seed=9223372036854775808"])
def test_a_seed_beyond_what_its_generator_takes_is_a_fault(seed):
    """scikit-learn's KFold takes 32 bits, a job's key 63: more is the user's fault, not a traceback later."""
    key = seed.split("=")[0]
    assert faults_of("", settings=[seed])[0].startswith(f"--set {key}: {key} = ")


@pytest.mark.parametrize(
    "dimension", ['"model.dropout" = {uniform = [0.0, 1.5]}', '"train.epochs" = {uniform = [1.0, 9.0]}',
                  '"model.kind" = {choice = ["linear", "mpl"]}']
)  # fmt: skip
def test_a_search_range_outside_its_settings_limits_is_a_fault(dimension):
    """Found when the file is read, not at the first trial that draws a forbidden value."""
    key = dimension.split('"')[1]
    for message in faults_of(f"[search.space]\n{dimension}\n"):
        assert message.startswith(f"c.toml:1: search.space {key}: ")


@pytest.mark.parametrize("ranges", [{}, {"log": (0.1, 1.0), "uniform": (0.1, 1.0)}, {"log": (0.0, 1.0)},
                                    {"integer": (3, 3)}])  # fmt: skip
def test_a_search_dimension_is_exactly_one_rising_range(ranges):
    """None, two, a logarithm from 0, and a range of a single number."""
    with pytest.raises(ValidationError):
        Range(**ranges)


# --- lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = 1\n\n# b = 2\nc = 3\n", {"a": 1, "c": 4}),
        ("[s]\na = 1\n[s.t]\nb = 2\n[u]\nc = 3\n", {"s": 1, "s.a": 2, "s.t": 3, "s.t.b": 4, "u": 5, "u.c": 6}),
        ("a = [\n  1,\n  2,\n]\nb = 1\n", {"a": 1, "b": 5}),
        ("a = [[1, 2],\n  [3, 4],\n]\nb = 1\n", {"a": 1, "b": 4}),
        ("\"a\" = 1\n'b' = 2\n", {"a": 1, "b": 2}),
        ("s.a = 1\ns . b = 2\n", {"s.a": 1, "s.b": 2}),
        ("[ s ]\na=1 # = [ {\nb = 1\n", {"s": 1, "s.a": 2, "s.b": 3}),
        ('a = "x = [y" # [\nb = 1\n', {"a": 1, "b": 2}),
        ('a = ["x[", "y"]\nb = 1\n', {"a": 1, "b": 2}),
        ('a = "x\u2028y"\nb = 1\n', {"a": 1, "b": 2}),
        ('a = ["x#y"]\nb = 1\n', {"a": 1, "b": 2}),
        ("a = ['{']\nb = 1\n", {"a": 1, "b": 2}),
        ('a = "it\'s"\nb = 1 # don\'t [\nc = "\\"["\nd = 1\n', {"a": 1, "b": 2, "c": 3, "d": 4}),
        ("a = {x = 1, y = [1, 2]}\nb = 1\n", {"a": 1, "b": 2}),
        ("a = [\n  'b = 1', # c = 2 ]\n]\nd = 1\n", {"a": 1, "d": 4}),
    ],
)
def test_each_key_stands_on_its_line(text, lines):
    """Sections, lists over several lines, quoted keys; brackets, hashes and equal signs in texts and comments."""
    assert key_lines(text) == lines


# --- round trips

texts = st.text(st.characters(codec="utf-8"), max_size=9)
names = st.lists(st.text("abc Ä\"'\\#=[]", min_size=1, max_size=6), max_size=3).map(tuple)
positive = st.floats(1e-6, 1e6)
spaces = st.fixed_dictionaries({}, optional={
    "train.lr": st.tuples(st.floats(1e-6, 1), st.floats(2, 9)).map(lambda pair: Range(log=pair)),
    "model.depth": st.tuples(st.integers(1, 5), st.integers(6, 9)).map(lambda pair: Range(integer=pair)),
    "model.width": st.lists(st.integers(1, 512), min_size=1).map(lambda options: Range(choice=tuple(options))),
    "model.activation": st.just(Range(choice=("relu", "tanh"))),
    "model.dropout": st.floats(0.1, 0.9).map(lambda end: Range(uniform=(0.0, end))),
})  # fmt: skip
configs = st.builds(
    Config,
    recipe=st.sampled_from(["classic", "textbook", "window"]),
    metric=st.sampled_from(["rmse", "log_rmse"]),
    raw=st.text("ab1_.-", max_size=9),
    schema=st.builds(Schema, id=texts, target=texts, numeric=names, drop=names,
                     missing=names, row_share=st.floats(0.01, 1)),
    preprocess=st.builds(Preprocess, fit_on=st.sampled_from(["fold", "all"]), min_frequency=st.integers(1, 99)),
    target=st.builds(Target, transform=st.sampled_from(["auto", "log"]), standardize=st.booleans()),
    folds=st.builds(FoldSettings, count=st.integers(2, 99), shuffle=st.booleans(), seed=st.integers(0, 2**31)),
    model=st.builds(Model, kind=st.sampled_from(["linear", "mlp"]), dropout=st.floats(0, 0.99),
                    hidden=st.lists(st.integers(1, 999), max_size=3).map(tuple)),
    train=st.builds(Train, lr=positive, weight_decay=positive, epochs=st.integers(1, 10**5),
                   refit=st.sampled_from(["auto", "none", "alone", "beside"])),
    search=st.builds(Search, trials=st.integers(1, 99), space=spaces),
)  # fmt: skip


def toml_of(value):
    """TOML of one value; a JSON string is a TOML string but for one control character, None is left out."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(k)} = {toml_of(v)}" for k, v in value.items() if v is not None)
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_of, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@settings(max_examples=30)
@given(configs)
def test_a_config_survives_a_round_trip_through_toml(config):
    """Every key written to a file and read back: an equal tree, and each origin is a line of the file."""
    tree = config.model_dump(mode="json", by_alias=True)
    sections = {name: value for name, value in tree.items() if isinstance(value, dict)}
    lines = [f"{name} = {toml_of(value)}" for name, value in tree.items() if name not in sections]
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{leaf} = {toml_of(value)}" for leaf, value in section.items())]
    resolved = load_config("\n".join(lines), file="c.toml")
    assert resolved.config == config
    for key, origin in resolved.origins.items():
        line = lines[int(origin.removeprefix("c.toml:")) - 1]
        assert line.startswith(key.rsplit(".", 1)[-1] + " = ")


@settings(max_examples=30)
@given(configs)
def test_a_config_survives_a_round_trip_through_options(config):
    """Every key as a --set: an equal tree."""
    settings = [f"{key}={toml_of(_plain(value_at(config, key)))}" for key in known_keys()]
    assert load_config("", file="c.toml", settings=settings).config == config


def _plain(value):
    return {name: own.model_dump() for name, own in value.items()} if isinstance(value, dict) else value


@settings(max_examples=30)
@given(configs, st.floats(1e-5, 1), st.integers(1, 500))
def test_values_can_be_replaced_one_by_one(config, lr, width):
    """Only those change; a wrong one is refused."""
    changed = with_values(config, {"train.lr": lr, "model.width": width, "schema.target": "z"})
    assert (changed.train.lr, changed.model.width, changed.roles.target) == (lr, width, "z")
    back = {"train.lr": config.train.lr, "model.width": config.model.width, "schema.target": config.roles.target}
    assert with_values(changed, back) == config
    with pytest.raises(ValidationError):
        with_values(config, {"train.lr": -lr})


# --- what is shipped


@pytest.mark.parametrize("file", sorted(COMPETITIONS.glob("*.toml")), ids=lambda file: file.stem)
def test_a_shipped_competition_is_valid(file):
    """Every TOML in competitions/ loads, with a line for each key that it sets."""
    resolved = load_config(file.read_text(), file=file.name)
    assert resolved.origins["recipe"].startswith(f"{file.name}:")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_sets_only_known_keys_to_valid_values(name):
    """The same of --fast."""
    load_config(f'recipe = "{name}"\n', file="c.toml", fast=True)
    assert {*RECIPES[name], *FAST} <= set(known_keys())


def test_every_setting_says_what_it_is():
    """`config show` and the docs print these descriptions."""
    for model in (Schema, Preprocess, Target, FoldSettings, Model, Train, Search):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_a_config_cannot_be_changed():
    """Stages get it, nobody writes to it."""
    with pytest.raises(ValidationError):
        Config().train.lr = 1.0


def test_the_literal_metrics_are_those_of_the_table():
    """Settings stand on the floor below the metrics and name them once more; the two lists are one."""
    from typing import get_args

    from pipeline.settings import Config
    from pipeline.tabular.metrics import METRICS

    assert get_args(Config.model_fields["metric"].annotation) == tuple(METRICS)


def test_a_build_systems_variables_are_left_alone_and_ours_are_not():
    """PIPELINE_ID is none of ours; PIPELINE_TRAIN_LR is a setting with an underscore too few, and is told so."""
    assert (
        load_config("", file="x.toml", environment={"PIPELINE_ID": "77", "PIPELINE_URL": "u"}).config.metric == "rmse"
    )
    with pytest.raises(ConfigError, match="environment PIPELINE_TRAIN_LR: unknown key 'train_lr'; did you mean"):
        load_config("", file="x.toml", environment={"PIPELINE_TRAIN_LR": "0.1"})
