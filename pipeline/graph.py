"""The one table to read first: stage -> its function, its inputs, the config it reads, its folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from pipeline.config import value_at
from pipeline.digests import code_digest, library_versions, user_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.settings import Config
    from pipeline.tables import Compute

RAW = "raw files"  # an input that is not a stage: the competition's own files, by the sha256 of their bytes
READER = "pipeline.reading.folder"  # makes values of the raw files, so its code counts with the stage that takes them
START = "weights to start from"  # another: a file of `export`, by the sha256 of its bytes
USER_CODE = ("model.custom", "train.custom_loss")  # settings that name functions of the user's


@dataclass(frozen=True, slots=True)
class Stage:
    """One step. `inputs` and `config`: the function's parameter -> the stage or config key that fills it."""

    function: str  # module:name, imported only when the stage runs
    inputs: Mapping[str, str]
    config: Mapping[str, str] = field(default_factory=dict)
    folder: str = "models"
    computes: bool = False  # trains: device, threads and precision are part of its key
    reads: tuple[str, ...] = ()  # config that the shell itself reads for it: how raw files become tables

    @property
    def module(self) -> str:
        """Where the function lives."""
        return self.function.partition(":")[0]

    @property
    def modules(self) -> tuple[str, ...]:
        """Whose code its result depends on: the function's, and the reader's where it takes the user's files."""
        return (self.module, READER) if RAW in self.inputs.values() else (self.module,)


STAGES: Mapping[str, Stage] = {
    "ingest": Stage(
        "pipeline.stages.ingest:ingest",
        inputs={"raw": RAW},
        config={
            "roles": "schema",
            "metric": "metric",
            "join": "join",
            "holdout": "holdout",
            "fold_column": "folds.column",
            "time": "time",
        },
        folder="data/processed",
        reads=("files",),
    ),
    "preprocess": Stage(
        "pipeline.stages.preprocess:preprocess",
        inputs={"dataset": "ingest"},
        config={
            "preprocess": "preprocess",
            "target": "target",
            "history": "history",
            "folds": "folds",
            "metric": "metric",
        },
        folder="data/processed",
    ),
    "train": Stage(
        "pipeline.stages.train:train",
        inputs={"design": "preprocess", "start": START},
        config={"model": "model", "train": "train", "metric": "metric"},
        computes=True,
    ),
    "evaluate": Stage(
        "pipeline.stages.evaluate:evaluate",
        inputs={"dataset": "ingest", "design": "preprocess", "fits": "train"},
        config={"metric": "metric"},
    ),
    "submit": Stage(
        "pipeline.stages.submit:submit",
        inputs={"dataset": "ingest", "fits": "train"},
        config={"metric": "metric"},
    ),
    "report": Stage(
        "pipeline.stages.report:report",
        inputs={
            "dataset": "ingest",
            "design": "preprocess",
            "fits": "train",
            "scores": "evaluate",
            "submission": "submit",
        },
    ),
}
# `search` is not in the table: a study grows with every sweep, so its key (below) leaves out how long it may run
SEARCH = Stage(
    "pipeline.stages.search:search",
    inputs={"dataset": "ingest", "start": START},
    config={
        "preprocess": "preprocess",
        "target": "target",
        "history": "history",
        "folds": "folds",
        "model": "model",
        "train": "train",
        "search": "search",
        "metric": "metric",
    },
    computes=True,
)
# resolved elsewhere, or no part of what a stage computes
NOT_IN_KEYS = {
    *("train.device", "train.threads", "train.precision", "train.tuned", "train.checkpoint_seconds"),
    *("train.engine", "train.workers", "train.scheduler", "train.device_memory"),
    "train.warm_start",
}
# how long, how and where a study is searched; its trials stay comparable
NOT_IN_SEARCH_KEYS = {
    *("search.trials", "search.timeout", "search.parallel", "search.sampler", "search.pruner", "search.percentile"),
    *("search.startup_trials", "search.warmup_share", "search.finalists", "search.repeats", "search.kept"),
    *("search.storage", "search.patience", "search.seed", "train.seeds", "train.refit"),
}


def key_parts(
    name: str, stage: Stage, config: Config, inputs: Mapping[str, object], compute: Compute
) -> dict[str, object]:
    """Everything an artifact depends on, in words: what `explain` compares and `key_of` hashes.

    inputs: the stage or other source -> its key, or the hashes of files.
    """
    ignored = NOT_IN_KEYS | (NOT_IN_SEARCH_KEYS if stage is SEARCH else set())
    settings = {
        key: value
        for section in (*stage.config.values(), *stage.reads)
        for key, value in _leaves(config, section)
        if key not in ignored
    }
    code, libraries = code_of(stage, config)
    parts: dict[str, object] = {
        "stage": name,
        "config": settings,
        "inputs": dict(inputs),
        "code": code,
        "libraries": libraries,
    }
    if stage.computes:
        compute_parts: dict[str, object] = {"precision": compute.precision}
        if stage is not SEARCH:  # processes on other devices may share a study, which promises no last bits
            compute_parts |= {"device": compute.device, "threads": compute.threads}
        if compute.device == "cpu" and stage is not SEARCH:  # nor does a GPU
            compute_parts["shares"] = compute.shares
            compute_parts["cache (MiB a thread)"] = compute.cache
        parts["compute"] = compute_parts
    return parts


def code_of(stage: Stage, config: Config) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Digests of the code that a stage runs, ours and the user's, and versions of the libraries that it imports."""
    sections = set(stage.config.values())
    named = [str(value_at(config, key)) for key in USER_CODE if key.partition(".")[0] in sections]
    code, libraries = user_code([reference for reference in named if reference])
    for module in stage.modules:
        code, libraries = {**code, **code_digest(module)}, {**libraries, **library_versions(module)}
    return code, libraries


def key_of(parts: Mapping[str, object]) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _leaves(config: Config, section: str) -> list[tuple[str, object]]:
    value = value_at(config, section)
    if not isinstance(value, BaseModel):
        plain = value if not isinstance(value, tuple) else [item.model_dump(mode="json") for item in value]
        return [(section, plain)]
    dumped = value.model_dump(mode="json", by_alias=True)
    return [(f"{section}.{name}", leaf) for name, leaf in dumped.items()]
