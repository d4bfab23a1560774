"""Losses row by row, against torch's own, scikit-learn's and arithmetic."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss, mean_tweedie_deviance
from torch import nn

from pipeline.engine.losses import HIGHEST_LOG, LOSSES

# one value of the parameter per model of a pack, where there is one
PARAMETERS = {"huber": [0.1, 1.0, 2.5, 7.0], "quantile": [0.1, 0.5, 0.77, 0.99], "relative": [1e-3, 0.01, 0.5, 3.0],
              "tweedie": [1.05, 1.3, 1.5, 1.95]}  # fmt: skip
TORCHS = {
    "mse": lambda _: nn.MSELoss(reduction="none"),
    "mae": lambda _: nn.L1Loss(reduction="none"),
    "huber": lambda delta: nn.HuberLoss(reduction="none", delta=delta),
    "poisson": lambda _: nn.PoissonNLLLoss(log_input=True, reduction="none"),
}
# row by row in Python's own arithmetic: (output, target, parameter)
BY_ARITHMETIC = {
    "log_cosh": lambda o, y, _: math.log(math.cosh(o - y)),
    "quantile": lambda o, y, q: q * (y - o) if y > o else (1 - q) * (o - y),
    "relative": lambda o, y, eps: abs(o - y) / max(abs(y), eps),
    "tweedie": lambda o, y, p: y * math.exp((1 - p) * o) / (p - 1) + math.exp((2 - p) * o) / (2 - p),
}
SLOPES = {
    "log_cosh": lambda o, y, _: math.tanh(o - y),
    "quantile": lambda o, y, q: -q if y > o else 1 - q,
    "relative": lambda o, y, eps: math.copysign(1, o - y) / max(abs(y), eps),
    "tweedie": lambda o, y, p: math.exp((2 - p) * o) - y * math.exp((1 - p) * o),
}


def rows(dtype=torch.float64):
    """Outputs and targets [4, 24]: errors of both signs, none of them 0, targets 0 to 3."""
    outputs = torch.linspace(-3, 3, 96, dtype=dtype).view(4, 24)
    targets = (torch.arange(96, dtype=dtype) * 7 % 13 / 4).view(4, 24).clamp(max=3)
    return outputs, targets


def parameters(name, dtype=torch.float64):
    """[4, 1], or None for a loss without one."""
    return torch.tensor(PARAMETERS[name], dtype=dtype)[:, None] if name in PARAMETERS else None


def value_and_slope(loss, outputs, *others):
    """Losses of the rows, and the gradient of their sum."""
    outputs = outputs.clone().requires_grad_()
    losses = loss(outputs, *others)
    return losses.detach(), torch.autograd.grad(losses.sum(), outputs)[0]


def test_every_loss_has_an_oracle():
    """A loss that is added without a test is noticed here."""
    assert LOSSES.keys() == TORCHS.keys() | BY_ARITHMETIC.keys()
    assert SLOPES.keys() == BY_ARITHMETIC.keys()


@pytest.mark.parametrize("name", TORCHS)
def test_a_loss_and_its_gradient_equal_torchs(name):
    """By its default and with a parameter per model, value and gradient bit for bit."""
    outputs, targets = rows()
    if name != "poisson":
        targets[0] = outputs[0]  # no error at all
        targets[1, :4] = outputs[1, :4] + torch.tensor([1.0, -1.0, 0.1, 2.5])  # on the edge
    found = value_and_slope(LOSSES[name], outputs, targets)
    oracle = value_and_slope(TORCHS[name](LOSSES[name].parameter), outputs, targets)
    assert torch.equal(found[0], oracle[0])
    assert torch.equal(found[1], oracle[1])
    if name not in PARAMETERS:
        return
    together = value_and_slope(LOSSES[name], outputs, targets, parameters(name))
    for m, parameter in enumerate(PARAMETERS[name]):
        alone = value_and_slope(TORCHS[name](parameter), outputs[m], targets[m])
        assert torch.equal(together[0][m], alone[0])
        assert torch.equal(together[1][m], alone[1])


@pytest.mark.parametrize("name", BY_ARITHMETIC)
def test_a_loss_and_its_gradient_are_their_formulas(name):
    """Row by row in Python's arithmetic, with a parameter per model."""
    outputs, targets = rows()
    losses, slopes = value_and_slope(LOSSES[name], outputs, targets, parameters(name))
    for m in range(4):
        own = PARAMETERS[name][m] if name in PARAMETERS else 0.0
        for row, (output, target) in enumerate(zip(outputs[m].tolist(), targets[m].tolist(), strict=True)):
            assert float(losses[m, row]) == pytest.approx(BY_ARITHMETIC[name](output, target, own), rel=1e-12)
            assert float(slopes[m, row]) == pytest.approx(SLOPES[name](output, target, own), rel=1e-12)


