"""The state of the python core and every way it changes.

The verbs (`python_core`) decide; the methods here apply a decision, and `python_replay`
applies recorded ones through the same methods. So a replayed log cannot differ from the
run that wrote it. A method is given ids that are in the state it needs; a replay checks
that first.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat

from magicqueue_cores.contract import COUNT_MAX, CoreOptions, NewJobs
from magicqueue_cores.delayed_order import DelayedOrder
from magicqueue_cores.histories import count_in, drop_history, history_of, set_error
from magicqueue_cores.leases import Leases
from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.name_order import NameOrder
from magicqueue_cores.oldest_ready import OldestReady
from magicqueue_cores.python_job import PLAIN, WAITING, Job, Queue, RetryPolicy
from magicqueue_cores.python_totals import Totals
from magicqueue_cores.records import Pushed
from magicqueue_cores.retry_policies import policies_of


class JobTable:
    """All jobs by id, the queues, and what orders them."""

    def __init__(self, options: CoreOptions) -> None:
        """Start empty."""
        self.options = options
        self.jobs: dict[int, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.names = NameOrder()
        self.watched: set[str] = set()
        self.ruled: set[str] = set()
        self.roomy: set[str] = set()
        """Those ruled that are watched: who waits for them hears of jobs that leave."""
        self.marked: set[int] = set()
        self.tally = Tally()
        self.delayed = DelayedOrder(self.tally)
        self.leases = Leases(self.tally)
        self.last_id = 0
        self.dead_count = 0
        self.totals = Totals()
        self.oldest = OldestReady()
        self.sequence = 0
        self._last_policy: RetryPolicy = (0, 0, False, 0)

    def memory_bytes(self) -> int:
        """What jobs and queues take, by the measure of `memory_bytes_max`. O(1)."""
        return self.tally.memory_bytes(
            jobs=len(self.jobs),
            dead=self.dead_count,
            queues=len(self.queues),
            marked=len(self.marked),
        )

    def queue_of(self, name: str) -> Queue:
        """The queue, made if it is new. The bound on queues is the caller's business."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(name, self.options, self.tally, self.oldest)
            self.names.add(name)
            self.tally.name_bytes += len(name.encode(errors="surrogatepass"))
        return queue

    def watch_room(self, name: str) -> None:
        """Note whether a queue is ruled and watched, as one of both has changed."""
        if name in self.ruled and name in self.watched:
            self.roomy.add(name)
        else:
            self.roomy.discard(name)

    def forget_idle_queues(self) -> None:
        """Forget queues that hold nothing and that nobody watches; totals stay."""
        for queue in list(self.queues.values()):
            if self._is_idle(queue) and queue.name not in self.watched:
                self._forget(queue)

    def forget_unused(self, queue: Queue) -> None:
        """Forget an idle queue of which no worker ever had a job; its `pushed` stays."""
        if queue.is_unused and self._is_idle(queue):
            self._forget(queue)

    def _is_idle(self, queue: Queue) -> bool:
        return not (
            queue.ready.count
            or queue.active
            or queue.paused
            or queue.dead
            or self.delayed.count(queue.name)
            or queue.name in self.ruled
        )

    def _forget(self, queue: Queue) -> None:
        queue.ready.drain()
        self.oldest.forget(queue.name)
        self.tally.name_bytes -= len(queue.name.encode(errors="surrogatepass"))
        self.names.remove(queue.name)
        del self.queues[queue.name]

    def set_paused(self, queue: Queue, *, paused: bool) -> None:
        """Stop or resume handing out jobs of a queue."""
        self.totals.paused += paused - queue.paused
        queue.paused = paused

    def held(self, job_id: int, attempt: int) -> Job | None:
        """The job, if it is active, in this attempt where one is given (not 0)."""
        job = self.jobs.get(job_id)
        if job is None or job.lease is None or (attempt and attempt != job.attempts):
            return None
        return job

    def count_from_here(self) -> None:
        """Set all totals to zero; queues that hold nothing have nothing left to tell."""
        self.totals.count_from_here(here=len(self.jobs))
        for queue in self.queues.values():
            queue.count_from_here()
        for queue in list(self.queues.values()):
            self.forget_unused(queue)

    def add(self, queue: Queue, first_id: int, batch: NewJobs | Pushed, at_ms: int) -> bool:
        """Store a batch; says whether any of it is ready."""
        count = len(batch.payloads)
        if count == 1:
            return self._add_one(queue, first_id, batch, at_ms)
        priorities, run_ats_ms = batch.priorities, batch.run_ats_ms
        ids = list(range(first_id, first_id + count))
        jobs = list(
            map(
                Job,
                batch.payloads,
                repeat(priorities) if isinstance(priorities, int) else priorities,
                repeat(at_ms),
                repeat(run_ats_ms) if isinstance(run_ats_ms, int) else run_ats_ms,
                policies_of(batch, self.sequence + 1 - first_id, self.shared_policy),
                repeat(queue),
            )
        )
        if len(jobs) != count:
            raise ValueError(f"a column has {len(jobs)} values for {count} payloads")
        self.jobs.update(zip(ids, jobs, strict=False))
        self.last_id = first_id + count - 1
        self.tally.payload_bytes += sum(map(len, batch.payloads))
        queue.pushed += count
        self.totals.pushed += count
        if isinstance(run_ats_ms, int):
            if run_ats_ms > at_ms:
                self.delay(queue, ids)
                return False
        else:
            later = [i for i in ids if self.jobs[i].run_at_ms > at_ms]
            if later:
                self.delay(queue, later)
                ids = [i for i in ids if self.jobs[i].place == PLAIN]
                for job_id in ids:
                    self.jobs[job_id].place = self.next_place()
                self.sequence -= len(ids)
        self.sequence += len(ids)
        if isinstance(priorities, int):
            if ids:
                queue.ready.append(priorities, ids, at_ms)
        else:
            self._append_by_priority(queue, ids)
        return bool(ids)

    def _add_one(
        self, queue: Queue, job_id: int, batch: NewJobs | Pushed, at_ms: int
    ) -> bool:
        payload = batch.payloads[0]
        priority, run_at_ms = batch.priorities, batch.run_ats_ms
        if not isinstance(priority, int):
            priority = priority[0]
        if not isinstance(run_at_ms, int):
            run_at_ms = run_at_ms[0]
        most, backoff, jitter = batch.max_attempts, batch.backoffs_ms, batch.jitters
        if isinstance(most, int) and isinstance(backoff, int) and isinstance(jitter, int):
            policy = self.shared_policy((most, backoff, jitter, self.sequence + 1 - job_id))
        else:
            (policy,) = policies_of(batch, self.sequence + 1 - job_id, self.shared_policy)
        self.jobs[job_id] = Job(payload, priority, at_ms, run_at_ms, policy, queue)
        self.last_id = job_id
        self.tally.payload_bytes += len(payload)
        queue.pushed += 1
        self.totals.pushed += 1
        if run_at_ms > at_ms:
            self.delay(queue, (job_id,))
            return False
        self.sequence += 1
        queue.ready.append(priority, (job_id,), run_at_ms)
        return True

    def put_in(self, job_id: int, job: Job) -> None:
        """Let a job that was made whole be here; its place is the caller's business."""
        self.jobs[job_id] = job
        self.totals.carried += 1
        self.tally.payload_bytes += len(job.payload)
        if job.history is not None:
            count_in(job.history, self.tally)

    def mature(self, ids: Iterable[int]) -> None:
        """Jobs that are in no order become ready, in this order."""
        for job_id in ids:
            self._append(job_id, self.jobs[job_id])

    def lend(
        self,
        queue: Queue,
        jobs: Sequence[Job],
        ids: Sequence[int],
        session: int,
        until_ms: int,
    ) -> None:
        """Hand out jobs that were taken from the ready order."""
        lease, most = self.leases.open(session, until_ms, set(ids)), COUNT_MAX
        for job in jobs:
            if (attempts := job.attempts) < most:
                job.attempts = attempts + 1
            job.lease = lease
        queue.active += len(ids)
        self.totals.lent += len(ids)

    def extend(self, ids: Iterable[int], until_ms: int) -> None:
        """Let the leases of active jobs end at `until_ms`."""
        by_session: dict[int, list[int]] = {}
        for job_id in ids:
            lease = self.jobs[job_id].lease
            assert lease is not None
            by_session.setdefault(lease.session, []).append(job_id)
        for session, mine in by_session.items():
            for job_id in mine:
                self.detach(job_id, self.jobs[job_id])
            fresh = self.leases.open(session, until_ms, set(mine))
            for job_id in mine:
                job = self.jobs[job_id]
                job.lease = fresh
                job.queue.active += 1

    def finish(self, job_id: int, job: Job) -> None:
        """Settle an active job as done."""
        lease, queue = job.lease, job.queue
        assert lease is not None
        lease.ids.discard(job_id)
        if not lease.ids:
            self.leases.close(lease)
        queue.active -= 1
        queue.completed += 1
        self.delete(job_id, job)

    def finish_returned(self, job_id: int, job: Job) -> None:
        """Settle a job that came back and was not handed out again."""
        job.queue.ready.remove(job.priority, job_id)
        job.queue.completed += 1
        self.totals.late += 1
        self.delete(job_id, job)

    def retry(
        self,
        ids: Sequence[int],
        errors: Sequence[str | None],
        run_ats_ms: Sequence[int],
        at_ms: int,
    ) -> None:
        """Active jobs failed; each is due at its run_at, ready if that is now."""
        for job_id, error, run_at_ms in zip(ids, errors, run_ats_ms, strict=True):
            job = self.jobs[job_id]
            self.detach(job_id, job)
            set_error(job, error, self.tally)
            job.count_failure()
            job.queue.failed += 1
            self.totals.failed += 1
            job.run_at_ms = run_at_ms
            if run_at_ms <= at_ms:
                self._append(job_id, job)
            else:
                self.delay(job.queue, (job_id,))

    def lose(self, ids: Iterable[int]) -> None:
        """Active jobs are ready again at their old place."""
        for job_id in ids:
            job = self.jobs[job_id]
            self.detach(job_id, job)
            history_of(job, self.tally)
            job.count_loss()
            job.queue.lost += 1
            self.totals.lost += 1
            self._give_back(job_id, job)

    def release(self, ids: Iterable[int], run_at_ms: int) -> None:
        """Active jobs are ready again at their old place, or (if not 0) at `run_at_ms`."""
        for job_id in ids:
            job = self.jobs[job_id]
            self.detach(job_id, job)
            job.queue.released += 1
            self.totals.released += 1
            if run_at_ms:
                job.run_at_ms = run_at_ms
                self.delay(job.queue, (job_id,))
            else:
                self._give_back(job_id, job)

    def errors_of(self, ids: Iterable[int]) -> list[str | None]:
        """The last error of each job."""
        histories = [self.jobs[job_id].history for job_id in ids]
        return [history.error if history else None for history in histories]

    def remove_waiting(self, ids: Iterable[int]) -> None:
        """Jobs that were taken from the ready and the delayed order are gone."""
        for job_id in ids:
            self.delete(job_id, self.jobs[job_id])
            self.totals.removed += 1

    def shared_policy(self, policy: RetryPolicy) -> RetryPolicy:
        """Give an equal object, the one given last if that is equal."""
        if policy != self._last_policy:
            self._last_policy = policy
        return self._last_policy

    def next_place(self) -> int:
        """Give the next sequence number."""
        self.sequence += 1
        return self.sequence

    def _append(self, job_id: int, job: Job) -> None:
        job.place = self.next_place()
        job.queue.ready.append(job.priority, (job_id,), job.run_at_ms)

    def _give_back(self, job_id: int, job: Job) -> None:
        key = job.ready_key(job_id)
        job.queue.ready.give_back(job.priority, key, job_id, job.run_at_ms)

    def _append_by_priority(self, queue: Queue, ids: Sequence[int]) -> None:
        groups: dict[int, list[int]] = {}
        for job_id in ids:
            groups.setdefault(self.jobs[job_id].priority, []).append(job_id)
        for priority, group in groups.items():
            queue.ready.append(priority, group, self.jobs[group[0]].run_at_ms)

    def delay(self, queue: Queue, ids: Sequence[int]) -> None:
        """Jobs that are in no order wait for their time."""
        entries = []
        for job_id in ids:
            job = self.jobs[job_id]
            job.place = WAITING
            entries.append((job.run_at_ms, job_id))
        self.delayed.add(queue.name, entries)

    def detach(self, job_id: int, job: Job) -> None:
        """Take an active job off its lease, which counts as nothing yet."""
        lease = job.lease
        assert lease is not None
        lease.ids.discard(job_id)
        if not lease.ids:
            self.leases.close(lease)
        job.lease = None
        job.queue.active -= 1

    def delete(self, job_id: int, job: Job) -> None:
        """A job in no order and on no lease is gone, which counts as nothing yet."""
        self.tally.payload_bytes -= len(job.payload)
        if job.history is not None:
            drop_history(job, self.tally)
        del self.jobs[job_id]
