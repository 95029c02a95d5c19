"""The jobs of the naive model in one list, and every question answered by a scan."""

from dataclasses import dataclass, field

from magicqueue_cores.contract import (
    NEVER_MS,
    CoreOptions,
    Full,
    JobState,
    JobView,
    NotFound,
)

READY, DELAYED, ACTIVE, DEAD = JobState
COUNTERS = ("pushed", "completed", "failed", "lost", "expired", "dropped")


@dataclass
class Job:
    """A job with everything in the open."""

    view: JobView
    backoff_ms: int
    jitter: bool
    ready_seq: int = 0
    death_seq: int = 0
    session: int = 0
    returned: bool = False


@dataclass
class Queue:
    """What outlives a queue's jobs."""

    paused: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))


class NaiveJobs:
    """All jobs, and what is told of them."""

    def __init__(self, options: CoreOptions, overhead_bytes: int) -> None:
        """overhead_bytes: what the core that it is compared with says a job costs."""
        self.options = options
        self.overhead_bytes = overhead_bytes
        self.all: list[Job] = []
        self.by_name: dict[str, Queue] = {}
        self.watched: set[str] = set()
        self.forgotten = Queue()
        self.last_id = 0
        self.seq = 0

    def some(self, state: JobState, queue: str | None = None) -> list[Job]:
        return [
            job
            for job in self.all
            if job.view.state is state and queue in (None, job.view.queue)
        ]

    def find(self, job_id: int) -> Job | None:
        return next((job for job in self.all if job.view.id == job_id), None)

    def in_order(self, queue: str) -> list[Job]:
        ready = self.some(READY, queue)
        return sorted(ready, key=lambda job: (-job.view.priority, job.ready_seq))

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def make_ready(self, job: Job) -> None:
        job.view.state = READY
        job.ready_seq = self.next_seq()
        job.returned = False

    def count(self, job: Job, what: str) -> None:
        self.by_name[job.view.queue].counts[what] += 1

    def due_ms(self) -> int:
        return min([NEVER_MS, *(job.view.run_at_ms for job in self.some(DELAYED))])

    def earliest_ms(self) -> int:
        ends = [job.view.lease_until_ms or 0 for job in self.some(ACTIVE)]
        return min([self.due_ms(), *ends])

    def too_many_dead(self, queue: str) -> bool:
        dead = self.some(DEAD, queue)
        size = sum(len(job.view.payload) for job in dead)
        jobs_max, bytes_max = self.options.dead_jobs_max, self.options.dead_bytes_max
        return bool(jobs_max and len(dead) > jobs_max) or bool(
            bytes_max and size > bytes_max
        )

    def dead_letters(self, queue: str | None) -> list[Job]:
        return sorted(self.some(DEAD, queue), key=lambda job: job.death_seq)

    def memory_bytes(self) -> int:
        return sum(len(job.view.payload) + self.overhead_bytes for job in self.all)

    def admit(self, queue: str, sizes: list[int]) -> None:
        options = self.options
        live = len(self.all) - len(self.some(DEAD))
        if options.jobs_max and live + len(sizes) > options.jobs_max:
            raise Full
        more = sum(sizes) + len(sizes) * self.overhead_bytes
        if (
            options.memory_bytes_max
            and self.memory_bytes() + more > options.memory_bytes_max
        ):
            raise Full
        if not options.queues_max or queue in self.by_name:
            return
        if len(self.by_name) >= options.queues_max:
            used = {job.view.queue for job in self.all} | self.watched
            for name, known in list(self.by_name.items()):
                if name not in used and not known.paused:
                    del self.by_name[name]
                    for what in COUNTERS:
                        self.forgotten.counts[what] += known.counts[what]
        if len(self.by_name) >= options.queues_max:
            raise Full

    def chosen_dead(self, queue: str | None, job_id: int | None) -> list[Job]:
        dead = self.dead_letters(queue)
        if job_id is not None:
            dead = [job for job in dead if job.view.id == job_id]
            if not dead:
                raise NotFound
        return dead
