"""A dataset looked over before anything is trained: leaks, equal rows, and how test differs from train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.runtime import tell_nobody
from pipeline.tabular import drift, leaks
from pipeline.tabular.findings import MOST_ROWS, SEVERITIES, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.runtime import Progress
    from pipeline.tables import Dataset


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, most severe first, and what was looked for."""

    findings: tuple[Finding, ...]
    auc: float  # of telling test from train; NaN with too few rows to say
    auc_spread: float  # over 3 folds
    are_alike: bool  # train and test, as far as that classifier can tell
    checks: tuple[str, ...]
    train_rows: int
    test_rows: int


def examine(dataset: Dataset, *, metric: str, target: str = "", on_progress: Progress = tell_nobody) -> Diagnosis:
    """Run every check; tables beyond 20,000 rows are judged by that many, drawn with a fixed seed.

    target: its column's name, for the words. Equal rows and levels of test are counted on all rows.
    """
    name = repr(target) if target else "the target"
    checks: Mapping[str, Callable[[], list[Finding]]] = {
        "columns that are the target in disguise": lambda: leaks.disguises(dataset, name),
        "levels that tell it": lambda: leaks.telling_levels(dataset, name),
        "gaps that tell it": lambda: leaks.telling_gaps(dataset, name),
        "ids or an order of rows that tell it": lambda: leaks.ordered_rows(dataset, name),
        "equal rows": lambda: leaks.equal_rows(dataset, metric),
        "values that train and test do not share": lambda: drift.levels_apart(dataset),
        "stretches of train and test that take turns": lambda: drift.blocks(dataset),
    }
    compared = "test against train"
    findings: list[Finding] = []
    for done, (what, check) in enumerate(checks.items()):
        on_progress(done, len(checks) + 1, what)
        findings += check()
    on_progress(len(checks), len(checks) + 1, compared)
    adversary = drift.adversary_of(dataset)
    shifts = drift.column_shifts(dataset)
    findings += drift.whole_drift(dataset, adversary)
    told = {column for finding in findings if finding.kind == "nothing in common" for column in finding.columns}
    findings += drift.shifted_columns(dataset, [shift for shift in shifts if shift.column not in told])
    on_progress(len(checks) + 1, len(checks) + 1, compared)
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        auc=adversary.auc,
        auc_spread=adversary.spread,
        are_alike=not drift.is_drift(adversary.auc, len(dataset.train), len(dataset.test)),
        checks=(*checks, compared),
        train_rows=len(dataset.train),
        test_rows=len(dataset.test),
    )


def words(diagnosis: Diagnosis) -> list[str]:
    """Lines to print: each finding with its numbers and what to do, then what was looked for."""
    lines = []
    for finding in diagnosis.findings:
        lines += [f"{finding.severity:<8} {finding.evidence}", f"         do: {finding.remedy}"]
    if np.isnan(diagnosis.auc):
        lines.append("too few rows to tell whether train and test look alike")
    elif diagnosis.are_alike:
        lines.append(f"train and test look alike: AUC {diagnosis.auc:.3f} ± {diagnosis.auc_spread:.3f} (0.5: the same)")
    looked = "; ".join(diagnosis.checks)
    if any(finding.severity == "leak" for finding in diagnosis.findings):
        lines.append(f"looked for: {looked}")
    else:
        lines.append(f"no leak was found by these checks: {looked}; a leak of another kind stays unseen")
    if max(diagnosis.train_rows, diagnosis.test_rows) > MOST_ROWS:
        lines.append(f"most checks looked at {MOST_ROWS:,} rows, the same at every run")
    return lines
