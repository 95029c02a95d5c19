"""Who listens to a core is told of each rare turn once, in order, and with its queue."""

from collections.abc import Callable
from typing import get_args

import pytest

from conformance.driver import Driver
from conformance.test_records import eventful_life
from magicqueue_cores import records
from magicqueue_cores.contract import NEVER_MS, JobState
from magicqueue_cores.records import Record
from magicqueue_cores.transitions import REMOVABLE
from magicqueue_cores.turns import KIND_OF, KIND_OF_CAUSE, KINDS, Turn

Told = list[tuple[str, str, list[int], str | None]]


def listening(core: Driver) -> Told:
    """Listen; gives what is told from now on."""
    told: Told = []

    def hear(turn: Turn) -> None:
        assert turn.paused is None or turn.kind == "paused"
        told.append((turn.kind, turn.queue, list(turn.ids), turn.reason))

    core.core.listen(hear)
    return told


def foreseen(found: list[Record]) -> Told:
    """What these records of jobs of "q" alone have to be told as."""
    told: Told = []
    for record in found:
        kind = KIND_OF[type(record)]
        if kind == "removed":
            cause = record.cause  # type: ignore[union-attr]
            kind = KIND_OF_CAUSE[cause]
            reason = cause if kind == "removed" else None
        else:
            reason = getattr(record, "reason", None)
        if kind is not None:
            queue = getattr(record, "queue", "q")
            told.append((kind, queue, list(getattr(record, "ids", ())), reason))
    return told


def by_job(told: Told) -> dict[int, list[tuple[str, str | None]]]:
    """What became of each job, in order."""
    lives: dict[int, list[tuple[str, str | None]]] = {}
    for kind, _, ids, reason in told:
        for job_id in ids:
            lives.setdefault(job_id, []).append((kind, reason))
    return lives


EVENTS: dict[str, tuple[Callable[[Driver], object], str | None]] = {
    "failed": (lambda core: (core.pull(9), core.fail(1, 2, 3)), None),
    "lost": (lambda core: core.close_session(min(1, *core.pull(9))), None),
    "dead": (
        lambda core: (core.pull(9), core.fail(1, 2, 3, delays_ms=[NEVER_MS] * 3)),
        "failed",
    ),
    "removed": (lambda core: core.drain(), "drained"),
    "cancelled": (lambda core: remove(core, "cancelled"), None),
    "expired": (lambda core: remove(core, "expired"), None),
    "paused": (lambda core: core.core.pause("q", paused=True, now_ms=core.now), None),
    "revived": (lambda core: core.retry_dead(), None),
}


def remove(core: Driver, cause: str) -> None:
    core.core.remove([1, 2, 3], frozenset(JobState), cause, core.now)


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("marked", [False, True], ids=["", "marked"])
def test_each_kind_is_told(core: Driver, kind: str, *, marked: bool) -> None:
    ids = core.push_many(3)
    if marked:
        core.core.observe(lambda _: None)
        core.core.mark(ids, marked=True)
    if kind == "revived":
        core.bury(*ids)
    told = listening(core)
    turn, reason = EVENTS[kind]
    turn(core)
    assert told == [(kind, "q", [] if kind == "paused" else ids, reason)]


def test_every_kind_is_tried_here() -> None:
    assert EVENTS.keys() == KINDS


def test_every_record_and_every_cause_is_decided_on() -> None:
    assert KIND_OF.keys() == set(get_args(Record))
    assert KIND_OF_CAUSE.keys() == REMOVABLE.keys()


def test_a_whole_life_is_told_as_its_records_say(core_name: str) -> None:
    options = {"lost_max": 1, "dead_jobs_max": 2}
    core, deaf = Driver(core_name, **options), Driver(core_name, **options)
    told = listening(core)
    eventful_life(core)
    eventful_life(deaf)
    assert core.records == deaf.records, "to be listened to changes nothing"
    expected = foreseen(core.records)
    assert {kind for kind, *_ in expected} >= {"failed", "dead", "lost", "removed"}
    assert by_job(told) == by_job(expected)


def test_jobs_of_several_queues_are_told_apart(core: Driver) -> None:
    a, b = core.push_many(2, queue="a"), core.push_many(2, queue="b")
    told = listening(core)
    core.bury(b[0], a[0], b[1], a[1])
    assert told == [("dead", "b", b, "expired"), ("dead", "a", a, "expired")]


def test_what_drops_out_of_the_dead_letters_is_told_behind_the_death(
    core_name: str,
) -> None:
    core = Driver(core_name, dead_jobs_max=1)
    first, second = core.push_many(2)
    core.bury(first)
    told = listening(core)
    core.bury(second)
    assert told == [
        ("dead", "q", [second], "expired"),
        ("removed", "q", [first], "dropped"),
    ]


def test_a_drain_in_steps_tells_each_job_once(core_name: str) -> None:
    core = Driver(core_name, step_jobs=2)
    ids = core.push_many(5)
    told = listening(core)
    core.drain()
    assert sorted(job_id for *_, each, _ in told for job_id in each) == ids
    assert {(kind, queue, why) for kind, queue, _, why in told} == {
        ("removed", "q", "drained")
    }


def test_pauses_say_which_way(core: Driver) -> None:
    told: list[Turn] = []
    core.core.listen(told.append)
    for paused in (True, True, False):
        core.core.pause("q", paused=paused, now_ms=core.now)
    assert told == [Turn("paused", "q", paused=True), Turn("paused", "q", paused=False)]


def test_nobody_listens_any_more(core: Driver) -> None:
    told = listening(core)
    core.push_many(3)
    core.pull(3)
    core.fail(1)
    assert len(told) == 1
    core.core.listen(None)
    core.fail(2)
    core.remove(3)
    assert len(told) == 1


def test_what_is_replayed_is_not_told(core: Driver) -> None:
    core.push_many(2)
    core.pull(2)
    core.fail(1, 2)
    again = Driver(core.name)
    told = listening(again)
    for record in core.records:
        again.core.replay(record)
    assert told == []
    again.bury(1)
    assert told == [("dead", "q", [1], "expired")]


def test_records_that_are_no_turns_are_not_told(core: Driver) -> None:
    told = listening(core)
    ids = core.push_many(3)
    core.replace(ids[0], delay_ms=50)
    core.promote(ids[0])
    core.pull(3)
    core.heartbeat(*ids, lease_ms=500)
    core.release(ids[0])
    core.ack(*ids[1:])
    assert told == []
    assert any(isinstance(record, records.Released) for record in core.records)
