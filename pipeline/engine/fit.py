"""The only training loop: a pack of networks, each with its own rows, draws and hyperparameters, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.draws import DropoutDraws, permutations, stream
from pipeline.engine.init import initial_tensors
from pipeline.engine.losses import LOSSES
from pipeline.engine.networks import forward
from pipeline.engine.optimizers import PackedAdam
from pipeline.engine.schedules import SCHEDULES
from pipeline.tables import Curve, Floats, Integers, Singles

if TYPE_CHECKING:
    from pipeline.engine.packing import Assignment

ROW_ORDER, DROPOUT = 2, 3  # purposes in a job's stream of draws; 1 is the initialisation
VALUES_AT_A_TIME = 1 << 22  # rows x columns gathered at once when scoring

# (position of the job, its rows, its outputs on them) -> loss, lower is better
Judge = Callable[[int, Integers, Floats], float]
Progress = Callable[[int], None]  # epochs of single networks finished since the last call


@dataclass(frozen=True, slots=True)
class Fitted:
    """One trained network: tensors without the model axis, in the order of its network's names."""

    tensors: tuple[Singles, ...]
    curve: Curve


def fit(
    assignments: Sequence[Assignment],
    matrix: Tensor,
    target: Tensor,
    *,
    judge: Judge | None,
    train_curve_points: int = 0,
    on_progress: Progress | None = None,
) -> list[Fitted]:
    """Train the jobs of one pack side by side.

    matrix: [R, D] on the device; target: [R] as the network should see it; assignments: jobs of one shape.
    judge: scores a job's outputs after each of its epochs; None trains to the end without a look.
    train_curve_points: at about this many epochs the training rows are scored too.
    Guarantees: a job's weights do not depend on its company (to rounding), nor on a neighbour that turns NaN.
    """
    pack = _Pack(assignments, matrix, target, judge, train_curve_points)
    step = 0
    while len(pack.members):
        pack.begin_epochs(step)
        pack.train_step(step)
        step += 1
        ended = np.flatnonzero(step % pack.steps_per_epoch == 0)
        if len(ended):
            pack.end_epochs(ended)
            if on_progress is not None:
                on_progress(len(ended))
    return [pack.results[position] for position in range(len(assignments))]


