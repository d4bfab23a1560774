"""Text tables to typed ones: what is wrong is a sentence, what is odd is counted."""

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, generated_frames, raw_tables

from pipeline.errors import DataError
from pipeline.settings import Schema
from pipeline.stages.ingest import ingest
from pipeline.tables import Notice

TRAIN = "Id,a,c,y\n1,1.5,x,10\n2,,y,20\n3,3,NA,30\n"
TEST = "Id,a,c\n4,7,x\n5,8,y\n"
SAMPLE = "Id,y\n4,0\n5,0\n"


def ingested(train=TRAIN, test=TEST, sample=SAMPLE, *, metric="rmse", **roles):
    return ingest(raw_tables(train, test, sample), roles=Schema(id="Id", target="y", **roles), metric=metric)


def fault_of(*tables, **options):
    with pytest.raises(DataError) as raised:
        ingested(*tables, **options)
    return str(raised.value)


# --- what comes out


def test_a_clean_competition_comes_out_typed_and_without_a_notice():
    """By hand: a is a number with one gap, c a text with one gap, ids and header as in the files."""
    dataset = ingested()
    expected = pd.DataFrame({"a": [1.5, np.nan, 3.0], "c": pd.Series(["x", "y", None], dtype="str")})
    pd.testing.assert_frame_equal(dataset.train, expected)
    assert dataset.test["a"].tolist() == [7.0, 8.0]
    assert dataset.target.tolist() == [10.0, 20.0, 30.0]
    assert (dataset.numeric, dataset.categorical) == (("a",), ("c",))
    assert (dataset.train_ids.tolist(), dataset.test_ids.tolist()) == (["1", "2", "3"], ["4", "5"])
    assert dataset.submission_header == ("Id", "y")
    assert dataset.submission_ids.tolist() == ["4", "5"]
    assert dataset.notices == ()


def test_columns_keep_the_order_of_the_train_file_in_both_tables():
    """The test file may list them in another order."""
    dataset = ingested("c,Id,y,a\nx,1,10,1\ny,2,20,2\nx,3,30,3\n", "a,c,Id\n7,x,4\n8,y,5\n")
    assert list(dataset.train.columns) == list(dataset.test.columns) == ["c", "a"]
    assert dataset.test["a"].tolist() == [7.0, 8.0]


def test_ids_stay_byte_for_byte():
    """Leading zeros and blanks inside are part of an id."""
    dataset = ingested(TRAIN, "Id,a,c\n007,7,x\nA 5,8,y\n", "Id,y\n007,0\nA 5,0\n")
    assert dataset.test_ids.tolist() == ["007", "A 5"]


def test_an_id_may_read_like_a_missing_value():
    """NA is Namibia in a column of country codes: missing texts are a matter of features, an empty id of ids."""
    dataset = ingested("Id,a,c,y\nNA,1,x,1\nDE,2,y,2\nFR,3,y,3\n", "Id,a,c\nNA,1,x\nnan,2,y\n", "Id,y\nNA,0\nnan,0\n")
    assert dataset.train_ids.tolist() == ["NA", "DE", "FR"]
    assert dataset.test_ids.tolist() == ["NA", "nan"]
    assert dataset.notices == ()


def test_ingest_leaves_the_raw_tables_alone():
    """A stage hands on a new value."""
    raw = raw_tables(TRAIN, TEST, SAMPLE)
    before = raw.train.copy(), raw.test.copy()
    ingest(raw, roles=Schema(id="Id", target="y"), metric="rmse")
    pd.testing.assert_frame_equal(raw.train, before[0])
    pd.testing.assert_frame_equal(raw.test, before[1])


@pytest.mark.parametrize(("share", "ids"), [(1.0, "abcdefghijklm"), (0.54, "acegikm"), (0.1, "acfhkm")])
def test_a_share_of_the_rows_is_spread_over_the_file(share, ids):
    """Seven of 13 rows: every other one, the first and the last among them; a tenth still is six rows."""
    train = "Id,a,c,y\n" + "".join(f"{i},1,x,{10 * n}\n" for n, i in enumerate("abcdefghijklm"))
    assert "".join(ingested(train, row_share=share).train_ids) == ids


def test_a_share_of_the_rows_holds_no_row_without_a_target():
    """The first of 13 rows has none: of the spread a, c, e … only c, e … are left."""
    train = "Id,a,c,y\na,1,x,\n" + "".join(f"{i},1,x,{10 * n}\n" for n, i in enumerate("bcdefghijklm"))
    assert "".join(ingested(train, row_share=0.54).train_ids) == "cegikm"


# --- FAULT 31: train and test have different columns


