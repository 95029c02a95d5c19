"""Tasks that run an async handler, a job a task.

What a handler raises is its job's failure, whatever it is: `sys.exit()` and
KeyboardInterrupt too, which would end the event loop if they left the task.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from magicqueue.handler_awaits import start_task, within
from magicqueue.job import Job
from magicqueue.job_log import set_current
from magicqueue.runner import Runner


class HandlerTasks:
    """Runs up to `count` handlers at once, each for up to `limit_s`.

    on_outcome: called in the event loop when a verdict was noted.
    """

    def __init__(
        self,
        runner: Runner,
        count: int,
        limit_s: float | None,
        on_outcome: Callable[[], object],
    ) -> None:
        self._runner = runner
        self._handler = runner.handler
        self._count = count
        self._limit_s = limit_s
        self._on_outcome = on_outcome
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._starting = False
        self._is_cut_off = False

    def start_some(self) -> None:
        """Start what may run. A task may run, and end, while it is being started."""
        if self._starting:
            return
        self._starting = True
        loop = asyncio.get_running_loop()
        take, tasks, now = self._runner.unstarted.popleft, self._tasks, time.monotonic()
        side, is_told = self._runner.side, self._runner.log.tells_starts
        room = 0 if self._is_cut_off else self._count
        while len(tasks) < room:
            try:
                job = take()
            except IndexError:
                break
            job._worker = side  # noqa: SLF001 - a worker's notes on it
            job._started_at = now  # noqa: SLF001
            if is_told:
                self._runner.log.started(job)
            task = start_task(self._run(job), loop)
            if not task.done():
                tasks[job] = task
        self._starting = False

    def announce(self, _jobs: int) -> None:
        """Jobs may wait for their turn: start those that may run."""
        self.start_some()

    def replace(self, job: Job) -> None:
        """Let another run in place of a job whose handler does not end."""
        self._tasks.pop(job, None)
        self.start_some()

    def cancel(self, job: Job) -> None:
        """Cancel a job's handler, if it still runs."""
        task = self._tasks.get(job)
        if task is not None:
            task.cancel()

    def cut_off(self) -> Sequence[asyncio.Task[None]]:
        """Cancel all, and give the tasks: their jobs are neither done nor failed."""
        self._is_cut_off = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    async def _run(self, job: Job) -> None:
        set_current(job)
        try:
            if self._limit_s is None:
                value = await self._handler(job)
            else:
                value = await within(self._limit_s, self._handler(job))
        except BaseException as raised:  # noqa: BLE001 - a handler may raise anything
            self._runner.end_if_forked()
            self._tasks.pop(job, None)
            if not self._is_cut_off:  # else it is the cancellation's doing
                self._runner.judge(job, raised, time.monotonic() - job._started_at)  # noqa: SLF001
                self._on_outcome()
            return
        self._tasks.pop(job, None)
        self._runner.returned(job, value)
        self._on_outcome()
