"""The jobs of the naive model in one list, and every question answered by a scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from magicqueue_cores.contract import (
    NEVER_MS,
    CoreOptions,
    Full,
    JobState,
    JobView,
    NotFound,
)

READY, DELAYED, ACTIVE, DEAD, HELD = JobState
COUNTERS = (
    *("pushed", "completed", "failed", "lost", "released"),
    *("expired", "cancelled", "duplicates", "dropped"),
)
OF_NO_WORK = ("pushed", "duplicates")
"""What alone keeps no queue known: duplicates are in no record, so no replay has them."""


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
    marked: bool = False
    keyless: bool = False
    """Held, or taken while it was: it comes back to being held."""


@dataclass
class Queue:
    """What outlives a queue's jobs."""

    paused: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))


def content_bytes(job: Job) -> int:
    return len(job.view.payload) + len((job.view.error or "").encode())


class NaiveJobs:
    """All jobs, and what is told of them."""

    def __init__(self, options: CoreOptions, overhead_bytes: int) -> None:
        """overhead_bytes: what the core that it is compared with says a job costs."""
        self.options = options
        self.overhead_bytes = overhead_bytes
        self.held_bytes: Callable[[], int] = self.content_bytes
        """What the core that it is compared with says that everything takes."""
        self.all: list[Job] = []
        self.by_name: dict[str, Queue] = {}
        self.watched: set[str] = set()
        self.forgotten = Queue()
        self.last_id = 0
        self.seq = 0
        self.notes: dict[int, list[str]] = {}
        """The records, by name, that an observer is told of each marked job."""

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
        job.returned = job.keyless = False

    def make_held(self, job: Job) -> None:
        job.view.state = HELD
        job.keyless = True

    def come_back(self, job: Job) -> None:
        job.view.state = HELD if job.keyless else READY
        job.returned = True

    def note(self, job: Job, what: str) -> None:
        if job.marked:
            self.notes.setdefault(job.view.id, []).append(what)

    def remove_one(self, job: Job) -> None:
        self.note(job, "Removed")
        self.all.remove(job)

    def count(self, job: Job, what: str) -> None:
        self.by_name[job.view.queue].counts[what] += 1

    def duplicates(self) -> int:
        return sum(
            known.counts["duplicates"] for known in (*self.by_name.values(), self.forgotten)
        )

    def due_ms(self) -> int:
        return min([NEVER_MS, *(job.view.run_at_ms for job in self.some(DELAYED))])

    def earliest_ms(self) -> int:
        ends = [job.view.lease_until_ms or 0 for job in self.some(ACTIVE)]
        return min([self.due_ms(), *ends])

    def too_many_dead(self, queue: str) -> bool:
        dead = self.some(DEAD, queue)
        size = sum(map(content_bytes, dead))
        jobs_max, bytes_max = self.options.dead_jobs_max, self.options.dead_bytes_max
        return bool(jobs_max and len(dead) > jobs_max) or bool(
            bytes_max and size > bytes_max
        )

    def dead_letters(self, queue: str | None) -> list[Job]:
        return sorted(self.some(DEAD, queue), key=lambda job: job.death_seq)

    def content_bytes(self) -> int:
        return sum(map(content_bytes, self.all))

    def holds_nothing(self, queue: str) -> bool:
        used = any(job.view.queue == queue for job in self.all)
        return not (used or self.by_name[queue].paused)

    def forget(self, queue: str) -> None:
        known = self.by_name.pop(queue)
        for what in COUNTERS:
            self.forgotten.counts[what] += known.counts[what]

    def forget_unused(self, queue: str) -> None:
        """Forget a queue that holds nothing, if nothing but pushes was counted of it."""
        counts = self.by_name[queue].counts
        used = any(counts[what] for what in COUNTERS if what not in OF_NO_WORK)
        if self.holds_nothing(queue) and not used:
            self.forget(queue)

    def admit(
        self,
        queue: str,
        sizes: list[int],
        names: Sequence[str] | None = None,
        more_bytes: int = 0,
    ) -> None:
        options = self.options
        live = len(self.all) - len(self.some(DEAD))
        if options.jobs_max and sizes and live + len(sizes) > options.jobs_max:
            raise Full
        if sizes:
            size = sum(sizes) + more_bytes
            self.admit_bytes(size + len(sizes) * self.overhead_bytes)
        wanted = set([queue] if names is None else names)
        if not options.queues_max or wanted <= self.by_name.keys():
            return
        if len(self.by_name.keys() | wanted) > options.queues_max:
            for name in list(self.by_name):
                if name not in self.watched and self.holds_nothing(name):
                    self.forget(name)
        if len(self.by_name.keys() | wanted) > options.queues_max:
            raise Full

    def admit_bytes(self, more: int) -> None:
        most = self.options.memory_bytes_max
        if most and self.held_bytes() + more > most:
            raise Full

    def chosen_dead(self, queue: str | None, job_id: int | None) -> list[Job]:
        dead = self.dead_letters(queue)
        if job_id is not None:
            dead = [job for job in dead if job.view.id == job_id]
            if not dead:
                raise NotFound
        return dead
