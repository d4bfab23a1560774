"""The sweep: one study continued, alone or with other processes, and its winner kept."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, TypeVar, cast

from pipeline.claims import Claims, Ears, is_claimed
from pipeline.config import seconds_of
from pipeline.errors import StorageError
from pipeline.graph import SEARCH
from pipeline.progress import say
from pipeline.stages.samplers import sampler_of
from pipeline.stages.search import search, work
from pipeline.stages.setups import Quest, Setup
from pipeline.storage import open_study, save_winner, shown_url, study_file
from pipeline.trial_lines import TrialTeller, winner_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.runner import Runner
    from pipeline.settings import Config
    from pipeline.tables import Dataset, Weights

T = TypeVar("T")


def sweep(runner: Runner) -> None:
    """Continue the study of this configuration, score the best of it again, and keep the winner."""
    winner = _on_the_study(runner, search)
    file = save_winner(runner.store(SEARCH).folder, runner.key("search"), winner)
    for line in winner_lines(winner, runner.config.metric):
        say(line)
    kept = file.relative_to(runner.competition.root)
    use = f"make train submit NAME={runner.competition.name} SET=train.tuned=true"
    say(f"{'':<11} kept in {kept}; use it: {use}")


def help_out(runner: Runner) -> None:
    """Train trials of the study until it has as many as asked for; whoever searches finds the winner."""
    _on_the_study(runner, work)
    again = f"python -m pipeline search {runner.competition.name}"
    say(f"{'worker':<11} {'done':<18} the study has its trials; its winner is found by `{again}`, same settings")


def _on_the_study(runner: Runner, do: Callable[[Quest, Claims], T]) -> T:
    """Do that with the study of this configuration; what is in flight when it is stopped is given back."""
    config = runner.config
    runner.bring("ingest")
    dataset = cast("Dataset", runner.value("ingest"))
    key, store = runner.key("search"), runner.store(SEARCH)
    study = open_study(
        store.folder, key, name=runner.competition.name, search=config.search, epochs=config.train.epochs
    )
    where = shown_url(config.search.storage) or study_file(store.folder, key).name
    before = [trial for trial in study.get_trials(deepcopy=False) if is_claimed(trial)]
    say(f"{'search':<11} {f'{len(before)} trials so far':<18} {where}")
    runtime, bar = runner.runtime(store, key, "search", lines=False)
    teller = TrialTeller(bar, config.search.trials)
    seconds = seconds_of(config.search.timeout)
    claims = Claims(
        study,
        config.search.trials,
        Ears(on_told=teller.told, on_wait=teller.waits),
        until=time.monotonic() + seconds if seconds else float("inf"),
    )
    quest = Quest(dataset, setup_of(config, runner.start()), config.search, config.folds, config.metric, runtime)
    with bar, claims.heart():
        try:
            if claims.has_company():  # with one seed, processes that begin together suggest the same points
                study.sampler = sampler_of(config.search, secrets.randbelow(2**31))
            return do(quest, claims)
        except StorageError:
            raise  # there is nobody to give trials back to
        except BaseException:
            claims.abandon()
            raise
        finally:
            claims.close()


def setup_of(config: Config, start: Weights | None = None) -> Setup:
    """The sections that a search may vary."""
    return Setup(config.preprocess, config.target, config.model, config.train, start)
