"""Every job trained, pack by pack: how the packs are cut, what a pack is told, how its networks are judged.

A pack is a plain value, so that it may be trained in this process or in another one; see `pipeline.spreading`.
"""

from __future__ import annotations

import math
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from pipeline.engine.fit import Watch, fit
from pipeline.engine.packing import plan_packs
from pipeline.engine.sources import Streamed
from pipeline.runtime import Part
from pipeline.stages.assignments import assignment_of
from pipeline.stages.learners import TRAIN_CURVE_POINTS, build_blocks, data_of, products_in
from pipeline.stages.limits import limits_of
from pipeline.tables import Design, Notice
from pipeline.tabular.bases import predictions
from pipeline.tabular.metrics import loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.engine.data import Data
    from pipeline.engine.fit import Fitted
    from pipeline.engine.packing import Assignment, Pack
    from pipeline.fits import Job
    from pipeline.runtime import Checkpoint, Runtime
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Compute, Floats, Integers


def fit_networks(
    design: Design,
    candidates: Sequence[Candidate],
    jobs: Sequence[Job],
    *,
    metric: str,
    runtime: Runtime,
    blocks: Blocks,
) -> list[Fitted]:
    """Train every job, packed, where `runtime.spread` says; results in the order of `jobs`. Finished packs are kept."""
    compute = runtime.compute
    torch.set_num_threads(compute.threads)
    at_hand = AtHand(
        assignments_for(design, candidates, jobs, blocks.start), data_of(blocks, compute.precision), blocks
    )
    is_streamed = isinstance(blocks.source, Streamed)
    limits = limits_of(runtime, candidates[0].train.pack_size, is_streamed=is_streamed)
    packs = cut(plan_packs(at_hand.assignments, limits), compute.shares)
    parts = []
    for number, pack in enumerate(packs):
        work = PackWork(tuple(candidates), tuple(jobs[p] for p in pack.positions), pack.slots, metric)
        parts.append(Part(f"pack-{number}", replace(work, at_hand=at_hand.of(pack.positions)), weight_of(pack)))
    tally = _Tally(runtime, packs, at_hand.assignments)
    fitted: dict[int, Fitted] = {}
    with closing(runtime.spread(design, parts, runtime, tally.advance)) as finished:
        for number, results in finished:
            assert isinstance(results, list)
            fitted |= dict(zip(packs[number].positions, results, strict=True))
            tally.finish(number)
    return [fitted[position] for position in range(len(jobs))]


def slowed(fitted: Sequence[Fitted]) -> list[Notice]:
    """Say what made the steps on a GPU slower than they can be, and what to do: each thing once, for all packs."""
    captures = [result.slowed.capture for result in fitted if result.slowed.capture]
    kernels = [result.slowed.kernel for result in fitted if result.slowed.kernel]
    notices = []
    if captures:
        text = f"steps were slower than they can be on a GPU, for they were not captured: {captures[0]}"
        notices.append(Notice("training", f"{text}; {_capture_remedy(captures[0])}", len(captures)))
    if kernels:
        remedy = "pip install triton" if "not installed" in kernels[0] else "it needs a C compiler and Python's headers"
        text = f"steps were slower than they can be on a GPU, for weights had no kernel of their own: {kernels[0]}"
        notices.append(Notice("training", f"{text}; {remedy}", len(kernels)))
    return notices


def _capture_remedy(reason: str) -> str:
    if "OutOfMemoryError" in reason:
        return "a smaller train.pack_size leaves memory for it"
    if "train.custom_loss" in reason or "model.custom" in reason:
        return "docs/guides/your-own-ideas.md says what can be captured"
    return "the results are the same; please report it"


def cut(packs: Sequence[Pack], shares: int) -> list[Pack]:
    """Packs of which none is more than one of so many equal shares of the work, as far as networks can be parted.

    So there are at least `shares` packs, if there are as many networks; neighbours in a pack stay neighbours.
    """
    share = sum(map(weight_of, packs)) / shares
    return [
        piece
        for pack in packs
        for piece in _pieces(pack, min(len(pack.positions), math.ceil(round(weight_of(pack) / share, 9))))
    ]


def weight_of(pack: Pack) -> float:
    """The work in a pack: the parameters of all its networks, padding included."""
    return float(len(pack.positions) * pack.network.parameters)


