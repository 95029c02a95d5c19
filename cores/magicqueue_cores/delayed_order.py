"""Jobs that wait for their time: a heap of (run_at, id) a queue, and a heap of queues.

Delayed jobs leave by maturing, always the first of their queue, or when their queue is
drained, all at once: so the heaps of jobs hold nothing stale, and draining one queue
looks at no other. The heap of a queue that is drained in steps is put aside as a whole.

The heap of queues has an *alarm* for the first job of each; an alarm that no
longer is its queue's current one is skipped at the top, and the heap is rebuilt when most
of it is of that kind.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.memory_tally import Tally

_SPARE_ALARMS: Final = 64
_HEAPIFY_FROM: Final = 8


class DelayedOrder:
    """The delayed jobs of all queues."""

    __slots__ = ("_alarm_of", "_alarms", "_by_queue", "_drained", "_tally")

    def __init__(self, tally: Tally) -> None:
        """Start empty."""
        self._tally = tally
        self._by_queue: dict[str, list[tuple[int, int]]] = {}
        self._drained: dict[str, list[tuple[int, int]]] = {}
        """Jobs that are still here, but will not mature: their queue is being drained."""
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
        return waiting + len(self._drained[queue]) if queue in self._drained else waiting

    def has_any(self, queue: str) -> bool:
        """Whether a job of a queue waits and will mature. O(1)."""
        return queue in self._by_queue

    def add(self, queue: str, entries: list[tuple[int, int]]) -> None:
        """Let jobs wait: `entries` are (run_at_ms, id). O(log n) a job."""
        heap = self._by_queue.setdefault(queue, [])
        if len(entries) * _HEAPIFY_FROM > len(heap):
            heap += entries
            heapify(heap)
        else:
            for entry in entries:
                heappush(heap, entry)
        self._tally.delayed += len(entries)
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
            while heap and heap[0] <= until and len(ids) < most:
                ids.append(heappop(heap)[1])
            self._set_alarm(queue, heap)
            alarms = self._alarms
        self._tally.delayed -= len(ids)
        return ids

    def remove(self, queue: str, run_at_ms: int, job_id: int) -> None:
        """Take one job out. O(log n) if it is its queue's first, else O(n).

        Raises ValueError if it is not here.
        """
        heap = self._by_queue.get(queue, [])
        if heap and heap[0][1] == job_id:
            heappop(heap)
        else:
            heap.remove((run_at_ms, job_id))
            heapify(heap)
        self._tally.delayed -= 1
        self._set_alarm(queue, heap)

    def drain(self, queue: str) -> list[int]:
        """Take out all jobs of a queue; their ids in no particular order."""
        self.begin_drain(queue)
        heap = self._drained.pop(queue, [])
        self._tally.delayed -= len(heap)
        return [job_id for _, job_id in heap]

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
        count = min(most, len(heap))
        self._tally.delayed -= count
        ids = [heappop(heap)[1] for _ in range(count)]
        if not heap:
            self._drained.pop(queue, None)
        return ids

    def remove_many(self, queue: str, ids: Sequence[int]) -> None:
        """Take jobs out: O(log n) each while the first is the queue's first, else O(n).

        All of them are here.
        """
        heap = self._by_queue[queue]
        gone = len(ids)
        self._tally.delayed -= gone
        at = 0
        while at < gone and heap[0][1] == ids[at]:
            heappop(heap)
            at += 1
        if at < gone:
            left = set(ids[at:])
            heap[:] = [entry for entry in heap if entry[1] not in left]
            heapify(heap)
        self._set_alarm(queue, heap)

    def check(self) -> dict[int, tuple[str, int]]:
        """Verify the structure; gives (queue, run_at_ms) of each job by id."""
        waiting: dict[int, tuple[str, int]] = {}
        alarms = set(self._alarms)
        for queue, heap in self._by_queue.items():
            assert heap, f"queue {queue!r} is kept without a delayed job"
            assert self._alarm_of[queue] == min(heap), f"queue {queue!r}: wrong alarm"
            assert (self._alarm_of[queue], queue) in alarms, f"queue {queue!r}: no alarm"
            assert heap[0] == min(heap), f"queue {queue!r}: the heap is no heap"
            for run_at_ms, job_id in heap:
                assert job_id not in waiting, f"job {job_id} is delayed twice"
                waiting[job_id] = (queue, run_at_ms)
        for queue, heap in self._drained.items():
            assert heap, f"queue {queue!r} is drained without a delayed job"
            assert waiting.keys().isdisjoint(job_id for _, job_id in heap), "in two heaps"
            waiting.update((job_id, (queue, run_at_ms)) for run_at_ms, job_id in heap)
        assert self._tally.delayed == len(waiting), "delayed jobs miscounted"
        assert self._alarm_of.keys() == self._by_queue.keys(), "an alarm without a queue"
        limit = 2 * len(self._alarm_of) + _SPARE_ALARMS
        assert len(self._alarms) <= limit, "the heap of alarms is mostly stale"
        return waiting

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
