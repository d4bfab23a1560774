"""status, explain, gc, config, keys, storage and devices."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import known_keys, load_config, value_at, with_values
from pipeline.devices import available_cores, cache_class, resolve_compute
from pipeline.graph import NOT_IN_KEYS, SEARCH, STAGES, key_of, key_parts
from pipeline.journal import heal_journal
from pipeline.search_settings import Search
from pipeline.storage import open_study
from pipeline.tables import Compute
from tests.shell.conftest import CONFIG, Project

if TYPE_CHECKING:
    import optuna

ROOT = Path(__file__).resolve().parents[2]
CPU = Compute("cpu", 2, "fp32")
BASE = load_config(CONFIG, file="tiny.toml").config


def test_status_and_explain_say_in_words_what_is_stale_and_why(project: Project) -> None:
    """Absent, fresh, stale by a setting, stale by an input; the setting's old and new value are named."""
    assert "never computed" in project.must("status")
    project.must("submit")
    fresh = project.must("status").splitlines()
    assert [line.split()[1] for line in fresh[:5]] == ["fresh"] * 5
    changed = project.must("status", "--set", "train.lr=0.5")
    assert "train       stale     config train.lr was 0.015, is 0.5" in changed
    assert "evaluate    stale     its input train is another one" in changed
    words = project.must("explain", "submit", "--set", "train.lr=0.5")
    assert "submit will be computed" in words
    assert "  - config train.lr was 0.015, is 0.5" in words
    assert "submit is fresh" in project.must("explain", "submit")


def test_explain_names_the_raw_file_that_has_other_bytes(project: Project) -> None:
    """Raw files enter the key by content, and are explained by role."""
    project.must("ingest")
    with (project.raw / "test.csv").open("a") as stream:
        stream.write("99999,1,2,N,x\n")
    assert "  - the test file has other bytes" in project.must("explain", "ingest")


@pytest.mark.slow
def test_gc_keeps_the_last_and_whatever_was_published(project: Project) -> None:
    """After four trainings, keep=1 leaves the newest and the one behind the published submission."""
    project.must("submit")
    for lr in ("0.01", "0.02", "0.03"):
        project.must("train", "--set", f"train.lr={lr}")
    project.must("gc", "--keep", "1", "--set", "train.lr=0.03")
    kept = {json.loads(file.read_text())["parts"]["config"]["train.lr"] for file in project.models.glob("train-*.json")}
    assert kept == {0.015, 0.03}
    assert "computed" not in project.must("submit")


def test_config_show_tells_every_value_and_its_origin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """File line, recipe, environment, option and default are told apart."""
    monkeypatch.setenv("PIPELINE_TRAIN__WEIGHT_DECAY", "0.5")
    shown = project.must("config", "show", "--origin", "--set", "train.lr=0.1")
    lines = {line.split(" = ")[0]: line for line in shown.splitlines()}
    assert lines["train.lr"].endswith("# --set train.lr")
    assert lines["train.weight_decay"].endswith("# environment PIPELINE_TRAIN__WEIGHT_DECAY")
    assert lines["train.epochs"].endswith("# tiny.toml:17")
    assert lines["preprocess.min_frequency"].endswith("# recipe classic")
    assert lines["train.beta1"].endswith("# default")


LEAVES = {
    "train.lr": st.floats(1e-5, 1.0),
    "train.epochs": st.integers(1, 500),
    "model.dropout": st.floats(0.0, 0.9),
    "model.activation": st.sampled_from(["relu", "gelu", "tanh"]),
    "folds.count": st.integers(2, 20),
    "preprocess.min_frequency": st.integers(1, 50),
    "schema.id": st.text("abc", min_size=1, max_size=4),
}


@given(st.data())
def test_a_stage_key_changes_if_and_only_if_a_setting_it_reads_does(data: st.DataObject) -> None:
    """Invariant 3, for every stage and any value of any setting."""
    name = data.draw(st.sampled_from(sorted(STAGES)))
    key = data.draw(st.sampled_from(sorted(LEAVES)))
    changed = with_values(BASE, {key: data.draw(LEAVES[key])})
    stage = STAGES[name]
    reads = key.split(".")[0] in stage.config.values() and key not in NOT_IN_KEYS
    differs = value_at(changed, key) != value_at(BASE, key)
    before, after = (key_of(key_parts(name, stage, config, {"x": "1"}, CPU)) for config in (BASE, changed))
    assert (before != after) == (reads and differs)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_key_depends_on_its_inputs_and_only_training_on_the_device(name: str) -> None:
    """Another input key gives another key; another thread count only where numbers are trained."""

    def key(inputs: str, compute: Compute) -> str:
        return key_of(key_parts(name, STAGES[name], BASE, {"x": inputs}, compute))

    assert key("1", CPU) != key("2", CPU)
    assert (key("1", CPU) != key("1", Compute("cpu", 3, "fp32"))) == STAGES[name].computes


def test_every_stage_of_the_table_exists() -> None:
    """The dotted names, which no type checker follows, lead to functions that take what the table gives them."""
    import importlib
    import inspect

    for stage in STAGES.values():
        module, _, name = stage.function.partition(":")
        parameters = set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
        assert parameters == {*stage.inputs, *stage.config, *({"runtime"} if stage.computes else ())}


