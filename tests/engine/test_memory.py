"""What a pack will hold at its peak, against what it does hold: a training's tensors counted as they come and go."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import job, rows_and_target

from pipeline.engine import memory, rehearsal
from pipeline.engine.data import Data
from pipeline.engine.fit import Watch, fit
from pipeline.engine.gradients import GradientRule
from pipeline.engine.live import LiveBytes
from pipeline.engine.memory import Circumstances, bound, lasting, moments, peak, working_set
from pipeline.engine.networks import ACTIVATIONS
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import padded_network
from pipeline.engine.rehearsal import Precision
from pipeline.engine.sources import Resident
from pipeline.fits import Network

WIDE = Network(inputs=60, hidden=(48, 40), activation="relu", init="pytorch", init_scale=0.01)
FP32 = Precision(torch.float32)
BF16 = Precision(torch.float32, torch.bfloat16)


def wide(**changes):
    """130 training rows and 40 others, batches of 64, 2 epochs of a 60-48-40-1 network; with the given changes."""
    given = {"network": WIDE, "train_rows": np.arange(130), "valid_rows": np.arange(130, 170), "batch_size": 64}
    return job(**{**given, "epochs": 2, **changes})


def measured(jobs, precision, *, is_judged, slots=0):
    """Bytes at the peak of a real training."""
    matrix, target = rows_and_target(170, jobs[0].network.inputs, dtype=precision.weights)
    judge = (lambda _member, _rows, outputs: float(np.square(outputs).mean())) if is_judged else None
    data = Data(Resident(matrix.to(precision.rows)), target, precision.product)
    with LiveBytes() as live:
        fit(jobs, data, watch=Watch(judge, train_curve_points=1), slots=slots)
    return live.peak


def of(jobs, precision=FP32, *, slots=0, **at):
    """The fullest moment. Where networks are scored, so they are on their training rows after one epoch."""
    network = padded_network([own.network for own in jobs])
    return peak(jobs, network, slots or len(jobs), Circumstances(precision, train_curve_points=1, **at))


def norm(kind):
    """The wide network with norms."""
    return replace(WIDE, norm=kind)


CASES = {
    "alone": [wide()],
    "twelve with dropout": [wide(dropout=0.2)] * 12,
    "batches of 8": [wide(batch_size=8)] * 4,
    "batch norm": [wide(network=norm("batch"), dropout=0.1)] * 3,
    "layer norm, unequal widths": [
        wide(network=replace(norm("layer"), hidden=(width, 40)), dropout=0.2) for width in (48, 40, 44)
    ],
    "shortcuts": [wide(network=replace(WIDE, hidden=(48, 40, 40), skips=("", "product", "same")))] * 3,
    "unequal rows": [wide(train_rows=np.arange(120 + i), network=norm("batch")) for i in range(4)],
    "a linear model": [wide(network=replace(WIDE, hidden=()))] * 10,
    "a data-driven start": [wide(network=replace(WIDE, init="data_driven"))] * 3,
    "all bounds": [wide(gradient=GradientRule(0.1, 1.0, 1.0))] * 3,
    "sgd": [wide(rule=Rule(kind="sgd"))] * 3,
    "rmsprop, written out": [wide(rule=Rule(kind="rmsprop", momentum=0.9, weight_decay=0.1), batch_size=4)] * 3,
    "rmsprop with bounds": [wide(rule=Rule(kind="rmsprop"), gradient=GradientRule(0.1), batch_size=4)] * 3,
    "one by one": [wide(epochs=1 + i) for i in range(6)],
    "scored in slices": [
        wide(network=replace(WIDE, inputs=5, hidden=(512,)), valid_rows=np.arange(20_000) % 170, epochs=1)
    ]
    * 2,
    "one by one, few rows": [wide(epochs=1 + i, batch_size=4, train_rows=np.arange(12)) for i in range(6)],
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_peak_is_foreseen_within_a_tenth(name):
    """Whatever the network, its optimizer and its company."""
    found = measured(CASES[name], FP32, is_judged=False)
    assert of(CASES[name], is_judged=False).total == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize("name", ["alone", "twelve with dropout", "one by one", "scored in slices"])
def test_so_it_is_where_networks_are_scored(name):
    """All rows of a fold at once may be more than a step's."""
    assert of(CASES[name]).total == pytest.approx(measured(CASES[name], FP32, is_judged=True), rel=0.1)


