"""Which memory rows are made in, and rows in a file without a name."""

import errno
import gc
import os
from pathlib import Path

import pytest
import torch

from pipeline.engine.mapped import empty_rows, mapped_rows
from pipeline.errors import TrainingError
from pipeline.runtime import Room

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_is_a_tensor_like_any_other(dtype, tmp_path):
    """Zeros at first; what is written is read again, through views too."""
    rows = mapped_rows(5, 3, dtype, str(tmp_path))
    assert (rows.shape, rows.dtype) == ((5, 3), dtype)
    assert not rows.any()
    rows[1:4] = torch.arange(9).view(3, 3).to(dtype)
    assert rows[torch.tensor([3, 0, 1])].tolist() == [[6, 7, 8], [0, 0, 0], [0, 1, 2]]


def open_files(folder):
    """What this process still holds of a folder, unlisted files included."""
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [link for link in links if link.startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_the_file_is_never_listed_and_goes_with_the_last_tensor(tmp_path):
    """So nothing is left behind by a process that is killed; a view keeps the file."""
    rows = mapped_rows(1000, 10, torch.float32, str(tmp_path))
    view = rows[10:]
    view.fill_(1.0)
    assert list(tmp_path.iterdir()) == []
    assert len(open_files(tmp_path)) == 1
    del rows
    gc.collect()
    assert len(open_files(tmp_path)) == 1
    assert view.sum() == 9900
    del view
    gc.collect()
    assert open_files(tmp_path) == []


def test_the_system_folder_is_taken_where_none_is_named():
    """No argument is needed."""
    assert mapped_rows(2, 2, torch.float32).shape == (2, 2)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks cannot be reserved on this system")
def test_a_full_disk_is_a_sentence_before_any_row_is_written(monkeypatch, tmp_path):
    """Not a signal that kills the process at some later write."""

    def full(file, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TrainingError) as raised:
        mapped_rows(1_000_000_000, 100, torch.float32, str(tmp_path))
    assert str(raised.value) == (
        "the matrix of all folds has 400.0 GB, more than memory may hold, and no file of that size can be made in "
        f"{tmp_path} (No space left on device); free space there, or raise train.device_memory"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks cannot be reserved on this system")
def test_its_blocks_are_reserved(tmp_path, monkeypatch):
    """All of them: a file with holes would fail in its middle."""
    reserved = []
    real = os.posix_fallocate

    def seen(file, offset, size):
        real(file, offset, size)
        reserved.append((offset, size, os.fstat(file).st_blocks * 512 >= size))

    monkeypatch.setattr(os, "posix_fallocate", seen)
    mapped_rows(1000, 7, torch.float64, str(tmp_path))
    assert reserved == [(0, 56000, True)]


@pytest.mark.parametrize(
    ("room", "product", "mapped"),
    [
        (Room(600, 600), None, False),
        (Room(599, 599), None, True),
        (Room(900, 900), torch.bfloat16, False),
        (Room(899, 899), torch.bfloat16, True),
    ],
)
def test_rows_are_made_in_memory_as_long_as_they_and_their_copy_fit(room, product, mapped, monkeypatch):
    """50 x 3 float32 are 600 bytes, with a copy in bf16 900."""
    files = []

    def noted(*shape_and_more):
        files.append(shape_and_more)
        return mapped_rows(*shape_and_more)

    monkeypatch.setattr("pipeline.engine.mapped.mapped_rows", noted)
    rows = empty_rows((50, 3), torch.float32, CPU, room, product=product)
    assert (rows.shape, rows.dtype) == ((50, 3), torch.float32)
    assert files == ([(50, 3, torch.float32, None)] if mapped else [])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use")
def test_cuda_rows_are_made_on_the_device_else_on_the_host_else_in_a_file(monkeypatch):
    """600 bytes, wherever the first room for them is."""
    device, files = torch.device("cuda", torch.cuda.current_device()), []
    monkeypatch.setattr("pipeline.engine.mapped.mapped_rows", lambda *rows: files.append(rows))
    assert empty_rows((50, 3), torch.float32, device, Room(600, 0)).device == device
    assert empty_rows((50, 3), torch.float32, device, Room(599, 600)).device == CPU
    assert not files
    empty_rows((50, 3), torch.float32, device, Room(599, 599))
    assert len(files) == 1
