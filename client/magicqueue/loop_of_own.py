"""An event loop for a thread that has none, for plain handlers that return awaitables."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class LoopOfOwn:
    """An event loop for a thread that has none, made when it is first needed."""

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._runner: asyncio.Runner | None = None

    def run(self, awaitable: Awaitable[Any]) -> None:
        """Run it to its end, for up to the time limit."""
        # Loaded when it is needed: a worker of plain handlers needs no asyncio.
        import asyncio  # noqa: PLC0415

        from magicqueue.handler_awaits import outcome_of  # noqa: PLC0415

        if self._runner is None:
            self._runner = asyncio.Runner()
        loop = self._runner.get_loop()
        error = loop.run_until_complete(outcome_of(self._limit_s, awaitable))
        if error is not None:
            raise error

    def close(self) -> None:
        """End the loop, if there is one."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
