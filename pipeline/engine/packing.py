"""Which jobs share a program, and how many fit side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pipeline.engine.gradients import GradientRule
from pipeline.engine.memory import bound, peak, working_set
from pipeline.engine.networks import KEEPS_ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.memory import Circumstances
    from pipeline.engine.optimizers import Rule
    from pipeline.engine.schedules import Plateau, Schedule
    from pipeline.fits import Network
    from pipeline.tables import Integers, Singles

NO_RULE = GradientRule()
UNKNOWN_CACHE = 8 << 20  # bytes a thread
FEWEST_A_THREAD = 4  # networks, however large: threads share out the products of a pack
SHARE_OF_RAM = 0.5  # of the computer's memory for a pack on a CPU; tables and predictions lie there too
# how many times its own parameters a network may be padded to: a GPU has arithmetic to spare, a CPU has not
CPU_PADDING, GPU_PADDING = 1.3, 4.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that the engine is told about one job; rows index the matrix that is shared by every job.

    key: the job's stream of draws. patience: epochs without a better score, 0 for never stopping early.
    """

    key: int
    network: Network
    train_rows: Integers
    valid_rows: Integers
    rule: Rule
    lr: float
    schedule: Schedule
    loss: str
    dropout: float
    epochs: int
    batch_size: int
    patience: int
    restore_best: bool
    loss_parameter: float | None = None  # None: the loss's own default
    gradient: GradientRule = NO_RULE
    decay_biases: bool = True  # false: weight decay and the L1 penalty leave biases and norms alone
    plateau: Plateau | None = None
    start: tuple[Singles, ...] | None = None  # weights to begin with, in the order of the network's tensor names

    @property
    def program(self) -> dict[str, object]:
        """Everything that changes the program of a step, but not the width of its layers; by the setting's name."""
        network = self.network
        return {
            "features": network.inputs,
            "depth": len(network.hidden),
            "model.norm": network.norm,
            "model.residual": network.skips,
            "model.activation": network.activation,
            "link": network.link,
            "model.custom": network.custom,
            "model.options": network.custom_options,
            "train.batch_size": self.batch_size,
            "train.loss": self.loss,
            "train.optimizer": self.rule.kind,
            "train.decay_biases": self.decay_biases,
        }

    @property
    def graph(self) -> tuple[object, ...]:
        """What splits packs."""
        return tuple(self.program.values())

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training rows, a last partial one included."""
        return -(-len(self.train_rows) // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, slots=True)
class Pack:
    """Jobs that share a program. `network` has their widest layers; narrower networks are padded with zeros.

    slots: how many train side by side; as one leaves, the next of `positions` takes its place. most: how many would be
    allowed to; by: what allows no more.
    """

    network: Network
    positions: tuple[int, ...]
    slots: int
    most: int = 0
    by: Literal["pack_size", "cache", "memory"] = "pack_size"


@dataclass(frozen=True, slots=True)
class Limits:
    """What packs have to fit into.

    memory: bytes that a pack may hold, of a GPU or the computer. cache: bytes of a CPU's caches. 0: not known.
    threads: of the CPU. pack_size: the most networks side by side; 0 lets the device decide.
    """

    circumstances: Circumstances
    memory: int = 0
    cache: int = 0
    threads: int = 1
    pack_size: int = 0


def plan_packs(assignments: Sequence[Assignment], limits: Limits) -> list[Pack]:
    """Group positions of `assignments` into packs, jobs with equal hyperparameters side by side.

    On a CPU the plan follows from the jobs, cache and threads alone, unless a pack would not fit into memory: company
    changes the last bits of what is trained, so no number that varies from day to day may decide about it.
    """
    on_gpu = limits.circumstances.on_gpu
    by_graph: dict[tuple[object, ...], list[int]] = {}
    for position, assignment in enumerate(assignments):
        by_graph.setdefault(assignment.graph, []).append(position)
    return [
        _pack(assignments, positions, limits)
        for together in by_graph.values()
        for positions in _of_like_width(assignments, together, on_gpu=on_gpu)
    ]


def _of_like_width(assignments: Sequence[Assignment], positions: Sequence[int], *, on_gpu: bool) -> list[list[int]]:
    """Split jobs of one graph where padding would cost more than a pack of their own."""
    allowed = allowed_padding(on_gpu=on_gpu)
    groups: list[list[int]] = []
    by_size = sorted(positions, key=lambda p: assignments[p].network.parameters, reverse=True)
    for position in by_size:
        own = assignments[position].network
        for group in groups:
            widest = padded_network([assignments[p].network for p in group] + [own])
            least = min(own.parameters, *(assignments[p].network.parameters for p in group))
            may_pad = own.activation in KEEPS_ZERO and widest.parameters <= allowed * least
            if may_pad or assignments[group[0]].network == own:
                group.append(position)
                break
        else:
            groups.append([position])
    return sorted((sorted(group) for group in groups), key=lambda group: group[0])


def allowed_padding(*, on_gpu: bool) -> float:
    """How many times its own parameters a network may be padded to."""
    return GPU_PADDING if on_gpu else CPU_PADDING


def may_join(network: Network, padded: Network, *, on_gpu: bool) -> bool:
    """Whether a network of the same program fits among those that are padded to `padded`, without undue arithmetic."""
    if network == padded:
        return True
    is_narrower = all(own <= wide for own, wide in zip(network.hidden, padded.hidden, strict=True))
    may_pad = (
        network.activation in KEEPS_ZERO and padded.parameters <= allowed_padding(on_gpu=on_gpu) * network.parameters
    )
    return is_narrower and may_pad


def padded_network(networks: Sequence[Network]) -> Network:
    """The network whose layers are as wide as the widest of each."""
    hidden = tuple(max(widths) for widths in zip(*(network.hidden for network in networks), strict=True))
    return replace(networks[0], hidden=hidden)


def _pack(assignments: Sequence[Assignment], positions: list[int], limits: Limits) -> Pack:
    network = padded_network([assignments[p].network for p in positions])
    positions = sorted(positions, key=_first_of_a_kind(assignments, positions).__getitem__)
    most, by = _most([assignments[p] for p in positions], network, limits)
    rounds = -(-len(positions) // most)
    return Pack(network, tuple(positions), -(-len(positions) // rounds), most, by)  # 25 jobs at most 10 a time: 9, 9, 7


def _first_of_a_kind(assignments: Sequence[Assignment], positions: Sequence[int]) -> dict[int, int]:
    """Position -> the first position with the same optimizer and learning rates, which is then its neighbour."""
    first: dict[object, int] = {}
    kinds = {p: (a.rule, a.lr, a.schedule, a.steps) for p in positions if (a := assignments[p])}
    return {position: first.setdefault(kind, position) for position, kind in kinds.items()}


def _most(
    jobs: Sequence[Assignment], network: Network, limits: Limits
) -> tuple[int, Literal["pack_size", "cache", "memory"]]:
    """How many of these jobs may train side by side, and what allows no more."""
    if limits.pack_size:
        return limits.pack_size, "pack_size"
    if limits.circumstances.on_gpu:
        fitting = _in_memory(jobs, network, limits, limits.memory, len(jobs)) if limits.memory else len(jobs)
        return fitting, "memory"
    each = max(working_set(job, network, limits.circumstances.precision) for job in jobs)
    most = max((limits.cache or UNKNOWN_CACHE * limits.threads) // each, FEWEST_A_THREAD * limits.threads)
    room, wanted = int(SHARE_OF_RAM * limits.memory), min(most, len(jobs))
    # a rehearsal wakes machinery of PyTorch for a second, and small trainings are to start at once
    fits = not network.custom and bound(jobs, network, wanted, limits.circumstances) <= room
    if limits.memory and not fits and (fitting := _in_memory(jobs, network, limits, room, wanted)) < wanted:
        return fitting, "memory"
    return most, "cache"


def _in_memory(jobs: Sequence[Assignment], network: Network, limits: Limits, room: int, most: int) -> int:
    """How many of these jobs, `most` at the most, fit side by side into so many bytes; one where not even that fits."""

    def needed(count: int) -> int:
        return peak(jobs, network, count, limits.circumstances).total

    low, high, at_low, at_high = 1, most, needed(1), needed(most)
    if at_high <= room:
        return most
    halve = False
    # nearly a line: a guess along it is nearly right, and every other one halves what is left
    while high - low > 1 and at_low <= room:
        along = low + (room - at_low) * (high - low) // (at_high - at_low)
        count = (low + high) // 2 if halve else min(max(along, low + 1), high - 1)
        found, halve = needed(count), not halve
        if found <= room:
            low, at_low = count, found
        else:
            high, at_high = count, found
    return low
