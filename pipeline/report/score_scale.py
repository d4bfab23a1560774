"""Scores of a sweep as positions in a picture: the good ones are told apart, bad ones lie at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.report.drawing import number_axis
from pipeline.report.text import LONGEST_NAME, clean, count

if TYPE_CHECKING:
    from matplotlib.axis import YAxis

    from pipeline.report.sweep_facts import SweepFacts
    from pipeline.tables import Floats

REACH = 3.0  # how far beyond the median score, in distances of the best from it


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """The frame that all pictures of one sweep share."""

    label: str
    frame: tuple[float, float]
    worst: float  # the end of the frame at which bad scores lie
    outside: int

    @classmethod
    def of(cls, facts: SweepFacts) -> ScoreScale:
        """At least one trial must be scored."""
        sign = -1.0 if facts.greater_is_better else 1.0
        losses = sign * np.array([trial.score for trial in facts.of("scored")])
        best, median = float(losses.min()), float(np.median(losses))
        edge = min(float(losses.max()), median + REACH * (median - best)) if len(losses) > 2 else float(losses.max())
        room = 0.06 * (edge - best) or 0.05 * abs(best) or 0.05
        low, high = sorted((sign * (best - room), sign * (edge + room)))
        better = "higher" if facts.greater_is_better else "lower"
        label = f"{clean(facts.metric, LONGEST_NAME // 2)}, {better} is better"
        return cls(label, (low, high), sign * (edge + room), int((losses > edge).sum()))

    def clipped(self, scores: Floats) -> Floats:
        """Bad ones at the edge."""
        return np.clip(scores, *self.frame)

    def apply(self, axis: YAxis) -> None:
        """Frame a vertical axis of scores and label it with round numbers."""
        axis.axes.set_ylim(*self.frame)
        number_axis(axis)

    @property
    def caption(self) -> str:
        """What is said of those at the edge."""
        return f" {count(self.outside, 'trial')} further out drawn at the edge." if self.outside else ""


def short_keys(keys: tuple[str, ...]) -> list[str]:
    """Dotted keys without their section where that leaves them apart."""
    leaves = [key.rpartition(".")[2] for key in keys]
    return [leaf if leaves.count(leaf) == 1 else key for leaf, key in zip(leaves, keys, strict=True)]
