"""ACK, FAIL, retries: who may settle what, and what becomes of the job."""

import pytest

from conformance.driver import START_MS, Driver
from magicqueue_cores.contract import Failed, JobState, Settled
from magicqueue_cores.retry import retry_delay_ms

NOTHING_MISSED = Settled([], [])


def test_an_acked_job_leaves_no_trace(core: Driver) -> None:
    core.push(b"1", b"2")
    assert core.ack(*core.pull(2)) == NOTHING_MISSED
    assert core.state(1) is None
    stats = core.stats()
    assert (stats.processing, stats.completed, stats.content_bytes) == (0, 2, 0)
    assert core.core.next_deadline_ms >= START_MS + 1000


def test_what_cannot_be_acked_is_missing_in_the_order_asked(core: Driver) -> None:
    core.push(b"1", b"2")
    core.push(b"3", delay_ms=10)
    core.pull()
    assert core.ack(99, 3, 1, 2, 1) == Settled([99, 3, 2, 1], [])


def test_an_older_attempt_is_stale_and_changes_nothing(core: Driver) -> None:
    core.push()
    core.pull(session=1)
    core.close_session(1)
    core.pull(session=2)
    assert core.ack(1, attempts=[1]) == Settled([1], [1])
    assert core.fail(1, attempts=[1]) == Failed([1], [1], [None])
    assert core.heartbeat(1, attempts=[1], lease_ms=10**6) == Settled([1], [1])
    assert core.job(1).lease_until_ms == core.now + 1000
    assert core.ack(1, attempts=[3]) == Settled([1], [])
    assert core.ack(1, attempts=[2]) == NOTHING_MISSED


def test_without_an_attempt_anyone_may_settle(core: Driver) -> None:
    core.push()
    core.pull(session=1)
    core.close_session(1)
    core.pull(session=2)
    assert core.ack(1) == NOTHING_MISSED


def test_a_late_ack_of_a_job_that_came_back_is_accepted(core: Driver) -> None:
    core.push(b"1", b"2")
    core.pull(2)
    core.close_session(1)
    assert core.ack(1) == Settled([1], [])
    assert core.ack(1, attempts=[1]) == NOTHING_MISSED
    assert core.stats().completed == 1
    assert core.pull(9) == [2]


def test_no_late_ack_after_a_failure(core: Driver) -> None:
    core.push()
    core.pull()
    assert core.fail(1).states == [JobState.READY]
    assert core.ack(1, attempts=[1]) == Settled([1], [])
    assert core.state(1) is JobState.READY


def test_many_late_acks(core: Driver) -> None:
    core.push_many(200)
    ids = core.pull(200)
    core.close_session(1)
    assert core.ack(*ids[50:], attempts=[1] * 150) == NOTHING_MISSED
    assert core.pull(200) == ids[:50]


def test_a_failed_job_is_retried_at_once_behind_the_others(core: Driver) -> None:
    core.push(b"1", b"2")
    core.pull()
    assert core.fail(1, error="no") == Failed([], [], [JobState.READY])
    view = core.job(1)
    assert (view.failures, view.error, view.attempts) == (1, "no", 1)
    delivery = core.deliver(9)
    assert delivery.ids == [2, 1]
    assert delivery.attempts == [1, 2]


def test_backoff_doubles_up_to_its_maximum(core_name: str) -> None:
    core = Driver(core_name, backoff_ms_max=350)
    core.push(backoff_ms=100)
    for wait_ms in (100, 200, 350, 350):
        core.pull()
        assert core.fail(1).states == [JobState.DELAYED]
        assert core.job(1).run_at_ms == core.now + wait_ms
        core.tick(wait_ms - 1)
        assert core.state(1) is JobState.DELAYED
        core.tick(1)
        assert core.state(1) is JobState.READY


def test_jitter_is_that_of_retry(core: Driver) -> None:
    core.push(b"1", b"2", b"3", backoff_ms=1000, jitter=True)
    core.fail(*core.pull(3))
    for job_id in (1, 2, 3):
        wait_ms = retry_delay_ms(
            job_id=job_id,
            failures=1,
            backoff_ms=1000,
            jitter=True,
            backoff_ms_max=3_600_000,
        )
        assert core.job(job_id).run_at_ms == core.now + wait_ms


def test_after_max_attempts_failures_a_job_is_dead(core: Driver) -> None:
    core.push(max_attempts=2)
    core.fail(*core.pull(), error="first")
    core.tick(7)
    assert core.fail(*core.pull(), error="second").states == [JobState.DEAD]
    view = core.job(1)
    assert (view.reason, view.error, view.died_at_ms) == ("failed", "second", core.now)
    assert core.queue_stats().failed == 2
    assert core.pull() == []


def test_zero_max_attempts_is_no_limit(core: Driver) -> None:
    core.push(max_attempts=0)
    for _ in range(40):
        assert core.fail(*core.pull()).states == [JobState.READY]


def test_a_batch_fails_what_it_can(core: Driver) -> None:
    core.push(b"1", b"2", b"3")
    core.push(b"4", max_attempts=1)
    core.pull(1)
    core.pull(1)
    assert core.pull(2) == [3, 4]
    answer = core.fail(1, 1, 99, 4, 2)
    assert answer.missing == [1, 99]
    assert answer.states == [
        JobState.READY,
        None,
        None,
        JobState.DEAD,
        JobState.READY,
    ]
    assert core.pull(9) == [1, 2]


@pytest.mark.parametrize("verb", ["ack", "fail", "heartbeat"])
def test_only_active_jobs_can_be_settled(core: Driver, verb: str) -> None:
    core.push(b"ready")
    core.push(b"delayed", delay_ms=10)
    core.push(b"dead", max_attempts=1, priority=9)
    core.fail(*core.pull())
    extra = {"lease_ms": 10} if verb == "heartbeat" else {}
    assert getattr(core, verb)(1, 2, 3, **extra).missing == [1, 2, 3]
