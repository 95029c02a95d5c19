"""A worker for asyncio code: pulls jobs, runs a handler on them, settles them.

    pulls ──▶ held jobs ──▶ handler ──▶ verdicts ──▶ ACKB, FAILB
    (connection 1)   │                  (connection 2)
                     └── heartbeats (a thread, connection 3 once a job is slow)

Jobs are leased to connection 1, and a pull that waits holds back what comes behind it
there, so verdicts go over connection 2; when connection 1 is lost the jobs held are lost
with it (`job.lost`), though a verdict that comes in time still counts. Verdicts gather for
a turn of the event loop and go out as one batch, with the attempt of each job.

An async handler runs as a task a job, so that its context, its time-outs and its
cancellation are its own; a plain one runs in threads, or inline in the event loop, which
is the fastest way for short ones. No more is pulled than may run at once, plus `prefetch`.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from magicqueue import commands
from magicqueue.backoff import next_wait_s
from magicqueue.channel import Channel
from magicqueue.durations import Duration
from magicqueue.errors import InternalError, ReadOnly, ShuttingDown
from magicqueue.handler_threads import HandlerThreads
from magicqueue.handlers import Handler, OnError, Runner, is_async
from magicqueue.heartbeats import Heartbeats
from magicqueue.job import Job
from magicqueue.loop_signals import signals_in_loop
from magicqueue.protocol import Call
from magicqueue.stop_signals import StopSignal
from magicqueue.tasks import start_task
from magicqueue.worker_options import (
    BATCH_SIZE,
    GRACE_S,
    LEASE_S,
    TASKS,
    THREADS,
    worker_options,
)

PASSING_REFUSALS: Final = (ShuttingDown, ReadOnly, InternalError)
"""A server that refuses a pull so may be asked again later."""

logger = logging.getLogger("magicqueue")


class Worker:
    """Runs `handler(job)` for each job of a queue: a return settles it, a raise fails it.

    queue, url: as for `Queue`. batch_size: jobs asked for at once, at most. concurrency:
    handlers under way at once (50 tasks, 8 threads). inline: run a plain handler in the
    event loop, one job after the other, a batch held at a time. prefetch: jobs held beyond
    those that run. lease: heartbeats keep it up while the handler runs. grace: how long
    `stop` lets handlers finish. timeout: as for `Queue`. on_error: called with each
    failed job and its exception.

    A server that is not there, or goes away, is waited for, for ever.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        queue: str,
        handler: Handler,
        *,
        url: str | None = None,
        batch_size: int = BATCH_SIZE,
        concurrency: int | None = None,
        inline: bool = False,
        prefetch: int = 0,
        lease: Duration = LEASE_S,
        grace: Duration = GRACE_S,
        timeout: Duration = commands.TIMEOUT_S,
        on_error: OnError | None = None,
    ) -> None:
        self._is_async = is_async(handler)
        if inline and self._is_async:
            raise ValueError("inline is for plain handlers: this one is an async def")
        self._inline = inline
        self._options = worker_options(
            queue,
            url,
            batch_size=batch_size,
            concurrency=concurrency or (TASKS if self._is_async else THREADS),
            prefetch=prefetch,
            lease=lease,
            grace=grace,
            timeout=timeout,
        )
        at_once = self._options.batch_size if inline else self._options.concurrency
        self._capacity = at_once + prefetch
        self._runner = Runner(handler, on_error)
        self._unstarted: deque[Job] = deque()
        self._outcomes: deque[tuple[Job, BaseException | None]] = deque()
        self._collecting = False
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._starting = False
        self._sending = False
        self._verdicts_under_way = 0
        self._progress: asyncio.Event | None = None
        self._stop_asked: asyncio.Event | None = None
        self._stop_asked_early = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._pump: asyncio.Task[None] | None = None
        self._inline_task: asyncio.Task[None] | None = None
        self._threads: HandlerThreads | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def held(self) -> int:
        """Jobs pulled and not settled yet."""
        return len(self._runner.held)

    @property
    def completed(self) -> int:
        """Jobs whose handler returned, so far."""
        return self._runner.completed

    @property
    def failed(self) -> int:
        """Jobs whose handler raised, so far."""
        return self._runner.failed

    @property
    def lost(self) -> int:
        """Jobs that were not the worker's any more when they were finished, so far."""
        return self._runner.lost

    async def run(self, *, signals: bool = True) -> None:
        """Work until `stop`, or until SIGTERM or SIGINT if `signals`.

        A stop that was asked for before ends it at once. A second signal, 0.2 s later or
        more, ends the process with 128 + its number. Raises what the server refuses a
        pull with for good (a bad queue name, say).
        """
        stop = StopSignal(self.request_stop)
        async with signals_in_loop(stop) if signals else contextlib.nullcontext():
            early, self._stop_asked_early = self._stop_asked_early, False
            await self.start()
            assert self._stop_asked is not None
            if early:
                self._stop_asked.set()
            try:
                await self._stop_asked.wait()
            finally:
                await self.stop()

    async def start(self) -> None:
        """Begin to work in the background, until `stop`."""
        if self._pump is not None:
            return
        options = self._options
        self._abandoned = False
        self._error = None
        self._progress = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._heartbeats = Heartbeats(
            self._runner, options.address, options.lease_ms, options.timeout_s
        )
        self._heartbeats.start()
        timeout_s = options.timeout_s
        self._pulls = Channel(
            options.address,
            timeout_s=timeout_s,
            reconnect_s=None,
            announce=True,
            on_lost=self._runner.lose_all,
        )
        self._verdicts = Channel(options.address, timeout_s=timeout_s, reconnect_s=None)
        # inline handlers may leave no time for connecting later
        self._verdicts.post(Call(commands.ping()))
        if self._inline:
            self._inline_task = asyncio.create_task(self._run_inline())
            self._inline_task.add_done_callback(self._ended)
        elif not self._is_async:
            loop = asyncio.get_running_loop()
            self._threads = HandlerThreads(
                self._runner, options.concurrency, partial(self._outcome, loop)
            )
        self._pump = asyncio.create_task(self._pull_jobs())
        self._pump.add_done_callback(self._ended)
        logger.info("working on %s at %s", options.queue, options.address)

    async def stop(self) -> None:
        """Pull no more, let handlers finish for up to `grace`, and end.

        Jobs that are not finished by then go back to the queue. Raises what `run` does.
        """
        pump, self._pump = self._pump, None
        if pump is None:
            return
        assert self._stop_asked is not None
        self._stop_asked.set()
        pump.cancel()
        await asyncio.wait([pump])
        try:
            async with asyncio.timeout(self._options.grace_s):
                await self._finished()
        except TimeoutError:
            logger.warning(
                "the grace is over: %d jobs go back to %s unfinished",
                self.held,
                self._options.queue,
            )
        finally:
            await self._abandon()
            self._stop_asked = None
        logger.info("stopped working on %s", self._options.queue)
        if self._error is not None:
            raise self._error

    def request_stop(self) -> None:
        """Have `run` stop, as a signal would; for use in the event loop's thread."""
        if self._stop_asked is None:
            self._stop_asked_early = True
        else:
            self._stop_asked.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self.request_stop()

    async def _pull_jobs(self) -> None:
        options = self._options
        refusals = 0
        while True:
            room = self._capacity - len(self._runner.held)
            if room <= 0:
                await self._next_progress()
                continue
            count = min(room, options.batch_size)
            try:
                jobs = await self._pulls.request(
                    commands.pull(
                        options.queue, count, commands.PULL_SLICE_MS, options.lease_ms
                    )
                )
            except PASSING_REFUSALS as error:
                if not refusals:
                    logger.warning("the server hands out no jobs: %s", error)
                await asyncio.sleep(next_wait_s(refusals))
                refusals += 1
                continue
            refusals = 0
            if jobs:
                self._runner.hold(jobs, self._heartbeats.beat_now)
                self._begin(jobs)

    def _begin(self, jobs: Sequence[Job]) -> None:
        if self._threads is not None:
            for job in jobs:
                self._threads.submit(job)
        else:
            self._unstarted.extend(jobs)
            if self._inline:
                self._made_progress()
            else:
                self._start_tasks()

    def _start_tasks(self) -> None:
        """Start what may run. A task may run, and end, while it is being started."""
        if self._starting:
            return
        self._starting = True
        tasks = self._tasks
        loop = asyncio.get_running_loop()
        while self._unstarted and len(tasks) < self._options.concurrency:
            job = self._unstarted.popleft()
            task = start_task(self._run_task(job), loop)
            if not task.done():
                tasks[job] = task
        self._starting = False

    async def _run_task(self, job: Job) -> None:
        error: BaseException | None = None
        try:
            await self._runner.handler(job)
        except Exception as raised:  # noqa: BLE001 - a handler may raise anything
            error = raised
        except asyncio.CancelledError as cancelled:
            if self._abandoned:
                raise
            error = cancelled
        finally:
            self._tasks.pop(job, None)
        self._runner.finish(job, error)
        self._send_soon()

    def _send_soon(self) -> None:
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._send_verdicts)

    async def _run_inline(self) -> None:
        while True:
            while self._unstarted:
                jobs, self._unstarted = self._unstarted, deque()
                for _ in self._runner.run_in_turn(jobs):
                    self._send_verdicts()
                    await asyncio.sleep(0)
                self._send_verdicts()
            await self._next_progress()

    def _outcome(
        self, loop: asyncio.AbstractEventLoop, job: Job, error: BaseException | None
    ) -> None:
        """Take an outcome in a handler's thread; wake the loop once for many."""
        self._outcomes.append((job, error))
        if not self._collecting:
            self._collecting = True
            # a handler may outlive its loop, when the grace was over
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._collecting = False
        while self._outcomes:
            self._runner.finish(*self._outcomes.popleft())
        self._send_verdicts()

    def _send_verdicts(self) -> None:
        self._sending = False
        if self._abandoned:
            return
        for jobs, command in self._runner.take_verdicts():
            self._verdicts_under_way += 1
            self._verdicts.post(Call(command, partial(self._told, jobs)))
        if self._unstarted and not self._inline:
            self._start_tasks()
        self._made_progress()

    def _told(self, jobs: Sequence[Job], call: Call[list[int]]) -> None:
        self._verdicts_under_way -= 1
        if call.error is None:
            self._runner.settled(jobs, call.result())
        else:
            self._runner.settled(jobs, ())
            logger.error("the verdicts of %d jobs were lost: %s", len(jobs), call.error)
        if not self._verdicts_under_way:
            self._made_progress()

    def _made_progress(self) -> None:
        assert self._progress is not None
        self._progress.set()

    async def _next_progress(self) -> None:
        assert self._progress is not None
        self._progress.clear()
        await self._progress.wait()

    async def _finished(self) -> None:
        while self._runner.held or self._verdicts_under_way:
            await self._next_progress()

    async def _abandon(self) -> None:
        self._abandoned = True
        inline, self._inline_task = self._inline_task, None
        tasks = [*self._tasks.values(), *([inline] if inline else [])]
        for task in tasks:
            task.cancel()
        if self._threads is not None:
            self._threads.close()
            self._threads = None
        self._heartbeats.stop()
        await self._pulls.close()
        await self._verdicts.close()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        self._runner.clear()
        self._unstarted.clear()
