"""The training loop: alone equals company, and company equals a plain loop with nn.Linear and torch.optim."""

import itertools
import math
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.engine.draws import DropoutDraws, job_key, permutations, stream
from pipeline.engine.fit import Watch, fit
from pipeline.engine.gradients import GradientRule
from pipeline.engine.init import initial_tensors
from pipeline.engine.networks import KEEPS_ZERO, layer_shapes
from pipeline.engine.optimizers import Rule
from pipeline.engine.pack import PackState
from pipeline.engine.schedules import Plateau, rates
from pipeline.engine.step import train_step
from pipeline.fits import Network

pytestmark = pytest.mark.usefixtures("one_thread")
MATRIX, TARGET = rows_and_target(rows=60)
ADAM_L2 = Rule(decoupled=False, weight_decay=0.1, beta1=0.8, beta2=0.99, epsilon=1e-6)
ADAMW = Rule(decoupled=True, weight_decay=0.2, beta1=0.9, beta2=0.999, epsilon=1e-8)
ROW_LOSSES = {"mse": nn.MSELoss(), "mae": nn.L1Loss(), "huber": nn.HuberLoss()}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


def judge(position, rows, outputs):
    """Mean squared error on the rows it is handed."""
    return float(np.mean((outputs - TARGET.numpy()[rows]) ** 2))


def fit_all(jobs, *, dtype=torch.float64, judge=judge, **options):
    watch = Watch(judge, options.pop("train_curve_points", 0), options.pop("on_progress", None))
    return fit(jobs, resident(MATRIX.to(dtype), TARGET.to(dtype)), watch=watch, **options)


def assert_same(found, expected, tolerance):
    """Weights to the tolerance; epochs, their choice and the reason for stopping exactly."""
    for tensor, oracle in zip(found.tensors, expected.tensors, strict=True):
        np.testing.assert_allclose(tensor, oracle, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.curve.valid, expected.curve.valid, rtol=max(tolerance, 1e-12) * 10)
    assert (found.curve.best_epoch, found.curve.stopped) == (expected.curve.best_epoch, expected.curve.stopped)


def assert_same_bits(found, expected):
    """Every number of the weights, bit for bit."""
    for tensor, oracle in zip(found.tensors, expected.tensors, strict=True):
        assert tensor.tobytes() == oracle.tobytes()


# --- against a plain loop


def train_slowly(own):
    """One network as everyone writes it: nn.Linear, torch.optim, a loss's mean over each batch, a validation look.

    Row order and dropout are drawn for this job alone, at its own width. Returns weights and score of every epoch.
    """
    key = torch.tensor([own.key])
    initial = initial_tensors(own.network, key, torch.float64)
    linears = [nn.Linear(*sizes, dtype=torch.float64) for sizes in own.network.layer_sizes]
    for layer, linear in enumerate(linears):
        linear.weight.data, linear.bias.data = initial[2 * layer][0].T.clone(), initial[2 * layer + 1][0, 0].clone()
    rule, rows = own.rule, torch.tensor(own.train_rows)
    optimizer = (torch.optim.AdamW if rule.decoupled else torch.optim.Adam)(
        [p for linear in linears for p in linear.parameters()],
        betas=(rule.beta1, rule.beta2), eps=rule.epsilon, weight_decay=rule.weight_decay,
    )  # fmt: skip
    draws, activation = DropoutDraws(torch.tensor([own.dropout]), torch.float64), ACTIVATIONS[own.network.activation]()
    lrs, step, weights, scores = own.lr * rates(own.schedule, own.steps), 0, [], []

    def outputs(batch, at=None):
        for layer, linear in enumerate(linears[:-1]):
            batch = activation(linear(batch))
            batch = batch if at is None else draws.apply(batch[None], stream(key, 3, at, layer))[0]
        return linears[-1](batch).squeeze(-1)

    for epoch in range(own.epochs):
        order = rows[permutations(stream(key, 2, epoch), torch.tensor([len(rows)]), len(rows))[0]]
        for batch in order.split(own.batch_size):
            optimizer.param_groups[0]["lr"] = lrs[step]
            optimizer.zero_grad()
            ROW_LOSSES[own.loss](outputs(MATRIX[batch], step), TARGET[batch]).backward()
            optimizer.step()
            step += 1
        weights.append([p.detach().numpy().copy() for linear in linears for p in (linear.weight.T, linear.bias[None])])
        scores.append(judge(0, own.valid_rows, outputs(MATRIX[own.valid_rows]).detach().numpy()))
    return weights, scores


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rule": ADAMW, "schedule": "one_cycle", "lr": 0.05},
        {"rule": ADAM_L2, "schedule": "cosine"},
        {"loss": "mae", "train_rows": np.arange(0, 26, 2)},
        {"loss": "huber", "batch_size": 7},
        {"dropout": 0.3},
        {"network": Network(3, (), "relu", "normal", 0.01)},
        {"network": Network(3, (6,), "tanh", "xavier_uniform", 0.01), "dropout": 0.5},
        {"network": Network(3, (6, 6, 6), "silu", "kaiming_normal", 0.01)},
        {"batch_size": 64},
        {"train_rows": np.array([3])},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
