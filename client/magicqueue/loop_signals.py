"""The signals that stop a worker, caught by an event loop."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from magicqueue.stop_signals import STOP_SIGNALS, StopSignal


@contextlib.asynccontextmanager
async def signals_in_loop(stop: StopSignal) -> AsyncIterator[None]:
    """Have the running event loop call `stop`; only a main thread's loop can."""
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []
    for number in STOP_SIGNALS:
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stop, number)
            caught.append(number)
    try:
        yield
        await asyncio.sleep(stop.repeat_left_s())
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
