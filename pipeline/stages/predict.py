"""Trained networks and new rows -> predictions in the target's own scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.networks import Network
from pipeline.stages.learners import DTYPES, matrix_for, outputs_of
from pipeline.tabular.targets import to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.tables import Compute, Design, Encoded, Floats, Job, Singles


def predict(
    design: Design,
    network: Network,
    jobs: Sequence[Job],
    weights: Mapping[str, Singles],
    rows: Encoded,
    compute: Compute,
) -> Floats:
    """Mean over the networks that serve the test [R]: the refits where there are any, else every fold's.

    weights: each tensor stacked over `jobs`. Training and the `predict` command both come through here, so that
    the same rows give the same bytes.
    """
    torch.set_num_threads(compute.threads)
    refits = [i for i, job in enumerate(jobs) if job.fold == design.folds.count]
    serving = refits or list(range(len(jobs)))
    total = np.zeros(len(rows.numeric))
    matrices: dict[int, torch.Tensor] = {}
    for i in serving:
        fold = jobs[i].fold
        if fold not in matrices:
            matrix = torch.from_numpy(matrix_for(design, fold, rows))
            matrices = {fold: matrix.to(compute.device, DTYPES[compute.precision])}
        tensors = [weights[name][i] for name in network.tensor_names]
        total += to_target(design.target_states[fold], outputs_of(network, tensors, matrices[fold]))
    return total / len(serving)
