"""What moves very many jobs goes in steps, with the same results as at once."""

import pytest

from conformance.driver import CORES, Driver, answered, pull_order
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, JobState, NewJobs
from magicqueue_cores.records import Lost, Matured, Record, Removed, Revived

STEP = 5


@pytest.fixture
def stepwise(core_name: str) -> Driver:
    return Driver(core_name, step_jobs=STEP, lost_max=0)


def sizes(records: list[Record], kind: type[Matured | Lost]) -> list[int]:
    """How many jobs each record of a kind names."""
    return [len(record.ids) for record in records if isinstance(record, kind)]


def push_delayed(driver: Driver) -> None:
    """Push jobs to two queues, in no order of their times, many at one moment."""
    for number in range(30):
        queue, delay_ms = "ab"[number % 3 == 0], (10, 10, 7, 12)[number % 4]
        driver.push(queue=queue, priority=number % 2, delay_ms=delay_ms)


def test_due_jobs_mature_in_steps_in_their_order(stepwise: Driver, core_name: str) -> None:
    at_once = Driver(core_name)
    for driver in (stepwise, at_once):
        push_delayed(driver)
        driver.now += 20
    calls = 0
    while stepwise.core.next_deadline_ms <= stepwise.now:
        stepwise.core.advance(stepwise.now)
        stepwise.core.check()
        calls += 1
    assert calls == 30 / STEP
    assert sizes(stepwise.records, Matured) == [STEP] * calls
    at_once.core.advance(at_once.now)
    assert sizes(at_once.records, Matured) == [30], "the control"
    assert pull_order(stepwise, "ab") == pull_order(at_once, "ab")


def test_what_is_pushed_meanwhile_comes_behind_what_is_due(
    stepwise: Driver, core_name: str
) -> None:
    at_once = Driver(core_name)
    for driver in (stepwise, at_once):
        push_delayed(driver)
        driver.now += 20
        driver.push(queue="a")
        batch = NewJobs(
            payloads=[b"1", b"2"], run_ats_ms=[0, driver.now + 1], priorities=[1, 0]
        )
        driver.push_batch(batch, "b")
        driver.push(queue="no job of it is delayed")
    others = stepwise.queue_stats("no job of it is delayed")
    assert others.queued == 1, "no need to wait for the jobs of other queues"
    for driver in (stepwise, at_once):
        driver.tick(1)
        while driver.core.next_deadline_ms <= driver.now:
            driver.core.advance(driver.now)
    assert pull_order(stepwise, "ab") == pull_order(at_once, "ab")


def test_leases_end_in_steps(stepwise: Driver) -> None:
    ids = stepwise.push_many(40)
    for _ in range(20):
        stepwise.pull(2, lease_ms=10)
    stepwise.now += 10
    assert not stepwise.core.end_leases(stepwise.now, stepwise.now)
    held = [job_id for job_id in ids if stepwise.state(job_id) is JobState.ACTIVE]
    assert len(held) in {34, 35}, "a core may take a part of a lease"
    stepwise.heartbeat(held[0], lease_ms=50)
    stepwise.ack(held[1])
    calls = 2
    while not stepwise.core.end_leases(stepwise.now, stepwise.now):
        stepwise.core.check()
        calls += 1
    assert max(sizes(stepwise.records, Lost)) <= STEP + 1
    assert sum(sizes(stepwise.records, Lost)) == 38
    assert calls in {7, 8}
    assert stepwise.state(held[0]) is JobState.ACTIVE, (
        "a lease may be extended until it ends"
    )


def test_a_session_closes_in_steps(stepwise: Driver, core_name: str) -> None:
    stepwise.push_many(41)
    for _ in range(20):
        stepwise.pull(2, session=3)
    stepwise.pull(1, session=4)
    done: list[bool] = []
    while not done or not done[-1]:
        done.append(answered(stepwise.core.close_session(3, stepwise.now)))
        stepwise.core.check()
    assert done.count(True) == 1, "the last call says so"
    whole, parts = [6] * 6 + [4], [5] * 8
    assert sizes(stepwise.records, Lost) in (whole, parts)
    assert stepwise.queue_stats().queued == 40
    assert stepwise.state(41) is JobState.ACTIVE
    again = stepwise.replayed(core_name, lost_max=0)
    assert pull_order(stepwise, "q") == pull_order(again, "q") == {"q": list(range(1, 41))}
    assert answered(stepwise.core.close_session(3, stepwise.now)) is True


