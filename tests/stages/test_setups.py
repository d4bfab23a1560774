"""What a trial may change, and the design that follows from it."""

import pytest
from builders import generated_dataset, on_cpu
from panels import panel

from pipeline.errors import ConfigError
from pipeline.search_settings import Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.assignments import hidden_widths
from pipeline.stages.setups import BENCHES_HELD, Benches, Quest, Setup
from pipeline.training_settings import Model, Train

BASE = Setup(Preprocess(), Target(), Model(width=4, depth=1), Train(epochs=2, batch_size=16))


@pytest.fixture
def benches():
    folds = FoldSettings(count=3)
    return Benches(Quest(generated_dataset(), BASE, Search(), folds, "rmse", on_cpu()), folds)


def test_values_replace_those_of_their_sections_and_are_validated():
    """A network's, a training's and a matrix's."""
    setup = BASE.with_values({"model.dropout": 0.5, "train.epochs": 9, "preprocess.scaler": "minmax"})
    assert (setup.model.dropout, setup.train.epochs, setup.preprocess.scaler) == (0.5, 9, "minmax")
    assert (setup.model.width, setup.target) == (4, BASE.target)
    with pytest.raises(ConfigError, match="greater than or equal to 1"):
        BASE.with_values({"train.epochs": 0})


def test_values_that_do_not_go_together_are_a_sentence():
    """Each is one of its own range: components are of one scaler only."""
    with pytest.raises(ConfigError, match='components = 3 is for scaler = "pca_whiten", found "minmax"'):
        BASE.with_values({"preprocess.scaler": "minmax", "preprocess.components": 3})


def test_a_searched_width_replaces_an_explicit_list_of_layers():
    """`hidden` would silently win over width and depth otherwise."""
    base = Setup(BASE.preprocess, BASE.target, Model(hidden=(7, 5, 3)), BASE.train)
    assert hidden_widths(base.with_values({"model.width": 2, "model.depth": 2}).model) == (2, 2)
    assert hidden_widths(base.with_values({"model.dropout": 0.1}).model) == (7, 5, 3)


def test_every_dotted_key_has_its_value():
    """Those that the space may name."""
    assert BASE.values["train.epochs"] == 2
    assert BASE.values["preprocess.scaler"] == "zscore"
    assert not any(key.startswith("start") for key in BASE.values)


def test_setups_that_are_preprocessed_alike_share_a_bench(benches):
    """Another lr needs no other rows; another scaler does."""
    first = benches.of(BASE)
    assert benches.of(BASE.with_values({"train.lr": 0.5})) is first
    scaled = benches.of(BASE.with_values({"preprocess.scaler": "minmax"}))
    assert first.blocks.matrix.min() < -1 < scaled.blocks.matrix.min()
    assert benches.starts_of(BASE) == first.blocks.start


def test_the_past_may_be_made_in_another_way():
    """Of time series: what is made of it, and what of it is taken from the target."""
    folds = FoldSettings(count=2)
    own = Benches(Quest(panel(), BASE, Search(), folds, "mae", on_cpu()), folds)
    plain, relative = (own.design_of(BASE.with_values({"history.relative": one})) for one in (False, True))
    assert set(plain.numeric) - set(relative.numeric) == {"y, at origin", "y, latest known"}
    assert own.design_of(BASE.with_values({"target.difference": "season"})).taken.name == "y, season 7"


def test_only_the_last_few_benches_stay_on_the_device(benches):
    """The one used longest ago goes; its design stays."""
    scalers = ["zscore", "minmax", "robust"]
    assert len(scalers) > BENCHES_HELD
    setups = [BASE.with_values({"preprocess.scaler": scaler}) for scaler in scalers]
    first, second = benches.of(setups[0]), benches.of(setups[1])
    assert benches.of(setups[0]) is first
    benches.of(setups[2])
    assert benches.of(setups[0]) is first
    again = benches.of(setups[1])
    assert again is not second
    assert again.design is second.design


def test_a_transform_that_the_target_forbids_is_a_sentence(benches):
    """As it would be without a search."""
    below = generated_dataset()
    below.target[0] = -1e6
    folds = FoldSettings(count=3)
    with pytest.raises(ConfigError):
        Benches(Quest(below, BASE, Search(), folds, "rmse", on_cpu()), folds).design_of(
            BASE.with_values({"target.transform": "log"})
        )
