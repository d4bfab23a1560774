"""How networks begin: their weights, and everything else that a pack holds of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.engine import loss_scale
from pipeline.engine.init import DATA_DRIVEN, initial_tensors, sample_places, unit_variance
from pipeline.engine.networks import padded
from pipeline.engine.rows import padded_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.engine.data import Data
    from pipeline.engine.packing import Assignment
    from pipeline.fits import Network
    from pipeline.tables import Integers

SAMPLED_ROWS = 256  # of each job, for a data-driven initialisation


def begun(jobs: Sequence[Assignment], network: Network, data: Data, width: int) -> dict[str, Tensor]:
    """All that a pack holds of networks that have not begun, each [M, …]. width: of the pack's row orders."""
    count, device, dtype = len(jobs), data.device, data.target.dtype
    initial = dict(zip(network.tensor_names, initial_weights(jobs, network, data), strict=True))
    own = fixed(jobs, width, device)
    return {
        **{f"now.{name}": values for name, values in initial.items()},
        **{f"best.{name}": values.clone() for name, values in initial.items()},
        **own,
        "order": torch.zeros_like(own["rows"]),
        "loss_sum": torch.zeros(count, dtype=dtype, device=device),
        "frozen_at": torch.full((count,), -1, dtype=torch.int64, device=device),  # the step whose loss was not finite
        "loss_scale": torch.full((count,), loss_scale.START, dtype=dtype, device=device),
        "calm": torch.zeros(count, dtype=torch.int64, device=device),
    }


def fixed(jobs: Sequence[Assignment], width: int, device: torch.device) -> dict[str, Tensor]:
    """What follows from a job and never changes, each [M, …]: its key, and the numbers of its rows."""
    return {
        "keys": torch.tensor([job.key for job in jobs], device=device),
        "rows": padded_rows([job.train_rows for job in jobs], width, device),
    }


def initial_weights(jobs: Sequence[Assignment], network: Network, data: Data) -> list[Tensor]:
    """Weights at each network's true width, set into the pack's; drawn together where networks are alike."""
    found: dict[Network, list[int]] = {}
    for i, job in enumerate(jobs):
        found.setdefault(job.network, []).append(i)
    total: list[Tensor] = []
    for own, places in found.items():
        keys = torch.tensor([jobs[i].key for i in places], device=data.device)
        drawn = initial_tensors(own, keys, data.target.dtype)
        if own.init == DATA_DRIVEN:
            drawn = unit_variance(own, drawn, _sampled(keys, [jobs[i].train_rows for i in places], data))
        wide = padded(drawn, network)
        total = total or [part.new_zeros(len(jobs), *part.shape[1:]) for part in wide]
        for whole, part in zip(total, wide, strict=True):
            whole[places] = part
    for place, job in enumerate(jobs):
        if job.start is None:
            continue
        given = [torch.as_tensor(tensor, dtype=data.target.dtype)[None] for tensor in job.start]
        for whole, part in zip(total, padded(given, network), strict=True):
            whole[place] = part[0]
    return total


def _sampled(keys: Tensor, rows: Sequence[Integers], data: Data) -> Tensor:
    """A few of each job's own training rows [M, S, D], the same ones in any company."""
    lengths = torch.tensor([len(own) for own in rows], device=keys.device)
    table = padded_rows(rows, max(map(len, rows)), keys.device)
    index = table.gather(1, sample_places(keys, lengths, SAMPLED_ROWS))
    return data.source.gather(index).to(data.target.dtype)
