"""Five folds as one program, beside a plain PyTorch loop with a DataLoader per fold. Ratios, median of 7.

python -m benchmarks.speed --data DIR
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.house_prices import data_folder, prepare
from benchmarks.record import record
from pipeline.engine.fit import fit
from pipeline.engine.optimizers import Rule
from pipeline.engine.pack import Data
from pipeline.engine.packing import Assignment
from pipeline.engine.schedules import Schedule
from pipeline.stages.learners import build_blocks
from pipeline.tables import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.runtime import Runtime
    from pipeline.tables import Design

RUNS = 7
CASES = {  # name -> hidden widths, epochs a run, lr
    "textbook linear, batch 64": ((), 20, 5.0),
    "mlp 256-256, batch 64": ((256, 256), 5, 1e-3),
}
BATCH = 64


def main() -> None:
    """Measure each case, both sides in turn, and record the ratio of their medians."""
    _, _, design, runtime = prepare(data_folder(), "house-prices-textbook")
    torch.set_num_threads(runtime.compute.threads)
    rows = []
    for name, (hidden, epochs, lr) in CASES.items():
        packed = _packed(design, runtime, hidden, epochs, lr)
        plain = _plain_loop(design, runtime, hidden, epochs, lr)
        packed(), plain()
        pairs = [(_seconds(packed), _seconds(plain)) for _ in range(RUNS)]
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratios = sorted(b / a for a, b in pairs)
        rows.append(
            {
                "case": name,
                "folds": design.folds.count,
                "epochs": epochs,
                "runs": RUNS,
                "packed_seconds": round(ours, 4),
                "dataloader_loop_seconds": round(theirs, 4),
                "times_faster": round(theirs / ours, 2),
                "lowest": round(ratios[0], 2),
                "highest": round(ratios[-1], 2),
            }
        )
    record("speed", rows)


def _packed(design: Design, runtime: Runtime, hidden: tuple[int, ...], epochs: int, lr: float) -> Callable[[], object]:
    folds = range(design.folds.count)
    blocks = build_blocks(design, list(folds), runtime)
    network = Network(len(design.columns), hidden, "relu", "pytorch", 0.01)
    jobs = [
        Assignment(
            key=fold,
            network=network,
            train_rows=design.folds.train[fold] + blocks.start[fold],
            valid_rows=design.folds.valid[fold] + blocks.start[fold],
            rule=Rule(decoupled=False, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8),
            lr=lr,
            schedule=Schedule("constant"),
            loss="mse",
            dropout=0.0,
            epochs=epochs,
            batch_size=BATCH,
            patience=0,
            restore_best=False,
        )
        for fold in folds
    ]
    return lambda: fit(jobs, Data(blocks.matrix, blocks.target))


def _plain_loop(
    design: Design, runtime: Runtime, hidden: tuple[int, ...], epochs: int, lr: float
) -> Callable[[], object]:
    blocks = build_blocks(design, [0], runtime)
    matrix, target = blocks.matrix, blocks.target
    sizes = (len(design.columns), *hidden, 1)

    def train_each_fold() -> None:
        for rows in design.folds.train:
            layers = [layer for a, b in pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())]
            net = torch.nn.Sequential(*layers[:-1])
            optimizer = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=0.0)
            loss = torch.nn.MSELoss()
            index = torch.from_numpy(rows)
            loader = DataLoader(TensorDataset(matrix[index], target[index, None]), batch_size=BATCH, shuffle=True)
            for _ in range(epochs):
                for features, wanted in loader:
                    optimizer.zero_grad()
                    loss(net(features), wanted).backward()
                    optimizer.step()

    return train_each_fold


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
