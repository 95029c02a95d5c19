"""Tasks that begin at once where Python can do that."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

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
        return loop.create_task(coroutine)
