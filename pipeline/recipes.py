"""Named sets of defaults. A recipe overrides the classes' defaults; the file, environment and --set override it.

Each has a space to search, which holds its own values; `dimensions.fitting_space` fits it to what else is set.
"""

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
        "train.refit": "alone",
        # the choices of weight decay hold none at all, which no range in the logarithm can
        "search.space": {
            "train.lr": {"log": (0.5, 50.0)},
            "train.weight_decay": {"choice": (0.0, 0.01, 0.1, 1.0)},
            "train.epochs": {"choice": (50, 100, 200)},
            "train.batch_size": {"choice": (32, 64, 128)},
            "preprocess.scaler": {"choice": ("zscore", "robust", "quantile_normal")},
        },
    },
    # three hidden layers, Huber's loss, a high rate in one cycle, dropout, decoupled weight decay, best epoch, a bag of
    # seeds (docs/decisions/004)
    "classic": {
        "preprocess.min_frequency": 5,
        "preprocess.clip_unseen": True,
        "model.activation": "silu",
        "model.depth": 3,
        "model.dropout": 0.3,
        "train.loss": "huber",
        "train.lr": 1.5e-2,
        "train.weight_decay": 0.1,
        "train.batch_size": 128,
        "train.seeds": 5,
        # larger batches and shorter trainings than the recipe's own cost a fraction and may score as well
        "search.space": {
            "train.lr": {"log": (1e-3, 5e-2)},
            "train.weight_decay": {"log": (1e-2, 1.0)},
            "train.batch_size": {"choice": (64, 128, 256)},
            "train.epochs": {"choice": (75, 150)},
            "train.loss": {"choice": ("mse", "huber")},
            "model.width": {"choice": (64, 128, 256)},
            "model.depth": {"choice": (1, 2, 3)},
            "model.dropout": {"uniform": (0.0, 0.6)},
            "model.activation": {"choice": ("relu", "silu", "gelu")},
            "preprocess.scaler": {"choice": ("zscore", "robust", "quantile_normal")},
        },
    },
    # time series, up to many seasons ahead: what ridge regression on the lag window forecasts, and a residual network
    # that sees changes and no levels, so that it does not believe in the levels of its training rows
    "window": {
        "target.difference": "ridge",
        "history.relative": True,
        "history.phase_mean": False,
        "preprocess.clip_unseen": True,
        "preprocess.smooth_clip": 3.0,
        "model.width": 256,
        "model.depth": 5,
        "model.residual": 2,
        "model.activation": "gelu",
        "model.dropout": 0.1,
        "train.loss": "huber",
        "train.loss_parameter": 0.5,
        "train.lr": 3e-4,
        "train.weight_decay": 1e-2,
        "train.schedule": "cosine",
        "train.warmup": 0.1,
        "train.clip_norm": 1.0,
        "train.batch_size": 512,
        "train.epochs": 10,
        "train.seeds": 3,
        "train.shrink": True,
        # refits train to their end, and how much of them is kept is seen on folds that do so too
        "train.refit": "alone",
        "train.restore_best": False,
        "search.space": {
            "train.lr": {"log": (1e-4, 3e-3)},
            "train.weight_decay": {"log": (1e-3, 1.0)},
            "train.batch_size": {"choice": (256, 512, 1024)},
            "train.epochs": {"choice": (5, 10, 20)},
            "model.width": {"choice": (64, 128, 256)},
            "model.dropout": {"uniform": (0.0, 0.5)},
            "preprocess.scaler": {"choice": ("zscore", "robust", "quantile_normal")},
            "history.relative": {"choice": (True, False)},
            "target.difference": {"choice": ("ridge", "last")},
        },
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
