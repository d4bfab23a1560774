"""Which file of the raw folder plays which role."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.errors import DataError
from pipeline.reading.folder import find_files, read_tables, tables_in
from pipeline.settings import Files

AUTO = Files()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "name"
    path.mkdir()
    return path


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x\n1\n")


def fault_of(folder, files=AUTO, joins=(), *, holdout=False):
    with pytest.raises(DataError) as caught:
        find_files(folder, files, joins, holdout=holdout)
    return str(caught.value).replace(str(folder), "F")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.csv", "test.csv"),
        ("Train.CSV", "TEST.csv"),
        ("train.tsv", "test.tsv.gz"),
        ("train.csv.zip", "test.csv.gz"),
        ("train.parquet", "test.pq"),
        ("training.csv", "testing.csv"),
        ("train_data.csv", "test-set.csv"),
        ("training_set.csv", "testdata.csv"),
    ],
)
def test_train_and_test_are_found_by_their_names(folder, train, test):
    """In any case and packing; other files do not disturb."""
    put(folder, train, test, "solution.csv", "train.json", "test.txt", "train.md", "store.csv", "train_old.csv")
    found = find_files(folder, AUTO)
    assert (found.train, found.test, found.sample, found.sides) == (folder / train, folder / test, None, {})


@pytest.mark.parametrize(
    "name",
    ["sample_submission.csv", "sampleSubmission.csv", "gender_submission.csv", "SAMPLE_SUBMISSION_v2.csv.zip"],
)
def test_the_sample_submission_is_found_under_its_usual_names(folder, name):
    """Kaggle spells it in several ways; solution.csv is none of them."""
    put(folder, "train.csv", "test.csv", "solution.csv", name)
    found = find_files(folder, AUTO)
    assert found.sample == folder / name
    assert set(found.hashes()) == {"train", "test", "sample"}


def test_files_named_in_the_config_come_first(folder):
    """Also where a name would say otherwise, and in a subfolder."""
    put(folder, "train.csv", "test.csv", "old_submission.csv", "sub/a.csv", "b.csv", "c.csv")
    found = find_files(folder, Files(train="sub/a.csv", test="b.csv", sample="c.csv"), ["test.csv"])
    assert (found.train, found.test, found.sample) == (folder / "sub/a.csv", folder / "b.csv", folder / "c.csv")
    assert found.sides == {"test.csv": folder / "test.csv"}


def test_a_table_that_is_alone_is_train(folder):
    """Then rows of it are held out; the sample submission and what is joined are no candidates."""
    put(folder, "housing.csv", "store.csv", "sample_submission.csv", "solution.csv", "readme.md")
    found = find_files(folder, AUTO, ["store.csv"], holdout=True)
    assert (found.train, found.test) == (folder / "housing.csv", None)
    assert found.sides == {"store.csv": folder / "store.csv"}


def test_hashes_are_those_of_the_bytes(folder):
    """By role, and by file name for a side table."""
    put(folder, "train.csv", "store.csv")
    (folder / "store.csv").write_text("y")
    hashes = find_files(folder, AUTO, ["store.csv"], holdout=True).hashes()
    assert hashes == {
        "train": hashlib.sha256(b"x\n1\n").hexdigest(),
        "store.csv": hashlib.sha256(b"y").hexdigest(),
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "F: no train file (nothing); put the competition's files there, or name it with [files] train"),
        (
            ["readme.md", "sub/train.csv"],
            "F: no train file (readme.md, sub/); put the competition's files there, or name it with [files] train",
        ),
        (["name.zip"], "F: only name.zip; unzip it: `python -m pipeline init name` does"),
        (["a.csv", "b.csv"], "F: no train file by its name, found a.csv, b.csv; name it with [files] train"),
        (["a.csv", "test.csv"], "F: no train file by its name, found a.csv; name it with [files] train"),
        (
            ["train.csv", "a.csv"],
            (
                "F: no test file (a.csv, train.csv); put the competition's files there, name it with [files] test, or "
                "set [holdout] share = 0.2 to set rows of train.csv aside instead"
            ),
        ),
        (
            ["train.csv", "train.csv.zip", "test.csv"],
            "F: train.csv and train.csv.zip could each be the train file; say which with [files] train",
        ),
        (
            ["train.csv", "test.csv", "Testing.tsv"],
            "F: Testing.tsv and test.csv could each be the test file; say which with [files] test",
        ),
        (
            ["train.csv", "test.csv", "sample_submission.csv", "my_submission.csv"],
            (
                "F: my_submission.csv and sample_submission.csv could each be the sample submission file; say which "
                "with [files] sample"
            ),
        ),
    ],
)
def test_a_missing_or_doubtful_file_is_asked_about(folder, names, message):
    """The message lists what is there, and the key that decides."""
    put(folder, *names)
    assert fault_of(folder) == message


def test_a_name_in_the_config_must_be_there_and_inside_the_folder(folder):
    """The roles and what is joined alike."""
    put(folder, "train.csv", "test.csv")
    assert fault_of(folder, Files(train="trian.csv")) == (
        "F: no 'trian.csv', which [files] train names; found test.csv, train.csv"
    )
    assert fault_of(folder, joins=["store.csv"]) == (
        "F: no 'store.csv', which [[join]] file names; found test.csv, train.csv"
    )
    assert fault_of(folder, Files(test="../secret.csv")) == (
        "[files] test names '../secret.csv', expected a file inside F; move it there and name it without .."
    )


def test_a_missing_folder_says_where_to_put_the_files(folder):
    """For every reader of it."""
    for look in (lambda: find_files(folder / "no", AUTO), lambda: tables_in(folder / "no")):
        with pytest.raises(DataError) as caught:
            look()
        assert str(caught.value) == (
            f"{folder / 'no'}: no such folder; make it and put the competition's files there (train.csv and test.csv)"
        )


def test_the_tables_of_a_folder_are_listed_by_name(folder):
    """What can be read, and nothing hidden."""
    put(folder, "b.csv", "a.parquet", "c.tsv.gz", "d.txt", ".e.csv", "f.zip", "g.json", "sub/h.csv")
    assert [path.name for path in tables_in(folder)] == ["a.parquet", "b.csv", "c.tsv.gz"]


def test_every_file_is_read_with_its_own_dialect(folder):
    """Train with commas, test with semicolons, a side table with tabs."""
    (folder / "train.csv").write_text("id,y\n1,2.5\n")
    (folder / "test.csv").write_text("id;z\n2;1,5\n")
    (folder / "store.csv").write_text("id\tw\n2\t3\n")
    raw = read_tables(find_files(folder, AUTO, ["store.csv"]), AUTO)
    assert raw.train.columns.to_pylist() == [{"id": "1", "y": "2.5"}]
    assert raw.test is not None
    assert (raw.test.columns.to_pylist(), raw.test.decimal) == ([{"id": "2", "z": "1,5"}], ",")
    assert raw.sample is None
    assert raw.sides["store.csv"].columns.to_pylist() == [{"id": "2", "w": "3"}]
