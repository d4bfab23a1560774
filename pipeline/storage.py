"""Studies on disk: an Optuna journal that survives a torn last line, and the winner beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import filelock

from pipeline.errors import ArtifactError, ConfigError
from pipeline.files import write_atomically
from pipeline.store import KEY_SHOWN
from pipeline.tables import Winner

if TYPE_CHECKING:
    from pathlib import Path

    import optuna


def study_file(folder: Path, key: str) -> Path:
    """The journal of the study with this key."""
    return folder / f"study-{key[:KEY_SHOWN]}.journal"


def open_study(folder: Path, key: str, *, seed: int) -> optuna.Study:
    """Open or create the study with this key; a torn journal is healed first. Lower scores are better."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    file = study_file(folder, key)
    heal_journal(file)
    try:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
        study = optuna.create_study(
            study_name=key[:KEY_SHOWN], storage=storage, direction="minimize", load_if_exists=True
        )
    except (ValueError, KeyError) as error:
        raise ArtifactError(
            f"{file}: not a readable journal ({type(error).__name__}: {error}); move it away to start the study anew"
        ) from None
    # a continued study must not suggest its first points again
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)))
    return study


def heal_journal(file: Path) -> bool:
    """Cut a half-written last line (power cut, full disk), which would make the study unreadable for ever.

    The torn file is kept as `.bak`. True if there was something to heal.
    """
    if not file.exists():
        return False
    with filelock.FileLock(f"{file}.heal.lock"):
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
    fields = {
        "key": key,
        "values": dict(winner.values),
        "score": winner.score,
        "trial": winner.trial,
        "trials": winner.trials,
    }
    write_atomically(file, (json.dumps(fields, indent=1) + "\n").encode())
    return file


def load_winner(folder: Path, key: str, *, name: str) -> Winner:
    """The winner of the study with this key. Raises ConfigError, with the command to run, if there is none."""
    file = winner_file(folder, key)
    try:
        fields = json.loads(file.read_text())
        return Winner(fields["values"], fields["score"], fields["trial"], fields["trials"])
    except (OSError, ValueError, KeyError, TypeError):
        older = sorted(folder.glob("winner-*.json"))
        found = f"; {len(older)} finished under other data, code or settings" if older else ""
        raise ConfigError(
            f"train.tuned is true, but no sweep has finished for this configuration{found}; "
            f"run `make sweep NAME={name} TRIALS=20` first, or --set train.tuned=false"
        ) from None
