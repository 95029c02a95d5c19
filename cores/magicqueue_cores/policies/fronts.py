"""Queues by the job that waits the longest for its turn in each.

A heap of places, which are looked at again when they come first: jobs leave lines at no
cost here, and who asks pays for the queues whose first job went since.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

_SPARE_STALE: Final = 64


class Fronts:
    """place_of: gives the place of a queue's first job, 0 if none waits."""

    __slots__ = ("_heap", "_listed", "_place_of")

    def __init__(self, place_of: Callable[[str], int]) -> None:
        """Start without queues."""
        self._place_of = place_of
        self._heap: list[tuple[int, str]] = []
        self._listed: dict[str, int] = {}
        """The place in the entry of each queue that holds."""

    def note(self, queue: str, place: int) -> None:
        """Be told of the first job of a queue. O(1), or O(log n) if it is no later one."""
        listed = self._listed.get(queue)
        if listed is not None and listed <= place:
            return
        self._listed[queue] = place
        heappush(self._heap, (place, queue))
        if len(self._heap) > 2 * len(self._listed) + _SPARE_STALE:
            self._heap = [(at, name) for name, at in self._listed.items()]
            heapify(self._heap)

    def forget(self, queue: str) -> None:
        """Forget a queue. O(1)."""
        self._listed.pop(queue, None)

    def first(self) -> str | None:
        """Return whose job waits the longest. O(log n) amortised a job that left."""
        heap, listed = self._heap, self._listed
        while heap:
            place, queue = heap[0]
            if listed.get(queue) != place:
                heappop(heap)
                continue
            now = self._place_of(queue)
            if now == place:
                return queue
            if now:
                listed[queue] = now
                heapreplace(heap, (now, queue))
            else:
                del listed[queue]
                heappop(heap)
        return None

    def check(self, queues: set[str]) -> None:
        """Verify that queues with jobs that wait are here: AssertionError if not."""
        assert queues <= self._listed.keys(), "a queue with jobs that wait is lost"
        entries = {(place, queue) for queue, place in self._listed.items()}
        assert entries <= set(self._heap), "a queue has no entry"
