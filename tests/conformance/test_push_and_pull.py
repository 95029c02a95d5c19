"""What goes in comes out: ids, columns, strict order, limits of a pull."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.driver import START_MS, Driver, answered
from magicqueue_cores.contract import JobState, NewJobs


def test_ids_start_at_one_rise_and_are_never_reused(core: Driver) -> None:
    assert core.push(b"1", b"2") == [1, 2]
    core.ack(*core.pull(2))
    assert core.push(b"3", queue="other") == [3]
    core.drain("other")
    assert core.push(b"4") == [4]


def test_an_empty_batch_changes_nothing(core: Driver) -> None:
    assert core.push_batch(NewJobs(payloads=[], run_ats_ms=START_MS)) == []
    assert core.records == []
    assert core.queues() == []
    assert core.push(b"1") == [1]


def test_a_delivery_has_all_columns_in_order(core: Driver) -> None:
    core.push(b"low", b"high", b"mid", priority=[0, 5, 2])
    core.tick(10)
    delivery = core.deliver(10)
    assert delivery.ids == [2, 3, 1]
    assert delivery.payloads == [b"high", b"mid", b"low"]
    assert delivery.priorities == [5, 2, 0]
    assert delivery.created_ats_ms == [START_MS] * 3
    assert delivery.run_ats_ms == [START_MS] * 3
    assert delivery.attempts == [1] * 3


def test_a_column_holds_a_value_a_job(core: Driver) -> None:
    batch = NewJobs(
        payloads=[b"a", b"b", b"c"],
        run_ats_ms=[START_MS - 5, START_MS, START_MS + 9],
        priorities=[1, 2, 3],
        max_attempts=[0, 1, 2],
        backoffs_ms=[0, 10, 20],
        jitters=[False, True, False],
    )
    core.push_batch(batch)
    views = [core.job(job_id) for job_id in (1, 2, 3)]
    assert [view.run_at_ms for view in views] == [START_MS, START_MS, START_MS + 9]
    assert [view.priority for view in views] == [1, 2, 3]
    assert [view.max_attempts for view in views] == [0, 1, 2]
    assert [view.state for view in views] == [
        JobState.READY,
        JobState.READY,
        JobState.DELAYED,
    ]


def test_within_a_priority_first_in_is_first_out(core: Driver) -> None:
    first = core.push_many(300)
    second = core.push_many(300)
    assert core.pull(450) + core.pull(450) == first + second


def test_queues_do_not_mix(core: Driver) -> None:
    mine, yours = core.push(b"1", queue="a"), core.push(b"2", queue="b")
    assert core.pull(9, "b") == yours
    assert core.pull(9, "a") == mine
    assert core.pull(9, "a") == []


def test_a_pull_from_an_unknown_queue_makes_none(core: Driver) -> None:
    assert core.pull(5, "nowhere") == []
    assert core.queues() == []
    assert core.records == []


def test_a_pull_ends_before_the_bytes_exceed_its_limit(core: Driver) -> None:
    core.push(b"12345", b"123", b"1234")
    assert core.pull(9, bytes_max=8) == [1, 2]
    assert core.pull(9, bytes_max=8) == [3]


def test_a_pull_gives_one_job_whatever_its_size(core: Driver) -> None:
    core.push(b"x" * 100, b"y")
    assert core.pull(9, bytes_max=1) == [1]
    assert core.pull(9, bytes_max=1) == [2]


def test_what_did_not_fit_keeps_its_place(core: Driver) -> None:
    core.push_many(5, priority=1)
    core.push_many(5)
    core.close_session(1)
    assert core.pull(10, bytes_max=3) == [1, 2, 3]
    core.close_session(1)
    assert core.pull(10, bytes_max=2) == [1, 2]
    assert core.pull(10, bytes_max=6) == [3, 4, 5, 6, 7, 8]
    assert core.pull(10) == [9, 10]


def test_a_paused_queue_hands_out_nothing(core: Driver) -> None:
    core.push(b"1")
    core.pause()
    assert core.pull() == []
    assert core.queue_stats().paused
    core.push(b"2")
    core.pause(paused=False)
    assert core.pull(9) == [1, 2]


def test_a_pause_makes_its_queue_and_a_resume_does_not(core: Driver) -> None:
    core.pause("never", paused=False)
    core.pause("soon")
    core.pause("soon")
    assert [queue.name for queue in core.queues()] == ["soon"]
    assert len(core.records) == 1


def test_a_drain_takes_ready_and_delayed_jobs_and_no_others(core: Driver) -> None:
    core.push(b"1", b"2")
    core.push(b"3", delay_ms=50)
    core.push(b"4", queue="other", delay_ms=50)
    active = core.pull()
    assert core.drain() == 2
    assert core.drain() == 0
    assert core.state(active[0]) is JobState.ACTIVE
    assert core.stats().delayed == 1
    core.tick(50)
    assert core.pull(9, "other") == [4]
    assert core.pull(9) == []


def test_a_job_that_is_not_here_is_none(core: Driver) -> None:
    assert answered(core.core.job(1, core.now)) is None


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    batches=st.lists(
        st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 1), min_size=1),
        min_size=1,
        max_size=8,
    ),
    counts=st.lists(st.integers(1, 20), min_size=1),
)
def test_order_is_that_of_a_sorted_list(
    core_name: str, batches: list[list[int]], counts: list[int]
) -> None:
    core = Driver(core_name)
    expected: list[tuple[int, int]] = []
    for priorities in batches:
        ids = core.push(*[b"x"] * len(priorities), priority=priorities)
        expected += [(-priority, i) for priority, i in zip(priorities, ids, strict=True)]
    pulled: list[int] = []
    while ids := core.pull(counts[len(pulled) % len(counts)]):
        pulled += ids
    assert pulled == [job_id for _, job_id in sorted(expected)]


def test_the_python_core_refuses_a_column_of_another_length() -> None:
    core = Driver("python")
    batch = NewJobs(payloads=[b"1", b"2"], run_ats_ms=START_MS, priorities=[1])
    with pytest.raises(ValueError, match="column"):
        core.push_batch(batch)
    core.core.check()
