"""Looks at a competition that change nothing: its settings, its faults, its leaks, its held-out score."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pipeline import usercode
from pipeline.config import check_config, value_at, with_values
from pipeline.errors import ConfigError, DataError, PipelineError
from pipeline.files import file_sha256
from pipeline.graph import STAGES
from pipeline.outputs import Publisher
from pipeline.progress import Bar, say
from pipeline.reading.folder import find_files, read_tables
from pipeline.samples import SOLUTION
from pipeline.storage import shown_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.competition import Competition
    from pipeline.config import Resolved
    from pipeline.fits import Fits
    from pipeline.reading.folder import RawFiles
    from pipeline.runner import Runner
    from pipeline.settings import Config
    from pipeline.tables import Dataset, Design


def check(competition: Competition, text: str, *, environment: Mapping[str, str], settings: Sequence[str]) -> None:
    """Say everything that is wrong with config and data together. Raises ConfigError that lists it."""
    resolved, faults = check_config(text, file=competition.file.name, environment=environment, settings=settings)
    name, config = competition.name, resolved.config
    found = _examine(competition, config, faults)
    if faults:
        count = f"{len(faults)} fault{'s' * (len(faults) > 1)} in {competition.file} and its data:"
        raise ConfigError("\n  ".join([count, *dict.fromkeys(faults)]))
    say(f"{'check':<11} {'nothing wrong':<18} {found}; next: make features train submit NAME={name}")


def _examine(competition: Competition, config: Config, faults: list[str]) -> str:
    """Read and type everything as the stages will, without keeping it; what is wrong joins the faults."""
    folder, holdout = competition.raw(config.raw), config.holdout.share > 0
    joins = []
    for join in config.join:
        if (folder / join.file).is_file():
            joins.append(join)
        else:
            faults.append(f"{folder}: no {join.file!r}, which [[join]] file names")
    try:
        files = find_files(folder, config.files, [join.file for join in joins], holdout=holdout)
        return _examine_files(files, with_values(config, {"join": [join.model_dump() for join in joins]}))
    except PipelineError as error:
        faults += str(error).split("\n")
        return ""


def _examine_files(files: RawFiles, config: Config) -> str:
    from pipeline.stages.ingest import ingest
    from pipeline.stages.preprocess import preprocess
    from pipeline.words import describe

    dataset = ingest(
        read_tables(files, config.files),
        roles=config.roles,
        metric=config.metric,
        join=config.join,
        holdout=config.holdout,
        fold_column=config.folds.column,
        time=config.time,
    )
    design = preprocess(
        dataset,
        preprocess=config.preprocess,
        target=config.target,
        folds=config.folds,
        metric=config.metric,
        history=config.history,
    )
    _examine_training(files, config, design)
    return f"{describe(dataset)}; {describe(design)}"


def _examine_training(files: RawFiles, config: Config, design: Design) -> None:
    """Settings of [model] and [train] that do not go together, functions of the user's, weights to begin with."""
    from pipeline.fits import Job
    from pipeline.stages.assignments import Candidate, assignment_of
    from pipeline.stages.starts import check_start
    from pipeline.weights import read_weights

    usercode.forget()
    start = (
        read_weights(config.train.warm_start, train_file=files.hashes()["train"]) if config.train.warm_start else None
    )
    check_start(start, design)
    assignment_of(design, Candidate(config.model, config.train, start), Job(0, 0, config.train.seed), 0)


def diagnose(runner: Runner, *, leaks: bool = False) -> None:
    """Look for leaks and drift, and say what to do about them; and what the last training saw.

    leaks: also by poisoning the data.
    """
    from pipeline.stages.doctor import examine, words

    dataset = cast("Dataset", runner.value("ingest"))
    with Bar("doctor", lines=False) as bar:
        diagnosis = examine(
            dataset, metric=runner.config.metric, target=runner.config.roles.target, on_progress=bar.update
        )
    for line in words(diagnosis):
        say(line)
    for line in (*(_poisoned(runner.config, dataset) if leaks else ()), *_last_training(runner)):
        say(line)


