"""How far networks may leave the forecast that is taken from their target: as far as it has paid on held-out rows.

What a network adds to such a forecast is multiplied by a share between 0 and 1: the least-squares one over rows that it
did not train on, less its standard error. Written into the last layer, so that whoever predicts with the weights has
it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tables import Notice
from pipeline.tabular.bases import network_target, unit_of

TOLD_APART = 0.01  # shares nearer to each other than this are told as one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.fits import Job, Network
    from pipeline.tables import Design, Floats


def check_shrinkage(network: Network) -> None:
    """Raise ConfigError where there is no last layer to write a share into."""
    if network.custom:
        raise ConfigError("train.shrink = true does not go with model.custom; set it to false, or leave that out")


def shares_of(design: Design, outputs: Floats) -> Floats:
    """The share of each fold, and last that of the fit on every training row [K + 1].

    A fold's is chosen on what the other folds score and it does not, in every repeat; on its own rows where there are
    no others. outputs: of each fold's networks on all training rows, their mean [K, N].
    """
    K, N = design.folds.count, len(design.target)
    gained, added = np.zeros((K, N)), np.zeros((K, N))  # of each fold, on each row that it scores
    for fold, valid in enumerate(design.folds.valid):
        state = design.target_states[fold]
        without = -state.mean / state.scale  # what a network says that adds nothing
        said, wanted = outputs[fold, valid] - without, network_target(design, fold)[valid] - without
        with np.errstate(over="ignore", invalid="ignore"):  # such rows have no say
            # in units of the transformed target, which all folds share
            unit = unit_of(design, fold, valid)
            gained[fold, valid], added[fold, valid] = said * wanted * unit**2, said**2 * unit**2
    counts = np.isfinite(gained) & np.isfinite(added)
    gained, added = (np.where(counts, one, 0.0) for one in (gained, added))
    scored = design.folds.scored_rows
    repeats = len(scored) / len(np.unique(scored))
    found = []
    for fold in range(K + 1):
        rows = np.ones(N, dtype=np.bool_)
        if fold < K:
            rows[design.folds.valid[fold]] = False
        if not rows[scored].any():
            rows[:] = True
        found.append(_share(gained[:, rows].sum(axis=1), added[:, rows].sum(axis=1), repeats))
    return np.array(found)


def _share(gained: Floats, added: Floats, repeats: float) -> float:
    """The least-squares share over some folds less its standard error by the jackknife, within 0 and 1.

    gained, added: of each fold. repeats: how often a row is scored, for that makes no folds more. So a forecast is left
    only as far as its folds agree that it pays: the rule of one standard error (Breiman et al. 1984, 3.4.3), for folds
    of time series are few and unlike. One fold has no error.
    """
    largest = added.max()
    if not largest > 0:
        return 1.0
    is_there = added > 0
    gain, size = gained[is_there] / largest, added[is_there] / largest
    share, count = gain.sum() / size.sum(), len(gain)
    if count > 1:
        # summed anew without each fold: a difference of sums would lose small folds beside a huge one
        without = np.array([np.delete(gain, fold).sum() / np.delete(size, fold).sum() for fold in range(count)])
        share -= math.sqrt(repeats * (count - 1) / count * np.square(without - without.mean()).sum())
    return float(np.clip(share, 0.0, 1.0))


def shrunk(
    design: Design, network: Network, jobs: Sequence[Job], fitted: Sequence[Fitted], shares: Floats
) -> list[Fitted]:
    """The same networks, each with the share of its fold in its last layer."""
    weight, bias = (network.tensor_names.index(f"{len(network.hidden)}.{kind}") for kind in ("weight", "bias"))
    found = []
    for job, result in zip(jobs, fitted, strict=True):
        state, share = design.target_states[job.fold], shares[job.fold]
        without = -state.mean / state.scale
        tensors = list(result.tensors)
        tensors[weight] = (share * tensors[weight]).astype(tensors[weight].dtype)
        tensors[bias] = (without + share * (tensors[bias] - without)).astype(tensors[bias].dtype)
        found.append(replace(result, tensors=tuple(tensors)))
    return found


def shrunk_notice(design: Design, shares: Floats, refit: str) -> Notice:
    """How far those go that forecast the test. refit: who they are, as `refits.refit_of` says."""
    assert design.taken is not None
    own = shares[:-1]
    told = []
    if refit != "none":
        less = ", less a standard error" if len(own) > 1 else ""
        told.append(f"{shares[-1]:.0%} by those trained on all rows, as much as paid on what folds score{less}")
    if refit != "alone" and len(own) == 1:
        told.append(f"{own[0]:.0%}, as much as paid on the rows that the one fold scores, whose score it flatters")
    elif refit != "alone":
        span = f"{own.min():.0%} to {own.max():.0%}" if np.ptp(own) >= TOLD_APART else f"{own[0]:.0%}"
        whose = " by those of folds" if told else ""
        less = ", less a standard error" if len(own) > 2 else ""  # of two others at least
        told.append(f"{span}{whose}, as much as paid on rows that only other folds score{less}")
    text = f"of what networks add to {design.taken.name} is kept: {'; '.join(told)} (train.shrink)"
    return Notice("training", text, len(design.target))
