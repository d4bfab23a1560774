"""Typed tables to one design: the textbook's matrix under "all", no leak under "fold"."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from builders import csv_of, design_of, generated_dataset, generated_frames, raw_tables, table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Preprocess, Schema, Target
from pipeline.stages.ingest import ingest
from pipeline.stages.predict import prepare_rows
from pipeline.stages.preprocess import preprocess
from pipeline.tables import Notice
from pipeline.tabular.features import matrix_for
from pipeline.tabular.splits import k_folds, split_rows
from pipeline.tabular.targets import fit_target

DATASET = generated_dataset()


def assert_equal_states(one, other):
    """Value for value, NaN equal to NaN."""
    for field in fields(one):
        mine, others = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(mine):
            assert_equal_states(mine, others)
        elif isinstance(mine, np.ndarray):
            assert np.array_equal(mine, others, equal_nan=True), field.name
        else:
            assert mine == others, field.name


def design_by(dataset, *, preparation=None, target=None, metric="rmse", **folds):
    """The design under these fold settings."""
    return preprocess(
        dataset,
        preprocess=preparation or Preprocess(),
        target=target or Target(),
        folds=FoldSettings(**folds),
        metric=metric,
    )


def dataset_of(train, test, *, fold_column="", **roles):
    return ingest(
        raw_tables(train, test), roles=Schema(id="Id", target="y", **roles), metric="rmse", fold_column=fold_column
    )


def test_fitting_on_all_rows_gives_the_textbooks_matrix():
    """Z-score over train and test, 0 for missing, get_dummies with an indicator: every column and value."""
    design = design_of(DATASET, preparation=Preprocess(fit_on="all"))
    features = pd.concat([DATASET.train, DATASET.test], ignore_index=True)
    numeric = list(DATASET.numeric)
    features[numeric] = features[numeric].apply(lambda x: (x - x.mean()) / (x.std())).fillna(0)
    expected = pd.get_dummies(features, dummy_na=True, dtype=float)
    assert list(design.columns) == list(expected.columns)
    for state in range(design.folds.count + 1):
        matrix = matrix_for(design, state, design.rows)
        np.testing.assert_allclose(matrix, expected.to_numpy(), rtol=1e-5, atol=1e-6)


def test_each_fold_is_scaled_by_its_own_training_rows():
    """Mean and spread of every fold, and of the refit on all training rows, by pandas; the test rows take no part."""
    design = design_of(DATASET)
    assert len(design.states) == len(design.target_states) == design.folds.count + 1
    for state, rows in zip(design.states, [*design.folds.train, np.arange(30)], strict=True):
        own = DATASET.train.loc[rows, list(DATASET.numeric)]
        np.testing.assert_allclose(state.mean, own.mean(), rtol=1e-12)
        np.testing.assert_allclose(1 / state.scale, own.std(), rtol=1e-12)


def test_folds_are_those_of_the_settings():
    """k_folds of the training rows."""
    design = design_of(DATASET, folds=4, shuffle=False)
    expected = k_folds(30, count=4, shuffle=False, seed=0)
    for found, oracle in zip(design.folds.valid, expected.valid, strict=True):
        assert np.array_equal(found, oracle)


@settings(max_examples=60)
@given(
    fold=st.integers(0, 2),
    number=st.sampled_from([1e9, -1e9, 0.0, np.nan]),
    text=st.sampled_from(["brandnew", "red", None]),
    target=st.sampled_from([1e9, 0.5]),
    preparation=st.builds(
        Preprocess,
        scaler=st.sampled_from(["zscore", "minmax", "robust", "quantile_normal", "pca_whiten", "none"]),
        impute=st.sampled_from(["zero", "mean", "median", "drop"]),
        log1p_skew=st.sampled_from([0.0, 0.1]),
        indicators=st.booleans(),
        min_frequency=st.integers(1, 4),
        max_levels=st.sampled_from([2, 1000]),
    ),
    transform=st.sampled_from(["none", "log", "log1p", "boxcox", "yeojohnson", "quantile"]),
)
def test_a_folds_state_ignores_its_validation_rows_and_the_test_rows(
    fold, number, text, target, preparation, transform
):
    """FAULT 52: both turn to 1e9, NaN, missing or a new level; the fold's states stay equal, value for value."""
    options = {"preparation": preparation, "target": Target(transform=transform)}
    dataset = _with_vocabulary(DATASET, ["blue", "brandnew", "green", "red"])
    clean = design_of(dataset, **options)
    outside = np.setdiff1d(np.arange(30), split_rows(DATASET.target, FoldSettings(count=3)).train[fold])
    train, test, y = dataset.train.copy(), dataset.test.copy(), dataset.target.copy()
    for frame, rows in ((train, outside), (test, np.arange(len(test)))):
        frame.loc[rows, list(DATASET.numeric)] = number
        frame.loc[rows, "colour"] = text
    y[outside] = target
    if preparation.impute == "drop" and np.isnan(number):
        train.loc[outside[:2], list(DATASET.numeric)] = 1.0  # the other folds need two whole rows each
    poisoned = design_of(replace(dataset, train=train, test=test, target=y), **options)
    assert_equal_states(clean.states[fold], poisoned.states[fold])
    assert clean.target_states[fold] == poisoned.target_states[fold]
    inside = clean.folds.train[fold]
    assert np.array_equal(poisoned.folds.train[fold], inside)
    before = pd.DataFrame(matrix_for(clean, fold, clean.rows)[inside], columns=list(clean.columns))
    after = pd.DataFrame(matrix_for(poisoned, fold, poisoned.rows)[inside], columns=list(poisoned.columns))
    shared = [name for name in before if name in after]
    assert np.array_equal(before[shared], after[shared])
    assert not before.drop(columns=shared).to_numpy().any()
    assert not after.drop(columns=shared).to_numpy().any()


