"""New rows through trained networks: the same rows give the same bytes as in training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import (
    SHORT_TRAINING,
    SMALL_MODEL,
    csv_of,
    design_of,
    generated_dataset,
    generated_frames,
    on_cpu,
    raw_tables,
    table,
)

from pipeline.errors import DataError
from pipeline.settings import FoldSettings, Holdout, Preprocess, Schema, Target
from pipeline.stages.ingest import ingest
from pipeline.stages.predict import predict, prepare_rows
from pipeline.stages.preprocess import preprocess
from pipeline.stages.train import train
from pipeline.tables import Notice

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset()
DESIGN = design_of(DATASET)
ROLES = Schema(id="Id", target="y")
TEST = generated_frames()[1].astype(object).fillna("").astype(str)


@pytest.fixture(scope="module", params=["fp32 none", "fp32 alone", "fp64 beside"])
def fits(request):
    """Three folds x two seeds; served by the folds' networks, by the refits, or by both."""
    precision, serving = request.param.split()
    settings = SHORT_TRAINING.model_copy(update={"refit": serving})
    return train(DESIGN, model=SMALL_MODEL, train=settings, metric="rmse", runtime=on_cpu(precision))


def prepared(frame, roles=ROLES):
    return prepare_rows(DATASET, DESIGN, table(csv_of(frame), "new.csv"), roles=roles, options=Preprocess())


def fault_of(frame):
    with pytest.raises(DataError) as raised:
        prepared(frame)
    return str(raised.value)


def test_the_test_file_gives_the_trainings_test_predictions_bit_for_bit(fits):
    """Read again as text, typed, encoded and predicted: every byte of what training kept."""
    ids, rows, notices = prepared(TEST)
    found = predict(DESIGN, fits.bag, rows, fits.compute)
    assert found.tobytes() == fits.test_predictions.tobytes()
    assert ids.tolist() == DATASET.test_ids.tolist()
    assert notices == []


def test_a_rows_prediction_does_not_depend_on_the_other_rows(fits):
    """Alone, in reverse, or with columns in another order and one too many: to rounding."""
    for frame, order in (
        (TEST[3:4], [3]),
        (TEST[::-1].reset_index(drop=True), range(7, -1, -1)),
        (TEST[["colour", "Id", "age", "area"]].assign(more="1"), range(8)),
    ):
        found = predict(DESIGN, fits.bag, prepared(frame)[1], fits.compute)
        np.testing.assert_allclose(found, fits.test_predictions[list(order)], rtol=1e-5)


def test_no_rows_give_no_predictions(fits):
    """An empty selection is no error here."""
    rows = prepared(TEST[:0])[1]
    assert predict(DESIGN, fits.bag, rows, fits.compute).shape == (0,)


def test_a_level_that_training_never_saw_is_counted_and_treated_as_rare():
    """Two new rows with purple; a gap is none."""
    frame = TEST.assign(colour=["purple", "purple", "", *TEST["colour"][3:]])
    _, rows, notices = prepared(frame)
    assert notices == [Notice("colour", "rows with a level that training never saw", 2)]
    assert rows.codes[:3, 0].tolist() == [-2, -2, -1]


def test_missing_columns_are_named():
    """The exact sentence."""
    assert fault_of(TEST.drop(columns=["area", "Id"])) == (
        "new.csv: 2 columns of the training data are missing: Id, area"
    )


def test_without_an_id_column_rows_are_numbered():
    """None is missed, none is doubled: a file that is not as long as the test file is another one."""
    for frame in (TEST[:7], pd.concat([TEST, TEST], ignore_index=True)):
        ids, _, notices = prepared(frame.drop(columns="Id"), Schema(target="y"))
        assert (ids.tolist(), notices) == ([str(row) for row in range(len(frame))], [])


def test_without_an_id_column_a_file_as_long_as_the_test_file_has_its_ids():
    """Those of the sample submission, so that the test file gives the submission; it is said."""
    ids, _, notices = prepared(TEST.drop(columns="Id"), Schema(target="y"))
    assert ids.tolist() == DATASET.test_ids.tolist() == [f"r{row}" for row in range(30, 38)]
    assert notices == [Notice("new.csv", "no id column is named: its rows go by the ids of the test rows", 8)]


def test_ids_of_held_out_rows_are_given_to_no_other_file():
    """Without a test file there is none that new rows could be."""
    raw = raw_tables("a,y\n" + "".join(f"{n},{n % 5}\n" for n in range(20)))
    dataset = ingest(raw, roles=Schema(target="y"), metric="rmse", holdout=Holdout(share=0.2))
    later = table("a\n1\n2\n3\n4\n", "new.csv")
    ids, _, notices = prepare_rows(dataset, design_of(dataset), later, roles=Schema(target="y"), options=Preprocess())
    assert len(dataset.test_ids) == 4
    assert (ids.tolist(), notices) == (["0", "1", "2", "3"], [])


def test_a_text_in_a_numeric_column_is_named_with_its_line():
    """The exact sentence: the second row stands on line 3."""
    frame = TEST.assign(age=["1", "old", *TEST["age"][2:]])
    assert fault_of(frame) == (
        "new.csv: line 3: column 'age' is 'old', but the training rows have numbers there (1 such cells); correct or "
        "blank it"
    )


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "a"], ("new.csv: line 3: id 'a' stands there twice (1 doubled ids); Kaggle matches predictions by id, "
                     "so ids must be unique")),
        (["a", ""], "new.csv: line 3: 'Id' is empty; every test row needs an id"),
    ],
)  # fmt: skip
def test_doubled_and_missing_ids_are_faults(ids, message):
    """The exact sentences."""
    assert fault_of(TEST[:2].assign(Id=ids)) == message


