"""Faults of disk, process and environment, injected (the numbers are those of the list of faults it survives)."""

from __future__ import annotations

import errno
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.checkpoints import StoredCheckpoint
from pipeline.devices import cuda_devices
from tests.shell.conftest import Project, make_raw, read_rows
from tests.shell.test_main_job import stages

if TYPE_CHECKING:
    from pipeline.engine.packing import Assignment
    from pipeline.fits import Job


def payload(project: Project, stage: str) -> Path:
    """The only artifact of a stage."""
    [file] = [*project.models.glob(f"{stage}-*.joblib"), *project.root.glob(f"data/processed/tiny/{stage}-*.joblib")]
    return file


@pytest.mark.parametrize("stage", ["ingest", "preprocess", "train", "evaluate", "submit"])
@pytest.mark.parametrize(
    "damage",
    ["flipped bit", *(pytest.param(more, marks=pytest.mark.slow) for more in ("truncated", "empty", "gone"))],
)
def test_a_damaged_artifact_is_set_aside_said_and_rebuilt(project: Project, stage: str, damage: str) -> None:
    """FAULT 5: never half-loaded, and the rebuilt submission has the same bytes."""
    project.must("submit")
    before = (project.reports / "submission.csv").read_bytes()
    file = payload(project, stage)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    spoiled = {"flipped bit": bytes(content), "truncated": bytes(content[:-7]), "empty": b"", "gone": None}[damage]
    file.unlink() if spoiled is None else file.write_bytes(spoiled)
    out = project.must("submit")
    assert stages(out, "damaged") == {stage}
    assert stages(out, "computed") == {stage}
    assert (file.parent / "damaged").is_dir()
    assert (project.reports / "submission.csv").read_bytes() == before


@pytest.mark.slow
def test_a_payload_without_a_manifest_counts_for_nothing(project: Project) -> None:
    """FAULT 3: killed between payload and manifest, the next run computes again."""
    project.must("submit")
    payload(project, "train").with_suffix(".json").unlink()
    assert stages(project.must("submit"), "computed") == {"train"}


def test_a_foreign_pickle_in_the_models_folder_is_never_opened(project: Project) -> None:
    """FAULT 45: a file in the right place under the right name, with no manifest that vouches for it, runs nothing."""
    project.must("submit")
    trap = project.root / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return os.mkdir, (str(trap),)

    payload(project, "train").write_bytes(pickle.dumps(Trap()))
    project.must("submit")
    assert not trap.exists()


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_checkpoint(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 1, 2: stopped in the middle, the next run takes the steps that are left, and submits the same bytes."""
    often = ("--set", "train.checkpoint_seconds=0")
    asked, stop_at = [0], [10**9]
    real = StoredCheckpoint.due

    def counting(self: StoredCheckpoint) -> bool:
        asked[0] += 1
        if asked[0] == stop_at[0]:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(StoredCheckpoint, "due", counting)
    project.must("submit")
    expected, steps = (project.reports / "submission.csv").read_bytes(), asked[0]
    for folder in ("models", "reports"):
        for file in (project.root / folder / "tiny").rglob("*"):
            if file.is_file():
                file.unlink()
    asked[0], stop_at[0] = 0, steps // 2
    code, _, err = project.run("submit", *often)
    assert code == 130
    assert "the same command continues" in err
    assert len(list(project.models.glob("part-*.json"))) == 2
    asked[0], stop_at[0] = 0, 10**9
    # 2 rounds of 3 networks, 4 epochs each: half of the steps are one round, its last step was not saved
    assert "train       running            goes on from a checkpoint, in epoch 4\n" in project.must("submit", *often)
    assert asked[0] == steps - (steps // 2 - 1)  # the step that was asked about last was not saved
    assert (project.reports / "submission.csv").read_bytes() == expected
    assert not list(project.models.glob("part-*"))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_set_aside_and_the_older_one_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 5, in the middle of a training: one slot is lost, not the training."""
    project.must("submit")
    expected = (project.reports / "submission.csv").read_bytes()
    for file in project.models.glob("*"):
        if file.is_file():
            file.unlink()
    asked = [0]

    def stopping(self: StoredCheckpoint) -> bool:
        asked[0] += 1
        if asked[0] == 9:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(StoredCheckpoint, "due", stopping)
    assert project.run("train")[0] == 130
    newest = max(project.models.glob("part-*.joblib"), key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-100])
    monkeypatch.undo()
    monkeypatch.chdir(project.root)
    out = project.must("train")
    assert "part        damaged" in out
    assert out.count("goes on from a checkpoint, in epoch 2\n") == 1  # 5 steps an epoch, 7 of them saved whole
    assert "checkpoint" not in project.must("train", "--set", "train.epochs=3")
    project.must("submit")
    assert (project.reports / "submission.csv").read_bytes() == expected


