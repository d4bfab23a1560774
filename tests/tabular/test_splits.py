"""How rows become folds, against scikit-learn's splitters."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, ShuffleSplit, StratifiedKFold

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings
from pipeline.tabular.splits import k_folds, split_rows, target_bins

counts = st.integers(2, 10).flatmap(lambda count: st.tuples(st.integers(2 * count, 200), st.just(count)))
seeds = st.integers(0, 2**32 - 1)


def texts(values):
    """A column of texts, None where missing."""
    return np.array(values, dtype=object)


def split(kind, rows, column=None, **settings):
    """Folds of a target that counts the rows."""
    named = {"column": "Zone"} if kind in ("grouped", "leave_one_group_out", "column") else {}
    return split_rows(
        np.arange(rows, dtype=np.float64),
        FoldSettings(kind=kind, **(named | settings)),
        None if column is None else texts(column),
    )


def refusal(kind, rows, column=None, **settings):
    """The sentence with which a split is refused."""
    with pytest.raises(ConfigError) as raised:
        split(kind, rows, column, **settings)
    return str(raised.value)


def assert_same(folds, pairs):
    """The same rows, fold by fold."""
    expected = [(np.sort(train), np.sort(valid)) for train, valid in pairs]
    assert folds.count == len(expected)
    for train, valid, (oracle_train, oracle_valid) in zip(folds.train, folds.valid, expected, strict=True):
        assert np.array_equal(train, oracle_train)
        assert np.array_equal(valid, oracle_valid)


# --- k folds


@given(counts, st.booleans(), seeds)
def test_folds_partition_the_rows_and_differ_by_at_most_one(rows_and_count, shuffle, seed):
    """Every row is scored once and trained on in every other fold, never both."""
    rows, count = rows_and_count
    folds = k_folds(rows, count=count, shuffle=shuffle, seed=seed)
    assert folds.count == count
    assert np.array_equal(np.sort(np.concatenate(folds.valid)), np.arange(rows))
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(rows))
    sizes = [len(valid) for valid in folds.valid]
    assert max(sizes) - min(sizes) <= 1


@given(counts, st.integers(0, 1000))
def test_shuffled_folds_are_scikit_learns(rows_and_count, seed):
    """The same rows in each fold as KFold with that random_state."""
    rows, count = rows_and_count
    expected = list(KFold(count, shuffle=True, random_state=seed).split(np.zeros(rows)))
    assert_same(k_folds(rows, count=count, shuffle=True, seed=seed), expected)
    assert_same(split("kfold", rows, count=count, seed=seed), expected)


@given(counts)
def test_folds_without_shuffling_are_contiguous_blocks(rows_and_count):
    """In the order of the rows; the first rows % count blocks hold one row more."""
    rows, count = rows_and_count
    folds = split("kfold", rows, count=count, shuffle=False)
    assert np.array_equal(np.concatenate(folds.valid), np.arange(rows))
    sizes = [len(valid) for valid in folds.valid]
    assert sizes == sorted(sizes, reverse=True)


def test_seven_rows_in_three_blocks_by_hand():
    """3 + 2 + 2."""
    folds = k_folds(7, count=3, shuffle=False, seed=0)
    assert [valid.tolist() for valid in folds.valid] == [[0, 1, 2], [3, 4], [5, 6]]
    assert folds.train[1].tolist() == [0, 1, 2, 5, 6]


def test_another_seed_is_another_split():
    """And the same seed the same one."""
    one, same, other = (k_folds(50, count=5, shuffle=True, seed=seed).valid[0] for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_too_few_rows_for_the_folds_are_a_sentence(rows):
    """Two rows a fold at least, as scores of a single row mean nothing; the same of every kind with a count."""
    sentence = (
        f"folds.count = 5 needs at least 10 training rows with a target, found {rows}; "
        f"lower folds.count or bring more rows"
    )
    with pytest.raises(ConfigError) as raised:
        k_folds(rows, count=5, shuffle=True, seed=0)
    assert str(raised.value) == sentence
    assert refusal("kfold", rows) == refusal("stratified", rows) == sentence
    assert refusal("grouped", rows, [str(row) for row in range(rows)]) == sentence
    assert k_folds(10, count=5, shuffle=True, seed=0).count == 5
    assert split("grouped", 10, [str(row) for row in range(10)]).count == 5


# --- what every kind guarantees

cells = st.sampled_from(["a", "b", "c", "d e", "10", "9", "é"])
group_columns = st.lists(cells, min_size=14, max_size=60).filter(lambda column: len(set(column)) >= 3)


@given(
    group_columns,
    st.sampled_from(["kfold", "stratified", "grouped", "leave_one_group_out", "holdout"]),
    st.integers(2, 3),
    st.integers(1, 3),
    seeds,
)
def test_no_row_and_no_group_is_on_both_sides_and_every_row_is_scored_once_a_repeat(column, kind, count, repeats, seed):
    """Of any column of groups, count, number of repeats and seed; rows ascend and are int64."""
    repeats = 1 if kind == "leave_one_group_out" else repeats
    folds = split(kind, len(column), column, count=count, repeats=repeats, seed=seed)
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert (train.dtype, valid.dtype) == (np.int64, np.int64)
        assert (np.diff(train) > 0).all()
        assert (np.diff(valid) > 0).all()
        assert np.array_equal(np.union1d(train, valid), np.arange(len(column)))
        assert len(valid)
        assert not np.intersect1d(train, valid).size
        if kind in {"grouped", "leave_one_group_out"}:
            assert not {column[row] for row in train} & {column[row] for row in valid}
    if kind != "holdout":
        assert np.bincount(folds.scored_rows, minlength=len(column)).tolist() == [repeats] * len(column)


@given(st.lists(st.sampled_from([None, "", " ", "1", "2", "x"]), min_size=4, max_size=40))
def test_a_fold_column_scores_each_row_in_its_own_fold_and_a_blank_one_nowhere(column):
    """A row without a fold is trained on by every fold."""
    names = sorted({text for text in column if text and text.strip()})
    assume(len(names) >= 2)
    folds = split("column", len(column), column)
    for train, valid, name in zip(folds.train, folds.valid, names, strict=True):
        assert [column[row] for row in valid] == [name] * column.count(name)
        assert np.array_equal(np.union1d(train, valid), np.arange(len(column)))
        assert len(train) + len(valid) == len(column)


# --- repeats


@pytest.mark.parametrize("kind", ["kfold", "stratified", "grouped", "holdout"])
def test_a_repeat_is_the_split_of_the_next_seed(kind):
    """Three repeats from seed 7 are the splits of seeds 7, 8 and 9, one after the other, and all differ."""
    column = [str(row % 20) for row in range(60)]
    repeated = split(kind, 60, column, seed=7, repeats=3)
    single = [split(kind, 60, column, seed=seed) for seed in (7, 8, 9)]
    pairs = [pair for folds in single for pair in zip(folds.train, folds.valid, strict=True)]
    assert_same(repeated, pairs)
    assert len({valid.tobytes() for valid in repeated.valid}) == repeated.count


def test_after_the_last_seed_comes_the_first():
    """A seed has 32 bits: the repeat after 4294967295 is seed 0."""
    last = split("kfold", 20, seed=2**32 - 1, repeats=2)
    assert np.array_equal(last.valid[5], split("kfold", 20, seed=0).valid[0])


# --- each kind against scikit-learn and by hand


@given(counts, seeds)
def test_stratified_folds_are_scikit_learns_on_bins_of_the_target(rows_and_count, seed):
    """StratifiedKFold of the bins; of a target without ties each fold holds equal shares of each bin, but for one."""
    rows, count = rows_and_count
    target = np.random.default_rng(rows).permutation(rows).astype(np.float64)
    bins = target_bins(target, bins=10, smallest=count)
    folds = split_rows(target, FoldSettings(kind="stratified", count=count, seed=seed))
    assert_same(folds, StratifiedKFold(count, shuffle=True, random_state=seed).split(target, bins))
    shares = np.array([np.bincount(bins[valid], minlength=bins.max() + 1) for valid in folds.valid])
    assert (np.ptp(shares, axis=0) <= 1).all()


def test_bins_hold_equal_shares_of_the_target_by_hand():
    """Twelve targets in four bins: the three smallest, the next three and so on, wherever they stand."""
    target = np.array([11, 0, 1, 10, 2, 3, 9, 4, 8, 5, 7, 6], dtype=np.float64)
    assert target_bins(target, bins=4, smallest=2).tolist() == [3, 0, 0, 3, 0, 1, 3, 1, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 1, 2], [0] * 8),  # six ties, and 1 and 2 alone too few: they join them
        ([0, 0, 0, 0, 1, 2, 3, 4], [0] * 4 + [1] * 4),
        ([5, 5, 5, 5, 5, 5, 5, 5], [0] * 8),
        ([0, 1, 2, 3, 9, 9, 9, 9], [0] * 4 + [1] * 4),
        ([0, 1, 2, 3, 4, 5], [0] * 3 + [1] * 3),
    ],
)
def test_ties_stay_together_and_bins_with_too_few_rows_are_merged(target, expected):
    """Four bins asked for, three rows at least in each."""
    assert target_bins(np.array(target, dtype=np.float64), bins=4, smallest=3).tolist() == expected


@given(st.lists(st.integers(0, 5), min_size=4, max_size=60), st.integers(2, 12), st.integers(2, 5))
def test_every_bin_is_large_enough_and_equal_targets_share_one(values, bins, smallest):
    """Of any target with ties; bins are numbered from 0 without gaps, and rise with the target."""
    found = target_bins(np.array(values, dtype=np.float64), bins=bins, smallest=smallest)
    sizes = np.bincount(found)
    assert len(sizes) == 1 or sizes.min() >= smallest
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    for value in set(values):
        assert len({place for place, own in zip(found, values, strict=True) if own == value}) == 1


@given(group_columns, st.integers(2, 3), seeds)
def test_grouped_folds_are_scikit_learns(column, count, seed):
    """GroupKFold(shuffle=True) with that random_state."""
    expected = GroupKFold(count, shuffle=True, random_state=seed).split(column, groups=column)
    assert_same(split("grouped", len(column), column, count=count, seed=seed), expected)


def test_the_order_of_rows_does_not_decide_which_groups_go_together():
    """The same groups share a fold when the rows are turned round."""
    column = [str(row % 7) for row in range(40)]
    ways = [split("grouped", 40, order, count=3, seed=5).valid for order in (column, column[::-1])]
    one, other = ([{order[row] for row in valid} for valid in valids] for order, valids in
                  zip((column, column[::-1]), ways, strict=True))  # fmt: skip
    assert one == other


@given(group_columns)
def test_leaving_one_group_out_is_scikit_learns(column):
    """LeaveOneGroupOut; texts that are not all whole numbers are in the order of texts there too."""
    column = [f"g{text}" for text in column]
    expected = LeaveOneGroupOut().split(column, groups=column)
    assert_same(split("leave_one_group_out", len(column), column), expected)


@given(st.integers(10, 200), st.floats(0.2, 0.8), seeds)
def test_a_holdout_is_scikit_learns_shuffle_split(rows, share, seed):
    """One fold; ceil(share * rows) rows are scored, all others trained on."""
    folds = split("holdout", rows, share=share, seed=seed)
    assert_same(folds, ShuffleSplit(1, test_size=share, random_state=seed).split(np.zeros(rows)))
    assert len(folds.valid[0]) == np.ceil(share * rows)


def test_a_fold_column_by_hand():
    """Folds 2 and 10 in the order of numbers; the blank rows are trained on by both and scored by none."""
    folds = split("column", 6, ["10", "2", None, " 2", "", "10"])
    assert [valid.tolist() for valid in folds.valid] == [[1, 3], [0, 5]]
    assert [train.tolist() for train in folds.train] == [[0, 2, 4, 5], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("column", "order"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10.0", "9.0"], ["9.0", "10.0"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["1.5", "10", "9"], ["1.5", "10", "9"]),
    ],
)
def test_folds_are_in_the_order_of_numbers_if_all_are_whole_and_of_texts_otherwise(column, order):
    """Of a fold column and of leave-one-group-out alike."""
    for kind in ("column", "leave_one_group_out"):
        folds = split(kind, len(column), column)
        assert [column[int(valid[0])] for valid in folds.valid] == order


def test_blanks_around_a_group_make_no_other_group():
    """Else a padded cell would leak."""
    folds = split("leave_one_group_out", 4, ["a", "a ", " b", "b"])
    assert [valid.tolist() for valid in folds.valid] == [[0, 1], [2, 3]]


# --- refusals


@pytest.mark.parametrize(
    ("kind", "content"), [("grouped", "groups"), ("leave_one_group_out", "groups"), ("column", "folds")]
)
def test_a_kind_that_reads_a_column_needs_one(kind, content):
    """A column that is named and was not handed over: the settings and the remedy are named."""
    assert refusal(kind, 20) == f'folds.kind = "{kind}" needs folds.column; name the column of the {content}'


@pytest.mark.parametrize("kind", ["grouped", "leave_one_group_out"])
def test_a_row_without_a_group_is_refused_with_their_number(kind):
    """None, an empty text and blanks: it could stand on both sides."""
    assert refusal(kind, 12, ["a", "b", None, "", "  ", *"abcabca"]) == (
        f'folds.kind = "{kind}" needs a group on every training row, found 3 without one in column '
        f"'Zone'; fill them or name another column"
    )


def test_fewer_groups_than_folds_are_refused():
    """Three groups fill three folds, not four."""
    column = ["a", "b", "c"] * 4
    assert refusal("grouped", 12, column, count=4) == (
        "folds.count = 4 needs at least 4 groups, found 3 in column 'Zone'; lower folds.count or name another column"
    )
    assert split("grouped", 12, column, count=3).count == 3


def test_one_group_cannot_be_left_out():
    """Nothing would be left to train on."""
    assert refusal("leave_one_group_out", 4, ["a"] * 4) == (
        "folds.kind = \"leave_one_group_out\" needs at least 2 groups, found 1 in column 'Zone'; name another column"
    )


def test_one_fold_and_blanks_are_a_fixed_holdout():
    """The blank rows are trained on, the others scored."""
    folds = split("column", 4, ["1", None, "1", None])
    assert [rows.tolist() for rows in (*folds.train, *folds.valid)] == [[1, 3], [0, 2]]


@pytest.mark.parametrize(("cell", "found"), [("1", 1), (None, 0)])
def test_a_fold_column_that_leaves_nothing_to_train_on_or_to_score_is_refused(cell, found):
    """The same fold in every row, or blanks alone."""
    assert refusal("column", 4, [cell] * 4) == (
        f"folds.kind = \"column\" needs at least 2 folds, found {found} in column 'Zone'; give its rows two values or "
        f'more, or take folds.kind = "holdout"'
    )


@pytest.mark.parametrize(
    ("kind", "remedy"), [("leave_one_group_out", 'take folds.kind = "grouped"'), ("column", "name another column")]
)
def test_more_than_a_thousand_values_are_refused(kind, remedy):
    """An id taken for a group."""
    values = [str(row) for row in range(1001)]
    assert refusal(kind, 1001, values) == (
        f"folds.kind = \"{kind}\" makes one fold of each value, found 1001 in column 'Zone', expected at most 1000; "
        f"{remedy}"
    )
    assert split(kind, 1000, values[:1000]).count == 1000


@pytest.mark.parametrize("kind", ["kfold", "stratified", "grouped"])
def test_more_than_a_thousand_folds_are_refused(kind):
    """5 x 201."""
    assert refusal(kind, 20, ["a"] * 20, repeats=201) == (
        "folds.count = 5 and folds.repeats = 201 make 1005 folds, expected at most 1000; lower one of them"
    )


def test_a_thousand_folds_are_enough_for_anyone():
    """5 x 200, and 1000 holdouts whatever folds.count says."""
    assert split("kfold", 10, repeats=200).count == 1000
    assert split("holdout", 10, repeats=1000).count == 1000


@pytest.mark.parametrize("kind", ["leave_one_group_out", "column"])
def test_what_no_seed_changes_cannot_be_repeated(kind):
    """The same split twice would count each row twice for nothing."""
    assert refusal(kind, 4, ["a", "b"] * 2, repeats=2) == (
        f'folds.repeats = 2 draws further splits, but folds.kind = "{kind}" has only one; set folds.repeats = 1'
    )


def test_contiguous_blocks_cannot_be_repeated():
    """Every repeat would be the same."""
    assert refusal("kfold", 20, repeats=2, shuffle=False) == (
        "folds.repeats = 2 needs other shuffles, found folds.shuffle = false; set folds.shuffle = true or "
        "folds.repeats = 1"
    )


@pytest.mark.parametrize("kind", ["stratified", "grouped", "holdout"])
def test_a_kind_that_always_shuffles_refuses_not_to(kind):
    """Who asks for rows in their order must not get them drawn; a fold column draws nothing and may say so."""
    assert refusal(kind, 20, ["a"] * 20, shuffle=False) == (
        f'folds.shuffle = false goes with folds.kind = "kfold" alone, found folds.kind = "{kind}"; set '
        f"folds.shuffle = true"
    )
    assert split("column", 4, ["a", "b"] * 2, shuffle=False).count == 2


@pytest.mark.parametrize(("rows", "share", "scored"), [(3, 0.2, 1), (5, 0.2, 1), (10, 0.9, 9), (0, 0.5, 0)])
def test_a_holdout_needs_two_rows_on_each_side(rows, share, scored):
    """Six rows at 20 %: two are scored."""
    assert refusal("holdout", rows, share=share) == (
        f"folds.share = {share:g} scores {scored} of {rows} training rows and trains on {rows - scored}, expected 2 "
        f"at least of each; change folds.share or bring more rows"
    )
    assert len(split("holdout", 6, share=0.2).valid[0]) == 2