def opened(folder: Path) -> optuna.Study:
    """A study in a journal there."""
    return open_study(folder, "k" * 64, name="c", search=Search())


def test_a_torn_journal_is_healed_and_its_whole_lines_are_kept(tmp_path: Path) -> None:
    """FAULT 13: without healing, one more line after a torn one makes the study unreadable for ever."""
    study = opened(tmp_path)
    study.tell(study.ask(), 1.0)
    file = next(tmp_path.glob("*.journal"))
    with file.open("ab") as stream:
        stream.write(b'{"op_code": 4, "worker')
    again = opened(tmp_path)
    again.tell(again.ask(), 2.0)
    assert [trial.value for trial in opened(tmp_path).trials] == [1.0, 2.0]
    assert next(tmp_path.glob("*.bak")).read_bytes().endswith(b"worker")
    assert not heal_journal(file)


def test_threads_and_device_are_resolved_before_they_enter_a_key() -> None:
    """0 threads are the cores this process may use; a given number stays."""
    cores = available_cores()
    assert resolve_compute("cpu", 0, "fp32") == Compute("cpu", cores, "fp32", cache=cache_class(cores))
    assert resolve_compute("cpu", 7, "fp64") == Compute("cpu", 7, "fp64", cache=cache_class(7))


def test_the_cache_that_packs_are_planned_for_is_in_the_key_of_what_is_trained_on_a_cpu() -> None:
    """It decides who trains side by side, so the last bits; a GPU and a study promise none."""

    def keys(device: str, stage: str) -> set[str]:
        table = {**STAGES, "search": SEARCH}
        found = (Compute(device, 2, "fp32", cache=cache) for cache in (8, 16))
        return {key_of(key_parts(stage, table[stage], BASE, {}, compute)) for compute in found}

    assert len(keys("cpu", "train")) == 2
    assert len(keys("cuda", "train")) == len(keys("cpu", "search")) == len(keys("cpu", "ingest")) == 1


def test_the_reader_of_the_raw_files_counts_as_code_of_ingest() -> None:
    """It runs before the stage, outside its module; an edit there changes what the stage is given."""
    parts = key_parts("ingest", STAGES["ingest"], BASE, {}, CPU)
    assert {"pipeline.reading.table", "pipeline.stages.ingest", "pipeline.tabular.schema"} <= set(parts["code"])
    assert {"pandas", "pyarrow"} <= set(parts["libraries"])


def test_settings_hold_no_code_that_a_stage_would_reach_unseen() -> None:
    """Stages get settings as values; a property there would run without being in any key."""
    from pydantic import BaseModel

    from pipeline import settings

    sections = [v for v in vars(settings).values() if isinstance(v, type) and issubclass(v, settings.Settings)]
    own = {name for section in sections for name, value in vars(section).items() if isinstance(value, property)}
    assert own <= {name for name in dir(BaseModel) if not name.startswith("__")}


@pytest.mark.parametrize("name", ["../raw", "", ".", "a/b"])
def test_make_clean_refuses_what_is_no_competition_name(name: str, tmp_path: Path) -> None:
    """`make clean NAME=../raw` must not delete the user's files."""
    (tmp_path / "data" / "raw").mkdir(parents=True)
    done = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "clean", f"NAME={name}"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "is no competition name" in done.stderr
    assert (tmp_path / "data" / "raw").is_dir()


def test_an_unwritable_file_is_one_sentence_wherever_it_happens(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 6: an error of the operating system is the environment's fault, not a traceback."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "models/tiny/x")

    monkeypatch.setattr("pipeline.sweeping.open_study", refused)
    code, _, err = project.run("search", "--trials", "1")
    assert code == 2
    assert "models/tiny/x: Permission denied" in err


def test_a_garbled_journal_and_a_garbled_winner_are_sentences(project: Project) -> None:
    """Not only a torn tail: whatever stands in the files, the message names the file and the way out."""
    project.must("search", "--trials", "1")
    next(project.models.glob("winner-*.json")).write_text("{}")
    code, _, err = project.run("train", "--set", "train.tuned=true")
    assert code == 2
    assert "make sweep" in err
    journal = next(project.models.glob("study-*.journal"))
    journal.write_text("garbage\n" + journal.read_text())
    code, _, err = project.run("search", "--trials", "2")
    assert code == 2
    assert "not a readable journal" in err


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_setting_that_a_stage_is_handed_is_in_its_key(name: str) -> None:
    """All leaves of its sections but ten: some enter resolved, a winner by content, and the others change no bit."""
    assert {
        "train.device", "train.threads", "train.precision", "train.tuned", "train.checkpoint_seconds",
        "train.engine", "train.workers", "train.scheduler", "train.device_memory",
        "train.warm_start",
    } == NOT_IN_KEYS  # fmt: skip
    sections = {*STAGES[name].config.values(), *STAGES[name].reads}
    handed = {key for key in known_keys() if sections & {key, key.partition(".")[0]}} - NOT_IN_KEYS
    assert set(key_parts(name, STAGES[name], BASE, {}, CPU)["config"]) == handed
