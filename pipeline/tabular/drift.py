"""Drift: how test differs from train, as a whole and column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from pipeline.tabular.findings import (
    FEWEST_ROWS,
    MOST_ROWS,
    RARE_BY_CHANCE,
    SAMPLE_SEED,
    Finding,
    drawn_rows,
    drop_line,
    group_line,
    numbers_of,
    order_of_ids,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.base import ClassifierMixin

    from pipeline.tables import Booleans, Dataset, Floats, Integers
    from pipeline.tabular.findings import Severity

ALIKE, TELLS_ALONE = 0.55, 0.6  # AUC up to which train and test are called alike, and from which a column is named
MOST_SHOWN, MOST_TREE_ROWS = 5, 10_000
SHIFTED, SHIFTED_FAR = 0.1, 0.2  # distance from which a column is named, and from which it is a warning
RARE_LEVEL = 10  # rows below which levels are compared as one
MOST_CATEGORIES = 254  # of the classifier
LIES_BEYOND = 0.9  # share of test rows after the last or before the first training row
FEWEST_BLOCKS, BLOCKS_Z = 4, -6.0


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one column moved from train to test: 0 alike, 1 nothing in common."""

    column: str
    distance: float
    words: str


@dataclass(frozen=True, slots=True)
class Adversary:
    """How well a classifier tells test rows from training rows."""

    auc: float  # mean over folds; 0.5: not at all
    spread: float  # standard deviation over folds
    alone: tuple[tuple[str, float], ...]  # where it does: the columns that tell most by themselves, and their AUC


# --- as a whole


def adversary_of(dataset: Dataset) -> Adversary:
    """A boosted classifier tells test rows from training rows, in 3 folds of at most 20,000 rows of each.

    Ids are no features. NaN on fewer than 30 rows of either side, or without a value.
    """
    sides = [dataset.train.iloc[drawn_rows(len(dataset.train))], dataset.test.iloc[drawn_rows(len(dataset.test))]]
    rows = pd.concat(sides, ignore_index=True)
    columns = [name for name in rows.columns if rows[name].notna().any()]
    if min(map(len, sides)) < FEWEST_ROWS or not columns:
        return Adversary(float("nan"), float("nan"), ())
    is_test = np.repeat([0, 1], [len(side) for side in sides])
    levels = [name in dataset.categorical for name in columns]
    matrix = np.column_stack([_as_feature(rows[n], levels=text) for n, text in zip(columns, levels, strict=True)])
    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=15, categorical_features=levels, early_stopping=False, random_state=SAMPLE_SEED
    )
    aucs = _fold_aucs(model, matrix, is_test)
    auc = float(np.mean(aucs))
    if not is_drift(auc, *map(len, sides)):
        return Adversary(auc, float(np.std(aucs, ddof=1)), ())
    few = drawn_rows(len(rows), MOST_TREE_ROWS)
    tree = DecisionTreeClassifier(min_samples_leaf=10, random_state=SAMPLE_SEED)
    # ranks fit into a tree's float32; a missing value is one more, below all others
    ranks = stats.rankdata(np.where(np.isnan(matrix[few]), -np.inf, matrix[few]), axis=0)
    alone = {n: float(np.mean(_fold_aucs(tree, ranks[:, [at]], is_test[few]))) for at, n in enumerate(columns)}
    telling = sorted((name for name in alone if alone[name] > TELLS_ALONE), key=lambda name: -alone[name])
    return Adversary(auc, float(np.std(aucs, ddof=1)), tuple((name, alone[name]) for name in telling[:MOST_SHOWN]))


def _fold_aucs(model: ClassifierMixin, matrix: Floats, is_test: Integers) -> list[float]:
    folds = StratifiedKFold(3, shuffle=True, random_state=SAMPLE_SEED).split(matrix, is_test)
    return [
        float(roc_auc_score(is_test[v], model.fit(matrix[t], is_test[t]).predict_proba(matrix[v])[:, 1]))
        for t, v in folds
    ]


def _as_feature(column: pd.Series, *, levels: bool) -> Floats:
    """Numbers and dates as they are; levels numbered by how frequent they are, the rarest sharing one number."""
    if not levels:
        return numbers_of(column)
    codes = column.cat.codes.to_numpy().astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=1)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.where(codes >= 0, np.minimum(rank[codes], MOST_CATEGORIES - 1), np.nan)


def is_drift(auc: float, train_rows: int, test_rows: int) -> bool:
    """Whether an AUC is above 0.55 and above what chance gives so few rows (four standard deviations of its null)."""
    if np.isnan(auc):
        return False
    n, m = min(train_rows, MOST_ROWS), min(test_rows, MOST_ROWS)
    return bool(auc > max(ALIKE, 0.5 + 4 * np.sqrt((n + m + 1) / (12 * n * m))))


