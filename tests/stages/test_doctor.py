"""The doctor's whole look: what it finds, in which order, and that it says what it looked for."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.settings import FoldSettings, Schema
from pipeline.stages.doctor import Diagnosis, examine, words
from pipeline.tables import Dataset


def texts(values):
    return np.array([str(value) for value in values], dtype=object)


def bikes(rows=400, test_rows=150, seed=0):
    """Hours of weather, and casual and registered riders, who add up to the count; the last rows are held out."""
    random = np.random.default_rng(seed)
    riders = random.poisson([30, 150], (rows + test_rows, 2)).astype(np.float64)
    frame = pd.DataFrame(
        {
            "temp": random.normal(15, 8, rows + test_rows),
            "weather": pd.Categorical(random.choice(["clear", "mist", "rain"], rows + test_rows)),
            "casual": riders[:, 0],
            "registered": riders[:, 1],
        }
    )
    count = riders.sum(1)
    return Dataset(
        train=frame[:rows],
        test=frame[rows:].reset_index(drop=True),
        target=count[:rows],
        held_out=count[rows:],
        train_ids=texts(random.permutation(rows)),
        test_ids=texts(range(rows, rows + test_rows)),
        columns=(),
        numeric=("temp", "casual", "registered"),
        categorical=("weather",),
        dates=(),
        fold_columns={},
        submission_header=("hour", "count"),
        submission_ids=texts(range(rows, rows + test_rows)),
        notices=(),
    )


def without(data, *columns):
    return replace(
        data,
        train=data.train.drop(columns=list(columns)),
        test=data.test.drop(columns=list(columns)),
        numeric=tuple(name for name in data.numeric if name not in columns),
    )


def settings_in(line):
    """The settings that a line such as `[schema] drop = ["a"]` names, as the config would read them."""
    read = tomllib.loads(re.search(r"\[schema\] ([^;(]+)", line)[1].split(", or ")[0].strip())
    return Schema.model_validate(read)


def folds_in(line):
    """The settings that `under [folds]: kind = "grouped" and column = "a"` names: two keys, a line each."""
    read = tomllib.loads(re.search(r"under \[folds\]: ([^;(]+)", line)[1].replace(" and ", "\n", 1).strip())
    return FoldSettings.model_validate(read)


def test_riders_that_add_up_to_the_count_are_found_and_dropping_them_mends_it():
    """The words name both columns and a line that the config takes; without the columns nothing is left to say."""
    data = bikes()
    diagnosis = examine(data, metric="rmsle", target="count")
    (finding,) = diagnosis.findings
    assert set(finding.columns) == {"casual", "registered"}
    lines = words(diagnosis)
    assert "= 'count' on 400 of 400 rows" in lines[0]
    assert lines[0].startswith("leak ")
    assert set(settings_in(lines[1]).drop) == {"casual", "registered"}
    assert lines[-1].startswith("looked for: ")
    assert examine(without(data, "casual", "registered"), metric="rmsle").findings == ()


def test_where_nothing_is_found_the_checks_are_listed_and_no_more_is_promised():
    """Held-out rows look alike; each check is named; a leak of another kind may be there."""
    diagnosis = examine(without(bikes(), "casual", "registered"), metric="rmse")
    alike, honest = words(diagnosis)
    assert alike.startswith(f"train and test look alike: AUC {diagnosis.auc:.3f}")
    assert honest.startswith("no leak was found by these checks: ")
    assert honest.endswith("a leak of another kind stays unseen")
    assert all(check in honest for check in diagnosis.checks)


def test_the_most_severe_stands_first_and_each_finding_has_its_remedy():
    """A sum (leak), a moved column (warning) and 5 copied rows (note); a column with quotes in its name is no trap."""
    data = bikes()
    moved = data.test.assign(temp=data.test["temp"] + 30)
    copied = {"train": pd.concat([data.train, data.train[:5]], ignore_index=True)}
    copied |= {
        "target": np.append(data.target, data.target[:5]),
        "train_ids": np.append(data.train_ids, texts("abcde")),
    }
    quoted = "te\"m'p"
    names = {"temp": quoted}
    data = replace(
        data,
        train=copied["train"].rename(columns=names),
        test=moved.rename(columns=names),
        target=copied["target"],
        train_ids=copied["train_ids"],
        numeric=(quoted, "casual", "registered"),
    )
    diagnosis = examine(data, metric="rmse")
    severities = [finding.severity for finding in diagnosis.findings]
    assert severities == sorted(severities, key=["leak", "warning", "note"].index)
    assert set(severities) == {"leak", "warning", "note"}
    assert not diagnosis.are_alike
    (shift,) = [finding for finding in diagnosis.findings if finding.kind == "a column drifts"]
    assert settings_in(shift.remedy).drop == (quoted,)
    lines = words(diagnosis)
    assert [line.split()[0] for line in lines[: 2 * len(severities) : 2]] == severities
    assert all(line.strip().startswith("do: ") for line in lines[1 : 2 * len(severities) : 2])


def test_groups_apart_are_told_once_with_lines_that_the_config_takes():
    """Other stations in test: one finding, not a second one for the shift of the same column.

    A level that no test row has tells nothing about one: the column is to be dropped, and may still tell the folds.
    """
    data = without(bikes(), "casual", "registered")
    stations = [f"s{n % 20}" for n in range(400)], [f"t{n % 20}" for n in range(150)]
    levels = sorted({*stations[0], *stations[1]})
    data = replace(
        data,
        train=data.train.assign(station=pd.Categorical(stations[0], categories=levels)),
        test=data.test.assign(station=pd.Categorical(stations[1], categories=levels)),
        categorical=("weather", "station"),
    )
    findings = [f for f in examine(data, metric="rmse").findings if f.kind != "drift"]
    assert [(finding.kind, finding.columns) for finding in findings] == [("nothing in common", ("station",))]
    assert settings_in(findings[0].remedy).drop == ("station",)
    folds = folds_in(findings[0].remedy)
    assert (folds.kind, folds.column) == ("grouped", "station")


@pytest.mark.slow
def test_the_same_table_gets_the_same_diagnosis_and_progress_reaches_its_end():
    """Every draw has a fixed seed; progress counts the checks up to their number."""
    told = []
    data = bikes()
    first = examine(data, metric="rmse", on_progress=lambda done, total, what: told.append((done, total, what)))
    assert first == examine(data, metric="rmse")
    total = len(first.checks)
    assert [done for done, _, _ in told] == list(range(total + 1))
    assert {of for _, of, _ in told} == {total}
    assert [what for _, _, what in told[:-1]] == list(first.checks)


def test_too_few_rows_are_said_to_be_too_few():
    """Ten test rows: no word about likeness."""
    diagnosis = examine(without(bikes(test_rows=10), "casual", "registered"), metric="rmse")
    assert np.isnan(diagnosis.auc)
    assert words(diagnosis)[0] == "too few rows to tell whether train and test look alike"


def test_a_long_table_says_that_it_was_sampled():
    """Beyond 20,000 rows on either side."""
    short = Diagnosis((), 0.5, 0.01, are_alike=True, checks=("equal rows",), train_rows=20_000, test_rows=9)
    assert len(words(short)) == 2
    assert words(replace(short, test_rows=20_001))[-1] == "most checks looked at 20,000 rows, the same at every run"


@pytest.mark.slow
def test_twenty_honest_tables_raise_no_alarm():
    """Every check, the classifier included, on twenty draws of weather and riders whose count has noise in it."""
    for seed in range(20):
        data = without(bikes(seed=seed), "casual")
        diagnosis = examine(data, metric="rmse")
        assert diagnosis.findings == ()
        assert diagnosis.are_alike
