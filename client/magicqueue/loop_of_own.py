"""An event loop for a thread that has none, for plain handlers that return awaitables."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from magicqueue.cancels import Cancels

if TYPE_CHECKING:
    import asyncio


class LoopOfOwn:
    """An event loop for a thread that has none, made when it is first needed."""

    def __init__(self, limit_s: float | None, cancels: Cancels) -> None:
        self._limit_s = limit_s
        self._cancels = cancels
        self._runner: asyncio.Runner | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run it to its end, for up to the time limit; gives what it returns."""
        value, error = self.outcome_of(awaitable)
        if error is not None:
            raise error
        return value

    def outcome_of(self, awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
        """Run it so; gives what it returned, and what it raised."""
        # Loaded when it is needed: a worker of plain handlers needs no asyncio.
        import asyncio  # noqa: PLC0415

        from magicqueue.handler_awaits import outcome_of  # noqa: PLC0415
        from magicqueue.loop_threads import call_in  # noqa: PLC0415

        if self._runner is None:
            self._runner = asyncio.Runner()
        loop = self._runner.get_loop()
        task = loop.create_task(outcome_of(self._limit_s, awaitable))
        with self._cancels.by(lambda: call_in(loop, task.cancel)):
            try:
                return loop.run_until_complete(task)
            except asyncio.CancelledError as cancelled:  # before it began
                return None, cancelled

    def close(self) -> None:
        """End the loop, if there is one."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
