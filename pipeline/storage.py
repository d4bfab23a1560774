"""Studies on disk: an Optuna journal that survives a torn last line, and the winner beside it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.errors import ArtifactError, ConfigError, StorageError
from pipeline.files import write_atomically
from pipeline.store import KEY_SHOWN
from pipeline.tables import Finalist, Winner

if TYPE_CHECKING:
    from pathlib import Path

    import optuna
    from optuna.storages.journal import JournalFileOpenLock

    from pipeline.settings import Search


SQLITE_SECONDS = 120.0  # that a process waits for another one's write
DRIVERS = '`pip install "foldpack[postgres]"`, in a clone `make setup EXTRAS=postgres`'


def study_file(folder: Path, key: str) -> Path:
    """The journal of the study with this key."""
    return folder / f"study-{key[:KEY_SHOWN]}.journal"


def open_study(folder: Path, key: str, *, name: str, search: Search, epochs: int, part: str = "") -> optuna.Study:
    """Open or create the study with this key, with the sampler and the pruner that the configuration names.

    folder: of the journal, where no database is named. name: the competition's. epochs: of its training. part: of the
    search, such as a phase of its plan, which has a study of its own in the same storage. Lower scores are better.
    Raises StorageError for a storage that cannot be opened, ArtifactError for a journal that is none.
    """
    import optuna

    from pipeline.stages.samplers import pruner_of, sampler_of

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = search.storage
    storage = _database(url) if url else _journal(folder, key)
    try:
        study = optuna.create_study(
            study_name=f"{name}-{key[:KEY_SHOWN]}{part and '.' + part}",
            storage=storage,
            direction="minimize",
            load_if_exists=True,
        )
        trials = len(study.get_trials(deepcopy=False))
    except (ValueError, KeyError) as error:
        where = url or study_file(folder, key)
        raise ArtifactError(
            f"{where}: not a readable study ({type(error).__name__}: {error}); move it away to start it anew"
        ) from None
    # neither a continued study nor a second process may suggest the first points again
    study.sampler = sampler_of(search, search.seed + trials)
    study.pruner = pruner_of(search, epochs)
    return study


def studies(folder: Path, *, name: str, url: str) -> list[optuna.Study | ArtifactError]:
    """Every study of a competition: in journals there or in a database; in the place of one that is damaged, why."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url:
        storage = _database(url)
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
    import optuna
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir(parents=True, exist_ok=True)
    file = study_file(folder, key)
    try:
        heal_journal(file)
        return optuna.storages.JournalStorage(JournalFileBackend(str(file), journal_lock(file)))
    except (ValueError, KeyError) as error:
        raise ArtifactError(
            f"{file}: not a readable journal ({type(error).__name__}: {error}); move it away to start the study anew"
        ) from None


def journal_lock(file: Path) -> JournalFileOpenLock:
    """The lock under which every process writes to a journal, and under which it is healed."""
    from optuna.storages.journal import JournalFileOpenLock

    return JournalFileOpenLock(str(file))


def _database(url: str) -> optuna.storages.BaseStorage:
    """A database of any kind that SQLAlchemy knows; SQLite waits for its lock instead of giving up at once."""
    import optuna
    import sqlalchemy

    try:
        address = sqlalchemy.make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        is_sqlite = address.get_backend_name() == "sqlite"
        options: dict[str, object] = (
            {"connect_args": {"timeout": SQLITE_SECONDS}} if is_sqlite else {"pool_pre_ping": True}
        )
        storage = optuna.storages.RDBStorage(address.render_as_string(hide_password=False), engine_kwargs=options)
        if is_sqlite:
            with storage.engine.connect() as connection:
                connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
    except ModuleNotFoundError as error:
        raise StorageError(f"{shown_url(url)} needs {error.name}, which is not installed; run {DRIVERS}") from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise StorageError(
            f"search.storage = {shown_url(url)!r}: the study's database cannot be opened ({reason}); check address, "
            f"user and password, and that the server runs"
        ) from None
    return storage


def shown_url(url: str) -> str:
    """The address of a database without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def heal_journal(file: Path) -> bool:
    """Cut a half-written last line (power cut, full disk), which would make the study unreadable for ever.

    The torn file is kept as `.bak`. True if there was something to heal.
    """
    from optuna.storages.journal._file import get_lock_file

    if not file.exists():
        return False
    with get_lock_file(journal_lock(file)):
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole == content:
            return False
        write_atomically(file.with_suffix(".bak"), content)
        write_atomically(file, whole)
        return True


def winner_file(folder: Path, key: str) -> Path:
    """The winner of the study with this key."""
    return folder / f"winner-{key[:KEY_SHOWN]}.json"


def save_winner(folder: Path, key: str, winner: Winner) -> Path:
    """Write the winner for `train.tuned = true`."""
    file = winner_file(folder, key)
    fields = {"key": key, **asdict(winner)}
    write_atomically(file, (json.dumps(fields, indent=1) + "\n").encode())
    return file


def load_winner(folder: Path, key: str, *, name: str) -> Winner:
    """The winner of the study with this key. Raises ConfigError, with the command to run, if there is none."""
    file = winner_file(folder, key)
    try:
        fields = json.loads(file.read_text())
        del fields["key"]
        finalists = [Finalist(**{**one, "again": tuple(one["again"])}) for one in fields.pop("finalists")]
        return Winner(**fields, finalists=tuple(finalists))
    except (OSError, ValueError, KeyError, TypeError):
        older = sorted(folder.glob("winner-*.json"))
        found = f"; {len(older)} finished under other data, code or settings" if older else ""
        raise ConfigError(
            f"train.tuned is true, but no sweep has finished for this configuration{found}; "
            f"run `make sweep NAME={name} TRIALS=20` first, or --set train.tuned=false"
        ) from None
