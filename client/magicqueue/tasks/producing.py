"""Where the tasks of one registry are pushed to: a queue each, opened at its first use.

Async and plain code have connections of their own, as `Queue` and `SyncQueue` do. An eager
test puts an `instead` here, which runs the calls in their place.
"""

import threading
from typing import TYPE_CHECKING, Any, Protocol

from orjson import Fragment

from magicqueue.address import parse_address
from magicqueue.durations import Duration
from magicqueue.errors import MagicQueueError

if TYPE_CHECKING:
    from magicqueue.queue import Queue
    from magicqueue.sync_queue import SyncQueue
    from magicqueue.tasks.dependencies import Dependency, Opened
    from magicqueue.tasks.middleware import Hooks
    from magicqueue.tasks.task import Task


class Instead(Protocol):
    """What takes calls in place of a server."""

    async def push(self, task: "Task[..., Any]", data: bytes, /) -> int:
        """Take one call; gives a number for it."""
        ...

    def push_sync(self, task: "Task[..., Any]", data: bytes, /) -> int:
        """Do the same for code without asyncio."""
        ...


class Producer:
    """The ways from tasks to a server. checks: whether arguments are checked first."""

    def __init__(
        self, url: str | None, timeout: Duration, hooks: "Hooks", *, checks: bool
    ) -> None:
        if url is not None:
            parse_address(url)  # refuses one that cannot be read
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

    async def push(self, task: "Task[..., Any]", data: bytes) -> int:
        """Store one call; gives the job's id."""
        if self.instead is not None:
            return await self.instead.push(task, data)
        queue = self._queues.get(task.queue) or self._queue(task.queue)
        return await queue.push(Fragment(data), **task.job_options)

    def push_sync(self, task: "Task[..., Any]", data: bytes) -> int:
        """Store one call; gives the job's id."""
        if self.instead is not None:
            return self.instead.push_sync(task, data)
        return self._sync_queue(task.queue).push(Fragment(data), **task.job_options)

    async def push_many(self, task: "Task[..., Any]", data: list[bytes]) -> list[int]:
        """Store many calls of one task; gives their jobs' ids in order."""
        if self.instead is not None:
            return [await self.instead.push(task, one) for one in data]
        queue = self._queue(task.queue)
        return await queue.push_many(map(Fragment, data), **task.job_options)

    def push_many_sync(self, task: "Task[..., Any]", data: list[bytes]) -> list[int]:
        """Store many calls of one task; gives their jobs' ids in order."""
        if self.instead is not None:
            return [self.instead.push_sync(task, one) for one in data]
        queue = self._sync_queue(task.queue)
        return queue.push_many(map(Fragment, data), **task.job_options)

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
            self._queues[name] = Queue(name, self.url, timeout=self._timeout)
        return self._queues[name]

    def _sync_queue(self, name: str) -> "SyncQueue":
        from magicqueue.sync_queue import SyncQueue  # noqa: PLC0415 - for plain code only

        with self._opening:
            if name not in self._sync_queues:
                self._sync_queues[name] = SyncQueue(name, self.url, timeout=self._timeout)
            return self._sync_queues[name]
