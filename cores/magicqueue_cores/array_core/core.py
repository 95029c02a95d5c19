"""The verbs of the array core, as the contract has them."""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

import msgspec

from magicqueue_cores import records
from magicqueue_cores.admission import behind_due
from magicqueue_cores.array_core.admitting import admit, admit_queue
from magicqueue_cores.array_core.by_id import ById
from magicqueue_cores.array_core.check import check_store
from magicqueue_cores.array_core.clearing import Clearing
from magicqueue_cores.array_core.fates import Fates
from magicqueue_cores.array_core.feeds import Feeds
from magicqueue_cores.array_core.lines import befell_marked, recorded, written
from magicqueue_cores.array_core.maturing import any_are_due, mature_due, more_are_due
from magicqueue_cores.array_core.memory import refuse_options
from magicqueue_cores.array_core.pulling import take
from magicqueue_cores.array_core.replay import replay_record
from magicqueue_cores.array_core.rows import push
from magicqueue_cores.array_core.sinks import Sinks
from magicqueue_cores.array_core.store import JOB_OVERHEAD_BYTES, Store
from magicqueue_cores.array_core.trimming import spare_bytes, trim
from magicqueue_cores.array_core.views import (
    delivery,
    miss,
    pushed_record,
    sorted_out,
)
from magicqueue_cores.contract import (
    TIME_MAX_MS,
    Capabilities,
    CoreOptions,
    Delivery,
    Failed,
    NewJobs,
    OnReady,
    RecordSink,
    Settled,
    Step,
)
from magicqueue_cores.dead_letters import OnDeath
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import execute
from magicqueue_cores.line_contract import BytesSink, WireDefaults

_LINE_END: Final = 10
_NO_LINES: Final = b"\n"
"""Run once by a new core: whatever is loaded at first use is loaded then."""


