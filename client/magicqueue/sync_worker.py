"""A worker for plain code, without asyncio.

With one thread the handler runs inline, in the thread that called `run`: pull a batch,
run it, settle it. With more, `run`'s thread pulls, handler threads run, and one thread
sends the verdicts, so that a pull that waits holds no verdict back. Connections and
heartbeats are those of `worker.Worker`: pulls, verdicts and heartbeats each have one.
"""

import contextlib
import logging
import os
import threading
import time
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self, TypeAlias

from magicqueue import commands
from magicqueue.backoff import next_wait_s
from magicqueue.durations import Duration
from magicqueue.errors import InternalError, MagicQueueError, ReadOnly, ShuttingDown
from magicqueue.handler_threads import HandlerThreads
from magicqueue.handlers import Handler, OnError, Runner, is_async
from magicqueue.heartbeats import Heartbeats
from magicqueue.job import Job
from magicqueue.stop_signals import StopSignal, watched_signals
from magicqueue.sync_channel import SyncChannel
from magicqueue.sync_connection import Interrupted
from magicqueue.worker_options import BATCH_SIZE, GRACE_S, LEASE_S, worker_options

PASSING_REFUSALS: Final = (ShuttingDown, ReadOnly, InternalError)

_Outcome: TypeAlias = tuple[Job, BaseException | None]

logger = logging.getLogger("magicqueue")


