"""Five folds as one program, beside plain PyTorch loops fold after fold. Ratios of medians, runs in turn.

python -m benchmarks.speed --data DIR

dataloader: a DataLoader per fold. gather: rows by index, no DataLoader. fused: gather with Adam(fused=True). All sides
train without validation. gemm share: floating-point operations of a step's products, over the whole training, as a
share of what this machine's own sgemm reaches (2048 x 2048), measured in the same run.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.house_prices import data_folder, prepare
from benchmarks.record import record
from pipeline.devices import resolve_compute
from pipeline.engine.data import Data
from pipeline.engine.fit import fit
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Assignment
from pipeline.engine.schedules import Schedule
from pipeline.engine.sources import Resident
from pipeline.fits import Network
from pipeline.stages.learners import PRODUCTS, build_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.runtime import Runtime
    from pipeline.tables import Design

RUNS = 7


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained, alike on every side."""

    hidden: tuple[int, ...]
    batch: int
    epochs: int
    lr: float


CASES = {
    "textbook linear, batch 64": Case((), 64, 20, 5.0),
    "mlp 256-256, batch 64": Case((256, 256), 64, 5, 1e-3),
    "mlp 256-256, batch 256": Case((256, 256), 256, 20, 1e-3),
}


def main() -> None:
    """Measure each case, all sides in turn, and record the ratios of their medians."""
    _, _, design, runtime = prepare(data_folder(), "house-prices-textbook")
    torch.set_num_threads(runtime.compute.threads)
    rows = []
    for name, case in CASES.items():
        sides = {
            "dataloader": _loop(design, runtime, case, loader=True),
            "gather": _loop(design, runtime, case, loader=False),
            "fused": _loop(design, runtime, case, loader=False, fused=True),
            "fp32": _packed(design, runtime, case, "fp32"),
            "auto": _packed(design, runtime, case, resolve_compute("cpu", 0, "auto").precision),
        }
        for work in sides.values():
            work()
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(RUNS):
            for side, work in sides.items():
                seconds[side].append(_seconds(work))
        rows.append(_row(name, case, design, {side: statistics.median(found) for side, found in seconds.items()}))
    record("speed_loops", rows)


def _row(name: str, case: Case, design: Design, median: dict[str, float]) -> dict[str, object]:
    share = _products(case, design) / median["fp32"] / _sgemm_rate()
    ratios = {
        f"{ours} over {theirs}": round(median[theirs] / median[ours], 2)
        for ours in ("fp32", "auto")
        for theirs in ("dataloader", "gather", "fused")
    }
    shown = {f"{side} s": round(found, 4) for side, found in median.items()}
    return {
        "case": name,
        "auto is": resolve_compute("cpu", 0, "auto").precision,
        **shown,
        **ratios,
        "fp32 gemm share": round(share, 2),
    }


def _products(case: Case, design: Design) -> float:
    """Floating-point operations of all products: forward, weights' gradients, and inputs' but for the first layer's."""
    sizes = list(pairwise((len(design.columns), *case.hidden, 1)))
    a_row = 2 * sum(2 * n_in * n_out for n_in, n_out in sizes) + sum(2 * n_in * n_out for n_in, n_out in sizes[1:])
    return float(a_row * case.epochs * sum(len(rows) for rows in design.folds.train))


def _sgemm_rate() -> float:
    """Operations a second of a 2048 x 2048 product, median of 7."""
    a = torch.randn(2048, 2048)
    a @ a
    return 2 * 2048**3 / statistics.median(_seconds(lambda: a @ a) for _ in range(RUNS))


def _packed(design: Design, runtime: Runtime, case: Case, precision: str) -> Callable[[], object]:
    folds = range(design.folds.count)
    blocks = build_blocks(design, list(folds), runtime)
    product = PRODUCTS.get(precision)
    data = Data(Resident(blocks.matrix if product is None else blocks.matrix.to(product)), blocks.target, product)
    jobs = [
        Assignment(
            key=fold,
            network=Network(len(design.columns), case.hidden, "relu", "pytorch", 0.01),
            train_rows=design.folds.train[fold] + blocks.start[fold],
            valid_rows=design.folds.valid[fold] + blocks.start[fold],
            rule=Rule(),
            lr=case.lr,
            schedule=Schedule("constant"),
            loss="mse",
            dropout=0.0,
            epochs=case.epochs,
            batch_size=case.batch,
            patience=0,
            restore_best=False,
        )
        for fold in folds
    ]
    return lambda: fit(jobs, data)


def _loop(design: Design, runtime: Runtime, case: Case, *, loader: bool, fused: bool = False) -> Callable[[], object]:
    blocks = build_blocks(design, [0], runtime)
    sizes = (len(design.columns), *case.hidden, 1)

    def train_each_fold() -> None:
        for rows in design.folds.train:
            layers = [layer for a, b in pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
            net = torch.nn.Sequential(*layers[:-1])
            optimizer = torch.optim.Adam(net.parameters(), lr=case.lr, fused=fused or None)
            loss = torch.nn.MSELoss()
            index = torch.from_numpy(rows)
            own = TensorDataset(blocks.matrix[index], blocks.target[index, None])
            loaded = DataLoader(own, batch_size=case.batch, shuffle=True)
            for _ in range(case.epochs):
                for features, wanted in loaded if loader else _gathered(own, case.batch):
                    optimizer.zero_grad()
                    loss(net(features), wanted).backward()
                    optimizer.step()

    return train_each_fold


def _gathered(own: TensorDataset, batch: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    features, wanted = own.tensors
    return ((features[index], wanted[index]) for index in torch.randperm(len(features)).split(batch))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
