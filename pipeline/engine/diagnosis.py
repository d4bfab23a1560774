"""Why a network's loss is not finite: the first value that is not, and how large everything on the way to it was.

Found in the precision of the training, measured in float64, where little overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.engine.init import expected_std
from pipeline.engine.networks import Pass, forward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.losses import Loss
    from pipeline.tables import Network

INPUTS_TOLD = 5
NO_LAYER = -1


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
class LayerState:
    """One layer on a batch. Sizes are roots of mean squares; not finite where the values are not."""

    layer: int  # from 0; the last one gives the outputs
    hidden: float  # of what its units say
    gradient: float  # of the loss's gradient with respect to its weights
    largest_weight: float  # magnitude
    weight_growth: float  # size of its weights in multiples of that at which they started


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

    @property
    def growth(self) -> float:
        """By how much values grow from one hidden layer to the next: the geometric mean. 1 with fewer than two."""
        sizes = [state.hidden for state in self.layers[:-1] if math.isfinite(state.hidden) and state.hidden > 0]
        return (sizes[-1] / sizes[0]) ** (1 / (len(sizes) - 1)) if len(sizes) > 1 else 1.0

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


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows [B, D], their target [B] as the network sees it, and the loss that joins the two."""

    rows: Tensor
    target: Tensor
    loss: Loss
    parameter: float

    def mean_loss(self, outputs: Tensor) -> Tensor:
        """Of outputs [1, B], in their precision."""
        parameter = torch.full((1, 1), self.parameter, dtype=outputs.dtype, device=outputs.device)
        return self.loss(outputs, self.target[None].to(outputs.dtype), parameter).mean()


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
        target_rms=_rms(batch.target),
        largest_target=_largest(batch.target),
        layers=measure(network, seen, batch, start),
        at_start=at_start,
        start=None if start is None else first_fault(network, start, batch, product),
    )


def first_fault(network: Network, tensors: Sequence[Tensor], batch: Batch, product: torch.dtype | None = None) -> Fault:
    """The first value that is not finite: inputs, target, weights, then forward layer by layer, then back."""
    if not _is_finite(batch.rows):
        return Fault("inputs")
    if not _is_finite(batch.target):
        return Fault("target")
    trained = dict(zip(network.trained, tensors, strict=False))
    broken = next((name for name, tensor in trained.items() if not _is_finite(tensor)), "")
    if broken:
        return Fault("weights", _layer_of(broken), broken)
    return _fault_of_a_pass(network, trained, batch, product)


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
            found.append(Fault("gradient", _layer_of(name), name))
    return found[0] if found else Fault("")


def measure(
    network: Network, tensors: Sequence[Tensor], batch: Batch, start: Sequence[Tensor] | None = None
) -> tuple[LayerState, ...]:
    """How large things are in each layer, forward and back, in float64.

    start: the initial tensors, from which weights have grown; without them, what the initialisation draws on average.
    """
    trained = {
        name: tensor[None].detach().to(torch.float64).requires_grad_()
        for name, tensor in zip(network.trained, tensors, strict=False)
    }
    hidden = [math.nan] * (len(network.hidden) + 1)

    def look(layer: int, what: str, values: Tensor) -> None:
        if what == "hidden" or layer == len(network.hidden):
            hidden[layer] = _rms(values)

    outputs = forward(
        network, list(trained.values()), batch.rows[None].to(torch.float64), Pass(look=look, training=True)
    )
    total = batch.mean_loss(outputs)
    gradients = dict(zip(trained, torch.autograd.grad(total, list(trained.values()), allow_unused=True), strict=True))
    drawn = _drawn(network, start)
    return tuple(
        LayerState(
            layer=layer,
            hidden=size,
            gradient=_rms(gradients.get(f"{layer}.weight")),
            largest_weight=max(
                (_largest(t) for name, t in trained.items() if _layer_of(name) == layer), default=math.nan
            ),
            weight_growth=_rms(trained.get(f"{layer}.weight")) / drawn.get(f"{layer}.weight", math.nan),
        )
        for layer, size in enumerate(hidden)
    )


def _drawn(network: Network, start: Sequence[Tensor] | None) -> dict[str, float]:
    """At which size each layer's weights began; only where that is known and not 0."""
    if start is not None:
        sizes = {name: _rms(tensor) for name, tensor in zip(network.trained, start, strict=False)}
    else:
        sizes = {f"{layer}.weight": std for layer, std in enumerate(expected_std(network))}
    return {name: size for name, size in sizes.items() if size > 0}


def _layer_of(name: str) -> int:
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else NO_LAYER


def _largest_inputs(rows: Tensor) -> tuple[LargeInput, ...]:
    values = rows.to(torch.float64)
    magnitude = values.abs().nan_to_num(nan=math.inf)
    # NaN before infinity before numbers
    order = torch.where(values.isnan().any(0), 2.0, torch.where(magnitude.isinf().any(0), 1.0, 0.0))
    within = magnitude.amax(0)
    columns = sorted(range(values.shape[1]), key=lambda c: (-float(order[c]), -float(within[c])))[:INPUTS_TOLD]
    places = magnitude.argmax(0)
    return tuple(LargeInput(c, float(values[places[c], c])) for c in columns)


def _is_finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def _largest(values: Tensor) -> float:
    """Magnitude of the largest entry; 0 of nothing."""
    return float(values.detach().abs().max()) if values.numel() else 0.0


def _rms(values: Tensor | None) -> float:
    """The root of the mean square, NaN of nothing; squares of huge values do not overflow."""
    if values is None or not values.numel():
        return math.nan
    own = values.detach().to(torch.float64)
    largest = float(own.abs().max())
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float((own / largest).square().mean().sqrt())