def _with_vocabulary(dataset, levels):
    frames = (
        frame.assign(colour=frame["colour"].cat.set_categories(levels)) for frame in (dataset.train, dataset.test)
    )
    return replace(dataset, **dict(zip(("train", "test"), frames, strict=True)))


@pytest.mark.parametrize(
    ("metric", "asked", "used"),
    [("log_rmse", "auto", "log"), ("rmsle", "auto", "log1p"), ("rmse", "auto", "none"), ("rmse", "log", "log")],
)
def test_the_targets_transform_follows_the_metric_unless_it_is_said(metric, asked, used):
    """And its centre and spread are those of each fold's training rows."""
    design = design_of(DATASET, metric=metric, target=Target(transform=asked))
    for state, rows in zip(design.target_states[:-1], design.folds.train, strict=True):
        assert state == fit_target(DATASET.target[rows], transform=used, standardize=True)
    assert design.target_states[-1] == fit_target(DATASET.target, transform=used, standardize=True)


@pytest.mark.parametrize(("transform", "value"), [("log", 0.0), ("log", -3.0), ("log1p", -1.0)])
def test_a_target_that_the_transform_forbids_is_a_sentence(transform, value):
    """Log of 0 under metric rmse, which itself allows 0: not a NaN in training and advice about the learning rate."""
    dataset = replace(DATASET, target=np.where(np.arange(30) == 4, value, DATASET.target))
    with pytest.raises(ConfigError) as raised:
        design_of(dataset, target=Target(transform=transform))
    lowest = {"log": 0, "log1p": -1}[transform]
    assert str(raised.value) == (
        f"target.transform = '{transform}' needs targets above {lowest}, found {value:g} for id 'r4' (1 such rows); "
        f'choose another: [target] transform = "yeojohnson", or "none"'
    )


def test_fewer_rows_than_folds_are_a_sentence():
    """FAULT 38, the exact sentence."""
    with pytest.raises(ConfigError) as raised:
        design_of(generated_dataset(train_rows=7), folds=4)
    assert str(raised.value) == (
        "folds.count = 4 needs at least 8 training rows with a target, found 7; lower folds.count or bring more rows"
    )