def test_columns_that_differ_are_named_on_both_sides():
    """FAULT 31, the exact sentence."""
    assert fault_of("Id,a,b,y\n1,1,1,1\n", "Id,a,d,e\n2,1,1,1\n", None) == (
        "train.csv and test.csv have different columns: only in train: 'b'; only in test: 'd', 'e'; "
        "add the missing ones, or list them under [schema] drop"
    )
    assert "only in train: 'b'; only in test: none;" in fault_of("Id,a,b,y\n1,1,1,1\n", "Id,a\n2,1\n", None)


# --- FAULT 32: levels that training never saw


def test_unseen_test_levels_are_counted():
    """FAULT 32: two rows with z, one with w; rows and not levels are counted, a gap is none."""
    dataset = ingested(TRAIN, "Id,a,c\n4,7,z\n5,8,z\n6,8,w\n7,8,x\n8,8,NA\n", None)
    assert Notice("c", "test rows with levels never seen in train ('w', 'z')", 3) in dataset.notices


def test_a_level_of_a_row_without_a_target_is_unseen_too():
    """That row does not train."""
    dataset = ingested(TRAIN + "9,1,only,\n", "Id,a,c\n4,7,only\n5,8,x\n", None)
    assert Notice("c", "test rows with levels never seen in train ('only')", 1) in dataset.notices


# --- FAULT 34: the target


def test_rows_without_a_target_are_dropped_and_counted():
    """FAULT 34: two of five rows; their ids and features go with them."""
    dataset = ingested("Id,a,c,y\n1,1,x,10\n2,2,y,\n3,3,y,30\n4,4,y,NA\n5,5,x,50\n")
    assert dataset.notices == (Notice("y", "train.csv: rows without a target were dropped", 2),)
    assert dataset.train_ids.tolist() == ["1", "3", "5"]
    assert dataset.train["a"].tolist() == [1.0, 3.0, 5.0]
    assert dataset.target.tolist() == [10.0, 30.0, 50.0]


def test_a_target_that_is_missing_everywhere_is_an_error():
    """FAULT 34, the exact sentence."""
    assert fault_of("Id,a,c,y\n1,1,x,\n2,2,y,NA\n") == (
        "train.csv: target 'y' is missing on all 2 rows; is [schema] target the right column?"
    )


def test_a_target_of_texts_is_classification():
    """FAULT 34, the exact sentence."""
    assert fault_of("Id,a,c,y\n1,1,x,cat\n2,2,y,dog\n3,3,y,\n") == (
        "train.csv: line 2: target 'y' is 'cat', expected a finite number (2 such rows); a target of texts is "
        "classification, and Foldpack does regression"
    )


@pytest.mark.parametrize("text", ["?", "inf", "1,5"])
def test_one_text_among_the_targets_is_named_with_its_line(text):
    """FAULT 34: the third line of the file."""
    assert fault_of(f'Id,a,c,y\n1,1,x,10\n2,2,y,"{text}"\n3,3,y,30\n') == (
        f"train.csv: line 3: target 'y' is {text!r}, expected a finite number (1 such rows); correct or blank it"
    )


def test_a_target_of_two_values_is_classification():
    """FAULT 34, the exact sentence; three values are fine."""
    assert fault_of("Id,a,c,y\n1,1,x,0\n2,2,y,1\n3,3,y,1\n") == (
        "train.csv: target 'y' is always 0 or 1: two values are two classes, and Foldpack does regression, not "
        "classification"
    )
    assert ingested("Id,a,c,y\n1,1,x,0\n2,2,y,1\n3,3,y,2\n").target.tolist() == [0, 1, 2]


# --- FAULT 35: doubled and missing ids


def test_a_doubled_test_id_is_an_error():
    """FAULT 35, the exact sentence: the second of the two stands on line 4."""
    assert fault_of(TRAIN, "Id,a,c\n4,7,x\n5,8,y\n4,9,y\n", None) == (
        "test.csv: line 4: id '4' stands there twice (1 doubled ids); Kaggle matches predictions by id, so ids must "
        "be unique"
    )


def test_a_missing_test_id_is_an_error():
    """The exact sentence."""
    assert fault_of(TRAIN, "Id,a,c\n4,7,x\n,8,y\n", None) == (
        "test.csv: line 3: 'Id' is empty; every test row needs an id"
    )


def test_a_doubled_train_id_is_a_notice():
    """FAULT 35: it harms nobody, but may mean doubled rows."""
    dataset = ingested("Id,a,c,y\n1,1,x,10\n1,2,y,20\n1,3,x,30\n")
    assert dataset.notices == (Notice("Id", "train.csv: ids that stand there more than once", 2),)


# --- FAULT 36: the sample submission


