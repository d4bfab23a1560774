"""Text tables -> typed tables with roles; train, test and sample submission made to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.tables import Dataset, Notice
from pipeline.tabular import schema
from pipeline.tabular.metrics import metric_named

FEWEST_ROWS = 6  # a tenth of a small table would leave two folds nothing

if TYPE_CHECKING:
    from pipeline.settings import Schema
    from pipeline.tables import Floats, RawTables, Texts


def ingest(raw: RawTables, *, roles: Schema, metric: str) -> Dataset:
    """Give every column a role and a type, and say what was noticed on the way.

    Rows without a target are dropped and counted. Raises DataError, naming file, row and column, for a missing role
    column, columns or ids that disagree between the files, a target that is no number or that the metric forbids.
    """
    schema.check_columns(raw, roles)
    notices: list[Notice] = []
    train = schema.blank_missing(raw.train, roles.missing)
    test = schema.blank_missing(raw.test, roles.missing)
    target = schema.parse_target(train[roles.target], raw.train_file, roles)
    kept = np.isfinite(target)
    _check_target(target, kept, raw, roles, metric)
    if not kept.all():
        dropped = int((~kept).sum())
        notices.append(Notice(roles.target, f"{raw.train_file}: rows without a target were dropped", dropped))
    if roles.row_share < 1:
        kept &= _spread_rows(len(kept), roles.row_share)
    train, target = train[kept].reset_index(drop=True), target[kept]
    # from the raw cells: an id may read "NA", as Namibia's country code does
    train_ids, test_ids = schema.texts_of(raw.train[roles.id])[kept], schema.texts_of(raw.test[roles.id])
    schema.check_test_ids(test_ids, file=raw.test_file, id_column=roles.id)
    notices += schema.doubled_train_ids(train_ids, file=raw.train_file, id_column=roles.id)
    numeric, categorical, typed = schema.assign_types(train, test, raw, roles)
    notices += typed
    if not numeric and not categorical:
        raise DataError(f"{raw.train_file}: no feature column has a value on any training row; is the file whole?")
    features = [name for name in train.columns if name in {*numeric, *categorical}]
    train = schema.to_types(train[features], numeric)
    test = schema.to_types(test[features], numeric)
    notices += schema.unseen_levels(train, test, categorical)
    header, ordered_ids, sample_notices = _submission_layout(raw, roles, test_ids)
    return Dataset(
        train=train,
        test=test,
        target=target,
        train_ids=train_ids,
        test_ids=test_ids,
        numeric=numeric,
        categorical=categorical,
        submission_header=header,
        submission_ids=ordered_ids,
        missing=roles.missing,
        notices=(*notices, *sample_notices),
    )


def _check_target(
    target: Floats, kept: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], raw: RawTables, roles: Schema, metric: str
) -> None:
    where = f"{raw.train_file}: target {roles.target!r}"
    if not kept.any():
        raise DataError(f"{where} is missing on all {len(target)} rows; is [schema] target the right column?")
    distinct = np.unique(target[kept])
    if len(distinct) <= 2:
        shown = " and ".join(f"{value:g}" for value in distinct)
        two = "two values are two classes, and Foldpack does regression, not classification"
        why = two if len(distinct) > 1 else "there is nothing to learn; is [schema] target the right column?"
        raise DataError(f"{where} is always {shown.replace(' and ', ' or ')}: {why}")
    lowest = metric_named(metric).target_above
    wrong = np.flatnonzero(kept & ~(np.where(kept, target, np.inf) > lowest))
    if len(wrong):
        raise DataError(
            f"{raw.train_file}: line {schema.line_of(int(wrong[0]))}: target {roles.target!r} is "
            f"{target[wrong[0]]:g} ({len(wrong)} such rows), but metric {metric!r} needs values above {lowest:g}; "
            f"choose another metric, for example rmse"
        )


def _spread_rows(rows: int, share: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    kept = np.zeros(rows, dtype=bool)
    kept[np.unique(np.linspace(0, rows - 1, min(rows, max(FEWEST_ROWS, round(rows * share)))).round().astype(int))] = (
        True
    )
    return kept


def _submission_layout(raw: RawTables, roles: Schema, test_ids: Texts) -> tuple[tuple[str, str], Texts, list[Notice]]:
    """Header and id order of the file to upload; the sample submission decides where there is one."""
    if raw.sample is None or raw.sample_file is None:
        notice = Notice("sample_submission", "no sample submission was found; the header is id and target", 0)
        return (roles.id, roles.target), test_ids, [notice]
    columns = list(raw.sample.columns)
    if len(columns) != 2 or columns[0] != roles.id:
        raise DataError(
            f"{raw.sample_file}: expected two columns, {roles.id!r} and a prediction, found {', '.join(columns)}; "
            f"correct the file or [schema] id"
        )
    sample_ids = schema.texts_of(raw.sample[roles.id])
    wanted, found = pd.Index(sample_ids), pd.Index(test_ids)
    if wanted.has_duplicates:
        twice = wanted[wanted.duplicated()][0]
        raise DataError(f"{raw.sample_file}: id {twice!r} stands there twice; every test row needs one line")
    missing, extra = wanted.difference(found, sort=False), found.difference(wanted, sort=False)
    if len(missing) or len(extra):
        raise DataError(
            f"{raw.sample_file} and {raw.test_file} disagree: {len(missing)} ids only in the sample"
            f"{_examples(missing)}, {len(extra)} only in the test file{_examples(extra)}; "
            f"download both again, they must come from the same competition"
        )
    notices = []
    if (sample_ids != test_ids).any():
        count = int((sample_ids != test_ids).sum())
        text = f"lists the ids of {raw.test_file} in another order; the submission follows the sample"
        notices.append(Notice(raw.sample_file, text, count))
    return (columns[0], columns[1]), sample_ids, notices


def _examples(ids: pd.Index) -> str:
    return f" (for example {', '.join(map(repr, ids[:3]))})" if len(ids) else ""
