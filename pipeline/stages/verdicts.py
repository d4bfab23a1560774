"""Numbers -> judgements in words: does it overfit, does it beat the baselines, what to try next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.facts import Advice, Verdict
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from pipeline.facts import Curves, LargeError, ModelRow
    from pipeline.fits import Fits

OVERFITS, OVERFITS_STRONGLY = 1.25, 2.0  # error on unseen rows, in multiples of that on training rows
LEVEL = 0.005  # scores closer than this share of the baseline's are called level
STILL_FALLING = 0.01  # share of the validation error gained over the last tenth of the epochs
FEW_ROWS_SHARE = 0.2  # of the total error, carried by the few rows that are listed
FEW_ROWS_ARE_ALL = 0.9
HARD_FOLD = 1.4  # error of a fold, in multiples of the median fold's
MOST_ADVICE = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What advice is drawn from."""

    metric: str
    ours: ModelRow
    baselines: tuple[ModelRow, ...]  # best first
    train_mean: float
    curves: Curves
    largest: tuple[LargeError, ...]
    networks_not_finite: int
    seeds: int
    troubles: tuple[Advice, ...] = ()  # networks that failed or stalled, as training saw them

    @property
    def ratio(self) -> float:
        """Error on unseen rows in multiples of that on training rows."""
        return error_ratio(self.metric, self.train_mean, self.ours.fold_mean)

    @property
    def is_behind(self) -> bool:
        """The best baseline is clearly better."""
        return bool(self.baselines) and change(self.metric, self.ours, self.baselines[0]) > LEVEL

    @property
    def few_rows(self) -> tuple[int, float]:
        """How many rows the first half of the listed ones are, and their share of the total error."""
        few = self.largest[: max(1, len(self.largest) // 2)]
        return len(few), sum(row.share for row in few)


def error_size(metric: str, value: float) -> float:
    """A score as an error that grows in proportion to the residuals, so that metrics can be judged alike."""
    if metric == "r2":
        return float(np.sqrt(max(1.0 - value, 0.0)))
    return float(np.sqrt(value)) if metric == "mse" else value


def error_ratio(metric: str, train: float, valid: float) -> float:
    """Error on unseen rows divided by that on training rows; infinite where training rows are hit exactly."""
    on_train, on_valid = error_size(metric, train), error_size(metric, valid)
    if on_train == 0:
        return 1.0 if on_valid == 0 else float("inf")
    return on_valid / on_train


def change(metric: str, ours: ModelRow, other: ModelRow) -> float:
    """By which share our pooled error is above the other's (r2: by how much our r2 is lower)."""
    mine, theirs = ours.pooled[metric], other.pooled[metric]
    if METRICS[metric].greater_is_better:
        return theirs - mine
    if theirs == 0:
        return 0.0 if mine == 0 else float("inf")
    return mine / theirs - 1.0


def judge_baseline(evidence: Evidence) -> Verdict:
    """Say how far the model is from the best baseline, and in how many folds it is better."""
    if not evidence.baselines:
        return Verdict("No baseline", "Nothing to compare with.", is_good=True)
    ours, best = evidence.ours, evidence.baselines[0]
    by = change(evidence.metric, ours, best)
    greater = METRICS[evidence.metric].greater_is_better
    pairs = zip(ours.by_fold, best.by_fold, strict=True)
    won = sum(mine > theirs if greater else mine < theirs for mine, theirs in pairs)
    scored = f"{best.name.capitalize()}, the best baseline, has {best.pooled[evidence.metric]:.4g}"
    detail = f"{scored}; the model is better in {won} of {len(ours.by_fold)} folds."
    if not np.isfinite(by):
        return Verdict(f"Worse than {best.name}", detail, is_good=False)
    if abs(by) <= LEVEL:
        return Verdict(f"Level with {best.name}", detail, is_good=False)
    size = f"{abs(by):.3f}" if greater else percent(abs(by))
    side = "above" if (by > 0) != greater else "below"
    return Verdict(f"{size} {side} {best.name}", detail, is_good=by < 0)


def judge_fit(evidence: Evidence) -> Verdict:
    """Say over- or underfitting from the gap between training and validation rows."""
    ratio = evidence.ratio
    times = f"{ratio:.2f} times" if np.isfinite(ratio) else "infinitely many times"
    detail = f"The error on unseen rows is {times} that on training rows"
    if ratio >= OVERFITS_STRONGLY:
        return Verdict("Overfits strongly", f"{detail}.", is_good=False)
    if ratio >= OVERFITS:
        return Verdict("Overfits somewhat", f"{detail}, as is usual for a network.", is_good=True)
    if evidence.is_behind:
        return Verdict("Underfits", f"{detail}, and {evidence.baselines[0].name} does better.", is_good=False)
    return Verdict("Does not overfit", f"{detail}.", is_good=True)


def say_looks(looks: int, fits: Fits) -> str:
    """Tell how often held-out rows were looked at, what it does to the score, and whether others predict the test."""
    return _say_looks(looks, fits) + _say_refits(fits)


def _say_refits(fits: Fits) -> str:
    """Networks without a held-out row are in no score."""
    is_refit = np.array([not np.isfinite(curve.valid).any() for curve in fits.curves])
    share = float(fits.bag.votes[is_refit].sum())
    if not share:
        return ""
    return f" Networks trained on all rows, which no score describes, have {share:.0%} of the say on the test."


def _say_looks(looks: int, fits: Fits) -> str:
    """Each look at validation rows may have chosen something."""
    if not looks:
        return "No validation row was looked at while training, so the out-of-fold score is not biased by a choice."
    chosen = any(curve.best_epoch < len(curve.valid) - 1 for curve in fits.curves)
    said = f"The validation folds were scored {looks:,} times while training"
    if any(curve.stopped == "patience" for curve in fits.curves):
        return f"{said} and decided when networks stopped, so the out-of-fold score is slightly optimistic."
    if not chosen:
        return f"{said}; every network kept its last epoch, so the out-of-fold score was not selected by these looks."
    return (
        f"{said} and each network kept the epoch that was best on its own validation rows, "
        f"so the out-of-fold score is slightly optimistic."
    )


def advise(evidence: Evidence) -> tuple[Advice, ...]:
    """One or two things to do next, the most pressing first."""
    rules = (_on_not_finite, _on_baseline, _on_overfitting, _on_epochs, _on_few_rows, _on_seeds, _on_hard_fold)
    found = [*evidence.troubles, *(advice for rule in rules if (advice := rule(evidence)))]
    search = Advice("Nothing stands out.", "Let a search look for better settings.", "make sweep TRIALS=100")
    return tuple(found[:MOST_ADVICE]) or (search,)


def _on_not_finite(evidence: Evidence) -> Advice | None:
    if not evidence.networks_not_finite or evidence.troubles:
        return None
    seen = f"{evidence.networks_not_finite} of the networks stopped because their loss was not finite."
    return Advice(seen, "Lower the learning rate.", _train("train.lr=…"))


def _on_baseline(evidence: Evidence) -> Advice | None:
    # what a few rows do says nothing of the network
    if not evidence.is_behind or evidence.few_rows[1] >= FEW_ROWS_ARE_ALL:
        return None
    best = evidence.baselines[0].name
    if evidence.ratio >= OVERFITS:
        action = "Shrink the network and hold it back: less width, more weight decay and dropout."
        return Advice(f"It is worse than {best} and overfits.", action, _train("model.width=… train.weight_decay=…"))
    action = "Let it learn more: a higher learning rate or more epochs, then more width."
    return Advice(f"It is worse than {best} and does not overfit.", action, _train("train.lr=… train.epochs=…"))


def _on_overfitting(evidence: Evidence) -> Advice | None:
    if evidence.ratio < OVERFITS_STRONGLY or evidence.is_behind or evidence.few_rows[1] >= FEW_ROWS_ARE_ALL:
        return None
    seen = "The gap between training and validation rows is large."
    return Advice(seen, "Raise the weight decay or the dropout.", _train("train.weight_decay=… model.dropout=…"))


def _on_epochs(evidence: Evidence) -> Advice | None:
    band, best = evidence.curves.valid, evidence.curves.best_epochs
    if len(band.mean) < 10 or not best:
        return None
    start = band.mean[int(0.9 * len(band.mean)) - 1]
    before, after = error_size(evidence.metric, float(start)), error_size(evidence.metric, float(band.mean[-1]))
    if np.median(best) > 0.9 * band.epochs[-1] and after < (1 - STILL_FALLING) * before:
        return Advice("The validation error was still falling at the end.", "Train longer.", _train("train.epochs=…"))
    return None


def _on_few_rows(evidence: Evidence) -> Advice | None:
    count, share = evidence.few_rows
    if share < FEW_ROWS_SHARE:
        return None
    rows = "One row carries" if count == 1 else f"{count} rows carry"
    action = "Look at the largest errors below: are these rows right?"
    return Advice(f"{rows} {percent(share)} of the error.", action, "")


def _on_seeds(evidence: Evidence) -> Advice | None:
    if evidence.seeds > 1:
        return None
    action = "Average several seeds: it nearly always helps."
    return Advice("Every fold has one network only.", action, _train("train.seeds=8"))


def _on_hard_fold(evidence: Evidence) -> Advice | None:
    sizes = [error_size(evidence.metric, value) for value in evidence.ours.by_fold]
    worst = int(np.argmax(sizes))
    if sizes[worst] <= HARD_FOLD * np.median(sizes):
        return None
    seen = f"Fold {worst + 1} is much harder than the others."
    return Advice(seen, "Look for its rows in the largest errors below: a few odd rows, or a kind of its own?", "")


def _train(settings: str) -> str:
    return f'make train submit report SET="{settings}"'


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"
