"""The state of a pack: every network that still trains, stacked over M, with its own rows, draws and hyperparameters.

Networks leave as they finish and others join in their places; a step costs what the networks in it cost. Narrower
networks are padded with zeros, which their training never moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.beginnings import begun
from pipeline.engine.draws import DropoutDraws
from pipeline.engine.gradients import PackedGradients
from pipeline.engine.losses import loss_of
from pipeline.engine.networks import Pass, answers, decay_factors, forward
from pipeline.engine.optimizers import PackedOptimizer
from pipeline.engine.rhythm import rows_at_a_time
from pipeline.engine.rows import BatchPlan, draw_order, padded_rows
from pipeline.engine.schedules import rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.engine.data import Data
    from pipeline.engine.packing import Assignment
    from pipeline.tables import Floats, Integers, Network

NOT_SAVED = ("rows", "keys")  # follow from the jobs


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

    def __init__(self, jobs: Sequence[Assignment], network: Network, data: Data, *, on_device: bool = False) -> None:
        """on_device: keep the count of steps there too, as a captured step needs it."""
        self.jobs, self.network, self.data, self.on_device = jobs, network, data, on_device
        self.device, self.dtype = data.device, data.target.dtype
        self.loss = loss_of(jobs[0].loss)
        self.records: list[Record] = []
        self.width = max(job.steps_per_epoch for job in jobs) * jobs[0].batch_size
        self.held: dict[str, Tensor] = {}
        self.tensors: list[Tensor] = []  # what is trained; `running` is not
        self.running: list[Tensor] = []
        self.optimizer: PackedOptimizer | None = None
        self.gradients: PackedGradients | None = None
        self.company = 0  # counts who was here, since what is remembered of one company is of no use to the next
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
        if not positions:
            return
        fresh = [self.jobs[p] for p in positions]
        for name, values in begun(fresh, self.network, self.data, self.width).items():
            self.held[name] = torch.cat([self.held[name].detach(), values]) if name in self.held else values
        self.records += [Record(position) for position in positions]
        steps = np.append(self.batches.steps, np.zeros(len(positions), dtype=np.int64))
        self._describe(steps)
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
        """Compact: go on with the networks at these places."""
        if not len(index):
            self.records, self.held, self.optimizer, self.gradients = [], {}, None, None
            self._describe(np.zeros(0, dtype=np.int64))
            return
        self.records = [self.records[i] for i in index]
        chosen = torch.as_tensor(index, device=self.device)
        self.held = {name: values.detach().index_select(0, chosen) for name, values in self.held.items()}
        self._describe(self.batches.steps[index])
        assert self.optimizer is not None
        assert self.gradients is not None
        self.optimizer.keep(index, self.tensors)
        self.gradients.keep(index)

    def state(self, places: Integers | None = None) -> dict[str, object]:
        """Everything that training goes on from, of all networks or those at these places, as plain values."""
        assert self.optimizer is not None
        named = {name: t.detach() for name, t in self.held.items() if name not in NOT_SAVED}
        named |= {f"optimizer.{name}": t for name, t in self.optimizer.state().items()}
        index = np.arange(len(self)) if places is None else places
        plain = {name: t.cpu().numpy()[index] for name, t in named.items()}
        return {"records": [self.records[i] for i in index], "steps": self.batches.steps[index], "tensors": plain}

    def load(self, state: Mapping[str, object]) -> None:
        """Take in the networks of a `state()`, behind the others, and go on from where they were."""
        records, steps, plain = state["records"], state["steps"], state["tensors"]
        assert isinstance(records, list)
        assert isinstance(steps, np.ndarray)
        assert isinstance(plain, dict)
        before = len(self)
        self.join([record.position for record in records])
        assert self.optimizer is not None
        self.records[before:] = records
        moments = self.optimizer.state()
        with torch.no_grad():
            for name, values in plain.items():
                own = name.removeprefix("optimizer.")
                # a moment that none of the networks here needs is not kept
                if (whole := self.held.get(name, moments.get(own) if own != name else None)) is not None:
                    whole[before:].copy_(torch.from_numpy(values))
        self.optimizer.load(moments)
        self._describe(np.append(self.batches.steps[:before], steps))
        self.slow_down(np.arange(before, len(self)))

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


def one_by_one(state: Mapping[str, object]) -> list[dict[str, object]]:
    """A `state()` as states of single networks."""
    records, steps, plain = state["records"], state["steps"], state["tensors"]
    assert isinstance(records, list)
    assert isinstance(steps, np.ndarray)
    assert isinstance(plain, dict)
    return [
        {"records": [record], "steps": steps[i : i + 1], "tensors": {n: t[i : i + 1] for n, t in plain.items()}}
        for i, record in enumerate(records)
    ]


def rate_table(jobs: Sequence[Assignment]) -> Floats:
    """Learning rate of each job at each of its steps [M, steps]."""
    table = np.zeros((len(jobs), max(job.steps for job in jobs)))
    for line, job in zip(table, jobs, strict=True):
        line[: job.steps] = job.lr * rates(job.schedule, job.steps)
    return table
