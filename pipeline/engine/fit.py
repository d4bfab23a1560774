"""The only training loop: a pack of networks step by step, judged after each of their epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np
import torch

from pipeline.engine.diagnosis import Failure, failure_of
from pipeline.engine.epochs import Epochs, Judge, Prune
from pipeline.engine.networks import true_tensors
from pipeline.engine.pack import PackState, width_of
from pipeline.engine.packing import padded_network
from pipeline.engine.parked import one_by_one, together
from pipeline.engine.room import does_not_fit, no_room_beside, runs_out
from pipeline.engine.step import NOT_SLOWED, Slowed, Step
from pipeline.fits import Curve
from pipeline.runtime import NoCheckpoint

if TYPE_CHECKING:
    from pipeline.engine.data import Data
    from pipeline.engine.packing import Assignment
    from pipeline.engine.parked import Parked
    from pipeline.runtime import Checkpoint
    from pipeline.tables import Singles

Progress = Callable[[int], None]  # epochs of single networks finished since the last call


@dataclass(frozen=True, slots=True)
class Fitted:
    """One trained network: tensors without the model axis, in the order of its network's names.

    failure: what was wrong where its loss was not finite; the tensors then are those of an earlier epoch, or the first.
    narrowed_to: how many networks trained side by side after memory had run out; 0 where it never did.
    slowed: what made its pack's steps slower than they can be.
    """

    tensors: tuple[Singles, ...]
    curve: Curve
    failure: Failure | None = None
    narrowed_to: int = 0
    slowed: Slowed = NOT_SLOWED


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while networks train.

    judge: scores a job's outputs after each of its epochs; None trains to the end without a look.
    train_curve_points: at about this many epochs the training rows are scored too.
    prune: says after epochs which jobs are to be given up. on_halved: told how many networks go on side by side after
    memory ran out.
    """

    judge: Judge | None = None
    train_curve_points: int = 0
    on_progress: Progress | None = None
    prune: Prune | None = None
    on_halved: Callable[[int], None] | None = None


class Supply(Protocol):
    """Where jobs come from while a pack trains, and where trained networks go. Positions count from 0 as jobs come."""

    def more(self, free: int) -> Sequence[Assignment]:
        """At most so many further jobs, of the pack's program; none where there are none now."""
        ...

    def take(self, position: int, fitted: Fitted) -> None:
        """A network that has left its place."""
        ...


class _Saved(TypedDict):
    """A training in its middle: results so far, jobs that wait for a place, and those that train."""

    results: dict[int, Fitted]
    waiting: int
    slots: int
    parked: list[Parked]
    pack: Parked


def fit(
    jobs: Sequence[Assignment],
    data: Data,
    *,
    watch: Watch | None = None,
    slots: int = 0,
    checkpoint: Checkpoint | None = None,
) -> list[Fitted]:
    """Train the jobs of one pack, `slots` of them side by side (0: all); as one leaves, the next takes its place.

    Guarantees: a job's weights do not depend on its company (to rounding), nor on a neighbour that turns NaN. Stopped
    at any step and called again with the same arguments, it goes on from the checkpoint to the same bits. When memory
    runs out, half of the networks wait, as they are, until there is room.
    """
    training = _Training(jobs, data, watch or Watch(), slots or len(jobs))
    checkpoint = checkpoint or NoCheckpoint()
    training.resume(checkpoint.load())
    while training.pack:
        training.step()
        if checkpoint.due() and training.pack:
            checkpoint.save(training.saved())
    slowed = training.step_of.slowed
    training.step_of.release()
    narrowed_to = 0 if training.slots == (slots or len(jobs)) else training.slots
    return [replace(training.results[p], narrowed_to=narrowed_to, slowed=slowed) for p in range(len(jobs))]


def serve(supply: Supply, like: Sequence[Assignment], data: Data, *, watch: Watch, slots: int) -> None:
    """Train whatever `supply` has, `slots` networks side by side, until it has no more and all have left.

    like: jobs of the same program, no narrower and with no fewer rows than any that will come. The rest is as in `fit`;
    there are no checkpoints.
    """
    training = _Training(supply.more(slots), data, watch, slots, supply=supply, like=like)
    training.resume(None)
    while training.pack:
        training.step()
    training.step_of.release()


