"""Rows that do not fit into memory, through the whole command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.mapped import mapped_rows

if TYPE_CHECKING:
    import pytest
    import torch

    from tests.shell.conftest import Project


def test_a_training_in_little_memory_gives_the_same_submission(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, from a file beside the artifacts that is gone afterwards; how much memory is not in the key."""
    little = ("--set", "train.device_memory=0.000001")
    project.must("submit")
    submission = (project.reports / "submission.csv").read_bytes()
    assert "cached" in project.must("train", *little)
    for artifact in [*project.models.glob("train-*"), *project.reports.glob("submission*")]:
        artifact.unlink()
    before = {file.name for file in project.models.iterdir()}
    folders = []

    def noted(rows: int, columns: int, dtype: torch.dtype, folder: str) -> torch.Tensor:
        folders.append(Path(folder).resolve())
        return mapped_rows(rows, columns, dtype, folder)

    monkeypatch.setattr("pipeline.engine.mapped.mapped_rows", noted)
    assert "computed" in project.must("submit", *little)
    assert folders == [project.models.resolve()]
    assert (project.reports / "submission.csv").read_bytes() == submission
    assert all(name.startswith("train-") for name in {file.name for file in project.models.iterdir()} - before)
