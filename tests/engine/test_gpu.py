"""The same networks on a CUDA device."""

import numpy as np
import pytest
import torch
from builders import job, rows_and_target

from pipeline.engine.data import Data
from pipeline.engine.draws import DropoutDraws, job_key, permutations, stream
from pipeline.engine.fit import fit

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
    on_cpu = fit(jobs, Data(matrix, target))
    on_gpu = fit(jobs, Data(matrix.cuda(), target.cuda()))
    for ours, theirs in zip(on_cpu, on_gpu, strict=True):
        for a, b in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
