"""Column roles and dtypes, and the agreement of train, test and sample submission."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.settings import Schema
    from pipeline.tables import Floats, RawTables, Texts

HEADER_LINES = 1
BOUNDLESS = 1e100


def line_of(row: int) -> int:
    """The line of a file, counted from 1, on which a zero-based row stands (no field spans lines)."""
    return row + HEADER_LINES + 1


def check_columns(raw: RawTables, roles: Schema) -> None:
    """Raise DataError unless every named column exists and train and test have the same features."""
    train, test = list(raw.train.columns), list(raw.test.columns)
    for role, name, columns, file in (
        ("id", roles.id, train, raw.train_file),
        ("id", roles.id, test, raw.test_file),
        ("target", roles.target, train, raw.train_file),
    ):
        if name not in columns:
            raise DataError(f"{file}: no column {name!r}, which [schema] {role} names; {_nearest(name, columns)}")
    for key in ("numeric", "categorical", "drop"):
        for name in getattr(roles, key):
            if name not in train and name not in test:
                raise DataError(
                    f"{raw.train_file}: no column {name!r}, listed in [schema] {key}; {_nearest(name, train)}"
                )
    _check_agreement(train, test, raw, roles)


def _check_agreement(train: Sequence[str], test: Sequence[str], raw: RawTables, roles: Schema) -> None:
    for name in roles.numeric:
        if name in roles.categorical:
            raise DataError(f"column {name!r} is listed under [schema] numeric and categorical; keep it in one of them")
    ignored = {roles.id, roles.target, *roles.drop}
    only_train = [name for name in train if name not in test and name not in ignored]
    only_test = [name for name in test if name not in train and name not in ignored]
    if only_train or only_test:
        raise DataError(
            f"{raw.train_file} and {raw.test_file} have different columns: only in train: "
            f"{', '.join(map(repr, only_train)) or 'none'}; only in test: {', '.join(map(repr, only_test)) or 'none'}; "
            f"add the missing ones, or list them under [schema] drop"
        )
    if roles.target in test:
        raise DataError(
            f"{raw.test_file}: contains the target {roles.target!r}; a test file has none: remove the column, or name "
            f"the right target under [schema]"
        )
    if not [name for name in train if name not in ignored]:
        raise DataError(f"{raw.train_file}: no feature column is left besides id, target and [schema] drop")


def _nearest(name: str, columns: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, columns, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(map(repr, columns[:8])) + (", …" if len(columns) > 8 else "")
    return f"the file has {shown}"


def blank_missing(frame: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
    """Replace the texts that mean a missing value by None; surrounding blanks do not count."""
    blank = list(missing)
    return frame.mask(frame.apply(lambda texts: texts.str.strip().isin(blank)))


def texts_of(column: pd.Series[str]) -> Texts:
    """The texts as objects, None where missing, whatever pandas stores them in."""
    texts: Texts = np.array(column, dtype=object)
    texts[column.isna().to_numpy()] = None
    return texts


def as_numbers(column: pd.Series[str]) -> tuple[Floats, Texts]:
    """Numbers of a text column (NaN where missing) and the present texts that are no numbers.

    An infinite number, or one beyond 1e100 whose square overflows, counts as missing; `boundless_cells` counts them.
    """
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = column.notna().to_numpy() & np.isnan(numbers)
    return np.where(np.abs(numbers) < BOUNDLESS, numbers, np.nan), texts_of(column)[wrong]


def boundless_cells(column: pd.Series[str]) -> int:
    """How many cells are infinite or beyond 1e100."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return int((np.abs(numbers) >= BOUNDLESS).sum())


def parse_target(column: pd.Series[str], file: str, roles: Schema) -> Floats:
    """The target as float64, NaN where missing. Raises DataError at the first text that is not a finite number."""
    numbers, wrong = as_numbers(column)
    boundless = column.notna().to_numpy() & np.isnan(numbers)
    if boundless.any():
        wrong = texts_of(column)[boundless]
        row = int(np.flatnonzero(boundless)[0])
        few = "; a target of texts is classification, and Foldpack does regression"
        raise DataError(
            f"{file}: line {line_of(row)}: target {roles.target!r} is {wrong[0]!r}, expected a finite number "
            f"({len(wrong)} such rows){few if len(wrong) == int(column.notna().sum()) else '; correct or blank it'}"
        )
    return numbers


