"""The house-price files as values, the way the stages make them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.staged import staged
from pipeline.config import Resolved, load_config
from pipeline.reading.folder import find_files, read_tables

if TYPE_CHECKING:
    from pipeline.runtime import Runtime
    from pipeline.tables import Dataset, Design

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder that --data names: it holds house-prices/."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw", help="holds house-prices/train.csv …")
    return parser.parse_args().data / "house-prices"


def prepare(folder: Path, competition: str, *settings: str) -> tuple[Resolved, Dataset, Design, Runtime]:
    """Config, ingested tables, design and CPU runtime of one of the house-price competitions."""
    file = ROOT / "competitions" / f"{competition}.toml"
    resolved = load_config(file.read_text(), file=file.name, settings=settings)
    config = resolved.config
    return resolved, *staged(config, read_tables(find_files(folder, config.files), config.files))
