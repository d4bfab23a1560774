"""A summary counts what training builds: layers by hand, parameters as torch counts them, memory by its bytes."""

from dataclasses import replace

import pytest
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu
from torch import nn

from pipeline.fits import Network
from pipeline.stages.summary import steps_of, summarise
from pipeline.stages.train import train
from pipeline.training_settings import Model, Train

pytestmark = pytest.mark.usefixtures("one_thread")

DESIGN = design_of(generated_dataset(train_rows=31))
D = len(DESIGN.columns)
NORMED = Network(
    inputs=300, hidden=(200, 100), activation="relu", init="pytorch", init_scale=0.01, norm="batch",
    skips=("", "product"),
)  # fmt: skip


def summary(model=SMALL_MODEL, *, precision="fp32", **changes):
    settings = Train(**(SHORT_TRAINING.model_dump() | changes))
    return summarise(DESIGN, model=model, train=settings, compute=on_cpu(precision).compute)


def test_a_network_is_told_step_by_step():
    """By hand: 300 x 200, no bias before batch normalisation; its 2 x 200 trained and 2 x 200 running numbers."""
    steps = [(s.layer, s.name, s.outputs, s.parameters, s.trained, s.starts) for s in steps_of(NORMED, 0.25)]
    assert steps == [
        (0, "input", 300, 0, 0, ""),
        (1, "linear", 200, 60_000, 60_000, "weight std 0.0333"),
        (1, "batch norm", 200, 800, 400, "scale 1, shift 0"),
        (1, "relu, dropout 0.25", 200, 0, 0, ""),
        (2, "linear", 100, 20_000, 20_000, "weight std 0.0408"),
        (2, "batch norm", 100, 400, 200, "scale 1, shift 0"),
        (2, "relu, dropout 0.25", 100, 0, 0, ""),
        (2, "shortcut", 100, 20_000, 20_000, "skip std 0.0408"),
        (3, "linear", 1, 101, 101, "weight std 0.0577, bias std 0.0577"),
    ]


def test_parameters_are_those_that_torch_counts():
    """nn.Linear, nn.BatchNorm1d, nn.LayerNorm of the same sizes: parameters, and buffers but for their counters."""
    for norm, layer in (("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm), ("none", nn.Identity)):
        network = Network(300, (200, 100), "relu", "pytorch", 0.01, norm=norm)
        sizes = [(300, 200), (200, 100)]
        hidden = [part for n, m in sizes for part in (nn.Linear(n, m, bias=norm != "batch"), layer(m), nn.ReLU())]
        plain = nn.Sequential(*hidden, nn.Linear(100, 1))
        trained = sum(p.numel() for p in plain.parameters())
        buffers = sum(b.numel() for name, b in plain.named_buffers() if "running" in name)
        steps = list(steps_of(network, 0.0))
        assert sum(step.trained for step in steps) == trained
        assert sum(step.parameters for step in steps) == trained + buffers


def test_the_steps_hold_all_that_the_network_holds():
    """Nothing trained or running is left out: the sums of every kind of network are the network's own."""
    for norm in ("none", "batch", "layer"):
        for skips in ((), ("", "", "same"), ("", "product", "product")):
            network = Network(7, (5, 4, 5), "gelu", "kaiming_normal", 0.01, norm=norm, skips=skips)
            steps = list(steps_of(network, 0.1))
            assert sum(step.trained for step in steps) == network.parameters
            running = sum(n * m for n, m in network.running.values())
            assert sum(step.parameters for step in steps) == network.parameters + running


def test_biases_that_are_not_drawn_start_at_0():
    """Only pytorch draws them."""
    (step,) = (s for s in steps_of(replace(NORMED, hidden=(), skips=(), init="normal"), 0.0) if s.name == "linear")
    assert step.starts == "weight std 0.01, bias 0"


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("model", [SMALL_MODEL, Model(kind="linear"), SMALL_MODEL.model_copy(update={"norm": "batch"})])
def test_it_is_what_training_builds(model, refit):
    """The network, how many of them, and the bytes of all weights that a training really keeps."""
    found = summary(model, epochs=1, refit=refit, precision="fp32")
    fits = train(
        DESIGN, model=model, train=Train(**(SHORT_TRAINING.model_dump() | {"epochs": 1, "refit": refit})),
        metric="rmse", runtime=on_cpu("fp32"),
    )  # fmt: skip
    assert found.network == fits.network
    assert found.networks == len(fits.jobs)
    assert found.kept_bytes == sum(values.nbytes for values in fits.weights.values())


def test_bytes_follow_the_precision_of_weights():
    """fp64 twice fp32; bf16 keeps its weights in fp32. Training holds five numbers for each that is trained."""
    found = {precision: summary(precision=precision) for precision in ("fp32", "fp64", "bf16")}
    parameters = D * 6 + 6 + 6 + 1
    assert found["fp32"].network_bytes == found["bf16"].network_bytes == 4 * parameters
    assert found["fp64"].network_bytes == 8 * parameters
    assert found["fp32"].kept_bytes == 6 * 4 * parameters
    assert found["fp32"].training_bytes == 5 * found["fp32"].kept_bytes


def test_running_statistics_have_no_gradients_and_moments():
    """They are kept twice while training, now and of the best epoch; a trained number five times."""
    found = summary(SMALL_MODEL.model_copy(update={"norm": "batch"}))
    trained, running = D * 6 + 6 + 6 + 6 + 1, 2 * 6
    assert (found.trained, found.parameters) == (trained, trained + running)
    assert found.training_bytes == 6 * 4 * (5 * trained + 2 * running)


def test_rows_are_those_of_the_smallest_fold():
    """Of 31 rows one fold scores eleven, so twenty train it; a batch never has more rows than the table."""
    found = summary(batch_size=4096)
    assert (found.rows, found.batch_size) == (20, 31)