def check_test_ids(ids: Texts, *, file: str, id_column: str) -> None:
    """Raise DataError for a missing or doubled id."""
    for row, value in enumerate(ids):
        if value is None or not value.strip():
            raise DataError(f"{file}: line {line_of(row)}: {id_column!r} is empty; every test row needs an id")
    doubled = pd.Index(ids).duplicated()
    if doubled.any():
        row = int(np.flatnonzero(doubled)[0])
        raise DataError(
            f"{file}: line {line_of(row)}: id {ids[row]!r} stands there twice ({int(doubled.sum())} doubled ids); "
            f"Kaggle matches predictions by id, so ids must be unique"
        )


def doubled_train_ids(ids: Texts, *, file: str, id_column: str) -> list[Notice]:
    """A notice if ids of training rows repeat, which may mean repeated rows."""
    twice = int(pd.Index(ids).duplicated().sum())
    return [Notice(id_column, f"{file}: ids that stand there more than once", twice)] if twice else []


def assign_types(
    train: pd.DataFrame, test: pd.DataFrame, raw: RawTables, roles: Schema
) -> tuple[tuple[str, ...], tuple[str, ...], list[Notice]]:
    """Numeric and categorical columns, in file order: numbers only if train and test hold nothing else.

    A column without a single value is dropped and noticed. Raises DataError for a text in a declared number.
    """
    numeric, categorical, notices = [], [], []
    for name in train.columns:
        if name in {roles.id, roles.target, *roles.drop}:
            continue
        if not train[name].notna().any():
            notices.append(Notice(name, "no training row has a value: the column was dropped", len(train)))
        elif name in roles.categorical:
            categorical.append(name)
        else:
            wrong = [
                (file, text)
                for frame, file in ((train, raw.train_file), (test, raw.test_file))
                for text in as_numbers(frame[name])[1]
            ]
            if not wrong:
                numeric.append(name)
                if count := boundless_cells(train[name]) + boundless_cells(test[name]):
                    notices.append(Notice(name, "infinite numbers, or beyond 1e100, taken as missing", count))
            elif name in roles.numeric:
                raise DataError(
                    f"{wrong[0][0]}: column {name!r} is listed under [schema] numeric but holds {wrong[0][1]!r} "
                    f"({len(wrong)} such cells); correct it, or name the text under [schema] missing"
                )
            else:
                categorical.append(name)
                notices += _mostly_numbers(name, train, wrong)
    return tuple(numeric), tuple(categorical), notices


def _mostly_numbers(name: str, train: pd.DataFrame, wrong: Sequence[tuple[str, str]]) -> list[Notice]:
    present = int(train[name].notna().sum())
    if len(wrong) * 10 > present:
        return []
    text = f"almost all numbers, but {wrong[0][1]!r} in {wrong[0][0]} made it a text column; [schema] missing can tell"
    return [Notice(name, text, len(wrong))]


def to_types(frame: pd.DataFrame, numeric: Sequence[str]) -> pd.DataFrame:
    """float64 for the numeric columns, text objects for the others."""
    numbers = set(numeric)
    return pd.DataFrame({n: as_numbers(frame[n])[0] if n in numbers else frame[n] for n in frame.columns})


def unseen_levels(train: pd.DataFrame, test: pd.DataFrame, categorical: Sequence[str]) -> list[Notice]:
    """Say which test levels no training row has: they go to the column of rare levels, or to none."""
    notices = []
    for name in categorical:
        unseen = test.loc[test[name].notna() & ~test[name].isin(train[name].dropna().unique()), name]
        if len(unseen):
            shown = ", ".join(map(repr, sorted(unseen.unique())[:3]))
            notices.append(Notice(name, f"test rows with levels never seen in train ({shown})", len(unseen)))
    return notices
