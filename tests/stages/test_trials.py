"""What is known of a trial in flight: the mean of its networks, epoch by epoch, and when the study hears of it."""

import pytest

from pipeline.stages.trials import REPORTS, Curves, is_reported


def test_a_mean_is_known_once_every_network_has_come_to_the_epoch():
    """Two networks, the second one epoch behind."""
    curves = Curves(networks=2, epochs=3)
    curves.add(0, 1, 1.0)
    assert list(curves.means()) == []
    curves.add(0, 2, 0.5)
    curves.add(1, 1, 3.0)
    assert list(curves.means()) == [(1, 2.0)]
    curves.add(1, 2, 1.5)
    assert list(curves.means()) == [(2, 1.0)]


def test_a_network_that_stopped_early_counts_with_its_best():
    """Its weights are those of that epoch."""
    curves = Curves(networks=2, epochs=3)
    curves.add(0, 1, 1.0)
    curves.add(1, 1, 3.0)
    curves.end(1, 2.0)
    assert list(curves.means()) == [(1, 2.0)]
    curves.add(0, 2, 4.0)
    assert list(curves.means()) == [(2, 3.0)]


def test_networks_one_after_the_other_are_reported_in_order():
    """Five places for six networks: the last one's epochs come when the others have long ended."""
    curves = Curves(networks=2, epochs=2)
    for epoch, value in ((1, 1.0), (2, 2.0)):
        curves.add(0, epoch, value)
    curves.end(0, 1.0)
    for epoch, value in ((1, 3.0), (2, 4.0)):
        curves.add(1, epoch, value)
    assert [epoch for epoch, _ in curves.means()] == [1, 2]


@pytest.mark.parametrize("epochs", [1, 2, 19, 20, 21, 150, 1000])
def test_the_study_hears_of_a_trial_a_bounded_number_of_times(epochs):
    """Evenly, never of the last epoch, whose score is told as the trial's own."""
    told = [epoch for epoch in range(1, epochs + 1) if is_reported(epoch, epochs)]
    assert len(told) <= REPORTS
    assert epochs not in told
    assert len(told) >= min(epochs - 1, REPORTS // 2)
