"""What parts of a training hold for a while, found by doing them on tensors without memory (PyTorch's meta device).

The functions are those that train, so a layer that somebody adds is counted without a word here. Each answers with the
bytes at its peak by name, beyond what the pack holds anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine import loss_scale
from pipeline.engine.beginnings import initial_weights
from pipeline.engine.data import Data
from pipeline.engine.draws import DropoutDraws, stream
from pipeline.engine.gradients import GradientRule, PackedGradients
from pipeline.engine.live import LiveBytes
from pipeline.engine.networks import Pass, forward, layer_shapes
from pipeline.engine.optimizers import PackedOptimizer
from pipeline.engine.rows import draw_order
from pipeline.engine.sources import Resident

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.packing import Assignment
    from pipeline.fits import Network

META = torch.device("meta")
GRADIENTS, BATCH = "gradients", "rows of the batch"
# its way back is one operation on a device and several on meta; the other one holds as much
WITHOUT_META = {"mish": "silu"}


@dataclass(frozen=True, slots=True)
class Precision:
    """Of weights, and of products where that is another."""

    weights: torch.dtype
    product: torch.dtype | None = None

    @property
    def rows(self) -> torch.dtype:
        """Of the shared matrix, and so of a batch."""
        return self.product or self.weights


def company(jobs: Sequence[Assignment], count: int) -> list[Assignment]:
    """So many jobs like these, whose weights are drawn."""
    plain = [job if job.start is None else replace(job, start=None) for job in islice(jobs, count)]
    return list(islice(cycle(plain), count))


def beginning(jobs: Sequence[Assignment], network: Network, precision: Precision) -> Mapping[str, int]:
    """Drawing the weights of these jobs, the weights themselves included."""
    rows = Resident(_empty(1, network.inputs, dtype=precision.rows))
    data = Data(rows, _empty(1, dtype=precision.weights))
    with LiveBytes() as live:
        live.label = "drawing weights"
        initial_weights(jobs, network, data)
    return live.at_peak


def row_orders(count: int, width: int) -> Mapping[str, int]:
    """Drawing the order in which so many networks see their rows."""
    rows, keys = _empty(count, width, dtype=torch.int32), _empty(count, dtype=torch.int64)
    with LiveBytes() as live:
        live.label = "drawing row orders"
        taken = rows[torch.arange(count, device=META)]
        draw_order(taken, keys, np.zeros(count, dtype=np.int64), np.full(count, width))
    return live.at_peak


def scoring(network: Network, count: int, rows: int, precision: Precision) -> Mapping[str, int]:
    """So many networks on so many rows each, at once."""
    tensors = [_empty(count, *shape, dtype=precision.weights) for shape in layer_shapes(network)]
    with LiveBytes() as live, torch.no_grad():
        live.label = "rows to score"
        batch = _empty(count, rows, network.inputs, dtype=precision.rows)
        live.label = "scoring"
        forward(network, tensors, batch, Pass(product=precision.product))
    return live.at_peak


def step(
    jobs: Sequence[Assignment], network: Network, batch: int, precision: Precision, scratch: int = 0
) -> Mapping[str, int]:
    """A batch of so many rows for each of these jobs, forward, back, and an update that takes `scratch` bytes.

    (As `step.train_step`; losses are a number a row and left out.)
    """
    count = len(jobs)
    trained = [_empty(count, *shape, dtype=precision.weights).requires_grad_() for shape in network.trained.values()]
    running = [_empty(count, *shape, dtype=precision.weights) for shape in network.running.values()]
    if network.activation in WITHOUT_META:
        network = replace(network, activation=WITHOUT_META[network.activation])
    with LiveBytes() as live:
        for tensor in trained:
            tensor.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: live.relabel([gradient], GRADIENTS)
            )
        live.label = BATCH
        _index = _empty(count, batch, dtype=torch.int64)
        rows = _empty(count, batch, network.inputs, dtype=precision.rows)
        how = _pass(jobs, network, precision)
        live.label = "layer 1"

        def look(layer: int, what: str, _values: Tensor) -> None:
            if what == "hidden":
                live.label = f"layer {layer + 2}"

        how.look = look
        outputs = forward(network, [*trained, *running], rows, how)
        live.label = "on the way back"
        gradients: Sequence[Tensor] = torch.autograd.grad(outputs.square().mean(1).sum(), trained)
        live.label = "bounded gradients"
        with torch.no_grad():
            if precision.product == torch.float16:
                gradients, _ = loss_scale.unscaled(gradients, _empty(count, dtype=precision.weights))
            bounds = [job.gradient for job in jobs]
            _bounded = PackedGradients(_widest(bounds), outputs[:, 0]).apply(gradients, trained)
            live.label = "the update"
            _empty(scratch, dtype=torch.uint8)
    return live.at_peak


def update(jobs: Sequence[Assignment], network: Network, precision: Precision) -> int:
    """Bytes that an update takes beyond weights, moments and gradients, where it is written out."""
    count = len(jobs)
    tensors = [_empty(count, *shape, dtype=precision.weights) for shape in network.trained.values()]
    gradients = [torch.empty_like(tensor) for tensor in tensors]
    optimizer = PackedOptimizer(tensors, [job.rule for job in jobs], np.zeros((count, 1)), fused=False, kernel=False)
    with LiveBytes() as live, torch.no_grad():
        optimizer.step(gradients)
    return live.peak


def _pass(jobs: Sequence[Assignment], network: Network, precision: Precision) -> Pass:
    """How jobs of these kinds go forward in a training step."""
    count = len(jobs)
    how = Pass(product=precision.product, training=True)
    if network.norm == "layer" and any(job.network.hidden != network.hidden for job in jobs):
        how.widths = _empty(count, len(network.hidden), dtype=torch.int64)
    if any(job.dropout for job in jobs):
        draws = DropoutDraws(torch.tensor([job.dropout for job in jobs]), precision.weights).to(META)
        keys = _empty(count, dtype=torch.int64)
        how.dropout = lambda layer, hidden: draws.apply(hidden, stream(keys, 0, 0, layer))
    return how


def _widest(rules: Sequence[GradientRule]) -> list[GradientRule]:
    """As many rules, each with all that some of them ask for."""
    one = GradientRule(
        max(rule.l1 for rule in rules), min(rule.clip_value for rule in rules), min(rule.clip_norm for rule in rules)
    )
    return [one] * len(rules)


def _empty(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=META)
