"""Folds in the layout of the test: by hand, and what holds of every calendar that hypothesis draws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings
from pipeline.tables import Folds
from pipeline.tabular.past import forecast_origins
from pipeline.tabular.replay import replay, replayed
from pipeline.timeline import Clock, Known, Moments, Stamped, Timeline

LAYOUTS = ("future", "rolling", "interleaved", "random", "new_groups")


def of(*series, first=0):
    """Moments of series 0, 1, …, the steps of each."""
    codes = np.repeat(np.arange(first, first + len(series), dtype=np.int32), [len(steps) for steps in series])
    return Moments(codes, np.array([step for steps in series for step in steps], dtype=np.int64))


def timeline(train, test, layout, *, history=None, **options):
    """Of rows that are known where they train, and where they are history."""
    rows = [train, *([history] if history else [])]
    pairs = sorted({pair for own in rows for pair in zip(own.series.tolist(), own.step.tolist(), strict=True)})
    series, step = np.array(pairs, dtype=np.int64).T
    known = Known(series.astype(np.int32), step, ("y",), np.sin(step * 7.0)[:, None])
    stamped = Stamped((), (), Clock("1D", "2024-01-01", "", ()), ("a", "b", "c"), "t", is_utc=False)
    bare = Timeline(stamped, layout, train, test, test.step - 1, known, (), **options)
    origins = forecast_origins(bare, test)
    return replace(bare, test_origin=origins)


def folds_of(own, count=3, **options):
    """Scored steps, trained steps, origins and hidden steps of each fold."""
    found = replay(own, FoldSettings(count=count, **options))
    return [
        (
            own.train.step[found.folds.valid[fold]].tolist(),
            own.train.step[found.folds.train[fold]].tolist(),
            found.origins[fold].tolist(),
            own.known.step[found.hidden[fold]].tolist(),
        )
        for fold in range(found.folds.count)
    ]


def steps(*bounds):
    """Of stretches first .. last, both among them."""
    return [step for first, last in bounds for step in range(first, last + 1)]


# --- by hand


def test_future_folds_end_with_the_training_rows_and_are_as_long_as_the_test():
    """Steps 0 to 11 and a test of 3: folds score 3 to 5, 6 to 8 and 9 to 11, oldest first, from all before."""
    own = timeline(of(range(12)), of(range(12, 15)), "future")
    assert folds_of(own) == [
        ([3, 4, 5], steps((0, 2)), [2, 2, 2], steps((3, 11))),
        ([6, 7, 8], steps((0, 5)), [5, 5, 5], steps((6, 11))),
        ([9, 10, 11], steps((0, 8)), [8, 8, 8], steps((9, 11))),
    ]


def test_series_that_end_on_different_days_are_scored_as_far_ahead_as_each_is_forecast():
    """Test rows 1 to 5 steps behind ends at 29 and 34: folds of 5 steps for both, not of the 10 that both span."""
    own = timeline(of(steps((0, 29)), steps((0, 34))), of(steps((30, 34)), steps((35, 39))), "future")
    found = replay(own, FoldSettings(count=3))
    step = own.train.step
    assert [sorted(set(step[rows].tolist())) for rows in found.folds.valid] == [
        steps((20, 24)), steps((25, 29)), steps((30, 34))
    ]  # fmt: skip


def test_a_gap_is_neither_scored_nor_known():
    """Nothing is known of the 2 steps before the test's 13 and 14, nor of those before what a fold scores."""
    own = timeline(of(range(12)), of([12, 13]), "future", gap=2)
    assert own.test_origin.tolist() == [9, 9]
    assert folds_of(own, 2) == [
        ([6, 7], steps((0, 3)), [3, 3], steps((4, 11))),
        ([10, 11], steps((0, 7)), [7, 7], steps((8, 11))),
    ]


