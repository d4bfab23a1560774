"""What the checks of `doctor` say, and what they share: which rows are looked at, and how two columns are compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Floats, Integers, Texts

Severity = Literal["leak", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("leak", "warning", "note")  # most severe first
MOST_ROWS = 20_000  # a check of more rows looks at this many of them
FEWEST_ROWS = 30  # fewer say nothing
RARE_BY_CHANCE = 1e-6  # what is more likely than this without a cause is not reported
SAMPLE_SEED = 0  # of every draw here: the same table gets the same answer


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw, the numbers that say so, and the line of configuration that acts on it."""

    kind: str
    columns: tuple[str, ...]
    evidence: str
    remedy: str
    severity: Severity  # leak: scores are not to be believed; warning: they may flatter; note: good to know


@dataclass(frozen=True, slots=True)
class Check:
    """One look, and what it saw."""

    what: str
    looked: str  # at how much
    findings: tuple[Finding, ...]


def drop_line(columns: Sequence[str]) -> str:
    """The line that leaves columns out."""
    return f"[schema] drop = {json.dumps(list(columns), ensure_ascii=False)}"


def group_line(column: str) -> str:
    """The lines that keep equal values of a column in one fold."""
    return f'under [folds]: kind = "grouped" and column = {json.dumps(column, ensure_ascii=False)}'


def drawn_rows(rows: int, most: int = MOST_ROWS) -> Integers:
    """At most so many row numbers, ascending; the same ones at every call."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(rows, most, replace=False))


def spread(count: int, most: int) -> list[int]:
    """At most so many of `count` positions, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's, of finite numbers; 0 where either does not vary or the squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        a, b = a - a.mean(), b - b.mean()
        # sums, not dot products: those of a threaded library depend on its threads
        product = float(np.sum(a * b)) / max(float(np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b))), 1e-300)
    return product if np.isfinite(product) else 0.0


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's, on the rows where both are there; 0 on fewer than 30."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < FEWEST_ROWS:
        return 0.0
    return correlation(stats.rankdata(a[both]), stats.rankdata(b[both]))


def rank_chance(rho: float, rows: int) -> float:
    """How likely a rank correlation of at least that size is among so many unrelated rows."""
    if rows < FEWEST_ROWS:
        return 1.0
    t = abs(rho) * np.sqrt((rows - 2) / max(1 - rho * rho, 1e-12))
    return float(2 * stats.t.sf(t, rows - 2))


def numbers_of(column: pd.Series) -> Floats:
    """A numeric column as it is, a date in milliseconds; NaN where missing."""
    if column.dtype.kind != "M":
        return column.to_numpy(dtype=np.float64)
    times = column.to_numpy().astype("datetime64[ms]")
    return np.where(np.isnat(times), np.nan, times.astype(np.int64).astype(np.float64))


def order_of_ids(ids: Texts) -> Floats:
    """Ids as numbers that sort as they do: numbers, the one number in each ("row 12"), else the alphabet."""
    texts = pd.Series(ids, dtype=object).astype(str)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    if np.isfinite(numbers).all():
        return numbers
    found = texts.str.extract(r"^\D*(\d{1,15})\D*$", expand=False)
    if found.notna().all():
        return found.to_numpy().astype(np.float64)
    return pd.factorize(texts, sort=True)[0].astype(np.float64)  # a numpy text array is as wide as its longest


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far values agree inside groups of at least two rows."""

    rows: int  # in such groups
    groups: int
    spread: float  # standard deviation inside a group
    explained: float  # share of the variance between groups, corrected for their number; 0 without variance

    @property
    def freedom(self) -> int:
        """Rows that could have disagreed with another of their group."""
        return self.rows - self.groups


def agreement(groups: Integers, values: Floats) -> Agreement:
    """Compare values [R] inside groups [R], numbered from 0."""
    sizes = np.bincount(groups)
    kept = sizes[groups] > 1
    count, freedom = int((sizes > 1).sum()), int(kept.sum()) - int((sizes > 1).sum())
    if freedom < 1:
        return Agreement(0, 0, 0.0, 0.0)
    centred = values - values.mean()
    means = np.bincount(groups, weights=centred) / np.maximum(sizes, 1)
    inside = float(np.sum((centred - means[groups])[kept] ** 2)) / freedom
    total = float(np.var(centred[kept], ddof=1))
    explained = 1 - inside / total if total > 1e-12 * float(np.mean(centred**2)) else 0.0
    return Agreement(int(kept.sum()), count, float(np.sqrt(inside)), explained)
