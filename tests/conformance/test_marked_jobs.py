"""Who observes a core is told of all that befalls marked jobs, and of no change of it."""

from collections.abc import Callable

import pytest

from conformance.driver import Driver, assert_same
from conformance.test_records import eventful_life
from magicqueue_cores import records
from magicqueue_cores.contract import NEVER_MS, JobState, NewJobs
from magicqueue_cores.records import Record

Told = list[tuple[str, list[int]]]


def observed(core: Driver, *marked: int) -> Told:
    """Mark jobs; gives the list of what is told of these, by name, that will grow."""
    told: Told = []

    def hear(record: Record) -> None:
        ids = [job_id for job_id in getattr(record, "ids", ()) if job_id in marked]
        if ids:
            told.append((type(record).__name__, ids))

    core.core.observe(hear)
    core.core.mark(marked, marked=True)
    return told


EVENTS: dict[str, Callable[[Driver], object]] = {
    "Leased": lambda core: core.pull(9),
    "Acked": lambda core: (core.pull(9), core.ack(1, 2, 3)),
    "Failed": lambda core: (core.pull(9), core.fail(1, 2, 3)),
    "Died": lambda core: (core.pull(9), core.fail(1, 2, 3, delays_ms=[NEVER_MS] * 3)),
    "Extended": lambda core: (core.pull(9), core.heartbeat(1, 2, 3, lease_ms=99)),
    "Lost": lambda core: core.close_session(core.pull(9)[0]),
    "Released": lambda core: (core.pull(9), core.release(1, 2, 3)),
    "Removed": lambda core: core.drain(),
    "Replaced": lambda core: core.replace(2, delay_ms=50),
    "Matured": lambda core: core.tick(50 * core.replace(2, delay_ms=50)),
    "Promoted": lambda core: (core.replace(2, delay_ms=50), core.promote(2)),
    "Revived": lambda core: (core.bury(2), core.retry_dead()),
}
SETUP = {
    "Acked": ["Leased"],
    "Failed": ["Leased"],
    "Died": ["Leased"],
    "Extended": ["Leased"],
    "Lost": ["Leased"],
    "Released": ["Leased"],
    "Matured": ["Replaced"],
    "Promoted": ["Replaced"],
    "Revived": ["Died"],
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_of_a_marked_job_is_told(core: Driver, event: str) -> None:
    core.push_many(3)
    told = observed(core, 2)
    EVENTS[event](core)
    assert told == [(name, [2]) for name in (*SETUP.get(event, []), event)]


def test_a_whole_life_is_told_in_order(
    core_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"lost_max": 1, "dead_jobs_max": 2}
    core, plain = Driver(core_name, **options), Driver(core_name, **options)
    told: list[Record] = []
    core.core.observe(told.append)
    real = core.push_batch

    def push_batch(batch: NewJobs, queue: str = "q") -> list[int]:
        ids = real(batch, queue)
        core.core.mark(ids, marked=True)
        return ids

    monkeypatch.setattr(core, "push_batch", push_batch)
    eventful_life(core)
    eventful_life(plain)
    expected = [record for record in core.records if ids_of(record)]
    assert [record for record in told if ids_of(record)] == expected
    assert core.records == plain.records, "to be observed changes nothing"
    assert_same(core, plain, range(1, 80))


def ids_of(record: Record) -> list[int]:
    return list(getattr(record, "ids", ()))


def test_what_is_not_marked_any_more_is_not_told(core: Driver) -> None:
    core.push_many(3)
    told: list[Record] = []
    core.core.observe(told.append)
    core.core.mark([1, 2, 77], marked=True)
    core.core.mark([1, 2], marked=False)
    core.pull(1)
    assert told == []
    core.core.mark([2], marked=True)
    core.pull(2)
    assert len(told) == 1
    core.core.observe(None)
    core.ack(2)
    assert len(told) == 1
    assert core.stats().completed == 1


def test_a_mark_comes_to_an_end_with_its_job(core: Driver) -> None:
    core.push_many(200)
    empty = Driver(core.name).stats().memory_bytes
    before = core.stats().memory_bytes
    told = observed(core, *range(1, 201))
    assert core.stats().memory_bytes >= before
    core.ack(*core.pull(50))
    core.remove(*range(51, 101))
    core.bury(*range(101, 151))
    core.purge_dead()
    core.drain()
    assert sum(len(ids) for name, ids in told if name in ("Acked", "Removed")) == 200
    assert core.stats().content_bytes == 0
    assert core.stats().memory_bytes <= empty + 10_000
    del told[:]
    core.push_many(5)
    core.ack(*core.pull(5))
    assert told == []


def test_marks_are_kept_while_a_log_is_replayed(core: Driver) -> None:
    core.push_many(3)
    begun = len(core.records)
    core.ack(*core.pull())
    core.pull()
    again = Driver(core.name)
    for record in core.records[:begun]:
        again.core.replay(record)
    told = observed(again, 1, 2, 3)
    for record in core.records[begun:]:
        again.core.replay(record)
    again.core.check()
    assert told == [], "what was decided before is not told again"
    again.remove(2, 3)
    assert told == [("Removed", [2, 3])]


def test_a_mark_is_no_part_of_what_is_moved(core: Driver) -> None:
    core.push_many(2)
    plain = core.core.export([1, 2])
    observed(core, 1)
    assert core.core.export([1, 2]) == plain
    other = Driver(core.name)
    other.core.replay(records.Origin(2, 2))
    other.core.replay(plain)
    told = observed(other, 2)
    other.pull(2)
    assert told == [("Leased", [2])]
    assert other.state(1) is JobState.ACTIVE
