"""What each command does, in terms of the runner."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.cli import STAGE_COMMANDS
from pipeline.competition import find_competition
from pipeline.config import load_config, value_at
from pipeline.devices import resolve_compute
from pipeline.digests import asset_digests, code_digest, library_versions
from pipeline.errors import ConfigError, DataError
from pipeline.files import write_atomically
from pipeline.graph import SEARCH, STAGES, key_of
from pipeline.housekeeping import collect_garbage, explain, status
from pipeline.outputs import Publisher, metrics_json, oof_csv
from pipeline.progress import say
from pipeline.runner import Runner
from pipeline.samples import SAMPLES, SOLUTION, fetch_sample
from pipeline.storage import load_winner, open_study, save_winner, study_file
from pipeline.store import KEY_SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.cli import Options
    from pipeline.competition import Competition
    from pipeline.config import Resolved
    from pipeline.facts import ReportFacts
    from pipeline.tables import Dataset, Design, Fits, Scores, Submission

CACHE = ".cache"
WITHOUT_WINNER = {"search", "ingest", "preprocess", "gc"}  # what works before a sweep has finished


def execute(options: Options) -> None:
    """Run the command that was typed, in the current folder."""
    root = Path()
    competition = find_competition(options.name, root=root, fast=options.fast)
    resolved = load_config(
        _text_of(competition.file),
        file=competition.file.name,
        environment=os.environ,
        settings=options.settings,
        fast=options.fast,
    )
    if options.command == "config":
        show_config(resolved, origins=options.origin)
        return
    raw = competition.raw(resolved.config.raw)
    if options.command == "sample":
        say(fetch_sample(raw.name, raw, cache_folder=root / CACHE, on_progress=say).sentence)
        return
    if options.command == "heldout":
        look_at_heldout(competition, resolved)
        return
    if raw.name in SAMPLES:
        outcome = fetch_sample(raw.name, raw, cache_folder=root / CACHE, on_progress=say)
        if outcome.changed:
            say(outcome.sentence)
    train = resolved.config.train
    runner = Runner(competition, resolved.config, resolve_compute(train.device, train.threads, train.precision))
    if train.tuned and options.command not in WITHOUT_WINNER:
        runner.winner = load_winner(runner.store(SEARCH).folder, runner.key("search"), name=competition.name)
    run_with(runner, options)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


def run_with(runner: Runner, options: Options) -> None:
    """Commands that look at artifacts."""
    if options.command in STAGE_COMMANDS:
        bring(runner, options.command)
    elif options.command == "search":
        sweep(runner)
    elif options.command == "predict":
        predict_file(runner, Path(options.input), Path(options.output))
    elif options.command == "status":
        status(runner)
    elif options.command == "explain":
        explain(runner, options.stage)
    elif options.command == "gc":
        collect_garbage(runner, keep=options.keep)


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
    sample = runner.competition.raw(runner.config.raw) / SOLUTION
    say(
        f"{'':<11} {'ready':<18} upload {path.relative_to(runner.competition.root)} to the competition"
        + (f", or score it here: make heldout NAME={runner.competition.name}" if sample.exists() else "")
    )


def _publish_report(runner: Runner) -> None:
    def render() -> bytes:
        from pipeline.report.page import render_report

        parts = runner.parts("train")
        libraries = cast("Mapping[str, str]", parts["libraries"])
        settings = {key: str(value) for key, value in cast("Mapping[str, object]", parts["config"]).items()}
        tuned = {f"sweep, {key}": str(value) for key, value in (runner.winner.values if runner.winner else {}).items()}
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


def sweep(runner: Runner) -> None:
    """Continue the study of this configuration and keep its winner."""
    import optuna

    from pipeline.stages.learners import Candidate
    from pipeline.stages.search import Session, search

    config, name = runner.config, runner.competition.name
    runner.bring("preprocess")
    design = cast("Design", runner.value("preprocess"))
    key, store = runner.key("search"), runner.store(SEARCH)
    with store.lock("search", key, on_wait="search      waiting   another process continues this study"):
        study = open_study(store.folder, key, seed=config.search.seed)
        before = len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))
        say(f"{'search':<11} {'trial ' + str(before) + ' so far':<18} {study_file(store.folder, key).name}")
        runtime, bar = runner.runtime(store, key, "search", lines=False)

        def tell(trial: optuna.trial.FrozenTrial) -> None:
            score = f"{trial.value:.5f}" if trial.value is not None else "failed: the loss was not finite"
            values = "  ".join(f"{k.partition('.')[2]} {_short(v)}" for k, v in trial.params.items())
            bar.say(f"trial {trial.number:>4}  {score}  {values}")

        with bar:
            winner = search(
                design,
                base=Candidate(config.model, config.train),
                search=config.search,
                metric=config.metric,
                session=Session(study, tell),
                runtime=runtime,
            )
        file = save_winner(store.folder, key, winner)
    say(
        f"{'search':<11} best of {winner.trials:<10} {config.metric} {winner.score:.5f} in trial {winner.trial}; "
        f"kept in {file.relative_to(runner.competition.root)}"
    )
    for setting, value in winner.values.items():
        say(f"{'':<11} {setting} = {value}")
    say(f"This score chose the winner, so it flatters it. Use it: make train submit NAME={name} SET=train.tuned=true")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def predict_file(runner: Runner, source: Path, target: Path) -> None:
    """Predict the rows of a CSV file; on the test file it gives submission.csv byte for byte (on a CPU)."""
    runner.bring("train")
    from pipeline.sources import read_csv
    from pipeline.stages.predict import predict, prepare_rows
    from pipeline.stages.submit import submission_csv

    dataset, design = cast("Dataset", runner.value("ingest")), cast("Design", runner.value("preprocess"))
    fits = cast("Fits", runner.value("train"))
    ids, rows, notices = prepare_rows(
        dataset, design, read_csv(source), id_column=runner.config.roles.id, file=str(source)
    )
    for notice in notices:
        say(f"{'predict':<11} notice: {notice.subject}: {notice.text}: {notice.count}")
    predictions = predict(design, fits.network, fits.jobs, fits.weights, rows, runner.compute)
    content = submission_csv(ids, predictions, header=dataset.submission_header, wanted=dataset.submission_ids)
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # a device or a pipe is written to, never replaced
    else:
        write_atomically(target, content)
    say(f"{'predict':<11} {len(ids)} rows -> {target}")


def look_at_heldout(competition: Competition, resolved: Resolved) -> None:
    """Score submission.csv on the sample's solution; the look is counted before it is told."""
    from pipeline.heldout import score_heldout

    folder, roles = competition.outputs("reports"), resolved.config.roles
    raw = competition.raw(resolved.config.raw)
    if not (folder / "submission.csv").exists():
        raise DataError(f"{folder / 'submission.csv'}: not there yet; run `make submit NAME={competition.name}` first")
    # competitions that share their data share the solution: its looks are counted together
    looks = competition.root / "reports" / raw.name / "heldout.json"
    looks.parent.mkdir(parents=True, exist_ok=True)
    look = score_heldout(raw, folder / "submission.csv", id_column=roles.id, target=roles.target, looks_file=looks)
    say(look.sentence)


def show_config(resolved: Resolved, *, origins: bool) -> None:
    """Every setting as TOML would write it, and with `origins` where it came from."""
    if not resolved.origins:
        raise ConfigError("nothing is configured")
    for key, origin in resolved.origins.items():
        value = value_at(resolved.config, key)
        shown = value if not isinstance(value, dict) else {k: v.model_dump(exclude_none=True) for k, v in value.items()}
        line = f"{key} = {json.dumps(shown)}"
        say(f"{line:<60}  # {origin}" if origins else line)
