"""Which rows of the training file train, and which are held out where there is no test file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.tables import Notice
from pipeline.tabular.cells import Levels, blank, levels_of, spread_rows
from pipeline.tabular.columns import read_column
from pipeline.tabular.dates import find_formats, parse_dates

if TYPE_CHECKING:
    from pipeline.settings import Holdout, Schema
    from pipeline.tables import Booleans, Codes, Floats, Integers, RawTable, RawTables, Texts

    Sortable = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

FEWEST_ROWS = 6  # a tenth of a small table would leave two folds nothing
EARLIEST = np.datetime64(-(2**62), "us")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the training file, ascending."""

    train: Integers
    test: Integers | None  # held out; None with a test file


def choose_rows(
    raw: RawTables, target: Floats, roles: Schema, holdout: Holdout, steps: Integers | None = None
) -> tuple[Rows, list[Notice]]:
    """Rows with a target, the share of them that is asked for, and those held out where there is no test file.

    steps: when each row is, where there is time: then the latest are held out, unless a column is named.
    """
    file, notices = raw.train.file, []
    kept = np.isfinite(target)
    if not kept.all():
        fate = "were dropped" if steps is None else "are history, and neither trained on nor scored"
        notices.append(Notice(roles.target, f"{file}: rows without a target {fate}", int((~kept).sum())))
    rows = np.flatnonzero(kept)
    held = None
    if raw.test is None:
        is_held = _held_out(raw.train, rows, holdout, roles, steps)
        rows, held = rows[~is_held], rows[is_held]
        how = "drawn at random" if steps is None else "the latest"
        how = f"those with the largest {holdout.by!r}" if holdout.by else how
        how += f", whole values of {holdout.group!r}" if holdout.group else ""
        text = f"there is no test file: rows held out of training in its place, {how}"
        notices.append(Notice(file, text, len(held)))
    if roles.row_share < 1:
        rows = rows[spread_rows(len(rows), max(FEWEST_ROWS, round(len(rows) * roles.row_share)))]
    return Rows(rows, held), notices


def _held_out(table: RawTable, rows: Integers, holdout: Holdout, roles: Schema, steps: Integers | None) -> Booleans:
    count = max(1, round(len(rows) * holdout.share))
    held: Booleans = np.zeros(len(rows), dtype=bool)
    if len(rows) - count < 2:
        raise DataError(
            f"{table.file}: {len(rows)} rows with a target are too few to hold out {holdout.share:g} of them; bring "
            f"more rows, or lower [holdout] share"
        )
    if holdout.by or steps is not None:
        key = (_sort_key(holdout.by, table, roles) if holdout.by or steps is None else steps)[rows]
        held = np.asarray(key >= np.sort(key)[-count])  # rows with equal values stay together
    else:
        held[np.random.default_rng(holdout.seed).permutation(len(rows))[:count]] = True
    if holdout.group:
        column = blank(table.columns[holdout.group], roles.missing_in.get(holdout.group, roles.missing))
        held = _whole_groups(held, levels_of(column).codes[rows], holdout, count)
    if held.all():
        raise DataError(
            f"{table.file}: every row would be held out: {holdout.by or holdout.group!r} has too few distinct values; "
            f"lower [holdout] share, or name another column"
        )
    return held


def _whole_groups(held: Booleans, groups: Codes, holdout: Holdout, count: int) -> Booleans:
    """Whole groups until `count` rows are held: drawn at random or, with `by`, those held for the most part.

    Rows whose group is not known, -1, are one group.
    """
    sizes = np.bincount(groups + 1)
    if holdout.by:
        order = np.argsort(-np.bincount(groups + 1, weights=held) / sizes.clip(min=1), kind="stable")
    else:
        order = np.random.default_rng(holdout.seed).permutation(len(sizes))
    chosen = order[: np.searchsorted(np.cumsum(sizes[order]), count) + 1]
    return np.isin(groups + 1, chosen)


def _sort_key(name: str, table: RawTable, roles: Schema) -> Sortable:
    """Dates and numbers by value, texts by the alphabet, ordinal levels by their order; missing ones first."""
    # free text is sorted as it stands, not by its length
    reading = read_column(name, [table], roles.model_copy(update={"text": ()}))
    own = reading.tables[0][name]
    if isinstance(own, Levels):
        _check_order(own.texts, name, table.file)
        rank = pd.Series(own.texts, dtype=object).rank().to_numpy()
        return np.append(rank, -1)[own.codes]
    if own.dtype.kind == "M":
        return np.where(np.isnat(own), EARLIEST, own)
    return np.where(np.isnan(own), -np.inf, own)


def _check_order(texts: Texts, name: str, file: str) -> None:
    """Raise DataError for dates that the alphabet puts into another order than time does, as it does not ISO dates."""
    cells = pa.chunked_array([pa.array(sorted(texts), pa.string())])
    guess = find_formats(cells)
    if guess is None:
        return
    instants = parse_dates(cells, guess.formats)[0]
    if (np.diff(instants[~np.isnat(instants)]) < np.timedelta64(0)).any():
        raise DataError(
            f"{file}: column {name!r}, which [holdout] by names, holds dates such as {str(texts[0])!r}, which do not "
            f"sort as texts; name their format: under [schema.dates] {json.dumps(name, ensure_ascii=False)} = "
            f"{json.dumps(guess.formats)}"
        )
