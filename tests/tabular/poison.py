"""Contracts against leaks: of whatever is made of the past, is fitted on a fold, or draws the folds of a timeline.

`PoisonContract`: nothing that became known after a row's origin may change the row; a builder takes (known, moments,
origin) and gives [R, H]. `StateContract`: nothing that a fold scores may change what is fitted for it.
`SplitterContract`: no fold trains on what it scores, and nothing that is hidden from it matters. The checks are
functions, so that what leaks can be shown to fail them; a contract makes tests of them for whoever inherits it.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import pytest

from pipeline.tabular.past import forecast_origins, past_matrix, training_origins, without
from pipeline.tabular.replay import AHEAD
from pipeline.time_settings import History
from pipeline.timeline import UNKNOWN_SERIES, Clock, Known, Moments, Stamped, Timeline

PERIOD = 24  # a season that the sample is long enough for
CUTOFFS = (31, 47, 48, 90)  # within gaps and outside them, at the edge of a day, before and after series begin
POISONS = ("nothing", "huge", "shuffled", "deleted")
BEGINS, ENDS = (0, 5, 40, 17), (130, 118, 126, 75)  # of the sample's series


def sample(seed=0):
    """Known values of 4 series of unequal beginning and length, two columns, rows and cells missing."""
    draw = np.random.default_rng(seed)
    series = np.repeat(np.arange(4, dtype=np.int32), np.subtract(ENDS, BEGINS))
    step = np.concatenate([np.arange(begin, end) for begin, end in zip(BEGINS, ENDS, strict=True)])
    values = draw.normal(50, 10, (len(step), 2)) + 20 * np.sin(step * 2 * np.pi / PERIOD)[:, None]
    values[draw.random(values.shape) < 0.08] = np.nan
    here = draw.random(len(step)) > 0.12
    here &= ~((series == 0) & (step > 60) & (step < 70))  # a gap longer than most windows
    here |= np.isin(step, BEGINS) | (step == 70)
    values[step == 70] = 99.0  # what a back-fill would take for the gap's
    return Known(series[here], step[here], ("count", "temperature"), values[here])


def asked(seed=1):
    """Rows of every series from every origin, also before its first known step and after its last; ages of 1 .. 30."""
    draw = np.random.default_rng(seed)
    series, origin = (place.ravel() for place in np.meshgrid(np.arange(4), np.arange(-2, 138), indexing="ij"))
    series = np.append(np.repeat(series, 3), [UNKNOWN_SERIES, 4]).astype(np.int32)  # nothing is known of either
    origin = np.append(np.repeat(origin, 3), [60, 60])
    order = draw.permutation(len(origin))
    return Moments(series[order], (origin + draw.integers(1, 31, len(origin)))[order]), origin[order]


def rows_of(known, keep):
    """Known rows, fewer."""
    levels = None if known.levels is None else known.levels[keep]
    return replace(known, series=known.series[keep], step=known.step[keep], values=known.values[keep], levels=levels)


def some(moments, origin, chosen):
    """Rows asked for, fewer."""
    return Moments(moments.series[chosen], moments.step[chosen]), origin[chosen]


def poisoned(known, where, poison):
    """What is known, with the values of some rows made NaN or 1e9, shuffled among themselves, or the rows deleted."""
    if poison == "deleted":
        return rows_of(known, ~where)
    values = known.values.copy()
    if poison == "shuffled":
        values[where] = np.random.default_rng(2).permutation(values[where])
    else:
        values[where] = {"nothing": np.nan, "huge": 1e9}[poison]
    return replace(known, values=values)


def assert_same_bits(found, expected):
    """Equal to the last bit, and missing in the same places."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    there = ~np.isnan(expected)
    np.testing.assert_array_equal(np.asarray(found)[there].view(np.int64), np.asarray(expected)[there].view(np.int64))


def built(build):
    """What a builder makes of the sample; each of its columns has to know something, or no check means anything."""
    moments, origin = asked()
    found = build(sample(), moments, origin)
    assert found.shape[0] == len(origin)
    assert np.isfinite(found).any(axis=0).all()
    return found


# --- the checks


