"""How far ahead rows are forecast: layouts and origins by hand, a slow loop as the oracle, ages that are fair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tabular.origins import block_origins, block_starts, drawn_ages, find_layout, rolling_ages
from pipeline.timeline import UNKNOWN_SERIES, Moments


def of(*series):
    """Moments of series 0, 1, …, the steps of each."""
    codes = np.repeat(np.arange(len(series), dtype=np.int32), [len(steps) for steps in series])
    return Moments(codes, np.array([step for steps in series for step in steps], dtype=np.int64))


def taken(moments, rows):
    return Moments(moments.series[rows], moments.step[rows])


def months(count, days):
    """Days of months of 30 days, counted from 0."""
    return [30 * month + day for month in range(count) for day in days]


some_moments = st.lists(st.tuples(st.integers(-1, 2), st.integers(-5, 25)), min_size=1, max_size=30).map(
    lambda pairs: Moments(np.array([s for s, _ in pairs], np.int32), np.array([t for _, t in pairs], np.int64))
)
known_moments = st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 25)), min_size=1, max_size=30, unique=True).map(
    lambda pairs: of(*(sorted(t for s, t in pairs if s == series) for series in range(3)))
)


# --- layouts


def test_a_block_after_all_training_rows_is_the_future():
    """Two series of 10 days, then 3 days of each."""
    layout, evidence = find_layout(of(range(10), range(10)), of(range(10, 13), range(10, 13)))
    assert layout == "future"
    assert evidence == "all 6 test rows lie after the last training row of their series, up to 3 steps"


def test_the_last_days_of_every_month_are_interleaved():
    """Training days 1 to 19, test days 20 to 30: 3 blocks, the last of which has no training row behind it."""
    layout, evidence = find_layout(of(months(3, range(19))), of(months(3, range(19, 30))))
    assert layout == "interleaved"
    assert evidence == "33 test rows in 3 blocks, of which 11 rows lie after the last training row"


def test_rows_drawn_one_by_one_are_random():
    """Every fourth of 40 steps: as many stretches as test rows."""
    layout, evidence = find_layout(of([t for t in range(40) if t % 4]), of(range(0, 40, 4)))
    assert layout == "random"
    assert evidence == "10 test rows in 10 stretches between training rows (from step 1 to 39)"


@pytest.mark.parametrize(("length", "layout"), [(5, "interleaved"), (4, "interleaved"), (1, "random")])
def test_stretches_of_a_few_rows_are_blocks(length, layout):
    """Twenty test rows, twice as many others: drawn one by one they make some 13 stretches; 4 or 5 are fewer."""
    test = [3 * length * block + at for block in range(20 // length) for at in range(length)]
    last = test[-1] + 2 * length + 1
    assert find_layout(of([t for t in range(last) if t not in test]), of(test))[0] == layout


@pytest.mark.parametrize(("fresh", "layout"), [(3, "new_groups"), (2, "future")])
def test_most_rows_have_to_be_of_series_that_train_has_not(fresh, layout):
    """Four test series of 2 rows; of 3 of them, or of 2, nothing is known."""
    train = of(*([range(10)] * (4 - fresh)))
    test = of(*([[10, 11]] * 4))
    assert find_layout(train, test)[0] == layout


def test_new_groups_are_told_with_their_rows():
    """Series that no file of training has, be they named or not."""
    test = Moments(np.array([0, 1, 1, UNKNOWN_SERIES], np.int32), np.array([10, 3, 4, 5]))
    assert find_layout(of(range(10)), test) == ("new_groups", "3 of 4 test rows are of series that train has not")


def test_series_that_end_on_different_days_are_forecast_as_a_future_block():
    """Six rows each behind the end of their series, be it step 9 or step 19; a series that only goes on has no say."""
    train, test = of(range(20), range(10), range(30)), of(range(20, 26), range(10, 16))
    layout, evidence = find_layout(train, test)
    assert layout == "future"
    assert evidence.startswith("all 12 test rows lie after the last training row of their series")


def test_one_test_row_before_a_training_row_of_its_series_makes_blocks():
    """Steps 10 to 15 of a series that goes on at 16."""
    assert find_layout(of([*range(10), *range(16, 30)]), of([*range(10, 16), *range(30, 36)]))[0] == "interleaved"


# --- blocks and their origins


def test_blocks_of_one_series_by_hand():
    """Known are 0 to 4, 8 and 9: rows 5, 6, 7 are one block, 10 and 12 another, whatever their order."""
    known, rows = of([0, 1, 2, 3, 4, 8, 9]), of([12, 6, 5, 10, 7])
    assert block_starts(rows, known).tolist() == [10, 5, 5, 10, 5]
    assert block_origins(rows, known).tolist() == [9, 4, 4, 9, 4]


def test_a_gap_is_what_lies_between_an_origin_and_its_block():
    """Two steps before 5 are 3 and 4, so 2 is the origin; two before 10 are 8 and 9, so it is 4."""
    known, rows = of([0, 1, 2, 3, 4, 8, 9]), of([5, 6, 7, 10, 12])
    assert block_origins(rows, known, gap=2).tolist() == [2, 2, 2, 4, 4]


def test_each_series_has_blocks_of_its_own_and_all_share_what_day_it_is():
    """The first is known to 9, the second to 4, the third to 2 but asked for at 10: then the others had told of 9."""
    known = of(range(10), range(5), range(3))
    rows = of([10, 11], [5, 6, 11], [10, 11])
    assert block_starts(rows, known).tolist() == [10, 10, 5, 5, 5, 10, 10]
    assert block_origins(rows, known).tolist() == [9, 9, 4, 4, 4, 9, 9]


def test_a_series_between_whose_rows_something_is_known_has_blocks_where_another_has_one():
    """The first is a future block; of the second 12 is known too, so 13 is one step ahead."""
    known = of(range(10), [*range(10), 12])
    rows = of([10, 11, 13], [10, 11, 13])
    assert block_origins(rows, known).tolist() == [9, 9, 9, 9, 9, 12]


def test_rows_of_unknown_series_are_one_block():
    """Nothing is known of them between their rows; what day it is, others tell."""
    rows = Moments(np.array([UNKNOWN_SERIES, UNKNOWN_SERIES], np.int32), np.array([7, 12]))
    assert block_origins(rows, of(range(10))).tolist() == [6, 6]


def test_before_all_that_is_known_an_origin_is_the_last_step_that_could_be():
    """No row is known before 5."""
    assert block_origins(of([0, 1]), of([5, 6])).tolist() == [-1, -1]
    assert block_origins(of([0, 1]), of([5, 6]), gap=3).tolist() == [-4, -4]


@given(some_moments, known_moments, st.integers(0, 4), st.randoms(use_true_random=False))
def test_blocks_and_origins_are_those_of_a_slow_loop(moments, known, gap, random):
    """Row by row: back to the earliest row of the series without a known one between; then back to what is known."""
    starts, origins = block_starts(moments, known), block_origins(moments, known, gap=gap)
    for row, (series, step) in enumerate(zip(moments.series, moments.step, strict=True)):
        before = known.step[(known.series == series) & (known.step < step)]
        last = before.max(initial=-1000)
        start = moments.step[(moments.series == series) & (moments.step > last) & (moments.step <= step)].min()
        earlier = known.step[known.step < start - gap]
        assert starts[row] == start
        assert origins[row] == (earlier.max() if len(earlier) else start - gap - 1)
    assert (origins + gap < moments.step).all()
    order = np.array(random.sample(range(len(moments.step)), len(moments.step)))
    assert np.array_equal(block_origins(taken(moments, order), known, gap=gap), origins[order])


# --- ages


@given(st.integers(1, 200), st.integers(0, 2**31))
def test_rolling_ages_cover_the_horizon_evenly(horizon, seed):
    """Two series of many steps: every age from 1 to the horizon, 100 times each give or take 6 standard deviations."""
    ages = rolling_ages(of(range(50 * horizon), range(50 * horizon)), horizon, seed)
    counts = np.bincount(ages, minlength=horizon + 1)[1:]
    assert (ages.min(), ages.max()) == (1, horizon)
    assert abs(counts - 100).max() <= 60


def test_every_phase_of_the_day_meets_every_rolling_age():
    """24 hours x 24 ages, 2400 days: 100 of each pair give or take 60, so no hour is always forecast from midnight."""
    moments = of(range(24 * 2400))
    pairs = 24 * (moments.step % 24) + rolling_ages(moments, 24, 0) - 1
    assert abs(np.bincount(pairs, minlength=24 * 24) - 100).max() <= 60


@given(some_moments, st.integers(0, 100), st.randoms(use_true_random=False))
def test_ages_depend_neither_on_the_order_of_rows_nor_on_their_company(moments, seed, random):
    """Any rows in any order have the ages that they had among all."""
    like, phases = np.array([3, 1, 8, 5]), np.array([0, 1, 1, 4])
    some = np.array(random.sample(range(len(moments.step)), random.randint(1, len(moments.step))))
    for draw in (
        lambda rows: rolling_ages(rows, 9, seed),
        lambda rows: drawn_ages(rows, like, phases, 7, seed),
    ):
        assert np.array_equal(draw(taken(moments, some)), draw(moments)[some])


def test_series_steps_and_seeds_are_drawn_apart():
    """Of 1000 rows and 10 ages about one in ten is equal by chance."""
    one = rolling_ages(of(range(1000)), 10, 0)
    for other in (
        rolling_ages(of(range(1000)), 10, 1),
        rolling_ages(of([], range(1000)), 10, 0),
        rolling_ages(of(range(1, 1001)), 10, 0),
    ):
        assert 50 < (one == other).sum() < 150


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 4)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_ages_are_drawn_from_those_of_the_test_with_the_same_phase(pairs, random):
    """Every one of them, and no other; a phase that no test row has takes all. The order of test rows has no say."""
    period, rows = 5, of(range(-1000, 2000))
    like, phases = (np.array(own, dtype=np.int64) for own in zip(*pairs, strict=True))
    ages = drawn_ages(rows, like, phases, period, 0)
    for phase in range(period):
        own = set(like[phases == phase].tolist()) or set(like.tolist())
        assert set(ages[rows.step % period == phase].tolist()) == own
    order = np.array(random.sample(range(len(like)), len(like)))
    assert np.array_equal(drawn_ages(rows, like[order], phases[order], period, 0), ages)


def test_an_age_that_two_thirds_of_the_test_have_is_drawn_as_often():
    """Ages 1, 1, 4 of one phase: 2000 of 3000 rows have age 1, give or take 150."""
    ages = drawn_ages(of(range(3000)), np.array([1, 4, 1]), np.array([0, 0, 0]), 1, 0)
    assert abs((ages == 1).sum() - 2000) < 150