def test_data_edited_while_a_stage_runs_are_not_stored_under_the_old_key(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 10: the key was taken before the edit, so the result belongs to no key."""
    module = importlib.import_module("pipeline.stages.ingest")
    real = module.ingest

    def editing(*values: object, **named: object) -> object:
        result = real(*values, **named)
        make_raw(project.raw, seed=5)
        return result

    monkeypatch.setattr(module, "ingest", editing)
    code, _, err = project.run("ingest")
    assert code == 2
    assert "train, test changed while ingest ran, so its result was not stored" in err
    assert not list(project.root.glob("data/processed/tiny/ingest-*"))


def test_a_full_disk_is_one_sentence_and_leaves_the_old_artifact(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULT 4: nothing half-written is left, what was there stays, exit code 2."""
    project.must("submit")
    before = {p: p.read_bytes() for p in project.models.glob("train-*")}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = project.run("submit", "--set", "train.lr=0.01")
    assert code == 2
    assert "No space left on device; free some space" in err
    assert {p: p.read_bytes() for p in project.models.glob("train-*")} == before
    assert not list(project.models.glob(".*.tmp"))


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a CUDA device")
def test_cuda_without_a_gpu_is_one_sentence_and_auto_is_the_cpu(project: Project) -> None:
    """FAULT 17: found, expected and remedy; nothing is trained. `auto` says which device it took."""
    code, out, err = project.run("train", "--device", "cuda")
    assert code == 2
    assert "train.device = 'cuda', but this machine has 0 CUDA devices" in err
    assert "--device cpu" in err
    assert "computed" not in out
    assert "networks on cpu" in project.must("train", "--device", "auto")


def test_missing_raw_files_are_one_sentence(project: Project) -> None:
    """The folder and the missing files are named."""
    (project.raw / "test.csv").unlink()
    code, _, err = project.run("ingest")
    assert code == 2
    assert err == (
        "error: data/raw/tiny: no test file (sample_submission.csv, train.csv); put the competition's files there, "
        "name it with [files] test, or set [holdout] share = 0.2 to set rows of train.csv aside instead\n"
    )


def test_a_file_that_is_no_competition_names_the_known_ones(project: Project) -> None:
    """A typing error in NAME costs seconds."""
    from pipeline.__main__ import run

    assert run(["train", "tinny"]) == 2
    assert "known here: tiny" in project._capsys.readouterr().err


def test_predict_names_the_line_of_a_text_among_numbers(project: Project) -> None:
    """A broken file: file, line, column, what was found, what to do; no output file."""
    project.must("train")
    rows = read_rows(project.raw / "test.csv")
    rows[3][1] = "12m"
    Path("bad.csv").write_text("\n".join(",".join(row) for row in rows))
    code, _, err = project.run("predict", "--input", "bad.csv", "--output", "out.csv")
    assert code == 2
    assert "bad.csv: line 4: column 'area' is '12m'" in err
    assert not Path("out.csv").exists()


# a job in the background of a script inherits that Ctrl-C is ignored
IN_THE_FOREGROUND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from pipeline.__main__ import run; sys.exit(run(sys.argv[1:]))"
)
SHELL = [sys.executable, "-m", "pipeline"]


