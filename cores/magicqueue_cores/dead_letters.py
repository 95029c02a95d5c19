"""The dead letters of one queue, in order of death, bounded by count and bytes.

It knows ids and sizes (payload and error text) only, so every core can use it. The order
is a list that only grows at its end; a letter that leaves becomes a tombstone, so that a
reader who holds its id as a cursor still finds the place. Tombstones take memory that
nobody counts, so when they are more than two a letter the list is compacted. Of
each run of tombstones the last one stays: whoever lists a page, retries each of its jobs
and lists on behind the last one finds the place again.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias

from magicqueue_cores.contract import JobView, NotFound

OnDeath: TypeAlias = Callable[[list[JobView], int], None]
"""Called with the first of the jobs that died together, and with how many they are.

It is called inside the verb, not in a replay, and must not call the core back.
"""
DEATHS_SHOWN: Final = 10
"""How many of them it is shown."""

_SPARE_TOMBSTONES: Final = 2
_NO_BOUND: Final = 2**63


class DeadLetters:
    """Ids and sizes of a queue's dead jobs.

    queue: its name, for error messages.
    jobs_max, bytes_max: what `overflow` keeps; 0 is no bound.
    """

    __slots__ = (
        "_bytes_max",
        "_first",
        "_jobs_max",
        "_order",
        "_place",
        "_queue",
        "_sizes",
        "content_bytes",
    )

    def __init__(self, queue: str, jobs_max: int, bytes_max: int) -> None:
        """Start empty."""
        self.content_bytes = 0
        self._queue = queue
        self._jobs_max = jobs_max or _NO_BOUND
        self._bytes_max = bytes_max or _NO_BOUND
        self._order: list[int] = []
        self._place: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._first = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._sizes

    def __iter__(self) -> Iterator[int]:
        return self._from(self._first)

    def add(self, job_id: int, content_bytes: int) -> None:
        """Append a job that died just now. O(1)."""
        self._place[job_id] = len(self._order)
        self._order.append(job_id)
        self._sizes[job_id] = content_bytes
        self.content_bytes += content_bytes

    def put_in(self, sizes: Mapping[int, int], order_of: Callable[[int], int]) -> None:
        """Put letters (sizes by id) among the others where `order_of` says. O(n log n)."""
        self._sizes.update(sizes)
        self.content_bytes += sum(sizes.values())
        self._order = sorted(self._sizes, key=order_of)
        self._place = {job_id: index for index, job_id in enumerate(self._order)}
        self._first = 0

    def remove(self, job_id: int) -> None:
        """Take a letter out; its place stays known for a while. O(1) amortised.

        Raises KeyError if it is not here.
        """
        self.content_bytes -= self._sizes.pop(job_id)
        if len(self._order) - len(self._sizes) > self._tombstones_max():
            self._compact()

    def overflow(self) -> list[int]:
        """The oldest letters, which must be removed to keep within the bounds."""
        count, size = len(self._sizes), self.content_bytes
        if count <= self._jobs_max and size <= self._bytes_max:
            return []
        excess = []
        for job_id in self:
            if count <= self._jobs_max and size <= self._bytes_max:
                break
            excess.append(job_id)
            count -= 1
            size -= self._sizes[job_id]
        return excess

    def first(self, most: int) -> list[int]:
        """The oldest letters, `most` at most, oldest first."""
        return list(islice(self, most))

    def after(self, after_id: int | None) -> Iterator[int]:
        """The letters behind `after_id` (None: all), oldest first.

        Raises `NotFound` if the place of `after_id` is not known any more.
        """
        if after_id is None:
            return iter(self)
        place = self._place.get(after_id)
        if place is None:
            raise NotFound(no_such_cursor(self._queue, after_id))
        return self._from(place + 1)

    def check(self) -> None:
        """Verify the structure: AssertionError names what is broken.

        The bounds are not part of it: a log may have been written under wider ones.
        """
        assert list(self) == sorted(self._sizes, key=self._place.__getitem__), "order"
        assert set(self) == set(self._sizes), "a letter is not in the order"
        assert self.content_bytes == sum(self._sizes.values()), "content bytes"
        tombstones = len(self._order) - len(self._sizes)
        assert tombstones <= self._tombstones_max(), "too many tombstones"
        for job_id, place in self._place.items():
            assert self._order[place] == job_id, f"job {job_id} has a wrong place"

    def _tombstones_max(self) -> int:
        """How many there may be: none but the last one of all once no letter is left.

        One may stay before each letter, so it takes more than that to compact again.
        """
        letters = len(self._sizes)
        return 2 * letters + _SPARE_TOMBSTONES if letters else 1

    def _from(self, place: int) -> Iterator[int]:
        leading = place <= self._first
        for index in range(max(place, self._first), len(self._order)):
            job_id = self._order[index]
            if job_id in self._sizes and self._place[job_id] == index:
                if leading:
                    self._first = index
                    leading = False
                yield job_id

    def _compact(self) -> None:
        order: list[int] = []
        tombstone: int | None = None
        # Of the tombstones before the first letter, most of all as a rule, one stays.
        begin = max(self._first - 1, 0)
        while begin and self._place[self._order[begin]] != begin:
            begin -= 1
        for index in range(begin, len(self._order)):
            job_id = self._order[index]
            if self._place[job_id] != index:
                continue  # it came back to life and died again: its later place counts
            if job_id not in self._sizes:
                tombstone = job_id
                continue
            if tombstone is not None:
                order.append(tombstone)
                tombstone = None
            order.append(job_id)
        if tombstone is not None:
            order.append(tombstone)
        self._order = order
        self._place = {job_id: index for index, job_id in enumerate(order)}
        self._sizes = dict(
            self._sizes
        )  # a table that lost most of what was in it stays large
        self._first = 0


def no_such_cursor(queue: str, after_id: int) -> str:
    """What to tell someone whose cursor is gone."""
    return (
        f"job {after_id} is no longer among the dead letters of {queue!r}; "
        "start again without 'after'"
    )
