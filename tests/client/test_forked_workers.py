"""A worker and a fork: the parent's stays the parent's, and a child's is as new.

Real forks, of a process in which a worker runs, and of handlers.
"""

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from client.test_forks import in_child
from magicqueue import Job, SyncQueue, SyncWorker, Worker
from patience import PATIENCE_S

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

Condition = Callable[[], object]


@pytest.fixture
def queue(url: str, name: str) -> Iterator[SyncQueue]:
    with SyncQueue(name, url) as queue:
        yield queue


def eventually(condition: Condition) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.005)


async def completed(worker: Worker, count: int) -> None:
    while worker.completed < count:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_stop_in_a_child_leaves_the_parents_worker_alone(
    queue: SyncQueue, url: str, concurrency: int
) -> None:
    done = []
    worker = SyncWorker(
        queue.name, lambda job: done.append(job.data), url=url, concurrency=concurrency
    )

    def stop() -> Any:
        counts = (worker.completed, worker.held)
        worker.request_stop()
        worker.stop()
        return counts

    with worker:
        queue.push(1)
        eventually(lambda: worker.completed == 1)
        assert in_child(stop) == [0, 0]
        queue.push(2)
        eventually(lambda: worker.completed == 2)
    assert done == [1, 2]
    assert queue.stats().lost == 0


def _work_until_done(worker: SyncWorker, count: int) -> int:
    with worker:
        eventually(lambda: worker.completed == count)
    return worker.completed


@pytest.mark.parametrize("started", [False, True])
def test_a_worker_of_the_parents_can_be_run_in_a_child(
    queue: SyncQueue, url: str, *, started: bool
) -> None:
    go_on = threading.Event()
    parent = os.getpid()

    def handler(_: Job) -> None:
        if os.getpid() == parent:
            go_on.wait(PATIENCE_S)

    worker = SyncWorker(queue.name, handler, url=url)
    try:
        if started:
            queue.push("the parent's")
            worker.start()
            eventually(lambda: worker.held == 1)
        queue.push_batch(["the child's"] * 3)
        assert in_child(lambda: _work_until_done(worker, 3)) == 3
        counts = queue.stats()
        assert (counts.processing, counts.completed) == (int(started), 3)
    finally:
        go_on.set()
    if started:
        eventually(lambda: worker.completed == 1)
    worker.stop()
    assert queue.stats().lost == 0


class Forking:
    """A handler whose child comes back from it, at the first job."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.parent = os.getpid()

    def __call__(self, job: Job) -> None:
        if job.data != "fork":
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            self.codes.append(os.waitstatus_to_exitcode(status))

    def raising(self, job: Job) -> None:
        self(job)
        if os.getpid() != self.parent:
            raise ValueError("in the child")

    async def in_loop(self, job: Job) -> None:
        self(job)


@pytest.mark.parametrize(
    "how", ["inline", "threads", "loop", "loop inline", "loop threads"]
)
@pytest.mark.parametrize("raises", [False, True])
def test_a_child_that_comes_back_from_a_handler_ends(
    queue: SyncQueue, url: str, how: str, *, raises: bool
) -> None:
    """It tells the server nothing, takes no job, and its parent goes on."""
    forking = Forking()
    plain = forking.raising if raises else forking
    queue.push_batch(["fork", *range(5)])

    async def work(worker: Worker) -> None:
        async with worker:
            await completed(worker, 6)

    worker: SyncWorker | Worker
    if how in {"inline", "threads"}:
        worker = SyncWorker(
            queue.name, plain, url=url, concurrency=1 + 2 * (how != "inline")
        )
        with worker:
            eventually(lambda: worker.completed == 6)
    else:
        handler = forking.in_loop if how == "loop" else plain
        worker = Worker(queue.name, handler, url=url, inline=how == "loop inline")
        asyncio.run(asyncio.wait_for(work(worker), PATIENCE_S))
    assert forking.codes == [1]
    assert (worker.failed, worker.lost) == (0, 0)
    counts = queue.stats()
    assert (counts.completed, counts.failed, counts.lost) == (6, 0, 0)


def test_an_async_worker_of_the_parents_is_as_new_in_a_child(
    queue: SyncQueue, url: str
) -> None:
    async def note(_: Job) -> None:
        await asyncio.sleep(0)

    async def work_on(worker: Worker) -> list[int]:
        before = worker.completed
        await worker.stop()
        async with worker:
            return [before, worker.held]

    async def main() -> None:
        async with Worker(queue.name, note, url=url) as worker:
            await asyncio.to_thread(queue.push, 1)
            await completed(worker, 1)
            assert in_child(lambda: asyncio.run(work_on(worker))) == [0, 0]
            await asyncio.to_thread(queue.push, 2)
            await completed(worker, 2)

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    assert queue.stats().lost == 0
