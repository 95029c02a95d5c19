"""The readable core in plain Python: the oracle for the others, and quick in its own right.

Each verb lets time pass, decides, reports a record and applies the decision through
`JobTable`. `replay` applies records through the same methods, and `check` verifies every
invariant. What is where:

- `python_job`, `job_table`: a job, a queue, and every change of state;
- `python_fates`: retries, losses, deaths, wake-ups;
- `python_clearing`: the verbs about all jobs of a queue;
- `python_by_id`, `python_taking`: the verbs about jobs that are named, and their changes;
- `python_marks`: who is told of marked jobs;
- `python_reading`: the verbs that only look;
- `admission`, `python_views`: what may come in, and what is told;
- `ready_order`, `delayed_order`, `leases`, `dead_letters`: one structure each.
"""

from collections.abc import Sequence
from itertools import repeat

import msgspec

from magicqueue_cores import records
from magicqueue_cores.admission import admit, admit_queue, behind_due
from magicqueue_cores.contract import (
    NEVER_MS,
    TIME_MAX_MS,
    Capabilities,
    CoreOptions,
    Delivery,
    Failed,
    JobState,
    NewJobs,
    OnReady,
    RecordSink,
    Settled,
    Step,
)
from magicqueue_cores.dead_letters import OnDeath
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.memory_tally import JOB_OVERHEAD_BYTES
from magicqueue_cores.python_by_id import ById
from magicqueue_cores.python_check import check_table
from magicqueue_cores.python_clearing import Clearing
from magicqueue_cores.python_fates import Fates
from magicqueue_cores.python_marks import Marks
from magicqueue_cores.python_replay import replay_record
from magicqueue_cores.python_taking import came_back
from magicqueue_cores.python_trimming import spare_bytes, trim
from magicqueue_cores.python_views import (
    delivery,
    miss,
    pushed_record,
)


