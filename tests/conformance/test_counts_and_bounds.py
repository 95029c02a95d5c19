"""Statistics, and what happens when a core is full."""

import time
from random import Random

import pytest

from conformance.driver import Driver, answered, without_memory
from magicqueue_cores.contract import CoreStats, Full, JobState, NewJobs, QueueStats
from magicqueue_cores.records import Restarted

EMPTY = dict.fromkeys(CoreStats.__struct_fields__, 0)


def test_a_new_core_counts_nothing(core: Driver) -> None:
    assert without_memory(core.stats()) == CoreStats(**EMPTY)
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
    assert without_memory(core.stats()) == CoreStats(
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
            "content_bytes": 1 + 1 + 1 + 2 + 2 + 2 * len("broken"),
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
    held = bytes_with_a_dead_job(core_name)
    overhead = Driver(core_name).core.capabilities.job_overhead_bytes
    core = Driver(core_name, memory_bytes_max=held + overhead + 100)
    assert bytes_with_a_dead_job(core_name, core) == held
    with pytest.raises(Full, match=r"memory_bytes_max.*purge dead letters"):
        core.push(b"x" * 101)
    assert core.push(b"x" * 100) == [2]
    core.purge_dead()
    assert core.push(b"x" * 100) == [3]


def bytes_with_a_dead_job(core_name: str, core: Driver | None = None) -> int:
    core = core or Driver(core_name)
    core.push(b"x" * 100, max_attempts=1)
    core.fail(*core.pull(), error="why")
    return core.stats().memory_bytes


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_error_texts_fill_the_memory(core_name: str, max_attempts: int) -> None:
    text = "\U0001f4a5" * 1000
    core = Driver(core_name, memory_bytes_max=100_000)
    stats = core.stats()
    while stats.memory_bytes + 1000 < 100_000:
        core.push(max_attempts=max_attempts, backoff_ms=10_000)
        before = core.stats()
        core.fail(*core.pull(), error=text)
        stats = core.stats()
        assert stats.content_bytes == before.content_bytes + 4000
        assert stats.memory_bytes > before.memory_bytes + 4000
    with pytest.raises(Full, match="memory_bytes_max"):
        core.push(b"x" * 1000)
    assert 15 < stats.pushed < 25
    assert (stats.dead, stats.delayed)[max_attempts > 1] == stats.pushed
    for each in (core.replayed("python"), core.replayed(core_name)):
        assert each.stats().content_bytes == stats.content_bytes


def test_another_error_takes_the_place_of_the_last(core: Driver) -> None:
    (job_id,) = core.push(b"1", max_attempts=3)
    for error, size in (("x" * 50, 51), ("y" * 7, 8), (None, 1)):
        core.fail(*core.pull(), error=error)
        assert core.stats().content_bytes == size
        assert core.job(job_id).error == error
    core.retry_dead()
    core.fail(*core.pull(), error="z" * 20)
    assert core.stats().content_bytes == 21
    core.ack(*core.pull())
    assert core.stats().content_bytes == 0


def test_a_drained_queue_takes_what_it_took_before_its_jobs(core: Driver) -> None:
    core.push()
    core.ack(*core.pull())
    empty = core.stats().memory_bytes
    for n in range(30):
        core.push(b"x" * 1000, priority=n, max_attempts=n % 3, backoff_ms=n % 2)
    core.push(delay_ms=5)
    core.pull(10, session=2)
    core.close_session(2)
    core.fail(*core.pull(10), error="why")
    core.tick(10)
    while ids := core.pull(7):
        core.ack(*ids)
    core.purge_dead()
    assert core.stats().memory_bytes == empty


def test_what_a_push_is_reckoned_with_is_what_it_takes(core: Driver) -> None:
    core.push_many(1000)
    before = core.stats().memory_bytes
    core.push_many(1000)
    more = core.stats().memory_bytes - before
    expected = 1000 * core.core.capabilities.job_overhead_bytes + 2890
    assert expected * 0.9 < more < expected * 1.1


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


@pytest.mark.parametrize("bound", ["jobs_max", "memory_bytes_max"])
def test_only_pushes_are_refused_when_it_is_full(core_name: str, bound: str) -> None:
    log = Driver(core_name)
    log.push_many(5, max_attempts=1)
    log.push(max_attempts=2)
    log.fail(*log.pull(2))
    core = log.replayed(core_name, **{bound: 2})
    with pytest.raises(Full, match=f"1 more would exceed the maximum of 2 .{bound}.|bytes"):
        core.push()
    for queue in ("q", "new"):
        core.pause(queue)
        assert core.queue_stats(queue).paused
        core.pause(queue, paused=False)
    assert core.retry_dead() == 2
    ids = core.pull(4, session=1)
    assert core.heartbeat(*ids, lease_ms=5).missing == []
    core.close_session(1)
    ids = core.pull(6)
    assert core.fail(*ids[:2], error="x" * 1000).missing == []
    assert core.ack(*ids[2:4]).missing == []
    assert core.purge_dead(queue="q") == 2
    assert core.drain() == 0
    core.core.watch("unknown", watching=True)
    assert core.queue_stats("unknown") == QueueStats("unknown")


def test_dead_letters_are_bounded_by_their_texts_too(core_name: str) -> None:
    core = Driver(core_name, dead_bytes_max=1000)
    core.push_many(10, max_attempts=1)
    for job_id in core.pull(10):
        core.fail(job_id, error="é" * 150)
    assert [letter.id for letter in core.dead().jobs] == [8, 9, 10]
    assert (core.stats().dropped, core.stats().content_bytes) == (7, 3 * 301)
    page = core.dead(bytes_max=650)
    assert [letter.id for letter in page.jobs] == [8, 9]
    again = core.replayed(core_name, dead_bytes_max=1000)
    again.push(max_attempts=1)
    again.fail(*again.pull(), error="x")
    assert again.stats().dead == 4


def test_a_queue_that_nobody_worked_on_is_forgotten(core: Driver) -> None:
    core.push_many(3, queue="mistyped")
    core.push(queue="mistyped", delay_ms=5)
    core.pause("paused")
    core.pause("paused", paused=False)
    core.pause("stays paused")
    core.drain("mistyped")
    assert [queue.name for queue in core.queues()] == ["stays paused"]
    assert (core.stats().pushed, core.stats().queues) == (4, 1)
    assert core.queue_stats("mistyped") == QueueStats("mistyped")
    assert core.replayed(core.name).queues() == core.queues()
    core.push(queue="mistyped")
    core.core.watch("mistyped", watching=True)
    core.drain("mistyped")
    del core.woken[:]
    core.push(queue="mistyped")
    assert core.woken == ["mistyped"]


def test_a_queue_that_was_worked_on_keeps_its_totals(core: Driver) -> None:
    core.push_many(3)
    core.ack(*core.pull())
    core.drain()
    assert core.queue_stats() == QueueStats("q", pushed=3, completed=1)
    core.push()
    core.pull(session=4)
    core.drain()
    assert core.queue_stats().processing == 1
    core.close_session(4)
    core.drain()
    assert core.queues() == [QueueStats("q", pushed=4, completed=1, lost=1)]
    core.core.replay(Restarted())
    assert core.queues() == []
    assert core.stats().pushed == 0


def test_a_thousand_names_in_turn(core_name: str) -> None:
    core = Driver(core_name, queues_max=10)
    for n in range(1000):
        core.push(queue=f"q{n}")
        core.ack(*core.pull(1, f"q{n}"))
    assert len(core.queues()) <= 10
    assert core.stats().completed == 1000


def test_totals_cost_the_same_with_few_queues_and_with_many(core_name: str) -> None:
    few, many = Driver(core_name), Driver(core_name)
    for driver, count in ((few, 3), (many, 3000)):
        for number in range(count):
            batch = NewJobs(payloads=[b"{}"], run_ats_ms=driver.now)
            answered(driver.core.push(f"q{number}", batch, driver.now))
        assert driver.stats().queued == driver.stats().queues == count

    def cost_s(driver: Driver) -> float:
        start = time.perf_counter()
        for _ in range(200):
            driver.stats()
        return time.perf_counter() - start

    costs_s = [(cost_s(few), cost_s(many)) for _ in range(5)]
    assert min(cost for _, cost in costs_s) < 20 * min(cost for cost, _ in costs_s)


def test_the_oldest_of_all_queues_is_exact_while_they_come_and_go(core_name: str) -> None:
    core, waiting = Driver(core_name, lost_max=0), dict[str, list[int]]()
    random = Random(7)
    for _ in range(400):
        queue = f"q{random.randrange(12)}"
        match random.randrange(4):
            case 0 | 1:
                core.push(queue=queue)
                waiting.setdefault(queue, []).append(core.now)
            case 2 if waiting.get(queue):
                core.ack(*core.pull(1, queue))
                del waiting[queue][0]
            case 3 if waiting.get(queue):
                held = core.pull(1, queue, session=9)
                core.tick(random.randrange(3))
                core.close_session(9)
                assert core.state(held[0]) is JobState.READY
        core.tick(random.randrange(5))
        oldest = min((at for each in waiting.values() for at in each), default=core.now)
        if random.randrange(3) == 0:
            assert core.stats().oldest_ready_ms == core.now - oldest


def test_queues_by_pages(core: Driver) -> None:
    names = [f"q{number:03}" for number in range(200)]
    for name in reversed(names):
        core.push(queue=name)
    core.push(queue="r")
    for name in names[:150]:
        core.drain(name)

    def page(*arguments: object) -> list[str]:
        listed = answered(core.core.queues(core.now, *arguments))  # type: ignore[arg-type]  # any
        return [queue.name for queue in listed]

    assert page(3) == names[150:153]
    assert page(2, "q198") == ["q199", "r"]
    assert page(2, "q0", "q19") == ["q190", "q191"]
    assert page(100, "q190", "q19") == names[191:]
    assert page(None, None, "r") == ["r"]
    assert page(5, "r") == page(5, None, "s") == []
    core.push(queue=names[7])
    assert page(2) == [names[7], names[150]], "a name that is used again is listed again"
