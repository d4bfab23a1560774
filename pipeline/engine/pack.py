"""The state of a pack: every network that still trains, stacked over M, with its own rows, draws and hyperparameters.

Networks leave as they finish and others join in their places; a step costs what the networks in it cost. Narrower
networks are padded with zeros, which their training never moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.draws import DropoutDraws, permutations, stream
from pipeline.engine.gradients import PackedGradients
from pipeline.engine.init import DATA_DRIVEN, initial_tensors, sample_places, unit_variance
from pipeline.engine.losses import LOSSES
from pipeline.engine.networks import answers, forward, layer_shapes, padded
from pipeline.engine.optimizers import PackedOptimizer
from pipeline.engine.schedules import rates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.packing import Assignment
    from pipeline.tables import Floats, Integers, Network

SAMPLED_ROWS = 256  # of each job, for a data-driven initialisation
ROW_ORDER, DROPOUT = 2, 3  # purposes in a job's stream of draws; 1 is the initialisation


@dataclass(slots=True)
class Record:
    """What is known of one network's training so far."""

    position: int  # of its job among the pack's
    epoch: int = 0  # epochs finished
    best_loss: float = np.inf
    best_epoch: int = -1
    train_scores: list[float] = field(default_factory=list)
    valid_scores: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Data:
    """What all jobs of a training share. product: the precision of matrix products, or None for that of the weights."""

    matrix: Tensor  # [R, D] on the device
    target: Tensor  # [R] as the network should see it
    product: torch.dtype | None = None