def whole_drift(dataset: Dataset, adversary: Adversary) -> list[Finding]:
    """The finding for an AUC that says drift; none for train and test that look alike."""
    if not is_drift(adversary.auc, len(dataset.train), len(dataset.test)):
        return []
    most = ", ".join(f"{name!r} {auc:.2f}" for name, auc in adversary.alone)
    by = f"alone tell most: {most}" if most else "no column alone does, their combinations do"
    text = f"a classifier tells test rows from training rows, AUC {adversary.auc:.3f} ± {adversary.spread:.3f}; {by}"
    remedy = 'expect a worse score on test than out of fold; score rows that resemble test: [folds] kind = "column"'
    return [Finding("drift", tuple(name for name, _ in adversary.alone), text, remedy, "warning")]


# --- column by column


def column_shifts(dataset: Dataset) -> list[Shift]:
    """Every column that moved beyond chance and by a tenth at least, furthest first."""
    if min(len(dataset.train), len(dataset.test)) < FEWEST_ROWS:
        return []
    shifts = []
    for name in dataset.train.columns:
        train, test = dataset.train[name], dataset.test[name]
        measures = [_missing_shift(train, test)]
        measures += _level_shifts(train, test) if name in dataset.categorical else [_number_shift(train, test)]
        told = [measure for measure in measures if measure.p < RARE_BY_CHANCE and measure.distance >= SHIFTED]
        if told:
            words = ", ".join(measure.words for measure in told)
            shifts.append(Shift(name, max(measure.distance for measure in told), words))
    return sorted(shifts, key=lambda shift: -shift.distance)


@dataclass(frozen=True, slots=True)
class _Measure:
    distance: float
    p: float  # how likely by chance
    words: str


def _missing_shift(train: pd.Series, test: pd.Series) -> _Measure:
    a, b, n, m = train.isna().mean(), test.isna().mean(), len(train), len(test)
    pooled = (a * n + b * m) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    p = float(2 * stats.norm.sf(abs(a - b) / error)) if error > 0 else 1.0
    return _Measure(float(abs(a - b)), p, f"missing on {a:.0%} of train and {b:.0%} of test")


def _number_shift(train: pd.Series, test: pd.Series) -> _Measure:
    a, b = (numbers_of(column.iloc[drawn_rows(len(column))]) for column in (train, test))
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if min(len(a), len(b)) < FEWEST_ROWS:
        return _Measure(0.0, 1.0, "")
    result = stats.ks_2samp(a, b, method="asymp")
    middle = [_shown(column.median()) for column in (train, test)]
    words = f"median {middle[0]} in train, {middle[1]} in test (Kolmogorov-Smirnov {result.statistic:.2f})"
    return _Measure(float(result.statistic), float(result.pvalue), words)


def _shown(value: object) -> str:
    return str(value)[:16].removesuffix(" 00:00") if isinstance(value, pd.Timestamp) else f"{value:.4g}"


