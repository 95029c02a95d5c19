"""The model's verbs about jobs that are named, in whatever state they are."""

from collections.abc import Iterator, Sequence

from conformance.naive_jobs import DEAD, DELAYED, HELD, READY, Job, NaiveJobs
from magicqueue_cores.contract import LIVE, WAITING, Delivery, JobState, Settled


class NaiveById(NaiveJobs):
    """A part of `NaiveCore`, which has `advance` and `let_die`."""

    def advance(self, now_ms: int) -> None:
        raise NotImplementedError

    def mature_all(self, now_ms: int) -> None:
        self.advance(now_ms)
        while self.due_ms() <= now_ms:
            self.advance(now_ms)

    def let_die(self, jobs: list[Job], reason: str, now_ms: int) -> None:
        raise NotImplementedError

    def named(
        self, ids: Sequence[int], states: frozenset[JobState], answer: Settled
    ) -> Iterator[tuple[int, Job]]:
        """The place and the job of those in one of the states, each once."""
        before = [job.view.id for job in self.all if job.view.state in states]
        for place, job_id in enumerate(ids):
            job = self.find(job_id)
            if job is None or job_id not in before:
                answer.missing.append(job_id)
            else:
                before.remove(job_id)
                yield place, job

    def remove(
        self, ids: Sequence[int], states: frozenset[JobState], cause: str, now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for _, job in self.named(ids, states, answer):
            if cause not in {"purged", "drained"}:
                self.count(job, cause)
            self.remove_one(job)
            if cause == "drained":
                self.forget_unused(job.view.queue)
        return answer

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        dying = []
        for place, job in self.named(ids, LIVE, answer):
            if errors[place] is not None:
                job.view.error = errors[place]
            dying.append(job)
        self.let_die(dying, reason, now_ms)
        return answer

    def promote(self, ids: Sequence[int], now_ms: int) -> Settled:
        self.mature_all(now_ms)
        answer = Settled([], [])
        for _, job in self.named(ids, frozenset((DELAYED,)), answer):
            job.view.run_at_ms = now_ms
            self.make_ready(job)
            self.note(job, "Promoted")
        return answer

    def replace(
        self, job_id: int, payload: bytes, priority: int, run_at_ms: int, now_ms: int
    ) -> bool:
        self.advance(now_ms)
        job = self.find(job_id)
        if job is None or job.view.state not in WAITING:
            return False
        view, held = job.view, job.view.state is HELD
        behind = self.due_ms() <= now_ms and bool(self.some(DELAYED, view.queue))
        behind &= not held
        view.payload = payload
        view.priority = priority
        view.run_at_ms = max(now_ms + behind, run_at_ms)
        job.returned = False
        view.state = DELAYED
        if view.run_at_ms <= now_ms:
            self.make_ready(job)
        if held:
            self.make_held(job)
        self.note(job, "Replaced")
        return True

    def hold(self, ids: Sequence[int], now_ms: int) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for _, job in self.named(ids, frozenset((READY,)), answer):
            self.make_held(job)
            self.note(job, "Held")
        return answer

    def unhold(self, ids: Sequence[int], now_ms: int) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        lagging = {job.view.queue for job in self.some(DELAYED)}
        lagging = lagging if self.due_ms() <= now_ms else set()
        for _, job in self.named(ids, frozenset((HELD,)), answer):
            view = job.view
            view.run_at_ms = max(view.run_at_ms, now_ms + (view.queue in lagging))
            view.state, job.returned, job.keyless = DELAYED, False, False
            if view.run_at_ms <= now_ms:
                self.make_ready(job)
            self.note(job, "Unheld")
        return answer

    def lend(self, taken: list[Job], lease_ms: int, session: int, now_ms: int) -> Delivery:
        raise NotImplementedError

    def take(
        self,
        queue: str,
        ids: Sequence[int],
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        self.advance(now_ms)
        taken: list[Job] = []
        paused = queue in self.by_name and self.by_name[queue].paused
        for _, job in self.named(ids, frozenset((HELD,)), Settled([], [])):
            if job.view.queue == queue and not paused:
                payload_bytes_max -= len(job.view.payload)
                if taken and payload_bytes_max < 0:
                    break
                taken.append(job)
        return self.lend(taken, lease_ms, session, now_ms)

    def admit_names(self, names: Sequence[str], jobs: int, payload_bytes: int) -> None:
        self.admit("", [0] * jobs, names, payload_bytes)

    def refuse_more(self, more_bytes: int) -> None:
        if more_bytes > 0:
            self.admit_bytes(more_bytes)

    def revive(self, ids: Sequence[int], now_ms: int) -> Settled:
        self.mature_all(now_ms)
        answer = Settled([], [])
        for _, job in self.named(ids, frozenset((DEAD,)), answer):
            self.revive_one(job, now_ms)
        return answer

    def revive_one(self, job: Job, now_ms: int) -> None:
        view = job.view
        view.attempts = view.failures = view.lost = 0
        view.error = view.reason = view.died_at_ms = None
        view.run_at_ms = now_ms
        self.make_ready(job)
        self.note(job, "Revived")

    def mark(self, ids: Sequence[int], *, marked: bool) -> None:
        for job in self.all:
            if job.view.id in ids:
                job.marked = marked

    def count_duplicates(self, queue: str, count: int) -> None:
        known = self.by_name.get(queue, self.forgotten)
        known.counts["duplicates"] += count
