"""Jobs that are promoted, replaced or revived by their ids."""

import pytest

from conformance.driver import START_MS, Driver, answered, assert_same
from magicqueue_cores.contract import Full, JobState, Settled
from magicqueue_cores.records import Promoted, Replaced, Revived, sequence_span

READY, DELAYED, ACTIVE, DEAD, HELD = JobState


def test_promoted_jobs_come_behind_those_that_wait(core: Driver) -> None:
    core.push_many(2)
    core.push_many(4, delay_ms=1000)
    core.tick(3)
    assert core.promote(5, 3, 4, 5, 1, 99) == Settled([5, 1, 99], [])
    assert core.records[-1] == Promoted([5, 3, 4], core.now)
    assert sequence_span(core.records[-1]) == 3
    core.push(b"later")
    assert (core.job(5).run_at_ms, core.job(5).state) == (START_MS + 3, READY)
    assert core.job(6).run_at_ms == START_MS + 1000
    assert_same(core, core.replayed(core.name), range(1, 9))


def test_a_promotion_wakes_who_waits(core: Driver) -> None:
    core.push(delay_ms=50)
    core.core.watch("q", watching=True)
    core.promote(1)
    assert core.woken == ["q"]
    assert core.pull() == [1]
    core.tick(50)
    assert core.state(1) is ACTIVE, "its time comes, and nothing of it is left to mature"


def test_a_promoted_job_waits_in_a_paused_queue(core: Driver) -> None:
    core.push(delay_ms=50)
    core.core.watch("q", watching=True)
    core.pause()
    core.promote(1)
    assert core.woken == []
    assert core.pull() == []
    core.pause(paused=False)
    assert core.woken == ["q"]


def test_a_replaced_job_enters_the_order_anew(core: Driver) -> None:
    core.push_many(4)
    created = core.job(2).created_at_ms
    core.tick(7)
    assert core.replace(2, b"new data", priority=0)
    assert core.records[-1] == Replaced([2], [b"new data"], [0], [core.now], core.now)
    assert sequence_span(core.records[-1]) == 1
    job = core.job(2)
    assert (job.payload, job.created_at_ms, job.run_at_ms) == (
        b"new data",
        created,
        core.now,
    )
    assert core.replace(3, b"urgent", priority=9)
    core.push(b"behind")
    again = core.replayed(core.name)
    assert core.deliver(9).ids == [3, 1, 4, 2, 5]
    assert again.deliver(9).payloads == [b"urgent", b"0", b"3", b"new data", b"behind"]


@pytest.mark.parametrize("delay_ms", [-50, 0])
def test_a_delayed_job_that_is_replaced_by_a_ready_one_wakes(
    core: Driver, delay_ms: int
) -> None:
    core.push(delay_ms=500)
    core.core.watch("q", watching=True)
    assert core.replace(1, delay_ms=delay_ms)
    assert (core.job(1).run_at_ms, core.state(1)) == (core.now, READY)
    assert core.woken == ["q"]


def test_a_ready_job_may_be_put_off(core: Driver) -> None:
    core.push_many(2)
    assert core.replace(1, b"debounced", delay_ms=40)
    assert sequence_span(core.records[-1]) == 0
    assert core.core.next_deadline_ms <= core.now + 40
    for _ in range(3):
        core.tick(30)
        assert core.replace(1, b"again", delay_ms=40)
    assert core.pull(9) == [2]
    core.tick(40)
    assert core.deliver().payloads == [b"again"]


@pytest.mark.parametrize("times", [1, 2, 40])
def test_replaced_at_the_same_time_it_stands_where_it_stood(
    core: Driver, times: int
) -> None:
    core.push_many(6, delay_ms=40)
    for n in range(times):
        for job_id in (4, 6, 1):
            assert core.replace(job_id, b"%d" % n, delay_ms=40)
    core.tick(40)
    assert core.pull(9) == [1, 2, 3, 4, 5, 6]


def test_replaced_while_others_are_due_it_comes_behind_them(core_name: str) -> None:
    core = Driver(core_name, step_jobs=1)
    core.push()
    core.push_many(3, delay_ms=5)
    core.now += 10
    assert core.replace(1, b"as if pushed now")
    for _ in range(4):
        core.tick(1)
    assert core.pull(9) == [2, 3, 4, 1]