def test_what_the_files_leave_open_before_the_test_is_a_gap_too():
    """The test's ages are 3 and 4, since nothing is told of 12 and 13: no fold scores ages 1 and 2."""
    own = timeline(of(range(12)), of([14, 15]), "future")
    assert (own.test.step - own.test_origin).tolist() == [3, 4]
    assert [(scored, origins) for scored, _, origins, _ in folds_of(own, 2)] == [([6, 7], [3, 3]), ([10, 11], [7, 7])]


def test_interleaved_folds_are_the_tests_blocks_moved_back_to_where_they_begin():
    """Days 0 to 9, test 10 to 14, days 15 to 24, test 25 to 29: scored are 5 to 9 and 20 to 24."""
    own = timeline(of(steps((0, 9), (15, 24))), of(steps((10, 14), (25, 29))), "interleaved")
    assert folds_of(own) == [
        (steps((5, 9)), steps((0, 4), (15, 24)), [4] * 5, steps((5, 9))),
        (steps((20, 24)), steps((0, 9), (15, 19)), [19] * 5, steps((20, 24))),
    ]


def test_an_embargo_hides_what_follows_a_scored_block_and_trains_on_none_of_it():
    """Seven steps after 9 are 10 to 16, of which train has 15 and 16."""
    own = timeline(of(steps((0, 9), (15, 24))), of(steps((10, 14), (25, 29))), "interleaved", embargo=7)
    assert folds_of(own)[0] == (steps((5, 9)), steps((0, 4), (17, 24)), [4] * 5, [*steps((5, 9)), 15, 16])


def test_blocks_are_dealt_to_folds_in_turn():
    """Four blocks, two folds: the first and the third, the second and the fourth; all is hidden that a fold scores."""
    own = timeline(of(steps((0, 9), (15, 24), (30, 39), (45, 54))), of(
        steps((10, 14), (25, 29), (40, 44), (55, 59))), "interleaved")  # fmt: skip
    found = folds_of(own, 2)
    assert [scored for scored, *_ in found] == [steps((5, 9), (35, 39)), steps((20, 24), (50, 54))]
    assert [hidden for *_, hidden in found] == [scored for scored, *_ in found]
    assert found[0][2] == [4] * 5 + [34] * 5


def test_folds_that_train_on_the_past_alone_are_of_one_block_each():
    """Of three blocks the two latest are folds; neither trains on anything after what was known of its first row."""
    own = timeline(of(steps((0, 9), (15, 24), (30, 39))), of(steps((10, 14), (25, 29), (40, 44))), "interleaved")
    own = replace(own, only_past=True)
    found = replay(own, FoldSettings(count=2))
    step = own.train.step
    assert [step[rows].tolist() for rows in found.folds.valid] == [steps((20, 24)), steps((35, 39))]
    assert [step[rows].max() for rows in found.folds.train] == [19, 34]
    assert [origin.max() for origin in found.origins] == [19, 34]


def test_a_test_block_before_all_training_rows_makes_no_fold():
    """There is nothing that it could be forecast from."""
    own = timeline(of(steps((5, 14), (20, 29))), of(steps((0, 4), (15, 19), (30, 34))), "interleaved")
    assert [scored for scored, *_ in folds_of(own)] == [steps((10, 14)), steps((25, 29))]


def test_rolling_folds_see_the_truth_come_in_and_train_on_none_of_it():
    """Nothing is hidden, ages are 1 to 3, and no fold trains on what came after its earliest origin."""
    own = timeline(of(range(40)), of(range(40, 50)), "rolling", horizon=3, gap=1)
    found = folds_of(own)
    assert [scored for scored, *_ in found] == [steps((10, 19)), steps((20, 29)), steps((30, 39))]
    for scored, trained, origins, hidden in found:
        assert hidden == []
        assert set(np.subtract(scored, origins)) == {2, 3, 4}
        assert trained == steps((0, min(origins)))


