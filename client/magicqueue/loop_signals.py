"""The signals that stop a worker, caught by an event loop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Any

from magicqueue.stop_signals import STOP_SIGNALS, StopSignal, parents_only


@contextlib.asynccontextmanager
async def signals_in_loop(stop: StopSignal) -> AsyncIterator[None]:
    """Have the running event loop call `stop`; only a main thread's loop can."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}
    for number in STOP_SIGNALS:
        handler = signal.getsignal(number)
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stop, number)
            before[number] = handler
    try:
        with parents_only(before) if before else contextlib.nullcontext():
            yield
            await asyncio.sleep(stop.repeat_left_s())
    finally:
        for number in before:
            loop.remove_signal_handler(number)
