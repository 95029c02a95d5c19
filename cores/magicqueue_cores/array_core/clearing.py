"""Verbs that are about all jobs of a queue of a kind: a step of them at a time.

The last sequence number at the first call, `upto`, tells what was there from what comes
while the steps go on: ready jobs of a priority, and dead letters, are in the order of their
numbers. Delayed jobs have none and lie in one heap for all queues, so the first call takes
out all those of the queue: it has to look at each delayed job there is (some 10 ns each).
"""

from collections.abc import Sequence
from itertools import takewhile

from magicqueue_cores import records
from magicqueue_cores.array_core.fates import Fates
from magicqueue_cores.array_core.outcomes import remove, revive
from magicqueue_cores.array_core.sinks import Sinks
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import JobState, NotFound, Step
from magicqueue_cores.kernels import layout as lo


class Clearing:
    """DRAIN, RETRYDEAD and PURGEDEAD: decided, recorded, and applied to a store."""

    def __init__(self, store: Store, fates: Fates, sinks: Sinks) -> None:
        self._store = store
        self._fates = fates
        self._sinks = sinks
        self._most = store.step_jobs

    def drain(self, queue: str, upto: int | None) -> Step:
        """Remove the ready and delayed jobs of a queue, a step of them."""
        store = self._store
        known = store.queues.by_name.get(queue)
        if known is None:
            return Step(0)
        from_here = lo.ALL_NOW if upto is None else upto
        count = store.act(lo.V_DRAIN, known.number, from_here, self._most)
        if self._sinks.record and count:
            ids = store.scratch_column(count)
            if upto is None and count < self._most:
                ids = sorted(ids)  # as nobody has to take them out one by one
            self._sinks.record(drained := records.Removed(ids, "drained"))
            self._sinks.ears.hear_of(queue, drained)
        store.memory.trim_scratch(count)
        if count:
            store.queues.forget_unused(known)
        return self._step(count, upto)

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None
    ) -> Step:
        """Make one dead job, or a step of a queue's, ready anew: attempts start over."""
        store = self._store
        upto = self._last_number(upto)
        ids = self._dead(queue, job_id, upto)
        if ids:
            if self._sinks.record:
                self._sinks.record(records.Revived(ids, now_ms))
            revive(store, ids, now_ms)
            self._fates.wake((store.queue_of(store.find(ids[0])),))
        return self._step(len(ids), upto) if job_id is None else Step(1)

    def purge_dead(self, queue: str | None, job_id: int | None, upto: int | None) -> Step:
        """Remove one dead job, or a step of a queue's; raises as `retry_dead`."""
        upto = self._last_number(upto)
        ids = self._dead(queue, job_id, upto)
        if ids:
            if self._sinks.record:
                self._sinks.record(records.Removed(ids, "purged"))
            remove(self._store, ids, "purged")
        return self._step(len(ids), upto) if job_id is None else Step(1)

    def _last_number(self, upto: int | None) -> int:
        return self._store.memory.state[lo.S_SEQUENCE] if upto is None else upto

    def _step(self, count: int, upto: int | None) -> Step:
        return Step(count, self._last_number(upto) if count >= self._most else None)

    def _dead(self, queue: str | None, job_id: int | None, upto: int) -> Sequence[int]:
        """One dead letter, which must be there, or the first of a queue that are meant."""
        store = self._store
        if job_id is None:
            if queue is None:
                raise ValueError("name a job or a queue")
            known = store.queues.by_name.get(queue)
            first = [] if known is None else known.dead.first(self._most)
            if first and self._number(first[-1]) > upto:
                first = list(takewhile(lambda each: self._number(each) <= upto, first))
            return first
        slot = store.find(job_id)
        if not slot or store.state_of(slot) is not JobState.DEAD:
            raise NotFound(f"job {job_id} is not a dead letter")
        name = store.queue_of(slot).name
        if queue is not None and name != queue:
            raise NotFound(f"job {job_id} is a dead letter of {name!r}, not {queue!r}")
        return [job_id]

    def _number(self, job_id: int) -> int:
        return self._store.word(self._store.find(job_id), lo.J_SEQUENCE)
