"""Drift that was planted is named with its size and its remedy; rows drawn at random look alike."""

import numpy as np
import pandas as pd
import pytest

from pipeline.tables import Dataset
from pipeline.tabular import drift
from pipeline.tabular.findings import drawn_rows


def texts(values):
    return np.array([str(value) for value in values], dtype=object)


def dataset(train, test, *, train_ids=None, test_ids=None):
    """A dataset of two frames of numbers, texts and dates; the ids of train begin with t, those of test with s."""
    train, test = train.reset_index(drop=True).copy(), test.reset_index(drop=True).copy()
    kinds = {name: train[name].dtype.kind for name in train}
    categorical = tuple(name for name, kind in kinds.items() if kind not in "fiuM")
    for name in categorical:
        levels = sorted({*train[name].dropna(), *test[name].dropna()})
        train[name], test[name] = (pd.Categorical(frame[name], categories=levels) for frame in (train, test))
    numeric = tuple(name for name, kind in kinds.items() if kind in "fiu")
    return Dataset(
        train=train.astype(dict.fromkeys(numeric, np.float64)),
        test=test.astype(dict.fromkeys(numeric, np.float64)),
        target=np.random.default_rng(7).normal(size=len(train)),
        held_out=None,
        train_ids=texts(train_ids if train_ids is not None else [f"t{n}" for n in range(len(train))]),
        test_ids=texts(test_ids if test_ids is not None else [f"s{n}" for n in range(len(test))]),
        columns=(),
        numeric=numeric,
        categorical=categorical,
        dates=tuple(name for name, kind in kinds.items() if kind == "M"),
        fold_columns={},
        submission_header=("Id", "y"),
        submission_ids=texts(range(len(test))),
        notices=(),
    )


def days(numbers):
    return pd.Timestamp("2020-01-01") + pd.to_timedelta(numbers, unit="D")


def mixed(rows, seed):
    """Numbers, a date, few and many levels, a name for each row, gaps."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": random.normal(size=rows),
            "date": days(random.integers(0, 900, rows)),
            "letter": random.choice(list("abc"), rows),
            "shop": random.choice([f"s{n}" for n in range(rows // 4)], rows),
            "name": [f"n{n}" for n in random.permutation(rows)],
        }
    )
    frame.loc[random.random(rows) < 0.2, ["number", "letter"]] = None
    return frame


def held_out_at_random(rows, seed):
    """A third of the rows set aside, as [holdout] does without a test file; ids are row numbers."""
    frame = mixed(rows, seed)
    aside = np.zeros(rows, dtype=bool)
    aside[np.random.default_rng([seed, 1]).choice(rows, rows // 3, replace=False)] = True
    ids = np.arange(rows)
    return dataset(frame[~aside], frame[aside], train_ids=ids[~aside], test_ids=ids[aside])


# --- as a whole


@pytest.mark.parametrize("rows", [20, 90, 600])
def test_rows_held_out_at_random_look_alike(rows):
    """Twenty draws: no column moved, nothing interleaves, nothing is apart."""
    for seed in range(20):
        data = held_out_at_random(rows, seed)
        assert drift.column_shifts(data) == drift.blocks(data) == drift.levels_apart(data) == []


def test_no_classifier_tells_rows_held_out_at_random():
    """AUC near 0.5 in two draws of 450 rows, and ids, which never agree, are no features."""
    for seed in range(2):
        data = held_out_at_random(450, seed)
        adversary = drift.adversary_of(data)
        assert abs(adversary.auc - 0.5) < 0.12
        assert drift.whole_drift(data, adversary) == []


def test_a_classifier_tells_what_moved_only_in_shape():
    """Test numbers are of two groups around those of train, with the same median and mean; `a` did not move."""
    random = np.random.default_rng(0)
    train = pd.DataFrame({"a": random.normal(size=600), "b": random.uniform(-1, 1, 600)})
    test = pd.DataFrame({"a": random.normal(size=300), "b": random.choice([-1, 1], 300) * random.uniform(0.9, 2, 300)})
    data = dataset(train, test)
    adversary = drift.adversary_of(data)
    assert adversary.auc > 0.9
    assert [name for name, _ in adversary.alone] == ["b"]
    assert adversary == drift.adversary_of(data)
    (finding,) = drift.whole_drift(data, adversary)
    assert (finding.severity, finding.columns) == ("warning", ("b",))
    assert f"AUC {adversary.auc:.3f}" in finding.evidence


def test_what_only_a_combination_tells_is_said_to_be_one():
    """The signs of a and b are equal in train and opposite in test: each column alone is the same."""
    random = np.random.default_rng(0)
    a, b = np.abs(random.normal(size=(2, 900))) * np.where(random.random(900) < 0.5, -1, 1)
    frame = pd.DataFrame({"a": a, "b": b * np.where(np.arange(900) < 600, 1, -1)})
    data = dataset(frame[:600], frame[600:])
    (finding,) = drift.whole_drift(data, drift.adversary_of(data))
    assert "no column alone does" in finding.evidence
    assert drift.column_shifts(data) == []


def test_more_levels_than_the_classifier_takes_and_columns_without_a_value_are_no_hindrance():
    """1,000 shops of which test has only the last ones; a column that is empty everywhere."""
    shops = [f"s{n:04}" for n in range(1000)]
    train = pd.DataFrame({"shop": shops * 2, "empty": np.nan, "none": pd.Series([None] * 2000, dtype=object)})
    test = pd.DataFrame({"shop": shops[-50:] * 10, "empty": np.nan, "none": pd.Series([None] * 500, dtype=object)})
    assert drift.adversary_of(dataset(train, test)).auc > 0.9


def test_too_few_rows_say_nothing():
    """29 rows of test: NaN, which is no drift, and no column is judged, whatever it holds."""
    train, test = pd.DataFrame({"a": np.zeros(100)}), pd.DataFrame({"a": np.ones(29)})
    data = dataset(train, test)
    adversary = drift.adversary_of(data)
    assert np.isnan(adversary.auc)
    assert drift.whole_drift(data, adversary) == drift.column_shifts(data) == []
    assert drift.adversary_of(dataset(train[:0], test)).alone == ()


@pytest.mark.parametrize(
    ("auc", "rows", "drifts"), [(0.55, 10**6, False), (0.56, 10**6, True), (0.7, 40, False), (0.8, 40, True)]
)
def test_an_auc_counts_from_where_chance_no_longer_gives_it(auc, rows, drifts):
    """The null's standard deviation at 40 rows a side is the root of 81 / 19,200 = 0.065, and 0.5 + 4 of it 0.76."""
    assert drift.is_drift(auc, rows, rows) is drifts


