"""One step of a pack: a batch, a forward and a backward pass, and an update of every network.

A network whose loss is not finite, or in fp16 whose gradient never is, freezes as it was before that step, and its
neighbours go on. On a CUDA device the step waits for nothing on the host, so that it can be captured as a graph and
replayed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.engine import loss_scale
from pipeline.engine.capture import NO_DEVICE, Captured, backend_for
from pipeline.engine.draws import stream, words
from pipeline.engine.networks import forward
from pipeline.engine.norms import update_running
from pipeline.engine.optimizers.kernel import missing
from pipeline.engine.sources import Resident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.engine.networks import Dropout, Pass
    from pipeline.engine.pack import PackState
    from pipeline.engine.rows import BatchPlan, Shape

DROPOUT = 3  # purpose in a job's stream of draws
SCRATCH = 7  # tensors as large as the widest that an update written out takes at most
SCRATCH_OF_ALL = 2  # where nobody is frozen, of RMSprop, which is all that a CPU writes out


@dataclass(frozen=True, slots=True)
class Slowed:
    """Why steps took longer than they do at best on a GPU; empty where nothing was in the way, and on a CPU."""

    capture: str = ""  # why they were not captured
    kernel: str = ""  # why the optimizer's kernel could not be used


NOT_SLOWED = Slowed()


class Step:
    """Takes steps of a pack, on a CUDA device as a graph that is captured once for each company and batch."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._captured = Captured(self._take, backend_for(device))
        self._now: tuple[PackState, Shape, Tensor | None] | None = None
        self._ahead: tuple[BatchPlan, int, Tensor] | None = None  # whose coming batch, its step, and its index
        self._buffer: Tensor | None = None  # where a captured step finds its batch
        self._buffer_of: BatchPlan | None = None  # the company that it was made for

    @property
    def reason(self) -> str:
        """Why steps are not captured; empty where they are."""
        return self._captured.reason

    @property
    def slowed(self) -> Slowed:
        """What is in the way of fast steps until now; `release` forgets a want of memory."""
        capture = "" if self.reason == NO_DEVICE else self.reason
        return Slowed(capture, missing(self._device) if self._device.type == "cuda" else "")

    def take(self, pack: PackState) -> None:
        """One step of every network."""
        shape = pack.batches.shape()
        self._now = None  # the batch before this one makes room
        batch = None if isinstance(pack.data.source, Resident) else self._fetched(pack, shape)
        self._now = pack, shape, batch
        self._captured(
            (signature(pack, shape), None if batch is None else batch.data_ptr()) if pack.on_device else None
        )

    def release(self) -> None:
        """Give up what was captured, and its memory."""
        self._captured.release()
        self._now = self._ahead = self._buffer = self._buffer_of = None

    def _take(self) -> None:
        assert self._now is not None
        train_step(*self._now)

    def _fetched(self, pack: PackState, shape: Shape) -> Tensor:
        """The rows of the coming batch, and while the device works on them those after it begin to come."""
        batches, order, source = pack.batches, pack.held["order"], pack.data.source
        step = int(batches.steps.sum())
        if self._ahead is not None and self._ahead[0] is batches and self._ahead[1] == step:
            index = self._ahead[2]
        else:
            index = batches.places(order, shape)
        batch = source.gather(index)
        self._ahead = None
        if batches.next_is_drawn():
            following = batches.places(order, batches.shape(1), 1)
            self._ahead = batches, step + len(pack), following
            source.prefetch(following)
        return self._in_place(batch, batches) if pack.on_device else batch

    def _in_place(self, batch: Tensor, batches: BatchPlan) -> Tensor:
        """The batch where steps of this company always find it, whatever its width: as large as the largest."""
        if self._buffer is None or self._buffer_of is not batches:
            # recordings point into the buffer, and those of a former company are of no use: they go together
            self._captured.release()
            self._buffer = None  # before its successor is made
            most = min(batches.batch_size, int(batches.lengths.max()))
            self._buffer = batch.new_empty(batch.shape[0] * most * batch.shape[2])
            self._buffer_of = batches
        return self._buffer[: batch.numel()].view(batch.shape).copy_(batch)


