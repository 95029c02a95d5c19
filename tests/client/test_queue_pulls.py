"""Pulls of `Queue` that wait, end in time, or are cancelled, on every event loop."""

import asyncio
import time

import pytest

from client.conftest import Run
from magicqueue import Queue


def test_a_pull_waits_without_holding_anything_back(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            pulls = [asyncio.create_task(queue.pull()) for _ in range(3)]
            await queue.ping()
            assert await queue.pull(timeout=0) is None
            await queue.push_batch([1, 2, 3])
            jobs = await asyncio.gather(*pulls)
            assert sorted(job.data for job in jobs if job is not None) == [1, 2, 3]

    run(main())


def test_a_pull_ends_in_time(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            before = time.monotonic()
            assert await queue.pull(timeout=0.05) is None
            assert time.monotonic() - before > 0.04

    run(main())


def test_a_cancelled_pull_takes_no_job(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            pull = asyncio.create_task(queue.pull())
            assert await queue.pull(timeout=0) is None
            while (await queue.server_stats()).waiting == 0:
                assert not pull.done()
            pull.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pull
            while (await queue.server_stats()).waiting:
                pass
            await queue.push("mine")
            job = await queue.pull(timeout=0)
            assert job is not None
            assert job.attempts == 1

    run(main())


def test_a_cancelled_pull_that_cannot_be_undone_leaves_its_job_to_the_next(
    run: Run, url: str, name: str
) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            await queue.push("first")
            first = await queue.pull()
            pull = asyncio.create_task(queue.pull())
            while (await queue.server_stats()).waiting == 0:
                assert not pull.done()
            pull.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pull
            await queue.push("second")
            while (await queue.stats()).processing < 2:
                pass
            second = await queue.pull(timeout=0)
            while second is None:
                second = await queue.pull(timeout=0)
            assert second.data == "second"
            assert first is not None
            await queue.ack(first)
            await queue.ack(second)

    run(main())
