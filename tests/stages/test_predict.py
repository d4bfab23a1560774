"""New rows through trained networks: the same rows give the same bytes as in training."""

import numpy as np
import pandas as pd
import pytest
from builders import SHORT_TRAINING, SMALL_MODEL, csv_of, design_of, generated_dataset, generated_frames, on_cpu, table

from pipeline.errors import DataError
from pipeline.stages.predict import predict, prepare_rows
from pipeline.stages.train import train
from pipeline.tables import Notice

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset()
DESIGN = design_of(DATASET)
TEST_FILE = table(csv_of(generated_frames()[1]))


@pytest.fixture(scope="module", params=["fp32 folds", "fp32 refit", "fp64 folds"])
def fits(request):
    """Three folds x two seeds; served by the folds' networks or by the refits."""
    precision, serving = request.param.split()
    settings = SHORT_TRAINING.model_copy(update={"refit": serving == "refit"})
    return train(DESIGN, model=SMALL_MODEL, train=settings, metric="rmse", runtime=on_cpu(precision))


def prepared(frame):
    return prepare_rows(DATASET, DESIGN, frame, id_column="Id", file="new.csv")


def fault_of(frame):
    with pytest.raises(DataError) as raised:
        prepared(frame)
    return str(raised.value)


def test_the_test_file_gives_the_trainings_test_predictions_bit_for_bit(fits):
    """Read again as text, typed, encoded and predicted: every byte of what training kept."""
    ids, rows, notices = prepared(TEST_FILE)
    found = predict(DESIGN, fits.network, fits.jobs, fits.weights, rows, fits.compute)
    assert found.tobytes() == fits.test_predictions.tobytes()
    assert ids.tolist() == DATASET.test_ids.tolist()
    assert notices == []


def test_a_rows_prediction_does_not_depend_on_the_other_rows(fits):
    """Alone, in reverse, or with columns in another order and one too many: to rounding."""
    network = fits.network
    for frame, order in (
        (TEST_FILE[3:4], [3]),
        (TEST_FILE[::-1].reset_index(drop=True), range(7, -1, -1)),
        (TEST_FILE[["colour", "Id", "age", "area"]].assign(more="1"), range(8)),
    ):
        found = predict(DESIGN, network, fits.jobs, fits.weights, prepared(frame)[1], fits.compute)
        np.testing.assert_allclose(found, fits.test_predictions[list(order)], rtol=1e-5)


def test_no_rows_give_no_predictions(fits):
    """An empty selection is no error here."""
    rows = prepared(TEST_FILE[:0])[1]
    assert predict(DESIGN, fits.network, fits.jobs, fits.weights, rows, fits.compute).shape == (0,)


def test_a_level_that_training_never_saw_is_counted_and_treated_as_rare():
    """Two new rows with purple; a gap is none."""
    frame = TEST_FILE.assign(colour=["purple", "purple", "", *TEST_FILE["colour"][3:]])
    _, rows, notices = prepared(frame)
    assert notices == [Notice("colour", "rows with a level that training never saw", 2)]
    assert rows.codes[:3, 0].tolist() == [-2, -2, -1]


def test_missing_columns_are_named():
    """The exact sentence."""
    assert fault_of(TEST_FILE.drop(columns=["area", "Id"])) == (
        "new.csv: 2 columns of the training data are missing: Id, area"
    )


def test_a_text_in_a_numeric_column_is_named_with_its_line():
    """The exact sentence: the second row stands on line 3."""
    frame = TEST_FILE.assign(age=["1", "old", *TEST_FILE["age"][2:]])
    assert fault_of(frame) == (
        "new.csv: line 3: column 'age' is 'old', but every training row has a number there (1 such cells); correct or "
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
    assert fault_of(TEST_FILE[:2].assign(Id=pd.Series(ids, dtype="str"))) == message
