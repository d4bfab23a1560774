"""Networks trained on all rows: whether there are any, what they count beside those of the folds, and what is told.

See docs/decisions/020-refits-beside-the-folds.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tables import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.fits import Curve, Job
    from pipeline.tables import Design, Floats
    from pipeline.training_settings import Train

LITTLE = 0.45  # of the rows: a fold that learns from less, as no two equal folds do, leaves out too much
KEPT_TO_THE_END = 0.9  # of the epochs: folds that kept a later one did not stop early
FAR_APART = 3.0  # times the out-of-fold error: what folds and refits may differ by without a word


def refit_of(design: Design, train: Train) -> str:
    """Which networks predict the test: "none" but the folds', those trained on all rows "alone", or "beside" them."""
    if train.refit != "auto":
        return train.refit
    return "beside" if design.overlays and _learned(design) < LITTLE else "none"


def votes_of(jobs: Sequence[Job], refit: str, folds: int) -> Floats:
    """What each job's network counts in predictions of the test [jobs], 1 in all. folds: K, the refits' number."""
    is_refit = np.array([job.fold == folds for job in jobs])
    share = {"none": 0.0, "beside": 0.5, "alone": 1.0}[refit]
    votes: Floats = np.where(is_refit, share / max(is_refit.sum(), 1), (1 - share) / max((~is_refit).sum(), 1))
    return votes


def refit_notices(design: Design, jobs: Sequence[Job], curves: Sequence[Curve], train: Train) -> Iterator[Notice]:
    """Who predicts the test, where nobody asked for it; and refits that run much longer than what folds kept."""
    K, refit = design.folds.count, refit_of(design, train)
    kept = [curve.best_epoch + 1 for job, curve in zip(jobs, curves, strict=True) if job.fold < K]
    refits, median = len(jobs) - len(kept), int(np.median(kept))
    if refits and train.refit == "auto":
        text = (
            f"networks were trained on all rows too, for some fold learns from {_learned(design):.0%} of them: they "
            f'predict the test beside those of the folds, with half the say; train.refit = "none" leaves them out'
        )
        yield Notice("training", text, refits)
    if refit == "alone" and median <= KEPT_TO_THE_END * train.epochs:
        text = (
            f"the refit trains all {train.epochs} epochs, but the folds kept epoch {median} (median), and the "
            f'out-of-fold score is theirs; train.refit = "beside" gives them half the say on the test, "none" all of it'
        )
        yield Notice("training", text, refits)


def apart_notices(refit: str, said: Floats, folds: Floats, error: float) -> Iterator[Notice]:
    """Warn where refits, which nothing scores, say something else than the folds' networks.

    said: predictions of the test; folds: by the folds' networks alone; error: root mean square of the out-of-fold one.
    """
    if refit == "none" or not len(said):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        apart = float(np.sqrt(np.mean(np.square(said - folds)))) * (2 if refit == "beside" else 1)
    if not apart <= FAR_APART * error:
        text = (
            f"networks trained on all rows predict the test unlike those of the folds: they are {apart:.4g} apart "
            f"(root mean square), where the out-of-fold error is {error:.4g}; look at training rows that no fold "
            f'learns from, such as the newest, or set train.refit = "none"'
        )
        yield Notice("training", text, len(said))


def _learned(design: Design) -> float:
    """The share of the rows that the fold which learns from fewest has."""
    return min(map(len, design.folds.train)) / len(design.refit_rows)
