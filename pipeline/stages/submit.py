"""Test predictions -> the file to upload, checked before anybody sees it."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError, TrainingError
from pipeline.fits import Submission
from pipeline.tables import Notice
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from pipeline.fits import Fits
    from pipeline.tables import Dataset, Floats, Texts

OVERFLOWED = 1e100  # a runaway output comes back from its logarithm as up to 1e304: no prediction


def submit(dataset: Dataset, fits: Fits, *, metric: str) -> Submission:
    """Put the predictions of the test rows into the sample submission's layout.

    Raises TrainingError for a prediction that is not finite, DataError if the text read back is not what was meant.
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
    check_submission(content, header=dataset.submission_header, ids=dataset.submission_ids)
    return Submission(content, len(dataset.test_ids), hashlib.sha256(content).hexdigest(), tuple(notices))


def submission_csv(ids: Texts, predictions: Floats, *, header: tuple[str, str], wanted: Texts) -> bytes:
    """CSV text with one line an id; in the order of `wanted` where it names the same ids, else as they come."""
    bad = np.flatnonzero(~(np.abs(predictions) < OVERFLOWED))
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


def check_submission(content: bytes, *, header: tuple[str, str], ids: Texts) -> None:
    """Read the file's text back. Raise DataError unless it has the header, every id once, and finite numbers only."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    if not rows or rows[0] != list(header):
        raise DataError(f"submission: the header is {rows[0] if rows else 'missing'}, expected {list(header)}")
    found = [row[0] for row in rows[1:] if row]
    if len(found) != len(ids) or set(found) != set(ids):
        lost = sorted(set(ids) - set(found))[:3]
        raise DataError(f"submission: {len(found)} rows for {len(ids)} ids of the test file; without a line: {lost}")
    wrong = [row for row in rows[1:] if len(row) != len(header) or not _is_finite(row[1])]
    if wrong:
        raise DataError(f"submission: {len(wrong)} rows without a finite number, for example {wrong[0]}")


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
