"""How weights start: one function per scheme, drawn per job at the layer's true size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engine import modules
from pipeline.engine.draws import normals, stream, uniforms
from pipeline.engine.networks import Pass, hidden_layer, layers_of, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.fits import Network

WEIGHT, BIAS, SAMPLE, SKIP, BUILD = 0, 1, 2, 3, 4
INITIALISATION = 1  # the purpose in a job's stream; see fit.py for the others
DATA_DRIVEN = "data_driven"  # the scheme whose tensors `unit_variance` has yet to rescale
CONSTANTS = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}  # how norms start
NOISE = 1e-5  # a spread below this share of the pre-activations' size is rounding

# 1 / the root of the activation's mean square under a standard normal; tanh and sigmoid by torch's convention
GAINS: Mapping[str, float] = {
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1 + 0.01**2)),
    "elu": 1.2451983007007064,
    "gelu": 1.5335304411955353,
    "silu": 1.6765324703310913,
    "mish": 1.4868475812732078,
    "tanh": 5.0 / 3.0,
    "sigmoid": 1.0,
}


@dataclass(frozen=True, slots=True)
class Layer:
    """What a scheme may look at. gain: of the network's activation; scale: `model.init_scale`."""

    n_in: int
    n_out: int
    gain: float
    scale: float


Spread = tuple[str, float]  # ("uniform", half range) or ("normal", standard deviation)


def _xavier(kind: str, fan: Callable[[Layer], float]) -> Callable[[Layer], Spread]:
    """Variance 1 / fan, whatever the activation (Glorot and Bengio 2010)."""
    return lambda layer: (kind, math.sqrt((3.0 if kind == "uniform" else 1.0) / fan(layer)))


def _kaiming(kind: str, fan: Callable[[Layer], float]) -> Callable[[Layer], Spread]:
    """Variance gain^2 / fan (He et al. 2015)."""
    return lambda layer: (kind, layer.gain * math.sqrt((3.0 if kind == "uniform" else 1.0) / fan(layer)))


def _fan_in(layer: Layer) -> float:
    return layer.n_in


def _fan_out(layer: Layer) -> float:
    return layer.n_out


def _fan_mean(layer: Layer) -> float:
    return (layer.n_in + layer.n_out) / 2


SCHEMES: Mapping[str, Callable[[Layer], Spread]] = {
    # torch.nn.Linear: kaiming_uniform with a = sqrt(5), which is a half range of 1 / sqrt(fan in)
    "pytorch": lambda layer: ("uniform", 1.0 / math.sqrt(layer.n_in)),
    "xavier_uniform": _xavier("uniform", _fan_mean),
    "xavier_uniform_fan_in": _xavier("uniform", _fan_in),
    "xavier_uniform_fan_out": _xavier("uniform", _fan_out),
    "xavier_normal": _xavier("normal", _fan_mean),
    "xavier_normal_fan_in": _xavier("normal", _fan_in),
    "xavier_normal_fan_out": _xavier("normal", _fan_out),
    "kaiming_uniform": _kaiming("uniform", _fan_in),
    "kaiming_uniform_fan_out": _kaiming("uniform", _fan_out),
    "kaiming_normal": _kaiming("normal", _fan_in),
    "kaiming_normal_fan_out": _kaiming("normal", _fan_out),
    "uniform": lambda layer: ("uniform", layer.scale),
    "normal": lambda layer: ("normal", layer.scale),
    DATA_DRIVEN: _xavier("normal", _fan_in),
}


