"""Networks in the middle of their training as plain values: set aside one by one, taken in again together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.pack import Record
    from pipeline.tables import Integers

    Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


class Parked(TypedDict):
    """What some networks go on from, in one order throughout; tensors by name, each [M, …]."""

    records: list[Record]
    steps: Integers
    tensors: dict[str, Array]


def one_by_one(state: Parked) -> list[Parked]:
    """Each network apart."""
    return [
        {
            "records": [record],
            "steps": state["steps"][i : i + 1],
            "tensors": {name: values[i : i + 1] for name, values in state["tensors"].items()},
        }
        for i, record in enumerate(state["records"])
    ]


def together(states: Sequence[Parked]) -> Parked:
    """All in one, in their order. A moment that a network never needed is 0."""
    some = {name: values for state in states for name, values in state["tensors"].items()}
    tensors = {}
    for name, like in some.items():
        none = [np.zeros((len(state["records"]), *like.shape[1:]), like.dtype) for state in states]
        tensors[name] = np.concatenate(
            [state["tensors"].get(name, zeros) for state, zeros in zip(states, none, strict=True)]
        )
    return {
        "records": [record for state in states for record in state["records"]],
        "steps": np.concatenate([state["steps"] for state in states]),
        "tensors": tensors,
    }
