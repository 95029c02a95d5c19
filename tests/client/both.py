"""Both clients behind one blocking face, so that a test says once what both must do."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from magicqueue import Queue, SyncQueue
from magicqueue.protocol import Command
from magicqueue.sources import Names

CLIENTS: Final = ("async", "sync")


class _Blocking:
    """A `Queue` whose calls are run to their end, one after the other."""

    def __init__(self, queue: Queue, run: Callable[..., Any]) -> None:
        self.queue = queue
        self._run = run

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.queue, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await method(*args, **options)

        return lambda *args, **options: self._run(call(*args, **options))

    def request(self, command: Command[Any]) -> Any:
        return self._run(self.queue._channel.request(command))


def request(queue: Any, command: Command[Any]) -> Any:
    """Send a command that no method of a queue sends."""
    if isinstance(queue, _Blocking):
        return queue.request(command)
    return queue._channel.request(command)


@contextmanager
def opened(client: str, name: Names, url: str, **options: Any) -> Iterator[Any]:
    """Give a queue of either client, with the methods of `SyncQueue`."""
    if client == "sync":
        with SyncQueue(name, url, **options) as queue:
            yield queue
        return
    with asyncio.Runner() as runner:
        asynchronous = Queue(name, url, **options)
        try:
            yield _Blocking(asynchronous, runner.run)
        finally:
            runner.run(asynchronous.close())
