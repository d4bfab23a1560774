"""What is known of a trial on its way: the mean of its networks, leg by leg, and when the study hears of it."""

import numpy as np
import pytest

from pipeline.stages.legs import PARTS, Course, Report, legs_of


def course(networks, epochs, ahead=1.0, **options):
    return Course(legs_of(networks, ahead), epochs, **options)


def heard(own):
    """Steps and scores of what is new."""
    return [(report.step, report.score) for report in own.reports()]


@pytest.mark.parametrize(
    ("networks", "ahead", "lengths"),
    [(5, 0.2, [1, 4]), (10, 0.2, [2, 8]), (3, 0.2, [1, 2]), (2, 0.2, [1, 1]), (1, 0.2, [1]), (5, 1.0, [5])],
)
def test_a_share_of_the_networks_goes_ahead_and_at_least_one(networks, ahead, lengths):
    """All places once, in order; a single network has nobody to follow it."""
    legs = legs_of(networks, ahead)
    assert [len(leg) for leg in legs] == lengths
    assert [place for leg in legs for place in leg] == list(range(networks))


def test_a_mean_is_known_once_every_network_has_come_to_the_epoch():
    """Two networks, the second one epoch behind."""
    own = course(2, 5)
    own.add(0, 1, 1.0)
    assert heard(own) == []
    own.add(0, 2, 0.5)
    own.add(1, 1, 3.0)
    assert heard(own) == [(20, 2.0)]
    own.add(1, 2, 1.5)
    assert heard(own) == [(40, 1.0)]


def test_a_network_counts_with_its_best_so_far_where_that_is_restored():
    """Losses that go up again after epoch 1: the best stays; without restoring, the last."""
    for restore_best, wanted in ((True, [1.0, 1.0, 0.5]), (False, [1.0, 4.0, 0.5])):
        own = course(1, 5, restore_best=restore_best)
        for epoch, value in enumerate((1.0, 4.0, 0.5), 1):
            own.add(0, epoch, value)
        assert [score for _, score in heard(own)] == wanted


def test_a_loss_that_is_no_number_leaves_the_best_so_far():
    """An epoch that could not be scored, and one after it."""
    own = course(1, 5)
    for epoch, value in enumerate((2.0, np.nan, 3.0), 1):
        own.add(0, epoch, value)
    assert [score for _, score in heard(own)] == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("restore_best", "later"), [(True, 2.0), (False, 4.5)])
def test_a_network_that_stopped_early_counts_as_its_weights_do(restore_best, later):
    """Those of its best epoch, or of its last; another network goes on and gets worse."""
    own = course(2, 5, restore_best=restore_best)
    own.add(0, 1, 1.0)
    own.add(1, 1, 3.0)
    own.end(1, np.array([3.0, 5.0]))
    assert heard(own) == [(20, 2.0)]
    own.add(0, 2, 4.0)
    assert heard(own) == [(40, later)]


def test_networks_one_after_the_other_are_reported_in_order():
    """Too few places for two networks: the second one's epochs come when the first has long ended."""
    own = course(2, 5)
    for epoch in range(1, 6):
        own.add(0, epoch, 1.0)
    own.end(0, np.ones(5))
    for epoch in range(1, 6):
        own.add(1, epoch, 3.0)
    assert heard(own) == [(20, 2.0), (40, 2.0), (60, 2.0), (80, 2.0)]


def test_the_first_leg_is_compared_at_its_end_and_the_next_with_what_it_is_worth():
    """One network of three goes ahead: its best is .5; then the mean of all three."""
    own = course(3, 5, ahead=0.2)
    for epoch, value in enumerate((4.0, 2.0, 0.5, 1.0, 1.0), 1):
        own.add(0, epoch, value)
    assert heard(own) == [(7, 4.0), (13, 2.0), (20, 0.5), (27, 0.5)]
    assert not own.is_leg_over
    own.end(0, np.array([4.0, 2.0, 0.5, 1.0, 1.0]))
    assert own.is_leg_over
    assert not own.is_last
    assert list(own.reports()) == [Report(33, 0.5, PARTS)]
    own.go_on()
    assert own.is_last
    assert not own.is_leg_over
    assert list(own.places) == [1, 2]
    own.add(1, 1, 1.0)
    assert heard(own) == []
    own.add(2, 1, 3.0)
    assert heard(own) == [(47, 1.5)]


def test_a_leg_that_stopped_early_is_told_to_its_end():
    """A network that goes ahead stops after two of ten epochs: it is worth its best at every later part."""
    own = course(2, 10, ahead=0.2)
    own.add(0, 1, 2.0)
    own.add(0, 2, 1.0)
    own.end(0, np.array([2.0, 1.0]))
    assert heard(own) == [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0), (50, 1.0)]


@pytest.mark.parametrize("ahead", [0.2, 1.0])
@pytest.mark.parametrize("epochs", [1, 2, 4, 5, 6, 150, 1000])
def test_the_study_hears_of_a_trial_a_bounded_number_of_times(epochs, ahead):
    """Evenly, at growing steps, at a leg's end too, never of the trial's, whose score is told as its own."""
    own, steps = course(5, epochs, ahead), []
    while True:
        for epoch in range(1, epochs + 1):
            for place in own.places:
                own.add(place, epoch, 1.0)
            steps += [report.step for report in own.reports()]
        for place in own.places:
            own.end(place, np.ones(epochs))
        steps += [report.step for report in own.reports()]
        if own.is_last:
            break
        own.go_on()
    assert steps == sorted(set(steps))
    assert all(0 < step < 100 for step in steps)
    assert len(steps) == (min(epochs, PARTS) - 1 if ahead == 1 else 2 * min(epochs, PARTS) - 1)
    assert 20 in steps or ahead == 1


def test_trainings_of_other_lengths_are_compared_at_equal_shares():
    """Fifty, a hundred and two hundred epochs report at the same steps."""
    found = []
    for epochs in (50, 100, 200):
        own = course(1, epochs)
        for epoch in range(1, epochs + 1):
            own.add(0, epoch, epoch / epochs)
        found.append([report.step for report in own.reports()])
    assert found == [[20, 40, 60, 80]] * 3
