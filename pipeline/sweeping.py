"""The sweep: one study continued, alone or with other processes, and its winner kept."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar, cast

from optuna.study import Study

from pipeline.claims import Claims, Ears, is_claimed
from pipeline.config import seconds_of
from pipeline.errors import StorageError
from pipeline.gathered import FIXED, PHASE
from pipeline.graph import SEARCH
from pipeline.heartbeat import worker_name
from pipeline.keeping import Keeping
from pipeline.progress import say
from pipeline.stages.guided import guided, work_guided
from pipeline.stages.samplers import sampler_of
from pipeline.stages.search import search, work
from pipeline.stages.setups import Quest, setup_of
from pipeline.stages.spaces import as_it_stands, grid_size
from pipeline.storage import open_study, save_winner, shown_url, studies, study_file
from pipeline.sweep_publishing import publish_sweep
from pipeline.trial_lines import ENDED, TrialTeller, winner_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pipeline.outcomes import Winner
    from pipeline.runner import Runner
    from pipeline.search_settings import Search
    from pipeline.stages.plans import Phase
    from pipeline.tables import Dataset

T = TypeVar("T")

WANTED = "wanted"  # user attribute of a study: how many trials its search has asked for


def sweep(runner: Runner, await_helpers: Callable[[], None] = lambda: None) -> None:
    """Continue the study of this configuration, score the best of it again, and keep the winner.

    await_helpers: returns when processes that help out, and whose time is up as ours is, have told their last trials.
    """

    def find(quest: Quest, studies: _Studies) -> tuple[Winner, list[Claims]]:
        if quest.search.plan == "guided":
            return guided(quest, studies.of_phase, studies.teller.found), studies.opened
        with studies.of_all() as session:
            return search(quest, session), studies.opened

    winner, opened = _on_studies(runner, find, await_helpers)
    winner = replace(winner, study=runner.key("search"))
    file = save_winner(runner.store(SEARCH).folder, runner.winner_key, winner)
    for line in winner_lines(winner, runner.config.metric, shrinks=runner.config.train.shrink):
        say(line)
    kept = file.relative_to(runner.competition.root)
    use = f"make train submit NAME={runner.competition.name} SET=train.tuned=true"
    say(f"{'':<11} kept in {kept}; use it: {use}")
    try:
        publish_sweep(runner, [claims.study for claims in opened], winner)
    finally:
        _close(opened)


def help_out(runner: Runner, *, follows: bool = False, until: float = float("inf")) -> None:
    """Train trials of the study until it has as many as asked for; whoever searches finds the winner.

    follows: take as many as the search has asked for, if it has begun. until: by `time.monotonic`, when to ask for no
    more, if `search.timeout` is not up before.
    """
    if follows and (wanted := _wanted_by_search(runner)):
        search = runner.config.search.model_copy(update={"trials": wanted})
        runner.config = runner.config.model_copy(update={"search": search})

    def train(quest: Quest, studies: _Studies) -> int:
        if quest.search.plan == "guided":
            work_guided(quest, studies.of_phase, studies.teller.found)
        else:
            with studies.of_all() as session:
                work(quest, session)
        return sum(is_claimed(trial) for claims in studies.opened for trial in claims.study.get_trials(deepcopy=False))

    claimed, wanted = _on_studies(runner, train, until=until), runner.config.search.trials
    again = f"python -m pipeline search {runner.competition.name}"
    if runner.config.search.timeout and claimed < wanted:
        say(f"{'worker':<11} {'time is up':<18} the study has {claimed} of {wanted} trials; the same command goes on")
    else:
        say(f"{'worker':<11} {'done':<18} the study has its trials; its winner is found by `{again}`, same settings")


def _wanted_by_search(runner: Runner) -> int:
    """How many trials the search of this configuration has asked for; 0 where it has not begun."""
    url, folder = runner.config.search.storage, runner.store(SEARCH).folder
    named = f"{runner.competition.name}-{study_file(folder, runner.key('search')).stem.removeprefix('study-')}"
    known = [study for study in studies(folder, name=runner.competition.name, url=url) if isinstance(study, Study)]
    return max((int(s.user_attrs.get(WANTED, 0)) for s in known if s.study_name.startswith(named)), default=0)


def _on_studies(
    runner: Runner,
    do: Callable[[Quest, _Studies], T],
    await_helpers: Callable[[], None] | None = None,
    *,
    until: float = float("inf"),
) -> T:
    """Do that with the studies of this configuration. await_helpers: None where we are a helper ourselves."""
    config = runner.config
    runner.bring("ingest")
    dataset = cast("Dataset", runner.value("ingest"))
    key, store = runner.key("search"), runner.store(SEARCH)
    runtime, bar = runner.runtime(store, key, "search", lines=False)
    own = setup_of(config, runner.start())
    seconds = seconds_of(config.search.timeout)
    until = min(until, time.monotonic() + seconds) if seconds else until
    opened: list[Claims] = []
    teller = TrialTeller(
        bar,
        config.search.trials,
        config.metric,
        lambda: [trial for claims in opened for state in ENDED for trial in claims.trials(state)],
        until=until,
    )
    runtime = replace(runtime, on_progress=teller.again)
    quest = Quest(dataset, own, config.search, config.folds, config.metric, runtime, teller.heard)
    try:
        with bar:
            return do(quest, _Studies(runner, quest, teller, until, opened, await_helpers))
    finally:
        _close(opened)


def _close(opened: list[Claims]) -> None:
    """Part from databases; a study that is looked at again connects anew."""
    for claims in opened:
        claims.close()


@dataclass(frozen=True, slots=True)
class _Studies:
    """Opens the study of a search, or of a phase of its plan; what is in flight when one is stopped is given back."""

    runner: Runner
    quest: Quest
    teller: TrialTeller
    until: float
    opened: list[Claims]  # one for each study, as this process sees it
    await_helpers: Callable[[], None] | None  # None: this process does not search, it only helps out
    me: str = field(default_factory=worker_name)  # the same in all studies

    def of_all(self) -> AbstractContextManager[Claims]:
        """The one study of a flat plan."""
        search = self.quest.search
        if search.sampler == "grid":
            stands = as_it_stands(self.quest.base.values, search.space)
            search = search.model_copy(update={"trials": min(search.trials, grid_size(search.space, stands))})
        return self._opened(search, "", {})

    def of_phase(self, phase: Phase, fixed: Mapping[str, object]) -> AbstractContextManager[Claims]:
        """That of a phase which begins with those values: with others it is another study."""
        search = self.quest.search.model_copy(
            update={"space": phase.space, "trials": phase.trials}
            | ({"sampler": "grid", "pruner": "none"} if phase.is_listed else {})
        )
        digest = hashlib.sha256(json.dumps(dict(fixed), sort_keys=True).encode()).hexdigest()
        return self._opened(search, f"{phase.name.replace(' ', '_')}.{digest[:6]}", fixed)

    @contextmanager
    def _opened(self, search: Search, part: str, fixed: Mapping[str, object]) -> Iterator[Claims]:
        key, store = self.runner.key("search"), self.runner.store(SEARCH)
        folder, name = store.folder, self.runner.competition.name
        phase = part.partition(".")[0].replace("_", " ")
        study = open_study(folder, key, name=name, search=search, part=part)
        if self.await_helpers and study.user_attrs.get(WANTED) != self.quest.search.trials:
            study.set_user_attr(WANTED, self.quest.search.trials)
        if part and PHASE not in study.user_attrs:
            study.set_user_attr(FIXED, dict(fixed))
            study.set_user_attr(PHASE, phase)
        keeping = Keeping(store, key, search, self.quest.runtime.compute, self.teller.say, (part, fixed))
        ears = Ears(on_told=self.teller.told, on_wait=self.teller.waits)
        if self.await_helpers:
            ears = replace(ears, on_time_up=self.await_helpers)
        claims = Claims(study, search.trials, keeping.beside(ears), until=self.until, me=self.me)
        self.opened[:] = [other for other in self.opened if other.study.study_name != study.study_name] + [claims]
        where = phase or shown_url(search.storage) or study_file(folder, key).name
        self.teller.opens(claims, where, is_all=not part)
        with claims.heart():
            try:
                if claims.has_company():  # with one seed, processes that begin together suggest the same points
                    study.sampler = sampler_of(search, secrets.randbelow(2**31))
                with keeping.during(claims):
                    yield claims
            except StorageError:
                raise  # there is nobody to give trials back to
            except BaseException:
                claims.abandon()
                raise
