"""A worker for asyncio code: pulls jobs, runs a handler on them, settles them.

    pulls ──▶ held jobs ──▶ handler ──▶ verdicts ──▶ ACKB, FAILB, RELEASE
    (connection 1)   │                  (connection 2)
                     └── heartbeats (a thread, connection 3 once a job is slow)

Jobs are leased to connection 1, and a pull that waits holds back what comes behind it
there, so verdicts go over connection 2; when connection 1 is lost the jobs held are lost
with it (`job.lost`), though a verdict that comes in time still counts. Verdicts gather for
a turn of the event loop and go out as one batch, with the attempt of each job.

An async handler runs as a task a job, so that its context, its time-outs and its
cancellation are its own; a plain one runs in threads, or inline in the event loop, which
is the fastest way for short ones. How many jobs are held is `room`'s to say.

A stop is no crash: what was not started, or is cut off when the grace is over, is given
back by RELEASE, so that it counts neither as lost nor as failed.
"""

import asyncio
import contextlib
import logging
from functools import partial
from typing import Unpack

from magicqueue import commands
from magicqueue.address import AccessOptions
from magicqueue.backoff import next_wait_s
from magicqueue.channel import Channel
from magicqueue.durations import Duration
from magicqueue.errors import PASSING_REFUSALS
from magicqueue.forks import after_fork, keep
from magicqueue.handler_tasks import HandlerTasks
from magicqueue.handlers import Handler, OnError, RunsHandler, is_async, wraps_async
from magicqueue.heartbeats import Heartbeats
from magicqueue.in_background import InBackground
from magicqueue.inline_handlers import InlineHandlers
from magicqueue.job import Job
from magicqueue.loop_signals import signals_in_loop
from magicqueue.loop_threads import LoopThreads, call_in
from magicqueue.protocol import Call
from magicqueue.results import ON_BAD_RESULT, OnBadResult, Results
from magicqueue.room import Room
from magicqueue.runner import Runner
from magicqueue.sources import STRICT, Names
from magicqueue.stalls import Stalls
from magicqueue.stop_signals import StopSignal
from magicqueue.verdicts import Verdict
from magicqueue.wire.values import Order
from magicqueue.worker_counts import WorkerCounts
from magicqueue.worker_options import (
    BATCH_SIZE,
    GRACE_S,
    LAST_WORD_S,
    LATE_LOOKS,
    LATE_S,
    LEASE_S,
    TASKS,
    THREADS,
    worker_options,
)

logger: logging.Logger = logging.getLogger("magicqueue")