def check_later_values(build, cutoff, poison):
    """Whatever happens after a cutoff, rows whose origin is not after it keep every bit."""
    known, (moments, origin) = sample(), asked()
    before = origin <= cutoff
    changed = build(poisoned(known, known.step > cutoff, poison), moments, origin)
    assert_same_bits(changed[before], built(build)[before])


def check_impulse(build, series, step, column, pool_of=lambda series: series):
    """A value of 1e6 changes rows of that series whose origin is not before it; one of the target does change some.

    pool_of: where series are pooled, a label for those that are together.
    """
    known, (moments, origin) = sample(), asked()
    values = known.values.copy()
    hit = (known.series == series) & (known.step == step)
    assert hit.sum() == 1
    values[hit, column] = 1e6
    found, clean = build(replace(known, values=values), moments, origin), built(build)
    changed = ((found != clean) & ~(np.isnan(found) & np.isnan(clean))).any(axis=1)
    assert (origin[changed] >= step).all()
    assert (pool_of(moments.series[changed]) == pool_of(np.array(series))).all()
    assert changed.any() or column > 0


def check_deleted_row(build, step):
    """A row that is missing is a step of which nothing is known; no other row takes its place in a lag or a window."""
    known, (moments, origin) = sample(), asked()
    gone = (known.step == step) & ~np.isin(known.step, BEGINS)
    assert gone.any()
    emptied = build(poisoned(known, gone, "nothing"), moments, origin)
    assert_same_bits(build(rows_of(known, ~gone), moments, origin), emptied)


def check_one_origin_at_a_time(build):
    """Rows of each origin, built from nothing but what was known at that origin, are those that are built in bulk."""
    known, (moments, origin) = sample(), asked()
    bulk = built(build)
    for now in np.unique(origin):
        chosen = origin == now
        assert_same_bits(build(rows_of(known, known.step <= now), *some(moments, origin, chosen)), bulk[chosen])


def check_other_series(build, series, poison, pool_of=lambda series: series):
    """Whatever happens to one series, the rows of all others keep every bit; but for those that it is pooled with."""
    known, (moments, origin) = sample(), asked()
    others = pool_of(moments.series) != pool_of(np.array(series))
    assert others.any()
    changed = build(poisoned(known, known.series == series, poison), moments, origin)
    assert_same_bits(changed[others], built(build)[others])


class PoisonContract(ABC):
    """Inherit, and give `build`; and `pool_of` where series are pooled on purpose."""

    @abstractmethod
    def build(self, known, moments, origin):
        """[R, H]: the builder under test."""

    def pool_of(self, series):
        """A label of each series: those that have one label may know of each other."""
        return series

    @pytest.mark.parametrize("poison", POISONS)
    @pytest.mark.parametrize("cutoff", CUTOFFS)
    def test_what_happens_after_an_origin_changes_no_bit(self, cutoff, poison):
        """Values after a cutoff turn to NaN or 1e9, are shuffled, or their rows deleted."""
        check_later_values(self.build, cutoff, poison)

    @pytest.mark.parametrize("column", [0, 1])
    @pytest.mark.parametrize(("series", "step"), [(0, 0), (0, 70), (1, 48), (2, 97), (3, 62)])
    def test_an_impulse_moves_only_what_has_it_in_its_past(self, series, step, column):
        """Rows of that series, whose origin is not before it."""
        check_impulse(self.build, series, step, column, self.pool_of)

    @pytest.mark.parametrize("step", [29, 30, 48, 77, 100])
    def test_a_deleted_row_is_a_missing_step(self, step):
        """Season 24 is y(t - 24) or missing, never that of 25 rows ago."""
        check_deleted_row(self.build, step)

    def test_bulk_is_one_origin_at_a_time(self):
        """What trains a model is what a forecast will be made of, bit for bit."""
        check_one_origin_at_a_time(self.build)

    @pytest.mark.parametrize("poison", POISONS)
    @pytest.mark.parametrize("series", [0, 2])
    def test_no_series_changes_another(self, series, poison):
        """NaN, 1e9, shuffled or gone."""
        check_other_series(self.build, series, poison, self.pool_of)


