"""The verbs of the python core about jobs that are named, whatever their state."""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.admission import admit_many, refuse_bytes
from magicqueue_cores.contract import (
    LIVE,
    TIME_MAX_MS,
    WAITING,
    Delivery,
    JobState,
    RecordSink,
    Settled,
)
from magicqueue_cores.python_clearing import Clearing
from magicqueue_cores.python_fates import Fates
from magicqueue_cores.python_job import WAITING as IN_TIME
from magicqueue_cores.python_job import Job
from magicqueue_cores.python_marks import Marks
from magicqueue_cores.python_ruling import Ruling
from magicqueue_cores.python_taking import (
    errors_of,
    hold,
    lend_held,
    promote,
    remove,
    replace,
    revive,
    unhold,
)
from magicqueue_cores.python_views import delivery
from magicqueue_cores.turns import TurnSink

_DELAYED = frozenset((JobState.DELAYED,))
_DEAD = frozenset((JobState.DEAD,))
_READY = frozenset((JobState.READY,))
_HELD = frozenset((JobState.HELD,))


class ById(Ruling):
    """A part of `PythonCore`, which sets the attributes."""

    _record: RecordSink | None
    _fates: Fates
    _clearing: Clearing
    _marks: Marks
    next_deadline_ms: int

    def remove(
        self, ids: Sequence[int], states: frozenset[JobState], cause: str, now_ms: int
    ) -> Settled:
        """Remove those of the jobs that are in one of `states`, wherever they stand."""
        answer, found = self._named(ids, states, now_ms)
        if found:
            if self._record:
                self._record(records.Removed(found, cause))
            left = [self._table.jobs[job_id].queue for job_id in found]
            freed = self._fates.freed_by(found) if self._table.roomy else ()
            remove(self._table, found, cause)
            self._fates.wake(freed)
            if cause == "drained":
                for queue in dict.fromkeys(left):
                    self._table.forget_unused(queue)
        return answer

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> Settled:
        """Make ready, delayed or active jobs dead, which counts as no failure or loss."""
        if reason in records.FAILURES or reason == records.WORKER_LOST:
            raise ValueError(f"{reason!r} counts: let the jobs fail, or their leases end")
        answer, found = self._named(ids, LIVE, now_ms)
        given = dict(zip(reversed(ids), reversed(errors), strict=True))
        last = errors_of(self._table, found)
        kept = [
            was if given[job_id] is None else given[job_id]
            for job_id, was in zip(found, last, strict=True)
        ]
        self._fates.bury(found, reason, kept, now_ms)
        return answer

    def promote(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Make delayed jobs ready, behind those that are, in the order given."""
        self._mature_all(now_ms)
        answer, found = self._named(ids, _DELAYED, now_ms)
        if found:
            if self._record:
                self._record(records.Promoted(found, now_ms))
            promote(self._table, found, now_ms)
            self._wake(found)
        return answer

    def replace(
        self, job_id: int, payload: bytes, priority: int, run_at_ms: int, now_ms: int
    ) -> bool:
        """Give a job that waits another payload, priority and time to run."""
        if not self._named((job_id,), WAITING, now_ms)[1]:
            return False
        table = self._table
        job = table.jobs[job_id]
        run_at_ms = max(run_at_ms, now_ms + (not job.is_held and self._lags(job, now_ms)))
        if self._record:
            columns = [job_id], [payload], [priority], [run_at_ms]
            self._record(records.Replaced(*columns, now_ms))
        replace(table, job_id, payload, priority, run_at_ms, now_ms)
        self._follow_delayed()
        self._wake((job_id,))
        return True

    def hold(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Take ready jobs out of their order and keep them held."""
        answer, found = self._named(ids, _READY, now_ms)
        if found:
            if self._record:
                self._record(records.Held(found))
            hold(self._table, found)
        return answer

    def unhold(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Let held jobs enter the order anew: ready, or delayed by their run_at."""
        answer, found = self._named(ids, _HELD, now_ms)
        if found:
            jobs = [self._table.jobs[job_id] for job_id in found]
            run_ats_ms = [
                max(job.run_at_ms, now_ms + self._lags(job, now_ms)) for job in jobs
            ]
            if self._record:
                self._record(records.Unheld(found, run_ats_ms, now_ms))
            unhold(self._table, found, run_ats_ms, now_ms)
            self._follow_delayed()
            self._wake(found)
        return answer

    def take(
        self,
        queue: str,
        ids: Sequence[int],
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """Lease those of the jobs of a queue that are held, in the order given."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        table, taken = self._table, list[int]()
        source, find = table.queues.get(queue), table.jobs.get
        given = dict.fromkeys(ids) if source is not None and not source.paused else ()
        for job_id in given:
            job = find(job_id)
            if job is None or job.queue is not source:
                continue
            if job.lease is None and job.place < IN_TIME:  # it is held
                payload_bytes_max -= len(job.payload)
                if payload_bytes_max < 0 and taken:
                    break
                taken.append(job_id)
        if not taken:
            return Delivery([], [], [], [], [], [])
        until_ms = min(now_ms + lease_ms, TIME_MAX_MS)
        if self._record:
            self._record(records.Leased(taken, session, until_ms))
        lend_held(table, taken, session, until_ms)
        self.next_deadline_ms = min(self.next_deadline_ms, until_ms)
        return delivery(taken, [table.jobs[job_id] for job_id in taken])

    def held(self, queue: str | None) -> int:
        """Count the held jobs of a queue, or all."""
        if queue is None:
            return self._table.held_count
        known = self._table.queues.get(queue)
        return 0 if known is None else known.held

    def admit(self, queues: Sequence[str], jobs: int, payload_bytes: int) -> None:
        """Raise `Full` if so many jobs more may not be pushed, to queues of these names."""
        admit_many(self._table, queues, jobs, payload_bytes)

    @property
    def last_id(self) -> int:
        """The last id that was given."""
        return self._table.last_id

    def refuse_more(self, more_bytes: int) -> None:
        """Raise `Full` if jobs may not take so many bytes more."""
        if more_bytes > 0:
            table = self._table
            refuse_bytes(table.options, held=table.memory_bytes(), new=more_bytes)

    def revive(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Make dead jobs ready anew, as `retry_dead` does, in the order given."""
        self._mature_all(now_ms)
        answer, found = self._named(ids, _DEAD, now_ms)
        if found:
            if self._record:
                self._record(records.Revived(found, now_ms))
            revive(self._table, found, now_ms)
            self._wake(found)
        return answer

    def mark(self, ids: Sequence[int], *, marked: bool) -> None:
        """Say of which jobs `observe` is to tell, or no more. O(1) a job."""
        self._marks.mark(ids, marked=marked)
        self._report()

    def observe(self, sink: RecordSink | None) -> None:
        """Have every record that names a marked job told to `sink` too."""
        self._marks.observer = sink

    def listen(self, sink: TurnSink | None) -> None:
        """Have each rare turn of jobs and queues told to `sink`."""
        self._marks.ears.sink = sink
        self._report()

    def count_duplicates(self, queue: str, count: int) -> None:
        """Count pushes that made no job; of a queue that is not known in all alone."""
        known = self._table.queues.get(queue)
        if known is not None:
            known.duplicates += count
        self._table.totals.duplicates += count

    @property
    def outside_bytes(self) -> int:
        """What is kept for jobs outside of the core."""
        return self._table.tally.outside_bytes

    @outside_bytes.setter
    def outside_bytes(self, size: int) -> None:
        self._table.tally.outside_bytes = size

    def _mature_all(self, now_ms: int) -> None:
        """Let all that is due mature: what comes to be ready is not to stand before it."""
        while now_ms >= self._due_ms:
            self.advance(now_ms)

    def _named(
        self, ids: Sequence[int], states: frozenset[JobState], now_ms: int
    ) -> tuple[Settled, list[int]]:
        """Let time pass; give what is missing, and the jobs in those states, each once."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        answer, found = Settled([], []), dict[int, None]()
        for job_id in ids:
            job = self._table.jobs.get(job_id)
            if job is None or job_id in found or job.state not in states:
                answer.missing.append(job_id)
            else:
                found[job_id] = None
        return answer, list(found)

    def _lags(self, job: Job, now_ms: int) -> bool:
        """Whether jobs of its queue are due that did not mature yet."""
        return now_ms >= self._due_ms and self._table.delayed.has_any(job.queue.name)

    def _wake(self, ids: Sequence[int]) -> None:
        self._fates.wake(self._table.jobs[job_id].queue for job_id in ids)

    def _report(self) -> None:
        """Report to whom it concerns as things are."""
        self._record = self._fates.record = self._clearing.record = self._marks.sink

    def _follow_delayed(self) -> None:
        """Jobs were delayed: the next one may be due sooner."""
        self._due_ms = due_ms = min(self._due_ms, self._table.delayed.next_ms)
        self.next_deadline_ms = min(self.next_deadline_ms, due_ms)
