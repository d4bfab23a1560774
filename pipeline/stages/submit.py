"""Test predictions -> the file to upload, checked before anybody sees it."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError, TrainingError
from pipeline.tables import Notice, Submission
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Dataset, Fits, Floats, Texts


def submit(dataset: Dataset, fits: Fits, *, metric: str) -> Submission:
    """Put the predictions of the test rows into the sample submission's layout.

    Raises TrainingError for a prediction that is not finite.
    """
    notices = []
    lowest = METRICS[metric].target_above
    outside = int((fits.test_predictions <= lowest).sum())
    if outside:
        text = f"test predictions at or below {lowest:g}, where {metric} is not defined for a true value"
        notices.append(Notice("submission", text, outside))
    content = submission_csv(
        dataset.test_ids, fits.test_predictions, header=dataset.submission_header, wanted=dataset.submission_ids
    )
    return Submission(content, len(dataset.test_ids), hashlib.sha256(content).hexdigest(), tuple(notices))


def submission_csv(ids: Texts, predictions: Floats, *, header: tuple[str, str], wanted: Texts) -> bytes:
    """CSV text with one line an id; in the order of `wanted` where it names the same ids, else as they come."""
    bad = np.flatnonzero(~np.isfinite(predictions))
    if len(bad):
        raise TrainingError(
            f"the prediction for id {ids[bad[0]]!r} is not finite ({len(bad)} such rows); lower [train] lr, or look "
            f"for huge numbers in that row of the test file"
        )
    value_of = dict(zip(ids, predictions.tolist(), strict=True))
    order = wanted if set(wanted) == set(ids) else ids
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows((name, repr(value_of[name])) for name in order)
    return text.getvalue().encode()


def check_submission(content: bytes, *, header: Sequence[str], ids: Texts, file: str) -> None:
    """Raise DataError unless the file, as read back, has the header, every id once, and finite numbers only."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    if rows[:1] != [list(header)]:
        raise DataError(f"{file}: header is {rows[:1]}, expected {list(header)}; run submit again")
    found = [row[0] for row in rows[1:]]
    if len(found) != len(ids) or set(found) != set(ids):
        raise DataError(f"{file}: {len(found)} rows, expected the {len(ids)} ids of the test file; run submit again")
    wrong = [row for row in rows[1:] if len(row) != len(header) or not np.isfinite(float(row[1]))]
    if wrong:
        raise DataError(f"{file}: {len(wrong)} rows without a finite number, for example {wrong[0]}; run submit again")
