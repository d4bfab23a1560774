"""A database that comes and goes: asked again, said once, and given up in a sentence."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from pipeline.claims import Claims, Ears
from pipeline.database import Database, open_database, tried_once
from pipeline.errors import StorageError
from pipeline.search_settings import Range, Search
from pipeline.storage import open_study
from tests.stages.studies import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database that is a file."""
    return f"sqlite:///{tmp_path}/studies.db"


def failing(times: int) -> Callable[[], str]:
    """A call that finds no server so many times, each time in other words, before it has its answer."""
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise StorageInternalError(f"could not connect, {left[0]} more\nand further lines")
        return "answer"

    return call


def test_a_database_that_comes_back_is_waited_for_and_said_once(url: str) -> None:
    """Two tries fail: one line when it is away, one when it is back."""
    database, said = open_database(url, 30.0), list[str]()
    database.on_wait = said.append
    assert database.steadily(failing(2)) == "answer"
    assert said[0] == "the study's database does not answer (could not connect, 1 more); trying again"
    assert said[1].startswith("the study's database answers again")
    assert len(said) == database.outages == 2


def test_a_database_that_stays_away_is_given_up_with_a_sentence(url: str) -> None:
    """After the patience that it was given, with what to do; said once before."""
    database, said = open_database(url, 0.4), list[str]()
    database.on_wait = said.append
    with pytest.raises(
        StorageError, match=r"not answered for 0 s \(could not connect, \d+ more\).* run the same command"
    ):
        database.steadily(failing(100))
    assert len(said) == 1


def test_nobody_waits_who_does_not_want_to(url: str) -> None:
    """Signs of life, and what is told on the way out."""
    database = open_database(url, 3600.0)
    with pytest.raises(StorageInternalError), tried_once():
        database.steadily(failing(1))
    assert database.steadily(failing(1)) == "answer"


def test_every_operation_of_a_storage_is_a_steady_one() -> None:
    """Whatever Optuna asks of it, now or in a later version: nothing slips through to the plain one."""
    public = {name for name, one in vars(BaseStorage).items() if callable(one) and not name.startswith("_")}
    inner = {"_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id"}
    own = (public | inner) & set(vars(RDBStorage))
    assert {"set_trial_state_values", "set_trial_param", "get_trial", "set_study_user_attr"} <= own
    assert [name for name in sorted(own) if getattr(Database, name) is getattr(RDBStorage, name)] == []


def opened(folder: Path, url: str, patience: str) -> Claims:
    """Claims on two trials of a study in that database."""
    search = Search(
        storage=url, patience=patience, sampler="random", pruner="none", space={"x": Range(uniform=(0.0, 1.0))}
    )
    return Claims(open_study(folder, "k" * 64, name="c", search=search), 2)


def test_a_locked_sqlite_is_waited_for_and_then_a_sentence_that_names_postgresql(tmp_path: Path, url: str) -> None:
    """FAULT 14: somebody writes for longer than the patience; whoever opens it then hears the same."""
    claims, said = opened(tmp_path, url, "1s"), list[str]()
    claims.ears = Ears(on_wait=said.append)
    [trial] = claims.ask(1)
    holder = sqlite3.connect(tmp_path / "studies.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"locked for \d+ s \(database is locked\).*take PostgreSQL"):
        claims.complete(trial, 0.5, UNSEEN)
    assert said == ["trial 0 has the score 0.50000, which cannot be told: it will be tried again"]
    with pytest.raises(StorageError, match=r"database is locked.*take PostgreSQL"):
        opened(tmp_path, url, "1s")
    holder.execute("ROLLBACK")
    claims.complete(trial, 0.5, UNSEEN)
    assert opened(tmp_path, url, "1s").study.best_value == 0.5


def test_a_trial_whose_answer_was_lost_on_its_way_counts_as_told(tmp_path: Path, url: str) -> None:
    """The database took the score, and was gone before it said so: asked again it says that the trial has ended."""
    claims, told = opened(tmp_path, url, "1m"), list[int]()
    claims.ears = Ears(on_told=lambda trial: told.append(trial.number))
    [trial] = claims.ask(1)
    claims.study.tell(trial.number, 0.5)
    claims.complete(trial, 0.5, UNSEEN)
    assert told == [0]
    assert not claims.mine


def test_silence_while_the_database_was_away_is_not_held_against_anybody(tmp_path: Path, url: str) -> None:
    """Nobody could be heard: their time begins anew."""
    claims = opened(tmp_path, url, "1m")
    claims.study.ask().set_user_attr("worker", "elsewhere 1 aaaaaaaa")
    assert claims.database is not None
    claims._bury()
    before = claims.heard["elsewhere 1 aaaaaaaa"]
    claims._bury()
    assert claims.heard["elsewhere 1 aaaaaaaa"] == before
    claims.database.steadily(failing(1))
    claims._bury()
    assert claims.heard["elsewhere 1 aaaaaaaa"][1] > before[1]
