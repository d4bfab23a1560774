"""Memory for a matrix of rows: the device's, the host's, or that of a file which no folder lists."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.errors import TrainingError

if TYPE_CHECKING:
    from pipeline.runtime import Room


def empty_rows(
    shape: tuple[int, int], dtype: torch.dtype, device: torch.device, room: Room, *, product: torch.dtype | None = None
) -> Tensor:
    """An uninitialised matrix [R, D] in the fastest memory that has room: the device's, the host's, or a file's.

    product: the precision of a second copy, of which training gathers, if it needs one.
    Raises TrainingError where not even the disk has room.
    """
    rows, columns = shape
    values = rows * columns
    if values * (dtype.itemsize + (product.itemsize if product else 0)) <= room.device:
        return torch.empty(shape, dtype=dtype, device=device)
    if device.type != "cpu" and values * dtype.itemsize <= room.host:
        return torch.empty(shape, dtype=dtype)
    return mapped_rows(rows, columns, dtype, room.folder)


def mapped_rows(rows: int, columns: int, dtype: torch.dtype, folder: str | None = None) -> Tensor:
    """A tensor [rows, columns], zeros as yet, whose values lie in a file.

    The system holds in memory what is in use and takes it back when others need it. The file is gone with the tensor,
    and with the process if that is killed. folder: where it lies; None: the system's folder for temporary files.
    Raises TrainingError where the disk has no place for all of it.
    """
    size = rows * columns * dtype.itemsize
    folder = folder or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), size)
            mapping = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise TrainingError(
            f"the matrix of all folds has {size / 1e9:.1f} GB, more than memory may hold, and no file of that size can "
            f"be made in {folder} ({error.strerror}); free space there, or raise train.device_memory"
        ) from error
    return torch.frombuffer(mapping, dtype=dtype).view(rows, columns)


def _reserve(file: int, size: int) -> None:
    # a file with holes would kill the process, without a word, at the first page that the disk has no block for
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
