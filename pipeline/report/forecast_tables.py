"""The report's tables of forecasts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.report.tables import Cell, Table, words
from pipeline.report.text import LONGEST_HINT, LONGEST_NAME, clean, column, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.facts import ReportFacts
    from pipeline.forecast_facts import ForecastFacts


def forecast_tables(facts: ReportFacts, forecasts: ForecastFacts) -> tuple[Table, ...]:
    """All of them, in the order of the page; one without rows is not shown."""
    return (
        skill_table(facts, forecasts),
        series_table(facts, forecasts),
        setting_table(forecasts),
        role_table(forecasts),
    )


def skill_table(facts: ReportFacts, forecasts: ForecastFacts) -> Table:
    """Skill and MASE of the model and every baseline, in the order of the table of models."""
    scores, names = forecasts.scores, [row.name for row in facts.models]
    kinds = {"skill": scores.skill, "MASE": scores.mase}
    shown = {kind: values for kind, values in kinds.items() if values}
    columns = [_numbers(column([values.get(name, math.nan) for name in names], 4)) for values in shown.values()]
    note = f"Skill is the share of the error of {scores.naive} that is not made; 0 is level with it, 1 is no error."
    return Table(
        "Skill and MASE",
        note if scores.skill else "",
        (Cell("model"), *map(_label, shown)),
        tuple(zip([words(name) for name in names], *columns, strict=True)),
        strong=sum(not row.is_baseline for row in facts.models),
    )


def series_table(facts: ReportFacts, forecasts: ForecastFacts) -> Table:
    """The series with the largest errors."""
    scores, groups = forecasts.scores, forecasts.scores.by_series
    both = column([value for group in groups for value in (group.error, group.naive)])
    columns = [_numbers([f"{group.rows:,}" for group in groups]), _numbers(both[0::2]), _numbers(both[1::2])]
    header = [Cell("series"), *map(_label, ("rows", facts.headline.metric, "naive"))]
    if scores.skill:
        skills = [1 - group.error / group.naive if group.naive else math.nan for group in groups]
        columns.append(_numbers(column(skills, 3)))
        header.append(_label("skill"))
    rows = list(zip([words(group.label) for group in groups], *columns, strict=True))
    more = f" {scores.further_series:,} further series are not shown." if scores.further_series else ""
    note = f"{clean(facts.headline.metric, LONGEST_NAME)} of their out-of-fold rows, beside {scores.naive}.{more}"
    return Table(f"Series, worst first ({count(len(groups), 'line')})", note, tuple(header), tuple(rows))


def setting_table(forecasts: ForecastFacts) -> Table:
    """How time was read."""
    rows = tuple((words(name), words(text, 300)) for name, text in forecasts.setting.items())
    note = "A row is forecast from what was known at its origin, so many steps before it."
    return Table("Time", note, (Cell("what"), Cell("value")), rows, is_prose=True)


def role_table(forecasts: ForecastFacts) -> Table:
    """What may be known of each column, and why we think so."""
    rows = tuple((words(own.name), words(own.role), words(own.evidence, 300)) for own in forecasts.roles)
    note = "Of a column of the past only, and of the target, only what was known at a row's origin is seen."
    return Table("Columns in time", note, (Cell("column"), Cell("role"), Cell("evidence")), rows, is_prose=True)


def _label(name: str) -> Cell:
    return Cell(clean(name, 20), is_number=True, hint=clean(name, LONGEST_HINT) if len(name) > 20 else "")


def _numbers(texts: Sequence[str]) -> list[Cell]:
    return [Cell(text, is_number=True) for text in texts]