class _Pack:
    """The state of the jobs that still train, stacked over M; `members` are their positions in the pack."""

    def __init__(
        self,
        assignments: Sequence[Assignment],
        matrix: Tensor,
        target: Tensor,
        judge: Judge | None,
        train_curve_points: int,
    ) -> None:
        first = assignments[0]
        assert all(a.shape == first.shape for a in assignments), "jobs of one pack must share shape, batch and loss"
        self.jobs = list(assignments)
        self.network, self.batch_size = first.network, first.batch_size
        self.row_loss = LOSSES[first.loss]
        self.matrix, self.target, self.judge = matrix, target, judge
        self.device = matrix.device
        self.members = np.arange(len(self.jobs))
        self.results: dict[int, Fitted] = {}
        self.lengths = np.array([len(a.train_rows) for a in self.jobs])
        self.steps_per_epoch = np.array([a.steps_per_epoch for a in self.jobs])
        self.epoch = np.zeros(len(self.jobs), dtype=np.int64)
        self.keys = torch.tensor([a.key for a in self.jobs], device=self.device)
        self.rows = self._padded([a.train_rows for a in self.jobs], int(self.steps_per_epoch.max()) * self.batch_size)
        self.order = torch.zeros_like(self.rows)
        self.rates = torch.tensor([a.dropout for a in self.jobs], device=self.device)
        self.dropout = DropoutDraws(self.rates, matrix.dtype)
        self.tensors = [t.requires_grad_() for t in initial_tensors(self.network, self.keys, matrix.dtype)]
        self.best = [t.detach().clone() for t in self.tensors]
        self.optimizer = PackedAdam(
            self.tensors, [a.rule for a in self.jobs], _rate_table(self.jobs), fused=self.device.type == "cpu"
        )
        self.loss_sum = torch.zeros(len(self.jobs), dtype=matrix.dtype, device=self.device)
        self.best_loss = np.full(len(self.jobs), np.inf)
        self.best_epoch = np.full(len(self.jobs), -1)
        self.train_scores: list[list[float]] = [[] for _ in self.jobs]
        self.valid_scores: list[list[float]] = [[] for _ in self.jobs]
        self.scored_epochs = [_spread(a.epochs, train_curve_points) for a in self.jobs]

    def begin_epochs(self, step: int) -> None:
        """Draw a new row order for every job whose epoch begins at this step."""
        beginning = np.flatnonzero(step % self.steps_per_epoch == 0)
        if not len(beginning):
            return
        chosen = torch.as_tensor(beginning, device=self.device)
        epochs = torch.as_tensor(self.epoch[beginning], device=self.device)
        lengths = torch.as_tensor(self.lengths[beginning], device=self.device)
        places = permutations(stream(self.keys[chosen], ROW_ORDER, epochs), lengths, self.rows.shape[1])
        order = self.rows[chosen].gather(1, places)
        self.order = order if len(beginning) == len(self.members) else self.order.index_copy(0, chosen, order)

    def train_step(self, step: int) -> None:
        """One batch and one update for every job."""
        index, weight = self._batch(step)
        batch, target = self._gather(index), self.target.take(index)
        outputs = forward(self.network, self.tensors, batch, self._dropout_at(step))
        losses = self.row_loss(outputs, target)
        losses = losses.mean(1) if weight is None else (losses * weight).sum(1)
        # sum, not mean: a model's gradient must not shrink as others join the pack
        gradients = torch.autograd.grad(losses.sum(), self.tensors)
        self.loss_sum += losses.detach()
        with torch.no_grad():
            self.optimizer.step(gradients)

    def end_epochs(self, ended: Integers) -> None:
        """Score the jobs whose epoch ended, keep their best weights, let finished ones leave."""
        self.epoch[ended] += 1
        sums = self.loss_sum.cpu().numpy()
        finite = np.isfinite(sums)
        valid = self._score(ended, "valid")
        asked = np.array([p for p in ended if self.epoch[p] - 1 in self.scored_epochs[p]], dtype=np.int64)
        train = dict(zip(asked.tolist(), self._score(asked, "train"), strict=True))
        improved = np.zeros(len(self.members), dtype=bool)
        for position, loss in zip(ended, valid, strict=True):
            self.valid_scores[position].append(loss)
            self.train_scores[position].append(train.get(int(position), np.nan))
            better = loss < self.best_loss[position]
            last = not self.jobs[position].restore_best or not np.isfinite(self.best_loss[position])
            if finite[position] and (better or last):
                improved[position] = True
                self.best_epoch[position] = self.epoch[position] - 1
            if better:
                self.best_loss[position] = loss
        self._remember(improved)
        self.loss_sum[torch.as_tensor(ended, device=self.device)] = 0
        self._let_go({int(p): why for p in ended if (why := self._why_stop(int(p), finite=bool(finite[p])))})

    def _why_stop(self, position: int, *, finite: bool) -> str:
        job = self.jobs[position]
        if not finite:
            return "not finite"
        if self.epoch[position] >= job.epochs:
            return "finished"
        if not job.patience or self.judge is None or not len(job.valid_rows):
            return ""  # nothing to wait for
        waited = self.epoch[position] - 1 - _last_better(self.valid_scores[position])
        return "patience" if waited >= job.patience else ""

    def _remember(self, improved: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
        if not improved.any():
            return
        mask = torch.as_tensor(improved, device=self.device)[:, None, None]
        with torch.no_grad():
            self.best = [torch.where(mask, now, best) for now, best in zip(self.tensors, self.best, strict=True)]

    def _let_go(self, leaving: dict[int, str]) -> None:
        for position, why in leaving.items():
            curve = Curve(
                train=np.array(self.train_scores[position]),
                valid=np.array(self.valid_scores[position]),
                best_epoch=int(self.best_epoch[position]),
                stopped=why,
            )
            tensors = tuple(best[position].cpu().numpy().copy() for best in self.best)
            self.results[int(self.members[position])] = Fitted(tensors, curve)
        if leaving:
            self._keep(np.array([p for p in range(len(self.members)) if p not in leaving], dtype=np.int64))

    def _keep(self, index: Integers) -> None:
        """Compact: the cost of a step follows the number of jobs that still train."""
        chosen = torch.as_tensor(index, device=self.device)
        self.members, self.lengths = self.members[index], self.lengths[index]
        self.steps_per_epoch, self.epoch = self.steps_per_epoch[index], self.epoch[index]
        self.best_loss, self.best_epoch = self.best_loss[index], self.best_epoch[index]
        for name in ("jobs", "train_scores", "valid_scores", "scored_epochs"):
            kept = [getattr(self, name)[i] for i in index]
            setattr(self, name, kept)
        if not len(index):
            return
        for name in ("keys", "rows", "order", "rates", "loss_sum"):
            setattr(self, name, getattr(self, name).index_select(0, chosen))
        self.best = [best.index_select(0, chosen) for best in self.best]
        self.tensors = [t.detach().index_select(0, chosen).requires_grad_() for t in self.tensors]
        self.dropout = DropoutDraws(self.rates, self.matrix.dtype)
        self.optimizer.keep(index, self.tensors)

    def _batch(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Row numbers [M, B] of this step and, where some jobs have fewer rows, weights that sum to 1 per job."""
        starts = step % self.steps_per_epoch * self.batch_size
        counts = np.minimum(self.lengths - starts, self.batch_size)
        width = int(counts.max())
        if (starts == starts[0]).all():
            index = self.order[:, starts[0] : starts[0] + width]
        else:
            places = torch.as_tensor(starts, device=self.device)[:, None] + torch.arange(width, device=self.device)
            index = self.order.gather(1, places)
        if (counts == width).all():
            return index, None
        own = torch.as_tensor(counts, device=self.device)[:, None]
        present = torch.arange(width, device=self.device) < own
        return index, present.to(self.matrix.dtype) / own

    def _gather(self, index: Tensor) -> Tensor:
        return self.matrix.index_select(0, index.reshape(-1)).view(*index.shape, -1)

    def _dropout_at(self, step: int) -> Callable[[int, Tensor], Tensor] | None:
        if not self.dropout.any:
            return None
        return lambda layer, hidden: self.dropout.apply(hidden, stream(self.keys, DROPOUT, step, layer))

    @torch.no_grad()
    def _score(self, positions: Integers, which: str) -> list[float]:
        """The judge's loss of each job on its "train" or "valid" rows; NaN without a judge or rows."""
        rows = [self.jobs[p].train_rows if which == "train" else self.jobs[p].valid_rows for p in positions]
        widest = max((len(r) for r in rows), default=0)
        if self.judge is None or not widest:
            return [float("nan")] * len(rows)
        everyone = len(positions) == len(self.members)
        chosen = torch.as_tensor(positions, device=self.device)
        tensors = self.tensors if everyone else [t.index_select(0, chosen) for t in self.tensors]
        index = self._padded(rows, widest)
        width = max(1, VALUES_AT_A_TIME // (len(rows) * self.matrix.shape[1]))
        parts = [forward(self.network, tensors, self._gather(part)) for part in torch.split(index, width, dim=1)]
        outputs = torch.cat(parts, dim=1).cpu().numpy().astype(np.float64)
        return [
            self.judge(int(self.members[p]), r, o[: len(r)]) if len(r) else float("nan")
            for p, r, o in zip(positions, rows, outputs, strict=True)
        ]

    def _padded(self, rows: Sequence[Integers], width: int) -> Tensor:
        table = np.zeros((len(rows), width), dtype=np.int64)
        for line, own in zip(table, rows, strict=True):
            line[: len(own)] = own
        return torch.as_tensor(table, device=self.device)


def _rate_table(jobs: Sequence[Assignment]) -> Floats:
    table = np.zeros((len(jobs), max(job.steps for job in jobs)))
    for line, job in zip(table, jobs, strict=True):
        line[: job.steps] = job.lr * SCHEDULES[job.schedule](job.steps)
    return table


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
