"""Named sets of defaults. A recipe overrides the classes' defaults; the file, environment and --set override it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RECIPES: Mapping[str, Mapping[str, object]] = {
    # Dive into Deep Learning, section "Predicting House Prices on Kaggle": one linear layer on raw dollars
    "textbook": {
        "schema.missing": ("", "NA"),
        "preprocess.fit_on": "all",
        "target.transform": "none",
        "target.standardize": False,
        "folds.shuffle": False,
        "model.kind": "linear",
        "model.dropout": 0.0,
        "train.optimizer": "adam",
        "train.lr": 5.0,
        "train.weight_decay": 0.0,
        "train.schedule": "constant",
        "train.epochs": 100,
        "train.restore_best": False,
        "train.refit": True,
    },
    # two hidden layers, decoupled weight decay, dropout, one cycle, best epoch, a bag of seeds
    "classic": {
        "preprocess.min_frequency": 5,
        "model.activation": "silu",
        "train.seeds": 5,
    },
}
# `--fast`: does it run at all?
FAST: Mapping[str, object] = {
    "schema.row_share": 0.1,
    "folds.count": 2,
    "train.epochs": 3,
    "train.seeds": 1,
    "search.trials": 2,
}