def _level_shifts(train: pd.Series, test: pd.Series) -> list[_Measure]:
    """Total variation distance with rare levels as one, and rows of levels that train never had."""
    a, b = _level_counts(train, test)
    if min(a.sum(), b.sum()) < FEWEST_ROWS:
        return []
    rare = a + b < RARE_LEVEL
    table = np.array([np.append(side[~rare], side[rare].sum()) for side in (a, b)])
    table = table[:, table.sum(0) > 0]
    shares = table / table.sum(1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p = float(stats.chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
    unseen, expected = b[a == 0].sum() / b.sum(), (a == 1).sum() / a.sum()
    by_chance = float(stats.binom.sf(b[a == 0].sum() - 1, b.sum(), min(expected + 1 / a.sum(), 1.0)))
    return [
        _Measure(distance, p, f"shares of its levels differ by {distance:.2f} (total variation)"),
        _Measure(float(unseen - expected), by_chance, f"{unseen:.0%} of test rows have a level that train never had"),
    ]


def _level_counts(train: pd.Series, test: pd.Series) -> tuple[Integers, Integers]:
    a, b = (column.cat.codes.to_numpy().astype(np.int64) for column in (train, test))
    levels = len(train.cat.categories)
    return np.bincount(a[a >= 0], minlength=levels), np.bincount(b[b >= 0], minlength=levels)


def shifted_columns(dataset: Dataset, shifts: Sequence[Shift]) -> list[Finding]:
    """The five columns that moved furthest, with what each is about and what to do."""
    findings = []
    for shift in shifts[:MOST_SHOWN]:
        name = shift.column
        if dataset.timeline is not None and name == dataset.timeline.stamped.label:
            continue  # that time goes on is no drift, and folds replay it
        if name in dataset.dates and (finding := _beyond(name, dataset.train[name], dataset.test[name])):
            findings.append(finding)
            continue
        remedy = f"compare with it left out: {drop_line([name])}"
        if name in dataset.categorical and "never had" in shift.words:
            remedy = f"{group_line(name)}; or {remedy}"
        severity: Severity = "warning" if shift.distance >= SHIFTED_FAR else "note"
        findings.append(Finding("a column drifts", (name,), f"{name!r}: {shift.words}", remedy, severity))
    return findings


# --- time, blocks and levels apart


def _beyond(name: str, train: pd.Series, test: pd.Series) -> Finding | None:
    a, b = numbers_of(train), numbers_of(test)
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    sides = {"after": float(np.mean(b > a.max())), "before": float(np.mean(b < a.min()))}
    side = max(sides, key=lambda word: sides[word])
    if sides[side] < LIES_BEYOND:
        return None
    text = (
        f"test lies {side} train in {name!r} ({sides[side]:.0%} of its rows): random folds score rows between those "
        f"they learned from, and flatter"
    )
    remedy = f'let folds replay it: [time] column = "{name}"; or sort train by it: [folds] shuffle = false'
    return Finding("test lies beyond train", (name,), text, remedy, "warning")


def blocks(dataset: Dataset) -> list[Finding]:
    """Dates, or ids, along which stretches of train and stretches of test take turns; folds in time replay them."""
    if dataset.timeline is not None:
        return []
    orders = {name: (numbers_of(dataset.train[name]), numbers_of(dataset.test[name])) for name in dataset.dates}
    order = order_of_ids(np.concatenate([dataset.train_ids, dataset.test_ids]))
    orders[dataset.submission_header[0]] = (order[: len(dataset.train_ids)], order[len(dataset.train_ids) :])
    findings = []
    for name, (a, b) in orders.items():
        runs, z = _runs(a[np.isfinite(a)], b[np.isfinite(b)])
        if runs < FEWEST_BLOCKS or z > BLOCKS_Z:
            continue
        text = (
            f"train and test take turns along {name!r}, in {runs:,} stretches: a test row has fewer training rows "
            f"next to it than a row of a random fold, whose score flatters"
        )
        remedy = f"sort train by {name!r} and score whole stretches: [folds] shuffle = false"
        findings.append(Finding("train and test interleave", (name,), text, remedy, "warning"))
    return findings


def _runs(train: Floats, test: Floats) -> tuple[int, float]:
    """Stretches of train and of test along their values, and how far their number is from chance (Wald-Wolfowitz)."""
    only_train, only_test = np.setdiff1d(train, test), np.setdiff1d(test, train)
    n, m, shared = len(only_train), len(only_test), len(np.intersect1d(train, test))
    if min(n, m) < FEWEST_ROWS or shared > 0.05 * (n + m):
        return 0, 0.0
    is_test: Booleans = np.repeat([False, True], [n, m])[np.argsort(np.concatenate([only_train, only_test]))]
    runs = 1 + int(np.sum(is_test[1:] != is_test[:-1]))
    expected = 2 * n * m / (n + m) + 1
    spread = np.sqrt((expected - 1) * (expected - 2) / (n + m - 1))
    return runs, float((runs - expected) / spread)


def levels_apart(dataset: Dataset) -> list[Finding]:
    """Columns of repeated levels, or of repeated numbers, of which test has not one that train has."""
    findings = []
    for name in (*dataset.categorical, *dataset.numeric):
        train, test = dataset.train[name].dropna(), dataset.test[name].dropna()
        # a few rows settle it for almost every column, long before its values are counted
        few = test.iloc[drawn_rows(len(test), FEWEST_ROWS)]
        if min(len(train), len(few)) < FEWEST_ROWS or few.isin(train).any():
            continue
        counts, others = train.value_counts(), test.unique()
        counts = counts[counts > 0]
        # the share of levels that stand there once is the chance that the next row brings a new one (Good-Turing)
        by_chance = (int((counts == 1).sum()) / len(train)) ** len(others)
        if by_chance > RARE_BY_CHANCE or counts.index.isin(others).any():
            continue
        text = f"train and test share no value of {name!r}: {len(counts):,} in train, {len(others):,} others in test"
        remedy = f"{drop_line([name])}; where its values are groups, also {group_line(name)}"
        findings.append(Finding("nothing in common", (name,), text, remedy, "warning"))
    return findings
