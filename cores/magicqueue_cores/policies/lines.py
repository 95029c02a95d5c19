"""The order within a line: first in first out, and old places for those that come back.

A job's *place* is a number that rises with each job that enters a line, of whatever group.
It is told in the job's mark, so it is the same after a restart, and a job that comes back
from its worker finds it again. Newcomers have the highest place: they are chained, one
behind the other, through their marks. Those that come back are in a small heap beside the
chain, which most lines never have. So a job enters and leaves, from wherever it is, in
O(1), or O(log n) if it came back. Entries of the heap of jobs that left are passed over.

The chain is linked both ways, by ids. What is before its first job is not kept up to date.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final

from magicqueue_cores.policies.group import Back, Line
from magicqueue_cores.policies.wishes import BACK, GroupedMark

_SPARE_STALE: Final = 8


class Lines:
    """Moves jobs in and out of their lines. by_id: all marks."""

    __slots__ = ("_by_id",)

    def __init__(self, by_id: dict[int, Any]) -> None:
        self._by_id: dict[int, GroupedMark] = by_id

    def enter(self, line: Line, job_id: int, mark: GroupedMark) -> None:
        """Let a job wait at its place. O(1), or O(log n) if others are behind it."""
        last = line.last
        if not last:
            line.first = line.last = job_id
            mark.before = mark.following = 0
        elif self._by_id[last].place < mark.place:
            self._by_id[last].following = job_id
            mark.before, mark.following = last, 0
            line.last = job_id
        else:
            self._put_back(line, job_id, mark)

    def come_back(self, line: Line, job_id: int, mark: GroupedMark) -> None:
        """Let a job wait at its old place, most likely before all others. O(log n)."""
        first = line.first
        if not first:
            line.first = line.last = job_id
            mark.before = mark.following = 0
        elif line.back is None and mark.place < self._by_id[first].place:
            mark.before, mark.following = 0, first
            self._by_id[first].before = job_id
            line.first = job_id
        else:
            self._put_back(line, job_id, mark)

    def leave(self, line: Line, job_id: int, mark: GroupedMark) -> None:
        """Let a job wait no more, wherever it stands. O(1) amortised."""
        if mark.flags & BACK:
            mark.flags &= ~BACK
            back = line.back
            assert back is not None, "who came back is there"
            back.count -= 1
            if not back.count:
                line.back = None
            elif len(back.heap) > 2 * back.count + _SPARE_STALE:
                back.heap = [entry for entry in set(back.heap) if self._holds(*entry)]
                heapify(back.heap)
            return
        following, first = mark.following, line.first == job_id
        if first:
            line.first = following
        else:
            self._by_id[mark.before].following = following
        if not following:
            line.last = 0 if first else mark.before
        elif not first:
            self._by_id[following].before = mark.before

    def head(self, line: Line) -> int:
        """Return who is first, 0 if nobody waits. O(1) amortised."""
        first, back = line.first, line.back
        if back is None:
            return first
        heap = back.heap
        while not self._holds(*heap[0]):
            heappop(heap)
        if first and self._by_id[first].place < heap[0][0]:
            return first
        return heap[0][1]

    def in_order(self, line: Line) -> Iterator[int]:
        """Return who waits, from the first on. O(n log n) of those that came back."""
        heap = [] if line.back is None else line.back.heap
        back = sorted(entry for entry in set(heap) if self._holds(*entry))
        back.reverse()
        job_id = line.first
        while job_id:
            mark = self._by_id[job_id]
            while back and back[-1][0] < mark.place:
                yield back.pop()[1]
            yield job_id
            job_id = mark.following
        while back:
            yield back.pop()[1]

    def check(self, line: Line) -> list[int]:
        """Verify a line; return who waits. AssertionError names what is broken."""
        before, job_id = 0, line.first
        while job_id:
            mark = self._by_id[job_id]
            assert mark.line is line, f"job {job_id} is in a line of others"
            assert not mark.flags & BACK, f"job {job_id} is in the chain and beside it"
            assert not before or mark.before == before, f"job {job_id}: who is before it"
            before, job_id = job_id, mark.following
        assert line.last == before, "the end of a line is another"
        ids = list(self.in_order(line))
        places = [self._by_id[job_id].place for job_id in ids]
        assert places == sorted(set(places)), f"a line is not in order: {ids}"
        if line.back is not None:
            count = sum(bool(self._by_id[job_id].flags & BACK) for job_id in ids)
            assert 0 < count == line.back.count, "those that came back miscounted"
            spare = len(line.back.heap) - 2 * count
            assert spare <= _SPARE_STALE, "those that came back are mostly stale"
        return ids

    def _put_back(self, line: Line, job_id: int, mark: GroupedMark) -> None:
        mark.flags |= BACK
        if line.back is None:
            line.back = Back([])
        line.back.count += 1
        heappush(line.back.heap, (mark.place, job_id))

    def _holds(self, place: int, job_id: int) -> bool:
        mark = self._by_id.get(job_id)
        return mark is not None and bool(mark.flags & BACK) and mark.place == place
