"""Planted leaks of every kind are found, and honest tables raise no alarm."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.tables import Dataset
from pipeline.tabular import leaks
from pipeline.tabular.findings import agreement, drawn_rows, order_of_ids, rank_correlation
from pipeline.tabular.redundant import row_keys


def texts(values):
    return np.array([str(value) for value in values], dtype=object)


def dataset(train, target, test=None, ids=None):
    """A dataset of a frame of numbers and texts; ids are drawn at random, the test is the first three rows of train."""
    test = train[:3] if test is None else test
    train, test = train.reset_index(drop=True).copy(), test.reset_index(drop=True).copy()
    numeric = tuple(name for name in train if train[name].dtype.kind in "fiu")
    categorical = tuple(name for name in train if name not in numeric)
    for name in categorical:
        levels = sorted({*train[name].dropna(), *test[name].dropna()})
        train[name], test[name] = (pd.Categorical(frame[name], categories=levels) for frame in (train, test))
    if ids is None:
        ids = np.random.default_rng(99).permutation(len(train))
    return Dataset(
        train=train.astype(dict.fromkeys(numeric, np.float64)),
        test=test.astype(dict.fromkeys(numeric, np.float64)),
        target=np.asarray(target, dtype=np.float64),
        held_out=None,
        train_ids=texts(ids),
        test_ids=texts(range(10_000, 10_000 + len(test))),
        columns=(),
        numeric=numeric,
        categorical=categorical,
        dates=(),
        fold_columns={},
        submission_header=("Id", "y"),
        submission_ids=texts(range(10_000, 10_000 + len(test))),
        notices=(),
    )


def normal(rows=300, columns=4, seed=0):
    """Standard normal columns a, b, c, … and noise of the same kind."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, columns)), columns=list("abcdefgh")[:columns])
    return frame, random.normal(size=rows)


def alarms(data):
    """Everything above a note that the checks of this module find."""
    found = [
        *leaks.disguises(data),
        *leaks.telling_levels(data),
        *leaks.telling_gaps(data),
        *leaks.ordered_rows(data),
        *leaks.equal_rows(data, "rmse"),
    ]
    return [finding for finding in found if finding.severity != "note"]


# --- the target in disguise


@pytest.mark.parametrize(
    ("disguise", "words"),
    [
        (lambda y: y, "is 'y' itself"),
        (lambda y: 3 - 0.001 * y, "is 'y' but for a factor and an offset"),
        (lambda y: np.exp(y / 3), "orders the rows as 'y' does"),
        (lambda y: np.round(y, 1), "orders the rows as 'y' does"),
    ],
)
def test_a_column_that_is_a_function_of_the_target_is_found(disguise, words):
    """The target itself, an affine and a monotone function of it, a rounded one: named alone, to be dropped."""
    frame, noise = normal()
    y = frame["a"] + 10 * noise
    data = dataset(frame.assign(copy=disguise(y)), y)
    (finding,) = leaks.disguises(data, "'y'")
    assert (finding.columns, finding.severity) == (("copy",), "leak")
    assert words in finding.evidence
    assert finding.remedy == '[schema] drop = ["copy"]'


def test_a_copy_that_stands_on_a_few_rows_is_found_too():
    """40 of 300 rows have it; on 29 of them, or with 9 distinct values, there is nothing to say."""
    frame, y = normal()
    for rows, values, found in ((40, y, True), (29, y, False), (300, np.digitize(y, np.linspace(-1, 1, 8)), False)):
        copy = np.where(np.arange(300) < rows, values, np.nan)
        data = dataset(frame.assign(copy=copy), values)
        assert [f.columns for f in leaks.disguises(data) if f.kind == "target in disguise"] == [("copy",)] * found


