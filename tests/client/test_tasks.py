"""Tasks: declared, pushed, run by a worker; what goes over the wire; what is refused."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest

from client.conftest import Run as RunLoop
from magicqueue import (
    BadArguments,
    Depends,
    Discard,
    Job,
    MagicQueueError,
    Middleware,
    NotJson,
    Pushing,
    Queue,
    Retry,
    Run,
    SyncQueue,
    Tasks,
    TaskWorker,
    current_job,
)
from patience import PATIENCE_S


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Order(msgspec.Struct):
    id: UUID
    total: Decimal
    at: datetime


@pytest.fixture
def tasks(name: str, url: str) -> Iterator[Tasks]:
    with Tasks(name, url=url) as made:
        yield made


async def work_until(tasks: Tasks, done: Callable[[], bool], **options: Any) -> TaskWorker:
    """Run a worker until something is so."""
    async with TaskWorker(tasks, **options) as worker:
        await until(done)
    return worker


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def test_an_async_task_runs_with_what_it_was_pushed_with(
    run: RunLoop, tasks: Tasks
) -> None:
    got: list[tuple[str, int]] = []

    @tasks.task
    async def welcome(to: str, *, times: int = 1) -> None:
        got.append((to, times))

    async def scenario() -> None:
        async with tasks:
            first = await welcome.push("ada")
            second = await welcome.push("bob", times=2)
            assert second.id > first.id
            assert first.task is welcome
            await work_until(tasks, lambda: len(got) == 2)

    run(scenario())
    assert sorted(got) == [("ada", 1), ("bob", 2)]


def test_a_plain_task_runs_in_a_thread(run: RunLoop, tasks: Tasks) -> None:
    got: list[tuple[int, str]] = []

    @tasks.task
    def add(a: int, b: int) -> int:
        got.append((a + b, threading.current_thread().name))
        return a + b

    add.push_sync(1, b=2)
    run(work_until(tasks, lambda: bool(got)))
    assert got[0][0] == 3
    assert got[0][1].startswith("magicqueue-task-")


def test_a_task_is_called_as_the_function_that_it_is(run: RunLoop, tasks: Tasks) -> None:
    @tasks.task
    async def double(n: int) -> int:
        """Double it."""
        return 2 * n

    @tasks.task(name="plain.one")
    def triple(n: int) -> int:
        return 3 * n

    assert run(double(4)) == 8
    assert triple(4) == 12
    assert double.__doc__ == "Double it."
    assert double.__name__ == "double"
    assert [task.name for task in tasks] == ["double", "plain.one"]


VALUES: list[tuple[Any, Any]] = [
    (datetime, datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
    (timedelta, timedelta(hours=1, seconds=2)),
    (UUID, UUID(int=7)),
    (Decimal, Decimal("1.50")),
    (Colour, Colour.RED),
    (bytes, b"\x00\xff"),
    (Point, Point(1, 2.5)),
    (list[Point], [Point(1, 2.5)]),
    (dict[str, Colour], {"a": Colour.RED}),
    (Order | None, Order(UUID(int=1), Decimal(2), datetime(2030, 1, 1, tzinfo=UTC))),
    (set[int], {1, 2}),
    (int, 2**70),
    (Any, {"a": [1, None, "x"]}),
]


@pytest.mark.parametrize(("hint", "value"), VALUES)
def test_values_come_as_their_hints_say(
    run: RunLoop, tasks: Tasks, hint: Any, value: Any
) -> None:
    got: list[Any] = []

    async def take(one: Any, *more: Any, named: Any) -> None:
        got.append((one, more, named))

    take.__annotations__ |= {"one": hint, "more": hint, "named": hint}
    task = tasks.task(take)
    task.push_sync(value, value, named=value)
    run(work_until(tasks, lambda: bool(got)))
    assert got == [(value, (value,), value)]
    assert type(got[0][0]) is type(value)


def test_what_goes_over_the_wire_is_plain_json(tasks: Tasks, name: str, url: str) -> None:
    @tasks.task(priority=3, retries=2)
    async def welcome(to: str, point: Point, *, when: datetime | None = None) -> None: ...

    welcome.push_sync("ada", Point(1, 2.5), when=datetime(2030, 1, 1, tzinfo=UTC))
    welcome.options(priority=7).push_sync("bob", point=Point(0, 0))
    with SyncQueue(name, url) as queue:
        second, first = queue.pull_batch(2)
        details = queue.job(first.id)
    assert first.data == {
        "task": "welcome",
        "args": ["ada", {"x": 1, "y": 2.5}],
        "kwargs": {"when": "2030-01-01T00:00:00Z"},
    }
    assert second.data == {
        "task": "welcome",
        "args": ["bob"],
        "kwargs": {"point": {"x": 0, "y": 0}},
    }
    assert (first.priority, second.priority) == (3, 7)
    assert details.max_attempts == 3


def test_another_language_may_push_a_task(
    run: RunLoop, tasks: Tasks, name: str, url: str
) -> None:
    got: list[tuple[str, int]] = []

    @tasks.task(name="mail.welcome")
    async def welcome(to: str, times: int = 1) -> None:
        got.append((to, times))

    @tasks.task
    async def bare() -> None:
        got.append(("bare", 0))

    with SyncQueue(name, url) as queue:
        queue.push({"task": "mail.welcome", "kwargs": {"to": "ada"}, "trace": "ignored"})
        queue.push({"task": "mail.welcome", "args": ["bob", 2]})
        queue.push({"task": "bare"})
    run(work_until(tasks, lambda: len(got) == 3))
    assert sorted(got) == [("ada", 1), ("bare", 0), ("bob", 2)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1], "its data is no task"),
        ({"args": []}, "its data is no task"),
        ({"task": "send", "args": ["x"]}, "n: Expected `int`, got `str`"),
        ({"task": "send", "args": []}, "missing 1 required positional argument: 'n'"),
        ({"task": "send", "kwargs": {"n": 1, "m": 2}}, "unexpected keyword argument 'm'"),
        ({"task": "send", "args": [1, 2]}, "takes 1 positional argument but 2 were given"),
    ],
)
def test_what_can_never_run_is_dead_at_once(
    run: RunLoop, tasks: Tasks, name: str, url: str, data: Any, message: str
) -> None:
    @tasks.task
    async def send(n: int) -> None: ...

    with SyncQueue(name, url) as queue:
        queue.push(data)
        run(work_until(tasks, lambda: queue.stats().dead == 1))
        error = queue.dead().jobs[0].error
    assert error is not None
    assert message in error


def test_a_task_that_no_worker_knows_is_tried_again(
    run: RunLoop, tasks: Tasks, name: str, url: str
) -> None:
    @tasks.task
    async def send() -> None: ...

    with SyncQueue(name, url) as queue:
        number = queue.push({"task": "newer"}, backoff=3600)
        run(work_until(tasks, lambda: queue.stats().delayed == 1))
        error = queue.job(number).error
    assert error is not None
    assert "has no task 'newer' in this worker, which knows send" in error


def test_arguments_are_refused_where_they_are_pushed(tasks: Tasks) -> None:
    @tasks.task
    async def send(to: str, *, times: int = 1) -> None: ...

    push: Any = send.push_sync
    with pytest.raises(BadArguments, match=r"missing 1 required positional argument: 'to'"):
        push()
    with pytest.raises(TypeError, match="unexpected keyword argument 'tims'"):
        push("ada", tims=2)
    with pytest.raises(TypeError, match="to: Expected `str`, got `int`"):
        push(3)
    with pytest.raises(BadArguments, match="times: Expected `int`, got `null`"):
        push("ada", times=None)


def test_what_has_no_form_in_json_is_refused(tasks: Tasks) -> None:
    @tasks.task
    async def take(value: Any) -> None: ...

    with pytest.raises(NotJson, match="object"):
        take.push_sync(object())
    with pytest.raises(NotJson, match="nan"):
        take.push_sync([1.0, float("nan")])


def test_a_hint_that_json_cannot_give_is_an_error_before_the_first_job(
    run: RunLoop, tasks: Tasks
) -> None:
    @tasks.task
    async def wait(lock: threading.Thread) -> None: ...

    with pytest.raises(TypeError, match=r"lock of task wait cannot be read from JSON"):
        run(TaskWorker(tasks).run())
    wait.function.__annotations__["lock"] = "Nowhere"
    with pytest.raises(TypeError, match=r"hints of task wait .* 'Nowhere' is not defined"):
        run(TaskWorker(tasks).run())


def test_without_checks_a_push_is_as_it_is(name: str, url: str) -> None:
    with Tasks(name, url=url, check=False) as tasks:

        @tasks.task
        async def send(to: str) -> None: ...

        push: Any = send.push_sync
        assert push(3).id > 0


def test_many_calls_go_out_together_and_keep_their_order(
    run: RunLoop, tasks: Tasks
) -> None:
    got: list[Any] = []

    @tasks.task
    async def one(n: int, *, named: int = 0) -> None:
        got.append(n + named)

    @tasks.task(queue=f"{tasks.queue}-two")
    async def two(text: str) -> None:
        got.append(text)

    async def scenario() -> None:
        async with tasks:
            some = await one.push_many([(1,), {"n": 2}, one.call(3, named=10)])
            mixed = await tasks.push_many([two.call("a"), one.call(4), two.call("b")])
            assert [handle.id for handle in some] == sorted(handle.id for handle in some)
            assert [handle.task for handle in mixed] == [two, one, two]
            assert mixed[0].id < mixed[2].id
            await work_until(tasks, lambda: len(got) == 6)

    run(scenario())
    assert sorted(map(str, got)) == ["1", "13", "2", "4", "a", "b"]
    assert [h.task for h in tasks.push_many_sync([two.call("c")])] == [two]
    assert len(one.push_many_sync([(1,)])) == 1
    assert tasks.queues == [tasks.queue, f"{tasks.queue}-two"]
    bad: Any = "abc"
    with pytest.raises(TypeError, match="push_many takes tuples"):
        one.push_many_sync(bad)
    other: Any = two.call("x")
    with pytest.raises(TypeError, match="a call of two is none of one"):
        one.push_many_sync([other])


def test_one_worker_may_be_told_which_queues(run: RunLoop, tasks: Tasks) -> None:
    got: list[str] = []

    @tasks.task
    async def one() -> None:
        got.append("one")

    @tasks.task(queue=f"{tasks.queue}-two")
    async def two() -> None:
        got.append("two")

    one.push_sync()
    two.push_sync()
    run(work_until(tasks, lambda: bool(got), queues=[f"{tasks.queue}-two"]))
    assert got == ["two"]
    with pytest.raises(ValueError, match="none of the tasks is of queue 'three'"):
        TaskWorker(tasks, queues=["three"])


def test_retry_discard_and_errors_that_are_not_tried_again(
    run: RunLoop, tasks: Tasks, name: str, url: str
) -> None:
    @tasks.task
    async def later() -> None:
        raise Retry("busy", after=3600)

    @tasks.task
    async def never() -> None:
        raise Discard("bad address")

    @tasks.task(discard_on=(KeyError, ValueError))
    def wrong() -> None:
        raise ValueError("no")

    with SyncQueue(name, url) as queue:
        for task in (later, never, wrong):
            task.push_sync()
        run(
            work_until(
                tasks, lambda: queue.stats().dead == 2 and queue.stats().delayed == 1
            )
        )
        errors = sorted(job.error or "" for job in queue.dead().jobs)
    assert errors[0].startswith("Discard: ValueError: no")
    assert 'raise ValueError("no")' in errors[0]
    assert errors[1].startswith("Discard: bad address")


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_task_has_a_time_limit(
    run: RunLoop, tasks: Tasks, name: str, url: str, kind: str
) -> None:
    released = threading.Event()
    got: list[int] = []

    if kind == "async":

        @tasks.task(time_limit=0.05, max_attempts=1)
        async def hang() -> None:
            await asyncio.sleep(PATIENCE_S)

        hang.push_sync()
    else:

        @tasks.task(time_limit=0.05, max_attempts=1, name="hang")
        def hang_plain() -> None:
            released.wait(PATIENCE_S)

        hang_plain.push_sync()

    @tasks.task
    def other() -> None:
        got.append(1)

    with SyncQueue(name, url) as queue:

        async def scenario() -> None:
            async with TaskWorker(tasks, threads=1):
                await until(lambda: bool(queue.stats().dead))
                other.push_sync()
                await until(lambda: bool(got))

        run(scenario())
        released.set()
        error = queue.dead().jobs[0].error
    assert error is not None
    assert error.startswith("TimeLimitExceeded: timed out after 0.05 s")


def test_threads_bound_plain_tasks(run: RunLoop, tasks: Tasks) -> None:
    here: list[int] = []
    most: list[int] = []

    @tasks.task
    def slow() -> None:
        here.append(1)
        most.append(len(here))
        time.sleep(0.005)
        here.pop()

    slow.push_many_sync([()] * 12)
    run(work_until(tasks, lambda: len(most) == 12, threads=3))
    assert max(most) <= 3


class Notes(Middleware):
    def __init__(self, said: list[str], name: str, current: Any = None) -> None:
        self.said = said
        self.name = name
        self.current = current

    def pushing(self, call: Pushing) -> None:
        call.headers["from"] = f"{call.task} of {len(call.args)}"

    def before(self, run: Run) -> None:
        self.said.append(f"{self.name} before {run.task} {run.headers['from']}")
        if self.current is not None:
            self.current.set(run.job.id)
        if run.kwargs.get("stop"):
            raise Discard("stopped")

    def after(self, run: Run, result: Any) -> None:
        self.said.append(f"{self.name} after {run.task}: {result}")

    def error(self, run: Run, error: BaseException) -> None:
        self.said.append(f"{self.name} error {run.task}: {error}")


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_middleware_is_around_pushes_and_runs(
    run: RunLoop, name: str, url: str, kind: str
) -> None:
    said: list[str] = []
    current: contextvars.ContextVar[int] = contextvars.ContextVar("current")
    seen: list[int] = []
    middleware = [Notes(said, "a", current), Notes(said, "b")]
    with Tasks(name, url=url, middleware=middleware) as tasks:

        def body(n: int, *, stop: bool = False) -> int:
            seen.append(current.get())
            if n < 0:
                raise ValueError("negative")
            return n + stop

        if kind == "async":

            @tasks.task(name="work", max_attempts=1)
            async def work(n: int, *, stop: bool = False) -> int:
                return body(n, stop=stop)

            ids = [work.push_sync(1).id]
            async_work = work
            run(work_until(tasks, lambda: len(said) == 4))
            ids += [async_work.push_sync(-1).id, async_work.push_sync(2, stop=True).id]
        else:

            @tasks.task(name="work", max_attempts=1)
            def plain_work(n: int, *, stop: bool = False) -> int:
                return body(n, stop=stop)

            ids = [plain_work.push_sync(1).id]
            run(work_until(tasks, lambda: len(said) == 4))
            ids += [plain_work.push_sync(-1).id, plain_work.push_sync(2, stop=True).id]
        run(work_until(tasks, lambda: len(said) == 11, concurrency=1))
    assert said[:4] == [
        "a before work work of 1",
        "b before work work of 1",
        "b after work: 1",
        "a after work: 1",
    ]
    assert said[4:] == [
        "a before work work of 1",
        "b before work work of 1",
        "b error work: negative",
        "a error work: negative",
        "a before work work of 1",
        "b error work: stopped",
        "a error work: stopped",
    ]
    assert seen == ids[:2]


def test_what_tasks_depend_on_is_opened_once_and_closed(run: RunLoop, tasks: Tasks) -> None:
    said: list[str] = []

    async def pool() -> AsyncIterator[str]:
        said.append("open pool")
        yield "pool"
        said.append("close pool")

    def cache(pool: str = Depends(pool)) -> Iterator[str]:
        said.append(f"open cache on {pool}")
        yield "cache"
        said.append("close cache")

    async def setting() -> int:
        return 5

    @tasks.on_startup
    async def begin() -> None:
        said.append("startup")

    @tasks.on_shutdown
    def end() -> None:
        said.append("shutdown")

    @tasks.task
    async def one(
        n: int, *, cache: str = Depends(cache), pool: str = Depends(pool)
    ) -> None:
        said.append(f"one {n} {cache} {pool}")

    @tasks.task
    def two(n: int, setting: int = Depends(setting)) -> int:
        said.append(f"two {n} {setting}")
        return setting

    @tasks.task
    async def outer() -> None:
        await one(7)

    one.push_sync(1)
    run(work_until(tasks, lambda: "one 1 cache pool" in said))
    assert said == [
        "startup",
        "open pool",
        "open cache on pool",
        "one 1 cache pool",
        "close cache",
        "close pool",
        "shutdown",
    ]
    said.clear()
    two.push_sync(2)
    outer.push_sync()
    run(work_until(tasks, lambda: {"two 2 5", "one 7 cache pool"} <= set(said)))
    assert two(3, setting=1) == 1
    with pytest.raises(MagicQueueError, match="two is called outside of a worker"):
        two(3)
    push: Any = two.push_sync
    with pytest.raises(BadArguments, match="setting"):
        push(3, setting=1)


def test_a_dependency_that_cannot_be_opened_ends_the_worker(
    run: RunLoop, tasks: Tasks
) -> None:
    said: list[str] = []

    def first() -> Iterator[int]:
        yield 1
        said.append("closed")

    def broken() -> int:
        raise OSError("no database")

    @tasks.task
    async def one(*, a: int = Depends(first), b: int = Depends(broken)) -> None: ...

    with pytest.raises(OSError, match="no database"):
        run(TaskWorker(tasks).run())
    with pytest.raises(OSError, match="no database"):
        run(TaskWorker(tasks).start())
    assert said == ["closed"] * 2


def test_a_server_that_refuses_ends_the_worker(run: RunLoop, tasks: Tasks) -> None:
    @tasks.task
    async def one() -> None: ...

    worker = TaskWorker(tasks, timeout=0.2, grace=0)

    async def scenario() -> None:
        running = asyncio.create_task(worker.run(signals=False))
        await until(lambda: worker.workers[0]._pump is not None)
        worker.workers[0]._error = RuntimeError("refused")
        worker.workers[0].request_stop()
        await running

    with pytest.raises(RuntimeError, match="refused"):
        run(scenario())


def test_a_worker_that_has_stopped_may_be_started_again(
    run: RunLoop, tasks: Tasks, name: str
) -> None:
    ran: list[tuple[str, int]] = []

    @tasks.task
    async def first(x: int) -> None:
        ran.append(("first", x))

    @tasks.task(queue=f"{name}-2")
    def second(x: int) -> None:
        ran.append((threading.current_thread().name, x))

    async def main() -> None:
        worker = TaskWorker(tasks, threads=1)
        for turn in range(3):
            async with worker:
                await first.push(turn)
                for count in (2, 3, 4):
                    await second.push(turn)
                    await until(lambda count=count: len(ran) == count)  # type: ignore[misc]
            assert len({who for who, _ in ran}) == 2
            assert {x for _, x in ran} == {turn}
            ran.clear()

    run(main())


def test_the_worker_says_how_jobs_came_out(run: RunLoop, tasks: Tasks) -> None:
    jobs: list[Job | None] = []

    @tasks.task(max_attempts=1)
    async def one(n: int) -> None:
        jobs.append(current_job())
        if n == 2:
            raise ValueError

    one.push_many_sync([(1,), (2,), (3,)])
    worker = run(work_until(tasks, lambda: len(jobs) == 3))
    assert (worker.completed, worker.failed, worker.held) == (2, 1, 0)
    assert (worker.lost, worker.released, worker.cancelled) == (0, 0, 0)
    assert all(job is not None and job._labels == {"task": "one"} for job in jobs)


def test_what_is_no_task_is_refused(tasks: Tasks) -> None:
    @tasks.task
    async def one() -> None: ...

    with pytest.raises(ValueError, match="there is a task 'one' already"):
        tasks.task(name="one")(lambda: None)
    with pytest.raises(ValueError, match=r"'<lambda>' is no name of a task"):
        tasks.task(lambda: None)
    no_function: Any = 3
    with pytest.raises(TypeError, match="a task is a function, not of type int"):
        tasks.task(no_function)
    with pytest.raises(TypeError, match="retries or max_attempts"):
        tasks.task(retries=1, max_attempts=2)(print)
    declare: Any = tasks.task
    with pytest.raises(TypeError, match="a job has no option 'prio'"):
        declare(prio=1)(print)
    with pytest.raises(TypeError, match="more stands behind given"):

        @tasks.task
        async def two(given: int = Depends(int), more: int = 1) -> None: ...

    with pytest.raises(ValueError, match="there are no tasks to work on"):
        TaskWorker(Tasks("none"))
    not_tasks: Any = print
    with pytest.raises(TypeError, match="TaskWorker takes Tasks"):
        TaskWorker(not_tasks)
    other = Tasks(tasks.queue)
    other.task(name="one")(lambda: None)
    with pytest.raises(ValueError, match=r"two tasks of queue .* are called one"):
        TaskWorker(tasks, other)


def test_signals_of_every_kind_of_parameter(tasks: Tasks) -> None:
    @tasks.task
    async def every(a: int, /, b: str, *c: int, d: float = 1.0, **e: bytes) -> None: ...

    data = every.data_of((1, "b", 3, 4), {"d": 2, "x": b"y"})
    assert (
        every.data_of((1,), {"b": "b"}) == b'{"task":"every","args":[1],"kwargs":{"b":"b"}}'
    )
    assert b'"x":"eQ=="' in data
    with pytest.raises(BadArguments, match="x: Expected `bytes`"):
        every.data_of((1, "b"), {"x": 3})
    with pytest.raises(BadArguments, match="c: Expected `int`"):
        every.data_of((1, "b", "c"), {})
    with pytest.raises(BadArguments, match="missing 1 required"):
        every.data_of((1,), {})


def test_options_of_options_replace_each_other(tasks: Tasks, name: str, url: str) -> None:
    @tasks.task(delay=60, priority=1)
    async def one() -> None: ...

    at = datetime(2200, 1, 1, tzinfo=UTC)
    handle = one.options(run_at=at).options(priority=2).push_sync()
    with SyncQueue(name, url) as queue:
        job = queue.job(handle.id)
    assert job.run_at == at
    assert job.priority == 2
    assert one.job_options == {"delay": 60, "priority": 1}


def test_connections_are_made_anew_after_close_and_in_other_loops(
    tasks: Tasks, name: str, url: str
) -> None:
    @tasks.task
    async def one() -> None: ...

    async def push() -> None:
        await one.push()
        await tasks.close()
        await one.push()
        await tasks.close()

    asyncio.run(push())
    asyncio.run(push())

    async def count() -> int:
        async with Queue(name, url) as queue:
            return (await queue.stats()).queued

    assert asyncio.run(count()) == 4
