"""Tasks as a user types them: checked by mypy and pyright, never run.

Each `assert_type` is a promise; each ignored error is something that must stay refused.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import assert_type

from magicqueue import (
    AsyncTask,
    Depends,
    Handle,
    Middleware,
    PlainTask,
    Run,
    Tasks,
    TaskWorker,
)


class Pool: ...


async def pool() -> AsyncIterator[Pool]:
    yield Pool()


def number() -> Iterator[int]:
    yield 1


async def text() -> str:
    return ""


class Timing(Middleware):
    def before(self, run: Run) -> None:
        assert_type(run.task, str)


tasks = Tasks("emails", url="localhost", middleware=[Timing()], priority=3)


@tasks.task
async def welcome(to: str, *, subject: str = "Hello") -> int:
    return len(to + subject)


@tasks.task(retries=5, time_limit=timedelta(seconds=30), delay=2, discard_on=ValueError)
def resize(width: int, height: int = 0) -> float:
    return width / height


@tasks.task(queue="reports")
async def report(
    month: int,
    pool: Pool = Depends(pool),
    n: int = Depends(number),
    t: str = Depends(text),
    c: dict[str, int] = Depends(dict[str, int]),
) -> None: ...


@tasks.task(key=str, on_conflict="replace", keep_result=60)
def once(n: int) -> None: ...


assert_type(once(1), None)


@tasks.on_startup
async def begin() -> None: ...


async def producing() -> None:
    assert_type(await welcome.push("ada", subject="Hi"), Handle[int])
    assert_type((await welcome.push("ada")).id, int)
    assert_type(await (await welcome.push("ada")).result(timeout=5), int)
    assert_type(resize.push_sync(1).result_sync(), float)
    assert_type(await welcome("ada"), int)
    assert_type(resize(1, 2), float)
    assert_type(resize.push_sync(1), Handle[float])
    assert_type(await report.push(1), Handle[None])
    assert_type(await welcome.options(delay=60, priority=5).push("bob"), Handle[int])
    assert_type(await welcome.push_many([welcome.call("a"), ("b",)]), list[Handle[int]])
    assert_type(tasks.push_many_sync([resize.call(1), resize.call(2)]), list[Handle[float]])
    await welcome.push(3)  # type: ignore[arg-type]
    await welcome.push()  # type: ignore[call-arg]
    await welcome.push("ada", subjekt="Hi")  # type: ignore[call-arg]
    resize("a")  # type: ignore[arg-type]
    resize.push_sync(1, height="b")  # type: ignore[arg-type]
    welcome.options(prio=1)  # type: ignore[call-arg]
    resize.call("x")  # type: ignore[arg-type]


def declared(one: PlainTask[[int], str], other: AsyncTask[[int], str]) -> None:
    assert_type(one(1), str)
    assert_type(other.options(delay=1), AsyncTask[[int], str])


async def working() -> None:
    async with tasks:
        assert_type(tasks.queues, list[str])
    async with TaskWorker(tasks, concurrency=5, threads=2) as worker:
        assert_type(worker.completed, int)
    await TaskWorker(tasks).run()
