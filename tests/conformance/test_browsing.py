"""Jobs that are looked through by id, and in the order they will come."""

from collections.abc import Iterator

import pytest

from conformance.driver import BYTES_MAX, Driver, answered
from magicqueue_cores import browsing
from magicqueue_cores.contract import (
    TURN_JOBS_MAX,
    JobsPage,
    JobState,
    NewJobs,
    Place,
    Search,
    TooFar,
)

READY, DELAYED, ACTIVE, DEAD, HELD = JobState


def browse(
    core: Driver,
    after: int = 0,
    *,
    count: int = 1000,
    scan_max: int = 10_000,
    bytes_max: int = BYTES_MAX,
    **wanted: object,
) -> JobsPage:
    search = Search(**wanted)  # type: ignore[arg-type]  # what the test says
    limits = count, scan_max, bytes_max, core.now
    return answered(core.core.browse(search, after, *limits))


def followed(core: Driver, **options: object) -> Iterator[JobsPage]:
    """The pages of a search to its end."""
    after: int | None = 0
    while after is not None:
        page = browse(core, after, **options)  # type: ignore[arg-type]  # as above
        yield page
        after = page.next_id


def found(core: Driver, **options: object) -> list[int]:
    return [job.id for page in followed(core, **options) for job in page.jobs]


def in_turn(
    core: Driver, state: JobState = READY, count: int = 50, queue: str = "q"
) -> list[int]:
    """All that is told of an order, page by page."""
    ids: list[int] = []
    after: Place | None = None
    while True:
        limits = count, BYTES_MAX, core.now
        page = answered(core.core.in_turn(queue, state, after, *limits))
        ids += [job.id for job in page.jobs]
        after = page.next_place
        if after is None:
            return ids
        assert len(page.jobs) == count


def test_jobs_of_all_queues_and_states_come_by_id(core: Driver) -> None:
    core.push_many(3)
    core.push_many(2, queue="other", delay_ms=50)
    core.push(max_attempts=1, priority=9)
    core.fail(*core.pull())
    core.pull(2)
    assert found(core) == [1, 2, 3, 4, 5, 6]
    assert found(core, queue="other") == [4, 5]
    assert found(core, queue="nobody's") == []
    assert found(core, states=frozenset((ACTIVE, DEAD))) == [1, 2, 6]
    assert browse(core).jobs == [core.job(job_id) for job_id in range(1, 7)]


def test_held_jobs_come_by_id_and_in_no_order(core: Driver) -> None:
    core.push_many(2)
    none = browse(core, queue="q", states=frozenset((HELD,)))
    assert (none.jobs, none.scanned) == ([], 0)
    held = core.push_held(b"1", b"2")
    assert found(core, queue="q", states=frozenset((HELD,))) == held
    assert in_turn(core, HELD) == []
    assert in_turn(core, READY) == [1, 2]


def test_a_page_ends_where_its_first_bound_is_met(core: Driver) -> None:
    core.push(b"a" * 10, b"b" * 10, b"c" * 30, b"d", b"e")
    page = browse(core, count=2)
    assert ([job.id for job in page.jobs], page.next_id, page.scanned) == ([1, 2], 2, 2)
    page = browse(core, scan_max=3, contains=b"d")
    assert (page.jobs, page.next_id, page.scanned_bytes) == ([], 3, 50)
    page = browse(core, bytes_max=20)
    assert ([job.id for job in page.jobs], page.next_id) == ([1, 2], 2)
    page = browse(core, 2, bytes_max=20)
    assert ([job.id for job in page.jobs], page.next_id) == ([3], 3)
    assert browse(core, count=5).next_id is None, "that was the last one"
    assert browse(core, 99).next_id is None


def test_what_a_payload_has_as_a_part_is_found(core: Driver) -> None:
    core.push(b'{"to":"ann"}', b'{"to":"bob"}', b"y" * 70_000 + b"ann", b'"\xc3\xbc"')
    assert found(core, contains=b"ann") == [1, 3]
    assert found(core, contains=b'"bob"') == [2]
    assert found(core, contains=b"\xc3\xbc") == [4]
    assert found(core, contains=b"nobody") == []


def test_who_was_there_throughout_is_seen_once(core: Driver) -> None:
    core.push_many(300)
    seen: list[int] = []
    for turn, page in enumerate(followed(core, scan_max=7)):
        seen += [job.id for job in page.jobs]
        core.ack(*core.pull(2))
        core.push(queue="other", delay_ms=turn)
        core.remove(300 - turn)
        core.tick(1)
    assert sorted(set(seen)) == seen
    assert {job_id for job_id in range(1, 301) if core.state(job_id)} <= set(seen)


