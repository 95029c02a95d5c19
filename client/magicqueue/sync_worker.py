"""A worker for plain code, without asyncio.

With a concurrency of 1 the handler runs inline, in the thread that called `run`: pull,
run, settle. With more, `run`'s thread pulls, handler threads run, and one thread sends
the verdicts, so that a pull that waits holds no verdict back. Connections and heartbeats
are those of `worker.Worker`: pulls, verdicts and heartbeats each have one. So are the
rules of how many jobs are held, and of what a stop gives back.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self, Unpack

from magicqueue import commands
from magicqueue.address import AccessOptions
from magicqueue.backoff import next_wait_s
from magicqueue.durations import Duration
from magicqueue.errors import PASSING_REFUSALS
from magicqueue.forks import after_fork
from magicqueue.handler_threads import HandlerThreads
from magicqueue.handlers import Handler, OnError, is_async
from magicqueue.heartbeats import Heartbeats
from magicqueue.job import Job
from magicqueue.loop_of_own import LoopOfOwn
from magicqueue.results import ON_BAD_RESULT, OnBadResult, Results
from magicqueue.room import Room
from magicqueue.runner import Runner
from magicqueue.sources import STRICT, Names
from magicqueue.stalls import Stalls
from magicqueue.stop_signals import StopSignal, watched_signals
from magicqueue.sync_channel import SyncChannel
from magicqueue.sync_connection import Interrupted
from magicqueue.verdict_sender import VerdictSender
from magicqueue.wire.values import Order
from magicqueue.worker_counts import WorkerCounts
from magicqueue.worker_options import (
    BATCH_SIZE,
    GRACE_S,
    LAST_WORD_S,
    LATE_LOOKS,
    LATE_S,
    LEASE_S,
    worker_options,
)

logger: logging.Logger = logging.getLogger("magicqueue")


class SyncWorker(WorkerCounts):
    """Runs `handler(job)` for each job of a queue: a return settles it, a raise fails it.

    queue, order, url: as for `SyncQueue`. concurrency: handlers under way at once, each
    in a thread; with 1 they run inline, in the thread of `run`. batch_size: jobs asked
    for at once, at most. prefetch: jobs held beyond those that run; None is none, but for
    short handlers as many as they end in some 30 ms. lease: heartbeats keep it up while
    the handler runs. time_limit: the job of a handler that runs for longer fails, though
    the handler cannot be ended; None is no limit. grace: how long a stop lets handlers
    finish. timeout: as for `SyncQueue`. on_error: called with each failed job and its
    exception. on_bad_result: a job whose result is not JSON, or too large, is done
    without ("log") or fails ("fail").

    A server that is not there, or goes away, is waited for, for ever.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        queue: Names,
        handler: Handler,
        *,
        order: Order = STRICT,
        url: str | None = None,
        concurrency: int = 1,
        batch_size: int = BATCH_SIZE,
        prefetch: int | None = None,
        lease: Duration = LEASE_S,
        time_limit: Duration | None = None,
        grace: Duration = GRACE_S,
        timeout: Duration = commands.TIMEOUT_S,
        on_error: OnError | None = None,
        on_bad_result: OnBadResult = ON_BAD_RESULT,
        **access: Unpack[AccessOptions],
    ) -> None:
        if is_async(handler):
            raise TypeError("the handler is an async def: Worker runs those")
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

        def new_runner() -> Runner:
            room = Room(concurrency, batch_size, prefetch)
            return Runner(handler, on_error, room, Results(on_bad_result))

        self._new_runner = new_runner
        self.on_hung: Callable[[Job], object] | None = None
        """Called, in a thread, when the handler that runs inline does not end within its
        time limit; its job has failed. A process may end itself then: nothing else can."""
        self.on_cut_off: Callable[[], object] | None = None
        """The same where it does not end within the grace; its job was given back."""
        self._set_up()
        after_fork(self)

    def _set_up(self) -> None:
        """Begin with no job, no thread and no count."""
        self._runner = self._new_runner()
        self._changed = threading.Condition()
        """Its lock is reentrant, so that a signal's handler may notify too."""
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._threads: HandlerThreads | None = None
        self._wake: tuple[int, int] | None = None
        self._stalls = Stalls(
            self._runner,
            self._options.time_limit_s,
            on_hung=self._replace,
            on_put_back=self._announce,
            on_room=self._has_changed,
            on_cut_off=lambda: self.on_cut_off and self.on_cut_off(),
        )

    def forked(self) -> None:
        """Be as new: the parent's worker stays the parent's; called in a child process."""
        wake = self._wake
        self._set_up()
        for descriptor in wake or ():
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to work in a thread, until `stop`."""
        if self._thread is None:
            self._stop_at = self._stalls.end_at = None
            self._wake = os.pipe()
            self._thread = threading.Thread(
                target=self._work_in_thread, name="magicqueue-worker", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Pull no more, let handlers finish for up to `grace`, and end.

        Jobs that have not begun go back to the queue at once, and those not finished in
        time when the grace is over. After `start` it waits for that, and raises what
        `run` would; with `run` in another thread, that one ends.
        """
        self.request_stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            error, self._error = self._error, None
            if error is not None:
                raise error

    def request_stop(self) -> None:
        """Have the worker stop, without waiting; from any thread or a signal's handler."""
        with self._changed:
            if self._stop_at is None:
                self._stop_at = time.monotonic() + self._options.grace_s
                self._stalls.end_at = self._stop_at
            self._changed.notify_all()
            if self._wake is not None:
                os.write(self._wake[1], b"!")

    def run(self, *, signals: bool = True) -> None:
        """Work until `stop`, or until SIGTERM or SIGINT if `signals`.

        A stop that was asked for before ends it at once. A second signal, 0.2 s later or
        more, ends the process with 128 + its number. Raises what the server refuses a
        pull with for good (a bad queue name, say).
        """
        stop = StopSignal(self.request_stop)
        with watched_signals(stop) if signals else contextlib.nullcontext():
            self._wake = os.pipe()
            self._work()

    def _work_in_thread(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self._error = error

    def _work(self) -> None:
        options, runner = self._options, self._runner
        assert self._wake is not None
        pulls = SyncChannel(
            options.address,
            timeout_s=options.timeout_s,
            reconnect_s=None,
            wake_fd=self._wake[0],
            wait=self._wait,
            announce=True,
            on_lost=runner.lose_all,
        )
        verdicts_channel = SyncChannel(
            options.address,
            timeout_s=options.timeout_s,
            reconnect_s=None,
            wait=self._wait_within_grace,
        )
        # one thread does all of what an inline worker does: nobody waits for what it sends
        told = None if options.concurrency == 1 else self._has_changed
        verdicts = VerdictSender(runner, verdicts_channel, told)
        self._heartbeats = Heartbeats(
            runner,
            options.address,
            lease_ms=options.lease_ms,
            timeout_s=options.timeout_s,
            stalls=self._stalls,
        )
        self._heartbeats.start()
        logger.info("working on %s at %s", options.queue, options.address)
        try:
            if options.concurrency == 1:
                self._work_inline(pulls, verdicts)
            else:
                self._work_with_threads(pulls, verdicts)
        finally:
            self._heartbeats.stop()
            pulls.close()
            verdicts_channel.close()
            runner.clear()
            self._be_idle()
        logger.info("stopped working on %s", options.queue)

    def _work_inline(self, pulls: SyncChannel, verdicts: VerdictSender) -> None:
        runner = self._runner
        loop = self._new_loop()
        try:
            while self._stop_at is None:
                # what the heartbeats' thread is giving back is held still, and cannot run
                if not runner.unstarted and (room := self._wait_for_room()):
                    self._pull(pulls, room)
                for returned in runner.run_in_turn():
                    if returned is not None:
                        self._finish_inline(loop, *returned)
                    verdicts.send()
                    if self._stop_at is not None:
                        break
                verdicts.send()
        except Interrupted:
            pass
        finally:
            loop.close()
            self._give_back_late(pulls)
            self._give_back_rest(pulls, verdicts)

    def _finish_inline(self, loop: LoopOfOwn, job: Job, awaitable: Awaitable[Any]) -> None:
        started_at = time.monotonic()
        value, error = loop.outcome_of(awaitable)
        self._runner.ended(job, value, error, time.monotonic() - started_at)

    def _work_with_threads(self, pulls: SyncChannel, verdicts: VerdictSender) -> None:
        threads = self._threads = HandlerThreads(
            self._runner,
            self._options.concurrency,
            verdicts.note,
            self._new_loop,
        )
        settler = threading.Thread(
            target=verdicts.run, name="magicqueue-verdicts", daemon=True
        )
        settler.start()
        try:
            with contextlib.suppress(Interrupted):
                while (room := self._wait_for_room()) > 0:
                    threads.announce(self._pull(pulls, room))
            self._runner.give_back(self._runner.take_unstarted())
            verdicts.send_soon()
            while self.held and not self._grace_is_over():
                if self._give_back_late(pulls):
                    verdicts.send_soon()
                with self._changed:
                    if self.held:
                        self._changed.wait(LATE_S)
        finally:
            threads.close()
            self._threads = None
            verdicts.end()
            left_s = (self._stop_at or 0.0) - time.monotonic()
            settler.join(max(left_s, 1.0))
            self._give_back_late(pulls)
            self._give_back_rest(pulls, verdicts)

    def _pull(self, pulls: SyncChannel, count: int) -> int:
        """Pull up to `count` jobs, and hold them; gives how many have come."""
        options, count = self._options, min(count, self._options.batch_size)
        pull = commands.pull(options.queue, count, commands.PULL_SLICE_MS, options.lease_ms)
        refusals = 0
        while True:
            try:
                jobs = pulls.request(pull)
            except PASSING_REFUSALS as error:
                if not refusals:
                    logger.warning("the server hands out no jobs: %s", error)
                self._wait(next_wait_s(refusals))
                refusals += 1
            else:
                self._runner.hold(jobs, self._heartbeats)
                return len(jobs)

    def _give_back_late(self, pulls: SyncChannel) -> bool:
        """Note what still came for a pull that a stop has interrupted, to go back."""
        jobs = pulls.late_reply()
        if jobs:
            self._runner.hold(jobs, self._heartbeats)
            self._runner.give_back(self._runner.take_unstarted())
        return bool(jobs)

    def _give_back_rest(self, pulls: SyncChannel, verdicts: VerdictSender) -> None:
        """Give back what was not begun, or is cut off now that the grace is over."""
        runner = self._runner
        runner.give_back(runner.take_unstarted())
        if self._options.concurrency > 1 and self.held and self._grace_is_over():
            runner.log.grace_is_over(self.held, str(self._options.queue))
        gives_back = runner.give_back_rest()
        self._stop_at = time.monotonic() + LAST_WORD_S
        verdicts.send()
        for _ in range(LATE_LOOKS * gives_back):
            time.sleep(LATE_S)
            if self._give_back_late(pulls):
                verdicts.send()
                break

    def _wait_for_room(self) -> int:
        """Give how many jobs may be pulled; 0 when it is time to stop."""
        room = self._runner.room.to_pull(len(self._runner.held))
        if room and self._stop_at is None:  # as below, without the lock: nearly always
            return room
        with self._changed:
            while self._stop_at is None:
                room = self._runner.room.to_pull(self.held)
                if room:
                    return room
                self._changed.wait()
        return 0

    def _announce(self, count: int) -> None:
        """So many jobs wait for their turn again."""
        if self._threads is not None:
            self._threads.announce(count)

    def _replace(self, job: Job) -> None:
        """A job has failed whose handler does not end: let another run."""
        if self._threads is not None:
            self._threads.replace_one()
        elif self.on_hung is not None:
            self.on_hung(job)
        self._has_changed()

    def _has_changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _new_loop(self) -> LoopOfOwn:
        return LoopOfOwn(self._options.time_limit_s, self._runner.cancels)

    def _grace_is_over(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    def _wait(self, seconds: float) -> None:
        with self._changed:
            if self._stop_at is None:
                self._changed.wait(seconds)
            if self._stop_at is not None:
                raise Interrupted

    def _wait_within_grace(self, seconds: float) -> None:
        if self._grace_is_over():
            raise Interrupted
        with self._changed:
            self._changed.wait(seconds)

    def _be_idle(self) -> None:
        with self._changed:
            self._stop_at = self._stalls.end_at = None
            wake, self._wake = self._wake, None
        for descriptor in wake or ():
            os.close(descriptor)
