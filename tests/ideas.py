"""Losses and networks as a user writes them, some of them with a fault; imported by reference only."""

import random

import torch
from torch import nn
from torch.nn import functional

CALLS = {"built": 0}


# --- networks that will do


def mlp(inputs, outputs, width=6):
    """Two layers, the middle normalised."""
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.Tanh(), nn.Linear(width, outputs))


def plain(inputs, outputs):
    """As ours with hidden = [5, 4] and relu."""
    CALLS["built"] += 1
    return nn.Sequential(
        nn.Linear(inputs, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, outputs)
    )  # fmt: skip


class Odd(nn.Module):
    """Parameters of every rank, one of them in two places, a constant buffer, a convolution over the columns."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.shift = nn.Parameter(torch.full((inputs,), 0.1))
        self.over = nn.Conv1d(1, 2, 2, padding=1)
        self.first = nn.Linear(2 * (inputs + 1), 4)
        self.second = nn.Linear(4, 4, bias=False)
        self.again = self.second
        self.last = nn.Linear(4, outputs)
        self.register_buffer("centres", torch.linspace(-1, 1, inputs))

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        hidden = self.over((rows + self.shift * self.centres)[:, None]).reshape(len(rows), -1)
        hidden = torch.tanh(self.first(hidden))
        hidden = hidden + torch.tanh(self.again(torch.tanh(self.second(hidden))))
        return self.last(hidden) * self.gain


def odd(inputs, outputs):
    """An `Odd` one."""
    return Odd(inputs, outputs)


class Attending(nn.Module):
    """Attention over the columns, which vmap computes network after network."""

    def __init__(self, outputs):
        super().__init__()
        self.first = nn.Linear(1, 4)
        self.last = nn.Linear(4, outputs)

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        hidden = self.first(rows[:, :, None])[:, None]
        return self.last(functional.scaled_dot_product_attention(hidden, hidden, hidden)[:, 0].mean(1))


def attending(inputs, outputs):
    """An `Attending` one."""
    return Attending(outputs)


def quiet_dropout(inputs, outputs):
    """Dropout that drops nothing draws nothing."""
    return nn.Sequential(nn.Linear(inputs, 3), nn.Dropout(0.0), nn.Linear(3, outputs))


# --- networks that will not


def failing(inputs, outputs):
    """Fails."""
    raise ValueError("too few inputs")


def number(inputs, outputs):
    """No module at all."""
    return inputs


def without_parameters(inputs, outputs):
    """Nothing to train."""
    return nn.Flatten()


def lazy(inputs, outputs):
    """Its shape is not known."""
    return nn.LazyLinear(outputs)


def frozen(inputs, outputs):
    """A parameter that is not trained."""
    module = nn.Linear(inputs, outputs)
    module.bias.requires_grad_(requires_grad=False)
    return module


def infinite(inputs, outputs):
    """Begins nowhere."""
    module = nn.Linear(inputs, outputs)
    nn.init.constant_(module.bias, float("inf"))
    return module


def own_draws(inputs, outputs):
    """Weights from Python's generator."""
    module = nn.Linear(inputs, outputs)
    nn.init.constant_(module.bias, random.random())
    return module


def drawn_buffer(inputs, outputs):
    """A buffer that is drawn."""
    module = nn.Linear(inputs, outputs)
    module.register_buffer("noise", torch.rand(2))
    return module


def dropping(inputs, outputs):
    """Dropout of its own."""
    return nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(0.25), nn.Linear(4, outputs))


class Noisy(nn.Linear):
    """Noise without a layer for it."""

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        return super().forward(functional.dropout(rows, 0.1))


def noisy(inputs, outputs):
    """A `Noisy` one."""
    return Noisy(inputs, outputs)


def batch_norm(inputs, outputs):
    """Remembers what it saw."""
    return nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Linear(4, outputs))


def batch_norm_of_the_moment(inputs, outputs):
    """Remembers nothing, but looks at the whole batch."""
    return nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, outputs))


class Mixing(nn.Linear):
    """Takes the batch's mean away."""

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        return super().forward(rows - rows.mean(0))


def mixing(inputs, outputs):
    """A `Mixing` one."""
    return Mixing(inputs, outputs)


def squeezed(inputs, outputs):
    """Loses the last axis."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.Flatten(0))


class Unused(nn.Linear):
    """A layer that nobody asks."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.spare = nn.Linear(2, 2)


def unused(inputs, outputs):
    """An `Unused` one."""
    return Unused(inputs, outputs)


