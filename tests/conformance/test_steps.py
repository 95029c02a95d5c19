"""What moves very many jobs goes in steps, with the same results as at once."""

import pytest

from conformance.driver import Driver, answered, pull_order
from magicqueue_cores.contract import JobState, NewJobs
from magicqueue_cores.records import Lost, Matured, Record

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
    assert len(held) == 34
    stepwise.heartbeat(held[0], lease_ms=50)
    stepwise.ack(held[1])
    calls = 2
    while not stepwise.core.end_leases(stepwise.now, stepwise.now):
        stepwise.core.check()
        calls += 1
    assert max(sizes(stepwise.records, Lost)) <= STEP + 1
    assert sum(sizes(stepwise.records, Lost)) == 38
    assert calls == 7
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
    assert done == [False] * 6 + [True]
    assert sizes(stepwise.records, Lost) == [6] * 6 + [4]
    assert stepwise.queue_stats().queued == 40
    assert stepwise.state(41) is JobState.ACTIVE
    again = stepwise.replayed(core_name, lost_max=0)
    assert pull_order(stepwise, "q") == pull_order(again, "q") == {"q": list(range(1, 41))}
    assert answered(stepwise.core.close_session(3, stepwise.now)) is True
