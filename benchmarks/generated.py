"""What the GPU's benchmarks train: generated rows, candidates on five folds, and the plain loop that does the same."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.data import Data
from pipeline.engine.gradients import GradientRule
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Assignment
from pipeline.engine.schedules import Schedule
from pipeline.engine.sources import Resident
from pipeline.fits import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLUMNS, BATCH, FOLDS = 331, 256, 5
NETWORK = Network(inputs=COLUMNS, hidden=(256, 256), activation="relu", init="pytorch", init_scale=0.01)
PLAIN = Rule(decoupled=True, weight_decay=0.01)
LR = 1e-3
SCHEDULES = ("constant", "linear", "cosine", "exponential", "one_cycle")
PRODUCTS = {"fp32": None, "bf16": torch.bfloat16}


def generated_data(rows: int, device: torch.device, precision: str, columns: int = COLUMNS) -> Data:
    """Normal rows, and a target that bends along two columns."""
    generator = torch.Generator(device).manual_seed(0)
    matrix = torch.randn(rows, columns, generator=generator, device=device)
    target = matrix[:, 0] ** 2 - matrix[:, 1]
    product = PRODUCTS[precision]
    return Data(Resident(matrix if product is None else matrix.to(product)), target, product)


def fold_jobs(rows: int, epochs: int) -> list[Assignment]:
    """One candidate on each of five folds."""
    fold = np.arange(rows) % FOLDS
    return [
        Assignment(
            key=k,
            network=NETWORK,
            train_rows=np.flatnonzero(fold != k),
            valid_rows=np.flatnonzero(fold == k),
            rule=PLAIN,
            lr=LR,
            schedule=Schedule(),
            loss="mse",
            dropout=0.0,
            epochs=epochs,
            batch_size=BATCH,
            patience=0,
            restore_best=False,
        )
        for k in range(FOLDS)
    ]


def unlike(jobs: Sequence[Assignment]) -> list[Assignment]:
    """The same jobs, but each five of them, a candidate, with hyperparameters of their own."""
    draw = np.random.default_rng(0)
    found = []
    for start in range(0, len(jobs), FOLDS):
        rule = Rule(
            decoupled=True,
            weight_decay=10 ** draw.uniform(-4, -1),
            beta1=draw.uniform(0.8, 0.95),
            beta2=1 - 10 ** draw.uniform(-3, -1),
        )
        lr, dropout, norm = 10 ** draw.uniform(-4, -2), draw.uniform(0.05, 0.5), draw.uniform(0.5, 5.0)
        schedule = Schedule(str(draw.choice(SCHEDULES)), warmup=draw.uniform(0.0, 0.3))
        found += [
            replace(job, rule=rule, lr=lr, dropout=dropout, schedule=schedule, gradient=GradientRule(clip_norm=norm))
            for job in jobs[start : start + FOLDS]
        ]
    return found


def operations_a_row(job: Assignment) -> int:
    """Floating-point operations of all products: forward, weights' gradients, and inputs' but for the first layer's."""
    sizes = list(pairwise((job.network.inputs, *job.network.hidden, 1)))
    return 2 * sum(2 * n_in * n_out for n_in, n_out in sizes) + sum(2 * n_in * n_out for n_in, n_out in sizes[1:])


def plain_loop(job: Assignment, data: Data, steps: int, *, fused: bool) -> Callable[[], None]:
    """Steps of one network as PyTorch's own tutorial takes them, but rows by index on the device and no DataLoader."""
    device = data.device
    sizes = list(pairwise((job.network.inputs, *job.network.hidden, 1)))
    layers = [layer for n_in, n_out in sizes for layer in (torch.nn.Linear(n_in, n_out), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers[:-1]).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=PLAIN.weight_decay, fused=fused or None)
    rows = torch.as_tensor(job.train_rows, device=device)
    return partial(_take_steps, steps, net, optimizer, replace(data, source=Resident(data.source.matrix.float())), rows)


def _take_steps(
    steps: int, net: torch.nn.Module, optimizer: torch.optim.Optimizer, data: Data, rows: torch.Tensor
) -> None:
    autocast = torch.autocast(rows.device.type, torch.bfloat16, enabled=data.product is not None)
    taken = 0
    while taken < steps:
        # the last batch of an epoch is short, as in the program
        for index in rows[torch.randperm(len(rows), device=rows.device)].split(BATCH)[: steps - taken]:
            optimizer.zero_grad()
            with autocast:
                outputs = net(data.source.matrix[index])[:, 0]
            torch.nn.functional.mse_loss(outputs.float(), data.target[index]).backward()
            optimizer.step()
            taken += 1
