"""What both workers share, without I/O: the jobs held, their handler, and the verdicts.

    unstarted ──▶ handler ──▶ done, failures ─┐
        └───────────────────▶ given back ─────┴─▶ verdicts ──▶ unanswered ──▶ settled

A job is `held` until its verdict is taken to be sent, and the verdict `unanswered` until
the server has taken it: the jobs of both need their leases. Jobs wait in `unstarted` for
their turn; both ends of it are taken from by single operations that hold the interpreter,
so the thread that starts jobs and the one that gives them back (see `stalls`) cannot take
the same.
"""

import inspect
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from magicqueue import commands
from magicqueue.cancels import Cancels
from magicqueue.failures import (
    Failure,
    Throttle,
    failure_of,
    is_cancellation,
    log_failure,
)
from magicqueue.forks import after_fork
from magicqueue.handlers import Handler, OnError
from magicqueue.job import Job, WorkerSide
from magicqueue.job_log import JobLog, Slot, fields_of, set_current, span
from magicqueue.results import Results
from magicqueue.room import Room
from magicqueue.settling import Settling
from magicqueue.verdicts import (
    Verdict,
    by_needs,
    given_back,
    verdict_on_cancelled,
    verdicts_on,
)

BREATH_S: Final = 0.02
"""Inline jobs run for this long between looks at anything else."""

EXIT_CAME_BACK: Final = 1
"""What a child process ends with that came back from the handler it was forked in."""

