"""Leaks: columns, levels, gaps and orders that give the target away, and rows that stand there twice."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeRegressor

from pipeline.tables import Notice
from pipeline.tabular.findings import (
    FEWEST_ROWS,
    RARE_BY_CHANCE,
    SAMPLE_SEED,
    Finding,
    agreement,
    correlation,
    drawn_rows,
    drop_line,
    group_line,
    order_of_ids,
    rank_chance,
    rank_correlation,
)
from pipeline.tabular.metrics import metric_named
from pipeline.tabular.redundant import row_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Booleans, Dataset, Floats, Integers
    from pipeline.tabular.findings import Agreement

COPY, FEWEST_VALUES = 0.999, 10  # rank correlation of a copy, and distinct values without which it says nothing
DETERMINES, NEAR = 0.99, 0.9  # out-of-fold R2 of one column, and what no other column may reach beside it
PAIR = 0.9999  # R2 of a sum, difference, product or ratio
LEVELS_TELL, GAPS_TELL = 0.999, 0.95  # share of the target's variance
ORDERS, FOLLOWS = 0.95, 0.3  # rank correlation of the target with an order of rows
MOST_PAIRED, MOST_TREE_ROWS = 40, 5_000
COMMON = 0.01  # share of rows from which repeats weigh on a score


def _rows(dataset: Dataset) -> Integers:
    known = np.flatnonzero(np.isfinite(dataset.target))
    return known[drawn_rows(len(known))]


def _numbers(dataset: Dataset, rows: Integers) -> dict[str, Floats]:
    return {name: dataset.train[name].to_numpy(dtype=np.float64)[rows] for name in dataset.numeric}


# --- the target in disguise


def disguises(dataset: Dataset, target: str = "the target") -> list[Finding]:
    """Numeric columns that are the target, alone or two at a time, or nearly determine it."""
    rows = _rows(dataset)
    y, numbers = dataset.target[rows], _numbers(dataset, rows)
    correlations = {name: rank_correlation(values, y) for name, values in numbers.items()}
    copies = _copies(numbers, y, correlations, target)
    taken = {name for finding in copies for name in finding.columns}
    others = {name: numbers[name] for name in sorted(numbers, key=lambda n: -abs(correlations[n])) if name not in taken}
    pairs = _pairs(others, y, target)
    taken = {name for finding in pairs for name in finding.columns}
    return copies + pairs + _near_copies({n: v for n, v in others.items() if n not in taken}, y, target)


def _copies(numbers: Mapping[str, Floats], y: Floats, correlations: Mapping[str, float], target: str) -> list[Finding]:
    findings = []
    for name, values in numbers.items():
        if abs(correlations[name]) <= COPY:
            continue
        both = np.isfinite(values)
        if min(len(np.unique(values[both])), len(np.unique(y[both]))) < FEWEST_VALUES:
            continue
        how = _how(values[both], y[both], target)
        text = f"column {name!r} {how} (Spearman {correlations[name]:.4f}, {_of_rows(both)})"
        findings.append(Finding("target in disguise", (name,), text, drop_line([name]), "leak"))
    return findings


def _how(values: Floats, y: Floats, target: str) -> str:
    if np.array_equal(values, y):
        return f"is {target} itself"
    if correlation(values, y) ** 2 > 1 - 1e-9:
        return f"is {target} but for a factor and an offset"
    return f"orders the rows as {target} does"


def _of_rows(both: Booleans) -> str:
    return f"{int(both.sum()):,} of {len(both):,} rows looked at"


def _pairs(numbers: Mapping[str, Floats], y: Floats, target: str) -> list[Finding]:
    """Pairs among the columns that follow the target most: the first 40 of `numbers`."""
    found: list[tuple[float, Finding]] = []
    rows = drawn_rows(len(y), MOST_TREE_ROWS)
    for (a, first), (b, second) in combinations(list(numbers.items())[:MOST_PAIRED], 2):
        alone = max(_explained(first[rows], y[rows]), _explained(second[rows], y[rows]))
        for sign, values in _together(first[rows], second[rows]).items():
            explained = _explained(values, y[rows])
            if 1 - explained > min(1 - PAIR, 0.1 * (1 - alone)):
                continue
            whole = _together(first, second)[sign]
            if abs(rank_correlation(whole, y)) <= COPY:  # one far outlier can make any correlation
                continue
            left, right = (b, a) if sign == "\\" else (a, b)
            shown = f"{left!r} {sign.replace(chr(92), '/')} {right!r}"
            text = f"{shown} {_how_well(whole, y, target)}"
            found.append((explained, Finding("target in disguise", (a, b), text, drop_line([a, b]), "leak")))
    return [finding for _, finding in sorted(found, key=lambda pair: -pair[0])[:3]]


def _together(a: Floats, b: Floats) -> dict[str, Floats]:
    with np.errstate(all="ignore"):
        return {"+": a + b, "-": a - b, "*": a * b, "/": a / b, "\\": b / a}


def _explained(values: Floats, y: Floats) -> float:
    both = np.isfinite(values)
    return correlation(values[both], y[both]) ** 2 if both.sum() >= FEWEST_ROWS else 0.0


def _how_well(values: Floats, y: Floats, target: str) -> str:
    both = np.isfinite(values)
    equal = np.isclose(values[both], y[both], rtol=1e-6, atol=0)
    if equal.mean() > 0.99:
        return f"= {target} on {int(equal.sum()):,} of {len(y):,} rows looked at"
    return f"follows {target} but for a factor and an offset (R2 {_explained(values, y):.6f}, {_of_rows(both)})"


def _near_copies(numbers: Mapping[str, Floats], y: Floats, target: str) -> list[Finding]:
    scores = {name: _tree_r2(values, y) for name, values in numbers.items()}
    ranked = sorted(scores, key=lambda name: -scores[name])
    if not ranked or scores[ranked[0]] <= DETERMINES or (len(ranked) > 1 and scores[ranked[1]] >= NEAR):
        return []
    name = ranked[0]
    beside = f"; the next best column {ranked[1]!r} reaches {scores[ranked[1]]:.3f}" if len(ranked) > 1 else ""
    text = f"column {name!r} alone nearly determines {target}: out-of-fold R2 {scores[name]:.4f}{beside}"
    remedy = f"ask whether it is known when a prediction is due; if not: {drop_line([name])}"
    return [Finding("nearly the target", (name,), text, remedy, "warning")]


def _tree_r2(values: Floats, y: Floats) -> float:
    """Out-of-fold R2 of a tree on one column, for the target or for its ranks, whichever is lower."""
    present = np.flatnonzero(np.isfinite(values))
    present = present[drawn_rows(len(present), MOST_TREE_ROWS)]
    if len(present) < 3 * FEWEST_ROWS or np.ptp(y[present]) == 0:
        return 0.0
    # ranks: a tree sees only the order, and they fit into its float32
    matrix = stats.rankdata(values[present])[:, None]
    both = np.column_stack([y[present], stats.rankdata(y[present])])
    goals = (both - both.mean(0)) / both.std(0)
    predicted = np.zeros_like(goals)
    for train, valid in KFold(3, shuffle=True, random_state=SAMPLE_SEED).split(matrix):
        tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=SAMPLE_SEED)
        predicted[valid] = tree.fit(matrix[train], goals[train]).predict(matrix[valid])
    return float(1 - np.mean((goals - predicted) ** 2, axis=0).max())


# --- levels and gaps


def telling_levels(dataset: Dataset, target: str = "the target") -> list[Finding]:
    """Categorical columns inside whose levels the target does not vary, although levels repeat on unequal rows."""
    rows = _rows(dataset)
    rows = rows[~pd.Series(row_keys(dataset.train.iloc[rows])).duplicated().to_numpy()]
    findings = []
    for name in dataset.categorical:
        codes = dataset.train[name].cat.codes.to_numpy()[rows]
        y = dataset.target[rows][codes >= 0]
        if not len(y):
            continue
        within = agreement(codes[codes >= 0].astype(np.int64), y)
        shares = np.unique(y, return_counts=True)[1] / len(y)
        # rows of a level may agree because most targets are equal, as the zeros of a count
        by_chance = float(np.sum(shares**2)) ** within.freedom
        if within.freedom < FEWEST_ROWS or within.explained <= LEVELS_TELL or by_chance > RARE_BY_CHANCE:
            continue
        text = (
            f"the levels of {name!r} determine {target}: {within.groups:,} levels on {within.rows:,} rows, inside a "
            f"level it spreads by {within.spread:.3g}, over all rows by {np.std(y):.3g}"
        )
        remedy = f"{drop_line([name])}; or, if new rows bring new levels, {group_line(name)}"
        findings.append(Finding("levels tell the target", (name,), text, remedy, "leak"))
    return findings


def telling_gaps(dataset: Dataset, target: str = "the target") -> list[Finding]:
    """Columns of which it tells the target whether a value is missing."""
    rows = _rows(dataset)
    y, findings = dataset.target[rows], []
    for name in dataset.train.columns:
        missing = dataset.train[name].isna().to_numpy()[rows]
        if min(missing.sum(), (~missing).sum()) < FEWEST_VALUES or len(rows) < FEWEST_ROWS:
            continue
        if (explained := correlation(missing.astype(np.float64), y) ** 2) > GAPS_TELL:
            text = (
                f"whether {name!r} is missing tells {target} (R2 {explained:.3f}): it is {np.mean(y[missing]):.4g} on "
                f"average where missing, {np.mean(y[~missing]):.4g} where not"
            )
            findings.append(Finding("gaps tell the target", (name,), text, drop_line([name]), "leak"))
    return findings


# --- orders


def ordered_rows(dataset: Dataset, target: str = "the target") -> list[Finding]:
    """Whether the order of the ids, or that of the rows, goes with the target."""
    rows = _rows(dataset)
    y, ids = dataset.target[rows], order_of_ids(dataset.train_ids[rows])
    orders = {"the order of the ids": ids, "the order of the rows": rows.astype(np.float64)}
    if abs(rank_correlation(ids, rows.astype(np.float64))) > COPY:
        orders = {"the order of the rows, and of their ids,": ids}
    findings = []
    for what, order in orders.items():
        rho = rank_correlation(order, y)
        if abs(rho) <= FOLLOWS or rank_chance(rho, len(rows)) > RARE_BY_CHANCE:
            continue
        numbers = f"(Spearman {rho:.3f}, {len(rows):,} rows looked at)"
        subject = dataset.submission_header[0]
        if abs(rho) > ORDERS:
            text = f"{what} gives {target} away {numbers}"
            remedy = (
                "make no feature of ids or row numbers, and keep [folds] shuffle = true: no fold is a stretch of it"
            )
            findings.append(Finding("an order tells the target", (subject,), text, remedy, "leak"))
        else:
            text = f"{what} goes with {target}: rows are sorted, or stand in time {numbers}"
            remedy = "keep [folds] shuffle = true, unless the test lies after train: then score contiguous blocks"
            findings.append(Finding("an order goes with the target", (subject,), text, remedy, "note"))
    return findings


# --- equal rows


def equal_rows(dataset: Dataset, metric: str) -> list[Finding]:
    """Training rows equal in every feature, and test rows that equal a training row."""
    keys, groups = np.unique(row_keys(dataset.train), return_inverse=True)
    transform = {"log": np.log, "log1p": np.log1p}.get(metric_named(metric).suggested_transform, np.asarray)
    within = agreement(groups, transform(dataset.target))
    findings = [_among_train(within, len(groups), metric)] if within.freedom else []
    known = int(np.isin(row_keys(dataset.test), keys).sum())
    if known:
        agree = within.freedom >= FEWEST_ROWS and within.explained > DETERMINES
        weight = ", and equal training rows agree on the target: it can be looked up" if agree else ""
        text = f"{known:,} of {len(dataset.test):,} test rows equal a training row in every feature{weight}"
        remedy = 'keep them: [schema] duplicates = "keep"; expect the test score to be better than that of new rows'
        common = agree and known >= COMMON * len(dataset.test)
        findings.append(Finding("test rows known from train", (), text, remedy, "warning" if common else "note"))
    return findings


def _among_train(within: Agreement, rows: int, metric: str) -> Finding:
    scale = {"log": "of logarithms ", "log1p": "of log(1 + y) "}.get(metric_named(metric).suggested_transform, "")
    repeated = f"{within.freedom:,} of {rows:,} training rows repeat another in every feature"
    if within.explained > DETERMINES or within.spread == 0:
        text = f"{repeated}, with the same target: a fold scores rows that it was trained on"
        remedy = '[schema] duplicates = "drop", or [folds] kind = "grouped" by a column that copies share'
        common = within.freedom >= max(FEWEST_ROWS, COMMON * rows)
        return Finding("equal training rows", (), text, remedy, "warning" if common else "note")
    text = (
        f"{repeated}; their targets differ by {within.spread:.4g} ({within.groups:,} groups): on such rows no model "
        f"gets an RMSE {scale}below that"
    )
    remedy = '[folds] kind = "grouped" by a column that equal rows share, if new rows are not to repeat old ones'
    return Finding("equal training rows", (), text, remedy, "note")


# --- on every run


def quick_leaks(dataset: Dataset) -> list[Notice]:
    """The cheap checks: a column that orders rows as the target does, and an order of ids or rows that tells it."""
    rows = _rows(dataset)
    y, numbers = dataset.target[rows], _numbers(dataset, rows)
    correlations = {name: rank_correlation(values, y) for name, values in numbers.items()}
    found: Sequence[Finding] = [*_copies(numbers, y, correlations, "the target"), *ordered_rows(dataset)]
    return [
        Notice(finding.columns[0], f"{finding.evidence}; do: {finding.remedy}; rows looked at", len(rows))
        for finding in found
        if finding.severity == "leak"
    ]
