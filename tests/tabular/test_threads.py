"""Work side by side: the order is that of the items, whoever finishes first, and a fault is not lost."""

import threading

import pytest

from pipeline.tabular.threads import side_by_side


def test_results_come_in_the_order_of_the_items():
    """The first item waits for the second where there are two cores; alone, nobody would set it free."""
    done = threading.Event()

    def work(item):
        if item == 1:
            done.set()
        elif item == 0:
            done.wait(0.2)
        return 10 * item

    assert side_by_side(work, range(3)) == [0, 10, 20]
    assert side_by_side(work, []) == []


def test_a_fault_in_one_item_is_raised():
    """As a plain loop would."""
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 / item, [1, 0, 2])