@pytest.mark.parametrize("precision", [BF16, Precision(torch.float64)], ids=["bf16", "fp64"])
def test_so_it_is_in_other_precisions(precision):
    """Casts of weights, a half as large; or all twice as large."""
    jobs = [wide(network=norm("batch"), dropout=0.2)] * 4
    assert of(jobs, precision).total == pytest.approx(measured(jobs, precision, is_judged=True), rel=0.1)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
def test_so_it_is_with_every_activation(activation):
    """Some keep what they were given for the way back, some what they gave."""
    jobs = [wide(network=replace(WIDE, activation=activation))] * 3
    assert of(jobs, is_judged=False).total == pytest.approx(measured(jobs, FP32, is_judged=False), rel=0.1)


def test_so_it_is_where_places_are_refilled():
    """Three side by side of seven that end at different times."""
    jobs = [wide(epochs=1 + i % 3) for i in range(7)]
    assert of(jobs, slots=3).total == pytest.approx(measured(jobs, FP32, is_judged=True, slots=3), rel=0.1)


BOUNDED = {
    **CASES,
    "few columns, wide layers, many rows": [
        wide(network=replace(WIDE, inputs=5, hidden=(512, 512)), valid_rows=np.arange(100_000))
    ]
    * 4,
    "rows by the million": [wide(network=replace(WIDE, inputs=20, hidden=()), train_rows=np.arange(1_000_000))] * 2,
    "outputs by the million": [wide(network=replace(WIDE, inputs=1, hidden=()), valid_rows=range(60_000_000))] * 2,
    "wide layers in large batches, all bounds": [
        wide(
            network=replace(norm("layer"), inputs=1, hidden=(200,), skips=("",)),
            train_rows=np.arange(5000),
            batch_size=500,
            dropout=0.2,
            rule=Rule("rmsprop", momentum=0.9, weight_decay=0.1),
            gradient=GradientRule(0.1, 1.0, 1.0),
        )
    ]
    * 7,
    "data-driven, few rows a step": [
        wide(network=replace(WIDE, inputs=1, hidden=(1, 60), init="data_driven"), batch_size=2)
    ],
}


