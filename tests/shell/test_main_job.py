"""The main job as a user runs it: from three CSV files to a checked submission."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.checkpoints import StoredCheckpoint
from pipeline.tabular.metrics import score
from tests.shell.conftest import Project, make_raw, read_rows


def stages(out: str, word: str) -> set[str]:
    """The stages whose line says `word`."""
    return {line.split()[0] for line in out.splitlines() if line.split()[1:2] == [word]}


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def test_three_files_become_a_submission_with_every_test_id_in_order(project: Project) -> None:
    """One line for every test row, in the sample's order, with the sample's header and finite positive numbers."""
    project.must("preprocess")
    project.must("train")
    out = project.must("submit")
    rows = read_rows(project.reports / "submission.csv")
    sample = read_rows(project.raw / "sample_submission.csv")
    assert rows[0] == sample[0]
    assert [row[0] for row in rows[1:]] == [row[0] for row in sample[1:]]
    assert all(math.isfinite(float(value)) and float(value) > 0 for _, value in rows[1:])
    assert "reports/tiny/submission.csv" in out


def test_a_second_run_computes_nothing_and_writes_nothing(project: Project) -> None:
    """Same files, same config, same code: every stage is cached and every output file keeps its bytes and time."""
    assert stages(project.must("submit"), "computed") == {"ingest", "preprocess", "train", "evaluate", "submit"}
    before = {p: p.stat().st_mtime_ns for p in project.reports.iterdir()}
    out = project.must("submit")
    assert stages(out, "cached") == {"ingest", "preprocess", "train", "evaluate", "submit"}
    assert "computed" not in out
    assert "written" not in out
    assert {p: p.stat().st_mtime_ns for p in project.reports.iterdir()} == before


@pytest.mark.slow
def test_no_stage_writes_to_the_raw_folder(project: Project) -> None:
    """data/raw holds what the user brought, to the byte, after every command."""
    before = hashes(project.raw)
    for command in ("submit", "report", "status"):
        project.must(command)
    assert hashes(project.raw) == before


def test_the_network_beats_predicting_the_mean(project: Project) -> None:
    """On data with a signal, a few epochs score better than the mean: the road carries information end to end."""
    project.must("submit", "--set", "train.epochs=30")
    metrics = json.loads((project.reports / "metrics.json").read_text())
    assert metrics["models"]["mlp"]["oof"]["log_rmse"] < 0.7 * metrics["baselines"]["mean"]["oof"]["log_rmse"]


def test_every_score_in_metrics_json_can_be_recomputed_from_oof_csv(project: Project) -> None:
    """Invariant 7: fold by fold and pooled, for the model and the baselines, in every metric."""
    project.must("evaluate")
    metrics = json.loads((project.reports / "metrics.json").read_text())
    header, *lines = read_rows(project.models / "oof.csv")
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    for name, model in (metrics["models"] | metrics["baselines"]).items():
        for fold in model["folds"]:
            own = [row for row in rows if row["fold"] == str(fold["fold"])]
            assert len(own) == fold["rows"]
            _assert_scores(fold, own, name)
        _assert_scores(model["oof"], rows, name)


def _assert_scores(scores: dict[str, float], rows: list[dict[str, str]], model: str) -> None:
    actual = np.array([float(row["actual"]) for row in rows])
    predicted = np.array([float(row[model]) for row in rows])
    for metric in ("log_rmse", "rmse", "mse", "mae", "r2"):
        assert scores[metric] == pytest.approx(score(metric, actual, predicted), rel=1e-12)


def test_metrics_json_has_the_documented_keys(project: Project) -> None:
    """What other programs rely on: names, nesting, train scores in every fold, the submission's own hash."""
    project.must("submit")
    metrics = json.loads((project.reports / "metrics.json").read_text())
    assert metrics["competition"] == "tiny"
    assert metrics["metric"] == "log_rmse"
    model = metrics["models"]["mlp"]
    assert {"folds", "oof", "train_seconds"} <= model.keys()
    wanted = {"log_rmse", "rmse", "mse", "mae", "r2"}
    for fold in model["folds"]:
        assert wanted | {"fold", "rows", "train"} <= fold.keys()
        assert wanted <= fold["train"].keys()
    assert set(metrics["baselines"]) == {"mean", "median", "ridge"}
    content = (project.reports / "submission.csv").read_bytes()
    assert metrics["submission"] == {"rows": 60, "sha256": hashlib.sha256(content).hexdigest()}


def test_predict_on_the_test_file_gives_the_submission_byte_for_byte(project: Project) -> None:
    """The stored weights alone, on rows read anew, predict what training predicted."""
    project.must("submit")
    project.must("predict", "--input", str(project.raw / "test.csv"), "--output", "again.csv")
    assert Path("again.csv").read_bytes() == (project.reports / "submission.csv").read_bytes()


@pytest.mark.slow
def test_predict_keeps_the_order_of_other_rows_and_ignores_other_columns(project: Project) -> None:
    """A file of some training rows, target and all, is answered line by line."""
    project.must("submit")
    lines = (project.raw / "train.csv").read_text().splitlines()
    Path("some.csv").write_text("\n".join([lines[0], *reversed(lines[1:6])]) + "\n")
    project.must("predict", "--input", "some.csv", "--output", "out.csv")
    rows = read_rows(Path("out.csv"))
    assert [row[0] for row in rows[1:]] == ["00004", "00003", "00002", "00001", "00000"]


