"""Trained networks and new rows -> predictions in the target's own scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.errors import DataError
from pipeline.stages.learners import DTYPES, outputs_of
from pipeline.tables import Notice
from pipeline.tabular import schema
from pipeline.tabular.features import UNKNOWN, encode, matrix_for
from pipeline.tabular.targets import to_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from pipeline.tables import Compute, Dataset, Design, Encoded, Floats, Job, Network, Singles, Texts


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


def prepare_rows(
    dataset: Dataset, design: Design, frame: pd.DataFrame, *, id_column: str, file: str
) -> tuple[Texts, Encoded, list[Notice]]:
    """Ids, rows as the networks expect them, and what was noticed, from a file's text cells.

    Columns that are no feature are ignored. Raises DataError for a missing column, a doubled or missing id, or a text
    in a numeric column.
    """
    features = list(dataset.train.columns)
    missing = [name for name in (id_column, *features) if name not in frame.columns]
    if missing:
        raise DataError(f"{file}: {len(missing)} columns of the training data are missing: {', '.join(missing[:8])}")
    ids = schema.texts_of(frame[id_column])
    schema.check_test_ids(ids, file=file, id_column=id_column)
    frame = schema.blank_missing(frame[features], dataset.missing)
    for name in design.numeric:
        wrong = schema.as_numbers(frame[name])[1]
        if len(wrong):
            row = int(np.flatnonzero((frame[name] == wrong[0]).to_numpy())[0])
            raise DataError(
                f"{file}: line {schema.line_of(row)}: column {name!r} is {wrong[0]!r}, but every training row has a "
                f"number there ({len(wrong)} such cells); correct or blank it"
            )
    rows = encode(
        schema.to_types(frame[features], design.numeric), design.numeric, design.categorical, design.vocabulary
    )
    unknown = (rows.codes == UNKNOWN).sum(axis=0)
    notices = [
        Notice(name, "rows with a level that training never saw", int(count))
        for name, count in zip(design.categorical, unknown, strict=True)
        if count
    ]
    return ids, rows, notices