@pytest.mark.parametrize("precision", [FP32, BF16, Precision(torch.float64)], ids=["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("name", list(BOUNDED))
def test_the_bound_that_needs_no_rehearsal_is_above_the_peak(name, precision):
    """Whatever is fullest: a step, a look at the rows, a draw, a copy."""
    jobs = BOUNDED[name]
    network = padded_network([own.network for own in jobs])
    for at in (
        Circumstances(precision, train_curve_points=1, is_saved=True, is_pruned=True),
        Circumstances(precision, is_judged=False),
    ):
        assert peak(jobs, network, len(jobs), at).total < bound(jobs, network, len(jobs), at)


def test_rows_are_scored_in_slices_that_do_not_grow_with_layers_networks_or_rows():
    """5 columns into 512 units, 400 000 rows: some tensors of 16 MB, be they of 4 networks or 16."""
    narrow = replace(WIDE, inputs=5, hidden=(512, 512))
    for count in (4, 16):
        jobs = [wide(network=narrow, valid_rows=np.arange(400_000))] * count
        scored = next(m for m in moments(jobs, narrow, count, Circumstances(FP32)) if m.when == "networks are scored")
        assert scored.items["rows to score"] + scored.items["scoring"] < 4 * (16 << 20)
        assert scored.items["row numbers and outputs"] == count * 400_000 * (4 + 4 + 4 + 8)


def test_what_lasts_is_counted_from_shapes():
    """Two networks 3-2-1: 11 numbers each. AdamW in fp32; 10 rows in batches of 4 are 12 places; 15 steps and one."""
    small = replace(WIDE, inputs=3, hidden=(2,))
    held = lasting([job(network=small)], small, 2, FP32)
    assert held == {
        "weights": 2 * 11 * 4,
        "best weights": 2 * 11 * 4,
        "first moments": 2 * 11 * 4,
        "second moments": 2 * 11 * 4,
        "row numbers and orders": 2 * 12 * 2 * 4,
        "learning rates": 2 * 16 * 2 * 8,
    }
    plain = lasting([job(network=small, rule=Rule(kind="sgd"))], small, 2, FP32)
    assert (plain["first moments"], plain["second moments"]) == (0, 0)
    running = lasting([job(network=small)], replace(small, norm="batch"), 1, FP32)
    assert running["weights"] - running["first moments"] == 2 * 2 * 4  # a mean and a variance of each hidden unit


def test_a_step_touches_weights_gradients_moments_and_what_its_rows_become():
    """3-2-1 under AdamW: 4 times 11 numbers; a batch of 4 rows: 3 values in, 2 outputs and 2 gradients; masks."""
    small = replace(WIDE, inputs=3, hidden=(2,))
    assert working_set(job(network=small), small, FP32) == 4 * (4 * 11 + 4 * (3 + 2 * 2))
    assert working_set(job(network=small, dropout=0.5), small, FP32) == 4 * (4 * 11 + 4 * (3 + 4 * 2))
    assert working_set(job(network=small), small, BF16) == 4 * 4 * 11 + 2 * 4 * (3 + 2 * 2)


def test_items_are_named_and_add_up():
    """The layers of a step one by one."""
    step = next(moment for moment in moments([wide()] * 2, WIDE, 2, Circumstances(FP32)) if moment.when == "a step")
    assert {"weights", "best weights", "rows of the batch", "layer 1", "layer 2"} <= set(step.items)
    assert step.total == sum(step.items.values())


def test_circumstances_add_what_they_add():
    """A checkpoint copies moments, on a CPU everything else too; a captured step keeps its memory; pruning copies."""

    def found(**at):
        return {moment.when: moment.total for moment in moments([wide()] * 4, WIDE, 4, Circumstances(FP32, **at))}

    plain = found()
    held = lasting([wide()], WIDE, 4, FP32)
    moved = held["first moments"] + held["second moments"]
    assert found(is_saved=True, on_gpu=True)["a checkpoint is made"] == sum(held.values()) + moved
    assert found(is_saved=True)["a checkpoint is made"] > sum(held.values()) + 3 * moved
    step = found(on_gpu=True)["a step"] - sum(held.values())
    scored = found(on_gpu=True, is_captured=True)["networks are scored"]
    assert scored == found(on_gpu=True)["networks are scored"] + step
    assert "a network leaves" in found(is_pruned=True)
    batch = 4 * 64 * 60 * 4
    assert found(is_streamed=True)["a step"] - plain["a step"] == batch
    assert found(is_streamed=True, is_captured=True)["a step"] - plain["a step"] == 3 * batch
    unlike = [wide(key=i) for i in range(4)]  # no two draw the same rows, so that none are sent once and spread
    at = Circumstances(FP32, is_streamed=True, is_captured=True)
    [step] = [moment for moment in moments(unlike, WIDE, 4, at) if moment.when == "a step"]
    assert step.items["rows on their way"] == 2 * batch
    assert "a network leaves" not in plain


def test_a_network_that_cannot_be_rehearsed_is_guessed(monkeypatch):
    """One that somebody else wrote may need numbers; then there is a guess, which is rather too large."""

    def fails(*_given):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    known = of([wide()] * 3)
    for name in ("beginning", "step", "scoring"):
        monkeypatch.setattr(rehearsal, name, fails)
    assert known.total <= of([wide()] * 3).total <= 3 * known.total


def test_memory_is_not_reached_for_a_cpu_plan(monkeypatch):
    """A plan for a CPU costs nothing: the working set is arithmetic, PyTorch's machinery for meta stays asleep."""
    monkeypatch.setattr(memory, "rehearsal", None)
    assert working_set(wide(), WIDE, FP32) > 0