def test_what_was_filled_constant_or_grouped_is_noticed():
    """Gaps of age in both tables, a constant area, and the colours that fewer than 12 training rows have."""
    dataset = replace(DATASET, train=DATASET.train.assign(area=1.0), test=DATASET.test.assign(area=1.0))
    notices = design_of(dataset, preparation=Preprocess(min_frequency=12)).notices
    gaps = int(DATASET.train["age"].isna().sum() + DATASET.test["age"].isna().sum())
    assert gaps > 0
    assert Notice("age", "missing numbers filled with 0 after z-scoring, the training mean", gaps) in notices
    text = 'constant on the training rows: its column is 0; or leave it out: [schema] drop = ["area"]'
    assert Notice("area", text, 30) in notices
    rare = int((DATASET.train["colour"].value_counts() < 12).sum())
    assert rare > 0
    assert Notice("colour", "rare levels share one column", rare) in notices


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, ", or set [preprocess] smooth_clip = 3"),
        ({"fit_on": "all"}, ", or set [preprocess] smooth_clip = 3"),
        ({"scaler": "pca_whiten"}, ", or set [preprocess] smooth_clip = 3"),
        ({"smooth_clip": 3.0}, ""),
        ({"scaler": "none"}, ""),
        ({"scaler": "quantile_normal"}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("table", ["train", "test"])
def test_a_number_far_out_is_noticed_with_its_row_and_remedy(table, options, remedy):
    """1e60 in one row of area; what is bent already stays within its bounds in the test, ranks anywhere."""
    frame = getattr(DATASET, table)
    area = frame["area"].astype(float).copy()
    area[4] = 1e60
    dataset = replace(DATASET, **{table: frame.assign(area=area)})
    found = [n for n in design_of(dataset, preparation=Preprocess(**options)).notices if "far out" in n.text]
    if remedy is None or (table == "test" and not remedy):
        assert found == []
        return
    row_id = (dataset.train_ids if table == "train" else dataset.test_ids)[4]
    text = (
        f"1e+60 for id '{row_id}' of {table} is far out (1e+09 when scaled by other rows): correct or blank it{remedy}"
    )
    assert found == [Notice("area", text, 0)]


def test_ordinary_numbers_are_not_far_out():
    """Of no column and under no scaler."""
    for scaler in ("zscore", "minmax", "robust", "none", "pca_whiten"):
        notices = design_of(DATASET, preparation=Preprocess(scaler=scaler)).notices
        assert not [notice for notice in notices if "far out" in notice.text]


def test_no_row_of_the_matrix_holds_nan_or_infinity():
    """Of any fold, gaps and unseen levels included."""
    design = design_of(DATASET)
    for state in range(design.folds.count + 1):
        assert np.isfinite(matrix_for(design, state, design.rows)).all()


# --- components


WHITEN = Preprocess(scaler="pca_whiten")


def test_each_fold_has_the_components_of_its_own_training_rows():
    """scikit-learn's on the fold's z-scores, gaps 0, in place of the numbers; the colours stay behind them."""
    design, plain = design_of(DATASET, preparation=WHITEN), design_of(DATASET)
    assert design.columns == ("pca_1", "pca_2", *plain.columns[2:])
    for fold, rows in enumerate([*design.folds.train, np.arange(30)]):
        scores, found = (matrix_for(one, fold, one.rows) for one in (plain, design))
        expected = PCA(whiten=True).fit(scores[rows, :2]).transform(scores[:, :2])
        np.testing.assert_allclose(np.abs(found[:, :2]), np.abs(expected), atol=1e-4)
        assert np.array_equal(found[:, 2:], scores[:, 2:])


def test_fitting_on_all_rows_whitens_train_and_test_together():
    """One fit for every fold: no mean and unit variance over all 38 rows."""
    design = design_of(DATASET, preparation=Preprocess(scaler="pca_whiten", fit_on="all"))
    assert all(state is design.states[0] for state in design.states)
    found = matrix_for(design, 0, design.rows)[:, :2].astype(np.float64)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.T @ found / 37, np.eye(2), atol=1e-5)


def test_a_row_of_a_later_file_is_whitened_as_it_was_in_the_test_file():
    """Read again, alone: every byte of its line in the matrix of all rows, under every fit."""
    design = design_of(DATASET, preparation=WHITEN)
    test = generated_frames()[1].astype(object).fillna("").astype(str)
    for row in range(8):
        later = table(csv_of(test[row : row + 1]), "new.csv")
        roles = Schema(id="Id", target="y")
        _, rows, _ = prepare_rows(DATASET, design, later, roles=roles, options=WHITEN)
        for state in range(design.folds.count + 1):
            whole = matrix_for(design, state, design.rows)
            assert matrix_for(design, state, rows).tobytes() == whole[30 + row].tobytes()


