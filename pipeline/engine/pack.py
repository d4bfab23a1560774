"""The state of a pack: every network that still trains, stacked over M, with its own rows, draws and hyperparameters.

Networks leave as they finish and others join in their places; a step costs what the networks in it cost. Narrower
networks are padded with zeros, which their training never moves.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.beginnings import begun, fixed
from pipeline.engine.draws import DropoutDraws
from pipeline.engine.gradients import PackedGradients
from pipeline.engine.losses import loss_of
from pipeline.engine.networks import Pass, answers, decay_factors, forward
from pipeline.engine.optimizers import PackedOptimizer
from pipeline.engine.rhythm import rows_at_a_time
from pipeline.engine.room import chosen
from pipeline.engine.rows import BatchPlan, draw_order, padded_rows
from pipeline.engine.schedules import rates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.data import Data
    from pipeline.engine.packing import Assignment
    from pipeline.engine.parked import Parked
    from pipeline.fits import Network
    from pipeline.tables import Floats, Integers

NOT_SAVED = ("rows", "keys")  # follow from the jobs
MOMENTS = "optimizer."  # what the names of its tensors begin with


@dataclass(slots=True)
class Record:
    """What is known of one network's training so far."""

    position: int  # of its job among the pack's
    epoch: int = 0  # epochs finished
    best_loss: float = np.inf
    best_epoch: int = -1
    rate: float = 1.0  # what a plateau has left of its learning rate
    waited: int = 0  # epochs since the loss that a plateau compares with
    plateau_best: float = np.inf
    train_scores: list[float] = field(default_factory=list)
    valid_scores: list[float] = field(default_factory=list)