def test_ids_that_differ_from_the_sample_are_counted_on_both_sides():
    """FAULT 36, the exact sentence."""
    assert fault_of(TRAIN, TEST, "Id,y\n5,0\n6,0\n7,0\n") == (
        "sample.csv and test.csv disagree: 2 ids only in the sample (for example '6', '7'), 1 only in the test file "
        "(for example '4'); download both again, they must come from the same competition"
    )
    assert "0 ids only in the sample, 1 only in the test file" in fault_of(TRAIN, TEST, "Id,y\n4,0\n")


def test_another_order_of_the_sample_is_followed_and_noticed():
    """FAULT 36: both lines moved."""
    dataset = ingested(TRAIN, TEST, "Id,price\n5,0\n4,0\n")
    assert dataset.submission_ids.tolist() == ["5", "4"]
    assert dataset.submission_header == ("Id", "price")
    text = "lists the ids of test.csv in another order; the submission follows the sample"
    assert dataset.notices == (Notice("sample.csv", text, 2),)


def test_an_id_twice_in_the_sample_is_an_error():
    """FAULT 36, the exact sentence."""
    assert fault_of(TRAIN, TEST, "Id,y\n4,0\n5,0\n5,0\n") == (
        "sample.csv: id '5' stands there twice; every test row needs one line"
    )


@pytest.mark.parametrize(("header", "found"), [("key,y", "key, y"), ("Id,a,b", "Id, a, b"), ("Id", "Id")])
def test_a_sample_of_another_shape_is_an_error(header, found):
    """FAULT 36: exactly an id and a prediction."""
    row = ",".join("4" for _ in header.split(","))
    assert fault_of(TRAIN, TEST, f"{header}\n{row}\n") == (
        f"sample.csv: expected two columns, 'Id' and a prediction, found {found}; correct the file or [schema] id"
    )


def test_without_a_sample_the_header_is_id_and_target():
    """Said, as Kaggle may want another header."""
    dataset = ingested(TRAIN, TEST, None)
    assert dataset.submission_header == ("Id", "y")
    assert dataset.submission_ids.tolist() == ["4", "5"]
    text = "no sample submission was found; the header is id and target"
    assert dataset.notices == (Notice("sample_submission", text, 0),)


# --- FAULT 37: targets that the metric forbids


@pytest.mark.parametrize(("metric", "value", "lowest"), [("log_rmse", 0, 0), ("log_rmse", -5, 0), ("rmsle", -1, -1)])
def test_a_target_that_the_metric_forbids_is_named_with_its_line(metric, value, lowest):
    """FAULT 37, the exact sentence: the first of two such rows stands on line 3."""
    assert fault_of(f"Id,a,c,y\n1,1,x,10\n2,2,y,{value}\n3,3,y,{value}\n4,3,y,5\n", metric=metric) == (
        f"train.csv: line 3: target 'y' is {value} (2 such rows), but metric '{metric}' needs values above {lowest}; "
        f"choose another metric, for example rmse"
    )


def test_a_missing_target_is_no_forbidden_one():
    """Its row is dropped before the metric could mind."""
    assert len(ingested(TRAIN + "9,1,x,\n", metric="log_rmse").target) == 3


# --- all columns empty


def test_a_table_whose_columns_all_lack_values_is_an_error():
    """There is nothing to learn from; a network without inputs must not be built."""
    message = fault_of("Id,a,c,y\n1,,,10\n2,,NA,20\n3,,,30\n")
    assert message.startswith("train.csv: ")
    assert "no feature column" in message


def test_the_generated_tables_of_the_tests_are_ingested_as_they_are():
    """Round trip: the frames that the builders make come out value for value."""
    train, test = generated_frames()
    dataset = ingested(csv_of(train), csv_of(test), None)
    np.testing.assert_array_equal(dataset.train["age"], train["age"])
    np.testing.assert_array_equal(dataset.target, train["y"])
    assert dataset.train["colour"].isna().tolist() == train["colour"].isna().tolist()
    assert dataset.test_ids.tolist() == test["Id"].tolist()


def test_a_constant_target_is_told_as_such():
    """One value: nothing to learn, and no talk of classes."""
    assert fault_of("Id,a,c,y\n1,1,x,7\n2,2,y,7\n3,3,y,7\n") == (
        "train.csv: target 'y' is always 7: there is nothing to learn; is [schema] target the right column?"
    )


def test_a_column_in_two_roles_is_refused():
    """Neither listing wins silently."""
    with pytest.raises(DataError, match=r"column .a. is listed under .schema. numeric and categorical"):
        ingest(
            raw_tables("Id,a,y\n1,1,1\n2,2,2\n3,3,3\n", "Id,a\n4,1\n"),
            roles=Schema(id="Id", target="y", numeric=("a",), categorical=("a",)),
            metric="rmse",
        )
