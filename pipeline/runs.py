"""`runs`: the studies of a competition, one line each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.claims import is_claimed
from pipeline.errors import ArtifactError
from pipeline.graph import SEARCH
from pipeline.progress import say
from pipeline.storage import shown_url, studies, study_file, winner_file

if TYPE_CHECKING:
    import optuna

    from pipeline.runner import Runner


def list_runs(runner: Runner) -> None:
    """Every study that has begun: how far it is, its best score, and whether it is that of the configuration now."""
    folder, url = runner.store(SEARCH).folder, runner.config.search.storage
    key, name = runner.key("search"), runner.competition.name
    now = study_file(folder, key).stem.removeprefix("study-")
    lines = [_line(study, runner, now) for study in studies(folder, name=name, url=url)]
    where = shown_url(url) if url else folder.relative_to(runner.competition.root)
    if not lines:
        say(f"no study of {name} in {where}; begin one: make sweep NAME={name} TRIALS=20")
    for line in lines:
        say(line)


def _line(study: optuna.Study | ArtifactError, runner: Runner, now: str) -> str:
    if isinstance(study, ArtifactError):
        return str(study)
    trials = study.get_trials(deepcopy=False)
    counts = Counter(trial.state for trial in trials if is_claimed(trial))
    key = study.study_name.rsplit("-", 1)[-1]
    told = [
        f"{counts[state]} {word}"
        for state, word in (
            (TrialState.COMPLETE, "scored"),
            (TrialState.PRUNED, "given up"),
            (TrialState.FAIL, "failed"),
            (TrialState.RUNNING, "in flight"),
        )
        if counts[state]
    ]
    scored = [trial.value for trial in trials if trial.value is not None]
    best = f"best {runner.config.metric} {min(scored):.5f}" if scored else "no score yet"
    begun = min((trial.datetime_start for trial in trials if trial.datetime_start), default=None)
    when = f"begun {begun:%Y-%m-%d %H:%M}" if begun else "not begun"
    has_winner = winner_file(runner.store(SEARCH).folder, key).exists()
    notes = [
        *(["winner kept"] if has_winner else []),
        *(["of the configuration as it is now"] if key.partition(".")[0] == now else []),
    ]
    return f"{key}  {when}  {', '.join(told) or 'no trial'}  {best}{'  (' + '; '.join(notes) + ')' if notes else ''}"
