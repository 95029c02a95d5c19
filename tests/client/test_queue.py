"""`Queue` against the real server, on every event loop."""

import asyncio
import errno
import os
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client.conftest import Run
from client.real_server import RealServer
from magicqueue import (
    BadRequest,
    Closed,
    ConnectionRefused,
    MagicQueueError,
    NewJob,
    NotFound,
    NotJson,
    Queue,
    Stale,
    SyncQueue,
    TooLarge,
    commands,
)


async def pull_all(queue: Queue) -> list[Any]:
    jobs = await queue.pull_batch(1000, timeout=0)
    assert await queue.ack_batch(jobs) == []
    return [job.data for job in jobs]


def test_a_job_goes_all_the_way(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            job_id = await queue.push({"to": "ada"}, priority=3, max_attempts=5)
            details = await queue.job(job_id)
            assert (details.state, details.priority, details.max_attempts) == (
                "ready",
                3,
                5,
            )
            assert details.lease_until is None
            job = await queue.pull(lease=10)
            assert job is not None
            assert (job.id, job.data, job.attempts) == (job_id, {"to": "ada"}, 1)
            assert abs(job.created_at - datetime.now(UTC)) < timedelta(minutes=1)
            details = await queue.job(job_id)
            assert details.state == "active"
            assert details.lease_until is not None
            assert await queue.heartbeat(job, lease=60) == []
            later = (await queue.job(job_id)).lease_until
            assert later is not None
            assert later > details.lease_until
            await queue.ack(job)
            with pytest.raises(NotFound, match=f"job {job_id}"):
                await queue.ack(job)
            with pytest.raises(NotFound):
                await queue.job(job_id)
            assert await queue.heartbeat(job) == [job_id]
            assert job.lost

    run(main())


def test_batches_keep_order_and_options(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            items = [1, NewJob(2, priority=9), {"three": 3}, NewJob(4, delay=3600)]
            ids = await queue.push_batch(items, priority=1)
            assert ids == list(range(ids[0], ids[0] + 4))
            assert await queue.push_batch([]) == []
            assert await pull_all(queue) == [2, 1, {"three": 3}]
            assert (await queue.stats()).delayed == 1
            run_at = (await queue.job(ids[3])).run_at - datetime.now(UTC)
            assert timedelta(minutes=59) < run_at < timedelta(minutes=61)
            with pytest.raises(NotJson, match="item 2"):
                await queue.push_batch([1, 2, {3}])
            with pytest.raises(TooLarge, match="push_many"):
                await queue.push_batch([0] * 100_001)
            assert await queue.drain() == 1

    run(main())


def test_push_many_takes_any_number(run: Run, url: str, name: str) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(2345):
            yield number

    async def main() -> None:
        async with Queue(name, url) as queue:
            ids = await queue.push_many(iter(range(12_345)), batch_size=1000)
            assert len(set(ids)) == 12_345
            assert ids == sorted(ids)
            assert len(await queue.push_many(numbers(), batch_size=100)) == 2345
            assert (await queue.stats()).queued == 14_690
            too_large = ["x" * 2_000_000]
            with pytest.raises(TooLarge, match="job") as caught:
                await queue.push_many([1, 2, 3, *too_large], batch_size=1)
            assert caught.value.__notes__ == ["push_many had stored 3 jobs by then"]
            await queue.drain()

    run(main())


def test_concurrent_pushes_get_their_own_ids(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            ids = await asyncio.gather(*(queue.push(n) for n in range(500)))
            assert ids == list(range(ids[0], ids[0] + 500))
            for job_id, number in ((ids[0], 0), (ids[499], 499)):
                assert (await queue.job(job_id)).data == number
            jobs = await queue.pull_batch(500)
            await asyncio.gather(*(queue.ack(job) for job in jobs))
            assert (await queue.stats()).completed == 500

    run(main())


def test_one_bad_push_does_not_harm_the_others(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            large = "x" * 2_000_000
            outcomes = await asyncio.gather(
                *(queue.push(data) for data in (1, large, 2, {3}, 4)),
                return_exceptions=True,
            )
            kinds = [type(outcome) for outcome in outcomes]
            assert kinds == [int, TooLarge, int, NotJson, int]
            assert await pull_all(queue) == [1, 2, 4]

    run(main())


def test_a_failure_is_retried_and_then_dead(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            job_id = await queue.push("x", max_attempts=2, backoff=0)
            job = await queue.pull()
            assert job is not None
            assert await queue.fail(job, ValueError("no")) == "ready"
            again = await queue.pull()
            assert again is not None
            assert again.attempts == 2
            with pytest.raises(Stale):
                await queue.fail(job, "late")
            assert await queue.fail(again, "still no") == "dead"
            page = await queue.dead()
            assert page.next is None
            (dead,) = page.jobs
            assert (dead.id, dead.error, dead.reason) == (job_id, "still no", "failed")
            assert dead.died_at is not None
            assert await queue.retry_dead(job_id) == 1
            assert (await queue.job(job_id)).state == "ready"
            await queue.drain()

    run(main())


def test_released_jobs_and_failures_with_a_word_on_the_retry(
    run: Run, url: str, name: str
) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            await queue.push_batch(range(4))
            jobs = await queue.pull_batch(4)
            assert await queue.release(*jobs[:2], 10**9) == [10**9]
            assert [job.data for job in await queue.pull_batch(4)] == [0, 1]
            assert await queue.release(jobs[0]) == [jobs[0].id], "that attempt is over"
            assert await queue.fail(jobs[2], "useless", retry=False) == "dead"
            assert await queue.fail(jobs[3], delay=3600) == "delayed"
            with pytest.raises(ValueError, match="retry=False"):
                await queue.fail(jobs[3], retry=False, delay=1)
            assert (await queue.stats()).lost == 0

    run(main())


def test_dead_letters_are_paged_through(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            ids = await queue.push_batch(range(25), max_attempts=1)
            for job in await queue.pull_batch(25):
                await queue.fail(job, str(job.data))
            assert [job.id async for job in queue.all_dead(page_size=10)] == ids
            assert await queue.purge_dead(ids[0]) == 1
            assert await queue.retry_dead() == 24
            assert await queue.drain() == 24
            assert [job async for job in queue.all_dead()] == []

    run(main())


def test_closing_gives_unsettled_jobs_back(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as watcher:
            async with Queue(name, url) as queue:
                await queue.push(1)
                assert await queue.pull() is not None
            while (await watcher.stats()).queued != 1:
                pass
            assert (await watcher.stats()).lost == 1
            await watcher.drain()

    run(main())


def test_queues_are_listed_page_by_page(
    run: Run, url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_QUEUES_PAGE", 2)

    async def main() -> None:
        names = [f"{name}{number}" for number in range(5)]
        async with Queue(name, url) as queue:
            for each in names:
                async with Queue(each, url) as other:
                    await other.push(1)
            pages = await queue._run(commands.queues())
            assert len(pages[0]) == 2, "the control: no page has them all"
            listed = [counts.name for counts in await queue.queues()]
            assert [each for each in listed if each in names] == names

    run(main())


def test_administration(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            assert (await queue.stats()).queued == 0
            await queue.pause()
            await queue.push(1)
            assert await queue.pull(timeout=0) is None
            (counts,) = [q for q in await queue.queues() if q.name == name]
            assert (counts.queued, counts.paused) == (1, True)
            await queue.resume()
            assert await pull_all(queue) == [1]
            assert (await queue.server_stats()).queues >= 1
            info = await queue.hello()
            assert info.server == "magicqueue"
            assert info.limits.job_bytes_max == 2**20
            with pytest.raises(NotFound):
                await queue.retry_dead(2**40)

    run(main())


def test_a_closed_queue_says_so(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        queue = Queue(name, url)
        pushed = asyncio.create_task(queue.push(1))
        await asyncio.sleep(0)
        await queue.close()
        assert await pushed > 0
        for call in (queue.push, queue.ack):
            with pytest.raises(Closed):
                await call(1)
        with pytest.raises(Closed):
            await queue.pull()
        with pytest.raises(Closed):
            await queue.push_batch([1])

    run(main())


def test_no_server_is_named_with_what_to_do(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        socket = str(tmp_path / "none.sock")
        for url, address, number in (
            ("127.0.0.1:1", "127.0.0.1:1", errno.ECONNREFUSED),
            ("localhost:1", "localhost:1", errno.ECONNREFUSED),
            (socket, f"unix://{socket}", errno.ENOENT),
        ):
            async with Queue("q", url) as queue:
                for call in (queue.push(1), queue.ping(), queue.push_batch([1])):
                    with pytest.raises(ConnectionRefused, match="magicqueue serve") as e:
                        await call
                    assert e.value.address == address
                    assert e.value.reason == os.strerror(number)
                    assert f"at {address} ({e.value.reason}): start" in str(e.value)
                    assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)

    run(main())


def test_one_queue_serves_one_loop_after_the_other(url: str, name: str) -> None:
    queue = Queue(name, url)

    async def push_and_leave() -> None:
        await queue.push(1)
        job = await queue.pull()
        assert job is not None
        await queue.ack(job)
        await queue._channel.close()
        queue._channel._closed = False
        await queue._pulls.close()
        queue._pulls._closed = False

    for _ in range(2):
        asyncio.run(push_and_leave())


@pytest.mark.parametrize("bad", ["", "a\nb"])
def test_a_bad_name_is_refused_at_once(bad: str) -> None:
    with pytest.raises(BadRequest, match="queue"):
        Queue(bad)


def test_producers_wait_for_a_server_that_restarts(
    run: Run, own_server: RealServer, name: str
) -> None:
    async def main() -> None:
        async with Queue(name, own_server.url) as queue:
            await queue.push(1)
            own_server.kill()
            lost = 0
            while True:
                push = asyncio.create_task(queue.push(2))
                stats = asyncio.create_task(queue.stats())
                if not own_server.running:
                    await asyncio.to_thread(own_server.start)
                try:
                    await push
                except MagicQueueError:
                    lost += 1
                    continue
                finally:
                    assert (await stats).pushed >= 0
                break
            assert lost <= 1
            assert await pull_all(queue) == [2]

    run(main())


def test_an_over_long_line_harms_no_later_request(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            for _ in range(2):
                with pytest.raises(TooLarge, match="the line is over the limit"):
                    await queue.push_batch(data)
                assert await queue.push(1) > 0
            await queue.drain()

    data = ["x" * 1_000_000] * 68
    run(main())
    with SyncQueue(name, url) as queue:
        with pytest.raises(TooLarge, match="the line is over the limit"):
            queue.push_batch(data)
        assert queue.push(1) > 0
        assert queue.drain() == 1
