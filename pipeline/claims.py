"""One study shared by processes: exactly so many trials; those of dead processes are tried again.

Nothing here schedules. A trial is claimed by its number, which the storage gives out in one order for everybody; each
process says that it lives, and whoever looks buries the trials of those that have said nothing for long. Whoever looks
also queues the values of trials that came to nothing, so that no process has to live until it has done so itself.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.study import load_study
from optuna.trial import TrialState

from pipeline.database import OUT_OF_REACH, Database, tried_once
from pipeline.errors import StorageError
from pipeline.heartbeat import Heart, computer, is_alive, worker_name
from pipeline.stages.trials import CAUSE, STANDS, is_void, stands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from pipeline.stages.trials import Trained

# user attributes of a trial: whose it is; deaths of processes before it; the number of the one whose values it has
# again; and whether its own process died
WORKER, RETRIES, RETRY_OF, DIED = "worker", "retries", "retry of", "died"
BEAT = "beat "  # user attributes of a study: this and a worker's name -> how often it has said that it lives
MOST_RETRIES = 2
BURIED = (UpdateFinishedTrialError, ValueError)  # what Optuna says of a trial that has ended already


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: between two signs of life, of silence before a process counts as dead, between two looks."""

    beat: float = 10.0
    silence: float = 90.0
    look: float = 0.5


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears of a trial that has ended, of one that has a score, of what is waited for, and that the time is up.

    on_time_up: returns when processes that were started to help have ended.
    """

    on_told: Callable[[FrozenTrial], None] = lambda _: None
    on_complete: Callable[[int, float, Trained], None] = lambda *_: None
    on_wait: Callable[[str], None] = lambda _: None
    on_time_up: Callable[[], None] = lambda: None


def is_claimed(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that the study is to have, finished or in flight."""
    return trial.state != TrialState.WAITING and not is_void(trial)


def values_of(trial: FrozenTrial) -> dict[str, object]:
    """Values that a trial has, or was queued with: its process may have died before it looked at them."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def is_copy(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether somebody has queued the same before: processes may do so at once, and the first counts, for everybody."""
    errand = _errand(trial)
    return errand is not None and any(_errand(other) == errand for other in trials[: trial.number])


def _errand(trial: FrozenTrial) -> object:
    """What a trial was queued for: the number of another one, or the configuration as it stands."""
    return trial.user_attrs.get(RETRY_OF, STANDS if STANDS in trial.user_attrs else None)