def initial_tensors(network: Network, keys: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Fresh tensors for the jobs with these keys [M], in the order of `network.tensor_names`.

    Biases start at 0, except under "pytorch", which draws them like the weights. Norms start as if they were not there.
    """
    if network.custom:
        return modules.initial_tensors(network, stream(keys, INITIALISATION, 0, BUILD), dtype)
    spreads = _spreads(network)
    drawn: dict[str, Tensor] = {}
    for name, shape in {**network.trained, **network.running}.items():
        number, _, kind = name.partition(".")
        layer = int(number)
        if kind in CONSTANTS:
            drawn[name] = torch.full((len(keys), *shape), CONSTANTS[kind], dtype=dtype, device=keys.device)
        elif kind == "skip":
            drawn[name] = _draw(stream(keys, INITIALISATION, layer, SKIP), shape, _spread(network, shape), dtype)
        elif kind == "bias":
            spread = spreads[layer] if network.init == "pytorch" else ("uniform", 0.0)
            drawn[name] = _draw(stream(keys, INITIALISATION, layer, BIAS), shape, spread, dtype)
        else:
            drawn[name] = _draw(stream(keys, INITIALISATION, layer, WEIGHT), shape, spreads[layer], dtype)
    return list(drawn.values())


def expected_std(network: Network) -> tuple[float, ...]:
    """The standard deviation at which the theory draws each layer's weights; before `unit_variance` rescales them.

    Empty for a network of the user's, which draws its own.
    """
    if network.custom:
        return ()
    return tuple(size / math.sqrt(3.0) if kind == "uniform" else size for kind, size in _spreads(network))


def sample_places(keys: Tensor, lengths: Tensor, count: int) -> Tensor:
    """Places in each job's own training rows, int64 [M, count], drawn with replacement for `unit_variance`.

    lengths: int64 [M], the jobs' numbers of training rows. A job's draw depends on its key and length alone.
    """
    shares = uniforms(stream(keys, INITIALISATION, 0, SAMPLE), count)
    # the product of the largest share and a length rounds up to the length itself
    return torch.minimum((shares * lengths[:, None]).to(torch.int64), lengths[:, None] - 1)


@torch.no_grad()
def unit_variance(network: Network, tensors: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    """Rescale tensors layer by layer, so that each unit's pre-activations over `rows` have mean 0 and variance 1.

    rows: [M, S, D], each model's own training rows, the same S in every pack. Works on the tensors of any scheme.
    A unit whose pre-activations do not vary keeps its weights, and its bias makes them 0.
    (After Mishkin and Matas 2016, with a scale and a bias per unit.)
    """
    layers = layers_of(network, [tensor.to(torch.float64) for tensor in tensors])
    names = list(network.tensor_names)
    settled = list(tensors)
    hidden = block = rows.to(torch.float64)
    for number, drawn in enumerate(layers):
        reached = linear(drawn.weight, None, hidden)
        mean = reached.mean(1, keepdim=True)
        spread = (reached - mean).square().mean(1, keepdim=True).sqrt()
        size = reached.square().mean(1, keepdim=True).sqrt()
        if number > 0:  # inputs are about 1, or rounding about 0, and then what is reached is rounding too
            size = size.maximum(drawn.weight.square().sum(1, keepdim=True).sqrt())
        scale = torch.where(spread <= NOISE * size, torch.ones_like(spread), 1 / spread)
        layer = drawn._replace(weight=drawn.weight * scale)
        settled[names.index(f"{number}.weight")] = layer.weight.to(rows.dtype)
        if drawn.bias is not None:
            layer = layer._replace(bias=-mean * scale)
            settled[names.index(f"{number}.bias")] = (-mean * scale).to(rows.dtype)
        if number < len(layers) - 1:
            hidden, block = hidden_layer(network, number, layer, (hidden, block), Pass(training=True))
    return settled


def _spreads(network: Network) -> list[Spread]:
    return [_spread(network, sizes) for sizes in network.layer_sizes]


def _spread(network: Network, shape: tuple[int, ...]) -> Spread:
    return SCHEMES[network.init](Layer(shape[0], shape[1], GAINS[network.activation], network.init_scale))


def _draw(streams: Tensor, shape: tuple[int, ...], spread: Spread, dtype: torch.dtype) -> Tensor:
    kind, size = spread
    count = math.prod(shape)
    values = normals(streams, count) * size if kind == "normal" else (uniforms(streams, count) * 2 - 1) * size
    return values.to(dtype).view(len(streams), *shape)
