"""What happens at a time of its own: heaps whose entries are dropped lazily."""

from collections.abc import Callable, Collection, Hashable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

from magicqueue_cores.contract import NEVER_MS

T = TypeVar("T", bound=Hashable)

_SPARE_STALE: Final = 64
ENTRY_BYTES: Final = 72
"""What an entry takes: a pair, its time and its place in the heap."""


class Clock:
    """The earliest moment of all `Moments` that have it, or one before that."""

    __slots__ = ("due_ms",)

    def __init__(self) -> None:
        """Start with nothing to come."""
        self.due_ms = NEVER_MS


class Tally:
    """A count of all that there is, such as bytes, kept up as it comes and goes."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        """Start with nothing."""
        self.size = 0


class Moments(Generic[T]):
    """Things (ids, keys) by time. `holds(at_ms, what)` says whether an entry still does."""

    __slots__ = ("_clock", "_heap", "_holds", "count")

    def __init__(self, clock: Clock, holds: Callable[[int, T], bool]) -> None:
        """Start empty."""
        self._clock = clock
        self._holds = holds
        self._heap: list[tuple[int, T]] = []
        self.count = 0
        """Entries that hold."""

    @property
    def next_ms(self) -> int:
        """When the next entry is due, or a stale one; NEVER_MS if there is none."""
        return self._heap[0][0] if self._heap else NEVER_MS

    def add(self, at_ms: int, what: T) -> None:
        """Put an entry in. O(log n)."""
        self.add_all(at_ms, (what,))

    def add_all(self, at_ms: int, these: Collection[T]) -> None:
        """Put entries of one moment in. O(log n) each, O(1) if it is the last moment."""
        heap = self._heap
        for what in these:
            heappush(heap, (at_ms, what))
        self.count += len(these)
        self._clock.due_ms = min(self._clock.due_ms, at_ms)

    def lose(self, count: int = 1) -> None:
        """Count entries that hold no more. O(1) amortised."""
        self.count -= count
        if len(self._heap) > 2 * self.count + _SPARE_STALE:
            # Equal entries may be here twice, of which only one counts.
            self._heap = list({entry for entry in self._heap if self._holds(*entry)})
            heapify(self._heap)

    def due(self, until_ms: int, most: int) -> list[T]:
        """Take out those due by then, `most` at most, by (time, what). O(log n) each.

        Who calls sees to it at once that their entries hold no more.
        """
        heap, found = self._heap, dict[T, None]()
        while heap and heap[0][0] <= until_ms and len(found) < most:
            at_ms, what = heappop(heap)
            if what not in found and self._holds(at_ms, what):
                found[what] = None
        self.count -= len(found)
        return list(found)

    def check(self, name: str) -> None:
        """Verify the structure: AssertionError names what is broken."""
        held = {entry for entry in self._heap if self._holds(*entry)}
        assert len(held) == self.count, f"{name}: {self.count} counted, {len(held)} here"
        assert len(self._heap) <= 2 * self.count + _SPARE_STALE, f"{name}: mostly stale"
        assert self._clock.due_ms <= self.next_ms, f"{name}: the deadline is too late"
