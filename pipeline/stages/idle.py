"""Settings that do nothing as the others stand, and batches of which batch normalisation leaves nothing.

Said and not refused: a recipe, a sweep or an option on the command line may change what they depend on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.stages.assignments import PARAMETER_ENDS, hidden_widths
from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.fits import Job, Network
    from pipeline.stages.assignments import Candidate
    from pipeline.tables import Design


def idle_settings(candidate: Candidate, network: Network, jobs: Sequence[Job]) -> list[Notice]:
    """What was set and changes nothing, with the reason; one notice for all of it."""
    found = list(_idle(candidate, network))
    return [Notice("training", f"{'; '.join(found)}; networks trained without", len(jobs))] if found else []


def _idle(candidate: Candidate, network: Network) -> Iterator[str]:
    model, train = candidate.model, candidate.train
    layers = len(hidden_widths(model))
    if model.options and not model.custom:
        yield "[model.options] do nothing without model.custom, whose keywords they are"
    if model.norm != "none" and not layers and not model.custom:
        yield f'model.norm = "{model.norm}" does nothing: a linear model has no hidden layer'
    if model.residual and not network.skips and not model.custom:
        needed = f"the first block ends after hidden layer {model.residual + 1}, and there are {layers}"
        yield f"model.residual = {model.residual} does nothing: {needed}"
    if train.loss_parameter and not train.custom_loss and train.loss not in PARAMETER_ENDS:
        yield f'train.loss_parameter = {train.loss_parameter:g} does nothing: train.loss = "{train.loss}" has none'


def batches_of_one(candidate: Candidate, network: Network, design: Design, jobs: Sequence[Job]) -> list[Notice]:
    """Say where a batch of a single row meets batch normalisation (torch.nn.BatchNorm1d raises there)."""
    N, K = len(design.target), design.folds.count
    size = min(candidate.train.batch_size, N)
    rows = [len(design.refit_rows if job.fold == K else design.folds.train[job.fold]) for job in jobs]
    struck = [count for count in rows if _ends_with_one(count, size)]
    if network.norm != "batch" or not struck:
        return []
    which = "every batch" if size == 1 else f"of {struck[0]} rows in batches of {size} the last"
    better = next((size for size in range(size + 1, N + 1) if not any(_ends_with_one(n, size) for n in rows)), 0)
    remedy = f"; train.batch_size = {better} leaves no such batch" if better else ""
    text = (
        f'model.norm = "batch", but {which} is a single row: less its own mean nothing is left of it, so that it '
        f"teaches only what comes after the last norm, and the running statistics pass it over{remedy}; networks"
    )
    return [Notice("training", text, len(struck))]


def _ends_with_one(rows: int, size: int) -> bool:
    return size == 1 or rows % size == 1