# --- what is fitted on a fold

FOLDS = 3  # of the sample's rows, which go to them in turn
ROWS_POISONED = ("missing", "huge", "least", "shuffled")


def sample_rows(seed=0):
    """Values [90, 3], normal, skewed and of few levels, with gaps; a target above 0 that follows them."""
    draw = np.random.default_rng(seed)
    values = np.stack([draw.normal(5, 2, 90), draw.lognormal(1, 1, 90), draw.integers(0, 4, 90)], axis=1)
    target = np.exp(0.2 * values[:, 0]) + values[:, 2] + draw.random(90)
    values[draw.random(values.shape) < 0.1] = np.nan
    return values, target


def rows_of_fold(fold):
    """Rows that a fold of the sample trains on, and rows that it scores."""
    scores = np.arange(90) % FOLDS == fold
    return np.flatnonzero(~scores), np.flatnonzero(scores)


def attacked(rows, poison):
    """Values or targets of the rows a fold scores: missing, 1e9, next to nothing, or another row's."""
    if poison == "shuffled":
        return np.random.default_rng(2).permutation(rows * 3.0)
    return np.full(rows.shape, {"missing": np.nan, "huge": 1e9, "least": 1e-9}[poison])


def assert_same_arrays(found, expected):
    """As many, equal in every value; missing is equal to missing."""
    assert len(found) == len(expected)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


def check_scored_rows(fit, fold, poison):
    """Whatever stands in the rows that a fold scores, what is fitted on the others keeps every value."""
    (values, target), (train, valid) = sample_rows(), rows_of_fold(fold)
    clean = fit(values.copy(), target.copy(), train)
    values[valid], target[valid] = attacked(values[valid], poison), attacked(target[valid], poison)
    assert_same_arrays(fit(values, target, train), clean)


def check_scored_rows_are_gone(fit, fold):
    """Without these rows the fit is the same."""
    (values, target), (train, _) = sample_rows(), rows_of_fold(fold)
    alone = fit(values[train], target[train], np.arange(len(train)))
    assert_same_arrays(alone, fit(values, target, train))


def check_trained_rows_matter(fit, fold):
    """Rows that it is fitted on do change it, or no check means anything."""
    (values, target), (train, _) = sample_rows(), rows_of_fold(fold)
    clean = fit(values.copy(), target.copy(), train)
    values[train], target[train] = attacked(values[train], "huge"), target[train] * 3 + 1
    with pytest.raises(AssertionError):
        assert_same_arrays(fit(values, target, train), clean)


class StateContract(ABC):
    """Inherit, and give `fit`."""

    @abstractmethod
    def fit(self, values, target, train_index):
        """Every array that is learned from rows `train_index` of values [R, C] and target [R]."""

    @pytest.mark.parametrize("poison", ROWS_POISONED)
    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_what_a_fold_scores_has_no_say_in_what_it_is_fitted_on(self, fold, poison):
        """FAULT 52: features and target of these rows missing, 1e9, next to nothing, or shuffled."""
        check_scored_rows(self.fit, fold, poison)

    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_without_the_rows_that_a_fold_scores_the_fit_is_the_same(self, fold):
        """Not even their number counts."""
        check_scored_rows_are_gone(self.fit, fold)

    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_the_rows_that_it_is_fitted_on_have_a_say(self, fold):
        """A state that never changes would pass all else."""
        check_trained_rows_matter(self.fit, fold)


# --- how a timeline is split

LAYOUTS = ("future", "rolling", "interleaved", "random", "new_groups")
HIDDEN = ("nothing", "huge", "shuffled")
OF_THE_PAST = History(last=2, seasonal=1, statistics=("mean",), half_lives=(7,), fourier=0)


