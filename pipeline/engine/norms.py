"""Batch and layer normalisation of M networks at once, before scale and shift.

(Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016; epsilon and momentum are torch.nn's.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5
MOMENTUM = 0.1  # share of a batch's statistics in the running ones


def batch_normalised(values: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Each unit over its batch: values [M, B, W], their mean and biased variance [M, 1, W].

    present: bool [M, B], rows that count; the others come out as they may and must not be used.
    """
    if present is None:
        mean = values.mean(1, keepdim=True)
        centred = values - mean
        variance = centred.square().mean(1, keepdim=True)
    else:
        counted = present.to(values.dtype)[:, :, None]
        share = counted / counted.sum(1, keepdim=True)
        mean = (values * share).sum(1, keepdim=True)
        centred = values - mean
        variance = (centred.square() * share).sum(1, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON), mean.detach(), variance.detach()


def settled(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Values [M, B, W] less the mean, over the root of the variance."""
    return (values - mean) * torch.rsqrt(variance + EPSILON)


def layer_normalised(values: Tensor, width: Tensor | None = None) -> Tensor:
    """Each row over its units [M, B, W].

    width: [M], true units of each network; those beyond come out as 0, and no gradient reaches them.
    """
    if width is None:
        return functional.layer_norm(values, values.shape[2:], eps=EPSILON)
    count = width.to(values.dtype)[:, None, None]
    true = (torch.arange(values.shape[2], device=values.device) < width[:, None, None]).to(values.dtype)
    mean = (values * true).sum(2, keepdim=True) / count
    centred = (values - mean) * true
    variance = centred.square().sum(2, keepdim=True) / count
    return centred * torch.rsqrt(variance + EPSILON)


@torch.no_grad()
def update_running(
    mean: Tensor, variance: Tensor, seen: tuple[Tensor, Tensor], rows: Tensor, frozen: Tensor | None = None
) -> None:
    """Move running statistics [M, 1, W] towards those of batches of `rows` [M], in place; not those of frozen models.

    As torch.nn.BatchNorm1d, whose running variance is the unbiased one. A batch of one row has none and is passed over.
    """
    moves = rows > 1 if frozen is None else (rows > 1) & ~frozen
    moves, count = moves[:, None, None], rows.to(mean.dtype)[:, None, None]
    unbiased = seen[1] * (count / (count - 1).clamp(min=1))
    # where, not a weight of 0: a frozen model's batch may hold NaN
    mean.copy_(torch.where(moves, torch.lerp(mean, seen[0], MOMENTUM), mean))
    variance.copy_(torch.where(moves, torch.lerp(variance, unbiased, MOMENTUM), variance))