def _poisoned(config: Config, dataset: Dataset) -> list[str]:
    """What moves when that is changed which must not matter."""
    from pipeline.stages.fold_checks import Settings
    from pipeline.stages.leak_checks import leak_checks, words

    settings = Settings(config.preprocess, config.target, config.folds, config.metric, config.history)
    with Bar("leaks", lines=False) as bar:
        return words(leak_checks(dataset, settings, on_progress=bar.update))


def _last_training(runner: Runner) -> Iterator[str]:
    """Networks that failed or stalled in the newest training that this version of the code made, if there is one."""
    store = runner.store(STAGES["train"])
    newest = store.newest("train")
    current = runner.parts("train")
    if newest is None or any(newest.parts.get(part) != current[part] for part in ("code", "libraries")):
        return
    found = store.find("train", newest.key)
    if found is None:
        return
    notices = cast("Fits", store.load(found)).notices
    which = "the last training" if newest.key == runner.key("train") else "the last training, of other settings or data"
    if not notices:
        yield f"{which.replace(' data', ' data,')} had no network that failed or stalled"
    for notice in notices:
        yield f"{'train':<8} {which}: {notice.text}"


def look_at_heldout(runner: Runner) -> None:
    """Score submission.csv on rows nobody trained on; the look is counted before it is told."""
    from pipeline.heldout import Solution, sample_solution, score_heldout

    competition, roles = runner.competition, runner.config.roles
    submission = competition.outputs("reports") / "submission.csv"
    if not submission.exists():
        raise DataError(f"{submission}: not there yet; run `make submit NAME={competition.name}` first")
    raw = competition.raw(runner.config.raw)
    if runner.config.holdout.share and not (raw / SOLUTION).exists():
        dataset = cast("Dataset", runner.value("ingest"))
        if dataset.held_out is None:
            raise DataError(f"{raw}: there is a test file, so [holdout] sets nothing aside; nothing can be scored")
        _check_made_of(runner, submission)
        actual = dict(zip(dataset.test_ids, dataset.held_out.tolist(), strict=True))
        solution, header = Solution("the held-out rows", actual), dataset.submission_header
    else:
        solution = sample_solution(raw, id_column=roles.id, target=roles.target)
        header = (roles.id, roles.target)
    # competitions that share their data share the solution: its looks are counted together
    looks = competition.root / "reports" / raw.name / "heldout.json"
    looks.parent.mkdir(parents=True, exist_ok=True)
    look = score_heldout(solution, submission, header=header, metric=runner.config.metric, looks_file=looks)
    say(look.sentence)


def _check_made_of(runner: Runner, submission: Path) -> None:
    """Raise DataError unless the file is what was published from the data and rows that are held out now."""
    entry = Publisher(submission.parent, root=runner.competition.root).record().get(submission.name, {})
    artifacts = entry.get("artifacts")
    is_current = isinstance(artifacts, dict) and artifacts.get("ingest") == runner.key("ingest")
    if not is_current or entry.get("sha256") != file_sha256(submission):
        raise DataError(
            f"{submission}: it was not made from the files and settings there are now, so these held-out rows are not "
            f"its own; run `make submit NAME={runner.competition.name}` first"
        )


def show_config(resolved: Resolved, *, origins: bool) -> None:
    """Every setting as TOML would write it, and with `origins` where it came from."""
    if not resolved.origins:
        raise ConfigError("nothing is configured")
    for key, origin in resolved.origins.items():
        value = value_at(resolved.config, key)
        value = shown_url(value) if isinstance(value, str) else value
        line = f"{key} = {json.dumps(value, default=lambda section: section.model_dump(exclude_none=True))}"
        say(f"{line:<60}  # {origin}" if origins else line)
