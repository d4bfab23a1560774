"""Why a network's loss is not finite: the first value that is not, and how large everything on the way to it was.

Found in the precision of the training, measured in float64, where little overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.engine.beginnings import initial_weights
from pipeline.engine.networks import Pass, forward, true_tensors
from pipeline.engine.sizes import NO_LAYER, Batch, LayerState, largest, layer_of, measure, rms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.pack import PackState
    from pipeline.fits import Network

INPUTS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """The first value that is not finite, going forward and then back.

    first: "inputs", "target", "weights", "hidden", "outputs", "loss", "gradient", or "" where all are finite.
    layer: from 0, -1 where it has none. tensor: its name, for weights and gradients.
    """

    first: str
    layer: int = NO_LAYER
    tensor: str = ""


@dataclass(frozen=True, slots=True)
class LargeInput:
    """The entry of one column that is furthest from 0 in the batch; NaN counts as furthest of all."""

    column: int  # of the matrix, from 0
    value: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a failing batch showed. Plain values, so that it can be stored."""

    fault: Fault
    inputs: tuple[LargeInput, ...]  # largest first
    target_rms: float  # as the network sees the target
    largest_target: float
    layers: tuple[LayerState, ...]
    at_start: bool  # `layers` are of the initial weights, for those of the failing batch are not finite
    start: Fault | None  # what the initial weights make of this batch; None: not known
    begun: tuple[LayerState, ...] = ()  # the layers under the initial weights; none where these are not known

    @property
    def growth(self) -> float:
        """By how much values grow from one hidden layer to the next: the geometric mean. 1 with fewer than two."""
        return _growth(self.layers)

    @property
    def first_growth(self) -> float:
        """The same under the weights that the network began with. 1 where these are not known."""
        return _growth(self.begun)

    @property
    def weight_growth(self) -> float:
        """The layer whose weights grew most since the start; infinite where weights are not finite."""
        if self.fault.first == "weights":
            return math.inf
        return max((s.weight_growth for s in self.layers if not math.isnan(s.weight_growth)), default=1.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """When a network's loss was first not finite, and what it looked like. Both are counted from 0."""

    epoch: int
    step: int  # of the whole training
    diagnosis: Diagnosis


def failure_of(pack: PackState, place: int) -> Failure:
    """Look at a network of a pack right after the epoch in which it froze, on the batch at which it did."""
    job = pack.own()[place]
    # a sum of finite losses may be infinite: then it is the last batch of the epoch that is looked at
    frozen, last = int(pack.held["frozen_at"][place]), int(pack.batches.steps[place]) - 1
    step = frozen if frozen >= 0 else last
    rows = pack.batches.rows_of(place, step, pack.held["order"])
    data = pack.data
    batch = Batch(
        data.source.gather(rows[None])[0], data.target.take(rows), pack.loss, float(pack.loss_parameters[place])
    )
    now = true_tensors([tensor[place] for tensor in (*pack.tensors, *pack.running)], job.network)
    start = [tensor[0] for tensor in initial_weights([job], job.network, data)]
    found = diagnose(job.network, now, batch, product=data.product, start=start)
    return Failure(step // job.steps_per_epoch, step, found)


def diagnose(
    network: Network,
    tensors: Sequence[Tensor],
    batch: Batch,
    *,
    product: torch.dtype | None = None,
    start: Sequence[Tensor] | None = None,
) -> Diagnosis:
    """Look at one network on one batch, as in training but without dropout.

    tensors, start: without the model axis, in the order of `network.tensor_names`; start: the initial ones, where they
    are at hand. product: the precision of hidden products, as in `Pass`.
    """
    fault = first_fault(network, tensors, batch, product)
    at_start = fault.first == "weights" and start is not None
    seen = start if at_start and start is not None else tensors
    return Diagnosis(
        fault=fault,
        inputs=_largest_inputs(batch.rows),
        target_rms=rms(batch.target),
        largest_target=largest(batch.target),
        layers=measure(network, seen, batch, start),
        at_start=at_start,
        start=None if start is None else first_fault(network, start, batch, product),
        begun=() if start is None else measure(network, start, batch, start),
    )


def _growth(layers: Sequence[LayerState]) -> float:
    sizes = [state.hidden for state in layers[:-1] if math.isfinite(state.hidden) and state.hidden > 0]
    return (sizes[-1] / sizes[0]) ** (1 / (len(sizes) - 1)) if len(sizes) > 1 else 1.0


def first_fault(network: Network, tensors: Sequence[Tensor], batch: Batch, product: torch.dtype | None = None) -> Fault:
    """The first value that is not finite: inputs, target, weights, then forward layer by layer, then back."""
    if not _is_finite(batch.rows):
        return Fault("inputs")
    if not _is_finite(batch.target):
        return Fault("target")
    trained = dict(zip(network.trained, tensors, strict=False))
    broken = next((name for name, tensor in trained.items() if not _is_finite(tensor)), "")
    if broken:
        return Fault("weights", layer_of(broken), broken)
    return _fault_of_a_pass(network, trained, batch, product)


@torch.enable_grad()
def _fault_of_a_pass(
    network: Network, trained: Mapping[str, Tensor], batch: Batch, product: torch.dtype | None
) -> Fault:
    found: list[Fault] = []
    last = len(network.hidden)

    def look(layer: int, what: str, values: Tensor) -> None:
        del what
        if not found and not _is_finite(values):
            found.append(Fault("outputs" if layer == last else "hidden", layer))

    own = [tensor[None].detach().clone().requires_grad_() for tensor in trained.values()]
    outputs = forward(network, own, batch.rows[None], Pass(product=product, look=look, training=True))
    total = batch.mean_loss(outputs)
    # a network that shows nothing of its inside still has outputs
    look(last, "reached", outputs)
    if not found and not _is_finite(total):
        found.append(Fault("loss", last))
    gradients = torch.autograd.grad(total, own, allow_unused=True)
    for name, gradient in reversed(list(zip(trained, gradients, strict=True))):
        if not found and gradient is not None and not _is_finite(gradient):
            found.append(Fault("gradient", layer_of(name), name))
    return found[0] if found else Fault("")


def _largest_inputs(rows: Tensor) -> tuple[LargeInput, ...]:
    values = rows.to(torch.float64)
    # NaN before infinity, infinity before numbers
    magnitude = values.abs().nan_to_num(nan=math.inf, posinf=torch.finfo(torch.float64).max)
    furthest, places = magnitude.max(0)
    columns = torch.argsort(furthest, descending=True, stable=True)[:INPUTS_TOLD].tolist()
    return tuple(LargeInput(column, float(values[places[column], column])) for column in columns)


def _is_finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())
