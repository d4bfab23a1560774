"""Typed tables -> folds and one design: all rows stored once, each fold's fitted state beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import ConfigError
from pipeline.tables import Design, Encoded, Notice
from pipeline.tabular.features import column_names, encode, fit_features, take, vocabulary_of
from pipeline.tabular.metrics import metric_named
from pipeline.tabular.splits import k_folds
from pipeline.tabular.targets import TARGET_ABOVE, fit_target

if TYPE_CHECKING:
    from pipeline.settings import FoldSettings, Preprocess, Target
    from pipeline.tables import Dataset, FeatureState


def preprocess(dataset: Dataset, *, preprocess: Preprocess, target: Target, folds: FoldSettings, metric: str) -> Design:
    """Split the training rows and fit each fold's statistics on its own training rows.

    With `fit_on = "all"` one fit on train and test features serves every fold (the textbook's way).
    Raises ConfigError when there are too few rows for the folds.
    """
    rows = len(dataset.target)
    split = k_folds(rows, count=folds.count, shuffle=folds.shuffle, seed=folds.seed)
    everything = pd.concat([dataset.train, dataset.test], ignore_index=True)
    vocabulary = vocabulary_of(everything, dataset.categorical)
    encoded = encode(everything, dataset.numeric, dataset.categorical, vocabulary)
    fitted_rows = [*split.train, np.arange(rows)]
    if preprocess.fit_on == "all":
        shared = fit_features(encoded, vocabulary, min_frequency=preprocess.min_frequency)
        states = [shared] * len(fitted_rows)
    else:
        states = [
            fit_features(take(encoded, index), vocabulary, min_frequency=preprocess.min_frequency)
            for index in fitted_rows
        ]
    transform = metric_named(metric).suggested_transform if target.transform == "auto" else target.transform
    _check_transform(dataset, transform)
    target_states = [
        fit_target(dataset.target[index], transform=transform, standardize=target.standardize) for index in fitted_rows
    ]
    return Design(
        rows=encoded,
        target=dataset.target,
        folds=split,
        numeric=dataset.numeric,
        categorical=dataset.categorical,
        vocabulary=vocabulary,
        states=tuple(states),
        target_states=tuple(target_states),
        columns=column_names(states, dataset.numeric, dataset.categorical, dummy_na=preprocess.dummy_na),
        dummy_na=preprocess.dummy_na,
        smooth_clip=preprocess.smooth_clip,
        notices=tuple(_notices(encoded, states[-1], dataset)),
    )


def _check_transform(dataset: Dataset, transform: str) -> None:
    lowest = TARGET_ABOVE[transform]
    wrong = dataset.target[dataset.target <= lowest]
    if len(wrong):
        raise ConfigError(
            f"target.transform = {transform!r} needs targets above {lowest:g}, found {wrong[0]:g} ({len(wrong)} such "
            f"rows); choose another transform, for example none"
        )


def _notices(encoded: Encoded, state: FeatureState, dataset: Dataset) -> list[Notice]:
    notices = []
    filled = np.isnan(encoded.numeric).sum(axis=0)
    for name, count, scale in zip(dataset.numeric, filled, state.scale, strict=True):
        if count:
            notices.append(Notice(name, "missing numbers filled with 0 after z-scoring, the training mean", int(count)))
        if scale == 0:
            notices.append(Notice(name, "constant on the training rows: its column is 0", len(dataset.target)))
    for position, (name, levels) in enumerate(zip(dataset.categorical, state.levels, strict=True)):
        if state.grouped[position]:
            present = set(dataset.train[name].dropna().unique())
            notices.append(Notice(name, "rare levels share one column", len(present - set(levels))))
    return notices
