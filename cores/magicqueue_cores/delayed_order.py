"""Jobs that wait for their time: a heap of (run_at, id) a queue, and a heap of queues.

Delayed jobs leave by maturing, always the first of their queue, or when their queue is
drained, all at once: draining one queue looks at no other. The heap of a queue that is
drained in steps is put aside as a whole. A job that leaves from the middle stays in its
heap as a ghost, which is passed over at the top; when most are ghosts the heap is made
anew.

The heap of queues has an *alarm* for the first job of each; an alarm that no
longer is its queue's current one is skipped at the top, and the heap is rebuilt when most
of it is of that kind.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, merge
from typing import Final

from magicqueue_cores.contract import NEVER_MS, TURN_JOBS_MAX, Place
from magicqueue_cores.heaps import ascending, passed
from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.ready_run import PASSED_MAX

_SPARE_ALARMS: Final = 64
_SPARE_GHOSTS: Final = 16
_HEAPIFY_FROM: Final = 8


class DelayedOrder:
    """The delayed jobs of all queues."""

    __slots__ = ("_alarm_of", "_alarms", "_by_queue", "_drained", "_ghosts", "_tally")

    def __init__(self, tally: Tally) -> None:
        """Start empty."""
        self._tally = tally
        self._by_queue: dict[str, list[tuple[int, int]]] = {}
        self._drained: dict[str, list[tuple[int, int]]] = {}
        """Jobs that are still here, but will not mature: their queue is being drained."""
        self._ghosts: dict[str, set[tuple[int, int]]] = {}
        """Entries of either heap of a queue whose jobs are not here; none is on top."""
        self._alarm_of: dict[str, tuple[int, int]] = {}
        self._alarms: list[tuple[tuple[int, int], str]] = []

    @property
    def next_ms(self) -> int:
        """When the first job is due, or NEVER_MS. O(1) amortised."""
        alarms = self._alarms
        while alarms and self._alarm_of.get(alarms[0][1]) != alarms[0][0]:
            heappop(alarms)
        return alarms[0][0][0] if alarms else NEVER_MS

    def count(self, queue: str) -> int:
        """How many jobs of a queue wait. O(1)."""
        waiting = len(self._by_queue.get(queue, ()))
        if queue in self._drained:
            waiting += len(self._drained[queue])
        return waiting - len(self._ghosts[queue]) if queue in self._ghosts else waiting

    def has_any(self, queue: str) -> bool:
        """Whether a job of a queue waits and will mature. O(1)."""
        return queue in self._by_queue

    def add(self, queue: str, entries: list[tuple[int, int]]) -> None:
        """Let jobs wait: `entries` are (run_at_ms, id). O(log n) a job."""
        self._tally.delayed += len(entries)
        if queue in self._ghosts:
            entries = self._without_ghosts(queue, entries)
        heap = self._by_queue.setdefault(queue, [])
        if len(entries) * _HEAPIFY_FROM > len(heap):
            heap += entries
            heapify(heap)
        else:
            for entry in entries:
                heappush(heap, entry)
        self._set_alarm(queue, heap)

    def due(self, now_ms: int, most: int) -> list[int]:
        """Take out the jobs due by now, `most` at most, by (run_at, id)."""
        ids: list[int] = []
        alarms = self._alarms
        while len(ids) < most and self.next_ms <= now_ms:
            _, queue = heappop(alarms)
            del self._alarm_of[queue]
            heap = self._by_queue[queue]
            until = min(alarms[0][0], (now_ms, NEVER_MS)) if alarms else (now_ms, NEVER_MS)
            ghosts = self._ghosts.get(queue)
            while heap and heap[0] <= until and len(ids) < most:
                ids.append(heappop(heap)[1])
                if ghosts:
                    _lay_those_on_top(heap, ghosts)
            if ghosts is not None:
                self._tidy(queue)
            self._set_alarm(queue, heap)
            alarms = self._alarms
        self._tally.delayed -= len(ids)
        return ids

    def remove(self, queue: str, run_at_ms: int, job_id: int) -> None:
        """Take out one job, which is here. O(log n) amortised."""
        self.remove_many(queue, ((run_at_ms, job_id),))

    def remove_many(self, queue: str, entries: Iterable[tuple[int, int]]) -> None:
        """Take out jobs, which are here: (run_at_ms, id). O(log n) a job, amortised."""
        heap = self._by_queue.get(queue, [])
        ghosts = self._ghosts.setdefault(queue, set())
        for entry in entries:
            self._tally.delayed -= 1
            if heap and heap[0] == entry:
                heappop(heap)
                _lay_those_on_top(heap, ghosts)
            else:
                ghosts.add(entry)
        self._tidy(queue)
        if queue in self._by_queue:
            self._set_alarm(queue, heap)

    def drain(self, queue: str) -> list[int]:
        """Take out all jobs of a queue; their ids in no particular order."""
        self.begin_drain(queue)
        heap = self._drained.pop(queue, [])
        ghosts = self._ghosts.pop(queue, ())
        self._tally.delayed -= len(heap) - len(ghosts)
        return [entry[1] for entry in heap if entry not in ghosts]

    def begin_drain(self, queue: str) -> None:
        """Let no job of a queue mature; they stay until `drain_some` takes them. O(1)."""
        heap = self._by_queue.pop(queue, None)
        if heap is None:
            return
        del self._alarm_of[queue]
        self._compact()
        if others := self._drained.get(queue):
            heap += others
            heapify(heap)
        self._drained[queue] = heap

    def drain_some(self, queue: str, most: int) -> list[int]:
        """Take out up to `most` of the jobs that will not mature, by (run_at, id).

        In this order a replay, which may have them still in the heap, finds each on top.
        """
        heap = self._drained.get(queue, [])
        ghosts = self._ghosts.get(queue)
        ids: list[int] = []
        while heap and len(ids) < most:
            ids.append(heappop(heap)[1])
            if ghosts:
                _lay_those_on_top(heap, ghosts)
        self._tally.delayed -= len(ids)
        if not heap:
            self._drained.pop(queue, None)
        if ghosts is not None:
            self._tidy(queue)
        return ids

    def in_turn(self, queue: str, after: Place | None) -> Iterator[Place]:
        """Yield the entries of a queue behind `after`, of the first TURN_JOBS_MAX.

        O(log n) each, and O(1) for each that is passed. If very many ghosts are among
        them, all ghosts go.
        """
        ghosts = self._ghosts.get(queue, set())
        over, met, rows = 0, 0, []
        for heap in (self._by_queue.get(queue), self._drained.get(queue)):
            entries, front = passed(heap or [], after, TURN_JOBS_MAX + PASSED_MAX)
            over += len(entries)
            met += sum(entry in ghosts for entry in entries)
            rows.append(ascending(heap or [], front))
        over -= met
        for entry in merge(*rows):
            if over >= TURN_JOBS_MAX or met > PASSED_MAX:
                break
            if entry in ghosts:
                met += 1
            else:
                over += 1
                after = entry
                yield entry
        if met > PASSED_MAX:
            self._lay_all(queue)
            yield from self.in_turn(queue, after)

    def check(self) -> dict[int, tuple[str, int]]:
        """Verify the structure; gives (queue, run_at_ms) of each job by id."""
        waiting: dict[int, tuple[str, int]] = {}
        alarms = set(self._alarms)
        for queue, heap in self._by_queue.items():
            assert self._alarm_of[queue] == min(heap), f"queue {queue!r}: wrong alarm"
            assert (self._alarm_of[queue], queue) in alarms, f"queue {queue!r}: no alarm"
        for queue in {*self._by_queue, *self._drained, *self._ghosts}:
            ghosts = self._ghosts.get(queue, set())
            assert ghosts or queue not in self._ghosts, f"queue {queue!r}: no ghosts"
            entries: list[tuple[int, int]] = []
            for heaps in (self._by_queue, self._drained):
                if queue in heaps:
                    heap = heaps[queue]
                    assert heap, f"queue {queue!r} is kept without a delayed job"
                    assert heap[0] == min(heap), f"queue {queue!r}: the heap is no heap"
                    assert heap[0] not in ghosts, f"queue {queue!r}: a ghost on top"
                    entries += heap
            assert ghosts <= set(entries), f"queue {queue!r}: a ghost is nowhere"
            living = [entry for entry in entries if entry not in ghosts]
            assert len(living) == len(entries) - len(ghosts), f"queue {queue!r}: twice"
            assert len(ghosts) <= len(living) + _SPARE_GHOSTS, f"queue {queue!r}: stale"
            for run_at_ms, job_id in living:
                assert job_id not in waiting, f"job {job_id} is delayed twice"
                waiting[job_id] = (queue, run_at_ms)
        assert self._tally.delayed == len(waiting), "delayed jobs miscounted"
        assert self._alarm_of.keys() == self._by_queue.keys(), "an alarm without a queue"
        limit = 2 * len(self._alarm_of) + _SPARE_ALARMS
        assert len(self._alarms) <= limit, "the heap of alarms is mostly stale"
        return waiting

    def _without_ghosts(
        self, queue: str, entries: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Let ghosts whose jobs are here again, at the same time as ever, be ones no more.

        Gives the other entries. In a queue that is being drained they may stand in either
        heap, so there all ghosts go. O(1) an entry, but O(n) then.
        """
        ghosts = self._ghosts[queue]
        again = ghosts.intersection(entries)
        if again and queue in self._drained:
            self._lay_all(queue)
        elif again:
            ghosts -= again
            if not ghosts:
                del self._ghosts[queue]
            return [entry for entry in entries if entry not in again]
        return entries

    def _tidy(self, queue: str) -> None:
        """Keep no ghost on top, and few of them. O(log n) amortised."""
        ghosts = self._ghosts[queue]
        heaps = [self._by_queue.get(queue), self._drained.get(queue)]
        for heap in heaps:
            if heap:
                _lay_those_on_top(heap, ghosts)
        if 2 * len(ghosts) > sum(len(heap) for heap in heaps if heap) + _SPARE_GHOSTS:
            self._lay_all(queue)
        elif not ghosts:
            del self._ghosts[queue]
        if not self._drained.get(queue, True):
            del self._drained[queue]

    def _lay_all(self, queue: str) -> None:
        """Make the heaps of a queue anew, without ghosts."""
        ghosts = self._ghosts.pop(queue)
        for heap in (self._by_queue.get(queue), self._drained.get(queue)):
            if heap:
                heap[:] = [entry for entry in heap if entry not in ghosts]
                heapify(heap)

    def _set_alarm(self, queue: str, heap: list[tuple[int, int]]) -> None:
        if not heap:
            del self._by_queue[queue]
            self._alarm_of.pop(queue, None)
        elif self._alarm_of.get(queue) != heap[0]:
            self._alarm_of[queue] = heap[0]
            heappush(self._alarms, (heap[0], queue))
        self._compact()

    def _compact(self) -> None:
        if len(self._alarms) > 2 * len(self._alarm_of) + _SPARE_ALARMS:
            self._alarms = [(first, queue) for queue, first in self._alarm_of.items()]
            heapify(self._alarms)


def _lay_those_on_top(heap: list[tuple[int, int]], ghosts: set[tuple[int, int]]) -> None:
    while ghosts and heap and heap[0] in ghosts:
        ghosts.remove(heappop(heap))