def names(records: list[Record], kind: type[Removed | Revived]) -> list[int]:
    """The ids that the records of a kind name, in order."""
    return [
        job_id for record in records if isinstance(record, kind) for job_id in record.ids
    ]


def replayed_alike(driver: Driver) -> None:
    """Every record of the driver can be applied again, by each core, with one result."""
    for name in CORES:
        if make_core(name, CoreOptions()).name == name:
            again = driver.replayed(name, step_jobs=STEP, lost_max=0)
            again.core.check()
            assert pull_order(again, "qr") == pull_order(driver, "qr")


def test_a_drain_in_steps_takes_what_was_there_when_it_came(stepwise: Driver) -> None:
    """Whatever comes, matures and is pulled meanwhile: pushed later, it is not drained."""
    for number in range(60):
        queue, delay_ms = "qqr"[number % 3], (0, 0, 0, 3, 9)[number % 5]
        stepwise.push(queue=queue, priority=number % 4, delay_ms=delay_ms)
    active = stepwise.pull(4)
    there = [
        job_id
        for job_id in range(1, 61)
        if stepwise.job(job_id).queue == "q" and job_id not in active
    ]
    done = answered(stepwise.core.drain("q", stepwise.now))
    removed, pulled, later = done.count, list[int](), list[int]()
    while done.upto is not None:
        stepwise.now += 2
        for priority in (9, 2, 0):
            later += stepwise.push(priority=priority)
        later += stepwise.push(delay_ms=1)
        pulled += stepwise.pull(2)
        stepwise.core.check()
        done = answered(stepwise.core.drain("q", stepwise.now, done.upto))
        removed += done.count
    stepwise.core.check()
    drained = names(stepwise.records, Removed)
    assert len(drained) == len(set(drained)) == removed
    assert set(drained) == set(there) - set(pulled)
    assert len(drained) > 2 * STEP
    assert max(len(r.ids) for r in stepwise.records if isinstance(r, Removed)) < 20
    stepwise.tick(20)
    while stepwise.core.next_deadline_ms <= stepwise.now:
        stepwise.core.advance(stepwise.now)
    held = {*active, *pulled}
    assert set(pull_order(stepwise, "q")["q"]) == set(later) - held


def test_a_drain_in_steps_is_replayed_step_by_step(stepwise: Driver) -> None:
    for number in range(40):
        stepwise.push(
            queue="qqr"[number % 3], priority=number % 3, delay_ms=4 * (number % 4 == 0)
        )
    done = answered(stepwise.core.drain("q", stepwise.now))
    stepwise.push(priority=5)
    assert done.upto is not None
    answered(stepwise.core.drain("q", stepwise.now, done.upto))
    replayed_alike(stepwise)


@pytest.mark.parametrize("verb", ["retry_dead", "purge_dead"])
def test_dead_letters_go_in_steps(verb: str, stepwise: Driver) -> None:
    """Those that die meanwhile stay, and one that is revived and dies again, too."""

    def die(count: int) -> list[int]:
        ids = stepwise.push(*[b""] * count, max_attempts=1)
        pulled = stepwise.pull(count)
        stepwise.fail(*pulled)
        return ids

    dead = die(3 * STEP + 1)
    step = getattr(stepwise.core, verb)
    done = answered(step("q", None, stepwise.now))
    count, late = done.count, []
    while done.upto is not None:
        late += die(1)
        stepwise.core.check()
        done = answered(step("q", None, stepwise.now, done.upto))
        count += done.count
    kind = Removed if verb == "purge_dead" else Revived
    assert count == len(dead)
    assert names(stepwise.records, kind) == dead
    again = late if verb == "purge_dead" else {view.id for view in stepwise.dead().jobs}
    assert {view.id for view in stepwise.dead().jobs} == set(again)
    assert len(again) == len(late)
    replayed_alike(stepwise)
