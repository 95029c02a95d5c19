"""Records: replayed they give the same state, and they show every legal move of a job."""

import pytest

from conformance.driver import CORES, START_MS, Driver, answered, assert_same, require_core
from magicqueue_cores import make_core, records
from magicqueue_cores.contract import NEVER_MS, CoreError, CoreOptions, JobState, NewJobs
from magicqueue_cores.transitions import TRANSITIONS

Move = tuple[JobState | None, JobState | None]

OPTIONS = {"lost_max": 1, "dead_jobs_max": 2}


def eventful_life(core: Driver) -> None:
    """Every event of the table at least once, and some of everything left over."""
    core.push(b"1", b"2", b"3", priority=[1, 2, 1], max_attempts=2)
    core.push(b"4", delay_ms=10, backoff_ms=50)
    core.push(b"5", delay_ms=10**6)
    core.tick(10)
    core.pull(2)
    core.heartbeat(1, lease_ms=5000)
    core.fail(1, error="again")
    core.close_session(1)
    core.ack(2, attempts=[1])
    core.fail(*core.pull(3), error="and again")
    core.tick(50)
    core.pull(9, session=2)
    core.close_session(2)
    core.pull(9, session=3)
    core.close_session(3)
    core.retry_dead(core.dead().jobs[0].id)
    core.push_many(3, queue="other", max_attempts=1)
    core.fail(*core.pull(3, "other"))
    core.purge_dead(queue="other")
    core.push(b"x", b"y", queue="drained", priority=[3, 4])
    core.push(b"z", queue="drained", delay_ms=5)
    core.drain("drained")
    core.ack(*core.pull(1))
    core.push_many(20, priority=3)
    core.push_many(5, delay_ms=77)
    core.pull(4, session=9)
    core.release(*core.pull(3)[1:])
    core.release(*core.pull(2), delay_ms=40)
    core.fail(*core.pull(2), delays_ms=[NEVER_MS, 60])
    core.core.postpone_leases(500, core.now)
    core.pause("other")
    core.pause("drained")
    core.pause("drained", paused=False)
    life_by_id(core)
    life_of_held(core)


def life_by_id(core: Driver) -> None:
    """The verbs about named jobs, from and to every state that there is."""
    ids = core.push_many(12, queue="named", max_attempts=3)
    later = core.push_many(6, queue="named", delay_ms=500)
    core.pull(3, "named", lease_ms=10**6)
    core.core.mark([*ids, *later], marked=True)
    core.bury(ids[0], ids[4], later[1], ids[4], 999)
    core.bury(ids[5], reason="gone by", error="too late")
    core.remove(ids[0], ids[1], ids[6], later[2], cause="cancelled")
    core.remove(ids[7], ids[8], states=[JobState.READY], cause="expired")
    core.promote(later[0], later[3], ids[9])
    core.replace(ids[9], b"a longer payload", priority=2)
    core.replace(ids[10], delay_ms=700)
    core.replace(later[4], delay_ms=900)
    core.replace(ids[10], delay_ms=0)
    core.revive(ids[4], later[1], ids[9])
    core.fail(ids[2], delays_ms=[NEVER_MS], reason="timeout")
    core.purge_dead(ids[2], queue="named")
    core.bury(ids[11])
    core.remove(ids[11], states=[JobState.DEAD], cause="expired")
    core.pull(2, "named", lease_ms=10**6)
    core.close_session(1)


