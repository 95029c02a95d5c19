"""After a fork each process has a connection of its own, and the parent's is left alone.

Real forks, of os.fork and of multiprocessing, against a server that tells connections
apart. Children end by os._exit, with what they found written to a pipe.
"""

import asyncio
import json
import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from client.fake_server import FakeServer, Request, polite
from magicqueue import ConnectionLost, Queue, SyncQueue
from patience import PATIENCE_S

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def in_child(work: Callable[[], Any]) -> Any:
    """Give what `work` returns in a forked child, or the text of what it raises."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        try:
            os.close(read)
            try:
                found = work()
            except BaseException as error:  # noqa: BLE001 - told to the parent
                found = f"{type(error).__name__}: {error}"
            os.write(write, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told)


@pytest.fixture
def queue(url: str, name: str) -> Iterator[SyncQueue]:
    with SyncQueue(name, url) as queue:
        yield queue


def id_of(queue: Any, data: Any) -> bool:
    """Push, and tell whether the id that came is that of the job pushed."""
    return bool(queue.job(queue.push(data)).data == data)


_shared: list[SyncQueue] = []


def _push_in_pool(number: int) -> bool:
    return id_of(_shared[0], [os.getpid(), number])


def test_a_pool_of_forked_children_gets_right_ids(queue: SyncQueue) -> None:
    _shared[:] = [queue]
    assert id_of(queue, "first")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        right = pool.map_async(_push_in_pool, range(100), chunksize=5)
        mine = [id_of(queue, ["parent", number]) for number in range(50)]
        assert right.get(PATIENCE_S) == [True] * 100
    assert mine == [True] * 50
    assert queue.stats().queued == 151


def test_the_parents_jobs_stay_the_parents(queue: SyncQueue) -> None:
    queue.push_batch([1, 2])
    job = queue.pull(timeout=0)
    assert job is not None

    def work() -> Any:
        assert id_of(queue, "child")
        other = queue.pull(timeout=0)
        assert other is not None
        queue.ack(other)
        queue.close()
        return other.data

    assert in_child(work) == 2
    assert queue.stats().processing == 1
    queue.ack(job)
    assert id_of(queue, "after")


def test_a_lock_that_another_thread_held_holds_up_no_child() -> None:
    """The child is forked while another thread waits for a reply."""
    release = threading.Event()

    def answer(request: Request) -> Any:
        if request["cmd"] == "PUSH" and request["data"] == "slow":
            release.wait(PATIENCE_S)
            return {"ok": True, "id": 7}
        return {"ok": True, "id": 8} if request["cmd"] == "PUSH" else polite(request)

    with FakeServer(answer) as fake, SyncQueue("q", fake.url) as queue:
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(queue.push("slow")))
        thread.start()
        fake.wait_for("PUSH")
        assert in_child(lambda: queue.push("quick")) == 8
        release.set()
        thread.join(PATIENCE_S)
        assert got == [7]


def test_a_connection_ends_when_the_parent_ends_it(fake: FakeServer) -> None:
    """The child holds no copy of it, else the server would not see its end."""
    closed = threading.Event()
    serve = fake._serve

    def watched(connection: Any) -> None:
        serve(connection)
        closed.set()

    fake._serve = watched  # type: ignore[method-assign]
    go_read, go_write = os.pipe()
    queue = SyncQueue("q", fake.url)
    assert queue.push(1) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        os.close(go_write)
        os.read(go_read, 1)
        os._exit(0)
    try:
        queue.close()
        assert closed.wait(PATIENCE_S), "while the child is alive"
    finally:
        os.close(go_write)
        os.close(go_read)
        os.waitpid(child, 0)


def test_a_fork_in_the_midst_of_a_window_ends_it_in_the_child(queue: SyncQueue) -> None:
    def jobs() -> Iterator[int]:
        yield from range(40)
        warnings.simplefilter("ignore")
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            children.append(os.waitstatus_to_exitcode(status))
        else:
            yield -1
        yield from range(40)

    parent = os.getpid()
    children: list[int] = []
    try:
        ids = queue.push_many(jobs(), batch_size=10)
    except ConnectionLost as error:
        os._exit(0 if os.getpid() != parent and "forked" in str(error) else 1)
    if os.getpid() != parent:
        os._exit(2)
    assert children == [0]
    assert len(ids) == 80
    assert queue.stats().queued == 80


_queues: list[Queue] = []


async def right(queue: Queue, data: Any) -> bool:
    return bool((await queue.job(await queue.push(data))).data == data)


async def _push_twenty() -> list[bool]:
    async with _queues[0] as queue:
        pushes = (right(queue, [os.getpid(), number]) for number in range(20))
        return list(await asyncio.gather(*pushes))


def _push_on_a_loop() -> list[bool]:
    return asyncio.run(_push_twenty())


def test_asyncio_in_a_child_has_a_loop_and_a_connection_of_its_own(
    url: str, name: str
) -> None:
    async def main() -> None:
        async with Queue(name, url) as queue:
            _queues[:] = [queue]
            assert await right(queue, "before")
            pulled = await queue.pull(timeout=0)
            assert pulled is not None
            fork = multiprocessing.get_context("fork")
            # one task each: it closes its process's queue
            with fork.Pool(1) as one, fork.Pool(1) as two:
                results = [pool.apply_async(_push_on_a_loop) for pool in (one, two)]
                mine = [await right(queue, ["parent", n]) for n in range(50)]
                theirs = [
                    await asyncio.to_thread(result.get, PATIENCE_S) for result in results
                ]
            assert mine == [True] * 50
            assert theirs == [[True] * 20] * 2
            await queue.ack(pulled)
            assert await right(queue, "after")

    asyncio.run(main())


@pytest.mark.parametrize("factory", ["asyncio", "uvloop"])
def test_closing_in_a_child_disturbs_no_parent(factory: str, url: str, name: str) -> None:
    loop_factory = asyncio.new_event_loop if factory == "asyncio" else uvloop.new_event_loop

    async def close(queue: Queue) -> str:
        await queue.close()
        return "closed"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        queue = Queue(name, url)

        assert runner.run(right(queue, 1))
        assert in_child(lambda: asyncio.run(close(queue))) == "closed"
        assert in_child(lambda: asyncio.run(right(queue, 2))) is True
        assert runner.run(right(queue, 3))
        runner.run(queue.close())
