"""Jobs that are removed or buried by their ids, wherever they stand."""

import time

import pytest

from conformance.driver import Driver, answered, assert_same
from magicqueue_cores import make_core
from magicqueue_cores.contract import LIVE, WAITING, CoreOptions, JobState, JobView, Settled
from magicqueue_cores.records import Died, Removed

READY, DELAYED, ACTIVE, DEAD, HELD = JobState
EVERY_STATE = (READY, DELAYED, ACTIVE, DEAD)


def one_of_each(core: Driver) -> dict[JobState, int]:
    """A job in each state, by the state."""
    (dead,) = core.push(max_attempts=1)
    core.fail(*core.pull(), error="why it died")
    (active,) = core.push()
    core.pull(lease_ms=10**6)
    (ready,) = core.push()
    (delayed,) = core.push(delay_ms=500)
    return {READY: ready, DELAYED: delayed, ACTIVE: active, DEAD: dead}


@pytest.mark.parametrize("state", EVERY_STATE)
@pytest.mark.parametrize("cause", ["cancelled", "expired", "purged"])
def test_a_job_is_removed_from_any_state(core: Driver, state: JobState, cause: str) -> None:
    ids = one_of_each(core)
    before = core.stats()
    assert core.remove(ids[state], cause=cause) == Settled([], [])
    assert core.records[-1] == Removed([ids[state]], cause)
    assert core.state(ids[state]) is None
    stats = core.stats()
    here = (stats.queued, stats.delayed, stats.processing, stats.dead)
    assert here == tuple(int(state is not other) for other in EVERY_STATE)
    assert (stats.cancelled, stats.expired) == (cause == "cancelled", cause == "expired")
    same = ("completed", "failed", "lost", "released", "dropped", "pushed")
    for what in same:
        assert getattr(stats, what) == getattr(before, what), what
    assert core.queue_stats().cancelled == stats.cancelled
    assert core.queue_stats().expired == stats.expired
    assert_same(core, core.replayed(core.name), range(1, 9))


@pytest.mark.parametrize("states", [WAITING, LIVE, frozenset((DEAD,)), frozenset()])
def test_only_jobs_in_one_of_the_states_are_removed(
    core: Driver, states: frozenset[JobState]
) -> None:
    ids = one_of_each(core)
    settled = core.remove(*ids.values(), 99, states=states)
    expected = [job_id for state, job_id in ids.items() if state not in states]
    assert settled == Settled([*expected, 99], [])
    for state, job_id in ids.items():
        assert core.state(job_id) is (None if state in states else state)


def test_a_job_that_is_named_twice_is_missing_the_second_time(core: Driver) -> None:
    core.push_many(3)
    assert core.remove(2, 2, 3) == Settled([2], [])
    assert core.bury(1, 1) == Settled([1], [])
    assert core.records[-2:] == [
        Removed([2, 3], "cancelled"),
        Died([1], "expired", [None], core.now),
    ]


def test_nothing_is_recorded_where_nothing_is_done(core: Driver) -> None:
    core.push()
    assert core.remove(7, cause="expired") == core.bury(7) == Settled([7], [])
    assert core.remove() == core.bury() == Settled([], [])
    assert len(core.records) == 1


def test_the_others_keep_their_order(core: Driver) -> None:
    core.push_many(50)
    core.push_many(50, priority=1)
    core.push_many(50, delay_ms=10)
    gone = [*range(10, 41), *range(51, 101, 2), *range(120, 140), 150]
    core.remove(*gone[::2])
    core.bury(*gone[1::2])
    core.tick(10)
    rest = [*range(51, 101), *range(1, 51), *range(101, 151)]
    assert core.pull(200) == [job_id for job_id in rest if job_id not in gone]


@pytest.mark.parametrize("verb", ["remove", "bury", "replace"])
def test_the_old_attempt_of_a_job_that_came_back_counts_no_more(
    core: Driver, verb: str
) -> None:
    core.push_many(2)
    assert core.pull(2) == [1, 2]
    core.close_session(1)
    getattr(core, verb)(1)
    assert core.ack(1, attempts=[1]).missing == [1]
    again = core.replayed(core.name)
    assert again.ack(1, attempts=[1]).missing == [1]
    assert core.ack(2, attempts=[1]).missing == again.ack(2, attempts=[1]).missing == []
    assert core.stats().completed == again.stats().completed == 1


def test_the_lease_of_a_removed_job_is_over(core: Driver) -> None:
    core.push_many(3)
    core.pull(3, lease_ms=100)
    core.remove(1)
    core.bury(2)
    assert core.ack(1, 2).missing == [1, 2]
    assert core.heartbeat(1, 2, 3, lease_ms=100).missing == [1, 2]
    core.tick(100)
    stats = core.stats()
    assert (stats.lost, stats.processing, stats.queued, stats.dead) == (1, 0, 1, 1)
    assert core.state(3) is READY


