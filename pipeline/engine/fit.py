"""The only training loop: a pack of networks step by step, judged after each of their epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch

from pipeline.engine.networks import true_tensors
from pipeline.engine.pack import Data, PackState, one_by_one
from pipeline.engine.packing import padded_network
from pipeline.engine.schedules import PlateauState, after_epoch
from pipeline.engine.step import train_step
from pipeline.errors import TrainingError
from pipeline.runtime import NoCheckpoint
from pipeline.tables import Curve, Floats, Integers, Singles

if TYPE_CHECKING:
    from pipeline.engine.pack import Record
    from pipeline.engine.packing import Assignment
    from pipeline.runtime import Checkpoint

VALUES_AT_A_TIME = 1 << 22  # rows x columns gathered at once when scoring
FEWEST_VALUES = 1 << 10  # where that does not help, something else is too large

# (position of the job, its rows, its outputs on them) -> loss, lower is better
Judge = Callable[[int, Integers, Floats], float]
Progress = Callable[[int], None]  # epochs of single networks finished since the last call


@dataclass(frozen=True, slots=True)
class Fitted:
    """One trained network: tensors without the model axis, in the order of its network's names."""

    tensors: tuple[Singles, ...]
    curve: Curve


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while networks train.

    judge: scores a job's outputs after each of its epochs; None trains to the end without a look.
    train_curve_points: at about this many epochs the training rows are scored too.
    """

    judge: Judge | None = None
    train_curve_points: int = 0
    on_progress: Progress | None = None
    on_halved: Callable[[int], None] | None = None  # (networks side by side from now on)


class _Saved(TypedDict):
    """A training in its middle: results so far, jobs that wait for a place, and those that train."""

    results: dict[int, Fitted]
    waiting: int
    slots: int
    parked: list[dict[str, object]]
    pack: dict[str, object]


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
    at any step and called again with the same arguments, it goes on from the checkpoint to the same bits.
    """
    training = _Training(jobs, data, watch or Watch(), slots or len(jobs))
    checkpoint = checkpoint or NoCheckpoint()
    training.resume(checkpoint.load())
    while training.pack:
        training.step()
        if checkpoint.due() and training.pack:
            checkpoint.save(training.saved())
    return [training.results[position] for position in range(len(jobs))]