class PackState:
    """M networks in training. `records` and every tensor's first axis are in the same order."""

    def __init__(self, jobs: Sequence[Assignment], network: Network, data: Data) -> None:
        self.jobs, self.network, self.data = jobs, network, data
        self.device, self.dtype = data.matrix.device, data.target.dtype
        self.batch_size = jobs[0].batch_size
        self.row_loss = LOSSES[jobs[0].loss]
        self.records: list[Record] = []
        self.steps = np.zeros(0, dtype=np.int64)  # [M] taken by each network
        self.width = max(job.steps_per_epoch for job in jobs) * self.batch_size
        empty = [torch.zeros(0, *shape, dtype=self.dtype, device=self.device) for shape in layer_shapes(network)]
        self.tensors = [tensor.requires_grad_() for tensor in empty]
        self.best = [tensor.detach() for tensor in empty]
        self.rows = torch.zeros(0, self.width, dtype=torch.int64, device=self.device)
        self.order = self.rows
        self.loss_sum = torch.zeros(0, dtype=self.dtype, device=self.device)
        self.optimizer: PackedOptimizer | None = None
        self.gradients: PackedGradients | None = None

    def __len__(self) -> int:
        return len(self.records)

    def own(self) -> list[Assignment]:
        """The jobs of the networks here, in their order."""
        return [self.jobs[record.position] for record in self.records]

    def join(self, positions: Sequence[int]) -> None:
        """Take in fresh networks for these jobs, behind the others."""
        if not positions:
            return
        fresh = [self.jobs[p] for p in positions]
        drawn = self._initial(fresh)
        joined = [torch.cat([old.detach(), new]).requires_grad_() for old, new in zip(self.tensors, drawn, strict=True)]
        self.tensors = joined
        self.best = [torch.cat([old, new]) for old, new in zip(self.best, drawn, strict=True)]
        self.records += [Record(position) for position in positions]
        self.steps = np.append(self.steps, np.zeros(len(positions), dtype=np.int64))
        rows = padded_rows([job.train_rows for job in fresh], self.width, self.device)
        self.rows = torch.cat([self.rows, rows])
        self.order = torch.cat([self.order, torch.zeros_like(rows)])
        self.loss_sum = torch.cat([self.loss_sum, self.loss_sum.new_zeros(len(positions))])
        rules, table = [job.rule for job in fresh], rate_table(fresh)
        if self.optimizer is None or self.gradients is None:
            weights_only = [] if fresh[0].decay_biases else [1.0, 0.0] * (len(self.tensors) // 2)
            on_cpu = self.device.type == "cpu"
            self.optimizer = PackedOptimizer(self.tensors, rules, table, fused=on_cpu, decay_factors=weights_only)
            self.gradients = PackedGradients([job.gradient for job in fresh], self.loss_sum, weights_only)
        else:
            self.optimizer.add(self.tensors, rules, table)
            self.gradients.add([job.gradient for job in fresh])
        self._describe()

    def keep(self, index: Integers) -> None:
        """Compact: go on with the networks at these places."""
        self.records = [self.records[i] for i in index]
        self.steps = self.steps[index]
        chosen = torch.as_tensor(index, device=self.device)
        self.rows, self.order = self.rows.index_select(0, chosen), self.order.index_select(0, chosen)
        self.loss_sum = self.loss_sum.index_select(0, chosen)
        self.best = [best.index_select(0, chosen) for best in self.best]
        self.tensors = [t.detach().index_select(0, chosen).requires_grad_() for t in self.tensors]
        if not len(index):
            self.optimizer = self.gradients = None
            return
        assert self.optimizer is not None
        assert self.gradients is not None
        self.optimizer.keep(index, self.tensors)
        self.gradients.keep(index)
        self._describe()

    def begin_epochs(self) -> None:
        """Draw a new row order for every network whose epoch begins."""
        beginning = np.flatnonzero(self.steps % self.steps_per_epoch == 0)
        if not len(beginning):
            return
        chosen = torch.as_tensor(beginning, device=self.device)
        epochs = torch.as_tensor(np.array([self.records[i].epoch for i in beginning]), device=self.device)
        lengths = torch.as_tensor(self.lengths[beginning], device=self.device)
        places = permutations(stream(self.keys[chosen], ROW_ORDER, epochs), lengths, self.width)
        order = self.rows[chosen].gather(1, places)
        self.order = order if len(beginning) == len(self) else self.order.index_copy(0, chosen, order)

    def train_step(self) -> None:
        """One batch and one update for every network."""
        assert self.optimizer is not None
        assert self.gradients is not None
        index, weight = self._batch()
        batch, target = gather(self.data.matrix, index), self.data.target.take(index)
        outputs = forward(self.network, self.tensors, batch, self._dropout(), product=self.data.product)
        losses = self.row_loss(outputs, target, self.loss_parameters)
        losses = losses.mean(1) if weight is None else (losses * weight).sum(1)
        # sum, not mean: a model's gradient must not shrink as others join the pack
        gradients = torch.autograd.grad(losses.sum(), self.tensors)
        self.loss_sum += losses.detach()
        with torch.no_grad():
            self.optimizer.step(self.gradients.apply(gradients, self.tensors))
        self.steps = self.steps + 1

    @torch.no_grad()
    def outputs(self, places: Integers, rows: Sequence[Integers], values_at_a_time: int) -> list[Floats]:
        """What the networks at these places say of their rows, without dropout, float64."""
        chosen = torch.as_tensor(places, device=self.device)
        tensors = self.tensors if len(places) == len(self) else [t.index_select(0, chosen) for t in self.tensors]
        index = padded_rows(rows, max(map(len, rows)), self.device)
        width = max(1, values_at_a_time // (len(rows) * self.data.matrix.shape[1]))
        parts = [
            forward(self.network, tensors, gather(self.data.matrix, part), product=self.data.product)
            for part in torch.split(index, width, dim=1)
        ]
        found = answers(self.network, torch.cat(parts, dim=1)).cpu().numpy().astype(np.float64)
        return [own[: len(r)] for own, r in zip(found, rows, strict=True)]

    def remember(self, places: Integers) -> None:
        """Keep the weights that the networks at these places have now as their best."""
        mask = torch.zeros(len(self), 1, 1, dtype=torch.bool)
        mask[torch.as_tensor(places)] = True
        mask = mask.to(self.device)
        with torch.no_grad():
            self.best = [torch.where(mask, now, best) for now, best in zip(self.tensors, self.best, strict=True)]

    def state(self) -> dict[str, object]:
        """Everything that a resumed training needs, as plain values."""
        assert self.optimizer is not None
        named = {"order": self.order, "loss_sum": self.loss_sum}
        named |= {f"tensor.{i}": t.detach() for i, t in enumerate(self.tensors)}
        named |= {f"best.{i}": t for i, t in enumerate(self.best)}
        named |= {f"optimizer.{name}": t for name, t in self.optimizer.state().items()}
        plain = {name: t.cpu().numpy().copy() for name, t in named.items()}
        return {"records": list(self.records), "steps": self.steps.copy(), "tensors": plain}

    def load(self, state: Mapping[str, object]) -> None:
        """Go on from `state()` of a pack of the same jobs."""
        records, steps, plain = state["records"], state["steps"], state["tensors"]
        assert isinstance(records, list)
        assert isinstance(steps, np.ndarray)
        assert isinstance(plain, dict)
        self.join([record.position for record in records])
        assert self.optimizer is not None
        self.records, self.steps = records, steps
        named = {name: torch.from_numpy(values).to(self.device) for name, values in plain.items()}
        self.order, self.loss_sum = named["order"], named["loss_sum"]
        self.best = [named[f"best.{i}"] for i in range(len(self.best))]
        with torch.no_grad():
            for i, tensor in enumerate(self.tensors):
                tensor.copy_(named[f"tensor.{i}"])
        self.optimizer.load({n.partition(".")[2]: t for n, t in named.items() if n.startswith("optimizer.")})

    def _initial(self, fresh: Sequence[Assignment]) -> list[Tensor]:
        """Weights at each network's true width, set into the pack's; drawn together where networks are alike."""
        found: dict[Network, list[int]] = {}
        for i, job in enumerate(fresh):
            found.setdefault(job.network, []).append(i)
        total = [t.new_zeros(len(fresh), *t.shape[1:]) for t in self.best]
        for network, places in found.items():
            keys = torch.tensor([fresh[i].key for i in places], device=self.device)
            drawn = initial_tensors(network, keys, self.dtype)
            if network.init == DATA_DRIVEN:
                drawn = unit_variance(network, drawn, self._sampled(keys, [fresh[i].train_rows for i in places]))
            own = padded(drawn, self.network)
            for whole, part in zip(total, own, strict=True):
                whole[places] = part
        return total

    def _sampled(self, keys: Tensor, rows: Sequence[Integers]) -> Tensor:
        """A few of each job's own training rows [M, S, D], the same ones in any company."""
        lengths = torch.tensor([len(own) for own in rows], device=self.device)
        table = padded_rows(rows, int(lengths.max()), self.device)
        index = table.gather(1, sample_places(keys, lengths, SAMPLED_ROWS))
        return gather(self.data.matrix, index).to(self.dtype)

    def _describe(self) -> None:
        """What follows from which networks are here."""
        jobs = self.own()
        self.keys = torch.tensor([job.key for job in jobs], device=self.device)
        self.lengths = np.array([len(job.train_rows) for job in jobs])
        self.steps_per_epoch = np.array([job.steps_per_epoch for job in jobs])
        self.dropout = DropoutDraws(torch.tensor([job.dropout for job in jobs], device=self.device), self.dtype)
        default = self.row_loss.parameter
        parameters = [default if job.loss_parameter is None else job.loss_parameter for job in jobs]
        self.loss_parameters = torch.tensor(parameters, dtype=self.dtype, device=self.device)[:, None]

    def _batch(self) -> tuple[Tensor, Tensor | None]:
        """Row numbers [M, B] of this step and, where some jobs have fewer rows, weights that sum to 1 per job."""
        starts = self.steps % self.steps_per_epoch * self.batch_size
        counts = np.minimum(self.lengths - starts, self.batch_size)
        width = int(counts.max())
        if (starts == starts[0]).all():
            index = self.order[:, starts[0] : starts[0] + width]
        else:
            places = torch.as_tensor(starts, device=self.device)[:, None] + torch.arange(width, device=self.device)
            index = self.order.gather(1, places.clamp_(max=self.width - 1))
        if (counts == width).all():
            return index, None
        own = torch.as_tensor(counts, device=self.device)[:, None]
        present = torch.arange(width, device=self.device) < own
        return index, present.to(self.dtype) / own

    def _dropout(self) -> Callable[[int, Tensor], Tensor] | None:
        if not self.dropout.any:
            return None
        steps: Tensor | int = int(self.steps[0])
        if (self.steps != self.steps[0]).any():
            steps = torch.as_tensor(self.steps, device=self.device)
        return lambda layer, hidden: self.dropout.apply(hidden, stream(self.keys, DROPOUT, steps, layer))


def gather(matrix: Tensor, index: Tensor) -> Tensor:
    """Rows [M, B, D] of a matrix by their numbers [M, B]."""
    return matrix.index_select(0, index.reshape(-1)).view(*index.shape, -1)


def padded_rows(rows: Sequence[Integers], width: int, device: torch.device) -> Tensor:
    """Row numbers [M, width], zeros behind each job's own."""
    table = np.zeros((len(rows), width), dtype=np.int64)
    for line, own in zip(table, rows, strict=True):
        line[: len(own)] = own
    return torch.as_tensor(table, device=device)


def rate_table(jobs: Sequence[Assignment]) -> Floats:
    """Learning rate of each job at each of its steps [M, steps]."""
    table = np.zeros((len(jobs), max(job.steps for job in jobs)))
    for line, job in zip(table, jobs, strict=True):
        line[: job.steps] = job.lr * rates(job.schedule, job.steps)
    return table
