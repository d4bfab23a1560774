"""The file to upload, in the sample's order and checked before anybody sees it."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from builders import generated_dataset
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, TrainingError
from pipeline.stages.submit import check_submission, submission_csv, submit

IDS = np.array(["4", "5", "6"], dtype=object)
HEADER = ("Id", "y")
GOOD = b"Id,y\n4,1.5\n5,2.0\n6,3.25\n"


def texts(*values):
    return np.array(values, dtype=object)


def test_predictions_follow_the_samples_order():
    """Ids 4, 5, 6 predicted, the sample lists 6, 4, 5."""
    content = submission_csv(IDS, np.array([1.5, 2.0, 3.25]), header=("Id", "price"), wanted=texts("6", "4", "5"))
    assert content == b"Id,price\n6,3.25\n4,1.5\n5,2.0\n"


def test_other_rows_than_the_samples_come_in_their_own_order():
    """As when `predict` is given a file of its own."""
    content = submission_csv(IDS, np.array([1.5, 2.0, 3.25]), header=HEADER, wanted=texts("1", "2", "3"))
    assert content == GOOD


@given(st.lists(st.floats(-1e99, 1e99), min_size=1, max_size=20))
def test_every_prediction_survives_the_file(values):
    """Read back, it is the same float64, bit for bit."""
    ids = texts(*map(str, range(len(values))))
    content = submission_csv(ids, np.array(values), header=HEADER, wanted=ids)
    lines = content.decode().splitlines()
    assert [float(line.split(",")[1]).hex() for line in lines[1:]] == [float(value).hex() for value in values]
    check_submission(content, header=HEADER, ids=ids)


@pytest.mark.parametrize("identity", ["a,b", 'say "x"', " 7 ", "007", "é"])
def test_an_odd_id_survives_the_file(identity):
    """Quoted where CSV needs it; blanks and zeros kept."""
    ids = texts(identity, "plain")
    content = submission_csv(ids, np.array([1.0, 2.0]), header=HEADER, wanted=ids)
    check_submission(content, header=HEADER, ids=ids)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1.01e304, 1.01e304 / 15, -1e100])
def test_a_prediction_that_is_not_finite_is_never_written(broken):
    """The exact sentence. 1e304 is exp(700), where the inverse of a log target is cut off; 15 networks share one."""
    with pytest.raises(TrainingError) as raised:
        submission_csv(IDS, np.array([1.0, broken, broken]), header=HEADER, wanted=IDS)
    assert str(raised.value) == (
        "the prediction for id '5' is not finite (2 such rows); lower [train] lr, or look for huge numbers in that row "
        "of the test file"
    )


def test_a_whole_file_passes():
    """In any order of its lines."""
    check_submission(GOOD, header=HEADER, ids=IDS)
    check_submission(GOOD, header=HEADER, ids=IDS[::-1])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Id,y\n",
        b"id,y\n4,1.5\n5,2.0\n6,3.25\n",
        b"4,1.5\n5,2.0\n6,3.25\n",
        b"Id,y\n4,1.5\n5,2.0\n",
        b"Id,y\n4,1.5\n5,2.0\n7,3.25\n",
        b"Id,y\n4,1.5\n5,2.0\n5,3.25\n",
        b"Id,y\n4,1.5\n5,2.0\n6,3.25\n6,3.25\n",
        b"Id,y\n4,1.5\n5,2.0\n6,nan\n",
        b"Id,y\n4,1.5\n5,2.0\n6,inf\n",
        b"Id,y\n4,1.5\n5,2.0\n6,\n",
        b"Id,y\n4,1.5\n5,2.0\n6,abc\n",
        b"Id,y\n4,1.5\n5,2.0\n6\n",
        b"Id,y\n4,1.5\n5,2,0\n6,3.25\n",
        b"Id,y\n4,1.5\n\n5,2.0\n6,3.25\n",
    ],
    ids=lambda content: repr(content)[-24:],
)
def test_a_damaged_file_is_rejected(content):
    """Cut, doubled, shifted, renamed, not a number: each is a DataError, never a traceback."""
    with pytest.raises(DataError, match=r"^submission: "):
        check_submission(content, header=HEADER, ids=IDS)


def test_submit_writes_the_fits_test_predictions():
    """Ids of the test table, the dataset's header, and the hash of exactly these bytes."""
    dataset = replace(generated_dataset(test_rows=3), submission_header=("Id", "price"))
    submission = submit(dataset, SimpleNamespace(test_predictions=np.array([1.0, 2.5, -3.0])), metric="rmse")
    ids = dataset.test_ids
    assert submission.csv.decode() == f"Id,price\n{ids[0]},1.0\n{ids[1]},2.5\n{ids[2]},-3.0\n"
    assert submission.rows == 3
    assert submission.sha256 == hashlib.sha256(submission.csv).hexdigest()
    assert submission.notices == ()


@pytest.mark.parametrize(("metric", "count"), [("log_rmse", 2), ("rmsle", 1), ("rmse", 0)])
def test_predictions_that_the_metric_could_not_score_are_counted(metric, count):
    """0 and -1 have no logarithm; -1 has no log(1 + y)."""
    dataset = generated_dataset(test_rows=3)
    submission = submit(dataset, SimpleNamespace(test_predictions=np.array([0.0, -1.0, 2.0])), metric=metric)
    assert [notice.count for notice in submission.notices] == ([count] if count else [])
