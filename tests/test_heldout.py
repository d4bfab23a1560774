"""The held-out score: only against targets that belong to the files there, and every look at it counted."""

import hashlib
import json
from datetime import datetime

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.heldout import Solution, sample_solution, score_heldout


@pytest.fixture
def raw(tmp_path):
    """A competition of four test rows whose sample.json vouches for its files."""
    folder = tmp_path / "raw"
    folder.mkdir()
    files = {
        "train.csv": "Id,x,y\n1,0,5\n",
        "test.csv": "Id,x\n07,1\n8,2\n9,3\n10,4\n",
        "solution.csv": "Id,y\n07,100\n8,200\n9,300\n10,400\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    (folder / "sample.json").write_text(json.dumps({"name": "four-rows", "wheel": {}, "files": hashes}))
    return folder


@pytest.fixture
def look(tmp_path, raw):
    """Write a submission's text and look at its held-out score."""

    def look_at(text):
        (tmp_path / "submission.csv").write_text(text)
        looks = tmp_path / "reports" / "looks.json"
        solution = sample_solution(raw, id_column="Id", target="y")
        return score_heldout(
            solution, tmp_path / "submission.csv", header=("Id", "y"), metric="log_rmse", looks_file=looks
        )

    return look_at


GOOD = "Id,y\n07,110\n8,190\n9,310\n10,390\n"


def test_the_scores_are_those_computed_by_hand(look):
    """Each prediction is 10 off: mse 100, rmse 10, mae 10, r2 1 - 400/50000; log_rmse from the four log ratios."""
    result = look(GOOD)
    logs = np.log([110 / 100, 190 / 200, 310 / 300, 390 / 400])
    assert result.scores == pytest.approx(
        {"log_rmse": np.sqrt(np.mean(logs**2)), "rmse": 10, "mse": 100, "mae": 10, "r2": 0.992}
    )
    assert (result.rows, result.number) == (4, 1)
    assert result.submission_sha256 == hashlib.sha256(GOOD.encode()).hexdigest()


def test_rows_are_matched_by_id_as_text_whatever_their_order(look):
    """The same predictions in another order have the same scores, and 07 is not 7."""
    assert look("Id,y\n10,390\n9,310\n8,190\n07,110\n").scores == pytest.approx(look(GOOD).scores)
    with pytest.raises(DataError, match=r"1 missing \(07\) and 1 unknown \(7\)"):
        look(GOOD.replace("07", "7"))


def test_a_prediction_below_one_counts_as_one_for_log_rmse_only(look):
    """A price of -50 has no logarithm: clamped to 1 there, and 150 off in mae."""
    scores = look("Id,y\n07,-50\n8,200\n9,300\n10,400\n").scores
    assert scores["log_rmse"] == pytest.approx(np.log(100) / 2)
    assert scores["mae"] == pytest.approx(150 / 4)


def test_every_look_is_counted_and_the_file_is_said_to_be_the_same(tmp_path, look):
    """A first look is free of blame, the same bytes again are a look at the same file, a second file costs optimism."""
    first, again, other = look(GOOD), look(GOOD), look(GOOD.replace("110", "111"))
    assert [first.number, again.number, other.number] == [1, 2, 3]
    assert "same file" not in first.sentence
    assert "optimistic" not in first.sentence
    assert "the same file as look 1" in again.sentence
    assert "optimistic" not in again.sentence
    assert "look 3, 2 distinct submissions" in other.sentence
    assert "each further look makes" in other.sentence
    kept = json.loads((tmp_path / "reports" / "looks.json").read_text())
    assert [entry["submission_sha256"] for entry in kept] == [
        result.submission_sha256 for result in (first, again, other)
    ]
    assert [entry["scores"] for entry in kept] == [result.scores for result in (first, again, other)]
    assert datetime.fromisoformat(kept[0]["utc"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "solution.csv"])
def test_a_solution_that_does_not_belong_to_the_files_is_refused(tmp_path, raw, look, name):
    """One changed byte in any of the three files: their own score is at Kaggle, and nothing counts as a look."""
    (raw / name).write_text((raw / name).read_text() + "\n")
    with pytest.raises(DataError, match=f"{name} not as sample.json describes.*uploading it to Kaggle"):
        look(GOOD)
    assert not (tmp_path / "reports").exists()


def test_a_solution_that_a_sample_of_train_alone_never_had_is_refused(raw, look):
    """The note is whole, so the remedy is to take away the stranger, not to fetch a test.csv that there is none of."""
    note = json.loads((raw / "sample.json").read_text())
    del note["files"]["test.csv"], note["files"]["solution.csv"]
    (raw / "sample.json").write_text(json.dumps(note))
    with pytest.raises(
        DataError, match=r"solution\.csv not as sample\.json describes.* delete solution\.csv and fetch"
    ):
        look(GOOD)


def test_without_a_solution_the_message_sends_to_kaggle(raw, look):
    """The files are the user's own: only Kaggle knows the targets."""
    (raw / "solution.csv").unlink()
    with pytest.raises(DataError, match=r"solution\.csv: there is no such file.*uploading it to Kaggle"):
        look(GOOD)


@pytest.mark.parametrize("note", [None, "{", "[]", '{"files": {}}'])
def test_a_solution_nothing_vouches_for_is_refused(raw, look, note):
    """Without a readable sample.json nobody knows what solution.csv belongs to."""
    (raw / "sample.json").unlink()
    if note is not None:
        (raw / "sample.json").write_text(note)
    with pytest.raises(DataError, match=r"sample\.json: absent or damaged"):
        look(GOOD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,price\n07,1\n", "no column y, found Id, price"),
        ("", "no column Id and no y, found none"),
        (GOOD + "9,1\n", "line 6: Id '9' comes a second time"),
        (GOOD.replace("190", ""), "line 3: y is '', expected a finite number"),
        (GOOD.replace("190", "inf"), "line 3: y is 'inf', expected a finite number"),
        (GOOD.replace("8,190", "8"), "line 3: y is None, expected a finite number"),
        (GOOD + "11,1\n12,1\n13,1\n14,1\n", r"its 8 ids are not the 4 .*: 4 unknown \(11, 12, 13, …\)"),
    ],
)
def test_a_faulty_submission_is_a_sentence_and_no_look(tmp_path, look, text, message):
    """File, line, found, expected; the count of looks stays as it was."""
    with pytest.raises(DataError, match=message):
        look(text)
    assert not (tmp_path / "reports").exists()


