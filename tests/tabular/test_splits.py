"""How rows become folds, against scikit-learn's KFold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from pipeline.errors import ConfigError
from pipeline.tabular.splits import k_folds

counts = st.integers(2, 10).flatmap(lambda count: st.tuples(st.integers(2 * count, 200), st.just(count)))


@given(counts, st.booleans(), st.integers(0, 2**32 - 1))
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
    folds = k_folds(rows, count=count, shuffle=True, seed=seed)
    expected = KFold(count, shuffle=True, random_state=seed).split(np.zeros(rows))
    for train, valid, (oracle_train, oracle_valid) in zip(folds.train, folds.valid, expected, strict=True):
        assert np.array_equal(train, oracle_train)
        assert np.array_equal(valid, oracle_valid)


@given(counts)
def test_folds_without_shuffling_are_contiguous_blocks(rows_and_count):
    """In the order of the rows; the first rows % count blocks hold one row more."""
    rows, count = rows_and_count
    folds = k_folds(rows, count=count, shuffle=False, seed=0)
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
    """Two rows a fold at least, as scores of a single row mean nothing."""
    with pytest.raises(ConfigError) as raised:
        k_folds(rows, count=5, shuffle=True, seed=0)
    assert str(raised.value) == (
        f"folds.count = 5 needs at least 10 training rows with a target, found {rows}; "
        f"lower folds.count or bring more rows"
    )
    assert k_folds(10, count=5, shuffle=True, seed=0).count == 5
