"""Tasks that run where they are pushed."""

import asyncio
from typing import Any

import pytest

from magicqueue import BadArguments, Depends, Middleware, Retry, Run, Tasks, current_job
from magicqueue.testing import eager


def made(said: list[Any]) -> tuple[Tasks, Any, Any]:
    class Notes(Middleware):
        def before(self, run: Run) -> None:
            said.append(f"before {run.task}")

    tasks = Tasks("q", url="127.0.0.1:1", middleware=[Notes()])

    @tasks.task(delay=60)
    async def later(n: int, *, extra: str = Depends(lambda: "extra")) -> None:
        job = current_job()
        said.append((n, extra, job and job.queue))
        if n == 0:
            raise Retry("busy")

    @tasks.task
    def plain(numbers: tuple[int, ...]) -> None:
        said.append(numbers)

    return tasks, later, plain


def test_they_run_at_once_through_json() -> None:
    said: list[Any] = []
    tasks, later, plain = made(said)
    with eager(tasks):
        first = later.push_sync(1)
        second = plain.push_sync((1, 2))
        plain.push_many_sync([((3,),), ((4,),)])
    assert second.id > first.id
    assert said == [
        "before later",
        (1, "extra", "q"),
        "before plain",
        (1, 2),
        "before plain",
        (3,),
        "before plain",
        (4,),
    ]
    assert tasks.producer.instead is None


def test_they_run_in_an_event_loop() -> None:
    said: list[Any] = []
    tasks, later, plain = made(said)

    async def scenario() -> None:
        with eager(tasks):
            await later.push(1)
            await plain.push((1,))
            plain.push_sync((2,))
            await tasks.push_many([plain.call((3,))])
            with pytest.raises(RuntimeError, match=r"later is async .* await push there"):
                later.push_sync(2)

    asyncio.run(scenario())
    assert said[1::2] == [(1, "extra", "q"), (1,), (2,), (3,)]


def test_what_they_raise_is_raised() -> None:
    tasks, later, _ = made([])
    with eager(tasks):
        with pytest.raises(Retry, match="busy"):
            later.push_sync(0)
        with pytest.raises(BadArguments, match="n: Expected `int`"):
            later.push_sync("x")
