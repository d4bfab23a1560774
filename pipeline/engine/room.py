"""Want of memory: told from other errors, and said in a sentence where there is nothing left to make smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.engine.packing import Assignment


def runs_out(work: Callable[[], object]) -> bool:
    """Do it; whether memory ran out on the way. The error is gone then, and all that its traceback held."""
    try:
        work()
    except (torch.OutOfMemoryError, MemoryError):
        return True
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what PyTorch says on a CPU
            raise
        return True
    return False


def does_not_fit(job: Assignment) -> TrainingError:
    """What to raise when one network alone is too much."""
    return TrainingError(
        f"one network of {job.network.parameters:,} parameters does not fit into memory with batches of "
        f"{job.batch_size:,} rows; lower [model] width or depth, or [train] batch_size (now {job.batch_size:,})"
    )
