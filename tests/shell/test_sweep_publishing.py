"""The sweep's page as a file, and our journals as plain Optuna finds them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pipeline.claims import WORKER
from pipeline.errors import StorageError
from pipeline.settings import Config
from pipeline.sweep_publishing import publish_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from tests.shell.conftest import Project

QUICK = ("--set", "train.epochs=4", "--set", "search.finalists=1", "--set", "search.repeats=1")


def test_a_search_ends_with_a_page_that_names_its_winner(project: Project) -> None:
    """And `runs --page` finds nothing to change in it."""
    out = project.must("search", "--trials", "3", *QUICK)
    assert out.splitlines()[-1].split() == ["written", "reports/tiny/sweep.html"]
    page = (project.reports / "sweep.html").read_text()
    kept = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert f"Trial {kept['trial']}, the winner" in page
    assert "3 trials" in page
    assert "make train submit NAME=tiny SET=train.tuned=true" in page
    assert project.must("runs", "--page", *QUICK).splitlines()[-1].split() == ["unchanged", "reports/tiny/sweep.html"]


def test_a_study_in_progress_has_a_page_without_a_winner(project: Project) -> None:
    """A worker's two trials; the search that follows writes it anew, with one."""
    project.must("worker", "--trials", "2", *QUICK)
    assert not project.reports.joinpath("sweep.html").exists()
    project.must("runs", "--page", *QUICK)
    page = (project.reports / "sweep.html").read_text()
    assert "No winner yet" in page
    assert "the best so far" in page
    assert "written" in project.must("search", "--trials", "2", *QUICK).splitlines()[-1]
    assert "the winner" in (project.reports / "sweep.html").read_text()


def test_without_a_study_of_this_configuration_there_is_no_page(project: Project) -> None:
    """None at all, and one of other settings: how to begin one."""
    for _ in range(2):
        code, _, err = project.run("runs", "--page", *QUICK)
        assert code == 2
        assert "make sweep NAME=tiny TRIALS=20" in err
        project.must("worker", "--trials", "1", *QUICK, "--set", "train.batch_size=16")
    assert not project.reports.joinpath("sweep.html").exists()


def test_an_explicit_hidden_is_taken_out_with_the_winners_width(project: Project) -> None:
    """It would win over width and depth in the config into which they are pasted."""
    hidden = ("--set", "model.hidden=[8]")
    space = ("--set", "search.space={'model.width' = {choice = [4, 8]}}")
    project.must("search", "--trials", "2", *QUICK, *space)
    assert "hidden" not in (project.reports / "sweep.html").read_text()
    project.must("search", "--trials", "2", *QUICK, *space, *hidden)
    assert "hidden = []" in (project.reports / "sweep.html").read_text()


def test_a_database_that_has_gone_is_a_sentence() -> None:
    """With the command that writes the page when it is back."""

    class Gone:
        def get_trials(self, *, deepcopy: bool) -> None:
            raise StorageInternalError("no route to host")

    class Runner:
        config = Config()

        class competition:  # noqa: N801
            name = "tiny"

    with pytest.raises(StorageError, match=r"no route to host.*runs tiny --page"):
        publish_sweep(Runner(), [Gone()], None)


def opened_plainly(project: Project) -> optuna.Study:
    """Our journal as any program of Optuna's opens it, `optuna-dashboard` among them: by its path alone."""
    [file] = project.models.glob("study-*.journal")
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
    return optuna.load_study(study_name=None, storage=storage)


def test_plain_optuna_shows_a_journals_trials_their_reports_and_who_trained_them(project: Project) -> None:
    """Values by dotted keys, a loss at every part of a leg but the very last, our attributes, the direction."""
    project.must("search", "--trials", "3", *QUICK)
    study = opened_plainly(project)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert study.study_name.startswith("tiny-")
    trials = study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    for trial in trials:
        # four epochs, three folds: the first one's, then those of the two that follow; in per cent of the trial
        assert sorted(trial.intermediate_values) == [7, 13, 20, 33, 47, 60, 73]
        assert "train.lr" in trial.params
        assert trial.user_attrs[WORKER]
    kept = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert trials[kept["trial"]].value == kept["score"]


def test_another_program_may_read_and_annotate_a_journal_while_ours_goes_on(project: Project, tmp_path: Path) -> None:
    """It takes Optuna's default lock, another kind than ours: neither loses what the other has written."""
    project.must("worker", "--trials", "2", *QUICK)
    [file] = project.models.glob("study-*.journal")
    script = tmp_path / "note.py"
    script.write_text(
        "import optuna, sys\n"
        "from optuna.storages.journal import JournalFileBackend\n"
        "storage = optuna.storages.JournalStorage(JournalFileBackend(sys.argv[1]))\n"
        "optuna.load_study(study_name=None, storage=storage).set_user_attr('note', 'mine')\n"
    )
    subprocess.run([sys.executable, str(script), str(file)], check=True)
    project.must("worker", "--trials", "3", *QUICK)
    study = opened_plainly(project)
    assert study.user_attrs["note"] == "mine"
    assert len(study.get_trials()) == 3
