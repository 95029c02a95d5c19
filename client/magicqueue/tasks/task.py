"""One task: a function that can be called here, or pushed and called elsewhere."""

import copy
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast

import msgspec

from magicqueue.durations import Duration, duration_ms
from magicqueue.job_options import JobOptions, tail_of
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
    """Of its job."""
    task: "Task[..., T]"


class TaskCall(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A call that is ready to be pushed, by `push_many` of its task or of Tasks."""

    task: "Task[..., T]"
    data: bytes
    """The job's data."""


class Task(Generic[P, T]):
    """A function and how its calls are pushed; made by `Tasks.task`.

    time_limit: a call that runs for longer in a worker is cancelled, or given up if it is
    a plain one, and fails. discard_on: what it raises of these kinds is not tried again.
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
        discard_on: tuple[type[BaseException], ...],
    ) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.function = function
        self.name = name
        self.queue = queue
        self.is_async = inspect.iscoroutinefunction(function)
        self.time_limit_s = (
            None
            if time_limit is None
            else duration_ms(time_limit, "time_limit", least_ms=1) / 1000
        )
        self.discard_on = discard_on
        self.signature = Signature(name, function)
        tail_of(options)  # refuses what is wrong with them
        self.job_options = options
        self._head = head_of(name)
        self._producer = producer

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
        tail_of(changed.job_options)
        return changed

    def call(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[T]:
        """Make a call to be pushed with others: see `push_many`. Raises as `push`."""
        return TaskCall(self, self.data_of(args, kwargs))

    async def push(self, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Have it called by a worker.

        Raises BadArguments, a TypeError, for arguments that do not fit its parameters and
        their hints, NotJson for what has no form in JSON, and what `Queue.push` raises.
        """
        data = self.data_of(args, kwargs)
        return Handle(await self._producer.push(self, data), self)

    def push_sync(self, *args: P.args, **kwargs: P.kwargs) -> Handle[T]:
        """Do the same as `push` from code without asyncio."""
        data = self.data_of(args, kwargs)
        return Handle(self._producer.push_sync(self, data), self)

    async def push_many(
        self, calls: Iterable[TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[Handle[T]]:
        """Have it called many times; gives the handles in order.

        calls: made by `call`, or tuples of positional arguments, or dicts of keyword
        arguments. They go out in batches, each stored whole or not: see Queue.push_many.
        """
        data = [self._data_of_one(call) for call in calls]
        return [
            Handle(job_id, self) for job_id in await self._producer.push_many(self, data)
        ]

    def push_many_sync(
        self, calls: Iterable[TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[Handle[T]]:
        """Do the same as `push_many` from code without asyncio."""
        data = [self._data_of_one(call) for call in calls]
        return [
            Handle(job_id, self) for job_id in self._producer.push_many_sync(self, data)
        ]

    def data_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Write a call as a job's data. Raises as `push`."""
        self.signature.check(args, kwargs)
        headers: dict[str, str] | None = None
        hooks = self._producer.hooks
        if hooks.around_pushes:
            headers = {}
            hooks.pushing(Pushing(self.name, self.queue, args, dict(kwargs), headers))
        args, kwargs = self.signature.written(args, kwargs)
        data = envelope_json(self._head, args, kwargs, headers)
        if self._producer.checks:
            self.signature.read(open_envelope(data))
        return data

    def _data_of_one(
        self, call: TaskCall[T] | tuple[Any, ...] | Mapping[str, Any]
    ) -> bytes:
        if isinstance(call, TaskCall):
            if call.task.name != self.name:
                raise TypeError(f"a call of {call.task.name} is none of {self.name}")
            return call.data
        if isinstance(call, tuple):
            return self.data_of(call, {})
        if isinstance(call, Mapping):
            return self.data_of((), call)
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
            kwargs = {**kwargs, **self._producer.given(self.name, missing)}
        return self.function(*args, **kwargs)


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