@pytest.mark.slow
def test_the_same_config_and_files_give_the_same_bytes_elsewhere(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Invariant 5: nothing of one run's folder, time or cache enters a submission."""
    project.must("submit")
    other = Project(tmp_path / "elsewhere", capsys)
    monkeypatch.chdir(other.root)
    other.must("submit")
    first, second = (p.reports / "submission.csv" for p in (project, other))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("setting", "computed"),
    [
        ("train.lr=0.01", {"train", "evaluate", "submit"}),
        pytest.param("model.width=4", {"train", "evaluate", "submit"}, marks=pytest.mark.slow),
        pytest.param("folds.count=4", {"preprocess", "train", "evaluate", "submit"}, marks=pytest.mark.slow),
        ("preprocess.min_frequency=1", {"preprocess", "train", "evaluate", "submit"}),
        pytest.param(
            *("schema.drop=['note']", {"ingest", "preprocess", "train", "evaluate", "submit"}), marks=pytest.mark.slow
        ),
        pytest.param("metric=rmse", {"ingest", "preprocess", "train", "evaluate", "submit"}, marks=pytest.mark.slow),
        ("search.trials=7", set()),
        ("train.tuned=false", set()),
    ],
)
def test_a_setting_makes_exactly_its_readers_stale(project: Project, setting: str, computed: set[str]) -> None:
    """Invariant 3: a stage is computed again if and only if it, or a stage before it, reads what changed."""
    project.must("submit")
    assert stages(project.must("submit", "--set", setting), "computed") == computed


def test_an_edited_row_makes_everything_stale_and_a_touched_file_nothing(project: Project) -> None:
    """FAULT 9: bytes decide; times, even set back, do not."""
    project.must("submit")
    for file in [*project.raw.iterdir(), *project.models.iterdir()]:
        os.utime(file, (1, 1))
    assert "computed" not in project.must("submit")
    make_raw(project.raw, seed=1)
    assert "train" in stages(project.must("submit"), "computed")


def test_fast_runs_write_beside_the_real_outputs(project: Project) -> None:
    """`--fast` answers whether it runs; its submission must never be taken for the real one."""
    project.must("submit")
    real = (project.reports / "submission.csv").read_bytes()
    project.must("submit", "--fast")
    assert (project.reports / "submission.csv").read_bytes() == real
    assert (project.reports / "fast" / "submission.csv").read_bytes() != real


def test_refit_predicts_the_test_with_networks_trained_on_all_rows(project: Project) -> None:
    """The textbook's way: out-of-fold scores are the folds' own, test predictions are the refit's."""
    project.must("submit")
    plain = json.loads((project.reports / "metrics.json").read_text())
    project.must("submit", "--set", "train.refit=true")
    refit = json.loads((project.reports / "metrics.json").read_text())
    assert refit["models"]["mlp"]["oof"] == pytest.approx(plain["models"]["mlp"]["oof"], rel=1e-4)
    assert refit["submission"]["sha256"] != plain["submission"]["sha256"]


def test_the_report_is_written_and_self_contained(project: Project) -> None:
    """One HTML file that names the competition and loads nothing."""
    project.must("report")
    page = (project.reports / "report.html").read_text()
    assert "tiny" in page
    assert "log_rmse" in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_a_sweep_continues_and_its_winner_is_trained(project: Project) -> None:
    """Two trials, then two more in the same study; `train.tuned` then trains the winner's values."""
    drawn = ("--set", "search.sampler=random")  # one process runs both searches here, which TPE takes for company
    out = project.must("search", "--trials", "2", *drawn)
    assert "0 trials so far" in out
    out = project.must("search", "--trials", "4", *drawn)
    assert "2 trials so far" in out
    winner = json.loads(next(project.models.glob("winner-*.json")).read_text())
    assert winner["trials"] == 4
    assert winner["trial"] != 0, "else there is nothing new to train"
    plain = project.must("train")
    space = ("--set", "train.tuned=true")
    tuned = project.must("train", *space, *drawn)
    assert stages(plain, "computed") == {"preprocess", "train"}
    assert "train" in stages(tuned, "computed")
    given = [f"{key}={json.dumps(value)}" for key, value in winner["values"].items()]
    by_hand = project.must("train", *(word for setting in given for word in ("--set", setting)))
    assert stages(by_hand, "computed") == set()


def test_tuned_without_a_sweep_is_one_clear_sentence(project: Project) -> None:
    """The command to run is named; nothing is trained."""
    code, out, err = project.run("train", "--set", "train.tuned=true")
    assert code == 2
    assert "no sweep has finished for this configuration" in err
    assert "make sweep NAME=tiny" in err
    assert "computed" not in out


def test_evaluating_again_keeps_the_submission_in_metrics_json(project: Project) -> None:
    """As long as it belongs to the same training; after another training it is gone until `submit` ran again."""
    project.must("submit")
    project.must("evaluate")
    assert json.loads((project.reports / "metrics.json").read_text())["submission"]["rows"] == 60
    project.must("evaluate", "--set", "train.lr=0.01")
    assert json.loads((project.reports / "metrics.json").read_text())["submission"] is None


def test_gc_keeps_the_checkpoint_of_an_interrupted_training(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command still continues from there."""
    steps = [0]

    def dying(self: StoredCheckpoint) -> bool:
        steps[0] += 1
        if steps[0] == 12:
            raise KeyboardInterrupt
        return True

    with monkeypatch.context() as patched:
        patched.setattr(StoredCheckpoint, "due", dying)
        assert project.run("train")[0] == 130
    loaded: list[object] = []
    real = StoredCheckpoint.load
    monkeypatch.setattr(StoredCheckpoint, "load", lambda self: loaded.append(real(self)) or loaded[-1])
    project.must("gc")
    project.must("train")
    assert loaded[0] is not None