@pytest.mark.parametrize("m", range(4))
def test_quantile_and_tweedie_are_scikit_learns(m):
    """The mean pinball loss; half the Tweedie deviance between two sets of outputs for the same targets."""
    outputs, targets = rows()
    q, power = (PARAMETERS[name][m] for name in ("quantile", "tweedie"))
    found = LOSSES["quantile"](outputs, targets, parameters("quantile"))[m].mean()
    assert float(found) == pytest.approx(mean_pinball_loss(targets[m], outputs[m], alpha=q), rel=1e-12)
    there, here = (LOSSES["tweedie"](o, targets, parameters("tweedie"))[m].mean() for o in (outputs, outputs / 2))
    deviances = [mean_tweedie_deviance(targets[m], o[m].exp(), power=power) for o in (outputs, outputs / 2)]
    assert float(there - here) == pytest.approx((deviances[0] - deviances[1]) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("mse", [9.0, 0.25]),
        ("mae", [3.0, 0.5]),
        ("huber", [2.5, 0.125]),
        ("quantile", [1.5, 0.25]),
        ("relative", [3.0, 50.0]),
    ],
)
def test_a_loss_has_its_value_by_hand(name, by_hand):
    """Errors of 3 and -0.5 at targets 1 and 0: huber 3 - 1/2 and (1/2)^2 / 2; 0 counts as 0.01 from itself."""
    outputs, targets = torch.tensor([[4.0, -0.5]], dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert LOSSES[name](outputs, targets)[0].tolist() == pytest.approx(by_hand, rel=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@given(outputs=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8))
def test_an_output_of_the_targets_own_mean_is_best(name, outputs):
    """Moving away from where the gradient says so never helps: losses are convex in the output."""
    start = torch.tensor([outputs], dtype=torch.float64)
    targets = torch.full_like(start, 2.0)
    losses, slopes = value_and_slope(LOSSES[name], start, targets)
    best = math.log(2.0) if LOSSES[name].link == "log" else 2.0
    least = LOSSES[name](torch.full_like(start, best), targets)
    assert (losses >= least - 1e-12 * least.abs()).all()
    assert (torch.sign(slopes) * torch.sign(start - best) >= 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [1e3, 1e10, 1e18])
def test_gradients_of_huge_errors_are_finite_and_point_the_right_way(name, size):
    """fp32 and outputs of ±1e3 to ±1e18, where exponentials and hyperbolic functions would overflow."""
    outputs = torch.tensor([[size, -size]], dtype=torch.float32)
    losses, slopes = value_and_slope(LOSSES[name], outputs, torch.ones(1, 2))
    assert torch.isfinite(slopes).all()
    assert torch.sign(slopes).tolist() == [[1.0, -1.0]]
    assert torch.isfinite(losses).all() or name in ("mse", "tweedie", "poisson")


@pytest.mark.parametrize("name", ["mae", "huber", "log_cosh", "quantile"])
def test_the_slope_of_a_huge_error_is_that_of_a_line(name):
    """±delta, ±1, or the quantile's two sides, exactly, in fp32."""
    _, slopes = value_and_slope(LOSSES[name], torch.tensor([[1e30, -1e30]]), torch.zeros(1, 2))
    side = 0.5 if name == "quantile" else 1.0
    assert slopes.tolist() == [[side, -side]]


@given(st.floats(-30, 30))
def test_log_cosh_is_exact_for_the_smallest_errors_too(exponent):
    """Errors of e^-30 to e^30 in fp32: value and gradient to a few units in the last place."""
    error = float(np.float32(math.exp(exponent)))
    losses, slopes = value_and_slope(LOSSES["log_cosh"], torch.tensor([[error]]), torch.zeros(1, 1))
    far = error + math.log1p(math.exp(-2 * error)) - math.log(2)
    exact = far if error > 1 else math.log1p(2 * math.sinh(error / 2) ** 2)
    assert float(losses) == pytest.approx(exact, rel=1e-6)
    assert float(slopes) == pytest.approx(math.tanh(error), rel=1e-6)


@pytest.mark.parametrize("above", [0.0, 1.0, 50.0])
def test_a_log_rate_beyond_reason_goes_on_along_the_tangent(above):
    """e^30 is 10^13: up to there torch's loss, beyond it value e^30 (1 + above) and slope e^30."""
    outputs = torch.tensor([[HIGHEST_LOG + above]], dtype=torch.float64)
    losses, slopes = value_and_slope(LOSSES["poisson"], outputs, torch.zeros(1, 1, dtype=torch.float64))
    assert float(losses) == pytest.approx(math.exp(30) * (1 + above), rel=1e-15)
    assert float(slopes) == pytest.approx(math.exp(30), rel=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_models_losses_do_not_depend_on_its_company(name, dtype):
    """Each model alone gets what it gets among four, to the rounding of torch's exponentials, in its own precision."""
    outputs, targets = rows(dtype)
    together = value_and_slope(LOSSES[name], outputs, targets, parameters(name))
    assert {found.dtype for found in together} == {dtype}
    for m in range(4):
        own = parameters(name)
        own = None if own is None else own[m : m + 1]
        alone = value_and_slope(LOSSES[name], outputs[m : m + 1], targets[m : m + 1], own)
        for found, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(found[m : m + 1], expected, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_poisoned_model_changes_no_other_models_bits(name, poison):
    """Model 2's outputs become NaN or inf; models 0, 1 and 3 notice nothing."""
    outputs, targets = rows()
    clean = value_and_slope(LOSSES[name], outputs, targets, parameters(name))
    outputs[2] = poison
    dirty = value_and_slope(LOSSES[name], outputs, targets, parameters(name))
    others = [0, 1, 3]
    assert torch.equal(clean[0][others], dirty[0][others])
    assert torch.equal(clean[1][others], dirty[1][others])


def test_a_loss_says_what_its_target_must_be_and_what_its_outputs_are():
    """Those with a logarithm as link need targets of at least 0; the plain ones take any number."""
    logs = {name for name, loss in LOSSES.items() if loss.link == "log"}
    assert logs == {"poisson", "tweedie"}
    assert all("at least 0" in LOSSES[name].needs for name in logs)
    assert {name for name, loss in LOSSES.items() if loss.needs} == logs | {"relative"}
