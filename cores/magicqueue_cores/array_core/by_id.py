"""The verbs of the array core on jobs that are named, wherever they stand."""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.array_core import outcomes
from magicqueue_cores.array_core.admitting import admit_many, refuse_larger
from magicqueue_cores.array_core.fates import Fates
from magicqueue_cores.array_core.maturing import any_are_due, more_are_due
from magicqueue_cores.array_core.pulling import take_held
from magicqueue_cores.array_core.rows import replace
from magicqueue_cores.array_core.ruling import Ruling
from magicqueue_cores.array_core.sinks import Sinks
from magicqueue_cores.array_core.views import delivery
from magicqueue_cores.contract import (
    LIVE,
    TIME_MAX_MS,
    WAITING,
    Delivery,
    JobState,
    RecordSink,
    Settled,
)
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.turns import TurnSink


class ById(Ruling):
    """A part of `ArrayCore`, which sets the attributes."""

    _sinks: Sinks
    _fates: Fates

    @property
    def outside_bytes(self) -> int:
        """What is kept for jobs outside of the core: it counts as memory that they take."""
        return self._store.outside_bytes

    @outside_bytes.setter
    def outside_bytes(self, size: int) -> None:
        self._store.outside_bytes = size

    def remove(
        self, ids: Sequence[int], states: frozenset[JobState], cause: str, now_ms: int
    ) -> Settled:
        """Remove those of the jobs that are in one of `states`. O(log n) amortised."""
        self.advance(now_ms)
        chosen, answer = self._chosen(ids, states)
        if chosen:
            if self._sinks.record:
                self._sinks.record(records.Removed(chosen, cause))
            left = self._fates.queues_of(chosen) if cause == "drained" else []
            queues = self._fates.queues_of_active(chosen)
            outcomes.remove(self._store, chosen, cause)
            self._fates.wake_roomy(queues)
            for queue in left:
                self._queues.forget_unused(queue)
        return answer

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> Settled:
        """Make live jobs dead, which counts as no failure and no loss."""
        if reason in outcomes.VERB_OF_REASON:
            raise ValueError(f"{reason!r} counts: let the jobs fail, or their leases end")
        self.advance(now_ms)
        chosen, answer = self._chosen(ids, LIVE)
        given = dict(zip(reversed(ids), reversed(errors), strict=True))
        kept = [given[i] if given[i] is not None else self._store.error(i) for i in chosen]
        self._fates.bury(chosen, reason, kept, now_ms)
        return answer

    def promote(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Make delayed jobs ready, behind those that are, in the order given."""
        self.mature_all(now_ms)
        chosen, answer = self._chosen(ids, frozenset((JobState.DELAYED,)))
        if chosen:
            if self._sinks.record:
                self._sinks.record(records.Promoted(chosen, now_ms))
            outcomes.promote(self._store, chosen, now_ms)
            self._fates.wake_of(chosen)
        return answer

    def replace(
        self, job_id: int, payload: bytes, priority: int, run_at_ms: int, now_ms: int
    ) -> bool:
        """Give a waiting job another payload, priority and time to run."""
        self.advance(now_ms)
        store, run_at_ms = self._store, max(run_at_ms, now_ms)
        slot = store.find(job_id)
        if not slot or store.state_of(slot) not in WAITING:
            return False
        held = store.state_of(slot) is JobState.HELD
        if not held and more_are_due(store, store.queue_of(slot), now_ms):
            run_at_ms = max(run_at_ms, now_ms + 1)
        if self._sinks.record:
            columns = [job_id], [payload], [priority], [run_at_ms]
            self._sinks.record(records.Replaced(*columns, now_ms))
        replace(store, job_id, payload, priority, run_at_ms, now_ms)
        if run_at_ms <= now_ms and not held:
            self._fates.wake_of((job_id,))
        return True

    def hold(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Take ready jobs out of their order and keep them held."""
        self.advance(now_ms)
        chosen, answer = self._chosen(ids, frozenset((JobState.READY,)))
        if chosen:
            if self._sinks.record:
                self._sinks.record(records.Held(chosen))
            outcomes.hold(self._store, chosen)
        return answer

    def unhold(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Let held jobs enter the order anew: ready, or delayed by their run_at."""
        self.advance(now_ms)
        chosen, answer = self._chosen(ids, frozenset((JobState.HELD,)))
        if chosen:
            store, lags = self._store, any_are_due(self._store, now_ms)
            run_ats_ms = []
            for slot in map(store.find, chosen):
                behind = lags and more_are_due(store, store.queue_of(slot), now_ms)
                run_ats_ms.append(max(store.word(slot, lo.J_RUN_AT), now_ms + behind))
            if self._sinks.record:
                self._sinks.record(records.Unheld(chosen, run_ats_ms, now_ms))
            outcomes.unhold(store, chosen, run_ats_ms, now_ms)
            self._fates.wake_of(chosen)
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
        self.advance(now_ms)
        store = self._store
        source = self._queues.by_name.get(queue)
        if source is None or store.memory.words[source.at + lo.Q_PAUSED]:
            return Delivery([], [], [], [], [], [])
        store.memory.state[lo.A_UNTIL] = until_ms = min(now_ms + lease_ms, TIME_MAX_MS)
        index = store.session(session)
        taken = delivery(store, take_held(store, source, ids, payload_bytes_max, index))
        if self._sinks.record and taken.ids:
            self._sinks.record(records.Leased(taken.ids, session, until_ms))
        return taken

    def held(self, queue: str | None) -> int:
        """Count the held jobs of a queue, or all."""
        memory = self._store.memory
        if queue is None:
            return memory.state[lo.S_HELD]
        known = self._queues.by_name.get(queue)
        return 0 if known is None else int(memory.words[known.at + lo.Q_HELD])

    def admit(self, queues: Sequence[str], jobs: int, payload_bytes: int) -> None:
        """Raise `Full` if so many jobs more may not be pushed, to queues of these names."""
        admit_many(self._store, queues, jobs, payload_bytes)

    @property
    def last_id(self) -> int:
        """The last id that was given."""
        return self._store.memory.state[lo.S_NEXT_ID] - 1

    def refuse_more(self, more_bytes: int) -> None:
        """Raise `Full` if jobs may not take so many bytes more."""
        refuse_larger(self._store, more_bytes)

    def revive(self, ids: Sequence[int], now_ms: int) -> Settled:
        """Make dead jobs ready anew: attempts start over."""
        self.mature_all(now_ms)
        chosen, answer = self._chosen(ids, frozenset((JobState.DEAD,)))
        if chosen:
            if self._sinks.record:
                self._sinks.record(records.Revived(chosen, now_ms))
            outcomes.revive(self._store, chosen, now_ms)
            self._fates.wake_of(chosen)
        return answer

    def mark(self, ids: Sequence[int], *, marked: bool) -> None:
        """Say of which jobs `observe` is to tell, or no more."""
        self._store.write_ids(ids)
        self._store.act(lo.V_MARK_MANY, len(ids), lo.META_MARKED if marked else 0)
        self._sinks.follow_marks()

    def observe(self, sink: RecordSink | None) -> None:
        """Have every record that names a marked job told to `sink`, too."""
        self._sinks.observe(sink)

    def listen(self, sink: TurnSink | None) -> None:
        """Have each rare turn of jobs and queues told to `sink`."""
        self._sinks.listen(sink)

    def count_duplicates(self, queue: str, count: int) -> None:
        """Count pushes to a queue that made no job."""
        self._queues.count("duplicates", self._queues.by_name.get(queue), count)

    def mature_all(self, now_ms: int) -> None:
        """Let all that is due mature: what comes to be ready is not to stand before it."""
        self.advance(now_ms)
        while any_are_due(self._store, now_ms):
            self.advance(now_ms)

    def _chosen(
        self, ids: Sequence[int], states: frozenset[JobState]
    ) -> tuple[list[int], Settled]:
        """Those of the jobs that are in one of the states, and the others as missing."""
        if not ids:
            return [], Settled([], [])
        found = self._store.states_of(ids, states)
        if lo.MISSING_STATE not in found:
            return list(ids), Settled([], [])
        chosen, missing = list[int](), list[int]()
        for job_id, state in zip(ids, found, strict=True):
            (missing if state == lo.MISSING_STATE else chosen).append(job_id)
        return chosen, Settled(missing, [])
