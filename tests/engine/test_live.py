"""Bytes of living tensors."""

import torch

from pipeline.engine.live import LiveBytes


def test_tensors_count_while_they_live():
    """Three of 400 bytes, of which two at a time: 800 at the peak, and nothing when all are gone."""
    with LiveBytes() as live:
        first = torch.zeros(100)
        second = first + 1
        assert (live.now, live.peak) == (800, 800)
        del first
        assert live.now == 400
        third = second * 2
        assert (live.now, live.peak) == (800, 800)
        del second, third
    assert live.now == 0


def test_views_and_what_existed_before_cost_nothing():
    """Neither a view, nor an operation in place, nor one that writes where it is told."""
    before, target = torch.ones(50), torch.zeros(50)
    with LiveBytes() as live:
        before.view(5, 10)[1].add_(1)
        before.mul_(2)
        torch.add(before, 1, out=target)
        assert live.peak == 0


def test_what_backward_needs_lives_until_it_is_done():
    """X -> tanh -> sum keeps the result of tanh; afterwards the gradient alone is left."""
    x = torch.linspace(0, 1, 10, dtype=torch.float64, requires_grad=True)
    with LiveBytes() as live:
        total = x.tanh().sum()
        assert live.now == 80 + 8
        [gradient] = torch.autograd.grad(total, [x])
        del total
        assert live.now == 80
        assert gradient.shape == (10,)


def test_bytes_at_the_peak_are_named():
    """By the label under which a tensor was made, or what it was called later."""
    with LiveBytes() as live:
        live.label = "rows"
        rows = torch.zeros(10)
        live.label = "outputs"
        outputs = torch.zeros(20)
        live.relabel([outputs], "scores")
        more = torch.zeros(1)
        live.label = "late"
        del more
        late = torch.zeros(1)  # no more than before: the peak is still the first one
        live.relabel([rows, late], "inputs")
    assert live.at_peak == {"rows": 0, "inputs": 40, "outputs": 4, "scores": 80}
    assert len(rows) + len(outputs) + len(late) == 31


def test_tensors_without_memory_count_as_if_they_had_some():
    """The meta device: a table of 8 TB is no more than its shape."""
    with LiveBytes() as live:
        table = torch.empty(10**6, 10**6, device="meta", dtype=torch.float64)
        assert live.now == 8 * 10**12
        assert table.T.sum(0).shape == (10**6,)
