"""Dead letters: listing with cursors, retrying, purging, and their bounds."""

import pytest

from conformance.driver import BYTES_MAX, Driver
from magicqueue_cores.contract import JobState, NotFound
from magicqueue_cores.dead_letters import DeadLetters


def bury(core: Driver, count: int, queue: str = "q") -> list[int]:
    """Push jobs and let each fail for good, one after the other."""
    ids = []
    for _ in range(count):
        (job_id,) = core.push(b"12345", queue=queue, max_attempts=1, priority=99)
        assert core.pull(1, queue) == [job_id]
        core.fail(job_id, error=f"error of {job_id}")
        ids.append(job_id)
    return ids


def listed(core: Driver, bytes_max: int = BYTES_MAX) -> list[int]:
    return [view.id for view in core.dead(bytes_max=bytes_max).jobs]


def test_dead_letters_are_listed_by_death(core: Driver) -> None:
    core.push(b"1", b"2", b"3", max_attempts=1)
    core.pull(3)
    core.fail(2)
    core.tick(5)
    core.fail(3, 1, error="late")
    page = core.dead()
    assert [view.id for view in page.jobs] == [2, 3, 1]
    assert page.next_id is None
    last = page.jobs[-1]
    assert (last.reason, last.error, last.died_at_ms) == ("failed", "late", core.now)
    assert last.state is JobState.DEAD


def test_pages(core: Driver) -> None:
    ids = bury(core, 5)
    first = core.dead(count=2)
    assert ([view.id for view in first.jobs], first.next_id) == (ids[:2], ids[1])
    second = core.dead(count=2, after=first.next_id)
    assert ([view.id for view in second.jobs], second.next_id) == (ids[2:4], ids[3])
    third = core.dead(count=2, after=second.next_id)
    assert ([view.id for view in third.jobs], third.next_id) == (ids[4:], None)


def test_a_page_ends_before_its_bytes_exceed_the_limit(core: Driver) -> None:
    ids = bury(core, 4)
    assert listed(core, bytes_max=35) == ids[:2]
    assert listed(core, bytes_max=1) == ids[:1]


def test_a_page_can_be_retried_job_by_job(core: Driver) -> None:
    ids = bury(core, 300)
    after = None
    seen: list[int] = []
    while page := core.dead(count=50, after=after).jobs:
        for view in page:
            assert core.retry_dead(view.id) == 1
        seen += [view.id for view in page]
        after = seen[-1]
    assert seen == ids
    assert core.queue_stats().dead == 0


def test_an_unknown_cursor_is_refused(core: Driver) -> None:
    bury(core, 1)
    for queue in ("q", "unknown"):
        with pytest.raises(NotFound, match=r"job 77 is no longer .* start again"):
            core.dead(after=77, queue=queue)
    assert core.dead(queue="unknown").jobs == []


def test_a_revived_job_starts_anew(core: Driver) -> None:
    bury(core, 1)
    created = core.job(1).created_at_ms
    core.tick(100)
    core.push(b"before", priority=99)
    assert core.retry_dead(1) == 1
    view = core.job(1)
    assert (view.state, view.attempts, view.failures, view.lost) == (
        JobState.READY,
        0,
        0,
        0,
    )
    assert (view.error, view.reason, view.died_at_ms) == (None, None, None)
    assert (view.created_at_ms, view.run_at_ms) == (created, core.now)
    assert core.pull(9) == [2, 1]
    assert core.ack(1, attempts=[1]).missing == []


def test_a_whole_queue_is_retried_in_order_of_death(core: Driver) -> None:
    core.push(b"1", b"2", b"3", max_attempts=1)
    core.pull(3)
    core.fail(3, 1, 2)
    bury(core, 1, "other")
    assert core.retry_dead() == 3
    assert core.retry_dead() == 0
    assert core.pull(9) == [3, 1, 2]
    assert core.stats().dead == 1


def test_purging(core: Driver) -> None:
    bury(core, 3)
    assert core.purge_dead(2) == 1
    assert core.state(2) is None
    assert listed(core) == [1, 3]
    assert core.purge_dead() == 2
    assert core.purge_dead(queue="unknown") == 0
    assert core.stats().content_bytes == 0


@pytest.mark.parametrize("verb", ["retry_dead", "purge_dead"])
def test_only_dead_letters_can_be_named(core: Driver, verb: str) -> None:
    core.push(b"alive", queue="other")
    bury(core, 1)
    for job_id, queue in [(1, None), (1, "other"), (99, "q"), (2, "other")]:
        with pytest.raises(NotFound, match=f"job {job_id} is"):
            getattr(core, verb)(job_id, queue)
    assert getattr(core, verb)(2, None) == 1


def test_jobs_lost_for_good_together_die_by_id(core_name: str) -> None:
    core = Driver(core_name, lost_max=1)
    core.push(*[b"x"] * 40, priority=list(range(40)))
    core.pull(40)
    core.close_session(1)
    core.pull(15, lease_ms=20)
    core.pull(25, lease_ms=10)
    core.tick(20)
    assert listed(core) == list(range(1, 41))


@pytest.mark.parametrize("bound", [{"dead_jobs_max": 3}, {"dead_bytes_max": 47}])
def test_the_oldest_are_dropped_and_counted(core_name: str, bound: dict[str, int]) -> None:
    core = Driver(core_name, **bound)
    ids = bury(core, 5)
    assert listed(core) == ids[2:]
    assert core.state(ids[0]) is None
    assert core.queue_stats().dropped == core.stats().dropped == 2
    bury(core, 1, "other")
    assert core.stats().dead == 4


def test_a_bound_of_zero_is_none(core_name: str) -> None:
    core = Driver(core_name, dead_jobs_max=0, dead_bytes_max=0, lost_max=0)
    ids = bury(core, 50)
    assert listed(core) == ids
    core.push(b"1")
    for _ in range(20):
        core.pull()
        core.close_session(1)
    assert listed(core) == ids


class TestDeadLetters:
    """The structure on its own."""

    def test_the_place_of_the_last_removed_is_known(self) -> None:
        letters = DeadLetters("q", 1000, 10**6)
        for job_id in range(1, 501):
            letters.add(job_id, 1)
        for job_id in range(1, 451):
            letters.remove(job_id)
            letters.check()
            assert next(letters.after(job_id)) == job_id + 1

    def test_tombstones_are_bounded(self) -> None:
        letters = DeadLetters("q", 1000, 10**6)
        for job_id in range(1, 10_000):
            letters.add(job_id, 1)
            letters.remove(job_id)
            letters.check()
        assert len(letters) == letters.content_bytes == 0
        assert list(letters.after(9_999)) == []
        with pytest.raises(NotFound):
            letters.after(1)

    def test_a_job_that_dies_twice_has_its_later_place(self) -> None:
        letters = DeadLetters("q", 1000, 10**6)
        for job_id in (1, 2, 3):
            letters.add(job_id, 1)
        letters.remove(1)
        letters.add(1, 1)
        letters.check()
        assert list(letters) == [2, 3, 1]
        assert list(letters.after(3)) == [1]
        assert list(letters.after(1)) == []

    def test_overflow_names_the_oldest(self) -> None:
        letters = DeadLetters("q", 3, 10)
        for job_id in (1, 2, 3, 4):
            letters.add(job_id, 2)
        assert letters.overflow() == [1]
        letters.add(5, 9)
        assert letters.overflow() == [1, 2, 3, 4]