def _pieces(pack: Pack, count: int) -> list[Pack]:
    total = len(pack.positions)
    ends = [round(total * i / count) for i in range(count + 1)]
    pieces = []
    for begin, end in pairwise(ends):
        own = pack.positions[begin:end]
        rounds = -(-len(own) // pack.slots)
        pieces.append(replace(pack, positions=own, slots=-(-len(own) // rounds)))
    return pieces


def assignments_for(
    design: Design, candidates: Sequence[Candidate], jobs: Sequence[Job], start: Mapping[int, int]
) -> list[Assignment]:
    """What the engine is told of each job. start: the first row of each fold's block."""
    return [assignment_of(design, candidates[job.candidate], job, start[job.fold]) for job in jobs]


@dataclass(frozen=True, slots=True)
class AtHand:
    """What a pack trains with, on this process's device."""

    assignments: Sequence[Assignment]
    data: Data
    blocks: Blocks

    def of(self, positions: Sequence[int]) -> AtHand:
        """The same for some of the jobs."""
        return replace(self, assignments=[self.assignments[p] for p in positions])


@dataclass(frozen=True, slots=True)
class PackWork:
    """One pack to train on a design: small where it travels, for another process builds the blocks that it needs.

    slots: networks side by side. at_hand: stays behind when the work travels.
    """

    candidates: tuple[Candidate, ...]
    jobs: tuple[Job, ...]
    slots: int
    metric: str
    at_hand: AtHand | None = None

    def __reduce__(self) -> tuple[type[PackWork], tuple[object, ...]]:
        return PackWork, (self.candidates, self.jobs, self.slots, self.metric)

    @property
    def users_code(self) -> tuple[str, ...]:
        """References of the user's functions that its candidates name."""
        named = [name for c in self.candidates for name in (c.model.custom, c.train.custom_loss)]
        return tuple(sorted({name for name in named if name}))

    def __call__(
        self, shared: object, runtime: Runtime, checkpoint: Checkpoint, on_epochs: Callable[[int], None]
    ) -> list[Fitted]:
        """The trained networks, in the order of `jobs`. shared: the design."""
        assert isinstance(shared, Design)
        torch.set_num_threads(runtime.compute.threads)
        used = self.at_hand or self._build(shared, runtime)
        judge = Judge(shared, self.metric, self.jobs, used.blocks.start)
        watch = Watch(judge, TRAIN_CURVE_POINTS, on_epochs)
        with products_in(runtime.compute.precision):
            return fit(used.assignments, used.data, watch=watch, slots=self.slots, checkpoint=checkpoint)

    def _build(self, design: Design, runtime: Runtime) -> AtHand:
        blocks, data = _BUILT.of(design, tuple(sorted({job.fold for job in self.jobs})), runtime)
        return AtHand(assignments_for(design, self.candidates, self.jobs, blocks.start), data, blocks)


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores outputs by the metric, in the target's own scale. start: the first row of each fold's block."""

    design: Design
    metric: str
    jobs: Sequence[Job]
    start: Mapping[int, int]

    def __call__(self, member: int, rows: Integers, outputs: Floats) -> float:
        """The loss of the job at that place, whose network gives these outputs on these rows."""
        fold = self.jobs[member].fold
        own = rows - self.start[fold]
        return loss(self.metric, self.design.target[own], predictions(self.design, fold, own, outputs))


class _Built:
    """The blocks that this process built last, for its next pack of the same design, folds and device."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a worker may train packs in several threads; one builds, the others wait
        self._design: Design | None = None
        self._told: tuple[tuple[int, ...], Compute] | None = None
        self._found: tuple[Blocks, Data] | None = None

    def of(self, design: Design, folds: tuple[int, ...], runtime: Runtime) -> tuple[Blocks, Data]:
        """Blocks of these folds, and the rows as the engine wants them."""
        compute = runtime.compute
        with self._lock:
            if self._found is None or self._design is not design or self._told != (folds, compute):
                self._found = None  # the old ones make room first
                blocks = build_blocks(design, folds, runtime)
                self._found = blocks, data_of(blocks, compute.precision)
                self._design, self._told = design, (folds, compute)
            return self._found


_BUILT = _Built()


class _Tally:
    """Progress in epochs: as they end where that is known, else a pack at a time."""

    def __init__(self, runtime: Runtime, packs: Sequence[Pack], assignments: Sequence[Assignment]) -> None:
        self._tell, self._packs = runtime.on_progress, packs
        self._epochs = [sum(assignments[p].epochs for p in pack.positions) for pack in packs]
        self._ended = [0] * len(packs)

    def advance(self, number: int, epochs: int) -> None:
        """So many further epochs of that pack's networks have ended."""
        self._ended[number] += epochs
        pack = self._packs[number]
        what = f"{len(pack.positions)} networks, {pack.slots} side by side, pack {number + 1} of {len(self._packs)}"
        self._tell(sum(self._ended), sum(self._epochs), what)

    def finish(self, number: int) -> None:
        """That pack is finished; networks that stopped early count in full."""
        self.advance(number, self._epochs[number] - self._ended[number])
