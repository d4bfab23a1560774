"""The sweep: one study continued, alone or with other processes, and its winner kept."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from optuna.trial import TrialState

from pipeline.claims import Claims, Ears, is_claimed
from pipeline.config import seconds_of
from pipeline.graph import SEARCH
from pipeline.progress import say
from pipeline.stages.search import search
from pipeline.stages.setups import Quest, Setup
from pipeline.stages.trials import CAUSE
from pipeline.storage import open_study, save_winner, shown_url, study_file

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pipeline.progress import Bar
    from pipeline.runner import Runner
    from pipeline.settings import Config
    from pipeline.tables import Dataset, Weights, Winner


def sweep(runner: Runner) -> None:
    """Continue the study of this configuration, score the best of it again, and keep the winner."""
    config, name = runner.config, runner.competition.name
    runner.bring("ingest")
    dataset = cast("Dataset", runner.value("ingest"))
    key, store = runner.key("search"), runner.store(SEARCH)
    study = open_study(store.folder, key, name=name, search=config.search, epochs=config.train.epochs)
    where = shown_url(config.search.storage) or study_file(store.folder, key).name
    before = [trial for trial in study.get_trials(deepcopy=False) if is_claimed(trial)]
    say(f"{'search':<11} {f'{len(before)} trials so far':<18} {where}")
    runtime, bar = runner.runtime(store, key, "search", lines=False)
    teller = _Teller(bar, config)
    seconds = seconds_of(config.search.timeout)
    claims = Claims(
        study,
        config.search.trials,
        Ears(on_told=teller.told, on_wait=teller.waits),
        until=time.monotonic() + seconds if seconds else float("inf"),
    )
    quest = Quest(dataset, setup_of(config, runner.start()), config.search, config.folds, config.metric, runtime)
    with ExitStack() as stack:
        stack.enter_context(bar)
        stack.enter_context(claims.heart())
        stack.callback(claims.abandon)
        winner = search(quest, claims)
    file = save_winner(store.folder, key, winner)
    _tell_winner(runner, winner)
    say(
        f"{'':<11} kept in {file.relative_to(runner.competition.root)}; use it: make train submit NAME={name} SET=train.tuned=true"
    )


def setup_of(config: Config, start: Weights | None = None) -> Setup:
    """The sections that a search may vary."""
    return Setup(config.preprocess, config.target, config.model, config.train, start)


def _tell_winner(runner: Runner, winner: Winner) -> None:
    metric = runner.config.metric
    say(
        f"{'search':<11} {f'{winner.trials} trials scored':<18} the best of them again, on folds that did not choose them:"
    )
    for one in sorted(winner.finalists, key=lambda one: one.fresh):
        again = " ".join(f"{score:.5f}" for score in one.again)
        note = "  the configuration as it stands" if one.trial == 0 else ""
        say(
            f"{'':<11} {f'trial {one.trial}':<18} {metric} {one.fresh:.5f} ({again}), in the search {one.score:.5f}{note}"
        )
    optimism = winner.optimism
    told = f"{metric} {winner.score:.5f} in the search"
    if optimism is not None:
        told = f"{metric} {winner.score + optimism:.5f}; the search had said {winner.score:.5f}, {abs(optimism):.5f} {'too good' if optimism > 0 else 'too bad'}"
    say(f"{'search':<11} {f'winner: {winner.trial}':<18} {told}")
    for setting, value in winner.values.items():
        say(f"{'':<11} {setting} = {value}")


class _Teller:
    """One line for each trial, and one that lives: how many are done, the best so far, the speed."""

    def __init__(self, bar: Bar, config: Config) -> None:
        self._bar, self._metric = bar, config.metric
        self._wanted, self._began = config.search.trials, time.monotonic()
        self._counts = {TrialState.COMPLETE: 0, TrialState.PRUNED: 0, TrialState.FAIL: 0}
        self._best: float | None = None
        self._waiting = ""

    def told(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        self._waiting = ""
        self._counts[trial.state] += 1
        score = f"{trial.value:.5f}" if trial.value is not None else ""
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            if self._best is None or trial.value < self._best:
                self._best, score = trial.value, f"{score} *"
        elif trial.state == TrialState.PRUNED:
            score = f"given up after epoch {trial.last_step}"
        else:
            score = f"failed: {trial.user_attrs.get(CAUSE, '')}"
        values = "  ".join(f"{key.partition('.')[2]} {_short(value)}" for key, value in trial.params.items())
        self._bar.say(f"trial {trial.number:>4}  {score:<10} {values}")
        done = sum(self._counts.values())
        best = "" if self._best is None else f", best {self._best:.5f}"
        speed = done / max(1e-9, time.monotonic() - self._began)
        self._bar.update(
            done,
            max(self._wanted, done),
            f"{self._counts[TrialState.PRUNED]} given up, {self._counts[TrialState.FAIL]} failed{best}, {60 * speed:.1f} trials a minute",
        )

    def waits(self, what: str) -> None:
        """Something is waited for; said once."""
        if what != self._waiting:
            self._bar.say(f"{'search':<11} {'waiting':<18} {what}")
            self._waiting = what


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