class SyncWorker:
    """Runs `handler(job)` for each job of a queue: a return settles it, a raise fails it.

    queue, url: as for `SyncQueue`. threads: handlers under way at once; with 1 they run
    inline, in the thread of `run`, and a batch is held at a time. batch_size: jobs asked
    for at once, at most. prefetch: jobs held beyond those that run. lease: heartbeats
    keep it up while the handler runs. grace: how long a stop lets handlers finish.
    timeout: as for `SyncQueue`. on_error: called with each failed job and its exception.

    A server that is not there, or goes away, is waited for, for ever.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default
        self,
        queue: str,
        handler: Handler,
        *,
        url: str | None = None,
        threads: int = 1,
        batch_size: int = BATCH_SIZE,
        prefetch: int = 0,
        lease: Duration = LEASE_S,
        grace: Duration = GRACE_S,
        timeout: Duration = commands.TIMEOUT_S,
        on_error: OnError | None = None,
    ) -> None:
        if is_async(handler):
            raise TypeError("the handler is an async def: Worker runs those")
        self._options = worker_options(
            queue,
            url,
            batch_size=batch_size,
            concurrency=threads,
            prefetch=prefetch,
            lease=lease,
            grace=grace,
            timeout=timeout,
        )
        self._capacity = (batch_size if threads == 1 else threads) + prefetch
        self._runner = Runner(handler, on_error)
        self._changed = threading.Condition()
        """Its lock is reentrant, so that a signal's handler may notify too."""
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._outcomes: SimpleQueue[_Outcome | None] = SimpleQueue()
        self._wake: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

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

    def start(self) -> None:
        """Begin to work in a thread, until `stop`."""
        if self._thread is None:
            self._stop_at = None
            self._wake = os.pipe()
            self._thread = threading.Thread(
                target=self._work_in_thread, name="magicqueue-worker", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Pull no more, let handlers finish for up to `grace`, and end.

        Jobs not finished by then go back to the queue. After `start` it waits for that,
        and raises what `run` would; with `run` in another thread, that one ends.
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
        options = self._options
        assert self._wake is not None
        pulls = SyncChannel(
            options.address,
            timeout_s=options.timeout_s,
            reconnect_s=None,
            wake_fd=self._wake[0],
            wait=self._wait,
            announce=True,
            on_lost=self._runner.lose_all,
        )
        verdicts = SyncChannel(
            options.address,
            timeout_s=options.timeout_s,
            reconnect_s=None,
            wait=self._wait_within_grace,
        )
        self._heartbeats = Heartbeats(
            self._runner, options.address, options.lease_ms, options.timeout_s
        )
        self._heartbeats.start()
        logger.info("working on %s at %s", options.queue, options.address)
        try:
            if options.concurrency == 1:
                self._work_inline(pulls, verdicts)
            else:
                self._work_with_threads(pulls, verdicts)
        finally:
            if self.held:
                logger.warning(
                    "the grace is over: %d jobs go back to %s unfinished",
                    self.held,
                    options.queue,
                )
            self._heartbeats.stop()
            pulls.close()
            verdicts.close()
            self._runner.clear()
            self._be_idle()
        logger.info("stopped working on %s", options.queue)

    def _work_inline(self, pulls: SyncChannel, verdicts: SyncChannel) -> None:
        with contextlib.suppress(Interrupted):
            while self._stop_at is None:
                jobs = self._pull(pulls, self._options.batch_size)
                for _ in self._runner.run_in_turn(jobs):
                    self._send_verdicts(verdicts)
                    if self._grace_is_over():
                        return
                self._send_verdicts(verdicts)

    def _work_with_threads(self, pulls: SyncChannel, verdicts: SyncChannel) -> None:
        threads = HandlerThreads(
            self._runner, self._options.concurrency, self._note_outcome
        )
        settler = threading.Thread(
            target=self._settle, args=(verdicts,), name="magicqueue-verdicts", daemon=True
        )
        settler.start()
        try:
            with contextlib.suppress(Interrupted):
                while (room := self._wait_for_room()) > 0:
                    for job in self._pull(pulls, min(room, self._options.batch_size)):
                        threads.submit(job)
            with self._changed:
                while self.held and not self._grace_is_over():
                    assert self._stop_at is not None
                    self._changed.wait(max(0.0, self._stop_at - time.monotonic()))
        finally:
            threads.close()
            self._outcomes.put(None)
            left_s = (self._stop_at or 0.0) - time.monotonic()
            settler.join(max(left_s, 1.0))

    def _pull(self, pulls: SyncChannel, count: int) -> list[Job]:
        options = self._options
        refusals = 0
        while True:
            try:
                jobs = pulls.request(
                    commands.pull(
                        options.queue, count, commands.PULL_SLICE_MS, options.lease_ms
                    )
                )
            except PASSING_REFUSALS as error:
                if not refusals:
                    logger.warning("the server hands out no jobs: %s", error)
                self._wait(next_wait_s(refusals))
                refusals += 1
            else:
                self._runner.hold(jobs, self._heartbeats.beat_now)
                return jobs

    def _wait_for_room(self) -> int:
        """Give how many jobs may be pulled; 0 when it is time to stop."""
        with self._changed:
            while self._stop_at is None:
                room = self._capacity - self.held
                if room > 0:
                    return room
                self._changed.wait()
        return 0

    def _note_outcome(self, job: Job, error: BaseException | None) -> None:
        self._outcomes.put((job, error))

    def _settle(self, verdicts: SyncChannel) -> None:
        """Send verdicts until told to end: all that are there, in one batch."""
        with contextlib.suppress(Interrupted):
            while (outcome := self._outcomes.get()) is not None:
                self._runner.finish(*outcome)
                ended = False
                with contextlib.suppress(Empty):
                    while (more := self._outcomes.get_nowait()) is not None:
                        self._runner.finish(*more)
                    ended = True
                self._send_verdicts(verdicts)
                if ended:
                    return

    def _send_verdicts(self, verdicts: SyncChannel) -> None:
        for jobs, command in self._runner.take_verdicts():
            try:
                missing = verdicts.request(command)
                self._runner.settled(jobs, missing)
            except MagicQueueError as error:
                self._runner.settled(jobs, ())
                logger.error(  # noqa: TRY400 - the sentence says it all
                    "the verdicts of %d jobs were lost: %s", len(jobs), error
                )
        with self._changed:
            self._changed.notify_all()

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
            self._stop_at = None
            wake, self._wake = self._wake, None
        for descriptor in wake or ():
            os.close(descriptor)
