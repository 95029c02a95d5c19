"""More is due than one step lets mature: what becomes ready meanwhile comes behind it."""

from collections.abc import Callable

import pytest

from conformance.driver import CORES, Driver, answered, pull_order
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, JobState


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


WAYS: dict[str, tuple[Callable[[Driver], object], list[int]]] = {
    "fail": (lambda driver: driver.fail(3), [3]),
    "fail with a wait that is over": (lambda driver: driver.fail(3, delays_ms=[0]), [3]),
    "retry_dead": (lambda driver: driver.retry_dead(), [1, 2]),
    "retry_dead of one": (lambda driver: driver.retry_dead(2), [2]),
    "revive": (lambda driver: driver.revive(2, 1), [2, 1]),
    "promote": (lambda driver: driver.promote(FAR), [FAR]),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_oldest_is_told_at_every_job_and_a_replay_has_them_in_order(
    driver: Driver, way: str
) -> None:
    make_ready, last = WAYS[way]
    make_ready(driver)
    driver.now += 1
    while driver.core.next_deadline_ms <= driver.now:
        driver.core.advance(driver.now)
        driver.core.check()
    order = [*DUE, *last]
    for name in CORES:
        if make_core(name, CoreOptions()).name == name:
            again = driver.replayed(name, step_jobs=2)
            assert again.queue_stats() == driver.queue_stats()
            assert pull_order(again, "q") == {"q": order}
    for job_id in order:
        oldest_ms = driver.now - driver.job(job_id).run_at_ms
        assert driver.queue_stats().oldest_ready_ms == oldest_ms
        assert driver.pull() == [job_id]


@pytest.mark.parametrize("how", ["release", "close_session"])
def test_what_comes_back_to_its_old_place_is_in_front(driver: Driver, how: str) -> None:
    if how == "release":
        driver.release(3)
    else:
        driver.close_session(1)
    driver.core.check()
    assert pull_order(driver, "q")["q"] == [3, *DUE]
