"""How training rows become folds: which rows each fold trains on, and which it scores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils import check_random_state

from pipeline.errors import ConfigError
from pipeline.tables import Folds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.settings import FoldSettings
    from pipeline.tables import Floats, Integers, Texts

MOST_FOLDS = 1000
SEEDS = 2**32  # scikit-learn's seeds are 32 bits wide: after the last one comes 0
NOWHERE = -1  # the fold, or the group, of a row whose cell is blank
COUNTED = frozenset({"kfold", "stratified", "grouped"})  # kinds that read folds.count
DRAWN = frozenset({"kfold", "stratified", "grouped", "holdout"})  # kinds that a seed changes
WHOLE = re.compile(r"([+-]?\d{1,18})(\.0*)?", re.ASCII)


def split_rows(target: Floats, settings: FoldSettings, column: Texts | None = None) -> Folds:
    """Split the training rows as [folds] says; repeats follow one another, repeat r drawn with seed + r.

    column: the cell of `folds.column` on every row, None or "" where it is blank.
    Guarantees: rows ascend within a fold, no row is trained on and scored by the same fold, no group stands on both
    sides, and all kinds but holdout and column score every row exactly `repeats` times.
    Raises ConfigError when rows, groups or settings do not allow that.
    """
    if settings.kind == "replay":
        raise ConfigError('folds.kind = "replay" needs [time] column; name it, or take "kfold"')
    settings = settings.model_copy(update={"kind": "kfold"}) if settings.kind == "auto" else settings
    _check_settings(settings)
    rows = len(target)
    if settings.kind in COUNTED:
        _check_rows(rows, settings.count)
    if settings.kind in {"grouped", "leave_one_group_out", "column"}:
        if column is None:
            raise ConfigError(f"{_kind(settings)} needs folds.column; name the column of the {_content(settings)}")
        levels, codes = _levels(column)
        if settings.kind == "column":
            return _column_folds(levels, codes, settings)
        return _group_folds(levels, codes, settings)
    seeds = _seeds(settings)
    if settings.kind == "holdout":
        _check_holdout(rows, settings.share)
        return _joined(_holdout(rows, share=settings.share, seed=seed) for seed in seeds)
    if settings.kind == "stratified":
        bins = target_bins(target, bins=settings.bins, smallest=settings.count)
        return _joined(_stratified(bins, count=settings.count, seed=seed) for seed in seeds)
    return _joined(k_folds(rows, count=settings.count, shuffle=settings.shuffle, seed=seed) for seed in seeds)


def k_folds(rows: int, *, count: int, shuffle: bool, seed: int) -> Folds:
    """Split `rows` rows into `count` folds that differ by at most one row (scikit-learn's KFold).

    Without `shuffle` the folds are contiguous blocks, as in the textbook.
    Raises ConfigError when there are fewer rows than 2 per fold.
    """
    _check_rows(rows, count)
    splitter = KFold(count, shuffle=shuffle, random_state=seed if shuffle else None)
    return _from_pairs(splitter.split(np.zeros(rows)))


def target_bins(target: Floats, *, bins: int, smallest: int) -> Integers:
    """The bin of each row: up to `bins` equal shares of the target, equal targets always together.

    A bin that ties left with fewer than `smallest` rows joins the next one.
    """
    rows = len(target)
    bins = min(bins, rows // smallest)  # so the last share holds enough rows, whatever the ties
    ranked = np.sort(target)
    edges, latest = [], 0
    for edge in np.unique(ranked[np.arange(1, bins) * rows // bins]):
        below = int(np.searchsorted(ranked, edge))
        if below - latest >= smallest:
            edges.append(edge)
            latest = below
    found: Integers = np.searchsorted(np.array(edges), target, side="right")
    return found


def _seeds(settings: FoldSettings) -> list[int]:
    return [(settings.seed + repeat) % SEEDS for repeat in range(settings.repeats)]


def _stratified(bins: Integers, *, count: int, seed: int) -> Folds:
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    return _from_pairs(splitter.split(np.zeros(len(bins)), bins))


def _holdout(rows: int, *, share: float, seed: int) -> Folds:
    return _from_pairs(ShuffleSplit(1, test_size=share, random_state=seed).split(np.zeros(rows)))


def _group_folds(levels: list[str], codes: Integers, settings: FoldSettings) -> Folds:
    blank = int((codes == NOWHERE).sum())
    if blank:
        raise ConfigError(
            f"{_kind(settings)} needs a group on every training row, found {blank} without one in column "
            f"{settings.column!r}; fill them or name another column"
        )
    if settings.kind == "leave_one_group_out":
        if len(levels) < 2:
            raise ConfigError(
                f"{_kind(settings)} needs at least 2 groups, found {len(levels)} in column {settings.column!r}; "
                f"name another column"
            )
        _check_levels(levels, settings, remedy='take folds.kind = "grouped"')
        return _one_fold_each(levels, codes)
    if len(levels) < settings.count:
        raise ConfigError(
            f"folds.count = {settings.count} needs at least {settings.count} groups, found {len(levels)} in column "
            f"{settings.column!r}; lower folds.count or name another column"
        )
    seeds = _seeds(settings)
    return _joined(_grouped(codes, groups=len(levels), count=settings.count, seed=seed) for seed in seeds)


def _grouped(codes: Integers, *, groups: int, count: int, seed: int) -> Folds:
    """Shuffled groups dealt out in `count` equal runs, as scikit-learn's GroupKFold does from version 1.6 on."""
    fold_of_group = np.empty(groups, dtype=np.int64)
    for fold, members in enumerate(np.array_split(check_random_state(seed).permutation(groups), count)):
        fold_of_group[members] = fold
    return _scored_by(fold_of_group[codes], range(count))


def _column_folds(levels: list[str], codes: Integers, settings: FoldSettings) -> Folds:
    if not levels or (
        len(levels) < 2 and (codes >= 0).all()
    ):  # blank rows are always trained on: one value is a fixed holdout then
        raise ConfigError(
            f"{_kind(settings)} needs at least 2 folds, found {len(levels)} in column {settings.column!r}; give its "
            f'rows two values or more, or take folds.kind = "holdout"'
        )
    _check_levels(levels, settings, remedy="name another column")
    return _one_fold_each(levels, codes)


def _levels(column: Texts) -> tuple[list[str], Integers]:
    """The distinct texts of a column, sorted, and each row's position among them, NOWHERE where it is blank.

    Blanks around a text do not count.
    """
    codes, found = pd.factorize(column)
    texts = [str(text).strip() for text in found]
    levels = sorted({text for text in texts if text})
    position = {text: place for place, text in enumerate(levels)}
    # one entry more for the rows without a text, whose code is -1
    places = np.array([*(position.get(text, NOWHERE) for text in texts), NOWHERE], dtype=np.int64)
    return levels, places[codes]


def _one_fold_each(levels: list[str], codes: Integers) -> Folds:
    """One fold a level, in the order of the numbers where all are whole, of the texts otherwise."""
    matches = [WHOLE.fullmatch(text) for text in levels]
    numbers = [int(match[1]) for match in matches if match]
    order = np.argsort(numbers, kind="stable") if len(numbers) == len(levels) else range(len(levels))
    return _scored_by(codes, order)


def _scored_by(fold_of_row: Integers, folds: Iterable[int]) -> Folds:
    """Each row is scored by its own fold, if that is among `folds`, and trained on by all others."""
    own = (fold_of_row == fold for fold in folds)
    return _from_pairs((np.flatnonzero(~mask), np.flatnonzero(mask)) for mask in own)


def _from_pairs(pairs: Iterable[tuple[Integers, Integers]]) -> Folds:
    ordered = [tuple(np.sort(rows).astype(np.int64, copy=False) for rows in pair) for pair in pairs]
    return Folds(train=tuple(train for train, _ in ordered), valid=tuple(valid for _, valid in ordered))


def _joined(repeats: Iterable[Folds]) -> Folds:
    each = list(repeats)
    return Folds(
        train=tuple(rows for folds in each for rows in folds.train),
        valid=tuple(rows for folds in each for rows in folds.valid),
    )


def _check_settings(settings: FoldSettings) -> None:
    if settings.repeats > 1 and settings.kind not in DRAWN:
        raise ConfigError(
            f"folds.repeats = {settings.repeats} draws further splits, but {_kind(settings)} has only one; set "
            f"folds.repeats = 1"
        )
    if not settings.shuffle and settings.kind in DRAWN - {"kfold"}:
        raise ConfigError(
            f'folds.shuffle = false goes with folds.kind = "kfold" alone, found {_kind(settings)}; set '
            f"folds.shuffle = true"
        )
    if settings.repeats > 1 and not settings.shuffle:
        raise ConfigError(
            f"folds.repeats = {settings.repeats} needs other shuffles, found folds.shuffle = false; set "
            f"folds.shuffle = true or folds.repeats = 1"
        )
    if settings.kind in COUNTED and (folds := settings.count * settings.repeats) > MOST_FOLDS:
        raise ConfigError(
            f"folds.count = {settings.count} and folds.repeats = {settings.repeats} make {folds} folds, expected at "
            f"most {MOST_FOLDS}; lower one of them"
        )


def _check_rows(rows: int, count: int) -> None:
    if rows < 2 * count:
        raise ConfigError(
            f"folds.count = {count} needs at least {2 * count} training rows with a target, found {rows}; "
            f"lower folds.count or bring more rows"
        )


def _check_holdout(rows: int, share: float) -> None:
    scored = int(np.ceil(share * rows))  # as ShuffleSplit counts
    if scored < 2 or rows - scored < 2:
        raise ConfigError(
            f"folds.share = {share:g} scores {scored} of {rows} training rows and trains on {rows - scored}, expected "
            f"2 at least of each; change folds.share or bring more rows"
        )


def _check_levels(levels: list[str], settings: FoldSettings, *, remedy: str) -> None:
    if len(levels) > MOST_FOLDS:
        raise ConfigError(
            f"{_kind(settings)} makes one fold of each value, found {len(levels)} in column {settings.column!r}, "
            f"expected at most {MOST_FOLDS}; {remedy}"
        )


def _kind(settings: FoldSettings) -> str:
    return f'folds.kind = "{settings.kind}"'


def _content(settings: FoldSettings) -> str:
    return "folds" if settings.kind == "column" else "groups"
