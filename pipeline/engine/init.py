"""How weights start: one function per scheme, drawn per job at the layer's true size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.engine.draws import normals, stream, uniforms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from torch import Tensor

    from pipeline.tables import Network

WEIGHT, BIAS = 0, 1
INITIALISATION = 1  # the purpose in a job's stream; see fit.py for the others
RELU_GAIN = math.sqrt(2.0)

Spread = tuple[str, float]  # ("uniform", half range) or ("normal", standard deviation)

SCHEMES: Mapping[str, Callable[[int, int, float], Spread]] = {
    # torch.nn.Linear: kaiming_uniform with a = sqrt(5), which is a half range of 1 / sqrt(fan in)
    "pytorch": lambda n_in, _out, _scale: ("uniform", 1.0 / math.sqrt(n_in)),
    "xavier_uniform": lambda n_in, n_out, _scale: ("uniform", math.sqrt(6.0 / (n_in + n_out))),
    "xavier_normal": lambda n_in, n_out, _scale: ("normal", math.sqrt(2.0 / (n_in + n_out))),
    "kaiming_uniform": lambda n_in, _out, _scale: ("uniform", RELU_GAIN * math.sqrt(3.0 / n_in)),
    "kaiming_normal": lambda n_in, _out, _scale: ("normal", RELU_GAIN / math.sqrt(n_in)),
    "uniform": lambda _in, _out, scale: ("uniform", scale),
    "normal": lambda _in, _out, scale: ("normal", scale),
}


def initial_tensors(network: Network, keys: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Fresh tensors for the jobs with these keys [M], in the order of `network.tensor_names`.

    Biases start at 0, except under "pytorch", which draws them like the weights.
    """
    tensors = []
    for layer, (n_in, n_out) in enumerate(network.layer_sizes):
        spread = SCHEMES[network.init](n_in, n_out, network.init_scale)
        tensors.append(_draw(stream(keys, INITIALISATION, layer, WEIGHT), (n_in, n_out), spread, dtype))
        bias = spread if network.init == "pytorch" else ("uniform", 0.0)
        tensors.append(_draw(stream(keys, INITIALISATION, layer, BIAS), (1, n_out), bias, dtype))
    return tensors


def _draw(streams: Tensor, shape: tuple[int, int], spread: Spread, dtype: torch.dtype) -> Tensor:
    kind, size = spread
    count = shape[0] * shape[1]
    values = normals(streams, count) * size if kind == "normal" else (uniforms(streams, count) * 2 - 1) * size
    return values.to(dtype).view(len(streams), *shape)
