"""The only place that reads a clock.

Inside the server time never runs backwards: it is wall time at the start plus what a
monotonic clock has counted since. `follow_wall` compares the two now and then:

- The machine's clock was put forward (by NTP after the boot of a board without a battery,
  after a suspended machine woke up): time jumps ahead with it, and the caller is told by
  how much, since what was asked as a span, such as a lease, has not lasted longer for that.
- It was put back: time goes on, as nothing that was counted is undone, and is *ahead* of
  the wall from then on. Moments that come in or are told are translated by that much, so
  they are wall time all the same. A later step forward is first taken off what it is ahead.

What a clock is slewed by (some milliseconds a second) is followed in the same way.
"""

import ctypes
import time
from typing import Final, Protocol

STEP_MS: Final = 100
"""A change of the wall clock between two looks that is no slewing."""
_NOISE_NS: Final = 2_000_000
"""Two clocks cannot be read at the same moment."""
_READS_MAX: Final = 5
_TIMEX_BYTES: Final = 256
"""Room for a `struct timex`; all zeros, it asks and sets nothing."""
_TIME_ERROR: Final = 5


class Clock(Protocol):
    """Tells epoch milliseconds that never run backwards."""

    @property
    def ahead_ms(self) -> int:
        """By how much time is ahead of the wall clock, as of the last look at that."""
        ...

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, to measure how long something takes."""
        ...

    def follow_wall(self) -> int:
        """Look at the wall clock; gives by how much time has jumped ahead, or 0."""
        ...

    def not_before(self, ms: int) -> int:
        """Go on from this time if it is later than now; gives by how much it was."""
        ...


class SystemClock:
    """The machine's clock, counted on by its monotonic one."""

    __slots__ = ("_ahead_ns", "_offset_ns")

    monotonic_ns = staticmethod(time.monotonic_ns)
    """Nanoseconds since some moment, to measure how long something takes."""

    def __init__(self) -> None:
        self._offset_ns = _wall_offset_ns()
        self._ahead_ns = 0

    @property
    def ahead_ms(self) -> int:
        """By how much time is ahead of the wall clock, as of the last look at that."""
        return self._ahead_ns // 1_000_000

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    def follow_wall(self) -> int:
        """Look at the wall clock; gives by how much time has jumped ahead, or 0."""
        forward_ns = _wall_offset_ns() - self._offset_ns + self._ahead_ns
        if abs(forward_ns) < _NOISE_NS:
            return 0
        self._ahead_ns -= forward_ns
        if self._ahead_ns >= 0:
            return 0
        jump_ns, self._ahead_ns = -self._ahead_ns, 0
        self._offset_ns += jump_ns
        jump_ms = jump_ns // 1_000_000
        return jump_ms if jump_ms >= STEP_MS else 0

    def not_before(self, ms: int) -> int:
        """Go on from this time if it is later than now; gives by how much it was.

        So when the machine's clock was set back while no server ran, delays of jobs that a
        log kept go on from where they were instead of growing by the difference.
        """
        ahead_ms = max(0, ms - self.now_ms())
        self._offset_ns += ahead_ms * 1_000_000
        self._ahead_ns += ahead_ms * 1_000_000
        return ahead_ms


def _wall_offset_ns() -> int:
    """Wall time minus monotonic time, both of one moment as nearly as it can be had."""
    nearest = None
    for _ in range(_READS_MAX):
        before_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        span_ns = time.monotonic_ns() - before_ns
        if nearest is None or span_ns < nearest[0]:
            nearest = span_ns, wall_ns - before_ns
        if span_ns < _NOISE_NS // 2:
            break
    assert nearest is not None, "it was read once at least"
    return nearest[1]


def is_synchronised() -> bool | None:
    """Whether the kernel knows of something that keeps its clock right; None: who knows."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    return None if state < 0 else bool(state != _TIME_ERROR)
