"""The step as kernels of our own, on a CUDA device: one pass over weights, gradients and moments of all models at once.

Every coefficient lies on the device, one per model, so that a captured step stays good from step to step. Triton is
optional: `missing` says why these kernels cannot be used here, and `PackedOptimizer` then writes the step out.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engine.optimizers.rules import Rule, State, fixed_values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

COLUMNS = 16  # of the table of coefficients: a line of float32 is one sector of memory or two
MODELS_AT_A_TIME = 128  # of the kernel that computes coefficients
LARGEST_BLOCK, SMALLEST_BLOCK = 1024, 64  # weights that one program updates


class KernelPath:
    """The step as two kinds of kernels: coefficients of all models, then each tensor of all models."""

    name = "kernel"

    def __init__(self, state: State) -> None:
        models, like = len(state.rules), state.tensors[0]
        pairs = list(dict.fromkeys(state.factors))
        self._state, self._code = state, _code()
        self._pairs = [pairs.index(own) for own in state.factors]
        self._factors = torch.tensor(pairs, dtype=torch.float64, device=like.device)
        self._fixed = state.lr.new_zeros(len(fixed_values([])), models)
        self._now = like.new_zeros(len(pairs), models, COLUMNS)
        self._nobody = torch.zeros(models, dtype=torch.bool, device=like.device)
        self.refresh()

    @property
    def _moves_first(self) -> bool:
        """Whether there is a first moment that this kind goes by: a momentum means nothing to AdaGrad."""
        return bool(self._state.first) and self._state.rules[0].kind != "adagrad"

    @property
    def graph(self) -> tuple[object, ...]:
        """Everything that a captured launch holds: kind, sizes, and where its operands are."""
        state = self._state
        tables = (state.taken, state.lr, state.decay, self._fixed, self._factors, self._now, self._nobody)
        operands = (*state.tensors, *state.first, *state.second, *tables)
        return state.rules[0].kind, self._moves_first, tuple((t.data_ptr(), t.shape) for t in operands)

    def refresh(self) -> None:
        """Read the rules anew, in place."""
        state = self._state
        moved = [*state.tensors, *state.first, *state.second]
        assert all(t.is_contiguous() for t in moved), "the kernels read memory in order, whatever the strides"
        assert len({t.dtype for t in moved}) == 1, "one table of coefficients, one precision"
        self._fixed.copy_(torch.tensor(fixed_values(state.rules), dtype=torch.float64))

    def step(self, gradients: Sequence[Tensor], frozen: Tensor | None = None) -> None:
        """One update of every model; those where `frozen` [M] is true stay as they are."""
        asleep = self._nobody if frozen is None else frozen
        # a kernel starts on the current device, which need not be that of the pack
        with torch.cuda.device(self._now.get_device()):
            self._coefficients(asleep)
            for place, gradient in enumerate(gradients):
                self._update(place, gradient.contiguous(), asleep)

    def _coefficients(self, frozen: Tensor) -> None:
        state, models = self._state, len(self._state.rules)
        self._code.coefficients[-(-models // MODELS_AT_A_TIME),](
            state.taken,
            state.lr,
            state.decay,
            self._fixed,
            self._factors,
            frozen,
            self._now,
            models,
            state.lr.shape[1],
            KIND=state.rules[0].kind,
            FACTORS=len(self._now),
            BLOCK=MODELS_AT_A_TIME,
        )

    def _update(self, place: int, gradient: Tensor, frozen: Tensor) -> None:
        state, tensor = self._state, self._state.tensors[place]
        assert gradient.shape == tensor.shape, "a gradient has the shape of its tensor"
        models, n = len(tensor), tensor[0].numel()
        block = min(LARGEST_BLOCK, max(SMALLEST_BLOCK, 1 << (n - 1).bit_length()))
        self._code.update[models * -(-n // block),](
            tensor,
            gradient,
            state.first[place] if state.first else tensor,
            state.second[place] if state.second else tensor,
            self._now[self._pairs[place]],
            frozen,
            n,
            KIND=state.rules[0].kind,
            FIRST=self._moves_first,
            BLOCK=block,
        )


@functools.cache
def missing(device: torch.device) -> str:
    """Why the kernels cannot be used on this device, "" if they can: they are built and run once, on two weights."""
    if device.type != "cuda":
        return "the kernels need a CUDA device"
    try:
        _trial(device)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # noqa: BLE001 - no compiler, a GPU too old for it: Triton raises what it likes
        return f"Triton cannot build for this device: {type(error).__name__}: {error}".splitlines()[0]
    return ""


def _trial(device: torch.device) -> None:
    weights, moments = torch.zeros(2, 1, 1, device=device), torch.zeros(2, 2, 1, 1, device=device)
    tables = torch.zeros(2, 2, 2, dtype=torch.float64, device=device)
    taken = torch.zeros(2, dtype=torch.int64, device=device)
    state = State([Rule()] * 2, [weights], [moments[0]], [moments[1]], taken, tables[0], tables[1], ((1.0, 1.0),))
    KernelPath(state).step([torch.ones_like(weights)])
    if taken.tolist() != [1, 1]:
        raise RuntimeError("a trial step was not counted")


def _code() -> ModuleType:
    """The kernels, imported when they are first wanted: Triton takes a second."""
    from pipeline.engine.optimizers import triton_step  # noqa: PLC0415

    return triton_step