def life_of_held(core: Driver) -> None:
    """To being held and back, by every way that there is."""
    ids = core.push_held(b"1", b"22", b"333", b"4", b"5", b"6", b"7", queue="held")
    later = core.push_held(b"8", b"9", queue="held", delay_ms=300)
    core.core.mark(ids[:4], marked=True)
    core.unhold(ids[0], later[0])
    core.hold(ids[0])
    core.take(ids[1], ids[0], ids[2], queue="held", session=5)
    core.close_session(5)
    core.ack(ids[1], attempts=[1])
    core.take(ids[0], ids[2], queue="held", session=6)
    core.release(ids[0])
    core.fail(ids[2])
    core.replace(ids[3], b"another", priority=4)
    core.replace(ids[4], b"another", delay_ms=500)
    core.remove(ids[5], states=[JobState.HELD], cause="drained")
    core.remove(ids[4], cause="expired")
    core.bury(ids[6], reason="parent_failed")
    core.revive(ids[6])
    core.unhold(ids[3])
    core.pull(1, "held", session=7)
    core.close_session(7)
    core.hold(ids[3])
    core.ack(ids[3], attempts=[1])


def moves_of(record: records.Record) -> tuple[str, list[int]]:
    """The event of `TRANSITIONS` that a record tells of, and the jobs it moves."""
    match record:
        case records.Pushed(first_id=first, payloads=payloads):
            return "push", list(range(first, first + len(payloads)))
        case records.Died(ids=ids, reason=reason):
            reasons = {"failed": "fail", "timeout": "fail", "worker_lost": "lose"}
            return reasons.get(reason, "bury"), list(ids)
        case records.Removed(ids=ids, cause=cause):
            causes = {"drained": "drain", "purged": "purge_dead", "dropped": "drop_dead"}
            return causes.get(cause, "remove"), list(ids)
        case records.Paused() | records.Postponed():
            return "", []
        case records.Moved() | records.Origin() | records.Restarted():
            raise AssertionError("no core reports that by itself")
        case records.Marked() | records.Kept() | records.Gone():
            raise AssertionError("no core reports that at all")
    events = {
        records.Matured: "mature",
        records.Leased: "pull",
        records.Extended: "heartbeat",
        records.Acked: "ack",
        records.Failed: "fail",
        records.Lost: "lose",
        records.Released: "release",
        records.Revived: "retry_dead",
        records.Promoted: "promote",
        records.Replaced: "replace",
        records.Held: "hold",
        records.Unheld: "unhold",
    }
    return events[type(record)], list(record.ids)


def test_every_move_is_in_the_table_and_every_move_of_the_table_is_made(
    core_name: str,
) -> None:
    core = Driver(core_name, **OPTIONS)
    eventful_life(core)
    again = Driver(core_name, **OPTIONS)
    made: dict[str, set[Move]] = {event: set() for event in TRANSITIONS}
    for record in core.records:
        event, ids = moves_of(record)
        before = [state_of(again, job_id) for job_id in ids]
        again.core.replay(record)
        again.core.check()
        after = [state_of(again, job_id) for job_id in ids]
        for move in zip(before, after, strict=True):
            made[event].add(move)
    assert made == {event: set(moves) for event, moves in TRANSITIONS.items()}


def state_of(core: Driver, job_id: int) -> JobState | None:
    view = answered(core.core.job(job_id, 0))  # at time 0 nothing is due
    return None if view is None else view.state


@pytest.mark.parametrize("other", CORES)
def test_replay_in_any_core_gives_the_same(core_name: str, other: str) -> None:
    core = Driver(core_name, **OPTIONS)
    eventful_life(core)
    again = core.replayed(require_core(other), **OPTIONS)
    assert again.records == []
    assert_same(core, again, range(1, 80))
    assert core.push(b"next") == again.push(b"next")


def test_cores_write_the_same_records(core_name: str) -> None:
    core, oracle = Driver(core_name, **OPTIONS), Driver("python", **OPTIONS)
    eventful_life(core)
    eventful_life(oracle)
    assert core.records == oracle.records


def test_without_a_sink_a_core_does_the_same(core_name: str) -> None:
    core, silent = Driver(core_name, **OPTIONS), Driver(core_name, **OPTIONS)
    silent.core = make_core(core_name, CoreOptions(**OPTIONS))
    eventful_life(core)
    eventful_life(silent)
    assert silent.records == []
    assert core.stats() == silent.stats()