V = TypeVar("V")

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class Runner(Settling):
    """The jobs of one worker; `room` learns from it how long handlers take."""

    def __init__(
        self,
        handler: Handler,
        on_error: OnError | None,
        room: Room,
        results: Results | None = None,
    ) -> None:
        self.handler = handler
        self.room = room
        self.log: JobLog = JobLog()
        super().__init__(results or Results(), on_error)
        self.held: set[Job] = set()
        self.unstarted: deque[Job] = deque()
        self.side: WorkerSide | None = None
        """The way back that a job's heartbeat() takes."""
        self.forfeited: set[Job] = set()
        """Jobs that were given up, and whose handlers still run."""
        self.in_turn: Slot = Slot()
        """The job that `run_in_turn` runs."""
        self.cancels: Cancels = Cancels()
        self.on_cancel: Callable[[Job], object] = lambda _: None
        """Called, in any thread, with a cancelled job whose handler runs."""
        self.released: int = 0
        self.cancelled: int = 0
        self._done: list[Job] = []
        self._failures: list[Failure] = []
        self._given_back: list[Job] = []
        self._cancelled: list[Job] = []
        self._busy_s = 0.0
        self._taking = threading.Lock()
        self._is_parents = False
        after_fork(self)

    def forked(self) -> None:
        """Have none of the parent's jobs; called in a child process."""
        self._is_parents = True
        self._taking = threading.Lock()
        self.unstarted.clear()
        self.held.clear()
        self.unanswered.clear()
        for notes in (self._done, self._failures, self._given_back, self._cancelled):
            notes.clear()
        self.throttled.clear()
        self.results.clear()

    def end_if_forked(self) -> None:
        """End a child process that came back from the handler it was forked in.

        It would go on as a second worker, with the parent's jobs, signals and event loop.
        """
        if self._is_parents:
            logger.error(
                "a handler forked, and the child process %d came back from it: it ends"
                " here, since the worker goes on in its parent. End such a child by"
                " os._exit(), or use multiprocessing",
                os.getpid(),
            )
            os._exit(EXIT_CAME_BACK)

    def hold(self, jobs: Sequence[Job], side: WorkerSide) -> None:
        """Jobs have come: they are held, and wait for their turn."""
        self.side = side
        self.held.update(jobs)
        self.unstarted.extend(jobs)

    def start_next(self) -> Job | None:
        """Take the job whose turn it is; its handler is about to be called."""
        try:
            job = self.unstarted.popleft()
        except IndexError:
            return None
        job._worker = self.side  # noqa: SLF001 - a worker's notes on it
        job._started_at = time.monotonic()  # noqa: SLF001
        if self.log.tells_starts:
            self.log.started(job)
        return job

    def call(
        self, job: Job, finish: Callable[[Awaitable[Any]], Any]
    ) -> BaseException | None:
        """Run a plain handler on one job, and keep its result; gives what it raised.

        finish: runs what the handler returns, if that is to be awaited.
        """
        error: BaseException | None = None
        try:
            result = self.handler(job)
            if result is not None:
                if inspect.isawaitable(result):
                    result = finish(result)
                if result is not None:
                    error = self.results.keep(job, result)
        except BaseException as raised:  # noqa: BLE001 - even sys.exit() ends only the job
            error = raised
        self.end_if_forked()
        job._took_s = time.monotonic() - job._started_at  # noqa: SLF001
        return error

    def run_in_turn(self) -> Iterator[tuple[Job, Awaitable[Any]] | None]:
        """Run a plain handler on job after job, pausing now and then for the caller.

        At each pause the verdicts so far are there to be taken. Where a handler returns
        what is to be awaited, it is given to the caller, who ends the job with `judge`.
        """
        handler, clock, is_timed = self.handler, time.monotonic, self.log.wanted
        unstarted, done, forfeited = self.unstarted, self._done, self.forfeited
        in_turn, side = self.in_turn, self.side
        set_current(in_turn)
        now = since = clock()
        pause_at = now + BREATH_S
        while True:
            try:
                job = unstarted.popleft()
            except IndexError:
                break
            in_turn.job = job
            job._worker = side  # noqa: SLF001 - a worker's note on it
            try:
                result = handler(job)
            except BaseException as raised:  # noqa: BLE001 - ends only the job
                self.judge(job, raised, clock() - now)
            else:
                if result is not None:
                    if inspect.isawaitable(result):
                        yield job, result
                    else:
                        self.ended(job, result, None, clock() - now)
                elif forfeited:
                    self.judge(job, None, clock() - now)
                else:
                    done.append(job)
            if is_timed:
                job._took_s = clock() - now  # noqa: SLF001 - a worker's note on it
            now = clock()
            if now >= pause_at:
                self.end_if_forked()
                self._busy_s += now - since
                in_turn.job = None  # none runs while verdicts are sent
                yield None
                is_timed = self.log.wanted
                now = since = clock()
                pause_at = now + BREATH_S
        self.end_if_forked()
        in_turn.job = None
        self._busy_s += now - since

    def finish(self, job: Job, error: BaseException | None, took_s: float) -> None:
        """Note the verdict of one job that did not run in turn, and its time."""
        self._busy_s += took_s
        self.judge(job, error, took_s)

    def returned(self, job: Job, value: Any) -> None:
        """Note that an async handler returned; its time is taken when it is logged."""
        if value is not None or self.forfeited or self._is_parents:  # rare, of each job
            self.end_if_forked()
            self.ended(job, value, None, time.monotonic() - job._started_at)  # noqa: SLF001
        else:
            self._done.append(job)

    def ended(
        self, job: Job, value: Any, error: BaseException | None, took_s: float
    ) -> None:
        """Keep what a handler returned, if it did, and note the verdict."""
        if error is None and value is not None:
            error = self.results.keep(job, value)
        self.judge(job, error, took_s)

    def judge(self, job: Job, error: BaseException | None, took_s: float) -> None:
        """Note the verdict of one job, whose handler ran for so long."""
        job._took_s = took_s  # noqa: SLF001
        if job in self.forfeited:
            self.forfeited.discard(job)
            self.results.drop(job)
            logger.warning(
                "job %d of %s ended after %s, when it had been given up: nothing changes",
                job.id,
                job.queue,
                span(took_s),
                extra=fields_of(job),
            )
        elif error is None:
            self._done.append(job)
        elif job.cancelled and is_cancellation(error):
            self.end_cancelled(job)
        elif isinstance(error, Throttle):
            self.throttle(job, error)
        else:
            self.fail(job, error)

    def cancel(self, job: Job) -> None:
        """Let a job's handler know that nobody wants it any more; from any thread."""
        job.cancelled = True
        try:
            self.unstarted.remove(job)
        except ValueError:
            if not self.cancels.cancel(job):
                self.on_cancel(job)
        else:
            self.end_cancelled(job)

    def end_cancelled(self, job: Job) -> None:
        """Note that a cancelled job has ended; one that is not ours has no verdict."""
        self.results.drop(job)
        self.log.cancelled(job)
        if job.lost:
            self.count(lost=1)
            self.held.discard(job)
        else:
            self._cancelled.append(job)

    def fail(self, job: Job, error: BaseException) -> None:
        """Note that a job failed, log it, and tell `on_error`."""
        self.end_if_forked()
        failure = failure_of(job, error)
        self._failures.append(failure)
        log_failure(job, error)
        self._tell_error(job, error)

    def forfeit(self, job: Job, error: BaseException) -> None:
        """Fail a job whose handler still runs, and cannot be ended."""
        self.forfeited.add(job)
        self.fail(job, error)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Note jobs that go back to the queue, neither done nor failed."""
        self._given_back.extend(jobs)
        self.log.given_back(jobs)

    def give_back_rest(self) -> bool:
        """Note all jobs that have no verdict yet, if any: their handlers are cut off."""
        for verdict in (self._done, self._given_back, self._cancelled):
            self.held.difference_update(verdict)
        self.held.difference_update(told.job for told in self._failures)
        self.held.difference_update(job for job, _ in self.throttled)
        self.unstarted.clear()
        rest = list(self.held)
        self.give_back(rest)
        return bool(rest or self._given_back)

    def take_unstarted(self) -> list[Job]:
        """Take the jobs that wait for their turn away, from any thread, in order."""
        taken: deque[Job] = deque()
        while True:
            try:
                taken.appendleft(self.unstarted.pop())
            except IndexError:
                return list(taken)

    def forget(self, jobs: Sequence[Job]) -> None:
        """Jobs have gone back that had been taken away."""
        self.held.difference_update(jobs)
        self.released += len(jobs)
        self.log.given_back(jobs)

    def under_way(self) -> list[Job]:
        """Copy the jobs whose handlers run; from any thread."""
        return [
            job
            for job in self.held.copy()
            if job._started_at and job._took_s < 0 and job not in self.forfeited  # noqa: SLF001
        ]

    def take_verdicts(self, *, learn: bool = True) -> list[Verdict]:
        """Give the requests for all verdicts noted; their jobs are no longer held.

        learn: tell `room` how long these handlers took.
        """
        self.end_if_forked()
        taken: list[Verdict] = []
        with self._taking:
            done, failures = _emptied(self._done), _emptied(self._failures)
            back = _emptied(self._given_back)
            if done:
                self.count(completed=len(done))
                taken += verdicts_on(done, self.results)
            if cancelled := _emptied(self._cancelled):
                self.cancelled += len(cancelled)
                taken.append(verdict_on_cancelled(cancelled))
            if failures:
                self.count(failed=len(failures))
                for some in by_needs(failures):
                    failed = [failure.job for failure in some]
                    command = commands.fail(some, repeat=True)
                    taken.append(Verdict(failed, command, some))
            if self.throttled:
                waits = self.take_throttled()
                self.released += sum(len(verdict.jobs) for verdict in waits)
                taken += waits
            if back:
                self.released += len(back)
                taken.append(given_back(back))
            self.unanswered.update(taken)
            for verdict in taken:
                self.held.difference_update(verdict.jobs)
            if learn:
                self.room.measured(len(done) + len(failures), self._busy_s)
                self._busy_s = 0.0
        self.log.done(done)
        return taken

    def leased(self) -> set[Job]:
        """Copy the jobs whose leases are to be kept up; from any thread."""
        held = self.held.copy()  # first: jobs go from here to there
        return held.union(*[verdict.jobs for verdict in self.unanswered.copy()])

    def clear(self) -> None:
        """Forget the jobs left, when the worker ends."""
        self.held.clear()
        self.unanswered.clear()
        self.unstarted.clear()
        self.results.clear()
        self.log.tell_rest()

    def lose_all(self) -> None:
        """The connection that leased the jobs is gone, and their leases with it.

        Those that have not begun are left to others, also where the server has kept the
        leases over a restart.
        """
        self.give_back(self.take_unstarted())
        held = self.held.difference(self._given_back)
        for job in held:
            job.lost = True
        if held:
            logger.warning(
                "the connection was lost: %d jobs under way may run elsewhere too",
                len(held),
            )


def _emptied(notes: list[V]) -> list[V]:
    """Take what is in a list now; others may append to it meanwhile."""
    if not notes:
        return []
    taken = notes[:]
    del notes[: len(taken)]
    return taken
