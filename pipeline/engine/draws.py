"""Randomness without generators: every draw is a hash of (job key, step, layer, row, unit).

So a job's row order, dropout and initial weights do not depend on which other jobs share its pack, a pack of a
thousand draws as fast as one, and a resumed run draws what an uninterrupted one would have drawn. The hash is
SplitMix64 (Steele, Lea and Flood 2014); torch shifts int64 with its sign, so each shift is masked.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
SECOND = 0x94D049BB133111EB - (1 << 64)
LANES = 4  # 16-bit draws in one 64-bit word


def mix(words: Tensor) -> Tensor:
    """Scramble int64 words in place and return them."""
    high = words >> 30
    words ^= high.bitwise_and_((1 << 34) - 1)
    words *= FIRST
    torch.bitwise_right_shift(words, 27, out=high)
    words ^= high.bitwise_and_((1 << 37) - 1)
    words *= SECOND
    torch.bitwise_right_shift(words, 31, out=high)
    words ^= high.bitwise_and_((1 << 33) - 1)
    return words


def stream(keys: Tensor, *parts: int | Tensor) -> Tensor:
    """Derive one independent int64 stream per job, [M], from its key and the parts (step, layer, purpose)."""
    state = keys.clone()
    for part in parts:
        step = (part + 1) * GOLDEN
        state = mix(state + (step if isinstance(step, Tensor) else _wrapped(step)))
    return state


def _wrapped(word: int) -> int:
    return (word + (1 << 63)) % (1 << 64) - (1 << 63)


def job_key(seed: int, fold: int) -> int:
    """The key of a job: the same for every candidate, so that candidates are compared under the same draws."""
    return int(stream(torch.tensor([seed]), fold)[0])


def words(streams: Tensor, count: int) -> Tensor:
    """The first `count` words of each stream, int64 [M, count]."""
    counters = torch.arange(1, count + 1, device=streams.device) * GOLDEN
    return mix(streams[:, None] + counters)


def uniforms(streams: Tensor, count: int) -> Tensor:
    """Uniform draws in (0, 1), float64 [M, count]."""
    mantissa = (words(streams, count) >> 11) & ((1 << 53) - 1)
    return (mantissa.to(torch.float64) + 0.5) * 2.0**-53


def normals(streams: Tensor, count: int) -> Tensor:
    """Standard normal draws, float64 [M, count] (Box and Muller 1958)."""
    half = (count + 1) // 2
    radius, angle = torch.split(uniforms(streams, 2 * half), half, dim=1)
    radius = torch.sqrt(-2.0 * torch.log(radius))
    angle = 2.0 * math.pi * angle
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :count]


def permutations(streams: Tensor, lengths: Tensor, width: int) -> Tensor:
    """A random order of 0 … length-1 for each job, int64 [M, width]; places past a job's length hold 0.

    lengths: int64 [M], each at most `width`.
    """
    keys = words(streams, width)
    places = torch.arange(width, device=streams.device)
    beyond = places >= lengths[:, None]
    keys.masked_fill_(beyond, torch.iinfo(torch.int64).max)
    return torch.argsort(keys, dim=1, stable=True).masked_fill_(beyond, 0)


class DropoutDraws:
    """Keep-or-drop decisions for hidden units, with a rate per job.

    rates: float [M] in [0, 1), resolved to 1/65536; the kept units are scaled by the resolved rate, so that the
    expectation is exact. Where units are in half precision the scale is rounded to it, as in PyTorch's own dropout.
    """

    def __init__(self, rates: Tensor, dtype: torch.dtype) -> None:
        dropped = torch.round(rates.to(torch.float64) * 65536).clamp(max=65535)
        self._words = torch.int64 if dtype == torch.float64 else torch.int32  # as wide as a number
        self._dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self._below = (dropped - 32769).to(self._words)[:, None, None]  # the largest draw that drops a unit
        self._scale = (65536 / (65536 - dropped)).to(self._dtype)[:, None, None]
        self._counters: dict[tuple[int, int], Tensor] = {}
        self.any = bool((dropped > 0).any())

    def to(self, device: torch.device) -> DropoutDraws:
        """Itself, on another device."""
        self._below, self._scale = self._below.to(device), self._scale.to(device)
        self._counters.clear()
        return self

    def apply(self, hidden: Tensor, streams: Tensor) -> Tensor:
        """Drop units of [M, B, W]; the draw of (row, unit) does not depend on B or on a padded W."""
        _, rows, units = hidden.shape
        bits = mix(streams[:, None, None] + self._counter(rows, units, hidden.device))
        # without a comparison: a CPU is several times slower at turning booleans into factors. What is left of a kept
        # unit's sign is all ones, and lets the bits of the scale through; of a dropped one's, nothing
        factors = bits.view(torch.int16)[:, :, :units].to(self._words)
        torch.sub(self._below, factors, out=factors)
        factors >>= torch.iinfo(self._words).bits - 1
        factors &= self._scale.view(self._words)
        return hidden * factors.view(self._dtype).to(hidden.dtype)

    def _counter(self, rows: int, units: int, device: torch.device) -> Tensor:
        if (rows, units) not in self._counters:
            row = torch.arange(1, rows + 1, device=device)[:, None] << 32
            word = torch.arange(-(-units // LANES), device=device)[None, :]
            self._counters[rows, units] = (row + word) * GOLDEN
        return self._counters[rows, units]