class _Training:
    """Who trains, who waits, and who has finished."""

    def __init__(
        self,
        jobs: Sequence[Assignment],
        data: Data,
        watch: Watch,
        slots: int,
        *,
        supply: Supply | None = None,
        like: Sequence[Assignment] = (),
    ) -> None:
        """like: besides the jobs, what others that come from the supply will be like."""
        known = [*jobs, *like]
        assert len({job.graph for job in known}) == 1, "jobs of one pack must share all that changes the program"
        self.network, self.width = padded_network([job.network for job in known]), width_of(known)
        self.jobs = list(jobs)
        self.data, self.watch, self.slots, self.supply = data, watch, slots, supply
        self.epochs = Epochs(self.jobs, watch.judge, watch.prune, watch.train_curve_points)
        self.pack = self._empty()
        self.step_of = Step(data.device)
        self.results: dict[int, Fitted] = {}
        self.waiting = 0  # the first job that has not joined yet
        self.parked: list[Parked] = []  # networks that had to make room in the middle of their training

    def resume(self, saved: object) -> None:
        """Go on from what `saved` holds, or begin."""
        if isinstance(saved, dict):
            self.results, self.waiting, self.slots = dict(saved["results"]), saved["waiting"], saved["slots"]
            self.parked = [*one_by_one(saved["pack"]), *saved["parked"]]  # those that trained come first again
        self._fill()

    def saved(self) -> _Saved:
        """The state of the whole."""
        return {
            "results": dict(self.results),
            "waiting": self.waiting,
            "slots": self.slots,
            "parked": list(self.parked),
            "pack": self.pack.state(),
        }

    def step(self) -> None:
        """One step of every network, and the end of an epoch for those that have come to it."""
        self.pack.begin_epochs()
        if runs_out(lambda: self.step_of.take(self.pack)):
            if self.pack.is_torn:
                raise no_room_beside(self.pack.own()[0])
            self._halve()
            return
        self.pack.batches.advance()
        ended = self.pack.batches.beginning()
        if len(ended):
            leaving = self.epochs.end(self.pack, ended)
            if leaving:
                self._let_go(leaving)
            if self.watch.on_progress is not None:
                self.watch.on_progress(len(ended))

    def _empty(self) -> PackState:
        on_device = self.data.device.type == "cuda"
        return PackState(self.jobs, self.network, self.data, width=self.width, on_device=on_device)

    def _fill(self) -> None:
        """Give free places to networks that had to leave theirs, then to those that have not begun."""
        back = self.parked[: self.slots - len(self.pack)]
        if back and runs_out(lambda: self.pack.load(together(back))):
            self._settle_for_fewer(len(back))
            return
        self.parked = self.parked[len(back) :]
        free = self.slots - len(self.pack)
        missing = free - (len(self.jobs) - self.waiting)
        if self.supply is not None and missing > 0:
            self.jobs += self.supply.more(missing)
        joining = range(self.waiting, min(self.waiting + free, len(self.jobs)))
        if runs_out(lambda: self.pack.join(list(joining))):
            self._settle_for_fewer(len(joining))
            return
        self.waiting = joining.stop

    def _settle_for_fewer(self, count: int) -> None:
        """There is no room for so many more: half of them are tried, then none. They have lost nothing."""
        slots = len(self.pack) + (-(-count // 2) if count > 1 else 0)
        if not slots:
            raise does_not_fit(self.jobs[0])
        self._narrow(slots)
        self._fill()

    def _halve(self) -> None:
        """Half of the networks make room, as they are, and go on when there is a place; the step is taken again."""
        count = len(self.pack)
        if count < 2:
            raise does_not_fit(self.pack.own()[0])
        stay = -(-count // 2)
        self._narrow(stay)  # first: what it gives back is room for copies
        aside: list[Parked] = []
        if runs_out(lambda: aside.extend(one_by_one(self.pack.state(np.arange(stay, count))))):
            raise no_room_beside(self.pack.own()[0])
        self.parked = [*aside, *self.parked]
        self.pack.keep(np.arange(stay))

    def _narrow(self, slots: int) -> None:
        self.slots = slots
        self.step_of.release()
        if self.pack.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.watch.on_halved is not None:
            self.watch.on_halved(slots)

    def _let_go(self, leaving: dict[int, str]) -> None:
        """Take down what the networks at these places have come to, and give their places to others."""
        pack = self.pack
        for place, why in leaving.items():
            record = pack.records[place]
            curve = Curve(
                train=np.array(record.train_scores),
                valid=np.array(record.valid_scores),
                best_epoch=record.best_epoch,
                stopped=why,
            )
            own = true_tensors([best[place] for best in pack.best], self.jobs[record.position].network)
            tensors = tuple(tensor.cpu().numpy().copy() for tensor in own)
            failure = failure_of(pack, place) if why == "not finite" else None
            fitted = Fitted(tensors, curve, failure)
            if self.supply is None:
                self.results[record.position] = fitted
            else:
                self.supply.take(record.position, fitted)
        pack.keep(np.array([i for i in range(len(pack)) if i not in leaving], dtype=np.int64))
        self._fill()