# --- column by column


def test_the_size_of_a_shift_is_what_a_hand_computes():
    """0..199 against 100..299: KS 1/2. (3/4, 1/4) against (1/4, 3/4): total variation 1/2. No gap against 3 in 5."""
    train = pd.DataFrame({"n": np.arange(200), "c": ["x"] * 150 + ["y"] * 50, "gap": 1.0})
    test = pd.DataFrame({"n": np.arange(100, 300), "c": ["x"] * 50 + ["y"] * 150, "gap": [1.0] * 80 + [np.nan] * 120})
    shifts = {shift.column: shift for shift in drift.column_shifts(dataset(train, test))}
    assert list(shifts) == ["gap", "n", "c"]
    assert [shift.distance for shift in shifts.values()] == pytest.approx([0.6, 0.5, 0.5])
    assert shifts["n"].words == "median 99.5 in train, 199.5 in test (Kolmogorov-Smirnov 0.50)"
    assert shifts["c"].words == "shares of its levels differ by 0.50 (total variation)"
    assert shifts["gap"].words == "missing on 0% of train and 60% of test"


def test_rare_levels_are_compared_as_one():
    """Level x on 3/4 of train and 1/4 of test, names elsewhere: distance 1/2; 3/4 unseen where 1/4 is expected."""
    train = pd.DataFrame({"c": ["x"] * 300 + [f"n{n}" for n in range(100)]})
    test = pd.DataFrame({"c": ["x"] * 100 + [f"m{n}" for n in range(300)]})
    (shift,) = drift.column_shifts(dataset(train, test))
    assert shift.distance == pytest.approx(0.5)
    assert "differ by 0.50 (total variation), 75% of test rows have a level" in shift.words


def test_levels_that_train_never_had_are_counted_and_ask_for_groups():
    """A quarter of the test rows have one of 10 new levels, where no training level stands alone."""
    train = pd.DataFrame({"shop": [f"s{n}" for n in range(30)] * 10})
    test = pd.DataFrame({"shop": [f"s{n}" for n in range(30)] * 5 + [f"t{n}" for n in range(10)] * 5})
    data = dataset(train, test)
    (finding,) = drift.shifted_columns(data, drift.column_shifts(data))
    assert "25% of test rows have a level that train never had" in finding.evidence
    assert finding.severity == "warning"
    assert finding.remedy.startswith('under [folds]: kind = "grouped" and column = "shop"; or ')
    assert '[schema] drop = ["shop"]' in finding.remedy


