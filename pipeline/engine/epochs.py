"""The end of an epoch: networks are scored, their best weights kept, their rates lowered, and some have to leave."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.room import does_not_fit, runs_out
from pipeline.engine.schedules import PlateauState, after_epoch

if TYPE_CHECKING:
    from pipeline.engine.pack import PackState, Record
    from pipeline.engine.packing import Assignment
    from pipeline.tables import Floats, Integers

VALUES_AT_A_TIME = 1 << 22  # rows x columns gathered at once when scoring
FEWEST_VALUES = 1 << 10  # where that does not help, something else is too large


@dataclass(frozen=True, slots=True)
class EpochScore:
    """One network's loss on its validation rows after an epoch; NaN where nobody judges or its loss is not finite."""

    position: int  # of its job
    epoch: int  # epochs finished
    loss: float


# (position of the job, its rows, its outputs on them) -> loss, lower is better
Judge = Callable[[int, "Integers", "Floats"], float]
# after epochs ended: the positions of those jobs, among any, that are to be given up
Prune = Callable[[Sequence[EpochScore]], Iterable[int]]


class Epochs:
    """Scores the jobs of one pack after each of their epochs.

    train_curve_points: at about this many epochs the training rows are scored too.
    """

    def __init__(
        self, jobs: Sequence[Assignment], judge: Judge | None, prune: Prune | None, train_curve_points: int
    ) -> None:
        self.jobs, self.judge, self.prune = jobs, judge, prune
        self.values_at_a_time = VALUES_AT_A_TIME
        self.train_curve_points = train_curve_points

    def end(self, pack: PackState, ended: Integers) -> dict[int, str]:
        """Write the epoch down for the networks at these places; who has to leave, and why."""
        records = pack.records
        sums = pack.held["loss_sum"].cpu().numpy()
        finite = np.isfinite(sums)
        calm = ended[finite[ended]]  # a frozen network is not asked: its outputs may be beyond any metric
        judged = dict(zip(calm.tolist(), self._scores(pack, calm, "valid"), strict=True))
        valid = [judged.get(int(i), float("nan")) for i in ended]
        asked = np.array([i for i in calm if records[i].epoch in self._scored(records[i])], dtype=np.int64)
        train = dict(zip(asked.tolist(), self._scores(pack, asked, "train"), strict=True))
        better = [
            self._note(records[i], loss, train.get(int(i), np.nan), is_finite=finite[i])
            for i, loss in zip(ended, valid, strict=True)
        ]
        if any(better):
            pack.remember(ended[better])
        self._slow_down(pack, ended, np.array(valid), sums)
        pack.held["loss_sum"][torch.as_tensor(ended, device=pack.device)] = 0
        leaving = {int(i): why for i in ended if (why := self._why_stop(records[i], is_finite=finite[i]))}
        return self._pruned(pack, ended, valid) | leaving

    def _pruned(self, pack: PackState, ended: Integers, valid: Sequence[float]) -> dict[int, str]:
        if self.prune is None:
            return {}
        scores = [
            EpochScore(pack.records[i].position, pack.records[i].epoch, loss)
            for i, loss in zip(ended, valid, strict=True)
        ]
        given_up = set(self.prune(scores))
        return {place: "pruned" for place, record in enumerate(pack.records) if record.position in given_up}

    def _scored(self, record: Record) -> frozenset[int]:
        return _spread(self.jobs[record.position].epochs, self.train_curve_points)

    def _note(self, record: Record, loss: float, train: float, *, is_finite: bool) -> bool:
        """Write an epoch down; whether its weights are to be kept."""
        record.valid_scores.append(loss)
        record.train_scores.append(train)
        better = loss < record.best_loss
        last = not self.jobs[record.position].restore_best or not np.isfinite(record.best_loss)
        improved = is_finite and (better or last)
        if improved:
            record.best_epoch = record.epoch
        if better:
            record.best_loss = loss
        record.epoch += 1
        return bool(improved)

    def _slow_down(self, pack: PackState, ended: Integers, valid: Floats, sums: Floats) -> None:
        """Lower the rates of networks that wait in vain for a better loss: the judge's, else that of their batches."""
        places = [int(i) for i in ended if self.jobs[pack.records[i].position].plateau is not None]
        if not places:
            return
        records = [pack.records[i] for i in places]
        rules = [rule for record in records if (rule := self.jobs[record.position].plateau) is not None]
        judged = dict(zip(ended.tolist(), valid.tolist(), strict=True))
        own = sums / pack.batches.steps_per_epoch
        losses = np.array([own[i] if np.isnan(judged[i]) else judged[i] for i in places])
        before = PlateauState(
            np.array([record.plateau_best for record in records]),
            np.array([record.waited for record in records]),
            np.array([record.rate for record in records]),
        )
        after = after_epoch(rules, before, losses, np.ones(len(places), dtype=np.bool_))
        for record, *values in zip(records, after.best, after.waited, after.shares, strict=True):
            record.plateau_best, record.waited, record.rate = float(values[0]), int(values[1]), float(values[2])
        pack.slow_down(np.array(places)[after.shares != before.shares])

    def _why_stop(self, record: Record, *, is_finite: bool) -> str:
        job = self.jobs[record.position]
        if not is_finite:
            return "not finite"
        if record.epoch >= job.epochs:
            return "finished"
        if not job.patience or self.judge is None or not len(job.valid_rows):
            return ""  # nothing to wait for
        waited = record.epoch - 1 - _last_better(record.valid_scores)
        return "patience" if waited >= job.patience else ""

    def _scores(self, pack: PackState, places: Integers, which: str) -> list[float]:
        """The judge's loss of each network on its "train" or "valid" rows; NaN without a judge or rows."""
        jobs = [self.jobs[pack.records[i].position] for i in places]
        rows = [job.train_rows if which == "train" else job.valid_rows for job in jobs]
        judge = self.judge
        if judge is None or not any(map(len, rows)):
            return [float("nan")] * len(rows)
        return [
            judge(pack.records[i].position, r, o) if len(r) else float("nan")
            for i, r, o in zip(places, rows, self._outputs(pack, places, rows), strict=True)
        ]

    def _outputs(self, pack: PackState, places: Integers, rows: Sequence[Integers]) -> list[Floats]:
        """What the networks at these places say of their rows, as many at a time as there is memory for."""
        found: list[Floats] = []
        while runs_out(lambda: found.extend(pack.outputs(places, rows, self.values_at_a_time))):
            if self.values_at_a_time < FEWEST_VALUES:
                raise does_not_fit(pack.own()[0])
            self.values_at_a_time //= 2
        return found


@functools.cache
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
