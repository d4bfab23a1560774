"""The layout of the file to upload: which ids, in which order, under which header; and what ids must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.tables import Notice
from pipeline.tabular.cells import texts_of

if TYPE_CHECKING:
    from pipeline.settings import Schema
    from pipeline.tables import Integers, RawTable, RawTables, Texts


@dataclass(frozen=True, slots=True)
class Layout:
    """What the submission looks like."""

    header: tuple[str, str]
    submission_ids: Texts  # [T] in the order of the file to upload
    test_ids: Texts  # [T] in the order of the test rows
    notices: tuple[Notice, ...] = ()


def ids_of(table: RawTable, roles: Schema) -> Texts:
    """The ids, byte for byte; the number of the row, from 0, where no column is named or this file has it not."""
    if roles.id and roles.id in table.names:
        return texts_of(table.columns[roles.id])
    return np.arange(table.rows).astype(str).astype(object)


def check_test_ids(ids: Texts, table: RawTable, id_column: str, rows: Integers | None = None) -> None:
    """Raise DataError for a missing or doubled id.

    rows: the row of the file that each id stands on, where that is not every row.
    """
    rows = np.arange(len(ids)) if rows is None else rows
    blank_ids = np.array([value is None or not value.strip() for value in ids], dtype=bool)
    if blank_ids.any():
        line = table.line_of(int(rows[np.argmax(blank_ids)]))
        raise DataError(f"{table.file}: line {line}: {id_column!r} is empty; every test row needs an id")
    doubled = pd.Index(ids, dtype=object).duplicated()
    if doubled.any():
        first = int(np.argmax(doubled))
        raise DataError(
            f"{table.file}: line {table.line_of(int(rows[first]))}: id {ids[first]!r} stands there twice "
            f"({int(doubled.sum())} doubled ids); Kaggle matches predictions by id, so ids must be unique"
        )


def doubled_train_ids(ids: Texts, *, file: str, id_column: str) -> list[Notice]:
    """A notice if ids of training rows repeat, which may mean repeated rows."""
    twice = 0 if _are_distinct_numbers(ids) else int(pd.Index(ids, dtype=object).duplicated().sum())
    return [Notice(id_column, f"{file}: ids that stand there more than once", twice)] if twice else []


def _are_distinct_numbers(ids: Texts) -> bool:
    """Whether all ids are whole numbers and no two are equal: most are, and this is told in a tenth of the time."""
    try:
        numbers = pa.array(ids, pa.large_string()).cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return not numbers.null_count and bool(pd.Index(numbers.to_numpy()).is_unique)


def submission_layout(raw: RawTables, roles: Schema, test_ids: Texts) -> Layout:
    """Lay the submission out as the sample does, where there is one.

    Where no id column is named, the sample's rows are those of the test file in order. Raises DataError where sample
    and test disagree.
    """
    sample = raw.sample if raw.test is not None else None  # a sample speaks of test rows, not of held-out ones
    if sample is None:
        header = (roles.id or "row", roles.target)
        text = f"no sample submission was found; the header is {' and '.join(header)}"
        return Layout(header, test_ids, test_ids, (Notice("sample_submission", text, 0),))
    several = roles.target in sample.names[1:] and len(sample.names) > 2
    if (len(sample.names) != 2 and not several) or (roles.id and sample.names[0] != roles.id):
        key = repr(roles.id) if roles.id else "an id"
        raise DataError(
            f"{sample.file}: expected two columns, {key} and a prediction, found {', '.join(sample.names)}; "
            f"correct the file or [schema] id"
        )
    header = (sample.names[0], roles.target if several else sample.names[1])
    sample_ids = texts_of(sample.columns[sample.names[0]])
    wanted = pd.Index(sample_ids)
    if wanted.has_duplicates:
        twice = wanted[wanted.duplicated()][0]
        raise DataError(f"{sample.file}: id {twice!r} stands there twice; every test row needs one line")
    test_file = raw.test.file if raw.test is not None else "the held-out rows"
    notices = _agreement(sample, sample_ids, test_ids, test_file, roles)
    if several:
        text = (
            f"wants {len(sample.names) - 1} predictions a row; this submission holds {roles.target!r} alone: train "
            f"each target with a TOML of its own and put the columns side by side before uploading"
        )
        notices = (*notices, Notice(sample.file, text, len(sample.names) - 1))
    return Layout(header, sample_ids, test_ids if roles.id else sample_ids, notices)


def _agreement(
    sample: RawTable, sample_ids: Texts, test_ids: Texts, test_file: str, roles: Schema
) -> tuple[Notice, ...]:
    """Say how the sample goes with the test rows. Raises DataError where it does not."""
    if not roles.id:
        if len(sample_ids) != len(test_ids):
            raise DataError(
                f"{sample.file} has {len(sample_ids)} rows, {test_file} has {len(test_ids)}, and [schema] id names no "
                f"column to match them by; name it, or download both again"
            )
        text = f"its rows are those of {test_file} in order, for [schema] id names no column"
        return (Notice(sample.file, text, len(sample_ids)),)
    wanted, found = pd.Index(sample_ids), pd.Index(test_ids)
    missing, extra = wanted.difference(found, sort=False), found.difference(wanted, sort=False)
    if len(missing) or len(extra):
        raise DataError(
            f"{sample.file} and {test_file} disagree: {len(missing)} ids only in the sample"
            f"{_examples(missing)}, {len(extra)} only in the test file{_examples(extra)}; "
            f"download both again, they must come from the same competition"
        )
    moved = int((sample_ids != test_ids).sum())
    text = f"lists the ids of {test_file} in another order; the submission follows the sample"
    return (Notice(sample.file, text, moved),) if moved else ()


def _examples(ids: pd.Index) -> str:
    return f" (for example {', '.join(map(repr, ids[:3]))})" if len(ids) else ""
