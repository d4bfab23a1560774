"""`summary`: the network that training would build, in lines; nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.summarising import size

if TYPE_CHECKING:
    from tests.shell.conftest import Project


SIDE_BY_SIDE = "with gradients, moments and best weights if all train side by side."


def test_layers_parameters_and_memory_are_told_and_nothing_is_trained(project: Project) -> None:
    """Area, age, four districts and two notes with their missing: 10 columns, 8 units; 97 numbers, 3 x 2 networks."""
    out = project.must("summary")
    lines = out[out.index("layer ") :].splitlines()
    assert lines == [
        "layer   step               output   parameters  trained  starts at",
        "        input              [B, 10]",
        "1       linear             [B, 8]           88       88  weight std 0.183, bias std 0.183",
        "1       silu, dropout 0.3  [B, 8]",
        "output  linear             [B, 1]            9        9  weight std 0.204, bias std 0.204",
        "B: rows of a batch, 32. Initialisation: pytorch.",
        "One network: 97 trained parameters; 388 bytes; 0.606 for each of its 160 training rows.",
        f"Training: 6 networks (3 folds x 2 seeds), 582 trained parameters; 2.3 KiB to keep, 11.4 KiB {SIDE_BY_SIDE}",
    ]
    assert not project.models.exists()


def test_settings_are_obeyed(project: Project) -> None:
    """Another network, in another precision, with refits, before anything is trained."""
    words = "model.norm=batch model.init=data_driven train.refit=true train.precision=fp64 train.seeds=1"
    out = project.must("summary", *(part for word in words.split() for part in ("--set", word)))
    assert "1       batch norm         [B, 8]           32       16  scale 1, shift 0" in out
    assert "Initialisation: data_driven; what is drawn at these stds is then scaled to unit variance" in out
    assert "One network: 105 trained parameters, and 16 that follow the batches; 968 bytes" in out
    assert "4 networks (3 folds x 1 seed + 1 refit on all rows)" in out


def test_a_tuned_network_needs_its_sweep(project: Project) -> None:
    """As training does: a summary of other hyperparameters would mislead."""
    code, _, err = project.run("summary", "--set", "train.tuned=true")
    assert (code, "sweep" in err) == (2, True)


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (1 << 60, "1,048,576.0 TiB")],
)
def test_bytes_come_in_the_unit_that_suits_them(count: int, said: str) -> None:
    """Powers of 1024."""
    assert size(count) == said