def test_jobs_of_all_queues_mature_by_run_at_then_id(core: Driver) -> None:
    for delay_ms, queue in [(9, "a"), (5, "b"), (9, "b"), (5, "a"), (7, "c"), (5, "b")]:
        core.push(delay_ms=delay_ms, queue=queue)
    core.tick(10)
    assert core.records[-1] == records.Matured([2, 4, 6, 5, 1, 3])


def test_leases_survive_a_replay(core: Driver) -> None:
    core.push(b"1", b"2")
    core.pull(2, lease_ms=500)
    again = core.replayed(core.name)
    again.tick(499)
    assert again.ack(1, attempts=[1]).missing == []
    again.tick(1)
    assert again.state(2) is JobState.READY


def test_ids_may_skip_but_not_return(core: Driver) -> None:
    def pushed(first_id: int) -> records.Pushed:
        return records.Pushed(
            queue="q",
            first_id=first_id,
            created_at_ms=START_MS,
            payloads=[b"1"],
            run_ats_ms=START_MS,
            priorities=0,
            max_attempts=25,
            backoffs_ms=0,
            jitters=False,
        )

    core.core.replay(pushed(10))
    with pytest.raises(CoreError, match="pushes job 10, but ids up to 10"):
        core.core.replay(pushed(10))
    assert core.push(b"2") == [11]


@pytest.mark.parametrize(
    "record",
    [
        records.Matured([1]),
        records.Leased([2], 1, START_MS + 5),
        records.Leased([99], 1, START_MS + 5),
        records.Leased([1, 1], 1, START_MS + 5),
        records.Leased([1, 4], 1, START_MS + 5),
        records.Acked([2, 2]),
        records.Acked([2, 1]),
        records.Lost([2, 2]),
        records.Extended([1], START_MS),
        records.Acked([1]),
        records.Acked([99]),
        records.Failed([1], [None], [START_MS], START_MS),
        records.Lost([1]),
        records.Released([1], 0),
        records.Released([2, 2], START_MS + 9),
        records.Died([1], "failed", [None], START_MS),
        records.Removed([1], "dropped"),
        records.Removed([2], "drained"),
        records.Revived([1], START_MS),
        records.Died([99], "expired", [None], START_MS),
        records.Died([1, 1], "expired", [None, None], START_MS),
        records.Removed([99], "cancelled"),
        records.Removed([1, 1], "expired"),
        records.Removed([1], "mislaid"),
        records.Promoted([1], START_MS),
        records.Promoted([3, 3], START_MS),
        records.Replaced([2], [b"x"], [0], [START_MS], START_MS),
        records.Held([2]),
        records.Held([1, 1]),
        records.Unheld([1], [START_MS], START_MS),
        records.Unheld([5, 5], [START_MS, START_MS], START_MS),
        records.Leased([4, 5], 1, START_MS + 5),
        records.Leased([5, 6], 1, START_MS + 5),
        records.Acked([5]),
        records.Matured([5]),
        records.Marked("q", [1], [b"text"]),
        records.Kept("result", [b"1"], [b"text"]),
        records.Gone("result", [b"1"]),
    ],
)
def test_a_record_that_cannot_have_happened_is_refused(
    core: Driver, record: records.Record
) -> None:
    core.push(b"1", b"1b")
    core.push(b"2", delay_ms=5)
    core.push(b"4", queue="another")
    core.push_held(b"5", queue="another")
    core.push_held(b"6")
    core.core.replay(records.Leased([2], 1, START_MS + 50))
    with pytest.raises(CoreError, match=r"a record \w+ .*"):
        core.core.replay(record)
    core.core.check()


def test_a_batch_of_columns_is_recorded_as_it_was_decided(core: Driver) -> None:
    core.push_batch(NewJobs(payloads=[b"1", b"2"], run_ats_ms=[5, START_MS + 5]))
    (record,) = core.records
    assert isinstance(record, records.Pushed)
    assert list(record.run_ats_ms) == [START_MS, START_MS + 5]  # type: ignore[arg-type]
