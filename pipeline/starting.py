"""How a competition begins: its files fetched or unpacked, and a first config drafted from them."""

from __future__ import annotations

import filecmp
import json
from typing import TYPE_CHECKING

from pipeline.competition import COMPETITIONS, check_name
from pipeline.config import load_config
from pipeline.errors import ConfigError, DataError
from pipeline.files import write_atomically
from pipeline.progress import say
from pipeline.reading.archive import unpack
from pipeline.reading.folder import find_files, is_train, tables_in
from pipeline.reading.table import read_table
from pipeline.stages.init import draft
from pipeline.tables import RawTables
from pipeline.tabular.roles.guesses import guess_roles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.settings import Files
    from pipeline.tables import RawTable

MACOS = "__MACOSX"  # what macOS puts beside the folder that it packs
SOURCE = "competition.json"  # which competition the files of a folder were downloaded from


def download(root: Path, name: str, slug: str) -> None:
    """Fetch a Kaggle competition's files into data/raw/NAME/ with the official client."""
    from pipeline import kaggle

    folder = root / "data" / "raw" / check_name(name)
    slug = kaggle.competition_slug(slug)
    files = kaggle.download(slug, folder, on_progress=say)
    write_atomically(folder / SOURCE, (json.dumps({"kaggle": slug}) + "\n").encode())
    say(f"{'data':<11} {len(files)} files of {slug} in {folder}; next: make init NAME={name}")


def files_of(settings: Sequence[str], *, fast: bool) -> Files:
    """How files are read, from `--set files.…`. Raises ConfigError for anything else: a draft has no other settings."""
    other = [text for text in settings if not text.lstrip().startswith("files.")]
    if other or fast:
        raise ConfigError(
            f"init reads files and writes a config: of the settings it takes files.… alone, found "
            f"{'--fast' if fast else '--set ' + other[0]}; set the others in the file that it writes"
        )
    return load_config("", file="--set", settings=settings).config.files


def init(root: Path, name: str, *, files: Files, target: str = "", overwrite: bool = False) -> None:
    """Draft competitions/NAME.toml from the files in data/raw/NAME/, and print why each column got its role."""
    folder, config = root / "data" / "raw" / check_name(name), root / COMPETITIONS / f"{name}.toml"
    if config.exists() and not overwrite:
        raise ConfigError(
            f"{config} is there already; edit it, or overwrite it: `python -m pipeline init {name} --force`"
        )
    _unpack_archives(folder, files)
    raw = _read_all(folder, files)
    guesses = guess_roles(raw, folder_name=name, target=target)
    drafted = draft(guesses, name, files)
    for line in drafted.lines:
        say(line)
    config.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(config, _with_source(drafted.toml, folder).encode())
    say(f"{'init':<11} {'written':<18} {config.relative_to(root)}")
    say(f"{'':<11} {'next':<18} look at it, then: make features train submit NAME={name}")


def _unpack_archives(folder: Path, files: Files) -> None:
    """Unpack what Kaggle serves as one archive, where no training file lies beside it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; put the competition's files there, then run this again")
    archives = sorted(folder.glob("*.zip"))
    if any(is_train(path) or path.name == files.train for path in tables_in(folder)) or not archives:
        return
    for archive in archives:
        unpacked = unpack(archive, folder)
        say(f"{'init':<11} {'unpacked':<18} {archive.name}: {len(unpacked)} files")
        _lift(unpacked, folder)


def _lift(files: Sequence[Path], folder: Path) -> None:
    """Move everything up where an archive holds one folder with all its files."""
    files = [file for file in files if file.relative_to(folder).parts[0] != MACOS]
    parts = [file.relative_to(folder).parts for file in files]
    if not parts or any(len(part) < 2 for part in parts) or len({part[0] for part in parts}) > 1:
        return
    inner = folder / parts[0][0]
    moves = {file: folder.joinpath(*part[1:]) for file, part in zip(files, parts, strict=True)}
    for file, target in moves.items():
        # an earlier run may have moved it: the same bytes are the same file
        if target.exists() and not (target.is_file() and filecmp.cmp(file, target, shallow=False)):
            raise DataError(
                f"{inner}: its files belong into {folder}, but another {target.name} is there already; move one of "
                f"them away"
            )
    for file, target in moves.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    for left in sorted({parent for file in moves for parent in file.parents if parent.is_relative_to(inner)})[::-1]:
        if not any(left.iterdir()):  # what lay there before stays
            left.rmdir()
    say(f"{'init':<11} {'moved up':<18} {len(moves)} files out of {inner.name}/")


def _read_all(folder: Path, files: Files) -> RawTables:
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
