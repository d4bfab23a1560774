"""How a competition begins: its files fetched or unpacked, and a first config drafted from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.competition import COMPETITIONS, check_name
from pipeline.errors import ConfigError, DataError
from pipeline.files import write_atomically
from pipeline.progress import say
from pipeline.reading.archive import unpack
from pipeline.reading.folder import find_files, tables_in
from pipeline.reading.table import read_table
from pipeline.settings import Files
from pipeline.stages.init import draft
from pipeline.tables import RawTables
from pipeline.tabular.roles.guesses import guess_roles

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.tables import RawTable

SOURCE = "competition.json"  # which competition the files of a folder were downloaded from


def download(root: Path, name: str, slug: str) -> None:
    """Fetch a Kaggle competition's files into data/raw/NAME/ with the official client."""
    from pipeline import kaggle

    folder = root / "data" / "raw" / check_name(name)
    slug = kaggle.competition_slug(slug)
    files = kaggle.download(slug, folder, on_progress=say)
    write_atomically(folder / SOURCE, (json.dumps({"kaggle": slug}) + "\n").encode())
    say(f"{'data':<11} {len(files)} files of {slug} in {folder}; next: make init NAME={name}")


def init(root: Path, name: str, *, target: str = "", overwrite: bool = False) -> None:
    """Draft competitions/NAME.toml from the files in data/raw/NAME/, and print why each column got its role."""
    folder, config = root / "data" / "raw" / check_name(name), root / COMPETITIONS / f"{name}.toml"
    if config.exists() and not overwrite:
        raise ConfigError(
            f"{config} is there already; edit it, or overwrite it: `python -m pipeline init {name} --force`"
        )
    _unpack_archives(folder)
    raw = _read_all(folder)
    guesses = guess_roles(raw, folder_name=name, target=target)
    drafted = draft(guesses, name)
    for line in drafted.lines:
        say(line)
    config.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(config, _with_source(drafted.toml, folder).encode())
    say(f"{'init':<11} {'written':<18} {config.relative_to(root)}")
    say(f"{'':<11} {'next':<18} look at it, then: make features train submit NAME={name}")


def _unpack_archives(folder: Path) -> None:
    """Unpack what Kaggle serves as one archive, where no table lies beside it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; put the competition's files there, then run this again")
    archives = sorted(folder.glob("*.zip"))
    if tables_in(folder) or not archives:
        return
    for archive in archives:
        files = unpack(archive, folder)
        say(f"{'init':<11} {'unpacked':<18} {archive.name}: {len(files)} files")


def _read_all(folder: Path) -> RawTables:
    files = Files()
    found = find_files(folder, files, holdout=True)
    known = {found.train, found.test, found.sample}
    sides: dict[str, RawTable] = {}
    for path in tables_in(folder):
        if path in known:
            continue
        try:
            sides[path.name] = read_table(path, files)
        except DataError as error:
            say(f"{'init':<11} {'left out':<18} {error}")
    return RawTables(
        train=read_table(found.train, files),
        test=read_table(found.test, files) if found.test else None,
        sample=read_table(found.sample, files) if found.sample else None,
        sides=sides,
    )


def _with_source(toml: str, folder: Path) -> str:
    """The draft, and the competition's slug where its files were downloaded."""
    try:
        slug = json.loads((folder / SOURCE).read_text())["kaggle"]
    except (OSError, ValueError, KeyError, TypeError):
        return toml
    return f"kaggle = {json.dumps(str(slug))}   # where `submit --kaggle` uploads to\n{toml}"
