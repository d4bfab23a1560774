"""The sweep as a command: found by several processes, listed, resumed, its winner told honestly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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


def test_a_timeout_ends_the_asking_and_the_winner_is_found_among_what_there_is(project: Project) -> None:
    """A second is enough for a few tiny trials, and never for a million."""
    out = project.must("search", "--trials", "1000000", "--timeout", "1s", "--parallel", "2", *QUICK)
    assert "winner: trial" in out


def test_a_duration_that_is_none_is_refused(project: Project) -> None:
    """With an example of one."""
    code, _, err = project.run("search", "--timeout", "soon")
    assert code == 2
    assert "90m" in err


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