def test_five_columns_are_named_furthest_first():
    """Seven columns moved by 0.9, 0.8, … 0.3 of their width."""
    steps = [3, 9, 5, 7, 4, 8, 6]
    train = pd.DataFrame({f"c{step}": np.linspace(0, 10, 200) for step in steps})
    test = pd.DataFrame({f"c{step}": np.linspace(step, 10 + step, 200) for step in steps})
    data = dataset(train, test)
    findings = drift.shifted_columns(data, drift.column_shifts(data))
    assert [finding.columns for finding in findings] == [("c9",), ("c8",), ("c7",), ("c6",), ("c5",)]


# --- time, blocks and levels apart


@pytest.mark.parametrize(("start", "side"), [(400, "after"), (-400, "before")])
def test_a_test_that_lies_after_train_asks_for_stretches_of_time(start, side):
    """400 days of train, then 100 of test; sub-second units of the two columns may differ."""
    train = pd.DataFrame({"date": days(np.arange(400)).astype("datetime64[ns]")})
    test = pd.DataFrame({"date": days(start + np.arange(100)).astype("datetime64[s]")})
    data = dataset(train, test)
    (finding,) = drift.shifted_columns(data, drift.column_shifts(data))
    assert finding.evidence.startswith(f"test lies {side} train in 'date' (100% of its rows)")
    assert "[folds] shuffle = false" in finding.remedy


def test_stretches_of_train_and_test_that_take_turns_are_seen_in_dates_and_ids():
    """Days 1 to 19 of each month in train, the others in test: 24 stretches a year, by date and by a dated id."""
    calendar = pd.Series(days(np.arange(366)))
    first = (calendar.dt.day < 20).to_numpy()
    frame = pd.DataFrame({"date": calendar, "a": np.random.default_rng(0).normal(size=366)})
    by_date = dataset(frame[first], frame[~first])
    by_id = dataset(
        frame.loc[first, ["a"]], frame.loc[~first, ["a"]], train_ids=calendar[first], test_ids=calendar[~first]
    )
    for data, name in ((by_date, "date"), (by_id, "Id")):
        (finding,) = [found for found in drift.blocks(data) if found.columns == (name,)]
        assert f"take turns along {name!r}, in 24 stretches" in finding.evidence
        assert "[folds] shuffle = false" in finding.remedy
    # one stretch each, as the ids of most competitions: nothing takes turns
    assert drift.blocks(dataset(frame[:200], frame[200:], train_ids=range(200), test_ids=range(200, 366))) == []


def test_days_that_train_and_test_share_are_no_turns():
    """Stretches of 40 days take turns; with 200 further days in both, train and test lie side by side."""
    turns = np.arange(160)
    for shared, found in (([], 1), (np.arange(160, 360), 0)):
        sides = [days(np.append(turns[turns // 40 % 2 == side], shared)) for side in (0, 1)]
        data = dataset(*(pd.DataFrame({"date": side}) for side in sides))
        assert sum(finding.columns == ("date",) for finding in drift.blocks(data)) == found


def test_groups_of_which_test_has_none_are_named():
    """Ten patients in train, five others in test, by name and by number; continuous numbers never agree anyway."""
    random = np.random.default_rng(0)
    number = np.repeat(np.arange(15), 20)
    frame = pd.DataFrame(
        {"who": [f"p{n}" for n in number], "number": number, "pulse": random.normal(size=300), "both": number % 5}
    )
    # a single test row of a group that train has, and not one of the few rows that are looked at first
    single = 200 + min(set(range(100)) - set(drawn_rows(100, 30)))
    frame["but_one"] = np.where(np.arange(300) == single, 0, number)
    findings = drift.levels_apart(dataset(frame[:200], frame[200:]))
    assert [finding.columns for finding in findings] == [("who",), ("number",)]
    assert "10 in train, 5 others in test" in findings[0].evidence
    assert findings[0].remedy == (
        '[schema] drop = ["who"]; where its values are groups, also under [folds]: kind = "grouped" and column = "who"'
    )
