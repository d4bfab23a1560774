"""The report's tables as plain cells; the template only lays them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.report.row_figures import error_label
from pipeline.report.text import LONGEST_HINT, LONGEST_NAME, clean, column, count, duration, number, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.facts import FoldRow, ReportFacts

MOST_ROWS = 200  # of one table; what is left out is counted
MOST_SUBJECTS = 12  # columns named in one line of notices
STAGE_WORDS = {"ingest": "reading", "preprocess": "preprocessing", "train": "training", "submit": "submission"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, shortened to fit; `hint` is more of it, shown when pointed at."""

    text: str
    is_number: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a header and rows; `strong` counts the first rows that are set in bold."""

    title: str
    note: str
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: int = 0
    is_prose: bool = False  # cells of running text, which wrap


def words(text: str, longest: int = LONGEST_NAME) -> Cell:
    """A text of any length or origin as a cell."""
    return Cell(clean(text, longest), hint=clean(text, LONGEST_HINT) if len(text) > longest else "")


def fold_table(facts: ReportFacts) -> Table:
    """Every fold with every metric on validation and training rows, and the headline metric's gap."""
    metric = facts.headline.metric
    names = list(dict.fromkeys((metric, *(name for fold in facts.folds for name in fold.valid))))
    header = [_label("fold"), _label("rows")]
    columns = [[f"{fold.fold}" for fold in facts.folds], [f"{fold.rows:,}" for fold in facts.folds]]
    for name in names:
        header += [_label(name), _label("training")]
        columns += [_scores(facts.folds, name, on_valid=True), _scores(facts.folds, name, on_valid=False)]
        if name == metric:
            header.append(_label("gap"))
            columns.append(column([fold.gap for fold in facts.folds], 4))
    note = "Each metric on the fold's validation rows and, to its right, on its training rows. Folds count from 1."
    return _table("Folds", note, header, _numbers(columns))


def model_table(facts: ReportFacts) -> Table:
    """Our models and the baselines."""
    metric, shown = facts.headline.metric, facts.models
    names = list(dict.fromkeys((metric, *(name for row in shown for name in row.pooled))))
    header = [Cell("model"), *map(_label, names), _label("mean of folds"), _label("±"), _label("seconds")]
    columns = [column([row.pooled.get(name, float("nan")) for row in shown]) for name in names]
    columns += [column([row.fold_mean for row in shown]), column([row.fold_std for row in shown], 4)]
    columns.append([f"{row.seconds:,.1f}" for row in shown])
    rows = [(words(row.name), *cells) for row, cells in zip(shown, _numbers(columns), strict=True)]
    note = f"Scores of all out-of-fold rows together; then {clean(metric, LONGEST_NAME)} by fold: mean and deviation."
    return _table("Model and baselines", note, header, rows, strong=sum(not row.is_baseline for row in shown))


def seed_table(facts: ReportFacts) -> Table:
    """The score of every seed alone, where there is more than one."""
    scores = facts.seed_scores
    rows = _numbers([[f"{i + 1}" for i in range(len(scores))], column(scores)])
    mean = number(sum(scores) / len(scores)) if scores else ""
    note = f"Out-of-fold score of each seed alone, on average {mean}; averaged predictions: {number(facts.headline.score)}."
    return _table("Seeds", note, [_label("seed"), _label(facts.headline.metric)], rows if len(scores) > 1 else [])


def error_table(facts: ReportFacts) -> Table:
    """The rows that are furthest off."""
    worst = facts.largest
    columns = [
        [f"{row.fold}" for row in worst],
        column([row.actual for row in worst], 6),
        column([row.predicted for row in worst], 6),
        column([row.error for row in worst], 4),
        [percent(row.share) for row in worst],
    ]
    header = [Cell("id"), *map(_label, ("fold", "actual", "predicted", "error", "share of all error"))]
    rows = [(words(row.id), *cells) for row, cells in zip(worst, _numbers(columns), strict=True)]
    note = f"Worth a look in train.csv. {error_label(facts.rows, facts.headline.metric).capitalize()}."
    return _table("Largest errors", note, header, rows)


def notice_table(facts: ReportFacts) -> Table:
    """Notices of one text together: how often in all, and in which columns or files."""
    groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for item in facts.notices:
        groups.setdefault((item.stage, item.notice.text), []).append((item.notice.subject, item.notice.count))
    rows = [
        (
            Cell(STAGE_WORDS.get(stage, stage)),
            Cell(f"{sum(counted for _, counted in subjects):,}", is_number=True),
            words(text, 300),
            _subjects(subjects),
        )
        for (stage, text), subjects in groups.items()
    ]
    header = [Cell("stage"), _label("count"), Cell("what was seen"), Cell("where")]
    note = "Nothing is dropped, coerced or filled silently."
    return _table(f"Notices ({len(facts.notices):,})", note, header, rows, is_prose=True)


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
    return _table("How it was computed", "", [Cell("what"), Cell("value")], rows, is_prose=True)


def _table(
    title: str, note: str, header: Iterable[Cell], rows: Sequence[tuple[Cell, ...]], *, strong: int = 0,
    is_prose: bool = False,
) -> Table:  # fmt: skip
    left_out = len(rows) - MOST_ROWS
    said = f"{note} {count(left_out, 'more line')} not shown." if left_out > 0 else note
    return Table(title, said, tuple(header), tuple(rows[:MOST_ROWS]), strong, is_prose)


def _label(name: str) -> Cell:
    return Cell(clean(name, 16), is_number=True, hint=clean(name, LONGEST_HINT) if len(name) > 16 else "")


def _numbers(columns: Sequence[Sequence[str]]) -> list[tuple[Cell, ...]]:
    return [tuple(Cell(text, is_number=True) for text in row) for row in zip(*columns, strict=True)]


def _scores(folds: Sequence[FoldRow], name: str, *, on_valid: bool) -> list[str]:
    # one scale for both columns, so that a fold's two numbers compare at a glance
    values = [table.get(name, float("nan")) for fold in folds for table in (fold.valid, fold.train)]
    return column(values)[0 if on_valid else 1 :: 2]


def _subjects(subjects: Sequence[tuple[str, int]]) -> Cell:
    shown = [f"{clean(name, 32)} ({counted:,})" for name, counted in subjects[:MOST_SUBJECTS]]
    more = f" and {len(subjects) - MOST_SUBJECTS:,} more" if len(subjects) > MOST_SUBJECTS else ""
    hint = clean(subjects[0][0]) if len(subjects[0][0]) > 32 else ""
    return Cell(", ".join(shown) + more, hint=hint)