class PackState:
    """M networks in training. `records` and the first axis of every tensor that is held are in the same order."""

    def __init__(
        self, jobs: Sequence[Assignment], network: Network, data: Data, *, width: int = 0, on_device: bool = False
    ) -> None:
        """Room for `jobs`, of which none is here yet.

        width: the most rows that a job of them has, in whole batches; 0: as they are now. on_device: keep the count of
        steps there too, as a captured step needs it.
        """
        self.jobs, self.network, self.data, self.on_device = jobs, network, data, on_device
        self.device, self.dtype = data.device, data.target.dtype
        self.loss = loss_of(jobs[0].loss)
        self.records: list[Record] = []
        self.width = width or width_of(jobs)
        self.held: dict[str, Tensor] = {}
        self.tensors: list[Tensor] = []  # what is trained; `running` is not
        self.running: list[Tensor] = []
        self.optimizer: PackedOptimizer | None = None
        self.gradients: PackedGradients | None = None
        self.company = 0  # counts who was here, since what is remembered of one company is of no use to the next
        self.reserved = (0, 0)  # the last company for whose update there was room, and how much it was
        self.is_torn = False  # whether a step has begun to change networks and has not come to its end
        self.any_frozen = False  # whether some network came to a loss that is not finite; a device does not tell
        self.batches = BatchPlan([], np.zeros(0, dtype=np.int64), self.device, on_device=on_device)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def best(self) -> list[Tensor]:
        """The weights to keep, in the order of the network's tensor names."""
        return [self.held[f"best.{name}"] for name in self.network.tensor_names]

    def own(self) -> list[Assignment]:
        """The jobs of the networks here, in their order."""
        return [self.jobs[record.position] for record in self.records]

    # --- who is here

    def join(self, positions: Sequence[int]) -> None:
        """Take in fresh networks for these jobs, behind the others."""
        if positions:
            with self._or_none():
                fresh = begun([self.jobs[p] for p in positions], self.network, self.data, self.width)
                records = [Record(position) for position in positions]
                self._take_in(records, np.zeros(len(positions), dtype=np.int64), fresh)

    def _take_in(self, records: Sequence[Record], steps: Integers, given: Mapping[str, Tensor]) -> None:
        """Networks that are so far, with these tensors, behind the others."""
        for name, values in given.items():
            self.held[name] = torch.cat([self.held[name].detach(), values]) if name in self.held else values
        self.records = [*self.records, *records]
        self._describe(np.append(self.batches.steps, steps))
        fresh = [self.jobs[record.position] for record in records]
        rules, table = [job.rule for job in fresh], rate_table(fresh)
        bounds = [job.gradient for job in fresh]
        if self.optimizer is None or self.gradients is None:
            factors = [] if fresh[0].decay_biases else decay_factors(self.network)
            on_cpu = self.device.type == "cpu"
            self.optimizer = PackedOptimizer(self.tensors, rules, table, fused=on_cpu, decay_factors=factors)
            self.gradients = PackedGradients(bounds, self.held["loss_sum"], factors)
        else:
            self.optimizer.add(self.tensors, rules, table)
            self.gradients.add(bounds)

    def keep(self, index: Integers) -> None:
        """Compact: go on with the networks at these places, which ascend. It does not fail for want of memory."""
        if not len(index):
            self.records, self.held, self.optimizer, self.gradients = [], {}, None, None
            self._describe(np.zeros(0, dtype=np.int64))
            return
        self.records = [self.records[i] for i in index]
        places = torch.as_tensor(index, device=self.device)
        for name, values in self.held.items():
            self.held[name] = chosen(values.detach(), places)
        self._describe(self.batches.steps[index])
        assert self.optimizer is not None
        assert self.gradients is not None
        self.optimizer.keep(index, self.tensors)
        self.gradients.keep(index)

    def state(self, places: Integers | None = None) -> Parked:
        """Everything that training goes on from, of all networks or those at these places, as plain values."""
        assert self.optimizer is not None
        named = {name: t.detach() for name, t in self.held.items() if name not in NOT_SAVED}
        named |= {f"{MOMENTS}{name}": t for name, t in self.optimizer.named().items()}
        index = np.arange(len(self)) if places is None else places
        plain = {name: t.cpu().numpy()[index] for name, t in named.items()}
        return {"records": [self.records[i] for i in index], "steps": self.batches.steps[index], "tensors": plain}

    def load(self, state: Parked) -> None:
        """Take in the networks of a `state()`, behind the others, and go on from where they were."""
        before = len(self)
        jobs = [self.jobs[record.position] for record in state["records"]]
        plain = {name: torch.from_numpy(values) for name, values in state["tensors"].items()}
        moments = {n.removeprefix(MOMENTS): values for n, values in plain.items() if n.startswith(MOMENTS)}
        with self._or_none():
            given = {name: values.to(self.device) for name, values in plain.items() if not name.startswith(MOMENTS)}
            self._take_in(state["records"], state["steps"], given | fixed(jobs, self.width, self.device))
            assert self.optimizer is not None
            self.optimizer.load(moments, before)
            self.slow_down(np.arange(before, len(self)))

    @contextlib.contextmanager
    def _or_none(self) -> Iterator[None]:
        """Take in all or none: where it fails, those who were here before go on as they were."""
        before = len(self)
        try:
            yield
        except Exception:
            self.keep(np.arange(before))
            raise

    # --- while they train

    def begin_epochs(self) -> None:
        """Draw a new row order for every network whose epoch begins."""
        beginning = self.batches.beginning()
        if not len(beginning):
            return
        epochs = np.array([self.records[i].epoch for i in beginning], dtype=np.int64)
        chosen = torch.as_tensor(beginning, device=self.device)
        rows, keys = self.held["rows"][chosen], self.held["keys"][chosen]
        # in place: a captured step reads the order where it is
        self.held["order"].index_copy_(0, chosen, draw_order(rows, keys, epochs, self.batches.lengths[beginning]))

    def how(self) -> Pass:
        """How a forward pass of these networks is made, but for what is only done while training."""
        return Pass(product=self.data.product, widths=self._widths)

    @torch.no_grad()
    def outputs(self, places: Integers, rows: Sequence[Integers], values_at_a_time: int) -> list[Floats]:
        """What the networks at these places say of their rows, without dropout, float64."""
        tensors, how = [*self.tensors, *self.running], self.how()
        if len(places) < len(self):
            chosen = torch.as_tensor(places, device=self.device)
            tensors = [t.index_select(0, chosen) for t in tensors]
            how.widths = None if how.widths is None else how.widths.index_select(0, chosen)
        index = padded_rows(rows, max(map(len, rows)), self.device)
        width = rows_at_a_time(self.network, len(rows), self.batches.batch_size, values_at_a_time)
        parts = [
            forward(self.network, tensors, self.data.source.gather(part), how)
            for part in torch.split(index, width, dim=1)
        ]
        found = answers(self.network, torch.cat(parts, dim=1)).cpu().numpy().astype(np.float64)
        return [own[: len(r)] for own, r in zip(found, rows, strict=True)]

    @torch.no_grad()
    def remember(self, places: Integers) -> None:
        """Keep the weights that the networks at these places have now as their best."""
        mask = torch.zeros(len(self), dtype=torch.bool)
        mask[torch.as_tensor(places)] = True
        mask = mask.to(self.device)
        for now, best in zip([*self.tensors, *self.running], self.best, strict=True):
            if len(places) == len(self):
                best.copy_(now)
            else:
                best.copy_(torch.where(mask.view(-1, *[1] * (now.ndim - 1)), now, best))

    def slow_down(self, places: Integers) -> None:
        """Bring the learning rates of these networks to what a plateau has left of them."""
        slowed = [int(i) for i in places if self.records[i].rate != 1]
        if not slowed:
            return
        assert self.optimizer is not None
        shares = np.array([self.records[i].rate for i in slowed])
        table = rate_table([self.jobs[self.records[i].position] for i in slowed])
        self.optimizer.set_rates(np.array(slowed), table * shares[:, None])

    # --- what follows from the jobs

    def _describe(self, steps: Integers) -> None:
        """What follows from which networks are here and how far they are."""
        self.company += 1
        jobs = self.own()
        self.batches = BatchPlan(jobs, steps, self.device, on_device=self.on_device)
        trained, running = list(self.network.trained), list(self.network.running)
        self.tensors = [self.held[f"now.{name}"].detach().requires_grad_() for name in trained] if jobs else []
        self.running = [self.held[f"now.{name}"] for name in running] if jobs else []
        self.any_frozen = self.device.type == "cpu" and bool(jobs) and bool((self.held["frozen_at"] >= 0).any())
        self.dropout = DropoutDraws(torch.tensor([job.dropout for job in jobs], device=self.device), self.dtype)
        parameters = [self.loss.parameter if job.loss_parameter is None else job.loss_parameter for job in jobs]
        self.loss_parameters = torch.tensor(parameters, dtype=self.dtype, device=self.device)[:, None]
        self._widths = None
        if self.network.norm == "layer" and any(job.network.hidden != self.network.hidden for job in jobs):
            self._widths = torch.tensor([job.network.hidden for job in jobs], device=self.device)


def width_of(jobs: Sequence[Assignment]) -> int:
    """The most rows that one of these jobs has, in whole batches."""
    return max(job.steps_per_epoch for job in jobs) * jobs[0].batch_size


def rate_table(jobs: Sequence[Assignment]) -> Floats:
    """Learning rate of each job at each of its steps [M, steps]."""
    table = np.zeros((len(jobs), max(job.steps for job in jobs)))
    for line, job in zip(table, jobs, strict=True):
        line[: job.steps] = job.lr * rates(job.schedule, job.steps)
    return table
