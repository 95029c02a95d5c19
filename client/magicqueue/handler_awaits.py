"""Tasks that begin at once, and time limits."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any

from magicqueue.failures import TimeLimitExceeded

if sys.version_info >= (3, 12):

    def start_task(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[None]:
        """Start a task at once: one that never waits costs no turn of the loop."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def start_task(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[None]:
        """Start a task; it begins in the next turn of the loop."""
        # not by the loop's method: two calls less, and one way on all versions
        return asyncio.Task(coroutine, loop=loop)


async def within(
    limit_s: float | None,
    awaitable: Awaitable[Any],
    exceeded: type[TimeLimitExceeded] = TimeLimitExceeded,
) -> Any:
    """Await something; cancel it after `limit_s`, and raise TimeLimitExceeded, or that."""
    if limit_s is None:
        return await awaitable
    scope = asyncio.timeout(limit_s)
    try:
        async with scope:
            return await awaitable
    except BaseException as raised:
        if scope.expired():
            raise exceeded(limit_s) from raised.__cause__ or raised
        raise


async def outcome_of(
    limit_s: float | None, awaitable: Awaitable[Any]
) -> tuple[Any, BaseException | None]:
    """Await something for up to `limit_s`; gives what it returned, and what it raised.

    A task that raises SystemExit or KeyboardInterrupt ends its event loop, so here they
    are no exceptions.
    """
    try:
        return await within(limit_s, awaitable), None
    except BaseException as raised:  # noqa: BLE001 - a handler may raise anything
        return None, raised