@pytest.mark.parametrize(
    ("a", "b", "combined"),
    [
        ("casual", "registered", "casual + registered"),
        ("gross", "tax", "gross - tax"),
        ("price", "quantity", "price * quantity"),
        ("amount", "area", "amount / area"),
    ],
)
def test_two_columns_that_make_the_target_are_found(a, b, combined):
    """As casual + registered = count: neither is a copy, both together are; a factor and rounding hide nothing."""
    frame, _ = normal()
    random = np.random.default_rng(5)
    pair = pd.DataFrame({a: random.integers(50, 300, 300), b: random.integers(5, 200, 300)})
    y = pair.eval(combined)
    (finding,) = leaks.disguises(dataset(frame.join(pair), y), "'count'")
    assert set(finding.columns) == {a, b}
    assert finding.severity == "leak"
    assert "= 'count' on 300 of 300 rows" in finding.evidence
    (finding,) = leaks.disguises(dataset(frame.join(pair), (1.19 * y).round(2)), "'count'")
    assert set(finding.columns) == {a, b}
    assert "but for a factor and an offset" in finding.evidence


def test_one_far_outlier_makes_no_pair():
    """On one row everything is a million: correlations are 1, ranks are not."""
    frame, y = normal()
    frame.iloc[7], y[7] = 1e6, 1e6
    assert np.corrcoef(frame["a"] + frame["b"], y)[0, 1] > 0.9999
    assert leaks.disguises(dataset(frame, y)) == []


def test_a_column_that_nearly_determines_the_target_is_found_where_it_stands_out():
    """The target a^2 is no order of a; with a twin of a beside it the target is merely easy, and nothing is said."""
    frame, noise = normal(rows=1500)
    y = frame["a"] ** 2 + 0.01 * noise
    (finding,) = leaks.disguises(dataset(frame, y))
    assert (finding.kind, finding.columns, finding.severity) == ("nearly the target", ("a",), "warning")
    assert leaks.disguises(dataset(frame.assign(twin=frame["a"] + 0.001 * frame["b"]), y)) == []


# --- levels and gaps


def test_levels_inside_which_the_target_never_varies_are_found():
    """60 levels of 5 rows, one target each. With the noise of a tenth of it, they are only a good feature."""
    frame, noise = normal()
    level = np.random.default_rng(1).permutation(np.arange(300) % 60)
    for spread, found in ((0.0, True), (0.1, False)):
        data = dataset(frame.assign(city=[f"c{n}" for n in level]), np.sin(level) + spread * noise)
        assert [f.columns for f in leaks.telling_levels(data)] == [("city",)] * found
        assert all("60 levels on 300 rows" in f.evidence for f in leaks.telling_levels(data))


def test_levels_that_never_repeat_say_nothing():
    """A name for each row; a name for each pair of equal rows; repeated names among targets that are mostly 0."""
    frame, y = normal()
    unique = dataset(frame.assign(name=[f"n{n}" for n in range(300)]), y)
    twice = dataset(pd.concat([unique.train, unique.train]).astype({"name": str}), np.tile(y, 2))
    mostly_zero = np.where(np.arange(300) < 290, 0.0, y)
    mostly_zero[:2] = 5.0
    pairs = dataset(frame.assign(name=[f"n{n // 2}" if n < 70 else f"m{n}" for n in range(300)]), mostly_zero)
    assert leaks.telling_levels(unique) == leaks.telling_levels(twice) == leaks.telling_levels(pairs) == []


def test_a_gap_that_tells_the_target_is_found():
    """It is near 100 where `sold` is there and near 0 where not: R2 0.99; with a spread of 30, it is a mere hint."""
    frame, noise = normal()
    there = np.random.default_rng(2).random(300) < 0.5
    frame["sold"] = np.where(there, frame["b"], np.nan)
    (finding,) = leaks.telling_gaps(dataset(frame, 100 * there + 5 * noise))
    assert (finding.columns, finding.severity) == (("sold",), "leak")
    assert leaks.telling_gaps(dataset(frame, 100 * there + 30 * noise)) == []


