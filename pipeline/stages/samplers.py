"""Who suggests values and who gives trials up: Optuna's samplers and pruners, by the configuration's names."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import MedianPruner, NopPruner, PercentilePruner, SuccessiveHalvingPruner
from optuna.samplers import GPSampler, GridSampler, QMCSampler, RandomSampler, TPESampler

from pipeline.stages.spaces import grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

    from pipeline.settings import Search

HALVING_FACTOR = 3  # one in three goes on from each rung of successive halving


class _Grid(GridSampler):
    """Optuna's, which ends `optimize` when every point was tried; there is none where trials are asked for and told."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing: whoever asks looks at `is_exhausted`."""


def sampler_of(search: Search, seed: int) -> BaseSampler:
    """The sampler that the configuration names. seed: of this process; two workers with one seed repeat each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # said by Optuna of what we chose knowingly
        if search.sampler == "random":
            return RandomSampler(seed=seed)
        if search.sampler == "grid":
            return _Grid(grid(search.space), seed=seed)
        if search.sampler == "qmc":
            # workers draw from one scrambled sequence: its numbers are given out by the study
            return QMCSampler(seed=search.seed, scramble=True, warn_independent_sampling=False)
        if search.sampler == "gp":
            return GPSampler(seed=seed, n_startup_trials=search.startup_trials, warn_independent_sampling=False)
        return TPESampler(seed=seed, n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True)


def pruner_of(search: Search, epochs: int) -> BasePruner:
    """The pruner that the configuration names; its steps are epochs. epochs: of the configuration's training."""
    warm_up = round(search.warmup_share * epochs)
    if search.pruner == "percentile":
        return PercentilePruner(search.percentile, search.startup_trials, warm_up)
    if search.pruner == "median":
        return MedianPruner(search.startup_trials, warm_up)
    if search.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=max(1, warm_up), reduction_factor=HALVING_FACTOR)
    return NopPruner()
