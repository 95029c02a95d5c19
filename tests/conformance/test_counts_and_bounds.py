"""Statistics, and what happens when a core is full."""

import pytest

from conformance.driver import Driver
from magicqueue_cores.contract import CoreStats, Full, QueueStats

EMPTY = dict.fromkeys(CoreStats.__struct_fields__, 0)


def test_a_new_core_counts_nothing(core: Driver) -> None:
    assert core.stats() == CoreStats(**EMPTY)
    assert core.queues() == []
    assert core.queue_stats("unknown") == QueueStats("unknown")


def test_counts(core: Driver) -> None:
    core.push_many(4)
    core.push(delay_ms=10)
    core.push(queue="a", max_attempts=1)
    core.pull(2)
    core.ack(1)
    core.fail(2)
    core.pull()
    core.fail(*core.pull(1, "a"))
    core.pause("z")
    assert core.queue_stats() == QueueStats(
        "q", queued=2, processing=1, delayed=1, pushed=5, completed=1, failed=1
    )
    assert [queue.name for queue in core.queues()] == ["a", "q", "z"]
    overhead = core.core.capabilities.job_overhead_bytes
    assert core.stats() == CoreStats(
        **EMPTY
        | {
            "queued": 2,
            "processing": 1,
            "delayed": 1,
            "dead": 1,
            "paused": 1,
            "pushed": 6,
            "completed": 1,
            "failed": 2,
            "queues": 3,
            "memory_bytes": 5 * overhead + 1 + 1 + 1 + 2 + 2,
        }
    )


def test_the_oldest_ready_job(core: Driver) -> None:
    core.push(priority=1)
    core.tick(10)
    core.push(priority=9)
    core.push(queue="other")
    core.tick(10)
    assert core.queue_stats().oldest_ready_ms == core.stats().oldest_ready_ms == 20
    core.pull()
    assert core.queue_stats().oldest_ready_ms == 20
    core.pull(session=7)
    assert core.queue_stats().oldest_ready_ms == 0
    assert core.stats().oldest_ready_ms == 10
    core.close_session(7)
    assert core.queue_stats().oldest_ready_ms == 20


def test_the_oldest_of_many_priorities(core: Driver) -> None:
    for n in range(200):
        core.push(priority=n % 7)
        core.tick(1)
    expected = list(range(200))
    while expected:
        assert core.queue_stats().oldest_ready_ms == 200 - min(expected)
        for job_id in core.pull(3):
            expected.remove(job_id - 1)


def test_too_many_jobs(core_name: str) -> None:
    core = Driver(core_name, jobs_max=3)
    core.push(b"1", max_attempts=1)
    core.push(b"2", delay_ms=10)
    core.pull()
    with pytest.raises(Full, match=r"maximum of 3 \(jobs_max\).*raise the maximum"):
        core.push(b"3", b"4")
    assert core.stats().pushed == 2
    core.push(b"3")
    core.fail(1)
    assert core.push(b"dead ones do not count") == [4]


def test_too_much_memory(core_name: str) -> None:
    overhead = Driver(core_name).core.capabilities.job_overhead_bytes
    core = Driver(core_name, memory_bytes_max=2 * (overhead + 100))
    core.push(b"x" * 100, max_attempts=1)
    core.fail(*core.pull())
    with pytest.raises(Full, match=r"memory_bytes_max.*purge dead letters"):
        core.push(b"x" * 101)
    assert core.push(b"x" * 100) == [2]
    core.purge_dead()
    assert core.push(b"x" * 100) == [3]


def test_idle_queues_are_forgotten_at_the_bound(core_name: str) -> None:
    core = Driver(core_name, queues_max=2)
    core.push(queue="a")
    core.push(queue="b")
    with pytest.raises(Full, match=r"2 queues in use.*queues_max.*'c'"):
        core.push(queue="c")
    with pytest.raises(Full, match="queues_max"):
        core.pause("c")
    core.ack(*core.pull(1, "a"))
    core.core.watch("a", watching=True)
    with pytest.raises(Full, match="queues_max"):
        core.push(queue="c")
    core.core.watch("a", watching=False)
    core.push(queue="c")
    assert [queue.name for queue in core.queues()] == ["b", "c"]
    assert (core.stats().pushed, core.stats().completed) == (3, 1)


def test_a_thousand_names_in_turn(core_name: str) -> None:
    core = Driver(core_name, queues_max=10)
    for n in range(1000):
        core.push(queue=f"q{n}")
        core.ack(*core.pull(1, f"q{n}"))
    assert len(core.queues()) <= 10
    assert core.stats().completed == 1000
