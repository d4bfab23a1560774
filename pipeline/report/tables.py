"""The report's tables as plain cells; the template only lays them out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.report.row_figures import error_label
from pipeline.report.text import LONGEST_HINT, LONGEST_NAME, clean, column, count, duration, number, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.facts import ReportFacts

MOST_ROWS = 200  # of one table; what is left out is counted
MOST_SUBJECTS = 12  # columns named in one line of notices
STAGE_WORDS = {"ingest": "reading", "preprocess": "preprocessing", "train": "training", "submit": "submission"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, shortened to fit; `hint` is more of it, shown when pointed at."""

    text: str
    is_number: bool = False
    hint: str = ""
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a header and rows; `strong` counts the first rows that are set in bold."""

    title: str
    note: str
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: int = 0
    is_prose: bool = False  # cells of running text, which wrap


def cut_long(table: Table) -> Table:
    """Leave out rows beyond what a page should hold, and say how many."""
    left_out = len(table.rows) - MOST_ROWS
    if left_out <= 0:
        return table
    return replace(table, note=f"{table.note} {count(left_out, 'more line')} not shown.", rows=table.rows[:MOST_ROWS])


def words(text: str, longest: int = LONGEST_NAME) -> Cell:
    """A text of any length or origin as a cell."""
    return Cell(clean(text, longest), hint=clean(text, LONGEST_HINT) if len(text) > longest else "")


def fold_table(facts: ReportFacts) -> Table:
    """Every fold with every metric on validation and training rows, and the headline metric's gap."""
    metric, folds = facts.headline.metric, facts.folds
    names = list(dict.fromkeys((metric, *(name for fold in folds for name in fold.valid))))
    header = [_label("fold"), _label("rows")]
    columns = [_numbers([f"{fold.fold}" for fold in folds]), _numbers([f"{fold.rows:,}" for fold in folds])]
    for name in names:
        # one scale for both, so that a fold's two numbers compare at a glance
        both = column([scores.get(name, math.nan) for fold in folds for scores in (fold.valid, fold.train)])
        header += [_label(name), replace(_label("training"), is_faint=True)]
        columns += [_numbers(both[0::2]), [replace(cell, is_faint=True) for cell in _numbers(both[1::2])]]
        if name == metric:
            header.append(_label("gap"))
            columns.append(_numbers(column([fold.gap for fold in folds], 4)))
    note = "Each metric on the fold's validation rows and, to its right, on its training rows. Folds count from 1."
    return Table("Folds", note, tuple(header), tuple(zip(*columns, strict=True)))


def model_table(facts: ReportFacts) -> Table:
    """Our models and the baselines."""
    metric, shown = facts.headline.metric, facts.models
    names = list(dict.fromkeys((metric, *(name for row in shown for name in row.pooled))))
    header = [Cell("model"), *map(_label, names), _label("mean of folds"), _label("±"), _label("seconds")]
    columns = [_numbers(column([row.pooled.get(name, math.nan) for row in shown])) for name in names]
    columns += [
        _numbers(column([row.fold_mean for row in shown])),
        _numbers(column([row.fold_std for row in shown], 4)),
    ]
    columns.append(_numbers([f"{row.seconds:,.1f}" for row in shown]))
    rows = list(zip([words(row.name) for row in shown], *columns, strict=True))
    note = f"Scores of all out-of-fold rows together; then {clean(metric, LONGEST_NAME)} by fold: mean and deviation."
    return Table(
        "Model and baselines", note, tuple(header), tuple(rows), strong=sum(not row.is_baseline for row in shown)
    )


def seed_table(facts: ReportFacts) -> Table:
    """The score of every seed alone, where there is more than one."""
    scores = facts.seed_scores
    rows = list(zip(_numbers([f"{i + 1}" for i in range(len(scores))]), _numbers(column(scores)), strict=True))
    mean = number(sum(scores) / len(scores)) if scores else ""
    together = number(facts.headline.score)
    note = f"Out-of-fold score of each seed alone, on average {mean}; of their averaged predictions: {together}."
    header = (_label("seed"), _label(facts.headline.metric))
    return Table("Seeds", note, header, tuple(rows) if len(scores) > 1 else ())


def error_table(facts: ReportFacts) -> Table:
    """The rows that are furthest off."""
    worst = facts.largest
    columns = [
        _numbers([f"{row.fold}" for row in worst]),
        _numbers(column([row.actual for row in worst], 6)),
        _numbers(column([row.predicted for row in worst], 6)),
        _numbers(column([row.error for row in worst], 4)),
        _numbers([percent(row.share) for row in worst]),
    ]
    header = [Cell("id"), *map(_label, ("fold", "actual", "predicted", "error", "share of all error"))]
    rows = list(zip([words(row.id) for row in worst], *columns, strict=True))
    note = f"Worth a look in train.csv. {error_label(facts.rows, facts.headline.metric).capitalize()}."
    return Table("Largest errors", note, tuple(header), tuple(rows))


def notice_table(facts: ReportFacts) -> Table:
    """Notices of one text together: how often in all, and in which columns or files."""
    groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for item in facts.notices:
        groups.setdefault((item.stage, item.notice.text), []).append((item.notice.subject, item.notice.count))
    rows = [
        (
            words(STAGE_WORDS.get(stage, stage)),
            Cell(f"{total:,}" if (total := sum(counted for _, counted in subjects)) else "", is_number=True),
            words(text, 300),
            _subjects(subjects),
        )
        for (stage, text), subjects in groups.items()
    ]
    header = [Cell("stage"), _label("count"), Cell("what was seen"), Cell("where")]
    note = "Nothing is dropped, coerced or filled silently."
    return Table(f"Notices ({len(facts.notices):,})", note, tuple(header), tuple(rows), is_prose=True)


def run_table(facts: ReportFacts, provenance: Mapping[str, str]) -> Table:
    """What was trained on what, where and how long, and what the caller adds."""
    run = facts.run
    refits = f", {run.refits} of them on all rows" if run.refits else ""
    lines = {
        "data": f"{count(run.train_rows, 'training row')}, {count(run.test_rows, 'test row')}, "
        f"{count(run.columns, 'matrix column')}",
        "networks": f"{run.networks:,}: {count(run.folds, 'fold')}, {count(run.seeds, 'seed')}{refits}",
        "time": f"{duration(run.seconds)}, {duration(run.seconds / max(run.networks, 1))} a network",
        "device": f"{run.compute.device}, {count(run.compute.threads, 'thread')}, {run.compute.precision}",
        "rows no fold scores": f"{run.unscored_rows:,}",
    } | dict(provenance)
    rows = [(words(name), words(text, 300)) for name, text in lines.items()]
    return Table("How it was computed", "", (Cell("what"), Cell("value")), tuple(rows), is_prose=True)


def _label(name: str) -> Cell:
    return Cell(clean(name, 20), is_number=True, hint=clean(name, LONGEST_HINT) if len(name) > 20 else "")


def _numbers(texts: Sequence[str]) -> list[Cell]:
    return [Cell(text, is_number=True) for text in texts]


def _subjects(subjects: Sequence[tuple[str, int]]) -> Cell:
    shown = [
        f"{clean(name, 32)} ({counted:,})" if counted else clean(name, 32) for name, counted in subjects[:MOST_SUBJECTS]
    ]
    more = f" and {len(subjects) - MOST_SUBJECTS:,} more" if len(subjects) > MOST_SUBJECTS else ""
    hint = clean(subjects[0][0]) if len(subjects[0][0]) > 32 else ""
    return Cell(", ".join(shown) + more, hint=hint)
