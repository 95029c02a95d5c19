"""Threads for plain tasks, in a worker whose other tasks are async.

A thread whose task is over its time limit is given up: another takes its place, and it ends
by itself. They are daemons, so that a task that never ends keeps no process from exiting.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Self, TypeAlias

from magicqueue.handler_awaits import within

_Work: TypeAlias = Callable[[], None]


class Threads:
    """Runs up to `count` functions at once for the running loop; a `with` ends them."""

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(count)
        self._idle: list[SimpleQueue[_Work | None]] = []
        self._made = 0
        self._closed = False

    def __enter__(self) -> Self:
        self._closed = False
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def run(self, function: Callable[[], Any], limit_s: float | None = None) -> Any:
        """Call a function in a thread, in the caller's context; gives its outcome.

        Raises TimeLimitExceeded when it has run for `limit_s`; waiting for a thread does
        not count.
        """
        async with self._places:
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[Any] = loop.create_future()
            turns = self._idle.pop() if self._idle else self._thread()
            context = contextvars.copy_context()

            def work() -> None:
                result: Any = None
                error: BaseException | None = None
                try:
                    result = context.run(function)
                except StopIteration as raised:  # no future can hold one
                    error = RuntimeError(f"StopIteration: {raised}")
                    error.__cause__ = raised
                except BaseException as raised:  # noqa: BLE001 - it fails only its job
                    error = raised
                with contextlib.suppress(RuntimeError):  # the loop may be over
                    loop.call_soon_threadsafe(self._done, turns, outcome, result, error)

            turns.put(work)
            return await within(limit_s, outcome)

    def close(self) -> None:
        """End the threads: those that are idle now, the others after what they run."""
        self._closed = True
        for turns in self._idle:
            turns.put(None)
        self._idle.clear()

    def _thread(self) -> SimpleQueue[_Work | None]:
        self._made += 1
        turns: SimpleQueue[_Work | None] = SimpleQueue()
        threading.Thread(
            target=_serve, args=(turns,), name=f"magicqueue-task-{self._made}", daemon=True
        ).start()
        return turns

    def _done(
        self,
        turns: SimpleQueue[_Work | None],
        outcome: asyncio.Future[Any],
        result: Any,
        error: BaseException | None,
    ) -> None:
        if self._closed:
            turns.put(None)
        else:
            self._idle.append(turns)
        if outcome.done():  # it was given up
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)


def _serve(turns: SimpleQueue[_Work | None]) -> None:
    while (work := turns.get()) is not None:
        work()
