"""The same networks on a CUDA device."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import SMALL_NETWORK, job, resident, rows_and_target

from pipeline.engine.draws import DropoutDraws, job_key, permutations, stream
from pipeline.engine.fit import Watch, fit
from pipeline.engine.gradients import GradientRule
from pipeline.engine.networks import predict
from pipeline.engine.pack import PackState
from pipeline.engine.schedules import Plateau
from pipeline.engine.step import Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that PyTorch can use"),
]


def test_draws_are_the_same_bits_on_both_devices():
    """Row order and dropout are integer arithmetic: no tolerance."""
    keys = torch.tensor([job_key(seed, 1) for seed in range(4)])
    lengths = torch.tensor([5, 9, 9, 7])
    on_cpu = permutations(stream(keys, 2, 3), lengths, 9)
    on_gpu = permutations(stream(keys.cuda(), 2, 3), lengths.cuda(), 9)
    assert torch.equal(on_cpu, on_gpu.cpu())
    rates, ones = torch.tensor([0.0, 0.2, 0.5, 0.9]), torch.ones(4, 6, 10)
    kept_on_cpu = DropoutDraws(rates, torch.float32).apply(ones, stream(keys, 3, 7, 0))
    kept_on_gpu = DropoutDraws(rates.cuda(), torch.float32).apply(ones.cuda(), stream(keys.cuda(), 3, 7, 0))
    assert torch.equal(kept_on_cpu, kept_on_gpu.cpu())


def test_a_pack_trains_to_the_same_weights_on_both_devices():
    """float64, 15 steps, unlike jobs: the written-out optimizer on CUDA equals the fused one on the CPU."""
    matrix, target = rows_and_target()
    jobs = [job(), job(lr=0.003, dropout=0.3, key=job_key(1, 0)), job(train_rows=np.arange(7), epochs=3)]
    on_cpu = fit(jobs, resident(matrix, target))
    on_gpu = fit(jobs, resident(matrix.cuda(), target.cuda()))
    for ours, theirs in zip(on_cpu, on_gpu, strict=True):
        for a, b in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


SHAPES = [
    {},
    {"norm": "batch"},
    {"norm": "layer", "hidden": (5, 5, 5), "skips": ("", "same", "same")},
    {"hidden": (6, 4, 3), "skips": ("", "product", "product")},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_captured_steps_train_as_the_cpu_does(shape):
    """float64, unequal folds, refilled places, plateau, clipping: to 1e-7; and steps were captured, not called."""
    matrix, target = rows_and_target(rows=60)
    network = replace(SMALL_NETWORK, **shape)
    jobs = [
        job(network=network, epochs=9, dropout=0.3, train_rows=np.arange(25), schedule="one_cycle"),
        job(network=network, epochs=6, key=job_key(1, 0), train_rows=np.arange(5, 18), plateau=Plateau(0.5, 0)),
        job(network=network, epochs=7, key=job_key(2, 0), gradient=GradientRule(l1=0.01, clip_norm=0.5)),
        job(network=network, epochs=4, key=job_key(3, 0), lr=0.05),
    ]
    on_cpu = fit(jobs, resident(matrix, target), slots=3)
    on_gpu = fit(jobs, resident(matrix.cuda(), target.cuda()), slots=3)
    for ours, theirs in zip(on_cpu, on_gpu, strict=True):
        for a, b in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_a_step_is_captured():
    """After a few full batches the graph is there, and nothing says why it should not be."""
    matrix, target = rows_and_target(rows=60)
    pack = PackState([job(epochs=9)], SMALL_NETWORK, resident(matrix.cuda(), target.cuda()), on_device=True)
    pack.join([0])
    step = Step(matrix.cuda().device)
    for _ in range(6):
        pack.begin_epochs()
        step.take(pack)
        pack.batches.advance()
        for place in pack.batches.beginning():
            pack.records[place].epoch += 1
    assert not step.reason
    assert pack.batches.device_steps.tolist() == pack.batches.steps.tolist() == [6]


@pytest.mark.parametrize(("product", "tolerance"), [(torch.bfloat16, 0.15), (torch.float16, 0.05)])
def test_products_in_half_precision_train_nearly_as_in_fp32(product, tolerance):
    """Outputs after 40 epochs differ by a share of the target's spread; as little alone as in company."""
    matrix, target = rows_and_target(rows=60, dtype=torch.float32)
    jobs = [job(epochs=40, key=job_key(seed, 0), train_rows=np.arange(40)) for seed in range(3)]
    whole = fit(jobs, resident(matrix.cuda(), target.cuda()))
    halved = fit(jobs, resident(matrix.cuda().to(product), target.cuda(), product))
    alone = [fit([own], resident(matrix.cuda().to(product), target.cuda(), product))[0] for own in jobs]
    for first, second, third in zip(whole, halved, alone, strict=True):
        outputs = [
            predict(SMALL_NETWORK, [torch.from_numpy(tensor) for tensor in fitted.tensors], matrix)
            for fitted in (first, second, third)
        ]
        spread = float(target.std())
        assert float((outputs[0] - outputs[1]).std()) < tolerance * spread
        assert float((outputs[1] - outputs[2]).std()) < tolerance * spread


def test_one_models_nan_stops_only_itself_in_a_captured_step():
    """Its neighbour's bits are those beside a calm one; the failing step and batch are told."""
    matrix, target = (t.cuda() for t in rows_and_target(dtype=torch.float32))
    wild, calm, other = job(lr=1e30, key=5), job(lr=1e-3, key=5), job(key=6)
    found = fit([wild, other], resident(matrix, target))
    expected = fit([calm, other], resident(matrix, target))
    assert found[0].curve.stopped == "not finite"
    assert found[0].failure is not None
    for a, b in zip(found[1].tensors, expected[1].tensors, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_pack_that_does_not_fit_is_halved():
    """Under a cap on the device's memory: fewer side by side, the same networks."""
    matrix, target = (t.cuda() for t in rows_and_target(rows=200, dtype=torch.float32))
    network = replace(SMALL_NETWORK, hidden=(2000, 2000))
    jobs = [job(network=network, epochs=1, key=seed, train_rows=np.arange(8)) for seed in range(16)]
    expected = fit(jobs, resident(matrix, target), slots=2)
    torch.cuda.empty_cache()
    total, halved = torch.cuda.get_device_properties(0).total_memory, []
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_allocated() + 1.0e9) / total))
    try:
        found = fit(jobs, resident(matrix, target), watch=Watch(on_halved=halved.append))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert halved
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
