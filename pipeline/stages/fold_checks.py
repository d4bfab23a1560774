"""Folds under fire: what a fold scores must have no say in what it is fitted on and trained with."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.settings import FoldSettings
from pipeline.stages.hindsight import REPLAYED, split_in_time
from pipeline.stages.past_checks import DIVISOR, HUGE, OURS, TAKEN, differing, named
from pipeline.stages.preprocess import preprocess
from pipeline.tables import Whitening
from pipeline.tabular.bases import base_of, spread_of
from pipeline.tabular.features import matrix_for, rows_of
from pipeline.tabular.findings import Check, Finding, spread
from pipeline.tabular.past import encoded_columns
from pipeline.tabular.replay import replay
from pipeline.tabular.splits import split_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.settings import Preprocess, Target
    from pipeline.tables import Booleans, Dataset, Design, FeatureState, Floats, Folds, Integers
    from pipeline.time_settings import History
    from pipeline.timeline import Timeline

PINNED = "fold of the leak checks"  # a column of folds


@dataclass(frozen=True, slots=True)
class Settings:
    """What a design is made by."""

    preprocess: Preprocess
    target: Target
    folds: FoldSettings
    metric: str
    history: History

    def design(self, dataset: Dataset) -> Design:
        """The design of a dataset."""
        return preprocess(
            dataset,
            preprocess=self.preprocess,
            target=self.target,
            folds=self.folds,
            metric=self.metric,
            history=self.history,
        )


@dataclass(frozen=True, slots=True)
class _Change:
    scored: int  # rows that were poisoned
    columns: tuple[str, ...]
    rows: Integers  # of train, that changed; none where only a fitted number did


def fitted_state(dataset: Dataset, settings: Settings, most_folds: int) -> Check:
    """Poison features and target of the rows that a fold scores: nothing that it is fitted on or trained with changes.

    With `fit_on = "all"` features are fitted on these rows by design, which is told as a note.
    """
    dataset, settings, chosen = _with_pinned_folds(dataset, settings, most_folds)
    clean = settings.design(dataset)
    hidden = _hidden(dataset, settings, clean.folds)
    numbers, states, targets = [], [], []
    for fold in chosen:
        scored = clean.folds.valid[fold]
        attacked = settings.design(_poisoned(dataset, scored, hidden[fold]))
        of_past = _past_of_scored(clean, dataset.timeline, settings.history)
        sees_truth = dataset.timeline is not None and dataset.timeline.layout == "rolling"
        moved = _numbers_changed(clean, attacked, fold, of_past), _taken_changed(clean, attacked, fold, sees_truth)
        numbers += [_Change(len(scored), *own) for own in moved]
        states.append(_Change(len(scored), *_fitted_changed(clean, attacked, fold)))
        is_fitted = clean.target_states[fold] != attacked.target_states[fold]
        targets.append(_Change(len(scored), ("the target",) * is_fitted, clean.folds.train[fold][:0]))
    rows = " / ".join(f"{len(clean.folds.valid[fold]):,}" for fold in chosen)
    looked = (
        f"the {rows} rows that {len(chosen)} folds score made 1e9, target, one level and one date too; what is fitted "
        f"on {len(clean.numeric) + len(clean.categorical)} columns and the target, and the matrix that trains, compared"
    )
    findings = [
        *_findings(dataset, numbers, "columns of rows that must not know of it"),
        *_findings(dataset, states, "what was fitted for it", by_design=settings.preprocess.fit_on == "all"),
        *_findings(dataset, targets, "what was fitted for it"),
    ]
    return Check("what a fold scores", looked, tuple(findings))


def _findings(dataset: Dataset, changes: Sequence[_Change], what: str, *, by_design: bool = False) -> Iterator[Finding]:
    """One finding of all columns that change, with the fold in which most rows do."""
    columns = tuple(dict.fromkeys(name for change in changes for name in change.columns))
    if not columns:
        return
    worst = max(changes, key=lambda own: (len(own.rows), len(own.columns)))
    text = f"{named(columns)}: poisoning the {worst.scored:,} rows that a fold scores changes {what}"
    if len(worst.rows):
        first = str(dataset.train_ids[int(worst.rows[0])])
        text += f", and {len(worst.rows):,} rows of its matrix, the first with id {first!r}"
    if by_design:
        text = f'[preprocess] fit_on = "all" fits features on scored and test rows too, by design: {text}'
        remedy = 'nothing, if that is meant; for scores as those of rows that come later: [preprocess] fit_on = "fold"'
        yield Finding("fitted on all rows", columns, text, remedy, "note")
    else:
        yield Finding("fitted on scored rows", columns, text, OURS, "leak")


def _with_pinned_folds(
    dataset: Dataset, settings: Settings, most_folds: int
) -> tuple[Dataset, Settings, Sequence[int]]:
    """Some of the folds that are drawn, as a column, for a poisoned target might draw others; and which to look at."""
    folds = settings.folds
    if dataset.timeline is not None and folds.kind in REPLAYED:
        return dataset, settings, spread(replay(dataset.timeline, folds).folds.count, most_folds)
    split = split_rows(dataset.target, folds, dataset.fold_columns.get(folds.column))
    label = np.full(len(dataset.target), "", dtype=object)
    chosen = spread(split.count // folds.repeats, most_folds)
    for fold in chosen:
        label[split.valid[fold]] = str(fold)
    pinned = FoldSettings(kind="column", column=PINNED)
    out = {folds.column} if folds.kind == "column" else set()  # which is no feature
    dataset = replace(
        dataset,
        fold_columns={PINNED: label},
        numeric=tuple(name for name in dataset.numeric if name not in out),
        categorical=tuple(name for name in dataset.categorical if name not in out),
        dates=tuple(name for name in dataset.dates if name not in out),
    )
    return dataset, replace(settings, folds=pinned), range(len(chosen))


def _hidden(dataset: Dataset, settings: Settings, folds: Folds) -> tuple[Booleans, ...]:
    """What is known of the rows that each fold scores, and whatever else it must not know."""
    timeline = dataset.timeline
    if timeline is None:
        return (np.zeros(0, dtype=bool),) * folds.count
    low, known = int(timeline.known.step.min()), timeline.known
    width = int(max(known.step.max(), timeline.train.step.max())) - low + 1
    keys = known.series.astype(np.int64) * width + known.step - low
    own = timeline.train.series.astype(np.int64) * width + timeline.train.step - low
    split = split_in_time(dataset, timeline, settings.folds)
    return tuple(np.isin(keys, own[valid]) | hidden for valid, hidden in zip(folds.valid, split.hidden, strict=True))


def _poisoned(dataset: Dataset, rows: Integers, known_rows: Booleans) -> Dataset:
    """A dataset whose numbers, levels, dates and targets of some rows are all wrong, in what is known too."""
    frame, target, timeline = dataset.train.copy(), dataset.target.copy(), dataset.timeline
    for name in dataset.numeric:
        values = frame[name].to_numpy(dtype=np.float64).copy()
        values[rows] = HUGE
        frame[name] = values
    for name in (*dataset.categorical, *dataset.dates):
        column = frame[name].copy()
        first = column.cat.categories[0] if name in dataset.categorical else column.min()
        column.iloc[rows] = first
        frame[name] = column
    target[rows] = HUGE
    if timeline is not None:
        seen = timeline.known.values.copy()
        seen[known_rows] = HUGE
        timeline = replace(timeline, known=replace(timeline.known, values=seen))
    return replace(dataset, train=frame, target=target, timeline=timeline)


def _past_of_scored(clean: Design, timeline: Timeline | None, options: History) -> tuple[str, ...]:
    """Columns of scored rows that do not follow from what was poisoned in the row itself: but for encoded levels, all.

    None where forecasts roll: they see the truth of earlier scored rows by design.
    """
    if timeline is None or timeline.layout == "rolling" or not clean.overlays:
        return ()
    past = clean.numeric[len(clean.numeric) - len(clean.overlays[0].columns) :]
    return tuple(name for name in past if name not in encoded_columns(timeline.known, options))


def _numbers_changed(
    clean: Design, attacked: Design, fold: int, of_past: tuple[str, ...]
) -> tuple[tuple[str, ...], Integers]:
    """Columns and rows that changed before anything was fitted: of rows trained on, and the past of those scored."""
    parts = [(clean.folds.train[fold], clean.numeric), (clean.folds.valid[fold], of_past)]
    names: dict[str, None] = {}
    changed = []
    for rows, made in parts:
        columns = tuple(name for name in made if name in attacked.numeric)
        one, other = (_numbers(design, fold, rows, columns) for design in (clean, attacked))
        differs = differing(one, other)
        names |= dict.fromkeys(columns[at] for at in np.flatnonzero(differs.any(axis=0)))
        changed.append(rows[differs.any(axis=1)])
    return tuple(names), np.concatenate(changed)


def _taken_changed(clean: Design, attacked: Design, fold: int, sees_truth: bool) -> tuple[tuple[str, ...], Integers]:
    """Whether what is taken from the target changed, or what the rest is divided by, and of which rows.

    sees_truth: scored rows see the truth of earlier ones by design, and are left out.
    """
    rows = clean.folds.train[fold]
    rows = rows if sees_truth else np.append(rows, clean.folds.valid[fold])
    names, moved = [], np.zeros(len(rows), dtype=np.bool_)
    for name, of in ((TAKEN, base_of), (DIVISOR, spread_of)):
        before, after = (of(design, fold, rows) for design in (clean, attacked))
        if before is not None and after is not None and (differs := differing(before, after)).any():
            names.append(name)
            moved |= differs
    return tuple(names), rows[moved]


def _numbers(design: Design, fold: int, rows: Integers, columns: Sequence[str]) -> Floats:
    place = {name: at for at, name in enumerate(design.numeric)}
    return rows_of(design, fold, rows).numeric[:, [place[name] for name in columns]]


def _fitted_changed(clean: Design, attacked: Design, fold: int) -> tuple[tuple[str, ...], Integers]:
    """Columns whose fitted numbers or levels changed, and the rows of the fold's training matrix that did."""
    one, other = _by_column(clean, fold), _by_column(attacked, fold)
    names = [name for name in one if name in other and not _same(one[name], other[name])]
    rows = clean.folds.train[fold]
    matrices = [matrix_for(design, fold, rows_of(design, fold, rows)) for design in (clean, attacked)]
    # a column that only the states of other folds bring about is 0 on every row
    wide = {name: at for at, name in enumerate(dict.fromkeys((*clean.columns, *attacked.columns)))}
    differs = np.zeros((len(rows), len(wide)), dtype=np.float32)
    for sign, design, matrix in zip((1, -1), (clean, attacked), matrices, strict=True):
        differs[:, [wide[name] for name in design.columns]] += sign * matrix
    names += [name for name, at in wide.items() if differs[:, at].any()]
    return tuple(dict.fromkeys(names)), rows[differs.any(axis=1)]


def _by_column(design: Design, fold: int) -> Mapping[str, tuple[object, ...]]:
    """Everything that a fold's state knows of each column of the tables, and of components."""
    state: FeatureState = design.states[fold]
    levels = {name: (state.levels[at], state.grouped[at]) for at, name in enumerate(design.categorical)}
    each = [getattr(state, own.name) for own in fields(state) if own.name not in ("levels", "grouped", "whitening")]
    numbers = {name: tuple(values[..., at] for values in each) for at, name in enumerate(design.numeric)}
    whitening = state.whitening
    parts = () if whitening is None else tuple(getattr(whitening, own.name) for own in fields(Whitening))
    return {**numbers, **levels, "components": parts}


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))


def _equal(a: object, b: object) -> bool:
    """Equal numbers, missing ones too, or equal levels."""
    if isinstance(a, np.ndarray | np.generic) and isinstance(b, np.ndarray | np.generic):
        return bool(np.array_equal(a, b, equal_nan=True))
    return a == b
