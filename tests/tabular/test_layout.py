"""The file to upload: the sample decides, ids agree, and what does not is a sentence."""

import numpy as np
import pytest
from builders import raw_tables, table, typed

from pipeline.errors import DataError
from pipeline.settings import Schema
from pipeline.tables import Notice
from pipeline.tabular.layout import Layout, check_test_ids, doubled_train_ids, ids_of, submission_layout

TRAIN, TEST = "Id,a,y\n1,1,1\n", "Id,a\n4,1\n5,1\n"
WITH_ID, WITHOUT = Schema(id="Id", target="y"), Schema(target="y")


def layout_of(sample, *, test=TEST, roles=WITH_ID):
    raw = raw_tables(TRAIN, test, sample)
    return submission_layout(raw, roles, ids_of(raw.test, roles))


def plain(layout):
    return layout.header, layout.submission_ids.tolist(), layout.test_ids.tolist()


def texts(*values):
    return np.array(values, dtype=object)


def test_ids_are_those_of_the_file_byte_for_byte():
    """FAULT 26: leading zeros, blanks and integers beyond 2^63 are part of an id."""
    ids = ["007", "A 5 ", "NA", "", "18446744073709551616"]
    found = ids_of(table("Id,a\n" + "".join(f"{i},1\n" for i in ids)), WITH_ID)
    assert found.tolist() == ids


def test_rows_without_an_id_column_are_numbered_from_0():
    """None is named, or this file has none; typed ids become texts."""
    assert ids_of(table("a\n5\n6\n"), WITH_ID).tolist() == ["0", "1"]
    assert ids_of(table("Id\n5\n6\n"), WITHOUT).tolist() == ["0", "1"]
    assert ids_of(typed({"Id": [2**62, None]}), WITH_ID).tolist() == [str(2**62), None]


def test_the_sample_decides_about_header_and_order():
    """FAULT 36: both lines moved; the test rows keep their order."""
    layout = layout_of("Id,price\n5,0\n4,0\n")
    assert plain(layout) == (("Id", "price"), ["5", "4"], ["4", "5"])
    text = "lists the ids of test.csv in another order; the submission follows the sample"
    assert layout.notices == (Notice("sample.csv", text, 2),)
    assert layout_of("Id,price\n4,0\n5,0\n").notices == ()


def test_without_a_sample_the_header_is_id_and_target():
    """Said, as the competition may want another header; without an id column rows are called rows."""
    text = "no sample submission was found; the header is {} and y"
    ids = texts("4", "5")
    assert plain(layout_of(None)) == plain(Layout(("Id", "y"), ids, ids))
    assert layout_of(None).notices == (Notice("sample_submission", text.format("Id"), 0),)
    assert plain(layout_of(None, roles=WITHOUT)) == (("row", "y"), ["0", "1"], ["0", "1"])
    assert layout_of(None, roles=WITHOUT).notices == (Notice("sample_submission", text.format("row"), 0),)


def test_without_an_id_column_the_samples_rows_are_those_of_test_in_order():
    """Its ids name the test rows from then on, and it is said."""
    layout = layout_of("key,price\nb,0\na,0\n", roles=WITHOUT)
    assert plain(layout) == (("key", "price"), ["b", "a"], ["b", "a"])
    text = "its rows are those of test.csv in order, for [schema] id names no column"
    assert layout.notices == (Notice("sample.csv", text, 2),)


def test_a_sample_of_several_targets_is_followed_for_one_of_them():
    """One config trains one target; what to do about the others is said, with their number."""
    layout = layout_of("Id,x,y,z\n4,0,0,0\n5,0,0,0\n")
    assert plain(layout) == (("Id", "y"), ["4", "5"], ["4", "5"])
    text = (
        "wants 3 predictions a row; this submission holds 'y' alone: train each target with a TOML of its own and put "
        "the columns side by side before uploading"
    )
    assert layout.notices == (Notice("sample.csv", text, 3),)


def test_without_a_test_file_a_sample_is_not_followed():
    """It lists rows that are not there, under a header that nobody asks held-out rows for."""
    raw = raw_tables(TRAIN, None, "key,price\n4,0\n")
    layout = submission_layout(raw, WITH_ID, texts("1"))
    assert plain(layout) == (("Id", "y"), ["1"], ["1"])


@pytest.mark.parametrize(
    ("sample", "roles", "message"),
    [
        ("Id,y\n5,0\n6,0\n7,0\n", WITH_ID,
         ("sample.csv and test.csv disagree: 2 ids only in the sample (for example '6', '7'), 1 only in the test file "
         "(for example '4'); download both again, they must come from the same competition")),
        ("Id,y\n4,0\n", WITH_ID,
         ("sample.csv and test.csv disagree: 0 ids only in the sample, 1 only in the test file (for example '5'); "
         "download both again, they must come from the same competition")),
        ("Id,y\n4,0\n5,0\n5,0\n", WITH_ID, "sample.csv: id '5' stands there twice; every test row needs one line"),
        ("key,y\n4,0\n", WITH_ID,
         "sample.csv: expected two columns, 'Id' and a prediction, found key, y; correct the file or [schema] id"),
        ("Id,a,b\n4,0,0\n", WITH_ID,
         "sample.csv: expected two columns, 'Id' and a prediction, found Id, a, b; correct the file or [schema] id"),
        ("y\n0\n", WITHOUT,
         "sample.csv: expected two columns, an id and a prediction, found y; correct the file or [schema] id"),
        ("Id,y\n4,0\n", WITHOUT,
         ("sample.csv has 1 rows, test.csv has 2, and [schema] id names no column to match them by; name it, or "
         "download both again")),
    ],
)  # fmt: skip
def test_a_sample_that_does_not_fit_is_an_error(sample, roles, message):
    """FAULT 36, the exact sentences."""
    with pytest.raises(DataError) as raised:
        layout_of(sample, roles=roles)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("a", "b", "a", "b"),
         ("test.csv: line 4: id 'a' stands there twice (2 doubled ids); Kaggle matches predictions by id, so ids must "
         "be unique")),
        (("a", " "), "test.csv: line 3: 'Id' is empty; every test row needs an id"),
        (("a", None), "test.csv: line 3: 'Id' is empty; every test row needs an id"),
    ],
)  # fmt: skip
def test_doubled_and_missing_test_ids_are_errors(ids, message):
    """FAULT 35, the exact sentences."""
    with pytest.raises(DataError) as raised:
        check_test_ids(texts(*ids), table(TEST, "test.csv"), "Id")
    assert str(raised.value) == message


def test_ids_of_some_rows_are_named_with_their_own_lines():
    """Rows 7 and 9 of the file stand on lines 9 and 11."""
    with pytest.raises(DataError, match=r"^train\.csv: line 11: id 'a' stands there twice"):
        check_test_ids(texts("a", "a"), table(TRAIN), "Id", np.array([7, 9]))


def test_doubled_train_ids_are_a_notice():
    """FAULT 35: it harms nobody, but may mean doubled rows."""
    notice = Notice("Id", "train.csv: ids that stand there more than once", 2)
    assert doubled_train_ids(texts("1", "1", "1", "2"), file="train.csv", id_column="Id") == [notice]
    assert doubled_train_ids(texts("1", "2"), file="train.csv", id_column="Id") == []