def test_what_components_hold_is_noticed():
    """How many there are, how much of the variance they hold, and that more were asked for than there are."""
    share = design_of(DATASET, preparation=Preprocess(scaler="pca_whiten", components=1)).states[-1].whitening.share
    assert 0.5 < share < 0.9
    for components, words in (
        (0, "2 whitened components, with 100.0% of the variance"),
        (1, f"1 whitened component, with {share:.1%} of the variance"),
        (7, "2 whitened components of 7 asked for, with 100.0% of the variance"),
    ):
        design = design_of(DATASET, preparation=Preprocess(scaler="pca_whiten", components=components))
        assert design.columns[:2] == (("pca_1", "pca_2") if components != 1 else ("pca_1", "colour_blue"))
        assert design.notices[-1] == Notice("numeric columns", f"rotated to {words}", 2)
    assert all(notice.subject != "numeric columns" for notice in design_of(DATASET).notices)


def test_a_fold_with_fewer_components_and_a_constant_column_are_noticed():
    """The rows where b differs from a are all scored by fold 0, which trains on copies: its pca_2 is 0."""
    rows = np.arange(30)
    plain = design_of(DATASET)
    a = rows * 7.0 % 31
    b = np.where(np.isin(rows, plain.folds.valid[0]), rows * 5.0 % 17, a)
    dataset = replace(DATASET, train=DATASET.train.assign(area=a, age=b))
    design = design_of(dataset, preparation=WHITEN)
    assert [len(state.whitening.variance) for state in design.states] == [1, 2, 2, 2]
    assert not matrix_for(design, 0, design.rows)[:, 1].any()
    text = "some fits have fewer than 2 components, 1 at least: the others are 0 there"
    assert Notice("numeric columns", text, 1) in design.notices
    constant = replace(DATASET, train=DATASET.train.assign(area=1.0))
    notices = design_of(constant, preparation=WHITEN).notices
    text = 'constant on the training rows: no component holds it; or leave it out: [schema] drop = ["area"]'
    assert Notice("area", text, 30) in notices


def test_no_component_and_no_other_column_are_a_sentence():
    """Numbers that vary in the test alone; with a text column there is a matrix, and without numbers no notice."""
    dataset = replace(DATASET, train=DATASET.train.assign(area=1.0, age=2.0))
    assert design_of(dataset, preparation=WHITEN).columns[0] == "colour_blue"
    texts = replace(DATASET, numeric=())
    assert design_of(texts, preparation=WHITEN).columns == design_of(texts).columns
    assert all(notice.subject != "numeric columns" for notice in design_of(texts, preparation=WHITEN).notices)
    with pytest.raises(ConfigError) as raised:
        design_of(replace(dataset, categorical=()), preparation=WHITEN)
    assert str(raised.value) == (
        'no column is left for the matrix: preprocess.scaler = "pca_whiten" finds no numeric column that varies on the '
        "rows it is fitted on; keep more columns, or choose another scaler"
    )


# --- dates


DATES = dataset_of(
    "Id,day,n,y\n1,2024-01-31 06:00,1,1\n2,2024-02-29 06:00,2,2\n3,,3,3\n4,2024-03-01 18:00,4,4\n",
    "Id,day,n\n5,2025-12-25 00:00,1\n",
    dates={"day": ("%Y-%m-%d %H:%M",)},
)


def test_dates_become_the_calendar_columns_that_vary_on_the_training_rows():
    """All days are of 2024 in train and none has minutes: no year, though test has another; a gap stays one."""
    design = design_of(DATES, folds=2, preparation=Preprocess(calendar=("year", "month", "day", "hour", "minute")))
    assert design.numeric == ("n", "day_month", "day_day", "day_hour")
    np.testing.assert_array_equal(
        design.rows.numeric[:, 1:], [[1, 31, 6], [2, 29, 6], [np.nan] * 3, [3, 1, 18], [12, 25, 0]]
    )
    assert design.columns == ("n", "day_month", "day_day", "day_hour")


def test_the_calendar_columns_are_those_that_are_asked_for():
    """In the order of the setting; none at all leave the date out."""
    design = design_of(DATES, folds=2, preparation=Preprocess(calendar=("hour", "day_of_year")))
    assert design.numeric == ("n", "day_hour", "day_day_of_year")
    assert design_of(DATES, folds=2, preparation=Preprocess(calendar=())).numeric == ("n",)


