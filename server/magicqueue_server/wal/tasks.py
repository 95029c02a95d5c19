"""What the log wants done later or elsewhere: the one place with a thread and timers.

The log itself runs on the event loop's thread. Whatever may wait for the disk long goes to
one plain thread, job after job; the end of each is told on the loop's thread again.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Protocol

Call = Callable[[], None]
Done = Callable[[BaseException | None], None]


class Tasks(Protocol):
    """Where the log's work is done."""

    def soon(self, call: Call) -> None:
        """Call when what runs now has returned."""
        ...

    def later(self, delay_ms: int, call: Call) -> None:
        """Call after a while."""
        ...

    def run(self, job: Call, done: Done) -> None:
        """Run a blocking job after the earlier ones, then `done` with its error."""
        ...


class LoopTasks:
    """Tasks of a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[Call, Done] | None] = queue.SimpleQueue()
        self._ending = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def soon(self, call: Call) -> None:
        """Call when what runs now has returned."""
        if not self._ending:
            self._loop.call_soon(call)

    def later(self, delay_ms: int, call: Call) -> None:
        """Call after a while."""
        if self._ending:
            return

        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = self._loop.call_later(delay_ms / 1000, fire)
        self._timers.add(timer)

    def run(self, job: Call, done: Done) -> None:
        """Run a blocking job after the earlier ones, then `done` with its error."""
        if not self._ending:
            self._jobs.put((job, done))

    def run_last(self, job: Call, done: Done) -> None:
        """Run a job and take no more: an earlier one's end may still ask for another."""
        self.run(job, done)
        self._ending = True
        for timer in self._timers:
            timer.cancel()

    def close(self) -> None:
        """End the thread after the jobs it has, and call nothing later any more."""
        self._ending = True
        for timer in self._timers:
            timer.cancel()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            error: BaseException | None = None
            try:
                job()
            except BaseException as caught:  # noqa: BLE001 - whoever waits decides
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(done, error)
