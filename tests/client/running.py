"""Every kind of worker behind one face, so that a test says once what all must do."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from magicqueue import Job, SyncWorker, Worker
from magicqueue.sources import Names
from patience import PATIENCE_S

KINDS: Final = ("tasks", "threads", "inline", "sync", "sync threads")
SyncHandler: TypeAlias = Callable[[Job], Any]


class Running:
    """A worker that works; `stop` ends it and raises what it ended with."""

    def __init__(self, worker: Worker | SyncWorker, stop: Callable[[], None]) -> None:
        self.worker = worker
        self.stop = stop


def make_worker(
    kind: str, queue: Names, handler: SyncHandler, **options: Any
) -> Worker | SyncWorker:
    """Make a worker of a kind; "starving" is async and blocks its event loop."""

    async def as_async(job: Job) -> Any:
        return await asyncio.to_thread(handler, job)

    async def starving(job: Job) -> Any:
        return handler(job)

    if kind == "starving":
        return Worker(queue, starving, **options)
    if kind == "tasks":
        return Worker(queue, as_async, **options)
    if kind in {"threads", "inline"}:
        return Worker(queue, handler, inline=kind == "inline", **options)
    threads = options.pop("concurrency", 4)
    return SyncWorker(
        queue, handler, concurrency=1 if kind == "sync" else threads, **options
    )


@contextlib.contextmanager
def running(
    kind: str, queue: Names, handler: SyncHandler, **options: Any
) -> Iterator[Running]:
    """Run a worker in the background, on a loop of its own if it needs one."""
    worker = make_worker(kind, queue, handler, **options)
    if isinstance(worker, SyncWorker):
        worker.start()
        try:
            yield Running(worker, worker.stop)
        finally:
            worker.stop()
        return
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        ended = loop.create_future()

        async def until_ended() -> None:
            await ended

        thread = threading.Thread(target=runner.run, args=(until_ended(),))
        thread.start()

        def stop() -> None:
            asyncio.run_coroutine_threadsafe(worker.stop(), loop).result(PATIENCE_S)

        try:
            asyncio.run_coroutine_threadsafe(worker.start(), loop).result(PATIENCE_S)
            yield Running(worker, stop)
            stop()
        finally:
            loop.call_soon_threadsafe(ended.set_result, None)
            thread.join(PATIENCE_S)
