"""A study in memory, asked for and told by one process, for tests of what is searched with it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import optuna
from optuna.trial import TrialState

from pipeline.stages.trials import CAUSE, STANDS

UNSEEN = SimpleNamespace(losses=dict)  # trained networks whose training rows nobody scored


@dataclass
class InMemory:
    """A `Session` of so many trials; `over` says who is given up after which report: (trial, step, score) -> bool."""

    wanted: int
    study: optuna.Study = None
    over: object = None
    events: list = field(default_factory=list)
    remembered: dict = field(default_factory=dict)

    def __post_init__(self):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = self.study or optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def begin(self, as_it_stands, *, is_whole=True):
        self.study.enqueue_trial(dict(as_it_stands), user_attrs={STANDS: is_whole})

    def trials(self, state):
        return self.study.get_trials(states=(state,))

    def recall(self, name):
        return self.remembered.get(name)

    def remember(self, name, value):
        assert name not in self.remembered
        self.remembered[name] = value

    def ask(self, count):
        asked = sum(trial.state != TrialState.WAITING for trial in self.study.get_trials())
        new = [self.study.ask() for _ in range(min(count, self.wanted - asked))]
        self.events += [("ask", trial.number) for trial in new]
        return new

    def settle(self):
        """Nobody helps this one."""

    def report(self, trial, step, score):
        self.events.append(("report", trial.number, step, score))
        trial.report(score, step)
        return True

    def is_hopeless(self, trial):
        known = self.study.trials[trial.number]
        step = known.last_step
        return self.over is not None and self.over(trial.number, step, known.intermediate_values[step])

    def complete(self, trial, score, trained):
        self.events.append(("complete", trial.number, score, trained))
        for name, value in trained.losses().items():
            trial.set_user_attr(name, value)
        self.study.tell(trial, score)

    def fail(self, trial, cause):
        self.events.append(("fail", trial.number, cause))
        trial.set_user_attr(CAUSE, cause)
        self.study.tell(trial, state=TrialState.FAIL)

    def give_up(self, trial):
        self.events.append(("give up", trial.number))
        self.study.tell(trial, state=TrialState.PRUNED)

    def of(self, kind):
        """The events of one kind."""
        return [event for event in self.events if event[0] == kind]
