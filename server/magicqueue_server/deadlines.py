"""When the time of those who wait is over.

The heap is cleaned lazily: an entry counts only while its owner still waits, and when more
than half of the entries are of no use it is built anew, so its size follows those who wait.
"""

import heapq
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from magicqueue_cores.contract import NEVER_MS

_SLACK: Final = 64


class Waits(Protocol):
    """Whoever has a deadline; NEVER_MS is none."""

    deadline_ms: int


W = TypeVar("W", bound=Waits)


class Deadlines(Generic[W]):
    """A heap of deadlines. waits: whether somebody who was added still waits."""

    def __init__(self, waits: Callable[[W], bool]) -> None:
        self._waits = waits
        self.next_ms = NEVER_MS
        """When the next one's time is over, at the earliest."""
        self._heap: list[tuple[int, int, W]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, one: W, waiting: int) -> None:
        """Add one who waits, of `waiting` in all. O(log n)."""
        if one.deadline_ms >= NEVER_MS:
            return
        self._serial += 1
        heapq.heappush(self._heap, (one.deadline_ms, self._serial, one))
        if len(self._heap) > 2 * waiting + _SLACK:
            self._heap = [entry for entry in self._heap if self._waits(entry[2])]
            heapq.heapify(self._heap)
        self._look()

    def postpone(self, by_ms: int) -> None:
        """Let everybody's time be over that much later. O(n)."""
        for _, _, one in self._heap:
            one.deadline_ms += by_ms
        self._heap = [(at_ms + by_ms, serial, one) for at_ms, serial, one in self._heap]
        self._look()

    def overdue(self, now_ms: int) -> Iterator[W]:
        """Take out all who wait and whose time is over, in order of their deadlines.

        One who was added twice comes twice, unless whoever is told lets it wait no more.
        """
        while self._heap and self._heap[0][0] <= now_ms:
            one = heapq.heappop(self._heap)[2]
            self._look()
            if self._waits(one):
                yield one

    def clear(self) -> None:
        """Forget everybody."""
        self._heap.clear()
        self._look()

    def _look(self) -> None:
        self.next_ms = self._heap[0][0] if self._heap else NEVER_MS
