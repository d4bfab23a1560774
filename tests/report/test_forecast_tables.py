"""Tables of forecasts: one line a model, a series, a fact of time, a column."""

from dataclasses import replace

import numpy as np
import pytest
from panels import facts_of, panel

from pipeline.forecast_facts import ErrorGroup
from pipeline.report.forecast_tables import forecast_tables, role_table, series_table, setting_table, skill_table


@pytest.fixture(scope="module")
def facts():
    """Two series of which last week's value is 7 too low, and every prediction 2 too high."""
    return facts_of(panel())[0]


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_skill_and_mase_stand_beside_each_model(facts):
    """Ours first and in bold: 1 - 2 / 7 and 2 / 7; the naive forecast has 0 and 1."""
    table = skill_table(facts, facts.forecasts)
    assert [cell.text for cell in table.header] == ["model", "skill", "MASE"]
    assert table.strong == 1
    assert texts(table)[0][0] == "mlp"
    assert [float(text.replace("\u2212", "-")) for text in texts(table)[0][1:]] == pytest.approx(
        [5 / 7, 2 / 7], abs=1e-3
    )
    assert len(table.rows) == len(facts.models)


def test_without_skill_there_is_no_such_column(facts):
    """A metric of which greater is better."""
    scores = replace(facts.forecasts.scores, skill={})
    table = skill_table(facts, replace(facts.forecasts, scores=scores))
    assert [cell.text for cell in table.header] == ["model", "MASE"]
    assert table.note == ""
    assert [cell.text for cell in series_table(facts, replace(facts.forecasts, scores=scores)).header][-1] == "naive"


def test_a_series_has_its_error_beside_the_naive_one(facts):
    """14 rows in two folds each, 2.0 beside 7.0; a naive forecast without error leaves a dash."""
    table = series_table(facts, facts.forecasts)
    assert texts(table)[0] == ["a", "14", "2.0000", "7.0000", "0.714"]
    exact = replace(facts.forecasts.scores, by_series=(ErrorGroup("a", 3, 2.0, 0.0),), further_series=980)
    table = series_table(facts, replace(facts.forecasts, scores=exact))
    assert texts(table) == [["a", "3", "2.0000", "0.0000", "–"]]  # noqa: RUF001
    assert "980 further series are not shown" in table.note


def test_time_and_columns_are_told_in_words(facts):
    """Each line of the setting; each column with its role and why."""
    assert texts(setting_table(facts.forecasts))[0] == [
        "layout", "future: test rows are one block after all training rows",
    ]  # fmt: skip
    roles = texts(role_table(facts.forecasts))
    assert ["promo", "known in the future", "test.csv has it"] in roles
    assert len(roles) == len(facts.forecasts.roles)


def test_a_single_series_has_no_table_of_series():
    """It has no lines, and so is left out of the page."""
    facts = facts_of(panel(("only",)))[0]
    assert [len(table.rows) > 0 for table in forecast_tables(facts, facts.forecasts)] == [True, False, True, True]


def test_numbers_that_are_none_are_dashes(facts):
    """A diverged network."""
    scores = replace(facts.forecasts.scores, skill={"mlp": -np.inf}, mase={"mlp": np.nan})
    assert texts(skill_table(facts, replace(facts.forecasts, scores=scores)))[0] == ["mlp", "–", "–"]  # noqa: RUF001
