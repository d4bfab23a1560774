"""What is fresh, what is stale and why, and what nobody needs any more."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.checkpoints import PARTS
from pipeline.graph import STAGES
from pipeline.kept import KEPT
from pipeline.outputs import Publisher
from pipeline.progress import say
from pipeline.store import KEY_SHOWN, SET_ASIDE, Manifest
from pipeline.words import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.runner import Runner


def status(runner: Runner) -> None:
    """One line a stage: fresh, stale with the first reason, or absent."""
    for name, stage in STAGES.items():
        fresh = runner.store(stage).find(name, runner.key(name))
        if fresh is not None:
            say(f"{name:<11} fresh     made {fresh.created[:19]} in {fresh.seconds:.1f} s  {fresh.note}".rstrip())
            continue
        reasons = list(_reasons(runner, name))
        more = f" (and {len(reasons) - 1} more; `explain {name}` lists them)" if len(reasons) > 1 else ""
        state = "stale" if runner.store(stage).newest(name) else "absent"
        say(f"{name:<11} {state:<9} {reasons[0]}{more}")


def explain(runner: Runner, name: str, told: set[str] | None = None) -> None:
    """Why a stage will be reused or computed, in words; then the same of each stale input, once."""
    told = set() if told is None else told
    told.add(name)
    key = runner.key(name)
    fresh = runner.store(STAGES[name]).find(name, key)
    if fresh is not None:
        parts = runner.parts(name)
        counts = [
            f"{len(part)} {noun}"
            for kind, noun in (
                ("inputs", "inputs"),
                ("config", "settings"),
                ("code", "modules of code"),
                ("libraries", "libraries"),
            )
            if isinstance(part := parts[kind], dict)
        ]
        say(
            f"{name} is fresh: {fresh.payload.name}, made {fresh.created[:19]} UTC; nothing changed among its "
            f"{', '.join(counts)}."
        )
        return
    say(f"{name} will be computed (key {key[:KEY_SHOWN]}):")
    for reason in _reasons(runner, name):
        say(f"  - {reason}")
    for source in STAGES[name].inputs.values():
        if source in STAGES and source not in told and not runner.is_fresh(source):
            explain(runner, source, told)


def _reasons(runner: Runner, name: str) -> Iterator[str]:
    """Differences from the newest artifact of the stage; that artifact's key is never the current one."""
    newest = runner.store(STAGES[name]).newest(name)
    if newest is None:
        yield "it was never computed for this competition"
        return
    changed = list(differences(newest.parts, runner.parts(name)))
    yield from changed or ["the artifact with exactly this key is gone or was set aside as damaged"]


def collect_garbage(runner: Runner, *, keep: int) -> None:
    """Delete artifacts beyond the newest `keep` of each stage, unless a published file was made from them.

    Of predictions that sweeps kept, those of the study of the configuration as it is stay.
    """
    referred = _referred(runner)
    referred |= {runner.key(name) for name in STAGES}
    freed = removed = 0
    for folder in sorted({stage.folder for stage in STAGES.values()}):
        store = runner.store(next(stage for stage in STAGES.values() if stage.folder == folder))
        by_stage: dict[str, list[Manifest]] = {}
        for manifest in sorted(store.manifests(), key=lambda m: m.created, reverse=True):
            by_stage.setdefault(manifest.stage, []).append(manifest)
        for stage, manifests in by_stage.items():
            for manifest in manifests[keep:] if stage not in (PARTS, KEPT) else manifests:
                if manifest.key not in referred and not _is_wanted(manifest, runner):
                    freed += manifest.size
                    removed += 1
                    store.remove(manifest)
        removed += store.sweep_orphans()
        shutil.rmtree(store.folder / SET_ASIDE, ignore_errors=True)
    say(f"{'gc':<11} removed {removed} artifacts, freed {freed / 1e6:.1f} MB")


def _is_wanted(manifest: Manifest, runner: Runner) -> bool:
    """Whether it belongs to what goes on: a training that was interrupted, the study of the configuration as it is."""
    if manifest.stage == KEPT:
        return manifest.parts.get("of") == runner.key("search")
    return manifest.stage == PARTS and _is_young(manifest)


def _is_young(manifest: Manifest) -> bool:
    """Finished packs of an interrupted training are kept for a week: the same command continues after them."""
    return datetime.now(UTC) - datetime.fromisoformat(manifest.created) < timedelta(days=7)


def _referred(runner: Runner) -> set[str]:
    keys: set[str] = set()
    for kind in ("reports", "models"):
        folder = runner.competition.folder(kind)
        for place in (folder, folder / "fast"):
            for entry in Publisher(place, root=runner.competition.root).record().values():
                artifacts = entry.get("artifacts")
                keys |= set(artifacts.values()) if isinstance(artifacts, dict) else set()
    return keys
