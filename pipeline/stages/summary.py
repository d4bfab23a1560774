"""A design and settings -> the table of layers that training would build, and what it would weigh. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engine.views import theory_of
from pipeline.stages.assignments import Candidate, network_of
from pipeline.stages.learners import DTYPES
from pipeline.stages.refits import refit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.fits import Network
    from pipeline.tables import Compute, Design
    from pipeline.training_settings import Model, Train

COPIES = 5  # of what is trained: itself, gradients, two moments, best weights; for all else see --explain-packs
CONSTANTS = {"scale": "1", "shift": "0", "bias": "0"}  # where tensors start that are not drawn


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a network: what rows become, [rows of a batch, outputs], and the numbers it holds."""

    layer: int  # from 1; 0 for the input
    name: str
    outputs: int
    parameters: int = 0
    trained: int = 0
    starts: str = ""  # how its tensors start


@dataclass(frozen=True, slots=True)
class Summary:
    """A network in steps, and the training of many of them. Bytes are those of the parameters alone."""

    network: Network
    steps: tuple[Step, ...]
    parameters: int
    trained: int
    network_bytes: int
    folds: int
    seeds: int
    refits: int
    kept_bytes: int  # of all networks, once they are trained
    training_bytes: int  # of all networks side by side: gradients, moments and best weights with them
    rows: int  # training rows of the smallest fold
    batch_size: int

    @property
    def networks(self) -> int:
        """How many are trained."""
        return self.folds * self.seeds + self.refits


def summarise(design: Design, *, model: Model, train: Train, compute: Compute) -> Summary:
    """What `train` would build from the same arguments."""
    candidate = Candidate(model, train)
    network, train = network_of(candidate, design), candidate.train
    trained = network.parameters
    running = sum(n_in * n_out for n_in, n_out in network.running.values())
    parameters = trained + running
    number_bytes = DTYPES[compute.precision].itemsize
    refits = train.seeds if refit_of(design, train) != "none" else 0
    networks = design.folds.count * train.seeds + refits
    return Summary(
        network=network,
        steps=tuple(steps_of(network, candidate.model.dropout)),
        parameters=parameters,
        trained=trained,
        network_bytes=parameters * number_bytes,
        folds=design.folds.count,
        seeds=train.seeds,
        refits=refits,
        kept_bytes=networks * parameters * number_bytes,
        # running statistics have no gradient and no moments: they are held as they are and as they were at best
        training_bytes=networks * (COPIES * trained + 2 * running) * number_bytes,
        rows=min(map(len, design.folds.train)),
        batch_size=min(train.batch_size, len(design.target)),
    )


def steps_of(network: Network, dropout: float) -> Iterator[Step]:
    """What happens to a batch of rows, in turn: products, norms, activations with dropout, shortcuts."""
    yield Step(0, "input", network.inputs)
    if network.custom:
        yield Step(1, network.custom, network.outputs, network.parameters, network.parameters, "as it draws them")
        return
    for layer, (_, n_out) in enumerate(network.layer_sizes):
        yield _step(network, layer, "linear", ("weight", "bias"))
        if layer == len(network.hidden):
            return
        if network.norm != "none":
            yield _step(network, layer, f"{network.norm} norm", ("scale", "shift", "mean", "variance"))
        after = f", dropout {dropout:g}" if dropout else ""
        yield Step(layer + 1, f"{network.activation}{after}", n_out)
        if network.skips and network.skips[layer]:
            kinds = ("skip",) if network.skips[layer] == "product" else ()
            yield _step(network, layer, "shortcut", kinds)


def _step(network: Network, layer: int, name: str, kinds: tuple[str, ...]) -> Step:
    names = [f"{layer}.{kind}" for kind in kinds]
    trained = [network.trained[name] for name in names if name in network.trained]
    running = [network.running[name] for name in names if name in network.running]
    sizes = [sum(n_in * n_out for n_in, n_out in shapes) for shapes in (trained, running)]
    starts = ", ".join(_start(network, name) for name in names if name in network.trained)
    return Step(layer + 1, name, network.layer_sizes[layer][1], sum(sizes), sizes[0], starts)


def _start(network: Network, name: str) -> str:
    kind = name.partition(".")[2]
    theory = theory_of(network, name)
    return f"{kind} std {theory:.3g}" if theory else f"{kind} {CONSTANTS[kind]}"