class Branching(nn.Linear):
    """Looks at the numbers to decide what to do."""

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        return super().forward(rows if rows.sum() > -1e9 else -rows)


def branching(inputs, outputs):
    """A `Branching` one."""
    return Branching(inputs, outputs)


class Single(nn.Linear):
    """Has a tensor in single precision that is no buffer."""

    def forward(self, rows):
        """[B, D] -> [B, outputs]."""
        return super().forward(rows @ torch.eye(rows.shape[1], dtype=torch.float32))


def single(inputs, outputs):
    """A `Single` one."""
    return Single(inputs, outputs)


class Tuple(nn.Linear):
    """Gives more than outputs."""

    def forward(self, rows):
        """[B, D] -> [B, outputs] and something else."""
        return super().forward(rows), rows


def several(inputs, outputs):
    """A `Tuple` one."""
    return Tuple(inputs, outputs)


# --- losses


def squared(outputs, targets):
    """As ours called mse."""
    return (outputs - targets).square()


def careful(outputs, targets):
    """Errors below the target cost twice."""
    error = outputs - targets
    return torch.where(error < 0, 2 * error, error).square()


def masked(outputs, targets):
    """As careful, by an index."""
    loss = (outputs - targets).square()
    below = outputs < targets
    loss[below] = 4 * loss[below]
    return loss


def by_mask(outputs, targets):
    """As careful, by a product."""
    error = outputs - targets
    return error.square() * (1 + 3 * (error < 0).to(error))


def pinball(outputs, targets):
    """A quantile."""
    error = targets - outputs
    return torch.maximum(0.8 * error, -0.2 * error)


def clamped(outputs, targets):
    """Linear far out, with a bound that is a tensor."""
    error = (outputs - targets).abs()
    near = error.clamp(max=float(torch.tensor(0.5)))
    return near * (error - 0.5 * near)


def cancelling(outputs, targets):
    """Its digits cancel where the error is small, and it overflows where it is large."""
    return torch.log(torch.cosh(outputs - targets))


def gaussian(outputs, targets):
    """Torch itself looks at the numbers here: no variance may be below 0."""
    return functional.gaussian_nll_loss(outputs, targets, torch.ones_like(targets), reduction="none")


def heavy_tailed(outputs, targets):
    """A distribution of torch's."""
    return -torch.distributions.StudentT(3.0, outputs).log_prob(targets)


def mean_of_all(outputs, targets):
    """One number."""
    return (outputs - targets).square().mean()


def scaled_by_batch(outputs, targets):
    """Divides by the batch's largest error, without a gradient through it."""
    error = outputs - targets
    return error.square() / error.abs().max(1, keepdim=True).values.detach()


def scaled_by_pack(outputs, targets):
    """Divides by the largest target of all networks."""
    return (outputs - targets).square() / targets.abs().max()


def by_size(outputs, targets):
    """Divides by the number of rows."""
    return (outputs - targets).square() / outputs.shape[1]


def swinging(outputs, targets):
    """Looks at all numbers to decide about each."""
    error = outputs - targets
    return error.square() if outputs.sum() > 0 else error.abs()


def looped(outputs, targets):
    """Looks at the numbers until they please."""
    error = outputs - targets
    while (error.abs() > 1e9).any():
        error = error / 2
    return error.square()


def weighed_by_number(outputs, targets):
    """Takes a number out of the tensors, which the probe's rows do not change."""
    return (outputs - targets).square() * max(1e9, float(targets.max()))


def scaled_far_out(outputs, targets):
    """Divides by the batch's largest error once that is large."""
    error = outputs - targets
    return error.square() / error.abs().amax().clamp(min=8).detach()


def rooted(outputs, targets):
    """Its slope is 0 / 0 where there is no error."""
    return (outputs - targets).square().sqrt()


def logarithmic(outputs, targets):
    """Not defined below 0."""
    return (torch.log(outputs) - targets).square()


def to_log_target(outputs, targets):
    """For targets above 0."""
    return (outputs - torch.log(targets)).square()


def through_numpy(outputs, targets):
    """Loses its gradient on the way."""
    return torch.from_numpy((outputs - targets).square().detach().numpy())


def detached(outputs, targets):
    """Has a gradient, of something else."""
    return (outputs.detach() - targets).square() + 0 * outputs


def doubled(outputs, targets):
    """In double precision whatever comes."""
    return (outputs - targets).double().square()


def no_tensor(outputs, targets):
    """A list."""
    return [0.0]


def broken(outputs, targets):
    """Fails."""
    return outputs @ targets