def test_a_calendar_column_leaves_a_column_of_the_same_name_alone():
    """The file's own day_month keeps its numbers; the calendar's goes by another name."""
    train = "Id,day,day_month,y\n" + "".join(f"{i},2024-0{i}-01,{100 * i % 7},{i * i}\n" for i in range(1, 7))
    dataset = dataset_of(train, "Id,day,day_month\n9,2024-01-01,5\n", dates={"day": ("%Y-%m-%d",)})
    design = design_of(dataset, folds=2, preparation=Preprocess(calendar=("month",)))
    assert design.numeric == ("day_month", "day (month)")
    assert design.rows.numeric[:, 0].tolist() == [2, 4, 6, 1, 3, 5, 5]
    assert design.rows.numeric[:, 1].tolist() == [1, 2, 3, 4, 5, 6, 1]


# --- folds


GROUPS = "aabbccddeeff"
ROWS = "Id,n,f,y\n" + "".join(f"{i},{i * i},{group},{5 * i % 11}\n" for i, group in enumerate(GROUPS))
GROUPED = dataset_of(ROWS, "Id,n,f\n20,1,a\n", fold_column="f")


@pytest.mark.parametrize(
    "folds",
    [
        {"kind": "kfold", "count": 3, "repeats": 2},
        {"kind": "stratified", "count": 3, "bins": 2},
        {"kind": "grouped", "count": 3, "column": "f"},
        {"kind": "leave_one_group_out", "column": "f"},
        {"kind": "holdout", "share": 0.25},
        {"kind": "column", "column": "f"},
    ],
)
def test_every_kind_of_folds_reaches_the_design(folds):
    """The folds of `split_rows`, with a state for each of them and one for all rows."""
    design = design_by(GROUPED, **folds)
    expected = split_rows(GROUPED.target, FoldSettings(**folds), np.array(list(GROUPS), dtype=object))
    for found, oracle in ((design.folds.train, expected.train), (design.folds.valid, expected.valid)):
        assert [rows.tolist() for rows in found] == [rows.tolist() for rows in oracle]
    assert len(design.states) == len(design.target_states) == expected.count + 1
    for state, rows in zip(design.states, [*expected.train, np.arange(12)], strict=True):
        assert state.mean[0] == pytest.approx(np.mean(rows.astype(float) ** 2))


def test_a_column_that_says_which_fold_scores_a_row_is_no_feature():
    """Whether its cells are levels or numbers; for the rows of a plain split it is one."""
    header, body = ROWS.split("\n", 1)
    for text in (ROWS, f"{header}\n{body.translate(str.maketrans('abcdef', '123456'))}"):
        dataset = dataset_of(text, "Id,n,f\n20,1,1\n", fold_column="f")
        assert "f" in (*dataset.numeric, *dataset.categorical)
        assert design_by(dataset, kind="column", column="f").columns == ("n",)
        assert len(design_by(dataset, kind="kfold", count=3).columns) > 1


def test_a_fold_without_its_column_is_a_sentence():
    """FAULT 38: groups need the column that names them, and enough of them."""
    with pytest.raises(ConfigError) as raised:
        design_by(GROUPED, kind="grouped", column="f", count=7)
    assert str(raised.value) == (
        "folds.count = 7 needs at least 14 training rows with a target, found 12; lower folds.count or bring more rows"
    )
    with pytest.raises(ConfigError, match=r'^folds\.kind = "grouped" needs folds\.column'):
        design_by(replace(GROUPED, fold_columns={}), kind="grouped", column="f", count=3)


def test_a_matrix_without_a_column_is_a_sentence():
    """Dates of which no part is asked for, or none varies, and a column that only says the fold beside a constant."""
    dates = dataset_of(
        "Id,day,y\n" + "".join(f"{i},2024-01-0{i},{i * i}\n" for i in range(1, 7)),
        "Id,day\n9,2024-01-01\n",
        dates={"day": ("%Y-%m-%d",)},
    )
    constant = "Id,n,f,y\n" + "".join(f"{i},7,{group},{5 * i % 11}\n" for i, group in enumerate(GROUPS))
    lone = dataset_of(constant, "Id,n,f\n20,7,a\n", fold_column="f")
    sentence = (
        "no feature column is left for the matrix: dates become the parts that preprocess.calendar names and that "
        "vary, and a column of folds is none; name more parts, or keep more columns"
    )
    for dataset, options in (
        (dates, {"count": 2, "preparation": Preprocess(calendar=())}),
        (dates, {"count": 2, "preparation": Preprocess(calendar=("year", "month"))}),
        (lone, {"kind": "column", "column": "f"}),
    ):
        with pytest.raises(ConfigError) as raised:
            design_by(dataset, **options)
        assert str(raised.value) == sentence