def sample_timeline(layout, seed=0):
    """Three series of 84 days with holes, and a test in one of the layouts; training rows in no order."""
    draw, whole = np.random.default_rng(seed), np.arange(84)
    is_test = {
        "future": whole >= 70,
        "rolling": whole >= 70,
        "interleaved": whole % 21 >= 14,
        "random": draw.random(84) < 0.3,
        "new_groups": whole < 0,
    }[layout]
    series, step = (own.ravel() for own in np.meshgrid(np.arange(3, dtype=np.int32), whole, indexing="ij"))
    here, is_test = draw.random(len(step)) > 0.1, np.tile(is_test, 3)
    train = Moments(series[here & ~is_test], step[here & ~is_test])
    test = Moments(series[here & is_test], step[here & is_test])
    if layout == "new_groups":
        test = Moments(np.full(84, 3, dtype=np.int32), whole)
    known = Known(train.series, train.step, ("y",), draw.normal(50, 10, (len(train.step), 1)))
    order = draw.permutation(len(train.step))
    stamped = Stamped((), (), Clock("1D", "2024-01-01", "", (7,)), tuple("abcd"), "day", is_utc=False)
    rows = Moments(train.series[order], train.step[order])
    bare = Timeline(stamped, layout, rows, test, test.step - 1, known, (), horizon=3)
    return replace(bare, test_origin=forecast_origins(bare, test))


def folds_of(found):
    """Rows that each fold trains on, rows that it scores, their origins, and what is hidden."""
    folds = list(zip(found.folds.train, found.folds.valid, found.origins, found.hidden, strict=True))
    assert folds
    assert all(len(train) and len(valid) for train, valid, _, _ in folds)
    return folds


def check_trains_on_nothing_it_scores(split, layout):
    """No row, and no step or series of one; where the test lies ahead, nothing after an origin."""
    timeline = sample_timeline(layout)
    side = timeline.train.series if layout == "new_groups" else timeline.train.step
    for train, valid, origins, _ in folds_of(split(timeline)):
        assert not np.isin(side[valid], side[train]).any()
        if layout in AHEAD:
            assert timeline.train.step[train].max() <= origins.min()


def check_scores_after_origins(split, layout):
    """As far ahead as the test is, and no further than its rows are."""
    timeline = sample_timeline(layout)
    ages = timeline.test.step - timeline.test_origin
    for _, valid, origins, _ in folds_of(split(timeline)):
        own = timeline.train.step[valid] - origins
        assert own.min() >= 1
        if layout in {"future", "rolling", "interleaved"}:
            assert own.max() == ages.max()


def check_hidden_does_not_matter(split, layout, poison):
    """What a fold hides or scores moves neither folds nor the past of any row that it trains on or scores.

    Rolling forecasts see the truth come in: there it is what comes after an origin in the fold's middle.
    """
    timeline = sample_timeline(layout)
    known, clean = timeline.known, folds_of(split(timeline))
    for fold, (train, valid, origins, hidden) in enumerate(clean):
        keys = known.series * 1000 + known.step
        scored = np.isin(keys, timeline.train.series[valid] * 1000 + timeline.train.step[valid])
        middle = np.median(origins)
        other = poisoned(known, known.step > middle if layout == "rolling" else scored | hidden, poison)
        assert_same_arrays(folds_of(split(replace(timeline, known=other)))[fold], clean[fold])
        rows = np.append(train, valid)
        moments, origin = some(timeline.train, training_origins(timeline), rows)
        origin[len(train) :] = origins
        past = [
            past_matrix(timeline, without(seen, hidden), OF_THE_PAST, moments, origin)[
                origin <= (middle if layout == "rolling" else np.inf)
            ]
            for seen in (known, other)
        ]
        assert np.isfinite(past[0]).any()
        assert_same_bits(past[1], past[0])


class SplitterContract(ABC):
    """Inherit, and give `split`."""

    @abstractmethod
    def split(self, timeline):
        """The Replay of a timeline."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_no_fold_trains_on_what_it_scores(self, layout):
        """Nor on another row of that step, or of that series where the test has new ones."""
        check_trains_on_nothing_it_scores(self.split, layout)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_what_is_scored_lies_after_its_origin(self, layout):
        """By as many steps as test rows do."""
        check_scores_after_origins(self.split, layout)

    @pytest.mark.parametrize("poison", HIDDEN)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_nothing_hidden_matters(self, layout, poison):
        """Values that a fold must not know turn to NaN or 1e9, or are shuffled."""
        check_hidden_does_not_matter(self.split, layout, poison)
