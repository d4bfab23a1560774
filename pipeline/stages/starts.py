"""Weights that networks begin with instead of drawn ones: whether they may, and which of them a job takes.

A job begins with the weights of the same fold, so that rows which score it have not trained it before: that holds if
the folds are the same, or if the data are others altogether.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.fits import Job, Network, Weights
    from pipeline.tables import Design, Singles

DRAWN = ("init", "init_scale")  # how weights would have been drawn
SHOWN = 5  # columns that a message lists


def data_digest(design: Design) -> str:
    """sha256 of the target of every training row, in order: what tells training data apart, whatever the features."""
    return _sha256([design.target])


def folds_digest(design: Design) -> str:
    """sha256 of which rows train and score each fold."""
    folds = design.folds
    return _sha256([*folds.train, *folds.valid, design.refit_rows])


def check_start(weights: Weights | None, design: Design) -> None:
    """Raise ConfigError where beginning with these weights would leak, or where their columns are others."""
    if weights is None:
        return
    same_folds = weights.data == data_digest(design) and weights.folds == folds_digest(design)
    if knows_rows(weights, design) and not same_folds:
        raise ConfigError(
            f"{_named(weights)}: they were trained on this training data with other folds or other rows of it, so they "
            f"have seen rows that now score them; use the same [folds] and the same rows, or weights of other data"
        )
    if weights.columns != design.columns:
        raise ConfigError(
            f"{_named(weights)}: they do not fit, {'; '.join(_other_columns(weights.columns, design.columns))}"
        )


def knows_rows(weights: Weights | None, design: Design) -> bool:
    """Whether the weights were trained on this training data, on whichever rows of it."""
    return weights is not None and (weights.same_file or weights.data == data_digest(design))


def start_of(weights: Weights | None, network: Network, job: Job, *, is_refit: bool) -> tuple[Singles, ...] | None:
    """The tensors that a job begins with, in the order of its network; None for drawn ones.

    They are those of its fold (of the refit, if it is one) and seed; seeds beyond those in the file take them in turn.
    Raises ConfigError that lists what does not fit.
    """
    if weights is None:
        return None
    differing = list(_other_network(weights.network, network))
    if differing:
        raise ConfigError(f"{_named(weights)}: they do not fit, {'; '.join(differing)}")
    own = {
        known.seed: place
        for place, known in enumerate(weights.jobs)
        if (known.fold == weights.refit if is_refit else known.fold == job.fold < weights.refit)
    }
    if not own:
        wanted = "of a refit on all rows" if is_refit else f"of fold {job.fold + 1}"
        remedy = 'set train.refit = "none"' if is_refit else "set [folds] so that every network finds its own"
        raise ConfigError(f"{_named(weights)}: there are none {wanted}, the file has {_folds(weights)}; {remedy}")
    seeds = sorted(own)
    place = own[job.seed if job.seed in own else seeds[job.seed % len(seeds)]]
    return tuple(weights.tensors[name][place, ...] for name in network.tensor_names)


def _named(weights: Weights) -> str:
    return f"train.warm_start = {weights.file!r}"


def _sha256(arrays: Iterable[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _other_columns(theirs: tuple[str, ...], ours: tuple[str, ...]) -> Iterator[str]:
    missing = [name for name in ours if name not in set(theirs)]
    extra = [name for name in theirs if name not in set(ours)]
    if missing:
        yield f"{len(missing)} columns are not in the file: {_few(missing)}"
    if extra:
        yield f"{len(extra)} columns are only in the file: {_few(extra)}"
    if not missing and not extra:
        yield "the columns are in another order"


def _other_network(theirs: Network, ours: Network) -> Iterator[str]:
    for field in fields(ours):
        their, our = getattr(theirs, field.name), getattr(ours, field.name)
        if their != our and field.name not in DRAWN:
            yield f"{field.name} is {_plain(their)} in the file and {_plain(our)} here"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else repr(value)


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _folds(weights: Weights) -> str:
    folds = sorted({job.fold for job in weights.jobs})
    named = ["the refit" if fold == weights.refit else f"fold {fold + 1}" for fold in folds]
    return ", ".join(named)
