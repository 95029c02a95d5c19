"""A worker for tasks: one process that works on all queues of some `Tasks`.

Each queue has a `Worker` of its own, with as many jobs under way at once as `concurrency`
says: what is held by one queue's worker never waits for another's.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from magicqueue import commands
from magicqueue.address import AccessOptions
from magicqueue.durations import Duration
from magicqueue.handlers import OnError
from magicqueue.in_background import InBackground
from magicqueue.loop_signals import signals_in_loop
from magicqueue.results import ON_BAD_RESULT, OnBadResult
from magicqueue.runner import Runner
from magicqueue.stop_signals import StopSignal
from magicqueue.tasks.dependencies import Opened
from magicqueue.tasks.processes import Processes
from magicqueue.tasks.registry import Tasks
from magicqueue.tasks.running import QueueTasks
from magicqueue.tasks.threads import Threads
from magicqueue.worker import Worker
from magicqueue.worker_counts import WorkerCounts
from magicqueue.worker_options import BATCH_SIZE, GRACE_S, LEASE_S, TASKS, THREADS

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class TaskWorker(InBackground, WorkerCounts):
    """Runs the tasks of all queues of some `Tasks`, or of those `queues` only.

    concurrency: tasks of one queue under way at once (50); threads: plain tasks at once, of
    all queues (8); processes: the same for tasks that have one of their own (as many as
    there are processors); process_set_up: called in each of these first. url: None is that
    of the first Tasks that has one; so is what lets the worker in. The other options are
    those of `Worker`, for each queue.

    What tasks depend on is opened before the first job, and closed after the last.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        *tasks: Tasks,
        queues: Iterable[str] | None = None,
        url: str | None = None,
        concurrency: int | None = None,
        threads: int = THREADS,
        processes: int | None = None,
        process_set_up: Callable[[], object] | None = None,
        batch_size: int = BATCH_SIZE,
        prefetch: int | None = None,
        lease: Duration = LEASE_S,
        time_limit: Duration | None = None,
        grace: Duration = GRACE_S,
        timeout: Duration = commands.TIMEOUT_S,
        on_error: OnError | None = None,
        on_bad_result: OnBadResult = ON_BAD_RESULT,
    ) -> None:
        for one in tasks:
            if not isinstance(one, Tasks):
                raise TypeError(f"TaskWorker takes Tasks, not {type(one).__name__}")
            one.load()
        self.tasks = tasks
        self.queues: list[str] = _queues_of(tasks, queues)
        if url is None:
            url = next((one.producer.url for one in tasks if one.producer.url), None)
        access: AccessOptions = {}
        for one in tasks:
            access = access or one.producer.access
        self._opened = Opened()
        self._threads = Threads(threads)
        self._processes = Processes(processes, process_set_up)
        self.workers: list[Worker] = [
            Worker(
                queue,
                QueueTasks(
                    queue, tasks, self._opened, self._threads, self._processes
                ).handle,
                url=url,
                concurrency=TASKS if concurrency is None else concurrency,
                batch_size=batch_size,
                prefetch=prefetch,
                lease=lease,
                time_limit=time_limit,
                grace=grace,
                timeout=timeout,
                on_error=on_error,
                on_bad_result=on_bad_result,
                **access,
            )
            for queue in self.queues
        ]
        self._running: dict[Worker, asyncio.Task[None]] = {}
        self._background: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def run(self, *, signals: bool = True) -> None:
        """Work until `stop`, or until SIGTERM or SIGINT if `signals`; see `Worker.run`.

        Raises what cannot be opened, and what the server refuses a pull with for good.
        """
        stop = StopSignal(self.request_stop)
        try:
            async with (
                signals_in_loop(stop) if signals else contextlib.nullcontext(),
                self._opened_for_tasks(),
            ):
                self._ready.set()
                await self._work()
        finally:
            self._running = {}

    def request_stop(self) -> None:
        """Have `run` stop, as a signal would; for use in the event loop's thread."""
        for worker in self.workers:
            running = self._running.get(worker)
            # one that has ended before the others would take it for its next run
            if running is None or not running.done():
                worker.request_stop()

    async def start(self) -> None:
        """Begin to work in the background, until `stop`. Raises as `run`."""
        if self._background is not None:
            return
        self._ready.clear()
        self._background = asyncio.create_task(self.run(signals=False))
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._background}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._background.done():
            background, self._background = self._background, None
            await background

    async def stop(self) -> None:
        """Pull no more, let tasks finish for up to `grace`, and end. Raises as `run`."""
        background, self._background = self._background, None
        if background is not None:
            self.request_stop()
            await background

    @property
    def _runners(self) -> Sequence[Runner]:
        return [worker._runner for worker in self.workers]  # noqa: SLF001 - to be counted

    async def _work(self) -> None:
        """Have all workers work, until one of them ends."""
        self._running = {
            worker: asyncio.create_task(worker.run(signals=False))
            for worker in self.workers
        }
        running = self._running.values()
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.request_stop()
            outcomes = await asyncio.gather(*running, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    @contextlib.asynccontextmanager
    async def _opened_for_tasks(self) -> AsyncIterator[None]:
        for registry in self.tasks:
            for task in registry:
                task.signature.prepare()
        async with opened_for(self.tasks, self._opened):
            with self._threads, self._processes:
                yield


@contextlib.asynccontextmanager
async def opened_for(tasks: Sequence[Tasks], opened: Opened) -> AsyncIterator[None]:
    """Have everything that tasks need: startup, dependencies, at the end shutdown."""
    for registry in tasks:
        await _call_all(registry.startup)
    try:
        async with opened:
            for registry in tasks:
                for task in registry:
                    await opened.open(task.signature.dependencies.values())
                registry.producer.opened = opened
            yield
    finally:
        for registry in tasks:
            registry.producer.opened = None
            await _call_all(registry.shutdown)
            await registry.close()


async def _call_all(functions: Iterable[Any]) -> None:
    for function in functions:
        result = function()
        if inspect.isawaitable(result):
            await result


def _queues_of(tasks: Sequence[Tasks], wanted: Iterable[str] | None) -> list[str]:
    queues = sorted({queue for one in tasks for queue in one.queues})
    if not queues:
        raise ValueError("there are no tasks to work on: declare some with @tasks.task")
    if wanted is None:
        return queues
    chosen = list(dict.fromkeys(wanted))
    for queue in chosen:
        if queue not in queues:
            raise ValueError(
                f"none of the tasks is of queue {queue!r}: they are of {', '.join(queues)}"
            )
    return chosen
