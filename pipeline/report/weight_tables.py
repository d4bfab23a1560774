"""What training did to the weights, layer by layer, in numbers and in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.report.tables import Cell, Table, words
from pipeline.report.text import count, percent, short

if TYPE_CHECKING:
    from pipeline.facts import TensorFacts, WeightFacts
    from pipeline.fits import Network

KINDS = {"weight": "weights", "bias": "biases", "scale": "norm scales", "shift": "norm shifts", "skip": "shortcut"}
HARDLY = 0.01  # a change below this share of the start is called none
MANY = 0.3  # share of dead or saturated units that asks for a remedy
DIES, SATURATES = ("relu",), ("tanh", "sigmoid")


def introduce(facts: WeightFacts) -> str:
    """What the section shows, for a reader who has never looked inside a network."""
    means = f"means over {count(facts.of, 'network')}"
    if facts.networks < facts.of:
        means = f"means over {facts.networks:,} of {count(facts.of, 'network')}, evenly spread"
    return (
        f"A network starts from random weights (initialisation: {facts.network.init}) and training moves them. Std is "
        f"their standard deviation, theory the one that the initialisation aims at. Tables: {means}. Pictures: the "
        f"network of fold {facts.fold}, seed {facts.seed}, with the weights that were kept."
    )


def layer_name(network: Network, layer: int) -> str:
    """A layer, counted from 1, with its inputs and outputs."""
    n_in, n_out = network.layer_sizes[layer]
    return f"{'output' if layer == len(network.hidden) else f'layer {layer + 1}'}: {n_in:,} \u2192 {n_out:,}"


def weight_tables(facts: WeightFacts) -> list[Table]:
    """Tensors, then units; a linear model has no units of its own."""
    return [tensor_table(facts), *([unit_table(facts)] if facts.units else [])]


def tensor_table(facts: WeightFacts) -> Table:
    """Each tensor before and after training."""
    rows = [
        (
            words(layer_name(facts.network, tensor.layer)),
            words(KINDS[tensor.kind]),
            *_numbers(f"{tensor.shape[0] * tensor.shape[1]:,}"),
            words(say_spread(tensor, facts.network.init), 300),
            *_numbers(short(tensor.after.mean), short(tensor.after.largest), say_moved(tensor.moved)),
        )
        for tensor in facts.tensors
    ]
    note = "Largest: magnitude. Moved: the length of the change as a share of the length of what was drawn."
    header = _header("layer", "what", "*numbers", "std before and after", "*mean", "*largest", "*moved")
    return Table("Layers before and after training", note, header, tuple(rows), is_prose=True)


def say_spread(tensor: TensorFacts, init: str) -> str:
    """How wide the numbers lie now and at the start, and what theory says of the start."""
    before, after = tensor.before, tensor.after
    if tensor.shape == (1, 1):
        return f"one number: {short(after.mean)}, started at {short(before.mean)}"
    now = f"std {short(after.std)}"
    if before.std == 0:
        said = f"{now}, all started at {short(before.mean)}"
    elif init == "data_driven" and tensor.kind != "skip":  # a shortcut stays as it was drawn
        drawn = f" (drawn at {short(tensor.theory)})" if tensor.theory else ""
        said = f"{now}, started at {short(before.std)}, fitted to the data{drawn}"
    else:
        said = f"{now}, the initialisation drew {short(before.std)} (theory {short(tensor.theory)})"
    return f"{said}: hardly moved" if tensor.moved < HARDLY else said


def say_moved(share: float) -> str:
    """A share as a percentage, or as a multiple where it is many times the start."""
    if not math.isfinite(share):
        return short(share)
    return f"{100 * share:.0f} %" if share < 10 else f"{short(share)} times"


def unit_table(facts: WeightFacts) -> Table:
    """What hidden units do on training rows."""
    activation = facts.network.activation
    lost = "dead" if activation in DIES else "saturated" if activation in SATURATES else ""
    rows = []
    for units in facts.units:
        cells = _numbers(f"{units.units:,}", *map(short, units.reach))
        if lost:
            shares = units.dead if lost == "dead" else units.saturated
            cells += [*_numbers(*map(percent, shares)), Cell(say_lost(lost, shares[1], activation))]
        rows.append((words(layer_name(facts.network, units.layer)), *cells))
    note = (
        f"On {count(facts.rows, 'training row')} of each fold. Reach: the std of what arrives at the activation "
        f"({activation}). Where it grows or shrinks from layer to layer, signals explode or fade."
    )
    header = _header("layer", "*units", "*reach at the start", "*now")
    if lost:
        header += _header(f"*{lost} at the start", "*now", "in words")
    return Table("Hidden units before and after training", note, header, tuple(rows), is_prose=True)


def say_lost(how: str, share: float, activation: str) -> str:
    """Whether units have stopped learning, and what helps."""
    if how == "dead":
        if share == 0:
            return "every unit answers to some row"
        said = f"{percent(share)} are silent on every row and learn no more"
        remedy = 'a lower train.lr, or model.activation = "leaky_relu", keeps them alive'
    else:
        said = f"{percent(share)} of the answers lie where {activation} is flat and learn little"
        remedy = 'a lower train.lr, or model.activation = "relu", brings them back'
    return f"{said}; {remedy}" if share > MANY else said


def _header(*names: str) -> tuple[Cell, ...]:
    return tuple(Cell(name.removeprefix("*"), is_number=name.startswith("*")) for name in names)


def _numbers(*texts: str) -> list[Cell]:
    return [Cell(text, is_number=True) for text in texts]
