"""Where the tasks of one registry are pushed to: a queue each, opened at its first use.

Async and plain code have connections of their own, as `Queue` and `SyncQueue` do. An eager
test puts an `instead` here, which runs the calls in their place.
"""

import threading
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Raw
from orjson import Fragment

from magicqueue.address import AccessOptions, check_access, parse_address
from magicqueue.answers import Cancelling, result_json
from magicqueue.durations import Duration
from magicqueue.errors import MagicQueueError
from magicqueue.job import NewJob
from magicqueue.job_options import JobOptions, UniqueOptions, tail_of

if TYPE_CHECKING:
    from magicqueue.queue import Queue
    from magicqueue.sync_queue import SyncQueue
    from magicqueue.tasks.crons import TaskCron
    from magicqueue.tasks.dependencies import Dependency, Opened
    from magicqueue.tasks.middleware import Hooks
    from magicqueue.tasks.task import Handle, Task, TaskCall


class Instead(Protocol):
    """What takes calls in place of a server."""

    async def push(self, task: "Task[..., Any]", data: bytes, /) -> int:
        """Take one call; gives a number for it."""
        ...

    def push_sync(self, task: "Task[..., Any]", data: bytes, /) -> int:
        """Do the same for code without asyncio."""
        ...

    def result(self, number: int, /) -> Raw:
        """Give what came of a call. Raises NotFound."""
        ...


class Producer:
    """The ways from tasks to a server. checks: whether arguments are checked first."""

    def __init__(
        self,
        url: str | None,
        access: AccessOptions | None,
        timeout: Duration,
        hooks: "Hooks",
        *,
        checks: bool,
    ) -> None:
        self.access: AccessOptions = access or {}
        check_access(self.access)
        if url is not None:
            parse_address(url, self.access)  # refuses one that cannot be read
        self.hooks = hooks
        self.checks = checks
        self.url = url
        self.instead: Instead | None = None
        self.opened: Opened | None = None
        """What the worker of this process has opened for its tasks."""
        self._timeout = timeout
        self._queues: dict[str, Queue] = {}
        self._sync_queues: dict[str, SyncQueue] = {}
        self._opening = threading.Lock()

    def push(self, task: "Task[..., Any]", data: bytes, key: str | None) -> Awaitable[int]:
        """Store one call; gives the job's id."""
        if self.instead is not None:
            return self.instead.push(task, data)
        queue = self._queues.get(task.queue) or self._queue(task.queue)
        return queue._push_json(data, _tail(task, key))  # noqa: SLF001 - it is JSON already

    def push_sync(self, task: "Task[..., Any]", data: bytes, key: str | None) -> int:
        """Store one call; gives the job's id."""
        if self.instead is not None:
            return self.instead.push_sync(task, data)
        queue = self._sync_queues.get(task.queue) or self._sync_queue(task.queue)
        return queue._push_json(data, _tail(task, key))  # noqa: SLF001 - it is JSON already

    async def push_many(
        self, task: "Task[..., Any]", calls: "list[TaskCall[Any]]"
    ) -> list[int]:
        """Store many calls of one task; gives their jobs' ids in order."""
        if self.instead is not None:
            return [await self.instead.push(task, call.data) for call in calls]
        queue = self._queue(task.queue)
        return await queue.push_many(_items(task, calls), **_shared(task, calls))

    def push_many_sync(
        self, task: "Task[..., Any]", calls: "list[TaskCall[Any]]"
    ) -> list[int]:
        """Store many calls of one task; gives their jobs' ids in order."""
        if self.instead is not None:
            return [self.instead.push_sync(task, call.data) for call in calls]
        queue = self._sync_queue(task.queue)
        return queue.push_many(_items(task, calls), **_shared(task, calls))

    async def set_cron(self, cron: "TaskCron") -> None:
        """Have the server keep a cron; a test that runs calls in place has none."""
        if self.instead is None:
            queue = self._queue(cron.task.queue)
            data = Fragment(cron.data())
            await queue.cron(cron.name, cron.schedule, data, **cron.options)

    def set_cron_sync(self, cron: "TaskCron") -> None:
        """Do the same for code without asyncio."""
        if self.instead is None:
            queue = self._sync_queue(cron.task.queue)
            data = Fragment(cron.data())
            queue.cron(cron.name, cron.schedule, data, **cron.options)

    async def result(self, handle: "Handle[Any]", patience: Duration | None) -> Raw:
        """Wait for what came of a call; gives its JSON. Raises as `Queue.result`."""
        if self.instead is not None:
            return self.instead.result(handle.id)
        queue = self._queue(handle.task.queue)
        return result_json(handle.id, await queue.wait(handle.id, patience))

    def result_sync(self, handle: "Handle[Any]", patience: Duration | None) -> Raw:
        """Do the same for code without asyncio."""
        if self.instead is not None:
            return self.instead.result(handle.id)
        queue = self._sync_queue(handle.task.queue)
        return result_json(handle.id, queue.wait(handle.id, patience))

    async def cancel(self, handle: "Handle[Any]") -> Cancelling:
        """Let a call not run, or not again."""
        return await self._queue(handle.task.queue).cancel(handle.id)

    def cancel_sync(self, handle: "Handle[Any]") -> Cancelling:
        """Do the same for code without asyncio."""
        return self._sync_queue(handle.task.queue).cancel(handle.id)

    def given(self, task: str, needed: dict[str, "Dependency"]) -> dict[str, Any]:
        """Give what the worker of this process has opened."""
        if not needed:
            return {}
        if self.opened is None:
            names = " and ".join(f"{name}=" for name in needed)
            raise MagicQueueError(
                f"{task} is called outside of a worker, which gives it {names}: pass it"
            )
        return self.opened.arguments(needed)

    async def close(self) -> None:
        """End all connections. They are made anew when something is pushed again."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            await queue.close()
        self.close_sync()

    def close_sync(self) -> None:
        """End those of plain code."""
        with self._opening:
            queues, self._sync_queues = self._sync_queues, {}
        for queue in queues.values():
            queue.close()

    def _queue(self, name: str) -> "Queue":
        from magicqueue.queue import Queue  # noqa: PLC0415 - asyncio is slow to import

        if name not in self._queues:
            self._queues[name] = Queue(name, self.url, timeout=self._timeout, **self.access)
        return self._queues[name]

    def _sync_queue(self, name: str) -> "SyncQueue":
        from magicqueue.sync_queue import SyncQueue  # noqa: PLC0415 - for plain code only

        with self._opening:
            if name not in self._sync_queues:
                self._sync_queues[name] = SyncQueue(
                    name, self.url, timeout=self._timeout, **self.access
                )
            return self._sync_queues[name]


def _tail(task: "Task[..., Any]", key: str | None) -> bytes:
    """Give the options of a call as they are sent."""
    return task.tail if key is None else tail_of(_with_key(task, key))


def _with_key(task: "Task[..., Any]", key: str) -> UniqueOptions:
    """Give a task's options with a unique key."""
    options: Any = {**task.job_options, "unique_key": key}
    with_key: UniqueOptions = options
    return with_key


def _items(task: "Task[..., Any]", calls: "list[TaskCall[Any]]") -> Iterable[Any]:
    """Make what `push_many` takes of calls."""
    for call in calls:
        data = Fragment(call.data)
        yield data if call.key is None else NewJob(data, **_with_key(task, call.key))


def _shared(task: "Task[..., Any]", calls: "list[TaskCall[Any]]") -> JobOptions:
    """Give the options that all calls have, where each does not have its own."""
    none: JobOptions = {}
    return none if calls and calls[0].key is not None else task.job_options