# --- rows with gaps


def test_rows_with_a_missing_number_are_left_out_of_training_but_scored():
    """With impute = "drop": the gaps of age leave every fold's training rows and the refit, no validation rows."""
    whole = DATASET.train["age"].notna().to_numpy()
    plain, design = design_of(DATASET), design_of(DATASET, preparation=Preprocess(impute="drop"))
    assert 0 < whole.sum() < 30
    for fold in range(3):
        assert design.folds.train[fold].tolist() == [row for row in plain.folds.train[fold] if whole[row]]
        assert design.folds.valid[fold].tolist() == plain.folds.valid[fold].tolist()
        own = design.folds.train[fold]
        assert design.target_states[fold] == fit_target(DATASET.target[own], transform="none", standardize=True)
        assert design.states[fold].mean[1] == pytest.approx(DATASET.train["age"][own].mean())
    assert design.refit_rows.tolist() == np.flatnonzero(whole).tolist()
    text = "left out of training, for a number is missing in them"
    assert Notice("training rows", text, int((~whole).sum())) in design.notices


def test_otherwise_a_network_for_the_test_alone_trains_on_every_row():
    """Gaps are filled, so no row is left out."""
    assert design_of(DATASET).refit_rows.tolist() == list(range(30))


def test_a_gap_in_a_text_column_leaves_no_row_out():
    """It has a column of its own."""
    dataset = replace(DATASET, train=DATASET.train.assign(age=1.0 * np.arange(30)))
    assert dataset.train["colour"].isna().any()
    assert len(design_of(dataset, preparation=Preprocess(impute="drop")).refit_rows) == 30


def test_a_fold_that_gaps_leave_without_rows_is_a_sentence():
    """The exact sentence: only one row is whole."""
    age = np.where(np.arange(30) == 4, 1.0, np.nan)
    with pytest.raises(ConfigError) as raised:
        design_of(replace(DATASET, train=DATASET.train.assign(age=age)), preparation=Preprocess(impute="drop"))
    assert str(raised.value) == (
        'preprocess.impute = "drop" leaves a fold without training rows: 29 rows have a missing number; choose zero, '
        "mean or median"
    )


# --- what is noticed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "filled with 0 after z-scoring, the training mean"),
        ({"scaler": "minmax"}, "filled with 0 after scaling"),
        ({"scaler": "pca_whiten"}, "filled with 0 after z-scoring, the training mean"),
        ({"impute": "mean"}, "filled with the training mean"),
        ({"impute": "median"}, "filled with the training median"),
        ({"impute": "drop"}, "filled with the training median"),
    ],
)
def test_what_fills_missing_numbers_is_noticed(options, words):
    """With how many there are in both tables."""
    gaps = int(DATASET.train["age"].isna().sum() + DATASET.test["age"].isna().sum())
    notices = design_of(DATASET, preparation=Preprocess(**options)).notices
    assert Notice("age", f"missing numbers {words}", gaps) in notices


def test_numbers_below_0_under_a_logarithm_are_counted():
    """Training has none, which is why the logarithm is taken; two test rows do, and are taken as 0."""
    area = np.exp(np.arange(30) / 3)
    test = DATASET.test.assign(area=[-1.0, -5.0, 0.0, *np.arange(5.0)])
    skewed = replace(DATASET, train=DATASET.train.assign(area=area), test=test)
    text = "numbers below 0, of which training has none, are taken as 0"
    notices = design_of(skewed, preparation=Preprocess(log1p_skew=0.5)).notices
    assert Notice("area", text, 2) in notices
    assert all(notice.text != text for notice in design_of(skewed).notices)


def test_logs_and_hashing_are_noticed():
    """Each with the rows, or the levels, that it concerns."""
    skewed = replace(DATASET, train=DATASET.train.assign(area=np.exp(np.arange(30) / 3)))
    notices = design_of(skewed, preparation=Preprocess(log1p_skew=0.5, max_levels=2, hash_buckets=8)).notices
    assert Notice("area", "skewed: log(1 + x) is taken", 30) in notices
    assert Notice("colour", "levels hashed into 8 columns (preprocess.max_levels = 2)", 3) in notices