# --- orders


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["10", "9", "-1.5"], [10, 9, -1.5]),
        (["row 10", "row 9", "row 011"], [10, 9, 11]),
        (["2011-01-02 00", "2010-12-31 23", "2011-01-02 00"], [1, 0, 1]),
    ],
)
def test_ids_are_ordered_as_a_reader_would(ids, order):
    """As numbers, by the one number in them, or by the alphabet."""
    assert order_of_ids(texts(ids)).tolist() == order


def test_an_id_that_orders_the_target_is_a_leak_and_one_that_follows_it_a_note():
    """Ids given out by rising target on shuffled rows; then with so much noise that Spearman is about 0.5."""
    frame, y = normal()
    exact = stats.rankdata(y).astype(int)
    loose = stats.rankdata(y + 1.6 * frame["a"]).astype(int)
    for ids, severities in ((exact, ["leak"]), (loose, ["note"]), (None, [])):
        found = leaks.ordered_rows(dataset(frame, y, ids=None if ids is None else [f"id-{n}" for n in ids]))
        assert [finding.severity for finding in found] == severities
        assert all("order of the ids" in finding.evidence for finding in found)


def test_an_order_that_chance_can_give_is_not_mentioned():
    """Among 31 rows without any order, Spearman is beyond 0.3 once in ten times: never told in 20 tables."""
    for seed in range(20):
        frame, y = normal(rows=31, seed=seed)
        assert leaks.ordered_rows(dataset(frame, y)) == []


def test_sorted_rows_are_told_once_where_ids_count_them():
    """Rows sorted by target: by themselves, and with ids 0, 1, 2, … in one finding."""
    frame, y = normal()
    (alone,) = leaks.ordered_rows(dataset(frame, np.sort(y)))
    (both,) = leaks.ordered_rows(dataset(frame, np.sort(y), ids=range(300)))
    assert alone.evidence.startswith("the order of the rows gives")
    assert both.evidence.startswith("the order of the rows, and of their ids, gives")


# --- equal rows


def test_targets_of_equal_rows_give_the_noise_floor():
    """Pairs (1, 3) and (10, 14): deviations 1, 1, 2, 2 and two degrees of freedom: the root of 10 / 2."""
    within = agreement(np.array([0, 0, 1, 1, 2]), np.array([1.0, 3.0, 10.0, 14.0, 99.0]))
    assert (within.rows, within.groups, within.freedom) == (4, 2, 2)
    assert within.spread == pytest.approx(5**0.5)
    frame = pd.DataFrame({"a": [0.0, 0.0, 1.0, 1.0, np.nan], "c": ["x", "x", None, None, "x"]})
    data = dataset(frame, [1, 3, 10, 14, 99], test=frame[4:])
    train, test = leaks.equal_rows(data, "rmse")
    assert "2 of 5 training rows repeat another in every feature; their targets differ by 2.236" in train.evidence
    assert "1 of 1 test rows equal a training row" in test.evidence
    logs = np.std(np.log([[1, 3], [10, 14]]), axis=1, ddof=1)
    (train, _) = leaks.equal_rows(data, "log_rmse")
    assert f"differ by {np.sqrt(np.mean(logs**2)):.4g}" in train.evidence


def test_copied_rows_weigh_on_the_scores_and_copied_test_rows_can_be_looked_up():
    """40 of 340 training rows stand there twice with their target: a warning, and so for test rows from among train."""
    frame, y = normal()
    data = dataset(pd.concat([frame, frame[:40]]), np.append(y, y[:40]), test=frame[100:150])
    train, test = leaks.equal_rows(data, "rmse")
    assert (train.severity, test.severity) == ("warning", "warning")
    assert train.evidence.startswith("40 of 340 training rows repeat another in every feature, with the same target")
    assert train.remedy.startswith('[schema] duplicates = "drop"')
    assert test.evidence.startswith("50 of 50 test rows")
    assert "looked up" in test.evidence
    assert leaks.equal_rows(dataset(frame, y, test=normal(seed=9)[0]), "rmse") == []