def train_step(pack: PackState, shape: Shape, batch: Tensor | None = None) -> None:
    """One batch and one update for every network; counts the step on the device, not on the host.

    batch: its rows [M, B, D] where they have been fetched.
    """
    assert pack.optimizer is not None
    assert pack.gradients is not None
    pack.is_torn = False
    held, batches, data = pack.held, pack.batches, pack.data
    index, present = batches.places(held["order"], shape), batches.present(shape)
    batch, target = data.source.gather(index) if batch is None else batch, data.target.take(index)
    how = pack.how()
    how.training, how.present, how.dropout = True, present, _dropout(pack)
    outputs = forward(pack.network, pack.tensors, batch, how)
    losses = _mean(pack.loss(outputs, target, pack.loss_parameters), present)
    halved = data.product == torch.float16
    # sum, not mean: a model's gradient must not shrink as others join the pack
    total = (losses * held["loss_scale"]).sum() if halved else losses.sum()
    gradients: Sequence[Tensor] = torch.autograd.grad(total, pack.tensors)
    with torch.no_grad():
        overflowed = None
        if halved:
            gradients, overflowed = loss_scale.unscaled(gradients, held["loss_scale"])
        bounded = pack.gradients.apply(gradients, pack.tensors)
        frozen = _freeze(pack, losses.detach())
        if overflowed is not None:
            frozen = overflowed if frozen is None else frozen | overflowed
        _reserve(pack, frozen)
        # from here on things change, and the step cannot be taken again; fused kernels take no memory once they begin
        pack.is_torn = pack.optimizer.path != "fused"
        pack.optimizer.step(bounded, frozen)
        pack.is_torn = True
        held["loss_sum"].add_(losses.detach())
        if overflowed is not None:
            loss_scale.adjust(held["loss_scale"], held["calm"], overflowed)
            _give_up(pack, held["loss_scale"] < loss_scale.LEAST)
        _keep_statistics(pack, how, frozen)
        if batches.on_device:
            batches.device_steps.add_(1)
        pack.is_torn = False


def _reserve(pack: PackState, frozen: Tensor | None) -> None:
    """Make sure of the memory that the update takes, so that it cannot fail half-way.

    On a CPU once for each company: what was there for its first update is there for the next.
    """
    assert pack.optimizer is not None
    scratch = SCRATCH_OF_ALL if frozen is None else SCRATCH
    if pack.device.type == "cpu":
        if pack.optimizer.path == "fused" or pack.reserved == (pack.company, scratch):
            return
        pack.reserved = pack.company, scratch
    largest = max(pack.tensors, key=torch.Tensor.numel)
    for held in [torch.empty_like(largest) for _ in range(scratch)]:
        del held  # the allocator keeps it at hand


def signature(pack: PackState, shape: Shape) -> tuple[object, ...]:
    """What a captured step depends on beyond values in their places."""
    assert pack.optimizer is not None
    assert pack.gradients is not None
    places = (*pack.held.values(), *pack.tensors, pack.batches.device_steps, pack.loss_parameters)
    return pack.company, shape, pack.optimizer.graph, pack.gradients.graph, tuple(t.data_ptr() for t in places)


def _mean(rows: Tensor, present: Tensor | None) -> Tensor:
    """Loss of each network [M] over the rows that count."""
    if present is None:
        return rows.mean(1)
    # where, not a product with 0: a row that does not count may be infinite
    return torch.where(present, rows, 0.0).sum(1) / present.sum(1)


def _freeze(pack: PackState, losses: Tensor) -> Tensor | None:
    """Note at which step the first loss that is not finite came; who must not move, bool [M]. It may be noted twice."""
    if not pack.batches.on_device and not pack.any_frozen and math.isfinite(float(losses.sum())):
        return None
    return _frozen(pack, ~torch.isfinite(losses))


def _give_up(pack: PackState, hopeless: Tensor) -> None:
    """Freeze networks [M] whose gradient no factor makes finite, and see to it that the end of the epoch finds them."""
    pack.held["loss_sum"].masked_fill_(hopeless, math.nan)
    _frozen(pack, hopeless)


def _frozen(pack: PackState, falls: Tensor) -> Tensor:
    """Who is frozen, bool [M], after those in `falls` have become so at this step."""
    held, batches = pack.held, pack.batches
    steps = batches.device_steps if batches.on_device else torch.as_tensor(batches.steps)
    held["frozen_at"].copy_(torch.where(falls & (held["frozen_at"] < 0), steps, held["frozen_at"]))
    frozen = held["frozen_at"] >= 0
    if not batches.on_device:
        pack.any_frozen = bool(frozen.any())
    return frozen


def _keep_statistics(pack: PackState, how: Pass, frozen: Tensor | None) -> None:
    if not how.batch_statistics:
        return
    counts = pack.batches.counts()
    for place, seen in enumerate(how.batch_statistics):
        mean, variance = pack.running[2 * place : 2 * place + 2]
        update_running(mean, variance, seen, counts, frozen)


def _dropout(pack: PackState) -> Dropout | None:
    if not pack.dropout.any:
        return None
    batches, keys = pack.batches, pack.held["keys"]
    steps: Tensor | int = batches.device_steps
    if not batches.on_device:
        same = bool((batches.steps == batches.steps[0]).all())
        steps = int(batches.steps[0]) if same else torch.as_tensor(batches.steps)
    streams = words(stream(keys, DROPOUT, steps), len(pack.network.hidden))  # those of all layers at once: [M, layers]
    return lambda layer, hidden: pack.dropout.apply(hidden, streams[:, layer])
