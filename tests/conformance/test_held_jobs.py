"""Held jobs: in no order, let go by name."""

import pytest

from conformance.driver import Driver
from magicqueue_cores.contract import Full, JobState, NewJobs


def test_a_held_job_is_not_pulled_and_does_not_mature(core: Driver) -> None:
    core.push_held(b"1", b"2", delay_ms=10)
    core.tick(1000)
    assert core.pull(9) == []
    assert core.core.held("q") == core.core.held(None) == 2
    assert core.core.held("other") == 0
    assert core.queue_stats().queued == core.queue_stats().delayed == 0


def test_jobs_enter_the_order_as_they_are_let_go(core: Driver) -> None:
    first, second, third = core.push_held(b"1", b"2", b"3")
    (plain,) = core.push()
    assert core.unhold(third, first, 999, third).missing == [999, third]
    core.push_held(b"4")
    core.unhold(second)
    assert core.pull(9) == [plain, third, first, second]


def test_one_that_is_not_due_is_delayed_then(core: Driver) -> None:
    (job_id,) = core.push_held(delay_ms=50)
    core.tick(20)
    core.unhold(job_id)
    assert core.state(job_id) is JobState.DELAYED
    core.tick(30)
    assert core.pull() == [job_id]


def test_what_was_taken_comes_back_to_being_held(core: Driver) -> None:
    ids = core.push_held(b"1", b"2", b"3")
    other = core.push(queue="other")
    assert core.take(ids[2], *other, ids[0], ids[2], session=4) == [ids[2], ids[0]]
    core.close_session(4)
    assert core.state(ids[0]) is core.state(ids[2]) is JobState.HELD
    assert core.ack(ids[0], attempts=[1]).missing == []
    assert core.take(ids[2]) == [ids[2]]
    assert core.job(ids[2]).attempts == 2


def test_a_take_ends_before_the_bytes_are_too_many(core: Driver) -> None:
    ids = core.push_held(b"1" * 10, b"2" * 10, b"3" * 10)
    assert core.take(*ids, bytes_max=20) == ids[:2]
    assert core.take(ids[2], bytes_max=1) == [ids[2]]


def test_a_large_payload_is_held_and_taken_like_others(core: Driver) -> None:
    ids = core.push_held(b"x" * 100_000, b"2", b"y" * 100_000)
    assert core.take(*ids, bytes_max=150_000) == ids[:2]
    core.unhold(ids[2])
    assert core.deliver().payloads == [b"y" * 100_000]


def test_nothing_is_taken_of_a_paused_queue(core: Driver) -> None:
    ids = core.push_held()
    core.pause()
    assert core.take(*ids) == []


def test_a_waiting_pull_hears_of_a_job_that_is_let_go(core: Driver) -> None:
    core.core.watch("q", watching=True)
    ids = core.push_held()
    assert core.woken == []
    core.unhold(*ids)
    assert core.woken == ["q"]


def test_a_queue_with_held_jobs_is_not_forgotten(core: Driver) -> None:
    ids = core.push_held()
    assert core.drain() == 0
    assert [queue.name for queue in core.queues()] == ["q"]
    core.remove(*ids, cause="drained")
    assert core.queues() == []


def test_room_for_several_queues_is_asked_at_once(core_name: str) -> None:
    core = Driver(core_name, queues_max=2, jobs_max=3)
    core.core.admit(["a", "b", "a"], 3, 30)
    with pytest.raises(Full, match="queues"):
        core.core.admit(["a", "b", "c"], 3, 30)
    with pytest.raises(Full, match="jobs"):
        core.core.admit(["a"], 4, 40)
    assert core.core.last_id == 0
    batch = NewJobs(payloads=[b"1"] * 4, run_ats_ms=core.now, admitted=True)
    core.push_batch(batch, "a")
    assert core.core.last_id == 4


def test_held_jobs_count_as_jobs(core_name: str) -> None:
    core = Driver(core_name, jobs_max=2)
    core.push_held(b"1", b"2")
    with pytest.raises(Full, match="jobs"):
        core.push_held(b"3")
