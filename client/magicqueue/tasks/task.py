"""One task: a function that can be called here, or pushed and called elsewhere."""

import copy
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast

import msgspec
from msgspec import Raw

from magicqueue.answers import Cancelling
from magicqueue.durations import Duration, duration_ms
from magicqueue.job_options import JobOptions, tail_of
from magicqueue.tasks.conversion import to_json
from magicqueue.tasks.envelope import envelope_json, head_of, open_envelope
from magicqueue.tasks.middleware import Pushing
from magicqueue.tasks.signature import Signature

if TYPE_CHECKING:
    from magicqueue.tasks.producing import Producer

P = ParamSpec("P")
T = TypeVar("T")


class Handle(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A call that was pushed."""

    id: int
    """Of its job; a PushedId if the task has a unique key."""
    task: "Task[..., T]"

    async def result(
        self,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the server does the waiting
    ) -> T:
        """Give what the task returned, converted by its hint; wait for it.

        The task, or this call of it, has `keep_result`. Raises NotDone after `timeout`
        (None: wait for ever), NoResult where the job is dead, or was cancelled, or has
        expired, and what `Queue.result` raises.
        """
        return self.task.result_of(await self.task.producer.result(self, timeout))

    def result_sync(self, timeout: Duration | None = None) -> T:
        """Do the same as `result` from code without asyncio."""
        return self.task.result_of(self.task.producer.result_sync(self, timeout))

    async def cancel(self) -> Cancelling:
        """Let it not run, or not again: see `Queue.cancel`."""
        return await self.task.producer.cancel(self)

    def cancel_sync(self) -> Cancelling:
        """Do the same as `cancel` from code without asyncio."""
        return self.task.producer.cancel_sync(self)


class TaskCall(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A call that is ready to be pushed, by `push_many` of its task or of Tasks."""

    task: "Task[..., T]"
    data: bytes
    """The job's data."""
    key: str | None = None
    """Its unique key, if the task has one."""


class Task(Generic[P, T]):
    """A function and how its calls are pushed; made by `Tasks.task`.

    time_limit: a call that runs for longer in a worker is cancelled, or given up if it is
    a plain one, and fails. process: it is called in a process of its own, which is killed
    then. soft_time_limit: after so long it is told to wind up: an async one is cancelled,
    in one in a process SoftTimeLimitExceeded is raised. discard_on: what it raises of these
    kinds is not tried again. key: makes a unique key of the arguments.
    """

    __name__: str

    def __init__(  # noqa: PLR0913 - keywords of `Tasks.task`
        self,
        function: Callable[P, Any],
        producer: "Producer",
        *,
        name: str,
        queue: str,
        options: JobOptions,
        time_limit: Duration | None,
        soft_time_limit: Duration | None,
        process: bool,
        discard_on: tuple[type[BaseException], ...],
        key: Callable[..., str] | None,
    ) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.function = function
        self.name = name
        self.queue = queue
        self.is_async: bool = inspect.iscoroutinefunction(function)
        self.time_limit_s: float | None = _limit_s(time_limit, "time_limit")
        self.soft_time_limit_s: float | None = _limit_s(soft_time_limit, "soft_time_limit")
        self.process = process
        self.discard_on = discard_on
        self.signature: Signature = Signature(name, function)
        self.producer = producer
        self.job_options = options
        self.tail = b""
        """The same as they are sent, where there is no key."""
        self._head = head_of(name)
        self._key = key
        self._check_options()
        self._check_ways()

    def __repr__(self) -> str:
        return f"<task {self.name} of queue {self.queue}>"

    def options(self, **options: Unpack[JobOptions]) -> Self:
        """Give the same task, pushed with other options: see JobOptions.

        `await welcome.options(delay=60, priority=5).push("ada@example.org")`
        """
        changed = copy.copy(self)
        if "delay" in options or "run_at" in options:
            rest = {
                name: value
                for name, value in self.job_options.items()
                if name not in {"delay", "run_at"}
            }
        else:
            rest = dict(self.job_options)
        changed.job_options = JobOptions(**{**rest, **options})  # type: ignore[typeddict-item]  # both are of these options
        changed._check_options()  # noqa: SLF001 - it is one of these
        return changed

    def call(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[T]:
        """Make a call to be pushed with others: see `push_many`. Raises as `push`."""
        return TaskCall(self, self.data_of(args, kwargs), self.key_of(args, kwargs))

    async def push(self, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Have it called by a worker.

        Raises BadArguments, a TypeError, for arguments that do not fit its parameters and
        their hints, NotJson for what has no form in JSON, and what `Queue.push` raises.
        """
        data = self.data_of(args, kwargs)
        key = None if self._key is None else self.key_of(args, kwargs)
        return Handle(await self.producer.push(self, data, key), self)

    def push_sync(self, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Do the same as `push` from code without asyncio."""
        data = self.data_of(args, kwargs)
        key = None if self._key is None else self.key_of(args, kwargs)
        return Handle(self.producer.push_sync(self, data, key), self)

    async def push_many(
        self, calls: Iterable[TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[Handle[T]]:
        """Have it called many times; gives the handles in order.

        calls: made by `call`, or tuples of positional arguments, or dicts of keyword
        arguments. They go out in batches, each stored whole or not: see Queue.push_many.
        """
        made = [self._one_call(call) for call in calls]
        return [
            Handle(job_id, self) for job_id in await self.producer.push_many(self, made)
        ]

    def push_many_sync(
        self, calls: Iterable[TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[Handle[T]]:
        """Do the same as `push_many` from code without asyncio."""
        made = [self._one_call(call) for call in calls]
        return [Handle(job_id, self) for job_id in self.producer.push_many_sync(self, made)]

    def data_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Write a call as a job's data. Raises as `push`."""
        self.signature.check(args, kwargs)
        headers: dict[str, str] | None = None
        hooks = self.producer.hooks
        if hooks.around_pushes:
            headers = {}
            hooks.pushing(Pushing(self.name, self.queue, args, dict(kwargs), headers))
        args, kwargs = self.signature.written(args, kwargs)
        data = envelope_json(self._head, args, kwargs, headers)
        if self.producer.checks:
            self.signature.converted(open_envelope(data))
        return data

    def key_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """Make the unique key of a call: the task's name, a colon, and what `key` gives."""
        return None if self._key is None else f"{self.name}:{self._key(*args, **kwargs)}"

    def result_json(self, result: Any) -> bytes:
        """Write what the function returned. Raises NotJson."""
        write = self.signature.result()[1]
        return to_json(result) if write is None else write(result)

    def result_of(self, raw: Raw) -> T:
        """Read what the function returned. Raises ValueError if it is not what it says."""
        result: T = self.signature.result()[0](raw)
        return result

    def _check_options(self) -> None:
        """Refuse what is wrong with its options. Raises TypeError or ValueError."""
        if self._key is None:
            self.tail = tail_of(self.job_options)
            return
        if "unique_key" in self.job_options:
            raise TypeError("give key or unique_key, not both")
        tail_of({**self.job_options, "unique_key": "x"})

    def _check_ways(self) -> None:
        """Refuse what cannot be in the way that it runs. Raises TypeError or ValueError."""
        soft_s, hard_s = self.soft_time_limit_s, self.time_limit_s
        if self.process and self.is_async:
            raise TypeError(f"process=True is for plain tasks: {self.name} is async")
        if self.process and self.signature.dependencies:
            raise TypeError(
                f"{self.name} runs in a process of its own, where what the worker opens is"
                " not: have it open what it needs, or leave process=True out"
            )
        if self.process and "<locals>" in self.function.__qualname__:
            raise TypeError(
                f"{self.name} is declared inside of a function, where another process"
                " cannot find it: declare it at the top of a module"
            )
        if soft_s is not None and not (self.process or self.is_async):
            raise TypeError(
                f"soft_time_limit of {self.name}: nothing can be raised in a thread; it is"
                " for async tasks, and for plain ones with process=True"
            )
        if soft_s is not None and hard_s is not None and soft_s >= hard_s:
            raise ValueError(
                f"soft_time_limit of {self.name} is {soft_s:g} s: it must be less than its"
                f" time_limit, {hard_s:g} s"
            )

    def _one_call(
        self, call: TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]
    ) -> TaskCall[T]:
        if isinstance(call, TaskCall):
            if call.task.name != self.name:
                raise TypeError(f"a call of {call.task.name} is none of {self.name}")
            return call
        if isinstance(call, tuple):
            return TaskCall(self, self.data_of(call, {}), self.key_of(call, {}))
        if isinstance(call, Mapping):
            return TaskCall(self, self.data_of((), call), self.key_of((), call))
        kind = type(call).__name__
        raise TypeError(
            f"push_many takes tuples of arguments, dicts, and what `call` makes, not {kind}"
        )

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function; what only a worker can give is taken from the worker."""
        needed = self.signature.dependencies
        if needed:
            given = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
            missing = {name: one for name, one in needed.items() if name not in given}
            kwargs = {**kwargs, **self.producer.given(self.name, missing)}
        return self.function(*args, **kwargs)


def _limit_s(limit: Duration | None, name: str) -> float | None:
    return None if limit is None else duration_ms(limit, name, least_ms=1) / 1000


class AsyncTask(Task[P, T]):
    """A task that is an async function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Call the function here and now."""
        result: Coroutine[Any, Any, T] = self._call(args, kwargs)
        return result


class PlainTask(Task[P, T]):
    """A task that is a plain function; a worker runs it in a thread."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function here and now."""
        result: T = self._call(args, kwargs)
        return result
