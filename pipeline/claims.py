"""One study shared by processes: exactly so many trials; those of dead processes are tried again.

Nothing here schedules. A trial is claimed by its number, which the storage gives out in one order for everybody; each
process says that it lives, and whoever looks buries the trials of those that have said nothing for long. A database
that cannot be reached is waited for.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import StorageError
from pipeline.heartbeat import Heart, is_alive
from pipeline.stages.trials import CAUSE, is_void

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from pipeline.stages.trials import Trained

WORKER, RETRIES, RETRY_OF = "worker", "retries", "retry of"  # user attributes of a trial
BEAT = "beat "  # user attributes of a study: this and a worker's name -> how often it has said that it lives
MOST_RETRIES = 2
BURIED = (UpdateFinishedTrialError, ValueError)  # what Optuna says of a trial that has ended already
OUT_OF_REACH = (StorageInternalError, SQLAlchemyError, ConnectionError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: between two signs of life, of silence before a process counts as dead, of a database, between looks."""

    beat: float = 10.0
    silence: float = 90.0
    database: float = 300.0
    look: float = 2.0


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears of a trial that has ended, of one that has a score, and of what is waited for."""

    on_told: Callable[[FrozenTrial], None] = lambda _: None
    on_complete: Callable[[int, float, Trained], None] = lambda *_: None
    on_wait: Callable[[str], None] = lambda _: None


def worker_name() -> str:
    """A name for this process that no other has or will have: computer, process, and something drawn."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"


