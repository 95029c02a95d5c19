"""The public API as a user types it: checked by mypy, never run.

Each `assert_type` is a promise; each ignored error is something that must stay refused.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from magicqueue import (
    DeadPage,
    Job,
    JobDetails,
    JobOptions,
    MagicQueueError,
    NewJob,
    OneQueueCounts,
    Queue,
    QueueCounts,
    RequestError,
    ServerCounts,
    ServerInfo,
    SyncQueue,
    SyncWorker,
    Worker,
    __version__,
)

assert_type(__version__, str)


async def numbers() -> AsyncIterator[int]:
    yield 1


async def producing() -> None:
    async with Queue("emails", "localhost:6789", timeout=timedelta(seconds=5)) as queue:
        assert_type(queue, Queue)
        assert_type(await queue.push({"to": "ada"}), int)
        assert_type(await queue.push(1, priority=2, delay=1.5, max_attempts=0), int)
        await queue.push(1, run_at=datetime.now(UTC), backoff=timedelta(1), jitter=False)
        await queue.push(1, priority="high")  # type: ignore[call-overload]
        await queue.push(1, prio=1)  # type: ignore[call-overload]
        job = NewJob(1, priority=3, run_at=5.0)
        assert_type(await queue.push_batch([1, job], delay=timedelta(hours=1)), list[int])
        assert_type(await queue.push_many(numbers(), batch_size=10, priority=1), list[int])
        assert_type(await queue.push_many(range(3)), list[int])
        options: JobOptions = {"priority": 1, "delay": None}
        await queue.push(1, **options)


async def looking() -> None:
    queue = Queue("emails")
    assert_type(await queue.stats(), OneQueueCounts)
    assert_type(await queue.server_stats(), ServerCounts)
    assert_type(await queue.queues(), list[QueueCounts])
    assert_type(await queue.job(1), JobDetails)
    assert_type((await queue.job(1)).lease_until, datetime | None)
    assert_type(await queue.dead(10, after=3), DeadPage)
    async for dead in queue.all_dead():
        assert_type(dead, JobDetails)
        assert_type(dead.error, str | None)
    assert_type(await queue.retry_dead(), int)
    assert_type(await queue.purge_dead(5), int)
    assert_type(await queue.drain(), int)
    assert_type(await queue.hello(), ServerInfo)
    await queue.pause()
    await queue.resume()
    await queue.ping()
    await queue.close()


async def pulling(queue: Queue) -> None:
    job = await queue.pull(timeout=1)
    assert_type(job, Job | None)
    if job is not None:
        assert_type(job.id, int)
        assert_type(job.data, Any)
        assert_type(job.raw, bytes)
        assert_type(job.created_at, datetime)
        assert_type(job.lost, bool)
        assert_type(await queue.heartbeat(job, 7, lease=30), list[int])
        await queue.ack(job)
        assert_type(await queue.fail(7, ValueError("no")), str)
    assert_type(await queue.pull_batch(5, lease=timedelta(minutes=1)), list[Job])
    assert_type(await queue.ack_batch([1, 2]), list[int])


async def async_handler(job: Job) -> None:
    job.heartbeat()


def plain_handler(job: Job) -> int:
    return job.id


def not_a_handler(a: int, b: int) -> None: ...


def told(job: Job, error: BaseException) -> None: ...


async def working() -> None:
    await Worker("emails", async_handler, concurrency=10, on_error=told).run()
    worker = Worker("emails", plain_handler, inline=True, batch_size=1000, lease=60)
    async with worker as same:
        assert_type(same, Worker)
        assert_type(worker.completed, int)
    await worker.start()
    worker.request_stop()
    await worker.stop()
    Worker("emails", not_a_handler)  # type: ignore[arg-type]


def blocking() -> None:
    with SyncQueue("emails") as queue:
        assert_type(queue, SyncQueue)
        assert_type(queue.push(1, delay=2), int)
        assert_type(queue.push_many(iter([1]), window=2), list[int])
        assert_type(queue.pull(), Job | None)
        assert_type(queue.stats(), OneQueueCounts)
        for dead in queue.all_dead():
            assert_type(dead, JobDetails)
    with SyncWorker("emails", plain_handler, concurrency=4) as worker:
        assert_type(worker, SyncWorker)
    SyncWorker("emails", plain_handler, grace=5).run(signals=False)


def failing(error: MagicQueueError) -> str:
    if isinstance(error, RequestError):
        return error.code
    return str(error)
