"""`runs`: the studies of a competition, one line each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from pipeline.claims import is_claimed
from pipeline.errors import ArtifactError
from pipeline.gathered import PHASE, begun
from pipeline.graph import SEARCH
from pipeline.progress import say
from pipeline.storage import kept_winners, shown_url, studies, study_file
from pipeline.sweep_publishing import publish_page_of
from pipeline.trial_lines import score_of

if TYPE_CHECKING:
    import optuna

    from pipeline.runner import Runner


def list_runs(runner: Runner, *, with_page: bool = False) -> None:
    """Every study that has begun: how far it is, its best score, and whether it is that of the configuration now.

    with_page: of that last one, `sweep.html` too.
    """
    folder, url = runner.store(SEARCH).folder, runner.config.search.storage
    key, name = runner.key("search"), runner.competition.name
    now = study_file(folder, key).stem.removeprefix("study-")
    found = studies(folder, name=name, url=url)
    lines = [_line(study, runner, now) for study in found]
    where = shown_url(url) if url else folder.relative_to(runner.competition.root)
    if not lines:
        say(f"no study of {name} in {where}; begin one: make sweep NAME={name} TRIALS=20")
    for line in lines:
        say(line)
    if with_page:
        own = [study for study in found if not isinstance(study, ArtifactError) and _key_of(study) == now]
        own.sort(key=lambda study: begun(study.get_trials(deepcopy=False)))  # of a phase, the one searched last
        publish_page_of(runner, list({study.user_attrs.get(PHASE): study for study in own}.values()))


def _key_of(study: optuna.Study) -> str:
    return study.study_name.rsplit("-", 1)[-1].partition(".")[0]


def _line(study: optuna.Study | ArtifactError, runner: Runner, now: str) -> str:
    if isinstance(study, ArtifactError):
        return str(study)
    trials = study.get_trials(deepcopy=False)
    counts = Counter(trial.state for trial in trials if is_claimed(trial))
    key, phase = _key_of(study), study.user_attrs.get(PHASE, "")
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
    metric = runner.config.metric
    scored = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    best = f"best {metric} {score_of(metric, min(scored)):.5f}" if scored else "no score yet"
    begun = min((trial.datetime_start for trial in trials if trial.datetime_start), default=None)
    when = f"begun {begun:%Y-%m-%d %H:%M}" if begun else "not begun"
    has_winner = any(winner.study.startswith(key) for winner in kept_winners(runner.store(SEARCH).folder))
    notes = [
        *(["winner kept"] if has_winner else []),
        *(["of the configuration as it is now"] if key == now else []),
    ]
    what = f"{key}  {phase}".rstrip()
    return f"{what}  {when}  {', '.join(told) or 'no trial'}  {best}{'  (' + '; '.join(notes) + ')' if notes else ''}"
