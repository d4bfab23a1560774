"""The studies of a guided plan as one in memory, for its page: numbered through, each trial with all of its values."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import optuna
import optuna.distributions as kinds

from pipeline.claims import is_claimed
from pipeline.search_settings import Range
from pipeline.stages.trials import STANDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from pipeline.outcomes import Winner

PHASE, FIXED = "phase", "fixed"  # user attributes of a phase's study: its name, and the values it began with


@dataclass(frozen=True, slots=True)
class Gathered:
    """All phases together. numbers: (phase, number of the trial in it) -> its number in `study`."""

    study: optuna.Study
    space: dict[str, Range]
    numbers: Mapping[tuple[str, int], int]

    def renumbered(self, winner: Winner) -> Winner:
        """The winner and its finalists by their numbers here."""
        finalists = tuple(replace(one, trial=self.numbers[one.phase, one.trial], phase="") for one in winner.finalists)
        return replace(winner, trial=self.numbers[winner.phase, winner.trial], phase="", finalists=finalists)

    def knows(self, winner: Winner) -> bool:
        """Whether the winner and its finalists are of these phases, as they are now."""
        trials = [(winner.phase, winner.trial), *((one.phase, one.trial) for one in winner.finalists)]
        return all(trial in self.numbers for trial in trials)


def gathered(studies: Sequence[optuna.Study], base: Mapping[str, object]) -> Gathered:
    """base: every setting of the configuration as it stands. What a phase had not come to yet stands as it was."""
    phases = sorted((study for study in studies if study.trials), key=lambda one: begun(one.trials))
    trials = [
        (str(study.user_attrs.get(PHASE, "")), dict(study.user_attrs.get(FIXED, {})), trial)
        for study in phases
        for trial in study.get_trials(deepcopy=False)
        if is_claimed(trial)
    ]
    known = [own for _, _, trial in trials for own in trial.distributions.items()]
    keys = dict.fromkeys(key for key, _ in known)
    space = {key: _range([one for name, one in known if name == key]) for key in keys}
    together, first = optuna.create_study(), trials[0][0] if trials else ""
    for phase, fixed, trial in trials:
        values = {key: base[key] for key in keys} | {key: fixed[key] for key in keys if key in fixed} | trial.params
        whole = copy.copy(trial)
        whole.distributions = {key: _distribution(space[key]) for key in keys}
        whole.params = values
        if fixed or phase != first:
            whole.user_attrs = {**trial.user_attrs, STANDS: False}
        together.add_trial(whole)
    numbers = {(phase, trial.number): place for place, (phase, _, trial) in enumerate(trials)}
    return Gathered(together, space, numbers)


def begun(trials: Iterable[FrozenTrial]) -> float:
    """When the first of them was begun, in seconds since 1970."""
    return min((trial.datetime_start.timestamp() for trial in trials if trial.datetime_start), default=float("inf"))


def _range(known: Sequence[BaseDistribution]) -> Range:
    """What holds all of these."""
    choices = [choice for one in known if isinstance(one, kinds.CategoricalDistribution) for choice in one.choices]
    if choices:
        return Range.model_validate({"choice": tuple(dict.fromkeys(choices))})
    ends = [one for one in known if isinstance(one, kinds.FloatDistribution | kinds.IntDistribution)]
    kind = "integer" if isinstance(ends[0], kinds.IntDistribution) else "log" if ends[0].log else "uniform"
    return Range.model_validate({kind: (min(one.low for one in ends), max(one.high for one in ends))})


def _distribution(space: Range) -> BaseDistribution:
    if space.choice is not None:
        return kinds.CategoricalDistribution(space.choice)
    if space.integer is not None:
        return kinds.IntDistribution(*space.integer)
    low, high = space.log or space.uniform or (0.0, 1.0)
    return kinds.FloatDistribution(low, high, log=space.log is not None)
