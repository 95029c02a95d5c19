"""Threads that run a plain handler for a worker in an event loop.

What they have to tell goes to the loop, which is woken once for many outcomes; what their
handler returns to be awaited runs in the loop too.
"""

import asyncio
import concurrent.futures
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from magicqueue.cancels import Cancels
from magicqueue.handler_awaits import outcome_of
from magicqueue.handler_threads import HandlerThreads
from magicqueue.job import Job
from magicqueue.runner import Runner


class LoopThreads:
    """`count` threads, whose outcomes are noted in the running loop.

    on_verdicts: called there when verdicts were noted.
    """

    def __init__(
        self,
        runner: Runner,
        count: int,
        limit_s: float | None,
        on_verdicts: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._on_verdicts = on_verdicts
        self._loop = asyncio.get_running_loop()
        self._outcomes: deque[tuple[Job, BaseException | None]] = deque()
        self._collecting = False
        self._is_cut_off = False
        in_loop = self._in_loop = LoopOfWorker(self._loop, limit_s, runner.cancels)
        self._threads = HandlerThreads(runner, count, self._outcome, lambda: in_loop)

    def announce(self, jobs: int) -> None:
        """So many more jobs wait for their turn."""
        self._threads.announce(jobs)

    def replace(self, _job: Job) -> None:
        """Start a thread for one whose handler does not end in time."""
        self._threads.replace_one()

    def cut_off(self) -> Sequence[asyncio.Task[None]]:
        """Note what has ended, and leave the rest: those jobs have no outcome."""
        self._collect()
        self._is_cut_off = True
        self._in_loop.cut_off()
        self._threads.close()
        return ()

    def _outcome(self, job: Job, error: BaseException | None) -> None:
        """Take an outcome in a handler's thread; wake the loop once for many."""
        self._outcomes.append((job, error))
        if not self._collecting:
            self._collecting = True
            call_in(self._loop, self._collect)

    def _collect(self) -> None:
        self._collecting = False
        while self._outcomes:
            job, error = self._outcomes.popleft()
            if not self._is_cut_off:
                self._runner.finish(job, error, job._took_s)  # noqa: SLF001 - a worker's note on it
        self._on_verdicts()


class LoopOfWorker:
    """Runs, in the worker's event loop, what handlers in threads return to be awaited."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit_s: float | None, cancels: Cancels
    ) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._cancels = cancels
        self._under_way: set[concurrent.futures.Future[Any]] = set()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run it to its end, from a handler's thread; gives what it returns."""
        coroutine = outcome_of(self._limit_s, awaitable)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._under_way.add(future)
        try:
            with self._cancels.by(future.cancel):
                value, error = future.result()
        finally:
            self._under_way.discard(future)
        if error is not None:
            raise error
        return value

    def cut_off(self) -> None:
        """Cancel all that is under way."""
        for future in self._under_way.copy():
            future.cancel()

    def close(self) -> None:
        """Do nothing: the loop is the worker's, and serves other threads."""


def call_in(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any
) -> None:
    """Call a function in a loop; one that has ended needs it no more."""
    # a handler may outlive its loop, when the grace was over
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
