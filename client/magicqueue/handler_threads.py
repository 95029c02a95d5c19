"""Threads that run a plain handler, one job a thread at a time.

They take jobs from one queue, and report each outcome to `on_outcome` from their own
thread. They are daemons: a handler that never ends must not keep the process from exiting
once the grace for it is over.
"""

import threading
from queue import SimpleQueue
from typing import Protocol

from magicqueue.handlers import Runner
from magicqueue.job import Job


class OnOutcome(Protocol):
    """Takes a job and what its handler raised, in a handler's thread."""

    def __call__(self, job: Job, error: BaseException | None, /) -> None:
        """Note it."""


class HandlerThreads:
    """`count` threads; `close` ends those that are idle, the others after their job."""

    def __init__(self, runner: Runner, count: int, on_outcome: OnOutcome) -> None:
        self._runner = runner
        self._on_outcome = on_outcome
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._run, name=f"magicqueue-handler-{number}", daemon=True
            )
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Have a thread run the handler on a job."""
        self._jobs.put(job)

    def close(self) -> None:
        """Start no more jobs, also none of those submitted; it does not wait."""
        while not self._jobs.empty():
            self._jobs.get()
        for _ in self._threads:
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                error: BaseException | None = self._runner.call(job)
            except BaseException as raised:  # noqa: BLE001 - sys.exit() ends no worker here
                error = raised
            self._on_outcome(job, error)