def test_random_folds_share_no_step():
    """Two series of 9 steps, three folds: each scores both series at 3 steps."""
    own = timeline(of(range(9), range(9)), of([9], [9]), "random")
    found = folds_of(own)
    assert sorted(step for scored, *_ in found for step in scored) == sorted([*range(9)] * 2)
    assert [len(set(scored)) for scored, *_ in found] == [3, 3, 3]
    assert folds_of(own, seed=1) != found


def test_an_embargo_between_random_steps_leaves_their_successors_out():
    """With 1 step of it, whatever follows a scored step trains nothing."""
    own = timeline(of(range(20)), of([20]), "random", embargo=1)
    for scored, trained, *_ in folds_of(own, 5):
        assert set(trained) == set(range(20)) - set(scored) - {step + 1 for step in scored}


def test_new_groups_are_scored_whole_and_blind():
    """Three series, three folds: nothing is known of the one that is scored."""
    own = timeline(of(range(5), range(5), range(5)), of(range(5), first=3), "new_groups")
    found = replay(own, FoldSettings(count=3))
    scored = [set(own.train.series[valid].tolist()) for valid in found.folds.valid]
    assert sorted(map(tuple, scored)) == [(0,), (1,), (2,)]
    for fold, valid in enumerate(found.folds.valid):
        assert np.array_equal(found.hidden[fold], np.isin(own.known.series, own.train.series[valid]))


# --- FAULT 38: too little history


def test_too_little_history_scores_shorter_stretches_and_says_so():
    """FAULT 38: 12 steps and a test of 8: two folds of 4."""
    own = timeline(of(range(12)), of(range(12, 20)), "future")
    found = replay(own, FoldSettings(count=5))
    assert [own.train.step[valid].tolist() for valid in found.folds.valid] == [steps((4, 7)), steps((8, 11))]
    assert [(notice.text, notice.count) for notice in found.notices] == [
        ("steps that a fold scores, for the training rows span only 12; the test has 8", 4),
        ("folds in the layout of the test (future), fewer than folds.count = 5", 2),
    ]


def test_a_gap_longer_than_the_shortened_folds_still_trains_on_nothing_after_an_origin():
    """Folds of 4 steps have no room for a gap of 6; what is scored is as blind as the test all the same."""
    own = timeline(of(range(12), range(12)), of([12, 13], [12, 13]), "future", gap=6)
    for scored, trained, origins, _ in folds_of(own, 2):
        assert max(trained) <= min(origins)
        assert (np.subtract(scored, origins) > 6).all()


@pytest.mark.parametrize(
    ("train", "test", "layout"),
    [
        (of(range(4)), of(range(4, 8)), "future"),
        (of(range(4)), of(range(4, 8)), "rolling"),
        (of(steps((0, 4))), of(steps((5, 9))), "interleaved"),
        (of([0, 1]), of([2]), "random"),
        (of(range(10)), of(range(10), first=1), "new_groups"),
    ],
)
def test_rows_that_make_no_two_folds_are_a_sentence(train, test, layout):
    """FAULT 38."""
    with pytest.raises(ConfigError) as raised:
        replay(timeline(train, test, layout), FoldSettings(count=5))
    assert str(raised.value).startswith("the training rows make ")
    assert str(raised.value).endswith(
        f" of 5 folds in the layout of the test ({layout}), expected 2 at least; bring more history"
        + ("" if layout in ("future", "rolling") else '; or score the end of train instead: [time] layout = "future"')
    )


# --- what holds of every calendar


