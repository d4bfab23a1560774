"""Which jobs share a program, and how many fit side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.engine.gradients import GradientRule
from pipeline.engine.networks import KEEPS_ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.optimizers import Rule
    from pipeline.engine.schedules import Plateau, Schedule
    from pipeline.tables import Integers, Network, Singles

NO_RULE = GradientRule()
CPU_PACK = 10  # networks; beyond that a step's tensors leave the cache (see docs/LOG.md)
GPU_BYTES = 4 << 30  # weights, gradients, moments and best weights of one pack
COPIES = 5  # of the weights: themselves, gradients, two moments, best weights
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
    def graph(self) -> tuple[object, ...]:
        """What splits packs: everything that changes the program of a step, but not the width of its layers."""
        network = self.network
        shape = (network.inputs, len(network.hidden), network.norm, network.skips)
        of_network = (*shape, network.activation, network.link)
        of_user = (network.custom, network.custom_options)
        return (*of_network, *of_user, self.batch_size, self.loss, self.rule.kind, self.decay_biases)

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

    slots: how many train side by side; as one leaves, the next of `positions` takes its place.
    """

    network: Network
    positions: tuple[int, ...]
    slots: int


def plan_packs(assignments: Sequence[Assignment], *, on_gpu: bool, pack_size: int = 0) -> list[Pack]:
    """Group positions of `assignments` into packs, jobs with equal hyperparameters side by side.

    pack_size: the most networks side by side; 0 lets the device decide.
    """
    by_graph: dict[tuple[object, ...], list[int]] = {}
    for position, assignment in enumerate(assignments):
        by_graph.setdefault(assignment.graph, []).append(position)
    return [
        _pack(assignments, positions, on_gpu=on_gpu, pack_size=pack_size)
        for together in by_graph.values()
        for positions in _of_like_width(assignments, together, on_gpu=on_gpu)
    ]


def _of_like_width(assignments: Sequence[Assignment], positions: Sequence[int], *, on_gpu: bool) -> list[list[int]]:
    """Split jobs of one graph where padding would cost more than a pack of their own."""
    allowed = GPU_PADDING if on_gpu else CPU_PADDING
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


def padded_network(networks: Sequence[Network]) -> Network:
    """The network whose layers are as wide as the widest of each."""
    hidden = tuple(max(widths) for widths in zip(*(network.hidden for network in networks), strict=True))
    return replace(networks[0], hidden=hidden)


def _pack(assignments: Sequence[Assignment], positions: list[int], *, on_gpu: bool, pack_size: int) -> Pack:
    network = padded_network([assignments[p].network for p in positions])
    positions = sorted(positions, key=_first_of_a_kind(assignments, positions).__getitem__)
    limit = pack_size or _fitting(network, on_gpu=on_gpu)
    rounds = -(-len(positions) // limit)
    return Pack(network, tuple(positions), -(-len(positions) // rounds))  # 25 jobs at most 10 a time: 9, 9 and 7


def _first_of_a_kind(assignments: Sequence[Assignment], positions: Sequence[int]) -> dict[int, int]:
    """Position -> the first position with the same optimizer and learning rates, which is then its neighbour."""
    first: dict[object, int] = {}
    kinds = {p: (a.rule, a.lr, a.schedule, a.steps) for p in positions if (a := assignments[p])}
    return {position: first.setdefault(kind, position) for position, kind in kinds.items()}


def _fitting(network: Network, *, on_gpu: bool) -> int:
    return max(1, GPU_BYTES // (4 * COPIES * network.parameters)) if on_gpu else CPU_PACK
