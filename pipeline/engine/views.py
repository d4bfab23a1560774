"""Weights before and after training as numbers, histograms and heat maps: numpy values without torch in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.beginnings import SAMPLED_ROWS
from pipeline.engine.init import DATA_DRIVEN, expected_std, initial_tensors, sample_places, unit_variance
from pipeline.engine.vitals import activities
from pipeline.facts import HeatMap, Histogram, Size, TensorFacts, UnitFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.fits import Network
    from pipeline.tables import Floats, Integers, Singles

MATRICES = ("weight", "skip")
BINS = (9, 41)  # the fewest and the most of a histogram
BULK = (0.1, 99.9)  # percentiles between which bins lie: a single far weight must not squeeze the others into one
MOST_CELLS = 64  # of a heat map, along either side


def redrawn_weights(network: Network, key: int, dtype: torch.dtype, rows: Tensor | None = None) -> list[Singles]:
    """One network's tensors as they were before the first step, drawn anew from its job's key.

    rows: [S, D], what a data-driven initialisation looked at (see `rows_looked_at`); of no use to other schemes.
    """
    drawn = initial_tensors(network, torch.tensor([key]), dtype)
    if network.init == DATA_DRIVEN:
        assert rows is not None
        drawn = unit_variance(network, drawn, rows[None].to(dtype))
    return [tensor[0].numpy() for tensor in drawn]


def rows_looked_at(key: int, train_rows: Integers) -> Integers:
    """The rows of its own that a job's data-driven initialisation looks at."""
    places = sample_places(torch.tensor([key]), torch.tensor([len(train_rows)]), SAMPLED_ROWS)
    return np.asarray(train_rows[places[0].numpy()])


def tensor_facts(network: Network, before: Sequence[Singles], after: Sequence[Singles]) -> tuple[TensorFacts, ...]:
    """Each trained tensor, in the order of `network.trained`; tensors come in that order, running ones may follow."""
    found = []
    for (name, shape), start, end in zip(network.trained.items(), before, after, strict=False):
        layer, kind = _place(name)
        old, new = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        length = _length(old)
        moved = _length(new - old) / length if length else float("nan")
        found.append(TensorFacts(layer, kind, shape, _size(old), _size(new), theory_of(network, name), moved))
    return tuple(found)


def theory_of(network: Network, name: str) -> float:
    """The std at which a trained tensor is drawn in theory, before any rescaling; 0 for what starts at a constant."""
    layer, kind = _place(name)
    if kind not in MATRICES and (kind != "bias" or network.init != "pytorch"):
        return 0.0
    # PyTorch draws a bias as wide as the weights beside it
    n_in, n_out = network.trained[name if kind in MATRICES else f"{layer}.weight"]
    return expected_std(replace(network, inputs=n_in, hidden=(), outputs=n_out, skips=()))[0]


def unit_facts(
    network: Network, before: Sequence[Singles], after: Sequence[Singles], rows: Tensor
) -> tuple[UnitFacts, ...]:
    """What the units of each hidden layer do on rows [R, D], before and after training, without dropout."""
    watched = [
        activities(network, [torch.from_numpy(tensor).to(rows.dtype) for tensor in tensors], rows)
        for tensors in (before, after)
    ]
    return tuple(
        UnitFacts(
            layer=old.layer,
            units=network.hidden[old.layer],
            reach=(old.std, new.std),
            dead=(old.dead, new.dead),
            saturated=(old.saturated, new.saturated),
        )
        for old, new in zip(*watched, strict=True)
    )


def histograms(network: Network, before: Sequence[Singles], after: Sequence[Singles]) -> tuple[Histogram, ...]:
    """Each matrix of weights in bins that serve both: before and after training."""
    found = []
    for (name, shape), start, end in zip(network.trained.items(), before, after, strict=False):
        layer, kind = _place(name)
        if kind in MATRICES:
            edges = _edges(np.concatenate([start.ravel(), end.ravel()]).astype(np.float64))
            found.append(Histogram(layer, kind, shape, edges, _counts(start, edges), _counts(end, edges)))
    return tuple(found)


def heat_maps(network: Network, tensors: Sequence[Singles], names: Sequence[str]) -> tuple[HeatMap, ...]:
    """The first layer's weights and the largest matrix among the other layers'; a single column is no picture.

    names: of the network's inputs.
    """
    by_name = dict(zip(network.trained, tensors, strict=False))
    weights = [by_name[f"{layer}.weight"] for layer in range(len(network.layer_sizes))]
    others = [layer for layer, weight in enumerate(weights) if layer and weight.shape[1] > 1]
    largest = sorted(others, key=lambda layer: -weights[layer].size)[:1]
    first = [0] if weights[0].shape[1] > 1 else []
    return tuple(heat_map(layer, weights[layer], () if layer else names) for layer in (*first, *largest))


def heat_map(layer: int, weight: Singles, names: Sequence[str]) -> HeatMap:
    """A matrix [inputs, units] in at most MOST_CELLS x MOST_CELLS blocks.

    Means of magnitudes: signed means of a block come near 0 whatever it holds, since units have no preferred sign, and
    the extremes of large blocks are all alike.
    """
    starts = [_block_starts(length) for length in weight.shape]
    sizes = [np.diff(np.append(start, length)) for start, length in zip(starts, weight.shape, strict=True)]
    magnitudes = np.abs(np.asarray(weight, dtype=np.float64))
    sums = np.add.reduceat(np.add.reduceat(magnitudes, starts[0], axis=0), starts[1], axis=1)
    inputs = tuple(names[start] for start in starts[0]) if names else ()
    return HeatMap(layer, (weight.shape[0], weight.shape[1]), sums / np.outer(*sizes), inputs)


def input_weights(network: Network, tensors: Sequence[Singles]) -> Floats:
    """How much the first layer weighs each input [D]: a linear model's weight, else the norm of those to all units."""
    weight = np.asarray(tensors[0], dtype=np.float64)
    return weight[:, 0] if not network.hidden else np.asarray(np.sqrt(np.square(weight).sum(axis=1)))


def _place(name: str) -> tuple[int, str]:
    layer, _, kind = name.partition(".")
    return int(layer), kind


def _size(values: Floats) -> Size:
    return Size(float(values.mean()), float(values.std()), float(np.abs(values).max()))


def _length(values: Floats) -> float:
    # not np.linalg.norm: BLAS would start threads of its own for it
    return float(np.sqrt(np.square(values).sum()))


def _edges(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, BULK) if len(finite) else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    # about the root of their number: 128 weights in 41 bins would show nothing but noise
    return np.linspace(low, high, int(np.clip(np.sqrt(len(values) / 2), *BINS)) + 1)


def _counts(values: Singles, edges: Floats) -> Integers:
    finite = np.asarray(values[np.isfinite(values)], dtype=np.float64)
    return np.histogram(np.clip(finite, edges[0], edges[-1]), edges)[0].astype(np.int64)


def _block_starts(length: int) -> Integers:
    cells = min(length, MOST_CELLS)
    return np.arange(cells, dtype=np.int64) * length // cells
