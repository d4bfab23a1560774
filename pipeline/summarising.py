"""The network that training would build, as lines: its layers, its parameters, its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline.progress import say
from pipeline.stages.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.runner import Runner
    from pipeline.stages.summary import Step, Summary
    from pipeline.tables import Design

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
HEADER = ("layer", "step", "output", "parameters", "trained", "starts at")
RIGHT = {"parameters", "trained"}


def print_summary(runner: Runner) -> None:
    """Bring the design up to date and say what would be trained on it."""
    design = cast("Design", runner.value("preprocess"))
    config = runner.config
    found = summarise(design, model=config.model, train=config.train, compute=runner.compute)
    for line in summary_lines(found):
        say(line)


def summary_lines(found: Summary) -> Iterator[str]:
    """The table of layers, then totals."""
    yield from _table([HEADER, *(_cells(step, len(found.network.hidden)) for step in found.steps)])
    yield f"B: rows of a batch, {found.batch_size:,}. Initialisation: {_initialisation(found)}."
    fixed = found.parameters - found.trained
    running = f", and {fixed:,} that follow the batches" if fixed else ""
    yield (
        f"One network: {found.trained:,} trained parameters{running}; {size(found.network_bytes)}; "
        f"{found.trained / found.rows:.3g} for each of its {found.rows:,} training rows."
    )
    refits = f" + {_count(found.refits, 'refit')} on all rows" if found.refits else ""
    yield (
        f"Training: {_count(found.networks, 'network')} ({_count(found.folds, 'fold')} x "
        f"{_count(found.seeds, 'seed')}{refits}), {found.networks * found.trained:,} trained parameters; "
        f"{size(found.kept_bytes)} to keep, {size(found.training_bytes)} with gradients, moments and best weights if "
        f"all train side by side."
    )


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.{1 if unit else 0}f} {UNITS[unit]}"


def _initialisation(found: Summary) -> str:
    if found.network.init == "data_driven":
        return "data_driven; what is drawn at these stds is then scaled to unit variance on the training rows"
    return found.network.init or "the module's own"


def _cells(step: Step, hidden: int) -> tuple[str, ...]:
    number = "" if step.layer == 0 else "output" if step.layer > hidden else f"{step.layer}"
    counts = (f"{step.parameters:,}", f"{step.trained:,}") if step.parameters else ("", "")
    return (number, step.name, f"[B, {step.outputs}]", *counts, step.starts)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    for row in rows:
        cells = [
            f"{cell:>{width}}" if name in RIGHT else f"{cell:<{width}}"
            for name, cell, width in zip(HEADER, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
