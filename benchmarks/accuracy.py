"""Scores of the two recipes on house prices, beside the figures they have to reach.

python -m benchmarks.accuracy --data DIR     (the stated figures hold for Kaggle's own files)
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.house_prices import data_folder, prepare
from benchmarks.record import record
from pipeline.stages.evaluate import evaluate
from pipeline.stages.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.fits import Scores


def main() -> None:
    """Textbook parity, the classic recipe's single seeds and its bag; a second bag on seeds nobody tuned on."""
    folder = data_folder()
    rows = [*textbook(folder), *classic(folder, first_seed=0), *classic(folder, first_seed=5)]
    record("accuracy", rows)


def scores_of(folder: Path, competition: str, *settings: str) -> tuple[Scores, int]:
    """Train and evaluate one competition; its scores and number of columns."""
    resolved, dataset, design, runtime = prepare(folder, competition, *settings)
    config = resolved.config
    fits = train(design, model=config.model, train=config.train, metric=config.metric, runtime=runtime)
    return evaluate(dataset, design, fits, metric=config.metric), len(design.columns)


def textbook(folder: Path) -> list[dict[str, object]]:
    """331 columns; mean log-RMSE over folds .170 ± .003 on validation and .165 ± .003 on training rows."""
    scores, columns = scores_of(folder, "house-prices-textbook")
    folds = scores.models["linear"].folds
    valid, rows = (
        statistics.mean(f.valid["log_rmse"] for f in folds),
        statistics.mean(f.train["log_rmse"] for f in folds),
    )
    return [
        {"what": "textbook, columns", "value": columns, "wanted": "331"},
        {"what": "textbook, mean valid log_rmse", "value": round(valid, 5), "wanted": ".170 +- .003"},
        {"what": "textbook, mean train log_rmse", "value": round(rows, 5), "wanted": ".165 +- .003"},
    ]


def classic(folder: Path, *, first_seed: int) -> list[dict[str, object]]:
    """Pooled out-of-fold log-RMSE of single seeds (mean over 5) and of the bag of those 5."""
    scores, _ = scores_of(folder, "house-prices", f"train.seed={first_seed}")
    label = f"classic, seeds {first_seed}-{first_seed + len(scores.seed_oof) - 1}"
    single, bag = statistics.mean(scores.seed_oof), scores.models["mlp"].oof["log_rmse"]
    return [
        {"what": f"{label}, single, mean", "value": round(single, 5), "wanted": "<= .1225"},
        {"what": f"{label}, bag", "value": round(bag, 5), "wanted": "<= .1185"},
        {
            "what": f"{label}, ridge beside it",
            "value": round(scores.baselines["ridge"].oof["log_rmse"], 5),
            "wanted": "",
        },
    ]


if __name__ == "__main__":
    main()
