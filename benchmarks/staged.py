"""Raw tables -> what training takes, the way the stages make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.devices import resolve_compute
from pipeline.runtime import Runtime
from pipeline.stages.ingest import ingest
from pipeline.stages.preprocess import preprocess

if TYPE_CHECKING:
    from pipeline.settings import Config
    from pipeline.tables import Dataset, Design, RawTables


def staged(config: Config, raw: RawTables) -> tuple[Dataset, Design, Runtime]:
    """Ingested tables, design and CPU runtime."""
    dataset = ingest(raw, roles=config.roles, metric=config.metric, holdout=config.holdout, time=config.time)
    design = preprocess(
        dataset, preprocess=config.preprocess, target=config.target, folds=config.folds, metric=config.metric,
        history=config.history,
    )  # fmt: skip
    return dataset, design, Runtime(resolve_compute("cpu", 0, config.train.precision))
