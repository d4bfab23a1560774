"""Means at levels: pandas says the same, and neither later rows nor other levels change a bit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tabular.level_means import level_mean
from pipeline.timeline import Known
from tests.tabular.poison import POISONS, assert_same_bits, poisoned

NAN = np.nan
LEVELS, STEPS = 4, 60


def drawn(seed=0, rows=300):
    """Rows of some series and steps, whose level changes from row to row; a tenth of targets and levels missing."""
    draw = np.random.default_rng(seed)
    keys = np.sort(draw.choice(8 * STEPS, rows, replace=False))
    target = np.where(draw.random(rows) < 0.1, NAN, draw.normal(1e6, 1, rows))
    levels = np.where(draw.random(rows) < 0.1, -1, draw.integers(0, LEVELS, rows)).astype(np.int32)
    return Known(
        (keys // STEPS).astype(np.int32), keys % STEPS, ("y",), target[:, None], ("other", "kind"),
        np.stack([levels[::-1], levels], axis=1),
    )  # fmt: skip


def asked():
    """Every level, a missing and two unknown ones, from every origin and from outside."""
    levels, origin = np.meshgrid(np.array([*range(LEVELS), -1, -2, 99], np.int32), np.arange(-3, STEPS + 3))
    return levels.ravel(), origin.ravel()


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_at_a_level_is_that_of_pandas(seed):
    """An expanding mean of all rows of the level, taken at the last row whose step is not after the origin."""
    known, (levels, origin) = drawn(seed), asked()
    frame = pd.DataFrame({"step": known.step, "kind": known.levels[:, 1], "y": known.values[:, 0]})
    expected = [
        frame.loc[(frame["kind"] == level) & (frame["step"] <= now), "y"].mean() if level >= 0 else NAN
        for level, now in zip(levels, origin, strict=True)
    ]
    np.testing.assert_allclose(level_mean(known, "kind", levels, origin), expected, rtol=1e-12)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("cutoff", [-1, 0, 17, 50])
def test_nothing_after_an_origin_changes_a_bit(cutoff, poison):
    """FAULT 48: NaN, 1e9, shuffled or deleted."""
    known, (levels, origin) = drawn(), asked()
    changed = level_mean(poisoned(known, known.step > cutoff, poison), "kind", levels, origin)
    clean = level_mean(known, "kind", levels, origin)
    assert_same_bits(changed[origin <= cutoff], clean[origin <= cutoff])
    assert not np.array_equal(changed, clean, equal_nan=True)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("level", range(LEVELS))
def test_no_level_changes_another_by_a_bit(level, poison):
    """FAULT 53: nor does a row without one change any."""
    known, (levels, origin) = drawn(), asked()
    codes = known.levels[:, 1]
    clean = level_mean(known, "kind", levels, origin)
    changed = level_mean(poisoned(known, np.isin(codes, [level, -1]), poison), "kind", levels, origin)
    assert_same_bits(changed[levels != level], clean[levels != level])
    assert not np.array_equal(changed, clean, equal_nan=True)


@given(st.integers(0, 100), st.integers(-1, STEPS))
def test_what_is_known_in_bulk_is_what_was_known_then(seed, now):
    """FAULT 51: from nothing but the rows up to an origin, bit for bit."""
    known = drawn(seed, rows=60)
    levels, seen = np.arange(LEVELS, dtype=np.int32), known.step <= now
    then = replace(
        known, series=known.series[seen], step=known.step[seen], values=known.values[seen], levels=known.levels[seen]
    )
    origin = np.full(LEVELS, now)
    assert_same_bits(level_mean(then, "kind", levels, origin), level_mean(known, "kind", levels, origin))


def test_a_row_of_which_nothing_is_known_is_as_if_it_were_not_there():
    """FAULT 50: a target that is missing counts nowhere."""
    known, (levels, origin) = drawn(), asked()
    there = np.isfinite(known.values[:, 0])
    fewer = replace(
        known,
        series=known.series[there],
        step=known.step[there],
        values=known.values[there],
        levels=known.levels[there],
    )
    assert_same_bits(level_mean(fewer, "kind", levels, origin), level_mean(known, "kind", levels, origin))


def test_where_nothing_is_known_at_all_every_mean_is_missing():
    """No rows, or none with a target and a level."""
    known, (levels, origin) = drawn(rows=1), asked()
    for empty in (replace(known, values=known.values * NAN), replace(known, levels=known.levels * 0 - 1)):
        assert np.isnan(level_mean(empty, "kind", levels, origin)).all()
