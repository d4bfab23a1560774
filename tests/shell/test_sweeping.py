"""The sweep as a command: found by several processes, listed, resumed, its winner told honestly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pytest

from pipeline.kept import kept_predictions
from pipeline.store import Store, read_manifest

if TYPE_CHECKING:
    from tests.shell.conftest import Project

QUICK = ("--set", "train.epochs=3", "--set", "search.finalists=1", "--set", "search.repeats=1")


def test_a_sweep_tells_each_trial_the_finalists_and_the_winner(project: Project) -> None:
    """The configuration as it stands among them, and how much the score that chose the winner flattered it."""
    out = project.must("search", "--trials", "3", *QUICK)
    lines = out.splitlines()
    assert sum(line.startswith("trial ") for line in lines) == 3
    assert "(the configuration as it stands)" in out
    [winner] = [line for line in lines if "winner: trial" in line]
    assert "the score that chose it" in winner
    kept = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert f"winner: trial {kept['trial']}" in winner
    assert "make train submit NAME=tiny SET=train.tuned=true" in lines[-2]
    assert lines[-1].endswith("reports/tiny/sweep.html")


def test_a_sweep_searches_preprocessing_too_and_training_takes_it_over(project: Project) -> None:
    """A choice of one other scaler: the tuned configuration's matrix is made by it."""
    space = """search.space={"preprocess.scaler" = {choice = ["minmax"]}}"""
    project.must("search", "--trials", "2", "--set", space, *QUICK)
    assert "preprocess  computed" in project.must("train", "--set", space, "--set", "train.tuned=true", *QUICK)
    assert "preprocess  cached" in project.must("preprocess", "--set", "preprocess.scaler=minmax")


def test_a_worker_only_trains_trials_and_the_search_then_finds_the_winner(project: Project) -> None:
    """The worker keeps no winner; the search that follows trains no trial."""
    out = project.must("worker", "--trials", "3", *QUICK)
    assert "search tiny" in out.splitlines()[-1]
    assert not list(project.models.glob("winner-*.json"))
    out = project.must("search", "--trials", "3", *QUICK)
    assert "3 trials so far" in out
    assert not [line for line in out.splitlines() if line.startswith("trial ")]
    assert list(project.models.glob("winner-*.json"))


def test_runs_lists_studies_with_their_scores_and_which_one_is_of_now(project: Project) -> None:
    """None at first; then one of these settings and one of others."""
    assert "no study of tiny" in project.must("runs")
    project.must("search", "--trials", "2", *QUICK)
    project.must("worker", "--trials", "1", *QUICK, "--set", "train.batch_size=16")
    first, second = sorted(project.must("runs", *QUICK).splitlines(), key=lambda line: "as it is now" not in line)
    assert "2 scored  best log_rmse 0." in first
    assert "(winner kept; of the configuration as it is now)" in first
    assert "1 scored" in second
    assert "winner" not in second


def test_a_damaged_study_is_told_among_the_others(project: Project) -> None:
    """And what to do with it."""
    project.must("worker", "--trials", "1", *QUICK)
    (project.models / "study-000000000000.journal").write_text("none\nnone\n")
    lines = project.must("runs", *QUICK).splitlines()
    assert len(lines) == 2
    assert "study-000000000000.journal: not a readable journal" in lines[0]


@pytest.mark.slow
def test_a_timeout_ends_the_asking_and_the_winner_is_found_among_what_there_is(project: Project) -> None:
    """A second is enough for a few tiny trials, and never for a million."""
    out = project.must("search", "--trials", "1000000", "--timeout", "1s", "--parallel", "2", *QUICK)
    assert "winner: trial" in out


def test_a_duration_that_is_none_is_refused(project: Project) -> None:
    """With an example of one."""
    code, _, err = project.run("search", "--timeout", "soon")
    assert code == 2
    assert "90m" in err


def of_studies(project: Project) -> list[tuple[object, object]]:
    """Study and trial of every prediction that is kept."""
    read = [read_manifest(file) for file in sorted(project.models.glob("kept-*.json"))]
    return [(manifest.parts["of"], manifest.parts["trial"]) for manifest in read if manifest]


def counted(project: Project, study: object) -> int:
    """How many of that study."""
    return sum(own == study for own, _ in of_studies(project))


@pytest.mark.slow
def test_a_sweep_keeps_the_predictions_of_its_best_trials(project: Project) -> None:
    """Two of five: those with the lowest scores."""
    out = project.must("search", "--trials", "5", "--set", "search.kept=2", *QUICK)
    told = [line.split() for line in out.splitlines() if line.startswith("trial ")]
    scores = {int(words[1]): float(words[2]) for words in told}
    assert len(scores) == 5
    assert {trial for _, trial in of_studies(project)} == set(sorted(scores, key=scores.__getitem__)[:2])


