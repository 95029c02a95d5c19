"""The ready jobs of one priority, in the order they became ready.

A deque of job ids, and a small heap for jobs that came back to their old place. Arrivals
always have the newest ready sequence, so they go to the deque's end, and a pull compares
two heads at most.

Nothing is ever searched for. A job that leaves the heap is skipped at its top. One that
leaves the deque's middle stays there as a ghost, which is passed over at the front. Either
is made anew when most of it is of that kind.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush, merge
from typing import Final, Protocol

from magicqueue_cores.heaps import ascending

SPARE_ENTRIES: Final = 16
PASSED_MAX: Final = 10_000
"""So many places of jobs that are not there are passed over by who lists the others."""


class ReadyJob(Protocol):
    """What the order must know of a job."""

    payload: bytes
    run_at_ms: int

    def ready_key(self, job_id: int) -> int:
        """Its place among jobs of equal priority; lower is earlier."""
        ...


class Run:
    """The ready jobs of one priority.

    An arrival that leaves from the middle stays in the deque as a *ghost*. A job may enter
    anew, so an id may stand there more than once: the first of them are ghosts, as many as
    `_ghosts` says. No ghost is at the front.
    """

    __slots__ = (
        "_ghost_count",
        "_ghosts",
        "arrivals",
        "moved_ids",
        "plain",
        "returned",
        "returned_keys",
    )

    def __init__(self) -> None:
        """Start empty."""
        self.arrivals: deque[int] = deque()
        self.returned: list[tuple[int, int]] = []
        self.returned_keys: dict[int, int] = {}
        self.moved_ids: set[int] = set()
        """Those among the returned that were put there from a log, not by a loss."""
        self.plain = True
        """Whether all that it has are arrivals, and none of them is a ghost."""
        self._ghosts: dict[int, int] = {}
        self._ghost_count = 0

    def __bool__(self) -> bool:
        return bool(self.arrivals or self.returned_keys)

    def __len__(self) -> int:
        return len(self.arrivals) - self._ghost_count + len(self.returned_keys)

    def members(self) -> list[int]:
        """All its jobs: the arrivals in order, then those that came back."""
        return [*self._living(), *self.returned_keys]

    def in_turn(self, table: Mapping[int, ReadyJob]) -> Iterator[tuple[int, int]]:
        """Yield (ready key, id) of its jobs in order: O(1) each, O(log n) if it came back.

        What left in between is passed over; where that gets to be much, it goes.
        """
        arrivals = self._arrivals_in_turn(table, -1)
        return merge(arrivals, self._returned_in_turn(-1)) if self.returned else arrivals

    def _arrivals_in_turn(
        self, table: Mapping[int, ReadyJob], behind: int
    ) -> Iterator[tuple[int, int]]:
        ghosts, seen, met = self._ghosts, dict[int, int](), 0
        for job_id in self.arrivals:
            if ghosts and seen.get(job_id, 0) < ghosts.get(job_id, 0):
                seen[job_id] = seen.get(job_id, 0) + 1
                met += 1
                if met > PASSED_MAX:
                    break
                continue
            key = table[job_id].ready_key(job_id)
            if key > behind:
                yield key, job_id
                behind = key
        if met > PASSED_MAX:
            self._lay_ghosts()
            yield from self._arrivals_in_turn(table, behind)

    def _returned_in_turn(self, behind: int) -> Iterator[tuple[int, int]]:
        met = 0
        for key, job_id in ascending(self.returned):
            if key > behind and self.returned_keys.get(job_id) == key:
                yield key, job_id
                behind = key  # who came back twice stands there twice
            elif key > behind:
                met += 1
                if met > PASSED_MAX:
                    break
        if met > PASSED_MAX:
            self._make_returned_anew()
            yield from self._returned_in_turn(behind)

    def returned_first(self, table: Mapping[int, ReadyJob]) -> bool:
        """Whether the next job is one that came back. The run must not be empty."""
        returned = self.returned
        while returned and self.returned_keys.get(returned[0][1]) != returned[0][0]:
            heappop(returned)
        if not returned:
            return False
        if not self.arrivals:
            return True
        first = self.arrivals[0]
        return returned[0][0] < table[first].ready_key(first)

    def first(self, table: Mapping[int, ReadyJob]) -> int:
        """The next job. The run must not be empty."""
        return self.returned[0][1] if self.returned_first(table) else self.arrivals[0]

    def take_arrivals(self, count: int) -> list[int]:
        """Take up to `count` arrivals, in order."""
        arrivals = self.arrivals
        if self._ghosts:
            return self._take_among_ghosts(count)
        if count >= len(arrivals):
            ids = list(arrivals)
            arrivals.clear()
            return ids
        pop = arrivals.popleft
        return [pop() for _ in range(count)]

    def take_until(self, upto: int, count: int, table: Mapping[int, ReadyJob]) -> list[int]:
        """Take up to `count` arrivals, if it is plain and all have such a ready key."""
        if not self.plain or not self.arrivals:
            return []
        last = self.arrivals[-1]
        return self.take_arrivals(count) if table[last].ready_key(last) <= upto else []

    def give_back(self, ready_key: int, job_id: int) -> None:
        """Put a job back to its old place."""
        heappush(self.returned, (ready_key, job_id))
        self.returned_keys[job_id] = ready_key
        self.plain = False

    def remove(self, job_id: int) -> bool:
        """Take out one job, which is here: O(1) amortised, or O(log n) if it came back.

        Says whether it had come back.
        """
        came_back = job_id in self.returned_keys
        if came_back:
            del self.returned_keys[job_id]
            self.moved_ids.discard(job_id)
            if len(self.returned) > 2 * len(self.returned_keys) + SPARE_ENTRIES:
                self._make_returned_anew()
        elif self.arrivals[0] == job_id:
            self.arrivals.popleft()
        else:
            self._ghosts[job_id] = self._ghosts.get(job_id, 0) + 1
            self._ghost_count += 1
        self._tidy()
        return came_back

    def check(self) -> list[int]:
        """Verify the ghosts; gives the arrivals in order."""
        arrivals, counts = self._living(), Counter(self.arrivals)
        counts.subtract(arrivals)
        assert +counts == self._ghosts, "the ghosts are not those that left"
        assert self._ghost_count == counts.total(), "ghosts miscounted"
        assert not self.arrivals or self.arrivals[0] not in self._ghosts, "a ghost in front"
        assert self._ghost_count <= len(arrivals) + SPARE_ENTRIES, "mostly ghosts"
        assert self.plain is not bool(self.returned_keys or self._ghosts), "not plain"
        return arrivals

    def _living(self) -> list[int]:
        if not self._ghosts:
            return list(self.arrivals)
        ghosts, living = dict(self._ghosts), []
        for job_id in self.arrivals:
            if ghosts.get(job_id):
                ghosts[job_id] -= 1
            else:
                living.append(job_id)
        return living

    def _take_among_ghosts(self, count: int) -> list[int]:
        ids: list[int] = []
        while self.arrivals and len(ids) < count:
            ids.append(self.arrivals.popleft())
            self._lay_those_in_front()
        self._tidy()
        return ids

    def _tidy(self) -> None:
        """Keep the front alive and the ghosts few: O(1) amortised over those that came."""
        if self._ghosts:
            self._lay_those_in_front()
            if 2 * self._ghost_count > len(self.arrivals) + SPARE_ENTRIES:
                self._lay_ghosts()
        self.plain = not (self.returned_keys or self._ghosts)

    def _lay_ghosts(self) -> None:
        self.arrivals = deque(self._living())
        self._ghosts.clear()
        self._ghost_count = 0
        self.plain = not self.returned_keys

    def _make_returned_anew(self) -> None:
        self.returned = [(key, job_id) for job_id, key in self.returned_keys.items()]
        heapify(self.returned)

    def _lay_those_in_front(self) -> None:
        arrivals, ghosts = self.arrivals, self._ghosts
        while arrivals and (left := ghosts.get(arrivals[0])):
            job_id = arrivals.popleft()
            self._ghost_count -= 1
            if left == 1:
                del ghosts[job_id]
            else:
                ghosts[job_id] = left - 1
