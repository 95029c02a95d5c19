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

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, to measure how long something takes."""
        ...

    def not_before(self, ms: int) -> int:
        """Go on from this time if it is later than now; gives by how much it was."""
        ...


class SystemClock:
    """The machine's clock, read as wall time once and as monotonic time from then on."""

    __slots__ = ("_offset_ns",)

    monotonic_ns = staticmethod(time.monotonic_ns)
    """Nanoseconds since some moment, to measure how long something takes."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    def not_before(self, ms: int) -> int:
        """Go on from this time if it is later than now; gives by how much it was.

        So when the machine's clock was set back while no server ran, delays of jobs that a
        log kept go on from where they were instead of growing by the difference.
        """
        ahead_ms = max(0, ms - self.now_ms())
        self._offset_ns += ahead_ms * 1_000_000
        return ahead_ms