@pytest.mark.slow
def test_kept_predictions_are_those_of_training_the_configuration_alone(project: Project) -> None:
    """The first trial is the configuration as it stands: out-of-fold and on the test, bit for bit."""
    options = (*QUICK, "--set", 'search.space={"train.lr" = {log = [1e-6, 1e-1]}}', "--set", "train.seeds=1")
    project.must("worker", "--trials", "1", *options)
    project.must("train", *options)
    [train], [design] = project.models.glob("train-*.joblib"), project.root.glob("data/*/tiny/preprocess-*.joblib")
    fits, [(study, _)] = joblib.load(train), of_studies(project)
    [kept] = kept_predictions(Store(project.models), str(study), joblib.load(design).folds)
    assert kept.values == {"train.lr": 0.015}
    np.testing.assert_array_equal(kept.oof, fits.seed_oof[0])
    np.testing.assert_array_equal(kept.test, fits.test_predictions)


@pytest.mark.slow
def test_gc_collects_what_other_studies_kept(project: Project) -> None:
    """All of the study of the configuration as it is now stay, however few artifacts of a stage are kept."""
    project.must("worker", "--trials", "3", *QUICK)
    project.must("worker", "--trials", "2", *QUICK, "--set", "train.batch_size=16")
    assert len(of_studies(project)) == 5
    project.must("gc", "--keep", "1", *QUICK)
    [study] = {study for study, _ in of_studies(project)}
    assert counted(project, study) == 3
    project.must("gc")
    assert of_studies(project) == []


@pytest.mark.slow
def test_two_searches_at_once_share_one_study(project: Project) -> None:
    """The same command twice at the same time: ten trials together, each of them told once."""
    words = [sys.executable, "-m", "pipeline", "search", "tiny", "--trials", "10", "--parallel", "2", *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    outs = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    told = [line.split()[1] for out in outs for line in out.splitlines() if line.startswith("trial ")]
    assert len(told) == len(set(told)) == 10


@pytest.mark.slow
def test_a_guided_sweep_tells_its_findings_and_training_takes_the_winner_over(project: Project) -> None:
    """A study for each phase in one file; a second search trains nothing; `runs` lists the phases."""
    plan = (*QUICK, "--set", "search.plan=guided", "--workers", "1")
    out = project.must("search", "--trials", "36", *plan)
    assert sum(line.startswith("trial ") for line in out.splitlines()) == 36
    assert "learning rate" in out
    assert "regularisation" in out
    again = project.must("search", "--trials", "36", *plan)
    assert not any(line.startswith("trial ") for line in again.splitlines())
    assert len(list(project.models.glob("study-*.journal"))) == 1
    page = (project.reports / "sweep.html").read_text()
    assert "36" in page
    assert "1 process" in page  # through all phases
    project.must("runs", *plan, "--page")
    kept = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert len(kept["findings"]) >= 9
    assert len([line for line in project.must("runs", *plan).splitlines() if "as it is now" in line]) >= 9
    assert "train       computed" in project.must("train", "--set", "train.tuned=true", *QUICK)


def test_a_guided_sweep_with_too_few_trials_says_how_many_would_do(project: Project) -> None:
    """Before anything is trained."""
    code, _, err = project.run("search", "--trials", "4", "--set", "search.plan=guided")
    assert code == 2
    assert "wants at least" in err
    assert "--trials" in err


def test_a_grid_ends_when_every_point_was_tried(project: Project) -> None:
    """Four points asked for twelve times are four trials, the configuration as it stands among them."""
    space = """search.space={"model.depth" = {choice = [1, 2]}, "train.batch_size" = {choice = [32, 64]}}"""
    out = project.must("search", "--trials", "12", "--set", "search.sampler=grid", "--set", space, *QUICK)
    assert sum(line.startswith("trial ") for line in out.splitlines()) == 4


def test_a_worker_trains_as_many_trials_as_the_search_asked_for(project: Project) -> None:
    """Without a number of its own; with one, so many; and what is missing when its time is up is said."""
    project.must("search", "--trials", "2", *QUICK)
    assert not any(line.startswith("trial ") for line in project.must("worker", *QUICK).splitlines())
    out = project.must("worker", "--trials", "3", *QUICK)
    assert sum(line.startswith("trial ") for line in out.splitlines()) == 1
    out = project.must("worker", "--trials", "9", "--timeout", "0.001s", *QUICK)
    assert "the study has 3 of 9 trials" in out


@pytest.mark.parametrize("plan", ["flat", "guided"])
def test_a_search_without_any_time_is_a_sentence(project: Project, plan: str) -> None:
    """No trial came to its end, which is no fault of the learning rate."""
    code, _, err = project.run("search", "--timeout", "0.001s", "--set", f"search.plan={plan}", *QUICK)
    assert code == 2
    assert "no trial came to its end" in err
