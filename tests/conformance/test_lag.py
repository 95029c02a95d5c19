"""More is due than one step lets mature: what becomes ready meanwhile comes behind it."""

import pytest

from conformance.driver import Driver, answered, pull_order
from magicqueue_cores.contract import JobState


@pytest.fixture
def driver(core_name: str) -> Driver:
    """A core with two dead letters, an active job, and nine jobs due, two a step."""
    driver = Driver(core_name, step_jobs=2)
    driver.push_many(2, max_attempts=1)
    driver.fail(*driver.pull(2))
    driver.push()
    driver.pull(1)
    for _ in range(9):
        driver.push(delay_ms=5)
    driver.push(delay_ms=1000)
    driver.now += 20
    return driver


DUE = list(range(4, 13))
FAR = 13


def test_a_retry_comes_behind_what_is_due(driver: Driver) -> None:
    answer = answered(driver.core.fail([3], None, ["no"], driver.now))
    assert answer.states == [JobState.DELAYED], "it would be ready at once, alone"
    driver.core.check()
    driver.now += 1
    assert pull_order(driver, "q")["q"][:10] == [*DUE, 3]


def test_a_retry_in_a_queue_without_delayed_jobs_is_ready_at_once(driver: Driver) -> None:
    (job_id,) = driver.push_many(1, queue="other")
    driver.pull(1, queue="other")
    answer = answered(driver.core.fail([job_id], None, ["no"], driver.now))
    assert answer.states == [JobState.READY]


@pytest.mark.parametrize("how", ["one", "queue", "by id"])
def test_dead_letters_come_back_behind_what_is_due(driver: Driver, how: str) -> None:
    if how == "by id":
        driver.core.revive([1, 2], driver.now)
    elif how == "queue":
        first = answered(driver.core.retry_dead("q", None, driver.now))
        assert (first.count, first.upto is None) == (0, False), "a step of maturing"
        assert driver.retry_dead() == 2
    else:
        assert [driver.retry_dead(1), driver.retry_dead(2)] == [1, 1]
    driver.core.check()
    assert pull_order(driver, "q")["q"][:11] == [*DUE, 1, 2]


def test_a_promoted_job_comes_behind_what_is_due(driver: Driver) -> None:
    driver.core.promote([FAR], driver.now)
    driver.core.check()
    assert pull_order(driver, "q")["q"] == [*DUE, FAR]
