"""Which queue has the job that has been ready for longest: a heap of lower bounds.

Each queue that may have ready jobs has a *bound*: the earliest run_at of its ready jobs, or
less. A queue tells when it gets a job that is earlier than all it may have; pulls tell
nothing. Whoever asks puts wrong bounds right from the top until the top is exact, so asking
is O(1) while nothing changes, and O(log q) for each queue that changed since.

Entries hold names and are never searched for: one that is not its queue's bound any more is
skipped at the top, and the heap is rebuilt when most of it is of that kind.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from magicqueue_cores.contract import NEVER_MS

_SPARE_ENTRIES: Final = 64


class OldestReady:
    """The bounds of all queues."""

    __slots__ = ("_bounds", "_heap")

    def __init__(self) -> None:
        """Start with no queue."""
        self._bounds: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def lower(self, queue: str, run_at_ms: int) -> None:
        """Note that a queue has a ready job with this run_at. O(log q)."""
        if run_at_ms < self._bounds.get(queue, NEVER_MS):
            self._bounds[queue] = run_at_ms
            heappush(self._heap, (run_at_ms, queue))
            self._compact()

    def forget(self, queue: str) -> None:
        """A queue that has no ready jobs is gone."""
        if self._bounds.pop(queue, None) is not None:
            self._compact()

    def first_ms(self, oldest_of: Callable[[str], int | None]) -> int | None:
        """The earliest run_at of all ready jobs; `oldest_of` gives a queue's. Amortised."""
        heap, bounds = self._heap, self._bounds
        while heap:
            bound, queue = heap[0]
            if bounds.get(queue) != bound:
                heappop(heap)
                continue
            run_at_ms = oldest_of(queue)
            if run_at_ms == bound:
                return bound
            if run_at_ms is None:
                del bounds[queue]
                heappop(heap)
            else:
                bounds[queue] = run_at_ms
                heapreplace(heap, (run_at_ms, queue))
        return None

    def check(self, oldest_ms: dict[str, int]) -> None:
        """Verify the bounds against the true oldest of all queues with ready jobs."""
        listed = set(self._heap)
        for queue, run_at_ms in oldest_ms.items():
            bound = self._bounds.get(queue, NEVER_MS)
            assert bound <= run_at_ms, f"queue {queue!r}: the bound is too late"
        for queue, bound in self._bounds.items():
            assert (bound, queue) in listed, f"queue {queue!r}: no entry for its bound"
        limit = 2 * len(self._bounds) + _SPARE_ENTRIES
        assert len(self._heap) <= limit, "the heap of oldest queues is mostly stale"

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._bounds) + _SPARE_ENTRIES:
            self._heap = [(bound, queue) for queue, bound in self._bounds.items()]
            heapify(self._heap)
