"""What comes of a task's call: its result by its hint, unique keys, cancelling."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from client.conftest import Run as RunLoop
from magicqueue import (
    Duplicate,
    NoResult,
    NotDone,
    PushedId,
    SyncQueue,
    Tasks,
    TaskWorker,
)
from magicqueue.testing import eager
from magicqueue_server.testing import in_memory
from patience import PATIENCE_S


@dataclass
class Report:
    total: Decimal
    at: datetime


REPORT = Report(Decimal("1.50"), datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture
def tasks(name: str, url: str) -> Iterator[Tasks]:
    with Tasks(name, url=url, keep_result=60) as made:
        yield made


def test_a_result_comes_as_its_hint_says(run: RunLoop, tasks: Tasks) -> None:
    @tasks.task
    async def report(n: int) -> Report | None:
        return REPORT if n else None

    @tasks.task
    def plain(n: int) -> set[int]:
        return {n, n + 1}

    async def scenario() -> None:
        async with tasks:
            handle = await report.push(1)
            with pytest.raises(NotDone):
                await handle.result(timeout=0)
            async with TaskWorker(tasks):
                assert await handle.result() == REPORT
                assert await (await report.push(0)).result(PATIENCE_S) is None
                other = plain.push_sync(1)
                assert await asyncio.to_thread(other.result_sync, PATIENCE_S) == {1, 2}

    run(scenario())


def test_what_failed_has_no_result(run: RunLoop, tasks: Tasks) -> None:
    @tasks.task(max_attempts=1)
    async def fails() -> int:
        raise ValueError("no such user")

    async def scenario() -> None:
        async with tasks, TaskWorker(tasks):
            handle = await fails.push()
            with pytest.raises(NoResult, match="it is dead: ValueError: no such user"):
                await handle.result(PATIENCE_S)

    run(scenario())


def test_a_result_that_is_no_json_fails_where_that_is_wanted(
    run: RunLoop, tasks: Tasks, name: str, url: str
) -> None:
    @tasks.task(max_attempts=1)
    async def odd() -> Any:
        return object()

    async def scenario() -> None:
        async with tasks, TaskWorker(tasks):
            handle = await odd.push()
            with pytest.raises(NoResult, match="it is dead: NotJson"):
                await handle.result(PATIENCE_S)

    run(scenario())
    with SyncQueue(name, url) as queue:
        assert queue.stats().failed == 1


def test_a_call_has_the_unique_key_of_its_arguments(
    tasks: Tasks, name: str, url: str
) -> None:
    def by_name(to: str, **_: object) -> str:
        return to

    @tasks.task(key=by_name, priority=3)
    async def welcome(to: str, *, subject: str = "") -> None: ...

    first = welcome.push_sync("ada")
    again = welcome.push_sync("ada", subject="x")
    assert isinstance(again.id, PushedId)
    assert (again.id, again.id.duplicate) == (first.id, True)
    many = welcome.push_many_sync([("ada",), ("bob",), welcome.call("eve")])
    assert [handle.id == first.id for handle in many] == [True, False, False]
    with pytest.raises(Duplicate):
        welcome.options(on_conflict="reject").push_sync("bob")
    with SyncQueue(name, url) as queue:
        details = queue.job(first.id)
        assert queue.stats().queued == 3
    assert details.unique_key == "welcome:ada"
    assert details.priority == 3
    with pytest.raises(TypeError, match="give key or unique_key, not both"):
        welcome.options(unique_key="x")


def test_a_call_may_be_cancelled(run: RunLoop, tasks: Tasks) -> None:
    @tasks.task(delay=60)
    async def later() -> None: ...

    async def scenario() -> None:
        async with tasks:
            handle = await later.push()
            assert (await handle.cancel()).cancelled == [handle.id]
            with pytest.raises(NoResult, match="it is cancelled"):
                await handle.result(timeout=5)

    run(scenario())
    other = later.push_sync()
    assert other.cancel_sync().cancelled == [other.id]


def test_results_are_there_in_tests(tasks: Tasks) -> None:
    @tasks.task
    async def report(n: int) -> Report | None:
        return REPORT if n else None

    with in_memory() as here:
        handle = report.push_sync(1)
        (ran,) = here.run_all_sync(tasks)
        assert ran.result == REPORT
        assert handle.result_sync(timeout=0) == REPORT
        tasks.close_sync()
    with eager(tasks):
        assert report.push_sync(1).result_sync() == REPORT
        nothing = report.push_sync(0)
        assert nothing.result_sync() is None
        assert asyncio.run(nothing.result()) is None
