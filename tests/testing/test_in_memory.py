"""A server in the test's process: queues, tasks and workers use it; the test moves time."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from magicqueue import (
    Depends,
    Discard,
    Flow,
    Job,
    NotFound,
    Queue,
    RequestTimeout,
    Retry,
    SyncQueue,
    Tasks,
    Throttle,
    TooLarge,
    Worker,
    current_job,
)
from magicqueue_server.testing import InMemory, PushedJob, in_memory


@pytest.fixture
def tasks() -> Tasks:
    return Tasks("mail", url="nowhere.invalid:1")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_queues_of_both_kinds_share_it(magicqueue: InMemory) -> None:
    with SyncQueue("q") as queue:
        first = queue.push({"n": 1}, priority=2)
        assert queue.push_many(range(3)) == [first + 1, first + 2, first + 3]

    async def scenario() -> list[Any]:
        async with Queue("q") as queue:
            jobs = await queue.pull_batch(10, timeout=0)
            await queue.ack_batch(jobs)
            await asyncio.gather(*(queue.push(n) for n in range(5)))
            return [job.data for job in jobs]

    assert asyncio.run(scenario()) == [{"n": 1}, 0, 1, 2]
    assert magicqueue.counts("q").queued == 5
    assert magicqueue.pushed("q")[0] == PushedJob(
        "q", {"n": 1}, {"priority": 2, "backoff": 1000, "jitter": True}
    )
    assert [job.data for job in magicqueue.pushed()] == [{"n": 1}, 0, 1, 2, 0, 1, 2, 3, 4]
    assert magicqueue.pushed("other") == []
    magicqueue.clear()
    assert magicqueue.pushed() == []


def test_each_has_jobs_of_its_own_and_connections_do_not_outlive_it() -> None:
    queue = SyncQueue("q", "127.0.0.1:1")
    with in_memory() as one:
        queue.push(1)
        assert one.counts("q").queued == 1
    with in_memory() as other:
        assert other.counts("q").queued == 0
        queue.push(2)
        assert other.counts("q").queued == 1
    with pytest.raises(AssertionError, match="a socket was made"):
        queue.push(3)
    queue.close()


def test_due_tasks_run_here(magicqueue: InMemory, tasks: Tasks) -> None:
    said: list[Any] = []

    @tasks.task
    async def welcome(to: str, at: datetime | None = None) -> int:
        job = current_job()
        assert job is not None
        job.heartbeat()
        said.append((to, at, job.attempts))
        notify.push_sync(to)
        return len(to)

    @tasks.task(queue="push")
    def notify(to: str) -> None:
        said.append((to, threading.current_thread() is threading.main_thread()))

    welcome.push_sync("ada", magicqueue.now)
    ran = magicqueue.run_all_sync(tasks)
    assert said == [("ada", magicqueue.now, 1), ("ada", True)]
    assert [(one.result, one.error, one.job.queue) for one in ran] == [
        (3, None, "mail"),
        (None, None, "push"),
    ]
    assert magicqueue.run_all_sync(tasks) == []
    (call,) = magicqueue.calls(welcome)
    assert call.args == ("ada", magicqueue.now)
    assert [call.args for call in magicqueue.calls(notify)] == [("ada",)]


def test_what_is_delayed_runs_when_the_test_has_moved_the_clock(
    magicqueue: InMemory, tasks: Tasks
) -> None:
    said: list[int] = []

    @tasks.task
    async def later(n: int) -> None:
        said.append(n)

    begun = magicqueue.now
    later.options(delay=timedelta(days=365)).push_sync(1)
    later.options(delay=10).push_sync(2)
    magicqueue.run_all_sync(tasks)
    assert said == []
    magicqueue.advance(10)
    magicqueue.run_all_sync(tasks)
    assert said == [2]
    magicqueue.advance(timedelta(days=365))
    magicqueue.run_all_sync(tasks)
    assert said == [2, 1]
    assert magicqueue.now - begun == timedelta(days=365, seconds=10)


def test_what_fails_is_tried_again_and_raised(magicqueue: InMemory, tasks: Tasks) -> None:
    attempts: list[str] = []

    @tasks.task(retries=1, backoff=5, jitter=False)
    async def fails() -> None:
        attempts.append("fails")
        raise ValueError("no")

    @tasks.task
    def meant(word: str) -> None:
        attempts.append(word)
        if word == "retry" and len(attempts) < 4:
            raise Retry("busy", after=60)
        if word == "discard":
            raise Discard("never")

    fails.push_sync()
    meant.push_sync("retry")
    meant.push_sync("discard")
    with pytest.raises(ValueError, match="no"):
        magicqueue.run_all_sync(tasks)
    assert attempts == ["fails", "retry", "discard"]
    assert [job.error and job.error.split("\n")[0] for job in magicqueue.dead("mail")] == [
        "Discard: never"
    ]
    magicqueue.advance(5)
    (ran,) = magicqueue.run_all_sync(tasks, raises=False)
    assert isinstance(ran.error, ValueError)
    assert magicqueue.counts("mail").dead == 2
    magicqueue.advance(55)
    (ran,) = magicqueue.run_all_sync(tasks)
    assert ran.error is None
    assert magicqueue.counts("mail").completed == 1


def test_what_tasks_depend_on_can_be_given(magicqueue: InMemory, tasks: Tasks) -> None:
    said: list[Any] = []

    def database() -> Iterator[str]:
        said.append("opened")
        yield "real"
        said.append("closed")

    @tasks.task
    async def one(*, database: str = Depends(database)) -> None:
        said.append(database)

    one.push_sync()
    magicqueue.run_all_sync(tasks)
    assert said == ["opened", "real", "closed"]
    magicqueue.provide(database, "fake")
    one.push_sync()
    magicqueue.run_all_sync(tasks)
    assert said[3:] == ["fake"]


def test_handlers_run_too(magicqueue: InMemory) -> None:
    got: list[Any] = []

    async def in_loop(job: Job) -> None:
        got.append(job.data)

    def plain(job: Job) -> int:
        got.append(job.data)
        return 5

    with SyncQueue("a") as a, SyncQueue("b") as b:
        a.push(1)
        b.push(2)
    ran = magicqueue.run_all_sync({"a": in_loop, "b": plain})
    assert got == [1, 2]
    assert [one.result for one in ran] == [None, 5]


def test_jobs_that_push_each_other_for_ever_are_stopped(
    magicqueue: InMemory, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magicqueue_server.testing.memory_server._JOBS_MAX", 20)

    @tasks.task
    async def again() -> None:
        await again.push()

    again.push_sync()
    with pytest.raises(RuntimeError, match="more than 20 jobs"):
        magicqueue.run_all_sync(tasks)


def test_a_pull_that_nobody_can_answer_is_refused(magicqueue: InMemory) -> None:
    with SyncQueue("q") as queue:
        assert queue.pull(timeout=0) is None
        with pytest.raises(RequestTimeout, match=r"PULLB? would wait for ever"):
            queue.pull(timeout=1)
        queue.push(1)
        job = queue.pull()
        assert job is not None
    assert magicqueue.counts("q").queued == 1  # it was given back by the end of the queue


def test_leases_end_as_the_clock_moves(magicqueue: InMemory) -> None:
    with SyncQueue("q") as queue:
        queue.push(1)
        first = queue.pull(lease=10)
        magicqueue.advance(9)
        assert queue.pull(timeout=0) is None
        magicqueue.advance(2)
        second = queue.pull(timeout=0)
        assert first is not None
        assert second is not None
        assert (second.id, second.attempts) == (first.id, 2)


def test_a_worker_works_here_as_well(magicqueue: InMemory) -> None:
    got: list[Any] = []

    async def handler(job: Job) -> None:
        got.append(job.data)

    async def scenario() -> None:
        async with Worker("q", handler), Queue("q") as queue:
            await queue.push_batch([1, 2])
            while len(got) < 2:  # noqa: ASYNC110 - the handler is to know no event
                await asyncio.sleep(0)

    asyncio.run(scenario())
    assert got == [1, 2]
    assert magicqueue.counts("q").completed == 2


def test_refusals_are_those_of_a_server(magicqueue: InMemory) -> None:
    with SyncQueue("q") as queue:
        with pytest.raises(TooLarge, match="push_many splits"):
            queue.push_batch(range(200_000))
        with pytest.raises(NotFound):
            queue.job(7)
    assert magicqueue.counts("q").queued == 0


def test_a_global_queue_serves_one_loop_after_the_other(tasks: Tasks) -> None:
    @tasks.task
    async def one(n: int) -> None: ...

    for n in range(3):
        with in_memory() as here:
            asyncio.run(_push(one, n))
            assert [call.args for call in here.calls(one)] == [(n,)]
            assert len(here.run_all_sync(tasks)) == 1


async def _push(task: Any, n: int) -> None:
    await task.push(n)


def test_jobs_of_a_flow_were_pushed_too(magicqueue: InMemory, tasks: Tasks) -> None:
    @tasks.task
    def render(page: int) -> str:
        return f"page {page}"

    flow = Flow()
    pages = [flow.call(render.call(page)) for page in (1, 2)]
    flow.push("bind", {"title": "Moby-Dick"}, after=pages)
    with SyncQueue("bind") as queue:
        queue.push_flow(flow)
    assert [call.args for call in magicqueue.calls(render)] == [(1,), (2,)]
    (bind,) = magicqueue.pushed("bind")
    assert bind.data == {"title": "Moby-Dick"}
    assert len(bind.options["depends_on"]) == 2


@pytest.mark.parametrize("of_group", [False, True])
def test_who_throttles_has_not_failed(
    magicqueue: InMemory, tasks: Tasks, *, of_group: bool
) -> None:
    patience = iter([Throttle(30, group=of_group)])

    @tasks.task(max_attempts=1)
    def call(of: str) -> str:
        for error in patience:
            raise error
        return of

    call.options(group="a").push_sync("a")
    call.options(group="b").push_sync("b")
    first, *others = magicqueue.run_all_sync(tasks)
    assert isinstance(first.error, Throttle)
    assert [one.result for one in others] == (["b"] if of_group else [])
    assert magicqueue.counts("mail").failed == 0
    magicqueue.advance(30)
    again = sorted(one.result for one in magicqueue.run_all_sync(tasks))
    assert again == (["a"] if of_group else ["a", "b"])
