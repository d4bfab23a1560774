"""Counter-based draws: as random as they claim, and a function of (key, step, layer, row, unit) alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.engine.draws import DropoutDraws, job_key, mix, normals, permutations, stream, uniforms, words

KEYS = torch.tensor([job_key(seed, fold) for seed in range(8) for fold in range(5)])
WRAP = 1 << 64


def signed(word):
    return (word + (1 << 63)) % WRAP - (1 << 63)


def splitmix64(seed, count):
    """Steele, Lea and Flood's reference, in Python's own integers."""
    state, found = seed % WRAP, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % WRAP
        word = state
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WRAP
        found.append(signed(word ^ (word >> 31)))
    return found


# --- words and streams


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=5))
def test_words_are_splitmix64(seeds):
    """Each stream is the published generator started at that word, bit for bit."""
    expected = [splitmix64(seed, 6) for seed in seeds]
    assert words(torch.tensor(seeds), 6).tolist() == expected


def test_splitmix64_gives_its_published_numbers():
    """The first outputs for seed 1234567, as Vigna's C reference prints them."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert words(torch.tensor([1234567]), 3).tolist() == [[signed(word) for word in published]]


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=4))
def test_a_part_of_a_stream_means_the_same_as_a_number_and_as_a_tensor(parts):
    """Epochs come as tensors, steps as numbers; both must lead to the same stream."""
    tensors = [torch.full((len(KEYS),), part) for part in parts]
    assert torch.equal(stream(KEYS, *parts), stream(KEYS, *tensors))


def test_streams_and_mixing_leave_their_arguments_alone_or_say_so():
    """`mix` works in place; `stream` must not scramble the keys that the pack keeps."""
    keys = KEYS.clone()
    stream(keys, 1, 2, 3)
    words(keys, 4)
    assert torch.equal(keys, KEYS)
    assert mix(keys) is keys


def test_streams_of_different_jobs_steps_and_layers_differ():
    """No two of 40 jobs x 20 steps x 4 layers x 3 purposes share a stream."""
    streams = [stream(KEYS, purpose, step, layer) for purpose in (1, 2, 3) for step in range(20) for layer in range(4)]
    assert len(torch.stack(streams).unique()) == 40 * 20 * 4 * 3


def test_job_keys_differ_between_seeds_and_folds():
    """1000 seeds x 20 folds: 20000 keys."""
    assert len({job_key(seed, fold) for seed in range(1000) for fold in range(20)}) == 20_000


# --- distributions


def test_uniforms_are_uniform():
    """Kolmogorov-Smirnov on 40 000 draws, and none of them is 0 or 1."""
    draws = uniforms(stream(KEYS, 1), 1000)
    assert stats.kstest(draws.flatten(), "uniform").pvalue > 0.01
    assert draws.min() > 0
    assert draws.max() < 1


@pytest.mark.parametrize("bits", [range(16), range(16, 32), range(32, 48), range(48, 64)])
def test_each_bit_of_a_word_is_set_half_of_the_time(bits):
    """40 000 words: every bit's share within 5 standard errors (0.0125) of a half."""
    drawn = words(stream(KEYS, 1), 1000)
    for bit in bits:
        assert abs(((drawn >> bit) & 1).double().mean() - 0.5) < 0.0125


@pytest.mark.parametrize("count", [1, 2, 999])
def test_normals_are_normal(count):
    """Kolmogorov-Smirnov, also for an odd number of draws, where Box and Muller's last one is thrown away."""
    draws = normals(stream(KEYS, torch.arange(len(KEYS)) * 7), count)
    assert draws.shape == (40, count)
    assert stats.kstest(draws.flatten(), "norm").pvalue > 0.01


def test_the_two_halves_of_box_and_muller_are_uncorrelated():
    """Cosines and sines of the same angles: correlation of 20 000 pairs below 5 standard errors (0.035)."""
    first, second = normals(stream(KEYS, 1), 1000).split(500, dim=1)
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.035
    assert abs(np.corrcoef(first.flatten() ** 2, second.flatten() ** 2)[0, 1]) < 0.035


@pytest.mark.parametrize("varied", ["seed", "fold", "step", "layer", "purpose"])
def test_neighbouring_streams_are_uncorrelated(varied):
    """Streams one apart in anything: every pair's correlation over 4000 draws below 5 standard errors (0.08)."""
    streams = {
        "seed": torch.tensor([job_key(seed, 0) for seed in range(8)]),
        "fold": torch.tensor([job_key(0, fold) for fold in range(8)]),
        "step": torch.cat([stream(KEYS[:1], 3, step, 0) for step in range(8)]),
        "layer": torch.cat([stream(KEYS[:1], 3, 0, layer) for layer in range(8)]),
        "purpose": torch.cat([stream(KEYS[:1], purpose, 0, 0) for purpose in range(8)]),
    }[varied]
    correlations = np.corrcoef(uniforms(streams, 4000).numpy()) - np.eye(8)
    assert np.abs(correlations).max() < 0.08


def test_neighbouring_draws_of_a_stream_are_uncorrelated():
    """Lags 1 to 8 over 40 000 draws: below 5 standard errors (0.025)."""
    draws = uniforms(stream(KEYS, 1), 1000).flatten().numpy()
    for lag in range(1, 9):
        assert abs(np.corrcoef(draws[:-lag], draws[lag:])[0, 1]) < 0.025


