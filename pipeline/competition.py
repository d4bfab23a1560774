"""One competition on disk: its config file and its four folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError

COMPETITIONS = "competitions"
LONGEST_NAME = 100  # of a folder, with room for what is set before and behind it


@dataclass(frozen=True, slots=True)
class Competition:
    """Where everything of one competition lies. `variant` separates the outputs of `--fast` runs."""

    name: str
    file: Path
    root: Path
    variant: str = ""

    def folder(self, kind: str) -> Path:
        """data/processed/NAME, models/NAME or reports/NAME: artifacts."""
        return self.root / kind / self.name

    def outputs(self, kind: str) -> Path:
        """Where files for people and other programs go: the folder itself, or its `fast/`."""
        return self.folder(kind) / self.variant

    def raw(self, configured: str) -> Path:
        """data/raw/NAME, or the folder that the config names. Raises ConfigError for a name that leaves data/raw."""
        return self.root / "data" / "raw" / (check_name(configured, "`raw`: ") if configured else self.name)


def check_name(name: str, where: str = "") -> str:
    """The name itself, which becomes folders. Raises ConfigError for one that is no plain word, or too long."""
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        raise ConfigError(
            f"{where}{name[:20]!r}… is no competition name: {len(name):,} letters, more than the {LONGEST_NAME} bytes "
            f"that folders may have here; shorten it"
        )
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"{where}{name!r} is no competition name: letters, digits, dots, dashes and underscores only")
    return name


def find_competition(name: str, *, root: Path, fast: bool = False) -> Competition:
    """The competition of that name in competitions/, or of that TOML file.

    Raises ConfigError that lists the known ones.
    """
    file = Path(name) if name.endswith(".toml") else root / COMPETITIONS / f"{name}.toml"
    stem = check_name(file.stem if name.endswith(".toml") else name)
    if not file.is_file():
        known = sorted(path.stem for path in (root / COMPETITIONS).glob("*.toml"))
        hint = f"known here: {', '.join(known)}" if known else "run this in the folder that holds competitions/"
        if (root / "data" / "raw" / stem).is_dir():
            hint += f"; draft it from data/raw/{stem}: make init NAME={stem}"
        raise ConfigError(f"{file}: no such file; {hint}")
    return Competition(stem, file, root, "fast" if fast else "")