@pytest.mark.slow
def test_two_processes_with_the_same_config_train_once(project: Project) -> None:
    """FAULT 7: one computes, the other waits for it and reuses the artifact."""
    words = [*SHELL, "train", "tiny", "--set", "train.epochs=150", "--set", "train.seeds=4"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=_environment()) for _ in range(2)]
    outs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("train" in stages(out, "computed") for out in outs) == [False, True], outs


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_training_stopped_at_any_moment_ends_with_the_same_submission(
    project: Project,
    kill: int,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """FAULTS 1, 8, 11: its lock is free, its exit code tells, and the bytes are those of a run in peace.

    Three times over, each from where the last one was killed, wherever in an epoch, a save or a join that was.
    """
    longer = ["--set", "train.epochs=800", "--set", "train.checkpoint_seconds=0.1"]
    words = [sys.executable, "-c", IN_THE_FOREGROUND, "train", "tiny", *longer]
    for seconds in (0.31, 0.47, 0.23):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=_environment())
        _wait_for_line(process, "running")
        time.sleep(seconds)
        process.send_signal(kill)
        process.communicate(timeout=60)
        assert process.returncode == code
        assert list(project.models.glob("part-*.json"))
    assert stages(project.must("submit", *longer), "computed") >= {"train"}
    in_peace = Project(tmp_path / "in-peace", capsys)
    monkeypatch.chdir(in_peace.root)
    in_peace.must("submit", *longer)
    assert (project.reports / "submission.csv").read_bytes() == (in_peace.reports / "submission.csv").read_bytes()


@pytest.mark.slow
def test_a_sweep_stopped_half_way_loses_no_told_trial(project: Project) -> None:
    """FAULT 11: SIGTERM between trials; the next sweep counts what was told and finishes the rest.

    Nobody is given up, which would depend on who comes to an end first.
    """
    options = ["--set", "train.epochs=60", "--set", "search.parallel=2", "--set", "search.pruner=none"]
    words = [*SHELL, "search", "tiny", "--trials", "60", *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=_environment())
    _wait_for_line(process, "trial    3")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    out = project.must("search", "--trials", "6", *options)
    [line] = [line for line in out.splitlines() if "so far" in line]
    assert int(line.split()[1]) >= 4
    winner = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert winner["trials"] >= 6


@pytest.mark.slow
def test_a_cached_submit_imports_nothing_heavy(project: Project) -> None:
    """A second run answers in a moment because it neither loads torch nor pandas nor scikit-learn."""
    project.must("submit")
    code = (
        "import sys; from pipeline.__main__ import run; code = run(['submit', 'tiny']);"
        "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib', 'optuna'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=_environment()).returncode == 0


def test_help_imports_no_library_at_all() -> None:
    """`--help` answers in a moment: standard library only."""
    code = (
        "import sys\nfrom pipeline.__main__ import run\n"
        "try: run(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'pandas', 'sklearn', 'pydantic', 'joblib', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONUNBUFFERED": "1"}


def _wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"the process ended without saying {word!r}")


@pytest.mark.slow
def test_networks_that_trained_on_beside_a_failure_are_not_trained_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the error says: with the same settings nothing is trained, with others everything."""
    ruled = importlib.import_module("pipeline.stages.assignments")
    packs = importlib.import_module("pipeline.stages.packs")
    real, fit, fitted = ruled.assignment_of, packs.fit, []

    def too_fast(design: object, candidate: object, job: Job, start: int) -> Assignment:
        found = real(design, candidate, job, start)
        return replace(found, lr=1e30) if (job.fold, job.seed) == (1, 0) else found

    def counted(jobs: list[Assignment], *words: object, **named: object) -> object:
        fitted.append(len(jobs))
        return fit(jobs, *words, **named)

    monkeypatch.setattr(packs, "assignment_of", too_fast)
    monkeypatch.setattr(packs, "fit", counted)
    for trained in ([6], [6], [6, 6]):
        options = ("--set", "train.epochs=5") if len(trained) == 2 else ()
        code, _, err = project.run("train", *options)
        assert code == 2
        assert "1 of 6 networks came to nothing; 5 networks trained on\n" in err
        assert "the 5 that trained on are kept for these settings and not trained again with them; whatever" in err
        assert fitted == trained
