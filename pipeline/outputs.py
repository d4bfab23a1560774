"""The files other programs and people rely on: written whole, read back, rewritten only when they should differ."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from typing import TYPE_CHECKING

from pipeline.errors import ArtifactError
from pipeline.files import file_sha256, write_atomically
from pipeline.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.fits import ModelScore, Scores, Submission
    from pipeline.forecast_facts import ErrorGroup, ForecastScores

RECORD = ".published.json"  # file -> what it was made from; `gc` keeps those artifacts


def metrics_json(scores: Scores, submission: Submission | None, *, competition: str) -> bytes:
    """`metrics.json`: every score of every fold (numbered from 1), pooled, with the baselines and the submission.

    Of time series the scores of forecasts too.
    """
    document = {
        "competition": competition,
        "metric": scores.metric,
        "models": {name: _model(score) for name, score in scores.models.items()},
        "baselines": {name: _model(score) for name, score in scores.baselines.items()},
        "seeds": list(scores.seed_oof),
        "validation_looks": scores.validation_looks,
        "unscored_rows": scores.unscored_rows,
        **({"forecast": _forecast(scores.forecast, scores.metric)} if scores.forecast else {}),
        "submission": {"rows": submission.rows, "sha256": submission.sha256} if submission else None,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def oof_csv(scores: Scores) -> bytes:
    """`oof.csv`: id, fold (from 1), actual, one column per model and baseline; a line each time a fold scores a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "fold", "actual", *scores.oof])
    columns = [oof.tolist() for oof in scores.oof.values()]
    writer.writerows(zip(scores.ids, (scores.fold_of_row + 1).tolist(), scores.actual.tolist(), *columns, strict=True))
    return text.getvalue().encode()


def _model(score: ModelScore) -> dict[str, object]:
    return {
        "folds": [
            {"fold": fold.fold + 1, "rows": fold.rows, **fold.valid, "train": dict(fold.train)} for fold in score.folds
        ],
        "oof": dict(score.oof),
        "train_seconds": round(score.train_seconds, 3),
    }


def _forecast(forecast: ForecastScores, metric: str) -> dict[str, object]:
    """Scores of rows in time; null where there is no number."""

    def errors(groups: Sequence[ErrorGroup], kind: str) -> list[dict[str, object]]:
        return [
            {kind: one.label, "rows": one.rows, metric: _number(one.error), "naive": _number(one.naive)}
            for one in groups
        ]

    return {
        "naive": forecast.naive,
        "skill": {name: _number(value) for name, value in forecast.skill.items()},
        "mase": {name: _number(value) for name, value in forecast.mase.items()},
        "mase_rows": forecast.mase_rows,
        "by_steps_ahead": errors(forecast.by_age, "steps_ahead"),
        "phase": forecast.phase,
        "by_phase": errors(forecast.by_phase, "phase"),
        "by_weekday": errors(forecast.by_weekday, "weekday"),
        "by_series": errors(forecast.by_series, "series"),
        "further_series": forecast.further_series,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


class Publisher:
    """Writes output files of one folder and remembers what each was made from."""

    def __init__(self, folder: Path, *, root: Path) -> None:
        self.folder, self._root = folder, root
        self._record_file = folder / RECORD

    def publish(self, name: str, key: str, artifacts: Mapping[str, str], render: Callable[[], bytes]) -> Path:
        """Make sure that the file holds what `key` stands for; rendered only if it does not, and read back.

        artifacts: stage -> key of everything the file was made from.
        Raises ArtifactError when the disk refuses, or gives back other bytes.
        """
        path = self.folder / name
        known = self.record().get(name, {})
        if known.get("key") == key and path.exists() and file_sha256(path) == known.get("sha256"):
            say(f"{'':<11} {'unchanged':<18} {path.relative_to(self._root)}")
            return path
        content = render()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            if path.read_bytes() != content:
                raise ArtifactError(f"{path}: the disk gave back other bytes than were written; do not upload it")
            entry = {"key": key, "sha256": hashlib.sha256(content).hexdigest(), "artifacts": dict(artifacts)}
            text = json.dumps(self.record() | {name: entry}, indent=1, sort_keys=True)
            write_atomically(self._record_file, text.encode())
        except OSError as error:
            raise ArtifactError(
                f"cannot write {path}: {error.strerror or error}; free some space or make the folder "
                f"writable, and run the command again"
            ) from error
        say(f"{'':<11} {'written':<18} {path.relative_to(self._root)}")
        return path

    def record(self) -> dict[str, dict[str, object]]:
        """What was published here; empty if nothing, or if the record is not readable."""
        try:
            record = json.loads(self._record_file.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}