def test_rows_are_equal_when_every_value_is_or_is_missing_in_both():
    """Two rows of NaN and None are equal; one number apart they are not."""
    frame = pd.DataFrame({"a": [np.nan, np.nan, 1.0, 1.5], "c": pd.Categorical([None, None, "x", "x"])})
    keys = row_keys(frame)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


# --- no alarm without cause


def honest(kind, seed, rows=200):
    """Tables of several kinds without a leak, with a strong feature of R2 0.9 in the first."""
    random = np.random.default_rng(seed)
    frame, noise = normal(rows, seed=seed)
    if kind == "strong":
        return dataset(frame, 3 * frame["a"] + noise)
    if kind == "levels":
        frame = frame.assign(
            letter=random.choice(list("abcdef"), rows), name=[f"n{n}" for n in random.permutation(rows)], constant=1.0
        )
        frame.loc[random.random(rows) < 0.3, "b"] = np.nan
        return dataset(frame, frame["a"] + 4 * (frame["letter"] == "a") + noise)
    if kind == "counts":
        frame = pd.DataFrame(random.poisson(1.5, (rows, 3)), columns=list("abc")).assign(
            shop=random.choice([f"s{n}" for n in range(80)], rows)
        )
        return dataset(frame, np.where(random.random(rows) < 0.85, 0, random.poisson(3, rows)))
    if kind == "skewed":
        return dataset(np.exp(2 * frame), np.exp(frame["a"] + noise))
    letters = pd.DataFrame(random.choice(list("ab"), (rows, 3)), columns=list("abc"))
    return dataset(letters, 2 * (letters["a"] == "a") + noise)


@pytest.mark.parametrize("kind", ["strong", "levels", "counts", "skewed", "letters"])
@pytest.mark.parametrize("rows", [8, 40, 200])
def test_an_honest_table_raises_no_alarm(kind, rows):
    """Twenty draws of each kind; a strong feature, a name for each row, a constant, gaps, zeros, few levels."""
    assert [alarm for seed in range(20) for alarm in alarms(honest(kind, seed, rows))] == []


def test_wild_and_empty_columns_are_judged_without_a_warning():
    """1e100, whose products overflow, a column without a value, one with a single value."""
    frame, y = normal()
    frame = frame.assign(wild=1e100 * frame["a"], wilder=-1e100, empty=np.nan, once=np.where(np.arange(300), np.nan, 1))
    assert alarms(dataset(frame, y)) == []
    assert alarms(dataset(frame, 1e99 * y)) == []


# --- on every run, and of any size


def test_the_quick_checks_find_copies_and_telling_orders_and_no_more():
    """A copy and ids by target; a note-sized order and a pair are left to the full look."""
    frame, y = normal()
    data = dataset(frame.assign(copy=-y), y, ids=stats.rankdata(y).astype(int))
    assert [(notice.subject, notice.count) for notice in leaks.quick_leaks(data)] == [("copy", 300), ("Id", 300)]
    loose = stats.rankdata(y + 1.6 * frame["a"]).astype(int)
    assert leaks.quick_leaks(dataset(frame.assign(sum=y - frame["a"]), y, ids=loose)) == []


def test_a_long_table_is_judged_by_the_same_rows_every_time():
    """20,000 of 30,000, ascending, without repeats; a copy is found in them."""
    rows = drawn_rows(30_000)
    assert len(rows) == 20_000
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, drawn_rows(30_000))
    frame, y = normal(rows=30_000, columns=2)
    (notice,) = leaks.quick_leaks(dataset(frame.assign(copy=y**3), y))
    assert (notice.subject, notice.count) == ("copy", 20_000)


def test_rank_correlation_is_that_of_scipy_on_the_rows_that_have_both():
    """Ties and gaps included."""
    random = np.random.default_rng(3)
    a, b = random.integers(0, 9, 100).astype(float), random.normal(size=100)
    a[:20], b[90:] = np.nan, np.nan
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a[20:90], b[20:90]).statistic, abs=1e-12)