@pytest.mark.parametrize("state", [READY, DELAYED, ACTIVE])
def test_a_buried_job_is_a_dead_letter(core: Driver, state: JobState) -> None:
    ids = one_of_each(core)
    before = core.job(ids[state])
    core.tick(1)
    assert core.bury(ids[state], reason="too old", error=None) == Settled([], [])
    job = core.job(ids[state])
    assert (job.state, job.reason, job.died_at_ms) == (DEAD, "too old", core.now)
    assert (job.error, job.lease_until_ms) == (None, None)
    assert (job.attempts, job.failures, job.lost) == (before.attempts, 0, 0)
    assert [view.id for view in core.dead().jobs] == [ids[DEAD], ids[state]]
    stats = core.stats()
    assert (stats.failed, stats.lost, stats.expired, stats.completed) == (1, 0, 0, 0)
    assert core.bury(ids[state]) == Settled([ids[state]], []), "it is dead already"
    again = core.replayed(core.name)
    core.retry_dead(ids[state])
    again.retry_dead(ids[state])
    assert core.job(ids[state]).attempts == 0
    assert_same(core, again, range(1, 9))


def test_a_burial_keeps_the_error_or_brings_one(core: Driver) -> None:
    core.push_many(2)
    core.pull(2)
    core.fail(1, error="was", delays_ms=[50])
    core.fail(2, error="was another", delays_ms=[0])
    errors = [None, "is"]
    answered(core.core.bury([1, 2], "expired", errors, core.now))
    assert [view.error for view in core.dead().jobs] == ["was", "is"]
    assert core.records[-1] == Died([1, 2], "expired", ["was", "is"], core.now)
    assert core.job(1).failures == 1


@pytest.mark.parametrize("reason", ["failed", "timeout", "worker_lost"])
def test_a_burial_is_for_no_reason_that_counts(core: Driver, reason: str) -> None:
    core.push()
    with pytest.raises(ValueError, match=f"'{reason}' counts"):
        core.bury(1, reason=reason)
    assert core.state(1) is READY


def test_a_burial_is_told_and_makes_room(core_name: str) -> None:
    core = Driver(core_name, dead_jobs_max=2)
    deaths: list[tuple[list[JobView], int]] = []
    core.core = make_core(
        core_name,
        CoreOptions(dead_jobs_max=2),
        record=core.records.append,
        on_death=lambda views, count: deaths.append((views, count)),
    )
    core.push_many(3)
    core.bury(3, 1, 2)
    ((views, count),) = deaths
    assert ([view.id for view in views], count) == ([3, 1, 2], 3)
    assert core.records[-1] == Removed([3], "dropped")
    assert [view.id for view in core.dead().jobs] == [1, 2]
    assert core.stats().dropped == 1


def test_a_time_out_counts_as_a_failure(core: Driver) -> None:
    core.push(max_attempts=1)
    core.push(max_attempts=2)
    states = core.fail(*core.pull(2), error="timed out", reason="timeout").states
    assert states == [DEAD, READY]
    assert (core.job(1).reason, core.job(1).failures) == ("timeout", 1)
    assert core.stats().failed == 2
    assert_same(core, core.replayed(core.name), [1, 2])


def test_counters_of_removals_keep_a_queue_known_until_a_restart(core: Driver) -> None:
    core.push(queue="cancelled")
    core.push(queue="expired")
    core.push(queue="purged")
    core.remove(1)
    core.remove(2, cause="expired")
    core.remove(3, cause="purged")
    for queue in ("cancelled", "expired", "purged"):
        core.push(queue=queue)
        core.drain(queue)
    assert [stats.name for stats in core.queues()] == ["cancelled", "expired"]
    again = core.replayed(core.name)
    assert again.queues() == core.queues()
    assert again.stats() == core.stats()


FEW, MANY = 4_000, 40_000


def cost_of_leaving_s(core_name: str, verb: str, count: int, delay_ms: int) -> float:
    """Give what a job costs when many leave the middle, one by one and newest first."""
    core = Driver(core_name).core
    driver = Driver(core_name)
    driver.core = core
    driver.push_many(count, delay_ms=delay_ms)
    now = driver.now
    leaving = range(count - 1, count // 4, -1)
    begun = time.process_time()
    for job_id in leaving:
        if verb == "remove":
            core.remove([job_id], WAITING, "cancelled", now)
        elif verb == "bury":
            core.bury([job_id], "expired", [None], now)
        else:
            core.replace(job_id, b"1", 0, now + delay_ms + job_id % 7, now)
    cost_s = (time.process_time() - begun) / len(leaving)
    driver.core.check()
    left = count if verb == "replace" else count // 4 + 1
    assert driver.stats().queued + driver.stats().delayed == left
    return cost_s


@pytest.mark.parametrize("delay_ms", [0, 10**6])
@pytest.mark.parametrize("verb", ["remove", "bury", "replace"])
def test_jobs_leave_the_middle_at_a_cost_that_stays(
    core_name: str, verb: str, delay_ms: int
) -> None:
    """The control is a tenth as many: a scan for each would cost ten times as much."""
    few, many = (
        min(cost_of_leaving_s(core_name, verb, count, delay_ms) for _ in range(3))
        for count in (FEW, MANY)
    )
    assert many < 4 * few


def test_memory_is_given_back_with_what_leaves_the_middle(core: Driver) -> None:
    core.push_many(300)
    core.push_many(300, delay_ms=5)
    core.pull(50)
    full = core.stats().memory_bytes
    core.remove(*range(40, 600), states=EVERY_STATE)
    assert core.stats().memory_bytes < full / 4
    core.remove(*range(1, 601), states=EVERY_STATE)
    assert core.stats().content_bytes == 0
    assert core.drain() == 0
