"""Stages brought up to date, and the files for people and other programs that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline.digests import asset_digests, code_digest, library_versions
from pipeline.files import write_atomically
from pipeline.graph import STAGES, key_of
from pipeline.outputs import Publisher, metrics_json, oof_csv
from pipeline.progress import say
from pipeline.samples import SOLUTION
from pipeline.store import KEY_SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline.facts import ReportFacts
    from pipeline.fits import Fits, Scores, Submission
    from pipeline.runner import Runner
    from pipeline.tables import Dataset, Design


def bring(runner: Runner, stage: str) -> None:
    """Bring a stage up to date and write the files that belong to it."""
    if stage == "submit":
        runner.bring("evaluate")
    runner.bring(stage)
    if stage in ("evaluate", "submit"):
        _publish_scores(runner, with_submission=stage == "submit" or runner.is_fresh("submit"))
    if stage == "submit":
        _publish_submission(runner)
    if stage == "report":
        _publish_report(runner)


def _publish_scores(runner: Runner, *, with_submission: bool) -> None:
    stages = ("evaluate", "submit") if with_submission else ("evaluate",)
    name = runner.competition.name

    def metrics() -> bytes:
        submission = cast("Submission", runner.value("submit")) if with_submission else None
        return metrics_json(cast("Scores", runner.value("evaluate")), submission, competition=name)

    _publish(runner, "reports", "metrics.json", stages, metrics)
    _publish(runner, "models", "oof.csv", ("evaluate",), lambda: oof_csv(cast("Scores", runner.value("evaluate"))))


def _publish_submission(runner: Runner) -> None:
    path = _publish(
        runner, "reports", "submission.csv", ("submit",), lambda: cast("Submission", runner.value("submit")).csv
    )
    file, name = path.relative_to(runner.competition.root), runner.competition.name
    solution = runner.competition.raw(runner.config.raw) / SOLUTION
    if runner.raw_files.test is None:
        say(f"{'':<11} {'ready':<18} {file} has the held-out rows; score them: make heldout NAME={name}")
    else:
        here = f", or score it here: make heldout NAME={name}" if solution.exists() else ""
        say(f"{'':<11} {'ready':<18} upload {file} to the competition{here}")


def _publish_report(runner: Runner) -> None:
    def render() -> bytes:
        from pipeline.report.page import render_report

        parts = runner.parts("train")
        libraries = cast("Mapping[str, str]", parts["libraries"])
        settings = {key: str(value) for key, value in cast("Mapping[str, object]", parts["config"]).items()}
        tuned = {f"sweep, {key}": str(value) for key, value in runner.winner.values.items()} if runner.winner else {}
        keys = {f"artifact of {name}": runner.key(name)[:KEY_SHOWN] for name in STAGES}
        provenance = {**keys, **libraries, **settings, **tuned}
        facts = cast("ReportFacts", runner.value("report"))
        return render_report(facts, competition=runner.competition.name, provenance=provenance)

    _publish(runner, "reports", "report.html", ("report",), render, module="pipeline.report.page")


def _publish(
    runner: Runner,
    kind: str,
    name: str,
    stages: tuple[str, ...],
    render: Callable[[], bytes],
    module: str = "pipeline.outputs",
) -> Path:
    publisher = Publisher(runner.competition.outputs(kind), root=runner.competition.root)
    artifacts = {stage: runner.key(stage) for stage in STAGES if any(_needs(later, stage) for later in stages)}
    made_by = {**code_digest(module), **library_versions(module), **asset_digests(module)}
    key = key_of({"from": [runner.key(stage) for stage in stages], "made by": made_by})
    return publisher.publish(name, key, artifacts, render)


def _needs(stage: str, other: str) -> bool:
    return stage == other or any(source in STAGES and _needs(source, other) for source in STAGES[stage].inputs.values())


def predict_file(runner: Runner, source: Path, target: Path) -> None:
    """Predict the rows of a CSV file; on the test file it gives submission.csv byte for byte (on a CPU)."""
    runner.bring("train")
    from pipeline.reading.table import read_table
    from pipeline.stages.predict import predict, prepare_rows
    from pipeline.stages.submit import submission_csv
    from pipeline.tables import RawTables
    from pipeline.tabular.joins import join_sides

    dataset, design = cast("Dataset", runner.value("ingest")), cast("Design", runner.value("preprocess"))
    fits = cast("Fits", runner.value("train"))
    config = runner.config
    sides = {name: read_table(path, config.files) for name, path in runner.raw_files.sides.items()}
    read = RawTables(train=read_table(source, config.files), test=None, sample=None, sides=sides)
    joined, unmatched = join_sides(read, config.join)
    ids, rows, notices = prepare_rows(
        dataset,
        design,
        joined.train,
        roles=config.roles,
        options=config.preprocess,
        history=config.history,
    )
    for notice in (*joined.train.notices, *unmatched, *notices):
        say(f"{'predict':<11} notice: {notice.line}")
    predictions = predict(design, fits.bag, rows, runner.compute)
    content = submission_csv(ids, predictions, header=dataset.submission_header, wanted=dataset.submission_ids)
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # a device or a pipe is written to, never replaced
    else:
        write_atomically(target, content)
    say(f"{'predict':<11} {len(ids)} rows -> {target}")