# --- row orders


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 5))
def test_a_permutation_holds_every_row_once_and_zeros_beyond(lengths, spare):
    """Unequal folds share one table; a short fold's line ends in zeros."""
    width = max(lengths) + spare
    orders = permutations(stream(KEYS[: len(lengths)], 2, 0), torch.tensor(lengths), width)
    for order, length in zip(orders.tolist(), lengths, strict=True):
        assert sorted(order[:length]) == list(range(length))
        assert order[length:] == [0] * (width - length)


@given(st.integers(1, 12), st.integers(0, 9), st.integers(0, 39))
def test_a_row_order_depends_neither_on_the_pack_nor_on_its_width(length, spare, job):
    """The same job alone in its own width, and among 40 jobs in a wider table."""
    streams = stream(KEYS, 2, 5)
    alone = permutations(streams[job : job + 1], torch.tensor([length]), length)
    company = permutations(streams, torch.full((40,), length), length + spare)
    assert torch.equal(alone[0], company[job, :length])


def test_every_order_of_four_rows_is_equally_likely():
    """Chi-square over the 24 orders of 4 rows, 4800 draws; the place of each row over 24 rows too."""
    streams = torch.cat([stream(KEYS, 2, epoch) for epoch in range(120)])
    orders = permutations(streams, torch.full((4800,), 4), 4)
    _, counts = torch.unique(orders, dim=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 0.01


def test_orders_of_successive_epochs_are_unrelated():
    """Mean rank correlation of 40 jobs' epochs 0 and 1 over 200 rows: below 5 standard errors (0.056)."""
    lengths = torch.full((40,), 200)
    first, second = (permutations(stream(KEYS, 2, epoch), lengths, 200).numpy() for epoch in (0, 1))
    found = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert abs(np.mean(found)) < 0.056


# --- dropout


def dropped(rates, rows, units, keys=KEYS, dtype=torch.float64):
    draws = DropoutDraws(torch.tensor(rates), dtype)
    return draws.apply(torch.ones(len(rates), rows, units, dtype=dtype), stream(keys[: len(rates)], 3, 0, 0))


def test_the_dropout_rate_is_the_asked_one():
    """200 000 units a job: the share dropped within 5 standard errors of the rate."""
    rates = [0.0, 0.1, 0.25, 0.5, 0.9]
    shares = (dropped(rates, 1000, 200) == 0).double().mean(dim=(1, 2))
    for share, rate in zip(shares.tolist(), rates, strict=True):
        assert abs(share - rate) <= 5 * (rate * (1 - rate) / 200_000) ** 0.5


@given(st.floats(0, 0.9999))
def test_the_expectation_under_dropout_is_exact(rate):
    """Kept share x scale = 1, where the kept share is the rate resolved to 1/65536."""
    draws = DropoutDraws(torch.tensor([rate], dtype=torch.float64), torch.float64)
    threshold, scale = int(draws._below) + 32769, float(draws._scale)
    assert abs(threshold / 65536 - rate) <= 0.5 / 65536
    assert (65536 - threshold) / 65536 * scale == pytest.approx(1.0, abs=1e-15)


def test_the_dropout_threshold_cuts_at_its_own_sixteen_bit_word():
    """All 65 536 words, laid out as the draw reads them: exactly `rate` x 65536 of them are dropped."""
    every = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16)
    for rate, count in ((0.0, 0), (1 / 65536, 1), (0.25, 16384), (0.5, 32768), (65535 / 65536, 65535)):
        draws = DropoutDraws(torch.tensor([rate], dtype=torch.float64), torch.float64)
        assert int((every <= draws._below.flatten()).sum()) == count


def test_a_rate_of_zero_changes_nothing_beside_other_rates():
    """A job without dropout in a pack with dropout is multiplied by exactly 1."""
    hidden = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    draws = DropoutDraws(torch.tensor([0.0, 0.5]), torch.float32)
    assert draws.any
    assert torch.equal(draws.apply(hidden, stream(KEYS[:2], 3, 0, 0))[0], hidden[0])
    assert not DropoutDraws(torch.tensor([0.0, 0.0]), torch.float32).any


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 10), st.integers(0, 4))
def test_a_dropout_draw_depends_neither_on_the_pack_nor_on_batch_nor_on_padded_width(rows, units, more, wider, job):
    """A job's mask alone is the corner of its mask in a larger batch, at a larger width, among other jobs."""
    alone = dropped([0.5], rows, units, KEYS[job:])
    company = dropped([0.5] * 5, rows + more, units + wider)
    assert torch.equal(alone[0], company[job, :rows, :units])


def test_rows_and_units_are_dropped_independently():
    """Correlation between neighbouring rows and between neighbouring units: below 5 standard errors (0.008)."""
    mask = (dropped([0.5], 2000, 200) == 0)[0].double().numpy()
    assert abs(np.corrcoef(mask[:-1].ravel(), mask[1:].ravel())[0, 1]) < 0.008
    assert abs(np.corrcoef(mask[:, :-1].ravel(), mask[:, 1:].ravel())[0, 1]) < 0.008
