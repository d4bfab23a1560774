"""Columns and rows that tell nothing: empty, constant, or equal to an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.tables import Notice
from pipeline.tabular.cells import spread_rows

if TYPE_CHECKING:
    from pipeline.tables import Booleans, Floats

    Keys = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]

LOOKED_AT = 1000
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: a product spreads neighbours over all 64 bits
MISSING = np.uint64(0x7FF8000000000000)


def empty_columns(train: pd.DataFrame) -> list[Notice]:
    """Columns without a value, or with one value on every training row: both are to be dropped."""
    notices = []
    for name in map(str, train.columns):
        few = _keys(train[name].iloc[:LOOKED_AT])  # nearly every column ends here
        if not len(few) or (few != few[0]).any() or (_keys(train[name]) != few[0]).any():
            continue
        if pd.isna(train[name].iloc[0]):
            notices.append(Notice(name, "no training row has a value: the column was dropped", len(train)))
        else:
            text = f"always {str(train[name].iloc[0])!r} on the training rows: the column was dropped"
            notices.append(Notice(name, text, len(train)))
    return notices


def equal_columns(train: pd.DataFrame, test: pd.DataFrame) -> list[Notice]:
    """Columns that repeat an earlier one in every row of train and test, and are to be dropped."""
    seen: dict[int, list[str]] = {}
    notices = []
    for name in map(str, train.columns):
        few = train[name].iloc[spread_rows(len(train), LOOKED_AT)]
        fingerprint = hash((str(train[name].dtype == "category"), _keys(few).tobytes()))
        for other in seen.setdefault(fingerprint, []):
            if _is_equal(train[name], train[other]) and _is_equal(test[name], test[other]):
                notices.append(Notice(name, f"equal to {other!r} in every row: the column was dropped", len(train)))
                break
        else:
            seen[fingerprint].append(name)
    return notices


def repeated_rows(train: pd.DataFrame, target: Floats) -> Booleans:
    """Training rows whose features and target all equal those of an earlier one."""
    keys = row_keys(train) * MIX + _number_keys(target)
    return np.asarray(pd.Series(keys).duplicated(), dtype=bool)


def row_keys(frame: pd.DataFrame) -> Keys:
    """A 64-bit hash of each row's values; a missing value counts as a value."""
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in frame.columns:
        total = (total ^ _keys(frame[name])) * MIX
        total ^= total >> np.uint64(29)
    return total


def _is_equal(one: pd.Series[float], other: pd.Series[float]) -> bool:
    if isinstance(one.dtype, pd.CategoricalDtype) != isinstance(other.dtype, pd.CategoricalDtype):
        return False
    if isinstance(one.dtype, pd.CategoricalDtype):
        used = [np.array(column.cat.categories, dtype=object) for column in (one, other)]
        codes = [column.cat.codes.to_numpy() for column in (one, other)]
        if len(used[0]) == len(used[1]) and (used[0] == used[1]).all():
            return bool((codes[0] == codes[1]).all())
        texts = [np.array([*levels, None], dtype=object)[own] for levels, own in zip(used, codes, strict=True)]
        return bool((texts[0] == texts[1]).all())
    return bool((_keys(one) == _keys(other)).all())


def _keys(values: pd.Series[float]) -> Keys:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy().astype(np.int64).view(np.uint64)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values.to_numpy().astype(np.int64).view(np.uint64)
    return _number_keys(np.asarray(values, dtype=np.float64))


def _number_keys(values: Floats) -> Keys:
    """Bit patterns; one for all NaN, and one for both zeros."""
    keys = (np.ascontiguousarray(values, dtype=np.float64) + 0.0).view(np.uint64)
    return np.where(np.isnan(values), MISSING, keys)
