"""The obvious model: one list of jobs, scanned and sorted for every question.

The scans are in `naive_jobs`. It is slow and has no structure that could be out of step,
so the cores are compared with it. It writes no records, wakes nobody and cannot replay.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat

from conformance.naive_browsing import NaiveBrowsing
from conformance.naive_by_id import NaiveById
from conformance.naive_jobs import (
    ACTIVE,
    COUNTERS,
    DEAD,
    DELAYED,
    HELD,
    READY,
    Job,
    Queue,
)
from magicqueue_cores.contract import (
    NEVER_MS,
    CoreStats,
    DeadPage,
    Delivery,
    Failed,
    JobView,
    NewJobs,
    NotFound,
    QueueStats,
    Settled,
)
from magicqueue_cores.retry import retry_delay_ms


class NaiveCore(NaiveBrowsing, NaiveById):
    """The verbs of `contract.Core`, by scanning."""

    def advance(self, now_ms: int) -> None:
        due = [job for job in self.some(DELAYED) if job.view.run_at_ms <= now_ms]
        due.sort(key=lambda job: (job.view.run_at_ms, job.view.id))
        for job in due[: self.options.step_jobs or None]:
            self.make_ready(job)
            self.note(job, "Matured")

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        self.advance(now_ms)
        over = (j for j in self.some(ACTIVE) if (j.view.lease_until_ms or 0) <= until_ms)
        self.lose(list(over), now_ms)
        return True

    def postpone_leases(self, by_ms: int, now_ms: int) -> None:
        self.advance(now_ms)
        for job in self.some(ACTIVE):
            assert job.view.lease_until_ms is not None
            job.view.lease_until_ms += by_ms

    def lose(self, jobs: list[Job], now_ms: int) -> None:
        dying = []
        for job in sorted(jobs, key=lambda job: job.view.id):
            job.view.lost += 1
            self.count(job, "lost")
            job.view.lease_until_ms = None
            if self.options.lost_max and job.view.lost > self.options.lost_max:
                dying.append(job)
            else:
                self.come_back(job)
                self.note(job, "Lost")
        self.let_die(dying, "worker_lost", now_ms)

    def let_die(self, jobs: list[Job], reason: str, now_ms: int) -> None:
        for job in jobs:
            self.note(job, "Died")
            job.view.state = DEAD
            job.view.lease_until_ms = None
            job.view.reason = reason
            job.view.died_at_ms = now_ms
            job.death_seq = self.next_seq()
        for queue in {job.view.queue for job in jobs}:
            while self.too_many_dead(queue):
                oldest = self.dead_letters(queue)[0]
                self.count(oldest, "dropped")
                self.remove_one(oldest)

    def watch(self, queue: str, *, watching: bool) -> None:
        (self.watched.add if watching else self.watched.discard)(queue)

    def push(self, queue: str, jobs: NewJobs, now_ms: int) -> int:
        self.advance(now_ms)
        first_id = self.last_id + 1
        if not jobs.payloads:
            return first_id
        if not jobs.admitted:
            self.admit(queue, [len(payload) for payload in jobs.payloads])
        known = self.by_name.setdefault(queue, Queue())
        lags = not jobs.held and self.due_ms() <= now_ms and any(self.some(DELAYED, queue))
        for place, payload in enumerate(jobs.payloads):

            def column(value: object, place: int = place) -> int:
                one = value[place] if isinstance(value, Sequence) else value
                assert isinstance(one, int)
                return one

            self.last_id += 1
            view = JobView(
                id=self.last_id,
                queue=queue,
                payload=payload,
                priority=column(jobs.priorities),
                created_at_ms=now_ms,
                run_at_ms=max(now_ms + lags, column(jobs.run_ats_ms)),
                attempts=0,
                state=DELAYED,
                failures=0,
                lost=0,
                max_attempts=column(jobs.max_attempts),
                error=None,
                lease_until_ms=None,
                reason=None,
                died_at_ms=None,
            )
            job = Job(view, column(jobs.backoffs_ms), bool(column(jobs.jitters)))
            if jobs.held:
                self.make_held(job)
            elif view.run_at_ms <= now_ms:
                self.make_ready(job)
            self.all.append(job)
            known.counts["pushed"] += 1
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
        self.advance(now_ms)
        taken: list[Job] = []
        paused = queue in self.by_name and self.by_name[queue].paused
        for job in [] if paused else self.in_order(queue)[:count]:
            payload_bytes_max -= len(job.view.payload)
            if taken and payload_bytes_max < 0:
                break
            taken.append(job)
        return self.lend(taken, lease_ms, session, now_ms)

    def lend(self, taken: list[Job], lease_ms: int, session: int, now_ms: int) -> Delivery:
        for job in taken:
            job.view.state = ACTIVE
            job.view.attempts += 1
            job.view.lease_until_ms = now_ms + lease_ms
            job.session = session
            self.note(job, "Leased")
        views = [job.view for job in taken]
        return Delivery(
            [view.id for view in views],
            [view.payload for view in views],
            [view.priority for view in views],
            [view.created_at_ms for view in views],
            [view.run_at_ms for view in views],
            [view.attempts for view in views],
        )

    def verdicts(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        answer: Settled,
        *,
        late: bool,
    ) -> Iterator[Job | None]:
        for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
            job = self.find(job_id)
            if job is not None and attempt in (0, job.view.attempts):
                waits = job.view.state in {READY, HELD}
                came_back = waits and job.returned and attempt
                if job.view.state is ACTIVE or (late and came_back):
                    yield job
                    continue
            answer.missing.append(job_id)
            if job is not None and 0 < attempt < job.view.attempts:
                answer.stale.append(job_id)
            yield None

    def ack(
        self, ids: Sequence[int], attempts: Sequence[int] | None, now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for job in self.verdicts(ids, attempts, answer, late=True):
            if job is not None:
                self.count(job, "completed")
                self.note(job, "Acked")
                self.all.remove(job)
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
        self.advance(now_ms)
        answer = Failed([], [], [])
        dying = []
        lagging = {job.view.queue for job in self.some(DELAYED)}
        if self.due_ms() > now_ms:
            lagging.clear()
        verdicts = self.verdicts(ids, attempts, answer, late=False)
        waits = delays_ms or [None] * len(ids)
        for job, error, asked_ms in zip(verdicts, errors, waits, strict=True):
            if job is None:
                answer.states.append(None)
                continue
            view = job.view
            view.failures += 1
            view.error = error
            view.lease_until_ms = None
            self.count(job, "failed")
            last = 0 < view.max_attempts <= view.failures
            if last or asked_ms == NEVER_MS:
                view.state = DEAD
                dying.append(job)
            else:
                wait_ms = asked_ms
                if wait_ms is None:
                    wait_ms = retry_delay_ms(
                        job_id=view.id,
                        failures=view.failures,
                        backoff_ms=job.backoff_ms,
                        jitter=job.jitter,
                        backoff_ms_max=self.options.backoff_ms_max,
                    )
                self.note(job, "Failed")
                view.run_at_ms = now_ms + wait_ms
                if not wait_ms and view.queue in lagging:
                    view.run_at_ms += 1
                if view.run_at_ms > now_ms:
                    view.state = DELAYED
                else:
                    self.make_ready(job)
            answer.states.append(view.state)
        self.let_die(dying, reason, now_ms)
        return answer

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        extended: list[Job] = []
        for job in self.verdicts(ids, attempts, answer, late=False):
            if job is not None:
                job.view.lease_until_ms = now_ms + lease_ms
                if job not in extended:
                    extended.append(job)
                    self.note(job, "Extended")
        return answer

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for job in self.verdicts(ids, attempts, answer, late=False):
            if job is not None:
                self.count(job, "released")
                self.note(job, "Released")
                job.view.lease_until_ms = None
                if delay_ms:
                    job.view.state = DELAYED
                    job.returned = False
                    job.view.run_at_ms = now_ms + delay_ms
                else:
                    self.come_back(job)
        return answer

    def close_session(self, session: int, now_ms: int) -> bool:
        self.advance(now_ms)
        if session:
            held = [job for job in self.some(ACTIVE) if job.session == session]
            self.lose(held, now_ms)
        return True

    def pause(self, queue: str, *, paused: bool, now_ms: int) -> None:
        self.advance(now_ms)
        if paused is (queue in self.by_name and self.by_name[queue].paused):
            return
        self.admit(queue, [])
        self.by_name.setdefault(queue, Queue()).paused = paused
        if not paused:
            self.forget_unused(queue)

    def drain(self, queue: str, now_ms: int) -> int:
        self.advance(now_ms)
        gone = self.some(READY, queue) + self.some(DELAYED, queue)
        for job in gone:
            self.remove_one(job)
        if gone:
            self.forget_unused(queue)
        return len(gone)

    def dead(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        after_id: int | None,
        now_ms: int,
    ) -> DeadPage:
        self.advance(now_ms)
        views = [job.view for job in self.dead_letters(queue)]
        if after_id is not None:
            ids = [view.id for view in views]
            if after_id not in ids:
                raise NotFound
            views = views[ids.index(after_id) + 1 :]
        page: list[JobView] = []
        for view in views:
            payload_bytes_max -= len(view.payload) + len((view.error or "").encode())
            if page and (len(page) >= count or payload_bytes_max < 0):
                return DeadPage(page, page[-1].id)
            page.append(view)
        return DeadPage(page, None)

    def retry_dead(self, queue: str | None, job_id: int | None, now_ms: int) -> int:
        self.mature_all(now_ms)
        dead = self.chosen_dead(queue, job_id)
        for job in dead:
            self.revive_one(job, now_ms)
        return len(dead)

    def purge_dead(self, queue: str | None, job_id: int | None, now_ms: int) -> int:
        self.advance(now_ms)
        dead = self.chosen_dead(queue, job_id)
        for job in dead:
            self.remove_one(job)
        return len(dead)

    def job(self, job_id: int, now_ms: int) -> JobView | None:
        self.advance(now_ms)
        found = self.find(job_id)
        return None if found is None else found.view

    def queue_stats(self, queue: str, now_ms: int) -> QueueStats:
        self.advance(now_ms)
        return self.counts_of(queue, now_ms)

    def counts_of(self, queue: str, now_ms: int) -> QueueStats:
        known = self.by_name.get(queue)
        if known is None:
            return QueueStats(queue)
        ready = self.some(READY, queue)
        return QueueStats(
            queue,
            queued=len(ready),
            processing=len(self.some(ACTIVE, queue)),
            delayed=len(self.some(DELAYED, queue)),
            dead=len(self.some(DEAD, queue)),
            paused=known.paused,
            oldest_ready_ms=max((now_ms - job.view.run_at_ms for job in ready), default=0),
            **known.counts,
        )

    def queues(
        self,
        now_ms: int,
        count: int | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> list[QueueStats]:
        self.advance(now_ms)
        names = [name for name in self.by_name if name.startswith(prefix)]
        page = sorted(name for name in names if after is None or name > after)
        return [self.counts_of(queue, now_ms) for queue in page[:count]]

    def stats(self, now_ms: int) -> CoreStats:
        self.advance(now_ms)
        counts = [*(known.counts for known in self.by_name.values()), self.forgotten.counts]
        ready = self.some(READY)
        return CoreStats(
            queued=len(ready),
            processing=len(self.some(ACTIVE)),
            delayed=len(self.some(DELAYED)),
            dead=len(self.some(DEAD)),
            paused=sum(known.paused for known in self.by_name.values()),
            oldest_ready_ms=max((now_ms - job.view.run_at_ms for job in ready), default=0),
            queues=len(self.by_name),
            content_bytes=self.content_bytes(),
            memory_bytes=0,
            **{what: sum(each[what] for each in counts) for what in COUNTERS},
        )
