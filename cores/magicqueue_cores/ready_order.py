"""Which ready job of a queue is next: priority first, then ready sequence.

A heap holds the distinct priorities; each has a *run* (`ready_run`) of the jobs in the
order they became ready. Push and pull are O(1) in the usual case and O(log p) when one of
the p priorities appears or ends.

Heap entries are never searched for. An entry whose run is gone is skipped when it comes
to the top, and the heap is rebuilt when most of it is of that kind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from magicqueue_cores.contract import TURN_JOBS_MAX, Place
from magicqueue_cores.heaps import ascending, passed
from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.oldest_ready import OldestReady
from magicqueue_cores.ready_run import PASSED_MAX, SPARE_ENTRIES, ReadyJob, Run


class ReadyOrder:
    """The ready jobs of one queue. `table` gives the jobs by id."""

    __slots__ = (
        "_name",
        "_oldest",
        "_oldest_of_all",
        "_priorities",
        "_tally",
        "count",
        "runs",
    )

    def __init__(self, queue: str, tally: Tally, oldest: OldestReady) -> None:
        """Start empty. `oldest` is told of jobs that may be older than the oldest."""
        self._name = queue
        self._tally = tally
        self._oldest_of_all = oldest
        self.count = 0
        self.runs: dict[int, Run] = {}
        self._priorities: list[int] = []
        self._oldest: list[tuple[int, int]] = []

    def append(self, priority: int, ids: Sequence[int], run_at_ms: int) -> None:
        """Add jobs that became ready just now, in order; `run_at_ms` is the first's."""
        run = self.runs.get(priority)
        if run is None:
            run = self._open(priority, run_at_ms)
        run.arrivals.extend(ids)
        self.count += len(ids)

    def give_back(self, priority: int, ready_key: int, job_id: int, run_at_ms: int) -> None:
        """Put a job back to its old place. O(log n) with n jobs that came back."""
        run = self.runs.get(priority)
        if run is None:
            run = self._open(priority, run_at_ms)
        else:
            heappush(self._oldest, (run_at_ms, priority))
            self._compact()
            self._oldest_of_all.lower(self._name, run_at_ms)
        run.give_back(ready_key, job_id)
        self._tally.returned += 1
        self.count += 1

    def put_in(
        self, priority: int, ready_key: int, job_id: int, run_at_ms: int, *, returned: bool
    ) -> None:
        """Put a job to its place; `returned` says if it came back after a loss."""
        self.give_back(priority, ready_key, job_id, run_at_ms)
        if not returned:
            self.runs[priority].moved_ids.add(job_id)

    def is_returned(self, priority: int, job_id: int) -> bool:
        """Whether the job came back and waits at its old place."""
        run = self.runs.get(priority)
        return (
            run is not None and job_id in run.returned_keys and job_id not in run.moved_ids
        )

    def remove(self, priority: int, job_id: int) -> None:
        """Take out one job, which is here. O(log n) amortised."""
        self._tally.returned -= self.runs[priority].remove(job_id)
        self.count -= 1

    def in_turn(
        self, after: Place | None, table: Mapping[int, ReadyJob]
    ) -> Iterator[tuple[Place, int]]:
        """Yield the place and id of each job behind `after`, of the first TURN_JOBS_MAX."""
        if len(self._priorities) > len(self.runs) + PASSED_MAX:
            self._list_priorities_anew()
        ends, key = (None, -1) if after is None else (after[0] - 1, after[1])
        entries, front = passed(self._priorities, ends, TURN_JOBS_MAX + PASSED_MAX)
        runs = [self.runs[-entry] for entry in set(entries) if -entry in self.runs]
        told = sum(map(len, runs))
        last: int | None = None  # a run that ended and began again has two entries
        for entry in ascending(self._priorities, front):
            run = self.runs.get(-entry)
            if run is None or entry == last:
                continue
            last = entry
            least = key if after is not None and entry == after[0] else -1
            for ready_key, job_id in run.in_turn(table):
                if told >= TURN_JOBS_MAX:
                    return
                told += 1
                if ready_key > least:
                    yield (entry, ready_key), job_id
            if told >= TURN_JOBS_MAX:
                return

    def take(
        self, count: int, payload_bytes_max: int, table: Mapping[int, ReadyJob]
    ) -> list[int]:
        """Take up to `count` jobs in order; it stops before the bytes exceed the limit.

        It takes one at least, if there is one, whatever its size.
        """
        run = self._front()
        if count == 1 and run is not None and run.plain:
            self.count -= 1
            return [run.arrivals.popleft()]
        taken: list[int] = []
        bytes_left = payload_bytes_max
        while len(taken) < count:
            run = self._front()
            if run is None:
                break
            if run.returned_keys:
                job_id = run.first(table)
                bytes_left -= len(table[job_id].payload)
                if bytes_left < 0 and taken:
                    break
                self._tally.returned -= run.remove(job_id)
                taken.append(job_id)
                continue
            part = run.take_arrivals(count - len(taken))
            size = sum([len(table[job_id].payload) for job_id in part])
            if size > bytes_left:
                keep = _fitting(part, bytes_left, table) or (0 if taken else 1)
                run.arrivals.extendleft(reversed(part[keep:]))
                taken += part[:keep]
                break
            bytes_left -= size
            taken += part
        self.count -= len(taken)
        return taken

    def drain(self) -> list[int]:
        """Take all jobs out; their ids in no particular order."""
        ids: list[int] = []
        for run in self.runs.values():
            ids.extend(run.members())
            self._tally.returned -= len(run.returned_keys)
        self._tally.runs -= max(0, len(self.runs) - 1)
        self.runs.clear()
        self._priorities.clear()
        self._oldest.clear()
        self.count = 0
        return ids

    def drain_some(self, upto: int, most: int, table: Mapping[int, ReadyJob]) -> list[int]:
        """Take out up to `most` jobs with a ready key of `upto` at most, run by run.

        What came later stays, and as it stands behind the others in each run, only the
        first of a run is looked at: O(1) a job, and O(1) a run that only has later ones.
        """
        ids: list[int] = []
        ended: list[int] = []
        for priority, run in self.runs.items():
            if len(ids) >= most:
                break
            ids += run.take_until(upto, most - len(ids), table)
            while run and len(ids) < most:
                job_id = run.first(table)
                if table[job_id].ready_key(job_id) > upto:
                    break
                self._tally.returned -= run.remove(job_id)
                ids.append(job_id)
            if not run:
                ended.append(priority)
        self.count -= len(ids)
        for priority in ended:
            self._end(priority)
        return ids

    def oldest_run_at_ms(self, table: Mapping[int, ReadyJob]) -> int | None:
        """The earliest run_at of all ready jobs. O(log p) amortised.

        Within a run the first job has the earliest. Each run has an entry that is its
        first job's run_at or less; it is put right when it comes to the top.
        """
        while self._oldest:
            bound, priority = self._oldest[0]
            run = self.runs.get(priority)
            if not run:
                heappop(self._oldest)
                self._end(priority)
                continue
            run_at_ms = table[run.first(table)].run_at_ms
            if run_at_ms <= bound:
                return run_at_ms
            heapreplace(self._oldest, (run_at_ms, priority))
        return None

    def check(self, table: Mapping[int, ReadyJob]) -> Iterable[int]:
        """Verify the order; gives the ids it holds."""
        ids: list[int] = []
        listed = {-priority for priority in self._priorities}
        bounds: dict[int, int] = {}
        for bound, priority in self._oldest:
            bounds[priority] = min(bound, bounds.get(priority, bound))
        for priority, run in self.runs.items():
            assert priority in listed, f"priority {priority} has a run but no heap entry"
            arrivals = run.check()
            keys = [table[job_id].ready_key(job_id) for job_id in arrivals]
            assert keys == sorted(set(keys)), f"priority {priority}: arrivals out of order"
            waiting = set(run.returned)
            for job_id, key in run.returned_keys.items():
                assert (key, job_id) in waiting, f"job {job_id} came back and is lost"
                assert key == table[job_id].ready_key(job_id), f"job {job_id}: wrong place"
            assert run.moved_ids <= run.returned_keys.keys(), "a moved job is lost"
            members = [*arrivals, *run.returned_keys]
            if members:
                first = min(table[job_id].run_at_ms for job_id in members)
                assert bounds[priority] <= first, (
                    f"priority {priority}: oldest bound too late"
                )
            ids += members
        assert len(ids) == self.count, f"{len(ids)} ready jobs, counted {self.count}"
        spare = 2 * len(self.runs) + SPARE_ENTRIES
        assert len(self._priorities) <= spare, "the heap of priorities is mostly stale"
        assert len(self._oldest) <= spare, "the heap of oldest jobs is mostly stale"
        return ids

    def _open(self, priority: int, run_at_ms: int) -> Run:
        self._tally.runs += bool(self.runs)
        run = self.runs[priority] = Run()
        heappush(self._priorities, -priority)
        heappush(self._oldest, (run_at_ms, priority))
        self._compact()
        self._oldest_of_all.lower(self._name, run_at_ms)
        return run

    def _front(self) -> Run | None:
        while self._priorities:
            priority = -self._priorities[0]
            run = self.runs.get(priority)
            if run:
                return run
            if run is not None and len(self._priorities) == 1:
                return None  # the only priority is about to be used again
            heappop(self._priorities)
            self._end(priority)
        return None

    def _end(self, priority: int) -> None:
        if self.runs.pop(priority, None) is not None:
            self._tally.runs -= bool(self.runs)
            self._compact()

    def _list_priorities_anew(self) -> None:
        self._priorities = [-priority for priority in self.runs]
        heapify(self._priorities)

    def _compact(self) -> None:
        spare = 2 * len(self.runs) + SPARE_ENTRIES
        if len(self._priorities) > spare:
            self._list_priorities_anew()
        if len(self._oldest) > spare:
            bounds: dict[int, int] = {}
            for bound, priority in self._oldest:
                if priority in self.runs:
                    bounds[priority] = min(bound, bounds.get(priority, bound))
            self._oldest = [(bound, priority) for priority, bound in bounds.items()]
            heapify(self._oldest)


def _fitting(ids: list[int], bytes_max: int, table: Mapping[int, ReadyJob]) -> int:
    for count, job_id in enumerate(ids):
        bytes_max -= len(table[job_id].payload)
        if bytes_max < 0:
            return count
    return len(ids)
