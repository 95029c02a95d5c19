"""The only place that reads a clock.

Inside the server time is wall time at the start plus what a monotonic clock has counted
since: it never runs backwards, and setting the machine's clock moves no deadline.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells epoch milliseconds that never run backwards."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        ...


class SystemClock:
    """The machine's clock, read as wall time once and as monotonic time from then on."""

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000
