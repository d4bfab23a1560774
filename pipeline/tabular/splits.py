"""How training rows become folds."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold

from pipeline.errors import ConfigError
from pipeline.tables import Folds


def k_folds(rows: int, *, count: int, shuffle: bool, seed: int) -> Folds:
    """Split `rows` rows into `count` folds that differ by at most one row (scikit-learn's KFold).

    Without `shuffle` the folds are contiguous blocks, as in the textbook.
    Raises ConfigError when there are fewer rows than 2 per fold.
    """
    if rows < 2 * count:
        raise ConfigError(
            f"folds.count = {count} needs at least {2 * count} training rows with a target, found {rows}; "
            f"lower folds.count or bring more rows"
        )
    splitter = KFold(count, shuffle=shuffle, random_state=seed if shuffle else None)
    pairs = [(np.sort(train), np.sort(valid)) for train, valid in splitter.split(np.zeros(rows))]
    return Folds(train=tuple(p[0] for p in pairs), valid=tuple(p[1] for p in pairs))
