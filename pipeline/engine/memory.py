"""What a pack of M networks will hold at its peak, in bytes, item by item.

What lasts is counted from shapes, what comes and goes is rehearsed (`rehearsal`). The rows that all packs share are not
in it. PyTorch's own blocks inside an operation are not either: a caller leaves room for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from pipeline.engine import rehearsal
from pipeline.engine.beginnings import SAMPLED_ROWS
from pipeline.engine.optimizers.fused import KERNELS
from pipeline.engine.rhythm import are_scored_apart, epoch_ends, leave_apart, rows_at_a_time, stay
from pipeline.engine.step import SCRATCH
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.engine.packing import Assignment
    from pipeline.engine.rehearsal import Precision
    from pipeline.fits import Network

WEIGHTS, BEST, FIRST, SECOND = "weights", "best weights", "first moments", "second moments"
# bounds: a step, a look at rows, a draw or a copy makes not so many tensors as large as weights and what rows become;
# a place of a row order takes less than so many bytes while it is drawn, an output while it is scored
TENSORS, ORDER_BYTES, OUTPUT_BYTES = 12, 40, 32
ROWS, RATES = "row numbers and orders", "learning rates"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What memory depends on beside the jobs.

    is_judged: networks are scored after each epoch; train_curve_points: and after so many on their training rows.
    is_saved: checkpoints are made. is_pruned: networks may be given up in the middle of others. is_captured: a step is
    a CUDA graph, whose memory nothing else may use. is_streamed: rows come from elsewhere, a batch ahead.
    """

    precision: Precision
    on_gpu: bool = False
    is_judged: bool = True
    train_curve_points: int = 0
    is_saved: bool = False
    is_pruned: bool = False
    is_captured: bool = False
    is_streamed: bool = False

    def may_leave(self, jobs: Sequence[Assignment]) -> bool:
        """Whether a network may leave after any of its epochs."""
        return self.is_pruned or (self.is_judged and any(job.patience for job in jobs))


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a training and what is held there: name -> bytes."""

    when: str
    items: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.items.values())


def peak(jobs: Sequence[Assignment], network: Network, count: int, at: Circumstances) -> Moment:
    """The fullest moment of a pack that trains `count` of these jobs side by side. network: their padded one."""
    return max(moments(jobs, network, count, at), key=lambda moment: moment.total)


def bound(jobs: Sequence[Assignment], network: Network, count: int, at: Circumstances) -> int:
    """Bytes that the peak on a CPU stays below, from shapes alone, some times too many; nothing is rehearsed.

    Not for networks of the user's.
    """
    scored = _scored_rows(jobs, at)
    # fewer networks at a time have more rows each, and as many values
    at_a_time = min(scored, rows_at_a_time(network, count, jobs[0].batch_size))
    rows = max(batch_rows(jobs), at_a_time, SAMPLED_ROWS if network.init == "data_driven" else 0)
    values = rows * (network.inputs + sum(network.hidden) + 1) * torch.float64.itemsize
    each = network.parameters * at.precision.weights.itemsize + values
    orders = ORDER_BYTES * _width(jobs) + OUTPUT_BYTES * scored
    return sum(lasting(jobs, network, count, at.precision).values()) + count * (TENSORS * each + orders)


def moments(jobs: Sequence[Assignment], network: Network, count: int, at: Circumstances) -> list[Moment]:
    """Every moment that may be the fullest."""
    held = lasting(jobs, network, count, at.precision)
    drawn = _rehearsed(
        lambda: rehearsal.beginning(rehearsal.company(jobs, count), network, at.precision), {"drawing": 3 * held[BEST]}
    )
    guess = {"gradients": held[BEST], "layers, roughly": 2 * count * working_set(jobs[0], network, at.precision)}
    step = _rehearsed(lambda: _step(jobs, network, count, at), guess)
    passing = [
        ("row orders are drawn", rehearsal.row_orders(count, _width(jobs))),
        *_leaving(jobs, count, at, held),
        *_saving(at, held),
    ]
    # a captured step keeps what it needs between its replays
    kept = {"the captured step": sum(step.values())} if at.is_captured else {}
    return [
        Moment("the weights are drawn", drawn),
        Moment("a step", {**held, **step}),
        *(Moment("networks are scored", {**kept, **items}) for items in _scoring(jobs, network, count, at)),
        *(Moment(when, {**held, **kept, **items}) for when, items in passing),
    ]


def working_set(job: Assignment, network: Network, precision: Precision) -> int:
    """Bytes that a step touches of each network, roughly: what is best to have in a cache.

    Not rehearsed: a plan for a CPU must cost nothing.
    """
    rule, rows = job.rule, batch_rows([job])
    copies = 2 + rule.has_first + rule.has_second  # of its parameters: weights, gradients, moments
    # of its hidden units: outputs, their gradients, masks and what they leave, standardised values
    passes = 2 + 2 * (job.dropout > 0) + 2 * (network.norm != "none")
    parameters = copies * network.parameters * precision.weights.itemsize
    return parameters + rows * (network.inputs + passes * sum(network.hidden)) * precision.rows.itemsize


def lasting(jobs: Sequence[Assignment], network: Network, count: int, precision: Precision) -> dict[str, int]:
    """What the pack holds from its first step to its last."""
    size = precision.weights.itemsize
    trained = count * network.parameters * size
    running = count * sum(map(math.prod, network.running.values())) * size
    return {
        WEIGHTS: trained + running,
        BEST: trained + running,
        FIRST: trained if any(job.rule.has_first for job in jobs) else 0,
        SECOND: trained if any(job.rule.has_second for job in jobs) else 0,
        ROWS: count * _width(jobs) * 2 * torch.int32.itemsize,
        RATES: count * (max(job.steps for job in jobs) + 1) * 2 * torch.float64.itemsize,
    }


def batch_rows(jobs: Sequence[Assignment]) -> int:
    """The most rows of a network in one step."""
    return max(min(job.batch_size, len(job.train_rows)) for job in jobs)


def _width(jobs: Sequence[Assignment]) -> int:
    return max(job.steps_per_epoch for job in jobs) * jobs[0].batch_size


def _rehearsed(work: Callable[[], Mapping[str, int]], guess: Mapping[str, int]) -> dict[str, int]:
    """What it comes to; a guess where a network that somebody else wrote does not run on tensors without memory."""
    try:
        return dict(work())
    except (RuntimeError, NotImplementedError, PipelineError):
        return dict(guess)


def free_on(device: torch.device) -> int:
    """Bytes of a CUDA device that are free, those included that PyTorch holds for nobody."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def held_on(device: torch.device) -> tuple[int, int, int]:
    """Bytes of a CUDA device: all of it, those of this process's tensors, and those that PyTorch holds beside them."""
    taken = torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[1], taken, torch.cuda.memory_reserved(device) - taken


