"""Which columns play which role, and the target: what does not fit is a sentence."""

import numpy as np
import pyarrow as pa
import pytest
from builders import raw_tables, table, typed

from pipeline.errors import DataError
from pipeline.settings import Files, Holdout, Schema
from pipeline.tables import Notice
from pipeline.tabular import schema

ROLES = Schema(id="Id", target="y")
TRAIN, TEST = "Id,area,y\n1,1,1\n", "Id,area\n2,1\n"
DIFFERENT = "; add the missing ones, or list them under [schema] drop"


def faults(train=TRAIN, test=TEST, *, fold_column="", holdout=None, **roles):
    """All sentences about the columns of two files."""
    settings = Schema(**({"id": "Id", "target": "y"} | roles))
    raw, holdout = raw_tables(train, test), holdout or Holdout()
    return list(schema.role_faults(raw, settings, fold_column=fold_column, holdout=holdout))


def names_of(train=TRAIN, test=TEST, **roles):
    return schema.feature_names(raw_tables(train, test), Schema(**({"id": "Id", "target": "y"} | roles)))


def parsed(*cells, **roles):
    """The target and what was noticed about it."""
    lines = "".join(f'"{cell}"\n' for cell in cells)
    return schema.parse_target(table("y\n" + lines), Schema(target="y", **roles))


def target_of(*cells, **roles):
    return parsed(*cells, **roles)[0]


# --- columns


@pytest.mark.parametrize(
    ("train", "test", "roles", "message"),
    [
        ("id,a,y\n1,1,1\n", "id,a\n2,1\n", {},
         "train.csv: no column 'Id', which [schema] id names; the file has 'id', 'a', 'y'"),
        ("Idx,a,y\n1,1,1\n", "Idx,a\n2,1\n", {},
         "train.csv: no column 'Id', which [schema] id names; did you mean 'Idx'?"),
        (TRAIN, "area\n1\n", {},
         "test.csv: no column 'Id', which [schema] id names; the file has 'area'"),
        ("Id,a,yy\n1,1,1\n", "Id,a,yy\n2,1,1\n", {},
         "train.csv: no column 'y', which [schema] target names; did you mean 'yy'?"),
        (TRAIN, TEST, {"drop": ("aera",)},
         "train.csv: no column 'aera', listed in [schema] drop; did you mean 'area'?"),
        (TRAIN, TEST, {"missing_in": {"aera": ("x",)}},
         "train.csv: no column 'aera', listed in [schema] missing_in; did you mean 'area'?"),
        (TRAIN, TEST, {"ordinal": {"aera": ("x",)}},
         "train.csv: no column 'aera', listed in [schema] ordinal; did you mean 'area'?"),
        (TRAIN, "Id,area,y\n2,1,1\n", {},
         ("test.csv: contains the target 'y'; a test file has none: remove the column, or name the right target under "
         "[schema]")),
        (TRAIN, TEST, {"drop": ("area",)},
         "train.csv: no feature column is left besides id, target and [schema] drop"),
        (TRAIN, TEST, {"numeric": ("area",), "categorical": ("area",)},
         "column 'area' is listed under [schema] numeric and categorical; keep it in one of them"),
        (TRAIN, TEST, {"text": ("area",), "dates": {"area": ("%Y",)}},
         "column 'area' is listed under [schema] dates and text; keep it in one of them"),
    ],
)  # fmt: skip
def test_a_fault_of_the_columns_is_a_sentence(train, test, roles, message):
    """Each fault's exact words, and nothing else is said: the file, what was found, what was expected."""
    assert message in faults(train, test, **roles)
    assert all(DIFFERENT in other for other in faults(train, test, **roles) if other != message)


def test_columns_that_other_settings_name_must_be_there():
    """The exact sentences of [folds] and [holdout]."""
    assert faults(fold_column="aera", holdout=Holdout(by="when", group="areas")) == [
        "train.csv: no column 'aera', which [folds] column names; did you mean 'area'?",
        "train.csv: no column 'when', which [holdout] by names; the file has 'Id', 'area', 'y'",
        "train.csv: no column 'areas', which [holdout] group names; did you mean 'area'?",
    ]


def test_every_fault_is_told_at_once():
    """Two names and two columns, three sentences: a person mends them all in one go."""
    told = faults("Id,a,b,y\n1,1,1,1\n", "Id,a,c\n2,1,1\n", drop=("x",), text=("z",))
    assert [sentence.split(",")[0] for sentence in told] == [
        "train.csv: no column 'z'",
        "train.csv: no column 'x'",
        "train.csv and test.csv have different columns: only in train: 'b'; only in test: 'c'; add the missing ones",
    ]


def test_a_fitting_pair_of_files_has_no_fault():
    """Nor has one whose ids stand in the test file alone, one without ids, or train alone."""
    assert faults() == []
    assert faults("area,y\n1,1\n", TEST) == []
    assert faults("area,y\n1,1\n", "area\n1\n", id="") == []
    assert faults(TRAIN, None) == []


def test_a_column_only_in_one_file_may_be_dropped_by_name():
    """As the house-price data's other columns would be; that of the folds may be absent from test, too."""
    assert faults("Id,area,b,y\n1,1,1,1\n", drop=("b",)) == []
    assert faults("Id,area,b,y\n1,1,1,1\n", fold_column="b") == []


