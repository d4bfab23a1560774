"""Who suggests values and who gives trials up: Optuna's samplers and pruners, by the configuration's names."""

from __future__ import annotations

import hashlib
import math
import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from pipeline.errors import ConfigError
from pipeline.stages.legs import PARTS
from pipeline.stages.spaces import grid
from pipeline.stages.trials import is_void

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from pipeline.search_settings import Range, Search

POINT, QUEUED = "point", "fixed_params"  # system attributes of a trial: its place in a grid; Optuna's of queued values
FEWEST_BESIDE = 5  # trials that were as far, before one is given up for being worse
MOST_POINTS = 100_000  # of a grid
HALVING_FACTOR = 3  # one in three goes on from each rung of successive halving
SHARES = {"percentile": 0.0, "median": 50.0}  # per cent that go on; 0: as search.percentile says


class Grid(BaseSampler):
    """Every point once, whoever asks. Optuna's own counts points by process, and those of queued trials not at all.

    seed: of the order, the same for all processes of a study.
    """

    def __init__(self, space: Mapping[str, Range], seed: int) -> None:
        points = grid(space)
        if (count := math.prod(map(len, points.values()))) > MOST_POINTS:
            raise ConfigError(
                f"search.sampler = grid: search.space has {count:,} points, at most {MOST_POINTS:,} can be tried; name "
                f'fewer settings or choices, or take search.sampler = "qmc"'
            )
        order = np.random.default_rng(seed).permutation(math.prod(map(len, points.values())))
        every = [dict(zip(points, values, strict=True)) for values in product(*points.values())]
        self.points = [every[place] for place in order]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Give the trial a point, unless its values are queued; of two that took the same, the later takes another."""
        if QUEUED in trial.system_attrs:
            return
        storage = study._storage  # noqa: SLF001 - as Optuna's own samplers keep what they chose
        while True:
            others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
            free = sorted(set(range(len(self.points))) - self._taken(others))
            place = free[0] if free else trial.number % len(self.points)
            storage.set_trial_system_attr(trial._trial_id, POINT, place)  # noqa: SLF001
            if not free or place not in self._taken(study.get_trials(deepcopy=False)[: trial.number]):
                return

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """None: values follow from the point."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, object]:
        """None."""
        return {}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> object:
        """That of the trial's point; of a queued trial without that value, any."""
        return self.points[trial.system_attrs.get(POINT, 0)][param_name]

    def _taken(self, trials: Sequence[FrozenTrial]) -> set[int | None]:
        """Points of those trials, but for what came to no end."""
        return {self._place(trial) for trial in trials if not is_void(trial)}

    def _place(self, trial: FrozenTrial) -> int | None:
        if POINT in trial.system_attrs:
            return int(trial.system_attrs[POINT])
        values = trial.system_attrs.get(QUEUED, {})
        return self.points.index(values) if values in self.points else None


class Drawn(RandomSampler):
    """Random values by the study's seed, the trial's number and the setting's name: the same whoever asks.

    Optuna's own go on where the process's last draw ended, so they depend on who asked for which trial.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.seed = seed

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """Uniform in the range, or in its logarithm."""
        digest = hashlib.sha256(f"{self.seed}:{trial.number}:{param_name}".encode()).digest()
        own = RandomSampler(seed=int.from_bytes(digest[:4]))
        return own.sample_independent(study, trial, param_name, param_distribution)


def sampler_of(search: Search, seed: int) -> BaseSampler:
    """The sampler that the configuration names. seed: of this process; two workers with one seed repeat each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # said by Optuna of what we chose knowingly
        if search.sampler == "random":
            return Drawn(search.seed)
        if search.sampler == "grid":
            return Grid(search.space, search.seed)
        if search.sampler == "qmc":
            # workers draw from one scrambled sequence: its numbers are given out by the study
            return QMCSampler(seed=search.seed, scramble=True, warn_independent_sampling=False)
        if search.sampler == "gp":
            return GPSampler(seed=seed, n_startup_trials=search.startup_trials, warn_independent_sampling=False)
        return TPESampler(seed=seed, n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True)


class Beside(BasePruner):
    """Gives up a trial that is not among the best share of all that have come as far, in flight or over.

    Optuna's `PercentilePruner` compares with completed trials alone, of which there are few, the best; with nobody
    until some have come to their end; and the best of all reports, though those of two legs are means of other folds.

    percentile: of the best. beside: other trials that have been at the step, before one is given up.
    """

    def __init__(self, percentile: float, beside: int) -> None:
        self.percentile, self.beside = percentile, beside

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to give up the trial, after its last report."""
        step = trial.last_step
        if step is None:
            return False
        # with other legs, or none, a step is something else
        steps = {min(trial.intermediate_values), step}
        others = [
            other.intermediate_values[step]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and not is_void(other) and steps <= other.intermediate_values.keys()
        ]
        if len(others) < self.beside:
            return False
        return trial.intermediate_values[step] > float(np.percentile(others, self.percentile))


def pruner_of(search: Search) -> BasePruner:
    """The pruner that the configuration names. It is asked where a trial may be given up, and nowhere else."""
    beside = min(FEWEST_BESIDE, search.startup_trials)
    if search.pruner in SHARES:
        return Beside(SHARES[search.pruner] or search.percentile, beside)
    if search.pruner == "halving":
        first = search.ahead * math.ceil(PARTS * search.warmup_share) / PARTS  # of a trial, when it may be given up
        return SuccessiveHalvingPruner(min_resource=max(1, round(100 * first)), reduction_factor=HALVING_FACTOR)
    return NopPruner()
