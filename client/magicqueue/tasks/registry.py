"""A user's tasks: what is declared, and what goes with all of it."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from magicqueue import commands
from magicqueue.address import AccessOptions
from magicqueue.arguments import whole_number
from magicqueue.durations import Duration
from magicqueue.job_options import JobOptions
from magicqueue.tasks.middleware import Hooks, Middleware
from magicqueue.tasks.producing import Producer
from magicqueue.tasks.task import AsyncTask, Handle, PlainTask, Task, TaskCall

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[[], Any])


class Declares(Protocol):
    """What `Tasks.task(…)` gives: a decorator."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is a result, too
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> AsyncTask[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> PlainTask[P, T]: ...


class Tasks:
    """Tasks of a queue, or of several: one of them for those that name no other.

    queue, url: as for `Queue`, and request_timeout as its timeout (that of an attempt is an
    option of jobs); access: token, ca, cert, key, see AccessOptions. Nothing is connected
    before the first push.

    middleware: see `Middleware`. modules: where else its tasks are declared; a worker
    imports them first. check: refuse arguments that do not fit their hints where they are
    pushed; without it they are dead letters of the worker's. options: those of all its
    tasks that say nothing else; see JobOptions.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        queue: str,
        *,
        url: str | None = None,
        access: AccessOptions | None = None,
        request_timeout: Duration = commands.TIMEOUT_S,
        middleware: Sequence[Middleware] = (),
        modules: Sequence[str] = (),
        check: bool = True,
        **options: Unpack[JobOptions],
    ) -> None:
        self.queue: str = commands.queue_name(queue)
        self.hooks: Hooks = Hooks(middleware)
        self.producer: Producer = Producer(
            url, access, request_timeout, self.hooks, checks=check
        )
        self.startup: list[Callable[[], Any]] = []
        """Called when a worker process begins, in order."""
        self.shutdown: list[Callable[[], Any]] = []
        """Called when it ends, in order."""
        self._modules = tuple(modules)
        self._options = options
        self._tasks: dict[str, Task[..., Any]] = {}

    def __repr__(self) -> str:
        return f"Tasks({self.queue!r}): {', '.join(self._tasks) or 'none yet'}"

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def task(  # type: ignore[overload-overlap]  # a coroutine is a result, too
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> AsyncTask[P, T]: ...
    @overload
    def task(self, function: Callable[P, T], /) -> PlainTask[P, T]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        retries: int | None = None,
        time_limit: Duration | None = None,
        soft_time_limit: Duration | None = None,
        process: bool = False,
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        key: Callable[..., str] | None = None,
        **options: Unpack[JobOptions],
    ) -> Declares: ...

    def task(self, function: Any = None, /, **settings: Any) -> Any:  # type: ignore[misc]  # its settings are checked by `_declare`
        """Declare a function as a task: `@tasks.task`, or `@tasks.task(retries=5)`.

        name: what it is called over the wire, its function's name unless told otherwise;
        no two of these tasks may have the same. queue: another than that of these Tasks.
        retries: how often it is tried again after a failure; another way to say
        max_attempts. time_limit, soft_time_limit, process, discard_on: see Task. key: makes
        a unique key of a call's arguments, for the options `unique`, `unique_for` and
        `on_conflict`. options: see JobOptions.

        Raises TypeError or ValueError that says what is wrong with it.
        """
        if function is not None:
            return self._declare(function)

        def declare(function: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(function, **settings)

        return declare

    async def push_many(self, calls: Iterable[TaskCall[T]]) -> list[Handle[T]]:
        """Have many calls made, of several tasks; gives their handles in order.

        They go out in batches, one after the other for each task and set of options, and
        each batch is stored whole or not: see Queue.push_many.
        """
        many = list(calls)
        ids = dict[int, int]()
        for task, places in _by_task(many):
            some = await self.producer.push_many(task, [many[place] for place in places])
            ids.update(zip(places, some, strict=True))
        return [Handle(ids[place], call.task) for place, call in enumerate(many)]

    def push_many_sync(self, calls: Iterable[TaskCall[T]]) -> list[Handle[T]]:
        """Do the same as `push_many` from code without asyncio."""
        many = list(calls)
        ids = dict[int, int]()
        for task, places in _by_task(many):
            some = self.producer.push_many_sync(task, [many[place] for place in places])
            ids.update(zip(places, some, strict=True))
        return [Handle(ids[place], call.task) for place, call in enumerate(many)]

    def on_startup(self, function: F) -> F:
        """Have a function called, plain or async, when a worker process begins."""
        self.startup.append(function)
        return function

    def on_shutdown(self, function: F) -> F:
        """Have a function called, plain or async, when a worker process ends."""
        self.shutdown.append(function)
        return function

    def load(self) -> None:
        """Import the modules whose tasks these are. Raises what they do."""
        for module in self._modules:
            import_module(module)

    def of_queue(self, queue: str) -> dict[str, Task[..., Any]]:
        """Give the tasks of one queue by their names."""
        return {name: one for name, one in self._tasks.items() if one.queue == queue}

    @property
    def queues(self) -> list[str]:
        """The queues that a worker of these tasks works on."""
        return sorted({task.queue for task in self._tasks.values()})

    async def close(self) -> None:
        """Wait for pushes under way, and end the connections.

        A push after it connects anew. `async with tasks:` does it at its end.
        """
        await self.producer.close()

    def close_sync(self) -> None:
        """End the connections of plain code. `with tasks:` does it at its end."""
        self.producer.close_sync()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_sync()

    def _declare(  # noqa: PLR0913 - keywords of `task`
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str | None = None,
        retries: int | None = None,
        time_limit: Duration | None = None,
        soft_time_limit: Duration | None = None,
        process: bool = False,
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        key: Callable[..., str] | None = None,
        **options: Any,
    ) -> Task[..., Any]:
        if not inspect.isroutine(function):
            kind = type(function).__name__
            raise TypeError(f"a task is a function, not of type {kind}")
        name = function.__name__ if name is None else name
        if not all(part.isidentifier() for part in name.replace("-", "_").split(".")):
            raise ValueError(f"{name!r} is no name of a task: give one by name=…")
        if name in self._tasks:
            raise ValueError(
                f"there is a task {name!r} already: give one of the two another name=…"
            )
        if retries is not None:
            if "max_attempts" in options:
                raise TypeError("give retries or max_attempts, not both")
            options["max_attempts"] = whole_number(retries, "retries", 0) + 1
        kind_of_task = AsyncTask if inspect.iscoroutinefunction(function) else PlainTask
        made: Task[..., Any] = kind_of_task(
            function,
            self.producer,
            name=name,
            queue=self.queue if queue is None else commands.queue_name(queue),
            options=JobOptions(**{**self._options, **options}),  # type: ignore[typeddict-item]  # `Task` checks them
            time_limit=time_limit,
            soft_time_limit=soft_time_limit,
            process=process,
            discard_on=discard_on if isinstance(discard_on, tuple) else (discard_on,),
            key=key,
        )
        self._tasks[name] = made
        return made


def _by_task(
    calls: Sequence[TaskCall[Any]],
) -> Iterable[tuple[Task[..., Any], list[int]]]:
    """Part calls by task and options, each as its place in the list."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    tasks: dict[int, Task[..., Any]] = {}
    for place, call in enumerate(calls):
        if not isinstance(call, TaskCall):
            kind = type(call).__name__
            raise TypeError(f"push_many takes what `call` of a task makes, not {kind}")
        tasks[id(call.task)] = call.task
        places[id(call.task)].append(place)
    return [(task, places[key]) for key, task in tasks.items()]