class Worker(InBackground, WorkerCounts):
    """Runs `handler(job)` for each job of a queue: a return settles it, a raise fails it.

    queue, order, url: as for `Queue`. batch_size: jobs asked for at once, at most.
    concurrency: handlers under way at once (50 tasks, 8 threads). inline: run a plain
    handler in the event loop, one job after the other. prefetch: jobs held beyond those
    that run; None is none, but for short handlers as many as they end in some 30 ms.
    lease: heartbeats keep it up while the handler runs. time_limit: a handler that runs
    for longer is cancelled, or given up if it is a plain one, and its job fails; None is
    no limit. grace: how long `stop` lets handlers finish. timeout: as for `Queue`.
    on_error: called with each failed job and its exception. on_bad_result: a job whose
    result is not JSON, or too large, is done without ("log") or fails ("fail").

    A server that is not there, or goes away, is waited for, for ever.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        queue: Names,
        handler: Handler,
        *,
        order: Order = STRICT,
        url: str | None = None,
        batch_size: int = BATCH_SIZE,
        concurrency: int | None = None,
        inline: bool = False,
        prefetch: int | None = None,
        lease: Duration = LEASE_S,
        time_limit: Duration | None = None,
        grace: Duration = GRACE_S,
        timeout: Duration = commands.TIMEOUT_S,
        on_error: OnError | None = None,
        on_bad_result: OnBadResult = ON_BAD_RESULT,
        **access: Unpack[AccessOptions],
    ) -> None:
        self._is_async = is_async(handler)
        if inline and self._is_async:
            raise ValueError("inline is for plain handlers: this one is an async def")
        self._inline = inline
        if concurrency is None:
            waits = self._is_async or wraps_async(handler)
            concurrency = TASKS if waits else THREADS
        self._options = worker_options(
            queue,
            url,
            order=order,
            batch_size=batch_size,
            concurrency=concurrency,
            prefetch=prefetch,
            lease=lease,
            time_limit=time_limit,
            grace=grace,
            timeout=timeout,
            access=access,
        )
        # tasks begin all at once: there is no turn to wait for
        ahead = 0 if prefetch is None and self._is_async else prefetch

        def new_runner() -> Runner:
            room = Room(1 if inline else concurrency, batch_size, ahead)
            return Runner(handler, on_error, room, Results(on_bad_result))

        self._new_runner = new_runner
        self._set_up()
        after_fork(self)

    def _set_up(self) -> None:
        """Begin with no job, no task and no count."""
        self._runner = self._new_runner()
        self._sending = False
        self._verdicts_under_way = 0
        self._progress: asyncio.Event | None = None
        self._stop_asked: asyncio.Event | None = None
        self._stop_asked_early = False
        self._stopping = False
        self._pull_call: Call[list[Job]] | None = None
        self._error: BaseException | None = None
        self._pump: asyncio.Task[None] | None = None
        self._handlers: RunsHandler | None = None

    def forked(self) -> None:
        """Be as new: the parent's worker stays the parent's; called in a child process."""
        keep((self._pump, self._handlers, self._progress, self._stop_asked))
        self._set_up()

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
        self._stopping = False
        self._error = None
        self._progress = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._begin_handlers(asyncio.get_running_loop())
        timeout_s = options.timeout_s
        self._pulls = Channel(
            options.address,
            timeout_s=timeout_s,
            reconnect_s=None,
            announce=True,
            on_lost=self._lose_all,
        )
        self._verdicts = Channel(options.address, timeout_s=timeout_s, reconnect_s=None)
        # inline handlers may leave no time for connecting later
        self._verdicts.post(Call(commands.ping()))
        self._pump = asyncio.create_task(self._pull_jobs())
        self._pump.add_done_callback(self._ended)
        logger.info("working on %s at %s", options.queue, options.address)

    async def stop(self) -> None:
        """Pull no more, let handlers finish for up to `grace`, and end.

        Jobs that have not begun go back to the queue at once, and those that are not
        finished in time when they have been cut off. Raises what `run` does.
        """
        pump, self._pump = self._pump, None
        if pump is None:
            return
        assert self._stop_asked is not None
        self._stop_asked.set()
        self._stopping = True
        self._runner.give_back(self._runner.take_unstarted())
        pump.cancel()
        await asyncio.wait([pump])
        self._send_verdicts()
        try:
            async with asyncio.timeout(self._options.grace_s):
                await self._finished()
        except TimeoutError:
            self._runner.log.grace_is_over(self.held, str(self._options.queue))
        finally:
            await self._end()
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

    def _begin_handlers(self, loop: asyncio.AbstractEventLoop) -> None:
        options, runner = self._options, self._runner
        limit_s = options.time_limit_s
        call = partial(call_in, loop)
        stalls = Stalls(
            runner,
            limit_s,
            on_hung=lambda job: call(self._replace, job),
            on_put_back=lambda count: call(self._begin, count),
            on_room=lambda: call(self._made_progress),
        )
        self._heartbeats = Heartbeats(
            runner,
            options.address,
            lease_ms=options.lease_ms,
            timeout_s=options.timeout_s,
            stalls=stalls,
        )
        self._heartbeats.start()
        count = options.concurrency
        if self._inline:
            inline = InlineHandlers(runner, limit_s, self._send_verdicts)
            inline.task.add_done_callback(self._ended)
            self._handlers = inline
        elif self._is_async:
            tasks = HandlerTasks(runner, count, limit_s, self._send_soon)
            runner.on_cancel = lambda job: call(tasks.cancel, job)
            self._handlers = tasks
        else:
            self._handlers = LoopThreads(runner, count, limit_s, self._send_verdicts)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self.request_stop()

    async def _pull_jobs(self) -> None:
        options = self._options
        runner = self._runner
        refusals = 0
        while True:
            room = runner.room.to_pull(len(runner.held))
            if not room:
                await self._next_progress()
                continue
            try:
                await self._pull(min(room, options.batch_size))
            except PASSING_REFUSALS as error:
                if not refusals:
                    logger.warning("the server hands out no jobs: %s", error)
                await asyncio.sleep(next_wait_s(refusals))
                refusals += 1
                continue
            refusals = 0

    async def _pull(self, count: int) -> None:
        """Pull up to `count` jobs and begin them, without a turn of the loop between.

        A pull that is cancelled goes on at the server for as long as it waits there: jobs
        that still come go back at once.
        """
        options = self._options
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrived(call: Call[list[Job]]) -> None:
            jobs = call.value
            self._pull_call = None
            if jobs:
                self._runner.hold(jobs, self._heartbeats)
            if not future.done():
                if call.error is not None:
                    future.set_exception(call.error)
                else:
                    future.set_result(None)
            if self._stopping and jobs:
                self._runner.give_back(self._runner.take_unstarted())
                self._send_verdicts()
            elif jobs:
                self._begin(len(jobs))

        pull = commands.pull(options.queue, count, commands.PULL_SLICE_MS, options.lease_ms)
        self._pull_call = Call(pull, arrived)
        self._pulls.post(self._pull_call)
        await future

    def _begin(self, count: int) -> None:
        """So many jobs wait for their turn."""
        if self._handlers is not None:
            self._handlers.announce(count)

    def _replace(self, job: Job) -> None:
        """A job has failed whose handler does not end: let another run."""
        if self._handlers is not None:
            self._handlers.replace(job)
        self._made_progress()

    def _send_soon(self) -> None:
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._send_verdicts)

    def _send_verdicts(self) -> None:
        self._sending = False
        for verdict in self._runner.take_verdicts():
            self._send(verdict)
        if self._handlers is not None:
            self._handlers.announce(0)
        self._made_progress()

    def _send(self, verdict: Verdict) -> None:
        self._verdicts_under_way += 1
        self._verdicts.post(Call(verdict.command, partial(self._told, verdict)))

    def _told(self, verdict: Verdict, call: Call[list[int]]) -> None:
        self._verdicts_under_way -= 1
        if call.error is None:
            following = self._runner.settled(verdict, call.result())
        else:
            following = self._runner.unsettled(verdict, call.error)
        for one in following:
            self._send(one)
        if not self._verdicts_under_way:
            self._made_progress()

    def _lose_all(self) -> None:
        self._runner.lose_all()
        self._send_soon()

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

    async def _end(self) -> None:
        """Cut off what still runs, give it back, and close."""
        tasks = self._handlers.cut_off() if self._handlers is not None else ()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        gives_back = self._runner.give_back_rest()
        self._send_verdicts()
        # no time of its own: the grace may be over
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_S):
                await self._finished()
                for _ in range(LATE_LOOKS if gives_back else 0):
                    if self._pull_call is None:
                        break
                    await asyncio.sleep(LATE_S)
                await self._finished()
        self._handlers = None
        self._heartbeats.stop()
        await self._pulls.close()
        await self._verdicts.close()
        self._runner.clear()