def test_what_is_active_dead_or_gone_is_not_replaced(core: Driver) -> None:
    core.push_many(3, max_attempts=1)
    core.pull(2)
    core.fail(2)
    count = len(core.records)
    assert [core.replace(job_id) for job_id in (1, 2, 9)] == [False] * 3
    assert len(core.records) == count
    assert core.job(1).payload == b"0"


def test_a_replaced_job_keeps_its_past(core: Driver) -> None:
    core.push(max_attempts=2, backoff_ms=10)
    core.fail(*core.pull(), error="first")
    assert core.replace(1, b"other")
    job = core.job(1)
    assert (job.attempts, job.failures, job.error) == (1, 1, "first")
    assert core.deliver().attempts == [2]
    assert core.fail(1).states == [DEAD]


def test_a_replacement_may_be_too_large(core_name: str) -> None:
    core = Driver(core_name)
    core.push(b"x" * 100)
    held = core.stats().memory_bytes
    core = Driver(core_name, memory_bytes_max=held + 50)
    core.push(b"x" * 100)
    with pytest.raises(Full, match="memory_bytes_max"):
        core.core.refuse_more(51)
    core.core.refuse_more(50)
    assert core.replace(1, b"y" * 150)
    assert core.stats().content_bytes == 150
    with pytest.raises(Full, match="memory_bytes_max"):
        core.core.refuse_more(51)
    core.core.refuse_more(0)
    assert core.replace(1, b"y" * 150, delay_ms=9)
    assert core.replace(1, b"z")
    assert core.stats().content_bytes == 1


def test_outside_bytes_count_as_memory(core_name: str) -> None:
    core = Driver(core_name)
    held = core.stats().memory_bytes
    assert core.core.outside_bytes == 0
    core.core.outside_bytes = 5000
    assert core.stats().memory_bytes == held + 5000
    bounded = Driver(core_name, memory_bytes_max=100_000)
    bounded.core.outside_bytes = 99_000
    with pytest.raises(Full):
        bounded.push(b"x" * 1000)
    bounded.core.outside_bytes = 0
    assert bounded.push(b"x" * 1000) == [1]


def test_jobs_are_revived_in_the_order_named(core: Driver) -> None:
    core.push_many(3, max_attempts=1)
    core.push(queue="other")
    core.pull(3)
    core.fail(1, 2, 3)
    core.core.watch("q", watching=True)
    assert core.revive(3, 4, 1, 3) == Settled([4, 3], [])
    assert core.records[-1] == Revived([3, 1], core.now)
    assert core.woken == ["q"]
    assert (core.job(3).attempts, core.job(3).reason, core.state(2)) == (0, None, DEAD)
    assert core.pull(9) == [3, 1]


def test_duplicates_are_counted_and_keep_nothing(core: Driver) -> None:
    core.push_many(2)
    core.core.count_duplicates("q", 2)
    core.core.count_duplicates("q", 1)
    core.core.count_duplicates("never seen", 4)
    assert core.queue_stats().duplicates == 3
    assert core.stats().duplicates == 7
    assert core.stats().pushed == 2
    assert [queue.name for queue in core.queues()] == ["q"]
    core.drain()
    assert core.queues() == [], "as a replay, which knows of no duplicates, would have it"
    assert core.stats().duplicates == 7


def test_while_a_queue_is_drained_in_steps_its_jobs_can_still_be_named(
    core_name: str,
) -> None:
    core = Driver(core_name, step_jobs=2)
    core.push_many(8, delay_ms=100)
    core.push_many(8)
    step = answered(core.core.drain("q", core.now))
    left = [job_id for job_id in range(1, 17) if core.state(job_id) is not None]
    assert left
    core.remove(left[0], left[-1])
    assert core.replace(left[1], b"new", delay_ms=100)
    assert core.replace(left[-2], b"new")
    while step.upto is not None:
        step = answered(core.core.drain("q", core.now, step.upto))
        core.core.check()
    core.tick(100)
    assert core.stats().delayed == 0
    assert core.queue_stats().queued == 2, "what was replaced came later"
    assert_same(core, core.replayed(core_name, step_jobs=2), range(1, 18))