# --- features


def test_features_are_the_other_columns_in_the_order_of_train():
    """Without id, target and dropped ones, whatever the order of the test file."""
    assert names_of("b,Id,y,a,c\n1,1,1,1,1\n", "c,a,b,Id\n1,1,1,2\n", drop=("c",)) == ["b", "a"]


def test_a_column_that_the_test_file_lacks_is_no_feature():
    """Such as the column of the folds; without a test file every column is there."""
    assert names_of("Id,area,fold,y\n1,1,1,1\n") == ["area"]
    assert names_of("Id,area,fold,y\n1,1,1,1\n", None) == ["area", "fold"]


def test_an_id_that_is_listed_as_a_date_is_both():
    """One row a day: the date names the row and tells the season."""
    assert names_of("Id,area,y\n2024-01-01,1,1\n", dates={"Id": ("%Y-%m-%d",)}) == ["Id", "area"]
    assert faults("Id,y\n2024-01-01,1\n", "Id\n2024-01-02\n", dates={"Id": ("%Y-%m-%d",)}) == []


# --- the target


def test_a_target_is_read_as_numbers_with_gaps():
    """Rows without one are dropped later; what means missing there can be said."""
    np.testing.assert_array_equal(target_of("1.5", "", "NA", "1e3"), [1.5, np.nan, np.nan, 1000])
    np.testing.assert_array_equal(target_of("1.5", "?", missing_in={"y": ("?",)}), [1.5, np.nan])


def test_thousands_and_units_are_taken_out_of_a_target_and_said():
    """As out of a feature: a price stays a price; a target that is written plainly is not spoken of."""
    target, notices = parsed("$1,234", "$5", "7")
    assert target.tolist() == [1234.0, 5.0, 7.0]
    assert notices == [Notice("y", "read as numbers, ',' and '$' in them taken out", 2)]
    dotted = schema.parse_target(table('y\n"1.234,5"\n7\n', decimal=","), Schema(target="y"))[0]
    assert dotted.tolist() == [1234.5, 7.0]
    assert parsed("1.5", "7")[1] == []


def test_a_target_with_decimal_commas_is_no_number_of_thousands():
    """0,238 is less than one, and 1,580 is less than two, whatever the file's own mark."""
    target, notices = parsed("0,238", "1,580", "12")
    assert target.tolist() == [0.238, 1.58, 12.0]
    assert notices == [Notice("y", "read as numbers, ',' in them as the decimal mark", 2)]


@pytest.mark.parametrize("text", ["?", "inf", "1,5", "1e100"])
def test_one_text_among_the_targets_is_named_with_its_line(text):
    """FAULT 34: the third line of the file; a comma among points is no decimal mark."""
    with pytest.raises(DataError) as raised:
        target_of("10.5", text, "30.5")
    assert str(raised.value) == (
        f"train.csv: line 3: target 'y' is {text!r}, expected a finite number (1 such rows); correct or blank it"
    )


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([1, None, 3]), [1, np.nan, 3]),
        (pa.array([1.5, np.nan, None]), [1.5, np.nan, np.nan]),
        (pa.array([None, None]), [np.nan, np.nan]),
    ],
)
def test_typed_targets_are_numbers_with_gaps(cells, expected):
    """Null and NaN are missing alike."""
    np.testing.assert_array_equal(schema.parse_target(typed({"y": cells}), ROLES)[0], expected)


def test_truth_values_are_no_target():
    """They are the texts that a CSV file has for them, and refused as those are."""
    with pytest.raises(
        DataError, match=r"^train\.parquet: line 1: target 'y' is 'True', expected a finite number \(2 "
    ):
        schema.parse_target(typed({"y": [True, False]}), ROLES)


@pytest.mark.parametrize("cells", [pa.array([[1.0]]), pa.array([0, 1], pa.timestamp("s"))])
def test_a_typed_target_that_is_no_number_is_an_error(cells):
    """The exact sentence."""
    with pytest.raises(DataError) as raised:
        schema.parse_target(typed({"y": cells}), ROLES)
    assert str(raised.value) == f"train.parquet: target 'y' is of type {cells.type}, expected numbers"


def test_an_infinite_typed_target_is_named_with_its_row():
    """It is no missing value: somebody computed it."""
    with pytest.raises(DataError, match=r"^train\.parquet: line 2: target 'y' is 'inf', expected a finite number"):
        schema.parse_target(typed({"y": [1.0, np.inf, 3.0]}), ROLES)


# --- the tests' own tables


def test_tables_of_the_tests_are_what_the_pipeline_reads(tmp_path):
    """The builders' tables equal those of `read_table`: cells, types and lines."""
    from pipeline.reading.table import read_table

    text = "Id,a,b\n1,,NA\n2,x y,3\n"
    (tmp_path / "t.csv").write_text(text)
    read, built = read_table(tmp_path / "t.csv", Files()), table(text)
    assert read.columns.equals(built.columns)
    assert [read.line_of(row) for row in range(2)] == [built.line_of(row) for row in range(2)] == [2, 3]
    assert read.decimal == built.decimal
