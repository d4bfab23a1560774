"""Which rows of the training file train, and which are held out where there is no test file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.tables import Notice
from pipeline.tabular.cells import Levels, spread_rows
from pipeline.tabular.columns import read_column

if TYPE_CHECKING:
    from pipeline.settings import Holdout, Schema
    from pipeline.tables import Booleans, Floats, Integers, RawTable, RawTables

    Sortable = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

FEWEST_ROWS = 6  # a tenth of a small table would leave two folds nothing
EARLIEST = np.datetime64(-(2**62), "us")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the training file, ascending."""

    train: Integers
    test: Integers | None  # held out; None with a test file


def choose_rows(raw: RawTables, target: Floats, roles: Schema, holdout: Holdout) -> tuple[Rows, list[Notice]]:
    """Rows with a target, the share of them that is asked for, and those held out where there is no test file."""
    file, notices = raw.train.file, []
    kept = np.isfinite(target)
    if not kept.all():
        notices.append(Notice(roles.target, f"{file}: rows without a target were dropped", int((~kept).sum())))
    rows = np.flatnonzero(kept)
    held = None
    if raw.test is None:
        is_held = _held_out(raw.train, rows, holdout, roles)
        rows, held = rows[~is_held], rows[is_held]
        how = f"those with the largest {holdout.by!r}" if holdout.by else "drawn at random"
        text = f"there is no test file: rows held out of training in its place, {how}"
        notices.append(Notice(file, text, len(held)))
    if roles.row_share < 1:
        rows = rows[spread_rows(len(rows), max(FEWEST_ROWS, round(len(rows) * roles.row_share)))]
    return Rows(rows, held), notices


def _held_out(table: RawTable, rows: Integers, holdout: Holdout, roles: Schema) -> Booleans:
    count = max(1, round(len(rows) * holdout.share))
    held = np.zeros(len(rows), dtype=bool)
    if len(rows) - count < 2:
        raise DataError(
            f"{table.file}: {len(rows)} rows with a target are too few to hold out {holdout.share:g} of them; bring "
            f"more rows, or lower [holdout] share"
        )
    if holdout.by:
        order = np.argsort(_sort_key(holdout.by, table, roles)[rows], kind="stable")
    else:
        order = np.random.default_rng(holdout.seed).permutation(len(rows))
    held[order[-count:]] = True
    return held


def _sort_key(name: str, table: RawTable, roles: Schema) -> Sortable:
    """Dates and numbers by value, texts by the alphabet, ordinal levels by their order; missing ones first."""
    # free text is sorted as it stands, not by its length
    reading = read_column(name, [table], roles.model_copy(update={"text": ()}))
    own = reading.tables[0][name]
    if isinstance(own, Levels):
        rank = pd.Series(own.texts, dtype=object).rank().to_numpy()
        return np.append(rank, -1)[own.codes]
    if own.dtype.kind == "M":
        return np.where(np.isnat(own), EARLIEST, own)
    return np.where(np.isnan(own), -np.inf, own)
