"""A trial that is over: its networks, their score, and what its study is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from optuna.trial import TrialState

from pipeline.fits import Bag
from pipeline.stages.assignments import network_of
from pipeline.stages.failures import failed, short
from pipeline.stages.learners import outputs_of
from pipeline.stages.predict import predict
from pipeline.tabular.bases import predictions
from pipeline.tabular.features import take
from pipeline.tabular.metrics import loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from pipeline.engine.fit import Fitted
    from pipeline.fits import Job
    from pipeline.stages.setups import Bench, Setup
    from pipeline.tables import Compute, Floats

CAUSE = "cause"  # user attribute of a failed trial that counts: why it has no score
TRAIN, VALID = "train loss", "valid loss"  # of a trial with a score: means over its networks, where somebody looked
STANDS = "as it stands"  # user attribute of the trial that is the configuration as it stands


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial's networks after their training, for whoever wants a score, a cause or predictions."""

    setup: Setup
    bench: Bench
    jobs: Sequence[Job]
    fitted: Sequence[Fitted]

    def held_out(self) -> Floats:
        """Out-of-fold predictions, the mean over seeds [P], in the order of `Folds.scored_rows`.

        All NaN where a network of the trial is missing or has no weights to use.
        """
        folds, blocks = self.bench.design.folds, self.bench.blocks
        network, seeds = network_of(self.setup.candidate, self.bench.design), len({job.seed for job in self.jobs})
        total = np.zeros(len(folds.scored_folds))
        if len(self.jobs) < seeds * folds.count or any(result.curve.best_epoch < 0 for result in self.fitted):
            return np.full_like(total, np.nan)
        for job, result in zip(self.jobs, self.fitted, strict=True):
            valid = folds.valid[job.fold]
            outputs = outputs_of(network, result.tensors, blocks.rows_of(job.fold)[valid], blocks.target.device)
            total[folds.scored_folds == job.fold] += predictions(self.bench.design, job.fold, valid, outputs)
        return total / seeds

    def test(self, compute: Compute) -> Floats:
        """Predictions of the test rows, mean over folds and seeds [T], as `stages.train` has it without refits."""
        design, network = self.bench.design, network_of(self.setup.candidate, self.bench.design)
        order = sorted(range(len(self.jobs)), key=self.jobs.__getitem__)  # fold by fold, and the same sums
        weights = {
            name: np.stack([self.fitted[i].tensors[place] for i in order])
            for place, name in enumerate(network.tensor_names)
        }
        rows = take(design.rows, slice(len(design.target), None))
        votes = np.full(len(order), 1 / len(order))
        bag = Bag(network, tuple(self.jobs[i] for i in order), votes, weights)
        return predict(design, bag, rows, compute)

    def score(self, metric: str) -> float:
        """The pooled out-of-fold loss; infinity where there is none."""
        design, predicted = self.bench.design, self.held_out()
        value = loss(metric, design.target[design.folds.scored_rows], predicted)
        return value if np.isfinite(value) else float("inf")

    def losses(self) -> dict[str, float]:
        """Mean losses of the networks on the rows they learned from and on others; empty if nobody looked."""
        train = [result.curve.train[np.isfinite(result.curve.train)] for result in self.fitted]
        if not all(map(len, train)) or not all(np.isfinite(result.curve.train[-1]) for result in self.fitted):
            return {}  # it stopped early, and the last look at its training rows is of long before
        valid = [float(np.nanmin(result.curve.valid)) for result in self.fitted]
        return {TRAIN: float(np.mean([own[-1] for own in train])), VALID: float(np.mean(valid))}

    def cause(self) -> str:
        """Why there is no score: the first failed network's cause, else the weights of a very last step."""
        candidate = self.setup.candidate
        cases = failed(self.bench.design, candidate, self.jobs, self.fitted)
        lr = f"{candidate.train.lr:g}"
        return short(cases[0][0]) if cases else f"predictions that are not finite; [train] lr below {lr}"


class Session(Protocol):
    """The study, as one searching process sees it. Lower scores are better."""

    def begin(self, as_it_stands: Mapping[str, object], *, is_whole: bool) -> None:
        """See to it that the configuration as it stands is the first trial to be trained to an end.

        is_whole: whether the space holds all of it; else the sampler fills in what it does not hold.
        """
        ...

    def trials(self, state: TrialState) -> list[optuna.trial.FrozenTrial]:
        """All trials in that state, whoever trained them."""
        ...

    def recall(self, name: str) -> object:
        """What was remembered under that name; None where nothing was."""
        ...

    def remember(self, name: str, value: object) -> None:
        """Keep a plain value with the study."""
        ...

    def ask(self, count: int) -> Sequence[optuna.Trial]:
        """At most so many further trials; none where the study has, or is about to have, all that it is to have."""
        ...

    def settle(self) -> None:
        """Wait for what processes of this search have in flight after nothing more is asked for."""
        ...

    def report(self, trial: optuna.Trial, step: int, score: float) -> bool:
        """Write down a score within the training; whether the study still wants to hear of the trial."""
        ...

    def is_hopeless(self, trial: optuna.Trial) -> bool:
        """Whether a trial is to be given up, as it was reported last, beside what is known of others now."""
        ...

    def complete(self, trial: optuna.Trial, score: float, trained: Trained) -> None:
        """A trial with a finite score."""
        ...

    def fail(self, trial: optuna.Trial, cause: str) -> None:
        """A trial without one; it counts all the same, for trying it again would end the same."""
        ...

    def give_up(self, trial: optuna.Trial) -> None:
        """A trial that was stopped because others were better."""
        ...


def is_void(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial came to no end and counts for nothing: interrupted, its process dead, or one too many."""
    return trial.state == TrialState.FAIL and CAUSE not in trial.user_attrs


def stands(trial: optuna.Trial | optuna.trial.FrozenTrial) -> bool:
    """Whether a trial is the configuration as it stands: the first of a study, or where that was interrupted, its next.

    Not where the space does not hold the configuration.
    """
    return bool(trial.user_attrs.get(STANDS, trial.number == 0))
