"""The sweep: one study continued, its winner kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import optuna

from pipeline.graph import SEARCH
from pipeline.progress import say
from pipeline.stages.assignments import Candidate
from pipeline.stages.search import CAUSE, Session, search
from pipeline.storage import open_study, save_winner, study_file

if TYPE_CHECKING:
    from pipeline.runner import Runner
    from pipeline.tables import Design


def sweep(runner: Runner) -> None:
    """Continue the study of this configuration and keep its winner."""
    config, name = runner.config, runner.competition.name
    runner.bring("preprocess")
    design = cast("Design", runner.value("preprocess"))
    key, store = runner.key("search"), runner.store(SEARCH)
    with store.lock("search", key, on_wait="search      waiting   another process continues this study"):
        study = open_study(store.folder, key, seed=config.search.seed)
        before = len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))
        say(f"{'search':<11} {'trial ' + str(before) + ' so far':<18} {study_file(store.folder, key).name}")
        runtime, bar = runner.runtime(store, key, "search", lines=False)

        def tell(trial: optuna.trial.FrozenTrial) -> None:
            cause = trial.user_attrs.get(CAUSE, "the loss was not finite")
            score = f"{trial.value:.5f}" if trial.value is not None else f"failed: {cause}"
            values = "  ".join(f"{k.partition('.')[2]} {_short(v)}" for k, v in trial.params.items())
            bar.say(f"trial {trial.number:>4}  {score}  {values}")

        with bar:
            winner = search(
                design,
                base=Candidate(config.model, config.train, runner.start()),
                search=config.search,
                metric=config.metric,
                session=Session(study, tell),
                runtime=runtime,
            )
        file = save_winner(store.folder, key, winner)
    say(
        f"{'search':<11} best of {winner.trials:<10} {config.metric} {winner.score:.5f} in trial {winner.trial}; "
        f"kept in {file.relative_to(runner.competition.root)}"
    )
    for setting, value in winner.values.items():
        say(f"{'':<11} {setting} = {value}")
    say(f"This score chose the winner, so it flatters it. Use it: make train submit NAME={name} SET=train.tuned=true")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
