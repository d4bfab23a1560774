"""Loss scaling for products in fp16: each model of a pack has its own factor and its own overflows.

As torch.amp.GradScaler: a step whose gradient overflowed is passed over and the factor halved; after enough steps
without one it doubles. Where a factor below LEAST does not help, the gradient itself is not finite. Nothing waits for
the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

START, GROWTH, BACKOFF, PATIENCE = 2.0**16, 2.0, 0.5, 2000
LEAST = 2.0**-24  # fp16's smallest number above 0: a loss times less than that is nothing


def unscaled(gradients: Sequence[Tensor], scale: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gradients [M, …] over their factors [M], and which models overflowed, bool [M]."""
    found = [gradient / scale.view(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients]
    # the largest magnitude is NaN or infinite as soon as one entry is
    largest = torch.stack([gradient.flatten(1).abs().amax(1) for gradient in found]).sum(0)
    return found, ~torch.isfinite(largest)


@torch.no_grad()
def adjust(scale: Tensor, calm: Tensor, overflowed: Tensor) -> None:
    """The factors and the steps since the last overflow [M] after a step, in place."""
    calm.add_(1).masked_fill_(overflowed, 0)
    grows = calm >= PATIENCE
    scale.mul_(torch.where(overflowed, BACKOFF, torch.where(grows, GROWTH, 1.0)))
    calm.masked_fill_(grows, 0)
