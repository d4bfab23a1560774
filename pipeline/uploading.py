"""A checked submission, uploaded to Kaggle and its public score kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import kaggle
from pipeline.errors import ConfigError
from pipeline.progress import say

if TYPE_CHECKING:
    from pipeline.runner import Runner

RECORD = "kaggle.json"  # every upload of this competition, with its public score


def slug_of(runner: Runner, slug: str) -> str:
    """The competition on kaggle.com to upload to: the one that was typed, else the config's `kaggle`.

    Raises ConfigError where neither names one, and for what is not worth an upload: before anything is trained.
    """
    competition = runner.competition
    slug = slug or runner.config.kaggle
    if not slug:
        raise ConfigError(
            f'which competition? add `kaggle = "its-slug"` to {competition.file.name}, or type --kaggle its-slug; the '
            f"slug is the last part of its address on kaggle.com"
        )
    if runner.raw_files.test is None:
        raise ConfigError(
            f"{competition.file.name}: there is no test file, so submission.csv holds rows of train that were held "
            f"out: nothing to upload; score it here: make heldout NAME={competition.name}"
        )
    if competition.variant:
        raise ConfigError(
            "--fast trains on a tenth of the rows: such a submission is not worth an upload; leave it out"
        )
    return kaggle.competition_slug(slug)


def upload(runner: Runner, slug: str, message: str) -> None:
    """Upload reports/NAME/submission.csv, wait for its score, and append it to reports/NAME/kaggle.json."""
    competition = runner.competition
    folder = competition.outputs("reports")
    score = kaggle.submit(slug, folder / "submission.csv", message or competition.name, on_progress=say)
    kaggle.record(score, folder / RECORD)
    shown = "no public score" if score.public_score is None else f"public score {score.public_score:g}"
    say(f"{'kaggle':<11} {score.status:<18} {shown}; kept in {(folder / RECORD).relative_to(competition.root)}")
