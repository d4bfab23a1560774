"""Want of memory: told from other errors, and said in a sentence where there is nothing left to make smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.errors import OUT_OF_MEMORY, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.engine.packing import Assignment


def is_want_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, on a device or beside it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)


def runs_out(work: Callable[[], object]) -> bool:
    """Do it; whether memory ran out on the way. The error is gone then, and all that its traceback held."""
    try:
        work()
    except (RuntimeError, MemoryError) as error:
        if not is_want_of_memory(error):
            raise
        return True
    return False


def chosen(values: Tensor, index: Tensor) -> Tensor:
    """The lines of `values` at these places, which ascend. Guarantee: it does not fail for want of memory.

    A copy; where there is no room for one, the lines move within `values`, which is of no use afterwards.
    """
    found: list[Tensor] = []
    if not runs_out(lambda: found.append(values.index_select(0, index))):
        return found[0]
    places = index.tolist()
    assert places == sorted(set(places)), "a line must not be written over before it has moved"
    for to, place in enumerate(places):
        if to != place:
            values[to].copy_(values[place])
    return values[: len(places)]


def does_not_fit(job: Assignment) -> TrainingError:
    """What to raise when one network alone is too much."""
    return TrainingError(
        f"one network of {job.network.parameters:,} parameters does not fit into memory with batches of "
        f"{job.batch_size:,} rows; lower [model] width or depth, or [train] batch_size (now {job.batch_size:,})"
    )


def no_room_beside(job: Assignment) -> TrainingError:
    """What to raise when memory ran out in the middle of an update, or where networks were to be set aside."""
    return TrainingError(
        f"memory ran out where networks of {job.network.parameters:,} parameters can neither go on nor be set aside; "
        "lower [train] pack_size and run it again: it goes on from its last checkpoint"
    )