@pytest.mark.parametrize("restore_best", [True, False])
def test_a_job_equals_a_plain_training_loop(changes, restore_best):
    """Ten rows in batches of 4, 4 and 2 (and other shapes): weights, scores and best epoch of the slow loop above."""
    own = job(**{"epochs": 6, "lr": 0.02, "valid_rows": np.arange(30, 50)} | changes, restore_best=restore_best)
    weights, scores = train_slowly(own)
    chosen = int(np.argmin(scores)) if restore_best else own.epochs - 1
    [found] = fit_all([own])
    assert found.curve.best_epoch == chosen
    assert found.curve.stopped == "finished"
    np.testing.assert_allclose(found.curve.valid, scores, rtol=1e-10)
    for tensor, oracle in zip(found.tensors, weights[chosen], strict=True):
        np.testing.assert_allclose(tensor, oracle, rtol=1e-9, atol=1e-12)


# --- alone equals company

# one shape; everything that may differ inside a pack does: rows 5 to 25 (2 to 7 steps an epoch), 2 to 12 epochs
POOL = [
    job(key=job_key(0, 0), train_rows=np.arange(25), valid_rows=np.arange(40, 60), epochs=7, lr=0.02),
    job(key=job_key(0, 1), train_rows=np.arange(5, 18), valid_rows=np.arange(30, 33), epochs=12, dropout=0.4),
    job(key=job_key(1, 0), train_rows=np.arange(5), valid_rows=np.arange(20, 60), epochs=2, rule=ADAMW, lr=0.1),
    job(key=job_key(1, 1), train_rows=np.arange(0, 60, 3), valid_rows=np.arange(1, 60, 3), epochs=10, rule=ADAM_L2,
        schedule="one_cycle", lr=0.05, patience=2),
    job(key=job_key(2, 0), train_rows=np.arange(12), valid_rows=np.arange(12, 60), epochs=9, lr=0.3, patience=1,
        dropout=0.1, schedule="cosine"),
    job(key=job_key(2, 1), train_rows=np.arange(40, 56), valid_rows=np.arange(0), epochs=6, dropout=0.25,
        restore_best=False, rule=ADAMW),
]  # fmt: skip
compositions = st.lists(st.sampled_from(range(len(POOL))), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def alone():
    """Each job of the pool trained by itself, in both precisions."""
    return {(dtype, i): fit_all([own], dtype=dtype)[0]
            for dtype in (torch.float32, torch.float64) for i, own in enumerate(POOL)}  # fmt: skip


def test_the_pool_covers_early_leavers_and_patience(alone):
    """Its jobs end after different numbers of steps, one of them by patience: else the laws below say little."""
    ends = {i: len(alone[torch.float64, i].curve.valid) * own.steps_per_epoch for i, own in enumerate(POOL)}
    assert len(set(ends.values())) >= 5
    assert max(ends.values()) >= 48
    assert "patience" in {alone[torch.float64, i].curve.stopped for i in range(len(POOL))}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
@settings(max_examples=40)
@given(chosen=compositions)
def test_a_job_trains_the_same_alone_and_in_any_company(alone, dtype, tolerance, chosen):
    """Packs of any composition and order, twins included: up to 49 steps later the weights are those trained alone."""
    for i, found in zip(chosen, fit_all([POOL[i] for i in chosen], dtype=dtype), strict=True):
        assert_same(found, alone[dtype, i], tolerance)


def test_early_leavers_change_nothing_for_those_who_stay(alone):
    """Job 1 trains on for 12 epochs while its neighbours leave one after the other, before and behind it."""
    leavers = [job(key=9 + epochs, epochs=epochs, train_rows=np.arange(8)) for epochs in (1, 2, 3, 5, 8)]
    for place in range(len(leavers) + 1):
        found = fit_all([*leavers[:place], POOL[1], *leavers[place:]])[place]
        assert_same(found, alone[torch.float64, 1], 1e-9)


def test_candidates_of_one_fold_and_seed_start_alike_and_see_the_same_batches():
    """The same key with another lr: equal first gradients, so the first Adam step differs by the ratio of the lrs."""
    initial = initial_tensors(SMALL_NETWORK, torch.tensor([job_key(0, 0)]), torch.float64)[0][0].numpy()
    slow, fast = fit_all([job(epochs=1, batch_size=10, lr=1e-3), job(epochs=1, batch_size=10, lr=2e-3)], judge=None)
    np.testing.assert_allclose(fast.tensors[0] - initial, 2 * (slow.tensors[0] - initial), rtol=1e-9, atol=1e-15)


# --- a model that turns NaN


def wild(**changes):
    """A job whose lr throws its weights to 1e100 at the first step and its loss to infinity at the second."""
    return job(key=job_key(5, 5), lr=1e100, **changes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_models_nan_changes_no_bit_of_the_others(dtype, place):
    """The same pack with a neighbour that turns NaN, and with a calm one that leaves at the same step."""
    others = [POOL[0], POOL[1]]
    at_epoch = len(fit_all([wild(epochs=9)], dtype=dtype)[0].curve.valid)
    calm = job(key=job_key(5, 5), epochs=at_epoch)
    with_nan = fit_all([*others[:place], wild(epochs=9), *others[place:]], dtype=dtype)
    without = fit_all([*others[:place], calm, *others[place:]], dtype=dtype)
    assert with_nan.pop(place).curve.stopped == "not finite"
    without.pop(place)
    for found, expected in zip(with_nan, without, strict=True):
        assert_same_bits(found, expected)


def test_a_model_that_turns_nan_leaves_with_the_weights_it_had():
    """In its first epoch the initial ones, later those of its best epoch before; never one that is not finite."""
    [first] = fit_all([wild(epochs=9)], dtype=torch.float32)
    assert first.curve.stopped == "not finite"
    assert len(first.curve.valid) == 1
    initial = initial_tensors(SMALL_NETWORK, torch.tensor([job_key(5, 5)]), torch.float32)
    for tensor, start in zip(first.tensors, initial, strict=True):
        assert np.array_equal(tensor, start[0].numpy())

    poisoned, epochs = TARGET.clone(), itertools.count()

    def poison_after_two_epochs(position, rows, outputs):
        epoch = next(epochs)
        if epoch == 1:
            poisoned[:] = float("nan")
        return 1.0 + epoch

    [later] = fit([job(epochs=9)], resident(MATRIX, poisoned), watch=Watch(poison_after_two_epochs))
    assert (later.curve.stopped, len(later.curve.valid), later.curve.best_epoch) == ("not finite", 3, 0)
    assert_same_bits(later, fit_all([job(epochs=1)])[0])


# --- which weights are kept, and when training ends


def scripted(*losses):
    """A judge that reads its scores from a script instead of looking at the outputs."""
    script = iter(losses)
    return lambda position, rows, outputs: next(script)


@pytest.mark.parametrize(
    ("losses", "kept", "run"),
    [
        ([5, 4, 3, 2, 1], 4, 5),
        ([5, 1, 3, 4, 2], 1, 5),
        ([1, 1, 1, 1, 1], 0, 5),
        ([np.inf, np.inf, 3, 2, np.inf], 3, 5),
        ([np.inf] * 5, 4, 5),
    ],
)
def test_the_best_epochs_weights_are_kept(losses, kept, run):
    """By a script: the first lowest score wins, a tie changes nothing, and infinity is beaten by any number."""
    [found] = fit_all([job()], judge=scripted(*losses))
    assert (found.curve.best_epoch, len(found.curve.valid)) == (kept, run)
    [expected] = fit_all([job(epochs=kept + 1, restore_best=False)])
    assert_same_bits(found, expected)


@pytest.mark.parametrize(
    ("patience", "losses", "epochs_run", "kept"),
    [
        (1, [3, 2, 2, 9, 9, 9, 9, 9], 3, 1),
        (2, [3, 2, 4, 1, 5, 5, 9, 9], 6, 3),
        (3, [1, 2, 3, 4, 9, 9, 9, 9], 4, 0),
        (3, [8, 7, 6, 5, 4, 3, 2, 1], 8, 7),
        (0, [1, 2, 3, 4, 5, 6, 7, 8], 8, 0),
    ],
)
def test_patience_counts_epochs_without_a_better_score(patience, losses, epochs_run, kept):
    """By a script: training stops after `patience` epochs that did not beat the best, and the best is kept."""
    [found] = fit_all([job(epochs=8, patience=patience)], judge=scripted(*losses))
    assert len(found.curve.valid) == epochs_run
    assert found.curve.stopped == ("patience" if epochs_run < 8 else "finished")
    assert found.curve.best_epoch == kept


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("restore_best", [True, False])
def test_a_job_without_validation_rows_trains_to_the_end(patience, restore_best):
    """There is no score to wait for: all five epochs, the last weights, and NaN as scores, whatever its neighbour."""
    refit = job(valid_rows=np.arange(0), patience=patience, restore_best=restore_best)
    [expected] = fit_all([job(restore_best=False)])
    for found in (fit_all([refit])[0], fit_all([job(key=3), refit])[1], fit_all([refit], judge=None)[0]):
        assert found.curve.stopped == "finished"
        assert found.curve.best_epoch == 4
        assert len(found.curve.valid) == 5
        assert np.isnan(found.curve.valid).all()
        for tensor, oracle in zip(found.tensors, expected.tensors, strict=True):
            np.testing.assert_allclose(tensor, oracle, rtol=1e-10)


# --- what is reported


def test_training_rows_are_scored_at_about_the_asked_number_of_epochs():
    """Three points over five epochs: the first, the middle and the last; NaN elsewhere, and everywhere by default."""
    [found] = fit_all([job()], train_curve_points=3)
    assert np.isfinite(found.curve.train).tolist() == [True, False, True, False, True]
    assert np.isnan(fit_all([job()])[0].curve.train).all()


def test_training_and_validation_scores_are_of_the_jobs_own_rows():
    """The judge of a mixed pack sees each job's rows, unpadded, and outputs that reproduce the curve's last point."""
    seen = Counter()

    def note(position, rows, outputs):
        own = POOL[position]
        assert len(outputs) == len(rows)
        assert np.array_equal(rows, own.valid_rows) or np.array_equal(rows, own.train_rows)
        seen[position] += 1
        return judge(position, rows, outputs)

    results = fit_all(POOL, judge=note, train_curve_points=100)
    for position, (own, found) in enumerate(zip(POOL, results, strict=True)):
        looks = 2 if len(own.valid_rows) else 1
        assert seen[position] == looks * len(found.curve.valid)


@pytest.mark.parametrize("slots", [0, 4])
def test_jobs_that_are_given_up_leave_and_change_nothing_for_the_others(alone, slots):
    """Job 1 is pruned after its third epoch, by its own score, and job 3 in the middle of one of its own."""
    seen = []

    def prune(scores):
        seen.extend(scores)
        return {1, 3} if any(score.position == 1 and score.epoch == 3 for score in scores) else ()

    found = fit(POOL, resident(MATRIX, TARGET), watch=Watch(judge, prune=prune), slots=slots)
    assert [found[i].curve.stopped for i in (1, 3)] == ["pruned", "pruned"]
    assert len(found[1].curve.valid) == 3
    np.testing.assert_allclose(found[1].curve.valid, alone[torch.float64, 1].curve.valid[:3], rtol=1e-8)
    np.testing.assert_allclose([s.loss for s in seen if s.position == 0], found[0].curve.valid)
    for i in (0, 2, 4, 5):
        assert_same(found[i], alone[torch.float64, i], 1e-9)


def test_scoring_in_slices_gives_the_same_scores(monkeypatch):
    """Eleven rows gathered at a time instead of all: the same curve and the same best weights."""
    whole = fit_all(POOL[:4])
    monkeypatch.setattr("pipeline.engine.epochs.VALUES_AT_A_TIME", 11 * 3 * 4)
    for found, expected in zip(fit_all(POOL[:4]), whole, strict=True):
        assert_same(found, expected, 1e-12)


def test_progress_counts_every_finished_epoch_of_every_network():
    """The calls add up to the epochs that were run, early leavers' fewer ones included."""
    told = []
    results = fit_all(POOL, on_progress=told.append)
    assert sum(told) == sum(len(found.curve.valid) for found in results)


def test_the_same_pack_twice_gives_the_same_bits():
    """Nothing is drawn from a generator that moves on."""
    for first, second in zip(fit_all(POOL, dtype=torch.float32), fit_all(POOL, dtype=torch.float32), strict=True):
        assert_same_bits(first, second)


def test_jobs_of_two_shapes_do_not_share_a_pack():
    """A planner's bug is caught before a tensor is stacked."""
    with pytest.raises(AssertionError, match="share all that changes the program"):
        fit_all([job(), job(batch_size=5)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_the_same_networks():
    """The whole pool in fp64 on both devices."""
    found = fit(POOL, resident(MATRIX.cuda(), TARGET.cuda()), watch=Watch(judge))
    for own, expected in zip(found, fit_all(POOL), strict=True):
        assert_same(own, expected, 1e-8)


# --- leaving and joining, padding, resuming


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_job_that_waits_for_a_place_trains_as_one_that_was_there_from_the_start(alone, slots):
    """Places are refilled as networks leave, at whatever step the others are."""
    for i, found in enumerate(fit_all(POOL, slots=slots)):
        assert_same(found, alone[torch.float64, i], 1e-9)


WIDTHS = [(6, 2), (3, 5), (6, 5), (1, 1), (4, 4)]


@pytest.mark.parametrize("activation", sorted(KEEPS_ZERO))
def test_narrow_networks_padded_to_wide_ones_train_as_at_their_true_width(activation):
    """Forward, gradients, optimizer, dropout and initialisation: padding reaches none of them."""
    jobs = [
        job(network=replace(SMALL_NETWORK, hidden=hidden, activation=activation), dropout=0.2, rule=ADAMW, key=key)
        for key, hidden in enumerate(WIDTHS)
    ]
    for own, found in zip(jobs, fit_all(jobs), strict=True):
        assert [tensor.shape for tensor in found.tensors] == layer_shapes(own.network)
        assert_same(found, fit_all([own])[0], 1e-9)


def test_padding_stays_exactly_zero():
    """After fifty steps with weight decay and dropout, in weights and in the optimizer's moments."""
    jobs = [
        job(network=replace(SMALL_NETWORK, hidden=hidden), dropout=0.2, rule=ADAM_L2, epochs=20) for hidden in WIDTHS
    ]
    pack = PackState(jobs, replace(SMALL_NETWORK, hidden=(6, 5)), resident(MATRIX, TARGET))
    pack.join(range(len(jobs)))
    for _ in range(50):
        pack.begin_epochs()
        train_step(pack, pack.batches.shape())
        pack.batches.advance()
    moments = pack.optimizer.state()
    for m, (first, second) in enumerate(WIDTHS):
        assert pack.tensors[0][m, :, first:].eq(0).all()
        assert pack.tensors[2][m, first:].eq(0).all()
        assert pack.tensors[2][m, :, second:].eq(0).all()
        assert moments["first.2"][m, first:].eq(0).all()
        assert pack.tensors[2][m, :first, :second].ne(0).all()


SHAPED = [
    {"hidden": (6, 6, 6), "norm": "layer", "skips": ("", "same", "same")},
    {"hidden": (6, 3, 6), "norm": "layer", "skips": ("", "", "same")},
    {"hidden": (6, 4, 3), "skips": ("", "product", "product")},
    {"hidden": (6, 4, 5), "norm": "batch"},
    {"hidden": (5, 4), "norm": "batch", "skips": ("", "product"), "init": "data_driven"},
]


@pytest.mark.parametrize("shape", SHAPED, ids=lambda shape: f"{shape.get('norm')}-{shape.get('skips')}")
def test_networks_with_norms_and_shortcuts_train_the_same_in_company(shape):
    """Unequal folds, batches of unequal size, refilled places: each network's weights are those trained alone."""
    shaped = [replace(own, network=replace(SMALL_NETWORK, **shape), batch_size=5) for own in POOL]
    for own, found in zip(shaped, fit_all(shaped, slots=4), strict=True):
        assert_same(found, fit_all([own])[0], 1e-8)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_padding_changes_nothing_beside_norms_and_shortcuts(norm):
    """Three widths in one pack, the narrow ones padded: weights and running statistics are those at the true width."""
    widths = [(6, 6, 6), (3, 3, 3), (4, 4, 4)]
    shape = {"norm": norm, "skips": ("", "", "same")}
    jobs = [
        job(network=replace(SMALL_NETWORK, hidden=hidden, **shape), dropout=0.2, rule=ADAMW, key=key, epochs=9)
        for key, hidden in enumerate(widths)
    ]
    for own, found in zip(jobs, fit_all(jobs), strict=True):
        assert [tensor.shape for tensor in found.tensors] == layer_shapes(own.network)
        assert_same(found, fit_all([own])[0], 1e-8)


@pytest.mark.parametrize("valid", [np.arange(30, 50), np.arange(0)])
def test_a_plateau_lowers_each_models_rate_as_torchs_scheduler_does(valid):
    """Two rules in one pack, a third job without: the rates at which weights moved, epoch by epoch."""
    rules = [Plateau(0.5, 1), Plateau(0.1, 0, floor=0.05), None]
    jobs = [
        job(key=4, lr=0.5, epochs=14, plateau=rule, valid_rows=valid, rule=Rule(kind="sgd"), restore_best=False)
        for rule in rules
    ]
    for own, found in zip(jobs, fit_all(jobs), strict=True):
        weights = _with_torchs_plateau(own)
        for tensor, oracle in zip(found.tensors, weights, strict=True):
            np.testing.assert_allclose(tensor, oracle, rtol=1e-8, atol=1e-10)


def _with_torchs_plateau(own):
    """Plain SGD under torch's ReduceLROnPlateau: by the score, or by the epoch's mean loss where nothing is scored."""
    initial = initial_tensors(own.network, torch.tensor([own.key]), torch.float64)
    tensors = [tensor[0].clone().requires_grad_() for tensor in initial]
    optimizer = torch.optim.SGD(tensors, lr=own.lr)
    plateau = None
    if own.plateau:
        least = own.plateau.floor * own.lr
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=own.plateau.factor, patience=own.plateau.patience, min_lr=least, eps=0
        )

    def outputs(rows):
        hidden = torch.relu(MATRIX[rows] @ tensors[0] + tensors[1])
        return (torch.relu(hidden @ tensors[2] + tensors[3]) @ tensors[4] + tensors[5]).squeeze(-1)

    rows, key = torch.tensor(own.train_rows), torch.tensor([own.key])
    for epoch in range(own.epochs):
        order = rows[permutations(stream(key, 2, epoch), torch.tensor([len(rows)]), len(rows))[0]]
        losses = []
        for batch in order.split(own.batch_size):
            optimizer.zero_grad()
            loss = (outputs(batch) - TARGET[batch]).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if plateau is not None:
            scored = torch.tensor(own.valid_rows)
            valid = (outputs(scored) - TARGET[scored]).square().mean() if len(scored) else np.mean(losses)
            plateau.step(valid.item())
    return [tensor.detach().numpy() for tensor in tensors]


def test_a_training_that_a_plateau_has_slowed_goes_on_to_the_same_bits():
    """The rate that is left, and the wait for the next fall, come back with the checkpoint."""
    jobs = [replace(own, plateau=Plateau(0.5, 0)) for own in POOL]
    expected = fit_all(jobs)
    for stop_after in (9, 17, 28):
        book = Notebook(1, stop_after)
        with pytest.raises(KeyboardInterrupt):
            fit_all(jobs, checkpoint=book)
        for found, oracle in zip(fit_all(jobs, checkpoint=Notebook(10**9, state=book.state)), expected, strict=True):
            assert_same_bits(found, oracle)


def test_a_job_begins_with_the_weights_it_is_given():
    """Those another training ended with, in company and padded: one epoch at lr 0 leaves them as they are."""
    [before] = fit_all([POOL[0]])
    start = tuple(before.tensors)
    still = job(start=start, lr=1e-300, epochs=1, network=SMALL_NETWORK)
    wide = job(network=replace(SMALL_NETWORK, hidden=(6, 5)))
    found = fit_all([wide, still])[1]
    for tensor, oracle in zip(found.tensors, start, strict=True):
        np.testing.assert_allclose(tensor, oracle, rtol=1e-12)


class Notebook:
    """A checkpoint that is saved every few steps; `stop_after` steps the power fails."""

    def __init__(self, every, stop_after=10**9, state=None):
        self.every, self.left, self.asked, self.state = every, stop_after, 0, state

    def load(self):
        return pickle.loads(self.state) if self.state else None

    def due(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.asked += 1
        return self.asked % self.every == 0

    def save(self, state):
        self.state = pickle.dumps(state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("slots", "every", "stop_after"), [(0, 1, 7), (3, 1, 11), (2, 5, 23), (3, 4, 3), (2, 3, 30)])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(slots, every, stop_after, dtype):
    """At any step, within an epoch or between joins; before the first checkpoint it begins anew."""
    expected = fit_all(POOL, dtype=dtype, slots=slots)
    book = Notebook(every, stop_after)
    with pytest.raises(KeyboardInterrupt):
        fit_all(POOL, dtype=dtype, slots=slots, checkpoint=book)
    assert (book.state is None) == (stop_after < every)
    book.left = 10**9
    for found, oracle in zip(fit_all(POOL, dtype=dtype, slots=slots, checkpoint=book), expected, strict=True):
        assert_same_bits(found, oracle)
        np.testing.assert_array_equal(found.curve.valid, oracle.curve.valid)
        np.testing.assert_array_equal(found.curve.train, oracle.curve.train)
        assert (found.curve.best_epoch, found.curve.stopped) == (oracle.curve.best_epoch, oracle.curve.stopped)


def test_loss_parameters_penalties_and_bounds_are_each_models_own():
    """Three jobs in one pack equal three packs of one."""
    jobs = [
        job(loss="huber", loss_parameter=delta, gradient=GradientRule(l1=l1, clip_norm=norm), key=key)
        for key, (delta, l1, norm) in enumerate([(None, 0.0, math.inf), (0.1, 0.01, 0.5), (2.0, 0.1, 1e-3)])
    ]
    together = fit_all(jobs)
    for own, found in zip(jobs, together, strict=True):
        assert_same(found, fit_all([own])[0], 1e-9)
    assert not np.allclose(together[0].tensors[0], together[1].tensors[0])


# --- products in bf16


def test_products_in_bf16_train_nearly_as_in_fp32_and_the_same_in_company(alone):
    """The hidden weights are rounded for products alone; a job's own rounding does not depend on its neighbours."""
    data = resident(MATRIX.to(torch.bfloat16), TARGET.float(), torch.bfloat16)
    together = fit(POOL, data, watch=Watch(judge))
    for i, own in enumerate(POOL):
        assert together[i].tensors[0].dtype == np.float32
        [single] = fit([own], data, watch=Watch(judge))
        for found, oracle in zip(together[i].tensors, single.tensors, strict=True):
            np.testing.assert_allclose(found, oracle, rtol=0.05, atol=0.02)
        np.testing.assert_allclose(together[i].curve.valid, alone[torch.float32, i].curve.valid, rtol=0.2, atol=0.1)