@st.composite
def timelines(draw, layouts=LAYOUTS):
    """One to three series with holes, history without targets among them, and a test in one of the layouts."""
    layout = draw(st.sampled_from(layouts))
    G, S, first = draw(st.integers(1, 3)), draw(st.integers(16, 60)), draw(st.integers(-20, 20))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    span, whole = draw(st.integers(1, 8)), np.arange(S)
    is_test = {
        "future": whole >= S - span,
        "rolling": whole >= S - span,
        "interleaved": whole % (3 * span) >= 2 * span,
        "random": random.random(S) < 0.3,
        "new_groups": np.zeros(S, dtype=bool),
    }[layout]
    share = draw(st.sampled_from([1.0, 0.8]))
    there = [random.random(S) < share for _ in range(G)]
    train = of(*((whole[here & ~is_test] + first).tolist() for here in there))
    test = of(*((whole[here & is_test] + first).tolist() for here in there))
    if layout == "new_groups":
        test = of((whole + first).tolist(), first=G)
    assume(len(test.step) and len(train.step) > 8)
    is_history = random.random(len(train.step)) < draw(st.sampled_from([0.0, 0.1]))
    history = Moments(train.series[is_history], train.step[is_history])
    train = Moments(train.series[~is_history], train.step[~is_history])
    order = random.permutation(len(train.step))
    return timeline(
        Moments(train.series[order], train.step[order]),
        test,
        layout,
        history=history,
        gap=draw(st.integers(0, 3)),
        horizon=draw(st.integers(1, 5)),
        embargo=draw(st.integers(0, 4)),
        seed=draw(st.integers(0, 9)),
    )


def replayed_folds(own, count):
    """Every fold's rows, origins and what is hidden; calendars without two folds say nothing."""
    try:
        found = replay(own, FoldSettings(count=count))
    except ConfigError:
        assume(condition=False)
    return list(zip(found.folds.train, found.folds.valid, found.origins, found.hidden, strict=True))


def keys(moments):
    return set(zip(moments.series.tolist(), moments.step.tolist(), strict=True))


@given(timelines(), st.integers(2, 5))
def test_no_fold_trains_on_what_it_scores(own, count):
    """Not on a row, not on another row of that step: all series of a step, or all steps of a series, are on a side."""
    side = own.train.series if own.layout == "new_groups" else own.train.step
    for trained, scored, _, _ in replayed_folds(own, count):
        assert min(len(trained), len(scored)) >= 2
        assert not set(side[trained].tolist()) & set(side[scored].tolist())


@given(timelines(), st.integers(2, 5))
def test_what_is_scored_lies_after_its_origin(own, count):
    """And after the gap, of which nothing is known."""
    for _, scored, origins, _ in replayed_folds(own, count):
        assert (own.train.step[scored] - origins > own.gap).all()
        if own.layout == "rolling":
            assert (own.train.step[scored] - origins <= own.gap + own.horizon).all()


@given(timelines(("future", "rolling")), st.integers(2, 5))
def test_nothing_after_the_first_origin_trains(own, count):
    """What a fold knows is what one knew as its first forecast was made."""
    for trained, _, origins, _ in replayed_folds(own, count):
        assert own.train.step[trained].max() <= origins.min()


@given(timelines(("future", "interleaved", "random", "new_groups")), st.integers(2, 5))
def test_what_is_scored_is_hidden_and_what_is_hidden_does_not_train(own, count):
    """No training row of a fold has its own target hidden, no scored row has it shown."""
    for trained, scored, _, hidden in replayed_folds(own, count):
        out = keys(Moments(own.known.series[hidden], own.known.step[hidden]))
        assert keys(Moments(own.train.series[scored], own.train.step[scored])) <= out
        assert not keys(Moments(own.train.series[trained], own.train.step[trained])) & out


@given(timelines(("future", "interleaved", "random", "new_groups")), st.integers(2, 5))
def test_nothing_is_known_between_an_origin_and_the_row_that_is_scored(own, count):
    """Of the row's own series, or an origin would not be the last step of which anything is known."""
    for _, scored, origins, hidden in replayed_folds(own, count):
        seen = Moments(own.known.series[~hidden], own.known.step[~hidden])
        for row, origin in zip(scored, origins, strict=True):
            of_series = seen.step[seen.series == own.train.series[row]]
            between = (of_series > origin) & (of_series < own.train.step[row] - own.gap)
            assert own.gap or not between.any()


