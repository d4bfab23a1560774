"""Want of memory: known by its many names, and lines of a tensor that are kept where there is none."""

import pytest
import torch

from pipeline.engine import room
from pipeline.engine.room import chosen, runs_out

NAMES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
]


def failing(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize("error", NAMES, ids=str)
def test_want_of_memory_is_known_by_all_its_names(error):
    """Of PyTorch on a CPU and a GPU, of Python, cuBLAS, CUDA itself and Triton."""
    assert runs_out(failing(error))


@pytest.mark.parametrize("said", ["shapes do not agree", "CUDA error: an illegal memory access was encountered"])
def test_other_errors_arrive(said):
    """An illegal access to memory is no want of it."""
    with pytest.raises(RuntimeError, match=said):
        runs_out(failing(RuntimeError(said)))
    assert not runs_out(lambda: None)


@pytest.mark.parametrize("places", [[1, 3, 4], [0, 1], [4], [0, 1, 2, 3, 4]])
def test_lines_are_kept_also_where_there_is_no_room_for_a_copy(monkeypatch, places):
    """The same lines; with room a copy, without it the same memory."""
    values = torch.arange(15.0).view(5, 3)
    expected, index = values.clone()[places], torch.tensor(places)
    copied = chosen(values, index)
    assert torch.equal(copied, expected)
    assert copied.data_ptr() != values.data_ptr()

    def full(work):
        return True

    monkeypatch.setattr(room, "runs_out", full)
    moved = chosen(values, index)
    assert torch.equal(moved, expected)
    assert moved.data_ptr() == values.data_ptr()