def _step(jobs: Sequence[Assignment], network: Network, count: int, at: Circumstances) -> dict[str, int]:
    own = rehearsal.company(jobs, count)
    scratch = 0
    if at.on_gpu:
        scratch = SCRATCH * count * max(map(math.prod, network.trained.values())) * at.precision.weights.itemsize
    elif jobs[0].rule.kind not in KERNELS:
        scratch = rehearsal.update(own, network, at.precision)
    found = dict(rehearsal.step(own, network, batch_rows(jobs), at.precision, scratch))
    if at.is_streamed:
        # the next batch; on a GPU one more, where a captured step finds its own, and outside of the memory of its graph
        # what lines that models share are spread into (`Streamed.gather`); elsewhere that is the step's batch itself
        batch = count * batch_rows(jobs) * network.inputs * at.precision.rows.itemsize
        shares_lines = count > 1 and len({job.key for job in jobs}) < len(jobs)
        found["rows on their way"] = (2 + shares_lines if at.is_captured else 1) * batch
    return found


def _scoring(jobs: Sequence[Assignment], network: Network, count: int, at: Circumstances) -> list[dict[str, int]]:
    """Validation rows after each epoch, training rows after some; so many at a time as `PackState.outputs` takes."""
    if not at.is_judged:
        return []
    rows = _scored_rows(jobs, at)
    is_apart = are_scored_apart(jobs, count, at.train_curve_points, at_any_epoch=at.may_leave(jobs))
    found = []
    for together, training in epoch_ends(jobs, count):
        at_a_time = min(rows, rows_at_a_time(network, together, jobs[0].batch_size))
        items = lasting(jobs, network, training, at.precision)
        # outputs in parts, then as a whole, and at last in float64 in the computer's memory
        outputs = 2 * at.precision.weights.itemsize + (0 if at.on_gpu else torch.float64.itemsize)
        items["row numbers and outputs"] = together * rows * (torch.int32.itemsize + outputs)
        if is_apart:
            copied = lasting(jobs, network, min(together, training - 1), at.precision)[WEIGHTS]
            items["weights of those that are scored"] = copied
        guess = {"scoring, roughly": 2 * together * at_a_time * (network.inputs + sum(network.hidden)) * 4}
        found.append(items | _rehearsed(partial(rehearsal.scoring, network, together, at_a_time, at.precision), guess))
    return found


def _scored_rows(jobs: Sequence[Assignment], at: Circumstances) -> int:
    """The most rows on which a network is scored after an epoch."""
    if not at.is_judged:
        return 0
    return max(len(rows) for job in jobs for rows in (job.valid_rows, job.train_rows if at.train_curve_points else ()))


def _leaving(
    jobs: Sequence[Assignment], count: int, at: Circumstances, held: Mapping[str, int]
) -> list[tuple[str, dict[str, int]]]:
    """A network leaves while others stay: what these hold is copied without it (`PackState.keep`)."""
    may_leave = at.may_leave(jobs)
    if count < 2 or not leave_apart(jobs, at_any_epoch=may_leave):
        return []
    left = stay(jobs, count, at_any_epoch=may_leave)
    copied = {name: size * left // count for name, size in held.items()}
    copies = copied[WEIGHTS] + copied[BEST] + copied[ROWS]
    if not at.on_gpu and jobs[0].rule.kind in KERNELS:
        # the fused path holds on to weights and moments until its successor is made; row numbers have gone by then
        copies = max(copies, copies + copied[FIRST] + copied[SECOND] - held[ROWS])
    return [("a network leaves", {"copies without it": copies})]


def _saving(at: Circumstances, held: Mapping[str, int]) -> list[tuple[str, dict[str, int]]]:
    """A checkpoint: moments are copied on the device, and then everything in the computer's memory."""
    if not at.is_saved:
        return []
    moments = held[FIRST] + held[SECOND]
    in_ram = 0 if at.on_gpu else held[WEIGHTS] + held[BEST] + moments + held[ROWS] // 2
    return [("a checkpoint is made", {"copies for a checkpoint": moments + in_ram})]
