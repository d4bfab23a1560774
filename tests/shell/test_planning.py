"""--explain-packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.planning import size_of

if TYPE_CHECKING:
    from tests.shell.conftest import Project


def test_packs_of_a_training_are_printed_and_nothing_is_trained(project: Project) -> None:
    """Folds x seeds: 3 x 2 networks, 3 at most at a time, in the pack that is trained afterwards."""
    out = project.must("train", "--explain-packs")
    assert "6 networks in 1 pack on cpu" in out
    assert "6 networks, 3 side by side in 2 rounds (train.pack_size allows 3)" in out
    assert "peak " in out
    assert "weights " in out
    assert not list(project.models.glob("train-*"))
    trained = project.must("train")
    assert "train       computed" in trained


def test_packs_of_a_sweep_are_those_of_one_batch(project: Project) -> None:
    """Four candidates times three folds; candidates of unlike depth are apart, and it is said why."""
    depths = ("--set", "search.parallel=6", "--set", 'search.space={"model.depth" = {integer = [1, 2]}}')
    out = project.must("search", "--explain-packs", *depths)
    assert "18 networks in 2 packs on cpu" in out
    assert "apart from pack 1: depth 2, not 1" in out
    assert not list(project.models.rglob("*.journal"))


def test_packs_that_were_cut_for_workers_are_explained_by_that(project: Project) -> None:
    """Their networks are equal; of two kinds in two packs each, a piece is apart from its own kind's first one."""
    out = project.must("train", "--explain-packs", "--workers", "2")
    assert "6 networks in 2 packs on cpu" in out
    assert "apart from pack 1: widths 10-8-1 too: one pack was cut in 2 for 2 workers (train.workers)" in out
    assert "padded" not in out
    depths = ("--set", "search.parallel=6", "--set", 'search.space={"model.depth" = {choice = [2, 1]}}')
    out = project.must("search", "--explain-packs", "--workers", "4", *depths)
    reasons = [line.split("apart from ")[1] for line in out.splitlines() if "apart from" in line]
    kinds = [reason.partition(":")[2].split()[0] for reason in reasons]
    assert kinds.count("depth") == 1
    assert kinds.count("widths") == len(kinds) - 1 >= 2


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1023 << 10, "1023 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5 MiB"),
        (3 << 29, "1.5 GiB"),
    ],
)
def test_sizes_have_a_unit_that_suits_them(size: int, words: str) -> None:
    """Three digits."""
    assert size_of(size) == words
