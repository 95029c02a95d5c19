"""Release: jobs that are given back unharmed; failures that say when, or not again."""

import pytest

from conformance.driver import START_MS, Driver
from magicqueue_cores.contract import NEVER_MS, Failed, JobState, Settled

NOTHING_MISSED = Settled([], [])


def test_a_released_job_has_its_old_place(core: Driver) -> None:
    core.push_many(4)
    core.push(b"first of all", priority=5)
    assert core.pull(3) == [5, 1, 2]
    assert core.release(2, 5) == NOTHING_MISSED
    core.push(b"behind")
    assert core.pull(9) == [5, 2, 3, 4, 6]


def test_a_release_is_neither_a_loss_nor_a_failure(core: Driver) -> None:
    """However often: not even a bound of one failure or one loss is ever reached."""
    core = Driver(core.name, lost_max=1)
    core.push(max_attempts=1)
    for attempt in range(1, 6):
        assert core.deliver().attempts == [attempt]
        core.release(1)
    job = core.job(1)
    assert (job.attempts, job.failures, job.lost, job.error) == (5, 0, 0, None)
    assert (job.state, job.run_at_ms) == (JobState.READY, START_MS)
    stats = core.stats()
    assert (stats.failed, stats.lost, stats.processing) == (0, 0, 0)


def test_after_releases_failures_and_losses_count_as_ever(core: Driver) -> None:
    core = Driver(core.name, lost_max=1)
    core.push(max_attempts=2, backoff_ms=100)
    core.release(*core.pull())
    core.release(*core.pull())
    assert core.fail(*core.pull()).states == [JobState.DELAYED]
    assert core.job(1).run_at_ms == START_MS + 100, "the backoff of a first failure"
    core.tick(100)
    core.release(*core.pull(session=3))
    core.pull(session=3)
    core.close_session(3)
    core.pull()
    job = core.job(1)
    assert (job.attempts, job.failures, job.lost) == (6, 1, 1)
    assert core.fail(1).states == [JobState.DEAD]
    assert (core.job(1).failures, core.job(1).reason) == (2, "failed")
    core.retry_dead(1)
    core.pull()
    assert (core.job(1).attempts, core.job(1).failures) == (1, 0)


def test_an_attempt_is_never_given_twice(core: Driver) -> None:
    core.push()
    assert core.deliver().attempts == [1]
    core.release(1, attempts=[1])
    assert core.deliver(session=2).attempts == [2]
    assert core.ack(1, attempts=[1]) == Settled([1], [1])
    assert core.release(1, attempts=[1]) == Settled([1], [1])
    assert core.release(1, attempts=[2]) == NOTHING_MISSED


def test_what_is_not_active_cannot_be_released(core: Driver) -> None:
    core.push(b"1", b"2")
    core.push(b"3", delay_ms=10)
    core.pull()
    assert core.release(99, 3, 1, 2, 1) == Settled([99, 3, 2, 1], [])
    assert core.release() == NOTHING_MISSED
    assert len(core.records) == 4


def test_released_with_a_delay_it_comes_later_and_behind(core: Driver) -> None:
    core.push_many(2)
    core.pull(2)
    core.release(1, delay_ms=50)
    core.release(2)
    core.push(b"3")
    assert core.job(1).state is JobState.DELAYED
    assert core.job(1).run_at_ms == START_MS + 50
    assert core.core.next_deadline_ms == START_MS + 50
    assert core.ack(1, attempts=[1]) == Settled([1], [])
    core.tick(49)
    assert core.queue_stats().delayed == 1
    core.tick(1)
    core.push(b"4")
    assert core.pull(9) == [2, 3, 1, 4]
    assert (core.job(1).failures, core.job(1).lost) == (0, 0)


def test_a_job_that_was_released_may_still_be_acknowledged(core: Driver) -> None:
    """As any that came back and was not handed out again: the work was done after all."""
    core.push()
    core.pull()
    core.release(1)
    assert core.ack(1) == Settled([1], [])
    assert core.ack(1, attempts=[1]) == NOTHING_MISSED
    assert core.stats().queued == 0


@pytest.mark.parametrize("delay_ms", [0, 30])
def test_released_jobs_wake_who_waits(core: Driver, delay_ms: int) -> None:
    core.push()
    core.pull()
    core.core.watch("q", watching=True)
    core.release(1, delay_ms=delay_ms)
    assert core.woken == ([] if delay_ms else ["q"])
    core.tick(30)
    assert core.woken == ["q"]


def test_large_payloads_and_errors_stay_with_a_released_job(core: Driver) -> None:
    core.push(b"x" * 100_000)
    core.fail(*core.pull(), error="once")
    core.release(*core.pull())
    job = core.job(1)
    assert (len(job.payload), job.error, job.failures) == (100_000, "once", 1)
    core.ack(*core.pull())
    assert core.stats().content_bytes == 0


def test_a_failure_may_say_when_it_is_tried_again(core: Driver) -> None:
    core.push_many(4, backoff_ms=1000, jitter=True)
    ids = core.pull(4)
    states: list[JobState | None]
    states = [JobState.DELAYED, JobState.READY, JobState.DELAYED, JobState.DEAD]
    assert core.fail(*ids, delays_ms=[7, 0, None, NEVER_MS]) == Failed([], [], states)
    assert core.job(1).run_at_ms == START_MS + 7
    assert [core.job(job_id).failures for job_id in ids] == [1, 1, 1, 1]
    dead = core.job(4)
    assert (dead.reason, dead.error, dead.max_attempts) == ("failed", "broken", 25)
    assert core.stats().failed == 4


def test_the_last_failure_is_the_last_whatever_was_asked(core: Driver) -> None:
    core.push_many(2, max_attempts=1)
    ids = core.pull(2)
    assert core.fail(*ids, delays_ms=[500, None]).states == [JobState.DEAD] * 2


def test_only_what_is_active_fails_for_good(core: Driver) -> None:
    core.push_many(2)
    core.pull()
    failed = core.fail(2, 1, 1, delays_ms=[NEVER_MS] * 3)
    assert failed == Failed([2, 1], [], [None, JobState.DEAD, None])