@pytest.mark.parametrize("apart", [1, 70, 3000, 200_000])
def test_far_apart_ids_are_found(core: Driver, apart: int) -> None:
    kept = []
    for _ in range(4):
        kept += core.push()
        batch = NewJobs(payloads=[b"1"] * apart, run_ats_ms=core.now)
        core.core.push("passing", batch, core.now)
        core.core.drain("passing", core.now)
    pages = list(followed(core, scan_max=2))
    assert [job.id for page in pages for job in page.jobs] == kept
    assert sum(page.scanned for page in pages) == len(kept)


def test_the_order_of_ready_jobs_is_that_of_pulls(core: Driver) -> None:
    core.push(*[b"%d" % n for n in range(30)], priority=[n % 4 for n in range(30)])
    core.pull(9, session=7)
    core.close_session(7)
    core.remove(5, 13, 28)
    core.replace(8, priority=2)
    expected = in_turn(core, count=4)
    assert len(expected) == 27
    assert core.pull(50) == expected


def test_the_order_of_delayed_jobs_is_that_of_time(core: Driver) -> None:
    ids = [core.push(delay_ms=delay)[0] for delay in (50, 20, 70, 20, 90, 10)]
    core.push(queue="other", delay_ms=15)
    core.remove(ids[1])
    core.replace(ids[2], delay_ms=1)
    core.replace(ids[2], delay_ms=70)
    assert in_turn(core, DELAYED, count=2) == [6, 4, 1, 3, 5]


def test_the_order_of_active_jobs_is_that_of_leases(core: Driver) -> None:
    core.push_many(8)
    core.push_many(2, queue="other")
    core.pull(3, lease_ms=500)
    core.pull(2, lease_ms=100, session=2)
    core.pull(2, "other", lease_ms=50)
    core.pull(2, lease_ms=500, session=3)
    core.heartbeat(4, lease_ms=900)
    assert in_turn(core, ACTIVE, count=1) == [5, 1, 2, 3, 6, 7, 4]
    assert in_turn(core, ACTIVE, queue="other") == [9, 10]


def test_the_order_of_dead_jobs_is_that_of_death(core: Driver) -> None:
    core.push_many(5, max_attempts=1)
    core.pull(5)
    core.fail(3, 1)
    core.fail(5)
    core.fail(2)
    core.purge_dead(1)
    assert in_turn(core, DEAD, count=2) == [3, 5, 2]


def test_no_more_than_the_first_of_an_order_are_told(core: Driver) -> None:
    core.push_many(TURN_JOBS_MAX + 20)
    core.push_many(TURN_JOBS_MAX + 20, queue="late", delay_ms=5)
    first = list(range(1, TURN_JOBS_MAX + 1))
    assert in_turn(core, count=999 + 1) == first
    late = in_turn(core, DELAYED, 2500, "late")
    assert late == [TURN_JOBS_MAX + 20 + job_id for job_id in first]
    core.pull(TURN_JOBS_MAX + 20)
    assert in_turn(core, ACTIVE, 5000) == first


@pytest.mark.parametrize("state", [READY, DELAYED])
def test_places_of_jobs_that_left_are_passed_over(core: Driver, state: JobState) -> None:
    core.push_many(60_000, delay_ms=0 if state is READY else 10)
    core.remove(*range(2, 25_000))
    assert in_turn(core, state, 5000) == [1, *range(25_000, 25_000 + TURN_JOBS_MAX - 1)]
    core.core.check()


def test_an_order_that_many_share_is_not_searched_through(
    core: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "array_core" if core.name == "array" else "python"
    module = f"magicqueue_cores.{name}{'.' if core.name == 'array' else '_'}browsing"
    monkeypatch.setattr(f"{module}.OTHERS_MAX", 50)
    core.push_many(60, queue="other")
    core.pull(60, "other", lease_ms=10)
    core.push()
    core.pull(lease_ms=50)
    with pytest.raises(TooFar, match="by id instead"):
        in_turn(core, ACTIVE)
    core.ack(*range(1, 20))
    assert in_turn(core, ACTIVE) == [61]
    assert browsing.OTHERS_MAX > TURN_JOBS_MAX
