"""Who ends epochs, is scored and leaves together."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SMALL_NETWORK, job

from pipeline.engine.rhythm import are_scored_apart, epoch_ends, leave_apart, rows_at_a_time, stay

# of 10 rows in batches of 4 are 3 steps, of 8 rows 2
LONG, SHORT, FEW = job(epochs=3), job(epochs=2), job(epochs=3, train_rows=np.arange(8))


@pytest.mark.parametrize(
    ("jobs", "count", "fullest"),
    [
        ([LONG] * 4, 4, [(4, 4)]),
        ([LONG, SHORT], 2, [(2, 2)]),  # epochs of equal length end together as long as both train
        ([LONG, LONG, FEW], 3, [(1, 3), (2, 3), (3, 3)]),  # steps 3, 6, 9 and 2, 4, 6: at 2, 3 and 6
        ([LONG, LONG, job(epochs=1, train_rows=np.arange(8))], 3, [(1, 3), (2, 2)]),  # one has gone at step 3
        ([LONG, FEW, FEW, FEW], 2, [(2, 2)]),  # places are refilled at any time
    ],
)
def test_networks_end_epochs_together_where_their_steps_meet(jobs, count, fullest):
    """How many end, and how many are there, counted by steps."""
    assert epoch_ends(jobs, count) == fullest


def test_networks_leave_apart_where_their_steps_or_their_patience_differ():
    """Nine steps each, or nine and six."""
    assert not leave_apart([LONG, LONG], at_any_epoch=False)
    assert leave_apart([LONG, SHORT], at_any_epoch=False)
    assert leave_apart([LONG, LONG], at_any_epoch=True)


def test_those_that_need_more_steps_stay():
    """All but the first to finish; all but one where anybody may go, or newcomers are at other steps."""
    assert stay([LONG, LONG, SHORT, SHORT, SHORT], 5, at_any_epoch=False) == 2
    assert stay([LONG, LONG, SHORT, SHORT, SHORT], 5, at_any_epoch=True) == 4
    assert stay([LONG, LONG, SHORT, SHORT, SHORT], 3, at_any_epoch=False) == 2


def test_networks_are_scored_apart_where_epochs_end_apart_or_count_apart():
    """By length, by refilled places, or by the points of curves over epochs of unlike number."""
    assert not are_scored_apart([LONG, LONG], 2, 25, at_any_epoch=True)
    assert are_scored_apart([LONG, FEW], 2, 0, at_any_epoch=False)
    assert are_scored_apart([LONG, SHORT, SHORT], 2, 0, at_any_epoch=False)
    assert not are_scored_apart([LONG, LONG, LONG], 2, 0, at_any_epoch=False)
    assert are_scored_apart([LONG, SHORT], 2, 2, at_any_epoch=False)
    assert not are_scored_apart([LONG, SHORT], 2, 1, at_any_epoch=False)  # the first epoch of both
    assert not are_scored_apart([LONG, SHORT], 2, 25, at_any_epoch=False)  # every epoch of both


@pytest.mark.parametrize(
    ("inputs", "hidden", "rows"), [(5, (512, 64), 2048), (512, (64, 5), 2048), (5, (64, 512), 2048), (512, (), 2048)]
)
def test_rows_are_scored_so_many_at_a_time_as_the_widest_layer_allows(inputs, hidden, rows):
    """4 networks, 2^22 values; a batch at least, of 4096 rows or, once the values were halved, of half as many."""
    network = replace(SMALL_NETWORK, inputs=inputs, hidden=hidden)
    assert rows_at_a_time(network, 4, 64) == rows
    assert rows_at_a_time(network, 8, 64) == rows // 2
    assert rows_at_a_time(network, 4, 4096) == 4096
    assert rows_at_a_time(network, 4, 4096, 1 << 21) == 2048
    assert rows_at_a_time(network, 4, 64, 1) == 1
