"""What each command does, in terms of the runner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import STAGE_COMMANDS
from pipeline.competition import check_name, find_competition
from pipeline.config import load_config
from pipeline.devices import resolve_places
from pipeline.errors import ConfigError
from pipeline.graph import SEARCH
from pipeline.housekeeping import collect_garbage, explain, status
from pipeline.progress import say
from pipeline.publishing import bring, predict_file
from pipeline.reading.folder import tables_in
from pipeline.runner import Runner
from pipeline.samples import SAMPLES, fetch_sample
from pipeline.spreading import open_spread
from pipeline.storage import load_winner
from pipeline.sweep_crew import beside, leave_with_parent, spread_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.cli import Options

CACHE = ".cache"
OF_STUDIES = {"search", "worker", "runs"}
WITHOUT_WINNER = OF_STUDIES | {"ingest", "preprocess", "gc", "doctor"}  # what works before a sweep has finished


def execute(options: Options) -> None:
    """Run the command that was typed, in the current folder."""
    root = Path()
    if options.command in ("init", "sample") and _started(options, root):
        return
    competition = find_competition(options.name, root=root, fast=options.fast)
    text = _text_of(competition.file)
    if options.command == "config" and options.action == "check":
        from pipeline.checking import check

        check(competition, text, environment=os.environ, settings=options.settings)
        return
    resolved = load_config(
        text, file=competition.file.name, environment=os.environ, settings=options.settings, fast=options.fast
    )
    if options.command == "config":
        from pipeline.checking import show_config

        show_config(resolved, origins=options.origin)
        return
    raw = competition.raw(resolved.config.raw)
    if options.command == "sample":
        say(fetch_sample(raw.name, raw, cache_folder=root / CACHE, on_progress=say).sentence)
        return
    _fetch_where_it_is_a_sample(raw, root)
    train = resolved.config.train
    is_sweep = options.command == "search" and not options.explain_packs  # which says what one process holds
    compute, places = resolve_places(spread_out(resolved.config, _bytes_in(raw)) if is_sweep else train)
    with open_spread(places) as spread:
        runner = Runner(competition, resolved.config, compute, spread)
        if train.tuned and options.command not in WITHOUT_WINNER:
            runner.take(load_winner(runner.store(SEARCH).folder, runner.winner_key, name=competition.name))
        if options.explain_packs:
            _explain_packs(runner, options)
            return
        if is_sweep:
            _search(runner, options, places.devices)
        else:
            run_with(runner, options)


def _search(runner: Runner, options: Options, devices: Sequence[str]) -> None:
    from pipeline.sweeping import sweep

    with beside(runner, options, devices) as crew:
        sweep(runner, crew.wait)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in tables_in(folder))


def _explain_packs(runner: Runner, options: Options) -> None:
    from pipeline.planning import explain_packs

    explain_packs(runner, options.command)


def _started(options: Options, root: Path) -> bool:
    """Commands that need no config file yet."""
    from pipeline import starting

    if options.command == "init":
        _fetch_where_it_is_a_sample(root / "data" / "raw" / check_name(options.name), root)
        files = starting.files_of(options.settings, fast=options.fast)
        starting.init(root, options.name, files=files, target=options.target, overwrite=options.force)
        return True
    if options.kaggle is not None:
        starting.download(root, options.name, options.kaggle)
    return options.kaggle is not None


def _fetch_where_it_is_a_sample(raw: Path, root: Path) -> None:
    if raw.name in SAMPLES:
        outcome = fetch_sample(raw.name, raw, cache_folder=root / CACHE, on_progress=say)
        if outcome.changed:
            say(outcome.sentence)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


def run_with(runner: Runner, options: Options) -> None:
    """Commands that look at artifacts."""
    if options.command in STAGE_COMMANDS:
        _bring_and_upload(runner, options)
    elif options.command in OF_STUDIES:
        _with_study(runner, options)
    elif options.command == "summary":
        from pipeline.summarising import print_summary

        print_summary(runner)
    elif options.command == "predict":
        predict_file(runner, Path(options.input), Path(options.output))
    elif options.command == "export":
        from pipeline.weights import export

        export(runner, options.file)
    elif options.command in ("heldout", "doctor"):
        _look(runner, options)
    elif options.command == "status":
        status(runner)
    elif options.command == "explain":
        explain(runner, options.stage)
    elif options.command == "gc":
        collect_garbage(runner, keep=options.keep)


def _look(runner: Runner, options: Options) -> None:
    from pipeline.checking import diagnose, look_at_heldout

    if options.command == "heldout":
        look_at_heldout(runner)
    else:
        diagnose(runner, leaks=options.leaks)


def _with_study(runner: Runner, options: Options) -> None:
    from pipeline import runs, sweeping

    if options.command == "runs":
        runs.list_runs(runner, with_page=options.page)
    else:
        until = leave_with_parent()
        given = any(setting.startswith("search.trials=") for setting in options.settings)
        sweeping.help_out(runner, follows=not given, until=until)


def _bring_and_upload(runner: Runner, options: Options) -> None:
    if options.kaggle is None:
        if options.message:
            raise ConfigError(
                "-m is what Kaggle shows beside an upload: it goes with --kaggle, which was not asked for"
            )
        bring(runner, options.command)
        return
    from pipeline.uploading import slug_of, upload

    slug = slug_of(runner, options.kaggle)
    bring(runner, options.command)
    upload(runner, slug, options.message)
