"""While more jobs are due than a step matures, others come behind them."""

import pytest

from conformance.driver import CORES, Driver, answered, pull_order
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, JobState, Step
from magicqueue_cores.records import Record, Revived

STEP = 2
OPTIONS = {"step_jobs": STEP, "lost_max": 0}
DUE = 9


@pytest.fixture
def lagging(core_name: str) -> Driver:
    """1 and 2 are active, 3 and 4 dead, 5 to 13 were due 5 ms ago, 14 is in a second."""
    driver = Driver(core_name, **OPTIONS)
    driver.push_many(2, max_attempts=3)
    driver.pull(2)
    driver.push_many(2, max_attempts=1)
    driver.fail(*driver.pull(2))
    driver.push_many(DUE, delay_ms=5)
    driver.push(delay_ms=1000)
    driver.now += 10
    return driver


def catch_up(driver: Driver) -> None:
    """Let all mature that is due a millisecond later."""
    driver.now += 1
    while driver.core.next_deadline_ms <= driver.now:
        driver.core.advance(driver.now)
        driver.core.check()


def assert_order(driver: Driver, *last: int) -> None:
    """All that was due comes first, then `last`; the oldest is told, here and replayed."""
    catch_up(driver)
    for name in CORES:
        if make_core(name, CoreOptions()).name == name:
            again = driver.replayed(name, **OPTIONS)
            assert again.queue_stats() == driver.queue_stats()
            assert pull_order(again, "q")["q"] == [*range(5, 5 + DUE), *last]
    assert driver.queue_stats().oldest_ready_ms == 6
    for _ in range(DUE):
        driver.pull()
    oldest_ms = driver.now - driver.job(last[0]).run_at_ms
    assert driver.queue_stats().oldest_ready_ms == oldest_ms
    assert pull_order(driver, "q") == {"q": list(last)}


def test_a_failure_that_is_retried_at_once_comes_behind(lagging: Driver) -> None:
    failed = lagging.fail(2, 1, delays_ms=[None, 0])
    assert failed.states == [JobState.DELAYED] * 2
    assert lagging.job(1).run_at_ms == lagging.job(2).run_at_ms == lagging.now + 1
    assert_order(lagging, 1, 2)


def test_a_retry_in_a_queue_without_delayed_jobs_does_not_wait(lagging: Driver) -> None:
    lagging.push(queue="other")
    failed = lagging.fail(*lagging.pull(queue="other"), 1)
    assert failed.states == [JobState.READY, JobState.DELAYED]
    assert lagging.queue_stats("other").queued == 1


def test_a_retry_that_is_later_anyway_is_as_late_as_it_was_asked(lagging: Driver) -> None:
    lagging.fail(1, delays_ms=[30])
    assert lagging.job(1).run_at_ms == lagging.now + 30


def revived(records: list[Record]) -> list[int]:
    return [
        job_id for record in records if isinstance(record, Revived) for job_id in record.ids
    ]


def test_dead_letters_live_again_when_all_that_is_due_is_ready(lagging: Driver) -> None:
    step, calls = answered(lagging.core.retry_dead("q", None, lagging.now)), 1
    while not revived(lagging.records):
        assert step.count == 0
        assert step.upto is not None
        lagging.core.check()
        step = answered(lagging.core.retry_dead("q", None, lagging.now, step.upto))
        calls += 1
    assert step.count == 2
    assert calls == -(-DUE // STEP), "each call matures a step, the last one revives too"
    assert_order(lagging, 3, 4)


def test_one_dead_letter_waits_as_all_do(lagging: Driver) -> None:
    first = answered(lagging.core.retry_dead("q", 4, lagging.now))
    assert first.count == 0
    assert first.upto is not None
    assert lagging.retry_dead(4) == 1
    assert answered(lagging.core.purge_dead("q", 3, lagging.now)) == Step(1)
    assert_order(lagging, 4)


def test_named_dead_letters_live_again_behind_all_that_is_due(lagging: Driver) -> None:
    assert lagging.revive(4, 3, 99).missing == [99]
    assert_order(lagging, 4, 3)


def test_a_promoted_job_is_ready_behind_all_that_is_due(lagging: Driver) -> None:
    assert lagging.promote(14, 13).missing == [13], "what was due is ready by then"
    assert_order(lagging, 14)


def test_what_is_lost_or_given_back_is_in_front_as_ever(lagging: Driver) -> None:
    lagging.release(2)
    lagging.close_session(1)
    catch_up(lagging)
    assert pull_order(lagging, "q") == {"q": [1, 2, *range(5, 5 + DUE)]}
