"""Typed tables -> folds and one design: all rows stored once, each fold's fitted state beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.stages.hindsight import look_back
from pipeline.tables import Design, Folds, Notice
from pipeline.tabular.bases import base_of, spread_of
from pipeline.tabular.calendars import calendar_column
from pipeline.tabular.extremes import far_out_notices
from pipeline.tabular.features import buckets_of, column_names, encode, fit_features, overlaid, vocabulary_of
from pipeline.tabular.metrics import metric_named
from pipeline.tabular.targets import TARGET_ABOVE, fit_target
from pipeline.tabular.values import drop_line
from pipeline.time_settings import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from pipeline.settings import FoldSettings, Preprocess, Target
    from pipeline.tables import Dataset, Encoded, FeatureState, Floats, Integers, TargetState

IDS_TOLD = 3  # of rows whose target a transform forbids


def preprocess(
    dataset: Dataset,
    *,
    preprocess: Preprocess,
    target: Target,
    folds: FoldSettings,
    metric: str,
    history: History | None = None,
) -> Design:
    """Split the training rows and fit each fold's statistics on its own training rows.

    With `fit_on = "all"` one fit on train and test features serves every fold (the textbook's way). With time, folds
    replay the layout of the test, and each sees the past without what it scores.
    Raises ConfigError when there are too few rows for the folds.
    """
    if dataset.timeline is not None and preprocess.fit_on == "all":
        raise ConfigError(
            'preprocess.fit_on = "all" would let statistics see what is to be forecast; with [time] set it to "fold"'
        )
    dataset = _without_fold_column(dataset, folds)
    past = look_back(
        dataset, folds, history or History(), transform_of(target, metric), target.difference, target.scale
    )
    split = past.folds
    numbers = {**numeric_columns([dataset.train, dataset.test], dataset, preprocess), **past.numbers}
    vocabulary = vocabulary_of(dataset.train, dataset.categorical)
    encoded = encode([dataset.train, dataset.test], numbers, dataset.categorical, vocabulary)
    encoded = replace(encoded, base=past.base, spread=past.spread)
    fitted_rows = [*split.train, np.arange(len(dataset.target))]
    of_files = tuple(numbers)[: len(numbers) - len(past.columns)]
    overlays = tuple(replace(own, columns=own.columns + len(numbers) - len(past.columns)) for own in past.overlays)
    # how each fit sees the rows, the one of all training rows last
    views = [*([overlaid(encoded, own) for own in overlays] or [encoded] * split.count), encoded]
    left_out = 0
    if preprocess.impute == "drop":
        fitted_rows, left_out = _without_gaps(fitted_rows, views)
        split = Folds(train=tuple(fitted_rows[:-1]), valid=split.valid)
    states = _fit_states(views, vocabulary, fitted_rows, preprocess)
    hashed = tuple(buckets_of(levels, preprocess) for levels in vocabulary)
    columns = _columns(states, tuple(numbers), dataset.categorical, hashed, preprocess)
    design = Design(
        rows=encoded,
        target=dataset.target,
        folds=split,
        refit_rows=fitted_rows[-1],
        numeric=tuple(numbers),
        categorical=dataset.categorical,
        vocabulary=vocabulary,
        states=states,
        target_states=(),
        columns=columns,
        hashed=hashed,
        dummy_na=preprocess.dummy_na,
        smooth_clip=preprocess.smooth_clip,
        overlays=overlays,
        taken=past.taken,
        naive=past.naive or {},
        valid_origins=past.origins,
        hidden=past.hidden,
        notices=(
            *past.notices,
            *far_out_notices(encoded, dataset, states, (*split.valid, fitted_rows[-1]), tuple(numbers), preprocess),
            *_notices(encoded, states[-1], dataset, of_files, preprocess, left_out),
            *_past_notices(encoded, past.columns),
            *_component_notices(states, preprocess),
        ),
    )
    return replace(design, target_states=_fit_targets(design, dataset, fitted_rows, target, metric))


def _columns(
    states: Sequence[FeatureState],
    numeric: tuple[str, ...],
    categorical: tuple[str, ...],
    hashed: tuple[int, ...],
    options: Preprocess,
) -> tuple[str, ...]:
    """Names of the matrix's columns, of which there has to be one."""
    if not (numeric or categorical):
        raise ConfigError(
            "no feature column is left for the matrix: dates become the parts that preprocess.calendar names and that "
            "vary, and a column of folds is none; name more parts, or keep more columns"
        )
    columns = column_names(states, numeric, categorical, hashed=hashed, dummy_na=options.dummy_na)
    if numeric and not columns:
        raise ConfigError(
            f'no column is left for the matrix: preprocess.scaler = "{options.scaler}" finds no numeric column that '
            f"varies on the rows it is fitted on; keep more columns, or choose another scaler"
        )
    return columns


def _without_fold_column(dataset: Dataset, folds: FoldSettings) -> Dataset:
    """A column that says which fold scores a row is no feature."""
    if folds.kind != "column":
        return dataset

    def features(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name != folds.column)

    return replace(
        dataset,
        numeric=features(dataset.numeric),
        categorical=features(dataset.categorical),
        dates=features(dataset.dates),
    )


def _without_gaps(fitted_rows: Sequence[Integers], views: Sequence[Encoded]) -> tuple[list[Integers], int]:
    """The rows of each fit without a number that is missing as it sees them, and how many training rows have one."""
    kept = [index[~np.isnan(view.numeric[index]).any(axis=1)] for view, index in zip(views, fitted_rows, strict=True)]
    left_out = len(fitted_rows[-1]) - len(kept[-1])
    if min(len(index) for index in kept) < 2:
        raise ConfigError(
            f'preprocess.impute = "drop" leaves a fold without training rows: {left_out} rows have a missing number; '
            f"choose zero, mean or median"
        )
    return kept, left_out


def _fit_states(
    views: Sequence[Encoded],
    vocabulary: Sequence[Sequence[str]],
    fitted_rows: Sequence[Integers],
    options: Preprocess,
) -> tuple[FeatureState, ...]:
    if options.fit_on == "all":
        shared = fit_features(views[-1], vocabulary, np.arange(len(views[-1].numeric)), options)
        return (shared,) * len(fitted_rows)
    pairs = zip(views, fitted_rows, strict=True)
    return tuple(fit_features(view, vocabulary, index, options) for view, index in pairs)


def transform_of(target: Target, metric: str) -> str:
    """What is done to the target before it is standardised."""
    return metric_named(metric).suggested_transform if target.transform == "auto" else target.transform


def _fit_targets(
    design: Design, dataset: Dataset, fitted_rows: Sequence[Integers], target: Target, metric: str
) -> tuple[TargetState, ...]:
    values = dataset.target
    transform = transform_of(target, metric)
    lowest = TARGET_ABOVE[transform]
    wrong = np.flatnonzero(values <= lowest)
    if len(wrong):
        few = ", ".join(f"{values[row]:g} for id {str(dataset.train_ids[row])!r}" for row in wrong[:IDS_TOLD])
        raise ConfigError(
            f"target.transform = {transform!r} needs targets above {lowest:g}, found {few} ({len(wrong)} such rows); "
            f'choose another: [target] transform = "yeojohnson", or "none"'
        )
    return tuple(
        fit_target(
            values[index],
            transform=transform,
            standardize=target.standardize,
            base=base_of(design, fold, index),
            spread=spread_of(design, fold, index),
        )
        for fold, index in enumerate(fitted_rows)
    )


def numeric_columns(
    frames: Sequence[pd.DataFrame], dataset: Dataset, options: Preprocess, names: Sequence[str] = ()
) -> Mapping[str, Sequence[Floats]]:
    """Numeric columns of each frame, the calendar's among them: those that vary, or those that are named."""
    columns: dict[str, Sequence[Floats]] = {
        name: [frame[name].to_numpy(dtype=np.float64) for frame in frames] for name in dataset.numeric
    }
    for name in dataset.dates:
        for part in options.calendar:
            # a column of that name in the files stays what it is
            label = f"{name}_{part}" if f"{name}_{part}" not in dataset.numeric else f"{name} ({part})"
            made = [calendar_column(frame[name], part) for frame in frames]
            varies = len(np.unique(made[0][~np.isnan(made[0])])) > 1
            if (label in names) if names else varies:
                columns[label] = made
    return columns


def _notices(
    encoded: Encoded,
    state: FeatureState,
    dataset: Dataset,
    numeric: Sequence[str],
    options: Preprocess,
    left_out: int,
) -> list[Notice]:
    notices = []
    if left_out:
        notices.append(Notice("training rows", "left out of training, for a number is missing in them", left_out))
    filled_with = {
        "zero": "filled with 0 after z-scoring, the training mean"
        if options.scaler in ("zscore", "pca_whiten")
        else "filled with 0 after scaling",
        "mean": "filled with the training mean",
    }.get(options.impute, "filled with the training median")
    for position, name in enumerate(numeric):
        count = int(np.isnan(encoded.numeric[:, position]).sum())
        if count:
            notices.append(Notice(name, f"missing numbers {filled_with}", count))
        if state.scale[position] == 0:
            fate = "its column is 0" if state.whitening is None else "no component holds it"
            text = f"constant on the training rows: {fate}; or leave it out: {drop_line(name)}"
            notices.append(Notice(name, text, len(dataset.target)))
        if state.log1p[position]:
            notices.append(Notice(name, "skewed: log(1 + x) is taken", len(dataset.target)))
            below = int((encoded.numeric[:, position] < 0).sum())
            if below:
                notices.append(Notice(name, "numbers below 0, of which training has none, are taken as 0", below))
    return [*notices, *_level_notices(state, dataset, options)]


def _past_notices(encoded: Encoded, columns: Sequence[str]) -> Iterator[Notice]:
    """Columns of the past are many and miss what nobody knew yet: one line for all."""
    if columns:
        missing = int(np.isnan(encoded.numeric[:, -len(columns) :]).sum())
        yield Notice("columns of the past", f"{len(columns)} made; cells of which nothing was known yet", missing)


def _level_notices(state: FeatureState, dataset: Dataset, options: Preprocess) -> Iterator[Notice]:
    for position, (name, levels) in enumerate(zip(dataset.categorical, state.levels, strict=True)):
        column = dataset.train[name].cat
        if buckets_of(list(column.categories), options):
            text = f"levels hashed into {options.hash_buckets} columns (preprocess.max_levels = {options.max_levels})"
            yield Notice(name, text, len(column.categories))
        elif state.grouped[position]:
            codes = column.codes.to_numpy()
            yield Notice(name, "rare levels share one column", len(np.unique(codes[codes >= 0])) - len(levels))


def _component_notices(states: Sequence[FeatureState], options: Preprocess) -> Iterator[Notice]:
    kept = [len(state.whitening.variance) for state in states if state.whitening is not None]
    last = states[-1].whitening
    if last is None or not len(last.centre):
        return
    asked = f" of {options.components} asked for" if options.components > kept[-1] else ""
    plural = "" if kept[-1] == 1 else "s"
    text = f"rotated to {kept[-1]} whitened component{plural}{asked}, with {last.share:.1%} of the variance"
    yield Notice("numeric columns", text, len(last.centre))
    fewer = sum(count < max(kept) for count in kept)
    if fewer:
        text = f"some fits have fewer than {max(kept)} components, {min(kept)} at least: the others are 0 there"
        yield Notice("numeric columns", text, fewer)
