"""How long the disk takes to make things safe, as a histogram that is counted along.

Only one thread syncs at a time, and whoever looks may miss the sync that just ends.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

BOUNDS_S: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


class SyncTimes:
    """Counts by time. now_ns: where that comes from (set by who has a clock)."""

    def __init__(self) -> None:
        self.now_ns: Callable[[], int] = lambda: 0
        self.counts: Final = [0] * (len(BOUNDS_S) + 1)
        """Syncs up to each bound, and beyond the last."""
        self.sum_s = 0.0

    def timed(self, sync: Callable[[], None]) -> None:
        """Sync, and count how long that takes; one that fails is not counted."""
        began_ns = self.now_ns()
        sync()
        took_s = (self.now_ns() - began_ns) / 1e9
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.sum_s += took_s
