"""Folds beside the test: whether they score what the test will ask, as far ahead and as blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.stages.hindsight import REPLAYED, split_in_time
from pipeline.tabular.findings import Check, Finding
from pipeline.tabular.replay import AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.settings import FoldSettings
    from pipeline.tables import Dataset
    from pipeline.tabular.replay import Replay
    from pipeline.timeline import Timeline

FEWER_STEPS = 0.5  # of the test's median age: scored rows that are younger are easier than the test's
REPLAY = '[folds] kind = "replay"'


def folds_like_test(dataset: Dataset, timeline: Timeline, folds: FoldSettings) -> Check:
    """Whether folds train on what they score or on what comes later, or score rows that are easier than the test's."""
    split = split_in_time(dataset, timeline, folds)
    ages = np.concatenate(
        [timeline.train.step[rows] - own for rows, own in zip(split.folds.valid, split.origins, strict=True)]
    )
    tests = timeline.test.step - timeline.test_origin
    apart = f"scored rows are forecast {np.median(ages):g} steps ahead (median), test rows {np.median(tests):g}"
    found = list(_trained(dataset, timeline, split))
    if folds.kind not in REPLAYED and np.median(ages) < FEWER_STEPS * np.median(tests):
        found.append(apart)
    kind = "replay" if folds.kind in REPLAYED else folds.kind
    if not found:
        looked = f"{split.folds.count} folds of kind {kind!r}, the test is {timeline.layout}: {apart}"
        return Check("folds", looked, ())
    text = f"folds of kind {kind!r} flatter, for the test is {timeline.layout}: {'; '.join(found)}"
    return Check("folds", apart, (Finding("folds unlike the test", (), text, REPLAY, "leak"),))


def _trained(dataset: Dataset, timeline: Timeline, split: Replay) -> Iterator[str]:
    """What folds train on that tells what they score, in the fold that has most of it."""
    own, folds = timeline.train, split.folds
    told = {"rows that it scores": [np.intersect1d(*pair) for pair in zip(folds.train, folds.valid, strict=True)]}
    if timeline.layout in AHEAD or (timeline.layout == "interleaved" and timeline.only_past):
        told["rows after the origin of rows that it scores"] = [
            rows[own.step[rows] > origin.min()] for rows, origin in zip(folds.train, split.origins, strict=True)
        ]
    if timeline.layout == "new_groups":
        told["rows of series that it scores"] = [
            rows[np.isin(own.series[rows], own.series[scored])]
            for rows, scored in zip(folds.train, folds.valid, strict=True)
        ]
    for what, each in told.items():
        if len(rows := max(each, key=len)):
            yield f"a fold trains on {len(rows):,} {what}, the first with id {str(dataset.train_ids[int(rows[0])])!r}"
