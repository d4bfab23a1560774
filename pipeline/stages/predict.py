"""Trained networks and new rows -> predictions in the target's own scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from pipeline.errors import DataError
from pipeline.stages.hindsight import further_base, further_past, further_spread, levels_in
from pipeline.stages.learners import DTYPES, outputs_of
from pipeline.stages.preprocess import numeric_columns
from pipeline.tables import Notice
from pipeline.tabular.bases import predictions_of
from pipeline.tabular.cells import Levels
from pipeline.tabular.columns import apply_column
from pipeline.tabular.features import MISSING, encode, matrix_for
from pipeline.tabular.layout import check_test_ids, ids_of
from pipeline.tabular.past import forecast_origins
from pipeline.tabular.timelines import stamp_table
from pipeline.tabular.values import as_categories, made_of
from pipeline.time_settings import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.fits import Bag
    from pipeline.settings import Preprocess, Schema
    from pipeline.tables import (
        Column,
        Compute,
        Dataset,
        Design,
        Encoded,
        Floats,
        Integers,
        RawTable,
        Taken,
        Texts,
    )


def predict(design: Design, bag: Bag, rows: Encoded, compute: Compute) -> Floats:
    """Mean over networks [R], each with its vote.

    Training and the `predict` command both come through here, so that the same rows give the same bytes.
    """
    torch.set_num_threads(compute.threads)
    total = np.zeros(len(rows.numeric))
    matrices: dict[int, torch.Tensor] = {}
    for i in map(int, np.flatnonzero(bag.votes)):
        fold = bag.jobs[i].fold
        if fold not in matrices:
            matrix = torch.from_numpy(matrix_for(design, fold, rows))
            matrices = {fold: matrix.to(compute.device, DTYPES[compute.precision])}
        tensors = [bag.weights[name][i, ...] for name in bag.network.tensor_names]  # an array also of one number
        outputs = outputs_of(bag.network, tensors, matrices[fold])
        total += bag.votes[i] * predictions_of(design, fold, rows, outputs)
    return total


def prepare_rows(
    dataset: Dataset,
    design: Design,
    table: RawTable,
    *,
    roles: Schema,
    options: Preprocess,
    history: History | None = None,
) -> tuple[Texts, Encoded, list[Notice]]:
    """Ids, rows as the networks expect them, and what was noticed; a file's cells are read as the training file's were.

    history: how the past of time series is made. Columns that are no feature are ignored. Raises DataError for a
    missing column, a doubled or missing id, or a text in a numeric column.
    """
    made = {*dataset.numeric, *dataset.categorical, *dataset.dates}
    used = {*design.numeric, *design.categorical, *dataset.dates} & made  # a column that says the fold is none of them
    columns = [column for column in dataset.columns if used & set(made_of(column))]
    stamped = dataset.timeline.stamped if dataset.timeline else None
    in_time = (*stamped.stamps, *stamped.groups) if stamped else ()
    wanted = dict.fromkeys((*filter(None, [roles.id]), *(column.name for column in (*in_time, *columns))))
    missing = [name for name in wanted if name not in table.names]
    if missing:
        shown = ", ".join(missing[:8])
        raise DataError(f"{table.file}: {len(missing)} columns of the training data are missing: {shown}")
    # without an id column the rows of the test file go by the sample's ids, here as in the submission
    is_as_long = not roles.id and dataset.held_out is None and table.rows == len(dataset.test_ids)
    ids = dataset.test_ids if is_as_long else ids_of(table, roles)
    check_test_ids(ids, table, roles.id)
    frame = _frame(columns, table)
    past: dict[str, Sequence[Floats]] = {}
    base = spread = None
    notices: list[Notice] = []
    if dataset.timeline is not None:
        stamps, notices = stamp_table(table, dataset.timeline.stamped)
        if stamps.local is not None:
            frame[dataset.timeline.stamped.label] = stamps.local
        history = history or History()
        levels, scale = levels_in(frame, dataset, history.encode), design.target_states[-1].transform
        origin = forecast_origins(dataset.timeline, stamps.moments)
        past = further_past(dataset.timeline, history, scale, stamps.moments, origin, levels)
        if design.rows.spread is not None:
            spread = further_spread(dataset.timeline, scale, stamps.moments, origin)
        if design.taken is not None:
            base = further_base(dataset.timeline, design.taken, scale, stamps.moments, origin)
            notices += _beyond(design.taken, stamps.moments.step - origin)
    numeric, dates = (tuple(name for name in names if name in frame) for names in (dataset.numeric, dataset.dates))
    numbers = numeric_columns([frame], replace(dataset, numeric=numeric, dates=dates), options, design.numeric)
    rows = encode([frame], {**numbers, **past}, design.categorical, design.vocabulary)
    rows = replace(rows, base=base, spread=spread)
    notices += _unseen_levels(design, rows)
    if is_as_long:
        notices.append(Notice(table.file, "no id column is named: its rows go by the ids of the test rows", table.rows))
    return ids, rows, notices


def _beyond(taken: Taken, ages: Integers) -> Iterator[Notice]:
    """Rows that are further ahead than the map reaches. ages: steps from each row's origin to it."""
    if taken.ridge is None:
        return
    horizon = taken.ridge.weights.shape[1]
    count = int((ages > horizon).sum())
    if count:
        text = (
            f"rows more than {horizon} steps ahead, further than any row of the test: their forecasts begin from the "
            f"last value, not from {taken.name}; fetch what has happened since and train anew"
        )
        yield Notice("steps ahead", text, count)


def _unseen_levels(design: Design, rows: Encoded) -> Iterator[Notice]:
    # the vocabulary has the test file's levels too, so a known code does not mean that a network was trained on it
    trained = design.rows.codes[: len(design.target)]
    for position, name in enumerate(design.categorical):
        seen = np.append(np.unique(trained[:, position]), MISSING)
        count = int((~np.isin(rows.codes[:, position], seen)).sum())
        if count:
            yield Notice(name, "rows with a level that training never saw", count)


def _frame(columns: Sequence[Column], table: RawTable) -> pd.DataFrame:
    values: dict[str, object] = {}
    for column in columns:
        for name, cells in apply_column(column, table).items():
            values[name] = as_categories([cells])[0] if isinstance(cells, Levels) else cells
    # a series may have no column but its target
    return pd.DataFrame(values, index=None if values else pd.RangeIndex(table.rows), copy=False)
