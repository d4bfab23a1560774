"""`--explain-packs`: how a training or the first batch of a sweep would be cut into packs, printed without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import optuna

from pipeline.engine.explanations import widths_of
from pipeline.graph import SEARCH, STAGES
from pipeline.progress import say
from pipeline.stages.assignments import Candidate, training_jobs
from pipeline.stages.plan import explained, trial_jobs
from pipeline.stages.search import examples
from pipeline.stages.setups import setup_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.engine.explanations import Explanation
    from pipeline.runner import Runner
    from pipeline.tables import Compute, Design

SHOWN_SHARE = 0.01  # of a peak; smaller items are summed up
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
ALLOWED_BY = {"pack_size": "train.pack_size", "cache": "the cache", "memory": "memory"}


def explain_packs(runner: Runner, command: str) -> None:
    """Print the plan of `train` or of the first batch of `search`. Brings preprocess up to date, trains nothing."""
    config = runner.config
    runner.bring("preprocess")
    design = cast("Design", runner.value("preprocess"))
    if command == "search":
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        candidates = examples(setup_of(config), config.search)
        jobs = trial_jobs(design, len(candidates), config.train.seed)
        stage = SEARCH
    else:
        candidates = [Candidate(config.model, config.train)]
        jobs, stage = training_jobs(design, config.train), STAGES["train"]
    runtime, _ = runner.runtime(runner.store(stage), "", command)
    found = explained(design, candidates, jobs, runtime)
    for line in lines(found, runner.compute):
        say(line)
    if command == "search":
        say("an example: one batch of trials, its values drawn from the whole space")


def lines(packs: Sequence[Explanation], compute: Compute) -> Iterator[str]:
    """The plan in words."""
    networks = sum(pack.networks for pack in packs)
    where = f"{compute.device}, {_count(compute.threads, 'thread')}, {compute.precision}"
    yield f"{_count(networks, 'network')} in {_count(len(packs), 'pack')} on {where}"
    for number, pack in enumerate(packs, 1):
        yield from _lines_of(pack, number)


def _lines_of(pack: Explanation, number: int) -> Iterator[str]:
    rounds = f" in {pack.rounds} rounds" if pack.rounds > 1 else ""
    yield (
        f"pack {number:<4} {widths_of(pack.network)}: {_count(pack.networks, 'network')}, {pack.slots} side by side"
        f"{rounds} ({ALLOWED_BY[pack.by]} allows {pack.most})"
    )
    items = sorted(pack.moment.items.items(), key=lambda item: -item[1])
    shown = [(name, size) for name, size in items if size >= SHOWN_SHARE * pack.moment.total]
    rest = pack.moment.total - sum(size for _, size in shown)
    named = [f"{name} {size_of(size)}" for name, size in [*shown, ("the rest", rest)] if size]
    yield f"{'':<9} peak {_against(pack.moment.total, pack.memory)}, when {pack.moment.when}: {', '.join(named)}"
    if pack.cache:
        yield f"{'':<9} a step touches {_against(pack.touched, pack.cache)} of cache"
    if pack.padding > 1:
        yield f"{'':<9} padding: {pack.padding:.2f} times the parameters that the networks need"
    for difference in pack.apart:
        yield f"{'':<9} apart from pack {difference.other + 1}: {difference.reason}"


def size_of(size: int) -> str:
    """Bytes in a unit that suits them."""
    unit, name = next(((unit, name) for unit, name in UNITS if size >= unit), (1, "bytes"))
    number = size / unit
    return f"{number:.3g} {name}" if number < 999.5 else f"{number:.0f} {name}"


def _against(size: int, limit: int) -> str:
    return f"{size_of(size)} of {size_of(limit)}" if limit else size_of(size)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