@given(timelines(("interleaved",)), st.integers(2, 5))
def test_what_an_interleaved_fold_hides_reaches_from_its_blocks_to_the_embargo(own, count):
    """Of every series, whatever is known from a scored step to `embargo` steps after it; and none of it trains."""
    for trained, scored, _, hidden in replayed_folds(own, count):
        for step in np.unique(own.train.step[scored]):
            assert hidden[(own.known.step >= step) & (own.known.step <= step + own.embargo)].all()
            assert not ((own.train.step[trained] >= step) & (own.train.step[trained] <= step + own.embargo)).any()


@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3), st.integers(2, 4))
def test_scored_ages_are_the_tests_ages_in_a_future_block(length, gap, opening, series, count):
    """Where history is long enough and has no holes: as far ahead, and as blind, as the test."""
    train = of(*([range(80)] * series))
    own = timeline(train, of(*([range(80 + opening, 80 + opening + length)] * series)), "future", gap=gap)
    expected = set((own.test.step - own.test_origin).tolist())
    for _, scored, origins, _ in replayed_folds(own, count):
        assert set((own.train.step[scored] - origins).tolist()) == expected


@given(st.integers(1, 6), st.integers(7, 12), st.integers(2, 5), st.integers(1, 3))
def test_scored_ages_are_the_tests_ages_between_training_rows(length, known, blocks, series):
    """Blocks shorter than what lies before each: a row is left that is known before what is scored."""
    period = length + known
    train = [step for step in range(blocks * period) if step % period < known]
    test = [step for step in range(blocks * period) if step % period >= known]
    own = timeline(of(*([train] * series)), of(*([test] * series)), "interleaved")
    for _, scored, origins, _ in replayed_folds(own, 2):
        assert set((own.train.step[scored] - origins).tolist()) <= set(range(1, length + 1))
        assert (own.train.step[scored] - origins).max() == length


@given(timelines(), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_order_of_rows_has_no_say(own, count, random):
    """The same steps of the same series are scored, trained on and hidden."""
    order = np.array(random.sample(range(len(own.train.step)), len(own.train.step)))
    train = Moments(own.train.series[order], own.train.step[order])
    other = replace(own, train=train)
    pairs = zip(replayed_folds(own, count), replayed_folds(other, count), strict=True)
    for (trained, scored, origins, hidden), (trained2, scored2, origins2, hidden2) in pairs:
        assert np.array_equal(hidden, hidden2)
        assert sorted(trained.tolist()) == sorted(order[trained2].tolist())
        ages = dict(zip(scored.tolist(), origins.tolist(), strict=True))
        assert ages == dict(zip(order[scored2].tolist(), origins2.tolist(), strict=True))


# --- folds of another kind


def test_other_folds_hide_what_they_score_from_history():
    """Steps from -3 on, two series: hidden are the scored ones, and no other of the next series."""
    own = timeline(of(range(-3, 5), range(-3, 5)), of([5], [5]), "random")
    found = replayed(own, Folds(train=(np.arange(2, 16),), valid=(np.array([1, 8]),)))
    assert keys(Moments(own.known.series[found.hidden[0]], own.known.step[found.hidden[0]])) == {(0, -2), (1, -3)}
    assert found.origins[0].tolist() == [-3, -4]
    assert found.notices == ()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_folds_are_told_to_flatter_where_the_test_is_blocks_of_time(layout):
    """A notice, and the remedy."""
    own = timeline(of(range(20)), of(range(20, 24)), layout)
    found = replayed(own, Folds(train=(np.arange(10, 20),), valid=(np.arange(10),)))
    told = [notice.line for notice in found.notices]
    if layout in ("random", "new_groups"):
        assert told == []
    else:
        [line] = told
        assert f"the test is {layout}: scores are too good" in line
        assert line.endswith('set folds.kind = "replay"')
