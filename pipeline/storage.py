"""Where studies lie: an Optuna journal beside the models or a database, and the winner in a file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.config import seconds_of
from pipeline.errors import ArtifactError, ConfigError
from pipeline.files import write_atomically
from pipeline.outcomes import Finalist, Winner
from pipeline.store import KEY_SHOWN

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from pipeline.search_settings import Search


def study_file(folder: Path, key: str) -> Path:
    """The journal of the study with this key."""
    return folder / f"study-{key[:KEY_SHOWN]}.journal"


def open_study(folder: Path, key: str, *, name: str, search: Search, part: str = "") -> optuna.Study:
    """Open or create the study with this key, with the sampler and the pruner that the configuration names.

    folder: of the journal, where no database is named. name: the competition's. part: of the
    search, such as a phase of its plan, which has a study of its own in the same storage. Lower scores are better.
    Raises StorageError for a storage that cannot be opened, ArtifactError for a journal that is none.
    """
    import optuna

    from pipeline.stages.samplers import pruner_of, sampler_of

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = search.storage
    storage = _database(url, seconds_of(search.patience)) if url else _journal(folder, key)
    try:
        study = optuna.create_study(
            study_name=f"{name}-{key[:KEY_SHOWN]}{part and '.' + part}",
            storage=storage,
            direction="minimize",
            load_if_exists=True,
        )
        trials = len(study.get_trials(deepcopy=False))
    except (ValueError, KeyError) as error:
        where = shown_url(url) or study_file(folder, key)
        raise ArtifactError(
            f"{where}: not a readable study ({type(error).__name__}: {error}); move it away to start it anew"
        ) from None
    # neither a continued study nor a second process may suggest the first points again
    study.sampler = sampler_of(search, search.seed + trials)
    study.pruner = pruner_of(search)
    return study


def studies(folder: Path, *, name: str, url: str) -> list[optuna.Study | ArtifactError]:
    """Every study of a competition: in journals there or in a database; in the place of one that is damaged, why."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url:
        storage = _database(url, 0.0)
        names = [found for found in optuna.get_all_study_names(storage) if found.rpartition("-")[0] == name]
        return [optuna.load_study(study_name=found, storage=storage) for found in sorted(names)]
    found: list[optuna.Study | ArtifactError] = []
    for file in sorted(folder.glob("study-*.journal")):
        key = file.stem.removeprefix("study-")
        try:
            storage = _journal(folder, key)
            found += [optuna.load_study(study_name=own, storage=storage) for own in optuna.get_all_study_names(storage)]
        except ArtifactError as error:
            found.append(error)
    return found


def _journal(folder: Path, key: str) -> optuna.storages.BaseStorage:
    """A file beside the models, which several processes of one computer may write."""
    from optuna.storages import JournalStorage

    from pipeline.journal import Journal, heal_journal, not_readable

    folder.mkdir(parents=True, exist_ok=True)
    file = study_file(folder, key)
    heal_journal(file)
    try:
        return JournalStorage(Journal(file))
    except KeyError as error:
        raise not_readable(file, error) from None


def _database(url: str, patience: float) -> optuna.storages.BaseStorage:
    from pipeline.database import open_database

    return open_database(url, patience)


def shown_url(url: str) -> str:
    """The address of a database without its password."""
    return re.sub(r"([?&]password=)[^&]*", r"\1***", re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url))


def winner_file(folder: Path, key: str) -> Path:
    """The winner of sweeps with this key: of this data, code and configuration, however it was searched."""
    return folder / f"winner-{key[:KEY_SHOWN]}.json"


def save_winner(folder: Path, key: str, winner: Winner) -> Path:
    """Write the winner for `train.tuned = true`."""
    folder.mkdir(parents=True, exist_ok=True)  # where the study is in a database, nothing may have been kept here yet
    file = winner_file(folder, key)
    fields = {"key": key, **asdict(winner)}
    write_atomically(file, (json.dumps(fields, indent=1) + "\n").encode())
    return file


def load_winner(folder: Path, key: str, *, name: str) -> Winner:
    """The winner of sweeps with this key. Raises ConfigError, with the command to run, if there is none."""
    winner = _read_winner(winner_file(folder, key))
    if winner is None:
        older = sorted(folder.glob("winner-*.json"))
        found = f"; {len(older)} finished under other data, code or settings" if older else ""
        raise ConfigError(
            f"train.tuned is true, but no sweep has finished for this configuration{found}; "
            f"run `make sweep NAME={name} TRIALS=20` first, or --set train.tuned=false"
        )
    return winner


def kept_winners(folder: Path) -> list[Winner]:
    """All winners there, of whatever configuration."""
    return [winner for file in sorted(folder.glob("winner-*.json")) if (winner := _read_winner(file)) is not None]


def _read_winner(file: Path) -> Winner | None:
    """None where there is none that can be read."""
    try:
        fields = json.loads(file.read_text())
        del fields["key"]
        finalists = [Finalist(**{**one, "again": tuple(one["again"])}) for one in fields.pop("finalists")]
        findings = tuple(fields.pop("findings"))
        return Winner(**fields, finalists=tuple(finalists), findings=findings)
    except (OSError, ValueError, KeyError, TypeError):
        return None