def test_a_submission_that_is_not_there_is_a_sentence(tmp_path, raw):
    """The path, and what to do."""
    with pytest.raises(DataError, match=r"none\.csv: cannot be read .*make the submission first"):
        score_heldout(
            sample_solution(raw, id_column="Id", target="y"),
            tmp_path / "none.csv",
            header=("Id", "y"),
            metric="log_rmse",
            looks_file=tmp_path / "looks.json",
        )


def test_the_metric_of_the_competition_is_the_one_that_is_told(tmp_path):
    """Held-out rows may have targets below 0, of which log_rmse is not defined."""
    (tmp_path / "submission.csv").write_text("row,y\n0,1\n1,-3\n")
    solution = Solution("the held-out rows", {"0": 2.0, "1": -4.0})
    result = score_heldout(
        solution, tmp_path / "submission.csv", header=("row", "y"), metric="mae", looks_file=tmp_path / "l.json"
    )
    assert result.scores == {"rmse": 1.0, "mse": 1.0, "mae": 1.0, "r2": pytest.approx(1 - 2 / 18)}
    assert result.sentence == "mae 1.00000 on 2 held-out rows; look 1, 1 distinct submission"


@pytest.mark.parametrize("damaged", ["", "{}x", '{"a": 1}', "[1]", "[{}]"])
def test_a_damaged_looks_file_is_refused_and_not_restarted(tmp_path, look, damaged):
    """Looks that cannot be counted are never forgotten in silence."""
    look(GOOD)
    looks = tmp_path / "reports" / "looks.json"
    looks.write_text(damaged)
    with pytest.raises(DataError, match=r"looks\.json: not a list of looks"):
        look(GOOD)
    assert looks.read_text() == damaged
