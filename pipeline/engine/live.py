"""Bytes of the tensors that exist, counted as they come and go.

Used on tensors without memory (the meta device) to foresee what a program will hold, and on real ones to check that.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType


class LiveBytes:
    """Counts tensors made while it is entered, until they are gone; exact but for what an operation needs inside.

    label: what tensors are called that are made from now on. Views cost nothing; neither does what existed before.
    """

    def __init__(self) -> None:
        self.label = ""
        self.now = self.peak = 0
        self.at_peak: dict[str, int] = {}  # label -> bytes
        self._by_label: dict[str, int] = {}
        self._known: dict[int, _Known] = {}
        self._made = self._made_at_peak = 0
        self._mode = _Seeing(self._see)

    def __enter__(self) -> Self:
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mode.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def relabel(self, tensors: Sequence[torch.Tensor], label: str) -> None:
        """Call these tensors something else, also where they were there at the peak."""
        for known in (self._known.get(_place(tensor)) for tensor in tensors):
            if known is None:
                continue
            counts = [self._by_label, *([self.at_peak] if known.number <= self._made_at_peak else [])]
            for bytes_of in counts:
                bytes_of[known.label] -= known.size
                bytes_of[label] = bytes_of.get(label, 0) + known.size
            known.label = label

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = _place(tensor), storage.nbytes()
        if key in self._known:
            return

        def gone(_reference: object) -> None:
            known = self._known.pop(key)
            self._count(known.label, -known.size)

        self._made += 1
        self._known[key] = _Known(self.label, size, self._made, weakref.ref(storage, gone))
        self._count(self.label, size)
        if self.now > self.peak:
            self.peak, self.at_peak, self._made_at_peak = self.now, dict(self._by_label), self._made

    def _count(self, label: str, size: int) -> None:
        self.now += size
        self._by_label[label] = self._by_label.get(label, 0) + size


@dataclass(slots=True)
class _Known:
    """A tensor that lives. number: of all that were made."""

    label: str
    size: int
    number: int
    reference: weakref.ref[torch.UntypedStorage]


class _Seeing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows every tensor that an operation returns."""

    def __init__(self, see: Callable[[torch.Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._show = see

    def __torch_dispatch__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        """The operation itself, and a look at its results."""
        del types
        made = func(*args, **(kwargs or {}))  # type: ignore[arg-type]
        given = {_place(value) for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)}
        for value in tree_leaves(made):
            # what works in place hands out what it was given
            if isinstance(value, torch.Tensor) and _place(value) not in given:
                self._show(value)
        return made


def _place(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - nothing public names a storage without memory
