"""Brings stages up to date: reuse what the store vouches for, compute the rest, say which."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from pipeline import digests, usercode
from pipeline.checkpoints import PARTS, StoredCheckpoint
from pipeline.config import shown_layers, value_at, with_values
from pipeline.devices import memory_bytes, room_for_rows
from pipeline.errors import ArtifactError
from pipeline.graph import RAW, SEARCH, STAGES, START, Stage, code_of, key_of, key_parts
from pipeline.progress import Bar, say
from pipeline.reading.folder import find_files, read_tables
from pipeline.runtime import Runtime, in_this_process
from pipeline.store import Manifest, Store
from pipeline.weights import read_weights, weights_digest
from pipeline.words import describe, notice_lines

if TYPE_CHECKING:
    from pipeline.competition import Competition
    from pipeline.fits import Weights
    from pipeline.outcomes import Winner
    from pipeline.runtime import Checkpoint, Spread
    from pipeline.settings import Config
    from pipeline.tables import Allowance, Compute

NOTICING = ("ingest", "preprocess", "train", "submit")  # stages whose value tells what it noticed


class Runner:
    """One command's view of one competition: keys, artifacts and loaded values."""

    def __init__(
        self, competition: Competition, config: Config, compute: Compute, spread: Spread = in_this_process
    ) -> None:
        self.competition, self.config, self.compute, self.spread = competition, config, compute, spread
        self.winner: Winner | None = None
        usercode.forget()  # a command sees the user's functions as they are when it begins
        joins = [join.file for join in config.join]
        folder = competition.raw(config.raw)
        self.raw_files = find_files(folder, config.files, joins, holdout=config.holdout.share > 0)
        self._raw_stamps = self.raw_files.stamps()
        self._raw_hashes = self.raw_files.hashes()
        self._parts: dict[str, dict[str, object]] = {}
        self._manifests: dict[str, Manifest] = {}
        self._values: dict[str, object] = {}

    def take(self, winner: Winner) -> None:
        """Go on as if the winner's values stood in the configuration."""
        self.winner = winner
        self.config = with_values(self.config, shown_layers(winner.values))
        self._parts.clear()

    def store(self, stage: Stage) -> Store:
        """Where a stage's artifacts lie."""
        return Store(self.competition.folder(stage.folder))

    def parts(self, name: str) -> dict[str, object]:
        """What the stage's key is made of, its inputs' keys included."""
        if name not in self._parts:
            stage = SEARCH if name == "search" else STAGES[name]
            inputs = {source: self._input_key(source) for source in stage.inputs.values()}
            self._parts[name] = key_parts(name, stage, self.config, inputs, self.compute)
        return self._parts[name]

    def key(self, name: str) -> str:
        """The stage's key."""
        return key_of(self.parts(name))

    @property
    def winner_key(self) -> str:
        """What a winner belongs to: all that a search begins with, but not how it searched."""
        parts = self.parts("search")
        config = cast("Mapping[str, object]", parts["config"])
        return key_of(
            {**parts, "config": {name: own for name, own in config.items() if not name.startswith("search.")}}
        )

    def is_fresh(self, name: str) -> bool:
        """Whether the stage's artifact is there, without computing anything."""
        return self.store(STAGES[name]).find(name, self.key(name)) is not None

    def bring(self, name: str) -> Manifest:
        """The stage's artifact, computed if it is not there; its inputs first. One line for each stage."""
        if name in self._manifests:
            return self._manifests[name]
        stage = STAGES[name]
        for source in stage.inputs.values():
            if source in STAGES:
                self.bring(source)
        key, store = self.key(name), self.store(stage)
        manifest = store.find(name, key)
        how = "cached"
        if manifest is None:
            waiting = f"{name:<11} waiting   another process is computing it"
            with store.lock(name, key, on_wait=waiting):
                manifest = store.find(name, key)
                if manifest is None:
                    manifest = self._compute(name, stage, key, store)
                    how = f"computed  {manifest.seconds:.1f} s"
        say(f"{name:<11} {how:<18} {self._shown(manifest)}  {manifest.note}".rstrip())
        if how != "cached" and name in NOTICING:
            for line in notice_lines(self._values[name]):
                say(f"{'':<11} {'noticed':<18} {line}")
        self._manifests[name] = manifest
        return manifest

    def value(self, name: str) -> object:
        """The stage's value, loaded once; brings the stage first."""
        manifest = self.bring(name)
        if name not in self._values:
            self._values[name] = self.store(STAGES[name]).load(manifest)
        return self._values[name]

    def runtime(self, store: Store, key: str, what: str, *, lines: bool = True) -> tuple[Runtime, Bar]:
        """What a stage may use while it runs: devices, workers, a progress bar, and the store for finished parts."""
        bar = Bar(what, lines=lines)

        def keep(part: str, compute: Callable[[Checkpoint], object]) -> object:
            part_key = key_of({"stage": key, "part": part})
            found = store.find(PARTS, part_key)
            if found is not None:
                return store.load(found)
            checkpoint = StoredCheckpoint(store, key, part, seconds=self.config.train.checkpoint_seconds)
            if self.config.train.engine != "dask" and (words := checkpoint.words()):  # Dask's workers read none
                bar.say(f"{what:<11} {'running':<18} {words}")
            value = compute(checkpoint)
            store.save(PARTS, part_key, value, seconds=0.0, parts={"of": key})
            checkpoint.forget()
            return value

        room = room_for_rows(self.compute.device, self.config.train.device_memory, store.folder)
        return Runtime(self.compute, bar.update, keep, room, self.spread, memory_bytes()), bar

    @property
    def train_file(self) -> str:
        """sha256 of the training file."""
        return self._raw_hashes["train"]

    def start(self) -> Weights | None:
        """The weights that networks begin with, read from the file that the config names."""
        return read_weights(self.config.train.warm_start, train_file=self.train_file)

    def _compute(self, name: str, stage: Stage, key: str, store: Store) -> Manifest:
        values = {parameter: self._input_value(source) for parameter, source in stage.inputs.items()}
        settings = {parameter: value_at(self.config, section) for parameter, section in stage.config.items()}
        module, _, function = stage.function.partition(":")
        run = getattr(importlib.import_module(module), function)
        started = time.perf_counter()
        if stage.computes:
            runtime, bar = self.runtime(store, key, name)
            with bar:
                value = run(**values, **settings, runtime=runtime)
        else:
            value = run(**values, **settings)
        seconds = time.perf_counter() - started
        self._check_unchanged(name)
        manifest = store.save(name, key, value, seconds=seconds, parts=self.parts(name), note=describe(value))
        for part in store.manifests():
            if part.stage == PARTS and part.parts.get("of") == key:
                store.remove(part)
        self._values[name] = value
        return manifest

    def _check_unchanged(self, name: str) -> None:
        """Raise ArtifactError if data or code changed while the stage ran: the key no longer says what was computed."""
        digests.forget()
        stage = STAGES[name]
        known = _mapping(self.parts(name)["code"])
        digests_now, _ = code_of(stage, self.config)
        changed = [module for module, digest in digests_now.items() if known.get(module) != digest]
        if START in stage.inputs.values() and self._input_key(START) != _mapping(self.parts(name)["inputs"])[START]:
            changed.append(self.config.train.warm_start)
        # a clock may be set back, but ctime moves with every write: unequal stamps are looked at, equal ones trusted
        if RAW in stage.inputs.values() and self.raw_files.stamps() != self._raw_stamps:
            now = self.raw_files.hashes()
            changed += [role for role, digest in now.items() if self._raw_hashes.get(role) != digest]
        if changed:
            raise ArtifactError(
                f"{', '.join(changed)} changed while {name} ran, so its result was not stored; run the command again"
            )

    def _input_key(self, source: str) -> object:
        if source == RAW:
            return dict(self._raw_hashes)
        if source == START:
            return weights_digest(self.config.train.warm_start)
        return self.key(source)

    def _input_value(self, source: str) -> object:
        if source == RAW:
            return read_tables(self.raw_files, self.config.files, _allowance(self.config))
        if source == START:
            return self.start()
        return self.value(source)

    def _shown(self, manifest: Manifest) -> str:
        return str(manifest.payload.with_suffix("").relative_to(self.competition.root))


def _allowance(config: Config) -> Allowance:
    from pipeline.tabular.schema import numbers_allowed

    keys = [name for join in config.join for name in join.on]
    others = (config.folds.column, config.holdout.by, config.holdout.group, *config.time.column, *config.time.groups)
    return numbers_allowed(config.roles, [*keys, *others])


def _mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value