class ArrayCore(ById):
    """`contract.LineCore` on kernels over flat memory.

    options: the bounds. on_ready: called for watched queues. record: gets each change,
    record_bytes: in its place what lines did, as far as kernels write it.
    wire: limits and defaults for request lines. on_death: told of jobs that die. Raises
    ValueError for a bound that the records have no bits for, MemoryError if there is no
    virtual memory to reserve.
    """

    name = "array"
    capabilities = Capabilities(
        executes_lines=True, takes_feeds=True, job_overhead_bytes=JOB_OVERHEAD_BYTES
    )

    def __init__(
        self,
        options: CoreOptions,
        *,
        on_ready: OnReady | None = None,
        record: RecordSink | None = None,
        record_bytes: BytesSink | None = None,
        wire: WireDefaults | None = None,
        on_death: OnDeath | None = None,
    ) -> None:
        """Start empty."""
        refuse_options(options)
        self._options = options
        self._store = store = Store(options, wire or WireDefaults())
        self._log = record
        self._sinks = sinks = Sinks(record, store.memory, store.queue_name_of)
        self._fates = Fates(store, on_ready, sinks, on_death)
        self._clearing = Clearing(store, self._fates, sinks)
        self._queues = store.queues
        self._flat, self._words = store.memory.flat, store.memory.words
        self._state = store.memory.state
        self._bytes = store.memory.bytes
        self._log_bytes = record_bytes
        if record is not None:
            self._state[lo.S_RECORDING] = lo.AS_BYTES if record_bytes else lo.AS_EVENTS
        self.feeds = Feeds(store, self._prepare, self._report)
        self.execute(_NO_LINES, 0, 0)

    @property
    def next_deadline_ms(self) -> int:
        """Nothing happens by itself before this (a lower bound), or NEVER_MS. O(1)."""
        return self._state[lo.S_DEADLINE]

    @property
    def clock_ahead_ms(self) -> int:
        """By how much time is ahead of the wall clock, which lines are about."""
        return self._state[lo.S_CLOCK_AHEAD]

    @clock_ahead_ms.setter
    def clock_ahead_ms(self, ahead_ms: int) -> None:
        self._state[lo.S_CLOCK_AHEAD] = ahead_ms

    def advance(self, now_ms: int) -> None:
        """Let time pass: delayed jobs that are due mature. O(log n) a job that moves."""
        if now_ms < self._state[lo.S_DEADLINE]:
            return
        store = self._store
        matured, queues = mature_due(store, now_ms)
        if matured:
            if self._sinks.record:
                self._sinks.record(records.Matured(matured))
            self._fates.wake(map(self._queues.numbered, dict.fromkeys(queues)))

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """Let all leases that end by `until_ms` be over; gives whether that was all."""
        self.advance(now_ms)
        store = self._store
        ended = store.act(lo.V_DUE_LEASES, until_ms, store.step_jobs)
        if ended:
            self._fates.lose(sorted(store.scratch_list(ended)), now_ms)
        return not self._state[lo.S_LEASES] or self._words[lo.LEASE_HEAP_W] > until_ms

    def postpone_leases(self, by_ms: int, now_ms: int) -> None:
        """Let every lease end that much later. O(n)."""
        self.advance(now_ms)
        if self._state[lo.S_LEASES] and by_ms:
            if self._sinks.record:
                self._sinks.record(records.Postponed(by_ms, now_ms))
            self._store.act(lo.V_POSTPONE, by_ms)

    def watch(self, queue: str, *, watching: bool) -> None:
        """Say whether somebody waits for jobs of `queue`, so that `on_ready` is called."""
        known = self._queues.watch(queue, watching=watching)
        if watching and known is not None:
            self._fates.wake((known,))

    def push(self, queue: str, jobs: NewJobs, now_ms: int) -> int:
        """Store a batch; gives the first of its ids. Raises `Full`. O(1) a ready job."""
        time_moves = now_ms >= self._state[lo.S_DEADLINE]
        if time_moves:
            self.advance(now_ms)
        if not jobs.payloads:
            return self._state[lo.S_NEXT_ID]
        if jobs.admitted:
            target = self._queues.of(queue)
        else:
            target = admit(self._store, queue, jobs.payloads)
        if time_moves and more_are_due(self._store, target, now_ms):
            jobs = behind_due(jobs, now_ms)
        run_ats_ms = jobs.run_ats_ms
        if not isinstance(run_ats_ms, int):
            clipped = [max(now_ms, run_at_ms) for run_at_ms in run_ats_ms]
            jobs = msgspec.structs.replace(jobs, run_ats_ms=clipped)
        elif run_ats_ms < now_ms:
            jobs = msgspec.structs.replace(jobs, run_ats_ms=now_ms)
        if jobs.admitted:
            with self._store.unbounded():
                first_id = push(self._store, target, jobs, now_ms)
        else:
            first_id = push(self._store, target, jobs, now_ms)
        if self._sinks.record:
            self._sinks.record(pushed_record(queue, first_id, jobs, now_ms))
        run_ats_ms = jobs.run_ats_ms
        earliest = run_ats_ms if isinstance(run_ats_ms, int) else min(run_ats_ms)
        if earliest <= now_ms and not jobs.held:
            self._fates.wake((target,))
        return first_id

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """Lease up to `count` ready jobs to `session`, in strict order."""
        self.advance(now_ms)
        source = self._queues.by_name.get(queue)
        if source is None or self._words[source.at + lo.Q_PAUSED] or count < 1:
            return Delivery([], [], [], [], [], [])
        state, store = self._state, self._store
        state[lo.A_UNTIL] = until_ms = min(now_ms + lease_ms, TIME_MAX_MS)
        index = store.session(session)
        slots = take(store, source, count, payload_bytes_max, index)
        pulled = delivery(store, slots)
        if self._sinks.record and slots:
            self._sinks.record(records.Leased(pulled.ids, session, until_ms))
        return pulled

    def ack(
        self, ids: Sequence[int], attempts: Sequence[int] | None, now_ms: int
    ) -> Settled:
        """Settle active jobs as done. O(1) a job."""
        self.advance(now_ms)
        outcomes = self._store.judged(lo.V_ACK, ids, attempts)
        answer, done = sorted_out(ids, outcomes)
        if self._sinks.record and done:
            self._sinks.record(records.Acked(done))
        if self._store.rooms:
            self._fates.wake_noted()
        return answer

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None = None,
        reason: str = "failed",
    ) -> Failed:
        """Settle active jobs as failed: each is retried after its wait, or dead."""
        self.advance(now_ms)
        return self._fates.fail(ids, attempts, errors, delays_ms, now_ms, reason)

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Settled:
        """Let the leases of active jobs end `lease_ms` from now. O(log n)."""
        self.advance(now_ms)
        until_ms = min(now_ms + lease_ms, TIME_MAX_MS)
        outcomes = self._store.judged(lo.V_HEARTBEAT, ids, attempts, until_ms)
        answer, done = sorted_out(ids, outcomes)
        if self._sinks.record and done:
            extended = list(dict.fromkeys(done))
            self._sinks.record(records.Extended(extended, until_ms))
        return answer

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        """Give active jobs back unharmed: to their old place, or delayed."""
        self.advance(now_ms)
        answer = Settled([], [])
        released: dict[int, None] = {}
        held = self._store.judged(lo.V_JUDGE, ids, attempts, now_ms)
        for job_id, attempt, found in zip(ids, attempts or repeat(0), held, strict=False):
            if found == lo.NOT_ACTIVE or job_id in released:
                miss(self._store, answer, job_id, attempt)
            else:
                released[job_id] = None
        if released:
            self._fates.release(list(released), now_ms + delay_ms if delay_ms else 0)
        return answer

    def close_session(self, session: int, now_ms: int) -> bool:
        """The session is gone (0 is nobody): its jobs come back. Gives whether all are."""
        self.advance(now_ms)
        store = self._store
        index = store.sessions.get(session)
        if not session or index is None:
            return True
        held = store.act(lo.V_SESSION_JOBS, index, store.step_jobs)
        self._fates.lose(sorted(store.scratch_list(held)), now_ms)
        if self._words[lo.SESSIONS_W + index * lo.SESSION_WORDS + lo.N_LEASE]:
            return False
        store.forget_session(session)
        return True

    def pause(self, queue: str, *, paused: bool, now_ms: int) -> None:
        """Stop or resume handing out jobs of a queue. Raises `Full` for a new name."""
        self.advance(now_ms)
        known = self._queues.by_name.get(queue)
        was = known is not None and bool(self._words[known.at + lo.Q_PAUSED])
        if paused is was:
            return
        if known is None:
            known = admit_queue(self._store, queue)
        if self._sinks.record:
            self._sinks.record(records.Paused(queue, paused))
        self._queues.set_paused(known, paused=paused)
        if not paused:
            self._fates.wake((known,))
            self._queues.forget_unused(known)

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Step:
        """Remove the ready and delayed jobs of a queue, a step of them. O(delayed)."""
        self.advance(now_ms)
        return self._clearing.drain(queue, upto)

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """Make one dead job, or a step of a queue's, ready anew: attempts start over."""
        self.advance(now_ms)
        if job_id is None and any_are_due(self._store, now_ms):
            return Step(0, self._state[lo.S_SEQUENCE] if upto is None else upto)
        self.mature_all(now_ms)
        return self._clearing.retry_dead(queue, job_id, now_ms, upto)

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """Remove one dead job, or a step of a queue's; raises as `retry_dead`."""
        self.advance(now_ms)
        return self._clearing.purge_dead(queue, job_id, upto)

    @property
    def spare_bytes(self) -> int:
        """What `trim` would give back, roughly. O(1)."""
        return spare_bytes(self._store.memory)

    def trim(self) -> bool:
        """Give back a part of the memory that is kept for later use."""
        return trim(self._store.memory)

    def replay(self, record: records.Record) -> None:
        """Apply what happened once before. Raises CoreError if it cannot have."""
        replay_record(self._store, record)

    def execute(
        self,
        lines: bytes,
        session: int,
        now_ms: int,
        start: int = 0,
        stop: int | None = None,
    ) -> tuple[int, bytes]:
        """Run whole request lines, `lines[start:stop]`, as far as it can."""
        self._prepare(now_ms)
        if stop is None:
            stop = len(lines)
        size = stop - start
        if size > lo.INPUT_BYTES_MAX or size <= 0 or lines[stop - 1] != _LINE_END:
            return 0, b""
        store, view = self._store, self._bytes
        index = store.sessions.get(session)
        if index is None:
            index = store.session(session)
        memory = store.memory
        if memory.loaded is not lines or not memory.holds(start, stop):
            memory.load_lines(lines, start, stop)
        ran = int(execute(self._flat, start - memory.loaded_start, size, index, now_ms))
        if ran >> 32 == size:
            memory.loaded = None
        self._report()
        reply_bytes = ran & 0xFFFFFFFF
        return ran >> 32, bytes(view[lo.OUTPUT_B : lo.OUTPUT_B + reply_bytes])

    @property
    def declined(self) -> dict[str, int]:
        """How many lines `execute` left to the common way, by reason."""
        begin = lo.S_DECLINED
        counts = self._state[begin : begin + len(lo.DECLINED)].tolist()
        return dict(zip(lo.DECLINED, counts, strict=True))

    def _prepare(self, now_ms: int) -> None:
        """Let due jobs mature, and tell kernels what Python keeps, for lines to run."""
        if now_ms >= self._state[lo.S_DEADLINE]:
            self.advance(now_ms)
        if self._options.memory_bytes_max:
            self._state[lo.S_KEPT_BYTES] = self._store.kept_bytes()

    def _report(self) -> None:
        """Say what kernels did that ran lines."""
        state = self._state
        if self._log_bytes and (told := written(self._store)) is not None:
            self._log_bytes(told)
        elif self._log and state[lo.S_EVENTS]:
            for record in recorded(self._store):
                self._log(record)
        if state[lo.S_NOTES]:
            self._store.take_notes()
            for record in befell_marked(self._store):
                self._sinks.tell_observer(record)
            self._sinks.follow_marks()
            if self._store.failed:
                failed, self._store.failed = self._store.failed, []
                self._sinks.tell_failed(failed, self._queues)
        if state[lo.S_WOKEN]:
            woken = self._queues.numbered(state[lo.S_WOKEN])
            state[lo.S_WOKEN] = 0
            self._fates.wake((woken,))
            self._fates.wake_noted()

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        check_store(self._store)
