"""The only training loop: a pack of networks step by step, judged after each of their epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from pipeline.engine.networks import true_tensors
from pipeline.engine.pack import Data, PackState
from pipeline.engine.packing import padded_network
from pipeline.runtime import NoCheckpoint
from pipeline.tables import Curve, Floats, Integers, Singles

if TYPE_CHECKING:
    from pipeline.engine.pack import Record
    from pipeline.engine.packing import Assignment
    from pipeline.runtime import Checkpoint

VALUES_AT_A_TIME = 1 << 22  # rows x columns gathered at once when scoring

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


class _Saved(TypedDict):
    """A training in its middle: results so far, jobs that wait for a place, and those that train."""

    results: dict[int, Fitted]
    waiting: int
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
        self.jobs, self.watch, self.slots = jobs, watch, slots
        self.pack = PackState(jobs, padded_network([job.network for job in jobs]), data)
        self.results: dict[int, Fitted] = {}
        self.waiting = 0  # the first job that has not joined yet
        self.scored_epochs = [_spread(job.epochs, watch.train_curve_points) for job in jobs]

    def resume(self, saved: object) -> None:
        """Go on from what `saved` holds, or begin."""
        if isinstance(saved, dict):
            self.results, self.waiting = dict(saved["results"]), saved["waiting"]
            self.pack.load(saved["pack"])
        else:
            self._fill()

    def saved(self) -> _Saved:
        """The state of the whole."""
        return {"results": dict(self.results), "waiting": self.waiting, "pack": self.pack.state()}

    def step(self) -> None:
        """One step of every network, and the end of an epoch for those that have come to it."""
        self.pack.begin_epochs()
        self.pack.train_step()
        ended = np.flatnonzero(self.pack.steps % self.pack.steps_per_epoch == 0)
        if len(ended):
            self._end_epochs(ended)
            if self.watch.on_progress is not None:
                self.watch.on_progress(len(ended))

    def _fill(self) -> None:
        free = self.slots - len(self.pack)
        joining = range(self.waiting, min(self.waiting + free, len(self.jobs)))
        self.waiting = joining.stop
        self.pack.join(list(joining))

    def _end_epochs(self, ended: Integers) -> None:
        """Score the networks whose epoch ended, keep their best weights, let finished ones leave."""
        pack = self.pack
        finite = np.isfinite(pack.loss_sum.cpu().numpy())
        records = pack.records
        valid = self._scores(ended, "valid")
        asked = np.array([i for i in ended if records[i].epoch in self._scored(records[i])], dtype=np.int64)
        train = dict(zip(asked.tolist(), self._scores(asked, "train"), strict=True))
        better = [self._note(int(i), loss, train, is_finite=finite[i]) for i, loss in zip(ended, valid, strict=True)]
        if any(better):
            pack.remember(ended[better])
        pack.loss_sum[ended] = 0
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
        outputs = self.pack.outputs(places, rows, VALUES_AT_A_TIME)
        return [
            judge(self.pack.records[i].position, r, o) if len(r) else float("nan")
            for i, r, o in zip(places, rows, outputs, strict=True)
        ]


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
