"""A plain handler that runs in an event loop, on one job after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from magicqueue.handler_awaits import outcome_of
from magicqueue.job import Job
from magicqueue.loop_threads import call_in
from magicqueue.runner import Runner


class InlineHandlers:
    """Runs the handler as long as jobs wait for their turn, a breath at a time.

    on_verdicts: called between breaths, when verdicts may have been noted. `task` ends by
    `cut_off` only, or by an exception that is a fault of ours.
    """

    def __init__(
        self, runner: Runner, limit_s: float | None, on_verdicts: Callable[[], None]
    ) -> None:
        self._runner = runner
        self._limit_s = limit_s
        self._on_verdicts = on_verdicts
        self._announced = asyncio.Event()
        self._is_cut_off = False
        self._awaits: Job | None = None
        self.task: asyncio.Task[None] = asyncio.create_task(self._run())

    def announce(self, _jobs: int) -> None:
        """Jobs may wait for their turn."""
        self._announced.set()

    def replace(self, _job: Job) -> None:
        """Do nothing: the loop is where the handler hangs."""

    def cut_off(self) -> Sequence[asyncio.Task[None]]:
        """Cancel what is under way: its job is neither done nor failed."""
        self._is_cut_off = True
        self.task.cancel()
        return (self.task,)

    async def _run(self) -> None:
        while True:
            while self._runner.unstarted:
                for returned in self._runner.run_in_turn():
                    if returned is not None:
                        await self._finish(*returned)
                    self._on_verdicts()
                    await asyncio.sleep(0)
                self._on_verdicts()
            self._announced.clear()
            await self._announced.wait()

    async def _finish(self, job: Job, awaitable: Awaitable[Any]) -> None:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        with self._runner.cancels.by(partial(call_in, loop, self._cancel, job)):
            self._awaits = job
            value, error = await outcome_of(self._limit_s, awaitable)
            self._awaits = None
        if isinstance(error, asyncio.CancelledError) and self._is_cut_off:
            raise error
        if self.task.cancelling() and not self._is_cut_off:
            self.task.uncancel()  # it was the job's
        self._runner.ended(job, value, error, loop.time() - started_at)

    def _cancel(self, job: Job) -> None:
        """Cancel what is awaited for a job, if it still is."""
        if self._awaits is job:
            self.task.cancel()