def _worker(trial: FrozenTrial) -> str:
    """Whose a running trial is; nobody's that lives, where its process has not come to say so."""
    return str(trial.user_attrs.get(WORKER, f"? 0 {trial.number}"))


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
    database: Database | None = field(init=False)

    def __post_init__(self) -> None:
        storage = getattr(self.study._storage, "_backend", None)  # noqa: SLF001 - a study has no other way
        self.database = storage if isinstance(storage, Database) else None
        if self.database is not None:
            self.database.on_wait = self.ears.on_wait

    # --- what the search asks of its session

    def begin(self, as_it_stands: Mapping[str, object], *, is_whole: bool = True) -> None:
        """See to it that the configuration as it stands is tried."""
        self._bury()
        if not any(STANDS in trial.user_attrs for trial in self._all()):
            self.study.enqueue_trial(dict(as_it_stands), user_attrs={STANDS: is_whole})

    def ask(self, count: int) -> Sequence[optuna.Trial]:
        """At most so many claimed trials. With none in flight here it waits for those of others, which may yet die."""
        while time.monotonic() < self.until:
            self._bury()
            trials = self._all()
            room = self.wanted - sum(map(is_claimed, trials))
            claimed = [trial for _ in range(min(count, room)) if (trial := self._claim()) is not None]
            others = sum(trial.state == TrialState.RUNNING and trial.number not in self.mine for trial in trials)
            if claimed or self.mine or not (others or room > 0):
                return claimed
            if others and room <= 0:
                self.ears.on_wait(f"waiting for {others} trial{'s' if others > 1 else ''} of other processes")
            time.sleep(self.patience.look)
        return []

    def settle(self) -> None:
        """Where the time is up: wait for trials in flight of processes that help us. Else `ask` has waited for all."""
        if time.monotonic() >= self.until:
            self.ears.on_time_up()

    def report(self, trial: optuna.Trial, step: int, score: float) -> bool:
        """Write down a score within the training; false where somebody took us for dead and tries its values again."""
        try:
            trial.report(score, step)
        except BURIED:
            return False
        return True

    def is_hopeless(self, trial: optuna.Trial) -> bool:
        """Whether the pruner gives a trial up; never the configuration as it stands."""
        return trial.should_prune() and not stands(trial)

    def complete(self, trial: optuna.Trial, score: float, trained: Trained) -> None:
        """A trial with a finite score."""
        try:
            self.ears.on_complete(trial.number, score, trained)
            with suppress(*BURIED):
                for name, value in trained.losses().items():
                    trial.set_user_attr(name, value)
            self._tell(trial, TrialState.COMPLETE, score)
        except StorageError:
            self.ears.on_wait(
                f"trial {trial.number} has the score {score:.5f}, which cannot be told: it will be tried again"
            )
            raise

    def fail(self, trial: optuna.Trial, cause: str) -> None:
        """A trial that has no score and would have none another time."""
        with suppress(*BURIED):
            trial.set_user_attr(CAUSE, cause)
        self._tell(trial, TrialState.FAIL)

    def give_up(self, trial: optuna.Trial) -> None:
        """A trial that was pruned."""
        self._tell(trial, TrialState.PRUNED)

    def trials(self, state: TrialState) -> list[FrozenTrial]:
        """All trials in that state, whoever trained them."""
        return [trial for trial in self._all() if trial.state == state]

    def recall(self, name: str) -> object:
        """What was remembered under that name."""
        return self.study.user_attrs.get(name)

    def remember(self, name: str, value: object) -> None:
        """Keep a plain value with the study."""
        self.study.set_user_attr(name, value)

    # --- life and death

    def heart(self) -> Heart:
        """A context in which others hear that this process lives."""

        def beat(count: int) -> None:
            with tried_once():
                self.study.set_user_attr(BEAT + self.me, count)

        # whoever trains meets the same, waits, and says so
        return Heart(beat, self.patience.beat, (*OUT_OF_REACH, OSError))

    def abandon(self) -> None:
        """Give back what is in flight: it was interrupted, and is tried again with the same values.

        Nothing is waited for. What cannot be told now is found by the next process, without a master.
        """
        with tried_once(), suppress(*OUT_OF_REACH, OSError):
            self._read_anew()
            for number in list(self.mine):
                self._void(number)
                del self.mine[number]
            if not self.has_company():  # so one that was just asked for, and has no name on it yet, is ours
                for trial in self._all():
                    if trial.state == TrialState.RUNNING and WORKER not in trial.user_attrs:
                        self._void(trial.number)
            self._queue_again(self._all())

    def _read_anew(self) -> None:
        """Forget what is known of a journal: a line that was being read when we were interrupted counts as read."""
        known = self.study._storage  # noqa: SLF001 - a study has no other way
        if isinstance(known, JournalStorage):
            again = JournalStorage(known._backend)  # noqa: SLF001 - with the same lock, which we may hold
            self.study = load_study(study_name=self.study.study_name, storage=again)

    def has_company(self) -> bool:
        """Whether other processes may be asking for trials of this study.

        Each says that it is there before it looks, so of those that begin at once only one can find itself alone.
        """
        self.study.set_user_attr(BEAT + self.me, 0)
        beats = self.study.user_attrs
        others = [name.removeprefix(BEAT) for name in beats if name.startswith(BEAT)]
        return any(worker != self.me and not self._is_gone(worker, beats) for worker in others)

    def close(self) -> None:
        """Part from the database."""
        if self.database is not None:
            self.database.engine.dispose()

    def _claim(self) -> optuna.Trial | None:
        """A trial that others have not taken the last place from meanwhile: lower numbers come first, for everybody.

        One from the queue has a number of old, so it makes room for all others.
        """
        trial = self.study.ask()
        self.mine[trial.number] = trial
        try:
            trial.set_user_attr(WORKER, self.me)
        except BURIED:  # by somebody who waited long for its name: the database was away
            del self.mine[trial.number]
            return None
        trials = self._all()
        own = trials[trial.number]
        before = trials if values_of(own) else trials[: trial.number]
        taken = sum(is_claimed(other) for other in before if other.number != trial.number)
        if taken < self.wanted and not is_copy(own, trials):
            return trial
        self._void(trial.number)
        del self.mine[trial.number]
        return None

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """Tell the end of a trial of ours, unless somebody took us for dead and has buried it."""
        try:
            told: FrozenTrial | None = self.study.tell(trial.number, value, state=state)
        except BURIED:
            found = self._all()[trial.number]
            # told by us, and the answer was lost on its way
            told = (
                found if found.state == state != TrialState.FAIL and found.user_attrs.get(WORKER) == self.me else None
            )
        self.mine.pop(trial.number, None)
        if told is not None:
            self.ears.on_told(told)

    def _bury(self) -> None:
        """Fail running trials whose process is gone, and have their values tried again, at most twice."""
        trials = self._all()
        running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.number not in self.mine]
        beats = self.study.user_attrs if running else {}
        dead = [trial for trial in running if self._is_gone(_worker(trial), beats)]
        for trial in dead:
            deaths = int(trial.user_attrs.get(RETRIES, 0)) + 1
            with suppress(*BURIED):
                self._attribute(trial, DIED, value=True)
                if deaths > MOST_RETRIES:
                    cause = f"its process died {deaths} times; mostly it was short of memory"
                    self._attribute(trial, CAUSE, cause)
                self._void(trial.number)
        self._queue_again(self._all() if dead else trials)

    def _is_gone(self, worker: str, beats: Mapping[str, object]) -> bool:
        host, process, _ = worker.rsplit(" ", 2)
        if host == computer() and not is_alive(int(process)):
            return True
        outages = self.database.outages if self.database else 0  # nobody could be heard meanwhile
        now = beats.get(BEAT + worker), outages
        known, since = self.heard.get(worker, (None, 0.0))
        if known != now:
            since = time.monotonic()
            self.heard[worker] = now, since
        return time.monotonic() - since > self.patience.silence

    def _void(self, number: int) -> None:
        """End a trial that came to nothing, unless it has ended already."""
        with suppress(*BURIED):
            self.study.tell(number, state=TrialState.FAIL)

    def _queue_again(self, trials: Sequence[FrozenTrial]) -> None:
        """Queue values of trials that came to nothing, unless somebody has; a death counts as one of few tries."""
        queued = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        for trial in trials:
            if is_void(trial) and trial.number not in queued and values_of(trial) and not is_copy(trial, trials):
                deaths = int(trial.user_attrs.get(RETRIES, 0)) + (DIED in trial.user_attrs)
                stands = {STANDS: trial.user_attrs[STANDS]} if STANDS in trial.user_attrs else {}
                again = {RETRIES: deaths, RETRY_OF: trial.number, **stands}
                self.study.enqueue_trial(values_of(trial), user_attrs=again)

    def _attribute(self, trial: FrozenTrial, name: str, value: object) -> None:
        """An attribute of a trial that was asked for elsewhere."""
        self.study._storage.set_trial_user_attr(trial._trial_id, name, value)  # noqa: SLF001 - a study has no other way

    def _all(self) -> list[FrozenTrial]:
        """Every trial, at its number."""
        return self.study.get_trials(deepcopy=False)