# --- every way of reading a column


def every_kind(rows, first, *, with_target):
    """CSV text with a column of each kind; one number in a hundred is a text, one price has no thousands."""
    lines = []
    for i in range(first, first + rows):
        price = f"${1000 + 37 * i:,}" if i % 5 else "$7"
        stray = "unknown" if i == first + 3 else str(i * i % 23)
        day = f"{1 + i % 28}.{1 + i % 12}.20{20 + i % 3}" if i % 7 else ""
        words = "word " * (i % 4)
        size = ["small", "medium", "large", ""][i % 4]
        cells = [f"r{i}", price, stray, day, size, words, f"user{i % 90}", f" {['red', 'blue', 'NA'][i % 3]}"]
        lines.append(",".join(f'"{cell}"' for cell in [*cells, *([f"{3 * i % 17}"] if with_target else [])]))
    header = ["Id", "price", "stray", "day", "size", "words", "user", "colour", *(["y"] if with_target else [])]
    return "\n".join([",".join(header), *lines, ""])


KINDS = Schema(
    id="Id",
    target="y",
    dates={"day": ("%d.%m.%Y",)},
    ordinal={"size": ("small", "medium", "large")},
    text=("words",),
)
OPTIONS = Preprocess(
    impute="median", indicators=True, max_levels=50, hash_buckets=16, min_frequency=2, log1p_skew=0.1, smooth_clip=4.0
)


def test_a_file_is_read_later_as_it_was_in_training():
    """Dates, ordinals, free text, hashed levels, thousands, a unit, stray texts, blanks: the same bytes."""
    raw = raw_tables(every_kind(300, 0, with_target=True), every_kind(110, 300, with_target=False))
    dataset = ingest(raw, roles=KINDS, metric="rmse")
    assert {column.name: column.role for column in dataset.columns} == {
        "price": "numeric", "stray": "numeric", "day": "date", "size": "ordinal", "words": "text",
        "user": "categorical", "colour": "categorical",
    }  # fmt: skip
    design = design_of(dataset, preparation=OPTIONS)
    assert design.hashed == (16, 0)
    settings = SHORT_TRAINING.model_copy(update={"epochs": 1, "seeds": 1})
    fits = train(design, model=SMALL_MODEL, train=settings, metric="rmse", runtime=on_cpu())
    ids, rows, notices = prepare_rows(dataset, design, raw.test, roles=KINDS, options=OPTIONS)
    assert np.array_equal(rows.numeric, design.rows.numeric[300:], equal_nan=True)
    assert np.array_equal(rows.codes, design.rows.codes[300:])
    found = predict(design, fits.bag, rows, fits.compute)
    assert found.tobytes() == fits.test_predictions.tobytes()
    assert (ids.tolist(), notices) == (dataset.test_ids.tolist(), [])
    # and a file of one row, on which no part of the calendar varies
    one = table(every_kind(1, 302, with_target=False), "one.csv")
    _, rows, _ = prepare_rows(dataset, design, one, roles=KINDS, options=OPTIONS)
    assert np.array_equal(rows.numeric, design.rows.numeric[302:303], equal_nan=True)


def test_a_column_that_training_dropped_is_not_asked_for():
    """It was constant; a later file may do without it."""
    raw = raw_tables("Id,a,one,y\n1,1,7,10\n2,2,7,20\n3,3,7,30\n4,5,7,9\n", "Id,a,one\n5,1,8\n")
    dataset = ingest(raw, roles=ROLES, metric="rmse")
    design = design_of(dataset, folds=2)
    later = table("Id,a\n9,4\n", "new.csv")
    _, rows, _ = prepare_rows(dataset, design, later, roles=ROLES, options=Preprocess())
    assert rows.numeric.tolist() == [[4.0]]


def test_lines_are_those_that_the_table_tells():
    """A later file may have cells with line breaks, too."""
    new = replace(table(csv_of(TEST.assign(age="old")), "new.csv"), line_of=lambda row: 40 + row)
    with pytest.raises(DataError, match=r"^new\.csv: line 40: column 'age' is 'old'"):
        prepare_rows(DATASET, DESIGN, new, roles=ROLES, options=Preprocess())


def test_a_column_that_says_the_fold_is_not_asked_of_new_rows():
    """It decided which network scores a row, and means nothing for one that none scores."""
    text = "Id,a,f,y\n" + "".join(f"{n},{n % 7},{n % 3},{n % 5}\n" for n in range(30))
    dataset = ingest(raw_tables(text), roles=ROLES, metric="rmse", holdout=Holdout(share=0.2), fold_column="f")
    folds = FoldSettings(kind="column", column="f")
    design = preprocess(dataset, preprocess=Preprocess(), target=Target(), folds=folds, metric="rmse")
    assert design.numeric == ("a",)
    ids, rows, _ = prepare_rows(dataset, design, table("Id,a\n90,3\n"), roles=ROLES, options=Preprocess())
    assert (ids.tolist(), rows.numeric.tolist()) == (["90"], [[3.0]])
