"""Keys, times, results, cancels and progress, from a producer to a worker and back."""

import asyncio
import threading
import time
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.real_server import RealServer
from client.running import KINDS, running
from magicqueue import (
    BadRequest,
    Duplicate,
    Job,
    NewJob,
    NoResult,
    NotDone,
    NotFound,
    Queue,
    SyncQueue,
    Worker,
)
from patience import PATIENCE_S

HEARS_NO_BEAT_S = 6 * PATIENCE_S
"""A lease of which a third is more than a test ever waits: so often a heartbeat comes."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def until(condition: Any) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_key_is_held_by_one_job(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        first = queue.push(1, unique_key="k")
        again = queue.push(2, unique_key="k")
        assert (again, again.duplicate, again.replaced) == (first, True, False)
        with pytest.raises(Duplicate) as caught:
            queue.push(3, unique_key="k", on_conflict="reject")
        assert caught.value.job_id == first
        over = queue.push(4, unique_key="k", on_conflict="replace", priority=3)
        assert (over, over.duplicate, over.replaced) == (first, False, True)
        assert (queue.job(first).data, queue.job(first).unique_key) == (4, "k")
        ids = queue.push_batch([NewJob(n, unique_key=f"k{n % 2}") for n in range(4)])
        assert [one.duplicate for one in ids] == [False, False, True, True]
        assert ids[2:] == ids[:2]
        queue.drain()
        assert not queue.push(5, unique_key="k").duplicate
        queue.drain()


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_job_asked_for_is_shown(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        asked: dict[str, Any] = {"ttl": 3600, "timeout": 30, "keep_result": 60}
        job = queue.job(queue.push(1, unique_key="k", **asked))
        assert (job.unique_key, job.timeout_ms, job.keep_result_ms) == ("k", 30_000, 60_000)
        assert job.expires_at_ms - job.created_at_ms == 3_600_000
        assert (job.cancelled, job.progress, job.finished_at) == (False, None, None)
        pulled = queue.pull()
        assert queue.progress(pulled, 40, "half") is None
        shown = queue.job(job.id)
        assert (shown.progress.percent, shown.progress.note) == (40, "half")
        assert shown.attempt_until_ms is not None
        assert queue.cancel([pulled]).cancelling == [job.id]
        assert queue.job(job.id).cancelled
        assert queue.heartbeat(pulled) == []
        assert (pulled.cancelled, pulled.lost) == (True, False)
        assert queue.fail(pulled) == "cancelled"
        with pytest.raises(NoResult, match="cancelled"):
            queue.result(job.id)
        with pytest.raises(NotFound):
            queue.progress(pulled, 50)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_result_comes_back(client: str, url: str, name: str) -> None:
    with (
        running("sync", name, lambda job: {"double": job.data * 2}, url=url),
        opened(client, name, url) as queue,
    ):
        job_id = queue.push(2**65, keep_result=60)
        assert queue.result(job_id, timeout=PATIENCE_S) == {"double": 2**66}
        (end,) = queue.wait([job_id], timeout=0)
        assert (end.state, end.attempts) == ("done", 1)
        assert queue.job(job_id).result == {"double": 2**66}
        assert [end.state for end in queue.wait([2**50], timeout=0)] == ["unknown"]
        ids = queue.push_many(range(20), keep_result=60)
        left = set(ids)
        while left:
            left -= {end.id for end in queue.wait(left, timeout=PATIENCE_S)}
        assert [queue.result(one)["double"] for one in ids] == list(range(0, 40, 2))


@pytest.mark.parametrize("client", CLIENTS)
def test_what_ends_otherwise_is_told(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        later = queue.push(1, delay=3600, keep_result=60)
        with pytest.raises(NotDone):
            queue.result(later, timeout=0.02)
        assert queue.promote([later, 2**50]) == [2**50]
        assert queue.job(later).state == "ready"
        told = queue.cancel([later, 2**50])
        assert (told.cancelled, told.cancelling, told.missing) == ([later], [], [2**50])
        expired = queue.push(2, ttl=0.02, keep_result=60)
        with pytest.raises(NoResult, match="expired") as caught:
            queue.result(expired)
        assert caught.value.ending.state == "expired"
        dead = queue.push(3, keep_result=60, max_attempts=1)
        queue.fail(queue.pull(), "no luck")
        with pytest.raises(NoResult, match="it is dead: no luck"):
            queue.result(dead)
        plain = queue.push(4)
        with pytest.raises(BadRequest):
            queue.result(plain)
        queue.drain()


def test_a_worker_hears_of_a_cancel_at_once(kind: str, url: str, name: str) -> None:
    started, ended = threading.Event(), threading.Event()
    jobs: list[Job] = []

    def handler(job: Job) -> None:
        jobs.append(job)
        started.set()
        try:
            while True:
                job.check()
                time.sleep(0.002)
        finally:
            ended.set()

    with (
        SyncQueue(name, url) as queue,
        running(kind, name, handler, url=url, lease=HEARS_NO_BEAT_S) as run,
    ):
        job_id = queue.push(1, keep_result=60)
        assert started.wait(PATIENCE_S)
        assert queue.cancel(job_id).cancelling == [job_id]
        assert ended.wait(PATIENCE_S), "before a heartbeat would come"
        with pytest.raises(NoResult, match="cancelled"):
            queue.result(job_id, timeout=PATIENCE_S)
        until(lambda: run.worker.cancelled == 1)
        stats = queue.stats()
        assert (stats.cancelled, stats.failed, stats.dead, stats.lost) == (1, 0, 0, 0)


def test_a_job_that_times_out_ends_its_handler(url: str, name: str) -> None:
    cancelled = asyncio.Event()

    begun: list[int] = []

    async def handler(job: Job) -> str:
        begun.append(job.attempts)
        if job.attempts == 1:
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return "second"

    async def main() -> None:
        worker = Worker(name, handler, url=url, lease=HEARS_NO_BEAT_S)
        async with Queue(name, url) as queue, worker:
            limits: dict[str, Any] = {"timeout": 0.2, "backoff": 0, "max_attempts": 1000}
            job_id = await queue.push(1, keep_result=60, **limits)
            assert await queue.result(job_id, timeout=PATIENCE_S) == "second"
            async with asyncio.timeout(PATIENCE_S):
                await cancelled.wait()
                while worker.lost < len(begun) - 1:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.005)
            assert (await queue.job(job_id)).attempts == len(begun) > 1
            assert (await queue.stats()).failed == worker.lost == len(begun) - 1

    asyncio.run(main())


def test_progress_is_seen_while_the_job_runs(url: str, name: str) -> None:
    gate = threading.Event()

    def handler(job: Job) -> None:
        job.progress(40, "under way")
        gate.wait(PATIENCE_S)

    with SyncQueue(name, url) as queue, running("threads", name, handler, url=url):
        job_id = queue.push(1)
        until(lambda: queue.job(job_id).progress is not None)
        shown = queue.job(job_id).progress
        assert shown is not None
        assert (shown.percent, shown.note) == (40, "under way")
        gate.set()


def test_a_result_that_is_too_large_is_that_jobs_fault(url: str, name: str) -> None:
    def handler(job: Job) -> Any:
        return "x" * 100_000 if job.data == 2 else job.data

    options: dict[str, Any] = {"on_bad_result": "fail", "prefetch": 5}
    with (
        SyncQueue(name, url) as queue,
        running("sync", name, handler, url=url, **options) as run,
    ):
        ids = queue.push_batch([1, 2, 3], keep_result=60, max_attempts=1)
        assert [queue.result(one) for one in (ids[0], ids[2])] == [1, 3]
        with pytest.raises(NoResult, match=r"it is dead: BadResult: .*100002 bytes"):
            queue.result(ids[1])
    assert (run.worker.completed, run.worker.failed) == (2, 1)


@pytest.mark.parametrize("client", CLIENTS)
def test_pushes_are_stored_once_though_connections_break(
    client: str, own_server: RealServer, name: str
) -> None:
    with opened(client, name, own_server.url, repeat_pushes=True) as queue:
        assert queue.push(0) == 1
        own_server.kill()  # one without a log forgets all, its keys as well
        own_server.start()
        assert queue.push(1) == 1
        assert queue.push_many(range(100), batch_size=10) == list(range(2, 102))
        assert queue.stats().queued == 101