def is_claimed(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that the study is to have, finished or in flight."""
    return trial.state != TrialState.WAITING and not is_void(trial)


@dataclass(slots=True)
class Claims:
    """A `Session` over a study that other processes may share.

    wanted: trials that the study is to have, those that failed for good and those given up counted in. until: when to
    ask for no more, by `time.monotonic`.
    """

    study: optuna.Study
    wanted: int
    ears: Ears = field(default_factory=Ears)
    until: float = float("inf")
    patience: Patience = field(default_factory=Patience)
    me: str = field(default_factory=worker_name)
    mine: dict[int, optuna.Trial] = field(default_factory=dict)  # in flight here
    heard: dict[str, tuple[object, float]] = field(default_factory=dict)  # worker -> its last beat, since when

    # --- what the search asks of its session

    def begin(self, as_it_stands: Mapping[str, object]) -> None:
        """See to it that the configuration as it stands is tried."""
        self._bury()
        for trial in self._all():
            values = trial.params or trial.system_attrs.get("fixed_params", {})
            if not is_void(trial) and as_it_stands.items() <= values.items():
                return
        self._steadily(lambda: self.study.enqueue_trial(dict(as_it_stands)))

    def ask(self, count: int) -> Sequence[optuna.Trial]:
        """At most so many claimed trials. With none in flight here it waits for those of others, which may yet die."""
        while time.monotonic() < self.until:
            self._bury()
            trials = self._all()
            room = self.wanted - sum(map(is_claimed, trials))
            claimed = [trial for _ in range(min(count, room)) if (trial := self._claim()) is not None]
            others = sum(trial.state == TrialState.RUNNING and trial.number not in self.mine for trial in trials)
            if claimed or self.mine or not others:
                return claimed
            self.ears.on_wait(f"waiting for {others} trials of other processes")
            time.sleep(self.patience.look)
        return []

    def report(self, trial: optuna.Trial, epoch: int, score: float) -> bool:
        """Write down a score within the training; whether the pruner gives the trial up."""
        try:
            self._steadily(lambda: trial.report(score, epoch))
        except BURIED:
            return True  # somebody took us for dead: its values are tried elsewhere
        return self._steadily(trial.should_prune)

    def complete(self, trial: optuna.Trial, score: float, trained: Trained) -> None:
        """A trial with a finite score."""
        self.ears.on_complete(trial.number, score, trained)
        with suppress(*BURIED):
            for name, value in trained.losses().items():
                self._steadily(partial(trial.set_user_attr, name, value))
        self._tell(trial, TrialState.COMPLETE, score)

    def fail(self, trial: optuna.Trial, cause: str) -> None:
        """A trial that has no score and would have none another time."""
        with suppress(*BURIED):
            self._steadily(lambda: trial.set_user_attr(CAUSE, cause))
        self._tell(trial, TrialState.FAIL)

    def give_up(self, trial: optuna.Trial) -> None:
        """A trial that was pruned."""
        self._tell(trial, TrialState.PRUNED)

    def trials(self, state: TrialState) -> list[FrozenTrial]:
        """All trials in that state, whoever trained them."""
        return [trial for trial in self._all() if trial.state == state]

    def recall(self, name: str) -> object:
        """What was remembered under that name."""
        return self._steadily(lambda: self.study.user_attrs).get(name)

    def remember(self, name: str, value: object) -> None:
        """Keep a plain value with the study."""
        self._steadily(lambda: self.study.set_user_attr(name, value))

    # --- life and death

    def heart(self) -> Heart:
        """A context in which others hear that this process lives."""

        def beat(count: int) -> None:
            self.study.set_user_attr(BEAT + self.me, count)

        return Heart(beat, self.patience.beat, OUT_OF_REACH)

    def abandon(self) -> None:
        """Give back what is in flight: it was interrupted, and is tried again with the same values."""
        for number, trial in list(self.mine.items()):
            self._try_again(number, trial.params, trial.user_attrs, is_death=False)
            del self.mine[number]

    def _claim(self) -> optuna.Trial | None:
        """A new trial, unless others have taken the last places meanwhile: lower numbers come first, for everybody."""
        trial = self._steadily(self.study.ask)
        self.mine[trial.number] = trial
        self._steadily(lambda: trial.set_user_attr(WORKER, self.me))
        if sum(map(is_claimed, self._all()[: trial.number])) < self.wanted:
            return trial
        self._try_again(trial.number, {}, {}, is_death=False)
        del self.mine[trial.number]
        return None

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """Tell the end of a trial of ours, unless somebody took us for dead and has buried it."""
        try:
            told = self._steadily(lambda: self.study.tell(trial.number, value, state=state))
        except BURIED:
            told = None
        self.mine.pop(trial.number, None)
        if told is not None:
            self.ears.on_told(told)

    def _bury(self) -> None:
        """Fail running trials whose process is gone, and have their values tried again, at most twice."""
        running = [t for t in self._all() if t.state == TrialState.RUNNING and t.number not in self.mine]
        beats = self._steadily(lambda: self.study.user_attrs) if running else {}
        for trial in running:
            worker = str(trial.user_attrs.get(WORKER, f"? 0 {trial.number}"))
            if self._is_gone(worker, beats.get(BEAT + worker)):
                self._try_again(trial.number, trial.params, trial.user_attrs, is_death=True)

    def _is_gone(self, worker: str, beat: object) -> bool:
        host, process, _ = worker.rsplit(" ", 2)
        if host == socket.gethostname() and not is_alive(int(process)):
            return True
        if worker not in self.heard or self.heard[worker][0] != beat:
            self.heard[worker] = beat, time.monotonic()
        return time.monotonic() - self.heard[worker][1] > self.patience.silence

    def _try_again(
        self, number: int, params: Mapping[str, object], attributes: Mapping[str, object], *, is_death: bool
    ) -> None:
        """Fail a trial that did not come to its end, and queue its values; a death counts as one of few tries."""
        deaths = int(str(attributes.get(RETRIES, 0))) + is_death
        is_last = deaths > MOST_RETRIES
        try:
            if is_last:
                cause = f"its process died {deaths} times; mostly it was short of memory"
                self._steadily(lambda: self._attribute(number, CAUSE, cause))
            self._steadily(lambda: self.study.tell(number, state=TrialState.FAIL))
        except BURIED:
            return  # somebody else was faster, and has seen to the rest
        if params and not is_last:
            again = {RETRIES: deaths, RETRY_OF: number}
            self._steadily(lambda: self.study.enqueue_trial(dict(params), user_attrs=again))

    def _attribute(self, number: int, name: str, value: str) -> None:
        """An attribute of a trial that was asked for elsewhere."""
        storage, trial = self.study._storage, self.study.get_trials(deepcopy=False)[number]  # noqa: SLF001
        storage.set_trial_user_attr(trial._trial_id, name, value)  # noqa: SLF001 - a study has no other way

    # --- the storage

    def _all(self) -> list[FrozenTrial]:
        """Every trial, at its number."""
        return self._steadily(lambda: self.study.get_trials(deepcopy=False))

    def _steadily(self, call: Callable[[], T]) -> T:
        """The call's value; a database that does not answer is asked again for some minutes."""
        began, pause = time.monotonic(), min(1.0, self.patience.look)
        while True:
            try:
                return call()
            except OUT_OF_REACH as error:
                reason = str(error.__cause__ or error).strip().split("\n")[0]
                if time.monotonic() - began > self.patience.database:
                    raise StorageError(
                        f"the study's database has not answered for {self.patience.database:g} s ({reason}); finished "
                        f"trials are safe in it: when it is back, run the same command again"
                    ) from error
                self.ears.on_wait(f"the study's database does not answer, trying again ({reason})")
                time.sleep(pause)
                pause = min(2 * pause, 30.0)