class _Training:
    """Steps, scores, and who leaves when."""

    def __init__(self, jobs: Sequence[Assignment], data: Data, watch: Watch, slots: int) -> None:
        assert len({job.graph for job in jobs}) == 1, "jobs of one pack must share all that changes the program"
        self.jobs, self.data, self.watch, self.slots = jobs, data, watch, slots
        self.pack = self._empty()
        self.results: dict[int, Fitted] = {}
        self.waiting = 0  # the first job that has not joined yet
        self.parked: list[dict[str, object]] = []  # networks that had to make room in the middle of their training
        self.values_at_a_time = VALUES_AT_A_TIME
        self.scored_epochs = [_spread(job.epochs, watch.train_curve_points) for job in jobs]

    def resume(self, saved: object) -> None:
        """Go on from what `saved` holds, or begin."""
        if not isinstance(saved, dict):
            self._fill()
            return
        self.results, self.waiting = dict(saved["results"]), saved["waiting"]
        self.slots, self.parked = saved["slots"], list(saved["parked"])
        self.pack.load(saved["pack"])

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
        if _runs_out(lambda: train_step(self.pack, self.pack.batches.next_shape())):
            self._halve()
            return
        self.pack.batches.advance()
        ended = self.pack.batches.beginning()
        if len(ended):
            self._end_epochs(ended)
            if self.watch.on_progress is not None:
                self.watch.on_progress(len(ended))

    def _empty(self) -> PackState:
        return PackState(self.jobs, padded_network([job.network for job in self.jobs]), self.data)

    def _fill(self) -> None:
        """Give free places to networks that had to leave theirs, then to those that have not begun."""
        while self.parked and len(self.pack) < self.slots:
            self.pack.load(self.parked.pop(0))
        free = self.slots - len(self.pack)
        joining = range(self.waiting, min(self.waiting + free, len(self.jobs)))
        if _runs_out(lambda: self.pack.join(list(joining))):
            self._halve_start(len(joining))
            return
        self.waiting = joining.stop

    def _halve_start(self, count: int) -> None:
        """Fewer networks from the beginning: nothing of theirs is lost yet."""
        if len(self.pack) or count < 2:
            raise _does_not_fit(self.jobs[0])
        self.pack = self._empty()
        self._narrow(-(-count // 2))
        self._fill()

    def _halve(self) -> None:
        """Half of the networks make room, as they are, and go on when there is a place; the step is taken again."""
        count = len(self.pack)
        if count < 2:
            raise _does_not_fit(self.pack.own()[0])
        stay = -(-count // 2)
        self.parked = [*one_by_one(self.pack.state(np.arange(stay, count))), *self.parked]
        self.pack.keep(np.arange(stay))
        self._narrow(stay)

    def _narrow(self, slots: int) -> None:
        self.slots = slots
        if self.pack.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.watch.on_halved is not None:
            self.watch.on_halved(slots)

    def _end_epochs(self, ended: Integers) -> None:
        """Score the networks whose epoch ended, keep their best weights, let finished ones leave."""
        pack = self.pack
        sums = pack.held["loss_sum"].cpu().numpy()
        finite = np.isfinite(sums)
        records = pack.records
        calm = ended[finite[ended]]  # a frozen network is not asked: its outputs may be beyond any metric
        judged = dict(zip(calm.tolist(), self._scores(calm, "valid"), strict=True))
        valid = [judged.get(int(i), float("nan")) for i in ended]
        asked = np.array([i for i in calm if records[i].epoch in self._scored(records[i])], dtype=np.int64)
        train = dict(zip(asked.tolist(), self._scores(asked, "train"), strict=True))
        better = [self._note(int(i), loss, train, is_finite=finite[i]) for i, loss in zip(ended, valid, strict=True)]
        if any(better):
            pack.remember(ended[better])
        self._slow_down(ended, np.array(valid), sums)
        pack.held["loss_sum"][torch.as_tensor(ended, device=pack.device)] = 0
        leaving = {int(i): why for i in ended if (why := self._why_stop(records[i], is_finite=finite[i]))}
        if leaving:
            self._let_go(leaving)

    def _scored(self, record: Record) -> frozenset[int]:
        return self.scored_epochs[record.position]

    def _note(self, place: int, loss: float, train: dict[int, float], *, is_finite: bool) -> bool:
        """Write an epoch down; whether its weights are to be kept."""
        record = self.pack.records[place]
        record.valid_scores.append(loss)
        record.train_scores.append(train.get(place, np.nan))
        better = loss < record.best_loss
        last = not self.jobs[record.position].restore_best or not np.isfinite(record.best_loss)
        improved = is_finite and (better or last)
        if improved:
            record.best_epoch = record.epoch
        if better:
            record.best_loss = loss
        record.epoch += 1
        return bool(improved)

    def _slow_down(self, ended: Integers, valid: Floats, sums: Floats) -> None:
        """Lower the rates of networks that wait in vain for a better loss: the judge's, else that of their batches."""
        places = [int(i) for i in ended if self.jobs[self.pack.records[i].position].plateau is not None]
        if not places:
            return
        records = [self.pack.records[i] for i in places]
        rules = [rule for record in records if (rule := self.jobs[record.position].plateau) is not None]
        judged = dict(zip(ended.tolist(), valid.tolist(), strict=True))
        own = sums / self.pack.batches.steps_per_epoch
        losses = np.array([own[i] if np.isnan(judged[i]) else judged[i] for i in places])
        before = PlateauState(
            np.array([record.plateau_best for record in records]),
            np.array([record.waited for record in records]),
            np.array([record.rate for record in records]),
        )
        after = after_epoch(rules, before, losses, np.ones(len(places), dtype=np.bool_))
        for record, *values in zip(records, after.best, after.waited, after.shares, strict=True):
            record.plateau_best, record.waited, record.rate = float(values[0]), int(values[1]), float(values[2])
        self.pack.slow_down(np.array(places)[after.shares != before.shares])

    def _why_stop(self, record: Record, *, is_finite: bool) -> str:
        job = self.jobs[record.position]
        if not is_finite:
            return "not finite"
        if record.epoch >= job.epochs:
            return "finished"
        if not job.patience or self.watch.judge is None or not len(job.valid_rows):
            return ""  # nothing to wait for
        waited = record.epoch - 1 - _last_better(record.valid_scores)
        return "patience" if waited >= job.patience else ""

    def _let_go(self, leaving: dict[int, str]) -> None:
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
            self.results[record.position] = Fitted(tensors, curve)
        pack.keep(np.array([i for i in range(len(pack)) if i not in leaving], dtype=np.int64))
        self._fill()

    def _scores(self, places: Integers, which: str) -> list[float]:
        """The judge's loss of each network on its "train" or "valid" rows; NaN without a judge or rows."""
        jobs = [self.jobs[self.pack.records[i].position] for i in places]
        rows = [job.train_rows if which == "train" else job.valid_rows for job in jobs]
        judge = self.watch.judge
        if judge is None or not any(map(len, rows)):
            return [float("nan")] * len(rows)
        outputs = self._outputs(places, rows)
        return [
            judge(self.pack.records[i].position, r, o) if len(r) else float("nan")
            for i, r, o in zip(places, rows, outputs, strict=True)
        ]

    def _outputs(self, places: Integers, rows: Sequence[Integers]) -> list[Floats]:
        """What the networks at these places say of their rows, as many at a time as there is memory for."""
        found: list[Floats] = []
        while _runs_out(lambda: found.extend(self.pack.outputs(places, rows, self.values_at_a_time))):
            if self.values_at_a_time < FEWEST_VALUES:
                raise _does_not_fit(self.pack.own()[0])
            self.values_at_a_time //= 2
        return found


def _runs_out(work: Callable[[], object]) -> bool:
    """Do it; whether memory ran out on the way. The error is gone then, and all that its traceback held."""
    try:
        work()
    except (torch.OutOfMemoryError, MemoryError):
        return True
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what PyTorch says on a CPU
            raise
        return True
    return False


def _does_not_fit(job: Assignment) -> TrainingError:
    return TrainingError(
        f"one network of {job.network.parameters:,} parameters does not fit into memory with batches of "
        f"{job.batch_size:,} rows; lower [model] width or depth, or [train] batch_size (now {job.batch_size:,})"
    )


def _spread(epochs: int, points: int) -> frozenset[int]:
    """About `points` epochs, the first and the last among them."""
    return (
        frozenset(np.unique(np.linspace(0, epochs - 1, points).round().astype(int)).tolist()) if points else frozenset()
    )


def _last_better(scores: Sequence[float]) -> int:
    best, place = np.inf, -1
    for epoch, value in enumerate(scores):
        if value < best:
            best, place = value, epoch
    return place
