"""Threads that run a plain handler, one job a thread at a time.

They take jobs from the runner's `unstarted`, as many as were announced, and report each
outcome to `on_outcome` from their own thread. They are daemons: a handler that never ends
must not keep the process from exiting once the grace for it is over. A thread whose job
is over its time limit gets a successor, and ends with its handler.
"""

import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, Protocol

from magicqueue.job import Job
from magicqueue.job_log import Slot, set_current
from magicqueue.runner import Runner


class OnOutcome(Protocol):
    """Takes a job and what its handler raised, in a handler's thread."""

    def __call__(self, job: Job, error: BaseException | None, /) -> None:
        """Note it."""


class Finisher(Protocol):
    """Runs, for one thread, what a handler returned to be awaited."""

    def run(self, awaitable: Awaitable[Any], /) -> Any:
        """Run it to its end; gives what it returns."""

    def close(self) -> None:
        """End; it is not used again."""


class HandlerThreads:
    """`count` threads; `close` ends those that are idle, the others after their job.

    finisher: makes what a thread awaits with.
    """

    def __init__(
        self,
        runner: Runner,
        count: int,
        on_outcome: OnOutcome,
        finisher: Callable[[], Finisher],
    ) -> None:
        self._runner = runner
        self._on_outcome = on_outcome
        self._finisher = finisher
        self._turns: SimpleQueue[object] = SimpleQueue()
        """One thing for each job that came, and None for each thread that is to end."""
        self._count = 0
        self._closed = False
        for _ in range(count):
            self._start_one()

    def announce(self, jobs: int) -> None:
        """So many jobs have come to `unstarted`."""
        for _ in range(jobs):
            self._turns.put(self)

    def replace_one(self) -> None:
        """Start a thread for one whose handler does not end in time."""
        if not self._closed:
            self._start_one()

    def close(self) -> None:
        """Start no more jobs; it does not wait."""
        self._closed = True
        for _ in range(self._count):
            self._turns.put(None)

    def _start_one(self) -> None:
        self._count += 1
        threading.Thread(
            target=self._run, name=f"magicqueue-handler-{self._count}", daemon=True
        ).start()

    def _run(self) -> None:
        slot = Slot()
        set_current(slot)
        finisher = self._finisher()
        forfeited = self._runner.forfeited
        while self._turns.get() is not None and not self._closed:
            job = self._runner.start_next()
            if job is None:  # it was given back meanwhile
                continue
            slot.job = job
            error = self._runner.call(job, finisher.run)
            slot.job = None
            is_replaced = job in forfeited
            self._on_outcome(job, error)
            if is_replaced:
                break
        finisher.close()
