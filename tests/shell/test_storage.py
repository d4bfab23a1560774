"""Where studies lie: addresses without passwords, databases that cannot be opened, winners as they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ArtifactError, ConfigError, StorageError
from pipeline.outcomes import Finalist, Winner
from pipeline.search_settings import Search
from pipeline.storage import load_winner, open_study, save_winner, shown_url, study_file

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from tests.shell.conftest import Project

KEY = "k" * 64


def opened(folder: Path, storage: str = "") -> optuna.Study:
    """A study in a journal there, or in a database."""
    return open_study(folder, KEY, name="c", search=Search(storage=storage))


def test_a_password_is_never_shown() -> None:
    """Nor anything else changed."""
    assert shown_url("postgresql://me:s3cret@host:5432/studies") == "postgresql://me:***@host:5432/studies"
    assert shown_url("postgresql://me:p@ss:w@host/studies") == "postgresql://me:***@host/studies"
    assert shown_url("postgresql://host/studies?user=me&password=s3cret&x=1").endswith("?user=me&password=***&x=1")
    assert shown_url("postgresql://me@host/studies") == "postgresql://me@host/studies"
    assert shown_url("sqlite:////data/a.db") == "sqlite:////data/a.db"


def test_config_show_hides_the_password_of_a_database(project: Project) -> None:
    """People paste what it prints."""
    out = project.must("config", "show", "--set", "search.storage=postgresql://me:s3cret@host/studies")
    assert "me:***@host" in out
    assert "s3cret" not in out


def test_sqlite_is_a_database_like_others_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    """Opened twice: the same study, in write-ahead mode, so that readers do not lock writers out."""
    url = f"sqlite:///{tmp_path}/studies.db"
    study = opened(tmp_path, url)
    trial = study.ask()
    study.tell(trial, 0.5)
    again = opened(tmp_path, url)
    assert again.best_value == 0.5
    assert again.study_name == study.study_name == f"c-{KEY[:12]}"
    assert (tmp_path / "studies.db-wal").exists()


def test_a_database_that_does_not_answer_is_a_sentence_without_the_password(tmp_path: Path) -> None:
    """A folder that is not there, a kind that nobody knows."""
    for url in ("sqlite:////nowhere/at/all/a.db", "nothing://me:s3cret@host/x"):
        with pytest.raises(StorageError) as caught:
            opened(tmp_path, url)
        assert shown_url(url) in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_journal_is_a_sentence(tmp_path: Path) -> None:
    """Named, with what to do."""
    study_file(tmp_path, KEY).write_text("not json at all\n")
    with pytest.raises(ArtifactError, match=r"study-k+\.journal.*move it away"):
        opened(tmp_path)


def test_a_continued_study_suggests_other_points(tmp_path: Path) -> None:
    """Its sampler begins where the last one's trials ended."""
    drawn = []
    for _ in range(2):
        study = opened(tmp_path)
        trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, 1.0)
    assert drawn[0] != drawn[1]


def test_a_winner_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Finalists and their scores too; nothing of another key."""
    winner = Winner(
        {"train.lr": 0.25, "model.width": 64},
        score=0.5,
        trial=3,
        trials=9,
        finalists=(Finalist(3, {"train.lr": 0.25, "model.width": 64}, 0.5, (0.6, 0.7)),),
        findings=("loss: it stays",),
    )
    save_winner(tmp_path, KEY, winner)
    assert load_winner(tmp_path, KEY, name="c") == winner
    with pytest.raises(ConfigError, match="1 finished under other data, code or settings"):
        load_winner(tmp_path, "l" * 64, name="c")
