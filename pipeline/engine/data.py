"""What all jobs of a training share: rows and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipeline.engine.sources import Source


@dataclass(frozen=True, slots=True)
class Data:
    """Rows for every job. product: the precision of matrix products, or None for that of the weights."""

    source: Source  # of rows [R, D], in the precision of products
    target: Tensor  # [R] on the device, as the network should see it
    product: torch.dtype | None = None

    @property
    def device(self) -> torch.device:
        """Where networks train."""
        return self.target.device
