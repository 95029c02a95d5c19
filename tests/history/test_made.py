"""The checker on made histories: a right queue is not blamed, each fault is found.

Clients' requests overlap, die and are lost; then the same with a fault in the queue.
"""

import time

import pytest

from history import made
from history.checker import check, violations
from history.operations import Pull


@pytest.mark.parametrize("seed", range(60))
def test_a_queue_that_does_right_is_never_blamed(seed: int) -> None:
    history = made.history(seed, 400)
    assert sum(isinstance(one, Pull) and bool(one.jobs) for one in history.operations) > 50
    check(history)


@pytest.mark.parametrize("fault", made.FAULTS)
def test_each_fault_of_a_queue_is_found(fault: str) -> None:
    found = [violations(made.history(seed, 400, fault)) for seed in range(10)]
    assert sum(map(bool, found)) >= 8, "most histories show it"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_operations_take_no_longer_each() -> None:
    one = made.history(1, 20_000)

    def seconds_each(times: int) -> float:
        history = made.in_a_row(one, times)
        begun = time.process_time()
        check(history)
        return (time.process_time() - begun) / len(history.operations)

    assert seconds_each(50) < 3 * seconds_each(2)
