"""Leaks looked for by poisoning a competition's own data: what must not matter is changed, and nothing may move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.runtime import tell_nobody
from pipeline.stages.fold_checks import fitted_state
from pipeline.stages.fold_layouts import folds_like_test
from pipeline.stages.hindsight import split_in_time
from pipeline.stages.past_checks import past_checks, past_of
from pipeline.stages.preprocess import transform_of
from pipeline.tabular.findings import Check, drawn_rows, spread
from pipeline.tabular.foretelling import foretelling, shifts_of
from pipeline.tabular.knowledge import AHEAD
from pipeline.tabular.past import without
from pipeline.timeline import Moments

if TYPE_CHECKING:
    from pipeline.runtime import Progress
    from pipeline.stages.fold_checks import Settings
    from pipeline.tables import Booleans, Codes, Dataset, Integers
    from pipeline.timeline import Timeline

MOST_ROWS = 200_000  # of training rows, and of test rows
MOST_CUTOFFS = 3  # origins after which everything is poisoned; folds whose scored rows are


@dataclass(frozen=True, slots=True)
class Looks:
    """What was looked at and found, and whether that was all there is."""

    checks: tuple[Check, ...]
    note: str  # empty: every row was looked at


def leak_checks(dataset: Dataset, settings: Settings, *, on_progress: Progress = tell_nobody) -> Looks:
    """Run every check that the data allow: without [time] those of folds alone."""
    dataset, note = _sampled(dataset)
    timeline = dataset.timeline
    total = 2 if timeline is None else 4
    checks: list[Check] = []
    if timeline is not None:
        on_progress(0, total, "columns of the past")
        transform = transform_of(settings.target, settings.metric)
        target = settings.target
        past = past_of(dataset, timeline, settings.history, transform, target.difference, target.scale)
        checks += past_checks(past, _cutoffs(dataset, timeline, settings))
        on_progress(1, total, "columns known ahead")
        checks += [_known_ahead(dataset, timeline), folds_like_test(dataset, timeline, settings.folds)]
    on_progress(total - 2, total, "what a fold scores")
    checks.append(fitted_state(dataset, settings, MOST_CUTOFFS))
    on_progress(total, total, "what a fold scores")
    return Looks(tuple(checks), note)


def words(looks: Looks) -> list[str]:
    """A line for each check, what to do below each finding, and at last how many found something."""
    lines = []
    for check in looks.checks:
        for finding in check.findings:
            lines += [f"{finding.severity:<8} {finding.evidence}", f"         do: {finding.remedy}"]
        if not check.findings:
            lines.append(f"{'ok':<8} {check.what}: nothing found; {check.looked}")
    leaks = sum(any(own.severity != "note" for own in check.findings) for check in looks.checks)
    end = f"{leaks} of {len(looks.checks)} leak checks found something" if leaks else "no leak by these checks"
    lines.append(f"poisoned: {end}{'; ' + looks.note if looks.note else ''}")
    return lines


def _cutoffs(dataset: Dataset, timeline: Timeline, settings: Settings) -> Integers:
    """The middle origin of some folds."""
    split = split_in_time(dataset, timeline, settings.folds)
    middle = np.unique([np.sort(own)[len(own) // 2] for own in split.origins])
    return middle[spread(len(middle), MOST_CUTOFFS)]


def _known_ahead(dataset: Dataset, timeline: Timeline) -> Check:
    ahead = {own.name for own in timeline.roles if own.role == AHEAD}
    columns = {name: dataset.train[name].to_numpy(dtype=np.float64) for name in dataset.numeric if name in ahead}
    shifts = sorted(shifts_of(timeline.clock))
    looked = (
        f"{len(columns)} numeric columns on {len(dataset.target):,} rows against the target moved by "
        f"{', '.join(map(str, shifts))} steps"
    )
    return Check("columns known ahead", looked, tuple(foretelling(timeline, columns, dataset.train_ids)))


# --- fewer rows


def _sampled(dataset: Dataset) -> tuple[Dataset, str]:
    """A dataset of at most so many rows, of whole series where there are any, and what that left out."""
    rows, tests = len(dataset.target), len(dataset.test_ids)
    if max(rows, tests) <= MOST_ROWS:
        return dataset, ""
    timeline = dataset.timeline
    if timeline is None:
        dataset = _of_rows(dataset, drawn_rows(rows, MOST_ROWS), drawn_rows(tests, MOST_ROWS))
        return dataset, f"looked at {MOST_ROWS:,} of {rows:,} rows, the same at every run"
    shared = timeline.train.series[np.isin(timeline.train.series, timeline.test.series)]
    chosen = _some_series(shared if len(shared) else timeline.train.series)
    fresh = timeline.test.series[~np.isin(timeline.test.series, timeline.train.series)]
    of_test = np.append(chosen, _some_series(fresh)) if len(fresh) else chosen
    train, test = np.isin(timeline.train.series, chosen), np.isin(timeline.test.series, of_test)
    dataset = _of_rows(dataset, np.flatnonzero(train), np.flatnonzero(test))
    dataset = replace(dataset, timeline=_of_series(timeline, train, test, chosen))
    every = len(np.unique(timeline.train.series))
    return dataset, f"looked at {len(chosen)} of {every} series, {int(train.sum()):,} of {rows:,} rows"


def _some_series(series: Codes) -> Integers:
    """As many whole series as the rows allow, evenly spread, and one at least."""
    names, counts = np.unique(series, return_counts=True)
    most = max(int(len(names) * min(MOST_ROWS / len(series), 1.0)), 1)
    while most > 1 and counts[spread(len(names), most)].sum() > MOST_ROWS:
        most -= 1
    return names[spread(len(names), most)].astype(np.int64)


def _of_rows(dataset: Dataset, train: Integers, test: Integers) -> Dataset:
    return replace(
        dataset,
        train=dataset.train.iloc[train].reset_index(drop=True),
        test=dataset.test.iloc[test].reset_index(drop=True),
        target=dataset.target[train],
        held_out=None if dataset.held_out is None else dataset.held_out[test],
        train_ids=dataset.train_ids[train],
        test_ids=dataset.test_ids[test],
        fold_columns={name: texts[train] for name, texts in dataset.fold_columns.items()},
    )


def _of_series(timeline: Timeline, train: Booleans, test: Booleans, chosen: Integers) -> Timeline:
    known = timeline.known
    seen = np.isin(known.series, chosen)
    return replace(
        timeline,
        train=Moments(timeline.train.series[train], timeline.train.step[train]),
        test=Moments(timeline.test.series[test], timeline.test.step[test]),
        test_origin=timeline.test_origin[test],
        known=without(known, ~seen),
    )
