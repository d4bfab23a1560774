"""A plan of packs as facts: what each holds at its peak, what limits it, and why its jobs are not with others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engine.memory import peak, working_set
from pipeline.engine.networks import KEEPS_ZERO
from pipeline.engine.packing import SHARE_OF_RAM, allowed_padding, padded_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.memory import Moment
    from pipeline.engine.packing import Assignment, Limits, Pack
    from pipeline.fits import Network


@dataclass(frozen=True, slots=True)
class Difference:
    """Why a pack is not another one. other: the number of that pack, from 0; reason: in words."""

    other: int
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One pack. Sizes in bytes; a limit of 0 is not known."""

    network: Network
    networks: int
    slots: int
    rounds: int  # how often the places are filled, if all networks train equally long
    most: int
    by: str  # what allows no more than `most` side by side: "pack_size", "cache" or "memory"
    padding: float  # parameters over those that the networks need
    moment: Moment  # its peak
    memory: int  # limit of that
    touched: int  # by a step
    cache: int  # limit of that
    apart: tuple[Difference, ...]


def explanations(
    assignments: Sequence[Assignment], packs: Sequence[Pack], limits: Limits, *, shares: int = 1
) -> list[Explanation]:
    """What there is to say of each pack, in their order. shares: workers for which larger packs were cut."""
    return [
        _explained(assignments, packs, number, limits, _apart(assignments, packs, number, limits, shares))
        for number in range(len(packs))
    ]


def _explained(
    assignments: Sequence[Assignment], packs: Sequence[Pack], number: int, limits: Limits, apart: tuple[Difference, ...]
) -> Explanation:
    pack, at = packs[number], limits.circumstances
    jobs = [assignments[p] for p in pack.positions]
    each = max(working_set(job, pack.network, at.precision) for job in jobs)
    return Explanation(
        network=pack.network,
        networks=len(jobs),
        slots=pack.slots,
        rounds=-(-len(jobs) // pack.slots),
        most=pack.most,
        by=pack.by,
        padding=len(jobs) * pack.network.parameters / sum(job.network.parameters for job in jobs),
        moment=peak(jobs, pack.network, pack.slots, at),
        memory=limits.memory if at.on_gpu else int(SHARE_OF_RAM * limits.memory),
        touched=pack.slots * each,
        cache=0 if at.on_gpu else limits.cache,
        apart=apart,
    )


def _apart(
    assignments: Sequence[Assignment], packs: Sequence[Pack], number: int, limits: Limits, shares: int
) -> tuple[Difference, ...]:
    """What keeps the pack from the one before it that is most like it; nothing for the first."""
    programs = [assignments[pack.positions[0]].program for pack in packs]
    own = packs[number].network, programs[number]
    alike = [n for n, theirs in enumerate(packs) if (theirs.network, programs[n]) == own]
    if alike[0] < number:
        cut = f"widths {widths_of(own[0])} too: one pack was cut in {len(alike)} for {shares} workers (train.workers)"
        return (Difference(alike[0], cut),)
    found: list[tuple[Difference, ...]] = []
    for other, pack in enumerate(packs[:number]):
        theirs = programs[other]
        reasons = [f"{name} {mine}, not {theirs[name]}" for name, mine in own[1].items() if mine != theirs[name]]
        reasons = reasons or [_why_not_padded(own[0], pack.network, on_gpu=limits.circumstances.on_gpu)]
        found.append(tuple(Difference(other, reason) for reason in reasons))
    return min(found, key=len, default=())


def _why_not_padded(own: Network, other: Network, *, on_gpu: bool) -> str:
    widths = f"widths {widths_of(own)}, not {widths_of(other)}"
    if own.activation not in KEEPS_ZERO:
        return f"{widths}: {own.activation} does not map 0 to 0, so that no layer can be padded"
    times = padded_network([own, other]).parameters / min(own.parameters, other.parameters)
    return (
        f"{widths}: padded to one size, the smaller would have {times:.1f} times its parameters, at most "
        f"{allowed_padding(on_gpu=on_gpu):g} are taken"
    )


def widths_of(network: Network) -> str:
    """As "331-128-128-1"."""
    return "-".join(str(width) for width in (network.inputs, *network.hidden, network.outputs))
