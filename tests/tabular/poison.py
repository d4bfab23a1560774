"""The contract of whatever is made of the past: nothing that became known after a row's origin may change the row.

A builder takes (known, moments, origin) and gives [R, H]. The checks are functions, so that a builder that leaks can be
shown to fail them; `PoisonContract` makes tests of them, for a subclass whose `build` is the builder.
"""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.timeline import UNKNOWN_SERIES, Known, Moments

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
    return replace(known, series=known.series[keep], step=known.step[keep], values=known.values[keep])


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


def check_impulse(build, series, step, column):
    """A value of 1e6 changes rows of that series whose origin is not before it; one of the target does change some."""
    known, (moments, origin) = sample(), asked()
    values = known.values.copy()
    hit = (known.series == series) & (known.step == step)
    assert hit.sum() == 1
    values[hit, column] = 1e6
    found, clean = build(replace(known, values=values), moments, origin), built(build)
    changed = ((found != clean) & ~(np.isnan(found) & np.isnan(clean))).any(axis=1)
    assert (origin[changed] >= step).all()
    assert (moments.series[changed] == series).all()
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


def check_other_series(build, series, poison):
    """Whatever happens to one series, the rows of all others keep every bit."""
    known, (moments, origin) = sample(), asked()
    others = moments.series != series
    changed = build(poisoned(known, known.series == series, poison), moments, origin)
    assert_same_bits(changed[others], built(build)[others])


class PoisonContract:
    """Inherit, and give `build`."""

    def build(self, known, moments, origin):
        """[R, H]: the builder under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("poison", POISONS)
    @pytest.mark.parametrize("cutoff", CUTOFFS)
    def test_what_happens_after_an_origin_changes_no_bit(self, cutoff, poison):
        """Values after a cutoff turn to NaN or 1e9, are shuffled, or their rows deleted."""
        check_later_values(self.build, cutoff, poison)

    @pytest.mark.parametrize("column", [0, 1])
    @pytest.mark.parametrize(("series", "step"), [(0, 0), (0, 70), (1, 48), (2, 97), (3, 62)])
    def test_an_impulse_moves_only_what_has_it_in_its_past(self, series, step, column):
        """Rows of that series, whose origin is not before it."""
        check_impulse(self.build, series, step, column)

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
        check_other_series(self.build, series, poison)