class PythonCore(ById):
    """`contract.Core` in plain Python; the arguments are those of `make_core`."""

    name = "python"
    capabilities = Capabilities(job_overhead_bytes=JOB_OVERHEAD_BYTES)

    def __init__(
        self,
        options: CoreOptions,
        *,
        on_ready: OnReady | None = None,
        record: RecordSink | None = None,
        on_death: OnDeath | None = None,
    ) -> None:
        """Start empty."""
        self._options = options
        self._record = record
        self._table = JobTable(options)
        self._fates = Fates(self._table, on_ready, record, on_death)
        self._due_ms = NEVER_MS
        self.next_deadline_ms = NEVER_MS
        """Nothing happens by itself before this (a lower bound), or NEVER_MS.

        Kept and not worked out, since it is asked for twice a command; a lease that is
        settled leaves it as it is, until time gets there and `advance` looks again."""
        self._step_jobs = options.step_jobs or NEVER_MS
        self._marks = Marks(self._table, record)
        self._clearing = Clearing(
            self._table, self._fates, record, self._step_jobs, self._marks.ears
        )
        self._bounded = bool(options.jobs_max or options.memory_bytes_max)

    def advance(self, now_ms: int) -> None:
        """Let time pass: delayed jobs that are due mature. O(log n) a job that moves."""
        table = self._table
        if now_ms >= table.delayed.next_ms:
            ids = table.delayed.due(now_ms, self._step_jobs)
            if self._record:
                self._record(records.Matured(ids))
            table.mature(ids)
            self._fates.wake(table.jobs[job_id].queue for job_id in ids)
        self._look_ahead()
        self._report()

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """Let all leases that end by `until_ms` be over; gives whether that was all."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        leases = self._table.leases
        if until_ms >= leases.next_ms:
            self._fates.lose(leases.due(until_ms, self._step_jobs), now_ms)
            self._look_ahead()
        return leases.next_ms > until_ms

    def postpone_leases(self, by_ms: int, now_ms: int) -> None:
        """Let every lease end that much later. O(n)."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        if self._table.leases.by_session and by_ms:
            if self._record:
                self._record(records.Postponed(by_ms, now_ms))
            self._table.leases.postpone(by_ms)

    def watch(self, queue: str, *, watching: bool) -> None:
        """Say whether somebody waits for jobs of `queue`, so that `on_ready` is called."""
        table = self._table
        if watching:
            table.watched.add(queue)
            known = table.queues.get(queue)
            if known is not None:
                self._fates.wake((known,))
        else:
            table.watched.discard(queue)
        if table.ruled:
            table.watch_room(queue)

    def push(self, queue: str, jobs: NewJobs, now_ms: int) -> int:
        """Store a batch; gives the first of its ids. Raises `Full`."""
        table = self._table
        if now_ms >= self._due_ms:
            self.advance(now_ms)
            if now_ms >= self._due_ms and table.delayed.has_any(queue):
                jobs = behind_due(jobs, now_ms)
        first_id = table.last_id + 1
        if not jobs.payloads:
            return first_id
        target = table.queues.get(queue)
        if target is None or self._bounded:
            admit(table, queue, jobs)
            target = table.queue_of(queue)
        run_ats_ms = jobs.run_ats_ms
        if not isinstance(run_ats_ms, int):
            jobs = msgspec.structs.replace(
                jobs, run_ats_ms=[max(now_ms, run_at_ms) for run_at_ms in run_ats_ms]
            )
        elif run_ats_ms < now_ms:
            jobs = msgspec.structs.replace(jobs, run_ats_ms=now_ms)
        if self._record:
            self._record(pushed_record(queue, first_id, jobs, now_ms))
        if table.add(target, first_id, jobs, now_ms) and table.watched:
            self._fates.wake((target,))
        if jobs.run_ats_ms != now_ms:
            self._follow_delayed()
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
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        table = self._table
        source = table.queues.get(queue)
        if source is None or source.paused or not source.ready.count or count < 1:
            return Delivery([], [], [], [], [], [])
        ids = source.ready.take(count, payload_bytes_max, table.jobs)
        until_ms = now_ms + lease_ms
        if until_ms > TIME_MAX_MS:  # noqa: PLR1730 - as below
            until_ms = TIME_MAX_MS
        if self._record:
            self._record(records.Leased(ids, session, until_ms))
        jobs = list(map(table.jobs.__getitem__, ids))
        table.lend(source, jobs, ids, session, until_ms)
        if until_ms < self.next_deadline_ms:  # noqa: PLR1730 - a call costs a tenth of this verb
            self.next_deadline_ms = until_ms
        return delivery(ids, jobs)

    def ack(
        self, ids: Sequence[int], attempts: Sequence[int] | None, now_ms: int
    ) -> Settled:
        """Settle active jobs as done. O(1) a job."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        table = self._table
        answer = Settled([], [])
        freed = self._fates.freed_by(ids) if table.roomy else ()
        done: list[int] = []
        for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
            job = table.jobs.get(job_id)
            if job is None or (attempt and attempt != job.attempts):
                miss(self._table, answer, job_id, attempt)
            elif job.lease is not None:
                table.finish(job_id, job)
                done.append(job_id)
            elif attempt and came_back(job_id, job):
                table.finish_returned(job_id, job)
                done.append(job_id)
            else:
                miss(self._table, answer, job_id, attempt)
        if self._record and done:
            self._record(records.Acked(done))
        if freed:
            self._fates.wake(freed)
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
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        answer = Failed([], [], [])
        retried: dict[int, tuple[str | None, int]] = {}
        dying: dict[int, str | None] = {}
        for job_id, attempt, error, delay_ms in zip(
            ids, attempts or repeat(0), errors, delays_ms or repeat(None), strict=False
        ):
            job = self._table.held(job_id, attempt)
            if job is None or job_id in retried or job_id in dying:
                miss(self._table, answer, job_id, attempt)
                answer.states.append(None)
                continue
            run_at_ms = job.retry_at_ms(job_id, now_ms, self._options.backoff_ms_max)
            if delay_ms is not None and run_at_ms is not None:
                run_at_ms = None if delay_ms == NEVER_MS else now_ms + delay_ms
            if run_at_ms == now_ms and now_ms >= self._due_ms:  # more are due than matured
                run_at_ms += self._table.delayed.has_any(job.queue.name)
            if run_at_ms is None:
                dying[job_id] = error
                answer.states.append(JobState.DEAD)
            else:
                retried[job_id] = (error, run_at_ms)
                later = run_at_ms > now_ms
                answer.states.append(JobState.DELAYED if later else JobState.READY)
        if retried:
            self._fates.retry(retried, now_ms)
            self._follow_delayed()
        self._fates.bury(list(dying), reason, list(dying.values()), now_ms)
        return answer

    def heartbeat(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        lease_ms: int,
        now_ms: int,
    ) -> Settled:
        """Let the leases of active jobs end `lease_ms` from now."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        answer = Settled([], [])
        extended: dict[int, None] = {}
        for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
            if self._table.held(job_id, attempt) is None:
                miss(self._table, answer, job_id, attempt)
            else:
                extended[job_id] = None
        if extended:
            until_ms = min(now_ms + lease_ms, TIME_MAX_MS)
            if self._record:
                self._record(records.Extended(list(extended), until_ms))
            self._table.extend(extended, until_ms)
            self.next_deadline_ms = min(self.next_deadline_ms, until_ms)
        return answer

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        """Give active jobs back unharmed: to their old place, or delayed."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        table, answer = self._table, Settled([], [])
        released: dict[int, None] = {}
        for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
            if table.held(job_id, attempt) is None or job_id in released:
                miss(self._table, answer, job_id, attempt)
            else:
                released[job_id] = None
        if released:
            self._fates.release(list(released), now_ms + delay_ms if delay_ms else 0)
            self._follow_delayed()
        return answer

    def close_session(self, session: int, now_ms: int) -> bool:
        """The session is gone (0 is nobody): its jobs come back. Gives whether all are."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        leases = self._table.leases
        if session:
            self._fates.lose(leases.of_session(session, self._step_jobs), now_ms)
        return not session or session not in leases.by_session

    def pause(self, queue: str, *, paused: bool, now_ms: int) -> None:
        """Stop or resume handing out jobs of a queue. Raises `Full` for a new name."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        known = self._table.queues.get(queue)
        if paused is (known is not None and known.paused):
            return
        if known is None:
            admit_queue(self._table, queue)
            known = self._table.queue_of(queue)
        if self._record:
            self._record(records.Paused(queue, paused))
        self._table.set_paused(known, paused=paused)
        if not paused:
            self._fates.wake((known,))
            self._table.forget_unused(known)

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Step:
        """Remove the ready and delayed jobs of a queue, a step of them."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return self._clearing.drain(queue, upto)

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """Make one dead job, or a step of a queue's, ready anew: attempts start over."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        if now_ms >= self._due_ms and job_id is None:
            return Step(0, self._table.sequence if upto is None else upto)
        self._mature_all(now_ms)
        return self._clearing.retry_dead(queue, job_id, now_ms, upto)

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """Remove one dead job, or a step of a queue's; raises as `retry_dead`."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return self._clearing.purge_dead(queue, job_id, upto)

    @property
    def spare_bytes(self) -> int:
        """What `trim` would give back, roughly. O(1)."""
        return spare_bytes(self._table.jobs)

    def trim(self) -> bool:
        """Give back memory that is kept for later use. O(jobs), where these are few."""
        trim(self._table.jobs)
        return True

    def replay(self, record: records.Record) -> None:
        """Apply what happened once before. Raises CoreError if it cannot have."""
        replay_record(self._table, record)
        if self._table.marked:
            self._marks.forget(record)
        self._look_ahead()

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        check_table(self._table)
        due_ms, lease_ms = self._table.delayed.next_ms, self._table.leases.next_ms
        assert self._due_ms <= due_ms, "a delayed job is due before it is looked for"
        earliest = min(due_ms, lease_ms)
        assert self.next_deadline_ms <= earliest, (
            "the deadline is later than the next event"
        )

    def _look_ahead(self) -> None:
        """Find out anew what is next."""
        self._due_ms = due_ms = self._table.delayed.next_ms
        self.next_deadline_ms = min(due_ms, self._table.leases.next_ms)
