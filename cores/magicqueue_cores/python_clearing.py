"""Verbs that are about all jobs of a queue of a kind: a step of them at a time.

The last sequence number at the first call, `upto`, tells what was there from what comes
while the steps go on: ready jobs of a priority, and dead letters, are in the order of their
numbers. Delayed jobs have none; their heap is put aside as a whole at the first call.
"""

from itertools import takewhile

from magicqueue_cores import records
from magicqueue_cores.contract import JobState, NotFound, RecordSink, Step
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_fates import Fates
from magicqueue_cores.python_job import Queue
from magicqueue_cores.python_taking import remove, revive
from magicqueue_cores.turns import Ears


class Clearing:
    """DRAIN, RETRYDEAD and PURGEDEAD: decided, recorded, and applied to a table."""

    def __init__(
        self,
        table: JobTable,
        fates: Fates,
        record: RecordSink | None,
        step_jobs: int,
        ears: Ears,
    ) -> None:
        self._table = table
        self._fates = fates
        self.record = record
        self._ears = ears
        self._most = step_jobs

    def drain(self, queue: str, upto: int | None) -> Step:
        """Remove the ready and delayed jobs of a queue, a step of them."""
        known = self._table.queues.get(queue)
        if known is None:
            return Step(0)
        ids = drain_some(self._table, known, upto, self._most)
        if ids:
            if self.record:
                self.record(drained := records.Removed(ids, "drained"))
                self._ears.hear_of(queue, drained)
            self._table.forget_unused(known)
        return self._step(ids, upto)

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None
    ) -> Step:
        """Make one dead job, or a step of a queue's, ready anew: attempts start over."""
        table = self._table
        upto = table.sequence if upto is None else upto
        ids = self._dead(queue, job_id, upto)
        if ids:
            if self.record:
                self.record(records.Revived(ids, now_ms))
            revive(table, ids, now_ms)
            self._fates.wake((table.jobs[ids[0]].queue,))
        return self._step(ids, upto) if job_id is None else Step(1)

    def purge_dead(self, queue: str | None, job_id: int | None, upto: int | None) -> Step:
        """Remove one dead job, or a step of a queue's; raises as `retry_dead`."""
        ids = self._dead(queue, job_id, upto)
        if ids:
            if self.record:
                self.record(records.Removed(ids, "purged"))
            remove(self._table, ids, "purged")
        return self._step(ids, upto) if job_id is None else Step(1)

    def _step(self, ids: list[int], upto: int | None) -> Step:
        if len(ids) < self._most:
            return Step(len(ids))
        return Step(len(ids), self._table.sequence if upto is None else upto)

    def _dead(self, queue: str | None, job_id: int | None, upto: int | None) -> list[int]:
        """One dead letter, which must be there, or the first of a queue that are meant."""
        table = self._table
        if job_id is None:
            if queue is None:
                raise ValueError("name a job or a queue")
            known = table.queues.get(queue)
            last = table.sequence if upto is None else upto
            first = [] if known is None else known.dead.first(self._most)
            return list(takewhile(lambda letter: table.jobs[letter].place <= last, first))
        job = table.jobs.get(job_id)
        if job is None or job.state is not JobState.DEAD:
            raise NotFound(f"job {job_id} is not a dead letter")
        if queue is not None and job.queue.name != queue:
            raise NotFound(
                f"job {job_id} is a dead letter of {job.queue.name!r}, not {queue!r}"
            )
        return [job_id]


def drain_some(table: JobTable, queue: Queue, upto: int | None, most: int) -> list[int]:
    """Remove up to `most` ready and delayed jobs; gives their ids as they were taken out.

    upto: the last ready key of them, None for all that are here now.
    """
    begins = upto is None
    if begins:
        table.delayed.begin_drain(queue.name)
    ids = table.delayed.drain_some(queue.name, most)
    last = table.sequence if upto is None else upto
    ids += queue.ready.drain_some(last, most - len(ids), table.jobs)
    if begins and len(ids) < most:
        ids.sort()  # as nobody has to take them out one by one
    table.remove_waiting(ids)
    return ids


def remove_drained(table: JobTable, queue: Queue, ids: list[int]) -> None:
    """Remove some of the jobs of a queue that wait, as a record says.

    O(log n) a job, amortised, and O(1) if all are named.
    """
    ready = [job_id for job_id in ids if table.jobs[job_id].state is JobState.READY]
    delayed = [job_id for job_id in ids if table.jobs[job_id].state is JobState.DELAYED]
    if len(ready) == queue.ready.count:
        queue.ready.drain()
    else:
        for job_id in ready:
            queue.ready.remove(table.jobs[job_id].priority, job_id)
    if len(delayed) == table.delayed.count(queue.name):
        table.delayed.drain(queue.name)
    elif delayed:
        entries = [(table.jobs[job_id].run_at_ms, job_id) for job_id in delayed]
        table.delayed.remove_many(queue.name, entries)
    if len(ready) + len(delayed) < len(ids):
        for job_id in ids:
            if table.jobs[job_id].is_held:
                table.let_go(table.jobs[job_id])
    table.remove_waiting(ids)
