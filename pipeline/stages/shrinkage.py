"""How far networks may leave the forecast that is taken from their target: as far as it has paid on held-out rows.

What a network adds to such a forecast is multiplied by a share between 0 and 1, the least-squares one over rows that it
did not train on. Written into the last layer, so that whoever predicts with the weights has it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tables import Notice
from pipeline.tabular.bases import base_of, network_target
from pipeline.tabular.targets import to_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.fit import Fitted
    from pipeline.tables import Design, Floats, Job, Network


def check_shrinkage(design: Design, network: Network) -> None:
    """Raise ConfigError where there is nothing to shrink to, or no last layer to write it into."""
    if design.taken is None:
        raise ConfigError(
            'train.shrink = true shrinks networks towards what target.difference takes, and that is "none"; set it to '
            '"ridge", "last" or "season", or set train.shrink = false'
        )
    if network.custom or network.link != "identity":
        which = "model.custom" if network.custom else "a loss with a log link"
        raise ConfigError(f"train.shrink = true does not go with {which}; set it to false, or leave that out")


def shares_of(design: Design, fold_predictions: Floats) -> Floats:
    """The share of each fold, and last that of the fit on every training row [K + 1].

    A fold's is chosen on the rows that the other folds score, if there are any. fold_predictions: [K, N].
    """
    K = design.folds.count
    gained, added = np.zeros(K), np.zeros(K)
    for fold, valid in enumerate(design.folds.valid):
        state, base = design.target_states[fold], base_of(design, fold, valid)
        without = -state.mean / state.scale  # what a network says that adds nothing
        said = to_network(state, fold_predictions[fold, valid], base) - without
        wanted = network_target(design, fold)[valid] - without
        # in units of the transformed target, which all folds share
        gained[fold] = float(np.dot(said, wanted)) * state.scale**2
        added[fold] = float(np.dot(said, said)) * state.scale**2
    others = [np.arange(K) != fold for fold in range(K)] if K > 1 else [np.ones(K, dtype=np.bool_)]
    pairs = [(gained[used].sum(), added[used].sum()) for used in (*others, slice(None))]
    return np.array([min(max(gain / size, 0.0), 1.0) if size > 0 else 1.0 for gain, size in pairs])


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


def shrunk_notice(design: Design, shares: Floats) -> Notice:
    """How far they go."""
    assert design.taken is not None
    text = (
        f"of what networks add to {design.taken.name}, {shares[-1]:.0%} is kept: as much as paid on rows that they "
        f"were not trained on (train.shrink)"
    )
    return Notice("training", text, len(design.target))
